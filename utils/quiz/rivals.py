"""Whether an answer is one to another question: its words, weighed by how rare they are.

Patterns see whether an answer has an idea, in whatever words; they cannot see that it speaks of
something else. The words of an answer say so: those of a question are the ones in its text, its
model answer and its ideas, and, half as much, those its patterns look for.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from math import log

# An answer is another question's if its words fit there this many times as well as here. At 2.5 it
# is so for 9 of 10 answers to another question, and for 1 of 150 right ones.
FITS_BETTER = 2.5
EVERYWHERE = 1.0  # added to both, or a single common word would decide


class Rivals:
    """The questions of a topic, by their words."""

    def __init__(self, words: Mapping[str, Mapping[str, float]]) -> None:
        """Take the words of each question, with their weights."""
        spread = Counter(word for own in words.values() for word in own)
        rare = {word: log(1 + len(words) / times) for word, times in spread.items()}
        self._worth: dict[str, dict[str, float]] = {}
        for id, own in words.items():
            length = sum((weight * rare[word]) ** 2 for word, weight in own.items()) ** 0.25
            self._worth[id] = {w: weight * rare[w] ** 2 / length for w, weight in own.items()}

    def nearer(self, id: str, said: Iterable[str]) -> str | None:
        """The question that an answer to question `id` with these words fits far better, if any."""
        said = list(said)
        fits = {i: sum(own.get(w, 0.0) for w in said) for i, own in self._worth.items()}
        best = max(fits, key=lambda i: fits[i])
        own = fits[id] + EVERYWHERE
        return best if fits[best] + EVERYWHERE > FITS_BETTER * own else None
