"""`course new`: a project of the learner's own."""

import sys
from pathlib import Path
from typing import Annotated, Literal

import typer

from utils.common import CourseError
from utils.paths import NOTEBOOKS, PROJECTS, ROOT
from utils.terminal import fail, quoted

app = typer.Typer()
NEXT = """
{folder} has your project, with a checklist in its README.md. Next:
  {open}
  run it       Run → Run All Cells: it trains, shows what to clean, exports, and serves an app"""
INSIDE = "make lab     and in JupyterLab open {notebook}"
# JupyterLab shows what is below the folder it was started in, and the course's is notebooks.
OUTSIDE = "type         {jupyter} lab {notebook}"


@app.command()
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
    from utils.project import NOTEBOOK, new_project  # fastai takes seconds to import

    try:
        project = new_project(name, data, chapter, into)
    except CourseError as error:
        raise fail(error) from None
    project.check()
    notebook = (project.folder / NOTEBOOK).resolve()
    if notebook.is_relative_to(NOTEBOOKS):
        folder = notebook.parent.relative_to(ROOT)
        how = INSIDE.format(notebook=notebook.relative_to(NOTEBOOKS))
    else:
        folder, jupyter = project.folder, Path(sys.executable).with_name("jupyter")
        how = OUTSIDE.format(jupyter=quoted(jupyter), notebook=quoted(notebook))
    print(NEXT.format(folder=folder, open=how))
