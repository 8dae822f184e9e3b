"""What a learner sees of the quiz: `quiz`, `your_turn`, `guess`, `guesses`, `review`, `progress`.

The last layer. It asks the bank, the journal and the schedule, and shows what they say; the
browser's half is `card.js`.
"""

from base64 import b64encode
from collections.abc import Mapping, Sequence
from io import BytesIO
from pathlib import Path
from textwrap import shorten

import pandas as pd
import traitlets
from IPython.display import display
from matplotlib.figure import Figure  # not pyplot, which would show a picture a second time

from utils.common import CourseError
from utils.quiz import schedule, show
from utils.quiz.bank import load_bank
from utils.quiz.journal import Answer, Journal
from utils.quiz.questions import DrawQuestion, Feedback, Question
from utils.widgets.base import Widget, joined, show_widget

HERE = Path(__file__).parent
OVERRULES = {"right": "I was right", "partial": "I had part of it", "wrong": "I was not"}
GUESS_FIRST = "Guess first"
LABEL_LENGTH = 60  # characters of a question in the list of questions


class Card(Widget):
    """A card in the page, and the learner's journal behind it."""

    _esm = joined(HERE / "card.js")
    _css = joined(HERE / "card.css")
    fault = Widget.fault + " Your text is kept."
    status = traitlets.Unicode().tag(sync=True)
    listing = traitlets.List(traitlets.Dict()).tag(sync=True)  # of {"id", "label"}
    card = traitlets.Dict().tag(sync=True)  # the open question, as `draw_card` makes it
    _journal: Journal | None = None

    @property
    def journal(self) -> Journal:
        """The learner's journal, opened when first needed. Raises `CourseError`."""
        if self._journal is None:
            self._journal = Journal()
        self.notice = " ".join(self._journal.notices)
        return self._journal

    def draw_card(self, **card: object) -> None:
        """Show `card`; what it does not say is blank."""
        blank: dict[str, object] = {"outcome": None, "check": "Check", "hints": [], "overrule": []}
        blank |= dict.fromkeys(("answer", "headline", "message", "result"), "")
        turn = self.card.get("turn", 0) + 1  # or a second verdict that equals the first is not sent
        self.card = blank | card | {"turn": turn}


class Quiz(Card):
    """Questions, one open at a time. `fresh`: ask as if none had been answered (for reviews)."""

    def __init__(self, name: str, questions: Sequence[Question], fresh: bool = False) -> None:
        """Show `questions` with what the journal knows of them."""
        super().__init__(name)
        self._questions = {question.id: question for question in questions}
        self._fresh = fresh
        self._checked: dict[str, Feedback] = {}  # in this sitting
        self.notice = self.attempt(self._begin)["problem"] or self.notice

    def actions(self) -> dict:
        """What the page may ask for."""
        return {
            "open": self._open,
            "check": self._check,
            "draft": lambda id, answer: self.journal.save_draft(id, answer),
            "overrule": self._overrule,
        }

    def _begin(self) -> None:
        if first := next(iter(self._questions), None):
            self._draw(first)  # readable even if the journal is not
            answered = {} if self._fresh else self.journal.latest_all()
            self._open(next((id for id in self._questions if id not in answered), first))

    def _open(self, id: str) -> None:
        question, feedback = self._questions[id], self._checked.get(id)
        answer = None if self._fresh and not feedback else self.journal.latest(id)
        draft = None if self._fresh else self.journal.drafts(id).get(id)
        typed = answer.answer if answer and draft is None else draft or ""
        self._draw(id, typed, **_verdict(question, answer, feedback) if answer else {})
        self._count()

    def _check(self, id: str, answer: str) -> None:
        feedback = self._questions[id].check(answer)
        if feedback.outcome == "blank":
            self.journal.save_draft(id, answer)
            headline = show.headline("blank")
            return self._draw(
                id, answer, outcome="blank", headline=headline, message=feedback.message
            )
        source = "review" if self._fresh else "quiz"
        self.journal.record_answer(id, answer, feedback.outcome, feedback.score, source)
        schedule.record_review(self.journal, id, feedback.outcome)
        self._checked[id] = feedback
        self._open(id)

    def _overrule(self, id: str, outcome: str) -> None:
        self.journal.overrule(id, outcome)
        schedule.overrule_review(self.journal, id, outcome)
        self._open(id)

    def _draw(self, id: str, typed: str = "", **verdict: object) -> None:
        question, place = self._questions[id], list(self._questions).index(id) + 1
        options = getattr(question, "options", [])
        self.draw_card(
            id=id,
            kind=question.kind,
            number=f"Question {place} of {len(self._questions)}",
            text=show.rich(question.text),
            options=[show.inline(option.text) for option in options],
            several=sum(option.right for option in options) > 1,
            hints=[show.rich(hint) for hint in question.hints],
            answer=typed,
            section={
                "notebook": f"{question.notebook}.ipynb",
                "anchor": question.section.replace(" ", "-"),
                "label": f"{question.notebook}: {question.section}",
            },
            picture=(
                show.drawing(question.picture).html if isinstance(question, DrawQuestion) else ""
            ),
            **verdict,
        )

    def _count(self) -> None:
        """Bring the list of questions and the line above it up to date."""
        asked = self._checked if self._fresh else self._questions
        held = {id: answer for id, answer in self.journal.latest_all().items() if id in asked}
        drafts = {} if self._fresh else self.journal.drafts()
        right = sum(answer.outcome == "right" for answer in held.values())
        progress = "reviewed" if self._fresh else f"answered · {right} right"
        self.status = f"{len(held)} of {len(self._questions)} {progress}"
        self.listing = [
            {"id": id, "label": _label(number, question, held.get(id), id in drafts)}
            for number, (id, question) in enumerate(self._questions.items(), 1)
        ]


def _label(number: int, question: Question, answer: Answer | None, draft: bool) -> str:
    text = shorten(question.text.replace("`", ""), LABEL_LENGTH, placeholder=" …")
    state = show.headline(answer.outcome).lower() if answer else "draft" if draft else ""
    return f"{number}. ({state}) {text}" if state else f"{number}. {text}"


def _verdict(question: Question, answer: Answer, feedback: Feedback | None) -> dict[str, object]:
    """What a card shows below a question that is answered; on another day without `feedback`."""
    if feedback is None:  # code is not run again for being looked at
        code = question.kind == "code"
        feedback = Feedback("blank", 0.0, "") if code else question.check(answer.answer)
    return {
        "outcome": answer.outcome,
        "headline": show.headline(answer.outcome, answer.overruled),
        "message": show.without_headline(feedback.message),
        "result": show.verdict(question, answer.answer, feedback),
        # Who compares for themselves may have a part of it; a verdict is overruled outright.
        "overrule": [
            {"outcome": o, "label": label}
            for o, label in OVERRULES.items()
            if o != answer.outcome and (o != "partial" or answer.verdict == "unmatched")
        ],
    }


class Guess(Card):
    """A box for a guess before a cell is run."""

    def __init__(self, key: str, prompt: str) -> None:
        """Ask for a guess that is kept under `key`, showing the earlier one if there is one."""
        super().__init__(f"{GUESS_FIRST}: {prompt}")
        known = {"id": key, "kind": "guess", "number": GUESS_FIRST, "text": show.rich(prompt)}
        self._known = known | {"check": "Keep my guess"}
        self.draw_card(**self._known)
        self.notice = self.attempt(self._restore)["problem"] or self.notice

    def actions(self) -> dict:
        """What the page may ask for."""
        return {"check": self._keep}

    def _restore(self) -> None:
        if guess := self.journal.guess(self._known["id"]):
            self.draw_card(**self._known, answer=guess, headline="Your guess is kept.")

    def _keep(self, id: str, answer: str) -> None:
        said = {"headline": "Nothing written.", "message": "Any guess will do."}
        if answer.strip():
            self.journal.record_guess(id, answer)
            said = {"headline": "Your guess is kept.", "message": "Now run the next cell."}
        self.draw_card(**self._known, answer=answer, **said)


def _show(text: str, page: str = "") -> None:
    """Show what needs no kernel, as HTML and as plain text."""
    display({"text/html": page or f"<p>{show.inline(text)}</p>", "text/plain": text}, raw=True)


def quiz(name: str, of_the_book: bool = False) -> None:
    """Ask the questions of a topic (`intro`) or of a notebook (`00_start_here`).

    `of_the_book`: only those that stand in the book; a topic has them in the book's order.
    """
    bank = load_bank()
    found = bank.for_topic(name) or bank.for_notebook(name)
    if questions := [q for q in found if q.book or not of_the_book]:
        ask(f"Questionnaire of {name}", questions)
    else:
        _show(f"There are no questions on {name} yet.")


def your_turn(id: str) -> None:
    """Ask one exercise of the bank where the page has come to it; it counts like any question."""
    ask("Your turn", [load_bank()[id]])


def ask(name: str, questions: Sequence[Question]) -> None:
    """Ask these questions on a card that a screen reader calls `name`."""
    text, page = show.static_text(questions), show.static_html(questions)
    show_widget(Quiz(name, questions), text, page)


def review() -> None:
    """Ask what is due for review, from all chapters."""
    bank = load_bank()
    try:
        journal = Journal()
        questions = [bank[id] for id in schedule.due(journal, bank)]
        card = Quiz("Review", questions, fresh=True)
        if not questions:
            coming = schedule.next_due(journal, bank)
            card.status = (
                f"Nothing is due today. The next question comes back on {coming:%d %B %Y}."
                if coming
                else "Nothing is due yet. Questions come back here some days after you answer them."
            )
    except CourseError as error:
        card = Quiz("Review", [], fresh=True)
        card.notice = str(error)
    show_widget(card, "What is due for review is asked here when this cell is run.")


def guess(key: str, prompt: str) -> None:
    """Ask for a guess before the cell that answers it; `guesses` shows it again in the recap."""
    sentence = f"{GUESS_FIRST}: {prompt} (Run this cell to write your guess down.)"
    show_widget(Guess(key, prompt), sentence, f"<p>{show.inline(sentence)}</p>")


def guesses(came_out: Mapping[str, tuple[str, object]]) -> pd.DataFrame:
    """What was guessed beside what came out, a row a guess.

    `came_out` holds, under the key of each guess, what was asked and what came out. Raises
    `CourseError` if the answers cannot be read.
    """
    journal = Journal()
    made = [journal.guess(key) for key in came_out]
    rows = [
        (asked, guess or "no guess", str(value))
        for guess, (asked, value) in zip(made, came_out.values(), strict=True)
    ]
    columns = ["asked", "your guess", "what came out"]
    # as it was typed: neither cut nor, between dollar signs, typeset
    pd.set_option("display.max_colwidth", None, "display.html.use_mathjax", False)
    return pd.DataFrame(rows, columns=columns).set_index("asked")


def progress() -> None:
    """Show how far you have come: a picture, and the same as a table."""
    try:
        counts = schedule.progress(Journal(), load_bank())
    except CourseError as error:
        return _show(str(error))
    buffer = BytesIO()
    _progress_picture(counts).savefig(buffer, format="png", dpi=110, bbox_inches="tight")
    picture = b64encode(buffer.getvalue()).decode()
    display({"image/png": picture, "text/plain": "The table below, as bars."}, raw=True)
    page, text = show.progress_table(counts)
    _show(text, page)


def _progress_picture(counts: dict[str, dict[str, int]]) -> Figure:
    """Bars for each chapter: right, answered otherwise, open; the due ones as a number."""
    figure = Figure(figsize=(8, 0.7 + 0.42 * len(counts)), layout="constrained")
    axes = figure.subplots()
    names = list(counts)[::-1]
    lengths = {column: [counts[name][column] for name in names] for column in counts[names[0]]}
    # each bar lies over the longer one before it
    axes.barh(names, lengths["questions"], color="#EEEEEE", edgecolor="#999999", label="open")
    axes.barh(names, lengths["answered"], color="#E69F00", hatch="//", label="answered, not right")
    axes.barh(names, lengths["right"], color="#0072B2", label="right")
    for row, (late, length) in enumerate(zip(lengths["due"], lengths["questions"], strict=True)):
        if late:
            axes.text(length, row, f"  {late} due for review", va="center")
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(x=0.25)
    axes.set_xlabel("questions")
    axes.legend(reverse=True, ncols=3, loc="lower left", bbox_to_anchor=(0, 1), frameon=False)
    return figure
