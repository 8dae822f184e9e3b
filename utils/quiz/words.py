"""Reading an answer: its meaning-bearing words, where each stands, and whether it is denied.

Nothing here knows a question. The word lists live in `data/questions/words.yaml`.
"""

import re
import unicodedata
from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, field, replace
from functools import lru_cache

import snowballstemmer
from rapidfuzz.distance import OSA

# No answer needs more; what follows is not read, so that a pasted book costs no time.
LONGEST_READ = 4_000

_TOKEN = re.compile(
    r"(?P<word>\d+(?:[.,]\d+)*|[^\W_]+(?:['’][^\W_]+)*)"  # noqa: RUF001 (typed by phones)
    r"|(?P<percent>%)"
    # Not the points of "e.g.", "vs.", "0.5"; but the t of "isn't." is no abbreviation.
    r"|(?P<sentence>[;!?\n]|(?<![^\w'\u2019]\w)(?<!^\w)(?<!\bvs)\.(?=\s|$))"
    r"|(?P<comma>[,&])"
    r"|(?P<colon>[-=]+>|[:()=>→⇒—–]|\s-\s)"  # noqa: RUF001 (dashes are typed too)
)
_Z_FOR_S = re.compile(r"(?<=\w{4})is(?=(?:e|es|ed|er|ers|ing|ation|ations)$)")
_OR_FOR_OUR = re.compile(r"(?<=\w{3})our(?=(?:s|ed|ing|less)?$)")
_STEMMER = snowballstemmer.stemmer("english")
NEGATION_REACH = 6  # a "not" denies at most this many meaning-bearing words, within its clause


@lru_cache(maxsize=20_000)
def stem(word: str) -> str:
    """The stem of one word; British and American spellings have the same one."""
    word = unicodedata.normalize("NFKC", word).lower()
    word = _OR_FOR_OUR.sub("or", _Z_FOR_S.sub("iz", word))
    return _STEMMER.stemWord(word)


@dataclass(frozen=True)
class Words:
    """The word lists of a bank: which words mean the same, which bear no meaning, and so on."""

    same: Mapping[str, str] = field(default_factory=dict)  # stem -> the stem of its group
    small: frozenset[str] = frozenset()  # carry no meaning of their own
    breaks: frozenset[str] = frozenset()  # "and", "but": a new clause begins
    negations: frozenset[str] = frozenset()
    blank: frozenset[str] = frozenset()  # whole answers that say "no answer"
    done: frozenset[str] = frozenset()  # whole answers that say "I have done it"
    known: frozenset[str] = frozenset()  # stems that are words, hence no typing errors

    @classmethod
    def from_lists(cls, lists: Mapping[str, list], texts: Iterable[str] = ()) -> "Words":
        """Build from the lists of `words.yaml`; words that occur in `texts` are known ones."""
        same = {stem(word): stem(group[0]) for group in lists["same"] for word in group}
        plain = {key: frozenset(map(str.lower, lists[key])) for key in _PLAIN_LISTS}
        seen = (m["word"] for text in texts for m in _TOKEN.finditer(text) if m["word"])
        known = {stem(word) for word in (*seen, *lists["known"])} | same.keys()
        return cls(same=same, known=frozenset(known), **plain)

    def meaning(self, word: str) -> str:
        """What words are compared by: the stem, or that of the group of synonyms it is in."""
        return self.same.get(stem(word), stem(word))

    def negates(self, word: str, following: str) -> bool:
        """Whether `word` denies what comes after it."""
        if word in ("instead", "rather"):
            return following in ("of", "than")
        return word in self.negations or word.endswith("n't")


_PLAIN_LISTS = ("small", "breaks", "negations", "blank", "done")


@dataclass(frozen=True)
class Token:
    """One meaning-bearing word of an answer."""

    text: str
    start: int
    end: int
    meanings: Mapping[str, int]  # what it may mean -> where in the answer those words end
    sentence: int
    clause: int
    negation: bool = False  # this word is a "not"
    negated: bool = False  # a "not" denies this word
    topics: tuple[str, ...] = ()  # what it is said about, the surest first


def plain(answer: str) -> str:
    """Lower case, no punctuation, single spaces: to compare whole answers. A tick is a word."""
    answer = re.sub("[✓✔☑✅]", " ticked ", answer)
    return " ".join(re.findall(r"[^\W_]+", answer.lower().replace("'", "").replace("’", "")))  # noqa: RUF001


def read(answer: str, words: Words, vocabulary: Mapping[str, str] | None = None) -> list[Token]:
    """The meaning-bearing words of `answer`, in order.

    `vocabulary`: the words a question looks for, with their meanings; a misspelt word is read as
    the nearest of them.
    """
    answer = answer[:LONGEST_READ]
    tokens: list[Token] = []
    sentence = clause = reach = 0
    found = list(_TOKEN.finditer(answer))
    for here, match in enumerate(found):
        word = match[0].lower().replace("’", "'")  # noqa: RUF001 (typed by phones)
        if word[0].isdigit():
            word = word.replace(",", ".")
        following = found[here + 1] if here + 1 < len(found) else None
        next_word = following[0].lower() if following and following["word"] else ""
        if match["sentence"] or match["comma"] or match["colon"] or word in words.breaks:
            sentence += bool(match["sentence"])
            clause += not match["colon"]  # "metric: for people" stays one clause
            reach = reach if word == "or" else 0  # "not fast or cheap" denies both
        elif words.negates(word, next_word):
            # "No, …" and "no it can" answer the question, they deny nothing that follows; so does
            # a "no" that opens the answer to a question to which "no" is an answer.
            opens = not tokens and "no" in (vocabulary or {})
            answers_no = word == "no" and (opens or not next_word or next_word in words.small)
            only = next_word in ("only", "just", "merely", "necessarily")
            reach = 0 if answers_no or only else NEGATION_REACH
            itself = {words.meaning(word): match.end()}
            tokens.append(Token(word, *match.span(), itself, sentence, clause, negation=True))
        elif word not in words.small:
            word, meaning = _meant(word, words, vocabulary or {})
            meanings = {meaning: match.end()}
            tokens.append(Token(word, *match.span(), meanings, sentence, clause, negated=reach > 0))
            reach -= 1
    pairs = zip(tokens, [*tokens, None][1:], strict=True)
    return [_with_compound(token, following, answer, words) for token, following in pairs]


def _meant(word: str, words: Words, vocabulary: Mapping[str, str]) -> tuple[str, str]:
    """A word and its meaning, both as if it were spelt like the nearest of the vocabulary."""
    typed, meaning = word, words.meaning(word)
    if meaning in vocabulary or len(word) < 5 or stem(word) in words.known or word.isdigit():
        return word, meaning
    alike = [other for other in vocabulary if len(other) >= 5 and other[0] == word[0]]
    starts = [other[:-1] for other in alike if other.endswith("*")]
    if not word.startswith(tuple(starts)):
        word = next((start for start in starts if _misspells_start(word, start)), word)
    forms = (typed, stem(typed))
    whole = [other for other in alike if not other.endswith("*")]
    errors = [(min(OSA.distance(form, other) for form in forms), other) for other in whole]
    if errors and min(errors)[0] <= 1 + (len(typed) >= 8):
        meaning = vocabulary[min(errors)[1]]
    return word, meaning


def _misspells_start(word: str, start: str) -> bool:
    """Whether a word begins like `start`, but for one letter wrong, missing, doubled or swapped."""
    lengths = range(len(start) - 1, len(start) + 2)
    return any(OSA.distance(word[:length], start) <= 1 for length in lengths)


def _with_compound(token: Token, following: Token | None, answer: str, words: Words) -> Token:
    """Let "data set" and "data-set" mean "dataset" too."""
    if following is None or answer[token.end : following.start] not in (" ", "-", "_"):
        return token
    joined = words.meaning(token.text + following.text)
    return replace(token, meanings={**token.meanings, joined: following.end})


def with_topics(tokens: list[Token], topics: Mapping[str, Collection[int]]) -> list[Token]:
    """Say for every token which topic it is about; `topics` gives the tokens that name each.

    A sentence that names one topic is about it. Where a sentence names several, each clause is
    about its own, and words after a second topic in one clause may be about either.
    A sentence or clause that names none goes on about the one before, or opens the next.
    """
    named = {index: topic for topic, places in topics.items() for index in places}
    by_sentence = _named_in([t.sentence for t in tokens], named)
    by_clause = _named_in([t.clause for t in tokens], named)
    current = next((named[i] for i in sorted(named)), None)
    result = []
    for index, token in enumerate(tokens):
        in_sentence, in_clause = by_sentence[token.sentence], by_clause[token.clause]
        if index in named:
            current = named[index]
        elif len(in_sentence) == 1:
            current = in_sentence[0]
        elif in_clause and (index == 0 or tokens[index - 1].clause != token.clause):
            current = in_clause[0]
        about = dict.fromkeys([current, *in_clause[:1]] if current else [])
        result.append(replace(token, topics=tuple(about)))
    return result


def _named_in(parts: list[int], named: Mapping[int, str]) -> dict[int, list[str]]:
    """For each sentence (or clause) the topics that it names, in order, without repeats."""
    found: dict[int, list[str]] = {part: [] for part in parts}
    for index in sorted(named):
        if named[index] not in found[parts[index]]:
            found[parts[index]].append(named[index])
    return found
