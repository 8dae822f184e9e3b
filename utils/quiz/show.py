"""Questions, verdicts and guesses as HTML that is safe to show, and as plain text.

Everything that a person typed passes through `html.escape` here, and stands in an element that
JupyterLab's mathematics typesetter leaves alone.
"""

import base64
from collections.abc import Sequence
from dataclasses import dataclass
from html import escape
from xml.etree import ElementTree

from markdown_it import MarkdownIt

from utils.quiz.match import QUESTIONS
from utils.quiz.questions import LETTERS, ChoiceQuestion, Feedback, Question

NO_MATHS = "mathjax_ignore tex2jax_ignore"  # the classes that MathJax 3 and 2 pass over
RUN_ME = "To answer here, run this cell (Shift-Enter). What you answered before comes back."
# What the bank's texts use: paragraphs, `code`, fenced code and *emphasis*. All else is text, HTML
# as well; a backslash too, which mathematics may begin with.
MARKDOWN = MarkdownIt("zero").enable(["fence", "backticks", "emphasis"])


def rich(text: str) -> str:
    """A text of the bank as HTML."""
    return MARKDOWN.render(text)


def inline(text: str) -> str:
    """One line of a text of the bank as HTML, without a paragraph around it."""
    return MARKDOWN.renderInline(text)


def typed(text: str, marked: Sequence[tuple[int, int, str]] = ()) -> str:
    """What a learner typed, escaped, with the words that matched an idea marked, in order."""
    pieces, at = [], 0
    for start, end, idea in marked:
        start = max(start, at)  # spans may overlap; a letter is marked once
        if start < end:
            pieces.append(escape(text[at:start]))
            pieces.append(f'<mark title="{escape(idea)}">{escape(text[start:end])}</mark>')
            at = end
    pieces.append(escape(text[at:]))
    return f'<span class="wg-typed {NO_MATHS}">{"".join(pieces)}</span>'


@dataclass
class Drawing:
    """A picture with its text for who cannot see it; a cell that ends in it shows both."""

    svg: bytes
    alt: str

    @property
    def html(self) -> str:
        """An `img` that needs no file."""
        source = f"data:image/svg+xml;base64,{base64.b64encode(self.svg).decode()}"
        return f'<img class="wg-picture" src="{source}" alt="{escape(self.alt)}">'

    def _repr_mimebundle_(self, **_: object) -> dict[str, str]:
        return {"text/html": self.html, "text/plain": self.alt}


def drawing(name: str) -> Drawing:
    """The picture `name` of `data/questions/drawings`; its text is the file's own description."""
    svg = (QUESTIONS / "drawings" / f"{name}.svg").read_bytes()
    return Drawing(svg, ElementTree.fromstring(svg).findtext("{*}desc", ""))


def question_html(question: Question) -> str:
    """What is asked, and the options if there are any."""
    if question.kind != "choice":
        return rich(question.text)
    options = "".join(f"<li>{inline(option.text)}</li>" for option in question.options)
    return f'{rich(question.text)}<ol type="a">{options}</ol>'


def model_answer(question: Question) -> str:
    """The model answer; code as code."""
    if question.kind == "code" and "```" not in question.answer:
        return f"<pre><code>{escape(question.answer)}</code></pre>"
    return rich(question.answer)


def what_counts(question: Question) -> str:
    """The ideas of which an answer is made, for who compares their own with ours."""
    ideas = "".join(f"<li>{inline(idea.name)}</li>" for idea in getattr(question, "ideas", []))
    return f'<ul class="wg-ideas">{ideas}</ul>' if ideas else ""


def verdict(question: Question, answer: str, feedback: Feedback) -> str:
    """What is shown below the verdict: an answer in words with its marks, and the model answer."""
    rows = {}
    if question.kind in ("short", "draw"):
        rows["Your answer"] = typed(answer, feedback.marked)
    if question.kind == "choice":
        rows["The others"] = _options_explained(question, feedback.message)
    if question.kind == "draw":
        rows["Our picture"] = drawing(question.picture).html
    rows["One good answer"] = model_answer(question)
    if feedback.outcome == "unmatched":
        rows["What counts"] = what_counts(question)
    shown = [f"<dt>{name}</dt><dd>{body}</dd>" for name, body in rows.items() if body]
    return f"<dl>{''.join(shown)}</dl>"


def _options_explained(question: ChoiceQuestion, message: str) -> str:
    """Why each option is right or not; those that the message explains are left out."""
    rows = [
        f"<li><b>{'✓ right' if o.right else '✗ not'}</b>: {inline(o.text)}: {inline(o.why)}</li>"
        for o in question.options
        if f"{o.text}: {o.why}" not in message
    ]
    return f'<ul class="wg-ideas">{"".join(rows)}</ul>' if rows else ""


def static_html(questions: Sequence[Question]) -> str:
    """All questions, readable where no kernel runs; the answers are there, folded away."""
    items = "".join(
        f"<li>{question_html(question)}<details><summary>One good answer</summary>"
        f"{model_answer(question)}</details></li>"
        for question in questions
    )
    return f"<p><em>{RUN_ME}</em></p><ol>{items}</ol>"


def static_text(questions: Sequence[Question]) -> str:
    """All questions as plain text, without answers."""
    lines = [RUN_ME]
    for number, question in enumerate(questions, 1):
        lines.append(f"{number}. {' '.join(question.text.split())}")
        if question.kind == "choice":
            lines += [f"   {x}) {o.text}" for x, o in zip(LETTERS, question.options, strict=False)]
    return "\n".join(lines)
