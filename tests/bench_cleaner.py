"""How quick the cleaner's widget is with 50 and with 5,000 pictures, in a real JupyterLab.

`python -m tests.bench_cleaner`. Thumbnails exist and the kernel has imported the course; then the
cell that makes a `Cleaner` and shows it is run, and pages are turned. Seconds differ from machine
to machine; what counts is that 5,000 take about as long as 50.
"""

import random
import statistics
import sys
from pathlib import Path

import nbformat
import pytest
from PIL import Image
from playwright.sync_api import Page, expect

from tests.browser.conftest import Lab, browser, go_to_cell, lab, open_notebook, page  # noqa: F401
from tests.browser.test_quiz_in_lab import METADATA

LABELS = ("black", "grizzly", "teddy")
SIZES = (50, 5000)
TURNS = 12
CELLS = (
    'from utils.cleaner import Cleaner\nCleaner("set").table()\n"ready"',
    'Cleaner("set").show()',
)
# Milliseconds from `start` (or from a click) until a new page is drawn with all its pictures.
DRAWN = """async ({click, start}) => {
    const widget = () => document.querySelector(".wgc");
    const shown = () => widget()?.querySelector(".wgc-name")?.textContent;
    const before = click ? shown() : undefined;
    const began = start ?? performance.now();
    if (click) widget().querySelector(click).click();
    const done = () => {
        const tiles = [...document.querySelectorAll(".wgc [role=option]")];
        const images = tiles.map((tile) => tile.querySelector("img"));
        return tiles.length && shown() !== before && images.every((image) => image?.complete);
    };
    while (!done()) await new Promise(requestAnimationFrame);
    return performance.now() - began;
}"""
TIMES: dict[int, tuple[float, list[float]]] = {}


def make_set(folder: Path, count: int) -> None:
    """Coloured noise, enlarged: no picture is like another."""
    noise = random.Random(0)
    for n in range(count):
        file = folder / "set" / LABELS[n % 3] / f"{n:04}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        small = Image.frombytes("RGB", (12, 9), noise.randbytes(12 * 9 * 3))
        small.resize((200, 150), Image.Resampling.BICUBIC).save(file)


@pytest.mark.parametrize("count", SIZES)
def test_speed(page: Page, lab: Lab, count: int) -> None:  # noqa: F811
    make_set(lab.folder, count)
    notebook = nbformat.v4.new_notebook(metadata=METADATA)
    notebook.cells = [nbformat.v4.new_code_cell(source) for source in CELLS]
    nbformat.write(notebook, lab.folder / "clean.ipynb")
    open_notebook(page, lab, "clean.ipynb")
    go_to_cell(page, 0)
    page.keyboard.press("Control+Enter")
    expect(page.get_by_text("'ready'", exact=True)).to_be_visible(timeout=120_000)
    go_to_cell(page, 1)
    start = page.evaluate("performance.now()")
    page.keyboard.press("Control+Enter")
    usable = page.evaluate(DRAWN, {"start": start})
    page.get_by_role("button", name="Page →").evaluate("next => next.classList.add('next')")
    turns = []
    for _ in range(TURNS if count > 1000 else 2):
        turns.append(page.evaluate(DRAWN, {"click": ".next"}))
    TIMES[count] = usable, turns


def main() -> None:
    """Run both, one after the other, and print the table."""
    if failed := pytest.main([__file__, "-q", "-s", "--no-header", "-p", "no:cacheprovider"]):
        sys.exit(failed)


@pytest.fixture(scope="session", autouse=True)
def report() -> None:
    """Print when both are done."""
    yield
    print(f"\n{'pictures':>8} {'usable after':>13} {'page turn':>10} {'slowest':>8}")
    for count, (usable, turns) in TIMES.items():
        median = statistics.median(turns)
        print(f"{count:8,} {usable / 1000:11.2f} s {median:7.0f} ms {max(turns):5.0f} ms")
    (few, few_turns), (many, many_turns) = (TIMES[count] for count in SIZES)
    ratio = statistics.median(many_turns) / statistics.median(few_turns)
    print(f"   ratio {many / few:11.2f}   {ratio:7.2f}")


if __name__ == "__main__":
    main()
