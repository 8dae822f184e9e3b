"""Reading an answer: the words that bear its meaning, and whether they are what a pattern seeks.

Nothing here knows a question. data/questions/README.md explains the patterns and how an answer is
read; the word lists are data/questions/words.yaml.
"""

import re
import unicodedata
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from functools import lru_cache
from itertools import pairwise

import snowballstemmer
from rapidfuzz.distance import OSA

# No answer needs more; what follows is not read, so that a pasted book costs no time.
LONGEST_READ = 4_000
NEGATION_REACH = 6  # a "not" denies at most this many meaning-bearing words, within its clause
WINDOW = 10  # the words of a pattern stand within this many meaning-bearing words of each other

TOKEN = re.compile(
    r"(?P<word>\d+(?:[.,]\d+)*|[^\W_]+(?:['’][^\W_]+)*)"  # noqa: RUF001 (typed by phones)
    r"|(?P<percent>%)"
    # Not the points of "e.g.", "vs.", "0.5"; but the t of "isn't." is no abbreviation.
    r"|(?P<sentence>[;!?\n]|(?<![^\w'\u2019]\w)(?<!^\w)(?<!\bvs)\.(?=\s|$))"
    r"|(?P<comma>[,&])"
    r"|(?P<colon>[-=]+>|[:()=>→⇒—–]|\s-\s)"  # noqa: RUF001 (dashes are typed too)
)
PATTERN_PART = re.compile(r"[!?]?\[[^\[\]]*\]|[^\s\[\]]+|[\[\]]")
Z_FOR_S = re.compile(r"(?<=\w{4})is(?=(?:e|es|ed|er|ers|ing|ation|ations)$)")
OR_FOR_OUR = re.compile(r"(?<=\w{3})our(?=(?:s|ed|ing|less)?$)")
NUMBER = r"[-+]?(?:\d+(?:[.,]\d+)?|[.,]\d+)(?:e[-+]?\d+)?"
SPELT = ["zero", "one", "two", "three", "four", "five", "six", "seven", "eight", "nine", "ten"]
STEMMER = snowballstemmer.stemmer("english")


# -- words -----------------------------------------------------------------------------------------


@lru_cache(maxsize=20_000)
def stem(word: str) -> str:
    """The stem of one word; British and American spellings have the same one."""
    word = unicodedata.normalize("NFKC", word).lower()
    once = STEMMER.stemWord(OR_FOR_OUR.sub("or", Z_FOR_S.sub("iz", word)))
    return STEMMER.stemWord(once)  # "parameteres" becomes "parameter", and then what that becomes


@dataclass(frozen=True)
class Words:
    """The word lists of a bank: which words mean the same, which bear no meaning, and so on."""

    same: Mapping[str, str] = field(default_factory=dict)  # stem -> the stem of its group
    known: frozenset[str] = frozenset()  # stems that are words, hence no typing errors
    small: frozenset[str] = frozenset()  # carry no meaning of their own
    by: frozenset[str] = frozenset()  # the small words before what acts: "updated by"
    breaks: frozenset[str] = frozenset()  # "and", "but": a new clause begins
    negations: frozenset[str] = frozenset()
    turns: frozenset[str] = frozenset()  # "when", "which": a "not" reaches no further
    blank: frozenset[str] = frozenset()  # whole answers that say "no answer"
    gives_up: frozenset[str] = frozenset()  # parts of answers that say "no answer"
    done: frozenset[str] = frozenset()  # whole answers that say "I have done it"

    @classmethod
    def from_lists(cls, lists: Mapping[str, list], texts: Iterable[str] = ()) -> "Words":
        """Build from the lists of `words.yaml`; words that occur in `texts` are known ones."""
        same = {stem(word): stem(group[0]) for group in lists["same"] for word in group}
        seen = (m["word"] for text in texts for m in TOKEN.finditer(text) if m["word"])
        known = {stem(word) for word in (*seen, *lists["known"])} | same.keys()
        plain_lists = ("small", "by", "breaks", "turns", "negations", "blank", "gives_up", "done")
        rest = {name: frozenset(map(str.lower, lists[name])) for name in plain_lists}
        return cls(same, frozenset(known), **rest)

    def meaning(self, word: str) -> str:
        """What words are compared by: the stem, or that of the group of synonyms it is in."""
        return self.same.get(stem(word), stem(word))


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
    text = re.sub(rf"(?<!\d){NUMBER}\s*[-+*]\s*{NUMBER}", " ", text)  # "1+1" is asked, not answered
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
    meanings: dict[str, int]  # what it may mean -> where in the answer those words end
    sentence: int
    clause: int
    negation: bool = False  # this word is a "not"
    negated: bool = False  # a "not" denies this word
    by: bool = False  # "by", "with", "from" … stand before it: what acts comes second
    topics: tuple[str, ...] = ()  # what it is said about, the surest first


def read(answer: str, words: Words, vocabulary: Mapping[str, str] | None = None) -> list[Token]:
    """The meaning-bearing words of `answer`, in order.

    `vocabulary`: the words a question looks for, with their meanings; a misspelt word is read as
    the nearest of them.
    """
    answer, vocabulary = answer[:LONGEST_READ], vocabulary or {}
    tokens: list[Token] = []
    sentence = clause = reach = 0
    by = False
    matches = list(TOKEN.finditer(answer))
    next_words = [(match["word"] or "").lower() for match in matches[1:]]
    for match, next_word in zip(matches, [*next_words, ""], strict=False):
        start, end = match.span()
        word = match[0].lower().replace("’", "'")  # noqa: RUF001 (typed by phones)
        if word[0].isdigit():
            word = word.replace(",", ".")
        denies = word in words.negations or word.endswith("n't")
        if word in ("instead", "rather"):
            denies = next_word in ("of", "than")
        if match["sentence"] or match["comma"] or match["colon"] or word in words.breaks:
            sentence += bool(match["sentence"])
            clause += not match["colon"]  # "metric: for people" stays one clause
            # "not fast or cheap" denies both, "does not (in training) look" what it is about
            reach = reach if word in ("or", "(") else 0
            by = False
        elif denies:
            # "No, …" and "no it can" answer the question, they deny nothing that follows; so does
            # a "no" that opens the answer to a question to which "no" is an answer.
            opens = not tokens and "no" in vocabulary
            answers_no = word == "no" and (opens or not next_word or next_word in words.small)
            only = next_word in ("only", "just", "merely", "necessarily")
            reach = 0 if answers_no or only else NEGATION_REACH
            itself = {words.meaning(word): end}
            tokens.append(Token(word, start, end, itself, sentence, clause, negation=True))
        elif word not in words.small:
            word, meaning = _respelt(word, words, vocabulary)
            token = Token(word, start, end, {meaning: end}, sentence, clause, negated=reach > 0)
            token.by, by = by, False
            tokens.append(token)
            reach -= 1
        by = by or word in words.by
        if word in words.turns and reach < NEGATION_REACH:  # "is not good where it snows"
            reach = 0
    for token, after in pairwise(tokens):
        if answer[token.end : after.start] in (" ", "-", "_"):  # "data set" means "dataset" too
            token.meanings[words.meaning(token.text + after.text)] = after.end
    return tokens


def _respelt(word: str, words: Words, vocabulary: Mapping[str, str]) -> tuple[str, str]:
    """A word and its meaning, both as if it were spelt like the nearest of the vocabulary."""
    typed, meaning = word, words.meaning(word)
    if meaning in vocabulary or len(word) < 5 or stem(word) in words.known or word.isdigit():
        return word, meaning
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
        meaning = vocabulary[min(errors)[1]]
    return word, meaning


# -- patterns --------------------------------------------------------------------------------------


@dataclass(frozen=True)
class Element:
    """One place in a pattern: any of some phrases; a phrase is one or more adjacent words."""

    phrases: tuple[tuple[str, ...], ...]
    group: int  # elements of a later group (after "..") must stand later in the answer
    acted: bool = False  # after ">": the element before acts on this one


@dataclass(frozen=True)
class Pattern:
    """One way of saying something."""

    source: str
    elements: tuple[Element, ...]
    banned: tuple[Element, ...]  # "!": not in the same sentence
    optional: tuple[Element, ...]  # "?": what a whole answer may have besides
    whole: bool  # "=": the answer says nothing else

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
    group, acted = 0, False
    whole = source.startswith("=")
    for part in PATTERN_PART.findall(source.removeprefix("=")):
        if part == "..":
            group += 1
        elif part == ">":
            acted = True
        elif part in "[]":
            raise ValueError(f"'{source}' has a bracket without its partner; write [one|other]")
        else:
            sort = part[0] if part[0] in "!?" else ""
            phrases = part.removeprefix(sort).strip("[]").split("|")
            element = tuple(_phrase(p.strip(), source, words) for p in phrases)
            sorts[sort].append(Element(element, group, acted))
            acted = False
    if not sorts[""]:
        raise ValueError(f"'{source}' names no word to look for; write at least one")
    if sorts["?"] and not whole:
        raise ValueError(f"'{source}' has '?' without '='; what may also be said needs no mention")
    needed, banned, optional = map(tuple, sorts.values())
    return Pattern(source, needed, banned, optional, whole)


def _phrase(text: str, source: str, words: Words) -> tuple[str, ...]:
    parts = re.split(r"[\s_]+", text)
    for part in parts:
        if not re.fullmatch(r"[^\W_][^\W_.'%]*(\.\d+)?\*?|%", part):
            raise ValueError(f"'{source}' has '{part}' where a word should be; write letters only")
        if part.lower() in words.small:
            raise ValueError(f"'{source}' uses '{part}', a small word nobody reads; leave it out")
    return tuple(p.lower() if p == "not" or p[-1] == "*" else words.meaning(p) for p in parts)


def first_said(
    say: Sequence[Pattern], tokens: Sequence[Token], about: str = "", sure: bool = False
) -> tuple[Pattern, tuple[tuple[int, int], ...]] | None:
    """The first of these ways of saying it that the answer uses, and the character spans that do.

    Those of a whole answer come before others. `about`: only words that are said about this topic
    count; `sure`: and about no other.
    """
    if about:
        tokens = [t for t in tokens if about in t.topics and not (sure and len(t.topics) > 1)]
    said = {meaning for token in tokens for meaning in token.meanings}
    for pattern in sorted(say, key=lambda p: not p.whole):
        if _may_be_in(said, pattern) and (spans := _find(pattern, tokens)):
            return pattern, tuple(spans)
    return None


def _may_be_in(said: set[str], pattern: Pattern) -> bool:
    """Whether an answer with these meanings can match; quick, to pass over most patterns."""
    firsts = ([phrase[0] for phrase in element.phrases] for element in pattern.elements)
    return all(any(w in said or w == "not" or w[-1] == "*" for w in words) for words in firsts)


def _find(pattern: Pattern, tokens: Sequence[Token]) -> list[tuple[int, int]]:
    for sentence in dict.fromkeys(token.sentence for token in tokens):
        inside = [token for token in tokens if token.sentence == sentence]
        banned = (place for element in pattern.banned for place in _places(element, inside))
        if any(not place.negated for place in banned):  # "not element by element" bans nothing
            continue
        options = [_places(element, inside) for element in pattern.elements]
        ways = _chosen(pattern.elements, options) if all(options) else ()
        chosen = next((way for way in ways if _related(pattern.elements, way, inside)), ())
        if chosen and not (pattern.whole and _says_more(pattern, chosen, inside, tokens)):
            return sorted((inside[p.first].start, p.end) for p in chosen)
    return []


def _related(elements: Sequence[Element], chosen: Sequence[Place], inside: Sequence[Token]) -> bool:
    """Whether what acts stands before what it acts on, or after it and a "by"."""
    for element, (actor, acted) in zip(elements[1:], pairwise(chosen), strict=True):
        first, second = sorted((actor, acted), key=lambda place: place.first)
        # The "by" may stand before an adjective: "by the new weights".
        between = inside[max(first.last + 1, second.first - 1) : second.first + 1]
        if element.acted and any(token.by for token in between) != (second is actor):
            return False
    return True


def _says_more(
    pattern: Pattern, chosen: Sequence[Place], inside: Sequence[Token], tokens: Sequence[Token]
) -> bool:
    """Whether the answer says more than the pattern: words neither chosen, optional nor "not"."""
    covered = {id(t) for p in chosen for t in inside[p.first : p.last + 1]}
    for element in pattern.optional:
        covered |= {id(t) for p in _places(element, tokens) for t in tokens[p.first : p.last + 1]}
    return any(id(token) not in covered and not token.negation for token in tokens)


def _places(element: Element, tokens: Sequence[Token]) -> list[Place]:
    """Everywhere that one of the phrases of `element` stands."""
    found = []
    for first in range(len(tokens)):
        for phrase in element.phrases:
            here = tokens[first : first + len(phrase)]
            ends = [_word_end(word, token) for word, token in zip(phrase, here, strict=False)]
            if len(here) == len(phrase) and all(ends) and here[0].clause == here[-1].clause:
                negation = phrase[0] == "not"
                # "not seen" brings its own "not": it is no denial of what else is said.
                negated = not negation and any(token.negated for token in here)
                last = first + len(phrase) - 1
                found.append(Place(first, last, ends[-1], negation and last == first, negated))
    return found


def _word_end(word: str, token: Token) -> int:
    """Where the token ends if it is the word of the pattern, else 0."""
    if word == "not":
        return token.end if token.negation else 0
    if word.endswith("*"):
        return token.end if token.text.startswith(word[:-1]) else 0
    return token.meanings.get(word, 0)


def _chosen(
    elements: Sequence[Element], options: Sequence[list[Place]]
) -> Iterator[tuple[Place, ...]]:
    """Every way to choose a place for each element, denied if the pattern says "not", else not."""
    for anchor in min(options, key=len):
        near = [[p for p in places if abs(p.first - anchor.first) < WINDOW] for places in options]
        for chosen in _fitting(elements, near) if all(near) else ():
            words = [place for place in chosen if not place.negation]
            asked = len(words) < len(chosen)  # for a "not"
            if not words or any(place.negated for place in words) == asked:
                yield chosen


def _fitting(
    elements: Sequence[Element], options: Sequence[list[Place]], chosen: tuple[Place, ...] = ()
) -> Iterator[tuple[Place, ...]]:
    """Every way to go on from `chosen`: near each other, in order, no word standing for two."""
    if len(chosen) == len(elements):
        yield chosen
        return
    any_order = [element.group == elements[len(chosen)].group for element in elements]
    for place in options[len(chosen)]:
        fits = (
            abs(before.first - place.first) < WINDOW
            and (before.last < place.first or (place.last < before.first and either))
            for before, either in zip(chosen, any_order, strict=False)
        )
        if all(fits):
            yield from _fitting(elements, options, (*chosen, place))


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
    by_sentence: dict[int, list[str]] = defaultdict(list)
    by_clause: dict[int, list[str]] = defaultdict(list)
    for index in sorted(named):
        by_sentence[tokens[index].sentence].append(named[index])
        by_clause[tokens[index].clause].append(named[index])
    current = named[min(named)] if named else ""
    first = next(iter(topics), "")
    if first not in named.values():  # "edges; later layers …": what opens is about the first topic
        current = first if named else ""
    clause = -1
    for index, token in enumerate(tokens):
        in_sentence, in_clause = by_sentence[token.sentence], by_clause[token.clause][:1]
        if index in named:
            current = named[index]
        elif len(set(in_sentence)) == 1:
            current = in_sentence[0]
        elif in_clause and token.clause != clause:
            current = in_clause[0]
        clause = token.clause
        token.topics = tuple(dict.fromkeys([current, *in_clause])) if current else ()
