"""Chapter 00: the table of contents, as it is stored and as it stands for this learner."""

import re

import nbformat
from IPython.display import Markdown

from utils.common import write_whole
from utils.paths import chapter
from utils.quiz import load_bank, schedule
from utils.quiz.journal import Journal
from utils.timings import seconds_of


def _minutes(seconds: float | None) -> str:
    return f"{seconds / 60:.1f}" if seconds else "not measured"


def with_minutes(table: str) -> str:
    """The table of contents; each chapter's minutes, in its last column, as they are stored now."""
    rows = re.compile(r"(.*\((\w+)\.ipynb\).*\|) .* \|")
    return rows.sub(lambda row: f"{row[1]} {_minutes(seconds_of(row[2], stored=True))} |", table)


def write_contents() -> None:
    """Bring the minutes in the stored chapter up to date (in its cell called `contents`)."""
    notebook = nbformat.read(chapter("00"), as_version=4)
    cell = next(cell for cell in notebook.cells if cell.id == "contents")
    cell.source = with_minutes(cell.source)
    write_whole(chapter("00"), nbformat.writes(notebook) + "\n")


def contents() -> Markdown:
    """The same for this learner: minutes measured here, questions answered, and due for review."""
    rows = ["| chapter | minutes here | answered | due for review |", "| --- | --- | --- | --- |"]
    for stem, counts in schedule.progress(Journal(), load_bank()).items():
        link = f"[{stem.replace('_', ' ')}]({stem}.ipynb)"
        answered = f"{counts['answered']} of {counts['questions']}"
        rows.append(f"| {link} | {_minutes(seconds_of(stem))} | {answered} | {counts['due']} |")
    return Markdown("\n".join(rows))
