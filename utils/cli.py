"""The `course` command."""

import json
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Iterable, Sequence
from contextlib import suppress
from dataclasses import asdict
from importlib.metadata import version
from io import TextIOWrapper
from pathlib import Path
from typing import Annotated, Literal

from rich.console import Console
from rich.markup import escape
from rich.table import Table
from typer import Argument, Context, Exit, Option, Typer

from utils.app import course_model
from utils.app.manifest import DeployError
from utils.common import CourseError, printable
from utils.paths import NOTEBOOKS, PROJECTS, ROOT, chapter, chapters, course_home, model_folder
from utils.project import APP, NOTEBOOK, Project, new_project
from utils.quiz import load_bank, schedule
from utils.quiz.journal import Journal
from utils.quiz.questions import LETTERS, OUTCOMES, Feedback, Question
from utils.timings import record_seconds, say_seconds, seconds_of

# What takes seconds to import (fastai, nbformat) is imported by the commands that use it.


class Commands(Typer):
    """Says what was wrong in a sentence; prints to terminals and pipes of any encoding."""

    def __call__(self, *words: object, **options: object) -> object:
        """Run the command that was typed; exits with 1 when something was wrong."""
        for stream in (sys.stdout, sys.stderr):
            if isinstance(stream, TextIOWrapper):
                stream.reconfigure(errors="replace")  # where cp1252 has no →, say
        try:
            return super().__call__(*words, **options)
        except CourseError as error:
            sys.exit(str(error))
        except OSError as error:  # without a name: a disk that is full, say
            name = error.filename or "A file"
            sys.exit(f"{name} cannot be read or written ({error.strerror or error}).")


app = Commands(
    no_args_is_help=True,
    add_completion=False,
    pretty_exceptions_enable=False,
    help="Whole Game: a deep-learning course in notebooks. `course COMMAND --help` says more.",
)
data_app, bear_app = Typer(), Typer()
app.add_typer(data_app, name="data")
app.add_typer(bear_app, name="app")
console = Console()
running = Console(stderr=True).status("")  # a line on a terminal, gone when the work is done


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print rows under the names of their columns; nothing stands for None."""
    table = Table(*columns, box=None)
    for row in rows:
        table.add_row(*("" if cell is None else str(cell) for cell in row))
    console.print(table)


# -- chapters and data -----------------------------------------------------------------------------

PACKAGES = ("fastai", "torch", "torchvision", "timm", "jupyterlab", "ipywidgets", "nbval")


@app.command("info")
def print_info() -> None:
    """Device, cores, memory, versions, which data is here, how long each chapter takes."""
    from utils.device import machine

    print(machine())
    versions = [f"{name} {version(name)}" for name in PACKAGES]
    print("  versions", ", ".join([f"python {platform.python_version()}", *versions]))
    times = [[path.stem, say_seconds(seconds_of(path.stem))] for path in chapters()]
    print_table(["chapter", "time"], times)


Names = Annotated[list[str] | None, Argument(help="Chapters: 01, or 01_pet_classifier.")]
Every = Annotated[bool, Option("--all", help="Every chapter.")]


def named_chapters(names: list[str] | None, every: bool, command: str) -> list[Path]:
    """The chapters that a command names, or all of them."""
    if bool(names) == every:
        raise CourseError(f"Say which: `course {command} 01`, or `course {command} --all`.")
    return [chapter(name) for name in names] if names else chapters()


def show_cell(done: int, total: int, heading: str) -> None:
    """Say on a terminal how far a run is."""
    running.update(f"cell {done + 1} of {total}: {escape(heading)}")


@app.command("run")
def run_chapters(
    names: Names = None,
    every: Every = False,
    device: Annotated[str | None, Option(help="auto, cpu or cuda.")] = None,
    data: Annotated[str | None, Option(help="sample, full, or a folder of your own.")] = None,
    seed_shift: Annotated[int, Option(help="Move every seed by so many thousands.", min=0)] = 0,
    as_json: Annotated[
        bool, Option("--json", help="Print JSON: of one chapter, or a list.")
    ] = False,
) -> None:
    """Run copies of chapters from top to bottom, and check every figure they promise.

    Exits with 1, and the failing cell, when a cell fails or a figure is out of its bounds. Your
    answers and the chapters themselves stay as they are. Of several, the last table says which
    failed. Without --device and --data, COURSE_DEVICE and COURSE_DATA say where and on what.
    """
    paths = named_chapters(names, every, "run")
    from utils.data import resolve_source
    from utils.device import pick_device
    from utils.notebooks import run_chapter

    device, data = pick_device(device), resolve_source(data)
    rows, told, complaints, seconds = [], [], [], 0.0
    for path in paths:
        with running:
            run = run_chapter(path, device, data, show_cell, seed_shift)
        if run.failure:
            complaints.append(f"\n{path.stem} stopped.\n\n{run.failure}")
        else:
            record_seconds(path.stem, run.seconds)
            if data in ("sample", "full"):
                complaints += [f"{path.stem}: {complaint}" for complaint in run.complaints]
        told.append(asdict(run) | {"seconds": round(run.seconds, 1)})
        if not as_json:
            figures = [
                [row["name"], f"{row['value']:.4f}", row["at_least"], row["at_most"]]
                for row in run.expectations
            ]
            print_table(["figure", "value", "at least", "at most"], figures)
            print(f"{run.notebook} on {device}, {data}: {run.seconds:.0f} s, "
                  f"{run.peak_gib:.1f} GiB of memory at most")  # fmt: skip
        good = f"{sum(row['ok'] for row in run.expectations)} of {len(run.expectations)}"
        stopped = "stopped" if run.failure else ""
        rows.append([run.notebook, f"{run.seconds:.0f}", f"{run.peak_gib:.1f}", good, stopped])
        seconds += run.seconds
    if as_json:
        print(json.dumps(told if every or len(told) > 1 else told[0], indent=1))
    elif len(rows) > 1:
        rows.append(["all", f"{seconds:.0f}"])
        print_table(["chapter", "s", "GiB", "figures", ""], rows)
    if complaints:
        raise CourseError("\n".join(complaints))


@app.command("store")
def store(names: Names = None, every: Every = False) -> None:
    """For authors: run chapters on the CPU and the sample, and store them with their outputs."""
    paths = named_chapters(names, every, "store")
    from utils.lessons.ch00 import write_contents
    from utils.notebooks import store_chapter

    for path in paths:
        with running:
            run = store_chapter(path, show_cell)
        if run.failure:
            raise CourseError(f"{path.stem} was not stored.\n\n{run.failure}")
        is_the_courses = path.resolve() in chapters()
        record_seconds(path.stem, run.seconds, stored=is_the_courses)
        if is_the_courses:
            write_contents()
        print(f"{path.stem}: stored after {run.seconds:.0f} s")


@app.command("strip")
def strip(
    names: Names = None,
    every: Every = False,
    out: Annotated[Path, Option(help="The folder to write to.")] = NOTEBOOKS / "stripped",
) -> None:
    """Write copies with headings and code only, and a guess box before each cell.

    A copy you have run or written in is kept beside the new one.
    """
    from utils.notebooks import strip_file

    for path in named_chapters(names, every, "strip"):
        print(f"{out.name}/{strip_file(path, out).name}")


@data_app.callback(invoke_without_command=True)
def list_data(ctx: Context) -> None:
    """What is here, and what `full` would fetch and how large it is."""
    if ctx.invoked_subcommand:
        return
    from utils.data import inventory

    print_table(["set", "what", "ships with the course", "full"], inventory())
    print("COURSE_DATA=full uses the full sets; `course data fetch NAME` downloads one now.")


@data_app.command("fetch")
def fetch_data(
    name: Annotated[str, Argument(help="A set, as `course data` lists them.")],
    photos: Annotated[int | None, Option(help="Only so many pets or bears.", min=40)] = None,
) -> None:
    """Download a full public set once, for COURSE_DATA=full; or so many photos of pets or bears.

    COURSE_DATA=photos uses the photos.
    """
    from utils.data import fetch, fetch_photos

    if photos is None:
        fetch(name)
        return
    from fastai.data.transforms import get_image_files

    from utils.lessons.ch02 import fetch_bears

    fetchers = {"pets": fetch_photos, "bears": fetch_bears}
    if name not in fetchers:
        raise CourseError(f"--photos is for pets and bears, and {name} is neither.")
    folder = fetchers[name](photos)
    count = len(get_image_files(folder))
    print(f"{count} photos are in {folder}: start with COURSE_DATA=photos.")


@app.command("update")
def update_course(
    dry_run: Annotated[bool, Option(help="Only say what would be done.")] = False,
) -> None:
    """Bring the newest version of the course; cells that you changed or added are kept.

    What both you and the course changed is kept beside, as `….yours-1.ipynb`. Answers stay.
    """
    from utils.update import update

    pins = ROOT / "requirements.txt"
    before = pins.read_bytes()
    print("\n".join(update(ROOT, dry_run)))
    if pins.read_bytes() != before:
        print("Its libraries are newer too: `python start.py` renews the environment.")


# -- questions -------------------------------------------------------------------------------------


def print_feedback(question: Question, feedback: Feedback) -> None:
    """The verdict with its reasons, then the model answer; nothing typed is read as markup."""
    # the outcome without its sign, of which many a pipe makes a "?"; a blank answer has none
    head = f"{OUTCOMES[feedback.outcome][2:]}. " if feedback.outcome in OUTCOMES else ""
    console.print(escape(f"{head}{feedback.message}".rstrip()))
    if feedback.outcome != "blank":
        console.print(f"\n{escape(question.answer)}", style="dim")
        console.print(f"{question.notebook}: {escape(question.section)}\n", style="dim")


@app.command("check")
def check_answer(
    question: Annotated[str, Argument(help="A question's id, such as intro-05.")],
    answer: Annotated[str, Argument(help="What you would answer.")],
) -> None:
    """Judge an answer without keeping it."""
    try:
        asked = load_bank()[question]
    except KeyError as error:
        raise CourseError(error.args[0]) from None
    print_feedback(asked, asked.check(answer))


def read_line(prompt: str) -> str:
    """What is typed after `prompt`; Ctrl-D, Ctrl-C or q end the command."""
    try:
        line = input(prompt)
    except (EOFError, KeyboardInterrupt):
        line = "q"
    if line.strip().lower() == "q":
        raise Exit
    return line


@app.command("review")
def ask_due() -> None:
    """Ask what is due for review, one question at a time. Ctrl-D or q stops; all is kept."""
    bank, journal = load_bank(), Journal()
    for notice in journal.notices:
        print(notice)
    due, coming = schedule.due(journal, bank)
    if not due:
        console.print("Nothing is due." + (f" Next: {coming:%d %B %Y}." if coming else ""))
    for number, name in enumerate(due, start=1):
        question = bank[name]
        console.print(f"[bold]{number} of {len(due)}[/bold]  {escape(question.text)}")
        for letter, option in zip(LETTERS, getattr(question, "options", []), strict=False):
            console.print(f"  {letter}. {escape(option.text)}")
        answer = read_line("> ")
        feedback = question.check(answer)
        journal.record_answer(name, answer, feedback.outcome)
        print_feedback(question, feedback)
        if feedback.outcome != "blank":
            typed = read_line("Enter: next, r: I was right, p: partly, w: I was wrong, q: stop > ")
            verdicts = {"r": "right", "p": "partial", "w": "wrong"}
            if outcome := verdicts.get(typed.strip().lower()):
                journal.overrule(name, outcome)


@app.command("anki")
def write_deck(
    path: Annotated[Path, Argument(help="The deck to write.")] = Path("whole-game.apkg"),
) -> None:
    """Write the questions as a deck that Anki opens; a later deck updates an earlier one."""
    from utils.quiz.anki import write_apkg

    count = write_apkg(load_bank().values(), path)
    print(f"{count} cards in {path.absolute()}. In Anki: File → Import.")


@app.command("progress")
def print_progress() -> None:
    """For each chapter: questions, answered, right, due."""
    journal = Journal()
    for notice in journal.notices:
        print(notice)
    counts = schedule.progress(journal, load_bank())
    columns = ("questions", "answered", *schedule.RATINGS, "due")
    rows = [[name, *(row[column] for column in columns)] for name, row in counts.items()]
    print_table(["chapter", *columns], rows)


# -- the app ---------------------------------------------------------------------------------------

OfProject = Annotated[
    Path | None, Option("--project", help="A project's folder (`course new`), not the bears.")
]


def notebook_and_model(folder: Path | None) -> tuple[Path, Path]:
    """The notebook of an app and the folder of its model: of a project, or of the bears.

    Where the learner has no bear model yet, one is trained first.
    """
    if folder:
        project = Project.here(folder)
        return project.folder / APP, project.model
    from utils.app import export

    with suppress(DeployError):
        return export.NOTEBOOK, course_model("bears")
    from utils.app.save import save_model
    from utils.bears import train_bears
    from utils.device import use_device

    use_device()
    course_home()  # which must be there to write to
    print("There is no bear model on this computer yet. Training one now, as chapter 04 does:")
    print("about a minute on two cores.", flush=True)
    return export.NOTEBOOK, save_model(train_bears(), model_folder("bears"), subject="a bear")


@bear_app.callback(invoke_without_command=True)
def serve_app(
    ctx: Context,
    project: OfProject = None,
    port: Annotated[int, Option(help="Where on this computer.", min=1, max=65535)] = 8866,
    browser: Annotated[bool, Option(help="Open it in a browser.")] = True,
) -> None:
    """Serve the bear app, or a project's, on this computer (127.0.0.1); Ctrl-C stops it.

    Without a bear model yet, one is trained first. `course app export DIR` writes the app as a
    folder that a hosting service takes.
    """
    if ctx.invoked_subcommand:
        return
    from utils.app.predictor import Predictor
    from utils.app.server import check_port, serve

    check_port("127.0.0.1", port)
    notebook, model = notebook_and_model(project)
    Predictor(model)  # raises where the model is damaged
    serve(notebook, port, browser=browser)


@bear_app.command("export")
def export_folder(
    folder: Annotated[Path, Argument(help="A folder. Only an earlier export is replaced.")],
    project: OfProject = None,
) -> None:
    """Write the app as a folder that a hosting service takes, and say what to do next."""
    from utils.app.export import export_app

    notebook, model = notebook_and_model(project)
    files = export_app(folder, model, notebook)
    print(f"{folder} has the app, {len(files)} files. README.md there says how to run it here,")
    print("in a container (docker build), on Hugging Face and on Binder.")


@app.command("predict")
def predict(files: Annotated[list[Path], Argument(help="Pictures.")]) -> None:
    """Say what kind of bear each picture shows. Exits with 1 when a file is no picture."""
    from utils.app.predictor import Predictor
    from utils.images import ImageError

    predictor, failed = Predictor(course_model("bears")), False
    for file in files:
        try:
            (found,) = predictor.predict([file])
            shares = ", ".join(f"{label} {p:.3f}" for label, p in found.probabilities.items())
            said = f"{found.sentence}  [{shares}]"
        except ImageError as error:
            said, failed = str(error), True
        print(f"{printable(file)}: {said}")
    if failed:
        raise Exit(1)


# -- a project of one's own ------------------------------------------------------------------------

MADE = """
{folder} has your project, with a checklist in its README.md. Next:
  open it      {open}
  run it       Run → Run All Cells: it trains, shows what to clean, exports, and serves an app"""


@app.command("new")
def new(
    name: Annotated[str, Argument(help="What the project is to be called.")],
    data: Annotated[Path, Option(help="The folder with your pictures.")],
    labels: Annotated[
        Literal["01", "02"],
        Option("--from", help="As in 02, by folder or name; 01: cats have a capital letter."),
    ] = "02",
    into: Annotated[Path, Option(help="Where to make it.")] = PROJECTS,
) -> None:
    """Make a folder with your pictures and a notebook that runs on them as it is.

    Your pictures are copied, so that cleaning never touches the originals. Their labels are the
    folders they are in, or their names without a number, as in black_1.jpg. Folders train and
    valid are used as they are.
    """
    project = new_project(name, data, into, pets=labels == "01")
    project.check()
    jupyter, notebook = Path(sys.executable).with_name("jupyter"), project.folder / NOTEBOOK
    words = [str(jupyter), "lab", str(notebook.resolve())]
    command = subprocess.list2cmdline(words) if os.name == "nt" else shlex.join(words)
    if notebook.resolve().is_relative_to(NOTEBOOKS):
        command = "project.ipynb in there: `python start.py` shows what is in notebooks/projects"
    print(MADE.format(folder=project.folder, open=command))


if __name__ == "__main__":
    app()
