"""One call picks the device, and sets fastai up for what is fast on it.

`COURSE_DEVICE` says which: `auto` (the default), `cpu` or `cuda`.
"""

import multiprocessing
import os
import shutil
import time
from collections.abc import Callable
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
SHARED = Path("/dev/shm")  # through which workers hand over batches, where there is one


class HalfPrecision(MixedPrecision):
    """fastai's `MixedPrecision` with the 16-bit format this CUDA card is made for."""

    def __init__(self) -> None:
        """Choose bfloat16 where the card has it: it needs no scaling of the loss."""
        native = torch.cuda.is_bf16_supported(including_emulation=False)
        super().__init__(amp_mode=AMPMode.BF16 if native else AMPMode.FP16)


def pick_device(wanted: str | None = None) -> str:
    """`cpu` or `cuda`, as `wanted` or `COURSE_DEVICE` asks; else raises `CourseError`."""
    wanted = (wanted or os.environ.get("COURSE_DEVICE") or "auto").strip().lower()
    if wanted not in ("auto", "cpu", "cuda"):
        raise CourseError(f"There is no device {wanted!r}: COURSE_DEVICE is auto, cpu or cuda.")
    if wanted == "cuda" and not torch.cuda.is_available():
        raise CourseError(
            "COURSE_DEVICE asks for cuda, but PyTorch finds no CUDA card on this machine. "
            "Set COURSE_DEVICE=cpu (or leave it out) to run on the processor."
        )
    return "cuda" if wanted != "cpu" and torch.cuda.is_available() else "cpu"


def pick_workers(device: str) -> int:
    """How many processes load pictures: none on a CPU, where training needs the cores itself.

    None either where a new process is no copy of this one (macOS, Windows, Python 3.14 on): the
    functions of a notebook cannot be handed to it.
    On CUDA, one fewer than the cores, up to 8, as long as free memory and shared memory
    (`/dev/shm`) hold them: a worker that finds too little of either is what "DataLoader worker
    killed" is about.
    """
    first = multiprocessing.get_all_start_methods()[0]  # what is used, unless another is set
    if device == "cpu" or (multiprocessing.get_start_method(allow_none=True) or first) != "fork":
        return 0
    memory = psutil.virtual_memory().available
    if SHARED.exists():
        memory = min(memory, 4 * shutil.disk_usage(SHARED).free)
    return max(0, min(8, joblib.cpu_count() - 1, int(memory // MEMORY_PER_WORKER)))


def machine() -> str:
    """What training has to work with here: device, set-up and data, a line each."""
    device, memory = pick_device(), psutil.virtual_memory()
    workers = pick_workers(device)
    title, bits = (torch.cuda.get_device_name(), "mixed 16") if device == "cuda" else ("CPU", "32")
    loading = f"{workers} processes load" if workers else "the main process loads"
    total, free = (f"{size / GIGABYTE:.0f} GB" for size in (memory.total, memory.available))
    return (
        f"  device  {title}, {joblib.cpu_count()} cores, {total} of memory ({free} free)\n"
        f"  set-up  {bits}-bit numbers, channels-last layout, {loading} the pictures\n"
        f"  data    {source_label()}"
    )


def timed(action: Callable[[], object], times: int = 15) -> tuple[object, float]:
    """What `action()` answers, and the seconds of its quickest call: others were disturbed."""
    seconds = []
    for _ in range(times):
        began = time.perf_counter()
        result = action()
        if torch.cuda.is_initialized():  # a card works on after the call has come back
            torch.cuda.synchronize()
        seconds.append(time.perf_counter() - began)
    return result, min(seconds)


def use_device() -> str:
    """Make fastai use the chosen device, layout, precision and workers from here on."""
    device = pick_device()
    default_device(use=device == "cuda")
    defaults.cpus = pick_workers(device)
    ours = [ChannelsLast, HalfPrecision] if device == "cuda" else [ChannelsLast]
    others = [cb for cb in defaults.callbacks if cb not in (ChannelsLast, HalfPrecision)]
    defaults.callbacks = others + ours
    return device


def banner(notebook: str) -> None:
    """Say what this chapter runs on, and set it up: the first cell of every chapter."""
    device = use_device()
    np.set_printoptions(legacy="1.25")  # a number is shown as 0.87, not as np.float64(0.87)
    print(notebook, machine(), sep="\n")
    print(f"  time    {say_seconds(seconds_of(notebook))} for the whole chapter")
    if device == "cpu" and torch.version.cuda and shutil.which("nvidia-smi"):
        print("  note    this machine seems to have an NVIDIA card, but the CPU is in use here")
