"""The bear model: the recipe of chapter 03, trained once on a machine for whatever needs one."""

import hashlib
import inspect
import os
import sys
from pathlib import Path

import fastai
import fastai.callback.schedule  # (it gives a Learner its fine_tune)
import PIL
import timm
import torch
from fastai.data.block import CategoryBlock, DataBlock
from fastai.data.transforms import GrandparentSplitter, parent_label
from fastai.learner import Learner
from fastai.metrics import error_rate
from fastai.torch_core import set_seed
from fastai.vision.augment import Resize, ResizeMethod
from fastai.vision.data import ImageBlock
from fastai.vision.learner import vision_learner
from safetensors import SafetensorError
from safetensors.torch import load_model, save

from utils import models
from utils.common import write_whole
from utils.images import usable_images
from utils.models import efficientnet_lite0
from utils.paths import course_cache, file_lock
from utils.presize import presized
from utils.recipe import recipe
from utils.splits import train_valid

SEED = 1
KEPT = 10  # models of 19 MB, the newest; other pictures, seeds and settings have their own


def bear_learner(path: Path | None = None, seed: int = SEED) -> Learner:
    """A learner of `path` with a pretrained body, and a head that knows nothing yet.

    `path` has `train/<class>/` and `valid/<class>/`; without it, `train_valid("bears")`. Large
    photos are made smaller once; prints which files were left out.
    """
    set_seed(seed, reproducible=True)
    files = usable_images(presized(path or train_valid("bears")))
    how = recipe(files, quiet=True)
    block = DataBlock(
        blocks=(ImageBlock, CategoryBlock),
        splitter=GrandparentSplitter(),
        get_y=parent_label,
        item_tfms=Resize(how.size, ResizeMethod.Squish),
    )
    return vision_learner(
        block.dataloaders(files, bs=how.bs), efficientnet_lite0, metrics=error_rate
    )


def train_bears(path: Path | None = None, seed: int = SEED) -> Learner:
    """`bear_learner`, trained: taken from the cache if the same was trained there before.

    Prints which, and how long training takes. What is random comes out the same either way.
    """
    path = presized(path or train_valid("bears"))
    learn = bear_learner(path, seed)
    file = _place(learn, seed)
    with file_lock(course_cache() / "bears.lock"):  # the second takes the model of the first
        if _is_loaded(learn, file):
            print("The bear model that was trained earlier on these pictures is used.")
        else:
            how = recipe(_pictures(learn))
            learn.fine_tune(how.epochs, how.lr)
            keep_bears(learn, seed)
            learn = bear_learner(path, seed)  # its optimizer has made no step, as when taken
            _is_loaded(learn, file)
    learn.model.to(memory_format=torch.channels_last)  # as training leaves it: 4 times as fast
    return learn


def keep_bears(learn: Learner, seed: int = SEED) -> None:
    """Keep a model that chapter 03 trained on its page, for `train_bears`; the oldest one goes."""
    file = _place(learn, seed)
    file.parent.mkdir(exist_ok=True)
    write_whole(file, save({name: t.contiguous() for name, t in learn.model.state_dict().items()}))
    for old in sorted(file.parent.glob("*.safetensors"), key=os.path.getmtime)[:-KEPT]:
        old.unlink(missing_ok=True)


def _pictures(learn: Learner) -> list[Path]:
    return [*learn.dls.train_ds.items, *learn.dls.valid_ds.items]


def _place(learn: Learner, seed: int) -> Path:
    """Where a model is kept: another name for all that would make it another model."""
    files, device = _pictures(learn), learn.dls.train.device
    parts = [
        *(inspect.getsource(module) for module in (sys.modules[__name__], models)),
        *((file.parts[-3:], hashlib.sha256(file.read_bytes()).digest()) for file in files),
        *(recipe(files, quiet=True), seed, os.environ.get("COURSE_SEED_SHIFT", "0")),
        *(module.__version__ for module in (torch, fastai, timm, PIL)),
        *(device.type, torch.backends.cpu.get_cpu_capability(), torch.get_num_threads()),
        os.environ.get("ONEDNN_MAX_CPU_ISA"),
    ]
    name = hashlib.sha256(repr(parts).encode()).hexdigest()[:16]
    return course_cache() / "bears" / f"{name}.safetensors"


def _is_loaded(learn: Learner, file: Path) -> bool:
    """Fill `learn` from `file`; false if it is not there, or damaged as by a power cut."""
    try:
        load_model(learn.model, file)
    except (FileNotFoundError, SafetensorError):
        return False
    return True
