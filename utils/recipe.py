"""How pictures are trained on: one place decides it from their number and the device."""

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path

from fastai.torch_core import default_device

from utils.splits import SEED, VALID_PCT, fair_split, fitting_batch
from utils.timings import say_seconds

SIZE, BATCH, RATE = 160, 16, 5e-3
ON_A_CARD = 64  # a batch for a graphics card, if there are enough pictures for many of them
LOOKS = 700  # how many pictures the second round shows the network at least, some of them again
MOST_EPOCHS = 6
SECONDS = 0.012  # for a picture and epoch, on two cores; 0.009 where the pages are stored


@dataclass(frozen=True)
class Recipe:
    """How to train: side in pixels, pictures in a batch, epochs, highest rate, what is held out."""

    size: int
    bs: int
    epochs: int
    lr: float
    valid_pct: float = VALID_PCT
    seed: int = SEED


def recipe(
    files: Sequence[Path], label: Callable[[str], object] | None = None, quiet: bool = False
) -> Recipe:
    """The recipe for training on `files`, of which a fifth is held out; prints what it chose.

    Files that stand in `train/<class>/` and `valid/<class>/` are held out as these say. Few
    pictures are shown more often, since a network learns by steps and not by pictures.
    `label` reads a file's name: where a fifth would leave out one of the labels, as with few
    pictures, more is held out; raises `DataError` where that cannot help.
    """
    held = fair_split([label(file.name) for file in files]) if label else {}
    own = sum(file.parent.parent.name == "train" for file in files)
    learned = own or len(files) - int(held.get("valid_pct", VALID_PCT) * len(files))
    epochs = max(1, min(MOST_EPOCHS, round(LOOKS / learned)))
    on_card = default_device().type == "cuda"
    many = on_card and learned >= 20 * ON_A_CARD
    how = Recipe(SIZE, fitting_batch(ON_A_CARD if many else BATCH, learned), epochs, RATE, **held)
    if not quiet:
        again = f"{epochs} epochs" if epochs > 1 else "1 epoch"
        seconds = say_seconds(SECONDS * len(files) * (epochs + 1))
        print(
            f"{len(files)} pictures, at {how.size} pixels, in batches of {how.bs}, "
            f"1 epoch for the head and {again} for the late layers too"
            + ("" if on_card else f": {seconds} on two cores")
        )
    return how
