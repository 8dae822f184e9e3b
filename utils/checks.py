"""`expect`: a figure the text relies on, checked where the learner can see it."""

import json
import os
from pathlib import Path

from utils.data import source_label


class ExpectationError(AssertionError):
    """A figure left the bounds that the text relies on."""


def _bounds(at_least: float | None, at_most: float | None) -> str:
    if at_least is None and at_most is None:
        raise ValueError("expect() needs at_least, at_most or both.")
    if at_most is None:
        return f"at least {at_least:g}"
    if at_least is None:
        return f"at most {at_most:g}"
    return f"between {at_least:g} and {at_most:g}"


def expect(
    name: str, value: float, *, at_least: float | None = None, at_most: float | None = None
) -> None:
    """Print `value` beside the bounds this chapter promises for `name`.

    On the data the bounds were made for (`sample`, `full`) the figure is judged; on a learner's
    own folder it is only reported. A figure out of bounds is a sentence to a learner, an
    `ExpectationError` where `COURSE_STRICT` is set (the tests). `COURSE_REPORT` names a file
    that gets one JSON line per call (`course run` reads it).
    """
    value = float(value)
    bounds = _bounds(at_least, at_most)
    inside = (at_least is None or value >= at_least) and (at_most is None or value <= at_most)
    judged = source_label() in ("sample", "full")
    _report({"name": name, "value": value, "at_least": at_least, "at_most": at_most, "ok": inside})
    if not judged:
        print(f"{name} = {value:.4f}  (on your own data; the course's own has {bounds})")
    elif inside:
        print(f"{name} = {value:.4f}  as expected ({bounds})")
    elif os.environ.get("COURSE_STRICT"):
        raise ExpectationError(f"{name} = {value:.4f}, expected {bounds}")
    else:
        print(
            f"{name} = {value:.4f}  is not what was expected ({bounds}). If you changed a cell "
            "above, this is its effect; if not, restart the kernel and run all cells."
        )


def _report(row: dict) -> None:
    path = os.environ.get("COURSE_REPORT")
    if path:
        with Path(path).open("a", encoding="utf-8") as file:
            file.write(json.dumps(row) + "\n")
