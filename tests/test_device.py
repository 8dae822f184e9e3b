"""The device is the one that was asked for, and what it needs to be fast is set up."""

import time
from unittest.mock import Mock

import pytest
import torch
from fastai.callback.channelslast import ChannelsLast
from fastai.torch_core import defaults

from utils import device
from utils.common import CourseError


@pytest.mark.parametrize("name", ["cpu", "CPU", " cpu ", "auto"])
def test_a_name_is_understood_however_it_is_written(monkeypatch, name):
    monkeypatch.setenv("COURSE_DEVICE", name)
    there = "cuda" if torch.cuda.is_available() and name == "auto" else "cpu"
    assert device.pick_device() == there


@pytest.mark.skipif(torch.cuda.is_available(), reason="this machine has a CUDA card")
def test_a_missing_card_is_an_error_not_a_fall_back(monkeypatch):
    monkeypatch.setenv("COURSE_DEVICE", "cuda")
    with pytest.raises(CourseError, match=r"finds no CUDA card.*Set COURSE_DEVICE=cpu"):
        device.pick_device()


def test_a_wrong_name_says_what_it_can_be():
    with pytest.raises(CourseError, match="auto, cpu or cuda"):
        device.pick_device("gpu")


GB = device.GIGABYTE


@pytest.mark.parametrize(
    ("kind", "cores", "memory", "shared", "workers"),
    [
        ("cpu", 16, 64 * GB, 32 * GB, 0),
        ("cuda", 1, 64 * GB, 32 * GB, 0),
        ("cuda", 6, 64 * GB, 32 * GB, 5),
        ("cuda", 32, 64 * GB, 32 * GB, 8),
        ("cuda", 8, 2 * GB, 32 * GB, 1),
        ("cuda", 8, 64 * GB, 0.06 * GB, 0),  # a container's 64 MB of shared memory
    ],
)
def test_workers_follow_cores_and_memory(
    tmp_path, monkeypatch, kind, cores, memory, shared, workers
):
    monkeypatch.setattr(device.multiprocessing, "get_start_method", lambda allow_none: "fork")
    monkeypatch.setattr(device.joblib, "cpu_count", lambda: cores)
    monkeypatch.setattr(device.psutil, "virtual_memory", lambda: Mock(available=memory))
    monkeypatch.setattr(device.shutil, "disk_usage", lambda folder: Mock(free=shared))
    monkeypatch.setattr(device, "SHARED", tmp_path)
    assert device.pick_workers(kind) == workers


def test_without_fork_the_main_process_loads(monkeypatch):
    """A function that a notebook defines cannot be pickled for a process that begins afresh."""
    monkeypatch.setattr(device.multiprocessing, "get_start_method", lambda allow_none: None)
    monkeypatch.setattr(device.multiprocessing, "get_all_start_methods", lambda: ["forkserver"])
    assert device.pick_workers("cuda") == 0


@pytest.mark.parametrize(("native", "mode"), [(True, "bf16"), (False, "fp16")])
def test_bfloat16_only_where_the_card_computes_in_it(monkeypatch, native, mode):
    """PyTorch says that older cards have it too, by way of emulation, which is slower."""
    supported = lambda including_emulation=True: including_emulation or native  # noqa: E731
    monkeypatch.setattr(device.torch.cuda, "is_bf16_supported", supported)
    assert device.HalfPrecision().amp_mode.value == mode


def test_use_device_sets_fastai_up_once(monkeypatch):
    monkeypatch.setenv("COURSE_DEVICE", "cpu")
    device.use_device()
    assert device.use_device() == "cpu"
    assert list(defaults.callbacks).count(ChannelsLast) == 1
    assert (defaults.use_cuda, defaults.cpus) == (False, 0)


def test_banner_says_device_data_and_time(monkeypatch, capsys):
    monkeypatch.setenv("COURSE_DEVICE", "cpu")
    device.banner("no_such_chapter")
    text = capsys.readouterr().out
    for part in ("device  CPU", "cores", "data    sample", "not measured yet"):
        assert part in text


def test_the_quickest_of_several_calls_counts():
    waits = iter((0.1, 0, 0.1))
    assert device.timed(lambda: time.sleep(next(waits)), times=3)[1] < 0.1
    assert next(waits, None) is None
