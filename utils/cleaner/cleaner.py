"""`Cleaner`: a set of pictures with what is thought of each, the learner's choices, Apply and Undo.

Everything the widget does is one of its methods. What happens to files is in `files.py`, what is
thought of labels and copies in `ranking.py`.
"""

import os
from collections.abc import Callable, Iterable
from contextlib import suppress
from pathlib import Path
from typing import ClassVar

import numpy as np
import pandas as pd
from fastai.learner import Learner

from utils.cleaner import ranking
from utils.cleaner.disk import CleanerError
from utils.cleaner.files import HEADER, Change, PictureSet
from utils.cleaner.journal import Choice
from utils.cleaner.layouts import ClassFolders, FileNames, LabelTable, Layout, Picture
from utils.cleaner.thumbs import Look, Thumbs

ORDERS = {"loss": "loss", "quality": "quality", "name": "file"}  # and the column of each
ONLY = {
    "mislabelled": "looks mislabelled",
    "duplicates": "copies and their originals",
    "problems": "not usable as pictures",
    "chosen": "my choices",
}
SURE = 0.8  # probability from which on `suggest` relabels

Files = str | Path | Iterable[str | Path]


class Cleaner:
    """A folder of labelled pictures, to be looked through and put in order.

    All methods raise `CleanerError`, with nothing changed. Choices, the trash and the history are
    in `<path>.cleaning`; choices are kept at once, and files move only in `apply`.
    """

    # By content, 5 kB a picture. What the pretrained body says of a picture depends on nothing
    # else, so all cleaners of a process share it.
    _features: ClassVar[dict[bytes, np.ndarray]] = {}

    def __init__(
        self,
        path: Path | str,
        learn: Learner | None = None,
        *,
        labels: Callable[[Path], object] | pd.DataFrame | None = None,
        rename: Callable[[Path, str], str] | None = None,
        csv: Path | str = "labels.csv",
        predictions: pd.DataFrame | None = None,
    ) -> None:
        """Open a set: class folders, unless `labels` says how a label is found.

        `labels` is a function of a picture's path, and then `rename(path, label)` gives the file
        name for another label; or a table with the columns file, label and perhaps is_valid, which
        begins `csv`. `learn` is asked for its predictions when they are first needed; in its place
        `predictions` can be given: a column of probabilities per label, indexed by file.
        """
        self.set = PictureSet(_layout(path, labels, rename, csv))
        self.thumbs = Thumbs(self.set.root)
        self.learn = learn
        self._splits = _splits(learn, self.set.root)
        self._learned: pd.DataFrame | None = None  # the learner's probabilities, by content
        self._folds: pd.DataFrame | None = None  # out-of-fold probabilities, by content
        self._seen: tuple = ()
        if isinstance(self.set.layout, LabelTable):
            self.set.layout.check_files()
        files = [picture.file for picture in self.set.pictures()]
        if predictions is None:
            self.thumbs.begin(files)
        else:
            self._learn_from(predictions, files)

    @property
    def read_only(self) -> str:
        """Why nothing can be chosen here, when the set is where nothing can be written; else ""."""
        kept = self.set.folder if self.set.folder.exists() else self.set.root.parent
        if all(os.access(folder, os.W_OK) for folder in (kept, self.set.root)):
            return ""
        return (
            f"{self.set.root.name} is read-only: its pictures can be looked at, but no choice can"
            " be kept. To clean it, make a copy of it where you can write."
        )

    # -- what is thought of the pictures ---------------------------------------------------------

    def rank(self) -> None:
        """Ask the learner about every picture, and judge every label out of fold.

        With a learner this happens by itself the first time; call it to judge afresh after Apply.
        Without one, the out-of-fold classifiers stand in for it.
        """
        pictures = self.set.pictures()
        self.thumbs.wait(picture.file for picture in pictures)
        usable = [p for p in pictures if not self.thumbs.looks[p.file].problem]
        if not usable:
            raise CleanerError(f"There is no usable picture in {self.set.root.name}.")
        contents = [self.thumbs.looks[picture.file].digest for picture in usable]
        once = dict(zip(contents, (picture.file for picture in usable), strict=True))
        if self.learn:
            paths = [self.set.root / file for file in once.values()]
            self._learned = ranking.predict(self.learn, paths).set_axis(list(once))
        new = {content: file for content, file in once.items() if content not in self._features}
        if new:
            x = ranking.features(self.thumbs.thumbnails(list(new.values())))
            self._features.update(zip(new, x, strict=True))
        x = np.stack([self._features[content] for content in contents])
        near = ranking.alike([self.thumbs.looks[picture.file].hash for picture in usable])
        labels = [picture.label for picture in usable]
        self._seen = ()
        try:
            folds = ranking.out_of_fold(x, labels, ranking.families(near))
        except CleanerError:  # too few labels to tell apart
            if not self.learn:
                raise
        else:
            self._folds = folds.set_axis(contents)[~pd.Index(contents).duplicated()]

    def table(self, wait: bool = True) -> pd.DataFrame:
        """A row per picture: what is known of it and thought of it, and what you chose.

        file, split, label; prediction, confidence (its probability) and loss, by the learner;
        quality (0 to 1, low is doubtful), mislabelled and second_opinion, judged out of fold by
        cleanlab; duplicate_of and copy ("exact" or "near"); problem, a sentence for a file that is
        no usable picture; choice. What is not known is None. `wait=False` does not wait for
        pictures that were not opened yet.
        """
        if self.learn and self._learned is None:
            self.rank()
        pictures = self.set.pictures()
        if wait:
            self.thumbs.wait(picture.file for picture in pictures)
        seen = (pictures, len(self.thumbs.looks), self.thumbs.busy)
        if self._seen != seen:
            self._facts, self._seen = self._look_up(pictures), seen
        choices = self.set.choices()
        chosen = [_said(choices.get(picture.file)) for picture in pictures]
        return self._facts.assign(choice=pd.Series(chosen, dtype=object))

    def order(
        self,
        by: str = "loss",
        *,
        split: str | None = None,
        label: str | None = None,
        prediction: str | None = None,
        only: str | None = None,
    ) -> pd.DataFrame:
        """The rows of `table`, highest `loss` or lowest `quality` first or by `name`, that fit.

        `only` can be "mislabelled", "duplicates" (each copy follows its original), "problems" or
        "chosen".
        """
        return arranged(self.table(), by, split, label, prediction, only)

    # -- choices and what becomes of them --------------------------------------------------------

    def keep(self, files: Files) -> None:
        """Choose to leave these as they are; `suggest` passes them over. Nothing else happens."""
        self.set.choose(files, "keep")

    def relabel(self, files: Files, label: str, new_label: bool = False) -> None:
        """Choose another label for these; one that no picture has yet needs `new_label=True`."""
        self.set.choose(files, "relabel", label, new_label)

    def discard(self, files: Files) -> None:
        """Choose to take these out of the set, into the trash beside it."""
        self.set.choose(files, "discard")

    def forget(self, files: Files) -> None:
        """Take back what was chosen for these."""
        self.set.forget(files)

    def suggest(self, sure: float = SURE) -> pd.DataFrame:
        """Turn what the ranking says into choices, and return their rows of the table.

        Discarded are files that are no usable pictures, and copies (of each picture one stays).
        Relabelled is what looks mislabelled, where the learner's prediction has at least the
        probability `sure` and is the out-of-fold opinion too. What you have chosen stays.
        """
        if not self.learn and self._folds is None:
            with suppress(CleanerError):  # too few labels to judge: copies are found all the same
                self.rank()
        table = self.table()
        free = table[table["choice"].isna()]
        out = free["problem"].notna() | free["duplicate_of"].notna()
        agreed = free["prediction"] == free["second_opinion"]
        wrong = free["mislabelled"] & agreed & (free["confidence"] >= sure) & ~out
        self.discard(free["file"][out])
        for label, rows in free[wrong].groupby("prediction"):
            self.relabel(rows["file"], label)
        made = self.table()
        return made[made["file"].isin(free["file"][out | wrong])].reset_index(drop=True)

    def pending(self) -> pd.DataFrame:
        """What `apply` would do: file, action, label, new_label, to, problem, sentence."""
        return _changes(self.set.plan())

    def apply(self) -> pd.DataFrame:
        """Do what was chosen, all or nothing, and return it."""
        return self._done(self.set.apply())

    def undo(self) -> pd.DataFrame:
        """Undo the last Apply and return it; its choices are pending again."""
        return self._done(self.set.undo(), back=True)

    def redo(self) -> pd.DataFrame:
        """Do again what was undone last, and return it."""
        return self._done(self.set.redo())

    def history(self) -> pd.DataFrame:
        """Everything done to a file, oldest first."""
        return pd.DataFrame(self.set.history(), columns=HEADER)

    def to_csv(self, path: Path | str) -> Path:
        """Write the history to a CSV file, and return its path."""
        return self.set.to_csv(path)

    def show(self) -> None:
        """Show the widget in a notebook."""
        from utils.cleaner.widget import show  # the last layer, which the methods do without

        show(self)

    def _done(self, changes: list[Change], back: bool = False) -> pd.DataFrame:
        """What is known of the files that moved is known of them under their new names."""
        names = {c.file: c.to for c in changes if c.to and c.action == "relabel"}
        names = {new: old for old, new in names.items()} if back else names
        self.thumbs.moved(names)
        self._splits |= {
            new: self._splits[old] for old, new in names.items() if old in self._splits
        }
        return _changes(changes)

    # -- putting it together ---------------------------------------------------------------------

    def _learn_from(self, predictions: pd.DataFrame, files: list[str]) -> None:
        self.thumbs.wait(files)
        given = predictions[predictions.index.isin(files)]
        given.index = [self.thumbs.looks[file].digest for file in given.index]
        self._learned = given[~given.index.duplicated()].rename(columns=str)

    def _look_up(self, pictures: list[Picture]) -> pd.DataFrame:
        looks = [self.thumbs.looks.get(picture.file) for picture in pictures]
        contents = [look.digest if look and not look.problem else None for look in looks]
        labels = [picture.label for picture in pictures]
        folds = _of(self._folds, contents)
        learned = folds if self._learned is None else _of(self._learned, contents)
        table = pd.DataFrame(
            {
                "file": [picture.file for picture in pictures],
                "split": [p.split or self._splits.get(p.file) for p in pictures],
                "label": labels,
            },
            dtype=object,
        )
        table = table.join(ranking.opinion(labels, learned)).join(ranking.judge(labels, folds))
        table["second_opinion"] = ranking.opinion(labels, folds)["prediction"]
        table = table.join(self._copies(table, looks))
        problems = [look.problem if look else None for look in looks]
        return table.assign(problem=pd.Series(problems, dtype=object))

    def _copies(self, table: pd.DataFrame, looks: list[Look | None]) -> pd.DataFrame:
        """Columns duplicate_of and copy. The original is the one with the best label, then the
        one to judge by rather than to learn from, then the largest.
        """
        found = pd.DataFrame({"duplicate_of": None, "copy": None}, index=table.index, dtype=object)
        if self.thumbs.busy:  # not before all are there: an original could still come
            return found
        usable = [n for n, look in enumerate(looks) if look and not look.problem]

        def merit(place: int) -> tuple:
            look, row = looks[usable[place]], table.iloc[usable[place]]
            return row["mislabelled"], row["split"] == "train", -look.pixels, -look.bytes

        near = ranking.alike([looks[n].hash for n in usable])
        for copy, original in ranking.copies(near, sorted(range(len(usable)), key=merit)).items():
            one, other = usable[copy], usable[original]
            exact = looks[one].digest == looks[other].digest
            found.loc[one] = table["file"][other], "exact" if exact else "near"
        return found


def arranged(
    table: pd.DataFrame,
    by: str,
    split: str | None = None,
    label: str | None = None,
    prediction: str | None = None,
    only: str | None = None,
) -> pd.DataFrame:
    """Rows of a cleaner's table: see `Cleaner.order`."""
    if by not in ORDERS or only not in (None, *ONLY):
        raise CleanerError(
            f"Order by one of {', '.join(ORDERS)}; show only one of {', '.join(ONLY)}."
        )
    fits = groups(table)[only] if only else pd.Series(True, table.index)
    for column, wanted in (("split", split), ("label", label), ("prediction", prediction)):
        fits &= True if wanted is None else table[column] == wanted
    table = table[fits].sort_values(ORDERS[by], ascending=by != "loss", kind="stable")
    if only == "duplicates":
        original = table["duplicate_of"].fillna(table["file"])
        table = table.assign(original=original, copied=table["duplicate_of"].notna())
        table = table.sort_values(["original", "copied", "file"]).drop(
            columns=["original", "copied"]
        )
    return table.reset_index(drop=True)


def groups(table: pd.DataFrame) -> dict[str, pd.Series]:
    """Which rows each entry of `ONLY` means."""
    copied = table["duplicate_of"]
    return {
        "mislabelled": table["mislabelled"].copy(),
        "duplicates": copied.notna() | table["file"].isin(copied.dropna()),
        "problems": table["problem"].notna(),
        "chosen": table["choice"].notna(),
    }


def _layout(
    path: Path | str, labels: object, rename: Callable[[Path, str], str] | None, csv: Path | str
) -> Layout:
    if labels is None:
        return ClassFolders(path)
    if isinstance(labels, pd.DataFrame):
        return LabelTable(path, csv, labels)
    if rename is None:
        raise CleanerError(
            "Labels in file names need rename as well: a function that gives, for a path and a"
            " label, the file name with that label."
        )
    return FileNames(path, labels, rename)


def _splits(learn: Learner | None, root: Path) -> dict[str, str]:
    """Which pictures the learner was trained on and which it was judged by, where they are known
    by their paths; for sets whose layout does not say.
    """
    splits = {}
    for split, data in zip(("train", "valid"), learn.dls.loaders if learn else (), strict=False):
        items = data.dataset.items
        paths = [Path(item).resolve() for item in items if isinstance(item, (str, Path))]
        splits |= {p.relative_to(root).as_posix(): split for p in paths if p.is_relative_to(root)}
    return splits


def _of(opinions: pd.DataFrame | None, contents: list[bytes | None]) -> pd.DataFrame:
    """The probabilities of these pictures; an empty row where there are none."""
    if opinions is None:
        return pd.DataFrame(index=range(len(contents)))
    return opinions.reindex(contents).reset_index(drop=True)


def _said(choice: Choice | None) -> str | None:
    """A choice in words."""
    if choice is None:
        return None
    return f"relabel to {choice.label}" if choice.action == "relabel" else choice.action


def _changes(changes: Iterable[Change]) -> pd.DataFrame:
    columns = ["file", "action", "label", "new_label", "to", "problem", "sentence"]
    rows = [[getattr(change, column) for column in columns] for change in changes]
    return pd.DataFrame(rows, columns=columns, dtype=object)
