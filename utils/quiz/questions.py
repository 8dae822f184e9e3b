"""What a question is: its fields, validated when a bank is loaded, and how it judges an answer."""

import ast
import re
from collections import Counter
from collections.abc import Collection, Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cached_property
from math import log
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field, PlainValidator, PrivateAttr, model_validator

from utils.quiz import match

LONGEST_NUMBER = 12  # words: more than these are no answer to "which number?"
LETTERS = "abcdefghijklmnopqrstuvwxyz"  # what the options of a choice are called
# An answer is not one to this question if its words fit another one this many times as well, or a
# little better and by its patterns it is a right answer there. Both were set on the learners that
# tests/bench_answers.py tunes on.
FAR_BETTER = 2.5
BETTER = 1.6
EVERYWHERE = 1.0  # added to both, or a single common word would decide

Outcome = Literal["blank", "wrong", "unmatched", "partial", "right"]
CAPS = {"wrong": 0.0, "partial": 0.5}  # the best score that a misconception leaves
# What stands for an outcome: a sign and a word, so that colour is never the only difference.
OUTCOMES = {
    "right": "✓ Right",
    "partial": "◐ Partly right",
    "unmatched": "? Can't match",
    "wrong": "✗ Not yet",
}
COMPARE = "I can't match this with the ideas I know. Compare it with our answer."


# -- feedback --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Feedback:
    """The verdict on one answer."""

    outcome: Outcome
    message: str
    marked: Sequence[tuple[int, int, str]] = ()  # what says an idea: first and last letter, idea
    sure: bool = False  # a pattern knows the whole answer


def wrong(message: str) -> Feedback:
    """The verdict on an answer that has nothing right."""
    return Feedback("wrong", message)


def unmatched(message: str = COMPARE) -> Feedback:
    """The verdict on an answer that says nothing known, right or wrong."""
    return Feedback("unmatched", message)


def graded(score: float, *reasons: str) -> Feedback:
    """The verdict on an answer that may be right in part."""
    outcome: Outcome = "right" if score >= 1 else "partial" if score > 0 else "wrong"
    return Feedback(outcome, " ".join(reasons))


def listing(head: str, ideas: Collection[str]) -> list[str]:
    """The ideas that an answer has or lacks, as a sentence; none for none."""
    return [f"{head}: {'; '.join(ideas)}."] if ideas else []


def is_word_list(answer: str, tokens: Sequence[match.Token]) -> bool:
    """Long, and hardly any of the small words without which nobody writes sentences."""
    every = re.findall(r"[^\W_]+", answer[: match.LONGEST_READ])
    return len(tokens) > 40 and len(every) - len(tokens) < 0.12 * len(every)


# -- questions -------------------------------------------------------------------------------------


Text = Annotated[str, Field(min_length=1)]
Texts = Annotated[list[Text], Field(min_length=1)]
Ways = list[Annotated[match.Pattern, PlainValidator(match.parse)]]
SomeWays = Annotated[Ways, Field(min_length=1)]


class Strict(BaseModel):
    """Fields that are no others and never change."""

    model_config = ConfigDict(extra="forbid", frozen=True, str_strip_whitespace=True)


class BaseQuestion(Strict):
    """What every kind of question has."""

    id: str = Field(pattern=r"^[a-z]+-\d{2,3}$")
    book: str | None = Field(default=None, pattern=r"^\d{1,2}\.\d{1,2}$")
    notebook: str = Field(pattern=r"^\d\d_[a-z_]+$")
    section: Text
    text: Text
    answer: Text
    hints: Texts
    exercise: bool = False  # asked where the page has come to it, and not in the questionnaire

    def check(self, answer: str) -> Feedback:
        """Judge an answer."""
        if match.plain(answer) in match.lists()["blank"]:
            return Feedback("blank", "Nothing answered yet.")
        return self._check(answer)

    def is_echo(self, tokens: Sequence[match.Token]) -> bool:
        """Whether an answer says a good part of the question and nothing else."""
        asked = {word for token in match.read(self.text, {}) for word in token.meanings}
        said = {token.meaning for token in tokens}
        return bool(asked) and said <= asked and len(said) * 3 >= len(asked)

    def _check(self, answer: str) -> Feedback:
        raise NotImplementedError


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
    _topic: Sequence["ShortQuestion"] = PrivateAttr(())  # all that are asked on it
    _worth: Mapping[str, float] = PrivateAttr({})  # how much each word tells of this question

    @model_validator(mode="after")
    def _consistent(self) -> "ShortQuestion":
        for statement in (*self.ideas, *self.misconceptions):
            if statement.about and statement.about not in self.topics:
                raise ValueError(f"'{statement.about}' is none of the topics {[*self.topics]}")
        if self.right_at and self.right_at > sum(idea.weight for idea in self.ideas):
            raise ValueError(f"right_at is {self.right_at:g}, above all weights together")
        if len({idea.name for idea in self.ideas}) < len(self.ideas):
            raise ValueError("two ideas have one name; give each its own")
        return self

    @cached_property
    def vocabulary(self) -> dict[str, str]:
        """The words that the patterns look for, and what they mean."""
        said = [statement.say for statement in (*self.ideas, *self.misconceptions)]
        return match.vocabulary(way for ways in (*self.topics.values(), *said) for way in ways)

    def _check(self, answer: str) -> Feedback:
        feedback = self.judge(answer)
        others = [question for question in self._topic if question is not self]
        if feedback.outcome == "wrong" or feedback.sure or not others:
            return feedback
        said = {token.meaning for token in match.read(answer, self.vocabulary)}
        nearest = max(others, key=lambda other: other.fit(said))
        times = nearest.fit(said) / self.fit(said)
        if times < BETTER:
            return feedback
        right_there = nearest.judge(answer).outcome == "right"
        if right_there and feedback.outcome == "unmatched":
            return wrong(f"This answers another question: {nearest.text}")
        return unmatched() if right_there or times > FAR_BETTER else feedback

    def judge(self, answer: str) -> Feedback:
        """Judge an answer by itself, whatever other questions there are."""
        tokens = match.read(answer, self.vocabulary)
        if self.is_echo(tokens):
            return wrong("That is the question itself. What is the answer?")
        if is_word_list(answer, tokens):
            return wrong("These are words in a row. Say it in a sentence.")
        said = match.plain(answer)
        if any(phrase in said for phrase in match.lists()["gives_up"]):
            return unmatched()
        match.assign_topics(tokens, self.topics)
        ways = {idea.name: match.first_said(idea.say, tokens, idea.about) for idea in self.ideas}
        found = {name: way for name, way in ways.items() if way}
        told = [slip for slip in self.misconceptions if not (slip.alone and found)]
        slips = [s for s in told if match.first_said(s.say, tokens, s.about, sure=True)]
        if all(idea.beside for idea in self.ideas if idea.name in found):
            found = {}
        total = sum(idea.weight for idea in self.ideas)
        weight = sum(idea.weight for idea in self.ideas if idea.name in found)
        best = min([1.0, *(CAPS[slip.cap] for slip in slips)])
        score = min(best, weight / (self.right_at or total))
        sure = any(pattern.whole for pattern, _ in found.values())
        if score >= 1:
            outcome: Outcome = "right"
        elif score and (weight >= self.partial_at or sure):
            outcome = "partial"
        else:
            outcome = "unmatched" if best else "wrong"
        missing = [idea.name for idea in self.ideas if idea.name not in found]
        advice = [slip.tell for slip in slips]
        if len(answer) > match.LONGEST_READ:
            advice.append(f"Only the first {match.LONGEST_READ:,} characters were read.")
        if outcome == "unmatched":
            missing, advice = [], [COMPARE, *advice]
        needed = outcome != "right" and self.right_at in (None, total)
        lacks = listing("Missing" if needed else "You could add", missing)
        message = " ".join([*advice, *listing("It has", found), *lacks])
        marked = sorted((*span, name) for name, (_, spans) in found.items() for span in spans)
        return Feedback(outcome, message, marked, sure)

    def fit(self, said: Iterable[str]) -> float:
        """How well words with these meanings fit this question."""
        return EVERYWHERE + sum(self._worth.get(word, 0.0) for word in said)

    def own_words(self) -> dict[str, float]:
        """The words it speaks with, and, counting half, those that its patterns look for."""
        elements = (e for idea in self.ideas for pattern in idea.say for e in pattern.elements)
        words = {word for element in elements for phrase in element.phrases for word in phrase}
        words |= {match.meaning(word.rstrip("*")) for word in words - {"not"}}
        tokens = match.read("\n".join([self.text, self.answer, *(i.name for i in self.ideas)]), {})
        return dict.fromkeys(words, 0.5) | {token.meaning: 1.0 for token in tokens}


def make_rivals(questions: Sequence[ShortQuestion]) -> None:
    """Let the questions of a topic know each other, and how much each word tells of each.

    Patterns see whether an answer has an idea, in whatever words; they cannot see that it speaks of
    something else. Its words say so, weighed by how rare they are among the questions.
    """
    words = [question.own_words() for question in questions]
    spread = Counter(word for own in words for word in own)
    rare = {word: log(1 + len(words) / times) for word, times in spread.items()}
    for question, own in zip(questions, words, strict=True):
        length = sum((weight * rare[word]) ** 2 for word, weight in own.items()) ** 0.25
        question._worth = {w: weight * rare[w] ** 2 / length for w, weight in own.items()}
        question._topic = questions


class DrawQuestion(ShortQuestion):
    """A sketch on paper, which the learner compares with our picture, or its description."""

    kind: Literal["draw"]  # type: ignore[assignment]  # what tells the kinds apart
    picture: Text  # the name of a file in data/questions/drawings, without .svg

    def _check(self, answer: str) -> Feedback:
        if match.plain(answer) in match.lists()["done"]:
            return unmatched("Compare it with our picture.")
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
            raise ValueError("none is right; add one such as 'none of these'")
        return self

    def _check(self, answer: str) -> Feedback:
        picked = self.picked(answer)
        if not picked:
            last = LETTERS[len(self.options) - 1]
            return unmatched(f"That is none of the options; write letters, a to {last}.")
        slips = sum(not option.right for option in picked)
        score = (len(picked) - 2 * slips) / sum(option.right for option in self.options)
        return graded(score, *(f"{option.text}: {option.why}" for option in picked))

    def picked(self, answer: str) -> list[Option]:
        """The options an answer names: by letters, by their text, or in other words."""
        letters = re.sub(r"\b(and|options?)\b|\s", "", match.plain(answer))  # "a and b", "ab"
        named = dict(zip(LETTERS, self.options, strict=False))
        if letters and len({*letters}) == len(letters) and named.keys() >= {*letters}:
            return [option for letter, option in named.items() if letter in letters]
        lines = {match.plain(part) for part in re.split(r"[;\n]", answer)}
        by_text = [option for option in self.options if match.plain(option.text) in lines]
        words = match.vocabulary(way for option in self.options for way in option.say)
        words.pop("no", None)  # it chooses nothing by itself: "no phd" denies
        tokens = match.read(answer, words)
        if by_text or is_word_list(answer, tokens) or self.is_echo(tokens):
            return by_text
        return [option for option in self.options if match.first_said(option.say, tokens)]


class NumberQuestion(BaseQuestion):
    """A number, however it is written."""

    kind: Literal["number"]
    value: float
    tolerance: float = Field(default=1e-9, ge=0)

    def _check(self, answer: str) -> Feedback:
        numbers = {*match.read_numbers(answer)}
        story = len(match.plain(answer).split()) > LONGEST_NUMBER
        if story or len(numbers) != 1:
            return wrong("No number, or more than one: write only the one you mean, like 0.25.")
        number = numbers.pop()
        right = abs(number - self.value) <= self.tolerance
        return graded(1) if right else wrong(f"{number:g} is not it.")


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
            return wrong(f"This is not Python that can run: {error}.")
        result = run_code(answer, self.checks)
        stopped = result.error or ""
        if stopped and not stopped.startswith("Your code "):
            stopped = f"Your code stopped with: {stopped}."
        found = [name for name, ok in zip(self.names, result.passed, strict=True) if ok]
        missing = listing("Missing", [name for name in self.names if name not in found])
        said = [stopped] if stopped and missing else []
        return graded(len(found) / len(self.names), *said, *listing("It has", found), *missing)


class TaskQuestion(BaseQuestion):
    """Something to do, then to tick off."""

    kind: Literal["task"]

    def _check(self, answer: str) -> Feedback:
        if match.plain(answer) in match.lists()["done"]:
            return graded(1)
        return wrong('This is something to do; when you have, tick it or write "done".')


Question = (
    ShortQuestion | DrawQuestion | ChoiceQuestion | NumberQuestion | CodeQuestion | TaskQuestion
)
