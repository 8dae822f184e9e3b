"""What each step makes of one item: run, timed and described. Taught in chapter 02."""

import io
from collections.abc import Callable
from contextlib import redirect_stdout
from pathlib import Path
from time import perf_counter

import numpy as np
import pandas as pd
import torch
from fastai.torch_core import to_np
from fastcore.foundation import L
from PIL import Image
from torch import Tensor


def describe(item: object) -> dict[str, str]:
    """Type, shape, number type and values of an item; of each of its parts for a tuple."""
    if isinstance(item, tuple):
        parts = [describe(part) for part in item]
        return {key: ", ".join(filter(None, (p[key] for p in parts))) for key in parts[0]}
    if isinstance(item, (list, L)):
        first = describe(item[0])
        return first | {"type": f"list of {first['type']}", "shape": f"{len(item)} items"}
    if isinstance(item, Path):
        return _row("Path", values=f"{item.parent.name}/{item.name}")
    if isinstance(item, Image.Image):
        shape, numbers = f"{item.width} wide, {item.height} high", np.asarray(item)
    elif isinstance(item, Tensor):
        shape, numbers = str(tuple(item.shape)) if item.ndim else "one number", to_np(item)
    else:
        return _row(type(item).__name__, values=str(item))
    low, high = numbers.min(), numbers.max()
    values = f"{low:.4g} to {high:.4g}" if low < high else f"{low:.4g}"
    return _row(type(item).__name__, shape, str(numbers.dtype), values)


def _row(kind: str, shape: str = "", numbers: str = "", values: str = "") -> dict[str, str]:
    return {"type": kind, "shape": shape, "numbers": numbers, "values": values}


class Steps:
    """Runs one step after the other, says what came out of each, and keeps it for the table."""

    def __init__(self) -> None:
        """Begin without any step."""
        self.rows: list[dict[str, object]] = []

    def __call__(self, name: str, step: Callable, item: object) -> object:
        """Run `step(item)`, print what came out and how long it took at best, and return it."""
        result, seconds = timed(lambda: step(item))
        row = describe(result)
        self.rows.append({"step": name, **row, "ms": 1000 * seconds})
        print(f"{name}: {' · '.join(filter(None, row.values()))}  ({1000 * seconds:.2f} ms)")
        return result

    def table(self) -> pd.DataFrame:
        """A row for each step; `ms` is the time it took in milliseconds."""
        return pd.DataFrame(self.rows).set_index("step").round({"ms": 2})


def timed(action: Callable[[], object], times: int = 15) -> tuple[object, float]:
    """What `action()` answers, and the seconds of the quickest of so many calls of it.

    The quickest, because whatever else the machine does can only make a call slower.
    """
    seconds = []
    for _ in range(times):
        began = perf_counter()
        result = action()
        if torch.cuda.is_initialized():  # a card works on after the call has come back
            torch.cuda.synchronize()
        seconds.append(perf_counter() - began)
    return result, min(seconds)


def printed_by(action: Callable[[], object], folder: Path, called: str) -> str:
    """What `action()` prints, and the error it ends in, if any, with `folder` by another name."""
    printed = io.StringIO()
    try:
        with redirect_stdout(printed):
            action()
    except Exception as error:  # whatever it is: it is to be read, not handled
        printed.write(f"\n{type(error).__name__}: {error}")
    return printed.getvalue().replace(str(folder), called)
