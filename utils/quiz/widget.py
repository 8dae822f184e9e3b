"""What a learner sees of the quiz: `quiz`, `review`, `progress`, `guess` and `reveal`.

The last layer. It asks the bank, the journal and `review`, and shows what they say; the browser's
half is `card.js`. A sentence reaches the learner for everything that could not be kept.
"""

import traceback
from collections import Counter
from collections.abc import Callable, Sequence
from pathlib import Path

import anywidget
import traitlets
from IPython.display import display

from utils import WIDGET_VIEW
from utils.quiz import html
from utils.quiz import review as schedule
from utils.quiz.bank import load_bank
from utils.quiz.feedback import Feedback
from utils.quiz.journal import Answer, Journal, JournalError
from utils.quiz.questions import Question

HERE = Path(__file__).parent
OVERRULES = {"right": "I was right", "wrong": "I was not"}
GUESS_FIRST = "Guess first"
LABEL_LENGTH = 60  # characters of a question in the list of questions


class Panel(anywidget.AnyWidget):
    """A card in the page. What the learner does arrives in `_heard`, and is answered there."""

    _esm = HERE / "card.js"
    _css = HERE / "card.css"
    name = traitlets.Unicode().tag(sync=True)
    status = traitlets.Unicode().tag(sync=True)
    notice = traitlets.Unicode().tag(sync=True)
    listing = traitlets.List().tag(sync=True)  # of {"id", "label"}
    card = traitlets.Dict().tag(sync=True)  # the open question, as `_card` makes it

    def __init__(self, name: str) -> None:
        """Begin to listen; `name` is what a screen reader calls the card."""
        super().__init__(name=name)
        self._opened: Journal | None = None
        self._turn = 0
        self.on_msg(self._heard)

    @property
    def journal(self) -> Journal:
        """The learner's journal, opened when first needed. Raises `JournalError`."""
        if self._opened is None:
            self._opened = Journal()
        self.notice = " ".join(self._opened.notices)
        return self._opened

    def _actions(self) -> dict[str, Callable[..., None]]:
        """What the browser may ask for."""
        raise NotImplementedError

    def _heard(self, _widget: object, message: dict, _buffers: object) -> None:
        request = dict(message)
        number, action = request.pop("nr"), self._actions()[request.pop("do")]
        self.send({"nr": number, "sentence": _attempt(lambda: action(**request))})

    def _show_card(self, **card: object) -> None:
        self._turn += 1  # so that the browser hears of a second verdict that equals the first
        blank = {"options": [], "hints": [], "more_hints": 0, "overrule": [], "section": None}
        texts = dict.fromkeys(("answer", "headline", "message", "number", "picture", "result"), "")
        self.card = blank | texts | {"outcome": None, "check": "Check", **card, "turn": self._turn}


def _attempt(action: Callable[[], None]) -> str:
    """Do it; "" when it is done, else a sentence for the learner, who must never wait in vain."""
    try:
        action()
    except JournalError as error:
        return str(error)
    except Exception as error:
        traceback.print_exc()  # to JupyterLab's log, for whoever repairs it
        return f"The course has a fault here ({type(error).__name__}: {error}). Your text is kept."
    return ""


class Quiz(Panel):
    """Questions, one open at a time. `fresh`: ask as if none had been answered (for reviews)."""

    def __init__(self, name: str, questions: Sequence[Question], fresh: bool = False) -> None:
        """Show `questions` with what the journal knows of them."""
        super().__init__(name)
        self._questions = {question.id: question for question in questions}
        self._fresh = fresh
        self._checked: dict[str, Feedback] = {}  # in this sitting
        self._hints: Counter[str] = Counter()
        self.notice = _attempt(self._begin) or self.notice

    def _actions(self) -> dict[str, Callable[..., None]]:
        return {
            "open": self._open,
            "check": self._check,
            "draft": self._draft,
            "hint": self._hint,
            "overrule": self._overrule,
        }

    def _begin(self) -> None:
        first = next(iter(self._questions), None)
        if first is None:
            return
        self._show(self._questions[first], None, None)  # readable even if the journal is not
        answered = {} if self._fresh else self.journal.latest_all()
        self._open(next((id for id in self._questions if id not in answered), first))

    def _open(self, id: str) -> None:
        answer = self._latest(id)
        feedback = self._checked.get(id)
        if answer and not feedback:
            feedback = _again(self._questions[id], answer)
        self._show(self._questions[id], answer, feedback)
        self._count()

    def _latest(self, id: str) -> Answer | None:
        """The answer that holds, unless it is being asked for afresh."""
        return None if self._fresh and id not in self._checked else self.journal.latest(id)

    def _check(self, id: str, answer: str) -> None:
        question = self._questions[id]
        feedback = question.check(answer)
        if feedback.outcome == "blank":
            self.journal.save_draft(id, answer)
            return self._show(question, None, feedback)
        source = "review" if self._fresh else "quiz"
        self.journal.record_answer(id, answer, feedback.outcome, feedback.score, source)
        schedule.record_review(self.journal, id, feedback.outcome)
        self._checked[id] = feedback
        self._open(id)

    def _draft(self, id: str, answer: str) -> None:
        self.journal.save_draft(id, answer)

    def _overrule(self, id: str, outcome: str) -> None:
        self.journal.overrule(id, outcome)
        schedule.overrule_review(self.journal, id, outcome)
        self._open(id)

    def _hint(self, id: str) -> None:
        self._hints[id] += 1
        hints = self._questions[id].hints
        shown = [html.rich(hint) for hint in hints[: self._hints[id]]]
        self.card = self.card | {"hints": shown, "more_hints": len(hints) - len(shown)}

    def _show(self, question: Question, answer: Answer | None, feedback: Feedback | None) -> None:
        hints = question.hints[: self._hints[question.id]]
        place = list(self._questions).index(question.id) + 1
        draft = None if self._fresh or not self._opened else self._opened.draft(question.id)
        judged = _judged(question, answer, feedback) if feedback else {}
        options = getattr(question, "options", [])
        self._show_card(
            id=question.id,
            kind=question.kind,
            number=f"Question {place} of {len(self._questions)}",
            text=html.rich(question.text),
            options=[html.inline(option.text) for option in options],
            several=sum(option.right for option in options) > 1,
            answer=draft if draft is not None else answer.answer if answer else "",
            hints=[html.rich(hint) for hint in hints],
            more_hints=len(question.hints) - len(hints),
            section=_section(question),
            picture=_picture(question),
            **judged,
        )

    def _count(self) -> None:
        """Bring the list of questions and the line above it up to date."""
        held = self.journal.latest_all()
        if self._fresh:
            held = {id: held[id] for id in self._checked}
            self.status = f"{len(held)} of {len(self._questions)} reviewed"
        else:
            counts = schedule.progress(self.journal, self._questions.values())
            totals = sum(map(Counter, counts.values()), Counter())
            answered, right = totals["answered"], totals["right"]
            self.status = f"{answered} of {len(self._questions)} answered · {right} right"
        drafts = {} if self._fresh else self.journal.drafts()
        self.listing = [
            {"id": id, "label": _label(number, question, held.get(id), id in drafts)}
            for number, (id, question) in enumerate(self._questions.items(), 1)
        ]


def _label(number: int, question: Question, answer: Answer | None, draft: bool) -> str:
    text = " ".join(question.text.replace("`", "").split())
    if len(text) > LABEL_LENGTH:
        text = text[:LABEL_LENGTH].rsplit(" ", 1)[0] + " …"
    state = html.headline(answer.outcome).lower() if answer else "draft" if draft else ""
    return f"{number}. ({state}) {text}" if state else f"{number}. {text}"


def _again(question: Question, answer: Answer) -> Feedback:
    """The feedback on an answer from another day. Code is not run again for being looked at."""
    if question.kind == "code":
        return Feedback(answer.verdict, answer.score, "")
    return question.check(answer.answer)


def _judged(question: Question, answer: Answer | None, feedback: Feedback) -> dict[str, object]:
    """What a card shows of a verdict; without an `answer`, nothing was written."""
    if answer is None:
        headline = html.headline(feedback.outcome)
        return {"outcome": feedback.outcome, "headline": headline, "message": feedback.message}
    overrules = [{"outcome": o, "label": label} for o, label in OVERRULES.items()]
    return {
        "outcome": answer.outcome,
        "headline": html.headline(answer.outcome, answer.overruled),
        "message": html.without_headline(feedback.message),
        "result": html.verdict(question, answer.answer, feedback, _picture(question)),
        "overrule": [o for o in overrules if o["outcome"] != answer.outcome],
    }


def _section(question: Question) -> dict[str, str]:
    return {
        "notebook": f"{question.notebook}.ipynb",
        "anchor": question.section.replace(" ", "-"),
        "label": f"{question.notebook}: {question.section}",
    }


def _picture(question: Question) -> str:
    if question.kind != "draw":
        return ""
    from utils.quiz import drawings  # which loads matplotlib, and few questions need it

    draw = getattr(drawings, question.picture)
    return html.image(draw(), draw.alt)


class Guess(Panel):
    """A box for a guess before a cell is run."""

    def __init__(self, key: str, prompt: str) -> None:
        """Ask for a guess that is kept under `key`, showing the earlier one if there is one."""
        super().__init__(f"{GUESS_FIRST}: {prompt}")
        self._key = key
        self._prompt = prompt
        self._show()
        self.notice = _attempt(self._restore) or self.notice

    def _actions(self) -> dict[str, Callable[..., None]]:
        return {"check": self._keep}

    def _restore(self) -> None:
        if guess := self.journal.guess(self._key):
            self._show(guess.text, headline="Your guess is kept.")

    def _keep(self, id: str, answer: str) -> None:
        if not answer.strip():
            return self._show(answer, headline="Nothing written.", message="Any guess will do.")
        self.journal.record_guess(id, answer)
        self._show(answer, headline="Your guess is kept.", message="Now run the next cell.")

    def _show(self, answer: str = "", headline: str = "", message: str = "") -> None:
        self._show_card(
            id=self._key,
            kind="guess",
            number=GUESS_FIRST,
            text=html.rich(self._prompt),
            answer=answer,
            check="Keep my guess",
            headline=headline,
            message=message,
        )


def _publish(page: str, text: str, panel: Panel | None = None) -> None:
    """Show a readable copy, and the live `panel`, whose presence hides the copy (card.css).

    They are two outputs so that the copy is still there when a notebook is opened again and its
    widgets are gone.
    """
    display({"text/html": page, "text/plain": text}, raw=True)
    if panel:
        data, metadata = panel._repr_mimebundle_()
        display({WIDGET_VIEW: data[WIDGET_VIEW]}, metadata=metadata, raw=True)


def quiz(name: str) -> None:
    """Ask the questions of a topic (`intro`) or of a notebook (`00_start_here`)."""
    bank = load_bank()
    questions = bank.for_topic(name) or bank.for_notebook(name)
    if not questions:
        sentence = f"There are no questions on {name} yet."
        return _publish(html.note(sentence), sentence)
    panel = Quiz(f"Questionnaire of {name}", questions)
    _publish(html.static_html(questions), html.static_text(questions), panel)


def review() -> None:
    """Ask what is due for review, from all chapters."""
    sentence = "What is due for review is asked here when this cell is run."
    _publish(html.note(sentence), sentence, _review_panel())


def _review_panel() -> Quiz:
    bank = load_bank()
    try:
        journal = Journal()
        questions = [bank[id] for id in schedule.due(journal, bank)]
        panel = Quiz("Review", questions, fresh=True)
        if not questions:
            panel.status = _nothing_due(journal, bank)
    except JournalError as error:
        panel = Quiz("Review", [], fresh=True)
        panel.notice = str(error)
    return panel


def _nothing_due(journal: Journal, bank: Sequence[str]) -> str:
    following = schedule.next_due(journal, bank)
    if following is None:
        return "Nothing is due yet. Questions come back here some days after you answer them."
    return f"Nothing is due today. The next question comes back on {following:%d %B %Y}."


def guess(key: str, prompt: str) -> None:
    """Ask for a guess before the cell that shows the answer; see `reveal`."""
    sentence = f"{GUESS_FIRST}: {prompt} (Run this cell to write your guess down.)"
    _publish(html.note(sentence), sentence, Guess(key, prompt))


def reveal(key: str, answer: object) -> None:
    """Show what came out, beside the guess made under the same key."""
    try:
        journal = Journal()
        made = journal.guess(key)
        if made and made.shown is None:
            journal.record_reveal(key, str(answer))
    except JournalError as error:
        made = None
        _publish(html.note(str(error)), str(error))
    _publish(*html.revealed(made.text if made else None, str(answer)))


def progress() -> None:
    """Show how far you have come: a picture, and the same as a table."""
    try:
        counts = schedule.progress(Journal(), load_bank())
    except JournalError as error:
        return _publish(html.note(str(error)), str(error))
    picture = html.png(_progress_picture(counts))
    display({"image/png": picture, "text/plain": "The table below, as bars."}, raw=True)
    _publish(*html.progress_table(counts))


def _progress_picture(counts: dict[str, dict[str, int]]) -> object:
    """Bars for each chapter: right, answered otherwise, open; the due ones as a number."""
    from matplotlib.figure import Figure  # not pyplot, which would show it a second time

    figure = Figure(figsize=(8, 0.7 + 0.42 * len(counts)), layout="constrained")
    axes = figure.subplots()
    names = list(counts)[::-1]
    right = [counts[n]["right"] for n in names]
    other = [counts[n]["answered"] - counts[n]["right"] for n in names]
    still = [counts[n]["questions"] - counts[n]["answered"] for n in names]
    done = [a + b for a, b in zip(right, other, strict=True)]
    axes.barh(names, right, color="#0072B2", label="right")
    axes.barh(names, other, left=right, color="#E69F00", hatch="//", label="answered, not right")
    axes.barh(names, still, left=done, color="#EEEEEE", edgecolor="#999999", label="open")
    for name in names:
        if late := counts[name]["due"]:
            axes.text(counts[name]["questions"], name, f"  {late} due for review", va="center")
    axes.spines[["top", "right"]].set_visible(False)
    axes.margins(x=0.25)
    axes.set_xlabel("questions")
    axes.legend(ncols=3, loc="lower left", bbox_to_anchor=(0, 1), frameon=False)
    return figure
