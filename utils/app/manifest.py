"""`manifest.json`: what a saved model is, readable by people, checked before anything is loaded."""

import hashlib
import json
import math
from pathlib import Path

from PIL import Image

from utils.common import CourseError

NAME = "manifest.json"
WEIGHTS = "model.safetensors"  # the parameters, for PyTorch
GRAPH = "model.onnx"  # parameters and calculation, for ONNX Runtime
KIND = "whole-game model"
FORMAT = 1  # goes up by one when an older course could not read what is written
AGAIN = "save the model again with save_model(learn, folder)"

# What must be there, and as what. Everything else in a manifest is for people only.
FIELDS = {
    "architecture": str, "vocab": list, "subject": (str, type(None)), "input": dict,
    "threshold": (int, float), "domain": dict, "metrics": dict, "pictures": int, "files": dict,
}  # fmt: skip
INPUT_FIELDS = {"size": list, "method": str, "pad_mode": str, "resample": str}
# fastai's names for how a picture is resized, and NumPy's for what surrounds one that is padded.
METHODS = ("squish", "crop", "pad")
PAD_MODES = {"zeros": "constant", "border": "edge", "reflection": "reflect"}
# A manifest and the files it lists belong together by these; the files hold a hash of them.
BOUND = ("architecture", "vocab", "input")


class DeployError(CourseError):
    """A saved model that cannot be used, or a learner that cannot be saved."""


def fingerprint(manifest: dict) -> str:
    """A hash of what the parameters mean nothing without: architecture, vocabulary, input."""
    bound = {name: manifest[name] for name in BOUND}
    return hashlib.sha256(json.dumps(bound, sort_keys=True).encode()).hexdigest()


def sha256(content: bytes) -> str:
    """The fingerprint of a file's bytes: one changed bit gives another."""
    return hashlib.sha256(content).hexdigest()


def write_manifest(folder: Path, manifest: dict) -> None:
    """Write `manifest.json` whole or not at all."""
    scratch = folder / f".{NAME}.part"
    text = json.dumps(manifest, indent=1, ensure_ascii=False)
    scratch.write_text(text + "\n", encoding="utf-8")
    scratch.replace(folder / NAME)


def _parsed(folder: Path) -> dict:
    try:
        manifest = json.loads((folder / NAME).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DeployError(
            f"There is no {NAME} in {folder.name}, so it holds no model of this course: {AGAIN}."
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        raise DeployError(f"{NAME} cannot be read ({type(error).__name__}): {AGAIN}.") from error
    if not isinstance(manifest, dict) or manifest.get("kind") != KIND:
        raise DeployError(f"This {NAME} was not written by this course: {AGAIN}.")
    return manifest


def _has(fields: dict, values: dict) -> bool:
    return all(
        name in values and isinstance(values[name], kind) and not isinstance(values[name], bool)
        for name, kind in fields.items()
    )


def _is_sound(manifest: dict) -> bool:
    """Whether everything that will be relied on is there and of its kind."""
    if not _has(FIELDS, manifest) or not _has(INPUT_FIELDS, manifest["input"]):
        return False
    settings = manifest["input"]
    sizes = [settings["size"], settings.get("crop") or [1, 1]]
    sides = [side for size in sizes for side in size]
    limit = manifest["domain"].get("limit")
    return (
        len(manifest["vocab"]) > 1
        and all(isinstance(label, str) for label in manifest["vocab"])
        and len(sides) == 4
        and all(isinstance(side, int) and 0 < side <= 2048 for side in sides)
        and settings["method"] in METHODS
        and settings["pad_mode"] in PAD_MODES
        and settings["resample"].upper() in Image.Resampling.__members__
        and isinstance(limit, (int, float))
        and not math.isnan(limit)
        and 0 <= manifest["threshold"] <= 1
    )


def read_manifest(folder: Path | str) -> dict:
    """The manifest of the model in `folder`, checked; raises `DeployError` saying what is wrong."""
    folder = Path(folder)
    manifest = _parsed(folder)
    version = manifest.get("format")
    if isinstance(version, int) and version > FORMAT:
        raise DeployError(
            f"This model was saved by a newer version of the course (format {version}; this one "
            f"reads up to {FORMAT}): update the course."
        )
    if version != FORMAT or not _is_sound(manifest):
        raise DeployError(f"{NAME} has been damaged or changed: {AGAIN}.")
    return manifest


def read_checked(folder: Path | str, name: str, manifest: dict) -> bytes:
    """The bytes of one of the model's files, if they are those that were saved.

    Reading once and checking what was read leaves no moment in which the file could be swapped.
    Raises `DeployError` for a missing, cut-off or changed file.
    """
    listed = manifest["files"].get(name)
    if not isinstance(listed, dict):
        raise DeployError(f"{NAME} lists no {name}: {AGAIN}.")
    try:
        content = Path(folder, name).read_bytes()
    except OSError as error:
        raise DeployError(f"{name} cannot be read ({error.strerror}): {AGAIN}.") from error
    if len(content) != listed.get("bytes"):
        raise DeployError(
            f"{name} has {len(content):,} bytes, and {NAME} says {listed.get('bytes')}: "
            "it was cut short or replaced; copy the folder again, or " + AGAIN + "."
        )
    if sha256(content) != listed.get("sha256"):
        raise DeployError(
            f"{name} is not the file that was saved (its SHA-256 differs from the one in {NAME}): "
            "copy the folder again, or " + AGAIN + "."
        )
    return content


def check_fingerprint(manifest: dict, found: str | None, name: str) -> None:
    """Refuse a manifest whose vocabulary, input or architecture were changed after saving."""
    if found != fingerprint(manifest):
        raise DeployError(
            f"{NAME} and {name} do not belong together: the architecture, the vocabulary or the "
            f"input settings were changed after saving; {AGAIN}."
        )


def set_threshold(folder: Path | str, value: float) -> None:
    """Below which probability the model of `folder` says "not sure"; kept in its manifest.

    Raises `DeployError` when there is no sound model there, or `value` is not between 0 and 1.
    """
    folder = Path(folder)
    manifest = read_manifest(folder)
    if not 0 <= value <= 1:
        raise DeployError(f"A threshold is a probability, from 0 to 1; this is {value}.")
    write_manifest(folder, manifest | {"threshold": round(float(value), 4)})
