"""Chapter 01 as a learner meets it: run to its first trained model, then a picture uploaded."""

import re
from collections.abc import Callable
from pathlib import Path

import nbformat
import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import Lab, go_to_cell, open_notebook, tab_to
from utils.paths import DATA, chapter

TRAINING = 150_000  # ms; about half a minute on two idle cores


@pytest.fixture
def sources(lab: Lab) -> list[str]:
    """What the cells of the chapter hold; its copy in the lab has never been run."""
    notebook = nbformat.read(chapter("01"), as_version=4)
    for cell in notebook.cells:
        if cell.cell_type == "code":
            cell.outputs, cell.execution_count = [], None
    nbformat.write(notebook, lab.folder / "01_pet_classifier.ipynb")
    return [cell.source for cell in notebook.cells]


def find(sources: list[str], start_of_line: str) -> int:
    """The first cell with a line that starts so."""
    wanted = re.compile(f"^{re.escape(start_of_line)}", flags=re.MULTILINE)
    return next(n for n, source in enumerate(sources) if wanted.search(source))


def wait_until_run(cell: Locator, timeout: float) -> None:
    expect(cell.locator(".jp-InputPrompt")).to_have_text(re.compile(r"\[\d+\]"), timeout=timeout)


def upload(page: Page, cell: Locator, file: Path) -> None:
    """Choose a file through the button, which the keyboard reaches."""
    tab_to(page, cell.get_by_label("Choose pictures"))
    with page.expect_file_chooser() as chooser:
        page.keyboard.press("Enter")
    chooser.value.set_files(file)


def test_first_model_then_an_upload(
    page: Page, lab: Lab, sources: list[str], tmp_path: Path, shot: Callable[[str], None]
) -> None:
    # With a listener from the start the browser hands its file dialogs over; one that is only
    # there around a key press may come too late on a busy machine.
    page.on("filechooser", lambda _: None)
    open_notebook(page, lab, "01_pet_classifier.ipynb")
    cells = page.locator(".jp-Notebook-cell")
    train = find(sources, "learn.fine_tune(")
    go_to_cell(page, 0)
    for _ in range(train + 1):
        page.keyboard.press("Shift+Enter")
    wait_until_run(cells.nth(train), TRAINING)
    expect(cells.nth(train).locator("table").last).to_contain_text("error_rate")
    cells.nth(train).scroll_into_view_if_needed()
    shot("chapter_01_trained")

    ask = find(sources, "ch01.ask_for_picture(")
    go_to_cell(page, ask)
    page.keyboard.press("Control+Enter")
    wait_until_run(cells.nth(ask), 20_000)
    picture = min((DATA / "pets" / "images").glob("[A-Z]*.jpg"))
    upload(page, cells.nth(ask), picture)
    answer = cells.nth(ask).locator(".dz-item").first  # the latest stands above
    expect(answer).to_contain_text(re.compile(r"a (cat|dog) \(probability [01]\.\d\d\)"))
    expect(answer).to_contain_text(picture.name)
    expect(answer.get_by_role("img")).to_have_attribute("alt", f"Your picture {picture.name}")
    shot("chapter_01_upload")

    text = tmp_path / "cat.jpg"
    text.write_text("I am no picture.\n")
    upload(page, cells.nth(ask), text)
    expect(answer).to_contain_text("This is a text file, not a picture")
    expect(cells.nth(ask).locator(".dz-item")).to_have_count(2)
