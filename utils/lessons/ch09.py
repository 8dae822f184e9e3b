"""Chapter 09: what its curves look like, four faulty trainings, and how long a step takes."""

from collections.abc import Callable, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from fastai.basics import Learner, Recorder
from matplotlib.axes import Axes

from utils.device import timed

BLUE, RED, GREY = "#0072B2", "#D55E00", "#999999"


def rates_and_losses(lrs: Sequence[float], losses: Sequence[float], smooth: list[float]) -> None:
    """The loss of every mini-batch against the rate of its step, and their moving average."""
    curves = pd.DataFrame({"each mini-batch": losses, "moving average": smooth}, index=list(lrs))
    axes = curves.plot(logx=True, style=[".", "-"], color=[GREY, BLUE], figsize=(6, 2.8))
    axes.set(ylim=(1, 3.5), xlabel="learning rate", ylabel="loss")


def rate_and_momentum(recorder: Recorder) -> None:
    """The learning rate over the mini-batches of a training, and beside it the momentum."""
    recorder.plot_sched(figsize=(7, 2.4))
    for axes, name in zip(plt.gcf().axes, ("learning rate", "momentum"), strict=True):
        axes.set(title=name, xlabel="mini-batch", ylabel="")


def one_cycle_and_constant(cycle: Recorder, constant: Recorder) -> None:
    """The training losses of both, smoothed, and a line where one cycle's rate is highest."""
    curves = pd.DataFrame({"constant rate": constant.losses, "one cycle": cycle.losses}).map(float)
    axes = curves.plot(style=[":", "-"], color=[RED, BLUE], figsize=(6, 2.8))
    axes.axvline(np.argmax(cycle.lrs), color=GREY, lw=1, label="highest rate of one cycle")
    axes.set(xlabel="mini-batch", ylabel="training loss")
    axes.legend(loc="lower left", fontsize=8)


@torch.no_grad()
def at_rest(learn: Learner) -> list[float]:
    """Training and validation loss, measured in the same way: on everything, in eval mode."""
    device = learn.dls.device
    model = learn.model.to(device).eval()
    sets = (map(torch.stack, zip(*dl.dataset, strict=True)) for dl in learn.dls)
    return [learn.loss_func(model(x.to(device)), y.to(device)).item() for x, y in sets]


def watched(learn: Learner, epochs: int, lr: float, moments: int = 12) -> pd.DataFrame:
    """Train at a constant rate; both losses at rest, before it and at evenly spaced moments."""
    learn.create_opt()
    learn.opt.set_hyper("lr", lr)
    marks = np.linspace(0, epochs * len(learn.dls.train), moments + 1).round()
    rows = [at_rest(learn)]
    batches = (batch for _ in range(epochs) for batch in learn.dls.train)
    for done, (x, y) in enumerate(batches, 1):
        learn.loss_func(learn.model.train()(x), y).backward()
        learn.opt.step()
        learn.opt.zero_grad()
        if done in marks:
            rows.append(at_rest(learn))
    return pd.DataFrame(rows, columns=["training", "validation"])


def losses_at_rest(curve: pd.DataFrame, axes: Axes | None = None) -> None:
    """Training and validation loss, epoch by epoch, told apart by colour, line and mark."""
    axes = axes or plt.subplots(figsize=(6, 2.8))[1]
    curve.plot(ax=axes, style=["o-", "s--"], ms=3, color=[BLUE, RED])
    axes.set(xlabel="epochs done", ylabel="loss", ylim=(0, 1.08 * curve.to_numpy().max()))
    axes.legend(loc="lower left")


FAULTS = {
    "A": ("too many epochs", "training falls on, validation turns and rises"),
    "B": ("rate too low", "both creep down and have hardly moved"),
    "C": ("rate too high", "a first fall, then both stay high and jump"),
    "D": ("too few epochs", "both are still falling fast when it stops"),
}


def four_trainings(learner: Callable, few: tuple, fast: Callable) -> dict[str, pd.DataFrame]:
    """A curve for each letter; `few`: digits, some labels wrong; `fast`: a bolder optimiser."""
    return {
        "A": watched(learner(x=few[0], y=few[1]), 30, 3e-3),
        "B": watched(learner(), 8, 2e-5),
        "C": watched(learner(opt_func=fast), 8, 0.4),
        "D": watched(learner(), 1, 1e-3),
    }


def four_curves(curves: dict[str, pd.DataFrame]) -> None:
    """Four pairs of losses, from the beginning of each training to its end, however long it was."""
    _, places = plt.subplots(2, 2, figsize=(7.5, 4.8), layout="constrained")
    for axes, (letter, curve) in zip(places.flat, curves.items(), strict=True):
        losses_at_rest(curve, axes)
        axes.legend().set_visible(letter == "B")
        axes.set(title=letter, xlabel="")
        axes.set_xticks([0, len(curve) - 1], ["beginning", "end"])


def seconds_a_step(learn: Learner, times: int = 3) -> float:
    """The quickest of so many steps on one mini-batch: other programs only make it slower."""
    x, y = learn.dls.one_batch()
    model = learn.model.to(x.device).train()
    return timed(lambda: learn.loss_func(model(x), y).backward(), times)[1]
