"""Run by test_ch10.py: trainings killed at many moments, each compared when resumed.

`python killed_training.py FOLDER` prints, as JSON, one row for each moment.
"""

import json
import os
import signal
import sys
from pathlib import Path

import torch
import torch.nn.functional as F
from fastai.callback.core import Callback
from fastai.callback.schedule import fit_one_cycle  # noqa: F401  (a patch of Learner)
from fastai.data.core import DataLoaders
from fastai.data.load import DataLoader
from fastai.learner import Learner
from fastai.metrics import accuracy
from fastai.torch_core import set_seed
from torch import nn

from utils.lessons.ch10 import Checkpoint

EPOCHS = 3  # 13 training batches and 2 of validation in each


class KillAfter(Callback):
    """SIGKILL to this process after so many batches, validation's included."""

    order, run_valid = 66, True

    def __init__(self, batches: int) -> None:
        self.left = batches

    def after_batch(self) -> None:
        self.left -= 1
        if self.left == 0:
            os.kill(os.getpid(), signal.SIGKILL)


def kill_while_saving(number: int) -> None:
    """SIGKILL to this process with half of the file of the `number`-th checkpoint written."""
    save, left = torch.save, number

    def half(value: object, file: Path) -> None:
        nonlocal left
        save(value, file)
        left -= 1
        if left == 0:
            Path(file).write_bytes(Path(file).read_bytes()[:1000])
            os.kill(os.getpid(), signal.SIGKILL)

    torch.save = half


def small_learner(items: int = 100, width: int = 16) -> Learner:
    """Every kind of randomness there is: order, augmentation, dropout; and batch norm."""
    set_seed(0, reproducible=True)
    x = torch.randn(items, 1, 8, 8)
    y = (x.mean((1, 2, 3)) > 0).long()
    train = DataLoader(list(zip(x, y, strict=True)), bs=8, shuffle=True)
    valid = DataLoader(list(zip(x[:20], y[:20], strict=True)), bs=10)
    train.after_batch = lambda batch: (batch[0] + 0.1 * torch.randn_like(batch[0]), batch[1])
    layers = nn.Linear(64, width), nn.BatchNorm1d(width), nn.ReLU(), nn.Dropout(0.3)
    model = nn.Sequential(nn.Flatten(), *layers, nn.Linear(width, 2))
    return Learner(DataLoaders(train, valid), model, loss_func=F.cross_entropy, metrics=accuracy)


def train(folder: Path, *more: Callback, epochs: int = EPOCHS, **options: int) -> Learner:
    learn = small_learner(**options)
    folder.mkdir(parents=True, exist_ok=True)
    with learn.no_bar(), learn.no_logging():
        learn.fit_one_cycle(epochs, 1e-2, cbs=[Checkpoint(folder / "training.pth"), *more])
    return learn


def outcome(learn: Learner) -> dict:
    """Everything that a resumed training must have in common with one that was never killed."""
    recorder = learn.recorder
    return {
        "weights": {name: t.tolist() for name, t in learn.model.state_dict().items()},
        "values": [list(row) for row in recorder.values],
        "losses": [float(loss) for loss in recorder.losses],
        "lrs": [float(lr) for lr in recorder.lrs],
        "iters": list(recorder.iters),
    }


def killed_then_resumed(folder: Path, moment: str, number: int) -> Learner:
    if (child := os.fork()) == 0:
        if moment == "saving":
            kill_while_saving(number)
        train(folder, *([KillAfter(number)] if moment == "batch" else []))
        os._exit(0)  # it was not killed
    status = os.waitpid(child, 0)[1]
    assert os.WIFSIGNALED(status) and os.WTERMSIG(status) == signal.SIGKILL
    return train(folder)


def main(root: Path) -> None:
    torch.set_num_threads(1)
    whole = outcome(train(root / "whole"))
    moments = [("batch", n) for n in (1, 4, 6, 13, 14, 15, 16, 29, 44)]
    rows = []
    for moment, number in moments + [("saving", n) for n in (1, 2, 3)]:
        resumed = killed_then_resumed(root / f"{moment}-{number}", moment, number)
        same = {key: value == whole[key] for key, value in outcome(resumed).items()}
        rows.append({"moment": moment, "number": number, **same})
    print(json.dumps(rows))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
