"""A trained learner as a folder of three files that run no code when they are read."""

import math
import platform
import tempfile
import warnings
from collections.abc import Callable
from datetime import date
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
import safetensors
import safetensors.torch
import torch
from fastai.data.transforms import Normalize
from fastai.learner import Learner
from fastai.losses import CrossEntropyLossFlat, LabelSmoothingCrossEntropyFlat
from fastai.vision import models
from fastai.vision.augment import RandomResizedCrop, Resize
from fastai.vision.learner import create_vision_model
from PIL import Image
from torch import Tensor, nn
from torch.nn import functional as F

from utils.app.manifest import (
    AGAIN,
    GRAPH,
    MANIFEST,
    WEIGHTS,
    DeployError,
    read_checked,
    read_manifest,
    sha256,
    write_manifest,
)
from utils.app.predictor import Predictor, pixels
from utils.common import made_whole
from utils.models import efficientnet_lite0, pretrained_body

# A manifest names an architecture; these are the names that are understood, and nothing else is.
ARCHITECTURES: dict[str, Callable[..., nn.Module]] = {
    arch.__name__: arch
    for arch in (efficientnet_lite0, models.resnet18, models.resnet34, models.resnet50)
}
AGREEMENT = 1e-4  # how far a probability of the app may be from the learner's
PASSES = 0.97  # share of the validation pictures that are within the domain's limit
NEIGHBOURS = 10  # more than there are strangers among the pictures learned from, in most sets
BATCH = 8
PACKAGES = ("torch", "fastai", "timm", "onnx", "onnxruntime", "pillow")


class LargestAndMean(nn.Module):
    """What fastai's `AdaptiveConcatPool2d(1)` gives; PyTorch 2.11 cannot export that to ONNX."""

    def forward(self, x: Tensor) -> Tensor:
        """`(n, channels, height, width)` → `(n, 2 * channels, 1, 1)`."""
        return torch.cat([x.amax((-2, -1), keepdim=True), x.mean((-2, -1), keepdim=True)], 1)


class Served(nn.Module):
    """What the app runs: from the bytes of resized pictures to probabilities and a distance.

    Dividing by 255 and normalising are inside, so that no app can forget or repeat them.

    The distance tells whether a picture resembles those learned from: one less the cosine between
    features, 0 to 1, averaged over the nearest neighbours. Sun et al. 2022, "Out-of-Distribution
    Detection with Deep Nearest Neighbors" (arXiv 2204.06507), with the mean of k neighbours in
    place of the k-th. The features are those of the pretrained body as it comes. After training on
    a few hundred pictures of three classes they no longer serve: the network has learned to see
    those classes in everything. On the course's bears (limit for 97 of 100 exam pictures) the
    trained body's features stop 54 % of the pictures of no bear, and the untrained body's all.
    """

    def __init__(self, model: nn.Module, settings: dict[str, Any], known: list[np.ndarray]) -> None:
        """`model` takes normalised pictures and gives logits; `known`, those learned from, are
        `(height, width, 3)` bytes each.
        """
        super().__init__()
        self.model, self.body = model, pretrained_body()
        self.mean, self.std = (torch.tensor(settings[n]).view(1, 3, 1, 1) for n in ("mean", "std"))
        self.neighbours = min(NEIGHBOURS, len(known))
        batches = torch.from_numpy(np.stack(known)).permute(0, 3, 1, 2).split(BATCH)
        self.known = torch.cat([self.features(batch.float() / 255) for batch in batches])

    def features(self, x: Tensor) -> Tensor:
        """`(n, 3, height, width)` floats from 0 to 1 → `(n, f)` features of length 1."""
        return F.normalize(self.body(2 * x - 1).mean((2, 3)), dim=1)

    def forward(self, pixels: Tensor) -> tuple[Tensor, Tensor]:
        """`(n, height, width, 3)` bytes → `(n, labels)` probabilities, `(n,)` distances."""
        x = pixels.permute(0, 3, 1, 2).float() / 255
        cosines = self.features(x) @ self.known.T
        distances = 1 - cosines.topk(self.neighbours, dim=1).values.mean(1)
        return self.model((x - self.mean) / self.std).softmax(1), distances


def input_settings(learn: Learner) -> dict[str, Any]:
    """How `learn` prepares a picture for validation: size, the way there, mean and deviation.

    What else is done to a picture, `save_model` notices when it compares the answers.
    """
    settings: dict[str, Any] = {}
    for transform in [*learn.dls.valid.after_item.fs, *learn.dls.valid.after_batch.fs]:
        if isinstance(transform, (Resize, RandomResizedCrop)):
            size = [int(side) for side in reversed(transform.size)]  # fastai's has the width first
            settings |= {"size": size, "resample": Image.Resampling(transform.mode).name.lower()}
        if isinstance(transform, Resize):
            settings |= {"method": str(transform.method), "pad_mode": str(transform.pad_mode)}
        elif isinstance(transform, RandomResizedCrop):
            # For validation, it squishes to somewhat more than the size and takes the middle.
            more = math.ceil(max(size) * transform.val_xtra / 8) * 8
            settings |= {"crop": size, "size": [side + more for side in size], "method": "squish"}
        elif isinstance(transform, Normalize):
            settings |= {n: getattr(transform, n).flatten().tolist() for n in ("mean", "std")}
    padded = settings.get("method") == "pad" and settings["pad_mode"] != "zeros"
    if padded or not {"size", "mean"} <= settings.keys():
        raise DeployError(
            "This learner needs Resize and Normalize among its transforms, and where Resize pads, "
            "pad_mode=PadMode.Zeros: the app can repeat no other way."
        )
    return settings


def _check_learner(learn: Learner) -> None:
    if not len(learn.dls.train_ds) or not len(learn.dls.valid_ds):
        raise DeployError(
            "This learner has no pictures to measure the model on (load_learner brings none): "
            "save the learner that was trained."
        )
    if not isinstance(learn.loss_func, (CrossEntropyLossFlat, LabelSmoothingCrossEntropyFlat)):
        raise DeployError(
            f"This learner has the loss {type(learn.loss_func).__name__}; one that can be saved "
            "chooses one of several labels (CrossEntropyLossFlat)."
        )


def _check_folder(folder: Path) -> None:
    """What is replaced may only be a model of ours, and must be where one can write."""
    try:
        folder.parent.mkdir(parents=True, exist_ok=True)
        tempfile.TemporaryFile(dir=folder.parent).close()
    except OSError as error:
        raise DeployError(
            f"Nothing can be written to {folder.parent} ({error.strerror}): make it writable, give "
            "save_model another folder, or set COURSE_HOME to one."
        ) from error
    there = {file.name for file in folder.iterdir()} if folder.is_dir() else set()
    there -= {".DS_Store"}  # which macOS leaves everywhere
    if there - {MANIFEST, WEIGHTS, GRAPH} or folder.is_file():
        raise DeployError(
            f"{folder.name or folder} is not a model's folder, and would be replaced: "
            "give save_model the name of a new folder."
        )


def _network(manifest: dict[str, Any], tensors: dict[str, Tensor]) -> nn.Module:
    """The architecture that `manifest` names, with `tensors`, which must fit one for one."""
    name = manifest["architecture"]
    if name not in ARCHITECTURES:
        known = ", ".join(ARCHITECTURES)
        raise DeployError(
            f"The architecture {name!r} is not known here: give vision_learner one of {known}."
        )
    model = create_vision_model(ARCHITECTURES[name], len(manifest["vocab"]), pretrained=False)
    try:
        model.load_state_dict(tensors)
    except RuntimeError as error:
        raise DeployError(
            f"The model does not fit the architecture {name}: other layers, or other shapes."
        ) from error
    model[1][0] = LargestAndMean()
    return model.eval()


def _graph(served: Served, settings: dict[str, Any]) -> bytes:
    """`served` as an ONNX file, for any number of pictures at once."""
    side = settings.get("crop", settings["size"])
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's, about its own insides
        program: Any = torch.onnx.export(
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
    return model.SerializeToString()


@torch.no_grad()
def save_model(
    learn: Learner,
    folder: Path | str,
    metrics: dict[str, float] | None = None,
    threshold: float = 0.8,
    subject: str | None = None,
) -> Path:
    """Save `learn` to `folder`: `manifest.json`, `model.safetensors` and `model.onnx`.

    `metrics` are what it was measured with, for people who read the manifest; below `threshold`
    the app says "not sure"; `subject` ("a bear") is what a picture of something else does not look
    like. A model that was in `folder` is replaced once the new files have been checked: on every
    picture of the validation set the app must agree with the learner. Raises `DeployError` for a
    learner that the app cannot repeat.
    """
    folder = Path(folder).resolve()
    _check_learner(learn)
    _check_folder(folder)
    arch = getattr(learn, "arch", None)
    manifest: dict[str, Any] = {
        "saved": date.today().isoformat(),
        "architecture": getattr(arch, "__name__", arch),
        "vocab": [str(label) for label in learn.dls.vocab],
        "subject": subject,
        "threshold": threshold,
        "pictures": len(learn.dls.valid_ds),
        "versions": {"python": platform.python_version()} | {p: version(p) for p in PACKAGES},
    }
    state = {name: tensor.cpu().contiguous() for name, tensor in learn.model.state_dict().items()}
    state = {name: t.float() if t.is_floating_point() else t for name, t in state.items()}
    model = _network(manifest, state)
    manifest["input"] = settings = input_settings(learn)
    train, valid = (learn.dls.test_dl(dl.items, num_workers=0) for dl in learn.dls)
    served = Served(model, settings, [pixels(row[0], settings) for row in train.dataset])
    files = {WEIGHTS: safetensors.torch.save(state), GRAPH: _graph(served, settings)}
    manifest |= {
        "metrics": dict(metrics or {}),
        "domain": {"limit": 1.0},
        "files": {name: sha256(content) for name, content in files.items()},
    }
    with made_whole(folder) as new:
        new.mkdir()
        for name, content in files.items():
            (new / name).write_bytes(content)
        write_manifest(new, manifest)
        answers = Predictor(new).predict(row[0] for row in valid.dataset)
        expected = torch.cat([model(batch[0].cpu().float()).softmax(1) for batch in valid])
        found = torch.tensor([list(answer.probabilities.values()) for answer in answers])
        worst = (found - expected).abs().max().item()
        if not worst <= AGREEMENT:
            raise DeployError(
                f"The app's answers differ from the learner's by up to {worst:.1e} in "
                "probability: it cannot repeat how this learner prepares pictures. Leave out "
                "transforms of your own, give the size to Resize in item_tfms and not to "
                "aug_transforms(size=…), and train again."
            )
        limit = np.quantile([answer.distance for answer in answers], PASSES, method="higher")
        # never below the picture it stands for, nor 0 where that one is among those learned from
        manifest["domain"]["limit"] = max(1, math.ceil(limit * 1e4)) / 1e4
        write_manifest(new, manifest)
    return folder


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
    return _network(manifest, tensors)
