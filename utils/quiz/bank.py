"""The question bank: the YAML files of `data/questions`, validated, as questions that check answers."""

from collections import Counter
from collections.abc import Iterator, Mapping
from functools import lru_cache
from pathlib import Path
from typing import Annotated, Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, PrivateAttr, TypeAdapter, ValidationError
from pydantic import model_validator

from utils.paths import DATA
from utils.quiz import feedback as fb
from utils.quiz.patterns import Pattern, parse
from utils.quiz.words import Words

QUESTIONS = DATA / "questions"
WORDS_FILE = "words.yaml"


class BankError(ValueError):
    """A question file is not as it should be; the message says where and what to write there."""


Text = Annotated[str, Field(min_length=1)]
Ways = Annotated[list[Text], Field(min_length=1)]


class _Strict(BaseModel):
    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)


class _Question(_Strict):
    """What every kind of question has."""

    id: str = Field(pattern=r"^[a-z]+-\d\d$")
    book: str | None = Field(default=None, pattern=r"^\d{1,2}\.\d{1,2}$")
    notebook: str = Field(pattern=r"^\d\d_[a-z_]+$")
    section: Text
    text: Text
    answer: Text
    hints: list[Text] = Field(min_length=1)
    _words: Words = PrivateAttr()

    def model_post_init(self, context: Any) -> None:  # noqa: ANN401 (pydantic's signature)
        """Keep the word lists of the bank this question came from."""
        self._words = context["words"] if context else Words()

    def check(self, answer: str) -> fb.Feedback:
        """Judge an answer. Raises TypeError if it is not a string."""
        if not isinstance(answer, str):
            raise TypeError(f"an answer is text; this is {type(answer).__name__}: write it as str")
        return self._check(answer)

    def _check(self, answer: str) -> fb.Feedback:
        raise NotImplementedError


class IdeaSpec(_Strict):
    """One key idea in a file: its name, and how people say it."""

    name: Text
    say: Ways
    weight: float = Field(default=1.0, gt=0)
    about: str = ""
    beside: bool = False


class MisconceptionSpec(_Strict):
    """Something people say that is not so, and what to tell them."""

    say: Ways
    tell: Text
    about: str = ""
    cap: Literal["wrong", "partial"] = "wrong"


class ShortQuestion(_Question):
    """Free text, judged by key ideas."""

    kind: Literal["short"]
    ideas: list[IdeaSpec] = Field(min_length=1)
    misconceptions: list[MisconceptionSpec] = []
    topics: dict[str, Ways] = {}
    right_at: float | None = Field(default=None, gt=0)
    partial_at: float = Field(default=0.01, gt=0)
    _rubric: fb.Rubric = PrivateAttr()

    @model_validator(mode="after")
    def _consistent(self) -> "ShortQuestion":
        total = sum(idea.weight for idea in self.ideas)
        if (self.right_at or total) > total:
            raise ValueError(
                f"right_at is {self.right_at:g}, above all weights together ({total:g})"
            )
        for spec in (*self.ideas, *self.misconceptions):
            if spec.about and spec.about not in self.topics:
                raise ValueError(f"about: '{spec.about}' is none of the topics {list(self.topics)}")
        names = Counter(idea.name for idea in self.ideas)
        if twice := [name for name, n in names.items() if n > 1]:
            raise ValueError(f"two ideas have the name '{twice[0]}'; give each its own")
        return self

    def model_post_init(self, context: Any) -> None:  # noqa: ANN401
        """Compile the patterns, so that a bad one is reported when the bank is loaded."""
        super().model_post_init(context)
        words = self._words

        def compiled(say: list[str]) -> tuple[Pattern, ...]:
            patterns = [parse(source, words) for source in say]
            return tuple(sorted(patterns, key=lambda pattern: not pattern.whole))

        ideas = [fb.Idea(i.name, compiled(i.say), i.weight, i.about, i.beside) for i in self.ideas]
        slips = [
            fb.Misconception(compiled(m.say), m.about, m.cap, m.tell) for m in self.misconceptions
        ]
        topics = {name: parse(f"[{'|'.join(say)}]", words) for name, say in self.topics.items()}
        patterns = [*topics.values(), *(p for part in (*ideas, *slips) for p in part.say)]
        self._rubric = fb.Rubric(
            question=self.text,
            ideas=ideas,
            misconceptions=slips,
            topics=topics,
            right_at=self.right_at or sum(idea.weight for idea in ideas),
            partial_at=self.partial_at,
            words=words,
            vocabulary=frozenset().union(*(p.vocabulary() for p in patterns)),
        )

    def _check(self, answer: str) -> fb.Feedback:
        return fb.check_text(answer, self._rubric)


class DrawQuestion(ShortQuestion):
    """A sketch, compared by the learner with our picture; or described in words."""

    kind: Literal["draw"]
    picture: Text  # the name of a function of utils.quiz.drawings

    def _check(self, answer: str) -> fb.Feedback:
        return fb.check_sketch(answer, self._words) or super()._check(answer)


class Option(_Strict):
    """One option of a choice, with why it is right or not."""

    text: Text
    right: bool
    why: Text
    say: list[Text] = []


class ChoiceQuestion(_Question):
    """One or several options, chosen by letter or in words."""

    kind: Literal["choice"]
    options: list[Option] = Field(min_length=2, max_length=26)

    @model_validator(mode="after")
    def _has_right(self) -> "ChoiceQuestion":
        if not any(option.right for option in self.options):
            raise ValueError("no option is right; add one such as 'none of these'")
        return self

    def _check(self, answer: str) -> fb.Feedback:
        options = [
            fb.Choice(o.text, o.right, o.why, tuple(parse(s, self._words) for s in o.say))
            for o in self.options
        ]
        return fb.check_choice(answer, options, self._words)


class NumberQuestion(_Question):
    """A number, however it is written."""

    kind: Literal["number"]
    value: float
    tolerance: float = Field(default=1e-9, ge=0)

    def _check(self, answer: str) -> fb.Feedback:
        return fb.check_number(answer, self.value, self.tolerance, self._words)


class CodeQuestion(_Question):
    """Code that is run, then checked by asserts that see its names."""

    kind: Literal["code"]
    checks: Ways
    names: Ways  # what each check looks at, for the learner

    @model_validator(mode="after")
    def _paired(self) -> "CodeQuestion":
        if len(self.checks) != len(self.names):
            raise ValueError("checks and names differ in length; give each check one name")
        return self

    def _check(self, answer: str) -> fb.Feedback:
        return fb.check_code(answer, self.checks, self.names, self._words)


class TaskQuestion(_Question):
    """Something to do, then to tick off."""

    kind: Literal["task"]

    def _check(self, answer: str) -> fb.Feedback:
        return fb.check_task(answer, self._words)


Question = (
    ShortQuestion | DrawQuestion | ChoiceQuestion | NumberQuestion | CodeQuestion | TaskQuestion
)
_QUESTION = TypeAdapter(Annotated[Question, Field(discriminator="kind")])


class Bank(Mapping[str, Question]):
    """All questions by id, in the order of the files."""

    def __init__(self, questions: list[Question]) -> None:
        """Keep `questions`, whose ids differ."""
        self._by_id = {question.id: question for question in questions}

    def __getitem__(self, key: str) -> Question:
        """The question with this id; a KeyError says which ids there are."""
        if key not in self._by_id:
            have = sorted({name.rpartition("-")[0] for name in self._by_id})
            raise KeyError(f"no question '{key}'; ids look like {have[0] if have else 'intro'}-05")
        return self._by_id[key]

    def __iter__(self) -> Iterator[str]:
        """The ids, in order."""
        return iter(self._by_id)

    def __len__(self) -> int:
        """How many questions there are."""
        return len(self._by_id)

    def for_notebook(self, name: str) -> list[Question]:
        """The questions that notebook `name` teaches, in order."""
        return [q for q in self.values() if q.notebook == name]

    def by_book(self, number: str) -> Question:
        """The question with this number in the book; "1.05" is "1.5". Raises KeyError if none has."""
        wanted = _book_number(number)
        for question in self.values():
            if question.book and _book_number(question.book) == wanted:
                return question
        raise KeyError(f"no question has the book number {number}")


def _book_number(number: str) -> tuple[str, ...]:
    return tuple(part.lstrip("0") for part in number.split("."))


@lru_cache(maxsize=4)
def load_bank(folder: Path = QUESTIONS) -> Bank:
    """Read every question file of `folder`.

    Raises BankError, which lists everything that has to be put right, file by file.
    """
    files = sorted(path for path in Path(folder).glob("*.yaml") if path.name != WORDS_FILE)
    if not files:
        raise BankError(f"{folder}: there is no question file (*.yaml) here; write one")
    problems: list[str] = []
    context = {"words": _load_words(Path(folder), files)}
    questions: list[Question] = []
    for path in files:
        for number, entry in enumerate(_entries(path, problems), 1):
            try:
                questions.append(_QUESTION.validate_python(entry, context=context))
            except ValidationError as error:
                name = entry.get("id") if isinstance(entry, dict) else None
                where = f"{path.name}: {name or f'question {number} of the file'}"
                problems += [f"{where}: {_explain(e)}" for e in error.errors()]
    problems += _repeats(questions)
    if problems:
        raise BankError("\n".join(problems))
    return Bank(questions)


def _load_words(folder: Path, files: list[Path]) -> Words:
    path = folder / WORDS_FILE
    source = path if path.exists() else QUESTIONS / WORDS_FILE
    texts = [file.read_text(encoding="utf-8") for file in files]
    try:
        return Words.from_lists(yaml.safe_load(source.read_text(encoding="utf-8")), texts)
    except (yaml.YAMLError, KeyError, TypeError, AttributeError) as error:
        raise BankError(f"{source.name}: cannot be read ({error}); see README.md there") from error


def _entries(path: Path, problems: list[str]) -> list[Any]:
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        problems.append(f"{path.name}: is not YAML: {' '.join(str(error).split())}")
        return []
    if not isinstance(content, list):
        problems.append(f"{path.name}: must be a list of questions, each beginning with '- id:'")
        return []
    return content


def _repeats(questions: list[Question]) -> list[str]:
    counts = Counter(question.id for question in questions)
    return [
        f"{id}: {n} questions have this id; give each its own" for id, n in counts.items() if n > 1
    ]


_KINDS = "short, draw, choice, number, code or task"
_ADVICE = {
    "missing": "is missing; write it",
    "extra_forbidden": "is no field of this kind of question; check its spelling or remove it",
    "union_tag_not_found": f"kind: is missing; write {_KINDS}",
    "union_tag_invalid": f"kind: must be {_KINDS}",
    "too_short": "is empty; write at least one",
    "string_too_short": "is empty; write some text",
    "string_type": "must be text; put it in quotes",
    "list_type": "must be a list; begin each line below it with '- '",
    "string_pattern_mismatch": "does not have the right form; compare with {pattern}",
}


def _explain(error: dict) -> str:
    """One of pydantic's errors as a sentence: field, what to write there, what was found."""
    kinds = _KINDS.replace(",", "").split()
    field = ".".join(
        str(part + 1) if isinstance(part, int) else part
        for part in error["loc"]
        if part not in kinds
    )
    advice = _ADVICE.get(error["type"], error["msg"]).format(**error.get("ctx", {}))
    shown = f" (found: {error['input']!r:.60})" if error["type"] not in _NOTHING_FOUND else ""
    return f"{field + ': ' if field else ''}{advice.removeprefix('Value error, ')}{shown}"


_NOTHING_FOUND = ("missing", "union_tag_not_found", "value_error")
