"""Smaller copies of a set's pictures, so that training reads and decodes little."""

import hashlib
import json
import shutil
import warnings
from collections.abc import Mapping
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from pathlib import Path

from fastai.data.transforms import get_files, get_image_files
from fastai.vision.utils import resize_to
from fastprogress import progress_bar
from joblib import cpu_count  # a container's quota counts
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


def presized(path: Path | str, size: int = 224) -> Path:
    """The same set with its pictures' shorter side at most `size`, so that training reads little.

    The copy is made once, under `course_cache()`, and kept up to date: new and changed originals
    are redone, deleted ones removed, originals never touched. Names and folders stay the same;
    files that cannot be used are left out and reported. A set that is small already, and sound,
    is returned as it is. For photos: a mask's numbers would be blended. Raises `DataError` where
    no picture can be used.
    """
    source = Path(path).resolve()
    pictures = sorted(get_image_files(source))
    key = hashlib.sha256(f"{source}|{size}".encode()).hexdigest()[:12]
    copy = course_cache() / "presized" / f"{source.name}-{size}-{key}"
    if not _are_large(pictures, size) and _are_known_good(pictures, Path(f"{copy}.good")):
        return Path(path)
    others = [f for f in get_files(source) if f.suffix.lower() not in SUFFIXES and f.is_file()]
    names = {file.relative_to(source).as_posix(): file for file in pictures + others}
    report = ImageReport(pictures, keep_copies(names, copy, size), source)
    if not report.usable:
        raise DataError(f"None of the {len(pictures)} pictures in {source} can be used:\n{report}")
    if report.problems:
        print(report)
    return copy


def _are_large(files: list[Path], size: int) -> bool:
    """Whether any of up to 400 of the pictures, by its header, is worth a smaller copy."""
    for file in files[:: len(files) // 400 + 1]:
        with suppress(ImageError), opened(file) as image:
            if min(image.size) > size * MIN_RATIO:
                return True
    return False


def _stamp(file: Path) -> list[int]:
    """A file's size, and time in nanoseconds; zeros where there is none."""
    return [file.stat().st_size, file.stat().st_mtime_ns] if file.exists() else [0, 0]


def _are_known_good(files: list[Path], memory: Path) -> bool:
    """Whether every picture can be used; that they can is remembered until one changes."""
    state = hashlib.sha256(repr([(str(f), _stamp(f)) for f in files]).encode()).hexdigest()
    if memory.exists() and memory.read_text() == state:
        return True
    if good := len(check_images(files).usable) == len(files):
        memory.parent.mkdir(exist_ok=True)
        write_whole(memory, state)
    return good


def keep_copies(
    files: Mapping[str, Path], folder: Path, size: int | None = None
) -> list[ImageProblem]:
    """Make `folder` hold a copy of each file under its name in `files`, and nothing else.

    What is there and unchanged stays, also after a kill. With `size`, pictures are made smaller,
    and those that cannot be used are left out and returned.
    """

    def make(name: str) -> tuple[str, list]:
        entry: list = [*_stamp(files[name]), None, None]
        try:
            with made_whole(folder / name) as part:
                if size and files[name].suffix.lower() in SUFFIXES:
                    _shrink(files[name], part, size)
                else:
                    shutil.copyfile(files[name], part)
        except ImageError as error:
            entry[2:] = error.kind, str(error)
        return name, entry

    # A line for each copy: its name; size and time of the original; what is wrong with that.
    folder.parent.mkdir(exist_ok=True)
    memory = Path(f"{folder}.jsonl")
    done: dict[str, list] = {}
    with file_lock(f"{folder}.lock"), warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what Pillow warns of is judged in utils.images
        for line in memory.read_text("utf-8").splitlines() if memory.exists() else ():
            with suppress(ValueError):  # of a line cut short by a kill
                name, entry = json.loads(line)
                # a copy without bytes is what a power cut can leave
                is_whole = entry[2] or _stamp(folder / name)[0]
                if is_whole and name in files and entry[:2] == _stamp(files[name]):
                    done[name] = entry
        jobs = [name for name in files if name not in done]
        if jobs and size:
            print(f"Making smaller copies ({size} pixels) of {len(jobs)} pictures, once.")
        write_whole(memory, "".join(f"{json.dumps(item)}\n" for item in done.items()))
        # Threads: Pillow lets go of Python's lock while it decodes, resizes and encodes.
        pool = ThreadPoolExecutor(cpu_count())
        try:
            made = pool.map(make, jobs)
            with memory.open("a", encoding="utf-8") as lines:
                for name, entry in progress_bar(made, len(jobs), leave=False) if size else made:
                    print(json.dumps([name, entry]), file=lines, flush=True)
                    done[name] = entry
        finally:  # also when the learner interrupts
            pool.shutdown(cancel_futures=True)
        for file in [file for file in folder.rglob("*") if file.is_file()]:
            known = done.get(file.relative_to(folder).as_posix())
            if known is None or known[2]:
                file.unlink()
    wrong = ((name, entry) for name, entry in sorted(done.items()) if entry[2])
    return [ImageProblem(files[name], *entry[2:]) for name, entry in wrong]


def _shrink(source: Path, target: Path, size: int) -> None:
    """Write a smaller picture, in the format of its name. Raises `ImageError`.

    Not fastai's `resize_image`: it measures the longer side, shrinks a palette's numbers as if
    they were colours, and forgets which way up the camera was held.
    """
    with opened(source) as picture:
        image = decode(picture, at_least=2 * size)
    if min(image.size) > size:
        image = image.resize(resize_to(image, size, use_min=True), Image.Resampling.LANCZOS)
    kind = Image.registered_extensions().get(source.suffix.lower(), "PNG")
    image.save(target, kind, quality=92)
