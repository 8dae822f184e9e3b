"""A trained learner as a folder of three files that run no code when they are read."""

import json
import math
import platform
import tempfile
import warnings
from collections.abc import Callable
from datetime import date
from importlib.metadata import version
from pathlib import Path

import numpy as np
import onnx
import safetensors
import safetensors.torch
import torch
from fastai.data.load import DataLoader
from fastai.learner import Learner
from fastai.losses import CrossEntropyLossFlat, LabelSmoothingCrossEntropyFlat
from fastai.vision import models
from fastai.vision.learner import create_vision_model
from torch import Tensor, nn

from utils.app.domain import PASSES, Domain
from utils.app.manifest import (
    AGAIN,
    FORMAT,
    GRAPH,
    KIND,
    NAME,
    WEIGHTS,
    DeployError,
    check_fingerprint,
    fingerprint,
    read_checked,
    read_manifest,
    sha256,
    write_manifest,
)
from utils.app.predictor import Prediction, Predictor, pixels
from utils.app.settings import input_settings
from utils.models import efficientnet_lite0

# A manifest names an architecture; these are the names that are understood, and nothing else is.
ARCHITECTURES: dict[str, Callable[..., nn.Module]] = {
    arch.__name__: arch
    for arch in (efficientnet_lite0, models.resnet18, models.resnet34, models.resnet50)
}
AGREEMENT = 1e-4  # how far a probability of the app may be from the learner's
PACKAGES = ("torch", "fastai", "timm", "onnx", "onnxruntime", "pillow")


class Served(nn.Module):
    """What the app runs: from the bytes of resized pictures to probabilities and a distance.

    Dividing by 255 and normalising are inside, so that no app can forget or repeat them.
    """

    def __init__(self, model: nn.Module, settings: dict, domain: Domain) -> None:
        """`model` takes normalised pictures and gives logits."""
        super().__init__()
        self.model, self.domain = model, domain
        for name in ("mean", "std"):
            self.register_buffer(name, torch.tensor(settings[name]).view(1, 3, 1, 1))

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """`(n, height, width, 3)` bytes → `(n, labels)` probabilities, `(n,)` distances."""
        x = pixels.permute(0, 3, 1, 2).float() / 255
        return self.model((x - self.mean) / self.std).softmax(1), self.domain(x)


# --- what a learner is -----------------------------------------------------------------------


def _architecture(learn: Learner) -> str:
    arch = getattr(learn, "arch", None)
    name = getattr(arch, "__name__", str(arch))
    if ARCHITECTURES.get(name) is not arch:
        raise DeployError(
            f"This learner's architecture is {name}; one that can be saved comes from "
            f"vision_learner with {', '.join(ARCHITECTURES)}."
        )
    return name


def _check_learner(learn: Learner) -> None:
    if not len(learn.dls.train_ds) or not len(learn.dls.valid_ds):
        raise DeployError(
            "This learner has no pictures to measure the model on (load_learner brings none): "
            "save the learner that was trained."
        )
    if not isinstance(learn.loss_func, (CrossEntropyLossFlat, LabelSmoothingCrossEntropyFlat)):
        name = type(learn.loss_func).__name__
        raise DeployError(
            f"Only a learner that chooses one of several labels can be saved; this one has {name}."
        )


def _measured(learn: Learner) -> dict[str, float]:
    """The loss and metrics of `learn` on its validation set, by name."""
    with learn.no_bar(), learn.no_logging():
        values = learn.validate()
    names = ["valid_loss", *(metric.name for metric in learn.metrics)]
    return {name: round(float(value), 4) for name, value in zip(names, values, strict=True)}


def _state(model: nn.Module) -> dict[str, Tensor]:
    """The parameters on the CPU, in 32-bit floats."""
    tensors = {name: t.detach().cpu().contiguous() for name, t in model.state_dict().items()}
    return {name: t.float() if t.is_floating_point() else t for name, t in tensors.items()}


def _described(learn: Learner, threshold: float, subject: str | None) -> dict:
    return {
        "kind": KIND,
        "format": FORMAT,
        "saved": date.today().isoformat(),
        "architecture": _architecture(learn),
        "vocab": [str(label) for label in learn.dls.vocab],
        "subject": subject,
        "input": input_settings(learn),
        "threshold": threshold,
        "pictures": len(learn.dls.valid_ds),
        "versions": {"python": platform.python_version()} | {p: version(p) for p in PACKAGES},
    }


# --- networks --------------------------------------------------------------------------------


def _built(manifest: dict) -> nn.Module:
    """The architecture of `manifest`, with random parameters."""
    name = manifest["architecture"]
    if name not in ARCHITECTURES:
        known = ", ".join(ARCHITECTURES)
        raise DeployError(f"The architecture {name!r} is not known here; there are: {known}.")
    return create_vision_model(ARCHITECTURES[name], len(manifest["vocab"]), pretrained=False)


def _filled(model: nn.Module, tensors: dict[str, Tensor], what: str) -> nn.Module:
    """`model` with `tensors` as parameters, in eval mode; they must fit one for one."""
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        raise DeployError(
            f"{what} does not fit the architecture it names: other layers, or other shapes."
        ) from error
    return model.eval()


@torch.no_grad()
def _probabilities(model: nn.Module, loader: DataLoader) -> Tensor:
    """`(n, labels)` for the pictures of `loader`, in 32-bit floats on the CPU."""
    batches = (batch[0].cpu().float().as_subclass(Tensor) for batch in loader)
    return torch.cat([model(x).softmax(1) for x in batches])


# --- the folder ------------------------------------------------------------------------------


def _graph(served: Served, side: list[int], stamp: str) -> bytes:
    """`served` as an ONNX file, for any number of pictures at once."""
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's, about its own insides
        program = torch.onnx.export(
            served.eval(),
            (torch.zeros(2, *side, 3, dtype=torch.uint8),),
            input_names=["pixels"],
            output_names=["probabilities", "distance"],
            dynamic_shapes=({0: torch.export.Dim("pictures", min=1, max=4096)},),
            verbose=False,
        )
    model = program.model_proto
    for node in model.graph.node:
        del node.metadata_props[:]  # which lines of which files of this machine it comes from
    onnx.helper.set_model_props(model, {"fingerprint": stamp})
    onnx.checker.check_model(model)
    return model.SerializeToString()


def _write(folder: Path, manifest: dict, files: dict[str, bytes]) -> None:
    for name, content in files.items():
        (folder / name).write_bytes(content)
    listed = {name: {"sha256": sha256(c), "bytes": len(c)} for name, c in files.items()}
    write_manifest(folder, manifest | {"files": listed})


def _check_target(folder: Path) -> None:
    """What is replaced may only be a model of ours, and must be where one can write."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder.parent).close()
    except OSError as error:
        raise DeployError(
            f"Nothing can be written to {folder.parent} ({error.strerror}): make it writable, give "
            "save_model another folder, or set COURSE_HOME to one."
        ) from error
    if not folder.exists():
        return
    ours = (NAME, WEIGHTS, GRAPH)
    others = [f.name for f in folder.iterdir() if f.name not in ours] if folder.is_dir() else [""]
    if others:
        raise DeployError(
            f"{folder.name or folder} is not a model's folder, and would be replaced: "
            "give save_model the name of a new folder."
        )


def _replace(folder: Path, new: Path) -> None:
    if folder.exists():
        folder.rename(new.with_name("old"))
    new.rename(folder)


def save_model(
    learn: Learner,
    folder: Path | str,
    metrics: dict[str, float] | None = None,
    threshold: float = 0.8,
    subject: str | None = None,
) -> Path:
    """Save `learn` to `folder`: `manifest.json`, `model.safetensors` and `model.onnx`.

    `metrics` are the figures it was measured with on its validation set (without them it is
    measured now); below `threshold` the app says "not sure"; `subject` ("a bear") is what a
    picture of something else does not look like. A model that was in `folder` is replaced once
    the new files have been checked: on every picture of the validation set the app must agree
    with the learner. Raises `DeployError` for a learner that the app could not repeat.
    """
    folder = Path(folder).resolve()
    _check_learner(learn)
    manifest = _described(learn, threshold, subject)
    _check_target(folder)
    state = _state(learn.model)
    model = _filled(_built(manifest), state, "This learner's model")
    manifest["metrics"] = _measured(learn) if metrics is None else dict(metrics)
    train, valid = (learn.dls.test_dl(dl.items, num_workers=0) for dl in learn.dls)
    domain = Domain([pixels(row[0], manifest["input"]) for row in train.dataset])
    manifest["domain"] = domain.described()
    served = Served(model, manifest["input"], domain)
    side, stamp = manifest["input"].get("crop") or manifest["input"]["size"], fingerprint(manifest)
    files = {
        WEIGHTS: safetensors.torch.save(state, {"fingerprint": stamp}),
        GRAPH: _graph(served, side, stamp),
    }
    with tempfile.TemporaryDirectory(dir=folder.parent, prefix=".saving-") as scratch:
        new = Path(scratch, "new")
        new.mkdir()
        _write(new, manifest, files)
        answers = Predictor(new).predict(row[0] for row in valid.dataset)
        manifest["agreement"] = _agreement(answers, _probabilities(model, valid))
        manifest["domain"]["limit"] = _limit(answers)
        _write(new, manifest, files)
        _replace(folder, new)
    return folder


def _agreement(answers: list[Prediction], expected: Tensor) -> float:
    """The largest difference between a probability of the app and the learner's own."""
    found = torch.tensor([list(answer.probabilities.values()) for answer in answers])
    worst = (found - expected).abs().max().item()
    if not worst <= AGREEMENT:
        raise DeployError(
            f"The app's answers differ from the learner's by up to {worst:.1e} in probability, "
            f"more than {AGREEMENT:.0e}, so nothing was saved."
        )
    return float(f"{worst:.1e}")


def _limit(answers: list[Prediction]) -> float:
    """The distance within which the agreed share of the validation pictures lies."""
    limit = np.quantile([answer.distance for answer in answers], PASSES, method="higher")
    return math.ceil(limit * 1e4) / 1e4  # never below the picture it stands for


def load_model(folder: Path | str) -> nn.Module:
    """The network saved in `folder`, in eval mode, on the CPU: normalised floats in, logits out.

    Nothing in the folder is run: the manifest names an architecture, which is built from code
    that is here, and filled. Raises `DeployError` for a file that is changed, cut short, foreign
    or newer than this course, or that does not fit.
    """
    manifest = read_manifest(folder)
    content = read_checked(folder, WEIGHTS, manifest)
    try:
        tensors = safetensors.torch.load(content)
    except safetensors.SafetensorError as error:
        raise DeployError(f"{WEIGHTS} is no safetensors file ({error}): {AGAIN}.") from error
    header = json.loads(content[8 : 8 + int.from_bytes(content[:8], "little")])
    check_fingerprint(manifest, header.get("__metadata__", {}).get("fingerprint"), WEIGHTS)
    return _filled(_built(manifest), tensors, WEIGHTS)
