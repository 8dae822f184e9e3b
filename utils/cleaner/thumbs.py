"""Every picture opened once: a small copy to show, two hashes to find copies by, or what is wrong.

What was found stays in one SQLite file in the course's cache. A picture is known again by its
path, time and size, so a second look at 5,000 pictures opens none of them. Its thumbnail is kept
under its content, so that it is still there when the picture has moved.
"""

import json
import sqlite3
import warnings
from collections.abc import Iterable, Iterator, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager, suppress
from dataclasses import astuple, dataclass
from hashlib import blake2b
from io import BytesIO
from pathlib import Path
from threading import Event, Thread

import imagehash
import numpy as np
from fastprogress import progress_bar

from utils.cleaner.disk import CleanerError
from utils.images import ImageError, decode, opened
from utils.paths import course_cache

SIDE = 160  # pixels, the longer side of a thumbnail
HASH_SIDE = 16  # a hash of 256 bits; see `ranking.NEAR`
BATCH = 32  # pictures between two commits
TABLES = (
    """CREATE TABLE IF NOT EXISTS looks (
    root TEXT, file TEXT, time INTEGER, bytes INTEGER, problem TEXT, digest BLOB, hash BLOB,
    pixels INTEGER, PRIMARY KEY (root, file))""",
    "CREATE TABLE IF NOT EXISTS thumbnails (digest BLOB PRIMARY KEY, jpeg BLOB)",
)
COLUMNS = "file, time, bytes, problem, digest, hash, pixels"

# Pillow warns of what is judged in `utils.images`; `catch_warnings` is not made for threads.
warnings.filterwarnings("ignore", module=r"PIL\.")


@dataclass(frozen=True)
class Look:
    """What opening a picture told. `problem` is a sentence, or None for a usable picture."""

    time: int  # of the file's last change, in nanoseconds
    bytes: int
    problem: str | None
    digest: bytes  # of the file's content
    hash: bytes  # perceptual (imagehash.phash): pictures that look alike differ in few bits
    pixels: int


class Thumbs:
    """The looks at the pictures of one folder; `begin` takes them in the background."""

    def __init__(self, root: Path) -> None:
        """Load what is known of the folder from earlier. Raises `CleanerError`."""
        self.root = root
        self._thread: Thread | None = None
        self._stop = Event()
        query = f"SELECT {COLUMNS} FROM looks WHERE root = ?"
        with _opened() as db:
            rows = db.execute(query, (json.dumps(str(root)),)).fetchall()
        self.looks = {json.loads(file): Look(*rest) for file, *rest in rows}

    def missing(self, files: Iterable[str]) -> list[str]:
        """Those that have not been looked at as they are now."""
        return [file for file in files if not self._is_known(file)]

    def begin(self, files: Iterable[str]) -> None:
        """Look at these in the background, unless that is going on already."""
        if self.busy:
            return
        self._stop.clear()
        self._thread = Thread(target=self._walk, args=(self.missing(files),), daemon=True)
        self._thread.start()

    @property
    def busy(self) -> bool:
        """Whether pictures are being looked at in the background."""
        return self._thread is not None and self._thread.is_alive()

    def end(self) -> None:
        """End the walk in the background after the pictures in hand."""
        self._stop.set()
        if self._thread:
            self._thread.join()

    def wait(self, files: Iterable[str]) -> None:
        """Look at all of these before going on. Raises `CleanerError`."""
        self.end()
        batches = _batches(self.missing(files))
        for batch in progress_bar(batches, leave=False) if len(batches) > BATCH else batches:
            self._look(batch)

    def thumbnails(self, files: Sequence[str]) -> list[bytes]:
        """A JPEG for each, made now if it is not there yet; nothing for what is no picture."""
        self._look(self.missing(files))
        found = self._kept(files)
        if lost := [
            f for f in files if not (self.looks[f].problem or self.looks[f].digest in found)
        ]:
            self._look(lost)  # somebody has deleted the cache
            found |= self._kept(lost)
        return [found.get(self.looks[file].digest, b"") for file in files]

    def moved(self, names: Mapping[str, str]) -> None:
        """Files have new names (old → new) and are otherwise as they were."""
        known = {new: self.looks[old] for old, new in names.items() if old in self.looks}
        self._keep(known, {})

    def _kept(self, files: Sequence[str]) -> dict[bytes, bytes]:
        query = "SELECT * FROM thumbnails WHERE digest = ?"
        with _opened() as db:
            rows = (db.execute(query, (self.looks[file].digest,)).fetchone() for file in files)
            return dict(row for row in rows if row)

    def _is_known(self, file: str) -> bool:
        look = self.looks.get(file)
        return look is not None and (look.time, look.bytes) == _state(self.root / file)

    def _walk(self, files: list[str]) -> None:
        with suppress(CleanerError):  # which whoever waits for the looks will meet as well
            for batch in _batches(files):
                if self._stop.is_set():
                    return
                self._look(batch)

    def _look(self, files: list[str]) -> None:
        with ThreadPoolExecutor(2) as pool:  # Pillow decodes outside Python's lock
            found = list(pool.map(lambda file: look_at(self.root / file), files))
        looks = dict(zip(files, (look for look, _ in found), strict=True))
        self._keep(looks, {look.digest: small for look, small in found if small})

    def _keep(self, looks: dict[str, Look], thumbnails: dict[bytes, bytes]) -> None:
        root = json.dumps(str(self.root))
        rows = [(root, json.dumps(file), *astuple(look)) for file, look in looks.items()]
        with _opened() as db, db:
            db.executemany("REPLACE INTO looks VALUES (?, ?, ?, ?, ?, ?, ?, ?)", rows)
            db.executemany("REPLACE INTO thumbnails VALUES (?, ?)", thumbnails.items())
        self.looks |= looks


def look_at(path: Path) -> tuple[Look, bytes]:
    """Open a picture as if hostile; what is wrong is in the look, the thumbnail is then empty."""
    state, digest = _state(path), blake2b(digest_size=16)
    try:
        with opened(path) as image:
            image.verify()  # checksums, where the format has them; the picture is then used up
        with opened(path) as image, path.open("rb") as stream:
            while chunk := stream.read(2**20):
                digest.update(chunk)
            pixels = image.width * image.height
            picture = decode(image, at_least=SIDE)
    except ImageError as error:
        return Look(*state, str(error), digest.digest(), b"", 0), b""
    bits = imagehash.phash(picture, hash_size=HASH_SIDE).hash
    picture.thumbnail((SIDE, SIDE))
    small = BytesIO()
    picture.save(small, "JPEG", quality=80)
    return Look(
        *state, None, digest.digest(), np.packbits(bits).tobytes(), pixels
    ), small.getvalue()


def _state(path: Path) -> tuple[int, int]:
    try:
        found = path.stat()
    except OSError:
        return 0, 0
    return found.st_mtime_ns, found.st_size


def _batches(files: list[str]) -> list[list[str]]:
    return [files[start : start + BATCH] for start in range(0, len(files), BATCH)]


@contextmanager
def _opened() -> Iterator[sqlite3.Connection]:
    """The cache, a connection for each use, so that any thread may ask."""
    path = course_cache() / "thumbnails.sqlite"
    try:
        with closing(sqlite3.connect(path, timeout=10)) as db:
            for table in TABLES:
                db.execute(table)
            yield db
    except sqlite3.Error as error:
        raise CleanerError(
            f"The thumbnails in {path} cannot be used ({error}): delete that file, which is made"
            " again, or make room on its disk."
        ) from error
