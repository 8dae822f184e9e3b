"""`Cleaner`: a set of pictures with what is thought of each, the learner's choices, Apply and Undo.

Everything the widget does is one of its methods. What happens to files is in `folder.py`, what is
thought of labels and copies in `ranking.py`.
"""

import json
import math
from collections import Counter
from collections.abc import Callable
from pathlib import Path
from typing import Any, ClassVar

import numpy as np
import pandas as pd
import traitlets
from fastai.learner import Learner

from utils.cleaner import ranking
from utils.cleaner.folder import HISTORY, Change, Files, Picture, PictureFolder
from utils.cleaner.page import FILTERS, arranged, menus, tile
from utils.cleaner.thumbs import Look, looks_at
from utils.widgets.base import Widget, joined, show_widget

HERE = Path(__file__).parent
SURE = 0.8  # probability from which on `suggest` relabels
PAGE = 24  # pictures
LISTED = 100  # changes that are listed before Apply
FALLBACK = "The pictures to look through are shown here when this cell is run."


class Cleaner:
    """A folder of labelled pictures, to be looked through and put in order.

    All methods raise `CleanerError`, with nothing changed. Choices, the trash and the history are
    in `<path>.cleaning`; choices are kept at once, and files move only in `apply`.
    """

    # By content, 5 kB a picture. What the pretrained body says of a picture depends on nothing
    # else, so all cleaners of a process share it.
    _features: ClassVar[dict[bytes, np.ndarray]] = {}

    def __init__(self, path: Path | str, learn: Learner | None = None) -> None:
        """Open a set of class folders, `label/name` or `train/label/name`.

        `learn` is asked for its predictions when they are first needed.
        """
        self.folder = PictureFolder(path)
        self.learn = learn
        self._learned: pd.DataFrame | None = None  # the learner's probabilities, by content
        self._folds: pd.DataFrame | None = None  # out-of-fold probabilities, by content
        self._seen: list[Picture] | None = None
        self.looks: dict[str, Look] = {}  # by file, of the pictures in the last `table`

    # -- what is thought of the pictures ---------------------------------------------------------

    def rank(self) -> None:
        """Ask the learner about every picture, and judge every label out of fold.

        With a learner this happens by itself the first time; call it to judge afresh after Apply.
        Without one, the out-of-fold classifiers stand in for it.
        """
        pictures = self.folder.pictures()
        looks = zip(pictures, looks_at(self.folder.root, pictures), strict=True)
        usable = [(picture, look) for picture, look in looks if not look.problem]
        if not usable:
            return
        contents = [look.digest for _, look in usable]
        once = {look.digest: (picture.file, look.jpeg) for picture, look in usable}
        if self.learn:
            paths = [self.folder.root / file for file, _ in once.values()]
            self._learned = ranking.predict(self.learn, paths).set_axis(list(once))
        new = [content for content in once if content not in self._features]
        if new:
            x = ranking.features([once[content][1] for content in new])
            self._features.update(zip(new, x, strict=True))
        x = np.stack([self._features[content] for content in contents])
        groups = ranking.families(ranking.alike([look.hash for _, look in usable]))
        folds = ranking.out_of_fold(x, [picture.label for picture, _ in usable], groups)
        self._folds = folds.set_axis(contents)[~pd.Index(contents).duplicated()]
        self._seen = None

    def table(self) -> pd.DataFrame:
        """A row per picture: what is known of it and thought of it, and what you chose.

        file, split, label; prediction, confidence (its probability) and loss, by the learner;
        quality (0 to 1, low is doubtful), mislabelled and second_opinion, judged out of fold by
        cleanlab; duplicate_of and copy ("exact" or "near"); problem, a sentence for a file that is
        no usable picture; choice. What is not known is None.
        """
        if self.learn and self._learned is None:
            self.rank()
        pictures = self.folder.pictures()
        if self._seen != pictures:
            self._facts, self._seen = self._facts_of(pictures), pictures
        choices = self.folder.journal().choices
        chosen = [choices[p.file].choice if p.file in choices else None for p in pictures]
        return self._facts.assign(choice=pd.Series(chosen, dtype=object))

    def order(
        self, by: str = "loss", only: str | None = None, **filters: str | None
    ) -> pd.DataFrame:
        """The rows of `table`, highest `loss` or lowest `quality` first or by `name`, that fit.

        `only` can be "mislabelled", "duplicates" (each copy follows its original), "problems" or
        "chosen"; `split`, `label` and `prediction` can be given to filter by.
        """
        return arranged(self.table(), by, only, **filters)

    # -- choices and what becomes of them --------------------------------------------------------

    def keep(self, files: Files) -> None:
        """Choose to leave these as they are; `suggest` passes them over. Nothing else happens."""
        self.folder.choose(files, "keep")

    def relabel(self, files: Files, label: str, new_label: bool = False) -> None:
        """Choose another label for these; one that no picture has yet needs `new_label=True`."""
        self.folder.choose(files, "relabel", label, new_label)

    def discard(self, files: Files) -> None:
        """Choose to take these out of the set, into the trash beside it."""
        self.folder.choose(files, "discard")

    def forget(self, files: Files) -> None:
        """Take back what was chosen for these."""
        self.folder.forget(files)

    def suggest(self, sure: float = SURE) -> pd.DataFrame:
        """Turn what the ranking says into choices, and return their rows of the table.

        Discarded are files that are no usable pictures, and copies (of each picture one stays).
        Relabelled is what looks mislabelled, where the learner's prediction has at least the
        probability `sure` and is the out-of-fold opinion too. What you have chosen stays.
        """
        if not self.learn and self._folds is None:
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
        return _rows(self.folder.plan())

    def apply(self) -> pd.DataFrame:
        """Do what was chosen, all or nothing, and return it."""
        return _rows(self.folder.apply())

    def undo(self) -> pd.DataFrame:
        """Undo the last Apply and return it; its choices are pending again."""
        return _rows(self.folder.undo())

    def redo(self) -> pd.DataFrame:
        """Do again what was undone last, and return it."""
        return _rows(self.folder.redo())

    def history(self) -> pd.DataFrame:
        """Everything done to a file, oldest first."""
        return pd.DataFrame(self.folder.journal().history, columns=HISTORY)

    def show(self) -> None:
        """Show the widget in a notebook."""
        show_widget(CleanerWidget(self), FALLBACK)

    # -- putting it together ---------------------------------------------------------------------

    def _facts_of(self, pictures: list[Picture]) -> pd.DataFrame:
        looks = looks_at(self.folder.root, pictures)
        contents = [None if look.problem else look.digest for look in looks]
        labels = [picture.label for picture in pictures]
        self.looks = {picture.file: look for picture, look in zip(pictures, looks, strict=True)}
        unknown = pd.DataFrame()
        folds = (unknown if self._folds is None else self._folds).reindex(contents)
        learned = folds if self._learned is None else self._learned.reindex(contents)
        rows = [[picture.file, picture.split, picture.label] for picture in pictures]
        table = pd.DataFrame(rows, columns=["file", "split", "label"], dtype=object)
        table = table.join(ranking.opinion(labels, learned)).join(ranking.judge(labels, folds))
        table["second_opinion"] = ranking.opinion(labels, folds)["prediction"]
        table = table.join(self._copies(table, looks))
        return table.assign(problem=pd.Series([look.problem for look in looks], dtype=object))

    def _copies(self, table: pd.DataFrame, looks: list[Look]) -> pd.DataFrame:
        """Columns duplicate_of and copy. The original is the one with the best label, then the
        one to judge by rather than to learn from, then the largest.
        """
        found = pd.DataFrame({"duplicate_of": None, "copy": None}, index=table.index, dtype=object)
        usable = [(n, look) for n, look in enumerate(looks) if not look.problem]

        def merit(place: int) -> tuple:
            row, look = usable[place]
            worse = table["mislabelled"][row], table["split"][row] == "train"
            return *worse, -look.pixels, -look.size

        near = ranking.alike([look.hash for _, look in usable])
        for copy, original in ranking.copies(near, sorted(range(len(usable)), key=merit)).items():
            (row, look), (other, first) = usable[copy], usable[original]
            kind = "exact" if look.digest == first.digest else "near"
            found.loc[row] = table["file"][other], kind
        return found


def _rows(changes: list[Change]) -> pd.DataFrame:
    columns = ["file", "action", "label", "new_label", "to", "problem", "sentence"]
    rows = [[getattr(change, column) for column in columns] for change in changes]
    return pd.DataFrame(rows, columns=columns, dtype=object)


class CleanerWidget(Widget):
    """Pages of pictures with choices, and what Apply would do; the page's half is `cleaner.js`."""

    _esm = joined(HERE / "cleaner.js")
    _css = joined(HERE / "cleaner.css")
    page = traitlets.Dict().tag(sync=True)  # all that is drawn

    def __init__(self, cleaner: Cleaner) -> None:
        """Show the first page of all pictures."""
        super().__init__(f"Pictures of {cleaner.folder.root.name}")
        self.cleaner = cleaner
        self.view: dict[str, Any] = dict.fromkeys(("by", "only", *FILTERS), "") | {"page": 0}
        self.notice = self.attempt(dict)["problem"]

    def attempt(self, action: Callable[[], dict[str, Any] | None]) -> dict[str, Any]:
        """As in the base; then the page is drawn, whatever came of it."""
        reply, drawn = super().attempt(action), super().attempt(self.draw)
        return reply if reply["problem"] else reply | drawn

    def actions(self) -> dict[str, Callable[..., dict[str, Any] | None]]:
        """What the page may ask for; what is `said` is shown below the pictures."""
        cleaner = self.cleaner
        return {
            "look": self.view.update,
            "choose": self.choose,
            "suggest": self.suggest,
            "apply": lambda: counted("Applied", cleaner.apply()),
            "undo": lambda: counted("Undone", cleaner.undo()),
            "redo": lambda: counted("Done again", cleaner.redo()),
        }

    def choose(self, ids: list[str], action: str, label: str = "") -> dict[str, Any]:
        """Choose for these pictures."""
        files = [json.loads(id) for id in ids]
        if action == "forget":
            self.cleaner.forget(files)
        else:
            self.cleaner.folder.choose(files, action, label or None)
        words = {"forget": "no choice", "relabel": f"relabel to {label}"}.get(action, action)
        return {"said": f"{len(files)} picture{'s' if len(files) > 1 else ''}: {words}."}

    def suggest(self) -> dict[str, Any]:
        """Have choices suggested."""
        counts = Counter(choice.split()[0] for choice in self.cleaner.suggest()["choice"])
        said = ", ".join(f"{action} {count}" for action, count in sorted(counts.items()))
        chosen = f"Chosen for you: {said}. Look at them under Show."
        return {"said": chosen if said else "No suggestions."}

    def draw(self) -> None:
        """Draw the page that fits what the menus say."""
        cleaner, folder, view = self.cleaner, self.cleaner.folder, self.view
        table = cleaner.table()
        view["by"] = view["by"] or ("loss" if table["loss"].notna().any() else "name")
        filters = {name: view[name] or None for name in FILTERS}
        rows = arranged(table, view["by"], view["only"] or None, **filters)
        pages = max(1, math.ceil(len(rows) / PAGE))
        view["page"] = min(max(view["page"], 0), pages - 1)
        first = view["page"] * PAGE
        here = rows[first : first + PAGE]
        plan, journal = folder.plan(), folder.journal()
        place = f"Pictures {first + 1} to {first + len(here)} of {len(rows)}"
        more = [f"… and {len(plan) - LISTED} more"] if len(plan) > LISTED else []
        self.page = {
            "menus": menus(table, view),
            "labels": folder.labels(),
            "page": view["page"],
            "pages": pages,
            "place": place if len(rows) else "No picture fits",
            "rows": [tile(row, cleaner.looks[row.file]) for row in here.itertuples()],
            "plan": [change.problem or change.sentence for change in plan[:LISTED]] + more,
            "changes": len(plan),
            "undo": len(journal.done),
            "redo": len(journal.undone),
        }


def counted(did: str, changes: pd.DataFrame) -> dict[str, Any]:
    """What was done to how many pictures, in words."""
    counts = changes["action"].value_counts()
    words = {"relabel": "relabelled", "discard": "discarded"}
    done = " and ".join(f"{counts[action]} {words[action]}" for action in words if action in counts)
    return {"said": f"{did}: {done}." if done else "Nothing was chosen that changes a file."}
