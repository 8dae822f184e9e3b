"""When questions come back, and how far the learner is."""

from datetime import datetime, timedelta, timezone
from types import SimpleNamespace

import pytest

from utils.quiz.journal import Journal
from utils.quiz.schedule import due, next_due, overrule_review, progress, record_review

NOW = datetime(2026, 3, 1, 9, 0, tzinfo=timezone.utc)
DAY = timedelta(days=1)


@pytest.fixture
def mine(tmp_path):
    return Journal(tmp_path / "answers.sqlite3")


def answer(mine, id, outcome, at=NOW):
    mine.record_answer(id, "words", outcome, {"right": 1, "partial": 0.5}.get(outcome, 0))
    return record_review(mine, id, outcome, at)


def days(at, since=NOW):
    return (at - since) / DAY


def test_better_answers_come_back_later(mine):
    dates = [answer(mine, id, id) for id in ("wrong", "partial", "right")]
    assert days(dates[0]) == days(dates[1]) == 1 and days(dates[2]) == 2
    for _ in range(3):  # answered again each time it is due
        dates = [answer(mine, id, id, at) for id, at in zip(mine.reviews(), dates, strict=True)]
    assert dates[0] < dates[1] < dates[2]
    assert days(dates[2]) > 60 and days(dates[0]) < 10


def test_same_answers_give_same_dates(mine, tmp_path):
    other = Journal(tmp_path / "other.sqlite3")
    for at, outcome in [(NOW, "right"), (NOW + 3 * DAY, "wrong"), (NOW + 4 * DAY, "right")]:
        assert answer(mine, "intro-01", outcome, at) == answer(other, "intro-01", outcome, at)
    assert mine.reviews() == other.reviews()


def test_a_question_enters_when_first_answered(mine):
    bank = ["intro-01", "intro-02", "intro-03"]
    assert due(mine, bank, NOW) == [] and next_due(mine, bank, NOW) is None
    answer(mine, "intro-02", "blank")
    assert mine.reviews() == {} and due(mine, bank, NOW + 9 * DAY) == []
    at = answer(mine, "intro-02", "wrong")
    assert due(mine, bank, NOW) == [] and next_due(mine, bank, NOW) == at
    assert due(mine, bank, at) == ["intro-02"] and next_due(mine, bank, at) is None


def test_longest_overdue_first_and_only_what_the_bank_has(mine):
    answer(mine, "intro-03", "right", NOW + 2 * DAY)
    answer(mine, "intro-01", "right", NOW)
    answer(mine, "gone-01", "right", NOW)
    assert due(mine, ["intro-03", "intro-02", "intro-01"], NOW + 9 * DAY) == [
        "intro-01",
        "intro-03",
    ]


def test_checks_of_one_sitting_are_one_review(mine):
    first = answer(mine, "intro-01", "wrong")
    assert answer(mine, "intro-01", "right", NOW + timedelta(minutes=5)) == first
    assert record_review(mine, "intro-01", "blank", NOW + 3 * DAY) == first
    assert mine.reviews()["intro-01"]["log"]["rating"] == 1
    assert answer(mine, "intro-01", "right", NOW + DAY) > first
    assert mine.reviews()["intro-01"]["log"]["rating"] == 3


def test_overruling_judges_the_same_review_again(mine, tmp_path):
    answer(mine, "intro-01", "wrong")
    mine.overrule("intro-01", "right")
    other = Journal(tmp_path / "other.sqlite3")
    at = answer(other, "intro-01", "right")
    assert overrule_review(mine, "intro-01", "right") == at
    assert overrule_review(mine, "intro-01", "wrong") < at
    assert overrule_review(mine, "intro-01", "right") == at
    assert mine.reviews()["intro-01"]["card"] == other.reviews()["intro-01"]["card"]
    assert overrule_review(mine, "intro-02", "right") is None


def test_a_clock_that_was_far_ahead_once_stops_no_review(mine):
    answer(mine, "intro-01", "right", NOW - 9 * DAY)
    for id in ("intro-01", "intro-02"):
        answer(mine, id, "right", NOW.replace(year=2031))
    assert due(mine, ["intro-01", "intro-02"], NOW) == ["intro-01", "intro-02"]
    dates = [answer(mine, id, "right", NOW) for id in ("intro-01", "intro-02")]
    assert days(dates[0]) > days(dates[1]) == 2  # the one has been reviewed before, and in time
    assert due(mine, ["intro-01", "intro-02"], NOW) == []
    assert next_due(mine, ["intro-01", "intro-02"], NOW) == dates[1]


def test_a_clock_some_minutes_ahead_is_the_same_sitting(mine):
    first = answer(mine, "intro-01", "wrong", NOW + timedelta(minutes=5))
    assert answer(mine, "intro-01", "right") == first
    assert due(mine, ["intro-01"], NOW) == []


def test_an_answer_whose_review_was_lost_is_due(mine):
    mine.record_answer("intro-01", "killed right after this", "right", 1.0)
    assert due(mine, ["intro-01"], datetime.now(timezone.utc) + DAY) == ["intro-01"]


def test_any_time_zone(mine):
    tokyo = timezone(timedelta(hours=9))
    at = answer(mine, "intro-01", "right", NOW.astimezone(tokyo))
    assert due(mine, ["intro-01"], at.astimezone(tokyo)) == ["intro-01"]
    assert days(at) == 2


# -- progress --------------------------------------------------------------------------------------


def question(id, notebook="01_pet_classifier", **more):
    known = {"id": id, "notebook": notebook, "section": "Loss & metric", "kind": "short"}
    return SimpleNamespace(**known | {"text": f"What is {id}?", "answer": "This."} | more)


def test_progress_by_chapter(mine):
    questions = [question("mnist-01", "06_mnist"), *(question(f"intro-0{n}") for n in range(1, 6))]
    bank = {question.id: question for question in questions}
    for id, outcome in [("intro-01", "right"), ("intro-02", "partial"), ("intro-03", "wrong")]:
        answer(mine, id, outcome)
    answer(mine, "intro-04", "blank")
    mine.overrule("intro-03", "right")
    counts = progress(mine, bank, NOW + DAY)
    assert list(counts) == ["01_pet_classifier", "06_mnist"]
    assert counts["01_pet_classifier"] == {
        "questions": 5,
        "answered": 3,
        "right": 2,
        "partial": 1,
        "unmatched": 0,
        "wrong": 0,
        "due": 2,
    }
    assert counts["06_mnist"] == dict.fromkeys(counts["06_mnist"], 0) | {"questions": 1}
