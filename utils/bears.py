"""The bear model: the recipe of chapter 04, for whatever needs one that is trained."""

from pathlib import Path

import fastai.callback.schedule  # noqa: F401 (it gives a Learner its fine_tune)
from fastai.data.block import CategoryBlock, DataBlock
from fastai.data.transforms import GrandparentSplitter, parent_label
from fastai.learner import Learner
from fastai.metrics import error_rate
from fastai.torch_core import set_seed
from fastai.vision.augment import Resize, ResizeMethod, aug_transforms
from fastai.vision.data import ImageBlock
from fastai.vision.learner import vision_learner

from utils.datasets import presized
from utils.images import usable_images
from utils.models import efficientnet_lite0
from utils.workspace import train_valid

SIZE, EPOCHS, SEED = 160, 2, 42


def bear_block() -> DataBlock:
    """How a folder with `train/<class>/` and `valid/<class>/` becomes batches."""
    return DataBlock(
        blocks=(ImageBlock, CategoryBlock),
        get_items=usable_images,
        splitter=GrandparentSplitter(),
        get_y=parent_label,
        item_tfms=Resize(SIZE, ResizeMethod.Squish),
        batch_tfms=aug_transforms(),
    )


def bear_learner(path: Path | None = None, seed: int = SEED) -> Learner:
    """A learner of `path` with a pretrained body, and a head that knows nothing yet.

    `path` has `train/<class>/` and `valid/<class>/`; without it, `train_valid("bears")`. Large
    photos are made smaller once; prints which files were left out.
    """
    set_seed(seed, reproducible=True)
    dls = bear_block().dataloaders(presized(path or train_valid("bears")), bs=16)
    return vision_learner(dls, efficientnet_lite0, metrics=error_rate)


def train_bears(path: Path | None = None, seed: int = SEED) -> Learner:
    """`bear_learner`, trained for one frozen and two full epochs: half a minute on two cores."""
    learn = bear_learner(path, seed)
    learn.fine_tune(EPOCHS)
    return learn
