"""The question bank: the YAML files of `data/questions`, read once, and what is wrong with them."""

from collections import Counter
from functools import lru_cache
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import Field, TypeAdapter, ValidationError
from pydantic_core import ErrorDetails

from utils.common import CourseError
from utils.paths import DATA
from utils.quiz.match import Words
from utils.quiz.questions import Question, ShortQuestion
from utils.quiz.rivals import Rivals

QUESTIONS = DATA / "questions"
WORDS_FILE = "words.yaml"
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast, where it was built
QUESTION: TypeAdapter[Question] = TypeAdapter(Annotated[Question, Field(discriminator="kind")])


class BankError(CourseError):
    """A question file is not as it should be; the message says where and what to write there."""


class Bank(dict[str, Question]):
    """All questions by id, in the order of the files; one of the book's by its number as well."""

    def __missing__(self, key: str) -> Question:
        """The question with this number in the book ("1.05" is "1.5"), else a KeyError."""
        wanted = [part.lstrip("0") for part in key.split(".")]
        for question in self.values():
            if question.book and [part.lstrip("0") for part in question.book.split(".")] == wanted:
                return question
        topics = sorted({_topic(id) for id in self})
        raise KeyError(f"no question '{key}'; an id is {' or '.join(topics)}, then -01, -02 …")

    def for_topic(self, name: str) -> list[Question]:
        """The questions of topic `name` (`intro`), in order; none when there is no such topic."""
        return [q for q in self.values() if _topic(q.id) == name]

    def for_notebook(self, name: str) -> list[Question]:
        """The questions that notebook `name` teaches, in order, without its exercises."""
        return [q for q in self.values() if q.notebook == name and not q.exercise]


@lru_cache(maxsize=4)
def load_bank(folder: Path = QUESTIONS) -> Bank:
    """Read every question file of `folder`; it may have word lists of its own.

    Raises BankError, which lists everything that has to be put right, file by file.
    """
    files = sorted(path for path in folder.glob("*.yaml") if path.name != WORDS_FILE)
    if not files:
        raise BankError(f"{folder}: there is no question file (*.yaml) here; write one")
    own = folder / WORDS_FILE
    words = _load_words(own if own.exists() else QUESTIONS / WORDS_FILE, files)
    problems: list[str] = []
    questions = [q for path in files for q in _load_file(path, words, problems)]
    times = Counter(question.id for question in questions)
    problems += [
        f"{i}: {n} questions have this id; give each its own" for i, n in times.items() if n > 1
    ]
    if problems:
        raise BankError("\n".join(problems))
    bank = Bank((question.id, question) for question in questions)
    for topic in {_topic(id) for id in bank}:
        asked = {q.id: q for q in bank.for_topic(topic) if isinstance(q, ShortQuestion)}
        if len(asked) > 1:
            rivals = Rivals({id: question.own_words() for id, question in asked.items()})
            for question in asked.values():
                question.meet(asked, rivals)
    return bank


def _topic(id: str) -> str:
    return id.rpartition("-")[0]


def _load_words(path: Path, files: list[Path]) -> Words:
    texts = [file.read_text(encoding="utf-8", errors="replace") for file in files]
    try:
        return Words.from_lists(yaml.load(path.read_text(encoding="utf-8"), LOADER), texts)
    except (yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        advice = "write lists of words, and yes, no, on, off and numbers in quotes"
        raise BankError(f"{path.name}: cannot be read ({error}); {advice}") from error


def _load_file(path: Path, words: Words, problems: list[str]) -> list[Question]:
    """The questions of one file; what is wrong with it is added to `problems`."""
    try:
        entries = yaml.load(path.read_text(encoding="utf-8"), LOADER)
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        problems.append(f"{path.name}: is not YAML: {' '.join(str(error).split())}")
        return []
    if not isinstance(entries, list):
        problems.append(f"{path.name}: must be a list of questions, each beginning with '- id:'")
        return []
    questions = []
    for number, entry in enumerate(entries, 1):
        try:
            questions.append(QUESTION.validate_python(entry, context={"words": words}))
        except ValidationError as error:
            name = entry.get("id") if isinstance(entry, dict) else None
            where = f"{path.name}: {name or f'question {number} of the file'}"
            problems += [f"{where}: {_explain(e)}" for e in error.errors()]
    return questions


KINDS = ("short", "draw", "choice", "number", "code", "task")
WRITE_KIND = f"write {', '.join(KINDS[:-1])} or {KINDS[-1]}"
ADVICE = {
    "missing": "is missing; write it",
    "extra_forbidden": "is no field of this kind of question; check its spelling or remove it",
    "union_tag_not_found": f"kind: is missing; {WRITE_KIND}",
    "union_tag_invalid": f"kind: is none that there is; {WRITE_KIND}",
    "too_short": "has too few entries; write at least {min_length}",
    "string_too_short": "is empty; write some text",
    "string_type": "must be text; put it in quotes",
    "list_type": "must be a list; begin each line below it with '- '",
    "string_pattern_mismatch": "does not have the right form; compare with {pattern}",
}


def _explain(error: ErrorDetails) -> str:
    """One of pydantic's errors as a sentence: field, what to write there, what was found."""
    parts = [part for part in error["loc"] if part not in KINDS]
    field = " ".join(f"({p + 1})" if isinstance(p, int) else p for p in parts)
    advice = ADVICE.get(error["type"], error["msg"]).format(**error.get("ctx", {}))
    clear = error["type"] in ("missing", "union_tag_not_found", "value_error")
    found = "" if clear else f" (found: {error['input']!r:.60})"
    return f"{field + ': ' if field else ''}{advice.removeprefix('Value error, ')}{found}"
