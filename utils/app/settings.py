"""How a learner prepares a picture for validation, read off its transforms."""

import math

from fastai.data.transforms import IntToFloatTensor, Normalize, ToTensor
from fastai.learner import Learner
from fastai.vision.augment import AffineCoordTfm, LightingTfm, RandomResizedCrop, Resize
from PIL import Image

from utils.app.manifest import DeployError


def input_settings(learn: Learner) -> dict:
    """The size, the ways to get there and the normalisation, as the manifest has them.

    Raises `DeployError`, naming the transform, for a learner that prepares pictures in a way that
    the app could not repeat.
    """
    settings = {}
    for transform in [*learn.dls.valid.after_item.fs, *learn.dls.valid.after_batch.fs]:
        if isinstance(transform, Resize):
            settings |= _sizes(transform.size) | _resampling(transform)
            settings |= {"method": str(transform.method), "pad_mode": str(transform.pad_mode)}
        elif isinstance(transform, RandomResizedCrop):
            settings |= _middle_of(transform) | _resampling(transform)
        elif isinstance(transform, Normalize):
            settings |= {n: getattr(transform, n).flatten().tolist() for n in ("mean", "std")}
        elif isinstance(transform, AffineCoordTfm) and transform.size is not None:
            raise DeployError(
                "This learner resizes batches (aug_transforms(size=…)), which the app cannot "
                "repeat: give the size to Resize in item_tfms instead, and train again."
            )
        elif not _leaves_validation_alone(transform):
            raise DeployError(
                f"This learner prepares pictures with {type(transform).__name__}, which the app "
                "cannot repeat: leave it out and train again."
            )
    for needed, key in (("Resize", "size"), ("Normalize", "mean")):
        if key not in settings:
            raise DeployError(f"This learner has no {needed} among its transforms, and needs one.")
    return settings


def _leaves_validation_alone(transform: object) -> bool:
    known = (ToTensor, IntToFloatTensor, AffineCoordTfm, LightingTfm)
    return isinstance(transform, known) or getattr(transform, "split_idx", None) == 0


def _sizes(width_height: tuple[int, int]) -> dict:
    width, height = width_height
    return {"size": [int(height), int(width)]}


def _resampling(transform: Resize | RandomResizedCrop) -> dict:
    return {"resample": Image.Resampling(transform.mode).name.lower()}


def _middle_of(transform: RandomResizedCrop) -> dict:
    """For validation, it squishes to somewhat more than the size and takes the middle of that."""
    more = math.ceil(max(transform.size) * transform.val_xtra / 8) * 8
    larger = [side + more for side in transform.size]
    middle = {"crop": _sizes(transform.size)["size"]}
    return _sizes(larger) | middle | {"method": "squish", "pad_mode": "zeros"}
