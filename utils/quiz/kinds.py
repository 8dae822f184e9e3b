"""How the kinds of answers that are not free text are checked."""

import ast
import re
from collections.abc import Sequence
from typing import TYPE_CHECKING

from utils.quiz.feedback import HEADS, Feedback, Found, Outcome, explained, says, wrong
from utils.quiz.words import LONGEST_READ, Words, plain

if TYPE_CHECKING:
    from utils.quiz.bank import Option

LONGEST_NUMBER = 12  # words: more than these are no answer to "which number?"
_NUMBER = r"[-+]?(?:\d+(?:[.,]\d+)?|[.,]\d+)(?:e[-+]?\d+)?"
_SPELT = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
_BETWEEN_LETTERS = {"and", "option", "options"}
_COMPARED = {
    "same": Feedback("right", 1.0, "Your sketch and our picture agree."),
    "close": Feedback("partial", 0.5, "Look what our picture has that yours lacks, and add it."),
    "different": wrong("Follow our picture arrow by arrow, then sketch it again."),
}


def read_numbers(answer: str) -> list[float]:
    """The numbers an answer states ("20 %", "1/5", "1,5", "two"); after a "=" only those there."""
    text = answer[:LONGEST_READ].lower()
    if plain(text) in _SPELT:
        return [float(_SPELT.index(plain(text)))]
    text = re.split(r"[=:]|->", text)[-1]
    text = re.sub(rf"{_NUMBER}\s*[-+*]\s*{_NUMBER}", " ", text)  # "1+1" is asked, not answered
    found = re.finditer(rf"({_NUMBER})(?:\s*/\s*({_NUMBER}))?\s*(%|per ?cent)?", text)
    return [value for match in found if (value := _value(*match.groups())) is not None]


def _value(number: str, divisor: str | None, percent: str | None) -> float | None:
    top, bottom = (float((n or "1").replace(",", ".")) for n in (number, divisor))
    return top / bottom / (100 if percent else 1) if bottom else None


def check_number(answer: str, value: float, tolerance: float) -> Feedback:
    """Judge a number, however it is written."""
    if len(plain(answer).split()) > LONGEST_NUMBER:
        return wrong("That is a whole story; write only the number.")
    numbers = set(read_numbers(answer))
    if not numbers:
        return wrong("There is no number in this answer; write one, like 0.25.")
    if len(numbers) > 1:
        return wrong("There are several numbers here; write only the one you mean.")
    number = numbers.pop()
    if abs(number - value) <= tolerance:
        return Feedback("right", 1.0, "Right.")
    return wrong(f"{number:g} is not it.")


def check_task(answer: str, words: Words) -> Feedback:
    """Whether the learner says that the task is done."""
    if plain(answer) in words.done:
        return Feedback("right", 1.0, "Done.")
    return wrong('This is something to do; when you have, tick it or write "done".')


def check_sketch(answer: str, words: Words) -> Feedback | None:
    """How the learner says a sketch compares with our picture; None if the answer describes one."""
    said = plain(answer)
    if said in words.done:
        return wrong("How does it compare with our picture: same, close or different?")
    return _COMPARED.get(said)


def check_choice(answer: str, options: Sequence["Option"], words: Words) -> Feedback:
    """Judge a choice given by letters ("a, c") or in words; order does not matter."""
    picked = _picked(answer, options, words)
    if not picked:
        last = chr(ord("a") + len(options) - 1)
        return wrong(f"That is none of the options; write letters, a to {last}.")
    rightly = [option for option in picked if option.right]
    missing = tuple(o.text for o in options if o.right and o not in picked)
    slips = len(picked) - len(rightly)
    score = max(0.0, (len(rightly) - slips) / (len(rightly) + len(missing)))
    outcome: Outcome = "right" if score == 1 else "partial" if score else "wrong"
    message = " ".join([HEADS[outcome], *(f"{o.text}: {o.why}" for o in picked)])
    found = tuple(Found(option.text) for option in rightly)
    return Feedback(outcome, round(score, 3), message, found, missing)


def _picked(answer: str, options: Sequence["Option"], words: Words) -> list["Option"]:
    """The options an answer names: by letters, by their text, or in other words."""
    letters = dict(zip("abcdefghijklmnopqrstuvwxyz", options, strict=False))
    said = [word for word in plain(answer).split() if word not in _BETWEEN_LETTERS]
    if len(said) == 1 and len(set(said[0])) == len(said[0]) <= len(options):
        said = list(said[0])  # "abd"
    if said and all(letter in letters for letter in said):
        return [option for letter, option in letters.items() if letter in said]
    lines = {plain(part) for part in re.split(r"[;\n]", answer)}
    by_text = [option for option in options if plain(option.text) in lines]
    return by_text or [option for option in options if says(answer, option.say, words)]


def check_code(answer: str, checks: Sequence[str], names: Sequence[str]) -> Feedback:
    """Run the learner's code in a process of its own; every check that passes is an idea found."""
    from utils.quiz.run_code import run_code  # few questions need it

    try:
        ast.parse(answer)
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        return wrong(f"This is not Python that can run: {error}.", names)
    result = run_code(answer, list(checks))
    if result.timed_out:
        return wrong("Your code did not end in time.", names)
    if result.error and not any(result.passed):
        return wrong(f"Your code stopped with: {result.error}", names)
    verdicts = list(zip(names, result.passed, strict=True))
    found = [name for name, passed in verdicts if passed]
    missing = [name for name, passed in verdicts if not passed]
    outcome: Outcome = "right" if not missing else "partial" if found else "wrong"
    message = explained(outcome, found, missing)
    score = round(len(found) / len(names), 3)
    return Feedback(outcome, score, message, tuple(map(Found, found)), tuple(missing))
