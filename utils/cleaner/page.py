"""What the cleaner's page shows: which pictures in which order, menus, what stands below each."""

import json
from base64 import b64encode
from typing import Any

import pandas as pd

from utils.cleaner.folder import CleanerError
from utils.cleaner.thumbs import Look
from utils.common import printable

# What pictures can be ordered by: the column of the table, and how a menu calls it.
ORDERS = {
    "loss": ("loss", "highest loss first"),
    "quality": ("quality", "lowest quality first"),
    "name": ("file", "by name"),
}
ONLY = {
    "mislabelled": "looks mislabelled",
    "duplicates": "copies and their originals",
    "problems": "not usable as pictures",
    "chosen": "my choices",
}
FILTERS = ("split", "label", "prediction")


def groups(table: pd.DataFrame) -> dict[str, pd.Series]:
    """Which rows of a cleaner's table each entry of `ONLY` means."""
    copied = table["duplicate_of"]
    return {
        "mislabelled": table["mislabelled"].copy(),
        "duplicates": copied.notna() | table["file"].isin(copied.dropna()),
        "problems": table["problem"].notna(),
        "chosen": table["choice"].notna(),
    }


def arranged(table: pd.DataFrame, by: str, only: str | None, **filters: str | None) -> pd.DataFrame:
    """Rows of a cleaner's table: see `Cleaner.order`."""
    if by not in ORDERS or only not in (None, *ONLY) or not filters.keys() <= set(FILTERS):
        raise CleanerError(
            f"Order by one of {', '.join(ORDERS)}; show only one of {', '.join(ONLY)}; filter by"
            f" {', '.join(FILTERS)}."
        )
    fits = groups(table)[only] if only else pd.Series(True, table.index)
    for column, value in filters.items():
        fits &= True if value is None else table[column] == value
    table = table[fits].sort_values(ORDERS[by][0], ascending=by != "loss", kind="stable")
    if only == "duplicates":
        original = table["duplicate_of"].fillna(table["file"])
        keys = {"original": original, "copied": table["duplicate_of"].notna()}
        table = table.loc[table.assign(**keys).sort_values([*keys, "file"]).index]
    return table.reset_index(drop=True)


def menus(table: pd.DataFrame, view: dict) -> list[dict]:
    """The menus above the pictures: each entry's value and words."""
    entries = {"by": [(by, words) for by, (_, words) in ORDERS.items()]}
    for name in FILTERS:
        counts = table[name].value_counts().sort_index()
        entries[name] = [("", "all"), *((value, f"{value} ({n})") for value, n in counts.items())]
    counts = {only: int(rows.sum()) for only, rows in groups(table).items()}
    entries["only"] = [("", "all"), *((o, f"{w} ({counts[o]})") for o, w in ONLY.items())]
    titles = {"by": "Order", "only": "Show"}
    return [
        {"name": name, "title": titles.get(name, name.title()), "value": view[name], "options": o}
        for name, o in entries.items()
    ]


def tile(row: Any, look: Look) -> dict[str, Any]:
    """One row of the table: a picture, what stands below it, and that as a sentence to be heard."""
    copied = {"exact": "the same as", "near": "nearly the same as"}.get(row.copy)
    facts = [
        f"{row.prediction} {row.confidence:.2f}" if row.prediction else "",
        f"loss {row.loss:.2f}" if row.loss == row.loss else "",
        f"quality {row.quality:.2f}" if row.quality == row.quality else "",
    ]
    remarks = [
        "looks mislabelled" if row.mislabelled else "",
        f"{copied} {printable(row.duplicate_of)}" if copied else "",
        row.problem or "",
    ]
    facts, remarks = list(filter(None, facts)), list(filter(None, remarks))
    name, choice = printable(row.file), row.choice or ""
    yours = f"your choice: {choice}" if choice else ""
    return {
        "id": json.dumps(row.file),  # ASCII, whatever bytes the name has
        "image": f"data:image/jpeg;base64,{b64encode(look.jpeg).decode()}" if look.jpeg else "",
        "name": name,
        "label": row.label,
        "facts": facts,
        "remarks": remarks,
        "choice": choice,
        "spoken": ", ".join(filter(None, [f"label {row.label}", *facts, *remarks, yours, name])),
    }
