"""Chapter 09: losses measured at rest, four faulty trainings, and how long a step takes."""

import fastai.callback.all  # noqa: F401  (patches of Learner)
import matplotlib.pyplot as plt
import pytest
import torch
import torch.nn.functional as F
from fastai.data.core import DataLoaders
from fastai.data.load import DataLoader
from fastai.learner import Learner
from fastai.optimizer import SGD
from fastai.torch_core import set_seed
from torch import nn

from utils.lessons.ch09 import FAULTS, four_curves, four_trainings, seconds_a_step, watched


def learner(x=None, y=None, **how) -> Learner:
    set_seed(0, reproducible=True)
    if x is None:
        x = torch.randn(64, 1, 4, 4)
        y = (x.mean((1, 2, 3)) > 0).long()
    train = DataLoader(list(zip(x, y, strict=True)), bs=8, shuffle=True)
    valid = DataLoader(list(zip(x[:20], y[:20], strict=True)), bs=10)
    model = nn.Sequential(nn.Flatten(), nn.Linear(16, 4), nn.Dropout(0.5), nn.Linear(4, 2))
    return Learner(DataLoaders(train, valid), model, loss_func=F.cross_entropy, **how)


def test_losses_are_measured_at_rest_at_so_many_moments_and_at_the_end():
    learn = learner()
    curve = watched(learn, 3, 1e-2, moments=4)
    assert list(curve.index) == [0, 1, 2, 3, 4]
    with learn.no_bar():
        at_rest = [learn.validate(dl=dl)[0] for dl in learn.dls]
    assert curve.iloc[-1].tolist() == pytest.approx(at_rest, abs=1e-4)
    assert curve.iloc[0].tolist() != curve.iloc[-1].tolist()


def test_four_trainings_are_drawn_without_saying_how_long_each_was():
    x = torch.randn(16, 1, 4, 4)
    few = x, (x.mean((1, 2, 3)) > 0).long()
    curves = four_trainings(learner, few, SGD)
    assert list(curves) == list(FAULTS)
    assert {len(curve) for curve in curves.values()} <= {13, 9}  # one epoch here has 8 steps
    four_curves(curves)
    for axes in plt.gcf().axes:
        assert [label.get_text() for label in axes.get_xticklabels()] == ["beginning", "end"]
    plt.close("all")


def test_a_step_takes_time_and_leaves_the_model_where_it_was():
    learn = learner()
    before = [p.detach().clone() for p in learn.model.parameters()]
    assert 0 < seconds_a_step(learn, times=2) < 10
    assert all(torch.equal(a, b) for a, b in zip(before, learn.model.parameters(), strict=True))
