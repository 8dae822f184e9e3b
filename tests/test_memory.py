"""What a step keeps, to the byte; and the message of a worker that was killed."""

import re
import signal
import weakref

import pytest
import torch
from torch import nn

from utils import memory
from utils.processes import run_python

MB = 1e6


def test_size_counts_every_number():
    tensors = [torch.zeros(1000), torch.zeros(10, 10, dtype=torch.float16), "no tensor"]
    assert memory.size_of(tensors) == (1000 * 4 + 100 * 2) / MB


def test_kept_are_the_inputs_and_outputs_that_the_slopes_need():
    model = nn.Sequential(nn.Linear(100, 50), nn.ReLU(), nn.Linear(50, 2))
    x = torch.zeros(8, 100)
    # the first layer keeps its input; ReLU and the second layer share what ReLU gave out
    assert memory.kept_for_backward(model, x) == 4 * 8 * (100 + 50) / MB


@pytest.mark.parametrize("n", [1, 4])
def test_kept_grows_with_the_mini_batch(n):
    model = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(8 * 14 * 14, 2))
    one = memory.kept_for_backward(model, torch.zeros(1, 3, 16, 16))
    assert memory.kept_for_backward(model, torch.zeros(n, 3, 16, 16)) == pytest.approx(n * one)


def test_what_was_counted_is_let_go():
    model, results = nn.Sequential(nn.Linear(100, 50), nn.ReLU()), []
    model[1].register_forward_hook(lambda *args: results.append(weakref.ref(args[-1])))
    memory.kept_for_backward(model, torch.zeros(8, 100))
    assert [result() for result in results] == [None]


def test_peak_is_the_most_at_once_and_not_the_sum():
    def step():
        for _ in range(3):
            torch.zeros(1_000_000)

    def all_at_once():
        return [torch.zeros(1_000_000) for _ in range(3)]

    assert memory.peak_memory(step, "cpu") == pytest.approx(4, abs=0.1)
    assert memory.peak_memory(all_at_once, "cpu") == pytest.approx(12, abs=0.1)


def test_peak_on_the_processor_is_counted_where_a_card_is_in_use_too(monkeypatch):
    monkeypatch.setattr(torch.cuda, "is_initialized", lambda: True)
    peak = memory.peak_memory(lambda: torch.zeros(1_000_000), "cpu")
    assert peak == pytest.approx(4, abs=0.1)


def test_a_worker_that_asks_for_too_much_is_killed_and_the_message_says_so():
    said = run_python("-m", "utils.memory", "600")
    assert re.search(r"^after \d+ batches: RuntimeError: DataLoader worker \(pid", said, re.M)
    if hasattr(signal, "SIGKILL"):  # Windows knows no signals
        assert re.search(r"DataLoader worker \(pid \d+\) is killed by signal: Killed", said)
