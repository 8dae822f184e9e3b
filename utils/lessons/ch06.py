"""Chapter 06: loops broken on purpose, and checks of what a learner writes.

Tensors x are (pictures, 784) or, for the ball, (times,); y has a target for each row.
"""

import inspect
from collections.abc import Callable, Iterable
from functools import cache, partial
from types import SimpleNamespace
from typing import NamedTuple

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from torchvision.transforms.functional import pil_to_tensor

from utils.data import dataset
from utils.lessons.verdict import NotYet, check_of, require

BATCH = 40
MOST_LINES = 40  # of one's own Learner
EPOCHS, RATE = 3, 0.8  # that one's own Learner is tried with
SPREAD = 20.0
STRAIGHT = 0.999  # cosine above which two steps have the same direction
WINDOW = 7.0  # metres above the ground: where the ball of the chapter is at time 0

Pair = tuple[Tensor, Tensor]  # two parameters, or inputs and targets
Loss = Callable[[Tensor, Tensor, Tensor, Tensor], Tensor]  # of two parameters, inputs and targets
Loop = Callable[[Tensor, Tensor, list[Pair]], list[float]]  # of two parameters and batches


# --- three broken training loops --------------------------------------------------------------


def film() -> Pair:
    """The chapter's film of a ball: times in seconds, heights in metres as read off the frames."""
    draw = torch.Generator().manual_seed(5)
    times = torch.linspace(-1, 1, 41)
    noise = 0.25 * torch.randn(41, generator=draw)
    return times, WINDOW + 1.5 * times - 4.9 * times**2 + noise


def mnist_loss(predictions: Tensor, targets: Tensor) -> Tensor:
    """How far from the target each prediction is, after the sigmoid, on average."""
    p = predictions.sigmoid()
    return torch.where(targets == 1, 1 - p, p).mean()


def ball_loss(v: Tensor, d: Tensor, t: Tensor, h: Tensor) -> Tensor:
    """The ball passes the window at speed v, and d bends its path down; mean squared error."""
    return ((WINDOW + v * t - d * t**2 - h) ** 2).mean()


def digit_loss(w: Tensor, b: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """`mnist_loss` of a linear layer."""
    return mnist_loss(x @ w + b, y)


def digit_entropy(w: Tensor, b: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """The other usual loss for this layer: binary cross-entropy."""
    return F.binary_cross_entropy_with_logits(x @ w + b, y)


def no_sigmoid(w: Tensor, b: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """The mistake of lab B."""
    p = x @ w + b
    return torch.where(y == 1, 1 - p, p).mean()


def descend(
    loss: Callable,
    parameters: Iterable[Tensor],
    batches: list[Pair],
    rate: float,
    zero: bool = True,
) -> list[float]:
    """Take a step down the slope of `loss(x, y)` for each batch; returns the losses.

    `zero`: set the gradients back to 0 after a step.
    """
    sgd, losses = torch.optim.SGD(parameters, lr=rate), []
    for x, y in batches:
        value = loss(x, y)
        value.backward()
        sgd.step()
        if zero:
            sgd.zero_grad()
        losses.append(value.item())
    return losses


def loop_of(loss: Loss, rate: float, zero: bool = True) -> Loop:
    """The training loop of a lab; its cell has the same in other words."""
    return lambda p, q, batches: descend(partial(loss, p, q), [p, q], batches, rate, zero)


def ball_start() -> Pair:
    """Speed and bend before the first step."""
    return torch.zeros(1).requires_grad_(), torch.zeros(1).requires_grad_()


def digit_start() -> Pair:
    """Weights (784, 1) and bias before the first step."""
    w = 0.01 * torch.randn(784, 1, generator=torch.Generator().manual_seed(3))
    return w.requires_grad_(), torch.zeros(1).requires_grad_()


@cache
def digit_batches() -> list[Pair]:
    """Batches of threes (1) and sevens (0) of the sample, the same every time."""
    path = dataset("mnist_sample", "sample") / "train"
    files = [(f, float(digit == "3")) for digit in "37" for f in sorted((path / digit).iterdir())]
    x = torch.stack([pil_to_tensor(Image.open(file)).flatten() for file, _ in files]) / 255
    y = torch.tensor([[label] for _, label in files])
    draw = torch.Generator().manual_seed(6)
    orders = [torch.randperm(len(x), generator=draw) for _ in range(6)]
    return [(x[rows], y[rows]) for order in orders for rows in order.split(BATCH)]


def uneven_films() -> list[Pair]:
    """Films so different that what is left of one slope does not pass for the next."""
    draw = torch.Generator().manual_seed(8)
    x, y = 2 * torch.rand(6, 9, generator=draw) - 1, 12 * torch.randn(6, 9, generator=draw)
    return list(zip(x, y, strict=True))


class Lab(NamedTuple):
    """A broken loop, what it is run on, and how one knows that it is repaired."""

    loop: Loop
    start: Callable[[], Pair]
    batches: Callable[[], list[Pair]]
    probes: Callable[[], list[Pair]]  # batches on which single steps are looked at
    proper: tuple[Loss, ...]  # losses whose slope a step may follow
    wrong: tuple[Loss, ...]  # one whose slope shows the mistake
    limit: float  # the loss a repaired loop gets below


BALL = (ball_start, lambda: [film()] * 60, uneven_films, (ball_loss,), (), 0.2)
DIGITS = (digit_start, digit_batches, lambda: digit_batches()[:6],
          (digit_loss, digit_entropy), (no_sigmoid,), 0.06)  # fmt: skip
LABS = {
    "a": Lab(loop_of(ball_loss, 0.1, zero=False), *BALL),
    "b": Lab(loop_of(no_sigmoid, 0.5), *DIGITS),
    "c": Lab(loop_of(ball_loss, 3.0), *BALL),
}


def lab_losses(name: str) -> list[float]:
    """The loss after each batch of one of the broken loops: lab "a", "b" or "c"."""
    lab = LABS[name]
    return lab.loop(*lab.start(), lab.batches())


def slope(loss: Loss, p: Tensor, q: Tensor, x: Tensor, y: Tensor) -> Tensor:
    """The gradients of both parameters in one row."""
    p, q = (n.detach().clone().requires_grad_() for n in (p, q))
    return torch.cat([g.flatten() for g in torch.autograd.grad(loss(p, q, x, y), (p, q))])


def goes_down(step: Tensor, slopes: list[Tensor]) -> bool:
    """Whether a step has the direction that leads straight down one of the slopes."""
    return any(F.cosine_similarity(-step, slope, dim=0) > STRAIGHT for slope in slopes)


def require_steps_downhill(lab: Lab, train: Loop) -> None:
    """Raise `NotYet` unless each single step of the loop goes down the slope of its batch."""
    p, q = lab.start()
    with torch.no_grad():
        p *= SPREAD  # so that the sigmoid, or none, makes a difference
    first = True
    for x, y in lab.probes():
        before = torch.cat([p.detach().flatten(), q.detach().flatten()])
        proper, wrong = (
            [slope(loss, p, q, x, y) for loss in losses] for losses in (lab.proper, lab.wrong)
        )
        train(p, q, [(x, y)])
        step = torch.cat([p.detach().flatten(), q.detach().flatten()]) - before
        require(step.isfinite().all(), "the parameters are no longer finite numbers")
        in_place = "the parameters did not change; a step has to change them in place (w -= …)"
        require(step.any(), in_place)
        squeezed = "the loss takes the predictions as they are; what brings them between 0 and 1?"
        downhill = goes_down(step, proper)
        require(downhill or not goes_down(step, wrong), squeezed)
        require(downhill or not first, "the first step does not go down the slope of the loss")
        own = "a step does not go down its own slope; what is left from the step before?"
        require(downhill, own)
        first = False


@check_of("your loop")
def check_repair(name: str, train: Loop) -> str:
    """Whether the repaired loop of a lab goes down its slope, in steps of a good length."""
    lab = LABS[name]
    require_steps_downhill(lab, train)
    start, batches = lab.start(), lab.batches()
    losses = train(*start, batches)
    with torch.no_grad():
        final = torch.stack([lab.proper[0](*start, *batch) for batch in batches[-20:]]).mean()
    require(
        losses is not None and len(losses) == len(batches),
        "the loop should return a list with one loss for each batch",
    )
    if not final < lab.limit:  # nan is not
        slow = f"it goes down, but too slowly: at the end the loss is {final:.2f}"
        long = f"the loss ends at {final:.3g}, above its start; are the steps too long?"
        raise NotYet(slow if final < losses[0] else long)
    return f"the loss goes down to {final:.2f}, and stays there."


# --- your own Learner -------------------------------------------------------------------------


def lines_of(cls: type) -> int:
    """Lines of a class with code on them, with its methods; 0 when they cannot be found."""
    try:  # not getsource(cls), which cannot find a class that was written in a notebook
        code = [inspect.getsource(f) for f in vars(cls).values() if inspect.isfunction(f)]
    except OSError:
        return 0
    rows = [row.strip() for row in "".join(code).splitlines()]
    return 1 + sum(bool(row) and not row.startswith("#") for row in rows)


def small_world() -> tuple[SimpleNamespace, nn.Module]:
    """Five training and two validation batches, and a network that notices how it is used."""
    draw = torch.Generator().manual_seed(1)
    x = torch.randn(70, 6, generator=draw)
    y = (x[:, :1] + 0.5 * x[:, 1:2] > 0).float()
    batches = list(zip(x.split(10), y.split(10), strict=True))
    model = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 1))
    with torch.no_grad():
        for p in model.parameters():
            p.fill_(0.5) if p.ndim == 1 else p.copy_(0.4 * torch.randn(p.shape, generator=draw))
    return SimpleNamespace(train=batches[:5], valid=batches[5:]), model


def accuracy(predictions: Tensor, targets: Tensor) -> Tensor:
    """The share of predictions on the right side of 0."""
    return ((predictions > 0) == (targets == 1)).float().mean()


def reference(
    epochs: int = EPOCHS, zero: bool = True, also_valid: bool = False
) -> tuple[nn.Module, list[list[float]]]:
    """The model that plain SGD reaches in the small world, and its history; or with a mistake."""
    dls, model = small_world()
    history = []
    for _ in range(epochs):
        model.train()
        batches = dls.train + (dls.valid if also_valid else [])
        loss = lambda x, y: mnist_loss(model(x), y)  # noqa: E731
        losses = descend(loss, model.parameters(), batches, RATE, zero)
        model.eval()
        with torch.no_grad():
            rows = [(mnist_loss(model(x), y), accuracy(model(x), y)) for x, y in dls.valid]
        history.append([sum(losses) / len(losses), *torch.tensor(rows).mean(0).tolist()])
    return model, history


def require_plain_sgd(model: nn.Module) -> None:
    """Raise `NotYet` unless the model has the parameters of the reference."""

    def is_like(other: nn.Module) -> bool:
        pairs = zip(model.parameters(), other.parameters(), strict=True)
        return all(torch.allclose(p, q, atol=1e-5) for p, q in pairs)

    if is_like(reference()[0]):
        return
    unchanged = is_like(small_world()[1])
    require(not unchanged, "after fit no parameter has changed; which steps has every batch?")
    zeroed = not is_like(reference(zero=False)[0])
    require(zeroed, "the gradients are not set to zero after a step")
    kept_apart = not is_like(reference(also_valid=True)[0])
    require(kept_apart, "it takes steps on the validation batches too")
    miscounted = any(is_like(reference(n)[0]) for n in (1, EPOCHS - 1, EPOCHS + 1))
    require(not miscounted, f"fit({EPOCHS}, lr) does not go through dls.train {EPOCHS} times")
    raise NotYet(
        "the parameters are not those that plain SGD reaches; are they all in the step, is lr "
        "used, and is the model in train mode at the start of each epoch?"
    )


@check_of("your Learner")
def check_learner(cls: type) -> str:
    """The given test for a Learner of one's own; see the chapter for what it must do."""
    dls, model = small_world()
    learn = cls(dls, model, mnist_loss, accuracy)
    learn.fit(EPOCHS, RATE)
    require_plain_sgd(model)
    form = "learn.history should hold one (training loss, validation loss, metric) for each epoch"
    try:
        history = torch.tensor([[float(n) for n in row] for row in learn.history])
    except (AttributeError, TypeError, ValueError):
        raise NotYet(form) from None
    wanted = torch.tensor(reference()[1])
    require(history.shape == wanted.shape, f"{form}; its shape is {tuple(history.shape)}")
    right = torch.isclose(history, wanted, atol=1e-4).all(0).tolist()
    for name, as_wanted in zip(("training loss", "validation loss", "metric"), right, strict=True):
        hint = "" if name == "training loss" else ", with the model in eval mode"
        require(as_wanted, f"the {name} in history is not the mean over its batches{hint}")
    lines = lines_of(cls)
    few = lines < MOST_LINES
    require(few, f"it works, in {lines} lines; fewer than {MOST_LINES} are wanted")
    length = f" in {lines} lines" if lines else ""
    return f"{cls.__name__} trains as plain SGD does and reports it{length}."


# --- softmax, cross-entropy, ten digits -------------------------------------------------------


@check_of("your code")
def check_softmax(softmax: Callable, cross_entropy: Callable) -> str:
    """Whether the two functions give what PyTorch's give, for large numbers too.

    Scores are (8, 10): of eight images, one for each digit.
    """
    draw = torch.Generator().manual_seed(2)
    scores, targets = torch.randn(8, 10, generator=draw), torch.arange(8)
    mine = softmax(scores)
    is_like_scores = isinstance(mine, Tensor) and mine.shape == scores.shape
    require(is_like_scores, "softmax should return a tensor of the shape it was given")
    positive = not (mine < 0).any()
    require(positive, "a probability is never negative; exp makes any number positive")
    sums_to_1 = torch.allclose(mine.sum(1), torch.ones(8), atol=1e-4)
    require(sums_to_1, "the ten probabilities of each row should sum to 1")
    right = torch.allclose(mine, scores.softmax(1), atol=1e-5)
    require(right, "they sum to 1, but are not exp(score) over the sum of them all")
    safe = torch.allclose(softmax(scores * 1000), (scores * 1000).softmax(1), atol=1e-5)
    require(safe, "scores in the thousands give nan; subtract each row's largest score first")
    loss = torch.as_tensor(cross_entropy(scores, targets))
    require(
        not loss.ndim and torch.isclose(loss.float(), F.cross_entropy(scores, targets), atol=1e-4),
        "softmax is right; cross_entropy should be the mean of minus the log of the probability "
        "that each right digit got",
    )
    return "both agree with PyTorch's."


@check_of("your model")
def check_ten(model: nn.Module, x: Tensor, y: Tensor, at_least: float, most: int) -> str:
    """Whether `model` reads the digits x (n, 1, 28, 28) well enough with few enough parameters."""
    size = sum(p.numel() for p in model.parameters())
    model.eval()
    with torch.no_grad():
        scores = model(x)
    shape = tuple(scores.shape)
    ten = shape == (len(x), 10)
    require(ten, f"it should give ten scores for each image; its shape is {shape}")
    accuracy = (scores.argmax(1) == y).float().mean().item()
    require(size <= most, f"it has {size:,} parameters; at most {most:,} are asked for")
    good = accuracy >= at_least
    require(good, f"accuracy {accuracy:.3f}, and at least {at_least} is asked for")
    return f"accuracy {accuracy:.3f} with {size:,} parameters."
