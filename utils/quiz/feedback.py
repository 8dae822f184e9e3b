"""What a learner is told about an answer: one outcome of four, a score, and the reasons."""

import re
from collections.abc import Sequence
from dataclasses import asdict, dataclass
from typing import Literal

from utils.quiz.patterns import Pattern, find, places
from utils.quiz.words import LONGEST_READ, Token, Words, plain, read, with_topics

Outcome = Literal["blank", "wrong", "partial", "right"]
CAPS = {"wrong": 0.0, "partial": 0.5}  # the best score that a misconception leaves


@dataclass(frozen=True)
class Found:
    """A key idea that the answer has, and the character spans that say so."""

    idea: str
    spans: tuple[tuple[int, int], ...]
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


@dataclass(frozen=True)
class Idea:
    """A key idea, with the ways people say it."""

    name: str
    say: tuple[Pattern, ...]
    weight: float
    about: str
    beside: bool  # counts only if another idea is found too


@dataclass(frozen=True)
class Misconception:
    """Something that is said and is not so; it caps the outcome."""

    say: tuple[Pattern, ...]
    about: str
    cap: Literal["wrong", "partial"]
    tell: str


@dataclass(frozen=True)
class Rubric:
    """How free text is judged: all that `check_text` needs to know of a question."""

    question: str
    ideas: Sequence[Idea]
    misconceptions: Sequence[Misconception]
    topics: dict[str, Pattern]
    right_at: float
    partial_at: float
    words: Words
    vocabulary: frozenset[str]


BLANK = Feedback("blank", 0.0, "Nothing answered yet.")


def is_blank(answer: str, words: Words) -> bool:
    """Whether the answer says nothing: empty, punctuation only, or "I don't know"."""
    return plain(answer) in words.blank or not plain(answer)


def check_text(answer: str, rubric: Rubric) -> Feedback:
    """Judge free text by the key ideas that it has, lacks or has the wrong way round."""
    words = rubric.words
    if is_blank(answer, words):
        return BLANK
    names = tuple(idea.name for idea in rubric.ideas)
    tokens = read(answer, words, rubric.vocabulary)
    if _is_echo(tokens, read(rubric.question, words)):
        return Feedback("wrong", 0.0, "That is the question itself. What is the answer?", (), names)
    if _is_word_list(answer, tokens):
        return Feedback("wrong", 0.0, "These are words in a row. Say it in a sentence.", (), names)
    if rubric.topics:
        tokens = with_topics(tokens, _named(rubric.topics, tokens))
    found = [f for idea in rubric.ideas if (f := _look_for(idea, tokens))]
    slips = [m for m in rubric.misconceptions if _first(m.say, tokens, m.about, sure=True)]
    return _verdict(rubric, found, slips, len(answer) > LONGEST_READ)


def _named(topics: dict[str, Pattern], tokens: list[Token]) -> dict[str, list[int]]:
    return {
        name: [place.first for place in places(pattern.elements[0], tokens)]
        for name, pattern in topics.items()
    }


def _look_for(idea: Idea, tokens: Sequence[Token]) -> Found | None:
    first = _first(idea.say, tokens, idea.about)
    return Found(idea.name, first[1], first[0].whole) if first else None


def _first(
    say: Sequence[Pattern], tokens: Sequence[Token], about: str = "", sure: bool = False
) -> tuple[Pattern, tuple[tuple[int, int], ...]] | None:
    """The first way of saying it that the answer uses, and where."""
    found = ((p, tuple(spans)) for p in say if (spans := find(p, tokens, about, sure)))
    return next(found, None)


def _verdict(rubric: Rubric, found: list[Found], slips: list[Misconception], cut: bool) -> Feedback:
    have = {f.idea for f in found}
    if all(idea.beside for idea in rubric.ideas if idea.name in have):
        have, found = set(), []
    weight = sum(idea.weight for idea in rubric.ideas if idea.name in have)
    score = min([1.0, weight / rubric.right_at, *(CAPS[slip.cap] for slip in slips)])
    outcome: Outcome = "wrong"
    if score >= 1:
        outcome = "right"
    elif score and (weight >= rubric.partial_at or any(f.alone for f in found)):
        outcome = "partial"
    missing = tuple(idea.name for idea in rubric.ideas if idea.name not in have)
    parts = [slip.tell for slip in slips]
    parts += [_HEADS[outcome]] if not slips else []
    parts += [f"It has: {'; '.join(f.idea for f in found)}."] if found else []
    parts += [f"{_LACKS[outcome]}: {'; '.join(missing)}."] if missing else []
    parts += [f"Only the first {LONGEST_READ:,} characters were read."] if cut else []
    return Feedback(outcome, round(score, 3), " ".join(parts), tuple(found), missing)


_HEADS = {"right": "Right.", "partial": "Part of it.", "wrong": "Not yet."}
_LACKS = {"right": "You could add", "partial": "Missing", "wrong": "Missing"}


def _is_echo(answer: list[Token], question: list[Token]) -> bool:
    """The answer has no word that the question has not, and at least half of those."""
    said, asked = ({m for t in tokens for m in t.meanings} for tokens in (answer, question))
    return bool(asked) and said <= asked and len(said) * 2 >= len(asked)


def _is_word_list(answer: str, tokens: list[Token]) -> bool:
    """Long, and hardly any of the small words without which nobody writes sentences."""
    every = re.findall(r"[^\W_]+", answer[:LONGEST_READ])
    return len(tokens) > 40 and len(every) - len(tokens) < 0.12 * len(every)


LONGEST_NUMBER = 12  # words: more than these are no answer to "which number?"
_NUMBER = r"[-+]?(?:\d+(?:[.,]\d+)?|[.,]\d+)"


def read_numbers(answer: str) -> list[float]:
    """The numbers an answer states: "20 %", "1/5", "1,5", "two"; what stands after "=" if it does."""
    text = answer[:LONGEST_READ].lower()
    if plain(text) in _SPELT:
        return [float(_SPELT.index(plain(text)))]
    text = re.split(r"[=:]|->", text)[-1]
    text = re.sub(rf"{_NUMBER}\s*[-+*]\s*{_NUMBER}", " ", text)  # "1+1" is asked, not answered
    found = re.finditer(rf"({_NUMBER})(?:\s*/\s*({_NUMBER}))?\s*(%|per ?cent)?", text)
    return [value for m in found if (value := _value(*m.groups())) is not None]


_SPELT = "zero one two three four five six seven eight nine ten".split()


def _value(number: str, divisor: str | None, percent: str | None) -> float | None:
    top, bottom = (float((n or "1").replace(",", ".")) for n in (number, divisor))
    return top / bottom / (100 if percent else 1) if bottom else None


def check_number(answer: str, value: float, tolerance: float, words: Words) -> Feedback:
    """Judge a number, however it is written."""
    if is_blank(answer, words):
        return BLANK
    numbers = read_numbers(answer)
    if len(plain(answer).split()) > LONGEST_NUMBER:
        return Feedback("wrong", 0.0, "That is a whole story; write only the number.")
    if not numbers:
        return Feedback("wrong", 0.0, "There is no number in this answer; write one, like 0.25.")
    if len(set(numbers)) > 1:
        return Feedback(
            "wrong", 0.0, "There are several numbers here; write only the one you mean."
        )
    if abs(numbers[0] - value) <= tolerance:
        return Feedback("right", 1.0, "Right.")
    return Feedback("wrong", 0.0, f"{numbers[0]:g} is not it.")


def check_task(answer: str, words: Words) -> Feedback:
    """Whether the learner says that the task is done."""
    if answer.strip() in ("✓", "✔", "☑", "✅"):
        return Feedback("right", 1.0, "Done.")
    if is_blank(answer, words):
        return BLANK
    if plain(answer) in words.done:
        return Feedback("right", 1.0, "Done.")
    return Feedback(
        "wrong", 0.0, 'This is something to do; when you have, tick it or write "done".'
    )


_SAME = {"same", "matches", "it matches", "like yours", "same as yours", "the same"}
_CLOSE = {"close", "almost", "nearly", "partly", "some of it"}
_DIFFERS = {"different", "not the same", "differs", "no match"}


def check_sketch(answer: str, words: Words) -> Feedback | None:
    """How the learner says a sketch compares with our picture; None if the answer describes one."""
    said = plain(answer)
    if said in _SAME:
        return Feedback("right", 1.0, "Your sketch and our picture agree.")
    if said in _CLOSE:
        return Feedback("partial", 0.5, "Look what our picture has that yours lacks, and add it.")
    if said in _DIFFERS:
        return Feedback("wrong", 0.0, "Follow our picture arrow by arrow, then sketch it again.")
    if said in words.done:
        return Feedback(
            "wrong", 0.0, "How does it compare with our picture: same, close or different?"
        )
    return None


@dataclass(frozen=True)
class Choice:
    """One option as `check_choice` needs it."""

    text: str
    right: bool
    why: str
    say: tuple[Pattern, ...]


def check_choice(answer: str, options: Sequence[Choice], words: Words) -> Feedback:
    """Judge a choice given by letters ("a, c") or in words; order does not matter."""
    if is_blank(answer, words):
        return BLANK
    chosen = _chosen(answer, options, words)
    if not chosen:
        letters = f"a to {chr(ord('a') + len(options) - 1)}"
        return Feedback("wrong", 0.0, f"That is none of the options; write letters, {letters}.")
    picked = [options[i] for i in sorted(chosen)]
    rightly = [o for o in picked if o.right]
    slips = [o for o in picked if not o.right]
    missed = tuple(o.text for o in options if o.right and o not in rightly)
    score = max(0.0, (len(rightly) - len(slips)) / (len(rightly) + len(missed)))
    outcome: Outcome = "right" if not slips and not missed else "partial" if score else "wrong"
    parts = [_HEADS[outcome], *(f"{o.text}: {o.why}" for o in picked)]
    found = tuple(Found(o.text, ()) for o in rightly)
    return Feedback(outcome, round(score, 3), " ".join(parts), found, missed)


def _chosen(answer: str, options: Sequence[Choice], words: Words) -> set[int]:
    """The options an answer names: by letters, by their text, or in other words."""
    letters = plain(answer).split()
    if len(letters) == 1 and len(set(letters[0])) == len(letters[0]) <= len(options):
        letters = list(letters[0])  # "abd"
    if all(len(s) == 1 and 0 <= ord(s) - ord("a") < len(options) for s in letters):
        return {ord(s) - ord("a") for s in letters}
    lines = {plain(part) for part in re.split(r"[;\n]", answer)}
    by_text = {i for i, option in enumerate(options) if plain(option.text) in lines}
    tokens = read(answer, words)
    return by_text or {i for i, o in enumerate(options) if _first(o.say, tokens)}


def check_code(answer: str, checks: Sequence[str], names: Sequence[str], words: Words) -> Feedback:
    """Run the learner's code in its own process; every check that passes is an idea found."""
    if is_blank(answer, words):
        return BLANK
    from utils.quiz.sandbox import run_code  # only code needs a sandbox

    result = run_code(answer, list(checks))
    if result.timed_out:
        return Feedback("wrong", 0.0, "Your code did not end in time.", (), tuple(names))
    if result.error and not any(result.passed):
        return Feedback("wrong", 0.0, f"Your code stopped with: {result.error}", (), tuple(names))
    found = tuple(Found(n, ()) for n, ok in zip(names, result.passed, strict=True) if ok)
    missing = tuple(n for n, ok in zip(names, result.passed, strict=True) if not ok)
    score = len(found) / len(names)
    outcome: Outcome = "right" if not missing else "partial" if found else "wrong"
    parts = [_HEADS[outcome], f"{_LACKS[outcome]}: {'; '.join(missing)}." if missing else ""]
    return Feedback(outcome, round(score, 3), " ".join(parts).strip(), found, missing)
