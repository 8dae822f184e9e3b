"""When questions come back, and how far the learner is."""

from datetime import datetime, timedelta, timezone
from types import SimpleNamespace

import pytest

from utils.quiz.journal import Journal
from utils.quiz.schedule import dates, due, progress

NOW = datetime(2026, 3, 1, 9, 0, tzinfo=timezone.utc)
DAY = timedelta(days=1)


class Dated(Journal):
    """A journal whose clock is set by hand."""

    clock = NOW

    def now(self):
        return self.clock


@pytest.fixture
def mine(tmp_path):
    return Dated(tmp_path / "answers.sqlite3")


def answer(mine, id, outcome, at=NOW):
    """Answer at a time, and return when the question comes back."""
    mine.clock = at
    mine.record_answer(id, "words", outcome)
    return dates(mine, [id]).get(id)


def due_at(mine, ids, at):
    mine.clock = at
    return due(mine, ids)


def days(at, since=NOW):
    return (at - since) / DAY


def test_better_answers_come_back_later(mine):
    outcomes = ["wrong", "partial", "right"]
    coming = [answer(mine, id, id) for id in outcomes]
    assert days(coming[0]) == days(coming[1]) == 1 and days(coming[2]) == 2
    for _ in range(3):  # answered again each time it is due
        coming = [answer(mine, id, id, at) for id, at in zip(outcomes, coming, strict=True)]
    assert coming[0] < coming[1] < coming[2]
    assert days(coming[2]) > 60 and days(coming[0]) < 10


def test_what_could_not_be_matched_is_as_wrong_for_the_schedule(mine):
    assert answer(mine, "intro-01", "unmatched") == answer(mine, "intro-02", "wrong")


def test_same_answers_give_same_dates(mine, tmp_path):
    other = Dated(tmp_path / "other.sqlite3")
    for at, outcome in [(NOW, "right"), (NOW + 3 * DAY, "wrong"), (NOW + 4 * DAY, "right")]:
        assert answer(mine, "intro-01", outcome, at) == answer(other, "intro-01", outcome, at)


def test_a_question_enters_when_first_answered(mine):
    bank = ["intro-01", "intro-02", "intro-03"]
    assert due_at(mine, bank, NOW) == ([], None)
    assert answer(mine, "intro-02", "blank") is None
    assert due_at(mine, bank, NOW + 9 * DAY) == ([], None)
    at = answer(mine, "intro-02", "wrong")
    assert due_at(mine, bank, NOW) == ([], at)
    assert due_at(mine, bank, at) == (["intro-02"], None)


def test_longest_overdue_first_and_only_what_the_bank_has(mine):
    answer(mine, "intro-01", "right", NOW)
    answer(mine, "gone-01", "right", NOW)
    answer(mine, "intro-03", "right", NOW + 2 * DAY)
    late, _ = due_at(mine, ["intro-03", "intro-02", "intro-01"], NOW + 9 * DAY)
    assert late == ["intro-01", "intro-03"]


def test_checks_of_one_sitting_are_one_review(mine):
    first = answer(mine, "intro-01", "wrong")
    assert answer(mine, "intro-01", "right", NOW + timedelta(minutes=5)) == first
    assert answer(mine, "intro-01", "blank", NOW + 3 * DAY) == first
    assert answer(mine, "intro-01", "right", NOW + 4 * DAY) > first


def test_overruling_judges_the_same_review_again(mine, tmp_path):
    right = answer(Dated(tmp_path / "other.sqlite3"), "intro-01", "right")
    wrong = answer(mine, "intro-01", "wrong")
    for outcome, at in [("right", right), ("wrong", wrong), ("right", right)]:
        mine.overrule("intro-01", outcome)
        assert dates(mine, ["intro-01"]) == {"intro-01": at}
    assert wrong < right


def test_a_clock_that_was_far_ahead_once_stops_no_review(mine):
    ids = ["intro-01", "intro-02"]
    answer(mine, "intro-01", "right", NOW - 9 * DAY)
    for id in ids:
        answer(mine, id, "right", NOW.replace(year=2031))
    assert due_at(mine, ids, NOW) == (ids, None)
    coming = [answer(mine, id, "right", NOW) for id in ids]
    assert days(coming[0]) > days(coming[1]) == 2  # the one has been reviewed before, and in time
    assert due_at(mine, ids, NOW) == ([], coming[1])
    mine.clock = NOW.replace(year=2032)  # when the wrong date has come, and is past
    assert dates(mine, ids) == dict(zip(reversed(ids), reversed(coming), strict=True))


def test_a_clock_some_minutes_ahead_is_the_same_sitting(mine):
    first = answer(mine, "intro-01", "wrong", NOW + timedelta(minutes=5))
    assert answer(mine, "intro-01", "right") == first
    assert due_at(mine, ["intro-01"], NOW) == ([], first)


# -- progress --------------------------------------------------------------------------------------


def test_progress_by_chapter(mine):
    bank = {f"intro-0{n}": SimpleNamespace(id=f"intro-0{n}", notebook="01_b") for n in range(1, 6)}
    bank = {"mnist-01": SimpleNamespace(id="mnist-01", notebook="06_mnist")} | bank
    for id, outcome in [("intro-01", "right"), ("intro-02", "partial"), ("intro-03", "wrong")]:
        answer(mine, id, outcome)
    answer(mine, "intro-04", "blank")
    mine.overrule("intro-03", "right")
    mine.clock = NOW + DAY
    counts = progress(mine, bank)
    assert list(counts) == ["01_b", "06_mnist"]
    assert counts["01_b"] == {
        "questions": 5,
        "answered": 3,
        "right": 2,
        "partial": 1,
        "unmatched": 0,
        "wrong": 0,
        "due": 1,
    }
    assert counts["06_mnist"] == dict.fromkeys(counts["06_mnist"], 0) | {"questions": 1}
