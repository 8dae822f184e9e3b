"""What the cleaner's page shows: which pictures, menus, what stands below each."""

import json
from base64 import b64encode
from typing import Any

import pandas as pd

from utils.cleaner.thumbs import Look
from utils.common import printable

# What pictures can be ordered by: a column of the table, and how a menu calls it.
ORDERS = {"loss": "highest loss first", "quality": "lowest quality first", "file": "by name"}
COPIES = "copies and their originals"
FILTERS = ("split", "label", "prediction")


def kinds(table: pd.DataFrame) -> dict[str, pd.Series]:
    """Which rows of a cleaner's table each entry of the menu Show means."""
    copied = table["duplicate_of"]
    return {
        "looks mislabelled": table["mislabelled"],
        COPIES: copied.notna() | table["file"].isin(copied.dropna()),
        "not usable as pictures": table["problem"].notna(),
        "my choices": table["choice"].notna(),
    }


def fitting(table: pd.DataFrame, view: dict[str, Any]) -> pd.DataFrame:
    """The rows that the menus ask for; where only copies are, each follows its original."""
    if view["only"]:
        table = table[kinds(table)[view["only"]]]
    if view["only"] == COPIES:
        table = table.sort_values(["duplicate_of", "file"], na_position="first")
        original = table["duplicate_of"].fillna(table["file"])
        table = table.loc[original.sort_values(kind="stable").index]
    for name in FILTERS:
        if view[name]:
            table = table[table[name] == view[name]]
    return table


def menus(table: pd.DataFrame) -> dict[str, list[tuple[str, str]]]:
    """The menus above the pictures: each entry's value and words."""
    counts = {name: table[name].value_counts().sort_index().to_dict() for name in FILTERS}
    counts["only"] = {kind: int(rows.sum()) for kind, rows in kinds(table).items()}
    entries = {
        name: [("", "all"), *((value, f"{value} ({count})") for value, count in found.items())]
        for name, found in counts.items()
    }
    known = [(by, words) for by, words in ORDERS.items() if table[by].notna().any()]
    return {"by": known, **entries}


def tile(row: Any, look: Look) -> dict[str, Any]:
    """One row of the table: a picture, and what stands below it."""
    lines = [
        ("label", row.label),
        ("fact", f"{row.prediction} {row.confidence:.2f}" if row.prediction else ""),
        ("fact", f"loss {row.loss:.2f}" if row.loss == row.loss else ""),
        ("fact", f"quality {row.quality:.2f}" if row.quality == row.quality else ""),
        ("remark", "looks mislabelled" if row.mislabelled else ""),
        (
            "remark",
            f"a copy, or nearly, of {printable(row.duplicate_of)}" if row.duplicate_of else "",
        ),
        ("remark", row.problem or ""),
        ("name", printable(row.file)),
        ("choice", row.choice or ""),
    ]
    return {
        "id": json.dumps(row.file),  # ASCII, whatever bytes the name has
        "image": f"data:image/jpeg;base64,{b64encode(look.jpeg).decode()}" if look.jpeg else "",
        "choice": row.choice or "",
        "lines": [line for line in lines if line[1]],
    }
