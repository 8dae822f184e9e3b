"""Chapter 10: a training killed at any moment, what a step keeps, several processes."""

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
from fastai.torch_core import set_random_states
from killed_training import EPOCHS, outcome, small_learner, train
from safetensors.torch import load_file, save_file
from torch import nn

from utils.common import CourseError
from utils.lessons import ch10
from utils.lessons.ch10 import (
    Checkpoint,
    accelerate_launch,
    kept_for_backward,
    peak_memory,
    random_states,
    run_python,
)
from utils.paths import ROOT, chapter

MB, FILE = 1e6, "training.pth"


class InterruptAfter(Callback):
    run_valid = False

    def __init__(self, batches):
        self.batches = batches

    def after_batch(self):
        if self.learn.train_iter == self.batches:
            raise KeyboardInterrupt


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
    assert len(rows) == 12
    for row in rows:
        assert all(row[key] for key in ("weights", "values", "losses", "lrs", "iters")), row


def test_without_the_random_state_it_ends_elsewhere(finished, tmp_path, monkeypatch):
    """What the test above compares does tell trainings apart."""
    with pytest.raises(KeyboardInterrupt):
        train(tmp_path, InterruptAfter(16))
    monkeypatch.setattr(ch10, "set_random_states", lambda **state: None)
    resumed, whole = outcome(train(tmp_path)), outcome(finished[1])
    assert resumed["lrs"] == whole["lrs"]
    assert resumed["weights"] != whole["weights"]


def test_a_finished_training_has_one_file_and_is_not_repeated(finished, tmp_path, capsys):
    folder = shutil.copytree(finished[0], tmp_path / "copy")
    assert [place.name for place in folder.iterdir()] == [FILE]
    assert outcome(train(folder))["weights"] == outcome(finished[1])["weights"]
    assert f"Going on after {EPOCHS} of {EPOCHS} epochs." in capsys.readouterr().out


@pytest.mark.parametrize("other", [{"epochs": 4}, {"items": 90}, {"width": 12}])
def test_another_training_or_model_is_refused(finished, tmp_path, other):
    folder = shutil.copytree(finished[0], tmp_path / "copy")
    with pytest.raises(CourseError, match=r"is of another training.*delete it"):
        train(folder, **other)


def test_a_spoilt_checkpoint_is_a_sentence(finished, tmp_path):
    folder = shutil.copytree(finished[0], tmp_path / "copy")
    (folder / FILE).write_bytes((folder / FILE).read_bytes()[:500])
    with pytest.raises(CourseError, match="cannot be read"):
        train(folder)


def test_it_stays_out_of_validation_and_of_the_rate_finder(tmp_path):
    learn = small_learner()
    learn.path = tmp_path / "models"
    learn.add_cb(Checkpoint(tmp_path / "none"))
    with learn.no_bar(), learn.no_logging():
        learn.get_preds()
        learn.lr_find(num_it=20, show_plot=False)
    assert not (tmp_path / "none").exists()


def test_random_state_comes_back():
    state = random_states()
    drawn = random.random(), np.random.rand(), torch.rand(1).item()
    assert (random.random(), np.random.rand(), torch.rand(1).item()) != drawn
    set_random_states(**state)
    assert (random.random(), np.random.rand(), torch.rand(1).item()) == drawn


# --- memory


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


# --- processes


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    """A folder with the files that the chapter writes."""
    folder = tmp_path_factory.mktemp("files")
    notebook = nbformat.read(chapter("10"), as_version=4)
    for cell in notebook.cells:
        if cell.source.startswith("%%writefile"):
            first, rest = cell.source.split("\n", 1)
            with (folder / first.split()[-1]).open("a", encoding="utf-8") as file:
                file.write(rest + "\n")
    return folder


def test_a_worker_that_asks_for_too_much_is_killed_and_the_message_says_so(files):
    with pytest.raises(CourseError, match=r"RuntimeError: DataLoader worker \(pid") as caught:
        run_python(files / "hungry.py")
    if hasattr(signal, "SIGKILL"):  # Windows knows no signals
        assert re.search("exited unexpectedly|killed by signal: Killed", str(caught.value))


def furthest(one, other):
    one, other = load_file(one), load_file(other)
    return max((one[name] - other[name]).abs().max().item() for name in one)


def test_two_processes_end_where_one_does_and_a_smaller_mini_batch_does_not(files, monkeypatch):
    x = torch.rand(320, 1, 28, 28, generator=torch.Generator().manual_seed(1))
    y = (x[:, 0, :14].mean((1, 2)) > x[:, 0, 14:].mean((1, 2))).long()
    save_file({"x": x, "y": y}, files / "digits.safetensors")
    monkeypatch.chdir(files)
    said = accelerate_launch(files / "two.py", files / "two", processes=2)
    told = re.findall(r"process \d of 2: 16 a step", said)  # two may write on one line
    assert sorted(told) == [f"process {n} of 2: 16 a step" for n in (0, 1)]
    run_python(files / "two.py", files / "one")
    assert furthest(files / "one", files / "two") < 1e-4
    script = (files / "two.py").read_text("utf-8")
    assert "batch_size=32" in script
    (files / "other.py").write_text(script.replace("batch_size=32", "batch_size=16"), "utf-8")
    run_python(files / "other.py", files / "half")
    assert furthest(files / "one", files / "half") > 1e-3  # so the first distance says much


def test_a_failing_script_is_a_sentence(tmp_path):
    (tmp_path / "wrong.py").write_text("1 / 0", "utf-8")
    with pytest.raises(CourseError, match=r"ended with 1: ZeroDivisionError: division by zero"):
        run_python(tmp_path / "wrong.py")


def test_a_process_that_is_killed_says_nothing():
    with pytest.raises(CourseError, match=r"ended with .*: it said nothing"):
        run_python("-c", "import os; os.kill(os.getpid(), 9)")
