"""Chapter 03: pictures side by side, many trainings of one recipe, and a cleaning judged."""

import shutil
from collections import defaultdict
from collections.abc import Iterable, Mapping, Sequence
from copy import deepcopy
from pathlib import Path
from random import Random
from tempfile import mkdtemp
from types import SimpleNamespace

import matplotlib.pyplot as plt
import numpy as np
import pandas as pd
import torch
from fastai.data.all import DataLoader, DataLoaders, get_image_files, parent_label
from fastai.torch_core import apply_init, set_seed, show_images
from fastai.vision.all import Callback, CancelValidException, Learner, create_head, error_rate
from fastcore.all import groupby
from sklearn.metrics import ConfusionMatrixDisplay
from torch import Tensor, nn
from torch.nn.functional import normalize

from utils.data import DataError, dataset
from utils.images import open_image
from utils.models import GENERAL, late_split
from utils.recipe import recipe
from utils.splits import known_defects

COPIES = ("duplicate", "near_duplicate")
LABELS = ("wrong_label", "no_bear")  # what a ranking of labels can find
MENDABLE = (*LABELS, *COPIES, "not_an_image")  # in the order of the table


def fates(before: Path, after: Path) -> dict[str, str | None]:
    """`class/name` of each picture in `before` → its class in `after`, told by content, or None."""
    now = defaultdict(list)
    for file in sorted(get_image_files(after)):
        now[file.read_bytes()].append(file.parent.name)
    fate: dict[str, str | None] = {}
    for file in sorted(get_image_files(before)):
        there, own = now[file.read_bytes()], file.parent.name
        at = there.index(own) if own in there else 0
        fate[f"{own}/{file.name}"] = there.pop(at) if there else None
    return fate


def score(fate: Mapping[str, str | None], known: pd.DataFrame) -> SimpleNamespace:
    """Judge `fates()` by `known_defects()`, whose columns are file, defect and truth.

    `kinds` has a row for each kind of defect; `thrown_out` are good pictures that are gone,
    `mislabelled` those with a wrong label now. Good is what is not listed, or has a fault that
    cleaning cannot mend (a giveaway background). Of copies one should be left, no matter which.
    """
    defects = known[known.defect.isin(MENDABLE)]
    copies = defects[defects.defect.isin(COPIES)]
    # A wrong label is mended by the right one, or by a discard; a copy when one of two is gone.
    now = defects.file.map(fate)
    relabelled = (defects.defect == "wrong_label") & (now == defects.truth)
    other_gone = defects.defect.isin(COPIES) & defects.truth.map(fate).isna()
    mended = now.isna() | relabelled | other_gone
    kinds = mended.groupby(defects.defect).agg(known="size", found="sum")
    kinds = kinds.reindex([kind for kind in MENDABLE if kind in kinds.index])
    kinds["missed"] = kinds.known - kinds.found

    kept = {row.truth for row in copies.itertuples() if fate[row.file] is not None}
    good = [file for file in fate if file not in set(defects.file)]
    thrown_out = [file for file in good if fate[file] is None and file not in kept]
    sound = sorted({*good, *copies.file})
    mislabelled = [file for file in sound if fate[file] not in (None, Path(file).parent.name)]
    return SimpleNamespace(kinds=kinds, thrown_out=thrown_out, mislabelled=mislabelled)


def hits(ranking: Sequence[str], known: pd.DataFrame, first: int) -> int:
    """How many of the `first` files of a ranking are on the list for their labels."""
    return len(set(ranking[:first]) & set(known[known.defect.isin(LABELS)].file))


def list_of_faults(name: str) -> pd.DataFrame:
    """`known_defects(name)`; for pictures of your own an empty table, and a sentence about that."""
    if (known := known_defects(name)) is not None:
        return known
    print("There is no list of the faults of your own pictures: tables about them stay empty.")
    return pd.DataFrame(columns=["file", "defect", "truth"], dtype=object)


def exam_scenes() -> pd.DataFrame:
    """What each picture of the course's exam shows and where; empty for pictures of your own."""
    try:
        return pd.read_csv(dataset("bears_exam") / "scenes.csv")
    except (DataError, FileNotFoundError):
        return pd.DataFrame(columns=["file", "kind", "place"])


def wall(
    folder: Path, files: Iterable[str], words: Iterable[str] = (), columns: int = 8, row: str = ""
) -> None:
    """The pictures `files` of `folder`, numbered from 0, with `words` over each."""
    pictures = [open_image(folder / file).resize((128, 128)) for file in files]
    if not pictures:
        return print("There are no such pictures.")
    rows, side = -(-len(pictures) // columns), min(9 / columns, 1.5)
    size = (side * columns, (side + 0.22) * rows + 0.1)
    titles = [f"{n}  {word}" for n, word in enumerate(list(words) or [""] * len(pictures))]
    show_images(pictures, rows, columns, titles, figsize=size, dpi=72)
    for place in plt.gcf().axes:
        place.set_title(place.get_title(), fontsize=8, pad=2)
        place.set_axis_off()
    plt.suptitle(row, fontsize=9)
    plt.tight_layout(pad=0.3)


def confusion_picture(matrix: pd.DataFrame) -> None:
    """A confusion matrix with its counts; the darker, the more."""
    grid = ConfusionMatrixDisplay(matrix.to_numpy(), display_labels=list(matrix.columns))
    grid.plot(ax=plt.subplots(figsize=(3.3, 3.3))[1], cmap="Blues", colorbar=False)
    grid.ax_.set(xlabel="prediction", ylabel="label")


def pairs_of_models(table: pd.DataFrame, of: int) -> None:
    """For each seed the exam's wrong answers before and after, joined by a line."""
    place = plt.subplots(figsize=(6, 0.32 * len(table) + 1))[1]
    place.hlines(table.index, table.after, table.before, color="0.7", zorder=1)
    place.scatter(table.before, table.index, facecolor="white", edgecolor="C0", label="before")
    place.scatter(table.after, table.index, marker="s", color="C1", label="after")
    place.legend(fontsize=8)
    place.set(xlabel=f"wrong, of the {of} pictures of the exam", ylabel="seed", xlim=0)
    place.set_yticks(table.index)
    place.locator_params(axis="x", integer=True)


def unjudged(_: Callback) -> None:
    """Pass over the validation after every epoch: a training may be judged at its end alone."""
    raise CancelValidException


class HalfWay:
    """What the layers that `fine_tune` leaves make of pictures: looked at once, used many times."""

    def __init__(self, learn: Learner) -> None:
        """Let the fixed layers of `learn`, which is not trained yet, look at all its pictures."""
        self.learn, body = learn, learn.model[0]
        body.to(memory_format=torch.channels_last)
        self.late = deepcopy(body[GENERAL:])
        self.how = recipe([*learn.dls.train_ds.items, *learn.dls.valid_ds.items], quiet=True)
        with torch.random.fork_rng():  # as if nothing had been looked at
            (pictures, self.labels), self.exam = map(self._look, (0, 1))
        names = [f"{file.parent.name}/{file.name}" for file in learn.dls.train_ds.items]
        self.pictures = dict(zip(names, pictures, strict=True))
        self.truth = np.array([int(label) for label in self.exam[1]])  # the exam's class numbers

    @torch.no_grad()
    def _look(self, part: int) -> tuple[list[Tensor], list[Tensor]]:
        dl = self.learn.dls[part].new(shuffle=False, drop_last=False)
        body = self.learn.model[0][:GENERAL].to(dl.device).eval()
        seen = [(body(x).as_subclass(Tensor).cpu(), y.as_subclass(Tensor).cpu()) for x, y in dl]
        return [row for x, _ in seen for row in x], [row for _, y in seen for row in y]

    def _learner(self, layers: nn.Sequential, pairs: Iterable, order: Random) -> Learner:
        bs, exam = self.how.bs, list(zip(*self.exam, strict=True))
        train = DataLoader(list(pairs), bs=bs, shuffle=True, drop_last=True)
        train.rng = order  # so that a training from half way takes the pictures in the same order
        dls = DataLoaders(train, DataLoader(exam, bs=4 * bs), device=self.learn.dls.device)
        return Learner(dls, layers, self.learn.loss_func, splitter=late_split, metrics=error_rate)

    def rest(self) -> Learner:
        """A learner of the other layers. They are those of the whole learner, which learns too."""
        body, head = self.learn.model
        pairs = zip(self.pictures.values(), self.labels, strict=True)
        return self._learner(nn.Sequential(body[GENERAL:], head), pairs, self.learn.dls.train.rng)

    def shares_after_training(self, fate: Mapping[str, str | None], seed: int) -> np.ndarray:
        """Train from the beginning with the labels of `fates`; see `exam_shares`."""
        set_seed(seed, reproducible=True)
        labels = {file: label for file, label in fate.items() if label and file in self.pictures}
        classes = self.learn.dls.vocab
        head = create_head(self.late[-2].out_channels, len(classes))
        apply_init(head, nn.init.kaiming_normal_)
        pairs = [(self.pictures[file], classes.o2i[label]) for file, label in labels.items()]
        learn = self._learner(nn.Sequential(deepcopy(self.late), head), pairs, Random(seed))
        with learn.no_bar(), learn.no_logging():
            learn.fine_tune(self.how.epochs, self.how.lr, cbs=Callback(before_validate=unjudged))
            return exam_shares(learn)

    @torch.no_grad()
    def described(self) -> pd.DataFrame:
        """1,280 numbers for each picture to learn from, by name: the body as it was before."""
        x = torch.stack([*self.pictures.values()]).to(memory_format=torch.channels_last)
        rows = self.late.cpu().eval()(x).mean((2, 3))
        return pd.DataFrame(normalize(rows).numpy(), index=[*self.pictures])


def exam_shares(learn: Learner) -> np.ndarray:
    """The probabilities that `learn` gives: a row for each picture of its exam."""
    with learn.no_bar(), learn.no_logging():
        return learn.get_preds()[0].numpy()


def practice_copy(root: Path, each: int) -> Path:
    """A throw-away folder with the first `each` pictures of each class of `root`."""
    practice = Path(mkdtemp()) / "practice"
    for pictures in groupby(sorted(get_image_files(root)), parent_label).values():
        for file in pictures[:each]:
            (practice / file.parent.name).mkdir(parents=True, exist_ok=True)
            shutil.copy(file, practice / file.parent.name)
    return practice


def perfect_fates(fate: Mapping[str, str | None], known: pd.DataFrame) -> dict[str, str | None]:
    """What would have become of the pictures, had every fault of the list been mended."""
    faults = known[known.defect.isin(MENDABLE)].itertuples()
    mended = {row.file: row.truth if row.defect == "wrong_label" else None for row in faults}
    return {**fate, **mended}


def p_grizzly(p_black: pd.Series) -> str:
    """The mean probability of black for grizzlies away from the wall and before it, in words."""
    return " and ".join(f"{p:.2f}" for (kind, _), p in p_black.items() if kind == "grizzly")
