"""Figures the text relies on: held beside a chapter, or checked on its page by `expect`."""

import json
import os
import subprocess
import sys

import nbformat
import pytest
import yaml
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from tests.typed import course
from utils.checks import ExpectationError, expect, figures_beside
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
    with pytest.raises(ValueError, match="at_least, at_most or both"):
        figures_beside(beside("01", {**HALF, "at_most": None}))


@pytest.mark.parametrize("path", chapters(), ids=lambda path: path.stem)
def test_our_chapters_still_say_what_rests_on_figures(path):
    figures_beside(path)


# -- on the page -----------------------------------------------------------------------------------


@pytest.fixture
def as_learner(monkeypatch):
    monkeypatch.delenv("COURSE_STRICT", raising=False)


def test_inside_the_bounds(capsys):
    expect("error_rate", 0.04, at_least=0, at_most=0.08)
    assert capsys.readouterr().out == "error_rate = 0.0400  as expected (between 0 and 0.08)\n"


@pytest.mark.parametrize(
    ("value", "bounds"),
    [(0.2, {"at_most": 0.1}), (0.2, {"at_least": 0.3}), (float("nan"), {"at_most": 1})],
)
def test_outside_fails_a_test(value, bounds):
    with pytest.raises(ExpectationError, match="error_rate"):
        expect("error_rate", value, **bounds)


def test_outside_is_a_sentence_to_a_learner(as_learner, capsys):
    expect("error_rate", 0.2, at_most=0.1)
    text = capsys.readouterr().out
    assert "is not what was expected (at most 0.1)" in text
    assert "restart the kernel" in text


def test_own_data_is_reported_and_not_judged(monkeypatch, tmp_path, capsys):
    monkeypatch.setenv("COURSE_DATA", str(tmp_path))
    expect("error_rate", 0.5, at_most=0.1)
    assert "on your own data" in capsys.readouterr().out


def test_the_report_has_a_line_for_every_figure(monkeypatch, tmp_path, as_learner):
    report = tmp_path / "report.jsonl"
    monkeypatch.setenv("COURSE_REPORT", str(report))
    expect("a", 1, at_least=0.5)
    expect("b", 1, at_most=0.5)
    rows = [json.loads(line) for line in report.read_text().splitlines()]
    assert rows == [
        {"name": "a", "value": 1.0, "at_least": 0.5, "at_most": None, "ok": True},
        {"name": "b", "value": 1.0, "at_least": None, "at_most": 0.5, "ok": False},
    ]
