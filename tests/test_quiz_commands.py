"""`course check`, `review`, `progress` and `anki`: what they keep and say."""

from datetime import datetime, timedelta, timezone
from pathlib import Path
from unittest.mock import patch

import pytest

from tests.typed import course
from utils.quiz import load_bank
from utils.quiz.journal import Journal

RIGHT = "metric: for people to judge the model. loss: for SGD to update the parameters"


@pytest.fixture
def home(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_HOME", str(tmp_path / "home"))
    return tmp_path / "home"


def answered_last_month(home: Path, question: str) -> None:
    home.mkdir()
    last_month = datetime.now(timezone.utc) - timedelta(days=30)
    with patch.object(Journal, "now", return_value=last_month):
        Journal(home / "answers.sqlite3").record_answer(question, "of last month", "wrong")


def progress() -> dict[str, dict[str, int]]:
    """What `course progress` prints: of each chapter its numbers, by column."""
    (_, *columns), *rows = map(str.split, course("progress").out.splitlines())
    return {name: dict(zip(columns, map(int, row), strict=True)) for name, *row in rows}


def test_check_says_what_the_library_says_and_keeps_nothing(home):
    said = " ".join(course("check", "intro-24", RIGHT).out.split())
    message = load_bank()["intro-24"].check(RIGHT).message
    assert said.startswith("Right. ") and " ".join(message.split()) in said
    assert not (home / "answers.sqlite3").exists()


def test_fifth_outcome_is_said_counted_and_overruled(home):
    done = course("check", "intro-24", "something else")
    assert "Can't match. I can't match this" in " ".join(done.out.split())
    answered_last_month(home, "intro-24")
    course("review", typed="something else entirely\n\n")
    counts = progress()["01_pet_classifier"]
    assert (counts["unmatched"], counts["right"], counts["wrong"]) == (1, 0, 0)


def test_check_of_an_unknown_question_says_what_ids_look_like(home):
    done = course("check", "intro-99", "x")
    assert done.status == 1
    assert "no question 'intro-99'" in done.errors


def test_markup_in_an_answer_stays_text(home):
    done = course("check", "intro-24", "[bold red]metric[/nonsense]")
    assert done.status == 0, done.errors


def test_review_asks_what_is_due_keeps_it_and_moves_it_on(home):
    answered_last_month(home, "intro-24")
    done = course("review", typed=f"{RIGHT}\n\n")
    assert "1 of 1" in done.out
    assert "Right" in done.out
    kept = Journal(home / "answers.sqlite3").latest_all()["intro-24"]
    assert (kept.answer, kept.outcome) == (RIGHT, "right")
    assert "Nothing is due. Next:" in course("review").out


def test_review_lets_the_learner_overrule(home):
    answered_last_month(home, "intro-24")
    course("review", typed="something else entirely\nr\n")
    kept = Journal(home / "answers.sqlite3").latest_all()["intro-24"]
    assert (kept.outcome, kept.verdict) == ("right", "unmatched")


def test_review_can_be_left_and_loses_nothing(home):
    answered_last_month(home, "intro-24")
    assert course("review", typed="q\n").status == 0
    assert course("review").status == 0  # the end of the input
    assert "1 of 1" in course("review").out


def test_progress_counts_by_chapter(home):
    answered_last_month(home, "intro-24")
    counts = progress()
    assert counts["01_pet_classifier"]["answered"] == 1
    assert counts["01_pet_classifier"]["due"] == 1
    assert counts["00_start_here"]["answered"] == 0


def test_a_damaged_journal_is_told(home):
    home.mkdir()
    (home / "answers.sqlite3").write_bytes(b"not a database" * 100)
    assert "answers.damaged-" in course("progress").out.replace("\n", "")
    assert len(list(home.glob("answers.damaged-*"))) == 1


def test_anki_writes_a_deck(home, tmp_path):
    deck = tmp_path / "deck.apkg"
    done = course("anki", str(deck))
    tasks = sum(q.kind == "task" for q in load_bank().values())
    assert f"{len(load_bank()) - tasks} cards" in done.out
    assert deck.read_bytes()[:2] == b"PK"
    missing = course("anki", "/dev/null/deck.apkg")
    assert missing.status == 1
    assert "/dev/null cannot be read or written (" in missing.errors
