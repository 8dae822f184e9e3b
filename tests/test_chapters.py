"""Every stored notebook is fit to be read: one clean run, nothing of a machine, links that lead."""

import ast
import json
import re
from pathlib import Path
from statistics import median
from urllib.parse import unquote

import nbformat
import pytest
from bs4 import BeautifulSoup

from utils import paths
from utils.notebooks import MARKDOWN, code_cells, headings
from utils.paths import NOTEBOOKS, ROOT, chapters
from utils.quiz import load_bank
from utils.timings import STORED, say_seconds

PATH_OF_A_MACHINE = re.compile(r"/(?:home|root|Users|tmp|work)/[\w./-]+")
CLOSING = ("Recap", "Words", "Questionnaire", "Where next")
MEGABYTE = 1e6


def read(path: Path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=4)


def tags(cell: nbformat.NotebookNode) -> list[str]:
    return cell.metadata.get("tags", [])


def words(path: Path) -> str:
    """All Markdown of a notebook."""
    return "\n\n".join(c.source for c in read(path).cells if c.cell_type == "markdown")


def anchors(path: Path) -> set[str]:
    """What can follow `#` in a link to this notebook, as JupyterLab names its headings."""
    return {h.lstrip("# ").replace(" ", "-").replace("`", "") for h in headings(words(path))}


def output_text(cell: nbformat.NotebookNode) -> str:
    parts = [json.dumps({k: v for k, v in o.get("data", {}).items() if not k.startswith("image/")})
             + o.get("text", "") for o in cell.outputs]  # fmt: skip
    return "\n".join(parts)


every_chapter = pytest.mark.parametrize("path", chapters(), ids=lambda p: p.stem)


def test_there_are_chapters_and_a_learners_copies_are_none(tmp_path, monkeypatch):
    assert [p.stem for p in chapters()][:2] == ["00_start_here", "01_pet_classifier"]
    monkeypatch.setattr(paths, "NOTEBOOKS", tmp_path)
    for name in ("01_pets", "01_pets.yours-1", "01_pets-Copy1", "01_pets (1)"):
        (tmp_path / f"{name}.ipynb").touch()
    assert chapters() == [tmp_path / "01_pets.ipynb"]


@every_chapter
def test_stored_from_one_clean_run(path):
    counts = [cell.execution_count for cell in code_cells(read(path))]
    assert counts == list(range(1, len(counts) + 1)), "type `course store` to run and store it"


@every_chapter
def test_holds_no_error_and_no_warning(path):
    for cell in code_cells(read(path)):
        kinds = {(o.output_type, o.get("name")) for o in cell.outputs}
        assert ("stream", "stderr") not in kinds, cell.source
        assert "raises-exception" in tags(cell) or ("error", None) not in kinds, cell.source


@every_chapter
def test_holds_nothing_of_a_machine(path):
    notebook = read(path)
    assert "widgets" not in notebook.metadata
    for cell in code_cells(notebook):
        assert not PATH_OF_A_MACHINE.search(output_text(cell)), cell.source
        assert not any("jupyter.widget" in kind for o in cell.outputs for kind in o.get("data", {}))


@every_chapter
def test_size_and_shape(path):
    cells = code_cells(read(path))
    rows = [[r for r in c.source.splitlines() if r.strip() and r[:2] != "%%"] for c in cells]
    lines = list(map(len, rows))
    assert path.stat().st_size < 1.5 * MEGABYTE
    assert max(lines) <= 15
    assert median(lines) <= 3


@every_chapter
def test_most_outputs_are_compared(path):
    """The regression test has teeth: at most a third of the cells may print what varies."""
    cells = code_cells(read(path))
    ignored = [c for c in cells if "nbval-ignore-output" in tags(c)]
    assert len(ignored) <= len(cells) / 3


@every_chapter
def test_opens_and_closes_as_chapters_do(path):
    text = "\n".join(c.source for c in read(path).cells)
    headings = re.findall(r"^## (.+)$", text, flags=re.M)
    assert tuple(headings[-4:]) == CLOSING
    assert f'banner("{path.stem}")' in text
    (asked,) = re.findall(r'^quiz\("(\w+)"\)$', text, flags=re.M)
    bank = load_bank()
    questions = bank.for_topic(asked) or bank.for_notebook(asked)
    assert {q.id for q in bank.for_notebook(path.stem)} <= {q.id for q in questions}


@every_chapter
def test_links_lead_somewhere_and_have_words(path):
    page = BeautifulSoup(MARKDOWN.render(words(path)), "html.parser")
    for link in page.find_all(["a", "img"]):
        pictures = [link, *link.find_all("img")]
        assert link.text.strip() or any(picture.get("alt") for picture in pictures), link
        target = link["src"] if link.name == "img" else link["href"]
        file, _, anchor = target.partition("#")
        if "://" not in target and not target.startswith("attachment:"):
            linked = NOTEBOOKS / file if file else path
            assert linked.exists(), target
            assert not anchor or unquote(anchor) in anchors(linked), target


OTHERS = [*NOTEBOOKS.glob("apps/*.ipynb"), *ROOT.glob("utils/**/*.ipynb")]


@pytest.mark.parametrize("path", [*chapters(), *sorted(OTHERS)], ids=lambda p: p.stem)
def test_utils_is_imported_before_what_computes(path):
    first = next(cell.source for cell in code_cells(read(path)) if "import " in cell.source)
    imports = [n for n in ast.parse(first).body if isinstance(n, ast.Import | ast.ImportFrom)]
    names = (getattr(line, "module", None) or line.names[0].name for line in imports)
    assert next(name for name in names if name != "PIL").split(".")[0] == "utils"


def test_every_chapter_has_been_timed():
    times = json.loads(STORED.read_text(encoding="utf-8"))
    assert set(times) == {p.stem for p in chapters()}


def test_seconds_are_said_as_people_do():
    assert say_seconds(100) == "about 1 min 40 s"
    assert say_seconds(9.6) == "about 10 s"
    assert say_seconds(None) == "not measured yet"
