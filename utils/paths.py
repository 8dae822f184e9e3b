"""Where the course keeps its things: the repository, its data, and the learner's own folders."""

import os
import sys
from pathlib import Path

import platformdirs

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT / "data"
NOTEBOOKS = ROOT / "notebooks"
PROJECTS = NOTEBOOKS / "projects"  # the learner's own, where JupyterLab shows them; not in git


def _own_folder(variable: str, default: str) -> Path:
    folder = Path(os.environ.get(variable) or default).expanduser()
    folder.mkdir(parents=True, exist_ok=True)
    return folder


def course_home() -> Path:
    """What must never be lost (the learner's answers); `COURSE_HOME` moves it."""
    return _own_folder("COURSE_HOME", platformdirs.user_data_dir("whole-game", appauthor=False))


def course_cache() -> Path:
    """What can be made again (presized copies, timings); `COURSE_CACHE` moves it."""
    return _own_folder("COURSE_CACHE", platformdirs.user_cache_dir("whole-game", appauthor=False))


def model_folder(name: str) -> Path:
    """Where the learner's own model of this name is kept; made by `utils.deploy`, if at all."""
    return course_home() / "models" / name


def path_with_course() -> str:
    """`PATH` with the environment's own commands first, so that `course` is found in notebooks."""
    return os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])


def chapters() -> list[Path]:
    """The notebooks of the course in reading order."""
    return sorted(NOTEBOOKS.glob("[0-9][0-9]_*.ipynb"))


def chapter(name: str) -> Path:
    """The notebook that `name` means: `01`, `1`, `01_pet_classifier` or a path to a notebook.

    Raises `FileNotFoundError` with the names there are.
    """
    path = Path(name)
    if path.suffix == ".ipynb" and path.exists():
        return path
    for found in chapters():
        if path.stem == found.stem or name.zfill(2) == found.stem[:2]:
            return found
    known = ", ".join(p.stem for p in chapters())
    raise FileNotFoundError(f"No chapter is called {name!r}. There are: {known}.")
