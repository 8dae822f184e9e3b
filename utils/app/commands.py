"""The parts of `course` that use the bear model: `app`, `app export` and `predict`."""

from dataclasses import asdict
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from utils.images import ImageError
from utils.terminal import fail, print_json, quoted

if TYPE_CHECKING:  # ONNX Runtime takes a moment to import, and most of `course` does without
    from utils.app.predictor import Predictor

app = typer.Typer()
app_app = typer.Typer(
    invoke_without_command=True, help="The bear app in a browser; or a folder of it."
)
app.add_typer(app_app, name="app")
TRAINING = (
    "There is no bear model on this computer yet. Training one now, as chapter 04 does: about a "
    "minute on two cores."
)
NEXT = """
{folder} has the app, {count} files. Next, one of these (README.md there says how):
  try it here     it has a requirements.txt of its own, without PyTorch
  any container   docker build --tag app {folder}
  Hugging Face    a new Space of the kind Docker takes the folder as it is
  Binder          push it to a public git repository"""


Of = Annotated[
    Path | None,
    typer.Option("--project", help="A project's folder (`course new`), in place of the bears."),
]


@app_app.callback()
def serve_app(
    ctx: typer.Context,
    project: Of = None,
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
    notebook, model = _app_of(project)
    Predictor(model)
    serve(notebook, port, browser=browser)


def _app_of(project: Path | None) -> tuple[Path, Path]:
    """The notebook and the model's folder: of a project, or of the bears."""
    if project is None:
        from utils.app.export import NOTEBOOK

        return NOTEBOOK, _model_or_train()
    from utils.app.manifest import NAME, DeployError
    from utils.project import APP, Project

    made = Project.here(project)
    if not (made.model / NAME).exists():
        raise DeployError(
            f"{made.name} has no model yet: run its project.ipynb down to the export."
        )
    return made.folder / APP, made.model


def _model_or_train() -> Path:
    """The bear model's folder, filled first if it is empty."""
    from utils.app import course_model
    from utils.app.manifest import DeployError
    from utils.paths import course_home, model_folder

    try:
        return course_model("bears")
    except DeployError:
        pass
    from utils.app.save import save_model
    from utils.bears import train_bears  # PyTorch takes seconds to import
    from utils.device import use_device

    use_device()
    course_home()  # which must be there to write to
    print(TRAINING, flush=True)
    return save_model(train_bears(), model_folder("bears"), subject="a bear")


@app_app.command()
def export(
    folder: Annotated[Path, typer.Argument(help="A new or empty folder, or an earlier export.")],
    project: Of = None,
) -> None:
    """Write the app as a folder that a hosting service takes, and say what to do next."""
    from utils.app.export import export_app

    notebook, model = _app_of(project)
    try:
        files = export_app(folder, model, notebook)
    except OSError as error:
        raise fail(f"{folder} could not be written: {error.strerror or error}.") from None
    print(NEXT.format(folder=quoted(folder), count=len(files)))


@app.command()
def predict(
    files: Annotated[list[Path], typer.Argument(help="Pictures.")],
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON instead of lines.")] = False,
) -> None:
    """Say what kind of bear each picture shows. Exits with 1 when a file is no picture."""
    from utils.app import course_model
    from utils.app.predictor import Predictor

    predictor = Predictor(course_model("bears"))
    rows = [_row(predictor, file) for file in files]
    if as_json:
        print_json(rows)
    else:
        for row in rows:
            print(_line(row))
    if any("problem" in row for row in rows):
        raise typer.Exit(1)


def _row(predictor: "Predictor", file: Path) -> dict:
    """What there is to say of one file."""
    try:
        (prediction,) = predictor.predict([file])
    except ImageError as error:
        return {"file": str(file), "problem": str(error)}
    return {"file": str(file)} | asdict(prediction)


def _line(row: dict) -> str:
    # A file may be called anything: nothing in its name may steer the terminal.
    name = "".join(c if c.isprintable() else "?" for c in row["file"])
    if "problem" in row:
        return f"{name}: {row['problem']}"
    shares = ", ".join(f"{label} {p:.3f}" for label, p in row["probabilities"].items())
    return f"{name}: {row['sentence']}  [{shares}]"
