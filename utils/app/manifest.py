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

# What must be there, and as what. Everything else in a manifest is for people only.
NUMBER = (int, float)
FIELDS = {
    "architecture": str, "vocab": list, "subject": (str, type(None)), "input": dict,
    "threshold": NUMBER, "domain": dict, "files": dict,
}  # fmt: skip
INPUT_FIELDS = {"size": list, "method": str, "pad_mode": str, "resample": str}
# fastai's names for how a picture is resized, and NumPy's for what surrounds one that is padded.
METHODS = ("squish", "crop", "pad")
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


def _has(fields: dict[str, Any], values: dict[str, Any]) -> bool:
    return all(
        name in values and isinstance(values[name], kind) and not isinstance(values[name], bool)
        for name, kind in fields.items()
    )


def _is_sound(manifest: dict[str, Any]) -> bool:
    """Whether everything that will be relied on is there and of its kind."""
    if not _has(FIELDS, manifest) or not _has(INPUT_FIELDS, manifest["input"]):
        return False
    settings, limit = manifest["input"], manifest["domain"].get("limit")
    sides = [*settings["size"], *settings.get("crop", settings["size"])]
    return (
        all(isinstance(label, str) for label in manifest["vocab"])
        and len(set(manifest["vocab"])) == len(manifest["vocab"]) > 1
        and len(sides) == 4
        and all(isinstance(side, int) and 0 < side <= 2048 for side in sides)
        and settings["method"] in METHODS
        and settings["pad_mode"] in PAD_MODES
        and settings["resample"].upper() in Image.Resampling.__members__
        and isinstance(limit, NUMBER)
        and limit > 0
        and 0 <= manifest["threshold"] <= 1
    )


def read_manifest(folder: Path | str) -> dict[str, Any]:
    """The manifest of the model in `folder`, checked; raises `DeployError` saying what is wrong."""
    folder = Path(folder)
    try:
        manifest = json.loads((folder / MANIFEST).read_text(encoding="utf-8"))
    except FileNotFoundError:
        raise DeployError(
            f"There is no {MANIFEST} in {folder.name}, so it holds no model of this course: "
            f"{AGAIN}."
        ) from None
    except (OSError, ValueError, RecursionError) as error:
        reason = type(error).__name__
        raise DeployError(f"{MANIFEST} cannot be read ({reason}): {AGAIN}.") from error
    if not isinstance(manifest, dict) or manifest.get("kind") != KIND:
        raise DeployError(f"This {MANIFEST} was not written by this course: {AGAIN}.")
    version = manifest.get("format")
    if isinstance(version, int) and version > FORMAT:
        raise DeployError(
            f"This model was saved by a newer version of the course (format {version}; this one "
            f"reads up to {FORMAT}): update the course."
        )
    if version != FORMAT or not _is_sound(manifest):
        raise DeployError(f"{MANIFEST} has been damaged or changed: {AGAIN}.")
    return manifest


def read_checked(folder: Path | str, name: str, manifest: dict[str, Any]) -> bytes:
    """The bytes of one of the model's files, if they are those that were saved.

    Reading once and checking what was read leaves no moment in which the file could be swapped.
    Raises `DeployError` for a missing, cut-off or changed file.
    """
    listed = manifest["files"].get(name)
    if not isinstance(listed, dict):
        raise DeployError(f"{MANIFEST} lists no {name}: {AGAIN}.")
    try:
        content = Path(folder, name).read_bytes()
    except OSError as error:
        raise DeployError(f"{name} cannot be read ({error.strerror}): {AGAIN}.") from error
    if sha256(content) != listed.get("sha256"):
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


def set_threshold(folder: Path | str, value: float) -> None:
    """Below which probability the model of `folder` says "not sure"; kept in its manifest.

    Raises `DeployError` when there is no sound model there, or `value` is not between 0 and 1.
    """
    manifest = read_manifest(folder)
    if not 0 <= value <= 1:
        raise DeployError(f"A threshold is a probability, from 0 to 1; this is {value}.")
    write_manifest(Path(folder), manifest | {"threshold": round(float(value), 4)})
