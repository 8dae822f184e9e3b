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
FORMAT = 2  # part of the manifest's hash; goes up by one when what is written changes
AGAIN = "run chapter 04 (or your project.ipynb) down to the export again"


class DeployError(CourseError):
    """A saved model that cannot be used, or a learner that cannot be saved."""


def sha256(content: bytes) -> str:
    """The hash of a file's bytes: one changed bit gives another."""
    return hashlib.sha256(content).hexdigest()


def _hash(manifest: dict[str, Any]) -> str:
    """Of all that the manifest says, the hashes of the model's two files among it."""
    said = {name: value for name, value in manifest.items() if name != "hash"}
    return sha256(json.dumps([FORMAT, said], sort_keys=True).encode())


def write_manifest(folder: Path, manifest: dict[str, Any]) -> None:
    """Write `manifest.json` whole or not at all, with a hash of itself."""
    if not 0 <= manifest["threshold"] <= 1:
        raise DeployError(
            f"A threshold is a probability, from 0 to 1; this is {manifest['threshold']}."
        )
    manifest = manifest | {"hash": _hash(manifest)}
    write_whole(folder / MANIFEST, json.dumps(manifest, indent=1, ensure_ascii=False) + "\n")


def _read(folder: Path | str, name: str) -> bytes:
    try:
        return Path(folder, name).read_bytes()
    except OSError as error:
        where = Path(folder).name
        raise DeployError(
            f"There is no {name} in {where} that can be read ({error.strerror}): {AGAIN}."
        ) from error


def _is_sound(manifest: dict[str, Any]) -> bool:
    """Whether all that is relied on is as it was written and usable: anyone can make the hash."""
    settings, vocab, threshold = manifest["input"], manifest["vocab"], manifest["threshold"]
    sizes = [settings["size"], settings.get("crop", [1, 1])]
    texts = [manifest["architecture"], *vocab, *(manifest["files"][n] for n in (WEIGHTS, GRAPH))]
    return (
        manifest["hash"] == _hash(manifest)
        and all(isinstance(text, str) for text in texts)
        and (isinstance(vocab, list) and len(set(vocab)) == len(vocab) > 1)
        and all(len(size) == 2 for size in sizes)
        and all(isinstance(side, int) and 0 < side <= 2048 for size in sizes for side in size)
        and settings["method"] in ("squish", "crop", "pad")
        and settings["resample"].upper() in Image.Resampling.__members__
        and (0 <= threshold <= 1 and threshold is not True)
        and 0 < manifest["domain"]["limit"] < 3  # (one less a cosine is 2 at most)
    )


def read_manifest(folder: Path | str) -> dict[str, Any]:
    """The manifest of the model in `folder`, checked; raises `DeployError` saying what is wrong."""
    content = _read(folder, MANIFEST)
    try:
        manifest = json.loads(content)
        sound = _is_sound(manifest)
    except (AttributeError, KeyError, TypeError, ValueError, RecursionError):
        sound = False
    if not sound:
        raise DeployError(
            f"{MANIFEST} was not written by this version of the course, or has been damaged or "
            f"changed: {AGAIN}."
        )
    return manifest


def read_checked(folder: Path | str, name: str, manifest: dict[str, Any]) -> bytes:
    """The bytes of one of the model's files, if they are those that were saved.

    Reading once and checking what was read leaves no moment in which the file could be swapped.
    Raises `DeployError` for a missing, cut-off or changed file.
    """
    content = _read(folder, name)
    if sha256(content) != manifest["files"][name]:
        raise DeployError(
            f"{name} is not the file that was saved (its SHA-256 differs from the one in "
            f"{MANIFEST}): copy the folder again, or {AGAIN}."
        )
    return content
