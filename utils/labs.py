"""The exercises of chapter 06: loops broken on purpose, and checks of what a learner writes.

A check never raises for what a learner wrote: `judge_…` gives a `Verdict`, `check_…` prints it.
"""

import ast
import inspect
from collections.abc import Callable
from dataclasses import dataclass
from functools import lru_cache, wraps
from types import SimpleNamespace

import torch
import torch.nn.functional as F
from PIL import Image
from torch import Tensor, nn
from torchvision.transforms.functional import pil_to_tensor

from utils.data import dataset

BATCH = 40
MOST_LINES = 40  # of one's own Learner
SPREAD = 20.0
STRAIGHT = 0.999  # cosine above which two steps have the same direction
Loop = Callable[[Tensor, Tensor, list], list[float]]


@dataclass(frozen=True)
class Verdict:
    """Whether an exercise is solved, and a sentence on why or why not."""

    solved: bool
    sentence: str

    def __str__(self) -> str:
        """The sentence, with the verdict in front."""
        return f"{'solved' if self.solved else 'not yet'}: {self.sentence}"


def _printed(judge: Callable[..., Verdict], doc: str) -> Callable[..., None]:
    @wraps(judge, assigned=())
    def check(*args, **kwargs) -> None:
        print(judge(*args, **kwargs))

    check.__doc__ = doc
    return check


def _crashed(what: str, error: Exception) -> Verdict:
    return Verdict(False, f"{what} stopped with {type(error).__name__}: {error}")


# --- three broken training loops --------------------------------------------------------------

WINDOW = 7.0  # metres above the ground: where the ball of the chapter is at time 0


def film() -> tuple[Tensor, Tensor]:
    """The chapter's film of a ball: times in seconds, heights in metres as read off the frames."""
    draw = torch.Generator().manual_seed(5)
    times = torch.linspace(-1, 1, 41)
    noise = 0.25 * torch.randn(41, generator=draw)
    return times, WINDOW + 1.5 * times - 4.9 * times**2 + noise


def height(t: Tensor, v: Tensor, d: Tensor) -> Tensor:
    """Where the ball is at time t: it passes the window at speed v, and d bends its path down."""
    return WINDOW + v * t - d * t**2


def mnist_loss(predictions: Tensor, targets: Tensor) -> Tensor:
    """How far from the target each prediction is, after the sigmoid, on average."""
    p = predictions.sigmoid()
    return torch.where(targets == 1, 1 - p, p).mean()


def loop_a(v: Tensor, d: Tensor, batches: list) -> list[float]:
    """The first loop: no gradient is ever set to zero."""
    losses = []
    for t, h in batches:
        loss = ((height(t, v, d) - h) ** 2).mean()
        loss.backward()
        with torch.no_grad():
            v -= 0.1 * v.grad
            d -= 0.1 * d.grad
        losses.append(loss.item())
    return losses


def loop_b(w: Tensor, b: Tensor, batches: list) -> list[float]:
    """The second loop: no sigmoid."""
    losses = []
    for x, y in batches:
        p = x @ w + b
        loss = torch.where(y == 1, 1 - p, p).mean()
        loss.backward()
        with torch.no_grad():
            for parameter in (w, b):
                parameter -= 0.5 * parameter.grad
                parameter.grad.zero_()
        losses.append(loss.item())
    return losses


def loop_c(v: Tensor, d: Tensor, batches: list) -> list[float]:
    """The third loop: the learning rate is too high."""
    losses = []
    for t, h in batches:
        loss = ((height(t, v, d) - h) ** 2).mean()
        loss.backward()
        with torch.no_grad():
            for parameter in (v, d):
                parameter -= 3.0 * parameter.grad
                parameter.grad.zero_()
        losses.append(loss.item())
    return losses


def _ball_loss(v: Tensor, d: Tensor, t: Tensor, h: Tensor) -> Tensor:
    return ((height(t, v, d) - h) ** 2).mean()


def _digit_loss(w: Tensor, b: Tensor, x: Tensor, y: Tensor) -> Tensor:
    return mnist_loss(x @ w + b, y)


def _digit_loss_too(w: Tensor, b: Tensor, x: Tensor, y: Tensor) -> Tensor:
    return F.binary_cross_entropy_with_logits(x @ w + b, y)


def _no_sigmoid(w: Tensor, b: Tensor, x: Tensor, y: Tensor) -> Tensor:
    p = x @ w + b
    return torch.where(y == 1, 1 - p, p).mean()


def _ball_start() -> tuple[Tensor, Tensor]:
    return torch.zeros(1).requires_grad_(), torch.zeros(1).requires_grad_()


def _digit_start() -> tuple[Tensor, Tensor]:
    w = 0.01 * torch.randn(784, 1, generator=torch.Generator().manual_seed(3))
    return w.requires_grad_(), torch.zeros(1).requires_grad_()


@lru_cache
def _film_batches() -> list[tuple[Tensor, Tensor]]:
    return [film()] * 60


@lru_cache
def _digit_batches() -> list[tuple[Tensor, Tensor]]:
    """Batches of threes (1) and sevens (0) of the sample, the same every time."""
    path = dataset("mnist_sample", "sample") / "train"
    files = [(f, float(digit == "3")) for digit in "37" for f in sorted((path / digit).iterdir())]
    x = torch.stack([pil_to_tensor(Image.open(file)).flatten() for file, _ in files]) / 255
    y = torch.tensor([[label] for _, label in files])
    draw = torch.Generator().manual_seed(6)
    orders = [torch.randperm(len(x), generator=draw) for _ in range(6)]
    return [(x[rows], y[rows]) for order in orders for rows in order.split(BATCH)]


def _uneven_films() -> list[tuple[Tensor, Tensor]]:
    """Films so different that what is left of one slope does not pass for the next."""
    draw = torch.Generator().manual_seed(8)
    return [
        (torch.rand(9, generator=draw) * 2 - 1, 12 * torch.randn(9, generator=draw))
        for _ in range(6)
    ]


@dataclass(frozen=True)
class Lab:
    """A broken loop, what it is run on, and how one knows that it is repaired."""

    loop: Loop
    start: Callable[[], tuple[Tensor, Tensor]]
    batches: Callable[[], list]
    probes: Callable[[], list]  # batches on which single steps are looked at
    proper: tuple[Callable, ...]  # losses whose slope a step may follow
    limit: float  # the loss a repaired loop gets below


def _first_digit_batches() -> list[tuple[Tensor, Tensor]]:
    return _digit_batches()[:6]


BALL = (_ball_start, _film_batches, _uneven_films, (_ball_loss,), 0.2)
LABS = {
    "a": Lab(loop_a, *BALL),
    "b": Lab(
        loop_b,
        _digit_start,
        _digit_batches,
        _first_digit_batches,
        (_digit_loss, _digit_loss_too),
        0.06,
    ),
    "c": Lab(loop_c, *BALL),
}


def lab_losses(lab: str) -> list[float]:
    """The loss after each batch of one of the broken loops."""
    it = LABS[lab]
    return it.loop(*it.start(), it.batches())


def _gradient(loss: Callable, p: Tensor, q: Tensor, x: Tensor, y: Tensor) -> Tensor:
    p, q = (n.detach().clone().requires_grad_() for n in (p, q))
    loss(p, q, x, y).backward()
    return torch.cat([p.grad.flatten(), q.grad.flatten()])


def _wrong_step(lab: Lab, train: Loop) -> str:
    """What is wrong with the direction of the loop's steps; "" when nothing is."""
    p, q = lab.start()
    with torch.no_grad():
        p *= SPREAD  # so that the sigmoid, or none, makes a difference
    for number, (x, y) in enumerate(lab.probes()):
        before = torch.cat([p.detach().flatten(), q.detach().flatten()])
        proper = [_gradient(loss, p, q, x, y) for loss in lab.proper]
        unsqueezed = _gradient(_no_sigmoid, p, q, x, y) if len(x.shape) == 2 else None
        train(p, q, [(x, y)])
        step = torch.cat([p.detach().flatten(), q.detach().flatten()]) - before
        if not step.isfinite().all():
            return "the parameters are no longer finite numbers"
        if not step.any():
            return "the parameters did not change; a step has to change them in place (w -= …)"
        if any(F.cosine_similarity(-step, g, dim=0) > STRAIGHT for g in proper):
            continue
        if unsqueezed is not None and F.cosine_similarity(-step, unsqueezed, dim=0) > STRAIGHT:
            return "the loss takes the predictions as they are; what brings them between 0 and 1?"
        if number:
            return "a step does not go down its own slope; what is left from the step before?"
        return "the first step does not go down the slope of the loss"
    return ""


def judge_repair(lab: str, train: Loop) -> Verdict:
    """Whether the repaired loop of a lab goes down its slope, in steps of a good length."""
    it = LABS[lab]
    try:
        if wrong := _wrong_step(it, train):
            return Verdict(False, wrong)
        start, batches = it.start(), it.batches()
        losses = train(*start, batches)
        with torch.no_grad():
            final = torch.stack([it.proper[0](*start, *batch) for batch in batches[-20:]]).mean()
    except Exception as error:
        return _crashed("your loop", error)
    if losses is None or len(losses) != len(batches):
        return Verdict(False, "the loop should return a list with one loss for each batch")
    if final < it.limit:
        return Verdict(True, f"the loss goes down to {final:.2f}, and stays there.")
    if final < losses[0]:
        return Verdict(False, f"it goes down, but too slowly: at the end the loss is {final:.2f}")
    return Verdict(False, f"the loss ends at {final:.3g}, above its start; are the steps too long?")


check_repair = _printed(judge_repair, "Print whether the training loop of a lab is repaired.")


# --- what is wrong? ---------------------------------------------------------------------------

DIAGNOSES = {
    "no_zero": "The gradients are never set back to zero, so each step repeats all earlier ones",
    "no_sigmoid": "The predictions are not brought between 0 and 1 before the loss",
    "too_fast": "The learning rate is too high",
    "too_slow": "The learning rate is too low",
}
REASONS = {  # lab → the right diagnosis, a hint, and what speaks for or against each diagnosis
    "a": (
        "no_zero",
        "Something swings here. What makes a thing swing past the place where it should stop?",
        {
            "no_zero": "old gradients go on pushing after the bottom is passed, so the loss comes "
            "down, climbs again and comes down again, over many steps",
            "no_sigmoid": "then the loss would fall below 0",
            "too_fast": "then the loss would jump or grow from each step to the next, and it would "
            "not come down so smoothly in between",
            "too_slow": "then it would creep downwards and never come up again",
        },
    ),
    "b": (
        "no_sigmoid",
        "Read the numbers on the axis. How small can the average distance from a target be?",
        {
            "no_zero": "that makes a loss swing, but a distance never falls below 0",
            "no_sigmoid": "a prediction of 50 for a target of 1 counts as a distance of -49 and is "
            "rewarded, so the loss falls below 0 without end",
            "too_fast": "that makes a loss jump or grow, but a distance never falls below 0",
            "too_slow": "the loss moves a long way here; it only has no floor",
        },
    ),
    "c": (
        "too_fast",
        "A short step down a slope lowers the loss. What if the step is long?",
        {
            "no_zero": "that makes a loss swing: it would come down again",
            "no_sigmoid": "then the loss would fall, below 0; this one grows",
            "too_fast": "each step jumps across the valley and lands higher up on the other side",
            "too_slow": "then the loss would hardly change from step to step",
        },
    ),
}


def diagnose(lab: str) -> None:
    """Ask what is wrong with a lab's loop, and give feedback on each possible answer."""
    from utils.quiz.questions import ChoiceQuestion
    from utils.quiz.widget import ask  # the widgets take a while to import
    from utils.quiz.words import Words

    right, hint, reasons = REASONS[lab]
    options = [
        {"text": text, "right": key == right, "why": f"{reasons[key]}."}
        for key, text in DIAGNOSES.items()
    ]
    card = {
        "id": f"lab-{'abc'.index(lab) + 1:02}",  # not in the bank, so never up for review
        "notebook": "06_mnist_from_scratch",
        "section": "Break it",
        "kind": "choice",
        "text": "What is wrong with this training loop? Go by the curve alone.",
        "answer": f"{DIAGNOSES[right]}: {reasons[right]}.",
        "hints": [hint],
        "options": options,
    }
    question = ChoiceQuestion.model_validate(card, context={"words": Words()})
    ask(f"Lab {lab.upper()}", [question])


# --- your own Learner -------------------------------------------------------------------------


def _lines_of(cls: type) -> int | None:
    """Lines of a class with something on them; None when its code cannot be found."""
    functions = [f for f in vars(cls).values() if inspect.isfunction(f)]
    try:  # not getsource(cls), which cannot find a class that was written in a notebook
        source = "".join(inspect.findsource(functions[0])[0])
    except (OSError, IndexError):
        return None
    for node in ast.walk(ast.parse(source)):
        if isinstance(node, ast.ClassDef) and node.name == cls.__name__:
            rows = source.splitlines()[node.lineno - 1 : node.end_lineno]
            return sum(bool(row.strip()) and not row.strip().startswith("#") for row in rows)
    return None


def _small_world() -> tuple[SimpleNamespace, nn.Module]:
    """Five training and two validation batches, and a network that notices how it is used."""
    draw = torch.Generator().manual_seed(1)
    x = torch.randn(70, 6, generator=draw)
    y = (x[:, :1] + 0.5 * x[:, 1:2] > 0).float()
    batches = list(zip(x.split(10), y.split(10), strict=True))
    model = nn.Sequential(nn.Linear(6, 8), nn.BatchNorm1d(8), nn.ReLU(), nn.Linear(8, 1))
    with torch.no_grad():
        for p in model.parameters():
            if p.ndim == 2:
                p.copy_(0.4 * torch.randn(p.shape, generator=draw))
            else:
                p.fill_(0.5)
    return SimpleNamespace(train=batches[:5], valid=batches[5:]), model


def _accuracy(predictions: Tensor, targets: Tensor) -> Tensor:
    return ((predictions > 0) == (targets == 1)).float().mean()


def _reference(epochs: int, lr: float, zero: bool = True, also_valid: bool = False) -> tuple:
    dls, model = _small_world()
    history = []
    for _ in range(epochs):
        model.train()
        losses = []
        for x, y in dls.train + (dls.valid if also_valid else []):
            loss = mnist_loss(model(x), y)
            loss.backward()
            with torch.no_grad():
                for p in model.parameters():
                    p -= lr * p.grad
                    if zero:
                        p.grad = None
            losses.append(loss.item())
        model.eval()
        with torch.no_grad():
            rows = [(mnist_loss(model(x), y), _accuracy(model(x), y)) for x, y in dls.valid]
        means = torch.tensor(rows).mean(0).tolist()
        history.append([sum(losses) / len(losses), *means])
    return model, history


def _same(model: nn.Module, other: nn.Module) -> bool:
    pairs = zip(model.parameters(), other.parameters(), strict=True)
    return all(torch.allclose(p, q, atol=1e-5) for p, q in pairs)


def judge_learner(cls: type) -> Verdict:
    """The given test for a Learner of one's own; see the chapter for what it must do."""
    epochs, lr = 3, 0.8
    dls, model = _small_world()
    name = getattr(cls, "__name__", "it")
    try:
        learn = cls(dls, model, mnist_loss, _accuracy)
    except Exception as error:
        return _crashed(f"{name}(dls, model, loss_func, metric)", error)
    try:
        learn.fit(epochs, lr)
    except Exception as error:
        return _crashed(f"fit({epochs}, {lr})", error)
    return _judge_training(model, epochs, lr) or _judge_history(learn, epochs, lr) or _count(cls)


def _judge_training(model: nn.Module, epochs: int, lr: float) -> Verdict | None:
    if _same(model, _small_world()[1]):
        return Verdict(False, "after fit no parameter has changed; which steps has every batch?")
    if _same(model, _reference(epochs, lr)[0]):
        return None
    if _same(model, _reference(epochs, lr, zero=False)[0]):
        return Verdict(False, "the gradients are not set to zero after a step")
    if _same(model, _reference(epochs, lr, also_valid=True)[0]):
        return Verdict(False, "it takes steps on the validation batches too")
    if any(_same(model, _reference(n, lr)[0]) for n in (1, epochs - 1, epochs + 1)):
        return Verdict(False, f"fit({epochs}, lr) does not go through dls.train {epochs} times")
    return Verdict(
        False,
        "the parameters are not those that plain SGD reaches; are they all in the step, is lr "
        "used, and is the model in train mode at the start of each epoch?",
    )


def _judge_history(learn: object, epochs: int, lr: float) -> Verdict | None:
    shape = "learn.history should hold one (training loss, validation loss, metric) for each epoch"
    try:
        told = torch.tensor([[float(n) for n in row] for row in learn.history])
    except (AttributeError, TypeError, ValueError):
        return Verdict(False, shape)
    wanted = torch.tensor(_reference(epochs, lr)[1])
    if told.shape != wanted.shape:
        return Verdict(False, f"{shape}; its shape is {tuple(told.shape)}")
    right = torch.isclose(told, wanted, atol=1e-4).all(0).tolist()
    if all(right):
        return None
    wrong = ("training loss", "validation loss", "metric")[right.index(False)]
    hint = "" if wrong == "training loss" else ", with the model in eval mode"
    return Verdict(False, f"the {wrong} in history is not the mean over its batches{hint}")


def _count(cls: type) -> Verdict:
    lines = _lines_of(cls)
    if lines and lines >= MOST_LINES:
        return Verdict(False, f"it works, in {lines} lines; fewer than {MOST_LINES} are wanted")
    told = f" in {lines} lines" if lines else ""
    return Verdict(True, f"{cls.__name__} trains as plain SGD does and reports it{told}.")


check_learner = _printed(judge_learner, "Print whether a Learner of one's own passes the test.")


# --- softmax, cross-entropy, ten digits -------------------------------------------------------


def judge_softmax(softmax: Callable, cross_entropy: Callable) -> Verdict:
    """Whether the two functions give what PyTorch's give, for large numbers too."""
    draw = torch.Generator().manual_seed(2)
    scores, targets = torch.randn(8, 10, generator=draw), torch.arange(8)
    try:
        mine = softmax(scores)
        if not isinstance(mine, Tensor) or mine.shape != scores.shape:
            return Verdict(False, "softmax should return a tensor of the shape it was given")
        if (mine < 0).any():
            return Verdict(False, "a probability is never negative; exp makes any number positive")
        if not torch.allclose(mine.sum(1), torch.ones(8), atol=1e-4):
            return Verdict(False, "the ten probabilities of each row should sum to 1")
        if not torch.allclose(mine, scores.softmax(1), atol=1e-5):
            return Verdict(False, "they sum to 1, but are not exp(score) over the sum of them all")
        if not torch.allclose(softmax(scores * 1000), (scores * 1000).softmax(1), atol=1e-5):
            return Verdict(
                False, "scores in the thousands give nan; subtract each row's largest score first"
            )
        loss = torch.as_tensor(cross_entropy(scores, targets))
    except Exception as error:
        return _crashed("your code", error)
    if loss.ndim or not torch.isclose(loss.float(), F.cross_entropy(scores, targets), atol=1e-4):
        return Verdict(
            False,
            "softmax is right; cross_entropy should be the mean of minus the log of the "
            "probability that each right digit got",
        )
    return Verdict(True, "both agree with PyTorch's.")


check_softmax = _printed(judge_softmax, "Print whether softmax and cross-entropy are right.")


def judge_ten(model: Callable, x: Tensor, y: Tensor, at_least: float, most: int) -> Verdict:
    """Whether `model` reads digits well enough with few enough parameters."""
    try:
        size = sum(p.numel() for p in model.parameters())
        model.eval()
        with torch.no_grad():
            scores = model(x)
        if scores.shape != (len(x), 10):
            shape = tuple(scores.shape)
            return Verdict(False, f"it should give ten scores for each image; its shape is {shape}")
        accuracy = (scores.argmax(1) == y).float().mean().item()
    except Exception as error:
        return _crashed("your model", error)
    if size > most:
        return Verdict(False, f"it has {size:,} parameters; at most {most:,} are asked for")
    if accuracy < at_least:
        return Verdict(False, f"accuracy {accuracy:.3f}, and at least {at_least} is asked for")
    return Verdict(True, f"accuracy {accuracy:.3f} with {size:,} parameters.")


check_ten = _printed(judge_ten, "Print whether a model of one's own reads all ten digits.")
