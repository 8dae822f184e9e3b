"""Reading an answer: the words that bear its meaning, and whether they are what a pattern seeks.

Nothing here knows a question. data/questions/README.md explains the patterns and how an answer is
read; the word lists are data/questions/words.yaml.
"""

import re
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from functools import cache, lru_cache
from itertools import pairwise, product, zip_longest

import snowballstemmer
import yaml
from rapidfuzz.distance import OSA

from utils.paths import DATA

QUESTIONS = DATA / "questions"
# No answer needs more; what follows is not read, so that a pasted book costs no time.
LONGEST_READ = 4_000
NEGATION_REACH = 6  # a "not" denies at most this many meaning-bearing words, within its clause
WINDOW = 10  # the words of a pattern stand within this many meaning-bearing words of each other

TOKEN = re.compile(
    r"(?P<word>\d+(?:[.,]\d+)*|[^\W_]+(?:['’][^\W_]+)*|%)"  # noqa: RUF001 (typed by phones)
    # Not the points of "e.g.", "vs.", "0.5"; but the t of "isn't." is no abbreviation.
    r"|(?P<sentence>[;!?\n]|(?<![^\w'\u2019]\w)(?<!^\w)(?<!\bvs)\.(?=\s|$))"
    r"|(?P<comma>[,&])"
    r"|(?P<colon>[-=]+>|[:()=>→⇒—–]|\s-\s)"  # noqa: RUF001 (dashes are typed too)
)
PATTERN_PART = re.compile(r"([!?]?)(?:\[([^\[\]]*)\]|(\S+))")
Z_FOR_S = re.compile(r"(?<=\w{4})is(?=(?:e|es|ed|er|ers|ing|ation|ations)$)")
OR_FOR_OUR = re.compile(r"(?<=\w{3})our(?=(?:s|ed|ing|less)?$)")
NUMBER = r"[-+]?(?:\d+(?:[.,]\d+)?|[.,]\d+)(?:e[-+]?\d+)?"
SPELT = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
STEMMER = snowballstemmer.stemmer("english")
LOADER = getattr(yaml, "CSafeLoader", yaml.SafeLoader)  # ten times as fast, where it was built


# -- words -----------------------------------------------------------------------------------------


@lru_cache(maxsize=20_000)
def stem(word: str) -> str:
    """The stem of one word; British and American spellings have the same one."""
    word = unicodedata.normalize("NFKC", word).lower()
    once = STEMMER.stemWord(OR_FOR_OUR.sub("or", Z_FOR_S.sub("iz", word)))
    return STEMMER.stemWord(once)  # "parameteres" becomes "parameter", and then what that becomes


@cache
def lists() -> dict[str, list]:
    """The lists of words.yaml, by name."""
    return yaml.load((QUESTIONS / "words.yaml").read_text(encoding="utf-8"), LOADER)


@cache
def _groups() -> dict[str, str]:
    """The stem of every word that has synonyms, and the one that stands for its group."""
    return {stem(word): stem(group[0]) for group in lists()["same"] for word in group}


@cache
def _known() -> set[str]:
    """The stems that are words, hence no typing errors."""
    texts = [path.read_text(encoding="utf-8") for path in QUESTIONS.glob("*.yaml")]
    seen = (match["word"] for text in texts for match in TOKEN.finditer(text) if match["word"])
    return {stem(word) for word in (*seen, *lists()["known"])} | _groups().keys()


def meaning(word: str) -> str:
    """What words are compared by: the stem, or that of the group of synonyms it is in."""
    return _groups().get(stem(word), stem(word))


def plain(answer: str) -> str:
    """Lower case, no punctuation, single spaces: to compare whole answers. A tick is a word."""
    answer = re.sub("[✓✔☑✅]", " ticked ", answer)
    return " ".join(re.findall(r"[^\W_]+", answer.lower().replace("'", "").replace("’", "")))  # noqa: RUF001


def read_numbers(answer: str) -> list[float]:
    """The numbers an answer states ("20 %", "1/5", "1,5", "two"); after a "=" only those there."""
    text = answer[:LONGEST_READ].lower()
    word = plain(text)
    if word in SPELT:
        return [float(SPELT.index(word))]
    text = re.split(r"[=:]|->", text)[-1]
    text = re.sub(rf"(?<=\d)\s+(?:out )?of\s+{NUMBER}", " ", text)  # "192 of 200" is 192
    numbers = []
    for match in re.finditer(rf"({NUMBER})(?:\s*/\s*({NUMBER}))?\s*(%|per ?cent)?", text):
        top, bottom = (float((n or "1").replace(",", ".")) for n in match.groups()[:2])
        if bottom:
            numbers.append(top / bottom / (100 if match[3] else 1))
    return numbers


@dataclass(slots=True)
class Token:
    """One meaning-bearing word of an answer."""

    text: str
    start: int
    end: int
    meaning: str
    # What a pattern may find here -> where in the answer those words end. Besides its meaning:
    # "not" if it is one, "optimi*" if a pattern seeks this, "dataset" in "data set".
    meanings: dict[str, int]
    sentence: int
    clause: int
    negated: bool = False  # a "not" denies this word
    by: bool = False  # "by", "with", "from" … stand before it: what acts comes second
    topics: tuple[str, ...] = ()  # what it is said about, the surest first


def read(answer: str, vocabulary: Mapping[str, str]) -> list[Token]:
    """The meaning-bearing words of `answer`, in order.

    `vocabulary`: the words a question looks for, with their meanings; a misspelt word is read as
    the nearest of them.
    """
    answer = answer[:LONGEST_READ]
    tokens: list[Token] = []
    sentence = clause = reach = 0
    by = False
    matches = list(TOKEN.finditer(answer))
    for match, after in zip_longest(matches, matches[1:]):
        start, end = match.span()
        word = match[0].lower().replace("’", "'").replace(",", ".")  # noqa: RUF001
        next_word = ((after and after["word"]) or "").lower()
        denies = word in lists()["negations"] or word.endswith("n't")
        if word in ("instead", "rather"):
            denies = next_word in ("of", "than")
        if not match["word"] or word in lists()["breaks"]:
            sentence += bool(match["sentence"])
            clause += not match["colon"]  # "metric: for people" stays one clause
            # "not fast or cheap" denies both, "does not (in training) look" what it is about
            reach = reach if word in ("or", "(") else 0
            by = False
        elif denies:
            # "No, …" and "no it can" answer the question, they deny nothing that follows; so does
            # a "no" that opens the answer to a question to which "no" is an answer.
            opens = not tokens and "no" in vocabulary
            answers_no = word == "no" and (opens or not next_word or next_word in lists()["small"])
            only = next_word in ("only", "just", "merely", "necessarily")
            reach = 0 if answers_no or only else NEGATION_REACH
            means, found = meaning(word), {meaning(word): end, "not": end}
            tokens.append(Token(word, start, end, means, found, sentence, clause))
        elif word not in lists()["small"]:
            word, means = _respelt(word, vocabulary)
            denied, found = reach > 0, {means: end}
            tokens.append(Token(word, start, end, means, found, sentence, clause, denied, by))
            reach -= 1
            by = False
        by = by or word in lists()["by"]
        if word in lists()["turns"] and reach < NEGATION_REACH:  # "is not good where it snows"
            reach = 0
    prefixes = [word for word in vocabulary if word.endswith("*")]
    for token, after in zip_longest(tokens, tokens[1:]):
        token.meanings |= {p: token.end for p in prefixes if token.text.startswith(p[:-1])}
        if after and answer[token.end : after.start] in (" ", "-", "_"):
            token.meanings[meaning(token.text + after.text)] = after.end
    return tokens


def _respelt(word: str, vocabulary: Mapping[str, str]) -> tuple[str, str]:
    """A word and its meaning, both as if it were spelt like the nearest of the vocabulary."""
    typed, means = word, meaning(word)
    if means in vocabulary or len(word) < 5 or stem(word) in _known() or word.isdigit():
        return word, means
    alike = [other for other in vocabulary if len(other) >= 5 and other[0] == word[0]]
    starts = [other[:-1] for other in alike if other.endswith("*")]
    if not word.startswith(tuple(starts)):
        # One letter wrong, missing, doubled or swapped in how it begins.
        close = (s for s in starts for n in (-1, 0, 1) if OSA.distance(word[: len(s) + n], s) <= 1)
        word = next(close, word)
    forms = (typed, stem(typed))
    whole = [other for other in alike if not other.endswith("*")]
    errors = [(min(OSA.distance(form, other) for form in forms), other) for other in whole]
    if errors and min(errors)[0] <= 1 + (len(typed) >= 8) + (len(typed) >= 13):
        means = vocabulary[min(errors)[1]]
    return word, means


# -- patterns --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Element:
    """One place in a pattern: any of some phrases; a phrase is one or more adjacent words."""

    phrases: tuple[tuple[str, ...], ...]
    group: int  # elements of a later group (after "..") must stand later in the answer
    acted: bool  # after ">": the element before acts on this one


@dataclass(frozen=True)
class Pattern:
    """One way of saying something."""

    source: str
    elements: tuple[Element, ...]
    banned: tuple[Element, ...]  # "!": not in the same sentence
    optional: tuple[Element, ...]  # "?": what a whole answer may have besides
    whole: bool  # "=": the answer says nothing else


@dataclass(frozen=True)
class Place:
    """Where an element was found: tokens `first` to `last`."""

    first: int
    last: int
    end: int  # in characters
    sentence: int
    negation: bool  # it is a "not" that the pattern asks for
    negated: bool


def parse(source: object) -> Pattern:
    """Read a pattern.

    Raises ValueError, with a sentence for the question writer, if it is not well formed.
    """
    if not isinstance(source, str):
        raise ValueError("must be text; put it in quotes")
    sorts: dict[str, list[Element]] = {"": [], "!": [], "?": []}
    group, acted = 0, False
    for sort, any_of, one in PATTERN_PART.findall(source.removeprefix("=")):
        if one == "..":
            group += 1
        elif one == ">":
            acted = True
        else:
            phrases = tuple(_phrase(phrase, source) for phrase in (any_of or one).split("|"))
            sorts[sort].append(Element(phrases, group, acted))
            acted = False
    if not sorts[""]:
        raise ValueError(f"'{source}' names no word to look for; write at least one")
    whole = source.startswith("=")
    if sorts["?"] and not whole:
        raise ValueError(f"'{source}' has a '?', which says nothing unless the pattern begins '='")
    needed, banned, optional = map(tuple, sorts.values())
    return Pattern(source, needed, banned, optional, whole)


def _phrase(text: str, source: str) -> tuple[str, ...]:
    parts = re.split(r"[\s_]+", text.strip().lower())
    for part in parts:
        if not re.fullmatch(r"[^\W_][^\W_.'%]*(\.\d+)?\*?|%", part) or part in lists()["small"]:
            raise ValueError(f"'{source}' has '{part}': write words, and none that is not read")
    return tuple(part if part.endswith("*") else meaning(part) for part in parts)


def vocabulary(patterns: Iterable[Pattern]) -> dict[str, str]:
    """The words that patterns look for, as written and as stems, with their meanings."""
    found: dict[str, str] = {}
    for pattern in patterns:
        for word in re.findall(r"[^\W_]+(?:\.\d+)?\*?", pattern.source.lower()):
            means = word if word.endswith("*") else meaning(word)
            found |= dict.fromkeys((word, stem(word), means), means)
    return found


def first_said(
    say: Iterable[Pattern], tokens: Sequence[Token], about: str = "", sure: bool = False
) -> tuple[Pattern, list[tuple[int, int]]] | None:
    """The first of these ways of saying it that the answer uses, and the character spans that do.

    Those of a whole answer come before others. `about`: only words that are said about this topic
    count; `sure`: and about no other.
    """
    if about:
        tokens = [t for t in tokens if about in t.topics and not (sure and len(t.topics) > 1)]
    for pattern in sorted(say, key=lambda p: not p.whole):
        if places := _find(pattern, tokens):
            return pattern, [(tokens[p.first].start, p.end) for p in places]
    return None


def _find(pattern: Pattern, tokens: Sequence[Token]) -> Sequence[Place]:
    """A place for each element of the pattern, such that together they say it; or none."""
    if pattern.whole:  # which a long answer is seen not to be before places are tried together
        longest = sum(max(map(len, element.phrases)) for element in pattern.elements)
        if len(_beyond(pattern, (), tokens)) > longest:
            return ()
    options = [_places(element, tokens) for element in pattern.elements]
    banned = [place for element in pattern.banned for place in _places(element, tokens)]
    closed = {p.sentence for p in banned if not p.negated}  # "not pixel by pixel" bans nothing
    for anchor in min(options, key=len):
        sentence = anchor.sentence
        near = [
            [p for p in places if abs(p.first - anchor.first) < WINDOW and p.sentence == sentence]
            for places in options
        ]
        for chosen in product(*near) if sentence not in closed else ():
            if _says(pattern, chosen, tokens):
                return chosen
    return ()


def _places(element: Element, tokens: Sequence[Token]) -> list[Place]:
    """Everywhere that one of the phrases of `element` stands."""
    found = []
    for first, token in enumerate(tokens):
        for phrase in (p for p in element.phrases if p[0] in token.meanings):
            here = tokens[first : first + len(phrase)]
            there = [word in t.meanings for word, t in zip(phrase, here, strict=False)]
            if all(there) and len(here) == len(phrase) and here[-1].clause == token.clause:
                # "not seen" brings its own "not": it is no denial of what else is said.
                negated = phrase[0] != "not" and any(t.negated for t in here)
                last, end = first + len(phrase) - 1, here[-1].meanings[phrase[-1]]
                negation = phrase == ("not",)
                found.append(Place(first, last, end, token.sentence, negation, negated))
    return found


def _says(pattern: Pattern, chosen: Sequence[Place], tokens: Sequence[Token]) -> bool:
    """Whether these places are near each other, in order, and denied if the pattern says "not"."""
    words = [place for place in chosen if not place.negation]
    asked = len(words) < len(chosen)  # for a "not"
    if words and any(place.negated for place in words) != asked:
        return False
    pairs = zip(chosen, pattern.elements, strict=True)
    order = sorted((place.first, place.last, element.group) for place, element in pairs)
    return (
        order[-1][0] - order[0][0] < WINDOW
        and all(
            end < first and one <= other for (_, end, one), (first, _, other) in pairwise(order)
        )
        and _related(pattern.elements, chosen, tokens)
        and not (pattern.whole and _beyond(pattern, chosen, tokens))
    )


def _related(elements: Sequence[Element], chosen: Sequence[Place], tokens: Sequence[Token]) -> bool:
    """Whether what acts stands before what it acts on, or after it and a "by"."""
    for element, (actor, acted) in zip(elements[1:], pairwise(chosen), strict=True):
        first, second = sorted((actor, acted), key=lambda place: place.first)
        # The "by" may stand before an adjective: "by the new weights".
        between = tokens[max(first.last + 1, second.first - 1) : second.first + 1]
        if element.acted and any(token.by for token in between) != (second is actor):
            return False
    return True


def _beyond(pattern: Pattern, chosen: Sequence[Place], tokens: Sequence[Token]) -> list[Token]:
    """What an answer says more than the pattern: words neither chosen, optional nor "not"."""
    optional = [place for element in pattern.optional for place in _places(element, tokens)]
    covered = {i for p in (*chosen, *optional) for i in range(p.first, p.last + 1)}
    return [t for i, t in enumerate(tokens) if i not in covered and "not" not in t.meanings]


def assign_topics(tokens: Sequence[Token], topics: Mapping[str, Sequence[Pattern]]) -> None:
    """Write into every token which topic it is about; a topic is named by the patterns given.

    A sentence that names one topic is about it. Where a sentence names several, each clause is
    about its own, and words after a second topic in one clause may be about either.
    A sentence or clause that names none goes on about the one before, or opens the next.
    """
    named = {
        place.first: topic
        for topic, names in topics.items()
        for name in names
        for place in _places(name.elements[0], tokens)
    }
    if not named:
        return
    # "edges; later layers …": what opens is about the first topic if only others are named.
    first = next(iter(topics))
    current = named[min(named)] if first in named.values() else first
    clause = -1
    for index, token in enumerate(tokens):
        in_sentence = {named[i] for i in named if tokens[i].sentence == token.sentence}
        in_clause = [named[i] for i in sorted(named) if tokens[i].clause == token.clause][:1]
        if index in named:
            current = named[index]
        elif len(in_sentence) == 1:
            (current,) = in_sentence
        elif in_clause and token.clause != clause:
            current = in_clause[0]
        clause = token.clause
        token.topics = tuple(dict.fromkeys([current, *in_clause]))
