"""What makes a picture worth a second look: its loss, the quality of its label, and its copies.

The loss is the opinion of a learner that was trained on the very labels in question. The quality
of a label is out-of-fold: each picture is judged by a classifier that has not seen it.
"""

from collections.abc import Iterable, Sequence
from contextlib import nullcontext
from functools import lru_cache
from pathlib import Path

import numpy as np
import pandas as pd
from cleanlab.filter import find_label_issues
from cleanlab.rank import get_label_quality_scores
from fastai.learner import Learner
from fastai.vision.augment import Resize, ResizeMethod
from fastprogress import progress_bar
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import StratifiedGroupKFold, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.utils import check_random_state
from threadpoolctl import threadpool_limits

from utils.cleaner.folder import CleanerError
from utils.cleaner.thumbs import MANY
from utils.models import pretrained_body, seen_by

FOLDS, SEED = 5, 0
SIZE = 160  # pixels, the side of the squares that features are taken from
# Two pictures are nearly the same when at most NEAR of the 256 signs of their hashes differ.
# Measured: two different pictures differ in at least 72 (bears), 80 (pets) or 96 (113 photos); of
# copies made smaller, encoded again or 1.2 times as bright, none in more than 32; of copies with
# 2 % cut off each side, none in more than 60; with 4 %, half of them in more than 56 to 62.
HASH, NEAR = 256, 60
# C of the logistic regression. From 0.001 to 0.1 the order changes little; larger is worse on drawn
# cats and dogs, where it learns single pictures by heart.
STRENGTH = 0.01


def predict(learn: Learner, paths: Sequence[Path]) -> pd.DataFrame:
    """The learner's probabilities: a row per picture, in their order, and a column per label.

    Raises `CleanerError` when it is not a learner that gives each picture one of its labels.
    """
    vocab = [str(label) for label in getattr(learn.dls, "vocab", [])]
    try:
        dl = learn.dls.test_dl(paths)
    except AssertionError:  # its items were rows, of which a column reader made texts
        dl = learn.dls.test_dl([str(path) for path in paths])
    with nullcontext() if len(paths) > MANY else learn.no_bar():
        scores, _ = learn.get_preds(dl=dl, act=lambda scores: scores)
    if getattr(scores, "shape", ()) != (len(paths), len(vocab)):
        raise CleanerError(
            "This learner does not give each picture one of its labels: train one with"
            " vision_learner on a CategoryBlock, or leave the learner out."
        )
    # in 64 bits, a probability never becomes 0, of which the loss would be infinite
    return pd.DataFrame(scores.double().softmax(1).cpu().numpy(), columns=vocab)


def opinion(labels: Sequence[str], probabilities: pd.DataFrame) -> pd.DataFrame:
    """Columns prediction, confidence (its probability) and loss (minus log p of the label).

    `probabilities` has a row per picture, empty where nothing is known, and a column per label.
    """
    blank = {"prediction": None, "confidence": np.nan, "loss": np.nan}
    table = pd.DataFrame(blank, range(len(labels))).astype({"prediction": object})
    known = probabilities.notna().any(axis=1).to_numpy()
    if known.any():
        p, names = probabilities[known].to_numpy(), probabilities.columns
        own = names.get_indexer(np.array(labels, dtype=object)[known])
        table.loc[known, "prediction"] = names.to_numpy(object)[p.argmax(axis=1)]
        table.loc[known, "confidence"] = p.max(axis=1)
        p_own = np.where(own < 0, np.nan, p[np.arange(len(p)), own])
        table.loc[known, "loss"] = -np.log(p_own)
    return table


@lru_cache(1)  # another cleaner of the same pictures asks again
def features(thumbnails: tuple[bytes, ...]) -> np.ndarray:
    """1,280 numbers for each picture (a row), from the body that comes with the course.

    The body is the plain pretrained one, also where a fine-tuned one is at hand: that one has been
    trained on the labels in question, and its features repeat the wrong ones. Measured with 7 % of
    the labels made wrong (average precision of finding them, mean of two draws): drawn cats and
    dogs 0.93 plain and 0.79 fine-tuned (by loss 0.51), six drawn breeds 1.00 and 0.99 (0.87), 113
    photos of cats and dogs 0.95 and 0.72 (0.29).
    Thumbnails do as well as whole pictures, and need no file to be opened again.
    """
    many = len(thumbnails) > MANY
    shown = progress_bar(thumbnails, leave=False) if many else thumbnails
    return seen_by(pretrained_body(), shown, Resize(SIZE, ResizeMethod.Squish)).numpy()


def out_of_fold(
    x: np.ndarray, labels: Sequence[str], groups: Sequence[int] | np.ndarray
) -> pd.DataFrame:
    """Probabilities of the labels for each picture, from classifiers that have not seen it.

    `x` are features, a row per picture. Pictures of one group (copies of each other) are in the
    same fold, or a copy with the same wrong label would vouch for it. A label that fewer than two
    groups have is left out; where that leaves fewer than two, nothing is known.
    """
    seen = pd.DataFrame({"label": labels, "group": groups})
    spread = seen.groupby("label")["group"].nunique()
    usual = spread[spread > 1]
    if len(usual) < 2:
        return pd.DataFrame(index=seen.index)
    known = seen["label"].isin(usual.index).to_numpy()
    model = make_pipeline(StandardScaler(), LogisticRegression(C=STRENGTH, max_iter=1000))
    folds = StratifiedGroupKFold(min(FOLDS, usual.min()))
    y, g = seen["label"][known].to_numpy(str), pd.factorize(seen["group"][known], sort=True)[0]
    # shuffled here: scikit-learn before 1.8 then takes a group's labels for another's
    g = np.argsort(check_random_state(SEED).permutation(g.max() + 1))[g]
    table = pd.DataFrame(np.nan, index=seen.index, columns=sorted(usual.index))
    with threadpool_limits(1):  # with more, BLAS takes 20 times as long on a matrix so small
        table.loc[known] = cross_val_predict(
            model, x[known], y, groups=g, cv=folds, method="predict_proba"
        )
    return table


def judge(labels: Sequence[str], probabilities: pd.DataFrame) -> pd.DataFrame:
    """Columns quality (0 to 1, low is doubtful) and mislabelled, by cleanlab.

    Northcutt, Jiang & Chuang 2021 (arXiv 1911.00068). Without probabilities, or for a label that
    is not among them: no quality, and not mislabelled.
    """
    own = probabilities.columns.get_indexer(np.array(labels, dtype=object))
    table = pd.DataFrame({"quality": np.nan, "mislabelled": False}, range(len(labels)))
    known = probabilities.notna().any(axis=1).to_numpy() & (own >= 0)
    if known.any():
        y, p = own[known], probabilities[known].to_numpy()
        table.loc[known, "quality"] = get_label_quality_scores(y, p)
        table.loc[known, "mislabelled"] = find_label_issues(y, p, n_jobs=1)
    return table


def alike(hashes: Sequence[np.ndarray]) -> list[np.ndarray]:
    """For each picture, the places of those whose hashes are near its own, itself included.

    A hash of zeros is near none.
    """
    signs = np.array(hashes, np.float32).reshape(len(hashes), HASH)
    # the product of two rows: equal signs less unequal
    blocks = (signs[start : start + 500] @ signs.T for start in range(0, len(signs), 500))
    return [np.flatnonzero(row >= HASH - 2 * NEAR) for block in blocks for row in block]


def families(near: Sequence[np.ndarray]) -> np.ndarray:
    """A number per picture, the same for all that are near each other, directly or by others."""
    found = np.arange(len(near))
    for places in near:
        if len(places) > 1:
            found[np.isin(found, found[places])] = found[places].min()
    return found


def copies(near: Sequence[np.ndarray], order: Iterable[int]) -> dict[int, int]:
    """Which picture is a copy of which (copy → original); of several, the first in `order` stays.

    A copy of a copy that is not near the original itself is left alone.
    """
    originals: dict[int, int] = {}
    for place in order:
        if place not in originals:
            others = (int(other) for other in near[place] if other != place)
            originals |= {other: place for other in others if other not in originals}
    return originals
