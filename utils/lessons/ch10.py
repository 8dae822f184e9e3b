"""Chapter 10: a training that can be killed, what a step keeps in memory, several processes."""

import gc
import os
import subprocess
import sys
from collections.abc import Callable
from pathlib import Path
from pickle import UnpicklingError

import numpy as np
import torch
from fastai.callback.core import Callback, CancelEpochException
from fastai.torch_core import get_random_states, set_random_states, tensor, to_cpu
from torch import Tensor, nn

from utils.common import CourseError
from utils.paths import ROOT


def random_states() -> dict:
    """fastai's `get_random_states`, in values that are read back without a pickle."""
    states = get_random_states()
    name, keys, *rest = states["numpy_state"]
    return states | {"numpy_state": (name, keys.tolist(), *rest)}


class Checkpoint(Callback):
    """Save a training after every epoch; in a new process go on after the last that was saved.

    Pass it to one `fit…` call and, after an interruption, make the same call again. With processes
    that load (`num_workers`) the order of the items is resumed, their random augmentation is not.
    """

    order, run_valid = 65, False  # after the recorder (50) and the schedule (60)

    def __init__(self, file: Path | str) -> None:
        """Keep the training in `file`."""
        self.file = Path(file)

    def before_fit(self) -> None:
        """Load what there is; not when predictions are collected or a rate is looked for."""
        self.run = not hasattr(self.learn, "lr_finder") and not hasattr(self.learn, "gather_preds")
        self.training_of = [self.n_epoch, len(self.dls.train.dataset), self.dls.train.bs]
        self.saved = self._load() if self.run and self.file.exists() else None
        if self.saved:
            print(f"Going on after {self.saved['epochs done']} of {self.n_epoch} epochs.")

    def before_epoch(self) -> None:
        """Pass over the epochs that are done."""
        if self.saved and self.epoch < self.saved["epochs done"]:
            raise CancelEpochException

    def before_train(self) -> None:
        """Put everything back to where it stood."""
        saved, self.saved = self.saved, None
        if saved:
            self.learn.train_iter = saved["epochs done"] * len(self.dl)
            record, average = self.learn.recorder, self.learn.recorder.smooth_loss
            record.lrs, record.losses, record.iters, record.values, value = saved["record"]
            average.count, average.val = record.iters[-1], tensor(value)
            self.dl.rng.setstate(saved["order"])
            set_random_states(**to_cpu(saved["random"]))

    def after_epoch(self) -> None:
        """Save, unless this epoch was passed over."""
        if self.saved:
            return
        record = self.learn.recorder
        numbers = [[float(n) for n in row] for row in (record.lrs, record.losses)]
        rows, value = [list(row) for row in record.values], float(record.smooth_loss.val)
        hypers = [{name: float(n) for name, n in row.items()} for row in self.opt.hypers]
        everything = {
            "model": self.model.state_dict(),
            "optimiser": self.opt.state_dict() | {"hypers": hypers},
            "epochs done": self.epoch + 1,
            "random": random_states(),
            "order": self.dls.train.rng.getstate(),
            "record": [*numbers, list(record.iters), rows, value],
            "training": self.training_of,
        }
        torch.save(everything, self.file.with_suffix(".unfinished"))
        self.file.with_suffix(".unfinished").replace(self.file)

    def _load(self) -> dict:
        try:
            saved = torch.load(self.file, map_location=self.dls.device, weights_only=True)
            if saved["training"] != self.training_of:
                raise KeyError("training")
            self.model.load_state_dict(saved["model"])
            self.opt.load_state_dict(saved["optimiser"])
        except (OSError, RuntimeError, LookupError, EOFError, UnpicklingError) as error:
            what = f"{self.file.name} cannot be read, or is of another training."
            raise CourseError(f"{what} To begin afresh, delete it.") from error
        return saved


def kept_for_backward(model: nn.Module, x: Tensor) -> float:
    """Megabytes that `model(x)` keeps until the backward pass: inputs too, parameters not."""
    own = {p.untyped_storage().data_ptr() for p in model.parameters()}
    kept = {}

    def note(saved: Tensor) -> Tensor:
        block = saved.untyped_storage()
        if block.data_ptr() not in own:
            kept[block.data_ptr()] = block.nbytes()
        return saved.detach()  # itself it would hold the graph that holds it, for ever

    with torch.autograd.graph.saved_tensors_hooks(note, lambda saved: saved):
        preds = model(x)  # held until all is counted, lest a block is handed out again
    del preds
    return sum(kept.values()) / 1e6


def peak_memory(step: Callable[[], object], device: torch.device | str) -> float:
    """The most megabytes of tensors that `step` held at once on `device`, beyond those before."""
    if torch.device(device).type == "cuda":
        torch.cuda.reset_peak_memory_stats()
        before = torch.cuda.memory_allocated()
        step()
        return (torch.cuda.max_memory_allocated() - before) / 1e6
    os.environ.setdefault("KINETO_LOG_LEVEL", "99")  # else the profiler tells when it starts
    gc.collect()  # what is let go during the step was then made in it
    activities = [torch.profiler.ProfilerActivity.CPU]
    with torch.profiler.profile(activities=activities, profile_memory=True) as profile:
        step()
    events = [e for e in profile.profiler.kineto_results.events() if e.name() == "[memory]"]
    changes = [event.nbytes() for event in sorted(events, key=lambda event: event.start_ns())]
    return max(0, *np.cumsum(changes)) / 1e6


def run_python(*args: str | Path, **environment: str) -> str:
    """What a fresh Python, computing on one core, prints; raises `CourseError` when it fails."""
    paths = os.pathsep.join(filter(None, [str(ROOT), os.environ.get("PYTHONPATH")]))
    environment = os.environ | {"PYTHONPATH": paths, "OMP_NUM_THREADS": "1"} | environment
    command = [sys.executable, "-W", "ignore", *map(str, args)]
    done = subprocess.run(command, capture_output=True, text=True, env=environment, check=False)
    if done.returncode:
        lines = reversed(done.stderr.splitlines())  # among which torchrun draws rules
        last = next((line for line in lines if line.strip("=- ")), "it said nothing")
        raise CourseError(f"The process ended with {done.returncode}: {last}")
    return done.stdout


def accelerate_launch(script: Path | str, *args: str | Path, processes: int = 2) -> str:
    """Start `script` in several processes with `accelerate launch`, on the processor's cores."""
    # c10d: the launcher holds the port where the processes meet, so that nobody can take it first
    launch = "-m accelerate.commands.launch --multi_gpu --num_machines 1 --mixed_precision no "
    launch += "--dynamo_backend no --rdzv_backend c10d --main_process_port 0 --num_processes"
    return run_python(*launch.split(), str(processes), script, *args, CUDA_VISIBLE_DEVICES="")
