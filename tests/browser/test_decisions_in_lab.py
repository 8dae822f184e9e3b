"""Chapter 11 by keyboard alone: the slider of the exponent."""

from collections.abc import Callable

import nbformat
from playwright.sync_api import Page, expect

from tests.browser.conftest import Lab, go_to_cell, open_notebook, tab_to
from utils.paths import chapter

NOTEBOOK = "decisions.ipynb"
WANTED = ("setup", "libraries", "plan", "month", "hit-rate", "five-years", "slider")


def test_slider_moves_the_exponent(page: Page, lab: Lab, shot: Callable[[str], None]) -> None:
    stored = {cell.id: cell for cell in nbformat.read(chapter("11"), 4).cells}
    notebook = nbformat.v4.new_notebook(cells=[stored[id] for id in WANTED])
    notebook.metadata["kernelspec"] = {"name": "python3", "display_name": "Python 3"}
    nbformat.write(notebook, lab.folder / NOTEBOOK)
    open_notebook(page, lab, NOTEBOOK)
    slider = page.locator(".jp-Notebook-cell").nth(WANTED.index("slider"))
    expect(slider).to_contain_text("A slider stands here when the cell is run")  # its twin
    go_to_cell(page, 0)
    for _ in WANTED[1:]:
        page.keyboard.press("Shift+Enter")
    page.keyboard.press("Control+Enter")
    expect(slider).to_contain_text("Exponent 1: after five years 0.3", timeout=60_000)
    expect(slider).not_to_contain_text("A slider stands here")
    tab_to(page, slider.get_by_role("slider"))
    page.keyboard.press("ArrowRight")
    expect(slider).to_contain_text("Exponent 1.25: after five years 0.5")
    for _ in range(3):
        page.keyboard.press("ArrowRight")
    expect(slider).to_contain_text("Exponent 2: after five years 1.00, where 0.15 is true.")
    expect(slider.locator(".jp-OutputArea img")).to_have_count(1)
    shot("decisions_slider")
