"""Every picture opened once: a small copy to show, hashes to find copies by, or what is wrong."""

import warnings
from collections.abc import Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from hashlib import blake2b
from io import BytesIO
from pathlib import Path

import imagehash
import numpy as np
from fastprogress import progress_bar

from utils.cleaner.folder import Picture
from utils.images import ImageError, decode, opened

SIDE = 160  # pixels, the longer side of a thumbnail
HASH_SIDE = 16  # a hash of 256 bits; see `ranking.NEAR`
BATCH = 32  # pictures between two steps of the progress bar


@dataclass(frozen=True)
class Look:
    """What opening a picture brought. `problem` is a sentence, or None for a usable picture."""

    problem: str | None
    digest: bytes  # of the file's content
    size: int = 0  # of the file, in bytes
    pixels: int = 0
    hash: bytes = b""  # perceptual (imagehash.phash): pictures that look alike differ in few bits
    jpeg: bytes = b""  # the thumbnail


_known: dict[tuple, Look] = {}  # in this process, by file and its time and size


def looks_at(root: Path, pictures: Sequence[Picture]) -> list[Look]:
    """A look at each picture of the set at `root`; those not seen yet as they are are opened."""
    keys = [(root, picture.file, picture.state) for picture in pictures]
    new = [key for key in keys if key not in _known]
    starts = range(0, len(new), BATCH)
    with warnings.catch_warnings(), ThreadPoolExecutor(2) as pool:  # Pillow decodes without the GIL
        warnings.simplefilter("ignore")  # what Pillow warns of is judged in `utils.images`
        for start in progress_bar(starts, leave=False) if len(starts) > BATCH else starts:
            batch = new[start : start + BATCH]
            paths = (root / file for root, file, _ in batch)
            _known.update(zip(batch, pool.map(look_at, paths), strict=True))
    return [_known[key] for key in keys]


def look_at(path: Path) -> Look:
    """Open a picture as if hostile."""
    digest = blake2b(digest_size=16)
    try:
        with opened(path) as image, path.open("rb") as stream:
            while chunk := stream.read(2**20):
                digest.update(chunk)
            size, pixels = stream.tell(), image.width * image.height
            picture = decode(image, at_least=SIDE)
    except ImageError as error:
        return Look(str(error), digest.digest())
    bits = imagehash.phash(picture, hash_size=HASH_SIDE).hash
    picture.thumbnail((SIDE, SIDE))
    small = BytesIO()
    picture.save(small, "JPEG", quality=80)
    hash = np.packbits(bits).tobytes()
    return Look(None, digest.digest(), size, pixels, hash, small.getvalue())
