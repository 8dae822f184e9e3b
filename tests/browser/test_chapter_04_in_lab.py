"""The four widgets of chapter 04 in a real JupyterLab: a picture, a file that is none, no file."""

import re
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import Page, expect

from tests.browser.conftest import Lab, go_to_cell, open_notebook, tab_to
from tests.small_model import small_model, some_pictures
from utils.paths import chapter

# Stands in for the first half of the chapter, which trains the model.
BEFORE = """
from fastai.vision.all import *
from utils.app.predictor import Predictor
bears = Predictor({folder!r})
"""


@pytest.fixture
def cells(lab: Lab) -> int:
    """How many cells the notebook in the lab has: the chapter's section "Four widgets"."""
    notebook = nbformat.read(chapter("04"), as_version=4)
    titles = [re.match(r"## (.+)", c.source) for c in notebook.cells]
    first = next(n for n, title in enumerate(titles) if title and title[1] == "Four widgets")
    last = next(n for n, c in enumerate(notebook.cells) if "show_widget(" in c.source)
    code = [c for c in notebook.cells[first : last + 1] if c.cell_type == "code"]
    notebook.cells = [nbformat.v4.new_code_cell(BEFORE.format(folder=str(small_model()))), *code]
    for cell in code:
        cell.outputs, cell.execution_count = [], None
    nbformat.write(notebook, lab.folder / "widgets.ipynb")
    return len(notebook.cells)


def test_four_widgets_answer(
    page: Page, lab: Lab, cells: int, tmp_path: Path, shot: Callable[[str], None]
) -> None:
    page.on("filechooser", lambda _: None)  # see test_chapter_01_in_lab
    open_notebook(page, lab, "widgets.ipynb")
    go_to_cell(page, 0)
    for _ in range(cells - 1):
        page.keyboard.press("Shift+Enter")
    page.keyboard.press("Control+Enter")  # the last, without a new cell below it
    app = page.locator(".jp-Notebook-cell").nth(cells - 1)
    choose = app.get_by_role("button", name=re.compile("Choose a picture"))
    choose.wait_for(timeout=90_000)

    def press() -> None:
        tab_to(page, app.get_by_role("button", name="What is it?"))
        page.keyboard.press("Enter")

    def send(file: Path, answer: str) -> None:
        tab_to(page, choose)
        with page.expect_file_chooser() as chooser:
            page.keyboard.press("Enter")
        chooser.value.set_files(file)
        for _ in range(10):  # the page does not say when a second file has replaced the first
            press()
            page.wait_for_timeout(1000)
            if re.search(answer, app.inner_text()):
                return
        pytest.fail(f"{file.name}: {app.inner_text()}")

    press()
    expect(app).to_contain_text("Choose a picture first.")
    send(some_pictures()[0], "with probability|Not sure, ask|This does not look like")
    expect(app.get_by_role("img")).to_be_visible()
    shot("chapter_04_widgets")

    text = tmp_path / "bear.jpg"
    text.write_text("I am no picture.\n")
    send(text, "This is a text file, not a picture")
    expect(app.get_by_role("img")).to_have_count(0)
    shot("chapter_04_widgets_refused")
