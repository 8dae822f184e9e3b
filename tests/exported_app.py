"""The app as `course app export` writes it, with an environment of its own, made once."""

import os
import subprocess
import sys
from functools import cache
from pathlib import Path
from tempfile import TemporaryDirectory

import pytest

from tests.small_model import small_model
from utils.app.export import export_app

FOLDER = TemporaryDirectory(prefix="course-test-export-")  # goes when the tests end


def run(*words: str, **options) -> subprocess.CompletedProcess:
    """Run a command with nothing in its environment that leads back to the course."""
    bare = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    return subprocess.run(words, env=bare, capture_output=True, text=True, check=False, **options)


@cache
def exported() -> tuple[Path, Path]:
    """The exported folder, and the programs of an environment with its requirements.txt in it.

    Installing needs the package registry: without a network the test is skipped, in CI it fails.
    """
    folder = Path(FOLDER.name, "app")
    export_app(folder, small_model())
    assert run(sys.executable, "-m", "venv", str(folder / ".venv")).returncode == 0
    programs = folder / ".venv" / "bin"
    install = ("-m", "pip", "install", "--quiet", "--disable-pip-version-check")
    done = run(str(programs / "python"), *install, "--requirement", "requirements.txt", cwd=folder)
    if done.returncode:
        say = pytest.fail if os.environ.get("CI") == "true" else pytest.skip
        say(f"the app's packages could not be installed:\n{done.stderr[-2000:]}")
    return folder, programs
