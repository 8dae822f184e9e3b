"""Chapter 11: pictures of its made-up worlds, the slider of the exponent, a campsite's season."""

from collections.abc import Callable, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
from ipywidgets import FloatSlider, interactive

from utils.widgets.base import show_widget

BLUE, ORANGE, GREEN, GREY = "#0072B2", "#D55E00", "#009E73", "0.75"
SMALLEST = 1e-4  # smaller p-values are drawn here
HEED = 0.95  # share of warnings that guests act on while none has been false
LATE = 0.1  # share of bears that are at the tents before a ranger has looked at the picture


def hits_and_one_city(hits: pd.Series, record: np.ndarray) -> None:
    """Left, the hit rate month by month; right, the districts of the first city at the end."""
    _, (left, right) = plt.subplots(1, 2, figsize=(7, 2.7), layout="constrained")
    left.plot(hits, color=BLUE, lw=2, label="arrests where it pointed")
    left.axhline(0.15, color="black", lw=1, ls="--", label="crime there, in truth")
    left.set(xlabel="month", ylabel="share", ylim=(0, 1.45), yticks=[0, 0.5, 1])
    left.legend(fontsize=8, loc="upper left")
    districts = np.sort(record[0] / record[0].sum())[::-1]
    right.bar(range(1, len(districts) + 1), districts, color=BLUE)
    right.axhline(1 / len(districts), color="black", lw=1, ls="--")
    right.set(xlabel="district, most arrests first", ylabel="share of all arrests", ylim=(0, 1))
    right.set_title("one of the cities, after five years", fontsize=9)


def exponent_slider(five_years: Callable[[float], tuple[pd.Series, np.ndarray]]) -> None:
    """A slider from 0 to 2.5 that shows what `five_years(exponent)` gives."""

    def show(exponent: float) -> None:
        hits, record = five_years(exponent)
        print(f"Exponent {exponent:g}: after five years {hits.iloc[-1]:.2f}, where 0.15 is true.")
        hits_and_one_city(hits, record)

    slider = FloatSlider(value=1, max=2.5, step=0.25, continuous_update=False)
    twin = "A slider stands here when the cell is run; the table below has four of its places."
    show_widget(interactive(show, exponent=slider), twin)


def line_up(worlds: Sequence[tuple[np.ndarray, np.ndarray]], slope: Callable) -> None:
    """Scatter plots, numbered, each with its line."""
    fig, axes = plt.subplots(2, 4, figsize=(7, 3.6), sharex=True, sharey=True, layout="constrained")
    for number, (ax, (x, y)) in enumerate(zip(axes.flat, worlds, strict=True), 1):
        ax.scatter(x, y, s=4, color=BLUE)
        ax.axline((x.mean(), y.mean()), slope=slope(x, y), color=ORANGE)
        ax.set_title(f"{number}", fontsize=9)
    fig.supxlabel("mean temperature (degrees)", fontsize=9)
    fig.supylabel("transmission", fontsize=9)


def slopes_of_chance(by_chance: np.ndarray, claim: float) -> None:
    """How many worlds have which slope; those at least as far from zero as the claim stand out."""
    steep = by_chance[abs(by_chance) >= abs(claim)]
    _, ax = plt.subplots(figsize=(6.5, 2.6))
    bins = ax.hist(by_chance, 60, color=GREY, label="less steep")[1]
    label = f"at least as steep: {len(steep):,} of {len(by_chance):,}"
    ax.hist(steep, bins.tolist(), color=ORANGE, hatch="////", label=label)
    ax.axvline(claim, color="black", ls="--", label="the claim")
    ax.set(xlabel="slope in a world without any relation", ylabel="worlds")
    ax.legend(fontsize=8)


def studies_by_size(studies: pd.DataFrame, too_small: float) -> None:
    """Left, the p-value of each study; right, slope and interval of the first of each size."""
    _, (left, right) = plt.subplots(1, 2, figsize=(7, 2.9), layout="constrained")
    left.scatter(studies.cities, studies.p.clip(lower=SMALLEST), s=14, alpha=0.6, color=BLUE)
    left.axhline(0.05, color="black", lw=1, ls="--")
    left.set(xscale="log", yscale="log", xlabel="cities", ylabel="p-value", ylim=(6e-5, 1.6))
    left.set_yticks([SMALLEST, 0.001, 0.01, 0.05, 1], ["≤ 0.0001", "0.001", "0.01", "0.05", "1"])
    first = studies.drop_duplicates("cities")
    right.errorbar(first.cities, first.slope, yerr=first.half, fmt="o", capsize=3, color=BLUE)
    right.axhspan(-too_small, too_small, color=GREEN, alpha=0.2, label="too small to matter")
    right.set(xscale="log", xlabel="cities", ylabel="slope, with its interval")
    right.legend(fontsize=8)


def slopes_beside(alone: Sequence[float], beside: Sequence[float], claim: float) -> None:
    """Slopes of many worlds, fitted with temperature alone and with humidity beside it."""
    slopes = pd.DataFrame({"temperature alone": alone, "with humidity beside it": beside})
    ax = slopes.plot.hist(bins=60, alpha=0.6, color=[ORANGE, BLUE], figsize=(6.5, 2.6))
    ax.axvline(claim, color="black", ls="--", label="the claim")
    ax.set(xlabel="slope of temperature", ylabel="worlds")
    ax.legend(fontsize=8, loc="upper right")


def sold_anyway_and_added(sold: pd.DataFrame) -> None:
    """A bar for each recommender: what would have been bought anyway, and what it added."""
    ax = sold[["anyway", "added"]].plot.barh(stacked=True, figsize=(6.5, 2.2), color=[GREY, BLUE])
    plt.setp(ax.containers[1], hatch="//", edgecolor="white", lw=0)
    ax.set(xlabel="share of the books shown that are bought", ylabel="put highest by")
    ax.legend(fontsize=8)
    ax.invert_yaxis()


def over_thresholds(column: str, label: str, **seasons: pd.DataFrame) -> None:
    """A line for each table of seasons, and a dot where it is lowest."""
    lines = pd.DataFrame({name.replace("_", " "): rows[column] for name, rows in seasons.items()})
    ax = lines.plot(style=["-", "--", ":"], color=[BLUE, ORANGE, GREEN], lw=2, figsize=(6.5, 2.6))
    ax.plot(lines.idxmin(), lines.min(), "o", color="black")
    ax.set(xlabel="threshold of the siren", ylabel=label, ylim=0)
    plt.show()  # before the table that the same cell gives


def season(
    threshold: float, quality: float = 2.0, ranger: bool = False, weary: float = 28.0, seed: int = 0
) -> dict[str, float]:
    """What a summer with a bear warning brings a campsite: the mean of 200 summers, all made up.

    On each of 120 nights 20 things set off the cameras, one in a hundred of them a bear. A picture
    gets a score: normal, standard deviation 1, mean 0 without a bear and `quality` with one. Above
    `threshold` the siren sounds; with `ranger`, a person looks first, never wrong but a tenth of
    the time too late. `weary` false alarms in a week bring the share of sirens that guests act on
    down to a third. Returns `error` (share of pictures judged wrong), `looks` (pictures over the
    threshold, a night) and `met` (bears, a season, that came to tents without anyone heeding).
    """
    rng = np.random.default_rng(seed)
    bear = rng.random((200, 120, 20)) < 0.01
    over = rng.normal(quality * bear) > threshold
    in_time = rng.random(bear.shape) >= LATE
    siren = over & bear & in_time if ranger else over
    false = (siren & ~bear).sum(2).cumsum(1)
    week = false - np.pad(false, ((0, 0), (7, 0)))[:, :120]
    heeded = siren & (rng.random(bear.shape) < HEED * np.exp(-week / weary)[:, :, None])
    met = (bear & ~heeded).sum((1, 2)).mean()
    looks = over.sum((1, 2)).mean() / 120
    return {"error": float((over != bear).mean()), "looks": float(looks), "met": float(met)}
