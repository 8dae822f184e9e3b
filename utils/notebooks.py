"""Chapters: run without a browser, stored as they should be stored, stripped of their words."""

import ast
import os
import threading
import time
from collections.abc import Callable
from contextlib import suppress
from dataclasses import dataclass, field
from itertools import pairwise
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import Any

import nbformat
import psutil
from fastcore.imports import noop
from markdown_it import MarkdownIt
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError, DeadKernelError
from nbclient.output_widget import OutputWidget
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from utils import WIDGET_VIEW
from utils.checks import figures_beside
from utils.common import CourseError, beside, write_whole
from utils.paths import path_with_course

CELL_SECONDS = 1800  # the longest a single cell may take, on `full` without a GPU
GIB = 2**30  # bytes
SEEDS = Path(__file__).parent / "seeds"  # on a shifted run's PYTHONPATH: its sitecustomize.py
PICTURES = ("image/png", "image/jpeg", "image/svg+xml")
MARKDOWN = MarkdownIt("commonmark")
OnCell = Callable[[int, int, str], object]  # (cells done, cells in all, heading they stand under)


def code_cells(notebook: NotebookNode) -> list[NotebookNode]:
    """The cells a run executes, in order."""
    return [c for c in notebook.cells if c.cell_type == "code" and c.source.strip()]


def headings(markdown: str) -> list[str]:
    """The headings of a Markdown text as they are written: `## Train`."""
    pairs = pairwise(MARKDOWN.parse(markdown))
    return [f"{'#' * int(a.tag[1])} {b.content}" for a, b in pairs if a.type == "heading_open"]


# -- run and store ---------------------------------------------------------------------------------


@dataclass
class Run:
    """What came of running a notebook: how long, every figure, and the cell that failed."""

    notebook: str
    device: str
    data: str
    seconds: float = 0.0
    peak_gib: float = 0.0  # the most memory that the kernel and its processes held together
    expectations: list[dict] = field(default_factory=list)
    failure: str | None = None
    complaints: list[str] = field(default_factory=list)  # of the figures held beside the chapter


class QuietOutput(OutputWidget):
    """nbclient's stand-in for an Output widget, which tells the kernel nothing.

    Its messages would leave on the socket on which another coroutine waits for the kernel's reply,
    and now and then take away the signal that the reply is there: the run hangs (nbclient#312).
    """

    sync_state = noop  # what was put out is kept here, and no cell asks the kernel for it


def _watch_memory(run: Run) -> None:
    """Keep `run.peak_gib`, looked at five times a second, until the run has its seconds."""
    while not run.seconds:
        held = 0
        for process in psutil.Process().children(recursive=True):
            with suppress(psutil.Error):  # it has ended since
                # A page shared with other processes counts in parts, where the system tells.
                linux = psutil.LINUX
                held += process.memory_full_info().pss if linux else process.memory_info().rss
        run.peak_gib = max(run.peak_gib, round(held / GIB, 2))
        time.sleep(0.2)


def _execute(path: Path, notebook: NotebookNode, run: Run, on_cell: OnCell, **env: str) -> None:
    """Run every cell of the chapter at `path` in place, in a fresh kernel and folders of its own.

    `env` is added to the kernel's environment. Fills in what `run` says of it.
    """
    heading, number, total = "", 0, len(code_cells(notebook))
    figures = figures_beside(path)

    def begin(cell: NotebookNode, cell_index: int) -> None:
        nonlocal heading, number
        if cell.cell_type == "markdown":
            if found := headings(cell.source):
                heading = found[-1].lstrip("# ")
        elif cell.cell_type == "code" and cell.source.strip():
            on_cell(number, total, heading)
            number += 1

    async def judge(cell: NotebookNode, execute_reply: dict, **_: object) -> None:
        if execute_reply["content"]["status"] != "ok":
            return
        kernel: Any = client.kc
        for figure in figures.get(cell.id, []):
            reply = await kernel.execute(**figure.request, reply=True, timeout=CELL_SECONDS)
            row = figure.judge(reply)
            run.expectations.append(row)
            if not row["ok"]:
                run.complaints.append(figure.complaint(row["value"]))

    with TemporaryDirectory() as home, TemporaryDirectory(prefix="course-run-") as here:
        own = {"PATH": path_with_course(), "COURSE_DEVICE": run.device, "COURSE_DATA": run.data,
               "COURSE_HOME": home}  # fmt: skip
        client = NotebookClient(
            notebook,
            timeout=CELL_SECONDS,
            kernel_name="python3",
            resources={"metadata": {"path": here}},
            extra_arguments=["--log-level=ERROR"],
            on_cell_start=begin,
            on_cell_executed=judge,
        )
        client.widget_registry = {"@jupyter-widgets/output": {"OutputModel": QuietOutput}}
        began, error = time.perf_counter(), ""
        try:
            threading.Thread(target=_watch_memory, args=[run], daemon=True).start()
            client.execute(env=os.environ | own | env)
        except CellExecutionError as failed:
            error = f"{failed.ename}: {failed.evalue}".strip().removesuffix(":")
        except CourseError as failed:
            error = str(failed)
        except DeadKernelError:
            error = "The kernel died; the machine may have run out of memory."
        except TimeoutError:
            error = f"It takes longer than {CELL_SECONDS:,} seconds."
        finally:
            run.seconds = time.perf_counter() - began
        if error:
            source = code_cells(notebook)[max(0, number - 1)].source
            run.failure = f'Cell [{number}], under "{heading}":\n\n{source}\n\n{error}'


def run_chapter(
    path: Path, device: str, data: str, on_cell: OnCell = noop, seed_shift: int = 0
) -> Run:
    """Run a copy of the chapter at `path`, with a learner's folder of its own.

    The stored notebook and the learner's answers stay as they are. `seed_shift` moves every seed
    by that many thousands.
    """
    run = Run(path.stem, device, data)
    env: dict[str, str] = {}
    if seed_shift:
        paths = filter(None, [str(SEEDS), os.environ.get("PYTHONPATH")])
        env = {"COURSE_SEED_SHIFT": str(seed_shift), "PYTHONPATH": os.pathsep.join(paths)}
    _execute(path, nbformat.read(path, as_version=4), run, on_cell, **env)
    return run


def store_chapter(path: Path, on_cell: OnCell = noop) -> Run:
    """Run the chapter at `path` on the CPU with the sample data and store it with its outputs.

    A failing run is not stored, nor one with a picture that has no alternative text in its cell's
    metadata (`"alt": ["what it shows", …]`, one for each picture); `failure` says which cell it is.
    """
    notebook, run = tidy(nbformat.read(path, as_version=4)), Run(path.stem, "cpu", "sample")
    _execute(path, notebook, run, on_cell)
    run.failure = run.failure or "\n".join(run.complaints + describe_pictures(notebook)) or None
    if run.failure is None:
        write_whole(path, nbformat.writes(tidy(notebook)) + "\n")
    return run


def describe_pictures(notebook: NotebookNode) -> list[str]:
    """Put each cell's `alt` into the metadata of its pictures, where nbconvert reads it.

    Returns a sentence for each cell with a picture that is left without, or a text without picture.
    """
    complaints = []
    for cell in code_cells(notebook):
        kinds = [(output, kind) for output in cell.outputs for kind in output.get("data", {})]
        shown = [(output, kind) for output, kind in kinds if kind in PICTURES]
        texts = cell.metadata.get("alt", [])
        for (output, kind), text in zip(shown, texts, strict=False):
            output.metadata[kind] = {**output.metadata.get(kind, {}), "alt": text}
        if len(texts) != len(shown):
            complaints.append(
                f"Cell {cell.id} has {len(shown)} pictures and {len(texts)} alternative texts: "
                'write one for each into its metadata, as "alt": ["…"].'
            )
    return complaints


def tidy(notebook: NotebookNode) -> NotebookNode:
    """Drop what differs from run to run or belongs to a machine: times, widget state, kernels.

    A cell's id stays: what is held beside the chapter names its cell by it.
    """
    notebook.metadata = {
        "kernelspec": {"display_name": "Python 3", "language": "python", "name": "python3"},
        "language_info": {"name": "python"},
    }
    for cell in notebook.cells:
        cell.metadata = {k: v for k, v in cell.metadata.items() if k in ("tags", "alt")}
        for output in cell.get("outputs", []):
            output.get("data", {}).pop(WIDGET_VIEW, None)
        if cell.cell_type == "code":
            cell.outputs = [output for output in cell.outputs if output.get("data", True)]
    return notebook


# -- strip -----------------------------------------------------------------------------------------

IMPORT = "from utils.quiz.widget import guess"
# Nobody has to guess what these show.
PLUMBING = {"guess", "guesses", "your_turn", "quiz", "review", "progress", "banner"}
INTRODUCTION = (
    "*A copy without the words. Before each cell, guess what it will show; run it; compare. "
    "[The whole chapter]({whole})*"
)


def strip_notebook(notebook: NotebookNode, name: str, up: str = "../") -> NotebookNode:
    """A copy of chapter `name` (`01_pet_classifier`): headings, code and guess boxes.

    Going through one, guessing what each cell will show before running it, is the quickest way to
    find out what was understood. `up` leads from the copy's folder to the chapter's.
    """
    cells: list[NotebookNode] = []
    boxed = False
    for number, cell in enumerate(notebook.cells):
        if cell.cell_type == "markdown":
            cells += map(new_markdown_cell, headings(cell.source))
        elif cell.cell_type == "code" and cell.source.strip():
            if not boxed and not _is_plumbing(cell.source):
                key, asks = cell.get("id", number), "show" if cell.get("outputs") else "do"
                cells.append(new_code_cell(f'guess("{name}/{key}", "What will this {asks}?")'))
            boxed = cell.source.lstrip().startswith("guess(")  # the chapter asks by itself
            cells.append(new_code_cell(cell.source, metadata=cell.metadata))
    introduction = INTRODUCTION.format(whole=f"{up}{name}.ipynb")
    cells[1:1] = [new_markdown_cell(introduction), new_code_cell(IMPORT)]  # below the title
    for number, cell in enumerate(cells):
        cell.id = f"stripped-{number}"
    return tidy(new_notebook(cells=cells))


def _is_plumbing(source: str) -> bool:
    """Whether a cell only imports, or calls the course's own boxes."""
    try:
        lines = ast.parse(source).body
    except SyntaxError:  # a magic such as %time, or `name?`
        return False
    imports = (ast.Import, ast.ImportFrom)
    return all(
        isinstance(line, imports) or ast.unparse(line).split("(")[0] in PLUMBING for line in lines
    )


def strip_file(chapter: Path, out: Path) -> Path:
    """Write the stripped copy of a chapter into folder `out`; returns its path.

    Whatever else has its name there, such as a copy the learner has written in, is kept beside it,
    as `….yours-1.ipynb`.
    """
    path = out / chapter.name
    up = Path(os.path.relpath(chapter.parent, out)).as_posix() + "/"
    copy = strip_notebook(nbformat.read(chapter, as_version=4), chapter.stem, up)
    content = nbformat.writes(copy) + "\n"
    out.mkdir(parents=True, exist_ok=True)
    if path.exists() and (own := path.read_bytes()) != content.encode():
        path.replace(beside(path, own))
    write_whole(path, content)
    return path
