"""Chapter 05: counts with their intervals, pictures of a model in the world, a made-up rollout."""

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from fastai.vision.all import PILImage, show_images
from matplotlib.axes import Axes
from PIL import Image
from scipy.stats import binom, binomtest

from utils.images import open_image

BLUE = "#0072B2"
LOOKS = [(BLUE, "-", "o"), ("#D55E00", "--", "s"), ("#009E73", "-.", "^"), ("#CC79A7", ":", "D")]


def counted(flags: pd.Series, by: pd.Series) -> pd.DataFrame:
    """How many of `flags` are true in each group, their share, and its interval (95 %, Wilson)."""
    rows = flags.astype(int).groupby(by, sort=False, observed=True).agg(["sum", "size"])
    bounds = [binomtest(*row).proportion_ci(method="wilson") for row in rows.to_numpy().tolist()]
    rows["share"], rows["from"], rows["to"] = rows["sum"] / rows["size"], *zip(*bounds, strict=True)
    return rows.rename(columns={"sum": str(flags.name), "size": "of"})


def finish(place: Axes, **words: Any) -> None:
    """Label and show what was drawn."""
    place.set(**words)
    place.legend(fontsize=8)
    plt.show()


def points_with_intervals(groups: Mapping[str, pd.DataFrame], at: str | None = None) -> None:
    """The shares of `counted`, with their intervals, side by side or each `at` a column's value."""
    place = plt.subplots(figsize=(6.8, 3), layout="constrained")[1]
    for (name, rows), (color, line, mark) in zip(groups.items(), LOOKS, strict=False):
        look: dict[str, Any] = {"fmt": mark + line if at else mark, "color": color, "label": name}
        reach = [rows["share"] - rows["from"], rows["to"] - rows["share"]]
        place.errorbar(rows[at] if at else rows.index, rows.share, yerr=reach, capsize=3, **look)
    if at:
        place.axline((0.5, 0.5), slope=1, color="black", lw=1, label="one as large as the other")
    place.tick_params(axis="x", labelsize=8)
    what = next(iter(groups.values())).columns[0]
    finish(place, ylim=(0, 1.02), xlabel=at or "", ylabel=f"share {what}")


def gallery(files: Sequence[Path | Image.Image], words: Sequence[str]) -> None:
    """Pictures in rows of four, each with its words over it."""
    pictures = [open_image(file) if isinstance(file, Path) else file for file in files]
    rows, small = -(-len(files) // 4), [picture.resize((128, 128)) for picture in pictures]
    show_images(small, rows, 4, words, figsize=(7, 2.1 * rows), layout="constrained")
    for place in plt.gcf().axes:
        place.title.set_fontsize(8)
        place.set_axis_off()


def curves(table: pd.DataFrame, across: str, up: str, level: float | None = None) -> None:
    """A line for each column of `table`, and a thin one at `level`."""
    place = plt.subplots(figsize=(6.5, 2.8), layout="constrained")[1]
    for name, (color, line, mark) in zip(table, LOOKS, strict=False):
        look = line + mark if len(table) < 20 else line
        place.plot(table[name], look, color=color, lw=2, label=name)
    if level is not None:
        place.axhline(level, color="black", lw=1)
    finish(place, xlabel=across, ylabel=up, ylim=0)


def coverage_curve(ordered: pd.DataFrame) -> None:
    """The error among the answered against their share, with its interval as a band."""
    place = plt.subplots(figsize=(6.5, 2.8), layout="constrained")[1]
    counts = enumerate(ordered.wrong.cumsum().tolist(), start=1)
    bounds = [binomtest(wrong, of).proportion_ci(method="wilson") for of, wrong in counts]
    low, high = zip(*bounds, strict=True)
    place.fill_between(ordered.coverage, low, high, alpha=0.2, color=BLUE, label="its interval")
    place.plot(ordered.coverage, ordered.error, color=BLUE, lw=2, label="error among those")
    finish(place, xlim=(0, 1), ylim=(0, 0.3), xlabel="coverage: share that the model answers")


def as_seen(file: Path, pixels: int = 160, moved: int = 1) -> PILImage:
    """A picture from a camera of few pixels, or of something that moves while it is taken."""
    small = open_image(file).resize((160, 160)).resize((pixels, pixels)).resize((160, 160))
    shifted = [np.roll(np.asarray(small), k, axis=1) for k in range(moved)]
    return PILImage.create(np.mean(shifted, axis=0).astype(np.uint8))


def rollout(sites: Sequence[int], really: float, checked: int = 30) -> pd.DataFrame:
    """A thousand made-up rollouts of a model planned with 2 % wrong, a row a day.

    On each day so many sites act on its answers, 10 pictures each, of which the share `really` is
    wrong. People check `checked` pictures a day, and stop it all once so many are wrong that one
    in a thousand would bring as many if all were as planned. `running`: the share not stopped yet;
    `acted on`: the wrong answers acted on so far, the mean.
    """
    rng, days = np.random.default_rng(5), np.arange(1, len(sites) + 1)
    found = rng.binomial(checked, really, (1000, len(sites))).cumsum(1)
    running = np.minimum.accumulate(binom.sf(found - 1, checked * days, 0.02) >= 0.001, axis=1)
    wrong = rng.binomial(10 * np.array(sites), really, running.shape) * running
    return pd.DataFrame({"running": running.mean(0), "acted on": wrong.cumsum(1).mean(0)}, days)
