"""What a learner is told about free text: one outcome of four, a score, and the reasons."""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import TYPE_CHECKING, Literal

from utils.quiz.patterns import Pattern, find, places
from utils.quiz.words import LONGEST_READ, Token, Words, plain, read, with_topics

if TYPE_CHECKING:
    from utils.quiz.bank import Idea, ShortQuestion

Outcome = Literal["blank", "wrong", "partial", "right"]
CAPS = {"wrong": 0.0, "partial": 0.5}  # the best score that a misconception leaves
HEADS = {"right": "Right.", "partial": "Part of it.", "wrong": "Not yet."}


@dataclass(frozen=True)
class Found:
    """A key idea that the answer has, and the character spans that say so."""

    idea: str
    spans: tuple[tuple[int, int], ...] = ()
    alone: bool = False  # the answer says nothing else


@dataclass(frozen=True)
class Feedback:
    """The verdict on one answer."""

    outcome: Outcome
    score: float
    message: str
    found: tuple[Found, ...] = ()
    missing: tuple[str, ...] = ()

    @property
    def marked(self) -> list[tuple[int, int, str]]:
        """The spans to mark in the answer, in order: start, end, the idea they belong to."""
        return sorted((start, end, f.idea) for f in self.found for start, end in f.spans)

    def as_dict(self) -> dict:
        """Everything, as what `json.dumps` accepts."""
        return asdict(self) | {"marked": self.marked}


BLANK = Feedback("blank", 0.0, "Nothing answered yet.")


def wrong(message: str, missing: Sequence[str] = ()) -> Feedback:
    """The verdict on an answer that has nothing right."""
    return Feedback("wrong", 0.0, message, (), tuple(missing))


def is_blank(answer: str, words: Words) -> bool:
    """Whether the answer says nothing: empty, punctuation only, or "I don't know"."""
    said = plain(answer)
    return not said or said in words.blank


def check_text(answer: str, question: "ShortQuestion", words: Words) -> Feedback:
    """Judge free text by the key ideas that it has, lacks or has the wrong way round."""
    tokens = read(answer, words, question.vocabulary)
    names = [idea.name for idea in question.ideas]
    if _is_echo(tokens, read(question.text, words)):
        return wrong("That is the question itself. What is the answer?", names)
    if _is_word_list(answer, tokens):
        return wrong("These are words in a row. Say it in a sentence.", names)
    if question.topics:
        tokens = with_topics(tokens, _named(question.topics, tokens))
    found = [f for idea in question.ideas if (f := _look_for(idea, tokens))]
    slips = [m for m in question.misconceptions if _first(m.say, tokens, m.about, sure=True)]
    best = min([1.0, *(CAPS[slip.cap] for slip in slips)])
    tell = [slip.tell for slip in slips]
    if len(answer) > LONGEST_READ:
        tell.append(f"Only the first {LONGEST_READ:,} characters were read.")
    return _verdict(question, found, best, tell)


def _named(topics: dict[str, list[Pattern]], tokens: list[Token]) -> dict[str, list[int]]:
    """For each topic the tokens that name it."""
    return {
        topic: [place.first for name in names for place in places(name.elements[0], tokens)]
        for topic, names in topics.items()
    }


def _look_for(idea: "Idea", tokens: Sequence[Token]) -> Found | None:
    first = _first(idea.say, tokens, idea.about)
    return Found(idea.name, first[1], first[0].whole) if first else None


def _first(
    say: Sequence[Pattern], tokens: Sequence[Token], about: str = "", sure: bool = False
) -> tuple[Pattern, tuple[tuple[int, int], ...]] | None:
    """The first way of saying it that the answer uses, those of a whole answer before others."""
    said = {meaning for token in tokens for meaning in token.meanings}
    possible = sorted((p for p in say if p.may_be_in(said)), key=lambda p: not p.whole)
    found = ((p, tuple(spans)) for p in possible if (spans := find(p, tokens, about, sure)))
    return next(found, None)


def says(answer: str, say: Sequence[Pattern], words: Words) -> bool:
    """Whether the answer uses one of these ways of saying it, and is no list of words."""
    tokens = read(answer, words)
    return not _is_word_list(answer, tokens) and _first(say, tokens) is not None


def _verdict(
    question: "ShortQuestion", found: list[Found], best: float, tell: list[str]
) -> Feedback:
    have = {f.idea for f in found}
    if all(idea.beside for idea in question.ideas if idea.name in have):
        have, found = set(), []
    weight = sum(idea.weight for idea in question.ideas if idea.name in have)
    score = min(best, weight / question.enough)
    outcome: Outcome = "wrong"
    if score >= 1:
        outcome = "right"
    elif score and (weight >= question.partial_at or any(f.alone for f in found)):
        outcome = "partial"
    missing = tuple(idea.name for idea in question.ideas if idea.name not in have)
    every = question.enough == sum(idea.weight for idea in question.ideas)
    lacks = "Missing" if every and outcome != "right" else "You could add"
    message = explained(outcome, [f.idea for f in found], missing, tell, lacks)
    return Feedback(outcome, round(score, 3), message, tuple(found), missing)


def explained(
    outcome: Outcome,
    found: Sequence[str],
    missing: Sequence[str],
    tell: Sequence[str] = (),
    lacks: str = "Missing",
) -> str:
    """The verdict in plain sentences."""
    parts = [*tell] or [HEADS[outcome]]
    if found:
        parts.append(f"It has: {'; '.join(found)}.")
    if missing:
        parts.append(f"{lacks}: {'; '.join(missing)}.")
    return " ".join(parts)


def _is_echo(answer: list[Token], question: list[Token]) -> bool:
    """The answer has no word that the question has not, and at least half of those."""
    said, asked = ({m for t in tokens for m in t.meanings} for tokens in (answer, question))
    return bool(asked) and said <= asked and len(said) * 2 >= len(asked)


def _is_word_list(answer: str, tokens: list[Token]) -> bool:
    """Long, and hardly any of the small words without which nobody writes sentences."""
    every = re.findall(r"[^\W_]+", answer[:LONGEST_READ])
    return len(tokens) > 40 and len(every) - len(tokens) < 0.12 * len(every)
