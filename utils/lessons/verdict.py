"""What the checks of exercises answer: a verdict that shows itself. Used in chapter 06."""

from collections.abc import Callable
from dataclasses import dataclass
from functools import wraps
from html import escape
from typing import ParamSpec

Params = ParamSpec("Params")


@dataclass(frozen=True)
class Verdict:
    """Whether an exercise is solved, and a sentence on why or why not."""

    solved: bool
    sentence: str

    def __repr__(self) -> str:
        """The sentence, with the verdict in front."""
        return f"{'solved' if self.solved else 'not yet'}: {self.sentence}"

    def _repr_html_(self) -> str:
        verdict, colon, sentence = escape(repr(self)).partition(":")
        return f"<p><strong>{verdict}</strong>{colon}{sentence}</p>"


class NotYet(Exception):
    """An exercise that is not solved; the sentence says what is missing."""


def require(condition: object, sentence: str) -> None:
    """Raise `NotYet` with this sentence unless the condition is true."""
    if not condition:
        raise NotYet(sentence)


def check_of(what: str) -> Callable[[Callable[Params, str]], Callable[Params, Verdict]]:
    """A decorator for checks of what a learner wrote, which is called `what`, such as "your loop".

    The check returns a sentence on what is solved or raises `NotYet`; whatever else is raised is
    a mistake of the learner's code, and told as that. The decorated check never raises.
    """

    def decorate(check: Callable[Params, str]) -> Callable[Params, Verdict]:
        @wraps(check)
        def checked(*args: Params.args, **kwargs: Params.kwargs) -> Verdict:
            try:
                return Verdict(True, check(*args, **kwargs))
            except NotYet as reason:
                return Verdict(False, str(reason))
            except Exception as error:
                return Verdict(False, f"{what} stopped with {type(error).__name__}: {error}")

        return checked

    return decorate
