"""How long each chapter takes: measured when it was stored, and again whenever it runs here."""

import json
from pathlib import Path

from utils.common import write_whole
from utils.paths import DATA, course_cache

STORED = DATA / "timings.json"  # written by `course store`, on two cores


def _read(path: Path) -> dict[str, float]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # none yet
        return {}


def seconds_of(notebook: str, stored: bool = False) -> float | None:
    """Seconds for a whole run of `notebook`: as last measured here, else as stored, else None.

    `stored`: as stored in the repository, wherever this is.
    """
    here = {} if stored else _read(course_cache() / "timings.json")
    return (_read(STORED) | here).get(notebook)


def record_seconds(notebook: str, seconds: float, stored: bool = False) -> None:
    """Keep what a run took, on this machine or (`stored`) in the repository."""
    path = STORED if stored else course_cache() / "timings.json"
    times = _read(path) | {notebook: round(seconds)}
    write_whole(path, json.dumps(times, indent=1, sort_keys=True) + "\n")


def say_seconds(seconds: float | None) -> str:
    """`about 1 min 40 s`; a chapter never timed says so."""
    if seconds is None:
        return "not measured yet"
    minutes, rest = divmod(round(seconds), 60)
    return f"about {minutes} min {rest:02} s" if minutes else f"about {rest} s"
