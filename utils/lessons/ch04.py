"""Chapter 04: cells that were run made into an app, the app served, pictures of nothing."""

import sys
import warnings
from collections.abc import Sequence

import nbformat
import numpy as np
from IPython.display import display
from PIL import Image, ImageDraw

from utils.common import free_port, served

SERVE = "import sys; from utils.app.server import serve; serve(sys.argv[1], int(sys.argv[2]))"
TEXT = "\n".join(["a page that somebody photographed by mistake"] * 9)
# What load_learner warns of has a section of its own, which shows the warning.
warnings.filterwarnings("ignore", message="load_learner")


def app_notebook(file: str, ran: Sequence[str], words: Sequence[str]) -> None:
    """Write `file`: for each of `words` the cell with it that was run last (`ran` is `In`)."""
    cells = [source for source in ran if "app_notebook(" not in source]
    chosen = [next(source for source in cells[::-1] if word in source) for word in words]
    kernel = {"name": "python3", "display_name": "Python 3", "language": "python"}
    metadata = {"kernelspec": kernel, "title": "Which bear?"}
    code = [nbformat.v4.new_code_cell(source) for source in chosen]
    nbformat.write(nbformat.v4.new_notebook(cells=code, metadata=metadata), file)


def serve(notebook: str) -> None:
    """Serve `notebook` as `course app` serves its own, for as long as this kernel runs."""
    command = [sys.executable, "-c", SERVE, notebook, str(free_port())]
    _, address = served(command, PYTHONWARNINGS="ignore:load_learner")
    link = f'<a href="{address}" target="_blank">Open the app</a> ({address})'
    display({"text/html": link, "text/plain": address}, raw=True)


def noise_and_pages(many: int = 20) -> dict[str, list[Image.Image]]:
    """Pictures without anything in them, and photographed pages of text."""
    rng, pages = np.random.default_rng(0), []
    noise = rng.integers(0, 256, (many, 160, 160, 3), dtype=np.uint8)
    for number in range(many):
        pages.append(Image.new("RGB", (320, 240), "white"))
        place, size = (8 + number, 6), 10 + number % 5
        ImageDraw.Draw(pages[-1]).text(place, TEXT, "black", font_size=size)
    return {"noise": list(map(Image.fromarray, noise)), "pages of text": pages}
