"""What the cleaner asks of the disk: renaming without overwriting, writing whole, saying why not.

Nothing here knows of sets or labels. A file is known again by its `mark`.
"""

import errno
import os
import stat
from collections.abc import Callable, Iterable, Iterator
from contextlib import contextmanager
from functools import partial
from hashlib import blake2b
from pathlib import Path
from shutil import copymode

from filelock import Timeout

from utils.common import CourseError


class CleanerError(CourseError):
    """Nothing was changed; the sentence says why and what to type or do."""


def shown(name: object) -> str:
    """A file may be called anything: nothing in its name may steer the terminal."""
    return "".join(c if c.isprintable() else "?" for c in str(name))


@contextmanager
def told(where: Path) -> Iterator[None]:
    """Say in a sentence what the system refuses; `where` is what was worked on."""
    try:
        yield
    except Timeout as error:
        raise CleanerError(
            f"Nothing was changed: another kernel is cleaning {where.name}. Wait for it, or stop it"
            " and try again."
        ) from error
    except OSError as error:
        name, of = shown(error.filename or where), shown(where.name)
        if error.errno in (errno.EROFS, errno.EACCES, errno.EPERM):
            what = (
                f"{name} is read-only, or in a folder that is: make that writable, or clean a copy"
                " of the set."
            )
        elif error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EFBIG):
            what = f"there is no room left on the disk of {name}: free some space and try again."
        elif error.errno == errno.EXDEV:
            what = (
                f"{of} and {of}.cleaning are on different disks: copy the set into"
                " an ordinary folder and clean it there."
            )
        else:
            what = f"{name}: {error.strerror or error}. Mend that and try again."
        raise CleanerError(f"Nothing was changed: {what}") from error


def mark(path: Path) -> str | None:
    """What tells whether a file is still the same: a digest of its content, or where it points.

    None when there is no file.
    """
    try:
        if path.is_symlink():
            return f"link to {path.readlink()}"
        digest = blake2b(digest_size=16)
        with path.open("rb") as file:
            while block := file.read(2**20):
                digest.update(block)
        return digest.hexdigest()
    except FileNotFoundError:
        return None


# -- folders ---------------------------------------------------------------------------------------


def sync(folders: Iterable[Path]) -> None:
    """Wait until the names in these folders are on the disk (Windows knows no such call)."""
    for folder in folders if os.name != "nt" else ():
        if folder.is_dir():
            handle = os.open(folder, os.O_RDONLY)
            try:
                os.fsync(handle)
            finally:
                os.close(handle)


def make_folder(folder: Path) -> None:
    """Make a folder and those above it; when it returns their names are on the disk."""
    if folder.is_dir():
        return
    make_folder(folder.parent)
    try:
        folder.mkdir(exist_ok=True)
    except FileExistsError as error:
        raise NotADirectoryError(errno.ENOTDIR, "a file is in the way", str(folder)) from error
    sync([folder.parent])


# -- writing and renaming --------------------------------------------------------------------------


def temporary(path: Path) -> Path:
    """Where a new version of a file is written; a kill may leave it behind."""
    return path.with_name(f".{path.name}.cleaning")


def write(path: Path, content: bytes) -> None:
    """Write a file so that it is there whole or, after a kill, as it was."""
    new = temporary(path)
    try:
        with new.open("wb") as file:
            file.write(content)
            file.flush()
            os.fsync(file.fileno())
        if path.exists():
            copymode(path, new)
        new.replace(path)
    except BaseException:
        new.unlink(missing_ok=True)
        raise
    sync([path.parent])


def move(moves: list[tuple[Path, Path]]) -> None:
    """Rename files, never onto a name that is taken.

    First every file gets its new name beside the old one, then the old names go; each half is on
    the disk before the next begins. Raises `FileExistsError` when a name is taken.
    """
    for source, target in moves:
        _claim(source, target)
    sync({target.parent for _, target in moves})
    for source, target in moves:
        if _is_same(source, target):
            source.unlink()
        else:  # the name is only reserved
            source.replace(target)
    sync({end.parent for ends in moves for end in ends})


def _claim(source: Path, target: Path) -> None:
    """Give a file its new name; on a disk without hard links, reserve that with an empty file."""
    make_folder(target.parent)
    try:
        os.link(source, target, follow_symlinks=False)
    except FileExistsError:
        raise
    except (OSError, NotImplementedError):
        target.open("xb").close()


def way_back(source: Path, target: Path, content: str) -> Callable[[], object] | None:
    """What takes a file of a `move` that stopped anywhere back to `source`; `content` is its mark.

    Raises `CleanerError` when somebody has taken that name since.
    """
    if not os.path.lexists(target):
        return None
    if not os.path.lexists(source):
        return partial(move, [(target, source)])
    if _is_same(source, target):
        return target.unlink
    if mark(source) == content:  # it has not left; its new name is at most reserved
        return target.unlink if _is_empty(target) else None
    if mark(target) != content:
        return None
    if _is_empty(source):  # its way back had begun; its old name is reserved
        return partial(target.replace, source)
    raise CleanerError(
        f"A step that was interrupted cannot be taken back: {shown(source)} is taken by another"
        " file now. Move that file away and open the set again."
    )


def _is_same(one: Path, other: Path) -> bool:
    return os.path.samestat(one.lstat(), other.lstat())


def _is_empty(path: Path) -> bool:
    found = path.lstat()
    return stat.S_ISREG(found.st_mode) and found.st_size == 0
