"""A training that can be killed and goes on where it was: the checkpoints of chapter 09."""

import random
import shutil
import warnings
from pathlib import Path
from pickle import UnpicklingError

import numpy as np
import torch
from fastai.callback.core import Callback, CancelEpochException
from fastai.learner import load_model, save_model
from fastai.torch_core import tensor
from fastcore.foundation import L

from utils.common import CourseError

MODEL, POSITION = "model.pth", "position.pth"


class CheckpointError(CourseError):
    """A checkpoint that this training cannot go on from; the sentence says what to type."""


def random_state() -> dict:
    """Where Python's, NumPy's and PyTorch's generators of random numbers stand, as plain values."""
    name, keys, *rest = np.random.get_state()
    return {
        "python": random.getstate(),
        "numpy": (name, torch.tensor(keys.astype(np.int64)), *rest),
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

    # --- saving -------------------------------------------------------------------------------

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
            "record": self._record(),
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

    def _record(self) -> dict:
        recorder = self.learn.recorder
        return {
            "lrs": [float(lr) for lr in recorder.lrs],
            "losses": [float(loss) for loss in recorder.losses],
            "iters": list(recorder.iters),
            "values": [list(row) for row in recorder.values],
            "smooth_loss": (recorder.smooth_loss.count, float(recorder.smooth_loss.val)),
        }

    # --- going on -----------------------------------------------------------------------------

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
        self.done = 0
        if self.position:
            self._go_on(self.position)
            self.position = None
        self._mark_start()

    def _go_on(self, position: dict) -> None:
        self.done = position["batch"]
        self.learn.pct_train, self.learn.train_iter = position["pct_train"], position["train_iter"]
        self._put_back_record(position["record"])
        scaler = getattr(self.learn, "scaler", None)
        if scaler and position.get("scaler"):
            scaler.load_state_dict(position["scaler"])
        set_random_state(position["start"]["random"])
        self.dl.rng.setstate(position["start"]["order"])
        if self.done:
            self._skip_batches(position["random"])

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
