"""Spaced repetition: when which question should come back, and how far the learner has come.

What an answer does to a question's card (FSRS, without chance, so that the same answers give the
same dates): right is Good, partial is Hard, wrong is Again, as is what could not be matched, blank
is no review. Never Easy: what is typed does not show how easily it came. There are no steps of
minutes as in a flashcard program: the model answer is on the page after the first check, so further
checks of that sitting prove nothing, and the question comes back on another day.
"""

from collections.abc import Iterable, Mapping
from datetime import datetime, timedelta, timezone
from typing import Any
from zlib import crc32

from fsrs import Card, Rating, Scheduler

from utils.quiz.journal import Journal

RATINGS = {
    "right": Rating.Good,
    "partial": Rating.Hard,
    "unmatched": Rating.Again,
    "wrong": Rating.Again,
}
SITTING = timedelta(hours=8)  # a check this soon after a review is not another one
SCHEDULER = Scheduler(learning_steps=(), relearning_steps=(), enable_fuzzing=False)


def record_review(
    journal: Journal, question_id: str, outcome: str, now: datetime | None = None
) -> datetime | None:
    """Let an answer count as a review; returns when the question is due next (None: never).

    To be called after each `record_answer`. A blank answer, and one in the sitting of the last
    review, change nothing. `now` must know its time zone. Raises `JournalError`.
    """
    now = _utc(now)
    last = journal.reviews(now + SITTING).get(question_id)
    card = Card.from_dict(last["card"]) if last else None
    reviewed = card.last_review if card else None
    if outcome not in RATINGS or (reviewed and now - reviewed < SITTING):
        return card.due if card else None
    return _rate(journal, question_id, card, outcome, now)


def overrule_review(journal: Journal, question_id: str, outcome: str) -> datetime | None:
    """Judge the last review of a question again, as the learner did; call it after `overrule`."""
    last = journal.reviews().get(question_id)
    if not last or outcome not in RATINGS:
        return None
    before = Card.from_dict(last["before"]) if last["before"] else None
    at = datetime.fromisoformat(last["card"]["last_review"])
    return _rate(journal, question_id, before, outcome, at)


def _rate(
    journal: Journal, question_id: str, before: Card | None, outcome: str, at: datetime
) -> datetime:
    card = before or Card(card_id=crc32(question_id.encode()), due=at)
    after, log = SCHEDULER.review_card(card, RATINGS[outcome], at)
    old = before.to_dict() if before else None
    journal.record_card(question_id, old, after.to_dict(), log.to_dict())
    return after.due


def due(journal: Journal, bank_ids: Iterable[str], now: datetime | None = None) -> list[str]:
    """The questions of the bank to ask now, the longest overdue first."""
    now = _utc(now)
    dates = _dates(journal, bank_ids, now)
    return sorted((id for id in dates if dates[id] <= now), key=lambda id: dates[id])


def next_due(
    journal: Journal, bank_ids: Iterable[str], now: datetime | None = None
) -> datetime | None:
    """When the next question that is not due yet will be; None when there is none."""
    now = _utc(now)
    return min((at for at in _dates(journal, bank_ids, now).values() if at > now), default=None)


def _dates(journal: Journal, bank_ids: Iterable[str], now: datetime) -> dict[str, datetime]:
    """When each question that was ever answered is due."""
    # An answer without a card (a kernel killed between the two, a clock that was set ahead) is due
    # from its time, or now.
    answered = journal.latest_all().items()
    dates = {id: min(datetime.fromisoformat(held.at), now) for id, held in answered}
    for id, review in journal.reviews(now + SITTING).items():
        dates[id] = datetime.fromisoformat(review["card"]["due"])
    return {id: dates[id] for id in bank_ids if id in dates}


def progress(
    journal: Journal, bank: Mapping[str, Any], now: datetime | None = None
) -> dict[str, dict[str, int]]:
    """For each chapter, in reading order: how many questions, answered (and how), and due."""
    held, late = journal.latest_all(), set(due(journal, bank, now))
    chapters: dict[str, dict[str, int]] = {}
    for question in sorted(bank.values(), key=lambda question: question.notebook):
        columns = ("questions", "answered", *RATINGS, "due")
        counts = chapters.setdefault(question.notebook, dict.fromkeys(columns, 0))
        counts["questions"] += 1
        counts["due"] += question.id in late
        if question.id in held:
            counts["answered"] += 1
            counts[held[question.id].outcome] += 1
    return chapters


def _utc(now: datetime | None) -> datetime:
    return (now or datetime.now(timezone.utc)).astimezone(timezone.utc)
