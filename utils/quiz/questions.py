"""What a question is: its fields, validated when a bank is loaded, and how it judges an answer."""

import ast
import re
from collections import Counter
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
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

from utils.quiz.match import (
    LONGEST_READ,
    Pattern,
    Token,
    Words,
    assign_topics,
    first_said,
    parse,
    plain,
    read,
    read_numbers,
)
from utils.quiz.rivals import BETTER, FAR_BETTER, Rivals

LONGEST_NUMBER = 12  # words: more than these are no answer to "which number?"
LETTERS = "abcdefghijklmnopqrstuvwxyz"  # what the options of a choice are called

Outcome = Literal["blank", "wrong", "unmatched", "partial", "right"]
CAPS = {"wrong": 0.0, "partial": 0.5}  # the best score that a misconception leaves
HEADS = {
    "right": "Right.",
    "partial": "Part of it.",
    "unmatched": "Can't match.",
    "wrong": "Not yet.",
}
COMPARE = "I can't match this with the ideas I know. Compare it with our answer."


# -- feedback --------------------------------------------------------------------------------------


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


def wrong(message: str, missing: Sequence[str] = ()) -> Feedback:
    """The verdict on an answer that has nothing right."""
    return Feedback("wrong", 0.0, message, (), tuple(missing))


def unmatched(message: str, found: Sequence[Found] = (), missing: Sequence[str] = ()) -> Feedback:
    """The verdict on an answer that says nothing known, right or wrong."""
    head = f"{HEADS['unmatched']} {message}"
    return Feedback("unmatched", 0.0, sentences(head, found, []), tuple(found), tuple(missing))


def sentences(
    opening: str, found: Sequence[Found], missing: Sequence[str], lacks: str = "Missing"
) -> str:
    """What an answer has and lacks."""
    parts = [opening]
    if found:
        parts.append(f"It has: {'; '.join(f.idea for f in found)}.")
    if missing:
        parts.append(f"{lacks}: {'; '.join(missing)}.")
    return " ".join(parts)


def is_word_list(answer: str, tokens: Sequence[Token]) -> bool:
    """Long, and hardly any of the small words without which nobody writes sentences."""
    every = re.findall(r"[^\W_]+", answer[:LONGEST_READ])
    return len(tokens) > 40 and len(every) - len(tokens) < 0.12 * len(every)


# -- what every kind of question has ---------------------------------------------------------------


def _pattern(source: Any, info: ValidationInfo) -> Pattern:
    if not isinstance(source, str):
        raise ValueError("must be text; put it in quotes")
    return parse(source, info.context["words"] if info.context else Words())


Text = Annotated[str, Field(min_length=1)]
Texts = Annotated[list[Text], Field(min_length=1)]
Ways = list[Annotated[InstanceOf[Pattern], BeforeValidator(_pattern)]]
SomeWays = Annotated[Ways, Field(min_length=1)]


class Strict(BaseModel):
    """Fields that are no others and never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)


class BaseQuestion(Strict):
    """What every kind of question has. Made outside a bank, it knows no word lists."""

    id: str = Field(pattern=r"^[a-z]+-\d{2,3}$")
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
        self._words = context["words"] if context else Words()

    def check(self, answer: str) -> Feedback:
        """Judge an answer. Raises TypeError if it is not a string."""
        if not isinstance(answer, str):
            raise TypeError(f"an answer is text; this is {type(answer).__name__}: write it as str")
        said = plain(answer)
        if not said or said in self._words.blank:
            return Feedback("blank", 0.0, "Nothing answered yet.")
        return self._check(answer)

    def is_echo(self, tokens: Sequence[Token]) -> bool:
        """Whether an answer says a good part of the question and nothing else."""
        asked = {meaning for token in read(self.text, self._words) for meaning in token.meanings}
        said = {next(iter(token.meanings)) for token in tokens}
        return bool(asked) and said <= asked and len(said) * 3 >= len(asked)

    def _check(self, answer: str) -> Feedback:
        raise NotImplementedError


# -- the kinds -------------------------------------------------------------------------------------


class Statement(Strict):
    """Something an answer may say: the ways people put it, and the topic it is said about."""

    say: SomeWays
    about: str = ""


class Idea(Statement):
    """A key idea."""

    name: Text
    weight: float = Field(default=1.0, gt=0)
    beside: bool = False  # counts only if another idea is found too


class Misconception(Statement):
    """Something people say that is not so, and what to tell them."""

    tell: Text
    cap: Literal["wrong", "partial"] = "wrong"
    alone: bool = False  # told only where no idea is found


class ShortQuestion(BaseQuestion):
    """Free text, judged by the key ideas that it has, lacks or has the wrong way round."""

    kind: Literal["short"]
    ideas: list[Idea] = Field(min_length=1)
    misconceptions: list[Misconception] = []
    topics: dict[str, SomeWays] = {}
    right_at: float | None = Field(default=None, gt=0)  # the weight of ideas that makes it right
    partial_at: float = Field(default=0.01, gt=0)
    _topic: Mapping[str, "ShortQuestion"] = PrivateAttr(default_factory=dict)
    _rivals: Rivals | None = PrivateAttr(None)

    def meet(self, topic: Mapping[str, "ShortQuestion"], rivals: Rivals) -> None:
        """Learn which other questions are asked on this topic."""
        self._topic, self._rivals = topic, rivals

    @cached_property
    def vocabulary(self) -> dict[str, str]:
        """The words that the patterns look for, and what they mean."""
        statements: list[Statement] = [*self.ideas, *self.misconceptions]
        ways = [*self.topics.values(), *(statement.say for statement in statements)]
        found = (pattern.vocabulary(self._words) for say in ways for pattern in say)
        return {word: meaning for words in found for word, meaning in words.items()}

    @model_validator(mode="after")
    def _consistent(self) -> "ShortQuestion":
        total = sum(idea.weight for idea in self.ideas)
        if self.right_at and self.right_at > total:
            raise ValueError(
                f"right_at is {self.right_at:g}, above all weights together ({total:g})"
            )
        for about in [s.about for s in self.ideas] + [s.about for s in self.misconceptions]:
            if about and about not in self.topics:
                raise ValueError(f"about: '{about}' is none of the topics {list(self.topics)}")
        name, times = Counter(idea.name for idea in self.ideas).most_common(1)[0]
        if times > 1:
            raise ValueError(f"two ideas have the name '{name}'; give each its own")
        return self

    def _check(self, answer: str) -> Feedback:
        feedback = self.judge(answer)
        alone = any(found.alone for found in feedback.found)  # the pattern knows the whole answer
        if feedback.outcome == "wrong" or alone or not self._rivals:
            return feedback
        tokens = read(answer, self._words, self.vocabulary)
        nearest, times = self._rivals.nearest(self.id, {next(iter(t.meanings)) for t in tokens})
        other, names = self._topic[nearest], [idea.name for idea in self.ideas]
        if times < BETTER:
            return feedback
        right_there = other.judge(answer).outcome == "right"
        if right_there and feedback.outcome == "unmatched":
            return wrong(f"This answers another question: {other.text}", names)
        return unmatched(COMPARE, (), names) if right_there or times > FAR_BETTER else feedback

    def judge(self, answer: str) -> Feedback:
        """Judge an answer by itself, whatever other questions there are."""
        tokens = read(answer, self._words, self.vocabulary)
        names = [idea.name for idea in self.ideas]
        if self.is_echo(tokens):
            return wrong("That is the question itself. What is the answer?", names)
        if is_word_list(answer, tokens):
            return wrong("These are words in a row. Say it in a sentence.", names)
        said = plain(answer)
        if any(phrase in said for phrase in self._words.gives_up):
            return unmatched(COMPARE, (), names)
        assign_topics(tokens, self.topics)
        found = [
            Found(idea.name, match[1], match[0].whole)
            for idea in self.ideas
            if (match := first_said(idea.say, tokens, idea.about))
        ]
        told = [slip for slip in self.misconceptions if not (slip.alone and found)]
        slips = [slip for slip in told if first_said(slip.say, tokens, slip.about, sure=True)]
        advice = [slip.tell for slip in slips]
        if len(answer) > LONGEST_READ:
            advice.append(f"Only the first {LONGEST_READ:,} characters were read.")
        return self._weigh(found, min([1.0, *(CAPS[slip.cap] for slip in slips)]), advice)

    def own_words(self) -> dict[str, float]:
        """The words it speaks with, and, counting half, those that its patterns look for."""
        elements = (e for idea in self.ideas for pattern in idea.say for e in pattern.elements)
        words = {word for element in elements for phrase in element.phrases for word in phrase}
        words |= {self._words.meaning(word.rstrip("*")) for word in words - {"not"}}
        names = [idea.name for idea in self.ideas]
        tokens = read("\n".join([self.text, self.answer, *names]), self._words)
        return dict.fromkeys(words, 0.5) | {next(iter(token.meanings)): 1.0 for token in tokens}

    def _weigh(self, found: list[Found], best: float, advice: list[str]) -> Feedback:
        """The verdict on an answer with these ideas, whose score is at most `best`."""
        have = {f.idea for f in found}
        if all(idea.beside for idea in self.ideas if idea.name in have):
            have, found = set(), []
        total = sum(idea.weight for idea in self.ideas)
        weight = sum(idea.weight for idea in self.ideas if idea.name in have)
        score = min(best, weight / (self.right_at or total))
        missing = tuple(idea.name for idea in self.ideas if idea.name not in have)
        outcome: Outcome = "wrong"
        if score >= 1:
            outcome = "right"
        elif score and (weight >= self.partial_at or any(f.alone for f in found)):
            outcome = "partial"
        elif best:
            return unmatched(" ".join([COMPARE, *advice]), found, missing)
        all_needed = self.right_at in (None, total) and outcome != "right"
        opening = " ".join(advice) or HEADS[outcome]
        message = sentences(opening, found, missing, "Missing" if all_needed else "You could add")
        return Feedback(outcome, round(score, 3), message, tuple(found), missing)


class DrawQuestion(ShortQuestion):
    """A sketch, compared by the learner with our picture, or described in words."""

    kind: Literal["draw"]  # type: ignore[assignment]  # what tells the kinds apart
    picture: Text  # the name of a file in data/questions/drawings, without .svg

    def _check(self, answer: str) -> Feedback:
        said = plain(answer)
        if said in self._words.done:
            return wrong("How does it compare with our picture: same, close or different?")
        if said == "same":
            return Feedback("right", 1.0, "Your sketch and our picture agree.")
        if said == "close":
            lacks = "Look what our picture has that yours lacks, and add it."
            return Feedback("partial", 0.5, lacks)
        if said == "different":
            return wrong("Follow our picture arrow by arrow, then sketch it again.")
        return super()._check(answer)


class Option(Strict):
    """One option of a choice, with why it is right or not."""

    text: Text
    right: bool
    why: Text
    say: Ways = []


class ChoiceQuestion(BaseQuestion):
    """One or several options, chosen by letter ("a, c") or in words; order does not matter."""

    kind: Literal["choice"]
    options: list[Option] = Field(min_length=2, max_length=len(LETTERS))

    @model_validator(mode="after")
    def _has_right(self) -> "ChoiceQuestion":
        if not any(option.right for option in self.options):
            raise ValueError("options: none is right; add one such as 'none of these'")
        return self

    def _check(self, answer: str) -> Feedback:
        picked = self._picked(answer)
        if not picked:
            last = LETTERS[len(self.options) - 1]
            return unmatched(f"That is none of the options; write letters, a to {last}.")
        rightly = [option for option in picked if option.right]
        missing = tuple(o.text for o in self.options if o.right and o not in picked)
        slips = len(picked) - len(rightly)
        score = max(0.0, (len(rightly) - slips) / (len(rightly) + len(missing)))
        outcome: Outcome = "right" if score == 1 else "partial" if score else "wrong"
        message = " ".join([HEADS[outcome], *(f"{o.text}: {o.why}" for o in picked)])
        found = tuple(Found(option.text) for option in rightly)
        return Feedback(outcome, round(score, 3), message, found, missing)

    def _picked(self, answer: str) -> list[Option]:
        """The options an answer names: by letters, by their text, or in other words."""
        letters = dict(zip(LETTERS, self.options, strict=False))
        said = [w for w in plain(answer).split() if w not in ("and", "option", "options")]
        if len(said) == 1 and len(set(said[0])) == len(said[0]) <= len(self.options):
            said = list(said[0])  # "abd"
        if said and all(letter in letters for letter in said):
            return [option for letter, option in letters.items() if letter in said]
        lines = {plain(part) for part in re.split(r"[;\n]", answer)}
        by_text = [option for option in self.options if plain(option.text) in lines]
        tokens = read(answer, self._words)
        if by_text or is_word_list(answer, tokens) or self.is_echo(tokens):
            return by_text
        return [option for option in self.options if first_said(option.say, tokens)]


class NumberQuestion(BaseQuestion):
    """A number, however it is written."""

    kind: Literal["number"]
    value: float
    tolerance: float = Field(default=1e-9, ge=0)

    def _check(self, answer: str) -> Feedback:
        if len(plain(answer).split()) > LONGEST_NUMBER:
            return wrong("That is a whole story; write only the number.")
        numbers = set(read_numbers(answer))
        if not numbers:
            return wrong("There is no number in this answer; write one, like 0.25.")
        if len(numbers) > 1:
            return wrong("There are several numbers here; write only the one you mean.")
        number = numbers.pop()
        if abs(number - self.value) <= self.tolerance:
            return Feedback("right", 1.0, "Right.")
        return wrong(f"{number:g} is not it.")


class CodeQuestion(BaseQuestion):
    """Code that is run in a process of its own, then checked by asserts that see its names."""

    kind: Literal["code"]
    checks: Texts
    names: Texts  # what each check looks at, for the learner

    @model_validator(mode="after")
    def _paired(self) -> "CodeQuestion":
        if len(self.checks) != len(self.names):
            raise ValueError("checks and names differ in length; give each check one name")
        return self

    def _check(self, answer: str) -> Feedback:
        from utils.quiz.run_code import run_code  # few questions need it

        try:
            ast.parse(answer)
        except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
            return wrong(f"This is not Python that can run: {error}.", self.names)
        result = run_code(answer, self.checks)
        if result.timed_out:
            return wrong("Your code did not end in time.", self.names)
        if result.error and not any(result.passed):
            return wrong(f"Your code stopped with: {result.error}", self.names)
        verdicts = list(zip(self.names, result.passed, strict=True))
        found = tuple(Found(name) for name, passed in verdicts if passed)
        missing = tuple(name for name, passed in verdicts if not passed)
        outcome: Outcome = "right" if not missing else "partial" if found else "wrong"
        message = sentences(HEADS[outcome], found, missing)
        return Feedback(outcome, round(len(found) / len(verdicts), 3), message, found, missing)


class TaskQuestion(BaseQuestion):
    """Something to do, then to tick off."""

    kind: Literal["task"]

    def _check(self, answer: str) -> Feedback:
        if plain(answer) in self._words.done:
            return Feedback("right", 1.0, "Done.")
        return wrong('This is something to do; when you have, tick it or write "done".')


Question = (
    ShortQuestion | DrawQuestion | ChoiceQuestion | NumberQuestion | CodeQuestion | TaskQuestion
)
