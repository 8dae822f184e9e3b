"""Figures the text relies on: held beside a chapter, or checked on its page by `expect`."""

import json
import os
from dataclasses import dataclass
from pathlib import Path

import nbformat
import yaml

from utils.common import CourseError


class ExpectationError(AssertionError):
    """A figure left the bounds that the text relies on."""


def judge(name: str, value: float, at_least: float | None, at_most: float | None) -> dict:
    """A figure as `course run --json` prints it: name, value, at_least, at_most, ok."""
    inside = (at_least is None or value >= at_least) and (at_most is None or value <= at_most)
    return {"name": name, "value": value, "at_least": at_least, "at_most": at_most, "ok": inside}


def bounds_in_words(at_least: float | None, at_most: float | None) -> str:
    """`at least 1`, `at most 2` or `between 1 and 2`; raises `ValueError` for none."""
    if at_least is not None and at_most is not None:
        return f"between {at_least:g} and {at_most:g}"
    if at_least is None and at_most is None:
        raise ValueError("A figure needs at_least, at_most or both.")
    return f"at most {at_most:g}" if at_least is None else f"at least {at_least:g}"


# -- beside the chapter ----------------------------------------------------------------------------


@dataclass(frozen=True)
class Figure:
    """An entry of `tests/figures/NN.yaml`: what is computed in the chapter's kernel, and why."""

    name: str
    after: str  # the id of the cell after which it is computed
    value: str  # the expression
    sentence: str  # which rests on it, as the chapter has it
    at_least: float | None = None
    at_most: float | None = None

    @property
    def request(self) -> dict:
        """What a kernel's client is to execute: it leaves no trace in the kernel's history."""
        return {"code": "", "silent": True, "user_expressions": {"value": f"float({self.value})"}}

    def judge(self, reply: dict) -> dict:
        """The figure, as `judge`, from a kernel's reply; raises `ExpectationError` without one."""
        answer = reply["content"].get("user_expressions", {}).get("value", {})
        if answer.get("status") != "ok":
            error = f"{answer.get('ename', 'no answer')}: {answer.get('evalue', '')}"
            raise ExpectationError(f"{self.name} cannot be computed after {self.after}: {error}")
        return judge(self.name, float(answer["data"]["text/plain"]), self.at_least, self.at_most)

    def complaint(self, value: float) -> str:
        """What to say when the figure is out of its bounds."""
        bounds = bounds_in_words(self.at_least, self.at_most)
        return f"{self.name} = {value:.4f}, expected {bounds}. The chapter says: {self.sentence}"


def figures_beside(path: Path) -> dict[str, list[Figure]]:
    """The figures of the chapter at `path`, by the cell after which each is computed.

    Raises `CourseError` where the chapter has no such cell, or the sentence no longer stands in it.
    """
    file = path.resolve().parents[1] / "tests" / "figures" / f"{path.stem[:2]}.yaml"
    rows = yaml.safe_load(file.read_text("utf-8")) if file.exists() else []
    cells = nbformat.read(path, as_version=4).cells if rows else []
    text = " ".join(" ".join(cell.source.split()) for cell in cells if cell.cell_type == "markdown")
    found: dict[str, list[Figure]] = {cell.id: [] for cell in cells if cell.cell_type == "code"}
    for figure in [Figure(**row) for row in rows]:
        bounds_in_words(figure.at_least, figure.at_most)
        if figure.after not in found:
            raise CourseError(f"{file.name}: {figure.name}: no code cell is called {figure.after}.")
        if " ".join(figure.sentence.split()) not in text:
            raise CourseError(
                f"{file.name}: {figure.name}: the chapter no longer says: {figure.sentence}"
            )
        found[figure.after].append(figure)
    return found


# -- on the page -----------------------------------------------------------------------------------


def expect(
    name: str, value: float, *, at_least: float | None = None, at_most: float | None = None
) -> None:
    """Print `value` beside the bounds this chapter promises for `name`.

    On the data the bounds were made for (`sample`, `full`) the figure is judged; on a learner's
    own folder it is only reported. A figure out of bounds is a sentence to a learner, an
    `ExpectationError` where `COURSE_STRICT` is set (the tests). `COURSE_REPORT` names a file
    that gets one JSON line per call (`course run` reads it).
    """
    from utils.data import source_label  # which is slow to import

    row, bounds = judge(name, float(value), at_least, at_most), bounds_in_words(at_least, at_most)
    if report := os.environ.get("COURSE_REPORT"):
        with Path(report).open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
    figure = f"{name} = {row['value']:.4f}"
    if source_label() not in ("sample", "full"):
        print(f"{figure}  (on your own data; the course's own has {bounds})")
    elif row["ok"]:
        print(f"{figure}  as expected ({bounds})")
    elif os.environ.get("COURSE_STRICT"):
        raise ExpectationError(f"{figure}, expected {bounds}")
    else:
        print(
            f"{figure}  is not what was expected ({bounds}). If you changed a cell "
            "above, this is its effect; if not, restart the kernel and run all cells."
        )
