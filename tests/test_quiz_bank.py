"""The bank: what is in it, and what a question writer is told when a file is wrong."""

import json
import re

import pytest
import yaml

from utils.paths import NOTEBOOKS
from utils.quiz import load_bank
from utils.quiz.bank import QUESTIONS, BankError

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
# Sections that end or open a chapter and teach nothing of their own.
NOT_TAUGHT = re.compile(
    r"^words$|recap|jargon|questionnaire|questions|where (to )?(go )?next|further", re.I
)


def load(folder, *questions):
    text = yaml.safe_dump(list(questions), allow_unicode=True)
    (folder / "mine.yaml").write_text(text, encoding="utf-8")
    return load_bank(folder)


def problems(folder, *questions):
    with pytest.raises(BankError) as caught:
        load(folder, *questions)
    return str(caught.value)


def without(key):
    return {k: v for k, v in GOOD.items() if k != key}


@pytest.mark.parametrize(
    ("topic", "chapter", "of_the_book", "of_ours"),
    [
        ("intro", 1, 33, 2),
        ("production", 2, 27, 21),
        ("tasks", None, 0, 26),
        ("language", None, 0, 18),
        ("training", None, 0, 28),
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
    assert bank.by_book("1.05") is bank.by_book("1.5") is bank["intro-05"]
    assert [q.id for q in bank.for_notebook("00_start_here")] == [
        "intro-07",
        "intro-08",
        "intro-09",
    ]
    with pytest.raises(KeyError, match=r"no question has the book number 9\.9"):
        bank.by_book("9.9")
    with pytest.raises(KeyError, match="no question 'intro-99'; an id is intro"):
        bank["intro-99"]


def test_read_once():
    assert load_bank() is load_bank()


def headings(notebook):
    cells = json.loads((NOTEBOOKS / f"{notebook}.ipynb").read_text(encoding="utf-8"))["cells"]
    text = "\n".join("".join(c["source"]) for c in cells if c["cell_type"] == "markdown")
    return re.findall(r"^##\s+(.+?)\s*$", text, re.M)


@pytest.mark.parametrize("notebook", sorted({q.notebook for q in load_bank().values()}))
def test_sections_are_there(notebook):
    if not (NOTEBOOKS / f"{notebook}.ipynb").exists():
        pytest.skip(f"{notebook} is not written yet")
    named = {q.section for q in load_bank().for_notebook(notebook)}
    assert not named - set(headings(notebook)), "a question points to a section that is not there"


WITH_QUESTIONS = [
    "01_pet_classifier",
    "02_bear_datablock",
    "03_data_cleaning",
    "04_bear_app",
    "05_avoiding_disaster",
    "06_mnist_from_scratch",
    "07_other_tasks",
    "08_language",
    "09_training_well",
]


@pytest.mark.parametrize("notebook", WITH_QUESTIONS)
def test_every_section_has_a_question(notebook):
    if not (NOTEBOOKS / f"{notebook}.ipynb").exists():
        pytest.skip(f"{notebook} is not written yet")
    taught = {name for name in headings(notebook) if not NOT_TAUGHT.search(name)}
    named = {q.section for q in load_bank().for_notebook(notebook)}
    assert not taught - named, "a section has no question"


def test_every_picture_can_be_drawn():
    from utils.quiz import drawings

    for question in load_bank().values():
        if question.kind == "draw":
            draw = getattr(drawings, question.picture)
            assert len(draw().axes) == 1
            assert len(draw.alt) > 40


@pytest.mark.parametrize(
    ("question", "message"),
    [
        (without("id"), "mine.yaml: question 1 of the file: id: is missing; write it"),
        (without("ideas"), "mine.yaml: intro-01: ideas: is missing; write it"),
        (without("kind"), "intro-01: kind: is missing; write short, draw, choice, number"),
        (
            GOOD | {"kind": "essay"},
            "intro-01: kind: is none that there is; write short",
        ),
        (GOOD | {"hint": "x"}, "intro-01: hint: is no field of this kind of question"),
        (GOOD | {"hints": []}, "intro-01: hints: has too few entries; write at least 1"),
        (GOOD | {"answer": ""}, "intro-01: answer: is empty; write some text"),
        (GOOD | {"book": 1.1}, "intro-01: book: must be text; put it in quotes (found: 1.1)"),
        (GOOD | {"id": "Intro 1"}, "Intro 1: id: does not have the right form; compare with"),
        (GOOD | {"hints": "x"}, "intro-01: hints: must be a list; begin each line"),
        (GOOD | {"right_at": 5}, "intro-01: right_at is 5, above all weights together (1)"),
        (
            GOOD | {"ideas": [{"name": "a", "say": ["b"], "about": "c"}]},
            "intro-01: about: 'c' is none of the topics []",
        ),
        (
            GOOD | {"ideas": [{"name": "a", "say": ["b"]}, {"name": "a", "say": ["c"]}]},
            "intro-01: two ideas have the name 'a'",
        ),
        (
            GOOD | {"ideas": [{"name": "a", "say": ["[b|c"]}]},
            "intro-01: ideas (1) say (1): '[b|c' has a bracket without its partner",
        ),
        (
            GOOD | {"ideas": [{"name": "a", "say": ["the loss"]}]},
            "intro-01: ideas (1) say (1): 'the loss' uses 'the', a small word nobody reads",
        ),
        (
            GOOD | {"ideas": [{"name": "a", "say": ["(a+)+$"]}]},
            "intro-01: ideas (1) say (1): '(a+)+$' has '(a+)+$' where a word should be",
        ),
        (GOOD | {"ideas": [{"name": "a", "say": ["!loss"]}]}, "'!loss' names no word to look for"),
        (GOOD | {"ideas": [{"name": "a", "say": ["b ?c"]}]}, "'b ?c' has '?' without '='"),
        ("a line", "mine.yaml: question 1 of the file"),
    ],
)
def test_message_says_what_to_write(tmp_path, question, message):
    assert message in problems(tmp_path, question)


def test_problems_are_listed_together(tmp_path):
    spoilt = GOOD | {"id": "intro-02", "hints": [], "colour": "red"}
    said = problems(tmp_path, GOOD, GOOD, spoilt)
    assert "intro-01: 2 questions have this id; give each its own" in said
    assert "intro-02: hints: has too few entries" in said
    assert "intro-02: colour: is no field" in said


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("- id: [", "mine.yaml: is not YAML"),
        ("id: intro-01", "mine.yaml: must be a list of questions"),
        ("", "mine.yaml: must be a list of questions"),
    ],
)
def test_file_that_is_no_list(tmp_path, text, message):
    (tmp_path / "mine.yaml").write_text(text, encoding="utf-8")
    with pytest.raises(BankError, match=message):
        load_bank(tmp_path)


def test_folder_without_questions(tmp_path):
    with pytest.raises(BankError, match="there is no question file"):
        load_bank(tmp_path)


def test_word_lists_that_are_no_words(tmp_path):
    (tmp_path / "words.yaml").write_text("same: [[yes, no]]\n", encoding="utf-8")
    (tmp_path / "mine.yaml").write_text("[]", encoding="utf-8")
    with pytest.raises(BankError, match=r"words\.yaml: "):
        load_bank(tmp_path)


def test_texts_are_our_own_and_complete():
    for path in sorted(QUESTIONS.glob("*.yaml")):
        assert "http" not in path.read_text(encoding="utf-8")
    for question in load_bank().values():
        assert question.text[-1] in "?.", f"{question.id}: {question.text}"
        assert all(hint[-1] in "?.;" for hint in question.hints), question.id
