"""The `course` command."""

import platform
import sys
from dataclasses import asdict
from importlib.metadata import version
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer
from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TextColumn, TimeElapsedColumn
from rich.table import Table

from utils.app.commands import app as app_commands
from utils.paths import NOTEBOOKS, chapter, chapters
from utils.project.commands import app as project_commands
from utils.quiz.commands import app as quiz_commands
from utils.terminal import Commands, fail, print_json
from utils.timings import record_seconds, say_seconds, seconds_of

if TYPE_CHECKING:  # it takes seconds to import, and most of `course` does without
    from utils.runner import Run

app = Commands(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Whole Game: a deep-learning course in notebooks. `course COMMAND --help` says more.",
)
data_app = typer.Typer(invoke_without_command=True, help="What data is here, and what can be.")
app.add_typer(data_app, name="data")
app.add_typer(quiz_commands)
app.add_typer(app_commands)
app.add_typer(project_commands)

console = Console()
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of a table.")]
PACKAGES = ("fastai", "torch", "torchvision", "timm", "jupyterlab", "ipywidgets", "nbval")


def _find(name: str) -> Path:
    try:
        return chapter(name)
    except FileNotFoundError as error:
        raise fail(error) from None


@app.command()
def info(as_json: AsJson = False) -> None:
    """Device, cores, memory, versions, which data is here, how long each chapter takes."""
    from utils.data import inventory, source_label  # torch takes seconds to import
    from utils.device import machine

    here = asdict(machine())
    versions = {"python": platform.python_version()} | {p: version(p) for p in PACKAGES}
    times = {path.stem: seconds_of(path.stem) for path in chapters()}
    if as_json:
        print_json({"machine": here, "versions": versions, "source": source_label(),
                     "data": inventory(), "chapters": times})  # fmt: skip
        return
    gigabytes = f"{here['memory'] / 1e9:.0f} GB ({here['memory_free'] / 1e9:.0f} GB free)"
    table = Table("what", "here", box=None)
    table.add_row("device", here["device_title"])
    table.add_row("cores", str(here["cores"]))
    table.add_row("memory", gigabytes)
    table.add_row("numbers", f"{here['precision']}, {here['workers']} loading processes")
    table.add_row("versions", ", ".join(f"{name} {number}" for name, number in versions.items()))
    table.add_row("data", f"{source_label()} (COURSE_DATA)")
    for name, seconds in times.items():
        table.add_row(name, say_seconds(seconds))
    console.print(table)


def _bar(on: bool) -> Progress:
    return Progress(
        BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), TextColumn("{task.description}"),
        console=Console(stderr=True), disable=not on, transient=True,
    )  # fmt: skip


def _watch(progress: Progress, name: str):
    """A callback for the runner that moves a bar over the chapter's cells."""
    task = progress.add_task(name, total=None)

    def on_cell(done: int, total: int, heading: str) -> None:
        progress.update(task, completed=done, total=total, description=f"{name}: {heading}")

    return on_cell


@app.command()
def run(
    name: Annotated[str, typer.Argument(help="A chapter: 01, or 01_pet_classifier.")],
    device: Annotated[
        str, typer.Option(help="auto, cpu or cuda.", envvar="COURSE_DEVICE")
    ] = "auto",
    data: Annotated[
        str, typer.Option(help="sample, full, or a folder of your own.", envvar="COURSE_DATA")
    ] = "sample",
    seed_shift: Annotated[
        int, typer.Option(help="For authors: move every seed by this many thousands.", min=0)
    ] = 0,
    as_json: AsJson = False,
) -> None:
    """Run a copy of a chapter from top to bottom, and check every figure it promises.

    Exits with 1, and the failing cell, when a cell fails or a figure is out of its bounds. Your
    answers and the chapter itself stay as they are.
    """
    path = _find(name)
    from utils.data import resolve_source
    from utils.device import pick_device
    from utils.runner import run_chapter

    device, data = pick_device(device), resolve_source(data)
    with _bar(sys.stderr.isatty()) as progress:
        result = run_chapter(path, device, data, _watch(progress, path.stem), seed_shift)
    judged = data in ("sample", "full")
    bad = [row["name"] for row in result.expectations if not row["ok"] and judged]
    if not result.failure:
        record_seconds(path.stem, result.seconds)
    if as_json:
        print_json(result.as_dict())
    else:
        _print_run(result)
    if result.failure:
        raise fail(f"\n{path.stem} stopped.\n\n{result.failure}")
    if bad:
        raise fail(f"\nOut of bounds: {', '.join(bad)}.")


def _print_run(result: "Run") -> None:
    table = Table("figure", "value", "at least", "at most", "", box=None)
    for row in result.expectations:
        bounds = ["" if row[key] is None else f"{row[key]:g}" for key in ("at_least", "at_most")]
        table.add_row(row["name"], f"{row['value']:.4f}", *bounds, "ok" if row["ok"] else "NOT OK")
    console.print(table)
    print(f"{result.notebook} on {result.device}, {result.data}: {result.seconds:.0f} s, "
          f"{result.peak_gib:.1f} GiB of memory at most")  # fmt: skip


Names = Annotated[list[str] | None, typer.Argument(help="Chapters, as in `course run`.")]
Every = Annotated[bool, typer.Option("--all", help="Every chapter.")]


def _chosen(names: list[str] | None, every: bool, command: str) -> list[Path]:
    """The chapters that were named, or all of them."""
    if bool(names) == every:
        raise fail(f"Say which: `course {command} 01`, or `course {command} --all`.")
    return chapters() if every else [_find(name) for name in names]


@app.command()
def store(names: Names = None, every: Every = False) -> None:
    """For authors: run chapters on the CPU and the sample, and store them with their outputs."""
    chosen = _chosen(names, every, "store")
    from utils.runner import store_chapter

    for path in chosen:
        with _bar(sys.stderr.isatty()) as progress:
            result = store_chapter(path, _watch(progress, path.stem))
        if result.failure:
            raise fail(f"{path.stem} was not stored.\n\n{result.failure}")
        record_seconds(path.stem, result.seconds, stored=path.resolve() in chapters())
        print(f"{path.stem}: stored after {result.seconds:.0f} s")


@app.command()
def strip(
    names: Names = None,
    every: Every = False,
    out: Annotated[
        Path, typer.Option(help="The folder to write to.", show_default="notebooks/stripped")
    ] = NOTEBOOKS / "stripped",
) -> None:
    """Write copies with headings and code only, and a guess box before each cell.

    A copy you have written in is kept beside the new one.
    """
    from utils.strip import strip_file

    for path in _chosen(names, every, "strip"):
        print(f"{out.name}/{strip_file(path, out).name}")


@data_app.callback()
def data(ctx: typer.Context, as_json: AsJson = False) -> None:
    """What is here, and what `full` would fetch and how large it is."""
    from utils.data import inventory

    if ctx.invoked_subcommand:
        return
    rows = inventory()
    if as_json:
        print_json(rows)
        return
    table = Table("set", "what", "ships with the course", "full", "size of full", box=None)
    for row in rows:
        sample = (
            f"{row['sample_files']} files, {row['sample_mb']} MB" if row["sample_files"] else "no"
        )
        full = "here" if row["full_here"] else "not here"
        if row["full_mb"] is None:
            full, size = "there is none", ""
        else:
            size = f"{row['full_mb']:,} MB"
        table.add_row(row["name"], row["title"], sample, full, size)
    console.print(table)
    print("COURSE_DATA=full uses the full sets; `course data fetch NAME` downloads one now.")


@data_app.command()
def fetch(name: Annotated[str, typer.Argument(help="A set, as `course data` lists them.")]) -> None:
    """Download a full public set once, for `COURSE_DATA=full`."""
    from utils.data import fetch as fetch_set

    fetch_set(name)


if __name__ == "__main__":
    app()
