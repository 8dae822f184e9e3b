"""The exercises of chapter 06: unsolved, solved and plausibly wrong each get their own verdict."""

import re

import matplotlib.pyplot as plt
import nbformat
import numpy as np
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


def step_down(parameters, rate):
    with torch.no_grad():
        for parameter in parameters:
            parameter -= rate * parameter.grad
            parameter.grad.zero_()


def run(source, name):
    """What `name` is after the source ran as a cell of the chapter."""
    height = lambda t, v, d: ch06.WINDOW + v * t - d * t**2  # noqa: E731
    names = {"torch": torch, "F": F, "nn": nn, "ch06": ch06, "height": height}
    names |= {"mnist_loss": ch06.mnist_loss, "step_down": step_down}
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
    "c": [("=3.0", "=1.0"), ("=3.0", "=0.3"), ("=3.0", "=2.5")],
}
WRONG = {
    "a": [
        (("0.1 *", "0.001 *"), "left from the step before"),
        (("-=", "+="), "does not go down"),
        (("losses.append(loss.item())", "v.grad.zero_(); d.grad.zero_()"), "one loss for each"),
        (("h) ** 2", "h) * 2"), "first step"),
        (("v -= 0.1", "v = v - 0.1"), "first step"),
        (("0.1 *", "0 *"), "did not change"),
    ],
    "b": [
        (("=0.5", "=0.001"), "between 0 and 1"),
        (("p = x @ w + b", "p = (x @ w + b).clamp(0, 1)"), "step"),
        (("p = x @ w + b", "p = (x @ w + b).abs()"), "step"),
    ],
    "c": [
        (("=3.0", "=2.9"), "too long"),
        (("=3.0", "=30.0"), "too long"),
        (("=3.0", "=0.001"), "too slowly"),
        (("loss.backward()", "los.backward()"), "NameError"),
    ],
}


@pytest.mark.parametrize("lab", "abc")
def test_the_cell_is_the_loop_whose_curve_was_shown_and_is_not_repaired(lab):
    train = run(cell(f"def train_{lab}"), f"train_{lab}")
    start, batches = ch06.LABS[lab][0]()
    assert train(*start, batches) == pytest.approx(ch06.lab_losses(lab), rel=1e-4)
    assert not ch06.check_repair(lab, train).startswith("solved")


@pytest.mark.parametrize(
    ("lab", "change"), [(lab, change) for lab in "abc" for change in REPAIRS[lab]]
)
def test_every_good_repair_is_accepted(lab, change):
    source = cell(f"def train_{lab}")
    assert change[0] in source
    verdict = ch06.check_repair(lab, run(source.replace(*change), f"train_{lab}"))
    assert verdict.startswith("solved"), verdict


@pytest.mark.parametrize(
    ("lab", "change", "says"), [(lab, *wrong) for lab in "abc" for wrong in WRONG[lab]]
)
def test_plausible_but_wrong_gets_its_own_sentence(lab, change, says):
    source = cell(f"def train_{lab}")
    assert change[0] in source
    verdict = ch06.check_repair(lab, run(source.replace(*change), f"train_{lab}"))
    assert not verdict.startswith("solved") and says in verdict


def test_a_repair_that_is_no_function_is_told():
    assert "TypeError" in ch06.check_repair("a", None)


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
    (shown,) = [n for n, c in enumerate(CELLS) if f'lab_losses("{lab}")' in c]
    assert CELLS[shown + 1] == f'your_turn("{id}")'
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
    (("p -= lr", "p -= 0.1"), "not plain SGD"),
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
]


def learner(source):
    return run(source, "MyLearner")


def test_the_skeleton_of_the_learner_says_what_is_missing():
    verdict = ch06.check_learner(learner(cell("class MyLearner")))
    assert not verdict.startswith("solved") and "no parameter has changed" in verdict


@pytest.mark.parametrize("source", [LEARNER, WITH_OPTIMISER], ids=["by hand", "optimiser"])
def test_a_learner_that_passes(source):
    verdict = ch06.check_learner(learner(source))
    assert verdict.startswith("solved"), verdict


@pytest.mark.parametrize(("change", "says"), WRONG_LEARNERS, ids=lambda v: str(v)[:40])
def test_a_learner_that_does_not(change, says):
    assert change[0] in LEARNER
    verdict = ch06.check_learner(learner(LEARNER.replace(*change)))
    assert not verdict.startswith("solved") and says in verdict, verdict


def test_something_else_than_a_learner():
    assert not ch06.check_learner(None).startswith("solved")
    assert not ch06.check_learner(lambda *args: None).startswith("solved")


# --- ten digits


def test_the_ten_digits_exercise_can_be_solved():
    """The reference solution, with the chapter's own cells: a smaller network on the sample."""
    names = {"ch06": ch06, "use_device": lambda: None}
    exec("from fastai.vision.all import *\nfrom torch.utils.data import DataLoader", names)
    for start in ("ten_x, ten_y", "class Shift", "def ten_learner"):
        exec(cell(start), names)
    exec(cell("def conv(").partition("set_seed")[0] + SMALLER, names)
    size, accuracy = names["result"]
    assert size <= 20_000 and accuracy >= 0.97


SMALLER = """
set_seed(0)
layers = conv(1, 12, 5), conv(12, 24), conv(24, 36)
my_model = nn.Sequential(*layers, nn.Flatten(), nn.Linear(36 * 4 * 4, 10))
my_learn = ten_learner(my_model)
with my_learn.no_bar(), my_learn.no_logging():
    my_learn.fit_one_cycle(8, 1e-2)
answers = my_model.cpu().eval()(choose_x).argmax(1)
result = size_of(my_model), (answers == choose_y).float().mean().item()
"""


def test_ten_digits_are_dealt_into_three_parts_that_share_no_image():
    x, y, choose_x, choose_y, test_x, test_y = ch06.ten_digits()
    assert (x.shape, choose_x.shape, test_x.shape[1:]) == (
        (3200, 1, 28, 28), (800, 1, 28, 28), (1, 28, 28)
    )  # fmt: skip
    assert y.bincount().tolist() == [320] * 10 and choose_y.bincount().tolist() == [80] * 10
    assert test_y.bincount().tolist() == [100] * 10 and 0 <= x.min() < x.max() == 1
    assert len(torch.cat([x, choose_x]).flatten(1).unique(dim=0)) >= 3995  # few are alike anyway


# --- the film and the pictures


def test_gravity_decides_the_bend_of_the_film():
    (t, earth), (_, elsewhere) = ch06.film(), ch06.film(ch06.ELSEWHERE)
    assert torch.allclose(elsewhere - earth, (9.8 - ch06.ELSEWHERE) / 2 * t**2, atol=1e-5)
    assert (earth - (7 + 1.5 * t - 4.9 * t**2)).std() == pytest.approx(0.25, rel=0.3)


def test_pictures_show_what_they_are_given():
    image = torch.rand(28, 28)
    ch06.show_row({"a": image, "b": image.flatten(), "c": image[:26, :26] - 0.5}, signed=True)
    assert [ax.get_title() for ax in plt.gcf().axes] == ["a", "b", "c"]
    assert [ax.images[0].get_array().shape[0] for ax in plt.gcf().axes] == [28, 28, 26]
    low, high = plt.gcf().axes[0].images[0].get_clim()
    assert high == -low == pytest.approx(image.max().item())
    ch06.write_numbers(torch.tensor([[0, 255]]))
    assert [text.get_text() for text in plt.gca().texts] == ["0", "255"]
    ch06.multiplied_and_added(image, torch.ones(3, 3), [(2, 3), (0, 0)])
    assert f"{image[2:5, 3:6].sum():.1f}" in plt.gcf().axes[3].get_title()
    ch06.paths_in_the_bowl({0.9: np.array([[-4.0, 0, 16], [1, 4, 1]])})
    assert plt.gca().get_title() == "rate 0.9"
    plt.close("all")
