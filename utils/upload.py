"""A button that asks for a picture, and the model's answer below it."""

import base64
from html import escape
from io import BytesIO

from fastai.learner import Learner
from fastai.vision.core import PILImage
from IPython.display import display
from ipywidgets import HTML, DOMWidget, FileUpload, VBox
from PIL import Image

from utils import WIDGET_VIEW
from utils.images import ImageError, open_image

FALLBACK = "Run this cell (Shift-Enter) to choose a picture of your own."
THUMBNAIL = 160  # pixels, the longer side


def ask_for_picture(learn: Learner, names: dict[str, str]) -> None:
    """Show a button to choose pictures; below it, what `learn` takes each of them for.

    `names` says how to read out a label: `{"True": "a cat", "False": "a dog"}`.
    """
    button = FileUpload(accept="image/*", multiple=True, description="Choose pictures …")
    button.layout.width = "max-content"
    answers = HTML()

    def answer(change: dict) -> None:
        answers.value = "<p>Looking …</p>"
        rows = [_answer(learn, names, file["name"], file["content"]) for file in change["new"]]
        # A screen reader reads an alert that appears; a live region in here would be new each time.
        answers.value = f'<div role="alert">{"".join(rows)}</div>'

    button.observe(answer, "value")
    show_widget(VBox([button, answers]), FALLBACK)


def show_widget(widget: DOMWidget, fallback: str) -> None:
    """Show `widget`; where no kernel runs (a stored notebook, a page) the sentence `fallback`."""
    view = widget._repr_mimebundle_()[WIDGET_VIEW]
    page = f"<p><em>{escape(fallback)}</em></p>"
    display({WIDGET_VIEW: view, "text/html": page, "text/plain": fallback}, raw=True)


def _answer(learn: Learner, names: dict[str, str], file: str, content: memoryview) -> str:
    """One line of HTML on one uploaded file; its name is the uploader's, so it is escaped."""
    name = f"<b>{escape(file)}</b>"
    try:
        picture = open_image(content)
        label, number, probabilities = _predict(learn, picture)
    except ImageError as error:
        return f"<p>{name}: {escape(str(error))}</p>"
    except Exception as error:  # in a callback it would end in a log that nobody reads
        return f"<p>{name}: the model could not answer ({escape(repr(error))}).</p>"
    said = f"{escape(names.get(label, label))} (probability {probabilities[number]:.2f})"
    return f"<p>{_thumbnail(picture, file)}<br>{name}: {said}</p>"


def _predict(learn: Learner, picture: Image.Image) -> tuple[str, int, list[float]]:
    with learn.no_bar(), learn.no_logging():
        label, number, probabilities = learn.predict(PILImage.create(picture))
    return str(label), int(number), probabilities.tolist()


def _thumbnail(picture: Image.Image, file: str) -> str:
    small = picture.copy()
    small.thumbnail((THUMBNAIL, THUMBNAIL))
    buffer = BytesIO()
    small.save(buffer, "PNG")
    source = base64.b64encode(buffer.getvalue()).decode()
    return f'<img src="data:image/png;base64,{source}" alt="Your picture {escape(file)}">'
