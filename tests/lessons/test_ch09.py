"""A training killed at any moment goes on, and ends where one that was never killed ends."""

import json
import os
import random
import shutil

import numpy as np
import pytest
import torch
from fastai.callback.core import Callback
from killed_training import outcome, small_learner, train

from utils import checkpoints
from utils.checkpoints import POSITION, Checkpoint, CheckpointError, random_state, set_random_state
from utils.common import CourseError
from utils.paths import ROOT
from utils.processes import run_python


class InterruptAfter(Callback):
    run_valid = False

    def __init__(self, batches):
        self.batches = batches

    def after_batch(self):
        if self.learn.train_iter == self.batches:
            raise KeyboardInterrupt


class HalvesItsScale(Callback):
    """A loss scaler as 16-bit floats need on a card, whose scale falls with every batch."""

    order, run_valid = 10, False

    def before_fit(self):
        self.learn.scaler = torch.amp.GradScaler("cpu", init_scale=1024)
        self.learn.scaler.scale(torch.ones(1))  # from here on it has a scale

    def after_batch(self):
        self.learn.scaler.update(self.learn.scaler.get_scale() / 2)


@pytest.fixture(scope="module", autouse=True)
def one_thread():
    threads = torch.get_num_threads()
    torch.set_num_threads(1)
    yield
    torch.set_num_threads(threads)


@pytest.fixture(scope="module")
def finished(tmp_path_factory):
    folder = tmp_path_factory.mktemp("finished")
    return folder, train(folder)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="it kills copies of its own process")
def test_killed_at_any_moment_it_ends_in_the_same_place(tmp_path):
    # Where there is a card, PyTorch cannot compute gradients in a fork, so none is to be seen.
    said = run_python(ROOT / "tests" / "killed_training.py", tmp_path, CUDA_VISIBLE_DEVICES="")
    rows = json.loads(said.splitlines()[-1])
    assert len(rows) == 13
    for row in rows:
        assert all(row[key] for key in ("weights", "values", "losses", "lrs", "iters")), row


def test_without_the_random_state_it_ends_elsewhere(finished, tmp_path, monkeypatch):
    """What the test above compares does tell trainings apart."""
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, InterruptAfter(6))
    monkeypatch.setattr(checkpoints, "set_random_state", lambda state: None)
    resumed, whole = outcome(train(tmp_path)), outcome(finished[1])
    assert resumed["lrs"] == whole["lrs"]
    assert resumed["weights"] != whole["weights"]


def test_the_scale_of_16_bit_floats_comes_back(tmp_path):
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path / "killed", HalvesItsScale(), InterruptAfter(6))
    resumed, whole = (train(tmp_path / name, HalvesItsScale()) for name in ("killed", "whole"))
    assert resumed.scaler.get_scale() == whole.scaler.get_scale() < 1


def test_no_card_is_woken_for_a_training_on_the_processor(monkeypatch):
    woken = lambda *_: pytest.fail("CUDA was used")  # noqa: E731
    monkeypatch.setattr(torch.cuda, "is_available", lambda: True)
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: False)
    monkeypatch.setattr(torch.cuda, "get_rng_state_all", woken)
    monkeypatch.setattr(torch.cuda, "set_rng_state_all", woken)
    set_random_state(random_state())


def test_one_whole_checkpoint_is_kept(finished):
    folder = finished[0]
    assert [place.name for place in folder.iterdir()] == ["epoch-0003-batch-000000"]


def test_a_finished_training_is_not_repeated(finished, tmp_path, capsys):
    folder = shutil.copytree(finished[0], tmp_path / "copy")
    assert outcome(train(folder)) == outcome(finished[1])
    assert "Going on from epoch 3, batch 0." in capsys.readouterr().out


@pytest.mark.parametrize("other", [{"epochs": 4}, {"items": 90}])
def test_another_training_is_refused(finished, tmp_path, other):
    folder = shutil.copytree(finished[0], tmp_path / "copy")
    with pytest.raises(CheckpointError, match=r"of another training.*delete the folder copy"):
        train(folder, **other)


def test_another_model_is_refused(finished, tmp_path):
    folder = shutil.copytree(finished[0], tmp_path / "copy")
    with pytest.raises(CheckpointError, match="another model"):
        train(folder, width=12)


def test_a_spoilt_checkpoint_is_a_sentence(finished, tmp_path):
    folder = shutil.copytree(finished[0], tmp_path / "copy")
    (position,) = folder.glob(f"*/{POSITION}")
    position.write_bytes(position.read_bytes()[:500])
    with pytest.raises(CourseError, match="cannot be read"):
        train(folder)


def test_it_stays_out_of_validation_and_of_the_rate_finder(tmp_path):
    learn = small_learner()
    learn.path = tmp_path / "models"
    learn.add_cb(Checkpoint(tmp_path / "none", every=1))
    with learn.no_bar(), learn.no_logging():
        learn.get_preds()
        learn.lr_find(num_it=20, show_plot=False)
    assert not (tmp_path / "none").exists()


def test_random_state_comes_back():
    state = random_state()
    drawn = random.random(), np.random.rand(), torch.rand(1).item()
    assert (random.random(), np.random.rand(), torch.rand(1).item()) != drawn
    set_random_state(state)
    assert (random.random(), np.random.rand(), torch.rand(1).item()) == drawn
