"""The small language for the ways people put an idea; data/questions/README.md explains it."""

import re
from collections.abc import Sequence, Set
from dataclasses import dataclass

from utils.quiz.words import Token, Words, stem

WINDOW = 10  # the words of a pattern stand within this many meaning-bearing words of each other
_PART = re.compile(r"[!?]?\[[^\[\]]*\]|[^\s\[\]]+|[\[\]]")


@dataclass(frozen=True)
class Element:
    """One place in a pattern: any of some phrases; a phrase is one or more adjacent words."""

    phrases: tuple[tuple[str, ...], ...]
    group: int  # elements of a later group (after "..") must stand later in the answer

    def may_be_in(self, said: Set[str]) -> bool:
        """Whether an answer with these meanings can have it; quick, to pass over most patterns."""
        return any(p[0] in said or p[0] == "not" or p[0][-1] == "*" for p in self.phrases)


@dataclass(frozen=True)
class Pattern:
    """One way of saying something."""

    source: str
    elements: tuple[Element, ...]
    banned: tuple[Element, ...]  # "!": not in the same sentence
    optional: tuple[Element, ...]  # "?": what a whole answer may have besides
    whole: bool  # "=": the answer says nothing else

    def may_be_in(self, said: Set[str]) -> bool:
        """Whether an answer with these meanings can match."""
        return all(element.may_be_in(said) for element in self.elements)

    def vocabulary(self, words: Words) -> dict[str, str]:
        """The words it looks for, with their meanings, for the correction of typing errors."""
        written = re.findall(r"[^\W_]+\*?", self.source)
        prefixes = {word: word for word in written if word.endswith("*")}
        whole = {word: words.meaning(word) for word in written if word not in prefixes}
        stems = {stem(word): meaning for word, meaning in whole.items()}
        return prefixes | whole | stems | {meaning: meaning for meaning in whole.values()}


@dataclass(frozen=True)
class Place:
    """Where an element was found: tokens `first` to `last`."""

    first: int
    last: int
    end: int  # in characters
    negation: bool
    negated: bool


def parse(source: str, words: Words) -> Pattern:
    """Read a pattern.

    Raises ValueError, with a sentence for the question writer, if it is not well formed.
    """
    sorts: dict[str, list[Element]] = {"": [], "!": [], "?": []}
    group = 0
    whole = source.startswith("=")
    for part in _PART.findall(source.removeprefix("=")):
        if part == "..":
            group += 1
        elif part in "[]":
            raise ValueError(f"'{source}' has a bracket without its partner; write [one|other]")
        else:
            sort = part[0] if part[0] in "!?" else ""
            phrases = part.removeprefix(sort).strip("[]").split("|")
            element = Element(tuple(_phrase(p.strip(), source, words) for p in phrases), group)
            sorts[sort].append(element)
    if not sorts[""]:
        raise ValueError(f"'{source}' names no word to look for; write at least one")
    if sorts["?"] and not whole:
        raise ValueError(f"'{source}' has '?' without '='; what may also be said needs no mention")
    return Pattern(source, *(tuple(elements) for elements in sorts.values()), whole)


def _phrase(text: str, source: str, words: Words) -> tuple[str, ...]:
    parts = re.split(r"[\s_]+", text)
    for part in parts:
        if not re.fullmatch(r"[^\W_][^\W_.'%]*(\.\d+)?\*?|%", part):
            raise ValueError(f"'{source}' has '{part}' where a word should be; write letters only")
        if part.lower() in words.small:
            raise ValueError(f"'{source}' uses '{part}', a small word nobody reads; leave it out")
    return tuple(p.lower() if p == "not" or p[-1] == "*" else words.meaning(p) for p in parts)


def find(
    pattern: Pattern, tokens: Sequence[Token], about: str = "", sure: bool = False
) -> list[tuple[int, int]]:
    """The character spans of `tokens` that match, or an empty list.

    `about`: only words that are said about this topic count; `sure`: and about no other.
    """
    if about:
        tokens = [t for t in tokens if about in t.topics and not (sure and len(t.topics) > 1)]
    for sentence in dict.fromkeys(token.sentence for token in tokens):
        inside = [token for token in tokens if token.sentence == sentence]
        if any(places(element, inside) for element in pattern.banned):
            continue
        options = [places(element, inside) for element in pattern.elements]
        if all(options):
            chosen = _choose(pattern.elements, options)
            if chosen and not (pattern.whole and _more(pattern, chosen, inside, tokens)):
                return sorted((inside[p.first].start, p.end) for p in chosen)
    return []


def _more(
    pattern: Pattern, chosen: list[Place], inside: Sequence[Token], tokens: Sequence[Token]
) -> bool:
    """Whether the answer says more than the pattern: words neither chosen, optional nor "not"."""
    covered = {id(t) for p in chosen for t in inside[p.first : p.last + 1]}
    for element in pattern.optional:
        covered |= {id(t) for p in places(element, tokens) for t in tokens[p.first : p.last + 1]}
    return any(id(token) not in covered and not token.negation for token in tokens)


def places(element: Element, tokens: Sequence[Token]) -> list[Place]:
    """Everywhere that one of the phrases of `element` stands."""
    found = (
        _phrase_at(phrase, first, tokens)
        for first in range(len(tokens))
        for phrase in element.phrases
    )
    return [place for place in found if place]


def _phrase_at(phrase: tuple[str, ...], first: int, tokens: Sequence[Token]) -> Place | None:
    here = tokens[first : first + len(phrase)]
    if len(here) < len(phrase):
        return None
    ends = [_word_end(word, token) for word, token in zip(phrase, here, strict=True)]
    if not all(ends):
        return None
    negation = phrase[0] == "not"
    # The phrase "not seen" brings its own "not": it is no denial of what else is said.
    negated = not negation and any(token.negated for token in here)
    return Place(first, first + len(phrase) - 1, ends[-1], negation and len(phrase) == 1, negated)


def _word_end(word: str, token: Token) -> int:
    """Where the token ends if it is the word of the pattern, else 0."""
    if word == "not":
        return token.end if token.negation else 0
    if word.endswith("*"):
        return token.end if token.text.startswith(word[:-1]) else 0
    return token.meanings.get(word, 0)


def _choose(elements: Sequence[Element], options: list[list[Place]]) -> list[Place]:
    """One place for every element, within a window, in order; an empty list if there is none."""
    rarest = min(options, key=len)
    for anchor in rarest:
        near = [[p for p in places if abs(p.first - anchor.first) < WINDOW] for places in options]
        if all(near) and (chosen := _extend(elements, near, [])):
            return chosen
    return []


def _extend(
    elements: Sequence[Element], options: list[list[Place]], chosen: list[Place]
) -> list[Place]:
    if len(chosen) == len(elements):
        return chosen if _affirmed(chosen) else []
    for place in options[len(chosen)]:
        fits = all(_fit(elements[i], p, elements[len(chosen)], place) for i, p in enumerate(chosen))
        if fits and (result := _extend(elements, options, [*chosen, place])):
            return result
    return []


def _fit(element: Element, place: Place, later: Element, candidate: Place) -> bool:
    if place.last >= candidate.first and candidate.last >= place.first:
        return False  # one word cannot stand for two
    if abs(place.first - candidate.first) >= WINDOW:
        return False
    return element.group == later.group or place.last < candidate.first


def _affirmed(chosen: list[Place]) -> bool:
    """Nothing chosen is denied; or the pattern asks for a "not", and something is."""
    words = [place for place in chosen if not place.negation]
    if len(words) < len(chosen):
        return not words or any(place.negated for place in words)
    return not any(place.negated for place in words)
