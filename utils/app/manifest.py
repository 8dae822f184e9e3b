"""`manifest.json`: what a saved model is, readable by people, checked before anything is loaded."""

import hashlib
import json
from pathlib import Path
from typing import Any

from PIL import Image

from utils.common import CourseError, write_whole

MANIFEST = "manifest.json"
WEIGHTS = "model.safetensors"  # the parameters, for PyTorch
GRAPH = "model.onnx"  # parameters and calculation, for ONNX Runtime
KIND = "whole-game model"
FORMAT = 1  # goes up by one when an older course could not read what is written
AGAIN = "save the model again with save_model(learn, folder)"

# fastai's names for what surrounds a picture that is padded, and NumPy's.
PAD_MODES: dict[str, Any] = {"zeros": "constant", "border": "edge", "reflection": "reflect"}


class DeployError(CourseError):
    """A saved model that cannot be used, or a learner that cannot be saved."""


def sha256(content: bytes) -> str:
    """The hash of a file's bytes: one changed bit gives another."""
    return hashlib.sha256(content).hexdigest()


def fingerprint(manifest: dict[str, Any]) -> str:
    """A hash of what the parameters mean nothing without; the model's two files hold it too."""
    bound = {name: manifest[name] for name in ("architecture", "vocab", "input")}
    return sha256(json.dumps(bound, sort_keys=True).encode())


def write_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    """Write `manifest.json` whole or not at all."""
    write_whole(folder / MANIFEST, json.dumps(manifest, indent=1, ensure_ascii=False) + "\n")


def _is_sound(manifest: Any) -> bool:
    """Whether all that will be relied on is there and of its kind; the rest is for people only."""
    try:
        settings, vocab, threshold = manifest["input"], manifest["vocab"], manifest["threshold"]
        sides = [*settings["size"], *settings.get("crop", settings["size"])]
        hashes = [manifest["files"][name]["sha256"] for name in (WEIGHTS, GRAPH)]
        texts = [manifest["architecture"], manifest["subject"] or "", *vocab, *hashes]
        return (
            (manifest["kind"], manifest["format"]) == (KIND, FORMAT)
            and all(isinstance(text, str) for text in texts)
            and len(set(vocab)) == len(vocab) > 1
            and len(sides) == 4
            and all(isinstance(side, int) and 0 < side <= 2048 for side in sides)
            and settings["method"] in ("squish", "crop", "pad")
            and settings["pad_mode"] in PAD_MODES
            and settings["resample"].upper() in Image.Resampling.__members__
            and (0 <= threshold <= 1 and threshold is not True)
            and manifest["domain"]["limit"] > 0
        )
    except (AttributeError, KeyError, TypeError):
        return False


def read_manifest(folder: Path | str) -> dict[str, Any]:
    """The manifest of the model in `folder`, checked; raises `DeployError` saying what is wrong."""
    folder = Path(folder)
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except OSError as error:
        raise DeployError(
            f"There is no {MANIFEST} in {folder.name} that can be read ({error.strerror}): {AGAIN}."
        ) from error
    except (ValueError, RecursionError):
        manifest = None
    match manifest:
        case {"kind": str(kind), "format": int(version)} if kind == KIND and version > FORMAT:
            raise DeployError(
                f"This model was saved by a newer version of the course (format {version}; this "
                f"one reads up to {FORMAT}): update the course."
            )
    if not _is_sound(manifest):
        raise DeployError(
            f"{MANIFEST} was not written by this course, or has been damaged or changed: {AGAIN}."
        )
    return manifest


def read_checked(folder: Path | str, name: str, manifest: dict[str, Any]) -> bytes:
    """The bytes of one of the model's files, if they are those that were saved.

    Reading once and checking what was read leaves no moment in which the file could be swapped.
    Raises `DeployError` for a missing, cut-off or changed file.
    """
    try:
        content = Path(folder, name).read_bytes()
    except OSError as error:
        raise DeployError(f"{name} cannot be read ({error.strerror}): {AGAIN}.") from error
    if sha256(content) != manifest["files"][name]["sha256"]:
        raise DeployError(
            f"{name} is not the file that was saved (its SHA-256 differs from the one in "
            f"{MANIFEST}): copy the folder again, or {AGAIN}."
        )
    return content


def check_fingerprint(manifest: dict[str, Any], found: str | None, name: str) -> None:
    """Refuse a manifest whose vocabulary, input or architecture were changed after saving."""
    if found != fingerprint(manifest):
        raise DeployError(
            f"{MANIFEST} and {name} do not belong together: the architecture, the vocabulary or "
            f"the input settings were changed after saving; {AGAIN}."
        )
