"""`Cleaner`: a set of pictures with what is thought of each, the learner's choices, Apply and Undo.

Everything the widget does is one of its methods. What happens to files is in `folder.py`, what is
thought of labels and copies in `ranking.py`.
"""

import json
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd
import traitlets
from fastai.learner import Learner

from utils.cleaner import ranking
from utils.cleaner.folder import HISTORY, Change, CleanerError, Files, Picture, PictureFolder
from utils.cleaner.page import FILTERS, ORDERS, fitting, menus, tile
from utils.cleaner.thumbs import Look, looks_at
from utils.widgets.base import Widget, joined, show_widget

HERE = Path(__file__).parent
PAGE = 24  # pictures
LISTED = 100  # changes that are listed before Apply
FALLBACK = "The pictures to look through are shown here when this cell is run."


class Cleaner(PictureFolder):
    """A folder of labelled pictures, to be looked through and put in order.

    All methods raise `CleanerError`, with nothing changed. Choices, the trash and the history are
    in `<path>.cleaning`; choices are kept at once, and files move only in `apply`.
    """

    def __init__(self, path: Path | str, learn: Learner | None = None) -> None:
        """Open a set of class folders, `label/name` or `train/label/name`.

        `learn` is asked about every picture when `table` is first needed, and every label is then
        judged out of fold; without it only copies and unusable files are found.
        """
        super().__init__(path)
        self.learn = learn
        self._learned = pd.DataFrame()  # the learner's probabilities, by content
        self._folds = pd.DataFrame()  # out-of-fold probabilities, by content
        self._seen: list[Picture] | None = None
        self.looks: dict[str, Look] = {}  # by file, of the pictures in the last `table`

    # -- what is thought of the pictures ---------------------------------------------------------

    def table(self) -> pd.DataFrame:
        """A row per picture: what is known of it and thought of it, and what you chose.

        file, split, label; problem, a sentence for a file that is no usable picture; prediction,
        confidence (its probability) and loss, by the learner; quality (0 to 1, low is doubtful),
        mislabelled and second_opinion, judged out of fold by cleanlab; duplicate_of, which picture
        it is a copy or nearly a copy of; choice. What is not known is None, NaN for a number.
        """
        pictures = self.pictures()
        if self._seen != pictures:
            self._facts, self._seen = self._facts_of(pictures), pictures
        choices = self.journal().choices
        chosen = [choices[p.file].choice if p.file in choices else None for p in pictures]
        return self._facts.assign(choice=pd.Series(chosen, dtype=object))

    def order(self, by: str = "loss") -> pd.DataFrame:
        """The rows of `table`, highest `loss` or lowest `quality` first, or by `file`."""
        if by not in ORDERS:
            raise CleanerError(f"Order by one of {', '.join(ORDERS)}.")
        ascending = by != "loss"
        return self.table().sort_values(by, ascending=ascending, kind="stable", ignore_index=True)

    # -- what is to become of them (`forget`, `apply`, `undo` and `redo` are a `PictureFolder`'s) --

    def keep(self, files: Files) -> None:
        """Choose to leave these as they are. Nothing else happens."""
        self.choose(files, "keep")

    def relabel(self, files: Files, label: str, new_label: bool = False) -> None:
        """Choose another label for these; one that no picture has yet needs `new_label=True`."""
        self.choose(files, "relabel", label, new_label)

    def discard(self, files: Files) -> None:
        """Choose to take these out of the set, into the trash beside it."""
        self.choose(files, "discard")

    def pending(self) -> pd.DataFrame:
        """What `apply` would do: a row per picture; `problem` is why it will refuse."""
        columns = ["file", "action", "label", "new_label", "to", "problem"]
        return pd.DataFrame(self.plan(), columns=columns, dtype=object)

    def history(self) -> pd.DataFrame:
        """Everything done to a file, oldest first."""
        return pd.DataFrame(self.journal().history, columns=HISTORY)

    def show(self) -> None:
        """Show the widget in a notebook."""
        show_widget(CleanerWidget(self), FALLBACK)

    # -- putting it together ---------------------------------------------------------------------

    def _facts_of(self, pictures: list[Picture]) -> pd.DataFrame:
        looks = looks_at(self.root, pictures)
        near = ranking.alike([look.hash for look in looks])
        table = pd.DataFrame(pictures, columns=["file", "split", "label"], dtype=object)
        table["problem"] = pd.Series([look.problem for look in looks], dtype=object)
        self.looks = dict(zip(table["file"], looks, strict=True))
        usable = table[table["problem"].isna()]
        if self.learn and self._learned.empty and not usable.empty:
            self._ask(usable, looks, ranking.families(near))
        contents, labels = [look.content for look in looks], table["label"]
        learned, folds = self._learned.reindex(contents), self._folds.reindex(contents)
        table = table.join(ranking.opinion(labels, learned)).join(ranking.judge(labels, folds))
        table["second_opinion"] = ranking.opinion(labels, folds)["prediction"]
        # Of copies that one stays which has the best label, then the one to judge by rather than
        # to learn from, then the largest.
        merit = pd.DataFrame({"wrong": table["mislabelled"], "train": table["split"] == "train"})
        merit["pixels"] = [-look.pixels for look in looks]
        merit["bytes"] = [-picture.state[1] for picture in pictures]
        table["duplicate_of"] = None
        for copy, original in ranking.copies(near, merit.sort_values([*merit]).index).items():
            table.loc[copy, "duplicate_of"] = table["file"][original]
        return table

    def _ask(self, usable: pd.DataFrame, looks: list[Look], families: np.ndarray) -> None:
        """Ask the learner about these rows, and judge their labels out of fold."""
        contents = pd.Index([looks[n].content for n in usable.index])
        once = ~contents.duplicated()
        paths = [self.root / file for file in usable["file"]]
        self._learned = ranking.predict(self.learn, paths).set_axis(contents)[once]
        x = ranking.features(tuple(looks[n].jpeg for n in usable.index))
        folds = ranking.out_of_fold(x, usable["label"].tolist(), families[usable.index])
        self._folds = folds.set_axis(contents)[once]


class CleanerWidget(Widget):
    """Pages of pictures with choices, and what Apply would do; the page's half is `cleaner.js`."""

    _esm = joined(HERE / "cleaner.js")
    _css = joined(HERE / "cleaner.css")
    page = traitlets.Dict().tag(sync=True)  # all that is drawn

    def __init__(self, cleaner: Cleaner) -> None:
        """Show the first page of all pictures."""
        super().__init__(f"Pictures of {cleaner.root.name}")
        self.cleaner = cleaner
        by = "loss" if cleaner.learn else "file"
        self.view: dict[str, Any] = {"by": by, "only": "", "page": 0}
        self.view |= dict.fromkeys(FILTERS, "")
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
            self.cleaner.choose(files, action, label or None)
        words = {"forget": "no choice", "relabel": f"relabel to {label}"}.get(action, action)
        return {"said": f"{pictures(len(files))}: {words}."}

    def draw(self) -> None:
        """Draw the page that fits what the menus say."""
        table, view = self.cleaner.order(self.view["by"]), self.view
        rows = fitting(table, view)
        last = max(0, len(rows) - 1) // PAGE
        view["page"] = min(max(view["page"], 0), last)
        first = view["page"] * PAGE
        plan = self.cleaner.plan()
        more = [f"… and {len(plan) - LISTED} more"] if len(plan) > LISTED else []
        self.page = {
            "view": view.copy(),
            "menus": menus(table),
            "labels": self.cleaner.labels(),
            "place": f"Page {view['page'] + 1} of {last + 1} · {pictures(len(rows))}",
            "rows": [
                tile(row, self.cleaner.looks[row.file])
                for row in rows.iloc[first : first + PAGE].itertuples()
            ],
            "plan": [*map(str, plan[:LISTED]), *more],
            "changes": len(plan),
        }


def counted(did: str, changes: list[Change]) -> dict[str, Any]:
    """What was done to how many pictures, in words."""
    return {"said": f"{did}: {pictures(len(changes))}."}


def pictures(number: int) -> str:
    """So many, in words."""
    return f"{number} picture{'' if number == 1 else 's'}"
