"""Chapter 07: a table, and where a U-Net is cut."""

import warnings
from typing import NamedTuple

import pandas as pd

from utils.data import dataset_or_sample, resolve_source

# Children left off the end of `efficientnet_lite0` when it is the first half of a U-Net: the
# classifier, as always, and the last three blocks, so that it ends with 112 channels at a
# sixteenth of the picture's size. A U-Net doubles the channels in its middle: with these blocks
# it would have 82 million parameters.
UNET_CUT = -7


class Table(NamedTuple):
    """A table of the course: which column is to be predicted, and from which others."""

    name: str
    file: str
    target: str
    categories: tuple[str, ...]
    numbers: tuple[str, ...]


PENGUINS = Table(
    "penguins", "penguins.csv", "sex", ("species", "island"),
    ("bill_length_mm", "bill_depth_mm", "flipper_length_mm", "body_mass_g"),
)  # fmt: skip
ADULT = Table(
    "adult", "adult.csv", "salary",
    ("workclass", "education", "marital-status", "occupation", "relationship", "race"),
    ("age", "fnlwgt", "education-num"),
)  # fmt: skip


def open_table() -> tuple[pd.DataFrame, Table]:
    """The penguins for the sample, the Adult table for any other data; with what to predict.

    Spaces around words are taken off. Where a folder of your own has no `adult`, the penguins.
    """
    # fastai makes tensors of pandas' columns, which pandas 3 hands out read-only; it only reads.
    warnings.filterwarnings("ignore", message="The given NumPy array is not writable")
    wanted = PENGUINS if resolve_source() == "sample" else ADULT
    folder = dataset_or_sample(wanted.name, PENGUINS.name)
    table = PENGUINS if (folder / PENGUINS.file).exists() else ADULT
    return pd.read_csv(folder / table.file, skipinitialspace=True), table
