"""What a training step keeps in memory, and a worker that asks for too much. Used in chapter 09."""

import os
import sys
import threading
import time
from collections.abc import Callable

import psutil
import torch
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

MEGABYTE = 1e6  # bytes
PIECE = 5_000_000  # numbers that the hungry data set keeps with every item: 20 MB


def size_of(tensors: object) -> float:
    """Megabytes of an iterable of tensors; what is not a tensor counts nothing."""
    return sum(t.numel() * t.element_size() for t in tensors if isinstance(t, Tensor)) / MEGABYTE


def kept_for_backward(model: nn.Module, x: Tensor) -> float:
    """Megabytes of activations that `model(x)` keeps until the backward pass, inputs included.

    Each block of memory is counted once, and the parameters not at all.
    """
    own = {p.untyped_storage().data_ptr() for p in model.parameters()}
    kept = {}

    def note(saved: Tensor) -> Tensor:
        block = saved.untyped_storage()
        if block.data_ptr() not in own:
            kept[block.data_ptr()] = block.nbytes()
        return saved.detach()  # itself it would hold the graph that holds it, for ever

    with torch.autograd.graph.saved_tensors_hooks(note, lambda saved: saved):
        # Held until all is counted: a block that is given back early could be handed out again.
        preds = model(x)
    del preds
    return sum(kept.values()) / MEGABYTE


def peak_memory(step: Callable[[], object], device: torch.device | str) -> float:
    """The most megabytes of tensors that `step` held at once on `device`, beyond those before.

    As PyTorch's allocator counts them, so what Python and the libraries need is not in it.
    """
    if torch.device(device).type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        step()
        return (torch.cuda.max_memory_allocated() - before) / MEGABYTE
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # else the profiler tells when it starts
    activities = [torch.profiler.ProfilerActivity.CPU]
    with torch.profiler.profile(activities=activities, profile_memory=True) as profile:
        step()
    events = [e for e in profile.profiler.kineto_results.events() if e.name() == "[memory]"]
    now = peak = 0
    for event in sorted(events, key=lambda event: event.start_ns()):
        now += event.nbytes()
        peak = max(peak, now)
    return peak / MEGABYTE


# --- a worker that is killed ------------------------------------------------------------------


class Hungry(Dataset):
    """A data set that keeps 20 MB for every item it has been asked for: a common mistake."""

    def __init__(self) -> None:
        """Nothing is kept yet."""
        self.kept = []

    def __len__(self) -> int:
        """Enough items for any limit."""
        return 10_000

    def __getitem__(self, number: int) -> Tensor:
        """A small item."""
        self.kept.append(torch.ones(PIECE))
        return torch.zeros(1)


def kill_the_greedy(limit: float, pause: float = 0.01) -> None:
    """Kill each process started from here that needs more than `limit` megabytes.

    It plays the part of the operating system, which does so when memory runs out, without
    letting it run out. Never returns: for a thread of its own.
    """
    while True:
        for child in psutil.Process().children(recursive=True):
            try:
                if child.memory_info().rss > limit * MEGABYTE:
                    child.kill()
            except psutil.NoSuchProcess:
                pass  # it has ended by itself
        time.sleep(pause)


def load_with_limit(limit: float) -> None:
    """Load from `Hungry` in two workers of at most `limit` megabytes; print how that ends."""
    threading.Thread(target=kill_the_greedy, args=(limit,), daemon=True).start()
    batches = 0
    try:
        for _ in DataLoader(Hungry(), batch_size=4, num_workers=2):
            batches += 1
    except RuntimeError as error:
        print(f"after {batches} batches: RuntimeError: {error}")
        if error.__cause__:
            print(f"because of: {type(error.__cause__).__name__}: {error.__cause__}")


if __name__ == "__main__":
    load_with_limit(float(sys.argv[1]))
