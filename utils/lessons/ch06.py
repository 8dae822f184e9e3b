"""Chapter 06: what it draws, loops broken on purpose, and checks of what a learner writes."""

from collections.abc import Callable, Iterable, Mapping
from functools import partial, wraps
from html import escape
from pathlib import Path
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import torch
import torch.nn.functional as F
from matplotlib.axes import Axes
from matplotlib.patches import Rectangle
from PIL import Image
from torch import Tensor, nn
from torch.nn.utils import parameters_to_vector as joined
from torchvision.transforms.functional import pil_to_tensor

from utils.data import dataset, dataset_or_sample

WINDOW = 7.0  # metres above the ground: where the ball of the chapter is at time 0
ELSEWHERE = 3.7  # gravity in another world; which one, the learner finds out
EPOCHS, RATE = 3, 0.8  # that one's own Learner is tried with
ORANGE = "#D55E00"

Pair = tuple[Tensor, Tensor]  # two parameters, or inputs and targets


def film(gravity: float = 9.8) -> Pair:
    """A made-up film of a ball: times in seconds, heights in metres as read off the frames."""
    times = torch.linspace(-1, 1, 41)
    noise = 0.25 * torch.randn(41, generator=torch.Generator().manual_seed(5))
    return times, WINDOW + 1.5 * times - gravity / 2 * times**2 + noise


def opened(folder: Path, digits: str) -> Pair:
    """The images in the folders of these digits, and the place of each one's digit among them."""
    files = [(file, k) for k, d in enumerate(digits) for file in sorted((folder / d).iterdir())]
    images = torch.cat([pil_to_tensor(Image.open(file)) for file, _ in files]) / 255
    return images, torch.tensor([k for _, k in files])


def ten_digits() -> list[Tensor]:
    """Images and labels: to learn from, to choose by (every fifth), and set aside to judge by."""
    path = dataset_or_sample("mnist")  # the learner's own data may have two digits only
    (x, y), test = (opened(path / part, "0123456789") for part in ("training", "testing"))
    fifth = torch.arange(len(x)) % 5 == 0
    parts = [(x[~fifth], y[~fifth]), (x[fifth], y[fifth]), test]
    return [tensor for x, y in parts for tensor in (x[:, None], y)]


def write_numbers(values: Tensor, ax: Axes | None = None, top: float = 255) -> None:
    """A grid of numbers on the shades they stand for; in `ax`, on colours from -top to top."""
    form, size, cmap, low = (".1f", 10, "PuOr_r", -top) if ax else ("", 6, "Greys", 0)
    ax = ax or plt.subplots(figsize=(6, 6))[1]
    ax.imshow(values, cmap=cmap, vmin=low, vmax=top)
    for (row, column), value in np.ndenumerate(values.numpy()):
        ink = "white" if abs(value) > 0.6 * top else "black"
        ax.text(column, row, f"{value:{form}}", ha="center", va="center", size=size, color=ink)
    ax.set_axis_off()


def show_row(images: Mapping[str, Tensor], signed: bool = False) -> None:
    """Images side by side; `signed`: orange above 0, purple below, each on a scale of its own."""
    axes = plt.subplots(1, len(images), figsize=(min(1.7 * len(images), 12), 2))[1]
    for ax, (name, image) in zip(axes, images.items(), strict=True):
        values = image.reshape(28, 28) if image.numel() == 784 else image
        top = values.abs().max().item()
        low, colours = (-top, "PuOr_r") if signed else (0, "Greys")
        ax.imshow(values, cmap=colours, vmin=low, vmax=top)
        ax.set_title(name, fontsize=9)
        ax.set_axis_off()


def paths_in_the_bowl(walks: Mapping[float, np.ndarray]) -> None:
    """The loss above v and d as lines of equal height, and the steps (v, d, …) of each walk."""
    v, d, frames = np.linspace(-7, 10, 60), np.linspace(-2, 11, 60), zip(*film(), strict=True)
    errors = [WINDOW + v * t.item() - d[:, None] * t.item() ** 2 - h.item() for t, h in frames]
    size = 3.1 * len(walks) + 0.9, 3.2
    axes = plt.subplots(1, len(walks), figsize=size, layout="constrained", squeeze=False)[1]
    for ax, (rate, walk) in zip(axes[0], walks.items(), strict=True):
        lines = [0.3, 1, 3, 6, 10, 16, 24]
        ax.contour(v, d, np.square(errors).mean(0), lines, cmap="cividis", linewidths=0.8)
        ax.plot(walk[:, 0], walk[:, 1], "o-", ms=3, lw=1, color=ORANGE)
        ax.set(xlim=(-7, 10), ylim=(-2, 11), xlabel="v", ylabel="d", title=f"rate {rate}")


def multiplied_and_added(image: Tensor, weights: Tensor, places: list[tuple[int, int]]) -> None:
    """A row for each place: where it is, its pixels, the weights, and their products."""
    rows = plt.subplots(len(places), 4, figsize=(9, 2.3 * len(places)), layout="constrained")[1]
    for (where, *grids), (row, column) in zip(rows, places, strict=True):
        where.imshow(image, cmap="Greys")
        where.add_patch(Rectangle((column - 0.5, row - 0.5), 3, 3, fill=False, ec=ORANGE, lw=2))
        where.set(title=f"row {row}, column {column}", xticks=[], yticks=[])
        pixels = image[row : row + 3, column : column + 3]
        products = pixels * weights + 0  # which makes 0 of -0
        names = "pixels", "weights", f"products: sum {products.sum():.1f}"
        for ax, name, values in zip(grids, names, (pixels, weights, products), strict=True):
            write_numbers(values, ax, top=1)
            ax.set_title(name)


def distance(p: Tensor, targets: Tensor) -> Tensor:
    """How far numbers between 0 and 1 are from their targets, 0 or 1, on average."""
    return torch.where(targets == 1, 1 - p, p).mean()


def mnist_loss(predictions: Tensor, targets: Tensor) -> Tensor:
    """How far from the target each prediction is, after the sigmoid, on average."""
    return distance(predictions.sigmoid(), targets)


def ball_loss(v: Tensor, d: Tensor, t: Tensor, h: Tensor) -> Tensor:
    """The ball passes the window at speed v, and d bends its path down; mean squared error."""
    return ((WINDOW + v * t - d * t**2 - h) ** 2).mean()


def descend(loss: Callable, weights: Iterable, batches: list, rate: float, zero: bool) -> list:
    """Take a step down the slope of `loss(x, y)` for each batch; returns the losses."""
    sgd, losses = torch.optim.SGD(weights, lr=rate), []
    for x, y in batches:
        losses.append(loss(x, y))
        losses[-1].backward()
        sgd.step()
        if zero:
            sgd.zero_grad()
    return [value.item() for value in losses]


def ball() -> tuple[Pair, list[Pair]]:
    """Speed and bend before the first step; the film, again and again."""
    return (torch.zeros(1).requires_grad_(), torch.zeros(1).requires_grad_()), [film()] * 60


def digits() -> tuple[Pair, list[Pair]]:
    """Weights (784, 1) and bias before the first step; batches of threes (1) and sevens (0)."""
    x, y = opened(dataset("mnist_sample", "sample") / "train", "37")
    w = 0.01 * torch.randn(784, 1, generator=torch.Generator().manual_seed(3))
    draw = torch.Generator().manual_seed(6)
    orders = [k for _ in range(6) for k in torch.randperm(len(x), generator=draw).split(40)]
    batches = [(x[k].flatten(1), 1.0 - y[k, None]) for k in orders]
    return (w.requires_grad_(), torch.zeros(1).requires_grad_()), batches


LINEAR = tuple(
    lambda w, b, x, y, loss=loss: loss(x @ w + b, y)
    for loss in (distance, mnist_loss, F.binary_cross_entropy_with_logits)
)
LABS: dict[str, tuple] = {
    # world, rate, are gradients zeroed, the loss it uses and those it may use, limit when repaired
    "a": (ball, 0.1, False, (ball_loss, ball_loss), 0.2),
    "b": (digits, 0.5, True, LINEAR, 0.06),
    "c": (ball, 3.0, True, (ball_loss, ball_loss), 0.2),
}


def lab_losses(name: str) -> list[float]:
    """The loss after each batch of one of the broken loops: lab "a", "b" or "c"."""
    world, rate, zero, losses, _ = LABS[name]
    start, batches = world()
    return descend(partial(losses[0], *start), start, batches, rate, zero)


class Verdict(str):
    """`solved: ` or `not yet: `, and a sentence on why or why not."""

    __repr__ = str.__str__  # as it is, without quotes

    def _repr_html_(self) -> str:
        verdict, colon, sentence = escape(self).partition(":")
        return f"<p><strong>{verdict}</strong>{colon}{sentence}</p>"


def judged(check: Callable[..., str]) -> Callable[..., Verdict]:
    """A decorator for checks of what a learner wrote: they say what is solved, or `assert` it."""

    @wraps(check)
    def verdict(*written: object) -> Verdict:
        try:
            return Verdict(f"solved: {check(*written)}")
        except AssertionError as reason:
            return Verdict(f"not yet: {str(reason) or 'your code stopped at an assert'}")
        except Exception as error:
            return Verdict(f"not yet: your code stopped with {type(error).__name__}: {error}")

    return verdict


@judged
def check_repair(name: str, train: Callable) -> str:
    """Whether each step of a lab's repaired loop goes down its own slope, and far enough."""
    world, _, _, losses, limit = LABS[name]
    (p, q), batches = world()
    with torch.no_grad():
        p *= 20  # so that the sigmoid, or none, makes a difference
    for number, (x, y) in enumerate(zip(*(t.chunk(4) for t in batches[0]), strict=True)):
        slopes = [joined(torch.autograd.grad(loss(p, q, x, y), (p, q))) for loss in losses]
        before = joined((p, q))
        train(p, q, [(x, y)])
        step = joined((p, q)) - before
        assert step.any(), "the parameters did not change; a step has to change them in place"
        as_broken, *down = (F.cosine_similarity(-step, slope, dim=0) > 0.9999 for slope in slopes)
        squeezed = "the loss takes the predictions as they are; what brings them between 0 and 1?"
        assert any(down) or not as_broken, squeezed
        assert any(down) or number, "the first step does not go down the slope of the loss"
        own = "a step does not go down its own slope; what is left from the step before?"
        assert any(down), own
    start, batches = world()
    values = train(*start, batches) or []
    assert len(values) == len(batches), "it should return a list with one loss for each batch"
    with torch.no_grad():
        final = sum(losses[1](*start, *batch) for batch in batches[-20:]) / 20
    how = "it goes down, but too slowly" if final < values[0] else "are the steps too long?"
    assert final < limit, f"the loss ends at {final:.3g}: {how}"  # nan is not below it
    return f"the loss goes down to {final:.2f}, and stays there."


MISTAKES: dict[str, dict] = {
    "after fit no parameter has changed; which steps has every batch?": {"epochs": 0},
    "the gradients are not set to zero after a step": {"zero": False},
    "it takes steps on the validation batches too": {"also_valid": True},
    f"fit({EPOCHS}, lr) does not go through dls.train {EPOCHS} times": {"epochs": 1},
}


def small_world() -> tuple[SimpleNamespace, nn.Module]:
    """Five training and two validation batches, and a network that notices how it is used."""
    torch.manual_seed(1)
    model = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 1))
    x = torch.randn(70, 6)
    pairs = list(zip(x.split(10), (x[:, :1] + x[:, 1:2] > 0).float().split(10), strict=True))
    return SimpleNamespace(train=pairs[:5], valid=pairs[5:]), model


def reference(epochs: int = EPOCHS, zero: bool = True, also_valid: bool = False) -> tuple:
    """The parameters that plain SGD reaches there, and its history; or with a mistake."""
    (dls, net), history = small_world(), []
    for _ in range(epochs):
        batches = dls.train + dls.valid * also_valid
        net.train()
        losses = descend(lambda x, y: mnist_loss(net(x), y), net.parameters(), batches, RATE, zero)
        with torch.no_grad():
            rows = [[f(net.eval()(x), y) for f in (mnist_loss, F.l1_loss)] for x, y in dls.valid]
        history.append([np.mean(losses), *np.mean(rows, axis=0)])
    return joined(net.parameters()), torch.tensor(np.array(history))


@judged
def check_learner(cls: type) -> str:
    """The given test for a Learner of one's own; see the chapter for what it must do."""
    dls, model = small_world()
    learn = cls(dls, model, mnist_loss, F.l1_loss)
    learn.fit(EPOCHS, RATE)
    reached, (wanted, in_history) = joined(model.parameters()), reference()
    right = torch.allclose(reached, wanted, atol=1e-5)
    for sentence, how in MISTAKES.items():
        assert right or not torch.allclose(reached, reference(**how)[0], atol=1e-5), sentence
    assert right, "it is not plain SGD: are all parameters in the step, with lr, in train mode?"
    history = torch.tensor([[float(number) for number in row] for row in learn.history])
    assert history.shape == in_history.shape, "history should hold three numbers for each epoch"
    names = "training loss", "validation loss in eval mode", "metric in eval mode"
    for name, gap in zip(names, (history - in_history).abs().amax(0), strict=True):
        assert gap < 1e-4, f"the {name} is not the mean over its batches"
    return f"{cls.__name__} trains as plain SGD does and reports it."
