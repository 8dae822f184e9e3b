"""How long each chapter takes: measured when it was stored, and again whenever it runs here."""

import json
from pathlib import Path

from utils.paths import DATA, course_cache

STORED = DATA / "timings.json"  # written by `course store`, on two cores


def _read(path: Path) -> dict[str, float]:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError):  # none yet, or cut short by a kill
        return {}


def _own() -> Path:
    return course_cache() / "timings.json"


def seconds_of(notebook: str) -> float | None:
    """Seconds for a whole run of `notebook`: as last measured here, else as stored, else None."""
    return _read(_own()).get(notebook) or _read(STORED).get(notebook)


def record_seconds(notebook: str, seconds: float, stored: bool = False) -> None:
    """Keep what a run took, on this machine or (`stored`) in the repository."""
    path = STORED if stored else _own()
    times = _read(path) | {notebook: round(seconds)}
    path.write_text(json.dumps(times, indent=1, sort_keys=True) + "\n", encoding="utf-8")


def say_seconds(seconds: float | None) -> str:
    """`about 1 min 40 s`; a chapter never timed says so."""
    if seconds is None:
        return "not measured yet"
    minutes, rest = divmod(round(seconds), 60)
    return f"about {minutes} min {rest:02} s" if minutes else f"about {rest} s"
