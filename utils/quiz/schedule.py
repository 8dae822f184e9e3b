"""Spaced repetition: when which question should come back, and how far the learner has come.

Each answer in the journal is a review of its question's card (FSRS, without chance, so that the
same answers give the same dates): right is Good, partial is Hard, wrong is Again, as is what could
not be matched. Never Easy: what is typed does not show how easily it came. There are no steps of
minutes as in a flashcard program: the model answer is on the page after the first check, so further
checks of that sitting prove nothing, and the question comes back on another day.
"""

from collections.abc import Collection, Mapping, Sequence
from datetime import datetime, timedelta
from typing import Any

from fsrs import Card, Rating, Scheduler

from utils.quiz.journal import Answer, Journal

RATINGS = {
    "right": Rating.Good,
    "partial": Rating.Hard,
    "unmatched": Rating.Again,
    "wrong": Rating.Again,
}
SITTING = timedelta(hours=8)  # a check this soon after a review is not another one
SCHEDULER = Scheduler(learning_steps=(), relearning_steps=(), enable_fuzzing=False)


def dates(journal: Journal, bank_ids: Collection[str]) -> dict[str, datetime]:
    """When each question of the bank that was ever answered is due, the longest overdue first."""
    now, cards = journal.now(), dict[str, Card]()
    answers = [answer for answer in journal.answers() if answer.question_id in bank_ids]
    for answer, ahead in zip(answers, _kept_ahead(answers, now), strict=True):
        at = datetime.fromisoformat(answer.at)
        card = cards.setdefault(answer.question_id, Card(card_id=0, due=now))
        same_sitting = card.last_review and at - card.last_review < SITTING
        if not (same_sitting or ahead):  # one kept ahead is no review, but due
            rating = RATINGS[answer.outcome]
            cards[answer.question_id], _ = SCHEDULER.review_card(card, rating, at)
    return dict(sorted(((id, card.due) for id, card in cards.items()), key=lambda pair: pair[1]))


def _kept_ahead(answers: Sequence[Answer], now: datetime) -> list[bool]:
    """For each answer, whether the clock was set ahead: it is dated later than the next or now."""
    ahead = []
    for answer in reversed(answers):
        at = datetime.fromisoformat(answer.at)
        ahead.append(at > now + SITTING)
        now = min(now, at)
    return ahead[::-1]


def due(journal: Journal, bank_ids: Collection[str]) -> tuple[list[str], datetime | None]:
    """What to ask now, the longest overdue first; and when the next one is due, if any."""
    coming, now = dates(journal, bank_ids), journal.now()
    late = [id for id, at in coming.items() if at <= now]
    return late, next((at for at in coming.values() if at > now), None)


def progress(journal: Journal, bank: Mapping[str, Any]) -> dict[str, dict[str, int]]:
    """For each chapter, in reading order: how many questions, answered (and how), and due."""
    held, late = journal.latest_all(), set(due(journal, bank)[0])
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
