"""Chapter 04 in a real JupyterLab: the four widgets, then the page that is made of their cells."""

import re
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import Lab, go_to_cell, open_notebook, tab_to
from tests.small_model import small_learner, some_pictures
from utils.paths import ROOT, chapter

APP = (
    *("load", "probabilities", "from-ipywidgets-import-button-fileuploa-68"),
    *("def-classify-output-clear-output-71", "from-utils-upload-import-show-widget-bu-73"),
    *("app-notebook", "serve"),
)
ANSWER = "with probability|Not sure, ask"
DRAWN = "[...document.images].some(image => image.naturalWidth === 160)"
# Stands in for what comes before, which trains the model. The app's kernel must find its labels'
# function, too.
BEFORE = f"""
import os
os.environ["PYTHONPATH"] = {str(ROOT)!r}
import sys
sys.path.insert(0, {str(ROOT)!r})
from utils.lessons import ch04
"""


@pytest.fixture
def cells(lab: Lab) -> list[str]:
    """The ids of the cells in the lab: the chapter's, from loading the model to serving it."""
    learn = small_learner()
    learn.path = lab.folder
    learn.export("bears.pkl")
    notebook = nbformat.read(chapter("04"), as_version=4)
    code = [cell for cell in notebook.cells if cell.id in APP]
    notebook.cells = [nbformat.v4.new_code_cell(BEFORE, id="before"), *code]
    for cell in notebook.cells:
        cell.outputs, cell.execution_count = [], None
    nbformat.write(notebook, lab.folder / "widgets.ipynb")
    return [cell.id for cell in notebook.cells]


def send(app: Locator, page: Page, file: Path, answer: str) -> None:
    """Choose a file with the keyboard and press the button until the answer is there."""
    tab_to(page, app.get_by_role("button", name=re.compile("Choose a picture")))
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Enter")
    chooser.value.set_files(file)
    for _ in range(20):  # the page does not say when a second file has replaced the first
        press(app, page)
        page.wait_for_timeout(1000)
        if re.search(answer, app.inner_text()):
            return
    pytest.fail(f"{file.name}: {app.inner_text()}")


def press(app: Locator, page: Page) -> None:
    tab_to(page, app.get_by_role("button", name="What is it?"))
    page.keyboard.press("Enter")


def test_four_widgets_answer_and_so_does_the_page_made_of_them(
    page: Page, lab: Lab, cells: list[str], tmp_path: Path, shot: Callable[[str], None]
) -> None:
    page.on("filechooser", lambda _: None)  # see test_chapter_01_in_lab
    open_notebook(page, lab, "widgets.ipynb")
    go_to_cell(page, 0)
    for _ in cells[1:]:
        page.keyboard.press("Shift+Enter")
    page.keyboard.press("Control+Enter")  # the last, without a new cell below it
    app = page.locator(".jp-Notebook-cell").nth(
        cells.index("from-utils-upload-import-show-widget-bu-73")
    )
    app.get_by_role("button", name="What is it?").wait_for(timeout=90_000)
    press(app, page)
    expect(app).to_contain_text("Choose a picture first.")
    send(app, page, some_pictures()[0], ANSWER)
    expect(app.get_by_role("img")).to_be_visible()
    page.wait_for_function(DRAWN)
    shot("chapter_04_widgets")

    text = tmp_path / "bear.jpg"
    text.write_text("I am no picture.\n")
    send(app, page, text, "This is a text file, not a picture")
    expect(app.get_by_role("img")).to_have_count(0)
    shot("chapter_04_widgets_refused")

    link = page.get_by_role("link", name="Open the app")
    link.wait_for(timeout=90_000)
    page.goto(link.get_attribute("href"))
    body = page.locator("body")
    page.get_by_role("button", name="What is it?").wait_for(timeout=120_000)
    send(body, page, some_pictures()[0], ANSWER)
    expect(body).not_to_contain_text("insecure pickle")
    page.wait_for_function(DRAWN)
    shot("chapter_04_served")
