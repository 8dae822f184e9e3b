"""`make bench`: our recipe against fastai's defaults, in one run, on the same pictures.

Seconds differ from machine to machine and from minute to minute; the ratios are what counts, so
each round trains every recipe once, one after the other, and the ratios are taken within a round.
"""

import argparse
import statistics
import tempfile
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

import torch
from fastai.callback.channelslast import ChannelsLast
from fastai.vision.all import (
    Callback,
    ImageDataLoaders,
    Learner,
    Resize,
    defaults,
    error_rate,
    get_image_files,
    resnet34,
    set_seed,
    vision_learner,
)
from PIL import Image

from utils.datasets import dataset, presized
from utils.device import machine, use_device
from utils.models import efficientnet_lite0

LARGE = 500  # pixels on the longer side, as the public pet photos have


@dataclass(frozen=True)
class Recipe:
    """One way to train: what differs between the rows of the table."""

    name: str
    arch: Callable
    size: int
    presize: bool
    channels_last: bool
    batch: int = 64  # fastai's own
    workers: int | None = None  # None: what fastai chooses by itself
    bfloat16: bool = False


class CpuBfloat16(Callback):
    """Forward passes in 16-bit floats on the CPU; fastai's own `MixedPrecision` is for CUDA."""

    def before_batch(self) -> None:
        """Enter autocast for one batch."""
        self.context = torch.autocast("cpu", dtype=torch.bfloat16)
        self.context.__enter__()

    def after_loss(self) -> None:
        """Leave it before the backward pass, as PyTorch's documentation asks."""
        self.context.__exit__(None, None, None)


OURS = Recipe("ours", efficientnet_lite0, 160, True, True, batch=16, workers=0)
DEFAULTS = Recipe("fastai defaults, resnet34", resnet34, 224, presize=False, channels_last=False)
SAME_BODY = Recipe(
    "fastai defaults, our body", efficientnet_lite0, 224, presize=False, channels_last=False
)
STEPS = [
    Recipe("ours, not presized", efficientnet_lite0, 160, False, True, 16, 0),
    Recipe("ours, default layout", efficientnet_lite0, 160, True, False, 16, 0),
    Recipe("ours, 1 worker", efficientnet_lite0, 160, True, True, 16, 1),
    Recipe("ours, 2 workers", efficientnet_lite0, 160, True, True, 16, 2),
    Recipe("ours, bfloat16", efficientnet_lite0, 160, True, True, 16, 0, bfloat16=True),
    Recipe("resnet34, all else ours", resnet34, 160, True, True, 16, 0),
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
    defaults.callbacks = [cb for cb in ours[0] if cb is not ChannelsLast]
    defaults.cpus = machine().cores
    try:
        yield
    finally:
        defaults.callbacks, defaults.cpus = ours


def learner(recipe: Recipe, folder: Path, seed: int) -> Learner:
    """A learner as `recipe` has it. `pretrained` only where the weights come as a package."""
    set_seed(seed)
    path = presized(folder / "images") if recipe.presize else folder / "images"
    dls = ImageDataLoaders.from_name_func(
        path, get_image_files(path), valid_pct=0.2, seed=seed, label_func=is_cat,
        item_tfms=Resize(recipe.size), bs=recipe.batch, num_workers=recipe.workers,
    )  # fmt: skip
    extra = [ChannelsLast] if recipe.channels_last else []
    extra += [CpuBfloat16] if recipe.bfloat16 else []
    packaged = recipe.arch is efficientnet_lite0
    return vision_learner(
        dls, recipe.arch, metrics=error_rate, pretrained=packaged, cbs=[cb() for cb in extra]
    )


def train(recipe: Recipe, folder: Path, seed: int) -> tuple[float, float]:
    """Seconds per epoch, and the error, after one frozen and one full epoch."""
    with fastai_defaults():
        learn = learner(recipe, folder, seed)
        with learn.no_bar(), learn.no_logging():
            began = time.perf_counter()
            learn.fine_tune(1)
            seconds = (time.perf_counter() - began) / 2
    return seconds, learn.recorder.values[-1][-1]


def main() -> None:
    """Print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rounds", type=int, default=1, help="how often each recipe trains")
    parser.add_argument("--steps", action="store_true", help="also each step of ours by itself")
    options = parser.parse_args()
    use_device()
    recipes = [OURS, DEFAULTS, SAME_BODY] + (STEPS if options.steps else [])
    rows = {recipe.name: [] for recipe in recipes}
    with tempfile.TemporaryDirectory() as scratch:
        folder = enlarged(dataset("pets"), Path(scratch, "pets"))
        presized(folder / "images")  # once, as for a learner; the epochs are what is compared
        train(OURS, folder, 0)  # not counted: the first training in a process is slower
        for seed in range(options.rounds):
            for recipe in recipes:
                rows[recipe.name].append(train(recipe, folder, seed))
                print(f"round {seed + 1}: {recipe.name}, {rows[recipe.name][-1][0]:.1f} s/epoch")
    report(rows)


def report(rows: dict[str, list[tuple[float, float]]]) -> None:
    """One line per recipe: how many times as long as ours an epoch takes, and its error."""
    print(f"{'recipe':28} {'s/epoch':>8} {'times ours':>11} {'error':>7}")
    for name, rounds in rows.items():
        ratios = [mine[0] / ours[0] for mine, ours in zip(rounds, rows[OURS.name], strict=True)]
        seconds, error = (statistics.mean(values) for values in zip(*rounds, strict=True))
        print(f"{name:28} {seconds:8.1f} {statistics.median(ratios):11.2f} {error:7.3f}")
    print("resnet34 starts from random parameters here (its weights need a download), so only its")
    print("time is comparable; 'fastai defaults, our body' is the one to compare errors with.")


if __name__ == "__main__":
    main()
