"""The cleaner in a notebook: it shows what `Cleaner` says and calls its methods.

The browser's half is `cleaner.js`, which decides nothing. What the learner does arrives in `_heard`
and is answered there, with a sentence when it could not be done.
"""

import json
import math
import traceback
from collections import Counter
from collections.abc import Callable
from pathlib import Path

import anywidget
import pandas as pd
import traitlets
from IPython.display import display

from utils import WIDGET_VIEW
from utils.cleaner.cleaner import ONLY, Cleaner, arranged, groups
from utils.cleaner.disk import shown
from utils.common import CourseError
from utils.quiz.html import note

HERE = Path(__file__).parent
PAGE = 24  # pictures
LISTED = 100  # changes that are listed before Apply
AT_ONCE = 4  # thumbnails that are made before they are sent
ORDER_NAMES = {"loss": "highest loss first", "quality": "lowest quality first", "name": "by name"}
PAST = {"relabel": "relabelled", "discard": "discarded"}
FALLBACK = "The pictures to look through are shown here when this cell is run."


class CleanerWidget(anywidget.AnyWidget):
    """Pages of pictures with choices, and what Apply would do."""

    _esm = HERE / "cleaner.js"
    _css = HERE / "cleaner.css"
    name = traitlets.Unicode().tag(sync=True)
    page = traitlets.Dict().tag(sync=True)  # all that is drawn: see `_draw`
    notice = traitlets.Unicode().tag(sync=True)  # what went wrong before anything was asked

    def __init__(self, cleaner: Cleaner) -> None:
        """Show the first page of all pictures."""
        super().__init__(name=f"Pictures of {cleaner.set.root.name}")
        self.cleaner = cleaner
        self.view = {"by": "", "split": "", "label": "", "prediction": "", "only": "", "page": 0}
        self.on_msg(self._heard)
        self.notice = _attempt(self._draw)[0] or cleaner.read_only

    def _heard(self, _widget: object, message: dict, _buffers: object) -> None:
        """Do what the browser asks, and answer what went wrong or what was done."""
        request = dict(message)
        number, do = request.pop("nr"), request.pop("do")
        if do == "thumbnails":
            return self._send_thumbnails(number, **request)
        actions: dict[str, Callable[..., str | None]] = {
            "look": self.view.update,
            "choose": self._choose,
            "suggest": self._suggest,
            "apply": lambda: _told("Applied", self.cleaner.apply()),
            "undo": lambda: _told("Undone", self.cleaner.undo()),
            "redo": lambda: _told("Done again", self.cleaner.redo()),
        }
        problem, said = _attempt(lambda: actions[do](**request))
        problem = " ".join(filter(None, [problem, _attempt(self._draw)[0]]))
        self.send({"nr": number, "problem": problem, "said": said})

    def _choose(self, ids: list[str], action: str, label: str = "") -> str:
        files = [json.loads(id) for id in ids]
        if action == "relabel":
            self.cleaner.relabel(files, label)
            return f"{_pictures(len(files))}: relabel to {label}."
        {"keep": self.cleaner.keep, "discard": self.cleaner.discard, "forget": self.cleaner.forget}[
            action
        ](files)
        return f"{_pictures(len(files))}: {'no choice' if action == 'forget' else action}."

    def _suggest(self) -> str:
        counts = Counter(choice.split()[0] for choice in self.cleaner.suggest()["choice"])
        said = ", ".join(f"{action} {count}" for action, count in sorted(counts.items()))
        return f"Chosen for you: {said}. Look at them under Show." if said else "No suggestions."

    def _send_thumbnails(self, number: str, ids: list[str]) -> None:
        """Those that are there, or else the first few; the browser asks again for the rest."""
        thumbs = self.cleaner.thumbs
        files = {json.loads(id): id for id in ids}
        missing = set(thumbs.missing(files))
        sent = [file for file in files if file not in missing] or list(files)[:AT_ONCE]
        jpegs: list[bytes] = []
        problem, _ = _attempt(lambda: jpegs.extend(thumbs.thumbnails(sent)))
        answer = {"nr": number, "problem": problem, "said": "", "ids": [files[f] for f in sent]}
        self.send(answer, jpegs)

    # -- what is drawn -----------------------------------------------------------------------------

    def _draw(self) -> None:
        cleaner, view = self.cleaner, self.view
        table = cleaner.table(wait=False)
        view["by"] = view["by"] or ("loss" if table["loss"].notna().any() else "name")
        wanted = {name: view[name] or None for name in ("split", "label", "prediction", "only")}
        rows = arranged(table, view["by"], **wanted)
        pages = max(1, math.ceil(len(rows) / PAGE))
        view["page"] = min(max(view["page"], 0), pages - 1)
        first = view["page"] * PAGE
        here = rows[first : first + PAGE]
        plan = cleaner.set.plan()
        self.page = {
            "controls": self._controls(table),
            "labels": cleaner.set.labels(),
            "page": view["page"],
            "pages": pages,
            "place": f"Pictures {first + 1} to {first + len(here)} of {len(rows)}"
            if len(rows)
            else "No picture fits",
            "rows": [self._row(row) for row in here.itertuples()],
            "plan": [change.problem or change.sentence for change in plan[:LISTED]]
            + ([f"… and {len(plan) - LISTED} more"] if len(plan) > LISTED else []),
            "changes": len(plan),
            "undo": cleaner.set.undoable(),
            "redo": cleaner.set.redoable(),
            "busy": self._busy(table),
        }

    def _busy(self, table: pd.DataFrame) -> str:
        if not self.cleaner.thumbs.busy:
            return ""
        return f"Opening all {len(table):,} pictures; copies are shown when that is done."

    def _controls(self, table: pd.DataFrame) -> list[dict]:
        """The menus above the pictures."""
        counts = {only: int(rows.sum()) for only, rows in groups(table).items()}
        menus = {
            "by": ("Order", list(ORDER_NAMES.items())),
            "split": ("Split", _values(table["split"])),
            "label": ("Label", _values(table["label"])),
            "prediction": ("Prediction", _values(table["prediction"])),
            "only": ("Show", [("", "all"), *((o, f"{w} ({counts[o]})") for o, w in ONLY.items())]),
        }
        return [
            {"name": name, "title": title, "value": self.view[name], "options": options}
            for name, (title, options) in menus.items()
        ]

    def _row(self, row: tuple) -> dict:
        """One picture: what stands below it, and the same as a sentence for a screen reader."""
        look = self.cleaner.thumbs.looks.get(row.file)
        copied = {"exact": "the same as", "near": "nearly the same as", None: ""}[row.copy]
        facts = [
            f"{row.prediction} {row.confidence:.2f}" if row.prediction else "",
            f"loss {row.loss:.2f}" if row.loss == row.loss else "",
            f"quality {row.quality:.2f}" if row.quality == row.quality else "",
        ]
        marks = [
            "looks mislabelled" if row.mislabelled else "",
            f"{copied} {shown(row.duplicate_of)}" if copied else "",
            row.problem or "",
        ]
        facts, marks = list(filter(None, facts)), list(filter(None, marks))
        name, choice = shown(row.file), row.choice or ""
        spoken = [f"label {row.label}", *facts, *marks, f"your choice: {choice}" if choice else ""]
        return {
            "id": json.dumps(row.file),  # ASCII, whatever bytes the name has
            "key": f"{json.dumps(row.file)} {look.time if look else ''}",
            "name": name,
            "label": row.label,
            "facts": facts,
            "marks": marks,
            "choice": choice,
            "spoken": ", ".join(filter(None, [*spoken, name])),
        }


def _attempt(action: Callable[[], str | None]) -> tuple[str, str]:
    """What went wrong, as a sentence, and what was done."""
    try:
        return "", action() or ""
    except CourseError as error:
        return str(error), ""
    except Exception as error:
        traceback.print_exc()  # to JupyterLab's log, for whoever repairs it
        return f"The course has a fault here ({type(error).__name__}: {error}).", ""


def _told(did: str, changes: pd.DataFrame) -> str:
    counts = changes["action"].value_counts()
    parts = [f"{counts[a]} {word}" for a, word in PAST.items() if a in counts]
    return f"{did}: {' and '.join(parts)}." if parts else "Nothing was chosen that changes a file."


def _pictures(count: int) -> str:
    return f"{count} picture{'' if count == 1 else 's'}"


def _values(column: pd.Series) -> list[tuple[str, str]]:
    counts = column.value_counts().sort_index()
    return [("", "all"), *((value, f"{value} ({count})") for value, count in counts.items())]


def show(cleaner: Cleaner) -> None:
    """Show the widget, and a sentence where it is not live."""
    panel = CleanerWidget(cleaner)
    display({"text/html": note(FALLBACK), "text/plain": FALLBACK}, raw=True)
    data, metadata = panel._repr_mimebundle_()
    display({WIDGET_VIEW: data[WIDGET_VIEW]}, metadata=metadata, raw=True)
