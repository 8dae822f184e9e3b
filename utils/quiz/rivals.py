"""Whether an answer is one to another question: its words, weighed by how rare they are.

Patterns see whether an answer has an idea, in whatever words; they cannot see that it speaks of
something else. The words of an answer say so: those of a question are the ones in its text, its
model answer and its ideas, and, half as much, those its patterns look for.
"""

from collections import Counter
from collections.abc import Iterable, Mapping
from math import log

# An answer is not one to this question if its words fit another one this many times as well, or a
# little better and by its patterns it is a right answer there. Both were set on the learners that
# tests/bench_answers.py tunes on.
FAR_BETTER = 2.5
BETTER = 1.6
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

    def nearest(self, id: str, said: Iterable[str]) -> tuple[str, float]:
        """The other question that these words fit best, and how many times as well as `id`."""
        said = list(said)
        fits = {i: sum(own.get(w, 0.0) for w in said) for i, own in self._worth.items()}
        own = fits.pop(id)
        best = max(fits, key=lambda i: fits[i])
        return best, (fits[best] + EVERYWHERE) / (own + EVERYWHERE)
