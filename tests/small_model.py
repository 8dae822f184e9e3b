"""A learner of three breeds that several test files use: real, small, and trained once."""

import logging
from functools import cache
from pathlib import Path

import safetensors.torch
from fastai.vision.all import (
    CategoryBlock,
    DataBlock,
    ImageBlock,
    Learner,
    RandomSplitter,
    Resize,
    aug_transforms,
    error_rate,
    get_image_files,
    set_seed,
    vision_learner,
)

from utils.app.manifest import FORMAT, WEIGHTS
from utils.app.save import save_model
from utils.data import dataset
from utils.models import efficientnet_lite0
from utils.paths import course_cache, file_lock

# The exporter logs its every step, and pytest would keep it all.
logging.getLogger("torch.__trace").disabled = True

BREEDS = ("Bengal", "Siamese", "pug")


def breed(file: Path) -> str:
    """The label, from the file's name."""
    return file.name.rpartition("_")[0]


def some_pictures(_: Path | None = None) -> list[Path]:
    """Sixteen of each breed, as the sample has them."""
    files = sorted(get_image_files(dataset("pets") / "images"))
    return [file for name in BREEDS for file in [f for f in files if breed(f) == name][:16]]


def untrained(item_tfms=None, batch_tfms=None, **options) -> Learner:
    """A learner with a pretrained body and a head of random numbers."""
    set_seed(0, reproducible=True)
    block = DataBlock(
        (ImageBlock, CategoryBlock), get_items=some_pictures, get_y=breed,
        splitter=RandomSplitter(0.25, seed=0), item_tfms=item_tfms or Resize(96, "squish"),
        batch_tfms=aug_transforms() if batch_tfms is None else batch_tfms,
    )  # fmt: skip
    arch = options.pop("arch", efficientnet_lite0)
    return vision_learner(block.dataloaders(None, bs=12), arch, metrics=error_rate, **options)


@cache
def small_learner() -> Learner:
    """The model that `small_model` saved, with its pictures."""
    learn = untrained()
    safetensors.torch.load_model(learn.model, small_model() / WEIGHTS)
    return learn


@cache
def small_model() -> Path:
    """One frozen epoch: its answers are neither even nor all certain. Made once for all workers.

    Copy the folder before you change anything in it.
    """
    folder = course_cache() / f"small-model-{FORMAT}"
    with file_lock(folder.with_suffix(".lock")):
        if not folder.exists():
            learn = untrained()
            with learn.no_bar(), learn.no_logging():
                learn.fit_one_cycle(1, 1e-3)
            save_model(learn, folder, subject="a cat or a dog")
    return folder
