"""Where the course keeps its things: the repository, its data, and the learner's own folders."""

import errno
import os
import re
import sys
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory, TemporaryFile, gettempdir
from zlib import crc32

import platformdirs
from filelock import BaseFileLock, FileLock

from utils.common import CourseError

if sys.platform != "win32":
    import fcntl

ROOT = Path(__file__).resolve().parents[1]
DATA = ROOT / "data"
NOTEBOOKS = ROOT / "notebooks"
PROJECTS = NOTEBOOKS / "projects"  # the learner's own, where JupyterLab shows them; not in git
NO_LOCKS = (errno.ENOLCK, errno.ENOSYS, errno.ENOTSUP, errno.EOPNOTSUPP)


def _own_folder(variable: str, default: str, to_write: bool) -> Path:
    """The folder that `variable` names, made if need be; a relative one is below the course's.

    So each notebook means the same folder by it, wherever it was started.
    """
    named = os.environ.get(variable) or default
    try:
        folder = ROOT / Path(named).expanduser()
        folder.mkdir(parents=True, exist_ok=True)
        if to_write and not os.access(folder, os.W_OK | os.X_OK):
            raise PermissionError(errno.EACCES, "it is read-only")
    except (OSError, RuntimeError) as error:  # the latter: a `~somebody` whom nobody knows
        reason = getattr(error, "strerror", None) or error
        raise CourseError(
            f"The folder {named} cannot be used ({reason}): set {variable} to a folder that can be "
            "written to."
        ) from error
    return folder


def course_home(to_write: bool = True) -> Path:
    """What must never be lost (the learner's answers); `COURSE_HOME` moves it.

    Raises `CourseError` when it cannot be made or, unless it is only to be read, written to.
    """
    default = platformdirs.user_data_dir("whole-game", appauthor=False)
    return _own_folder("COURSE_HOME", default, to_write)


def course_cache() -> Path:
    """What can be made again (presized copies, timings); `COURSE_CACHE` moves it.

    Where that cannot be written to, a folder that goes with this process, and a sentence once.
    """
    default = platformdirs.user_cache_dir("whole-game", appauthor=False)
    try:
        return _own_folder("COURSE_CACHE", default, to_write=True)
    except CourseError as error:
        return Path(_temporary_cache(str(error)).name)


@cache
def _temporary_cache(why: str) -> TemporaryDirectory:
    print(f"{why} Until then, what could be kept there is made again each time.", file=sys.stderr)
    return TemporaryDirectory(prefix="whole-game-")


def file_lock(path: Path | str, timeout: float = -1) -> BaseFileLock:
    """filelock's `FileLock` of this file, for a `with`; works on a disk without locks too.

    There a file in this machine's own temporary folder is locked in its place, so that a lock
    still goes with its process.
    """
    path = Path(path).absolute()
    if not has_locks(path.parent):
        path = Path(gettempdir(), f"whole-game-{crc32(str(path).encode()):08x}.lock")
    return FileLock(path, timeout)


def has_locks(folder: Path) -> bool:
    """Whether files in `folder` can be locked, as some network disks that homes lie on cannot.

    SQLite and filelock use one kind of lock each. Where nothing can be written, none is asked for.
    """
    if sys.platform == "win32":  # whose network disks have locks
        return True
    for lock in (fcntl.lockf, fcntl.flock):
        try:
            # Never a file in use: closing it would let go of the locks that others hold on it.
            with TemporaryFile(dir=folder) as file:
                lock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except OSError as error:
            if error.errno in NO_LOCKS:
                return False
    return True


def model_folder(name: str) -> Path:
    """Where the learner's own model of this name is kept; made by `utils.app`, if at all."""
    return course_home(to_write=False) / "models" / name


def path_with_course() -> str:
    """`PATH` with the environment's own commands first, so that `course` is found in notebooks."""
    return os.pathsep.join([str(Path(sys.executable).parent), os.environ.get("PATH", os.defpath)])


def chapters() -> list[Path]:
    """The notebooks of the course in reading order."""
    named = NOTEBOOKS.glob("[0-9][0-9]_*.ipynb")
    # not a learner's copy of one: `01_….yours-1.ipynb`, or `01_…-Copy1.ipynb` as JupyterLab has it
    return sorted(path for path in named if re.fullmatch(r"\w+", path.stem))


def chapter(name: str) -> Path:
    """The notebook that `name` means: `01`, `1`, `01_pet_classifier` or a path to a notebook.

    Raises `CourseError` with the names there are.
    """
    path = Path(name)
    if path.suffix == ".ipynb" and path.exists():
        return path
    for found in chapters():
        if path.stem == found.stem or (name and name.zfill(2) == found.stem[:2]):
            return found
    known = ", ".join(p.stem for p in chapters())
    raise CourseError(f"No chapter is called {name!r}. There are: {known}.")
