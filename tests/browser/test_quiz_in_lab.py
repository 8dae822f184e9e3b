"""The quiz in a real JupyterLab, by keyboard alone: answers stay, and what is typed is text."""

import re
from collections.abc import Callable

import nbformat
import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import Lab, go_to_cell, open_notebook, tab_to, wait_for_kernel
from utils.quiz import load_bank

NOTEBOOK = "quiz.ipynb"
HOSTILE = r"<script>alert(1)</script> <img src=x onerror=alert(2)> $\LaTeX$ \(x^2\)"
MATHS = "mjx-container, .MathJax"
METADATA = {"kernelspec": {"name": "python3", "display_name": "Python 3"}}
CELLS = (
    'from utils.quiz.widget import guess, guesses, quiz\nquiz("00_start_here")',
    'quiz("01_pet_classifier")',
    'guess("browser", "How many of the four cases?")',
    'guesses({"browser": ("How many?", "three")})',
)
START, PETS, GUESS = range(3)  # which card on the page


@pytest.fixture
def dialogs(page: Page) -> list[str]:
    """The kinds of the dialogs that the page opened; "alert" would be a script that ran."""
    kinds: list[str] = []

    def accept(dialog: object) -> None:
        kinds.append(dialog.type)
        dialog.accept()

    page.on("dialog", accept)
    return kinds


def write_notebook(lab: Lab) -> None:
    notebook = nbformat.v4.new_notebook(metadata=METADATA)
    # The formula shows that mathematics is typeset on this page, so that its absence means much.
    notebook.cells = [nbformat.v4.new_markdown_cell("$x^2$")]
    notebook.cells += [nbformat.v4.new_code_cell(source) for source in CELLS]
    nbformat.write(notebook, lab.folder / NOTEBOOK)


def run_cells(page: Page) -> None:
    """Run every cell from the top, staying on the last."""
    go_to_cell(page, 0)
    for _ in CELLS:
        page.keyboard.press("Shift+Enter")
    page.keyboard.press("Control+Enter")
    expect(page.locator(".jp-OutputArea-output", has_text="what came out")).to_be_visible()


def card(page: Page, number: int) -> Locator:
    return page.locator(".wg-card").nth(number)


def go_to(page: Page, quiz: Locator, question_id: str) -> None:
    """Choose a question in the list, with the arrow keys."""
    choice = quiz.get_by_label("Go to question")
    tab_to(page, choice)
    ids = choice.locator("option").evaluate_all("options => options.map(o => o.value)")
    steps = ids.index(question_id) - ids.index(choice.input_value())
    for _ in range(abs(steps)):
        page.keyboard.press("ArrowDown" if steps > 0 else "ArrowUp")
    expect(quiz.locator(".wg-number")).to_contain_text(f"Question {ids.index(question_id) + 1} ")


def answer(page: Page, quiz: Locator, question_id: str, text: str, check: str) -> None:
    go_to(page, quiz, question_id)
    tab_to(page, quiz.locator("textarea, input[type=text]").first)
    page.keyboard.insert_text(text)
    page.keyboard.press(check)


def says(quiz: Locator, outcome: str) -> None:
    expect(quiz.get_by_role("status")).to_contain_text(outcome)


def restart_kernel(page: Page) -> None:
    """Press 0 twice in command mode, and confirm."""
    go_to_cell(page, 0)
    page.keyboard.press("0")
    page.keyboard.press("0")
    page.get_by_role("dialog").get_by_role("button", name="Confirm Kernel Restart").wait_for()
    page.keyboard.press("Enter")


def answer_five_kinds(page: Page) -> None:
    """Number, task, choice, short, draw; each comes out right."""
    bank, start, pets = load_bank(), card(page, START), card(page, PETS)
    answer(page, start, "intro-07", "2", "Enter")
    says(start, "✓ Right")
    expect(start.locator("option").first).to_contain_text("1. (✓ Right) ")
    go_to(page, start, "intro-08")
    tab_to(page, start.get_by_label("I have done this"))
    page.keyboard.press("Space")
    tab_to(page, start.get_by_role("button", name="Check"))
    page.keyboard.press("Enter")
    says(start, "✓ Right")
    go_to(page, pets, "intro-01")
    for option in (option for option in bank["intro-01"].options if option.right):
        tab_to(page, pets.get_by_label(option.text))
        page.keyboard.press("Space")
    page.keyboard.press("Control+Enter")
    says(pets, "✓ Right")
    answer(page, pets, "intro-13", bank["intro-13"].answer, "Shift+Enter")
    says(pets, "✓ Right")
    answer(page, pets, "intro-24", bank["intro-24"].answer, "Control+Enter")
    says(pets, "✓ Right")


def find_five_answers(page: Page) -> None:
    bank, start, pets = load_bank(), card(page, START), card(page, PETS)
    expect(start.locator(".wg-status")).to_have_text("2 of 3 answered · 2 right")
    expect(pets.locator(".wg-status")).to_contain_text("3 of ")
    go_to(page, start, "intro-07")
    expect(start.get_by_role("textbox")).to_have_value("2")
    go_to(page, start, "intro-08")
    expect(start.get_by_label("I have done this")).to_be_checked()
    go_to(page, pets, "intro-01")
    for option in bank["intro-01"].options:
        expect(pets.get_by_label(option.text)).to_be_checked(checked=option.right)
    go_to(page, pets, "intro-13")
    expect(pets.get_by_role("textbox")).to_have_value(bank["intro-13"].answer)
    expect(pets.locator(".wg-result img")).to_have_attribute("alt", re.compile("arrow"))
    go_to(page, pets, "intro-24")
    expect(pets.get_by_role("textbox")).to_have_value(bank["intro-24"].answer)
    expect(pets.locator(".wg-typed mark").first).to_be_visible()
    says(pets, "✓ Right")


def prompts(page: Page) -> list[str]:
    """The numbers of the cells, which go up when a cell is run again."""
    return page.locator(".jp-Notebook .jp-InputPrompt").all_inner_texts()


def test_five_kinds_by_keyboard_survive_reload_and_restart(
    page: Page, lab: Lab, shot: Callable[[str], None]
) -> None:
    write_notebook(lab)
    open_notebook(page, lab, NOTEBOOK)
    run_cells(page)
    before = prompts(page)
    answer_five_kinds(page)
    assert prompts(page) == before, "a key typed into the quiz ran a cell"
    shot("quiz_light")
    go_to(page, card(page, PETS), "intro-06")
    tab_to(page, card(page, PETS).get_by_role("textbox"))
    page.keyboard.insert_text("A card that was made for")

    page.keyboard.press("Control+s")
    for _ in range(100):  # until it is on the disk
        if "widget-view" in (lab.folder / NOTEBOOK).read_text("utf-8"):
            break
        page.wait_for_timeout(100)
    lab.theme("JupyterLab Dark")
    page.reload()
    wait_for_kernel(page)
    find_five_answers(page)
    shot("quiz_dark")

    restart_kernel(page)
    expect(card(page, PETS).get_by_role("alert")).to_contain_text("Run this cell again")
    wait_for_kernel(page)
    run_cells(page)
    find_five_answers(page)
    go_to(page, card(page, PETS), "intro-06")
    expect(card(page, PETS).get_by_role("textbox")).to_have_value("A card that was made for")


def test_what_is_typed_stays_text_in_a_narrow_window_too(
    page: Page, lab: Lab, dialogs: list[str], shot: Callable[[str], None]
) -> None:
    write_notebook(lab)
    page.set_viewport_size({"width": 400, "height": 800})
    open_notebook(page, lab, NOTEBOOK)
    page.keyboard.press("Control+b")  # the side bar would take most of it
    run_cells(page)
    expect(page.locator(MATHS)).to_have_count(1)
    pets = card(page, PETS)
    answer(page, pets, "intro-24", HOSTILE, "Control+Enter")
    says(pets, "? Can't match")
    expect(pets.locator(".wg-typed")).to_have_text(HOSTILE)
    pets.scroll_into_view_if_needed()
    shot("quiz_narrow")
    inside = pets.evaluate("card => card.scrollWidth <= card.clientWidth")
    right = pets.evaluate("card => card.getBoundingClientRect().right")
    assert inside and right <= 400

    tab_to(page, card(page, GUESS).get_by_role("textbox"))
    page.keyboard.insert_text(HOSTILE)
    page.keyboard.press("Enter")
    says(card(page, GUESS), "kept")
    run_cells(page)
    expect(card(page, GUESS).get_by_role("textbox")).to_have_value(HOSTILE)
    expect(page.locator(".jp-OutputArea-output", has_text="what came out")).to_contain_text(HOSTILE)
    expect(page.locator(MATHS)).to_have_count(1)
    expect(page.locator(".jp-Notebook .wg-typed :is(script, img)")).to_have_count(0)
    assert "alert" not in dialogs


def test_an_answer_that_cannot_be_kept_stays_in_the_box_and_a_link_leads_to_its_section(
    page: Page, lab: Lab
) -> None:
    write_notebook(lab)
    section = load_bank()["intro-07"].section
    taught = nbformat.v4.new_notebook(metadata=METADATA)
    texts = ["line\n\n" * 60, f"## {section}", "line\n\n" * 60]
    taught.cells = [nbformat.v4.new_markdown_cell(text) for text in texts]
    nbformat.write(taught, lab.folder / "00_start_here.ipynb")
    open_notebook(page, lab, NOTEBOOK)
    run_cells(page)
    start = card(page, START)
    away = lab.home.rename(lab.home.with_name("away"))
    lab.home.write_text("a file where the folder of answers was")
    answer(page, start, "intro-07", "3", "Enter")
    expect(start.get_by_role("alert")).to_contain_text("This was not saved")
    expect(start.get_by_role("textbox")).to_have_value("3")
    expect(start.locator(".wg-status")).to_have_text("0 of 3 answered · 0 right")
    lab.home.unlink()
    away.rename(lab.home)
    page.keyboard.press("Enter")
    says(start, "✗ Not yet")
    for own in ("I was right", "I had part of it"):
        expect(start.get_by_role("button", name=own)).to_be_visible()
    expect(start.get_by_role("alert")).to_be_empty()
    expect(start.locator(".wg-status")).to_have_text("1 of 3 answered · 0 right")

    tab_to(page, start.get_by_role("link", name=section))
    page.keyboard.press("Enter")
    tab = page.get_by_role("tab", name="00_start_here.ipynb")
    expect(tab).to_have_attribute("aria-selected", "true")
    expect(page.get_by_role("heading", name=section)).to_be_in_viewport()
