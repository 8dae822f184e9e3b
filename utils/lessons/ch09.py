"""Chapter 09: what its curves look like, four faulty trainings, and how long a step takes."""

import time
from collections.abc import Callable, Sequence

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from fastai.basics import Callback, Learner, Recorder
from matplotlib.axes import Axes
from torch import Tensor, nn

BLUE, RED, GREY = "#0072B2", "#D55E00", "#999999"


def rates_and_losses(lrs: Sequence[float], losses: Sequence[float], smooth: list[float]) -> None:
    """The loss of every mini-batch against the rate of its step, and their moving average."""
    _, axes = plt.subplots(figsize=(6, 2.8), layout="constrained")
    axes.plot(lrs, losses, ".", color=GREY, label="each mini-batch")
    axes.plot(lrs, smooth, color=BLUE, label="moving average")
    axes.set(xscale="log", ylim=(1, 3.5), xlabel="learning rate", ylabel="loss")
    axes.legend(loc="upper left")
    axes.spines[["top", "right"]].set_visible(False)


def rate_and_momentum(recorder: Recorder) -> None:
    """The learning rate over the mini-batches of a training, and beside it the momentum."""
    _, both = plt.subplots(1, 2, figsize=(7, 2.4), layout="constrained")
    names = {"lr": "learning rate", "mom": "momentum"}
    for axes, (name, title) in zip(both, names.items(), strict=True):
        axes.plot(recorder.hps[name], color=BLUE)
        axes.set(title=title, xlabel="mini-batch", ylim=(0, 1.05 * max(recorder.hps[name])))
        axes.spines[["top", "right"]].set_visible(False)


def losses_of(recorder: Recorder) -> np.ndarray:
    """The training loss after every mini-batch, smoothed as the recorder does."""
    return np.array([float(loss) for loss in recorder.losses])


def one_cycle_and_constant(cycle: Recorder, constant: Recorder) -> None:
    """The training losses of both, and a line where one cycle's rate is highest."""
    _, axes = plt.subplots(figsize=(6, 2.8), layout="constrained")
    axes.plot(losses_of(constant), ":", color=RED, label="constant rate")
    axes.plot(losses_of(cycle), color=BLUE, label="one cycle")
    axes.axvline(top := int(np.argmax(cycle.lrs)), color=GREY, lw=1)
    axes.text(top, axes.get_ylim()[1], " highest rate of one cycle", va="top", fontsize=9)
    axes.set(xlabel="mini-batch", ylabel="training loss")
    axes.legend(loc="lower left")
    axes.spines[["top", "right"]].set_visible(False)


class AtRest(Callback):
    """Measure both losses in the same way, at evenly spaced moments and with the model at rest."""

    order, run_valid = 66, False

    def __init__(self, moments: int) -> None:
        """Measure so many times, and once before the first step."""
        self.moments = moments

    def before_fit(self) -> None:
        """Measure what there is before the first step."""
        steps = self.n_epoch * len(self.dls.train)
        self.marks = set(np.linspace(0, steps, self.moments + 1).round()[1:].tolist())
        self.rows = [self._both()]

    def after_batch(self) -> None:
        """Measure when it is time."""
        if self.learn.train_iter in self.marks:
            self.rows.append(self._both())

    @torch.no_grad()
    def _both(self) -> list[float]:
        model, device = self.model.eval(), self.dls.device
        found = []
        for dl in self.dls:
            x, y = (torch.stack(part).to(device) for part in zip(*dl.dataset, strict=True))
            found.append(nn.functional.cross_entropy(model.to(device)(x), y).item())
        model.train()
        return found


def watched(learn: Learner, epochs: int, lr: float, moments: int = 12) -> pd.DataFrame:
    """Train at a constant rate; training and validation loss at rest, from before it to its end."""
    watch = AtRest(moments)
    with learn.no_bar(), learn.no_logging():
        learn.fit(epochs, lr, cbs=watch)
    return pd.DataFrame(watch.rows, columns=["training", "validation"])


def two_losses(axes: Axes, curve: pd.DataFrame) -> None:
    """Training and validation loss, told apart by colour, line and mark."""
    curve.training.plot(ax=axes, style="o-", ms=3, color=BLUE)
    curve.validation.plot(ax=axes, style="s--", ms=3, color=RED)
    axes.set(ylabel="loss", ylim=(0, 1.08 * curve.to_numpy().max()))
    axes.legend(["training", "validation"], loc="lower left")
    axes.spines[["top", "right"]].set_visible(False)


def losses_at_rest(curve: pd.DataFrame) -> None:
    """Both losses, epoch by epoch."""
    _, axes = plt.subplots(figsize=(6, 2.8), layout="constrained")
    two_losses(axes, curve)
    axes.set(xlabel="epochs done")


FAULTS = {
    "A": ("too many epochs", "training falls on, validation turns and rises"),
    "B": ("rate too low", "both creep down and have hardly moved"),
    "C": ("rate too high", "a first fall, then both stay high and jump"),
    "D": ("too few epochs", "both are still falling fast when it stops"),
}


def four_trainings(
    learner: Callable[..., Learner], few: tuple[Tensor, Tensor], fast: Callable
) -> dict[str, pd.DataFrame]:
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
        two_losses(axes, curve)
        axes.legend().set_visible(letter == "B")
        axes.set(title=letter, xticks=[0, len(curve) - 1], xticklabels=["beginning", "end"])


def seconds_a_step(learn: Learner, times: int = 3) -> float:
    """The quickest of so many steps on one mini-batch: other programs only make it slower."""
    x, y = learn.dls.one_batch()
    model, seconds = learn.model.to(x.device).train(), []
    for _ in range(times):
        began = time.perf_counter()
        learn.loss_func(model(x), y).backward()
        float(next(p.grad for p in model.parameters() if p.grad is not None).sum())  # waits for it
        seconds.append(time.perf_counter() - began)
    return min(seconds)
