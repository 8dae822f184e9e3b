"""The parts of `course` that ask, judge and count questions."""

from pathlib import Path
from typing import Annotated

import typer
from rich.console import Console
from rich.markup import escape
from rich.table import Table

from utils.quiz import load_bank
from utils.quiz import review as schedule
from utils.quiz.anki import write_apkg
from utils.quiz.bank import Question
from utils.quiz.feedback import Feedback
from utils.quiz.journal import Journal
from utils.terminal import fail, print_json

app = typer.Typer()
console = Console()
OVERRULES = {"r": "right", "w": "wrong"}
AsJson = Annotated[bool, typer.Option("--json", help="Print JSON instead of sentences.")]


def _question(name: str) -> Question:
    try:
        return load_bank()[name]
    except KeyError as error:
        raise fail(error.args[0]) from None


@app.command()
def check(
    question: Annotated[str, typer.Argument(help="A question's id, such as intro-05.")],
    answer: Annotated[str, typer.Argument(help="What you would answer.")],
    as_json: AsJson = False,
) -> None:
    """Judge an answer without keeping it."""
    asked = _question(question)
    feedback = asked.check(answer)
    if as_json:
        print_json(feedback.as_dict())
    else:
        _tell(asked, feedback)


def _tell(question: Question, feedback: Feedback) -> None:
    """The verdict with its reasons, then the model answer; nothing typed is read as markup."""
    console.print(escape(feedback.message))
    if feedback.outcome != "blank":
        console.print(f"\n{escape(question.answer)}", style="dim")
        console.print(f"{question.notebook}: {escape(question.section)}\n", style="dim")


@app.command()
def review() -> None:
    """Ask what is due for review, one question at a time. Ctrl-D or q stops; all is kept."""
    bank, journal = load_bank(), Journal()
    due = schedule.due(journal, bank)
    _say_notices(journal)
    if not due:
        coming = schedule.next_due(journal, bank)
        console.print("Nothing is due." + (f" Next: {coming:%d %B %Y}." if coming else ""))
    for number, name in enumerate(due, start=1):
        console.print(f"[bold]{number} of {len(due)}[/bold]  {escape(bank[name].text)}")
        if not _ask(journal, bank[name]):
            break


def _say_notices(journal: Journal) -> None:
    for notice in journal.notices:
        console.print(escape(notice), style="bold")


def _line(prompt: str) -> str | None:
    """What is typed; None when the learner wants to stop."""
    try:
        typed = input(prompt)
    except (EOFError, KeyboardInterrupt):
        return None
    return None if typed.strip().lower() == "q" else typed


def _ask(journal: Journal, question: Question) -> bool:
    """Ask one question and keep the answer; False when the learner wants to stop."""
    for number, option in enumerate(getattr(question, "options", []), start=1):
        console.print(f"  {number}. {escape(option.text)}")
    typed = _line("> ")
    if typed is None:
        return False
    feedback = question.check(typed)
    journal.record_answer(question.id, typed, feedback.outcome, feedback.score, source="terminal")
    schedule.record_review(journal, question.id, feedback.outcome)
    _tell(question, feedback)
    if feedback.outcome == "blank":
        return True
    verdict = _line("Enter for the next one, r: I was right, w: I was wrong, q: stop > ")
    if verdict and verdict.strip().lower() in OVERRULES:
        outcome = OVERRULES[verdict.strip().lower()]
        journal.overrule(question.id, outcome)
        schedule.overrule_review(journal, question.id, outcome)
    return verdict is not None


@app.command()
def anki(
    path: Annotated[Path, typer.Argument(help="The deck to write.")] = Path("whole-game.apkg"),
) -> None:
    """Write the questions as a deck that Anki opens; a later deck updates an earlier one."""
    try:
        count = write_apkg(load_bank().values(), path)
    except OSError as error:
        raise fail(f"{path} could not be written: {error.strerror or error}.") from None
    print(f"{count} cards in {path.absolute()}. In Anki: File → Import.")


@app.command()
def progress(as_json: AsJson = False) -> None:
    """For each chapter: questions, answered, right, due."""
    journal = Journal()
    counts = schedule.progress(journal, load_bank())
    if as_json:
        print_json(counts)
        return
    _say_notices(journal)
    columns = ("questions", "answered", "right", "partial", "wrong", "due")
    table = Table("chapter", *columns, box=None)
    for chapter, row in counts.items():
        table.add_row(chapter, *(str(row[column]) for column in columns))
    console.print(table)
