"""Every picture opened once: a small copy to show, hashes to find copies by, or what is wrong."""

import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from functools import cache
from hashlib import blake2b
from io import BytesIO
from pathlib import Path

import imagehash
import numpy as np
from fastprogress import progress_bar

from utils.cleaner.folder import Picture
from utils.images import ImageError, decode, opened

SIDE = 160  # pixels, the longer side of a thumbnail
HASH_SIDE = 16  # of hashes with 256 numbers; see `ranking.NEAR`
MANY = 1000  # pictures; from here on a progress bar is shown


@dataclass(frozen=True)
class Look:
    """What opening a picture brought; of a file that is no usable picture only the `problem`."""

    problem: str | None  # a sentence
    content: bytes | None = None  # a digest of the file
    pixels: int = 0
    # perceptual: 256 times 1 or -1, of which few differ when two pictures look alike
    hash: np.ndarray = field(default_factory=lambda: np.zeros(HASH_SIDE**2))
    jpeg: bytes = b""  # the thumbnail


def looks_at(root: Path, pictures: Sequence[Picture]) -> list[Look]:
    """A look at each picture of the set at `root`; those not seen yet as they are are opened."""
    paths, states = [root / picture.file for picture in pictures], [p.state for p in pictures]
    with warnings.catch_warnings(), ThreadPoolExecutor(2) as pool:  # Pillow decodes without the GIL
        warnings.simplefilter("ignore")  # what Pillow warns of is judged in `utils.images`
        looks = pool.map(look_at, paths, states)
        many = len(paths) > MANY
        return list(progress_bar(looks, total=len(paths), leave=False) if many else looks)


@cache
def look_at(path: Path, state: tuple[int, int]) -> Look:
    """Open a picture as if hostile, once; `state` tells whether it is still the same file."""
    try:
        with opened(path) as image:
            content = blake2b(path.read_bytes(), digest_size=16).digest()
            pixels = image.width * image.height
            picture = decode(image, at_least=SIDE)
    except ImageError as error:
        return Look(str(error))
    bits = imagehash.phash(picture, hash_size=HASH_SIDE).hash.ravel()
    picture.thumbnail((SIDE, SIDE))
    small = BytesIO()
    picture.save(small, "JPEG", quality=80)
    return Look(None, content, pixels, np.where(bits, 1, -1), small.getvalue())
