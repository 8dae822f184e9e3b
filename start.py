"""Set up the course and open it: `python start.py`. Tested as a whole: `python start.py test`.

Needs nothing but Python (or `uv run --no-project start.py`), on Linux, macOS and Windows. The
environment is made in `.venv`, and again when the pinned versions have changed.
"""

import argparse
import hashlib
import json
import os
import subprocess
import sys
import venv
from pathlib import Path

HERE = Path(__file__).resolve().parent
VENV = HERE / ".venv"
BIN = VENV / ("Scripts" if os.name == "nt" else "bin")
INSTALLED = VENV / "installed"  # what was installed, and how
PINS = ("requirements.txt", "pyproject.toml")
OLDEST, NEWEST = (3, 10), (3, 14)  # of the Pythons that PyTorch and ONNX Runtime come for
CHECKS = (
    ("ruff", "format", "--check", "."),
    ("ruff", "check", "."),
    ("mypy",),
    ("lint-imports", "--no-logo"),
)
HOW = {
    "lab": "open the course in JupyterLab",
    "app": "open the bear app in a browser",
    "test": "test everything: utils, notebooks, pages in a browser",
    "setup": "only make the environment",
}


def run(program: str, *words: str) -> int:
    """Run a program of the environment in the course's folder; returns its exit status."""
    try:
        return subprocess.run([str(BIN / program), *words], cwd=HERE, check=False).returncode
    except KeyboardInterrupt:  # Ctrl-C, which the program has heard too
        return 130


def why_not(version: tuple[int, int]) -> str:
    """A sentence for Pythons that the libraries do not come for, "" for the others."""
    if OLDEST <= version <= NEWEST:
        return ""
    this, oldest, newest = (".".join(map(str, v)) for v in (version, OLDEST, NEWEST))
    return (
        f"Python {oldest} to {newest} is needed, and this is {this}: PyTorch or ONNX Runtime does "
        "not come for it. With another one installed, type for instance: python3.12 start.py"
    )


def commands(light: bool, platform: str = sys.platform) -> list[tuple[str, ...]]:
    """What installs the pinned versions: programs of the environment and their arguments.

    PyTorch's wheels for Linux bring 3 GB of NVIDIA's libraries, which the light install leaves
    out; those for Windows compute on the processor only, unless uv finds a card and takes others.
    """
    pinned = ("--constraint", "requirements.txt", "--editable", ".")
    pip = ("python", "-m", "pip", "install", "--quiet")
    if not light and platform != "win32":
        return [(*pip, *pinned)]
    backend = "cpu" if light else "auto"
    return [(*pip, "uv"), ("uv", "pip", "install", f"--torch-backend={backend}", *pinned)]


def setup(light: bool | None) -> None:
    """Make `.venv` if it is missing or its pins have changed. `light` None: as the last time."""
    before = json.loads(INSTALLED.read_text() or "{}") if INSTALLED.exists() else {}
    light = before.get("light", False) if light is None else light
    contents = b"".join((HERE / name).read_bytes() for name in PINS)
    now = {"light": light, "pins": hashlib.sha256(contents).hexdigest()}
    if now != before:
        print(f"Setting up the course in {VENV.name}: some minutes, the first time.", flush=True)
        if not (BIN / "python").exists() and not (BIN / "python.exe").exists():
            venv.create(VENV, with_pip=True)
        os.environ["VIRTUAL_ENV"] = str(VENV)  # where uv installs to
        for program, *words in commands(light):
            if status := run(program, *words):
                sys.exit(f"Setting up stopped ({program} {words[0]}: exit status {status}).")
    INSTALLED.write_text(json.dumps(now))  # also to tell `make` that it is up to date


def test(words: list[str]) -> int:
    """The quick checks, then the tests; the first that fails ends it."""
    pytest = ("pytest", "-n", "2", "--dist", "loadfile", *words)
    return next(filter(None, (run(*command) for command in (*CHECKS, pytest))), 0)


def main() -> int:
    """Do what was typed."""
    parser = argparse.ArgumentParser(
        description="Set up the course, and open or test it. What follows is passed on.",
        epilog="; ".join(f"{name}: {does}" for name, does in HOW.items()),
    )
    parser.add_argument("do", nargs="?", choices=HOW, default="lab")
    size = parser.add_mutually_exclusive_group()
    less = "no libraries for NVIDIA cards (Linux: 3 GB less); remembered"
    size.add_argument("--light", dest="light", action="store_true", default=None, help=less)
    size.add_argument("--full", dest="light", action="store_false", help="with them again")
    typed, words = parser.parse_known_args()
    if why := why_not(sys.version_info[:2]):
        sys.exit(why)
    # as `import utils` sets it in every kernel; here also for what loads PyTorch before
    os.environ.setdefault("OMP_WAIT_POLICY", "PASSIVE")
    setup(typed.light)
    if typed.do == "lab":
        return run("jupyter", "lab", "--config=.jupyter/jupyter_lab_config.py", *words)
    if typed.do == "app":
        return run("course", "app", *words)
    return test(words) if typed.do == "test" else 0


if __name__ == "__main__":
    sys.exit(main())
