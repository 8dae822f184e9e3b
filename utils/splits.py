"""Sets divided into parts to train on and to judge by, and a copy of one to clean."""

import shutil
import zlib
from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from itertools import product
from pathlib import Path
from typing import Any, NamedTuple, TypeVar

import pandas as pd
import torch
from fastai.data.transforms import RandomSplitter, get_image_files

from utils.common import listed, made_whole, split_of
from utils.data import DataError, dataset, dataset_or_sample, is_the_courses, resolve_source
from utils.images import check_images
from utils.paths import course_cache, course_home, file_lock
from utils.presize import keep_copies

VALID_PCT, SEED = 0.2, 42
FEW = 10  # pictures of a label: below, a note says so, and each of them is opened
FEW_JUDGED = 20  # pictures to judge by
UNEVEN = 5  # times as many pictures of one label as of another
Key = TypeVar("Key", Path, int)


# --- how folders of pictures are meant --------------------------------------------------------


class Place(NamedTuple):
    """Where a picture lies: "train", "valid", "test" or "" (no split), and the folders below."""

    split: str
    folders: tuple[str, ...]


def read_folders(root: Path, files: Iterable[Path]) -> tuple[dict[Path, Place], list[str]]:
    """How the pictures below `root` are arranged, and a sentence where that had to be guessed.

    A split is found above the class folders or below them: one called train, and valid or test.
    Up to two folders around all classes are looked through.
    """
    folders = {file: file.relative_to(root).parts[:-1] for file in files}
    splits = dict.fromkeys(folders, "")
    wrappers: list[str] = []
    for level in range(3):
        meant = {file: split_of("".join(f[level : level + 1])) for file, f in folders.items() if f}
        found = {*meant.values()}
        if "train" in found and found & {"valid", "test"} and "" not in found:
            splits |= meant
            folders = {file: f[:level] + f[level + 1 :] for file, f in folders.items()}
            break
    for split in sorted({*splits.values()}):
        for _ in range(2):
            inside = {file: f for file, f in folders.items() if f and splits[file] == split}
            outer = {f[0] for f in inside.values()}
            deeper = {f[1:2] for f in inside.values()}  # () for a picture directly in the outer one
            if len(outer) == 1 and (() not in deeper or len(deeper) > 2):
                wrappers += outer
                folders |= {file: f[1:] for file, f in inside.items()}
    places = {file: Place(splits[file], f) for file, f in folders.items()}
    through = " and ".join(dict.fromkeys(wrappers))
    return places, [f"Looked for the labels inside {through}."] if wrappers else []


def held_out(labels: Mapping[Key, str]) -> set[Key]:
    """What to judge by, files or row numbers: a fifth of each label, one at least, never the last.

    They are drawn by lot, always the same ones, so that errors before and after cleaning can be
    compared.
    """
    table = pd.Series(labels, dtype=object).sort_index()
    judged: set[Key] = set()
    for _, group in table.groupby(table):
        if len(group) > 1:
            count = max(1, round(VALID_PCT * len(group)))
            judged.update(group.sample(count, random_state=SEED).index)
    return judged


def divide(
    labels: Mapping[Path, str], places: Mapping[Path, Place]
) -> tuple[dict[Path, str], list[str]]:
    """Which pictures are "train" and which "valid", and what to say about that.

    The folders' own split is used (`test` where there is no `valid`, else `test` is left alone);
    without one, `held_out` draws it. Raises `DataError` as `worries` does.
    """
    splits = {file: places[file].split for file in labels}
    judge = next((split for split in ("valid", "test") if split in splits.values()), "")
    said = []
    if judge and "train" in splits.values():
        meant = {"train": "train", judge: "valid"}
        parts = {file: meant[split] for file, split in splits.items() if split in meant}
        said = [f"Your own split is used: train to learn from, {judge} to judge by."]
        if len(parts) < len(labels):
            said.append("test is left alone, for a last measurement of your own.")
    else:
        judged = held_out(labels)
        parts = {file: "valid" if file in judged else "train" for file in labels}
    counts = (Counter(labels[f] for f in parts if parts[f] == part) for part in ("train", "valid"))
    return parts, said + worries(*counts)


def _names(labels: Iterable[str]) -> str:
    return listed(sorted(labels), 3) or "none"


def worries(learned: Mapping[str, int], judged: Mapping[str, int]) -> list[str]:
    """A note for each thing that makes training hard about so many pictures of each label.

    Raises `DataError` where training cannot work: fewer than two labels to learn, or pictures to
    judge by whose label no picture to learn from has, or none to judge by.
    """
    unknown = judged.keys() - learned.keys()
    if unknown or len(learned) < 2 or not judged:
        raise DataError(
            "A classifier learns from pictures of two kinds at least, each in a folder of its own, "
            "and is judged by others of the same kinds. Here it would learn from "
            f"{_names(learned)} and be judged by {_names(unknown or judged)}: add pictures, two of "
            "each kind at least, or take away a kind that it cannot learn."
        )
    notes = []
    if alone := learned.keys() - judged.keys():
        notes.append(f"there is no picture of {_names(alone)} to judge by: add one of each.")
    counts = Counter(learned) + Counter(judged)
    if few := [label for label, count in counts.items() if count < FEW]:
        notes.append(f"fewer than {FEW} pictures of {_names(few)}: expect many errors there.")
    if (total := sum(judged.values())) < FEW_JUDGED:
        notes.append(
            f"with {total} to judge by, a single picture moves the error rate by {1 / total:.0%}."
        )
    (most, many), *_, (least, some) = counts.most_common()
    if many > UNEVEN * some:
        notes.append(
            f"there are {many} pictures of {most} and {some} of {least}: a model that always says "
            f"{most} looks better than it is."
        )
    spelt = Counter(label.casefold() for label in learned)
    if alike := [label for label in learned if spelt[label.casefold()] > 1]:
        notes.append(f"the labels {_names(alike)} differ in capitals only: do they mean the same?")
    return [f"note: {note}" for note in notes]


def fitting_batch(wanted: int, n_train: int) -> int:
    """The batch size for so many pictures to learn from: `wanted`, or all of them.

    fastai drops the last batch of an epoch when it is not full, so a larger one would leave none;
    and batch norm needs two pictures in each.
    """
    return max(2, min(wanted, n_train))


def fair_split(labels: Sequence[object]) -> dict[str, Any]:
    """`valid_pct` and `seed` for fastai's `RandomSplitter`: 0.2 and 42, wherever they do.

    Where they would leave a label out of either part, as with few pictures, others that do not;
    a label with one picture is learned from. On a folder of your own it prints what about the
    numbers should worry you. Raises `DataError` as `worries` does.
    """
    names = [str(label) for label in labels]
    twice = {name for name, count in Counter(names).items() if count > 1}
    drawn: dict[tuple[int, int], tuple] = {}  # what each of the first tries leaves out → it
    for valid_pct, seed in product((VALID_PCT, 1 / 3, 1 / 2), range(SEED, SEED + 100)):
        with torch.random.fork_rng(devices=[]):
            parts = RandomSplitter(valid_pct, seed)(names)
        learned, judged = (Counter(names[n] for n in part) for part in parts)
        missing = len({*names} - {*learned}), len(twice - {*judged})
        drawn.setdefault(missing, (valid_pct, seed, learned, judged))
        if missing == (0, 0):
            break
    valid_pct, seed, learned, judged = drawn[min(drawn)]
    _say_of_your_own(worries(learned, judged))
    return {"valid_pct": valid_pct, "seed": seed}


def _say_of_your_own(sentences: list[str]) -> None:
    """Print them, unless the pictures are the course's, of which the chapters speak."""
    if sentences and not is_the_courses():
        print(*sentences, sep="\n")


# --- sets for the chapters --------------------------------------------------------------------


def _folder(parent: Path, name: str) -> Path:
    """Where a set's parts are kept; two folders of yours with one name do not share it."""
    source = resolve_source()
    own = "" if is_the_courses() else f"-{zlib.crc32(source.encode()):08x}"
    parent.mkdir(exist_ok=True)
    return parent / f"{Path(source).name}{own}-{name}"


def train_valid(name: str) -> Path:
    """A folder with `train/<class>/` and `valid/<class>/`, as fastai's `GrandparentSplitter` reads.

    To judge by, it takes the set's own `valid`, else its exam (as of the sample) `<name>_exam`,
    else a fifth of each class, always the same; what about a folder of your own should worry you is
    printed. It is a copy in the cache, which follows the set, so never edit it: see `my_copy`.
    Raises `DataError` as `dataset` does, and for a set from which nothing could be learned.
    """
    root = dataset(name)
    places, said = read_folders(root, sorted(get_image_files(root)))
    try:
        exam = dataset(f"{name}_exam")
    except DataError:
        if is_the_courses():
            raise
        exam = None
    if exam and not any(place.split for place in places.values()):
        places = {file: place._replace(split="train") for file, place in places.items()}
        found, more = read_folders(exam, sorted(get_image_files(exam)))
        places |= {file: place._replace(split="valid") for file, place in found.items()}
        said += more
    labels = {file: place.folders[0] for file, place in places.items() if place.folders}
    counts = Counter(labels.values())
    # A damaged file must not be all there is of a label: where there are few, they are opened.
    few = [file for file, label in labels.items() if counts[label] < FEW]
    broken = {*few} - {*check_images(few).usable}
    usable = {file: label for file, label in labels.items() if file not in broken}
    parts, notes = divide(usable, places)
    _say_of_your_own(said + notes)
    copies = {}
    for file, part in (parts | dict.fromkeys(broken, "train")).items():
        rest = "_".join([*places[file].folders[1:], file.name])
        copies[f"{part}/{labels[file]}/{rest}"] = file
    folder = _folder(course_cache() / "train_valid", name)
    keep_copies(copies, folder)
    return folder


def my_copy(name: str) -> Path:
    """Your own copy of `train_valid(name)`, to clean: made once, then kept as you leave it.

    It is in the course's home (`COURSE_HOME`), so it outlives restarts and new versions. To begin
    afresh, delete the folder and the one beside it that ends in `.cleaning`.
    """
    folder = _folder(course_home() / "sets", name)
    with file_lock(f"{folder}.lock"):
        if not folder.exists():
            source = train_valid(name)
            with made_whole(folder) as part:
                shutil.copytree(source, part, copy_function=shutil.copyfile)
    return folder


def known_defects(name: str) -> pd.DataFrame | None:
    """The sample's list of what is wrong with it: columns file, defect, truth; None for your own.

    `file` is relative to the set's folder. `truth` is the right class of a wrong label, and the
    file that a copy is a copy of.
    """
    path = dataset(name) / "defects.csv"
    return pd.read_csv(path, keep_default_na=False) if is_the_courses() and path.exists() else None


def conditions() -> Path:
    """Bears as a camera may meet them: a folder for each condition (see `data/README.md`)."""
    return dataset_or_sample("bears_conditions")
