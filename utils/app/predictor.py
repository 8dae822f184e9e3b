"""A saved model answers, on ONNX Runtime, Pillow and NumPy alone: no PyTorch, nothing unpickled."""

import os
from collections.abc import Iterable
from dataclasses import dataclass
from itertools import islice
from pathlib import Path

import numpy as np
import onnxruntime
from PIL import Image

from utils.app.manifest import (
    AGAIN,
    GRAPH,
    DeployError,
    read_checked,
    read_manifest,
    write_manifest,
)
from utils.images import MAX_MEGAPIXELS, ImageError, open_image

BATCH = 8  # pictures in memory at once; more are no quicker, and 32 take a quarter of a GiB more
MAX_THREADS = 4  # more gain little on a picture of this size
UNLIKE = "it is unlike the pictures the model learned from"
Picture = Image.Image | bytes | bytearray | memoryview | Path | str


@dataclass(frozen=True)
class Prediction:
    """What the model says of one picture."""

    label: str  # the most probable one, whatever the other fields say
    probabilities: dict[str, float]  # of each label, in the vocabulary's order; they sum to 1
    sure: bool  # whether the highest probability reaches the model's threshold
    in_domain: bool  # whether the picture resembles those the model learned from
    distance: float  # how far it is from them; beyond 1, the limit, `in_domain` is false
    sentence: str  # the answer in words: a label with its probability, or why there is none

    @property
    def probability(self) -> float:
        """That of `label`."""
        return self.probabilities[self.label]


def resized(picture: Image.Image, settings: dict) -> Image.Image:
    """`picture` as fastai's `Resize` makes it for validation: squished, cropped, padded in black.

    The arithmetic, to the last rounding, is that of fastai 2.8's `Resize.encodes` and
    `_do_crop_pad`. With `crop` in `settings` the middle of so many pixels is cut out afterwards,
    as `RandomResizedCrop` does for validation.
    """
    height, width = settings["size"]
    if settings["method"] != "squish":  # first the part of it that has this shape
        w, h = picture.size
        scale = (max if settings["method"] == "pad" else min)(w / width, h / height)
        new_w, new_h = max(1, int(scale * width)), max(1, int(scale * height))
        if new_w * new_h > MAX_MEGAPIXELS * 1e6:
            raise ImageError("oversized", f"This picture is too long and thin ({w} by {h} pixels).")
        picture = _middle(picture, new_w, new_h)
    picture = picture.resize((width, height), Image.Resampling[settings["resample"].upper()])
    if "crop" in settings:
        height, width = settings["crop"]
        picture = _middle(picture, width, height)
    return picture


def _middle(picture: Image.Image, width: int, height: int) -> Image.Image:
    """The middle of a picture, with black around it where it is smaller."""
    left, top = int(0.5 * (picture.width - width)), int(0.5 * (picture.height - height))
    return picture.crop((left, top, left + width, top + height))


def pixels(picture: Picture, settings: dict) -> np.ndarray:
    """What the network is given for `picture`: `(height, width, 3)` bytes."""
    opened = picture if isinstance(picture, Image.Image) else open_image(picture)
    return np.asarray(resized(opened.convert("RGB"), settings))


class Predictor:
    """The model saved in a folder, ready to answer.

    `vocab` is the list of labels, `threshold` the probability below which it is not sure,
    `manifest` all that was saved about it. Several threads may ask the same `Predictor`.
    """

    def __init__(self, folder: Path | str) -> None:
        """Read and check the model in `folder`; raises `DeployError` saying why it is refused."""
        self.manifest = read_manifest(folder)
        self.vocab: list[str] = self.manifest["vocab"]
        self.threshold: float = self.manifest["threshold"]
        content = read_checked(folder, GRAPH, self.manifest)
        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = min(os.cpu_count() or 1, MAX_THREADS)
        # Threads that wait by spinning are quicker by little, and take the cores from others.
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        options.log_severity_level = 3  # errors only: what is wrong is raised, in a sentence
        try:
            self._session = onnxruntime.InferenceSession(
                content, options, providers=["CPUExecutionProvider"]
            )
        except Exception as error:  # ONNX Runtime has an exception class for each way to fail
            raise DeployError(f"{GRAPH} is no model that ONNX Runtime can load.") from error
        settings = self.manifest["input"]
        height, width = settings.get("crop", settings["size"])
        ports = [*self._session.get_inputs(), *self._session.get_outputs()]
        if [port.shape[1:] for port in ports] != [[height, width, 3], [len(self.vocab)], []]:
            raise DeployError(
                f"{GRAPH} does not fit the manifest: it should take pictures of {width} by "
                f"{height} pixels and give {len(self.vocab)} probabilities; {AGAIN}."
            )

    def predict(self, pictures: Iterable[Picture]) -> list[Prediction]:
        """What each picture shows: opened pictures, bytes of files, or paths; in their order.

        Raises `ImageError`, with a sentence, at the first that is no usable picture.
        """
        if isinstance(pictures, Picture):
            raise DeployError("predict takes a list of pictures: put [ ] around a single one.")
        prepared = (pixels(picture, self.manifest["input"]) for picture in pictures)
        answers: list[Prediction] = []
        while batch := list(islice(prepared, BATCH)):
            probabilities, distances = self._session.run(None, {"pixels": np.stack(batch)})
            answers += map(self._prediction, probabilities, distances)
        return answers

    def _prediction(self, row: np.ndarray, distance: np.floating) -> Prediction:
        probabilities = {label: float(p) for label, p in zip(self.vocab, row, strict=True)}
        (first, p), (second, q) = sorted(probabilities.items(), key=lambda pair: -pair[1])[:2]
        far = float(distance) / self.manifest["domain"]["limit"]
        sure, in_domain = p >= self.threshold, far <= 1
        if not in_domain:
            known = self.manifest["subject"] or f"any of {', '.join(self.vocab)}"
            sentence = f"This does not look like {known}: {UNLIKE}."
        elif sure:
            sentence = f"{first}, with probability {p:.2f}."
        else:
            sentence = (
                f"Not sure, ask a person: perhaps {first} ({p:.2f}), perhaps {second} ({q:.2f})."
            )
        return Prediction(first, probabilities, sure, in_domain, far, sentence)


def set_threshold(folder: Path | str, value: float) -> None:
    """Below which probability the model of `folder` says "not sure"; kept in its manifest.

    Raises `DeployError` when there is no sound model there, or `value` is not between 0 and 1.
    """
    manifest = read_manifest(folder)
    write_manifest(Path(folder), manifest | {"threshold": round(float(value), 4)})
