"""`make bench`: our recipe against fastai's defaults, in one run, on the same pictures.

Seconds differ from machine to machine and from minute to minute; the ratios are what counts, so
each round trains every recipe once, one after the other, and the ratios are taken within a round.
Real photos (`--photos FOLDER`, named as the public pets are) are split in five, each judged once.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass, replace
from pathlib import Path

import joblib
import numpy as np
import timm
from fastai.callback.channelslast import ChannelsLast
from fastai.vision.all import (
    CategoryBlock,
    DataBlock,
    ImageBlock,
    IndexSplitter,
    Learner,
    Resize,
    default_split,
    defaults,
    error_rate,
    get_image_files,
    model_meta,
    resnet34,
    set_seed,
    vision_learner,
)
from PIL import Image
from scipy.stats import binomtest
from torch import nn

from utils.data import dataset
from utils.device import HalfPrecision, use_device
from utils.models import efficientnet_lite0, packaged_weights
from utils.presize import presized
from utils.recipe import Recipe, recipe

LARGE = 500  # pixels on the longer side, as the public pet photos have


@dataclass(frozen=True)
class Way:
    """One way to train: what differs between the rows of the table."""

    name: str
    arch: Callable
    size: int | None = None  # None: what the course's recipe says, as for all below
    batch: int | None = None
    epochs: int | None = None
    lr: float | None = None
    channels_last: bool = True
    presize: bool = True
    workers: int | None = 0  # None: what fastai chooses by itself


def plain_body(pretrained: bool = True) -> nn.Sequential:
    """The same network and weights as any library has them: batch norm of its own, all trained."""
    model = timm.create_model("tf_efficientnet_lite0")
    if pretrained:
        model.load_state_dict(packaged_weights(model))
    return model.as_sequential()


model_meta[plain_body] = model_meta[efficientnet_lite0] | {"split": default_split}
DEFAULT = {"size": 224, "batch": 64, "lr": 2e-3, "channels_last": False, "presize": False,
           "workers": None}  # fmt: skip

OURS = Way("ours", efficientnet_lite0)
DEFAULTS = Way("fastai defaults, our body", plain_body, **DEFAULT)
WAYS = [OURS, DEFAULTS]
STEPS = [
    Way("fastai defaults, resnet34", resnet34, **DEFAULT),
    Way("ours, not presized", efficientnet_lite0, presize=False),
    Way("ours, default layout", efficientnet_lite0, channels_last=False),
    Way("ours, 2 workers", efficientnet_lite0, workers=2),
    Way("ours, every layer and batch norm", plain_body, lr=2e-3),
    Way("ours, 224 pixels", efficientnet_lite0, size=224),
]


def enlarged(pictures: Path, folder: Path) -> Path:
    """The same pictures as large as photos are, so that decoding costs what it costs there."""
    (folder / "images").mkdir(parents=True)
    for file in get_image_files(pictures / "images"):
        with Image.open(file) as picture:
            scale = LARGE / max(picture.size)
            size = tuple(round(side * scale) for side in picture.size)
            large = picture if scale <= 1 else picture.resize(size, Image.Resampling.LANCZOS)
            large.convert("RGB").save(folder / "images" / file.name, quality=92)
    return folder


def is_cat(name: str) -> bool:
    """The label, from the file's name."""
    return name[0].isupper()


@contextmanager
def fastai_defaults() -> Iterator[None]:
    """Take back what `use_device` set."""
    ours = defaults.callbacks, defaults.cpus
    defaults.callbacks = [cb for cb in ours[0] if cb not in (ChannelsLast, HalfPrecision)]
    defaults.cpus = joblib.cpu_count()
    try:
        yield
    finally:
        defaults.callbacks, defaults.cpus = ours


def learner(way: Way, path: Path, split: Callable) -> tuple[Learner, Recipe]:
    """A learner as `way` has it. `pretrained` only where the weights come as a package."""
    files = get_image_files(path).sorted()
    how = recipe(files, quiet=True)
    changed = {"size": way.size, "bs": way.batch, "epochs": way.epochs, "lr": way.lr}
    how = replace(how, **{name: value for name, value in changed.items() if value is not None})
    block = DataBlock(
        (ImageBlock, CategoryBlock),
        splitter=split,
        get_y=lambda file: is_cat(file.name),
        item_tfms=Resize(how.size),
    )
    dls = block.dataloaders(files, bs=min(how.bs, len(split(files)[0])), num_workers=way.workers)
    cbs = [ChannelsLast()] if way.channels_last else []
    if dls.device.type == "cuda" and way is not DEFAULTS:
        cbs.append(HalfPrecision())
    packaged = way.arch is not resnet34
    return vision_learner(dls, way.arch, metrics=error_rate, pretrained=packaged, cbs=cbs), how


def train(way: Way, folder: Path, seed: int, split: Callable) -> tuple[float, int, int]:
    """Seconds per epoch, errors after one frozen round and the full one, and of how many."""
    set_seed(seed)
    with fastai_defaults():
        learn, how = learner(way, presized(folder) if way.presize else folder, split)
        with learn.no_bar(), learn.no_logging():
            began = time.perf_counter()
            learn.fine_tune(how.epochs, how.lr)
            seconds = (time.perf_counter() - began) / (how.epochs + 1)
    judged = len(learn.dls.valid_ds)
    return seconds, round(learn.recorder.values[-1][-1] * judged), judged


def fifth(n: int, count: int, seed: int) -> Callable:
    """A splitter: part `n` of five of `count` pictures, shuffled by `seed`, is held out."""
    order = np.random.default_rng(seed).permutation(count)
    return IndexSplitter(order[n::5].tolist())


def main() -> None:
    """Print a table for the drawn pictures, enlarged, and one for photos if there are any."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=1, help="how often each way trains")
    parser.add_argument("--steps", action="store_true", help="also each step of ours by itself")
    parser.add_argument("--photos", type=Path, help="a folder of photos, named as the pets are")
    options = parser.parse_args()
    use_device()
    ways = WAYS + (STEPS if options.steps else [])
    with tempfile.TemporaryDirectory() as scratch:
        folder = enlarged(dataset("pets"), Path(scratch, "pets")) / "images"
        presized(folder)  # once, as for a learner; the epochs are what is compared
        count = len(get_image_files(folder))
        train(OURS, folder, 0, fifth(0, count, 0))  # not counted: a process's first is slower
        splits = [(seed, fifth(0, count, seed)) for seed in range(options.rounds)]
        report("the drawn pets, enlarged", measured(ways, folder, splits))
    if options.photos:
        presized(options.photos)
        count = len(get_image_files(options.photos))
        splits = [(seed, fifth(n, count, seed)) for seed in range(options.rounds) for n in range(5)]
        report(f"{count} photos", measured(ways, options.photos, splits))


Rows = dict[str, list[tuple[float, int, int]]]


def measured(ways: list[Way], folder: Path, splits: list[tuple[int, Callable]]) -> Rows:
    """What `train` says of every way, split by split, the ways one after the other."""
    rows = {way.name: [] for way in ways}
    for seed, split in splits:
        for way in ways:
            rows[way.name].append(train(way, folder, seed, split))
    return rows


def report(title: str, rows: Rows) -> None:
    """One line per way: how many times as long as ours an epoch takes, and its errors."""
    print(f"{title:34} {'s/epoch':>8} {'times ours':>11} {'wrong':>14}")
    for name, rounds in rows.items():
        ratios = [mine[0] / ours[0] for mine, ours in zip(rounds, rows[OURS.name], strict=True)]
        wrong, judged = sum(r[1] for r in rounds), sum(r[2] for r in rounds)
        low, high = binomtest(wrong, judged).proportion_ci(method="wilson")
        print(
            f"{name:34} {statistics.mean(r[0] for r in rounds):8.1f} "
            f"{statistics.median(ratios):11.2f} {wrong:6} of {judged:<5} "
            f"(95 % interval {low:.3f} to {high:.3f})"
        )


if __name__ == "__main__":
    main()
