"""What chapter 04 gives away: its cells' `bear.py`, `app.py` and `model.onnx` in a folder."""

import contextlib
import os
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import nbformat
from fastai.vision.all import nn, torch

from tests.small_model import small_learner
from utils.paths import chapter

FOLDER = TemporaryDirectory(prefix="course-test-chapter-04-")  # goes when the tests end
CELLS = {cell.id: cell.source for cell in nbformat.read(chapter("04"), as_version=4).cells}


def written(cell: str) -> str:
    """What a cell that begins with `%%writefile` puts into its file."""
    return CELLS[cell].partition("\n")[2]


@cache
def taken_away() -> Path:
    """The folder, the model exported by the chapter's cells."""
    folder, learn = Path(FOLDER.name, "app"), small_learner()
    folder.mkdir()
    with contextlib.chdir(folder):
        learn.model.cpu()
        exec(CELLS["served"] + "\n" + CELLS["onnx"], {
            "nn": nn, "torch": torch, "learn": learn, "loaded": learn,
        })  # fmt: skip
    for name in ("bear.py", "app.py"):
        (folder / name).write_text(written(name.replace(".", "-")), encoding="utf-8")
    (folder / "gradio_cells.py").write_text(
        "\n".join(["import os", "from bear import probabilities", *map(CELLS.get, GRADIO)]), "utf-8"
    )
    return folder


GRADIO = ("gradio-import", "gradio-interface", "gradio-launch")
OFFLINE = os.environ | {"GRADIO_ANALYTICS_ENABLED": "False"}
