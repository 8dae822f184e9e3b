"""`make elsewhere`: plays other machines on this one, one after the other, and says what fails.

Every notebook (nbval) and every test file that computes, each in a process of its own and two at a
time, under each setting. Results are kept in build/elsewhere: a second call runs what is missing or
has changed since. `make elsewhere SETTINGS=avx2,sse CHAPTERS=01,test_draw` runs a part of it: the
names, or how they begin, of settings and of notebooks and test files. It takes hours.
"""

import hashlib
import json
import os
import shutil
import subprocess
import sys
import time
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path
from xml.etree import ElementTree

from numpy._core._multiarray_umath import __cpu_dispatch__, __cpu_features__

from utils.paths import ROOT, chapters

OUT = ROOT / "build" / "elsewhere"
SECONDS = 3600  # for one notebook or test file
AT_A_TIME = 2
PYTHONS = {"oldest-python": "3.10", "newest-python": "3.13"}  # of those the README promises
# numpy gives a name to each set of instructions that it has code for; another version, other names
NUMPY = " ".join(name for name in __cpu_dispatch__ if __cpu_features__[name])
SETTINGS = {
    "as-it-is": {},
    "avx2": {"ATEN_CPU_CAPABILITY": "avx2", "ONEDNN_MAX_CPU_ISA": "AVX2"},
    "sse": {"ATEN_CPU_CAPABILITY": "default", "ONEDNN_MAX_CPU_ISA": "SSE41",
            "NPY_DISABLE_CPU_FEATURES": NUMPY},
    "one-thread": {"OMP_NUM_THREADS": "1", "MKL_NUM_THREADS": "1"},
    "four-threads": {"OMP_NUM_THREADS": "4", "MKL_NUM_THREADS": "4"},
} | {name: {} for name in PYTHONS}  # fmt: skip
# What depends on no processor: these run only under another Python.
COMPUTES_NOTHING = {
    "test_ch08", "test_chapters", "test_cleaner_files", "test_environment", "test_journal",
    "test_quiz_bank", "test_quiz_commands", "test_quiz_feedback", "test_quiz_show",
    "test_run_code", "test_schedule", "test_texts",
}  # fmt: skip
ALWAYS = ("utils", "data", "conftest.py", "tests/conftest.py", "tests/figures",
          "tests/sanitize.cfg", "pyproject.toml", "requirements.txt")  # fmt: skip


def parts_of(setting: str) -> list[Path]:
    """The notebooks and test files that are run under this setting."""
    tests = sorted(t for t in (ROOT / "tests").rglob("test_*.py") if t.parent.name != "browser")
    return chapters() + [t for t in tests if setting in PYTHONS or t.stem not in COMPUTES_NOTHING]


def chosen(names: list[str], variable: str) -> list[str]:
    """Those of `names` that the environment variable asks for: all when it is not set."""
    wanted = tuple(filter(None, os.environ.get(variable, "").split(",")))
    found = [name for name in names if not wanted or name.startswith(wanted)]
    return found or sys.exit(f"{variable}={','.join(wanted)}: there are {', '.join(names)}.")


def python_of(setting: str) -> Path | None:
    """The interpreter to run with, in an environment that is made first; None if there is none."""
    if setting not in PYTHONS:
        return Path(sys.executable)
    version = PYTHONS[setting]
    folder = ROOT / f".venv-{version}"
    python, done = folder / "bin" / "python", folder / "installed"
    if not (done.exists() and done.stat().st_mtime > (ROOT / "requirements.txt").stat().st_mtime):
        if not python.exists() and not shutil.which(f"python{version}"):
            return None
        print(f"Making {folder.name}: several minutes.", flush=True)
        install = [python, "-m", "pip", "install", "--quiet"]
        for command in (
            *([] if python.exists() else [[f"python{version}", "-m", "venv", folder]]),
            [*install, "--requirement", "requirements.txt"],
            [*install, "--no-deps", "--editable", "."],
        ):
            subprocess.run(command, cwd=ROOT, check=True)
        done.touch()
    return python


def state(part: Path) -> str:
    """A hash of `part` and of all it rests on, as git and the working tree have them."""
    paths = ["--", *ALWAYS, str(part)]
    said = [["git", "ls-files", "--stage", *paths], ["git", "diff", "HEAD", *paths]]
    output = [subprocess.run(c, cwd=ROOT, check=True, capture_output=True).stdout for c in said]
    return hashlib.sha256(b"".join(output)).hexdigest()


def known(setting: str, part: Path) -> dict | None:
    """The result of an earlier run, if there is one; `current` unless something changed since."""
    file = OUT / setting / f"{part.stem}.json"
    if not file.exists():
        return None
    result = json.loads(file.read_text())
    return result | {"current": result["state"] == state(part)}


def run(setting: str, python: Path, part: Path) -> None:
    """Run one part, and keep the names of what failed, the seconds and what pytest printed."""
    stem = OUT / setting / part.stem
    stem.parent.mkdir(parents=True, exist_ok=True)
    report, before, began = stem.with_suffix(".xml"), state(part), time.monotonic()
    report.unlink(missing_ok=True)
    command = [python, "-m", "pytest", "-p", "no:cacheprovider", f"--junitxml={report}", part]
    with stem.with_suffix(".log").open("w") as log:
        try:
            subprocess.run(
                command, cwd=ROOT, env=os.environ | SETTINGS[setting], stdout=log, stderr=log,
                timeout=SECONDS, check=False,
            )  # fmt: skip
        except subprocess.TimeoutExpired:
            log.write(f"\nStopped after {SECONDS} seconds.\n")
    cases = ElementTree.parse(report).iter("testcase") if report.exists() else []
    bad = [c.get("name") for c in cases if {"failure", "error"} & {child.tag for child in c}]
    failed = bad if report.exists() else ["pytest did not end"]
    result = {"state": before, "seconds": round(time.monotonic() - began), "failed": failed}
    stem.with_suffix(".json").write_text(json.dumps(result, indent=1))
    print(f"{setting:14} {part.stem:24} {result['seconds']:5} s  {len(failed)} failed", flush=True)


def table(settings: list[str]) -> None:
    """Print failures per setting, then each of them, then what has not been run (as it is now)."""
    print(f"\n{'setting':14} {'run':>4} {'changed since':>14} {'not run':>8} {'failed':>7}")
    lines = []
    for setting in settings:
        results = {part.stem: known(setting, part) for part in parts_of(setting)}
        done = {stem: result for stem, result in results.items() if result}
        missing = [stem for stem in results if stem not in done]
        old = [stem for stem, result in done.items() if not result["current"]]
        failed = [f"{stem}: {name}" for stem, r in done.items() for name in r["failed"]]
        print(f"{setting:14} {len(done):4} {len(old):14} {len(missing):8} {len(failed):7}")
        lines += [f"{setting}: failed: {line}" for line in failed]
        lines += [f"{setting}: changed since it ran: {', '.join(old)}"] if old else []
        lines += [f"{setting}: not run: {', '.join(missing)}"] if missing else []
    print("", *lines, f"What pytest printed is in {OUT.relative_to(ROOT)}.", sep="\n")


def main() -> None:
    """Run what is asked for and not known yet; print the table also when stopped."""
    settings = chosen(list(SETTINGS), "SETTINGS")
    stems = chosen([part.stem for part in parts_of("oldest-python")], "CHAPTERS")
    try:
        for setting in settings:
            if not (python := python_of(setting)):
                print(f"{setting}: there is no python{PYTHONS[setting]} on the PATH.")
                continue
            wanted = [part for part in parts_of(setting) if part.stem in stems]
            todo = [p for p in wanted if not (known(setting, p) or {}).get("current")]
            with ThreadPoolExecutor(AT_A_TIME) as pool:
                list(pool.map(lambda p, s=setting, py=python: run(s, py, p), todo))
    except KeyboardInterrupt:
        print("Stopped.")
    table(settings)


if __name__ == "__main__":
    main()
