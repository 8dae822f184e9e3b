"""The question bank as an Anki deck; importing a later one updates the cards already there."""

from collections.abc import Iterable
from hashlib import sha256
from html import escape
from pathlib import Path

import genanki

from utils.common import made_whole
from utils.quiz.questions import Question
from utils.quiz.show import model_answer, question_html, what_counts

DECK = "Whole Game"
BACK = '{{FrontSide}}<hr id="answer">{{Answer}}<div class="where">{{Where}}</div>'
STYLE = (
    ".card { font-family: sans-serif; font-size: 18px; text-align: left; max-width: 40em; }\n"
    "pre { background: #8882; padding: .5em; overflow-x: auto; }\n"
    ".where { margin-top: 1em; font-size: 80%; opacity: .7; }"
)


def write_apkg(questions: Iterable[Question], path: Path) -> int:
    """Write questions as a deck, without tasks, which are done, not remembered; returns how many.

    Raises `OSError` when `path` cannot be written; an older file there stays as it was.
    """
    model = genanki.Model(
        _number("model"),
        f"{DECK} question",
        fields=[{"name": name} for name in ("Id", "Question", "Answer", "Where")],
        templates=[{"name": "Card 1", "qfmt": "{{Question}}", "afmt": BACK}],
        css=STYLE,
    )
    decks: dict[str, genanki.Deck] = {}
    for question in questions:
        if question.kind == "task":
            continue
        name = f"{DECK}::{question.notebook}"
        where = escape(f"{question.notebook}, {question.section}")
        answer = model_answer(question) + what_counts(question)
        note = genanki.Note(
            model,
            [question.id, question_html(question), answer, where],
            guid=genanki.guid_for(DECK, question.id),  # Anki knows a note by it, whatever it says
            tags=[question.notebook, question.id.rpartition("-")[0]],
        )
        decks.setdefault(name, genanki.Deck(_number(name), name)).add_note(note)
    with made_whole(path) as part:
        genanki.Package(list(decks.values())).write_to_file(part)
    return sum(len(deck.notes) for deck in decks.values())


def _number(name: str) -> int:
    """A number that is always the same for a name, in the range Anki wants."""
    return 1 << 30 | int.from_bytes(sha256(f"{DECK}/{name}".encode()).digest()[:4], "big") >> 2
