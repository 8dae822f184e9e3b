"""A set of pictures in class folders: what is chosen for each, and Apply, Undo and Redo.

Beside the set, in `<set>.cleaning`, lie the trash, a lock and the journal, one file that is always
written whole. Before the first picture moves, the journal says what is being done; after the last,
that it is done. Whoever opens the set after a kill finds that, and takes the moves back.
"""

import json
import os
import re
import unicodedata
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, field, replace
from datetime import datetime, timezone
from hashlib import blake2b
from itertools import chain, count
from pathlib import Path, PurePosixPath

from filelock import Timeout

from utils.common import CourseError, listed, printable, split_of, write_whole
from utils.images import SUFFIXES
from utils.paths import file_lock

WAIT = 10.0  # seconds to wait for another kernel that is cleaning the same set
HISTORY = ["at", "did", "file", "action", "label", "new_label", "to"]
Files = str | Path | Iterable[str | Path]


class CleanerError(CourseError):
    """Nothing was changed; the sentence says why and what to type or do."""


@dataclass(frozen=True)
class Picture:
    """One picture; `file` is its path within the set, with forward slashes."""

    file: str
    split: str | None  # train, valid or test, where it lies in a folder of such a name
    label: str
    state: tuple[int, int]  # time of the last change in nanoseconds, and size in bytes


@dataclass(frozen=True)
class Change:
    """What is to be done with a picture: a choice, which gets its `to` when it is planned."""

    file: str
    action: str  # keep, relabel or discard
    label: str
    new_label: str | None = None
    content: str | None = None  # of the file, when it was chosen: see `content_of`
    to: str = ""  # its new name, within the set or within the trash
    problem: str = ""  # why Apply will refuse

    @property
    def choice(self) -> str:
        """What was chosen, in words."""
        return f"relabel to {self.new_label}" if self.action == "relabel" else self.action

    def __repr__(self) -> str:
        """What will happen, in words, or why it will not."""
        trash = "trash/" if self.action == "discard" else ""
        moves = f"{self.file}: {self.choice}, moves to {trash}{self.to}"
        return self.problem or printable(moves)


@dataclass
class Journal:
    """All that is remembered of a set; a step is what one Apply did."""

    choices: dict[str, Change] = field(default_factory=dict)
    done: list[list[Change]] = field(default_factory=list)
    undone: list[list[Change]] = field(default_factory=list)  # to be done again, the last one first
    history: list[list] = field(default_factory=list)  # rows with the columns `HISTORY`
    doing: str = ""  # apply, undo or redo, from before the first move until after the last

    @classmethod
    def read(cls, path: Path) -> "Journal":
        """The journal at `path`, empty where there is none; raises `CleanerError`."""
        try:
            kept = json.loads(path.read_bytes())
            kept["choices"] = {file: Change(**change) for file, change in kept["choices"].items()}
            for steps in (kept["done"], kept["undone"]):
                steps[:] = [[Change(**change) for change in step] for step in steps]
            return cls(**kept)
        except FileNotFoundError:
            return cls()
        except (ValueError, TypeError, LookupError, AttributeError) as error:
            raise CleanerError(
                f"Nothing was changed: {path} is damaged or of a newer course. Update the course,"
                " or move that file away to begin a new one."
            ) from error

    def write(self, path: Path) -> None:
        """Keep it; JSON in ASCII, for a file's name may be bytes that are no text."""
        write_whole(path, json.dumps(asdict(self)))


class PictureFolder:
    """A set of pictures, the choices made about them, and Apply, Undo and Redo.

    Every method reads the disk, so what another kernel has done is seen, and every method that
    writes waits for its turn. All raise `CleanerError`, with nothing changed.
    """

    def __init__(self, root: Path | str) -> None:
        """Open the set; what a killed kernel left half done is taken back first."""
        self.root = Path(root).expanduser().resolve()
        if not self.root.is_dir() or not self.root.name:
            raise CleanerError(f"There is no folder {root}: give the folder of the pictures.")
        self.beside = self.root.with_name(f"{self.root.name}.cleaning")
        self.path = self.beside / "journal.json"
        self.journal()

    def journal(self) -> Journal:
        """The journal, while nothing is being done."""
        with refusals(self.root):
            journal = Journal.read(self.path)
        if journal.doing:  # in another kernel; or that is dead
            with self._alone() as journal:
                pass
        return journal

    def pictures(self) -> list[Picture]:
        """Every picture in a class folder, by file: as fastai finds them, but not through links."""
        self.journal()
        with refusals(self.root):
            return self._scan()[0]

    def labels(self) -> list[str]:
        """The labels there are: of pictures, and of class folders that are empty."""
        with refusals(self.root):
            return self._scan()[1]

    def choose(
        self, files: Files, action: str, new_label: str | None = None, new: bool = False
    ) -> None:
        """Choose keep, relabel (to `new_label`) or discard for these files: for all or for none.

        Nothing moves yet; the choice is on the disk when this returns. A label that no picture has
        yet needs `new=True`.
        """
        if action not in ("keep", "relabel", "discard"):
            raise CleanerError(f"Nothing was chosen: {action!r} is not keep, relabel or discard.")
        with self._alone() as journal:
            pictures, known = self._scan()
            if action == "relabel":
                check_label(new_label or "", known, new)
            else:
                new_label = None
            labels = {picture.file: picture.label for picture in pictures}
            for file in named(files):
                if file not in labels:
                    raise CleanerError(
                        f"There is no picture {printable(file)} in {printable(self.root.name)}:"
                        " give its name as the table of the cleaner has it."
                    )
                change = Change(file, "keep", labels[file])
                if action != "keep" and new_label != labels[file]:
                    content = content_of(self.root / file)
                    change = Change(file, action, labels[file], new_label, content)
                journal.choices[file] = change
            journal.write(self.path)

    def forget(self, files: Files) -> None:
        """Take back whatever was chosen for these files; a file may be gone by now."""
        with self._alone() as journal:
            for file in named(files):
                journal.choices.pop(file, None)
            journal.write(self.path)

    def plan(self) -> list[Change]:
        """What Apply would do, by file. Pictures that are kept are not in it."""
        there = {picture.file for picture in self.pictures()}
        gone = "{0} is not in the set any more: take back its choice with forget({0!r})."
        taken: dict[Path, set[str]] = {}
        with refusals(self.root):
            return [
                replace(change, to=self._free(change, taken))
                if file in there
                else replace(change, problem=gone.format(printable(file)))
                for file, change in sorted(self.journal().choices.items())
                if change.action != "keep"
            ]

    def apply(self) -> list[Change]:
        """Do what was chosen, all or nothing, and return it; the choices acted on are then gone."""
        with self._alone() as journal:
            changes = self.plan()
            if problems := [change.problem for change in changes if change.problem]:
                raise CleanerError(problems[0])
            if not changes:
                return []
            journal.undone.append(changes)
            return self._carry_out("apply", journal)

    def undo(self) -> list[Change]:
        """Undo the last Apply that holds, and return it; its choices are pending again."""
        with self._alone() as journal:
            return self._carry_out("undo", journal)

    def redo(self) -> list[Change]:
        """Do again what Undo undid last, and return it."""
        with self._alone() as journal:
            return self._carry_out("redo", journal)

    # -- choosing and planning -------------------------------------------------------------------

    def _scan(self) -> tuple[list[Picture], list[str]]:
        """The pictures and the labels; what is hidden is neither."""
        pictures, labels, folders = [], set(), [""]
        while folders:
            within = folders.pop()  # ends in a slash
            with os.scandir(self.root / within) as found:
                entries = [entry for entry in found if not entry.name.startswith(".")]
            below = [entry for entry in entries if entry.is_dir()]
            if link := next((entry for entry in below if entry.is_symlink()), None):
                raise CleanerError(
                    f"{printable(within + link.name)} is a link to another folder, whose files"
                    " are not the set's to move: copy that folder in its place."
                )
            folders += [f"{within}{entry.name}/" for entry in below]
            *above, label = within.split("/")[:-1] or [""]
            split = split_of(above[0]) or None if above else None
            # a link may point nowhere; a pipe is left alone
            files = [entry for entry in entries if entry.is_symlink() or entry.is_file()]
            files = [file for file in files if Path(file.name).suffix.lower() in SUFFIXES]
            for file in files if label else ():
                with suppress(FileNotFoundError):  # another kernel has just moved it
                    stat = file.stat(follow_symlinks=file.is_file())
                    state = stat.st_mtime_ns, stat.st_size
                    pictures.append(Picture(within + file.name, split, label, state))
            if label and (files or not (below or split_of(label))):
                labels.add(label)
        return sorted(pictures, key=lambda picture: picture.file), sorted(labels)

    def _free(self, change: Change, taken: dict[Path, set[str]]) -> str:
        """Its new name, which no file has and none in `taken`, also where case is ignored."""
        name = PurePosixPath(change.file)
        if change.new_label is not None:
            name = name.parent.with_name(change.new_label) / name.name
        folder = self._place(change.action) / name.parent
        if folder not in taken:
            there = folder.iterdir() if folder.is_dir() else ()
            taken[folder] = {folded(path.name) for path in there}
        names = chain([name.name], (f"{name.stem}_{n}{name.suffix}" for n in count(2)))
        free = next(name for name in names if folded(name) not in taken[folder])
        taken[folder].add(folded(free))
        return str(name.with_name(free))

    # -- doing, and taking back ------------------------------------------------------------------

    @contextmanager
    def _alone(self) -> Iterator[Journal]:
        """Keep other kernels out, and first take back what a dead one left half done."""
        with refusals(self.root):
            self.beside.mkdir(exist_ok=True)
            with file_lock(self.beside / "lock", timeout=WAIT):
                yield self._take_back()

    def _place(self, action: str) -> Path:
        return self.beside / "trash" if action == "discard" else self.root

    def _moves(self, changes: list[Change], did: str) -> list[tuple[Path, Path, str | None]]:
        """Where each picture is before and after, and its content."""
        ends = [(self.root / c.file, self._place(c.action) / c.to, c.content) for c in changes]
        return [(to, file, content) for file, to, content in ends] if did == "undo" else ends

    def _carry_out(self, did: str, journal: Journal) -> list[Change]:
        """Apply or redo the last step of `undone`, or undo the last one of `done`."""
        stacks = journal.undone, journal.done
        origin, goal = reversed(stacks) if did == "undo" else stacks
        if not origin:
            raise CleanerError(f"There is nothing to {did}.")
        changes = origin[-1]
        try:
            journal.doing = did
            journal.write(self.path)
            for source, target, content in self._moves(changes, did):
                if content_of(source) != content:
                    raise CleanerError(
                        f"{printable(source)} was changed, moved or deleted by another program: put"
                        " it back as it was or, to apply, choose for it again"
                    )
                move(source, target)
            goal.append(origin.pop())
            if did == "apply":
                origin.clear()  # what was undone before cannot be done again
            at = datetime.now(timezone.utc).isoformat(timespec="seconds")
            for c in changes:
                to = (self._place(c.action) / c.to).relative_to(self.root.parent).as_posix()
                journal.history.append([at, did, c.file, c.action, c.label, c.new_label, to])
                journal.choices.pop(c.to if did == "undo" else c.file, None)
            if did == "undo":
                journal.choices |= {change.file: change for change in changes}
                self._remove_empty(changes)
            journal.doing = ""
            journal.write(self.path)
        except BaseException as error:
            self._take_back()
            if isinstance(error, CleanerError):
                raise CleanerError(f"Nothing was changed: {error}.") from error
            raise
        return changes

    def _take_back(self) -> Journal:
        """Move back what a step moved that was begun and not finished, wherever it stopped."""
        journal = Journal.read(self.path)
        if not journal.doing:
            return journal
        changes = (journal.done if journal.doing == "undo" else journal.undone)[-1]
        try:
            for source, target, content in self._moves(changes, journal.doing):
                if content_of(target) == content != content_of(source):
                    move(target, source)
            if journal.doing != "undo":
                self._remove_empty(changes)
            if journal.doing == "apply":
                journal.undone.pop()
            journal.doing = ""
            journal.write(self.path)
        except (OSError, CleanerError) as error:
            raise CleanerError(
                f"This stopped half way and cannot be taken back now ({error}). Nothing is lost:"
                " mend that and open the set again, and it will be as before."
            ) from error
        return journal

    def _remove_empty(self, changes: list[Change]) -> None:
        """Remove the class folders that pictures have left again, where nothing else is in them."""
        for change in changes:
            with suppress(OSError):
                (self._place(change.action) / change.to).parent.rmdir()


# -- what is asked of the disk ---------------------------------------------------------------------


def content_of(path: Path) -> str | None:
    """What tells whether a file is still the same: a digest, or where a link points; None: gone."""
    try:
        if path.is_symlink():
            return f"link to {path.readlink()}"
        return blake2b(path.read_bytes(), digest_size=16).hexdigest()
    except FileNotFoundError:
        return None


def move(source: Path, target: Path) -> None:
    """Rename a file; raises `CleanerError` for a name that is taken, on every system."""
    target.parent.mkdir(parents=True, exist_ok=True)
    if os.path.lexists(target):  # the lock keeps other kernels out, not other programs
        raise CleanerError(f"{printable(target)} is taken by another file now; move that file away")
    source.rename(target)


def check_label(label: str, labels: list[str], new: bool) -> None:
    """Raise `CleanerError` for a label that is none of `labels`, nor a `new` one that may be."""
    alike = [known for known in labels if folded(known) == folded(label)]
    possible = new and not alike and not re.search(r"^$|^\.|[/\\\0]", label)
    if label not in labels and not possible:
        raise CleanerError(
            f"{label!r} is none of the labels ({listed(alike or labels, most=50)}). A new one"
            " needs new_label=True, and must be a name that a folder can have."
        )


def named(files: Files) -> list[str]:
    """One file or several, as they are called within the set."""
    several = [files] if isinstance(files, (str, Path)) else files
    return [file.as_posix() if isinstance(file, Path) else file for file in several]


def folded(name: str) -> str:
    """`Bär.JPG` and `bär.jpg` are one name on macOS and Windows, however the ä is written."""
    return unicodedata.normalize("NFC", name).casefold()


@contextmanager
def refusals(where: Path) -> Iterator[None]:
    """Make a sentence of what the system refuses; `where` is what was worked on."""
    try:
        yield
    except Timeout as error:
        raise CleanerError(
            f"Nothing was changed: another kernel is cleaning {printable(where.name)}. Wait for it,"
            " or stop it and try again."
        ) from error
    except OSError as error:
        raise CleanerError(
            f"Nothing was changed: {printable(error.filename or where)} cannot be used"
            f" ({error.strerror}). Make it writable, or room on its disk, and try again; or clean"
            " a copy of the set on one disk."
        ) from error
