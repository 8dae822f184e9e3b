"""Chapter 08: texts with labels, read and checked."""

from pathlib import Path

import pandas as pd

from utils.data import DataError, dataset
from utils.splits import held_out

COLUMNS = ["label", "text", "is_valid"]


def read_texts(name: str = "imdb") -> pd.DataFrame:
    """The set's `texts.csv`: a row for each text, columns label, text and is_valid (a bool).

    Without a column is_valid, a fifth of the rows, always the same, is set aside, and a sentence
    says so. Raises `DataError` as `dataset` does, and for a table that cannot be used.
    """
    path = dataset(name) / "texts.csv"
    try:
        texts = pd.read_csv(path, dtype={"label": str, "text": str}, keep_default_na=False)
    except (ValueError, UnicodeDecodeError) as error:  # pandas' own errors are ValueErrors
        raise DataError(f"{path} is not a table of comma-separated values ({error}).") from error
    if missing := [column for column in COLUMNS[:2] if column not in texts]:
        raise DataError(
            f"{path} has no column {' and no column '.join(missing)}: "
            "make its first line `label,text,is_valid`."
        )
    texts = texts[texts.text.str.strip() != ""].reset_index(drop=True)
    texts["is_valid"] = _set_aside(texts, path)
    for part, rows in (("learn from", texts[~texts.is_valid]), ("judge by", texts[texts.is_valid])):
        if rows.label.nunique() < 2:
            raise DataError(
                f"{path} needs texts of at least two labels to {part}: add rows whose is_valid is "
                f"{part == 'judge by'}."
            )
    return texts[COLUMNS]


def _set_aside(texts: pd.DataFrame, path: Path) -> pd.Series:
    """The column is_valid as true or false, or a drawn one when there is none."""
    if "is_valid" not in texts:
        print(f"{path.name} has no column is_valid: a fifth of its rows is set aside.")
        return pd.Series(texts.index.isin(held_out(dict(enumerate(texts.label)))))
    words = texts.is_valid.astype(str).str.strip().str.lower()
    if wrong := sorted(set(words) - {"true", "false", "1", "0"}):
        raise DataError(f"{path} has {wrong[0]!r} in its column is_valid: write True or False.")
    return words.isin({"true", "1"})
