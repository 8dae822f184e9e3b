"""Smaller copies of a set's pictures, so that training reads and decodes little."""

import hashlib
import json
import os
import shutil
import warnings
from concurrent.futures import ThreadPoolExecutor
from itertools import islice
from pathlib import Path

from fastai.data.transforms import get_files, get_image_files
from fastai.vision.utils import resize_to
from fastprogress import progress_bar
from PIL import Image

from utils.common import made_whole, write_whole
from utils.data import DataError
from utils.images import (
    SUFFIXES,
    ImageError,
    ImageProblem,
    ImageReport,
    check_images,
    decode,
    opened,
)
from utils.paths import course_cache, file_lock

MIN_RATIO = 1.3  # pictures up to so many times the wanted size are not worth a copy
SAME_TIME = 1e6  # nanoseconds: some disks keep times less exactly than others


def presized(path: Path | str, size: int = 224, folders: tuple[str, ...] | None = None) -> Path:
    """The same set with its pictures' shorter side at most `size`, so that training reads little.

    The copy is made once, under `course_cache()`, and kept up to date: new and changed originals
    are redone, deleted ones removed, originals never touched. Names and folders stay the same;
    files that cannot be used are left out and reported. A set that is small already, and sound,
    is returned as it is. `folders` limits the pictures as in `get_image_files`. For photos: a
    mask's numbers would be blended. Raises `DataError` where no picture can be used.
    """
    source = Path(path).resolve()
    pictures = sorted(get_image_files(source, folders=folders))
    key = hashlib.sha256(f"{source}|{size}|{folders}".encode()).hexdigest()[:12]
    copy = course_cache() / "presized" / f"{source.name}-{size}-{key}"
    copy.parent.mkdir(exist_ok=True)
    if not _are_large(pictures, size) and _are_known_good(pictures, Path(f"{copy}.good")):
        return Path(path)
    others = [f for f in get_files(source) if f.suffix.lower() not in SUFFIXES and f.is_file()]
    with file_lock(f"{copy}.lock"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what Pillow warns of is judged in utils.images
        report = ImageReport(pictures, _update(source, copy, pictures + others, size), source)
    if not report.usable:
        raise DataError(f"None of the {len(pictures)} pictures in {source} can be used:\n{report}")
    if report.problems:
        print(report)
    return copy


def _are_large(files: list[Path], size: int) -> bool:
    """Whether any of up to 400 of the pictures, by its header, is worth a smaller copy."""
    for file in islice(files, 0, None, len(files) // 400 + 1):
        try:
            with opened(file) as image:
                if min(image.size) > size * MIN_RATIO:
                    return True
        except ImageError:
            continue
    return False


def _time(file: Path) -> int:
    """When a file was last changed, in nanoseconds; 0 where there is none."""
    return file.stat().st_mtime_ns if file.exists() else 0


def _are_known_good(files: list[Path], memory: Path) -> bool:
    """Whether every picture can be used; that they can is remembered until one changes."""
    state = hashlib.sha256(repr([(str(f), _time(f)) for f in files]).encode()).hexdigest()
    if memory.exists() and memory.read_text() == state:
        return True
    if good := len(check_images(files).usable) == len(files):
        write_whole(memory, state)
    return good


def _update(source: Path, copy: Path, files: list[Path], size: int) -> list[ImageProblem]:
    """Make copies that are missing or old, remove those without an original; what is wrong.

    A copy has its original's time, so that a killed run goes on where it was.
    """
    names = {file.relative_to(source).as_posix(): file for file in files}
    memory = Path(f"{copy}.json")  # name of a picture without a copy → its time, kind, sentence
    try:
        known = json.loads(memory.read_text("utf-8"))
    except (OSError, ValueError):  # none yet
        known = {}
    wrong = {n: entry for n, entry in known.items() if n in names and entry[0] == _time(names[n])}

    def is_old(name: str) -> bool:
        target = copy / name
        if not target.exists() or not target.stat().st_size:  # the latter after a power cut
            return True
        return abs(_time(target) - _time(names[name])) > SAME_TIME

    def make(name: str) -> None:
        time = _time(names[name])
        try:
            with made_whole(copy / name) as part:
                _copy_one(names[name], part, size)
                os.utime(part, ns=(time, time))
        except ImageError as error:
            wrong[name] = [time, error.kind, str(error)]

    if jobs := [name for name in names if name not in wrong and is_old(name)]:
        print(f"Making smaller copies ({size} pixels) of {len(jobs)} pictures, once.")
        # Threads: Pillow lets go of Python's lock while it decodes, resizes and encodes.
        pool = ThreadPoolExecutor(os.cpu_count())
        try:
            for _ in progress_bar(pool.map(make, jobs), len(jobs), leave=False):
                pass
        finally:  # also when the learner interrupts
            pool.shutdown(cancel_futures=True)
    for file in (file for file in copy.rglob("*") if file.is_file()):
        name = file.relative_to(copy).as_posix()
        if name in wrong or name not in names:
            file.unlink()
    write_whole(memory, json.dumps(wrong))
    return [
        ImageProblem(names[name], kind, said) for name, (_, kind, said) in sorted(wrong.items())
    ]


def _copy_one(source: Path, target: Path, size: int) -> None:
    """One smaller picture; other files are copied as they are. Raises `ImageError`.

    Not fastai's `resize_image`: it measures the longer side, shrinks a palette's numbers as if
    they were colours, and forgets which way up the camera was held.
    """
    if source.suffix.lower() not in SUFFIXES:
        shutil.copyfile(source, target)
        return
    with opened(source) as picture:
        image = decode(picture, at_least=2 * size)
    if min(image.size) > size:
        image = image.resize(resize_to(image, size, use_min=True), Image.Resampling.LANCZOS)
    kind = Image.registered_extensions().get(source.suffix.lower(), "PNG")
    image.save(target, kind, quality=92)
