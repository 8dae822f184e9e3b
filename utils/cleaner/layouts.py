"""Three ways in which a set of pictures keeps its labels: in folders, in names, in a table."""

import csv
import io
import os
import re
import unicodedata
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path, PurePath, PurePosixPath
from typing import TYPE_CHECKING

from utils.cleaner.disk import CleanerError, shown, told, write
from utils.common import AS_UTF8, split_of
from utils.images import SUFFIXES

if TYPE_CHECKING:
    from pandas import DataFrame

MOST_NAMES = 10_000  # are tried before a free one is given up
BOM = b"\xef\xbb\xbf"
WIDE = (b"\xff\xfe", b"\xfe\xff")  # how UTF-16 begins


@dataclass(frozen=True)
class Picture:
    """One picture; `file` is its path within the set, with forward slashes."""

    file: str
    split: str | None
    label: str


class Layout:
    """What `PictureSet` needs to know of a set. `csv` is the table, where there is one."""

    csv: Path | None = None

    def __init__(self, root: Path | str) -> None:
        """Raises `CleanerError` when there is no such folder."""
        self.root = Path(root).expanduser().resolve()
        if not self.root.is_dir() or not self.root.name:
            raise CleanerError(f"There is no folder {root}: give the folder of the pictures.")

    def pictures(self) -> list[Picture]:
        """Every picture of the set, by file."""
        raise NotImplementedError

    def names(self, picture: Picture, label: str) -> Iterable[str] | None:
        """Names within the set for a picture under another label, best first.

        None when it keeps its name. Raises `CleanerError` for a label that cannot be written.
        """
        raise NotImplementedError

    def labels(self) -> list[str]:
        """The labels there are."""
        return sorted({picture.label for picture in self.pictures()})

    def _files(self) -> list[str]:
        with told(self.root):
            return sorted(_walk(self.root, ""))


class ClassFolders(Layout):
    """`label/name` or `train/label/name`: the label is the folder a picture lies in.

    Pictures directly in the set's folder have no label and are not listed.
    """

    def pictures(self) -> list[Picture]:
        """Every picture of the set, by file."""
        files = (file for file in self._files() if "/" in file)
        return [Picture(file, _split(file, 3), file.split("/")[-2]) for file in files]

    def labels(self) -> list[str]:
        """The labels there are, those of empty class folders too."""
        return sorted({*super().labels(), *_innermost(self.root)})

    def names(self, picture: Picture, label: str) -> Iterable[str]:
        """The same name in the other class's folder, then numbered ones."""
        if not label or label.startswith(".") or re.search(r"[/\\\0]", label):
            raise CleanerError(f"{label!r} cannot be the name of a folder: choose another label.")
        path = PurePosixPath(picture.file)
        return numbered(path.parent.with_name(label) / path.name)


class FileNames(Layout):
    """The label is in the file's name: `label_of(path)` reads it, `rename(path, label)` writes it.

    Both get the picture's whole path; `rename` returns the new name without a folder. Labels are
    compared as text, so a function that returns True and False has the labels "True" and "False".
    """

    def __init__(
        self,
        root: Path | str,
        label_of: Callable[[Path], object],
        rename: Callable[[Path, str], str],
    ) -> None:
        """Read every name, so that one that cannot be read is told now."""
        super().__init__(root)
        self.label_of, self.rename = label_of, rename
        self.pictures()

    def pictures(self) -> list[Picture]:
        """Every picture of the set, by file."""
        return [Picture(file, _split(file, 2), self._label(file)) for file in self._files()]

    def names(self, picture: Picture, label: str) -> Iterable[str]:
        """The name `rename` gives, then numbered ones, as far as they carry the label."""
        name = str(_called(self.rename, self.root / picture.file, label))
        suffix = PurePath(name).suffix.lower()
        if PurePath(name).name != name or name.startswith(".") or suffix not in SUFFIXES:
            raise CleanerError(
                f"rename gave {name!r} for {shown(picture.file)}: let it return a picture's file"
                " name, without a folder."
            )
        path = PurePosixPath(picture.file).with_name(name)
        if (read := self._label(str(path))) != label:
            raise CleanerError(
                f"rename gave {name!r} for the label {label!r}, but that name's label is {read!r}:"
                " make the two functions agree."
            )
        return (other for other in numbered(path) if self._label(other) == label)

    def _label(self, file: str) -> str:
        return str(_called(self.label_of, self.root / file))


class LabelTable(Layout):
    """The labels are in a CSV with the columns file, label and perhaps is_valid.

    `csv` and `file` are relative to the set or absolute. `table`, a DataFrame
    with these columns, begins the CSV where there is none. Relabelling rewrites the CSV, and the
    file stays; discarding moves the file and drops its row. Each version of the CSV is kept in
    `<set>.cleaning/tables`.
    """

    def __init__(self, root: Path | str, csv: Path | str, table: "DataFrame | None" = None) -> None:
        """Read the table, so that what is wrong with it is told now."""
        super().__init__(root)
        self.csv = (self.root / csv).resolve()
        if table is not None:
            self._begin_with(table)
        self.pictures()

    def pictures(self) -> list[Picture]:
        """Every row of the table, by file, whether the file is there or not."""
        with told(self.csv):
            return self._pictures(self.csv.read_bytes())

    def names(self, picture: Picture, label: str) -> None:
        """A picture keeps its name whatever the table calls it."""
        return

    def rewritten(self, content: bytes, labels: Mapping[str, str | None]) -> bytes:
        """The CSV `content` with these labels (None: without the row) and all else as it was."""
        header, *rest = self._rows(content)
        file, label = header.index("file"), header.index("label")
        rows = [header]
        for row in rest:
            row[label] = labels.get(self._name(row[file]), row[label])
            if row[label] is not None:
                rows.append(row)
        # csv does not quote a lone carriage return by itself
        quoting = csv.QUOTE_ALL if "\r" in "".join(map("".join, rows)) else csv.QUOTE_MINIMAL
        end = "\r\n" if b"\r\n" in content else "\n"
        text = io.StringIO(newline="")
        csv.writer(text, lineterminator=end, quoting=quoting).writerows(rows)
        begin = BOM if content.startswith(BOM) else b""
        return begin + text.getvalue().encode("utf-8", "surrogateescape")

    def check_files(self) -> None:
        """Raise `CleanerError` when most files that the table names are not there."""
        self._check_files(self.pictures())

    def _check_files(self, pictures: list[Picture]) -> None:
        files = [picture.file for picture in pictures]
        missing = [file for file in files if not os.path.lexists(self.root / file)]
        if len(missing) <= len(files) / 2:
            return
        name = PurePath(missing[0]).name
        hint = next((f", as in {shown(f)}" for f in self._files() if PurePath(f).name == name), "")
        raise CleanerError(
            f"{self.csv.name} names {shown(missing[0])}, and there is no file"
            f" {shown(self.root / missing[0])}; so it is with {len(missing)} of {len(files)} rows:"
            f" write each path as it is inside {self.root.name}{hint}, or take such rows out."
        )

    def _name(self, cell: str) -> str:
        """A file as the table writes it, in the way the set names it: `./a//b.jpg` is `a/b.jpg`."""
        path = Path(cell)
        if path.is_absolute():
            real = Path(os.path.realpath(path.parent), path.name)
            path = real.relative_to(self.root) if real.is_relative_to(self.root) else path
        return path.as_posix()

    def _rows(self, content: bytes) -> list[list[str]]:
        if content.startswith(WIDE):
            raise CleanerError(f"{self.csv.name} is in UTF-16: {AS_UTF8}.")
        text = io.StringIO(content.decode("utf-8-sig", "surrogateescape"), newline="")
        try:
            rows = [row for row in csv.reader(text) if row]
        except csv.Error as error:
            raise CleanerError(f"{self.csv.name} is no table ({error}): give a CSV.") from error
        header = rows[0] if rows else []
        if not {"file", "label"} <= set(header) or any(len(row) != len(header) for row in rows):
            raise CleanerError(
                f"{self.csv.name} needs the columns file and label, and as many cells in each row;"
                f" its first row is {shown(', '.join(header)) or 'empty'}."
            )
        return rows

    def _pictures(self, content: bytes) -> list[Picture]:
        found: dict[str, Picture] = {}
        header, *rows = self._rows(content)
        for cells in rows:
            row = dict(zip(header, cells, strict=True))
            file, split = self._name(row["file"]), None
            outside = PurePath(file).is_absolute() or {".", ".."} & set(file.split("/"))
            if file in found or outside or "\0" in file:
                why = "twice" if file in found else "which is no file in the set"
                raise CleanerError(
                    f"{self.csv.name} names {shown(file)} {why}: correct that row of the table."
                )
            if "is_valid" in row:
                split = "valid" if row["is_valid"].lower() in ("true", "1", "1.0") else "train"
            if any("\udc80" <= letter <= "\udcff" for letter in row["label"]):  # no UTF-8
                raise CleanerError(f"{self.csv.name} is not in UTF-8: {AS_UTF8}.")
            found[file] = Picture(file, split, row["label"])
        return [found[file] for file in sorted(found)]

    def _begin_with(self, table: "DataFrame") -> None:
        content = table.to_csv(index=False).encode("utf-8", "surrogateescape")
        given = self._pictures(content)
        if not self.csv.exists():
            self._check_files(given)
            with told(self.csv):
                write(self.csv, content)
        elif given != self.pictures():
            raise CleanerError(
                f"{self.csv.name} and the table given differ: give the CSV alone to go on with it,"
                " or another name for the CSV to begin with the table."
            )


# -- names -----------------------------------------------------------------------------------------


class FreeNames:
    """Hands out names that no file has, also not one that some systems take for the same name."""

    def __init__(self) -> None:
        """No name has been handed out yet."""
        self._taken: dict[Path, set[str]] = {}

    def first(self, names: Iterable[str], folder: Path) -> str:
        """The first of `names`, which are within `folder`, that is free; then it is taken."""
        for name in names:
            path = folder / name
            if path.parent not in self._taken:
                there = path.parent.iterdir() if path.parent.is_dir() else ()
                self._taken[path.parent] = {folded(file.name) for file in there}
            if folded(path.name) not in self._taken[path.parent]:
                self._taken[path.parent].add(folded(path.name))
                return name
        raise CleanerError(f"There is no free name in {folder}: let rename number the files.")


def folded(name: str) -> str:
    """`Bär.JPG` and `bär.jpg` are one name on macOS and Windows, however the ä is written."""
    return unicodedata.normalize("NFC", name).casefold()


def numbered(path: PurePosixPath) -> Iterator[str]:
    """`a_7.jpg`, `a_7_2.jpg`, `a_8.jpg`, `a_7_3.jpg`, `a_9.jpg` …"""
    yield str(path)
    stem, digits = re.fullmatch(r"(.*?)(\d*)", path.stem, re.DOTALL).groups()
    for number in range(2, MOST_NAMES):
        yield str(path.with_name(f"{path.stem}_{number}{path.suffix}"))
        if digits:
            following = str(int(digits) + number - 1).zfill(len(digits))
            yield str(path.with_name(f"{stem}{following}{path.suffix}"))


def _split(file: str, parts: int) -> str | None:
    """The folder a file lies in when that is a split; `parts` a path in a split has at least."""
    first, *rest = file.split("/")
    return split_of(first) or None if len(rest) >= parts - 1 else None


def _called(function: Callable, path: Path, *more: str) -> object:
    """What the learner's own function returns, or a sentence about it."""
    try:
        return function(path, *more)
    except Exception as error:
        raise CleanerError(
            f"Your function failed on {shown(path.name)} ({type(error).__name__}: {error}): make it"
            " read every picture's name."
        ) from error


# -- folders ---------------------------------------------------------------------------------------


def _walk(root: Path, within: str) -> Iterator[str]:
    """The pictures in a folder and below it, as fastai finds them, but not through links."""
    with os.scandir(root / within) as entries:
        for entry in entries:
            file = within + entry.name
            if entry.name.startswith("."):
                continue
            if entry.is_dir() and entry.is_symlink():
                raise CleanerError(
                    f"{shown(file)} is a link to another folder, whose files are not the set's to"
                    " move: copy that folder in its place."
                )
            if entry.is_dir():
                yield from _walk(root, f"{file}/")
            elif PurePath(entry.name).suffix.lower() in SUFFIXES and (
                entry.is_file() or not Path(entry.path).exists()  # the latter: a link to nothing
            ):
                yield file


def _innermost(folder: Path) -> Iterator[str]:
    """The names of the folders in `folder` that have none in them, and are no split."""
    with told(folder):
        for child in folder.iterdir():
            if child.is_dir() and child.name[0] != ".":
                below = [*_innermost(child)]
                yield from below or ([] if split_of(child.name) else [child.name])
