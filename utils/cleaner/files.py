"""A set of pictures: what is chosen for each, what Apply would do, and Apply, Undo and Redo.

Apply never overwrites a name that is taken and is never half done. It first writes into the journal
what it is about to do; whoever opens the set after a kill finds that, and puts the files back.
Discarded pictures go to `<set>.cleaning/trash`, and every step can be undone.
"""

import csv
import errno
import io
import os
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import asdict, dataclass, replace
from hashlib import blake2b
from pathlib import Path, PurePosixPath

from utils.cleaner.disk import (
    CleanerError,
    make_folder,
    mark,
    move,
    shown,
    sync,
    temporary,
    told,
    way_back,
    write,
)
from utils.cleaner.journal import WAIT, Choice, Journal, Step
from utils.cleaner.layouts import (
    ClassFolders,
    FileNames,
    FreeNames,
    LabelTable,
    Layout,
    Picture,
    folded,
    numbered,
)
from utils.paths import file_lock

__all__ = [
    "Change",
    "Choice",
    "ClassFolders",
    "CleanerError",
    "FileNames",
    "LabelTable",
    "Picture",
    "PictureSet",
]

ACTIONS = ("keep", "relabel", "discard")
HEADER = ["at", "did", "step", "file", "action", "label", "new_label", "to"]
TRIES = 5  # when another program takes a name between the plan and the move


@dataclass(frozen=True)
class Change:
    """What Apply does to one file."""

    file: str
    action: str  # relabel or discard
    label: str
    new_label: str | None = None
    to: str | None = None  # within the set, or within the trash; None: only the table changes
    mark: str | None = None  # what the file is known by
    problem: str = ""  # why Apply will refuse

    @property
    def sentence(self) -> str:
        """The change in words."""
        if self.action == "discard":
            where = f"moves to trash/{self.to}" if self.to else "its row goes"
            return shown(f"{self.file}: discard ({self.label}), {where}")
        where = f", becomes {self.to}" if self.to else ""
        return shown(f"{self.file}: relabel {self.label} → {self.new_label}{where}")


class PictureSet:
    """A set of pictures, the choices made about them, and Apply, Undo and Redo.

    Every method reads the disk, so what another kernel has done is seen, and every method that
    writes waits for its turn. All raise `CleanerError`, with nothing changed.
    """

    def __init__(self, layout: Layout) -> None:
        """Open the set; what a killed kernel left half done is put back first."""
        self.layout, self.root = layout, layout.root
        self.folder = self.root.with_name(f"{self.root.name}.cleaning")
        self.journal = Journal(self.folder / "journal.sqlite")
        self._settle()

    def pictures(self) -> list[Picture]:
        """Every picture of the set, by file."""
        self._settle()
        return self.layout.pictures()

    def labels(self) -> list[str]:
        """The labels there are."""
        return self.layout.labels()

    def choices(self) -> dict[str, Choice]:
        """The choice that holds for each file that has one."""
        return self.journal.choices()

    def choose(
        self,
        files: str | Path | Iterable[str | Path],
        action: str,
        label: str | None = None,
        new_label: bool = False,
    ) -> None:
        """Choose keep, relabel (to `label`) or discard for these files: all of them or none.

        Nothing moves yet; the choice is on the disk when this returns. A label that no picture has
        yet needs `new_label=True`.
        """
        if action not in ACTIONS or (label is None) == (action == "relabel"):
            raise CleanerError(f"{action!r}: choose keep, discard, or relabel with a label.")
        if action == "relabel":
            self._check_label(label, new_label)
        with self._alone():
            pictures = {picture.file: picture for picture in self.pictures()}
            choices = {}
            for file in self._names(files):
                if file not in pictures:
                    raise CleanerError(f"There is no picture {shown(file)} in {self.root.name}.")
                if action == "keep" or label == pictures[file].label:
                    choices[file] = Choice("keep")
                else:
                    if action == "relabel":
                        self.layout.names(pictures[file], label)  # raises for a label it cannot do
                    choices[file] = Choice(action, label, mark(self.root / file))
            self.journal.choose(choices)

    def forget(self, files: str | Path | Iterable[str | Path]) -> None:
        """Take back whatever was chosen for these files; a file may be gone by now."""
        with self._alone():
            self.journal.choose(dict.fromkeys(self._names(files)))

    def plan(self) -> list[Change]:
        """What Apply would do, by file. Pictures that are kept are not in it."""
        with told(self.root):
            pictures = {picture.file: picture for picture in self.pictures()}
            wanted = {
                file: choice
                for file, choice in sorted(self.choices().items())
                if choice.action != "keep"
                and (file not in pictures or choice.label != pictures[file].label)
            }
            going = {file for file, choice in wanted.items() if choice.action == "discard"}
            staying = pictures.keys() - going if wanted else ()
            links = [file for file in staying if (self.root / file).is_symlink()]
            linked = {os.path.realpath(self.root / file): file for file in links}
            free = FreeNames()
            return [self._change(*item, pictures, linked, free) for item in wanted.items()]

    def apply(self) -> list[Change]:
        """Do what was chosen, all or nothing, and return it; the choices acted on are then gone."""
        with self._alone():
            for _ in range(TRIES):
                with suppress(FileExistsError):  # a name was taken since the plan: choose again
                    return self._apply_once()
        raise CleanerError("Another program keeps taking the names: close it and try again.")

    def undo(self) -> list[Change]:
        """Undo the last Apply that holds; its choices are pending again."""
        with self._alone():
            if not (done := self.journal.steps("done")):
                raise CleanerError("There is nothing to undo.")
            return self._carry_out("undo", done[-1])

    def redo(self) -> list[Change]:
        """Do again what Undo undid last."""
        with self._alone():
            if not (undone := self.journal.steps("undone")):
                raise CleanerError("There is nothing to redo.")
            return self._carry_out("redo", undone[0])

    def undoable(self) -> int:
        """How many times Undo can be pressed."""
        return len(self.journal.steps("done"))

    def redoable(self) -> int:
        """How many times Redo can be pressed."""
        return len(self.journal.steps("undone"))

    def history(self) -> list[dict]:
        """Everything done to a file, oldest first: a dict with the keys of `HEADER`."""
        steps = {step.number: _changes(step) for step in self.journal.steps()}
        trash = f"{self.folder.name}/trash/"
        rows = []
        for at, did, number in self.journal.events():
            for change in steps[number]:
                to = trash + change.to if change.action == "discard" and change.to else change.to
                what = change.action, change.label, change.new_label, to
                rows.append(dict(zip(HEADER, (at, did, number, change.file, *what), strict=True)))
        return rows

    def to_csv(self, path: Path | str) -> Path:
        """Write the history to a CSV. Only an earlier such list may be overwritten."""
        path, text = Path(path).expanduser(), io.StringIO(newline="")
        writer = csv.DictWriter(text, HEADER)
        writer.writeheader()
        begin = text.getvalue().encode()
        writer.writerows(self.history())
        with told(path):
            if path.exists() and not path.read_bytes().startswith(begin):
                raise CleanerError(f"{path} is another file: choose a name that is not taken.")
            write(path, text.getvalue().encode("utf-8", "surrogateescape"))
        return path

    # -- choosing and planning -------------------------------------------------------------------

    def _check_label(self, label: str, new_label: bool) -> None:
        labels = self.labels()
        alike = [known for known in labels if folded(known) == folded(label)]
        if label not in labels and (alike or not new_label):
            raise CleanerError(
                f"{label!r} is none of the labels ({', '.join(map(shown, alike or labels))})."
            )

    def _names(self, files: str | Path | Iterable[str | Path]) -> list[str]:
        """Files as they are called within the set."""
        names = []
        for file in [files] if isinstance(files, (str, os.PathLike)) else files:
            path = Path(file)
            if path.is_absolute():
                path = Path(os.path.realpath(path.parent), path.name)
                if not path.is_relative_to(self.root):
                    raise CleanerError(f"{shown(file)} is not in {self.root.name}.")
                path = path.relative_to(self.root)
            names.append(path.as_posix())
        return names

    def _change(
        self,
        file: str,
        choice: Choice,
        pictures: dict[str, Picture],
        linked: dict[str, str],
        free: FreeNames,
    ) -> Change:
        """What becomes of one file, or the problem with that."""
        label = pictures[file].label if file in pictures else ""
        change = Change(file, choice.action, label, choice.label, mark=choice.mark)
        try:
            if file not in pictures:
                raise CleanerError(
                    f"{shown(file)} is not in the set any more: take back its choice with"
                    f" forget({shown(file)!r})."
                )
            to = self._target(pictures[file], choice, free)
            if to and (link := linked.get(str(self.root / file))):
                raise CleanerError(
                    f"{shown(link)} is a link to {shown(file)} and would point nowhere: discard"
                    " that link first."
                )
            return replace(change, to=to)
        except CleanerError as error:
            return replace(change, problem=str(error))

    def _target(self, picture: Picture, choice: Choice, free: FreeNames) -> str | None:
        """Where the file goes: within the set or the trash; None when it stays."""
        source = self.root / picture.file
        if choice.action == "discard":
            if not Path(os.path.realpath(source.parent)).is_relative_to(self.root):
                raise CleanerError(f"{shown(picture.file)} lies outside the set, behind a link.")
            names = numbered(PurePosixPath(picture.file))
            return free.first(names, self.folder / "trash") if os.path.lexists(source) else None
        if (names := self.layout.names(picture, choice.label)) is None:
            return None
        to = free.first(names, self.root)
        if source.is_symlink():
            target = (self.root / to).parent / source.readlink()
            if os.path.realpath(target) != os.path.realpath(source):
                raise CleanerError(
                    f"{shown(picture.file)} is a link that would point elsewhere from {shown(to)}:"
                    " put the picture itself in its place."
                )
        return to

    # -- doing -----------------------------------------------------------------------------------

    def _apply_once(self) -> list[Change]:
        changes = self.plan()
        if problems := [change.problem for change in changes if change.problem]:
            raise CleanerError(problems[0])
        if not changes:
            return []
        targets = [self.root / c.to for c in changes if c.to and c.action == "relabel"]
        folders = {target.parent for target in targets if not target.parent.is_dir()}
        body = {
            "changes": [asdict(change) for change in changes],
            "folders": sorted(folder.relative_to(self.root).as_posix() for folder in folders),
            "table": self._new_table(changes),
        }
        number = 1 + max((step.number for step in self.journal.steps()), default=0)
        return self._carry_out("apply", Step(number, "", body))

    def _new_table(self, changes: list[Change]) -> dict | None:
        """Both versions of the table, kept before anything else happens."""
        if self.layout.csv is None:
            return None
        before = self.layout.csv.read_bytes()
        after = self.layout.rewritten(before, {c.file: c.new_label for c in changes})
        table = {"csv": os.path.relpath(self.layout.csv, self.root)}
        for when, content in (("before", before), ("after", after)):
            table[when] = (
                f"{self.layout.csv.stem}-{blake2b(content, digest_size=8).hexdigest()}.csv"
            )
            make_folder(self.folder / "tables")
            write(self.folder / "tables" / table[when], content)
        return table

    def _carry_out(self, did: str, step: Step) -> list[Change]:
        changes = _changes(step)
        self._check_world(did, step)
        moves = [self._ends(change, did) for change in changes if change.to]
        choices: dict[str, Choice | None] = dict.fromkeys(change.file for change in changes)
        if did == "undo":
            choices = dict.fromkeys(c.to for c in changes if c.to and c.action == "relabel")
            choices |= {c.file: Choice(c.action, c.new_label, c.mark) for c in changes}
        try:
            self.journal.begin(did, step)
            move(moves)
            self._swap_table(step, "before" if did == "undo" else "after")
            if did == "undo":
                self._remove_folders(step)
            self.journal.finish(did, step, choices)
        except BaseException as error:
            try:
                self._put_back()
            except (OSError, CleanerError) as obstacle:
                raise CleanerError(
                    f"This stopped half way and cannot be put back now ({obstacle}). Nothing is"
                    " lost: mend that and open the set again, and it will be as before."
                ) from error
            raise
        return changes

    def _check_world(self, did: str, step: Step) -> None:
        """Raise unless every file is what and where it was, and its new name is free."""
        folders = set()
        for change in _changes(step):
            if change.to is None and did != "apply":
                continue
            source, target = self._ends(change, did)
            if mark(source) != change.mark:
                what = "was changed" if os.path.lexists(source) else "was moved or deleted"
                advice = "choose for it again" if did == "apply" else "put it back as it was"
                raise CleanerError(
                    f"Nothing was changed: {shown(source.name)} {what} by another program:"
                    f" {advice}. ({shown(source)})"
                )
            if change.to and os.path.lexists(target):
                raise CleanerError(
                    f"Nothing was changed: the name {shown(target)} is taken by another file"
                    " now: move that file away and try again."
                )
            folders |= {source.parent, target.parent} if change.to else set()
        if step.body["table"]:
            csv_path = self._check_table(step, "after" if did == "undo" else "before")
            folders.add(csv_path.parent)
        for folder in folders:
            if folder.is_dir() and not os.access(folder, os.W_OK | os.X_OK):
                raise PermissionError(errno.EACCES, "read-only", str(folder))

    def _put_back(self) -> None:
        """Undo what a step that was begun and not finished has done so far, wherever it stopped."""
        step = self.journal.begun()
        if step is None:
            return
        did = "undo" if step.state == "undoing" else "apply"
        moved = [(*self._ends(c, did), c.mark) for c in _changes(step) if c.to]
        backward = [way_back(*ends) for ends in moved]  # before anything is touched: may raise
        self._swap_table(step, "after" if did == "undo" else "before")
        for act in filter(None, backward):
            act()
        sync({end.parent for source, target, _ in moved for end in (source, target)})
        if did == "apply":
            self._remove_folders(step)
        self.journal.cancel(step)

    def _ends(self, change: Change, did: str) -> tuple[Path, Path]:
        """Where the file is before the step and where after it."""
        folder = self.folder / "trash" if change.action == "discard" else self.root
        ends = self.root / change.file, folder / (change.to or change.file)
        return ends[::-1] if did == "undo" else ends

    def _swap_table(self, step: Step, to: str) -> None:
        """Put the version `to` of the table in its place, unless it is there."""
        if step.body["table"]:
            path = self._check_table(step, "before", "after")
            temporary(path).unlink(missing_ok=True)  # a killed kernel may have left it
            content = (self.folder / "tables" / step.body["table"][to]).read_bytes()
            if path.read_bytes() != content:
                write(path, content)

    def _check_table(self, step: Step, *versions: str) -> Path:
        """The table's path, once it is sure that its content is one of these versions."""
        table = step.body["table"]
        path = self.root / table["csv"]
        kept = [self.folder / "tables" / table[version] for version in versions]
        if not path.exists() or path.read_bytes() not in [file.read_bytes() for file in kept]:
            raise CleanerError(
                f"Nothing was changed: another program has changed {path.name} since. To go on, put"
                f" {kept[0]} in its place."
            )
        return path

    def _remove_folders(self, step: Step) -> None:
        for folder in step.body["folders"]:
            with suppress(OSError):  # somebody has put something into it
                (self.root / folder).rmdir()
                sync([(self.root / folder).parent])

    def _settle(self) -> None:
        """Wait for the step another kernel is in, or put it back when that kernel is dead."""
        if self.journal.begun():
            with self._alone():
                pass

    @contextmanager
    def _alone(self) -> Iterator[None]:
        """Keep other kernels out, and first put back what a dead one left half done."""
        with told(self.root):
            make_folder(self.folder)
            with file_lock(self.folder / "lock", timeout=WAIT):
                self._put_back()
                yield


def _changes(step: Step) -> list[Change]:
    return [Change(**change) for change in step.body["changes"]]
