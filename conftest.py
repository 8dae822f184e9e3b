"""How pytest runs the course: on which device, on the sample data, in folders of its own."""

import os
import shutil
import tempfile
from collections.abc import Iterator
from pathlib import Path

import pytest
from nbval.kernel import RunningKernel
from nbval.plugin import IPyNbCell

from utils.checks import figures_beside
from utils.common import CourseError
from utils.paths import path_with_course

FOLDERS = pytest.StashKey[Path]()


def execute_as_jupyterlab(
    kernel: RunningKernel, source: str, allow_stdin: bool | None = None
) -> str:
    """Run a cell with a history, which nbval leaves out: IPython reads a last semicolon there."""
    return kernel.kc.execute(source, allow_stdin=allow_stdin, stop_on_error=False)


RunningKernel.execute_cell_input = execute_as_jupyterlab


def pytest_addoption(parser: pytest.Parser) -> None:
    """`--device` says where the notebooks' kernels compute."""
    parser.addoption("--device", choices=("cpu", "cuda"), default="cpu", help="for the notebooks")


def pytest_configure(config: pytest.Config) -> None:
    """Give the tests, and every kernel they start, an environment that is not the learner's."""
    device = config.getoption("--device")
    if device == "cuda":
        import torch  # takes seconds, and only this option needs it

        if not torch.cuda.is_available():
            raise pytest.UsageError("--device cuda: PyTorch finds no CUDA card on this machine.")
    if worker := getattr(config, "workerinput", None):  # its environment is the main process's
        folder = Path(os.environ["COURSE_CACHE"]).parent
    else:
        folder = config.stash[FOLDERS] = Path(tempfile.mkdtemp(prefix="course-tests-"))
    os.environ |= {
        "COURSE_DEVICE": device,
        "COURSE_DATA": "sample",
        "PATH": path_with_course(),
        # answers are each worker's own; what is made from the data is made once for all
        "COURSE_HOME": str(folder / (worker["workerid"] if worker else "home")),
        "COURSE_CACHE": str(folder / "cache"),
    }


@pytest.hookimpl(wrapper=True)
def pytest_runtest_call(item: pytest.Item) -> Iterator[None]:
    """After a chapter's cell, judge the figures that are held beside the chapter, in its kernel."""
    yield
    if not isinstance(item, IPyNbCell):
        return
    chapter = item.parent
    if not hasattr(chapter, "figures"):
        chapter.figures = {}  # what is wrong with the list is said once, by the first cell
        chapter.figures = figures_beside(item.path)
    for figure in chapter.figures.get(item.cell.id, []):
        row = figure.judge(chapter.kernel.kc.execute(**figure.request, reply=True, timeout=900))
        if not row["ok"]:
            raise CourseError(figure.complaint(row["value"]))


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """Give a busy machine longer than nbval's 5 s to hand over what a cell put out."""
    for item in items:
        if hasattr(item, "output_timeout"):
            item.output_timeout = 60


def pytest_unconfigure(config: pytest.Config) -> None:
    """Leave nothing behind."""
    if FOLDERS in config.stash:  # not when the options were refused
        shutil.rmtree(config.stash[FOLDERS], ignore_errors=True)
