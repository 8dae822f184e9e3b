"""How many faults would the tests notice? 100 mutants of the quiz, the cleaner and the app.

    python3 -m venv build/cosmic && build/cosmic/bin/pip install cosmic-ray coverage
    build/cosmic/bin/python tests/mutants.py

cosmic-ray lists what can be changed in the last commit: an operator, a number, a condition, … 100
places are drawn with a fixed seed; left out are `|`, which stands in annotations, and exceptions,
which it fails at when they have dotted names. Each test file (pages in a browser excepted) first
runs on the commit as it is, which tells the lines it executes, also in processes that it starts;
then each mutant meets the files that execute its line. All of it lies in build/mutants, and another
run goes on where this one stopped. `tests/mutants.py 5` draws fewer. On a busy machine tests fail
for want of time, and mutants count as caught that are not.
"""

import json
import os
import random
import shutil
import subprocess
import sys
import time
from collections import defaultdict
from collections.abc import Callable, Iterable
from concurrent.futures import ThreadPoolExecutor
from functools import partial
from pathlib import Path
from queue import SimpleQueue

from cosmic_ray.commands.init import init
from cosmic_ray.mutating import use_mutation
from cosmic_ray.plugins import get_operator
from cosmic_ray.work_db import WorkDB, use_db
from coverage import CoverageData

ROOT = Path(__file__).resolve().parents[1]
PYTHON = ROOT / ".venv/bin/python"
PARTS, SEED, AT_ONCE = ("quiz", "cleaner", "app"), 14, 2
LEFT_OUT = ("core/ReplaceBinaryOperator_BitOr", "core/ExceptionReplacer")
COVERAGE = "[run]\nsource = utils\nparallel = true\npatch = subprocess, _exit\ndata_file = {}\n"


def passes(tests: Iterable[str], folder: Path, seconds: float, *measured: str) -> bool:
    """Whether tests pass in a copy of the course, in time."""
    timeout = ["timeout", "--kill-after=9", str(seconds)]  # ends what the tests started, too
    command = [*timeout, PYTHON, "-m", *measured, "pytest", "-x", "-q", *tests]
    env = os.environ | {"PYTHONPATH": str(folder), "PYTHONDONTWRITEBYTECODE": "1"}
    run = subprocess.run(command, cwd=folder, env=env, capture_output=True)
    return run.returncode in (0, 5)  # 5: nothing to test in these files


def measure(test: str, folder: Path) -> dict:
    """The seconds a test file takes, and which lines of which files it executes."""
    began, config = time.monotonic(), folder / "coveragerc"
    config.write_text(COVERAGE.format(folder / "lines"))
    measured = passes([test], folder, 900, "coverage", "run", f"--rcfile={config}", "-m")
    if not measured and not passes([test], folder, 900):  # some tests do not like to be measured
        raise SystemExit(f"{test} fails on the commit as it is.")
    seconds, lines = time.monotonic() - began, defaultdict(set)
    for file in folder.glob("lines.*"):
        data = CoverageData(str(file))
        data.read()
        for path in data.measured_files():
            lines[str(Path(path).relative_to(folder))] |= set(data.lines(path))
        file.unlink()
    return {"key": test, "seconds": seconds, "lines": {k: sorted(v) for k, v in lines.items()}}


def draw(folder: Path, number: int) -> list[str]:
    """So many mutants, each at another place: path, line, operator, and which of its places."""
    places = defaultdict(list)
    with use_db(str(folder / "session.sqlite"), WorkDB.Mode.create) as database:
        for part in PARTS:
            init(sorted((folder / "utils" / part).rglob("*.py")), database, {})
            for mutant in (item.mutations[0] for item in database.work_items):
                if not mutant.operator_name.startswith(LEFT_OUT):
                    path, (line, column) = mutant.module_path.relative_to(folder), mutant.start_pos
                    what = f"{path} {line} {mutant.operator_name} {mutant.occurrence}"
                    places[str(path), line, column].append(what)
    chance = random.Random(SEED)
    drawn = chance.sample(sorted(places), number)
    return [chance.choice(sorted(places[place])) for place in drawn]


def judge(mutant: str, folder: Path, measured: list[dict]) -> dict:
    """Whether the tests that execute a mutant's line, or else its module, notice it."""
    path, line, operator, occurrence = mutant.split()
    tests = [test for test in measured if int(line) in test["lines"].get(path, ())]
    tests = sorted(
        tests or [test for test in measured if path in test["lines"]],
        key=lambda test: test["seconds"],
    )
    seconds = 60 + 3 * sum(test["seconds"] for test in tests)
    with use_mutation(folder / path, get_operator(operator)(), int(occurrence)):
        change = subprocess.check_output(["git", "diff", "-U0", path], cwd=folder, text=True)
        caught = bool(tests) and not passes([test["key"] for test in tests], folder, seconds)
    return {"key": mutant, "caught": caught, "change": change}


def kept(
    file: Path, work: Callable[[str, Path], dict], keys: list[str], copies: SimpleQueue
) -> list:
    """Results of `work` for all keys; those in `file` are not worked out again."""

    def one(key: str) -> None:
        folder = copies.get()
        try:
            result = json.dumps(work(key, folder))
        finally:
            copies.put(folder)
        with file.open("a") as lines:
            lines.write(f"{result}\n")

    file.touch()
    done = {json.loads(line)["key"] for line in file.read_text().splitlines()}
    with ThreadPoolExecutor(AT_ONCE) as pool:
        list(pool.map(one, [key for key in keys if key not in done]))
    results = map(json.loads, file.read_text().splitlines())
    return [result for result in results if result["key"] in keys]


def main(number: int) -> None:
    """Draw, judge, and print the score and the survivors."""
    commit = subprocess.check_output(["git", "rev-parse", "HEAD"], cwd=ROOT, text=True).strip()
    build, copies = ROOT / "build" / "mutants" / commit[:9], SimpleQueue()
    for name in map(str, range(AT_ONCE)):
        shutil.rmtree(build / name, ignore_errors=True)
        subprocess.run(["git", "clone", "--quiet", ROOT, build / name], check=True)
        copies.put(build / name)
    drawn = draw(build / "0", number)
    files = (path.relative_to(ROOT) for path in (ROOT / "tests").rglob("test_*.py"))
    tests = sorted(str(path) for path in files if "browser" not in path.parts)
    measured = kept(build / "tests.jsonl", measure, tests, copies)
    judged = kept(build / "mutants.jsonl", partial(judge, measured=measured), drawn, copies)
    for result in judged:
        if not result["caught"]:
            print(f"survived: {result['key']}\n{result['change']}")
    print(f"{sum(result['caught'] for result in judged)} of {number} mutants caught")


if __name__ == "__main__":
    main(int(sys.argv[1]) if len(sys.argv) > 1 else 100)
