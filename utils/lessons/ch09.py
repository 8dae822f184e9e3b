"""Chapter 09: a training that can be killed, what a step keeps in memory, several processes."""

import inspect
import os
import random
import shutil
import subprocess
import sys
import threading
import time
import warnings
from collections.abc import Callable, Iterable
from pathlib import Path
from pickle import UnpicklingError

import numpy as np
import psutil
import torch
from fastai.callback.core import Callback, CancelEpochException
from fastai.learner import load_model, save_model
from fastai.torch_core import tensor
from fastcore.foundation import L
from torch import Tensor, nn
from torch.utils.data import DataLoader, Dataset

from utils.common import CourseError, free_port
from utils.paths import ROOT

MODEL, POSITION = "model.pth", "position.pth"
MEGABYTE = 1e6  # bytes
PIECE = 5_000_000  # numbers that the hungry data set keeps with every item: 20 MB
SECONDS = 180  # after which a process that should long be done is given up
QUIET = ("--num_machines", "1", "--mixed_precision", "no", "--dynamo_backend", "no")


class CheckpointError(CourseError):
    """A checkpoint that this training cannot go on from; the sentence says what to type."""


class ProcessError(CourseError):
    """A process that was started here did not end well; the sentence has its last words."""


# --- a training that can be killed ------------------------------------------------------------


def random_state() -> dict:
    """Where Python's, NumPy's and PyTorch's generators of random numbers stand, as plain values."""
    name, keys, *rest = np.random.get_state()
    return {
        "python": random.getstate(),
        "numpy": (name, torch.tensor(np.asarray(keys).astype(np.int64)), *rest),
        "torch": torch.get_rng_state(),
        "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_initialized() else [],
    }


def set_random_state(state: dict) -> None:
    """Put the generators back to where `random_state` found them."""
    name, keys, *rest = state["numpy"]
    random.setstate(state["python"])
    np.random.set_state((name, keys.numpy().astype(np.uint32), *rest))
    torch.set_rng_state(state["torch"])
    if state["cuda"] and len(state["cuda"]) == torch.cuda.device_count():
        torch.cuda.set_rng_state_all(state["cuda"])


class Checkpoint(Callback):
    """Save a training every few batches; in a new process go on from the last that was saved.

    Pass it to one `fit…` call and, after an interruption, make the same call again: same data,
    model, epochs and rates. Kept in `folder`: the model and the optimiser (fastai's `save_model`),
    the epoch and batch, the state of every random generator, what the recorder has noted. When
    the main process loads the data (`num_workers=0`), the resumed run takes the very steps an
    uninterrupted one takes. With workers the order of the items is the same, but random
    augmentation is not; nor is a sum of gradients kept (`GradientAccumulation`).

    A checkpoint is a folder of its own that is written under another name first: a process
    killed at any moment leaves a whole one. Raises `CheckpointError` for one that belongs to
    another training or cannot be read.
    """

    order, run_valid = 65, False  # after the recorder (50) and the schedule (60)

    def __init__(self, folder: Path | str, every: int = 10, tell: bool = False) -> None:
        """Save in `folder` after each `every` training batches and each epoch; `tell`: print it."""
        self.folder, self.every, self.tell = Path(folder), every, tell

    def after_batch(self) -> None:
        """Save when `every` batches have passed."""
        self.done += 1
        if self.done % self.every == 0:
            self._save(self.epoch, self.done)

    def after_epoch(self) -> None:
        """Save after the validation, so that it need not be repeated."""
        if self.position is None:  # not while finished epochs are passed over
            self._mark_start()
            self._save(self.epoch + 1, 0)

    def _mark_start(self) -> None:
        self.start = {"random": random_state(), "order": self.dls.train.rng.getstate()}

    def _save(self, epoch: int, batch: int) -> None:
        recorder = self.learn.recorder
        scaler = getattr(self.learn, "scaler", None)  # of a training with 16-bit floats
        position = {
            "epoch": epoch,
            "batch": batch,
            "training": self._training(),
            "start": self.start,
            "random": random_state(),
            "pct_train": self.learn.pct_train,
            "train_iter": self.learn.train_iter,
            "scaler": scaler.state_dict() if scaler else {},
            "record": {
                "lrs": [float(lr) for lr in recorder.lrs],
                "losses": [float(loss) for loss in recorder.losses],
                "iters": list(recorder.iters),
                "values": [list(row) for row in recorder.values],
                "smooth_loss": (recorder.smooth_loss.count, float(recorder.smooth_loss.val)),
            },
        }
        part = self.folder / "unfinished"
        shutil.rmtree(part, ignore_errors=True)  # what a killed run left
        part.mkdir(parents=True)
        save_model(part / MODEL, self.model, self.opt)
        torch.save(position, part / POSITION)
        older = self._checkpoints()
        part.rename(self.folder / f"epoch-{epoch:04}-batch-{batch:06}")
        for folder in older:
            shutil.rmtree(folder, ignore_errors=True)
        if self.tell:
            print(f"Saved: epoch {epoch}, batch {batch}.")

    def _checkpoints(self) -> list[Path]:
        return sorted(self.folder.glob("epoch-*-batch-*"))

    def _training(self) -> dict:
        """What must be the same for a training to go on."""
        dl = self.dls.train
        return {"epochs": self.n_epoch, "items": len(dl.dataset), "batch size": dl.bs}

    def before_fit(self) -> None:
        """Load the last checkpoint, if there is one."""
        self.run = not hasattr(self.learn, "lr_finder") and not hasattr(self.learn, "gather_preds")
        if not self.run:
            return
        if not hasattr(self.dls.train, "rng"):
            raise CheckpointError("Checkpoint needs fastai's DataLoader for the training data.")
        found = self._checkpoints()
        self.position = self._load(found[-1]) if found else None
        if self.position:
            print(f"Going on from epoch {self.position['epoch']}, batch {self.position['batch']}.")

    def _load(self, folder: Path) -> dict:
        advice = f"To begin afresh, delete the folder {self.folder.name}."
        try:
            position = torch.load(folder / POSITION, weights_only=True)
            if position["training"] != self._training():
                was = ", ".join(f"{key} {value}" for key, value in position["training"].items())
                raise CheckpointError(f"This checkpoint is of another training ({was}). {advice}")
            with warnings.catch_warnings():  # fastai only warns when the optimiser does not fit
                warnings.simplefilter("error", UserWarning)
                load_model(folder / MODEL, self.model, self.opt, device=self.dls.device)
        except (OSError, RuntimeError, KeyError, EOFError, UnpicklingError, UserWarning) as error:
            raise CheckpointError(
                f"The checkpoint {folder.name} cannot be read, or is of another model. {advice}"
            ) from error
        return position

    def before_epoch(self) -> None:
        """Pass over the epochs that are finished."""
        if self.position and self.epoch < self.position["epoch"]:
            raise CancelEpochException

    def before_train(self) -> None:
        """Note where the random generators stand; on going on, put everything back."""
        self.done, position, self.position = 0, self.position, None
        if position:
            self.done = position["batch"]
            self.learn.pct_train = position["pct_train"]
            self.learn.train_iter = position["train_iter"]
            self._put_back_record(position["record"])
            scaler = getattr(self.learn, "scaler", None)
            if scaler and position["scaler"]:
                scaler.load_state_dict(position["scaler"])
            set_random_state(position["start"]["random"])
            self.dl.rng.setstate(position["start"]["order"])
            if self.done:
                self._skip_batches(position["random"])
        self._mark_start()

    def _skip_batches(self, state: dict) -> None:
        """Leave out of this epoch what was done, without loading it."""
        dl, seen = self.dl, self.done * self.dl.bs
        get_idxs, create_batches = dl.get_idxs, dl.create_batches

        def rest_of_idxs() -> list:
            del dl.get_idxs  # for this epoch only
            return list(get_idxs())[seen:]

        def rest_of_batches(samples: object) -> object:
            del dl.create_batches
            set_random_state(state)
            yield from create_batches(samples)

        dl.get_idxs = rest_of_idxs
        if dl.fake_l.num_workers == 0:
            dl.create_batches = rest_of_batches

    def _put_back_record(self, record: dict) -> None:
        recorder = self.learn.recorder
        recorder.lrs, recorder.iters = record["lrs"], record["iters"]
        recorder.losses = [tensor(loss) for loss in record["losses"]]
        recorder.values = [L(row) for row in record["values"]]
        count, value = record["smooth_loss"]
        recorder.smooth_loss.count, recorder.smooth_loss.val = count, tensor(value)

    def after_fit(self) -> None:
        """When all was finished already: show what was noted then."""
        if self.position:
            self._put_back_record(self.position["record"])


# --- memory -----------------------------------------------------------------------------------


def size_of(tensors: Iterable[object]) -> float:
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


class Hungry(Dataset):
    """A data set that keeps 20 MB for every item it has been asked for: a common mistake."""

    def __init__(self) -> None:
        """Nothing is kept yet."""
        self.kept: list[Tensor] = []

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


# --- processes of their own -------------------------------------------------------------------


def write_script(file: Path, imports: str, functions: list[Callable], last: str) -> Path:
    """A script: `imports`, the source of `functions`, and the line `last`; returns `file`.

    The last line runs only when the file is started, not when it is imported.
    """
    sources = [inspect.getsource(function).strip() for function in functions]
    end = f'if __name__ == "__main__":\n    {last}'
    file.write_text("\n\n\n".join(["import sys\n" + imports, *sources, end]) + "\n", "utf-8")
    return file


def environment(**more: str) -> dict[str, str]:
    """This process's own, in which the course can be imported, and `more`."""
    paths = filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])
    return os.environ | {"PYTHONPATH": os.pathsep.join(paths)} | more


def run_python(*args: str | Path, **more: str) -> str:
    """What a fresh Python, computing on one core, prints; raises `ProcessError` when it fails.

    `more` is added to its environment.
    """
    done = subprocess.run(
        [sys.executable, *map(str, args)], env=environment(OMP_NUM_THREADS="1", **more),
        capture_output=True, text=True, timeout=SECONDS, check=False,
    )  # fmt: skip
    if done.returncode:
        last = (done.stderr.strip().splitlines() or ["it said nothing"])[-1]
        raise ProcessError(f"The process ended with {done.returncode}: {last}")
    return done.stdout


def accelerate_launch(script: Path, *args: str | Path, num_processes: int = 2) -> str:
    """Start `script` in several processes with `accelerate launch`; returns what they print.

    They compute on the processor, so graphics cards are hidden: the launcher would want one for
    each. Raises `ProcessError` when one of them fails.
    """
    options = ["--multi_gpu", "--num_processes", str(num_processes), *QUIET]
    module = ["-m", "accelerate.commands.launch", *options, "--main_process_port", str(free_port())]
    return run_python(*module, script, *args, CUDA_VISIBLE_DEVICES="")


def run_and_kill(script: Path, *args: str | Path, at: str) -> list[str]:
    """Start a script and kill it, without warning, as soon as it prints the line `at`.

    Returns the lines it printed, warnings among them. Raises `ProcessError` when it ended before.
    """
    lines: list[str] = []
    with subprocess.Popen(
        [sys.executable, "-u", str(script), *map(str, args)], env=environment(),
        stdout=subprocess.PIPE, stderr=subprocess.STDOUT, text=True,
    ) as child:  # fmt: skip
        for line in child.stdout or ():
            lines.append(line.strip())
            if lines[-1] == at:
                child.kill()
                child.wait()
                return lines
    last = lines[-1] if lines else "nothing"
    raise ProcessError(
        f"The process ended with {child.returncode} before it said {at!r}; it last said: {last}"
    )


if __name__ == "__main__":
    load_with_limit(float(sys.argv[1]))
