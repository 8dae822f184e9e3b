"""The cleaner in a real JupyterLab: by keyboard alone, after the kernel is gone, and by mouse."""

import random
import re
from collections.abc import Callable
from itertools import product

import nbformat
import pytest
from PIL import Image
from playwright.sync_api import Locator, Page, expect

from tests.browser.conftest import Lab, go_to_cell, open_notebook, tab_to, wait_for_kernel
from tests.browser.test_quiz_in_lab import METADATA, restart_kernel

NOTEBOOK = "clean.ipynb"
LABELS = ("black", "grizzly", "teddy")
SOURCE = 'from utils.cleaner import Cleaner\nCleaner("set").show()'
HOSTILE = "<img src=x onerror=alert(1)>.jpg"
GONE, MOVED = {"black/black_1.jpg", "black/black_2.jpg"}, {"black/black_7.jpg"}
CHOICES = dict.fromkeys(GONE, "discard") | dict.fromkeys(MOVED, "relabel to teddy")


@pytest.fixture
def files(lab: Lab) -> set[str]:
    """Thirty pictures in three classes, and a notebook."""
    names = [f"{label}/{label}_{n}.jpg" for label, n in product(LABELS, range(1, 10))]
    names += [f"{label}/{HOSTILE}" for label in LABELS]
    for n, name in enumerate(names):  # coloured noise, enlarged: no picture is like another
        file = lab.folder / "set" / name
        file.parent.mkdir(parents=True, exist_ok=True)
        noise = Image.frombytes("RGB", (12, 9), random.Random(n).randbytes(12 * 9 * 3))
        noise.resize((120, 90), Image.Resampling.BICUBIC).save(file)
    black, grizzly, teddy = (lab.folder / "set" / label for label in LABELS)
    (black / "black_5.jpg").write_bytes((teddy / "teddy_2.jpg").read_bytes())
    (grizzly / "grizzly_3.jpg").write_text("<html>no picture</html>")
    notebook = nbformat.v4.new_notebook(metadata=METADATA)
    notebook.cells = [nbformat.v4.new_code_cell(SOURCE), nbformat.v4.new_code_cell("2 + 2")]
    nbformat.write(notebook, lab.folder / NOTEBOOK)
    return set(names)


def on_disk(lab: Lab) -> set[str]:
    root = lab.folder / "set"
    return {file.relative_to(root).as_posix() for file in root.rglob("*.jpg")}


def run(page: Page) -> Locator:
    """Run the cell; the widget, once its pictures are there."""
    go_to_cell(page, 0)
    page.keyboard.press("Control+Enter")
    widget = page.locator(".wgc")
    expect(widget.locator("img").first).to_be_visible(timeout=60_000)
    return widget


def pictures(widget: Locator) -> Locator:
    return widget.locator("[role=option]")  # not the entries of the menus


def choose_in(page: Page, widget: Locator, name: str, value: str) -> None:
    """An entry of one of the menus, with the arrow keys."""
    select = widget.get_by_role("combobox", name=name, exact=True)
    tab_to(page, select)
    values = select.locator("option").evaluate_all("options => options.map(o => o.value)")
    steps = values.index(value) - values.index(select.input_value())
    for _ in range(abs(steps)):
        page.keyboard.press("ArrowDown" if steps > 0 else "ArrowUp")
    expect(select).to_have_value(value)


def go_to_picture(page: Page, widget: Locator, name: str) -> None:
    """Tab to the pictures, and on to one of them with the arrow keys."""
    tab_to(page, widget.locator("[role=option][tabindex='0']"))
    page.keyboard.press("Home")
    names = pictures(widget).locator(".wgc-name").all_inner_texts()
    for _ in range(names.index(name)):
        page.keyboard.press("ArrowRight")
    expect(pictures(widget).nth(names.index(name))).to_be_focused()


def press(page: Page, widget: Locator, name: str, says: str) -> None:
    tab_to(page, widget.get_by_role("button", name=name, exact=True))
    page.keyboard.press("Enter")
    expect(widget.get_by_role("status")).to_contain_text(says)


def choices(widget: Locator) -> dict[str, str]:
    """The choices that are shown on the page, by file."""
    tiles = pictures(widget).filter(has=widget.page.locator(".wgc-choice"))
    names = tiles.locator(".wgc-name").all_inner_texts()
    return dict(zip(names, tiles.locator(".wgc-choice").all_inner_texts(), strict=True))


def test_by_keyboard_with_a_restart_and_by_mouse(
    page: Page, lab: Lab, files: set[str], shot: Callable[[str], None]
) -> None:
    dialogs: list[str] = []
    page.on("dialog", lambda dialog: (dialogs.append(dialog.message), dialog.dismiss()))
    open_notebook(page, lab, NOTEBOOK)
    widget = run(page)
    place, status = widget.get_by_text(re.compile("Page . of")), widget.get_by_role("status")
    expect(place).to_have_text("Page 1 of 2 · 30 pictures")
    tab_to(page, widget.locator("[role=option][tabindex='0']"))
    page.keyboard.press("PageDown")
    expect(place).to_have_text("Page 2 of 2 · 30 pictures")
    choose_in(page, widget, "Label", "black")
    expect(pictures(widget)).to_have_count(10)
    go_to_picture(page, widget, "black/black_1.jpg")
    page.keyboard.press("Shift+ArrowRight")
    expect(widget.locator("[aria-selected=true]")).to_have_count(2)
    page.keyboard.press("d")
    expect(status).to_have_text("2 pictures: discard.")
    go_to_picture(page, widget, "black/black_7.jpg")
    page.keyboard.press("3")
    expect(status).to_have_text("1 picture: relabel to teddy.")
    choose_in(page, widget, "Label", "grizzly")
    expect(widget.get_by_text("no picture", exact=True)).to_be_visible()
    go_to_picture(page, widget, "grizzly/grizzly_4.jpg")
    page.keyboard.press("k")
    expect(widget.locator(".wgc-choice")).to_have_text("keep")
    choose_in(page, widget, "Label", "black")
    expect(widget.locator(".wgc-choice")).to_have_count(3)
    assert choices(widget) == CHOICES
    expect(widget.get_by_role("heading")).to_have_text("Changes about to happen: 3")
    shot("cleaner_light")

    # what is stored is a sentence; Ctrl-S, which means nothing to the widget, is JupyterLab's
    page.keyboard.press("Control+s")
    expect(page.locator(".jp-mod-dirty")).to_have_count(0)
    stored = (lab.folder / NOTEBOOK).read_text()
    assert "is run" in stored and "widget-state" not in stored and "black_7" not in stored
    # a new page finds the widget as it was; a new kernel finds the choices
    lab.theme("JupyterLab Dark")
    page.reload()
    wait_for_kernel(page)
    expect(page.locator(".wgc .wgc-choice")).to_have_count(3)
    restart_kernel(page)
    expect(page.locator(".wgc").get_by_role("alert")).to_contain_text("kernel was restarted")
    wait_for_kernel(page)
    widget = run(page)
    choose_in(page, widget, "Show", "my choices")
    expect(pictures(widget)).to_have_count(4)
    assert choices(widget) == CHOICES | {"grizzly/grizzly_4.jpg": "keep"}
    assert on_disk(lab) == files

    press(page, widget, "Apply", "Applied: 3 pictures.")
    applied = files - GONE - MOVED | {"teddy/black_7.jpg"}
    assert on_disk(lab) == applied
    press(page, widget, "Undo", "Undone")
    assert on_disk(lab) == files
    press(page, widget, "Redo", "Done again")
    assert on_disk(lab) == applied
    press(page, widget, "Redo", "")
    expect(widget.get_by_role("alert")).to_have_text("There is nothing to redo.")
    # JupyterLab takes D, D in a notebook for "delete the cell"; here they are choices
    page.keyboard.press("d")
    page.keyboard.press("d")
    expect(page.locator(".jp-Notebook-cell")).to_have_count(2)

    # by mouse
    show = widget.get_by_role("combobox", name="Show", exact=True)
    show.select_option("copies and their originals")
    copy = re.compile("a copy, or nearly, of (teddy/teddy_2|black/black_5).jpg")
    expect(widget.locator(".wgc-remark", has_text=copy)).to_have_count(1)
    show.select_option("")
    options = pictures(widget)
    expect(options).to_have_count(24)
    options.nth(1).click()
    options.nth(4).click(modifiers=["Shift"])
    expect(widget.locator("[aria-selected=true]")).to_have_count(4)
    options.nth(2).click()
    expect(widget.get_by_text("3 selected:")).to_be_visible()
    widget.get_by_role("button", name="2 grizzly").click()
    expect(widget.get_by_role("status")).to_have_text("3 pictures: relabel to grizzly.")
    expect(widget.locator(".wgc-name", has_text=HOSTILE)).to_have_count(3)
    assert not dialogs
    shot("cleaner_dark")
    page.locator(".jp-InputPrompt").first.click()
    page.keyboard.press("Control+b")  # the side bar would take most of it
    page.set_viewport_size({"width": 400, "height": 800})
    widget.scroll_into_view_if_needed()
    shot("cleaner_narrow")
    assert widget.evaluate("el => el.scrollWidth <= el.clientWidth")
