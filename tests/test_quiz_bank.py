"""The bank: what is in it, and what a question writer is told when a file is wrong."""

import json
import re

import pytest
import yaml

from utils.common import CourseError
from utils.paths import NOTEBOOKS
from utils.quiz import load_bank
from utils.quiz.match import QUESTIONS

GOOD = {
    "id": "intro-01",
    "notebook": "01_pet_classifier",
    "section": "Loss and metric",
    "kind": "short",
    "text": "What is a loss?",
    "answer": "A measure of error.",
    "hints": ["It is a number."],
    "ideas": [{"name": "a measure", "say": ["measure"]}],
}
PLAIN = {key: value for key, value in GOOD.items() if key != "ideas"}
OPTION = {"text": "SGD", "right": False, "why": "it is none."}
CHOICE = PLAIN | {"kind": "choice", "options": [OPTION, OPTION]}
CODE = PLAIN | {"kind": "code", "checks": ["assert x", "assert y"], "names": ["x"]}
# Sections that end or open a chapter and teach nothing of their own.
NOT_TAUGHT = re.compile(
    r"^words$|recap|jargon|questionnaire|questions|where (to )?(go )?next|further", re.I
)


def load(folder, *questions):
    text = yaml.safe_dump(list(questions), allow_unicode=True)
    (folder / "mine.yaml").write_text(text, encoding="utf-8")
    return load_bank(folder)


def problems(folder, *questions):
    with pytest.raises(CourseError) as caught:
        load(folder, *questions)
    return str(caught.value)


def without(key):
    return {k: v for k, v in GOOD.items() if k != key}


@pytest.mark.parametrize(
    ("topic", "chapter", "of_the_book", "of_ours"),
    [
        ("intro", 1, 33, 2),
        ("production", 2, 27, 22),
        ("decisions", None, 0, 6),
        ("tasks", None, 0, 28),
        ("language", None, 0, 24),
        ("training", None, 0, 33),
    ],
)
def test_topic_is_whole(topic, chapter, of_the_book, of_ours):
    questions = load_bank().for_topic(topic)
    total = of_the_book + of_ours
    assert [q.id for q in questions] == [f"{topic}-{n:02}" for n in range(1, total + 1)]
    numbers = [f"{chapter}.{n}" for n in range(1, of_the_book + 1)]
    assert [q.book for q in questions] == numbers + [None] * of_ours


def test_found_by_book_number_and_by_notebook():
    bank = load_bank()
    assert bank is load_bank()  # read once
    assert bank["1.05"] is bank["1.5"] is bank["intro-05"]
    asked_first = [q.id for q in bank.for_notebook("00_start_here")]
    assert asked_first == ["intro-07", "intro-08", "intro-09"]
    for unknown in ("9.9", "intro-99"):
        with pytest.raises(KeyError, match=f"no question '{unknown}'; an id is decisions or "):
            bank[unknown]


def headings(notebook):
    cells = json.loads((NOTEBOOKS / f"{notebook}.ipynb").read_text(encoding="utf-8"))["cells"]
    text = "\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")
    return re.findall(r"^##\s+(.+?)\s*$", text, re.M)


@pytest.mark.parametrize("notebook", sorted({q.notebook for q in load_bank().values()}))
def test_questions_and_sections_belong_together(notebook):
    there = set(headings(notebook))
    named = {q.section for q in load_bank().for_notebook(notebook)}
    assert not named - there, "a question points to a section that is not there"
    taught = {name for name in there if not NOT_TAUGHT.search(name)}
    assert notebook == "00_start_here" or not taught - named, "a section has no question"


def idea(*say):
    return {"ideas": [{"name": "a", "say": list(say)}]}


@pytest.mark.parametrize(
    ("question", "message"),
    [
        (without("ideas"), "mine.yaml: intro-01.short.ideas: Field required"),
        (GOOD | {"kind": "essay"}, "mine.yaml: intro-01: Input tag 'essay' found using 'kind'"),
        (GOOD | {"hint": "x"}, "intro-01.short.hint: Extra inputs are not permitted"),
        (GOOD | {"hints": []}, "intro-01.short.hints: List should have at least 1 item"),
        (GOOD | {"book": 1.1}, "book: Input should be a valid string (found: 1.1)"),
        (GOOD | {"id": "Intro 1"}, "Intro 1.short.id: String should match pattern"),
        (GOOD | idea("b", "[b|c"), "ideas.0.say.1: Value error, '[b|c' has '[b': write words"),
        (GOOD | idea("the loss"), "'the loss' has 'the': write words, and none that is not read"),
        (GOOD | idea("(a+)+$"), "'(a+)+$' has '(a+)+$': write words"),
        (GOOD | idea("!loss"), "'!loss' names no word to look for"),
        (GOOD | idea("loss ?low"), "'loss ?low' has a '?', which says nothing unless"),
        (GOOD | idea(), "intro-01.short.ideas.0.say: "),
        (GOOD | idea(1), "ideas.0.say.0: Value error, must be text; put it in quotes"),
        (
            GOOD | {"ideas": [{"name": "a", "say": ["loss"], "about": "c"}]},
            "'c' is none of the top",
        ),
        (GOOD | {"right_at": 9}, "right_at is 9, above all weights together"),
        (GOOD | {"ideas": GOOD["ideas"] * 2}, "two ideas have one name; give each its own"),
        (CHOICE, "none is right; add one such as 'none of these'"),
        (CODE, "checks and names differ in length; give each check one name"),
        ("a line", "mine.yaml: a line: Input should be a valid dictionary"),
    ],
)
def test_message_says_what_to_write(tmp_path, question, message):
    assert message in problems(tmp_path, question)


def test_problems_are_listed_together(tmp_path):
    spoilt = GOOD | {"id": "intro-02", "hints": [], "colour": "red"}
    said = problems(tmp_path, GOOD, GOOD, spoilt)
    assert "intro-01: 2 questions have this id" in said
    assert "intro-02.short.hints: " in said and "intro-02.short.colour: " in said


def test_file_that_is_not_yaml(tmp_path):
    (tmp_path / "first.yaml").write_text("- id: [", encoding="utf-8")
    said = problems(tmp_path, GOOD | {"colour": "red"})  # in a file that is read after that one
    assert 'first.yaml", line 2' in said and "intro-01.short.colour: " in said


def test_texts_are_our_own_and_complete():
    for path in sorted(QUESTIONS.glob("*.yaml")):
        assert "http" not in path.read_text(encoding="utf-8")
    for question in load_bank().values():
        assert question.text[-1] in "?.", f"{question.id}: {question.text}"
        assert all(hint[-1] in "?.;" for hint in question.hints), question.id
