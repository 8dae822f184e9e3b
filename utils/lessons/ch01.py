"""Chapter 01: a place to drop a picture of one's own, and what the model takes it for."""

from fastai.learner import Learner
from fastai.vision.core import PILImage
from PIL import Image

from utils.app.dropzone import DropZone
from utils.app.predictor import Prediction
from utils.widgets.base import show_widget


def ask_for_picture(learn: Learner, names: dict[str, str]) -> None:
    """Show a place for pictures; below it, what `learn` takes each of them for.

    `names` says how to read out a label: `{"True": "a cat", "False": "a dog"}`.
    """

    def answer(picture: Image.Image) -> Prediction:
        with learn.no_bar(), learn.no_logging():
            _, number, shares = learn.predict(PILImage.create(picture))
        labels = [names.get(label, label) for label in map(str, learn.dls.vocab)]
        sentence = f"{labels[number]} (probability {shares[number]:.2f})"
        bars = dict(zip(labels, shares.tolist(), strict=True))
        return Prediction(labels[number], bars, True, True, 0.0, sentence)  # sure, in domain

    show_widget(DropZone(answer), "Run this cell (Shift-Enter) to choose a picture of your own.")
