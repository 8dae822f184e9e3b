"""What is shown of questions and answers: as HTML that is safe, as pictures, as an Anki deck."""

import sqlite3
import zipfile
from contextlib import closing
from xml.etree import ElementTree

import pytest

from utils.quiz import load_bank, show
from utils.quiz.anki import write_apkg
from utils.quiz.questions import Feedback, ShortQuestion

BANK = load_bank()
HOSTILE = "<script>alert(1)</script> & \\(x\\) $y$ <b onclick='z'>"
ESCAPED = "&lt;script&gt;alert(1)&lt;/script&gt; &amp; "


def asked(id="intro-02", **more):
    known = {"id": id, "notebook": "01_pet_classifier", "section": "Loss & metric"}
    known |= {"text": f"What is {id}?", "answer": "This.", "hints": ["Look."], "kind": "short"}
    return ShortQuestion.model_validate(known | {"ideas": [{"name": "it", "say": ["one"]}]} | more)


TASK = next(q for q in BANK.values() if q.kind == "task")
CHOICE = next(q for q in BANK.for_topic("intro") if q.kind == "choice" and len(q.options) > 2)


@pytest.mark.parametrize(
    ("text", "html"),
    [
        ("*one* and `a*b*`", "<p><em>one</em> and <code>a*b*</code></p>\n"),
        ("one\n\ntwo", "<p>one</p>\n<p>two</p>\n"),
        ("```\nif a < b:\n```", "<pre><code>if a &lt; b:\n</code></pre>\n"),
        ("- <b>1</b> \\(x\\) [a](b)", "<p>- &lt;b&gt;1&lt;/b&gt; \\(x\\) [a](b)</p>\n"),
    ],
)  # fmt: skip
def test_texts_of_the_bank(text, html):
    assert show.rich(text) == html


def test_what_is_typed_is_shown_escaped_with_its_marks():
    question = asked()
    feedback = Feedback("right", "", [(0, 7, 'it "is"'), (3, 9, 'it "is"')])
    page = show.verdict(question, HOSTILE, feedback)
    assert '<mark title="it &quot;is&quot;">&lt;script</mark>' in page
    assert '<mark title="it &quot;is&quot;">&gt;a</mark>' in page  # a letter is marked once
    assert "<script" not in page and "<b " not in page
    assert 'class="wg-typed mathjax_ignore tex2jax_ignore"' in page
    html = show.typed(HOSTILE)
    assert ESCAPED in html and "<script" not in html and "<b " not in html


def test_verdicts_of_other_kinds():
    page = show.verdict(CHOICE, "a, b", CHOICE.check("a, b"))
    assert page.count("<li>") == len(CHOICE.options) - 2  # the message explains those chosen
    code = next(q for q in BANK.values() if q.kind == "code" and "```" not in q.answer)
    page = show.verdict(code, "x < 1", Feedback("wrong", ""))
    assert "<pre><code>" in page and "x < 1" not in page  # it stands in the box
    draw = next(q for q in BANK.values() if q.kind == "draw")
    assert "<dt>Our picture</dt><dd><img " in show.verdict(draw, "done", draw.check("done"))


def test_who_compares_sees_what_counts():
    question = BANK["intro-24"]
    ideas = f"<li>{show.inline(question.ideas[0].name)}</li>"
    assert ideas in show.verdict(question, "a cat", question.check("a cat"))
    assert ideas not in show.verdict(question, question.answer, question.check(question.answer))
    assert show.what_counts(CHOICE) == ""


def test_without_a_kernel_all_can_be_read():
    questions = [*BANK.for_topic("intro")]
    page, text = show.static_html(questions), show.static_text(questions)
    assert page.count("<details>") == len(questions)
    assert f"{len(questions)}. {questions[-1].text}" in text
    assert f"   a) {CHOICE.options[0].text}" in show.static_text([CHOICE])
    assert f'<ol type="a"><li>{show.inline(CHOICE.options[0].text)}</li>' in show.static_html(
        [CHOICE]
    )


@pytest.mark.parametrize("name", sorted({q.picture for q in BANK.values() if q.kind == "draw"}))
def test_every_picture_has_words(name):
    picture = show.drawing(name)
    shown = picture._repr_mimebundle_()
    assert shown["text/plain"] == picture.alt and len(picture.alt) > 40
    assert f'alt="{show.escape(picture.alt)}"' in shown["text/html"]
    tags = {
        element.tag.rpartition("}")[2] for element in ElementTree.fromstring(picture.svg).iter()
    }
    assert tags <= {
        "svg",
        "title",
        "desc",
        "defs",
        "style",
        "g",
        "path",
        "use",
        "text",
        "clipPath",
        "rect",
    }


# -- the Anki deck, read back ----------------------------------------------------------------------


def read_deck(path, folder):
    """Fields and (guid, model) by id, the deck of every card, all tags."""
    with zipfile.ZipFile(path) as archive:
        archive.extract("collection.anki2", folder)
    with closing(sqlite3.connect(folder / "collection.anki2")) as db:
        notes = db.execute("SELECT guid, mid, flds, tags FROM notes").fetchall()
        decks = db.execute("SELECT did FROM cards").fetchall()
    fields = {row[2].split("\x1f")[0]: row[2].split("\x1f") for row in notes}
    known = {row[2].split("\x1f")[0]: row[:2] for row in notes}
    return fields, known, decks, {row[3] for row in notes}


def test_deck_is_read_back(tmp_path):
    questions = [
        asked(text="Is 1 < 2 & `a<b>`?", answer=f"{HOSTILE}\nYes."),
        asked("mnist-01", notebook="06_mnist", answer="{{c1::no cloze}}"),
        TASK,
        CHOICE,
    ]
    assert write_apkg(questions, tmp_path / "new" / "course.apkg") == 3
    fields, _, decks, tags = read_deck(tmp_path / "new" / "course.apkg", tmp_path)
    assert sorted(fields) == sorted(["intro-02", "mnist-01", CHOICE.id])
    assert len(decks) == 3 and len(set(decks)) == 2  # one for each chapter
    _, question, answer, where = fields["intro-02"]
    assert question == "<p>Is 1 &lt; 2 &amp; <code>a&lt;b&gt;</code>?</p>\n"
    assert ESCAPED in answer and "<script" not in answer
    assert where == "01_pet_classifier, Loss &amp; metric"
    assert "<li>" in fields[CHOICE.id][1]
    assert " 01_pet_classifier intro " in tags


def test_importing_again_updates(tmp_path):
    write_apkg([asked("intro-01"), asked()], tmp_path / "old.apkg")
    write_apkg([asked(text="Better?"), asked("intro-03")], tmp_path / "new.apkg")
    _, old, old_decks, _ = read_deck(tmp_path / "old.apkg", tmp_path)
    fields, new, new_decks, _ = read_deck(tmp_path / "new.apkg", tmp_path)
    assert old["intro-02"] == new["intro-02"] and "Better?" in fields["intro-02"][1]
    assert new["intro-03"][0] not in {guid for guid, _ in old.values()}
    assert set(old_decks) == set(new_decks)
    # in every version of the course, or what people have learned begins anew
    assert old["intro-02"] == ("BD?n[a3d^|", 1888084388) and old_decks[0] == (1808758485,)


def test_deck_that_cannot_be_written_leaves_the_old_one(tmp_path, monkeypatch):
    path = tmp_path / "course.apkg"
    write_apkg([asked()], path)
    before = path.read_bytes()

    def full(*_):
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("genanki.Package.write_to_file", full)
    with pytest.raises(OSError, match="No space"):
        write_apkg([asked("intro-01")], path)
    assert path.read_bytes() == before and [*tmp_path.iterdir()] == [path]
