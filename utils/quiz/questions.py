"""What a question is: its fields, validated when a bank is loaded, and what checks an answer."""

from collections import Counter
from functools import cached_property
from typing import Annotated, Any, Literal

from pydantic import (
    BaseModel,
    BeforeValidator,
    ConfigDict,
    Field,
    InstanceOf,
    PrivateAttr,
    ValidationInfo,
    model_validator,
)

from utils.quiz import kinds
from utils.quiz.feedback import BLANK, Feedback, check_text, is_blank
from utils.quiz.patterns import Pattern, parse
from utils.quiz.words import Words


def _pattern(source: Any, info: ValidationInfo) -> Pattern:
    if not isinstance(source, str):
        raise ValueError("must be text; put it in quotes")
    return parse(source, info.context["words"])


Text = Annotated[str, Field(min_length=1)]
Texts = Annotated[list[Text], Field(min_length=1)]
Ways = list[Annotated[InstanceOf[Pattern], BeforeValidator(_pattern)]]
SomeWays = Annotated[Ways, Field(min_length=1)]


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
    hints: Texts
    exercise: bool = False  # asked where the page has come to it, and not in the questionnaire
    _words: Words = PrivateAttr()

    def model_post_init(self, context: Any) -> None:
        """Keep the word lists of the bank that this question is in."""
        self._words = context["words"]

    def check(self, answer: str) -> Feedback:
        """Judge an answer. Raises TypeError if it is not a string."""
        if not isinstance(answer, str):
            raise TypeError(f"an answer is text; this is {type(answer).__name__}: write it as str")
        return BLANK if is_blank(answer, self._words) else self._check(answer)

    def _check(self, answer: str) -> Feedback:
        raise NotImplementedError


class Idea(_Strict):
    """A key idea: its name, and how people say it."""

    name: Text
    say: SomeWays
    weight: float = Field(default=1.0, gt=0)
    about: str = ""
    beside: bool = False  # counts only if another idea is found too


class Misconception(_Strict):
    """Something people say that is not so, and what to tell them."""

    say: SomeWays
    tell: Text
    about: str = ""
    cap: Literal["wrong", "partial"] = "wrong"


class ShortQuestion(_Question):
    """Free text, judged by key ideas."""

    kind: Literal["short"]
    ideas: list[Idea] = Field(min_length=1)
    misconceptions: list[Misconception] = []
    topics: dict[str, SomeWays] = {}
    right_at: float | None = Field(default=None, gt=0)
    partial_at: float = Field(default=0.01, gt=0)

    @property
    def enough(self) -> float:
        """The weight of ideas that makes an answer right."""
        return self.right_at or sum(idea.weight for idea in self.ideas)

    @cached_property
    def vocabulary(self) -> dict[str, str]:
        """The words that the patterns look for, and what they mean."""
        parts = [*self.ideas, *self.misconceptions]
        ways = [*self.topics.values(), *(part.say for part in parts)]
        found = (pattern.vocabulary(self._words) for say in ways for pattern in say)
        return {word: meaning for words in found for word, meaning in words.items()}

    @model_validator(mode="after")
    def _consistent(self) -> "ShortQuestion":
        total = sum(idea.weight for idea in self.ideas)
        if self.enough > total:
            raise ValueError(f"right_at is {self.enough:g}, above all weights together ({total:g})")
        for part in (*self.ideas, *self.misconceptions):
            if part.about and part.about not in self.topics:
                raise ValueError(f"about: '{part.about}' is none of the topics {list(self.topics)}")
        name, times = Counter(idea.name for idea in self.ideas).most_common(1)[0]
        if times > 1:
            raise ValueError(f"two ideas have the name '{name}'; give each its own")
        return self

    def _check(self, answer: str) -> Feedback:
        return check_text(answer, self, self._words)


class DrawQuestion(ShortQuestion):
    """A sketch, compared by the learner with our picture, or described in words."""

    kind: Literal["draw"]
    picture: Text  # the name of a function of utils.quiz.drawings

    def _check(self, answer: str) -> Feedback:
        return kinds.check_sketch(answer, self._words) or super()._check(answer)


class Option(_Strict):
    """One option of a choice, with why it is right or not."""

    text: Text
    right: bool
    why: Text
    say: Ways = []


class ChoiceQuestion(_Question):
    """One or several options, chosen by letter or in words."""

    kind: Literal["choice"]
    options: list[Option] = Field(min_length=2, max_length=26)

    @model_validator(mode="after")
    def _has_right(self) -> "ChoiceQuestion":
        if not any(option.right for option in self.options):
            raise ValueError("options: none is right; add one such as 'none of these'")
        return self

    def _check(self, answer: str) -> Feedback:
        return kinds.check_choice(answer, self.options, self._words)


class NumberQuestion(_Question):
    """A number, however it is written."""

    kind: Literal["number"]
    value: float
    tolerance: float = Field(default=1e-9, ge=0)

    def _check(self, answer: str) -> Feedback:
        return kinds.check_number(answer, self.value, self.tolerance)


class CodeQuestion(_Question):
    """Code that is run, then checked by asserts that see its names."""

    kind: Literal["code"]
    checks: Texts
    names: Texts  # what each check looks at, for the learner

    @model_validator(mode="after")
    def _paired(self) -> "CodeQuestion":
        if len(self.checks) != len(self.names):
            raise ValueError("checks and names differ in length; give each check one name")
        return self

    def _check(self, answer: str) -> Feedback:
        return kinds.check_code(answer, self.checks, self.names)


class TaskQuestion(_Question):
    """Something to do, then to tick off."""

    kind: Literal["task"]

    def _check(self, answer: str) -> Feedback:
        return kinds.check_task(answer, self._words)


Question = (
    ShortQuestion | DrawQuestion | ChoiceQuestion | NumberQuestion | CodeQuestion | TaskQuestion
)
