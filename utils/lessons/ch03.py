"""Chapter 03: a cleaning held against the list of what was known to be wrong with the set."""

from collections import Counter
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path

import pandas as pd
from fastai.data.transforms import get_image_files

from utils.common import CourseError

COPIES = ("duplicate", "near_duplicate")
LABELS = ("wrong_label", "no_bear")  # what a ranking of labels can find
MENDABLE = (*LABELS, *COPIES, "not_an_image")  # in the order of the table


@dataclass(frozen=True)
class Score:
    """What a cleaning did. `kinds`: a row for each kind of defect; columns known, found, missed."""

    kinds: pd.DataFrame
    thrown_out: list[str]  # good pictures that are gone
    mislabelled: list[str]  # good pictures that have a wrong label now
    found: int  # defects of all kinds that were mended
    known: int  # and how many there were


def files_by_name(root: Path) -> dict[str, Path]:
    """The pictures of a folder by name; raises `CourseError` when two have the same."""
    files = sorted(get_image_files(root))
    name, times = Counter(file.name for file in files).most_common(1)[0]
    if times > 1:
        raise CourseError(f"Two files are called {name}: give one of them another name.")
    return {file.name: file for file in files}


def fates(before: Path, after: Path) -> dict[str, str | None]:
    """`class/name` of each picture in `before` → its class folder in `after`, None when it is gone.

    A picture is followed by its name, so it does not matter how it was moved. Raises `CourseError`
    when two pictures of a folder have one name.
    """
    now = files_by_name(after)
    return {
        file.relative_to(before).as_posix(): now[name].parent.name if name in now else None
        for name, file in files_by_name(before).items()
    }


def is_mended(row: pd.Series, fate: Mapping[str, str | None]) -> bool:
    """A wrong label is mended by the right one, or by a discard; a copy when one of two is gone."""
    if row.defect == "wrong_label":
        return fate[row.file] in (row.truth, None)
    return fate[row.file] is None or (row.defect in COPIES and fate[row.truth] is None)


def score(fate: Mapping[str, str | None], known: pd.DataFrame) -> Score:
    """Judge `fates()` by `known_defects()`, whose columns are file, defect and truth.

    Good pictures are those that are not listed, and those whose defect cleaning cannot mend (a
    giveaway background). Of a picture and its copies one should be left, no matter which.
    """
    defects = known[known.defect.isin(MENDABLE)]
    mended = defects.apply(is_mended, axis=1, fate=fate, result_type="reduce").astype(bool)
    kinds = pd.DataFrame({"known": defects.groupby("defect").size(),
                          "found": mended.groupby(defects.defect).sum()})  # fmt: skip
    kinds = kinds.reindex([kind for kind in MENDABLE if kind in kinds.index])
    kinds["missed"] = kinds.known - kinds.found

    copies = defects[defects.defect.isin(COPIES)]
    kept = {row.truth for row in copies.itertuples() if fate[row.file] is not None}
    good = [file for file in fate if file not in set(defects.file)]
    thrown_out = [file for file in good if fate[file] is None and file not in kept]
    mislabelled = [
        file
        for file in sorted({*good, *copies.file})
        if fate[file] not in (None, Path(file).parent.name)
    ]
    return Score(kinds, thrown_out, mislabelled, int(mended.sum()), len(defects))


def hits(
    ranking: Sequence[str], known: pd.DataFrame, first: int, kinds: Iterable[str] = LABELS
) -> int:
    """How many of the `first` files of a ranking are on the list, as one of `kinds`."""
    return len(set(ranking[:first]) & set(known[known.defect.isin(tuple(kinds))].file))
