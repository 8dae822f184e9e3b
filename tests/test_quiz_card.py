"""The card without a browser: what the page asks for, and what it is then given to draw."""

from datetime import datetime, timedelta, timezone
from unittest.mock import patch

import pytest

from utils.common import CourseError
from utils.quiz import load_bank, widget
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
    monkeypatch.setattr(widget, "display", lambda data, raw=False: outputs.append(data))
    return outputs


def ask(quiz, do, **request):
    replies = []
    quiz.send = lambda reply, buffers: replies.append(reply)
    quiz.respond({"nr": 1, "do": do, **request})
    assert replies[0]["nr"] == 1
    return replies[0]["problem"]


def card(quiz, id):
    """What the page is given to draw of a question."""
    return next(card for card in quiz.cards if card["id"] == id)


@pytest.mark.parametrize(
    ("answer", "outcome", "headline"),
    [
        ("metric: for people. loss: for SGD", "right", "✓ Right"),
        ("the metric is for people", "partial", "◐ Partly right"),
        ("something else", "unmatched", "? Can't match"),
        ("SGD uses the metric, people the loss", "wrong", "✗ Not yet"),
    ],
)
def test_four_outcomes(shown, answer, outcome, headline):
    widget.quiz("01_pet_classifier")
    quiz = shown[0][0]
    assert ask(quiz, "check", id="intro-24", answer=answer) == ""
    drawn = card(quiz, "intro-24")
    assert (drawn["outcome"], drawn["headline"]) == (outcome, headline)
    assert (outcome == "unmatched") == ("I can't match this" in drawn["message"])


@pytest.fixture
def start(shown):
    widget.quiz("00_start_here")
    return shown[0][0]


def test_what_was_answered_is_there_again(start, shown):
    assert start.status == "0 of 3 answered · 0 right"
    assert "outcome" not in card(start, "intro-07")
    assert ask(start, "check", id="intro-07", answer="2") == ""
    assert start.status == "1 of 3 answered · 1 right"
    widget.quiz("00_start_here")
    again = shown[1][0]
    assert again.status == "1 of 3 answered · 1 right" and "outcome" not in card(again, "intro-08")
    drawn = card(again, "intro-07")
    assert (drawn["answer"], drawn["outcome"]) == ("2", "right")


def test_an_earlier_answer_is_judged_again_and_code_not_run_again(start, shown, monkeypatch):
    ask(start, "check", id="intro-07", answer="3")
    code = next(question for question in load_bank().values() if question.kind == "code")
    Journal().record_answer(code.id, "x = 1", "wrong")
    monkeypatch.setattr(type(code), "check", None)
    widget.quiz("00_start_here")
    assert card(shown[1][0], "intro-07")["message"] == "3 is not it."
    widget.quiz(code.notebook)
    drawn = card(shown[2][0], code.id)
    assert (drawn["answer"], drawn["outcome"], drawn["message"]) == ("x = 1", "wrong", "")


def test_wrong_answers_have_hints_and_can_be_overruled(start):
    ask(start, "check", id="intro-07", answer="3")
    assert card(start, "intro-07")["headline"] == "✗ Not yet"
    assert card(start, "intro-07")["hints"][0].startswith("<p>")
    ask(start, "overrule", id="intro-07", outcome="right")
    drawn = card(start, "intro-07")
    assert drawn["headline"] == "✓ Right (your own verdict)" and drawn["message"]
    assert start.status == "1 of 3 answered · 1 right"


def test_a_blank_is_no_answer(start):
    ask(start, "check", id="intro-07", answer="2")
    for id in ("intro-07", "intro-08"):
        assert ask(start, "check", id=id, answer="  ") == "Nothing answered yet."
    assert start.status == "1 of 3 answered · 1 right"
    assert [answer.answer for answer in Journal().answers()] == ["2"]


def test_the_same_verdict_is_sent_again(start):
    sent = []
    start.observe(lambda change: sent.append(change["new"][0]["headline"]), "cards")
    for _ in range(2):
        ask(start, "check", id="intro-07", answer="3")
    assert sent == ["✗ Not yet", "✗ Not yet"]


def test_each_kind_says_what_it_needs(start, shown):
    widget.quiz("01_pet_classifier")
    quiz, text, page = shown[1]
    assert text.count("\n") >= 32 and "<details>" in page
    choice = card(quiz, "intro-01")
    assert choice["kind"] == "choice" and [value for value, _ in choice["options"]][:2] == [
        "a",
        "b",
    ]
    assert card(start, "intro-08")["options"] == [("done", "I have done this")]
    ask(quiz, "check", id="intro-13", answer="drawn on paper")
    assert card(quiz, "intro-13")["outcome"] == "unmatched"
    assert "<img" in card(quiz, "intro-13")["result"]
    ask(quiz, "check", id="intro-24", answer=ANSWER)
    assert "<mark" in card(quiz, "intro-24")["result"] and not card(quiz, "intro-24")["several"]


def test_a_fault_and_a_full_disk_are_sentences(start, home):
    assert "Your text is kept" in ask(start, "check", id="no-such-question", answer="2")
    away = home.rename(home.with_name("away"))
    home.write_text("in the way")
    assert "This was not saved" in ask(start, "check", id="intro-07", answer="2")
    home.unlink()
    away.rename(home)
    assert Journal().latest_all() == {}


def test_without_a_journal_the_questions_can_be_read(home, shown, capsys):
    home.write_text("in the way")
    widget.quiz("00_start_here")
    quiz = shown[0][0]
    assert quiz.cards[0]["id"] == "intro-07" and "COURSE_HOME" in quiz.notice
    for ask_journal in (widget.review, widget.progress):
        ask_journal()
        assert "COURSE_HOME" in capsys.readouterr().out
    home.unlink()
    assert ask(quiz, "check", id="intro-07", answer="2") == quiz.notice == ""


def test_a_damaged_journal_is_said(home, shown):
    home.mkdir()
    (home / "answers.sqlite3").write_bytes(b"no database")
    widget.quiz("00_start_here")
    assert "damaged" in shown[0][0].notice
    (home / "answers.sqlite3").write_bytes(b"no database")
    widget.review()
    assert "damaged" in shown[1][0].notice


def answered(id, days_ago):
    at = datetime.now(timezone.utc) - timedelta(days=days_ago)
    with patch.object(Journal, "now", return_value=at):
        Journal().record_answer(id, "last time", "wrong")


def test_review_asks_afresh_what_is_due(shown):
    answered("intro-07", 30)
    widget.review()
    quiz = shown[0][0]
    assert quiz.status == "0 of 1 answered · 0 right"
    assert "answer" not in quiz.cards[0] and quiz.cards[0]["label"].startswith("Open a notebook")
    ask(quiz, "check", id="intro-07", answer="2")
    assert quiz.status == "1 of 1 answered · 1 right"
    widget.review()
    assert shown[1][0].status.startswith("Nothing is due today. The next question comes back on")


def test_review_before_anything_was_answered(shown):
    widget.review()
    assert shown[0][0].status == (
        "Nothing is due today. Questions come back here some days after you answer them."
    )
    assert shown[0][0].cards == []


def test_a_guess_is_kept_and_stands_beside_what_came_out(shown):
    widget.guess("01/cell-7", "How many of `ten`?")
    guess, text, page = shown[0]
    assert "How many of `ten`?" in text and "<code>ten</code>" in page
    assert ask(guess, "check", id="01/cell-7", answer=" ").startswith("Nothing written.")
    asked = {"01/cell-7": ("How many?", 42)}
    assert widget.guesses(asked).loc["How many?"].tolist() == ["no guess", "42"]
    ask(guess, "check", id="01/cell-7", answer="<b>12</b>")
    assert guess.cards[0]["headline"] == "Your guess is kept."
    widget.guess("01/cell-7", "How many?")
    assert shown[1][0].cards[0]["answer"] == "<b>12</b>"
    assert widget.guesses(asked).loc["How many?"].tolist() == ["<b>12</b>", "42"]
    assert "&lt;b&gt;12" in widget.guesses(asked).to_html()


def test_progress_is_a_picture_and_a_table(shown):
    answered("intro-07", 30)
    widget.progress()
    picture, table = shown
    assert picture["image/png"].startswith(b"\x89PNG")
    questions = sum(q.notebook == "00_start_here" for q in load_bank().values())
    counts = {"questions": questions, "answered": 1, "right": 0, "due": 1}
    assert table.loc["00_start_here"].to_dict() == counts


def test_a_topic_without_questions():
    with pytest.raises(CourseError, match="There are no questions on alchemy yet"):
        widget.quiz("alchemy")


def test_one_call_asks_the_questions_of_the_book_in_its_order(shown):
    widget.quiz("production", of_the_book=True)
    (quiz, text, _), bank = shown[0], load_bank()
    assert len(quiz.cards) == 27 and text.count("\n27. ") == 1
    asked = [bank[card["id"]].book for card in quiz.cards]
    assert asked == [f"2.{number}" for number in range(1, 28)]
