"""The question bank as an Anki deck; importing a later one updates the cards already there."""

import html
import re
from collections.abc import Iterable
from hashlib import sha256
from pathlib import Path
from typing import Any

import genanki

DECK = "Whole Game"
CARD = "{{Question}}"
BACK = '{{FrontSide}}<hr id="answer">{{Answer}}<div class="where">{{Where}}</div>'
STYLE = (
    ".card { font-family: sans-serif; font-size: 18px; text-align: left; max-width: 40em; }\n"
    "pre { background: #8882; padding: .5em; overflow-x: auto; }\n"
    ".where { margin-top: 1em; font-size: 80%; opacity: .7; }"
)


def write_apkg(questions: Iterable[Any], path: str | Path) -> int:
    """Write questions (id, text, answer, notebook, section) as a deck; returns how many.

    Tasks are left out: they are done, not remembered. Raises `OSError` when `path` cannot be
    written; an older file there is replaced only by a whole one.
    """
    fields = [{"name": name} for name in ("Id", "Question", "Answer", "Where")]
    model = genanki.Model(
        _number("model"),
        f"{DECK} question",
        fields=fields,
        templates=[{"name": "Card 1", "qfmt": CARD, "afmt": BACK}],
        css=STYLE,
    )
    decks: dict[str, genanki.Deck] = {}
    for question in questions:
        if question.kind == "task":
            continue
        name = f"{DECK}::{question.notebook}"
        deck = decks.setdefault(name, genanki.Deck(_number(name), name))
        deck.add_note(_note(model, question))
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    unfinished = path.with_name(path.name + ".part")
    genanki.Package(list(decks.values())).write_to_file(unfinished)
    unfinished.replace(path)
    return sum(len(deck.notes) for deck in decks.values())


def _note(model: genanki.Model, question: Any) -> genanki.Note:
    options = [f"- {option.text}" for option in getattr(question, "options", [])]
    asked = "\n".join([question.text, *options])
    where = f"{question.notebook}, {question.section}"
    return genanki.Note(
        model=model,
        fields=[question.id, as_html(asked), as_html(question.answer), html.escape(where)],
        guid=genanki.guid_for(DECK, question.id),  # Anki knows a note by this, whatever it says
        tags=[question.notebook, question.id.rpartition("-")[0]],
    )


def as_html(text: str) -> str:
    """Escape text for an Anki field; fenced and inline code stay code, other lines break."""
    pieces = re.split(r"```[^\n]*\n(.*?)\n?```\n?", text.strip(), flags=re.DOTALL)
    shown = []
    for number, piece in enumerate(pieces):
        if number % 2:
            shown.append(f"<pre><code>{html.escape(piece)}</code></pre>")
        else:
            words = html.escape(piece.strip("\n"))
            words = re.sub(r"`([^`\n]+)`", r"<code>\1</code>", words)
            shown.append(words.replace("\n", "<br>"))
    return "".join(shown)


def _number(name: str) -> int:
    """A number that is always the same for a name, in the range Anki wants."""
    return 1 << 30 | int.from_bytes(sha256(f"{DECK}/{name}".encode()).digest()[:4], "big") >> 2
