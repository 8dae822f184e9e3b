"""Chapter 06 by keyboard alone: the slider of learning rates, and a broken loop repaired."""

import re
from collections.abc import Callable

import nbformat
import pytest
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import Lab, go_to_cell, open_notebook, tab_to
from utils.paths import chapter
from utils.quiz import load_bank

NOTEBOOK = "mnist.ipynb"
WANTED = (  # what the slider and the first lab need; each is the start of a line of its cell
    "from utils.data",
    "from fastai.vision.all",
    "times, heights = ",
    "def height",
    "torch.manual_seed(2)",
    "predictions = ",
    "loss.backward()",
    "def step_down",
    "def descend",
    "def show_path",
    'axes = pd.Series(ch06.lab_losses("a")',
    'your_turn("lab-01")',
    "def train_a",
)
BROKEN = "        losses.append(loss.item())"
REPAIRED = "        v.grad.zero_()\n        d.grad.zero_()\n" + BROKEN


@pytest.fixture
def sources(lab: Lab) -> list[str]:
    """The cells of the chapter that are wanted here, in a notebook of the lab."""
    chapter_cells = [c for c in nbformat.read(chapter("06"), 4).cells if c.cell_type == "code"]
    notebook = nbformat.v4.new_notebook()
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    for start in WANTED:
        begins = re.compile(f"^{re.escape(start)}", flags=re.MULTILINE)
        source = next(c.source for c in chapter_cells if begins.search(c.source))
        notebook.cells.append(nbformat.v4.new_code_cell(source))
    nbformat.write(notebook, lab.folder / NOTEBOOK)
    return [cell.source for cell in notebook.cells]


def cell(page: Page, start: str) -> Locator:
    return page.locator(".jp-Notebook-cell").nth(WANTED.index(start))


def write(page: Page, start: str, source: str) -> None:
    """Put `source` in place of what the cell holds, and run it."""
    go_to_cell(page, WANTED.index(start))
    page.keyboard.press("Enter")
    page.keyboard.press("Control+a")
    page.keyboard.insert_text(source)
    page.keyboard.press("Control+Enter")
    page.keyboard.press("Escape")


def choose(page: Page, card: Locator, diagnosis: str) -> None:
    """Tab to the one that is chosen (at first: to the last), then go on with the arrow keys."""
    options = card.get_by_role("radio")
    chosen = [n for n in range(options.count()) if options.nth(n).is_checked()]
    at = chosen[0] if chosen else options.count() - 1
    tab_to(page, options.nth(at))
    texts = [option.text for option in load_bank()["lab-01"].options]
    (wanted,) = [text for text in texts if diagnosis in text]
    steps = texts.index(wanted) - at
    for _ in range(abs(steps)):
        page.keyboard.press("ArrowDown" if steps > 0 else "ArrowUp")
    expect(card.get_by_label(wanted, exact=True)).to_be_checked()
    page.keyboard.press("Control+Enter")


def test_slider_and_a_lab_by_keyboard(
    page: Page, lab: Lab, sources: list[str], shot: Callable[[str], None]
) -> None:
    open_notebook(page, lab, NOTEBOOK)
    go_to_cell(page, 0)
    for _ in sources[1:]:
        page.keyboard.press("Shift+Enter")
    page.keyboard.press("Control+Enter")
    check = cell(page, "def train_a")
    expect(check).to_contain_text("not yet: a step does not go down its own slope", timeout=60_000)

    slider = cell(page, "def show_path")
    expect(slider).to_contain_text("Rate 0.3: the loss goes from 15.96")
    tab_to(page, slider.get_by_role("slider"))
    page.keyboard.press("ArrowRight")
    expect(slider).to_contain_text("Rate 0.6: the loss goes from 15.96")
    for _ in range(8):
        page.keyboard.press("ArrowRight")
    expect(slider).to_contain_text("Rate 3.0: the loss goes from 15.96 to 472.92")
    expect(slider.locator(".jp-OutputArea img")).to_have_count(1)
    shot("mnist_slider")

    card = cell(page, 'your_turn("lab-01")').locator(".wg-card")
    choose(page, card, "too high")
    expect(card.get_by_role("status")).to_contain_text("✗ Not yet")
    expect(card).to_contain_text("would jump or grow from each step to the next")
    choose(page, card, "set back to zero")
    expect(card.get_by_role("status")).to_contain_text("✓ Right")
    card.scroll_into_view_if_needed()
    shot("mnist_lab_diagnosed")

    source = sources[WANTED.index("def train_a")]
    assert source.count(BROKEN) == 1
    write(page, "def train_a", source.replace(BROKEN, REPAIRED))
    expect(check).to_contain_text("solved: the loss goes down to 0.1")
    shot("mnist_lab_repaired")
