"""The page standard, as far as it can be counted: what a chapter's page may cost its reader."""

import ast
import json
import re
import statistics

import pytest

from tests import screenshots
from utils.lessons.ch00 import with_minutes
from utils.notebooks import PICTURES
from utils.paths import ROOT, chapter, chapters

CELLS, WORDS_A_LINE, PLUMBING, GUESSES, CHECKS, MEDIAN, P90 = 70, 14, 0.3, 8, 5, 3, 7
OTHERWISE = {"06": {"cells": 110, "words": 11}, "09": {"words": 11}, "10": {"words": 11}}
HARDLY_CODE = {"00"}  # whose words and plumbing are not counted
CALLS = {"print", "display", "expect", "guess", "banner", "quiz", "show"}
DRAWS = re.compile(r"(plt|sns|ax\w*|fig\w*)$")


def cells(notebook, kind):
    return [cell for cell in notebook["cells"] if cell["cell_type"] == kind]


def source(cell):
    return "".join(cell["source"])


def code_lines(text):
    return [line for line in text.splitlines() if line.strip() and not line.strip().startswith("#")]


def tree(text):
    """The syntax of a cell, without its magics and questions; an empty one if it has none."""
    kept = (
        "pass" if line.lstrip().startswith(("%", "!")) else line.rstrip("? ")
        for line in text.split("\n")
    )
    try:
        return ast.parse("\n".join(kept))
    except SyntaxError:
        return ast.parse("")


def statements(body):
    """Those that hold no other."""
    for node in body:
        held = [s for name in ("body", "orelse", "finalbody") for s in getattr(node, name, [])]
        yield from statements(held) if held else [node]


def is_plumbing(node):
    """An import, a print, a guess, a check, or a call that draws."""
    if isinstance(node, ast.Expr | ast.Assign) and isinstance(node.value, ast.Call):
        root, names = node.value.func, CALLS
        while isinstance(root, ast.Attribute | ast.Call | ast.Subscript):
            root, names = root.func if isinstance(root, ast.Call) else root.value, set()
        return isinstance(root, ast.Name) and bool(root.id in names or DRAWS.match(root.id))
    return isinstance(node, ast.Import | ast.ImportFrom)


def plumbing(texts):
    """The share of the lines."""
    lines = {True: 0, False: 0}
    for node in (n for text in texts for n in statements(tree(text).body)):
        lines[is_plumbing(node)] += node.end_lineno - node.lineno + 1
    return lines[True] / max(1, sum(lines.values()))


def calls(texts, *names):
    nodes = [node for text in texts for node in ast.walk(tree(text)) if isinstance(node, ast.Call)]
    return sum(isinstance(node.func, ast.Name) and node.func.id in names for node in nodes)


def words(markdown):
    """How many are read in order: none of a table, none behind a fold."""
    shown = re.sub(r"<details.*?</details>", " ", markdown, flags=re.DOTALL).splitlines()
    return sum(len(line.split()) for line in shown if not line.lstrip().startswith("|"))


def over_budget(number, notebook):
    """What is more (or less) than the standard allows, a line each."""
    texts = [source(cell) for cell in cells(notebook, "code")]
    sizes = sorted(len(code_lines(text)) for text in texts)
    allowed = {"cells": CELLS, "words": WORDS_A_LINE} | OTHERWISE.get(number, {})
    outputs = [output for cell in cells(notebook, "code") for output in cell["outputs"]]
    figures = [(o, kind) for o in outputs for kind in PICTURES if kind in o.get("data", {})]
    undescribed = sum(not o["metadata"].get(kind, {}).get("alt") for o, kind in figures)
    prose = sum(words(source(cell)) for cell in cells(notebook, "markdown")) / sum(sizes)
    counted = {
        f"{len(texts)} code cells": len(texts) <= allowed["cells"],
        f"{prose:.1f} words of prose a line": number in HARDLY_CODE or prose >= allowed["words"],
        f"{plumbing(texts):.0%} plumbing": number in HARDLY_CODE or plumbing(texts) <= PLUMBING,
        f"cells of {statistics.median(sizes)} lines at the median": (
            statistics.median(sizes) <= MEDIAN
        ),
        f"{sizes[int(0.9 * (len(sizes) - 1))]} lines at the 90th percentile": (
            sizes[int(0.9 * (len(sizes) - 1))] <= P90
        ),
        f"{calls(texts, 'guess')} guesses": calls(texts, "guess") <= GUESSES,
        f"{calls(texts, 'expect')} checks": calls(texts, "expect") <= CHECKS,
        f"{undescribed} pictures without alternative text": not undescribed,
    }
    return [what for what, within in counted.items() if not within]


@pytest.mark.parametrize("path", chapters(), ids=lambda path: path.stem[:2])
def test_page_is_within_its_budget(path):
    assert not over_budget(path.stem[:2], json.loads(path.read_text(encoding="utf-8")))


def test_each_budget_can_be_missed():
    cell = {"cell_type": "code", "source": "guess()\n" * 8, "outputs": []}
    picture = cell | {"outputs": [{"data": {"image/png": ""}, "metadata": {}}]}
    page = {"cells": [*[cell] * 69, picture, cell | {"source": "expect(1)\n" * 6}]}
    assert over_budget("01", page) == [
        "71 code cells", "0.0 words of prose a line", "100% plumbing",
        "cells of 8 lines at the median", "8 lines at the 90th percentile", "560 guesses",
        "6 checks", "1 pictures without alternative text",
    ]  # fmt: skip


def test_the_contents_are_those_of_the_course():
    cells = json.loads(chapter("00").read_text(encoding="utf-8"))["cells"]
    stored = next(source(cell) for cell in cells if cell["id"] == "contents")
    assert re.findall(r"\((\w+)\.ipynb\) \| \w", stored) == [path.stem for path in chapters()]
    assert stored == with_minutes(stored), "type: course store 00"
    assert with_minutes(re.sub(r"\d+\.\d \|", "99.9 |", stored)) == stored


@pytest.mark.parametrize("name", ["chapter_01", "questionnaire", "pets"])
def test_a_picture_of_the_readme_shows_the_page_as_it_is(name):
    file = screenshots.FOLDER / f"{name}.png"
    assert f"data/screenshots/{name}.png" in (ROOT / "README.md").read_text(encoding="utf-8")
    said = f"{name}.png shows a page that has changed since: type `make screenshots`"
    assert screenshots.taken_of(file) == screenshots.stamps()[name], said
