"""Colab and Kaggle: the first cell of a page opened there fetches the course and runs this.

What the host has stays as it is, PyTorch above all: only what it lacks is installed, in versions
that go with the rest. Done a second time, it installs nothing.
"""

import os
import subprocess
import sys
from importlib.metadata import distributions
from pathlib import Path
from tempfile import TemporaryDirectory

from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[1]
# What the chapters do without: the host has a place to read them in, and nothing is tested there.
AT_HOME = {
    "jupyterlab", "nbval", "pytest", "pytest-xdist", "pytest-timeout", "playwright", "hypothesis",
    "ruff", "mypy", "import-linter",
}  # fmt: skip


def missing(have: set[str]) -> list[str]:
    """The course's dependencies that are not among the packages `have`, in any version."""
    table = tomllib.loads((ROOT / "pyproject.toml").read_text(encoding="utf-8"))
    wanted = [Requirement(line) for line in table["project"]["dependencies"]]
    names = have | AT_HOME
    return [
        str(line)
        for line in wanted
        if canonicalize_name(line.name) not in names
        and (line.marker is None or line.marker.evaluate())
    ]


def set_up() -> list[str]:
    """Make `utils` importable, here and in what is started from here; returns what it installed."""
    names = [(d.metadata["Name"], d.version) for d in distributions()]
    have = {canonicalize_name(name): version for name, version in names if name}
    lacks = missing(set(have))
    if lacks:
        with TemporaryDirectory() as folder:
            as_it_is = Path(folder, "as_it_is.txt")
            as_it_is.write_text("".join(f"{name}=={have[name]}\n" for name in have))
            pip = [sys.executable, "-m", "pip", "install", "--quiet", "--constraint", as_it_is]
            if subprocess.run([*pip, *lacks], check=False).returncode:
                raise RuntimeError("What this host lacks for the course could not be installed.")
    if str(ROOT) not in sys.path:
        sys.path.insert(0, str(ROOT))
        paths = filter(None, [str(ROOT), os.environ.get("PYTHONPATH")])
        os.environ["PYTHONPATH"] = os.pathsep.join(paths)
    return lacks


if __name__ == "__main__":
    print(f"The course is in {ROOT}. Installed: {', '.join(set_up()) or 'nothing'}.")
    print("Your answers are kept on this machine, and go when the host takes it back.")
