"""What chapter 04 gives away: its cells' `bear.py`, `app.py` and `model.onnx` in a folder."""

import ast
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import nbformat
import pytest
from fastai.vision.all import nn, torch

from tests.exported_app import run
from tests.small_model import small_learner, small_model
from utils.app.save import load_model
from utils.paths import chapter

FOLDER = TemporaryDirectory(prefix="course-test-chapter-04-")  # goes when the tests end
CELLS = {cell.id: cell.source for cell in nbformat.read(chapter("04"), as_version=4).cells}
GRADIO = ("gradio-import", "gradio-interface", "gradio-launch")


def written(cell: str) -> str:
    """What a cell that begins with `%%writefile` puts into its file."""
    return CELLS[cell].partition("\n")[2]


@cache
def taken_away() -> Path:
    """The folder, the model exported by the chapter's cells; `on_the_page.py` is its Gradio."""
    folder, learn = Path(FOLDER.name, "app"), small_learner()
    folder.mkdir()
    names = {"nn": nn, "torch": torch, "learn": learn}
    names |= {"load_model": load_model, "saved": small_model()}
    with pytest.MonkeyPatch.context() as patch:  # contextlib's own chdir is not in Python 3.10
        patch.chdir(folder)
        exec(CELLS["served"] + "\n" + CELLS["onnx"], names)
    before = ["import os", "from bear import probabilities"]
    page = "\n".join([*before, *(CELLS[id] for id in GRADIO)])
    files = {"bear.py": written("bear-py"), "app.py": written("app-py"), "on_the_page.py": page}
    for name, text in files.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


def answer(python: str, file: Path) -> dict[str, float]:
    """What `bear.py` says of a picture when this Python runs it."""
    done = run(python, "bear.py", str(file), cwd=taken_away())
    assert done.returncode == 0, done.stderr
    return ast.literal_eval(done.stdout)
