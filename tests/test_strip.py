"""Stripped notebooks: no words, no outputs, a box before each cell, links kept."""

import re
from pathlib import Path

import nbformat
import pytest
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook, new_output

from utils.notebooks import strip_all, strip_file, strip_notebook

NOTEBOOKS = Path(__file__).parents[1] / "notebooks"

KERNEL = {"name": "python3", "display_name": "Python 3"}
WIDGETS = {"application/vnd.jupyter.widget-state+json": {"state": {}, "version_major": 2}}
PROSE = """# 1. Cats

By the end you will see. Read [the paper](https://example.org/paper) and
[chapter 0](00_start_here.ipynb#Keys).

## Train

Secret words. ![a cat](images/cat.png) See <https://example.org/a>, https://example.org/b.
[Again](https://example.org/paper), [below](#note), ![pasted](attachment:x.png).

```python
# not a heading [nor](https://example.org/link)
```
`[code](https://example.org/code)` and [![badge](images/badge.svg)](https://example.org/badge)
"""


def chapter():
    picture = new_output("display_data", {"image/png": "AAAA", "text/plain": "<Figure>"})
    cells = [
        new_markdown_cell(PROSE, id="prose"),
        new_code_cell("from utils.quiz.widget import guess\nguess('x', 'y')", id="imports"),
        new_code_cell("print(42)", id="prints", outputs=[new_output("stream", text="42\n")]),
        new_code_cell("plot()", id="plots", outputs=[picture], execution_count=3),
        new_code_cell('guess("own", "What now?")', id="own"),
        new_code_cell("surprise()", id="surprise", metadata={"tags": ["slow"], "scrolled": True}),
        new_code_cell('reveal("own", "this")', id="reveal"),
        new_markdown_cell('More words, <a id="note"></a> <a id="unused"></a> anchored.', id="more"),
        new_code_cell("%time f()", id="magic"),
        new_code_cell("  ", id="empty"),
        new_markdown_cell("### Last [one](images/a.png)\nwords\n#### Deeper\nwords", id="last"),
    ]
    return new_notebook(cells=cells, metadata={"widgets": WIDGETS, "kernelspec": KERNEL})


@pytest.fixture
def stripped():
    notebook = strip_notebook(chapter(), "01_cats")
    nbformat.validate(notebook)
    return notebook


def sources(notebook, kind):
    return [cell.source for cell in notebook.cells if cell.cell_type == kind]


def test_keeps_headings_and_links_but_no_words(stripped):
    title, introduction, train, last, deeper = sources(stripped, "markdown")
    assert title == (
        "# 1. Cats\n\nLinks:\n\n- [the paper](https://example.org/paper)\n"
        "- [chapter 0](../00_start_here.ipynb#Keys)"
    )
    assert "[The whole chapter](../01_cats.ipynb)" in introduction
    assert train.splitlines() == [
        '<a id="note"></a>',
        "",
        "## Train",
        "",
        "Links:",
        "",
        "- [a cat](../images/cat.png)",
        "- [Again](https://example.org/paper)",
        "- [below](#note)",
        "- [badge](https://example.org/badge)",
        "- [https://example.org/a](https://example.org/a)",
        "- [https://example.org/b](https://example.org/b)",
    ]
    assert (last, deeper) == ("### Last [one](../images/a.png)", "#### Deeper")


def test_a_guess_box_before_each_code_cell(stripped):
    assert sources(stripped, "code") == [
        "from utils.quiz.widget import guess",
        "from utils.quiz.widget import guess\nguess('x', 'y')",
        'guess("01_cats/prints", "What will this print?")',
        "print(42)",
        'guess("01_cats/plots", "What will this show?")',
        "plot()",
        'guess("own", "What now?")',
        "surprise()",
        'reveal("own", "this")',
        'guess("01_cats/magic", "What will this do?")',
        "%time f()",
    ]


def test_outputs_and_states_are_gone(stripped):
    for cell in stripped.cells:
        if cell.cell_type == "code":
            assert cell.outputs == [] and cell.execution_count is None
    assert "widgets" not in stripped.metadata and stripped.metadata.kernelspec == KERNEL
    assert [dict(cell.metadata) for cell in stripped.cells if cell.id == "surprise"] == [
        {"tags": ["slow"]}
    ]
    assert stripped.nbformat_minor == 5 and len({cell.id for cell in stripped.cells}) == len(
        stripped.cells
    )


def test_original_is_not_changed():
    notebook = chapter()
    before = nbformat.writes(notebook)
    strip_notebook(notebook, "01_cats")
    assert nbformat.writes(notebook) == before


def test_same_every_time():
    once, again = (nbformat.writes(strip_notebook(chapter(), "01_cats")) for _ in range(2))
    assert once == again


def test_old_notebooks_without_ids_and_odd_ids():
    notebook = chapter()
    notebook.nbformat_minor = 4
    for cell in notebook.cells:
        del cell["id"]
    nbformat.validate(strip_notebook(notebook, "01_cats"))
    cells = [new_code_cell("1", id="a" * 64), new_code_cell("2", id="b"), new_code_cell("3")]
    cells[2].id = "guess-b"
    nbformat.validate(strip_notebook(new_notebook(cells=cells), "01_cats"))
    nbformat.validate(strip_notebook(new_notebook(), "01_cats"))


def write(notebook, path):
    path.parent.mkdir(parents=True, exist_ok=True)
    nbformat.write(notebook, path)
    return path


def test_links_lead_back_from_where_it_is_written(tmp_path):
    source = write(chapter(), tmp_path / "notebooks" / "01_cats.ipynb")
    copy = strip_file(source, tmp_path / "notebooks" / "stripped")
    assert copy == tmp_path / "notebooks" / "stripped" / "01_cats.ipynb"
    text = nbformat.read(copy, 4).cells[1].source
    assert (copy.parent / re.search(r"\((\S+ipynb)\)", text)[1]).resolve() == source.resolve()


def test_a_copy_the_learner_wrote_in_is_kept(tmp_path):
    source = write(chapter(), tmp_path / "01_cats.ipynb")
    copy = strip_file(source, tmp_path / "out")
    for note in ("my note", "my other note"):
        edited = nbformat.read(copy, 4)
        edited.cells.append(new_markdown_cell(note))
        nbformat.write(edited, copy)
        strip_file(source, tmp_path / "out")
        strip_file(source, tmp_path / "out")  # unchanged since: replaced, not kept
    names = ["01_cats.ipynb", "01_cats.yours-2.ipynb", "01_cats.yours.ipynb"]
    assert sorted(path.name for path in (tmp_path / "out").iterdir()) == names
    assert "my note" in (tmp_path / "out" / names[2]).read_text()
    assert "my other note" in (tmp_path / "out" / names[1]).read_text()
    (tmp_path / "out" / "01_cats.ipynb").write_text("no notebook")
    strip_file(source, tmp_path / "out")
    assert (tmp_path / "out" / "01_cats.yours-3.ipynb").read_text() == "no notebook"


def test_all_chapters_and_nothing_else(tmp_path):
    for name in ("02_dogs", "01_cats", "notes"):
        write(chapter(), tmp_path / f"{name}.ipynb")
    written = strip_all(tmp_path, tmp_path / "stripped")
    assert [path.name for path in written] == ["01_cats.ipynb", "02_dogs.ipynb"]


@pytest.mark.parametrize("path", sorted(NOTEBOOKS.glob("[0-9]*.ipynb")), ids=lambda path: path.stem)
def test_our_chapters(path, tmp_path):
    whole = nbformat.read(path, 4)
    copy = nbformat.read(strip_file(path, tmp_path), 4)
    code = [cell.source for cell in whole.cells if cell.cell_type == "code"]
    assert [cell.source for cell in copy.cells if cell.source in code] == code
    words = "\n".join(sources(copy, "markdown"))
    lines = [
        line for line in words.splitlines() if line and not line.startswith(("#", "- [", "<a"))
    ]
    (note,) = (line for line in lines if line.startswith("*A copy without the words."))
    assert set(lines) <= {"Links:", note}, "there are words left"
