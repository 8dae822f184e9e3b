"""Where no kernel runs, on a web page, the questions can still be read."""

from collections.abc import Callable

import nbformat
import pytest
from nbconvert import HTMLExporter
from playwright.sync_api import Page, expect

from utils.notebooks import tidy
from utils.quiz import load_bank, widget
from utils.widgets import base

NOTEBOOK = "01_pet_classifier"


@pytest.fixture
def stored_page(monkeypatch: pytest.MonkeyPatch) -> Callable[[], str]:
    """Makes a notebook with a quiz, as the course stores it, into a page, as nbconvert does."""

    def make() -> str:
        shown: list[dict] = []
        for module in (widget, base):
            monkeypatch.setattr(module, "display", lambda data, **_: shown.append(data))
        widget.quiz(NOTEBOOK)
        widget.guess("static", "How many?")
        cell = nbformat.v4.new_code_cell(f"quiz({NOTEBOOK!r})", execution_count=1, id="quiz")
        cell.outputs = [nbformat.v4.new_output("display_data", data=data) for data in shown]
        notebook = tidy(nbformat.v4.new_notebook(cells=[cell]))
        return HTMLExporter(template_name="basic").from_notebook_node(notebook)[0]

    return make


def test_questions_are_readable_and_answers_folded_away(
    page: Page, stored_page: Callable[[], str]
) -> None:
    questions = load_bank().for_notebook(NOTEBOOK)
    page.set_content(stored_page())
    expect(page.locator(".wg-static > ol > li")).to_have_count(len(questions))
    expect(page.get_by_text(questions[0].options[0].text, exact=True)).to_be_visible()
    answer = page.locator("details").nth(2).locator("p")
    expect(answer).to_be_hidden()
    page.locator("summary").nth(2).click()
    expect(answer).to_have_text(questions[2].answer)
    expect(page.get_by_text("Guess first: How many?")).to_be_visible()
    expect(page.locator("script")).to_have_count(0)


def test_stored_text_is_the_same_every_time(stored_page: Callable[[], str]) -> None:
    assert stored_page() == stored_page()
