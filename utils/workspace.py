"""Sets arranged for a chapter: parts to train on and to judge by, and a copy to clean."""

import random
import shutil
import zlib
from pathlib import Path

import pandas as pd
from fastai.data.transforms import get_image_files
from filelock import FileLock

from utils.datasets import DataError, dataset, resolve_source, source_label
from utils.paths import course_cache, course_home

VALID_PCT, SEED = 0.2, 42
DEFECTS = "defects.csv"


def _is_sample() -> bool:
    return source_label() in ("sample", "full")


def _folder(parent: Path, name: str) -> Path:
    """Where a set's arrangement is kept; two folders of yours with one name do not share it."""
    own = "" if _is_sample() else f"-{zlib.crc32(resolve_source().encode()):08x}"
    folder = parent / f"{source_label()}{own}-{name}"
    folder.parent.mkdir(parents=True, exist_ok=True)
    return folder


def _in_classes(part: str, root: Path) -> dict[str, Path]:
    """`part/<class>/<name>` → file, for each picture in a class folder of `root`, or deeper."""
    rows = {}
    for file in sorted(get_image_files(root)):
        label, *rest = file.relative_to(root).parts
        if rest:
            rows[f"{part}/{label}/{'_'.join(rest)}"] = file
    return rows


def _parts(name: str) -> dict[str, Path]:
    """Where each picture to learn from and to judge by goes."""
    root = dataset(name)
    try:
        return _in_classes("train", root) | _in_classes("valid", dataset(f"{name}_exam"))
    except DataError:
        if _is_sample():
            raise
    rows = _in_classes("train", root)
    judged = set(random.Random(SEED).sample(list(rows), round(VALID_PCT * len(rows))))
    return {
        f"valid/{place.partition('/')[2]}" if place in judged else place: file
        for place, file in rows.items()
    }


def _lay_out(parts: dict[str, Path], folder: Path) -> None:
    """Copy each file to its place in `folder`, which appears whole or not at all."""
    scratch = folder.with_name(f"{folder.name}.part")
    shutil.rmtree(scratch, ignore_errors=True)  # what a killed run left
    for place, file in parts.items():
        target = scratch / place
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)
    shutil.rmtree(folder, ignore_errors=True)
    scratch.rename(folder)


def _state(parts: dict[str, Path]) -> str:
    """Changes when a file of the set is added, removed or edited."""
    stats = {place: file.stat() for place, file in parts.items()}
    return "\n".join(f"{place} {s.st_size} {s.st_mtime_ns}" for place, s in stats.items())


def train_valid(name: str) -> Path:
    """A folder with `train/<class>/` and `valid/<class>/`, as fastai's `GrandparentSplitter` reads.

    On the sample, `train` is the set as gathered and `valid` its checked exam. On a folder of your
    own without an exam (`<name>_exam`), a fifth of the pictures, always the same, is `valid`. It
    is a copy in the cache, made again when the set changes, so never edit it: see `my_copy`.
    Raises `DataError` as `dataset` does.
    """
    parts = _parts(name)
    folder = _folder(course_cache() / "train_valid", name)
    stamp, state = folder.with_name(f"{folder.name}.txt"), _state(parts)
    with FileLock(f"{folder}.lock"):
        if not (folder.is_dir() and stamp.exists() and stamp.read_text("utf-8") == state):
            _lay_out(parts, folder)
            stamp.write_text(state, "utf-8")
    return folder


def my_copy(name: str) -> Path:
    """Your own copy of `train_valid(name)`, to clean: made once, then kept as you leave it.

    It is in the course's home (`COURSE_HOME`), so it outlives restarts and new versions. To begin
    afresh, delete the folder and the one beside it that ends in `.cleaning`.
    """
    source = train_valid(name)
    folder = _folder(course_home() / "sets", name)
    with FileLock(f"{folder}.lock"):
        if not folder.exists():
            files = get_image_files(source)
            _lay_out({file.relative_to(source).as_posix(): file for file in files}, folder)
    return folder


def known_defects(name: str) -> pd.DataFrame | None:
    """The sample's list of what is wrong with it: columns file, defect, truth; None for your own.

    `file` is relative to the set's folder. `truth` is the right class of a wrong label, and the
    file that a copy is a copy of.
    """
    path = dataset(name) / DEFECTS
    return pd.read_csv(path, keep_default_na=False) if _is_sample() and path.exists() else None


def conditions() -> Path:
    """Bears as a camera may meet them: a folder for each condition (see `data/README.md`).

    A folder of your own without `bears_conditions` gets the course's, and a sentence that says so.
    """
    return dataset_or_sample("bears_conditions")


def dataset_or_sample(name: str, sample: str | None = None) -> Path:
    """`dataset(name)`; where a folder of your own has not this set, the sample, and a sentence.

    `sample` is the set that stands in, where it has another name.
    """
    try:
        return dataset(name)
    except DataError:
        if _is_sample():
            raise
    sample = sample or name
    print(f"Your folder has no {name}; the course's own {sample} is used.")
    return dataset(sample, "sample")
