"""Chapter 09: a training killed at any moment, what a step keeps, several processes."""

import json
import os
import random
import re
import shutil
import signal
import weakref

import nbformat
import numpy as np
import pytest
import torch
from fastai.callback.core import Callback
from killed_training import outcome, small_learner, train
from safetensors.torch import load_file, save_file
from torch import nn

from utils.lessons import ch09
from utils.lessons.ch09 import (
    POSITION,
    Checkpoint,
    CheckpointError,
    ProcessError,
    accelerate_launch,
    kept_for_backward,
    peak_memory,
    random_state,
    run_and_kill,
    run_python,
    set_random_state,
    size_of,
    write_script,
)
from utils.paths import ROOT, chapter

MB = 1e6


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
    said = run_python(
        ROOT / "tests" / "lessons" / "killed_training.py", tmp_path, CUDA_VISIBLE_DEVICES=""
    )
    rows = json.loads(said.splitlines()[-1])
    assert len(rows) == 13
    for row in rows:
        assert all(row[key] for key in ("weights", "values", "losses", "lrs", "iters")), row


def test_without_the_random_state_it_ends_elsewhere(finished, tmp_path, monkeypatch):
    """What the test above compares does tell trainings apart."""
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, InterruptAfter(6))
    monkeypatch.setattr(ch09, "set_random_state", lambda state: None)
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


def test_a_finished_training_has_one_checkpoint_and_is_not_repeated(finished, tmp_path, capsys):
    folder = shutil.copytree(finished[0], tmp_path / "copy")
    assert [place.name for place in folder.iterdir()] == ["epoch-0003-batch-000000"]
    assert outcome(train(folder)) == outcome(finished[1])
    assert "Going on from epoch 3, batch 0." in capsys.readouterr().out


@pytest.mark.parametrize(
    ("other", "says"),
    [
        ({"epochs": 4}, "of another training.*delete the folder copy"),
        ({"items": 90}, "of another training"),
        ({"width": 12}, "another model"),
    ],
)
def test_another_training_or_model_is_refused(finished, tmp_path, other, says):
    folder = shutil.copytree(finished[0], tmp_path / "copy")
    with pytest.raises(CheckpointError, match=says):
        train(folder, **other)


def test_a_spoilt_checkpoint_is_a_sentence(finished, tmp_path):
    folder = shutil.copytree(finished[0], tmp_path / "copy")
    (position,) = folder.glob(f"*/{POSITION}")
    position.write_bytes(position.read_bytes()[:500])
    with pytest.raises(CheckpointError, match="cannot be read"):
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


# --- memory


def test_size_counts_every_number():
    tensors = [torch.zeros(1000), torch.zeros(10, 10, dtype=torch.float16), "no tensor"]
    assert size_of(tensors) == (1000 * 4 + 100 * 2) / MB


def test_kept_are_the_inputs_and_outputs_that_the_slopes_need():
    model = nn.Sequential(nn.Linear(100, 50), nn.ReLU(), nn.Linear(50, 2))
    x = torch.zeros(8, 100)
    # the first layer keeps its input; ReLU and the second layer share what ReLU gave out
    assert kept_for_backward(model, x) == 4 * 8 * (100 + 50) / MB


def test_what_was_counted_is_let_go():
    model, results = nn.Sequential(nn.Linear(100, 50), nn.ReLU()), []
    model[1].register_forward_hook(lambda *args: results.append(weakref.ref(args[-1])))
    kept_for_backward(model, torch.zeros(8, 100))
    assert [result() for result in results] == [None]


def test_peak_is_the_most_at_once_and_not_the_sum(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)  # a card in use is no matter

    def step():
        for _ in range(3):
            torch.zeros(1_000_000)

    def all_at_once():
        return [torch.zeros(1_000_000) for _ in range(3)]

    assert peak_memory(step, "cpu") == pytest.approx(4, abs=0.1)
    assert peak_memory(all_at_once, "cpu") == pytest.approx(12, abs=0.1)


def test_a_worker_that_asks_for_too_much_is_killed_and_the_message_says_so():
    said = run_python("-m", "utils.lessons.ch09", "600")
    assert re.search(r"^after \d+ batches: RuntimeError: DataLoader worker \(pid", said, re.M)
    if hasattr(signal, "SIGKILL"):  # Windows knows no signals
        assert re.search(r"DataLoader worker \(pid \d+\) is killed by signal: Killed", said)


# --- processes

FUNCTIONS = ("net", "train_epochs", "train")


def chapter_script() -> str:
    """The training that the chapter hands to Accelerate, as a script, from the chapter's cells."""
    notebook = nbformat.read(chapter("09"), as_version=4)
    cells = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    (imports,) = (cell for cell in cells if cell.startswith("imports =") and "Accelerator" in cell)
    found = {}
    exec(imports, found)
    sources = [cell for name in FUNCTIONS for cell in cells if cell.startswith(f"def {name}(")]
    assert len(sources) == len(FUNCTIONS)
    end = 'if __name__ == "__main__":\n    train(*sys.argv[1:])\n'
    return "\n\n".join(["import sys", found["imports"], *sources, end])


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder with the script, its data, and the weights one process ends with."""
    folder = tmp_path_factory.mktemp("shared")
    (folder / "train.py").write_text(chapter_script(), "utf-8")
    x = torch.rand(320, 1, 28, 28, generator=torch.Generator().manual_seed(1))
    y = (x[:, 0, :14].mean((1, 2)) > x[:, 0, 14:].mean((1, 2))).long()
    save_file({"x": x, "y": y}, folder / "data")
    run_python(folder / "train.py", folder / "data", folder / "one")
    return folder


def furthest(one, other):
    one, other = load_file(one), load_file(other)
    return max((one[name] - other[name]).abs().max().item() for name in one)


def test_two_processes_end_where_one_does_and_a_smaller_mini_batch_does_not(trained):
    accelerate_launch(trained / "train.py", trained / "data", trained / "two", num_processes=2)
    assert furthest(trained / "one", trained / "two") < 1e-5
    script = chapter_script()
    assert "batch_size=32" in script
    (trained / "other.py").write_text(script.replace("batch_size=32", "batch_size=16"), "utf-8")
    run_python(trained / "other.py", trained / "data", trained / "half")
    assert furthest(trained / "one", trained / "half") > 1e-3  # so the first distance says much


def test_a_failing_script_is_a_sentence(tmp_path):
    (tmp_path / "wrong.py").write_text("1 / 0", "utf-8")
    with pytest.raises(ProcessError, match=r"ended with 1: ZeroDivisionError: division by zero"):
        run_python(tmp_path / "wrong.py")


def greet(name: str) -> None:
    for number in range(1_000_000):
        print(name, number, "at", time.time())  # noqa: F821  (imported by the script)


def test_a_script_runs_and_is_killed(tmp_path):
    script = write_script(
        tmp_path / "greet.py",
        "import time",
        [greet],
        "print('ready'); print('go'); greet(sys.argv[1])",
    )
    assert run_and_kill(script, "Ada", at="go") == ["ready", "go"]
    last = "greet(sys.argv[1]) if len(sys.argv) > 2 else print('done')"
    write_script(script, "import time", [greet], last)
    with pytest.raises(ProcessError, match="ended with 0 before it said 'go'"):
        run_and_kill(script, "Ada", at="go")


def test_a_killed_process_did_not_end_by_itself(tmp_path):
    end = tmp_path / "end"
    last = "print('go'); time.sleep(30); open(sys.argv[1], 'w')"
    script = write_script(tmp_path / "sleep.py", "import time", [], last)
    run_and_kill(script, end, at="go")
    assert not end.exists()
