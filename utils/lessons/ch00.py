"""Chapter 00: the table of contents, as it is stored and as it stands for this learner."""

import nbformat
from IPython.display import Markdown

from utils.common import write_whole
from utils.paths import chapter, chapters
from utils.quiz import load_bank, schedule
from utils.quiz.journal import Journal
from utils.timings import seconds_of

GIVES = {
    "00": "this page: notebooks, and where your answers are kept",
    "01": "a network that tells cats from dogs, tried on a picture of yours, and why it works",
    "02": "pictures gathered from addresses, made into batches, and a bear classifier",
    "03": "wrong labels, copies and broken files found by the model, and put right",
    "04": "your model as an app in a browser",
    "05": "the same model at night and in snow, and how to notice when it fails",
    "06": "training written from nothing, for handwritten digits",
    "07": "outlines, key points, several labels at once, tables, ratings",
    "08": "text: a model that writes, attention, and when a pretrained transformer wins",
    "09": "learning rates, faulty trainings told by their curves, weight decay, dropout",
    "10": "trainings that are killed and go on, memory, several processes",
    "11": "from predictions to decisions: loops, chance, added sales, a plan of your own",
}


def _table(heads: list[str], rows: list[list[str]]) -> str:
    lines = [heads, ["---"] * len(heads), *rows]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines)


def _minutes(seconds: float | None) -> str:
    return f"{seconds / 60:.1f}" if seconds else "not measured"


def _link(stem: str) -> str:
    return f"[{stem.replace('_', ' ')}]({stem}.ipynb)"


def contents_table() -> str:
    """The table of contents for whoever opens the course: Markdown, minutes as stored."""
    rows = [
        [_link(path.stem), GIVES[path.stem[:2]], _minutes(seconds_of(path.stem, stored=True))]
        for path in chapters()
    ]
    return _table(["chapter", "what you will have", "minutes on two cores"], rows)


def write_contents() -> None:
    """Put the table, as it is now, into the stored chapter (the cell called `contents`)."""
    notebook = nbformat.read(chapter("00"), as_version=4)
    next(cell for cell in notebook.cells if cell.id == "contents").source = contents_table()
    write_whole(chapter("00"), nbformat.writes(notebook) + "\n")


def contents() -> Markdown:
    """The same for this learner: minutes measured here, questions answered, and due for review."""
    counts = schedule.progress(Journal(), load_bank())
    rows = []
    for stem in (path.stem for path in chapters()):
        count = counts.get(stem, {"answered": 0, "questions": 0, "due": 0})
        answered = f"{count['answered']} of {count['questions']}"
        rows.append([_link(stem), _minutes(seconds_of(stem)), answered, str(count["due"])])
    return Markdown(_table(["chapter", "minutes here", "answered", "due for review"], rows))
