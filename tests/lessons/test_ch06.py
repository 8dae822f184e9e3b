"""The exercises of chapter 06: unsolved, solved and plausibly wrong each get their own verdict."""

import linecache
import re

import nbformat
import pytest
import torch
import torch.nn.functional as F
from torch import nn

from utils.lessons import ch06
from utils.paths import chapter
from utils.quiz import load_bank

CELLS = [c.source for c in nbformat.read(chapter("06"), as_version=4).cells]


def cell(start):
    """The one cell of the chapter with a line that starts so."""
    (found,) = [c for c in CELLS if any(row.startswith(start) for row in c.splitlines())]
    return found


def run(source, name):
    """What `name` is after the source ran as a cell of the chapter."""
    height = lambda t, v, d: ch06.WINDOW + v * t - d * t**2  # noqa: E731
    names = {"torch": torch, "F": F, "nn": nn, "height": height, "mnist_loss": ch06.mnist_loss}
    exec(compile(source, f"<cell {name}>", "exec"), names)
    return names[name]


# --- the three labs

ZERO_A = ("losses.append", "v.grad.zero_(); d.grad.zero_()\n        losses.append")
REPAIRS = {
    "a": [
        ZERO_A,
        ("loss.backward()", "v.grad = d.grad = None\n        loss.backward()"),
    ],
    "b": [
        ("p = x @ w + b", "p = (x @ w + b).sigmoid()"),
        ("torch.where(y == 1, 1 - p, p).mean()", "mnist_loss(p, y)"),
        ("torch.where(y == 1, 1 - p, p).mean()", "F.binary_cross_entropy_with_logits(p, y)"),
    ],
    "c": [("3.0 *", "1.0 *"), ("3.0 *", "0.3 *"), ("3.0 *", "2.5 *")],
}
WRONG = {
    "a": [
        (("0.1 *", "0.001 *"), "left from the step before"),
        (("-=", "+="), "does not go down"),
        (("losses.append(loss.item())", "v.grad.zero_(); d.grad.zero_()"), "one loss for each"),
        (("h) ** 2", "h) * 2"), "first step"),
    ],
    "b": [
        (("0.5 *", "0.001 *"), "between 0 and 1"),
        (("p = x @ w + b", "p = (x @ w + b).clamp(0, 1)"), "step"),
        (("p = x @ w + b", "p = (x @ w + b).abs()"), "step"),
    ],
    "c": [
        (("3.0 *", "2.9 *"), "too long"),
        (("3.0 *", "30.0 *"), "too long"),
        (("3.0 *", "0.001 *"), "too slowly"),
        (("parameter -= 3.0", "parameter = parameter - 3.0"), "AttributeError"),
        (("parameter -= 3.0", "0 * 3.0"), "did not change"),
        (("loss.backward()", "los.backward()"), "NameError"),
    ],
}


@pytest.mark.parametrize("lab", "abc")
def test_the_cell_is_the_loop_whose_curve_was_shown_and_is_not_repaired(lab):
    train = run(cell(f"def train_{lab}"), f"train_{lab}")
    it = ch06.LABS[lab]
    assert train(*it.start(), it.batches()) == pytest.approx(ch06.lab_losses(lab), rel=1e-4)
    assert not ch06.check_repair(lab, train).solved


@pytest.mark.parametrize(
    ("lab", "change"), [(lab, change) for lab in "abc" for change in REPAIRS[lab]]
)
def test_every_good_repair_is_accepted(lab, change):
    source = cell(f"def train_{lab}")
    assert change[0] in source
    verdict = ch06.check_repair(lab, run(source.replace(*change), f"train_{lab}"))
    assert verdict.solved, verdict


@pytest.mark.parametrize(
    ("lab", "change", "says"), [(lab, *wrong) for lab in "abc" for wrong in WRONG[lab]]
)
def test_plausible_but_wrong_gets_its_own_sentence(lab, change, says):
    source = cell(f"def train_{lab}")
    assert change[0] in source
    verdict = ch06.check_repair(lab, run(source.replace(*change), f"train_{lab}"))
    assert not verdict.solved and says in verdict.sentence


def test_a_repair_that_is_no_function_is_told():
    assert "TypeError" in ch06.check_repair("a", None).sentence


def test_the_curves_show_what_is_wrong():
    swings, falls, grows = (torch.tensor(ch06.lab_losses(lab)) for lab in "abc")
    turns = (swings.diff().sign().diff() != 0).sum()
    assert turns >= 5 and swings.max() < 10 and swings.min() < 1
    assert falls[-20:].mean() < -100
    assert (grows[2:].diff() > 0).all() and grows[-1] > 1000


DIAGNOSES = {"a": "never set back to zero", "b": "between 0 and 1", "c": "too high"}


@pytest.mark.parametrize("lab", "abc")
def test_a_diagnosis_by_the_curve_alone_is_asked_for_and_only_one_is_right(lab):
    id = f"lab-0{'abc'.index(lab) + 1}"
    assert CELLS[CELLS.index(f'show_lab("{lab}")') + 1] == f'your_turn("{id}")'
    question = load_bank()[id]
    outcomes = {option.text: question.check(option.text).outcome for option in question.options}
    assert [text for text in outcomes if DIAGNOSES[lab] in text] == [
        text for text, outcome in outcomes.items() if outcome == "right"
    ]
    figures = re.findall(r"-?\d+(?:\.\d+)?(?=[,.])", question.text)
    losses = ch06.lab_losses(lab)[: 5 * len(figures) : 5]
    assert [float(f) for f in figures] == pytest.approx(losses, rel=0.06, abs=0.5)


# --- your own Learner

LEARNER = """
class MyLearner:
    def __init__(self, dls, model, loss_func, metric):
        self.dls, self.model, self.loss_func, self.metric = dls, model, loss_func, metric
        self.history = []

    def train(self, lr):
        self.model.train()
        losses = []
        for x, y in self.dls.train:
            loss = self.loss_func(self.model(x), y)
            loss.backward()
            with torch.no_grad():
                for p in self.model.parameters():
                    p -= lr * p.grad
                    p.grad.zero_()
            losses.append(loss.item())
        return sum(losses) / len(losses)

    @torch.no_grad()
    def judge(self, function):
        self.model.eval()
        values = [function(self.model(x), y).item() for x, y in self.dls.valid]
        return sum(values) / len(values)

    def fit(self, epochs, lr):
        for _ in range(epochs):
            row = self.train(lr), self.judge(self.loss_func), self.judge(self.metric)
            self.history.append(row)
"""
WITH_OPTIMISER = """
class MyLearner:
    def __init__(self, dls, model, loss_func, metric):
        self.dls, self.model, self.loss_func, self.metric = dls, model, loss_func, metric
        self.history = []

    def fit(self, epochs, lr):
        optimiser = torch.optim.SGD(self.model.parameters(), lr=lr)
        for epoch in range(epochs):
            self.model.train()
            losses = []
            for x, y in self.dls.train:
                optimiser.zero_grad()
                loss = self.loss_func(self.model(x), y)
                loss.backward()
                optimiser.step()
                losses.append(loss.detach())
            self.model.eval()
            with torch.no_grad():
                pairs = [(self.model(x), y) for x, y in self.dls.valid]
                valid = torch.stack([self.loss_func(*pair) for pair in pairs]).mean()
                metric = torch.stack([self.metric(*pair) for pair in pairs]).mean()
            self.history.append([torch.stack(losses).mean(), valid, metric])
"""
WRONG_LEARNERS = [
    (("p.grad.zero_()", "pass"), "not set to zero"),
    (("p -= lr", "p -= 0.1"), "parameters are not those"),
    (("self.dls.train:", "[*self.dls.train, *self.dls.valid]:"), "validation batches"),
    (("range(epochs)", "range(1)"), "3 times"),
    (("self.model.eval()", "pass"), "eval mode"),
    (("self.model.train()", "pass"), "train mode"),
    (("self.judge(self.metric)", "0.0"), "metric"),
    (("self.train(lr), ", "self.train(lr), 0.0 * "), "validation loss"),
    (("sum(losses) / len(losses)", "losses[-1]"), "training loss"),
    (("self.history.append(row)", "pass"), "history"),
    (("self.history", "self.told"), "history"),
    (("lr):\n        for _", "rate):\n        for _"), "NameError"),
    (("metric):", "metric, more):"), "TypeError"),
    (("        self.history = []", "\n".join(["        self.history = []"] * 20)), "fewer than 40"),
]


def as_in_a_notebook(source, name="MyLearner"):
    """A class whose code can be found, as IPython arranges for what is typed into a cell."""
    file = f"<ipython-input-{abs(hash(source))}>"
    linecache.cache[file] = (len(source), None, source.splitlines(keepends=True), file)
    names = {"torch": torch}
    exec(compile(source, file, "exec"), names)
    return names[name]


def test_the_skeleton_of_the_learner_says_what_is_missing():
    verdict = ch06.check_learner(as_in_a_notebook(cell("class MyLearner")))
    assert not verdict.solved and "no parameter has changed" in verdict.sentence


@pytest.mark.parametrize("source", [LEARNER, WITH_OPTIMISER], ids=["by hand", "optimiser"])
def test_a_learner_that_passes(source):
    verdict = ch06.check_learner(as_in_a_notebook(source))
    assert verdict.solved, verdict
    lines = sum(bool(row.strip()) for row in source.splitlines())
    assert f"in {lines} lines" in verdict.sentence


@pytest.mark.parametrize(("change", "says"), WRONG_LEARNERS, ids=lambda v: str(v)[:40])
def test_a_learner_that_does_not(change, says):
    assert change[0] in LEARNER
    verdict = ch06.check_learner(as_in_a_notebook(LEARNER.replace(*change)))
    assert not verdict.solved and says in verdict.sentence, verdict


def test_something_else_than_a_learner():
    assert not ch06.check_learner(None).solved
    assert not ch06.check_learner(lambda *args: None).solved


# --- softmax and ten digits


def softmax(scores):
    powers = (scores - scores.max(1, keepdim=True).values).exp()
    return powers / powers.sum(1, keepdim=True)


def cross_entropy(scores, targets):
    return -softmax(scores)[range(len(targets)), targets].log().mean()


def unsafe(scores):
    return scores.exp() / scores.exp().sum(1, keepdim=True)


@pytest.mark.parametrize(
    ("probabilities", "loss", "says"),
    [
        (lambda s: None, cross_entropy, "shape"),
        (lambda s: s, cross_entropy, "negative"),
        (lambda s: s.exp(), cross_entropy, "sum to 1"),
        (lambda s: s.exp() / s.exp().sum(), cross_entropy, "sum to 1"),
        (lambda s: s.sigmoid() / s.sigmoid().sum(1, keepdim=True), cross_entropy, "exp(score)"),
        (unsafe, cross_entropy, "nan"),
        (softmax, lambda s, t: 1 / 0, "ZeroDivisionError"),
        (softmax, lambda s, t: softmax(s)[range(8), t].log().mean(), "minus the log"),
        (softmax, lambda s, t: -softmax(s)[range(8), t].log(), "minus the log"),
        (softmax, lambda s, t: None, "stopped"),
    ],
)
def test_softmax_that_is_not_right(probabilities, loss, says):
    verdict = ch06.check_softmax(probabilities, loss)
    assert not verdict.solved and says in verdict.sentence


def test_softmax_that_is_right():
    assert ch06.check_softmax(softmax, cross_entropy).solved


def test_the_skeleton_of_softmax_is_not():
    source = cell("def my_softmax")
    mine = run(source, "my_softmax"), run(source, "my_cross_entropy")
    assert not ch06.check_softmax(*mine).solved


def test_ten_digits():
    torch.manual_seed(0)
    y = torch.arange(10).repeat(10)
    x = F.one_hot(y, 784).float().view(-1, 1, 28, 28)  # a pixel for each digit
    right = nn.Sequential(nn.Flatten(), nn.Linear(784, 10, bias=False))
    skeleton = run(cell("my_model ="), "my_model")
    assert "accuracy" in ch06.check_ten(skeleton, x, y, 0.97, 20_000).sentence
    with torch.no_grad():
        right[1].weight.copy_(torch.eye(10, 784))
    assert ch06.check_ten(right, x, y, 0.97, 20_000).solved
    assert "at most 1,000" in ch06.check_ten(right, x, y, 0.97, 1_000).sentence
    assert "ten scores" in ch06.check_ten(nn.Flatten(), x, y, 0.97, 1_000).sentence
    assert "AttributeError" in ch06.check_ten(None, x, y, 0.97, 1_000).sentence
    assert "RuntimeError" in ch06.check_ten(nn.Linear(3, 10), x, y, 0.97, 1_000).sentence


def test_the_ten_digits_exercise_can_be_solved():
    """The reference solution, with the chapter's own cells: a smaller network on the sample."""
    names = {"torch_data": torch.utils.data}
    exec("from fastai.vision.all import *\nfrom utils.data import dataset", names)
    names["ten"] = names["dataset"]("mnist", "sample")
    for start in ("def load(", "def load_ten", "ten_x, ten_y", "def jitter", "class Jitter"):
        exec(cell(start), names)
    exec("\n".join((cell("def loaders"), cell("def conv"), SMALLER)), names)
    source = cell("check_ten(").replace("check_ten", "verdict = check_ten")
    exec(source, names | {"check_ten": ch06.check_ten}, names)
    assert names["verdict"].solved, names["verdict"]


SMALLER = """
set_seed(0)
layers = conv(1, 12, 5), conv(12, 24), conv(24, 36)
my_model = nn.Sequential(*layers, nn.Flatten(), nn.Linear(36 * 4 * 4, 10))
my_learn = Learner(loaders(), my_model, loss_func=F.cross_entropy, cbs=Jitter)
with my_learn.no_bar(), my_learn.no_logging():
    my_learn.fit_one_cycle(12, 1e-2)
"""
