"""Run a chapter without a browser, and store it as it should be stored."""

import json
import os
import re
import tempfile
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from pathlib import Path

import nbformat
import psutil
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError
from nbclient.output_widget import OutputWidget
from nbformat import NotebookNode

from utils import WIDGET_VIEW
from utils.paths import path_with_course

CELL_SECONDS = 1800  # the longest a single cell may take, on `full` without a GPU
GIB = 2**30  # bytes
SEEDS = Path(__file__).parent / "seeds"  # on a shifted run's PYTHONPATH: its sitecustomize.py
CELL_ID = re.compile(r"[^a-z0-9]+")
OnCell = Callable[[int, int, str], None]  # (cells done, cells in all, heading they stand under)


class QuietOutput(OutputWidget):
    """nbclient's stand-in for an Output widget, which tells the kernel nothing.

    Its messages would leave on the socket on which another coroutine waits for the kernel's reply,
    and now and then take away the signal that the reply is there: the run hangs (nbclient#312).
    """

    def sync_state(self) -> None:
        """Send nothing; what was put out is kept here, and no cell asks the kernel for it."""


@dataclass
class Run:
    """What came of running a notebook: how long, every `expect`, and the cell that failed."""

    notebook: str
    device: str
    data: str
    seconds: float = 0.0
    peak_gib: float = 0.0  # the most memory that the kernel and its processes held together
    expectations: list[dict] = field(default_factory=list)
    failure: str | None = None

    def as_dict(self) -> dict:
        """The run as `course run --json` prints it; `failure` only when there was one."""
        row = {"notebook": self.notebook, "device": self.device, "data": self.data,
               "seconds": round(self.seconds, 1), "peak_gib": round(self.peak_gib, 2),
               "expectations": self.expectations}  # fmt: skip
        return row | ({"failure": self.failure} if self.failure else {})


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    """The cells a run executes, in order."""
    return [c for c in notebook.cells if c.cell_type == "code" and c.source.strip()]


def _headings(notebook: NotebookNode) -> dict[str, str]:
    """Cell id → the heading the cell stands under."""
    heading, found = "", {}
    for cell in notebook.cells:
        if cell.cell_type == "markdown":
            titles = re.findall(r"^#+ (.+)$", cell.source, flags=re.M)
            heading = titles[-1] if titles else heading
        found[cell.id] = heading
    return found


def _failed_cell(notebook: NotebookNode, headings: dict[str, str]) -> str:
    """The failing cell as a reader wants it: where, its code, the error's own last line."""
    for number, cell in enumerate(code_cells(notebook), start=1):
        for output in cell.get("outputs", []):
            if output.output_type == "error":
                error = f"{output.ename}: {output.evalue}".strip().removesuffix(":")
                return f'Cell [{number}], under "{headings[cell.id]}":\n\n{cell.source}\n\n{error}'
    return "The kernel died; the machine may have run out of memory."


def _memory_of(process: psutil.Process) -> int:
    """Bytes; a page shared with other processes counts in parts, where the system tells (Linux)."""
    if psutil.LINUX:
        return process.memory_full_info().pss
    return process.memory_info().rss


@contextmanager
def _watch_memory(run: Run) -> Iterator[None]:
    """Keep `run.peak_gib`, looked at five times a second, while the block runs."""
    here, done = psutil.Process(), threading.Event()

    def look() -> None:
        while not done.wait(0.2):
            held = 0
            for process in here.children(recursive=True):
                with suppress(psutil.Error):  # it has ended since
                    held += _memory_of(process)
            run.peak_gib = max(run.peak_gib, held / GIB)

    thread = threading.Thread(target=look, daemon=True)
    thread.start()
    try:
        yield
    finally:
        done.set()
        thread.join()


def execute(
    notebook: NotebookNode, run: Run, env: dict[str, str], on_cell: OnCell | None = None
) -> None:
    """Run every cell of `notebook` in place, in a fresh kernel and an empty working folder.

    `env` is added to the kernel's environment. Fills in the seconds and the memory of `run` and,
    when a cell failed, a readable account of it.
    """
    headings, total, done = _headings(notebook), len(code_cells(notebook)), 0

    def tell(cell: NotebookNode, cell_index: int, **_) -> None:
        nonlocal done
        if on_cell and cell.cell_type == "code":
            on_cell(done, total, headings[cell.id])
            done += 1

    began = time.perf_counter()
    with tempfile.TemporaryDirectory(prefix="course-run-") as folder:
        client = NotebookClient(
            notebook,
            timeout=CELL_SECONDS,
            kernel_name="python3",
            resources={"metadata": {"path": folder}},
            extra_arguments=["--log-level=ERROR"],
            on_cell_start=tell,
        )
        client.widget_registry = {"@jupyter-widgets/output": {"OutputModel": QuietOutput}}
        try:
            with _watch_memory(run):
                client.execute(env=os.environ | {"PATH": path_with_course()} | env)
        except (CellExecutionError, DeadKernelError):
            run.failure = _failed_cell(notebook, headings)
    run.seconds = time.perf_counter() - began


def run_chapter(
    path: Path, device: str, data: str, on_cell: OnCell | None = None, seed_shift: int = 0
) -> Run:
    """Run a copy of the chapter at `path`, with a learner's folder of its own.

    The stored notebook and the learner's answers stay as they are. `seed_shift` moves every seed
    by that many thousands.
    """
    notebook = nbformat.read(path, as_version=4)
    run = Run(path.stem, device, data)
    with tempfile.TemporaryDirectory(prefix="course-home-") as home:
        report = Path(home, "report.jsonl")
        env = {"COURSE_DEVICE": device, "COURSE_DATA": data, "COURSE_HOME": home,
               "COURSE_REPORT": str(report), "COURSE_STRICT": ""}  # fmt: skip
        if seed_shift:
            paths = [str(SEEDS), *filter(None, [os.environ.get("PYTHONPATH")])]
            env |= {"COURSE_SEED_SHIFT": str(seed_shift), "PYTHONPATH": os.pathsep.join(paths)}
        execute(notebook, run, env, on_cell)
        if report.exists():
            lines = report.read_text(encoding="utf-8").splitlines()
            run.expectations = [json.loads(line) for line in lines]
    return run


def tidy(notebook: NotebookNode) -> NotebookNode:
    """Drop what differs from run to run or belongs to a machine: times, widget state, kernels."""
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    for number, cell in enumerate(notebook.cells, start=1):
        tags = cell.metadata.get("tags")
        cell.metadata = {"tags": tags} if tags else {}
        cell.id = _cell_id(cell, number)
        if cell.cell_type == "code":
            cell.outputs = [out for out in map(_without_widget, cell.outputs) if out]
    return notebook


def _without_widget(output: NotebookNode) -> NotebookNode | None:
    """The output less its live widget; None when nothing is left of it."""
    data = output.get("data")
    if data is None:
        return output
    data.pop(WIDGET_VIEW, None)
    return output if data else None


def _cell_id(cell: NotebookNode, number: int) -> str:
    """An id that stays when its cell stays: the cell's first words, and its place."""
    words = CELL_ID.sub("-", cell.source.lower()[:40]).strip("-")
    return f"{words or 'empty'}-{number}"


def store_chapter(path: Path, on_cell: OnCell | None = None) -> Run:
    """Run the chapter at `path` on the CPU with the sample data and store it with its outputs.

    A failing run is not stored; its `failure` says which cell it was.
    """
    notebook = tidy(nbformat.read(path, as_version=4))
    run = Run(path.stem, "cpu", "sample")
    with tempfile.TemporaryDirectory(prefix="course-home-") as home:
        env = {"COURSE_DEVICE": "cpu", "COURSE_DATA": "sample", "COURSE_HOME": home,
               "COURSE_STRICT": "1"}  # fmt: skip
        execute(notebook, run, env, on_cell)
    if run.failure is None:
        nbformat.write(tidy(notebook), path)
    return run
