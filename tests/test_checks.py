"""Figures the text relies on, held beside a chapter."""

import json
import os
import subprocess
import sys

import nbformat
import pytest
import yaml
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from tests.typed import course
from utils.checks import figures_beside
from utils.common import CourseError
from utils.paths import ROOT, chapters

SAID = "One picture in two is a cat."
HALF = {"name": "cats", "after": "half", "value": "share", "at_most": 0.6, "sentence": SAID}
LATER = HALF | {"name": "later", "after": "two", "at_most": 2, "at_least": 2}
TOO_HIGH = f"cats = 0.5000, expected at most 0.4. The chapter says: {SAID}"


MISFITS = {
    "the chapter no longer says: One in three is a cat.": {"sentence": "One in three is a cat."},
    "no code cell is called gone": {"after": "gone"},
    "cats cannot be computed after half: NameError: name 'shares'": {"value": "shares"},
}


@pytest.fixture
def beside(tmp_path):
    """Write a chapter of two cells and the figures beside it; returns the chapter's path."""
    (tmp_path / "notebooks").mkdir()
    (tmp_path / "tests" / "figures").mkdir(parents=True)

    def write(number, *figures):
        text = new_markdown_cell("# Two\n\nOne picture\nin two is a cat. The rest are dogs.")
        first, second = (
            new_code_cell("share = 0.5", id="half"),
            new_code_cell("share = 2", id="two"),
        )
        kernel = {"name": "python3", "display_name": "Python 3"}
        notebook = new_notebook(cells=[text, first, second], metadata={"kernelspec": kernel})
        nbformat.write(notebook, path := tmp_path / "notebooks" / f"{number}_two.ipynb")
        (tmp_path / "tests" / "figures" / f"{number}.yaml").write_text(yaml.safe_dump([*figures]))
        return path

    return write


def test_a_figure_is_computed_after_its_cell_and_reported(beside):
    path = beside("01", HALF, LATER)
    done = course("run", path, "--device", "cpu", "--json")
    assert done.status == 0, done.errors
    assert json.loads(done.out)["expectations"] == [
        {"name": "cats", "value": 0.5, "at_least": None, "at_most": 0.6, "ok": True},
        {"name": "later", "value": 2.0, "at_least": 2, "at_most": 2, "ok": True},
    ]


def test_a_figure_out_of_bounds_names_the_sentence(beside, tmp_path):
    path = beside("01", HALF | {"at_most": 0.4})
    before = path.read_bytes()
    done = course("run", path, "--device", "cpu", "--json")
    assert (done.status, json.loads(done.out)["expectations"][0]["ok"]) == (1, False)
    assert TOO_HIGH in done.errors
    own = course("run", path, "--device", "cpu", "--data", tmp_path, "--json")
    assert own.status == 0, "a folder of one's own is not judged"
    done = course("store", path)
    assert "was not stored" in done.errors and TOO_HIGH in done.errors
    assert path.read_bytes() == before


@pytest.mark.parametrize("says", MISFITS)
def test_a_figure_that_does_not_fit_its_chapter(beside, says):
    done = course("run", beside("01", HALF | MISFITS[says]), "--device", "cpu")
    assert (done.status, "Traceback" in done.errors) == (1, False) and says in done.errors


def test_nbval_judges_them_too(beside):
    wrong = MISFITS | {TOO_HIGH: {"at_most": 0.4}}
    paths = [beside(f"{n:02}", HALF | change) for n, change in enumerate(wrong.values(), start=2)]
    options = ["-p", "conftest", "-c", "pyproject.toml", "-q", beside("01", HALF, LATER), *paths]
    done = subprocess.run(
        [sys.executable, "-m", "pytest", *options],
        cwd=ROOT, env=os.environ | {"PYTHONPATH": str(ROOT)},
        capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert "4 failed, 6 passed" in done.stdout  # of two cells each, the first
    for says in wrong:
        assert says in done.stdout


def test_a_figure_without_bounds_is_a_mistake(beside):
    with pytest.raises(CourseError, match="at_least, at_most or both"):
        figures_beside(beside("01", {**HALF, "at_most": None}))


@pytest.mark.parametrize("path", chapters(), ids=lambda path: path.stem)
def test_our_chapters_still_say_what_rests_on_figures(path):
    figures_beside(path)
