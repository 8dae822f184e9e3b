"""The card without a browser: what the page asks for, and what it is then given to draw."""

from datetime import datetime, timedelta, timezone

import pytest

from utils.quiz import load_bank, schedule, widget
from utils.quiz.journal import Journal

ANSWER = load_bank()["intro-24"].answer


@pytest.fixture(autouse=True)
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


@pytest.fixture
def shown(monkeypatch):
    """What cells show: the widget, its text and its page, or outputs by kind."""
    outputs = []
    monkeypatch.setattr(widget, "show_widget", lambda *said: outputs.append(said))
    monkeypatch.setattr(widget, "display", lambda data, raw: outputs.append(data))
    return outputs


def ask(card, do, **request):
    replies = []
    card.send = lambda reply, buffers: replies.append(reply)
    card.respond({"nr": 1, "do": do, **request})
    assert replies[0]["nr"] == 1
    return replies[0]["problem"]


@pytest.mark.parametrize(
    ("answer", "outcome", "headline", "overrules"),
    [
        ("metric: for people. loss: for SGD", "right", "✓ Right", ["wrong"]),
        ("the metric is for people", "partial", "◐ Partly right", ["right", "wrong"]),
        ("something else", "unmatched", "? Can't match", ["right", "partial", "wrong"]),
        ("SGD uses the metric, people the loss", "wrong", "✗ Not yet", ["right"]),
        ("", "blank", "○ Nothing written", []),
    ],
)
def test_five_outcomes(shown, answer, outcome, headline, overrules):
    widget.quiz("01_pet_classifier")
    card = shown[0][0]
    assert ask(card, "check", id="intro-24", answer=answer) == ""
    assert (card.card["outcome"], card.card["headline"]) == (outcome, headline)
    assert [choice["outcome"] for choice in card.card["overrule"]] == overrules
    assert (outcome == "unmatched") == ("I can't match this" in card.card["message"])
    if outcome == "unmatched":
        assert any("(? can't match)" in label for label in labels(card))
        assert Journal().reviews()["intro-24"]["log"]["rating"] == 1
        ask(card, "overrule", id="intro-24", outcome="partial")
        assert card.card["headline"] == "◐ Partly right (your own verdict)"
        assert Journal().reviews()["intro-24"]["log"]["rating"] == 2


def labels(card):
    return [entry["label"] for entry in card.listing]


@pytest.fixture
def start(shown):
    widget.quiz("00_start_here")
    return shown[0][0]


def test_the_first_question_that_has_no_answer_is_open(start, shown):
    assert start.card["id"] == "intro-07" and start.card["number"] == "Question 1 of 3"
    assert start.status == "0 of 3 answered · 0 right"
    assert ask(start, "check", id="intro-07", answer="2") == ""
    assert start.status == "1 of 3 answered · 1 right"
    assert labels(start)[0].startswith("1. (✓ right) ")
    widget.quiz("00_start_here")
    again = shown[1][0]
    assert again.card["id"] == "intro-08" and again.status == "1 of 3 answered · 1 right"
    assert ask(again, "open", id="intro-07") == ""
    assert (again.card["answer"], again.card["outcome"]) == ("2", "right")


def test_wrong_answers_have_hints_and_can_be_overruled(start):
    ask(start, "check", id="intro-07", answer="3")
    assert start.card["headline"] == "✗ Not yet" and start.card["overrule"] == [
        {"outcome": "right", "label": "I was right"}
    ]
    section = start.card["section"]
    assert section["notebook"] == "00_start_here.ipynb" and " " not in section["anchor"]
    assert start.card["hints"][0].startswith("<p>") and start.card["outcome"] == "wrong"
    ask(start, "overrule", id="intro-07", outcome="right")
    assert start.card["headline"] == "✓ Right (your own verdict)"
    assert start.status == "1 of 3 answered · 1 right"
    card = Journal().reviews()["intro-07"]
    assert card["log"]["rating"] == 3 and card["before"] is None


def test_a_draft_comes_back_and_a_blank_is_no_answer(start, shown):
    ask(start, "draft", id="intro-07", answer="half")
    widget.quiz("00_start_here")
    again = shown[1][0]
    assert again.card["answer"] == "half" and labels(again)[0].startswith("1. (draft) ")
    ask(again, "check", id="intro-07", answer="  ")
    assert again.card["headline"] == "○ Nothing written" and again.card["overrule"] == []
    assert Journal().latest_all() == {} and Journal().reviews() == {}


def test_the_same_verdict_is_sent_again(start):
    sent = []
    start.observe(lambda change: sent.append(change["new"]["headline"]), "card")
    for _ in range(2):
        ask(start, "check", id="intro-07", answer="3")
    assert sent == ["✗ Not yet", "✗ Not yet"]


def test_each_kind_says_what_it_needs(shown):
    widget.quiz("01_pet_classifier")
    card, text, page = shown[0]
    assert text.count("\n") >= 32 and "<details>" in page
    ask(card, "open", id="intro-01")
    assert card.card["kind"] == "choice" and len(card.card["options"]) >= 3
    ask(card, "open", id="intro-13")
    assert card.card["kind"] == "draw" and "<img" in card.card["picture"]
    ask(card, "check", id="intro-24", answer=ANSWER)
    assert "<mark" in card.card["result"] and card.card["several"] is False
    ask(card, "open", id="intro-13")
    assert card.card["result"] == "" and card.card["outcome"] is None


def test_a_fault_and_a_full_disk_are_sentences(start, home):
    assert "Your text is kept" in ask(start, "open", id="no-such-question")
    away = home.rename(home.with_name("away"))
    home.write_text("in the way")
    assert "This was not saved" in ask(start, "check", id="intro-07", answer="2")
    widget.quiz("00_start_here")
    home.unlink()
    away.rename(home)
    assert Journal().latest_all() == {}


def test_without_a_journal_the_questions_can_be_read(home, shown):
    home.write_text("in the way")
    widget.quiz("00_start_here")
    card = shown[0][0]
    assert card.card["id"] == "intro-07" and "COURSE_HOME" in card.notice
    widget.review()
    assert "COURSE_HOME" in shown[1][0].notice
    widget.progress()
    assert "COURSE_HOME" in shown[2]["text/plain"]


def test_a_damaged_journal_is_said(home, shown):
    home.mkdir()
    (home / "answers.sqlite3").write_bytes(b"no database")
    widget.quiz("00_start_here")
    assert "damaged" in shown[0][0].notice


def answered(id, days_ago):
    journal, at = Journal(), datetime.now(timezone.utc) - timedelta(days=days_ago)
    journal.record_answer(id, "last time", "wrong", 0.0)
    schedule.record_review(journal, id, "wrong", at)


def test_review_asks_afresh_what_is_due(shown):
    answered("intro-07", 30)
    widget.review()
    card = shown[0][0]
    assert card.status == "0 of 1 reviewed"
    assert card.card["answer"] == card.card["result"] == ""
    assert labels(card)[0].startswith("1. Open a notebook")
    ask(card, "check", id="intro-07", answer="2")
    assert card.status == "1 of 1 reviewed" and card.card["outcome"] == "right"
    assert Journal().latest("intro-07").source == "review"
    widget.review()
    assert shown[1][0].status.startswith("Nothing is due today. The next question comes back on")


def test_review_before_anything_was_answered(shown):
    widget.review()
    assert shown[0][0].status.startswith("Nothing is due yet") and shown[0][0].card == {}


def test_a_guess_is_kept_and_stands_beside_what_came_out(shown):
    widget.guess("01/cell-7", "How many of `ten`?")
    card, text, page = shown[0]
    assert "How many of `ten`?" in text and "<code>ten</code>" in page
    ask(card, "check", id="01/cell-7", answer=" ")
    assert card.card["headline"] == "Nothing written."
    asked = {"01/cell-7": ("How many?", 42)}
    assert widget.guesses(asked).loc["How many?"].tolist() == ["no guess", "42"]
    ask(card, "check", id="01/cell-7", answer="<b>12</b>")
    assert card.card["headline"] == "Your guess is kept."
    widget.guess("01/cell-7", "How many?")
    assert shown[1][0].card["answer"] == "<b>12</b>"
    assert widget.guesses(asked).loc["How many?"].tolist() == ["<b>12</b>", "42"]
    assert "&lt;b&gt;12" in widget.guesses(asked).to_html()


def test_progress_is_a_picture_and_a_table(shown):
    answered("intro-07", 30)
    widget.progress()
    picture, table = shown
    assert picture["image/png"].startswith("iVBOR") and "00_start_here" in table["text/html"]
    questions = sum(q.notebook == "00_start_here" for q in load_bank().values())
    counts = ["00_start_here", str(questions), "1", "0", "1"]
    assert table["text/plain"].splitlines()[1].split() == counts


def test_a_topic_without_questions(shown):
    widget.quiz("alchemy")
    assert shown == [
        {
            "text/html": "<p>There are no questions on alchemy yet.</p>",
            "text/plain": "There are no questions on alchemy yet.",
        }
    ]


def test_one_call_asks_the_questions_of_the_book_in_its_order(shown):
    widget.quiz("production", of_the_book=True)
    (card, text, _), bank = shown[0], load_bank()
    assert card.card["number"] == "Question 1 of 27" and text.count("\n27. ") == 1
    asked = [bank[entry["id"]].book for entry in card.listing]
    assert asked == [f"2.{number}" for number in range(1, 28)]
