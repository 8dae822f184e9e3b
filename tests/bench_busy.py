"""`make busy`: how much longer each chapter takes when another program is on one of the cores.

Runs each chapter quiet and beside a loop that eats a core, one after the other, with `course run`
and nothing kept from an earlier run. Seconds differ from machine to machine; what counts is the
ratio: at most 2.5, and 2 is what two programs on two cores cost anyway once both cores compute.
`make busy CHAPTERS=01,06` runs these alone.
"""

import json
import os
import subprocess
import sys
import tempfile
from contextlib import ExitStack

from utils.paths import chapters

AT_MOST = 2.5
EATS_A_CORE = (sys.executable, "-c", "while True: pass")


def seconds(chapter: str, busy: bool) -> float:
    """How long the chapter takes, as `course run` tells it, from an empty cache."""
    with ExitStack() as stack:
        cache = stack.enter_context(tempfile.TemporaryDirectory())
        if busy:
            eater = stack.enter_context(subprocess.Popen(EATS_A_CORE))
            stack.callback(eater.kill)
        done = subprocess.run(
            [sys.executable, "-c", "from utils.cli import app; app()", "run", chapter, "--json"],
            env=os.environ | {"COURSE_CACHE": cache, "COURSE_DEVICE": "cpu"},
            stdout=subprocess.PIPE, check=False,
        )  # fmt: skip
    return json.loads(done.stdout)["seconds"]


def main() -> None:
    """Print a line for each chapter as soon as it is measured."""
    wanted = tuple(filter(None, os.environ.get("CHAPTERS", "").split(",")))
    print(f"{'chapter':24} {'quiet':>6} {'busy':>6} {'ratio':>6}  (seconds)")
    for path in chapters():
        if not wanted or path.stem.startswith(wanted):
            quiet, busy = (seconds(path.stem, busy) for busy in (False, True))
            far = "" if busy <= AT_MOST * quiet else f"  more than {AT_MOST}"
            print(f"{path.stem:24} {quiet:6.0f} {busy:6.0f} {busy / quiet:6.2f}{far}", flush=True)


if __name__ == "__main__":
    main()
