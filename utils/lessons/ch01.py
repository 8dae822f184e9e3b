"""Chapter 01: what the frozen body sees, heads trained on that, and a picture of one's own."""

from collections.abc import Iterator, Sequence
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from fastai.vision.all import Learner, PILImage, TfmdDL, default_device, hook_outputs, show_images
from PIL import Image
from scipy.stats import binomtest
from torch import Tensor, nn

from utils.app.dropzone import DropZone
from utils.app.predictor import Prediction
from utils.models import GENERAL
from utils.widgets.base import show_widget

BLUE = "#0072B2"


def ask_for_picture(learn: Learner, names: dict[str, str]) -> None:
    """Show a place for pictures; below it, what `learn` takes each for, read out by `names`."""

    def answer(picture: Image.Image) -> Prediction:
        with learn.no_bar(), learn.no_logging():
            _, number, shares = learn.predict(PILImage.create(picture))
        labels = [names.get(label, label) for label in map(str, learn.dls.vocab)]
        sentence = f"{labels[number]} (probability {shares[number]:.2f})"
        bars = dict(zip(labels, shares.tolist(), strict=True))
        return Prediction(labels[number], bars, True, True, 0.0, sentence)  # sure, in domain

    show_widget(DropZone(answer), "Run this cell (Shift-Enter) to choose a picture of your own.")


def share_with_interval(wrong: int, of: int) -> dict[str, object]:
    """`wrong` of `of` as a row of a table: the share, and where it may well lie (95 %, Wilson)."""
    low, high = binomtest(wrong, of).proportion_ci(method="wilson")
    return {"wrong": wrong, "of": of, "error": wrong / of, "from": low, "to": high}


def errors_on(
    learn: Learner, sets: dict[str, Sequence[Path]], measured: dict[str, tuple[int, int]]
) -> pd.DataFrame:
    """Mistakes on each of `sets`, told by the files' names, after those `measured` before."""
    rows = {name: share_with_interval(*counts) for name, counts in measured.items()}
    for name, files in sets.items():
        if files:
            with learn.no_bar(), learn.no_logging():
                shares, labels = learn.get_preds(dl=learn.dls.test_dl(files, with_labels=True))
            rows[name] = share_with_interval(int((shares.argmax(1) != labels).sum()), len(labels))
    return pd.DataFrame(rows).T.astype({"wrong": int, "of": int}).round(3)


def parameters_of(learn: Learner) -> dict[str, Tensor]:
    """A copy of all parameters as they are now, by name."""
    named = learn.model.named_parameters()
    return {name: p.detach().cpu().clone().as_subclass(Tensor) for name, p in named}


def how_far(before: dict[str, Tensor], after: dict[str, Tensor]) -> dict[str, float]:
    """The largest change of a parameter in each of the three parts of the network."""
    moved: dict[str, float] = {}
    for name, parameter in after.items():
        where, layer, *_ = name.split(".")
        part = "body, layers 9 to 11" if int(layer) >= GENERAL else "body, layers 1 to 8"
        part = "head" if where == "1" else part
        step = (parameter - before[name]).abs().max().item()
        moved[part] = max(step, moved.get(part, 0))
    return moved


@torch.no_grad()
def responses(body: nn.Sequential, batches: TfmdDL, layers: Sequence[int]) -> list[Tensor]:
    """How strongly each channel of these layers answers to each picture: `(pictures, channels)`."""
    body.to(default_device()).to(memory_format=torch.channels_last).eval()  # 4 times as fast
    means = []
    for batch in batches:
        with hook_outputs([body[layer] for layer in layers]) as hooks:
            body(batch[0])
        means.append([hook.stored.mean((2, 3)).cpu().as_subclass(Tensor) for hook in hooks])
    return [torch.cat(layer) for layer in zip(*means, strict=True)]


def steps_of_a_head(
    inputs: Tensor, labels: Tensor, steps: int, seed: int, bs: int, lr: float
) -> Iterator[nn.Linear]:
    """A new head as it is at random, and after each step of training it on `bs` pictures."""
    torch.manual_seed(seed)
    head = nn.Linear(inputs.shape[1], 2)
    optimiser = torch.optim.Adam(head.parameters(), lr=lr)
    yield head
    for _ in range(steps):
        batch = torch.randperm(len(inputs))[:bs]
        loss = F.cross_entropy(head(inputs[batch]), labels[batch].long())
        optimiser.zero_grad()
        loss.backward()
        optimiser.step()
        yield head


def train_head(inputs: Tensor, labels: Tensor, seed: int, steps: int = 40) -> nn.Linear:
    """A new head, trained on what the frozen body gives for some pictures, 16 at a time."""
    *_, head = steps_of_a_head(inputs, labels, steps, seed, bs=16, lr=5e-3)
    return head


@torch.no_grad()
def is_wrong(head: nn.Linear, inputs: Tensor, labels: Tensor) -> Tensor:
    """Which of the pictures the head gets wrong."""
    return head(inputs).argmax(1) != labels.long()


def watch_a_head(
    inputs: Tensor, told: Tensor, others: Tensor, truth: Tensor, seed: int
) -> pd.DataFrame:
    """Train a head on all of `inputs` in 200 steps, labelled as `told`; its losses before each.

    `training` is the loss on them, `validation` and `error` those on `others`; `as_told` says which
    of `inputs` it calls what it was told.
    """
    rows = []
    for head in steps_of_a_head(inputs, told, 200, seed, bs=len(inputs), lr=1e-3):
        with torch.no_grad():
            training = F.cross_entropy(head(inputs), told.long()).item()
            validation = F.cross_entropy(head(others), truth.long()).item()
        wrong, as_told = is_wrong(head, others, truth), ~is_wrong(head, inputs, told)
        rows.append((training, validation, wrong.float().mean().item(), as_told))
    return pd.DataFrame(rows, columns=["training", "validation", "error", "as_told"])


def heaps(counts: Sequence[int], of: int) -> None:
    """A dot for each count, heaped where several are the same."""
    dots = pd.Series(counts)
    _, axes = plt.subplots(figsize=(6, 1.8))
    axes.plot(dots, dots.groupby(dots).cumcount(), "o", color=BLUE, ms=8)
    axes.set(xlabel=f"wrong, of {of}", xticks=range(max(counts) + 1), yticks=[])
    axes.margins(y=0.2)


def bars_by_group(mistakes: pd.DataFrame) -> None:
    """The mistakes of each group, a bar for each of the two columns."""
    rows = mistakes.sort_values(list(mistakes.columns[::-1]))
    axes = rows.plot.barh(figsize=(7, 0.3 * len(rows) + 0.8), color=["#E69F00", BLUE], width=0.8)
    plt.setp(axes.containers[0], hatch="//")
    axes.set(xlabel="wrong", ylabel="")
    axes.legend(title="held out", loc="lower right", reverse=True)


def fall_and_rise(curves: Sequence[pd.DataFrame]) -> None:
    """Training and validation loss of several trainings, and strongly drawn their means."""
    mean = pd.concat(curves).groupby(level=0).mean(numeric_only=True)
    axes = plt.subplots(figsize=(7, 3))[1]
    for curve, width in [*((curve, 0.5) for curve in curves), (mean, 2.4)]:
        axes.plot(curve.training, color=BLUE, lw=width, ls="--")
        axes.plot(curve.validation, color="#D55E00", lw=width)
    axes.plot(mean.validation.idxmin(), mean.validation.min(), "v", color="black", ms=8)
    axes.set(xlabel="step", ylabel="loss", ylim=(0, None))
    axes.legend(axes.lines[-3:], ["training", "validation", "lowest"])


@torch.no_grad()
def channels_beside(picture: Tensor, body: nn.Sequential, layer: int) -> None:
    """A picture, and where the six channels of a layer that vary most over it answer to it."""
    with hook_outputs([body[layer]], cpu=True) as hooks:
        body(picture[None].to(default_device()))
    maps = hooks.stored[0][0]
    chosen = maps.std((1, 2)).argsort(descending=True)[:6]
    pictures = [picture.cpu() * 0.5 + 0.5, *maps[chosen]]
    show_images(pictures, titles=["picture", *chosen.tolist()], figsize=(9, 1.7))


def most_and_least(files: Sequence[Path], answers: Tensor) -> None:
    """The five pictures that a channel answers to most strongly; below, those it hardly does."""
    order = answers.argsort(descending=True).tolist()
    shown = order[:5] + order[-5:]
    titles = [f"{files[n].stem.rsplit('_', 1)[0]}\n{answers[n]:.1f}" for n in shown]
    pictures = [PILImage.create(files[n]).resize((128, 128)) for n in shown]
    show_images(pictures, nrows=2, titles=titles, figsize=(7.5, 3.4))
    plt.setp([place.title for place in plt.gcf().axes], size=8)


RATE_OF_SOUND = 8000  # numbers a second
WHISTLES = {
    "slide": lambda t, start: 1 - t,
    "siren": lambda t, start: 0.5 + 0.5 * np.sin(18 * t + 3 * start),
    "trill": lambda t, start: (8 * t + start) % 2 > 1,
}


def whistle(kind: str, rng: np.random.Generator) -> np.ndarray:
    """A fifth of a second of a whistle in noise; its pitch and range vary."""
    t = np.linspace(0, 1, RATE_OF_SOUND // 5)
    pitch = rng.uniform(800, 1600) + rng.uniform(500, 1200) * WHISTLES[kind](t, rng.uniform(0, 2))
    return np.sin(2 * np.pi * np.cumsum(pitch) / RATE_OF_SOUND) + rng.normal(0, 0.6, len(t))


def spectrogram(sound: np.ndarray) -> PILImage:
    """A sound as a picture: time to the right, pitch upwards, brightness for loudness."""
    window = torch.hann_window(128)
    spectrum = torch.stft(Tensor(sound), 128, 32, window=window, return_complex=True)
    loudness = spectrum.abs().log1p().flip(0)
    return PILImage.create((255 * loudness / loudness.max()).byte().numpy())
