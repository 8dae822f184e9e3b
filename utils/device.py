"""One call picks the device, and sets fastai up for what is fast on it.

`COURSE_DEVICE` says which: `auto` (the default), `cpu` or `cuda`.
"""

import multiprocessing
import os
import shutil
from dataclasses import dataclass
from pathlib import Path

import joblib
import numpy as np
import psutil
import torch
from fastai.callback.channelslast import ChannelsLast
from fastai.callback.fp16 import AMPMode, MixedPrecision
from fastai.torch_core import default_device, defaults

from utils.common import CourseError
from utils.data import source_label
from utils.timings import say_seconds, seconds_of

GIGABYTE = 1e9  # bytes, as memory is sold
MEMORY_PER_WORKER = 1.5 * GIGABYTE  # what one DataLoader worker with torch loaded may need


class DeviceError(CourseError):
    """The device that was asked for is not there."""


class HalfPrecision(MixedPrecision):
    """fastai's `MixedPrecision` with the 16-bit format this CUDA card is made for."""

    def __init__(self) -> None:
        """Choose bfloat16 where the card has it: it needs no scaling of the loss."""
        native = torch.cuda.is_bf16_supported(including_emulation=False)
        super().__init__(amp_mode=AMPMode.BF16 if native else AMPMode.FP16)


@dataclass(frozen=True)
class Machine:
    """What training has to work with here; memory in bytes."""

    device: str
    device_title: str
    cores: int
    memory: int
    memory_free: int
    workers: int
    precision: str


def pick_device(wanted: str | None = None) -> str:
    """`cpu` or `cuda`, as `wanted` or `COURSE_DEVICE` asks; else raises `DeviceError`."""
    wanted = (wanted or os.environ.get("COURSE_DEVICE") or "auto").strip().lower()
    if wanted not in ("auto", "cpu", "cuda"):
        raise DeviceError(f"There is no device {wanted!r}: COURSE_DEVICE is auto, cpu or cuda.")
    if wanted == "cuda" and not torch.cuda.is_available():
        raise DeviceError(
            "COURSE_DEVICE asks for cuda, but PyTorch finds no CUDA card on this machine. "
            "Set COURSE_DEVICE=cpu (or leave it out) to run on the processor."
        )
    return "cuda" if wanted != "cpu" and torch.cuda.is_available() else "cpu"


def pick_workers(device: str, cores: int, memory_free: int, shared_free: int) -> int:
    """How many processes load pictures: none on a CPU, where training needs the cores itself.

    None either where a new process is no copy of this one (macOS, Windows, Python 3.14 on): the
    functions of a notebook cannot be handed to it.
    On CUDA, one fewer than the cores, up to 8, as long as free memory and shared memory
    (`/dev/shm`, through which workers hand over batches) hold them: a worker that finds too
    little of either is what "DataLoader worker killed" is about. All sizes in bytes.
    """
    first = multiprocessing.get_all_start_methods()[0]  # what is used, unless another is set
    if device == "cpu" or (multiprocessing.get_start_method(allow_none=True) or first) != "fork":
        return 0
    by_memory = int(min(memory_free, 4 * shared_free) // MEMORY_PER_WORKER)
    return max(0, min(8, cores - 1, by_memory))


def machine() -> Machine:
    """What this machine offers, with the settings chosen for it."""
    device = pick_device()
    memory = psutil.virtual_memory()
    shared = Path("/dev/shm")
    shared_free = shutil.disk_usage(shared).free if shared.exists() else memory.available
    cores = joblib.cpu_count()  # that this process may use: a container has its share of them
    return Machine(
        device=device,
        device_title=torch.cuda.get_device_name() if device == "cuda" else "CPU",
        cores=cores,
        memory=memory.total,
        memory_free=memory.available,
        workers=pick_workers(device, cores, memory.available, shared_free),
        precision="mixed 16-bit" if device == "cuda" else "32-bit",
    )


def use_device() -> Machine:
    """Make fastai use the chosen device, layout, precision and workers from here on."""
    here = machine()
    on_cuda = here.device == "cuda"
    default_device(use=on_cuda)
    defaults.cpus = here.workers
    others = [cb for cb in defaults.callbacks if cb not in (ChannelsLast, HalfPrecision)]
    defaults.callbacks = [*others, ChannelsLast, *([HalfPrecision] if on_cuda else [])]
    return here


def banner(notebook: str) -> None:
    """Say what this chapter runs on, and set it up: the first cell of every chapter."""
    here = use_device()
    np.set_printoptions(legacy="1.25")  # a number is shown as 0.87, not as np.float64(0.87)
    loading = f"{here.workers} processes load" if here.workers else "the main process loads"
    print(notebook)
    print(
        f"  device  {here.device_title}, {here.cores} cores, {here.memory / GIGABYTE:.0f} GB of "
        f"memory ({here.memory_free / GIGABYTE:.0f} GB free)"
    )
    print(f"  set-up  {here.precision} numbers, channels-last layout, {loading} the pictures")
    print(f"  data    {source_label()}")
    print(f"  time    {say_seconds(seconds_of(notebook))} for the whole chapter")
    if here.device == "cpu" and torch.version.cuda and shutil.which("nvidia-smi"):
        print("  note    this machine seems to have an NVIDIA card, but the CPU is in use here")
