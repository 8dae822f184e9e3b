"""What a learner sees of the quiz: `quiz`, `your_turn`, `guess`, `guesses`, `review`, `progress`.

The last layer. It asks the bank, the journal and the schedule, and shows what they say; the
browser's half is `card.js`.
"""

from collections.abc import Callable, Mapping, Sequence
from functools import cached_property
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
from utils.quiz.questions import LETTERS, OUTCOMES, Feedback, Question
from utils.widgets.base import Widget, joined, show_widget

HERE = Path(__file__).parent
GUESS_FIRST = "Guess first"


class Cards(Widget):
    """Cards, of which the page shows one at a time, and the learner's journal behind them."""

    _esm = joined(HERE / "card.js")
    _css = joined(HERE / "card.css")
    fault = Widget.fault + " Your text is kept."
    status = traitlets.Unicode().tag(sync=True)
    cards = traitlets.List(traitlets.Dict()).tag(sync=True)

    @cached_property
    def journal(self) -> Journal:
        """The learner's journal, opened when first needed. Raises `CourseError`."""
        return Journal()

    def begin(self, restore: Callable[[], None]) -> None:
        """Show what is known from before; what is asked can be read even if that fails."""
        self.notice = self.attempt(restore)["problem"] or " ".join(self.journal.notices)

    def redraw(self, id: str, **changes: object) -> None:
        """Change what a card shows."""
        cards = {card["id"]: card for card in self.cards}
        turn = cards[id].get("turn", 0) + 1  # or a second verdict that equals the first is not sent
        self.cards = list((cards | {id: cards[id] | changes | {"turn": turn}}).values())
        self.notice = " ".join(self.journal.notices)


class Quiz(Cards):
    """Questions. `fresh`: ask as if none had been answered (for reviews)."""

    def __init__(self, name: str, questions: Sequence[Question], fresh: bool = False) -> None:
        """Show `questions` with what the journal knows of them."""
        super().__init__(name)
        self._questions = {question.id: question for question in questions}
        self._draw({})
        if not fresh:
            self.begin(lambda: self._draw(self.journal.latest_all()))

    def actions(self) -> dict:
        """What the page may ask for."""
        return {"check": self._check, "overrule": self._overrule}

    def _draw(self, held: Mapping[str, Answer]) -> None:
        self.cards = [
            _asked(question) | (_verdict(question, held[id]) if id in held else {})
            for id, question in self._questions.items()
        ]

    def _check(self, id: str, answer: str) -> None:
        question = self._questions[id]
        feedback = question.check(answer)
        if feedback.outcome == "blank":
            raise CourseError(feedback.message)
        self.journal.record_answer(id, answer, feedback.outcome)
        self.redraw(id, **_verdict(question, self.journal.latest_all()[id], feedback))

    def _overrule(self, id: str, outcome: str) -> None:
        self.journal.overrule(id, outcome)
        self.redraw(id, **_outcome(self.journal.latest_all()[id]))

    @traitlets.observe("cards")
    def _count(self, _: object) -> None:
        outcomes = [card["outcome"] for card in self.cards if "outcome" in card]
        right = outcomes.count("right")
        self.status = f"{len(outcomes)} of {len(self.cards)} answered · {right} right"


def _asked(question: Question) -> dict:
    """A card with a question and no answer."""
    options = getattr(question, "options", [])
    texts = ["I have done this"] if question.kind == "task" else [o.text for o in options]
    values = ["done"] if question.kind == "task" else LETTERS
    return {
        "id": question.id,
        "kind": question.kind,
        "label": shorten(question.text.replace("`", ""), 60, placeholder=" …"),
        "text": show.rich(question.text),
        "options": [*zip(values, map(show.inline, texts), strict=False)],
        "several": sum(option.right for option in options) > 1,
        "hints": [show.rich(hint) for hint in question.hints],
        "notebook": question.notebook,
        "section": question.section,
    }


def _outcome(answer: Answer) -> dict:
    own = " (your own verdict)" if answer.outcome != answer.verdict else ""
    return {"outcome": answer.outcome, "headline": OUTCOMES[answer.outcome] + own}


def _verdict(question: Question, answer: Answer, feedback: Feedback | None = None) -> dict:
    """What a card shows of an answer; on another day without `feedback`."""
    if feedback is None:  # code is not run again for being looked at
        code = question.kind == "code"
        feedback = Feedback("blank", "") if code else question.check(answer.answer)
    return _outcome(answer) | {
        "answer": _as_on_the_card(question, answer),
        "message": feedback.message,
        "result": show.verdict(question, answer.answer, feedback),
    }


def _as_on_the_card(question: Question, answer: Answer) -> str:
    """An answer as the card's own boxes and ticks would say it; it may come from the terminal."""
    if question.kind == "task":
        return "done" if answer.verdict == "right" else ""
    if question.kind == "choice":
        picked = question.picked(answer.answer)
        pairs = zip(LETTERS, question.options, strict=False)
        return ", ".join(letter for letter, option in pairs if option in picked)
    return answer.answer


class Guess(Cards):
    """A box for a guess before a cell is run."""

    def __init__(self, key: str, prompt: str) -> None:
        """Ask for a guess that is kept under `key`, showing the earlier one if there is one."""
        super().__init__(f"{GUESS_FIRST}: {prompt}")
        self.cards = [{"id": key, "kind": "guess", "text": show.rich(prompt)}]
        self.begin(lambda: self._restore(key))

    def actions(self) -> dict:
        """What the page may ask for."""
        return {"check": self._keep}

    def _restore(self, key: str) -> None:
        if guess := self.journal.latest_all().get(key):
            said = {"headline": "Your guess is kept.", "message": "Now run the next cell."}
            self.redraw(key, answer=guess.answer, **said)

    def _keep(self, id: str, answer: str) -> None:
        if not answer.strip():
            raise CourseError("Nothing written. Any guess will do.")
        self.journal.record_answer(id, answer, "guess")
        self._restore(id)


def quiz(name: str, of_the_book: bool = False) -> None:
    """Ask the questions of a topic (`intro`) or of a notebook (`00_start_here`).

    `of_the_book`: only those that stand in the book; a topic has them in the book's order. Raises
    `CourseError` where there are none.
    """
    bank = load_bank()
    found = bank.for_topic(name) or bank.for_notebook(name)
    found = [question for question in found if question.book or not of_the_book]
    if not found:
        raise CourseError(f"There are no questions on {name} yet.")
    ask(f"Questionnaire of {name}", found)


def your_turn(id: str) -> None:
    """Ask one exercise of the bank where the page has come to it; it counts like any question."""
    ask("Your turn", [load_bank()[id]])


def ask(name: str, questions: Sequence[Question]) -> None:
    """Ask these questions on cards that a screen reader calls `name`."""
    text, page = show.static_text(questions), show.static_html(questions)
    show_widget(Quiz(name, questions), text, page)


def review() -> None:
    """Ask what is due for review, from all chapters; without a journal, say what is wrong."""
    try:
        bank, journal = load_bank(), Journal()
    except CourseError as error:
        return print(error)
    late, coming = schedule.due(journal, bank)
    card = Quiz("Review", [bank[id] for id in late], fresh=True)
    card.notice = " ".join(journal.notices)
    if not card.cards:
        later = "Questions come back here some days after you answer them."
        if coming:
            later = f"The next question comes back on {coming:%d %B %Y}."
        card.status = f"Nothing is due today. {later}"
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
    held = Journal().latest_all()
    rows = [
        (asked, held[key].answer if key in held else "no guess", str(value))
        for key, (asked, value) in came_out.items()
    ]
    columns = ["asked", "your guess", "what came out"]
    # as it was typed: neither cut nor, between dollar signs, typeset
    pd.set_option("display.max_colwidth", None, "display.html.use_mathjax", False)
    return pd.DataFrame(rows, columns=columns).set_index("asked")


def progress() -> None:
    """Show how far you have come, as a picture and a table; or what is wrong with the journal."""
    try:
        counts = schedule.progress(Journal(), load_bank())
    except CourseError as error:
        return print(error)
    figure = Figure(figsize=(8, 0.7 + 0.42 * len(counts)), layout="constrained")
    axes = figure.subplots()
    table = pd.DataFrame(counts).T
    # each bar lies over the longer one before it
    axes.barh(table.index, table["questions"], color="#EEEEEE", edgecolor="#999999", label="open")
    otherwise = "answered, not right"
    axes.barh(table.index, table["answered"], color="#E69F00", hatch="//", label=otherwise)
    axes.barh(table.index, table["right"], color="#0072B2", label="right")
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(x=0.25)
    axes.invert_yaxis()
    axes.set_xlabel("questions")
    axes.legend(reverse=True, ncols=3, loc="lower left", bbox_to_anchor=(0, 1), frameon=False)
    picture = BytesIO()
    figure.savefig(picture, format="png", dpi=110, bbox_inches="tight")
    alt = "The table below, as bars."
    display({"image/png": picture.getvalue(), "text/plain": alt}, raw=True)
    display(table[["questions", "answered", "right", "due"]])
