"""Chapter 07: a table, who is asked about an animal, the ratings' truth, and the drawings."""

import random
import warnings
from collections import namedtuple
from collections.abc import Iterable, Sequence
from functools import cache
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from fastai.vision.all import L, Learner, Resize, get_image_files, show_images
from matplotlib.colors import to_rgba_array
from matplotlib.patches import Patch
from PIL import Image
from torch import Tensor

from utils.data import dataset, dataset_or_sample, resolve_source
from utils.models import pretrained_body, seen_by

BODY = cache(pretrained_body)  # made once
CUT = -9  # what is left of the body ends at an eighth of the picture's size, with 40 channels
COLOURS = to_rgba_array(["#D55E00", "#0072B2", "#F0E442", "#CC79A7", "#D9D9D9", "#009E73",
                         "#56B4E9", "#000000", "#8C8C8C"])  # fmt: skip
KINDS = ["Cat", "Dog", "Bear"]
STREET = "Bicyclist Car Child MotorcycleScooter OtherMoving Pedestrian SUVPickupTruck Truck_Bus"

# A table of the course: which column is to be predicted, and from which others.
Table = namedtuple("Table", "name target categories numbers")
PENGUINS = Table(
    "penguins", "sex", ("species", "island"),
    ("bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g"),
)  # fmt: skip
ADULT = Table(
    "adult", "salary",
    ("workclass", "education", "marital-status", "occupation", "relationship", "race"),
    ("age", "fnlwgt", "education-num"),
)  # fmt: skip


def open_table() -> tuple[pd.DataFrame, Table]:
    """The penguins for the sample or where there is no `adult`, else that; what to predict."""
    # fastai makes tensors of pandas' columns, which pandas 3 hands out read-only; it only reads.
    warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
    folder = dataset_or_sample("penguins" if resolve_source() == "sample" else "adult", "penguins")
    table = PENGUINS if (folder / "penguins.csv").exists() else ADULT
    return pd.read_csv(folder / f"{table.name}.csv", skipinitialspace=True), table


def to_find(codes: Sequence[str]) -> list[int]:
    """The numbers of the classes to be found: the animals, or what moves on CamVid's streets."""
    wanted = KINDS if "Bear" in codes else STREET.split()
    return [number for number, code in enumerate(codes) if code in wanted]


def portraits(seed: int) -> tuple[list[Image.Image], list[str]]:
    """100 pictures each of cats, dogs and bears, from other sets of the course; and which."""
    pets = get_image_files(dataset("pets", "sample") / "images")
    bears = get_image_files(dataset("bears_exam", "sample"))
    cats = [file for file in pets if file.name[0].isupper()]
    heaps = cats, set(pets) - set(cats), [file for file in bears if "teddy" not in file.name]
    dice = random.Random(seed)
    chosen = [file for heap in heaps for file in dice.sample(sorted(heap), 100)]
    return [Image.open(file).convert("RGB") for file in chosen], np.repeat(KINDS, 100).tolist()


def close_up(picture: Path, region: np.ndarray) -> Image.Image:
    """The square around a region of a picture, all grey outside of the region."""
    down, across = np.nonzero(region)
    pixels = np.where(region[..., None], np.array(Image.open(picture).convert("RGB")), 128)
    half = 0.575 * max(int(np.ptp(down)), int(np.ptp(across)), 8)
    x, y = (across.min() + across.max()) / 2, (down.min() + down.max()) / 2
    box = np.array([x - half, y - half, x + half, y + half]).astype(int).tolist()
    return Image.fromarray(pixels.astype(np.uint8)).crop(box)


def features(pictures: Iterable[Image.Image]) -> np.ndarray:
    """What the pretrained body gives for pictures of any size: 1,280 numbers for each."""
    way = Resize(128, "squish", resamples=(Image.Resampling.BICUBIC, 0))
    return seen_by(BODY(), pictures, way).numpy()


def everybody_and_every_film(learn: Learner, path: Path) -> pd.DataFrame:
    """What `learn` guesses for each person and film, who rated it, and the truth, if known."""
    rows = pd.read_csv(path / "ratings.csv").set_index(["userId", "movieId"])
    pairs = pd.MultiIndex.from_product(rows.index.levels, names=rows.index.names)
    table = pd.DataFrame({"rated": pairs.isin(rows.index), "true": np.nan}, pairs).reset_index()
    if (path / "tastes.csv").exists():
        tastes = pd.read_csv(path / "tastes.csv").set_index(["kind", "id"])
        person = tastes.loc["user"].loc[table.userId].to_numpy()  # bias, action, comedy
        film = tastes.loc["film"].loc[table.movieId].to_numpy()
        match = (person[:, 1:] * film[:, 1:]).sum(1)
        table["true"] = (3.3 + person[:, 0] + film[:, 0] + match).clip(0.5, 5)
    with learn.no_bar():
        return table.assign(guessed=learn.get_preds(dl=learn.dls.test_dl(table))[0].ravel())


def masks_in_colour(files: Sequence[Path], codes: Sequence[str], **masks: Any) -> None:
    """The pictures, and below each its masks, a row for each; what is to be found is named."""
    rows = {name: [np.asarray(mask) for mask in row] for name, row in masks.items()}
    colours = COLOURS[np.arange(len(codes)) % len(COLOURS)]
    size = (2 * len(files) + 1.2, 1.6 * (len(rows) + 1))
    figure, axes = plt.subplots(len(rows) + 1, len(files), figsize=size, layout="constrained")
    for place, file in zip(axes[0], files, strict=True):
        place.imshow(Image.open(file))
    for line, (name, row) in zip(axes, {"picture": [], **rows}.items(), strict=True):
        line[0].set_ylabel(name.replace("_", " "))
        for place, mask in zip(line, row, strict=False):
            place.imshow(colours[mask], interpolation="nearest")
            for number in to_find(codes):
                down, across = np.nonzero(mask == number)
                if len(down) > 150:
                    middle = np.median(across), np.median(down)
                    place.text(*middle, codes[number], ha="center", bbox={"fc": "w", "pad": 1})
    plt.setp(axes, xticks=[], yticks=[])
    seen = np.unique([mask for row in rows.values() for mask in row])
    patches = [Patch(fc=colours[number], ec="grey", label=codes[number]) for number in seen]
    figure.legend(handles=patches, loc="outside right center", fontsize=8)


def noses_found(files: Sequence[Path], heat: Tensor, true: Tensor, ours: Tensor) -> None:
    """Pictures with the nose (ring) and the answer (cross), and below each its heat map."""
    _, axes = plt.subplots(2, len(files), figsize=(8, 4.2), layout="constrained")
    for column, file, spots, nose, answer in zip(axes.T, files, heat, true, ours, strict=True):
        column[0].imshow(Image.open(file).resize((112, 112)))
        column[1].imshow(spots ** (1 / 3), cmap="magma", extent=(-0.5, 111.5, 111.5, -0.5))
        column[0].plot(*answer, "x", color="#56B4E9", ms=8, mew=2)
        for place in column:
            place.plot(*nose, "o", color="white", fillstyle="none", ms=14, mew=1.5)
            place.set_axis_off()
        column[0].set_title(f"{(nose - answer).norm():.0f} pixels off", fontsize=9)


def labels_below(files: Sequence[Path], due: Iterable[str], given: Iterable[str]) -> None:
    """Pictures, each with the labels that are due and those that the model gave."""
    titles = [f"due: {right}\ngiven: {ours}" for right, ours in zip(due, given, strict=True)]
    show_images(L(files).map(Image.open), titles=titles, figsize=(8, 2.3), layout="constrained")
    plt.setp([place.title for place in plt.gcf().axes], size=7)


def stretched_sigmoid(low: float, high: float) -> None:
    """Stars over the score of a model, with a range and without one."""
    scores = np.linspace(-6, 6, 61)
    inside = low + (high - low) / (1 + np.exp(-scores))
    curves = pd.DataFrame({"without a range": scores, f"y_range=({low}, {high})": inside}, scores)
    place = curves.plot(style=["--", "-"], color=["#0072B2", "#D55E00"], figsize=(6, 2.6))
    place.set(ylim=(-2, 7), xlabel="score", ylabel="stars")
