"""The question bank: the YAML files of `data/questions`, read once, and what is wrong with them."""

from collections import Counter
from functools import lru_cache
from pathlib import Path
from typing import Annotated

import yaml
from pydantic import Field, TypeAdapter, ValidationError

from utils.common import CourseError
from utils.quiz import match
from utils.quiz.match import QUESTIONS
from utils.quiz.questions import Question, ShortQuestion, make_rivals

QUESTION: TypeAdapter[Question] = TypeAdapter(Annotated[Question, Field(discriminator="kind")])


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
    """Read every question file of `folder`.

    Raises `CourseError`, which lists everything that has to be put right, file by file.
    """
    problems: list[str] = []
    questions: list[Question] = []
    for path in sorted({*folder.glob("*.yaml")} - {folder / "words.yaml"}):
        try:
            with path.open(encoding="utf-8") as file:
                entries = yaml.load(file, match.LOADER)
        except (yaml.YAMLError, UnicodeDecodeError) as error:
            problems.append(f"{path.name}: {error}")
            continue
        for entry in entries or []:
            try:
                questions.append(QUESTION.validate_python(entry))
            except ValidationError as error:
                id = entry.get("id") if isinstance(entry, dict) else entry
                for e in error.errors():
                    field = ".".join(map(str, (id, *e["loc"])))
                    problems.append(f"{path.name}: {field}: {e['msg']} (found: {e['input']!r:.60})")
    times = Counter(question.id for question in questions)
    problems += [f"{id}: {n} questions have this id" for id, n in times.items() if n > 1]
    if problems:
        raise CourseError("\n".join(problems))
    bank = Bank((question.id, question) for question in questions)
    for topic in {_topic(id) for id in bank}:
        make_rivals([q for q in bank.for_topic(topic) if isinstance(q, ShortQuestion)])
    return bank


def _topic(id: str) -> str:
    return id.rpartition("-")[0]
