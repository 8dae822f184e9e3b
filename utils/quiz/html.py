"""Questions, verdicts and guesses as HTML that is safe to show, and as plain text.

Everything that a person typed passes through `html.escape` here, and stands in an element that
JupyterLab's mathematics typesetter leaves alone.
"""

import base64
import io
import re
from collections.abc import Sequence
from html import escape

from utils.quiz.feedback import Feedback
from utils.quiz.questions import ChoiceQuestion, Question

# What stands for an outcome: a sign and a word, so that colour is never the only difference.
OUTCOMES = {
    "right": ("✓", "Right"),
    "partial": ("◐", "Partly right"),
    "wrong": ("✗", "Not yet"),
    "blank": ("○", "Nothing written"),
}
NO_MATHS = "mathjax_ignore tex2jax_ignore"  # the classes that MathJax 3 and 2 pass over
LETTERS = "abcdefghijklmnopqrstuvwxyz"
RUN_ME = "To answer here, run this cell (Shift-Enter). What you answered before comes back."


def rich(text: str) -> str:
    """A bank text as HTML: paragraphs, `code`, fenced code and *emphasis*; all else is escaped."""
    parts = re.split(r"```\w*\n?(.*?)```", text.strip(), flags=re.DOTALL)
    blocks: list[str] = []
    for number, part in enumerate(parts):
        if number % 2:
            blocks.append(f"<pre><code>{escape(part.rstrip())}</code></pre>")
        else:
            blocks += [f"<p>{inline(p)}</p>" for p in re.split(r"\n\s*\n", part) if p.strip()]
    return "".join(blocks)


def inline(text: str) -> str:
    """One line of a bank text as HTML."""
    code_at_odd = enumerate(re.split(r"`([^`]+)`", " ".join(text.split())))
    return "".join(f"<code>{escape(s)}</code>" if n % 2 else _emphasis(s) for n, s in code_at_odd)


def _emphasis(text: str) -> str:
    return re.sub(r"\*(\w[^*]*)\*", r"<em>\1</em>", escape(text))


def typed(text: str, marked: Sequence[tuple[int, int, str]] = ()) -> str:
    """What a learner typed, escaped, with the words that matched an idea marked."""
    pieces, at = [], 0
    for start, end, idea in sorted(marked):
        start = max(start, at)  # spans may overlap; a letter is marked once
        if start < end:
            pieces.append(escape(text[at:start]))
            pieces.append(f'<mark title="{escape(idea)}">{escape(text[start:end])}</mark>')
            at = end
    pieces.append(escape(text[at:]))
    return f'<span class="wg-typed {NO_MATHS}">{"".join(pieces)}</span>'


def headline(outcome: str, overruled: bool = False) -> str:
    """An outcome as sign and word."""
    sign, word = OUTCOMES[outcome]
    return f"{sign} {word}" + (" (your own verdict)" if overruled else "")


def without_headline(message: str) -> str:
    """A feedback message without the first words that repeat its outcome."""
    return re.sub(r"^(Right|Part of it|Not yet|Done)\.\s*", "", message)


def chosen_text(question: Question, answer: str) -> str:
    """An answer as a person would read it: the options for letters, "done" for a tick."""
    if question.kind == "task":
        return "done"
    letters = re.fullmatch(r"[a-z](, [a-z])*", answer)
    if question.kind == "choice" and letters:
        indexes = [LETTERS.index(letter) for letter in answer.split(", ")]
        if indexes[-1] < len(question.options):
            return "\n".join(f"{LETTERS[i]}) {question.options[i].text}" for i in indexes)
    return answer


def verdict(question: Question, answer: str, feedback: Feedback, picture: str = "") -> str:
    """What is shown below the verdict: the answer with its marks, and the model answer."""
    yours = typed(chosen_text(question, answer), _marks(question, feedback))
    yours = f'<div class="wg-code">{yours}</div>' if question.kind == "code" else yours
    rows = [("Your answer", yours)]
    if question.kind == "choice":
        rows.append(("The others", _options_explained(question, feedback.message)))
    rows.append(("Our picture", picture))
    rows.append(("One good answer", model_answer(question)))
    shown = [f"<dt>{name}</dt><dd>{body}</dd>" for name, body in rows if body]
    return f"<dl>{''.join(shown)}</dl>"


def _marks(question: Question, feedback: Feedback) -> list[tuple[int, int, str]]:
    return feedback.marked if question.kind in ("short", "draw") else []


def _options_explained(question: ChoiceQuestion, message: str) -> str:
    """Why each option is right or not; those that the message explains are left out."""
    rows = [
        f"<li><b>{'✓ right' if o.right else '✗ not'}</b>: {inline(o.text)}: {inline(o.why)}</li>"
        for o in question.options
        if f"{o.text}: {o.why}" not in message
    ]
    return f'<ul class="wg-ideas">{"".join(rows)}</ul>' if rows else ""


def model_answer(question: Question) -> str:
    """The model answer; code as code."""
    if question.kind == "code" and "```" not in question.answer:
        return f"<pre><code>{escape(question.answer)}</code></pre>"
    return rich(question.answer)


def png(figure: object) -> str:
    """A matplotlib figure as PNG in base64."""
    buffer = io.BytesIO()
    figure.savefig(buffer, format="png", dpi=110, bbox_inches="tight")
    return base64.b64encode(buffer.getvalue()).decode()


def image(figure: object, alt: str) -> str:
    """A matplotlib figure as an `img` that needs no file, with its text for who cannot see it."""
    source = f"data:image/png;base64,{png(figure)}"
    return f'<img class="wg-picture" src="{source}" alt="{escape(alt)}">'


def static_html(questions: Sequence[Question]) -> str:
    """All questions, readable where no kernel runs; the answers are there, folded away."""
    items = "".join(f"<li>{_static_question(q)}</li>" for q in questions)
    return f"<p><em>{RUN_ME}</em></p><ol>{items}</ol>"


def _static_question(question: Question) -> str:
    options = ""
    if question.kind == "choice":
        listed = "".join(f"<li>{inline(o.text)}</li>" for o in question.options)
        options = f'<ol type="a">{listed}</ol>'
    answer = f"<details><summary>One good answer</summary>{model_answer(question)}</details>"
    return f"{rich(question.text)}{options}{answer}"


def static_text(questions: Sequence[Question]) -> str:
    """All questions as plain text, without answers."""
    lines = [RUN_ME]
    for number, question in enumerate(questions, 1):
        lines.append(f"{number}. {' '.join(question.text.split())}")
        if question.kind == "choice":
            lines += [f"   {x}) {o.text}" for x, o in zip(LETTERS, question.options, strict=False)]
    return "\n".join(lines)


def note(text: str) -> str:
    """A sentence that stands where a widget will be, for readers without a kernel."""
    return f'<div class="wg-static"><p>{inline(text)}</p></div>'


def revealed(guess: str | None, answer: str) -> tuple[str, str]:
    """A guess beside what came out, as HTML and as plain text."""
    yours = f"You guessed: {guess}" if guess else "You made no guess this time; next time, try."
    shown = typed(guess) if guess else ""
    head = f"You guessed: {shown}" if guess else yours
    # The answer may hold results of the learner's own code, so it is escaped as well.
    html = f"<p>{head}<br><b>What it is:</b> {typed(answer)}</p>"
    return html, f"{yours}\nWhat it is: {answer}"


def progress_table(counts: dict[str, dict[str, int]]) -> tuple[str, str]:
    """How far the learner has come, as HTML and as plain text."""
    columns = ("questions", "answered", "right", "due")
    heads = "".join(f'<th scope="col">{name}</th>' for name in ("chapter", *columns))
    rows, lines = [], [f"{'chapter':24}" + "".join(f"{name:>10}" for name in columns)]
    for chapter, count in counts.items():
        cells = "".join(f"<td>{count[name]}</td>" for name in columns)
        rows.append(f'<tr><th scope="row">{escape(chapter)}</th>{cells}</tr>')
        lines.append(f"{chapter:24}" + "".join(f"{count[name]:>10}" for name in columns))
    return f"<table><tr>{heads}</tr>{''.join(rows)}</table>", "\n".join(lines)
