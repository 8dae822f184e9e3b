"""Figures the text relies on, held beside a chapter and computed in its kernel."""

from dataclasses import dataclass
from pathlib import Path

import nbformat
import yaml

from utils.common import CourseError


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
        """The figure from a kernel's reply, as `course run --json` prints it.

        Raises `CourseError` without one.
        """
        answer = reply["content"].get("user_expressions", {}).get("value", {})
        if answer.get("status") != "ok":
            error = f"{answer.get('ename', 'no answer')}: {answer.get('evalue', '')}"
            raise CourseError(f"{self.name} cannot be computed after {self.after}: {error}")
        value, least, most = float(answer["data"]["text/plain"]), self.at_least, self.at_most
        ok = (least is None or value >= least) and (most is None or value <= most)
        return {"name": self.name, "value": value, "at_least": least, "at_most": most, "ok": ok}

    def complaint(self, value: float) -> str:
        """What to say when the figure is out of its bounds."""
        bounds = {"at least": self.at_least, "at most": self.at_most}.items()
        said = " and ".join(f"{words} {bound:g}" for words, bound in bounds if bound is not None)
        return f"{self.name} = {value:.4f}, expected {said}. The chapter says: {self.sentence}"


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
        where = f"{file.name}: {figure.name}"
        if figure.at_least is None and figure.at_most is None:
            raise CourseError(f"{where}: write at_least, at_most or both.")
        if figure.after not in found:
            raise CourseError(f"{where}: no code cell is called {figure.after}.")
        if " ".join(figure.sentence.split()) not in text:
            raise CourseError(f"{where}: the chapter no longer says: {figure.sentence}")
        found[figure.after].append(figure)
    return found
