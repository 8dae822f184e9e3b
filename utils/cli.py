"""The `course` command."""

import json
import os
import platform
import shlex
import subprocess
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager, suppress
from importlib.metadata import version
from io import TextIOWrapper
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Literal

import typer
from rich.console import Console
from rich.markup import escape
from rich.progress import BarColumn, MofNCompleteColumn, Progress, TimeElapsedColumn
from rich.table import Table

from utils.common import CourseError, printable
from utils.paths import NOTEBOOKS, PROJECTS, ROOT, chapter, chapters, course_home, model_folder
from utils.quiz import load_bank, schedule
from utils.quiz.journal import Journal
from utils.quiz.questions import Feedback, Question
from utils.timings import record_seconds, say_seconds, seconds_of

if TYPE_CHECKING:
    from utils.notebooks import Run

# What takes a moment to import (fastai, ONNX Runtime) is imported by the commands that use it.


class Commands(typer.Typer):
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
data_app = typer.Typer(invoke_without_command=True, help="What data is here, and what can be.")
bear_app = typer.Typer(
    invoke_without_command=True, help="The bear app in a browser; or a folder of it."
)
app.add_typer(data_app, name="data")
app.add_typer(bear_app, name="app")
console = Console()


def print_table(columns: Sequence[str], rows: Iterable[Sequence[object]]) -> None:
    """Print rows under the names of their columns."""
    table = Table(*columns, box=None)
    for row in rows:
        table.add_row(*map(str, row))
    console.print(table)


def quoted(word: object) -> str:
    """`word` as it is typed in a command, with quotes where it needs them."""
    return subprocess.list2cmdline([str(word)]) if os.name == "nt" else shlex.quote(str(word))


# -- chapters and data -----------------------------------------------------------------------------

PACKAGES = ("fastai", "torch", "torchvision", "timm", "jupyterlab", "ipywidgets", "nbval")


@app.command("info")
def print_info() -> None:
    """Device, cores, memory, versions, which data is here, how long each chapter takes."""
    from utils.data import source_label
    from utils.device import machine

    here = machine()
    versions = {"python": platform.python_version()} | {p: version(p) for p in PACKAGES}
    rows = {
        "device": here.device_title,
        "cores": here.cores,
        "memory": f"{here.memory / 1e9:.0f} GB ({here.memory_free / 1e9:.0f} GB free)",
        "numbers": f"{here.precision}, {here.workers} loading processes",
        "versions": ", ".join(f"{name} {number}" for name, number in versions.items()),
        "data": f"{source_label()} (COURSE_DATA)",
    }
    rows |= {path.stem: say_seconds(seconds_of(path.stem)) for path in chapters()}
    print_table(["what", "here"], rows.items())


@contextmanager
def progress_bar(name: str) -> Iterator[Callable[[int, int, str], None]]:
    """On a terminal, a bar over the chapter's cells; gives the function that moves it."""
    columns = (BarColumn(), MofNCompleteColumn(), TimeElapsedColumn(), "{task.description}")
    screen, hidden = Console(stderr=True), not sys.stderr.isatty()
    with Progress(*columns, console=screen, disable=hidden, transient=True) as bars:
        bar = bars.add_task(name, total=None)

        def move(done: int, total: int, heading: str) -> None:
            bars.update(bar, completed=done, total=total, description=f"{name}: {heading}")

        yield move


Names = Annotated[list[str] | None, typer.Argument(help="Chapters: 01, or 01_pet_classifier.")]
Every = Annotated[bool, typer.Option("--all", help="Every chapter.")]


def named_chapters(names: list[str] | None, every: bool, command: str) -> list[Path]:
    """The chapters that a command names, or all of them."""
    if bool(names) == every:
        raise CourseError(f"Say which: `course {command} 01`, or `course {command} --all`.")
    return [chapter(name) for name in names] if names else chapters()


def print_run(run: "Run") -> None:
    """What came of a run: each figure beside its bounds, then what it took."""
    rows = []
    for row in run.expectations:
        bounds = ["" if row[b] is None else f"{row[b]:g}" for b in ("at_least", "at_most")]
        rows.append([row["name"], f"{row['value']:.4f}", *bounds, "ok" if row["ok"] else "NOT OK"])
    print_table(["figure", "value", "at least", "at most", ""], rows)
    print(f"{run.notebook} on {run.device}, {run.data}: {run.seconds:.0f} s, "
          f"{run.peak_gib:.1f} GiB of memory at most")  # fmt: skip


@app.command("run")
def run_chapters(
    names: Names = None,
    every: Every = False,
    device: Annotated[
        str, typer.Option(help="auto, cpu or cuda.", envvar="COURSE_DEVICE")
    ] = "auto",
    data: Annotated[
        str, typer.Option(help="sample, full, or a folder of your own.", envvar="COURSE_DATA")
    ] = "sample",
    seed_shift: Annotated[
        int, typer.Option(help="For authors: move every seed by this many thousands.", min=0)
    ] = 0,
    as_json: Annotated[
        bool, typer.Option("--json", help="Print JSON, for a program to read.")
    ] = False,
) -> None:
    """Run copies of chapters from top to bottom, and check every figure they promise.

    Exits with 1, and the failing cell, when a cell fails or a figure is out of its bounds. Your
    answers and the chapters themselves stay as they are. Of several, the last table says which
    failed; their JSON is a list.
    """
    paths = named_chapters(names, every, "run")
    from utils.data import resolve_source
    from utils.device import pick_device
    from utils.notebooks import run_chapter

    device, data = pick_device(device), resolve_source(data)
    runs, complaints = [], []
    for path in paths:
        with progress_bar(path.stem) as on_cell:
            run = run_chapter(path, device, data, on_cell, seed_shift)
        runs.append(run)
        if run.failure:
            complaints.append(f"\n{path.stem} stopped.\n\n{run.failure}")
        else:
            record_seconds(path.stem, run.seconds)
            if data in ("sample", "full"):
                complaints += [f"{path.stem}: {complaint}" for complaint in run.complaints]
        if not as_json:
            print_run(run)
    if as_json:
        told = [run.as_dict() for run in runs]
        print(json.dumps(told if every or len(told) > 1 else told[0], indent=1))
    elif len(runs) > 1:
        rows = []
        for run in runs:
            good = f"{sum(row['ok'] for row in run.expectations)} of {len(run.expectations)}"
            stopped = "stopped" if run.failure else ""
            rows.append([run.notebook, f"{run.seconds:.0f}", f"{run.peak_gib:.1f}", good, stopped])
        rows.append(["all", f"{sum(run.seconds for run in runs):.0f}", "", "", ""])
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
        with progress_bar(path.stem) as on_cell:
            run = store_chapter(path, on_cell)
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
    out: Annotated[
        Path, typer.Option(help="The folder to write to.", show_default="notebooks/stripped")
    ] = NOTEBOOKS / "stripped",
) -> None:
    """Write copies with headings and code only, and a guess box before each cell.

    A copy you have written in is kept beside the new one.
    """
    from utils.notebooks import strip_file

    for path in named_chapters(names, every, "strip"):
        print(f"{out.name}/{strip_file(path, out).name}")


@data_app.callback()
def list_data(ctx: typer.Context) -> None:
    """What is here, and what `full` would fetch and how large it is."""
    if ctx.invoked_subcommand:
        return
    from utils.data import inventory

    rows = []
    for row in inventory():
        files = row["sample_files"]
        sample = f"{files} files, {row['sample_mb']} MB" if files else "no"
        full, size = "there is none", ""
        if row["full_mb"] is not None:
            full, size = "here" if row["full_here"] else "not here", f"{row['full_mb']:,} MB"
        rows.append([row["name"], row["title"], sample, full, size])
    print_table(["set", "what", "ships with the course", "full", "size of full"], rows)
    print("COURSE_DATA=full uses the full sets; `course data fetch NAME` downloads one now.")


@data_app.command("fetch")
def fetch_data(
    name: Annotated[str, typer.Argument(help="A set, as `course data` lists them.")],
    photos: Annotated[
        int | None,
        typer.Option(help="Only so many pets or bears, for `COURSE_DATA=photos`.", min=40),
    ] = None,
) -> None:
    """Download a full public set once, for `COURSE_DATA=full`; or some photos of pets or bears."""
    from fastai.data.transforms import get_image_files

    from utils.data import fetch, fetch_photos

    if photos is None:
        fetch(name)
        return
    if name == "pets":
        folder = fetch_photos(photos)
    elif name == "bears":
        from utils.lessons.ch02 import fetch_bears  # seconds to import

        folder = fetch_bears(photos)
    else:
        raise CourseError(f"--photos is for pets and bears, and {name} is neither.")
    count = len(get_image_files(folder))
    print(f"{count} photos are in {folder}: start with COURSE_DATA=photos.")


@app.command("update")
def update_course(
    dry_run: Annotated[bool, typer.Option(help="Only say what would be done.")] = False,
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
    console.print(escape(feedback.message))
    if feedback.outcome != "blank":
        console.print(f"\n{escape(question.answer)}", style="dim")
        console.print(f"{question.notebook}: {escape(question.section)}\n", style="dim")


@app.command("check")
def check_answer(
    question: Annotated[str, typer.Argument(help="A question's id, such as intro-05.")],
    answer: Annotated[str, typer.Argument(help="What you would answer.")],
) -> None:
    """Judge an answer without keeping it."""
    try:
        asked = load_bank()[question]
    except KeyError as error:
        raise CourseError(error.args[0]) from None
    print_feedback(asked, asked.check(answer))


def read_line(prompt: str) -> str | None:
    """What is typed after `prompt`; None for Ctrl-D, Ctrl-C or q, which stop."""
    try:
        line = input(prompt)
    except (EOFError, KeyboardInterrupt):
        return None
    return None if line.strip().lower() == "q" else line


@app.command("review")
def ask_due() -> None:
    """Ask what is due for review, one question at a time. Ctrl-D or q stops; all is kept."""
    bank, journal = load_bank(), Journal()
    due = schedule.due(journal, bank)
    for notice in journal.notices:
        console.print(escape(notice), style="bold")
    if not due:
        coming = schedule.next_due(journal, bank)
        console.print("Nothing is due." + (f" Next: {coming:%d %B %Y}." if coming else ""))
    for number, name in enumerate(due, start=1):
        question = bank[name]
        console.print(f"[bold]{number} of {len(due)}[/bold]  {escape(question.text)}")
        for place, option in enumerate(getattr(question, "options", []), start=1):
            console.print(f"  {place}. {escape(option.text)}")
        answer = read_line("> ")
        if answer is None:
            return
        feedback = question.check(answer)
        journal.record_answer(name, answer, feedback.outcome, feedback.score, source="terminal")
        schedule.record_review(journal, name, feedback.outcome)
        print_feedback(question, feedback)
        if feedback.outcome == "blank":
            continue
        verdict = read_line("Enter: next, r: I was right, p: partly, w: I was wrong, q: stop > ")
        if verdict is None:
            return
        if outcome := {"r": "right", "p": "partial", "w": "wrong"}.get(verdict.strip().lower()):
            journal.overrule(name, outcome)
            schedule.overrule_review(journal, name, outcome)


@app.command("anki")
def write_deck(
    path: Annotated[Path, typer.Argument(help="The deck to write.")] = Path("whole-game.apkg"),
) -> None:
    """Write the questions as a deck that Anki opens; a later deck updates an earlier one."""
    from utils.quiz.anki import write_apkg

    count = write_apkg(load_bank().values(), path)
    print(f"{count} cards in {path.absolute()}. In Anki: File → Import.")


@app.command("progress")
def print_progress() -> None:
    """For each chapter: questions, answered, right, due."""
    journal = Journal()
    counts = schedule.progress(journal, load_bank())
    for notice in journal.notices:
        console.print(escape(notice), style="bold")
    columns = ("questions", "answered", *schedule.RATINGS, "due")
    rows = [[name, *(row[column] for column in columns)] for name, row in counts.items()]
    print_table(["chapter", *columns], rows)


# -- the app ---------------------------------------------------------------------------------------

TRAINING = (
    "There is no bear model on this computer yet. Training one now, as chapter 04 does: about a "
    "minute on two cores."
)
EXPORTED = """
{folder} has the app, {count} files. Next, one of these (README.md there says how):
  try it here     it has a requirements.txt of its own, without PyTorch
  any container   docker build --tag app {folder}
  Hugging Face    a new Space of the kind Docker takes the folder as it is
  Binder          push it to a public git repository"""
OfProject = Annotated[
    Path | None,
    typer.Option("--project", help="A project's folder (`course new`), in place of the bears."),
]


def bear_model() -> Path:
    """The folder of the learner's bear model; where there is none yet, one is trained first."""
    from utils.app import course_model
    from utils.app.manifest import DeployError

    with suppress(DeployError):
        return course_model("bears")
    from utils.app.save import save_model
    from utils.bears import train_bears
    from utils.device import use_device

    use_device()
    course_home()  # which must be there to write to
    print(TRAINING, flush=True)
    return save_model(train_bears(), model_folder("bears"), subject="a bear")


def notebook_and_model(folder: Path | None) -> tuple[Path, Path]:
    """The notebook of an app and the folder of its model: of a project, or of the bears."""
    if folder is None:
        from utils.app.export import NOTEBOOK

        return NOTEBOOK, bear_model()
    from utils.project import APP, Project

    project = Project.here(folder)
    if not project.model.exists():
        raise CourseError(
            f"{project.name} has no model yet: run its project.ipynb down to the export."
        )
    return project.folder / APP, project.model


@bear_app.callback()
def serve_app(
    ctx: typer.Context,
    project: OfProject = None,
    port: Annotated[int, typer.Option(help="Where on this computer.", min=1, max=65535)] = 8866,
    browser: Annotated[bool, typer.Option(help="Open it in a browser.")] = True,
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
    folder: Annotated[Path, typer.Argument(help="A folder. Only an earlier export is replaced.")],
    project: OfProject = None,
) -> None:
    """Write the app as a folder that a hosting service takes, and say what to do next."""
    from utils.app.export import export_app

    notebook, model = notebook_and_model(project)
    files = export_app(folder, model, notebook)
    print(EXPORTED.format(folder=quoted(folder), count=len(files)))


@app.command("predict")
def predict(files: Annotated[list[Path], typer.Argument(help="Pictures.")]) -> None:
    """Say what kind of bear each picture shows. Exits with 1 when a file is no picture."""
    from utils.app import course_model
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
        raise typer.Exit(1)


# -- a project of one's own ------------------------------------------------------------------------

MADE = """
{folder} has your project, with a checklist in its README.md. Next:
  {open}
  run it       Run → Run All Cells: it trains, shows what to clean, exports, and serves an app"""


@app.command("new")
def new(
    name: Annotated[str, typer.Argument(help="What the project is to be called.")],
    data: Annotated[Path, typer.Option(help="The folder with your pictures.")],
    chapter: Annotated[
        Literal["01", "02"],
        typer.Option(
            "--from",
            help="How labels are found. 02: a folder for each kind, in train and valid if you have "
            "divided them, or file names such as black_1.jpg; 01: cats and dogs named as the "
            "public pets are.",
        ),
    ] = "02",
    into: Annotated[
        Path, typer.Option(help="Where to make it.", show_default="notebooks/projects")
    ] = PROJECTS,
) -> None:
    """Make a folder with your pictures and a notebook that runs on them as it is.

    Your pictures are copied, so that cleaning never touches the originals.
    """
    from utils.project import NOTEBOOK, new_project

    project = new_project(name, data, chapter, into)
    project.check()
    folder, notebook = project.folder, (project.folder / NOTEBOOK).resolve()
    if notebook.is_relative_to(NOTEBOOKS):
        folder = notebook.parent.relative_to(ROOT)
        how = f"python start.py     and in JupyterLab open {notebook.relative_to(NOTEBOOKS)}"
    else:  # JupyterLab shows what is below the folder it was started in: the course's is notebooks
        jupyter = Path(sys.executable).with_name("jupyter")
        how = f"type         {quoted(jupyter)} lab {quoted(notebook)}"
    print(MADE.format(folder=folder, open=how))


if __name__ == "__main__":
    app()
