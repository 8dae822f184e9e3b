"""What every part of the course rests on: errors a learner can read, names, files written whole."""

import atexit
import os
import re
import shutil
import socket
import subprocess
from collections.abc import Collection, Iterator
from contextlib import contextmanager, suppress
from itertools import count
from pathlib import Path
from threading import Thread

AS_UTF8 = "save it again as UTF-8 (Excel calls that CSV UTF-8; editors have it under Save As)"
SPLIT = re.compile(r"(train|val|test)(ing|id|idation)?([ _-]?set)?", re.IGNORECASE)


class CourseError(Exception):
    """An error whose one sentence is all a learner needs: notebooks show it without a traceback."""

    def _render_traceback_(self) -> list[str]:  # IPython asks for this before it makes its own
        return [f"{type(self).__name__}: {self}"]


def printable(name: object) -> str:
    """A file may be called anything: nothing in its name may steer the terminal."""
    return "".join(c if c.isprintable() else "?" for c in str(name))


def listed(names: Collection[object], most: int = 5) -> str:
    """The first of `names` with commas between, `printable`, and how many more there are."""
    first = ", ".join(printable(name) for name in [*names][:most])
    return first + (f" and {len(names) - most} more" if len(names) > most else "")


def write_whole(path: Path, content: str | bytes) -> None:
    """Write a file, text as UTF-8: after a kill or a power cut it is whole, new or as it was.

    Two processes may write at once. Who may read it stays as it was; raises `OSError`.
    """
    part = path.with_name(f".{path.name}.{os.getpid()}.part")
    try:
        with part.open("wb") as file:
            file.write(content.encode() if isinstance(content, str) else content)
            file.flush()
            os.fsync(file.fileno())
        with suppress(FileNotFoundError):
            shutil.copymode(path, part)
        part.replace(path)
    finally:
        part.unlink(missing_ok=True)


@contextmanager
def made_whole(path: Path) -> Iterator[Path]:
    """A free name beside `path`, to make a file or a folder there; it takes its place at the end.

    After a kill or an error `path` is as it was, never in part. (Where a folder takes a folder's
    place there is a moment between two renames; killed then, it is put back the next time.) What
    is left over goes then too. One at a time: hold a lock where two could come.
    """
    part, old = (path.with_name(f".{path.name}.{end}") for end in ("part", "old"))
    path.parent.mkdir(parents=True, exist_ok=True)
    _remove(part)
    if old.exists() and not path.exists():
        old.replace(path)
    try:
        yield part
        if path.is_dir():  # onto which nothing can be renamed
            _remove(old)
            path.replace(old)
        part.replace(path)
    finally:
        _remove(part)
        _remove(old)


def _remove(path: Path) -> None:
    if path.is_dir() and not path.is_symlink():
        shutil.rmtree(path)
    else:
        path.unlink(missing_ok=True)


def beside(path: Path, own: bytes) -> Path:
    """Where a learner's file stays when the course's takes its name: `….yours-1.ipynb`, or -2.

    A name that nothing has, or a file that has the content `own` already.
    """
    names = (path.with_suffix(f".yours-{number}{path.suffix}") for number in count(1))
    return next(name for name in names if not name.exists() or name.read_bytes() == own)


def split_of(folder: str) -> str:
    """What a folder called `Train`, `val` or `test_set` is meant as; "" for any other name."""
    found = SPLIT.fullmatch(folder)
    return {"val": "valid"}.get(found[1].lower(), found[1].lower()) if found else ""


def free_port() -> int:
    """A port of this computer's own address that nothing listens on."""
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        return probe.getsockname()[1]


def served(command: list[str], **environment: str) -> tuple[subprocess.Popen, str]:
    """Start a server, which ends with this process, and wait for the address that it prints.

    Raises `CourseError` with what the server said when it does not start.
    """
    # Its token is its own: that of the Jupyter around this kernel is for nobody else's eyes.
    env = os.environ | {"JUPYTER_TOKEN": ""} | environment
    pipe, both = subprocess.PIPE, subprocess.STDOUT
    process = subprocess.Popen(command, env=env, text=True, stdout=pipe, stderr=both)
    atexit.register(process.terminate)
    said = ""
    for line in process.stdout or ():
        said += line
        if address := re.search(r"http://\S+", line):
            # Read on, or the app would stand still once the pipe is full.
            Thread(target=process.communicate, daemon=True).start()
            return process, address[0]
    raise CourseError(f"The app did not start: {said.strip()}")
