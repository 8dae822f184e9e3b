"""requirements.txt and environment.yml, worked out from the one list in pyproject.toml.

`python tests/pins.py --write` makes both (it needs a network) and moves no version that still fits;
with `--upgrade` all move to the newest. test_environment.py checks, without a network, that neither
file has drifted. A third file has the same versions of what an exported app needs.
"""

import argparse
import hashlib
import json
import subprocess
import sys
from pathlib import Path

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[1]
PYPROJECT, REQUIREMENTS, ENVIRONMENT = (
    ROOT / name for name in ("pyproject.toml", "requirements.txt", "environment.yml")
)
EXPORTED = ROOT / "utils" / "app" / "hosting" / "requirements.txt"
EXPORTED_HEADER = "# Made by the course's `make pins`; do not edit."
EXPORTED_NEEDS = ("anywidget", "ipykernel", "numpy", "onnxruntime", "pillow", "voila")
ENVIRONMENT_TEXT = """\
# Made from pyproject.toml by `make pins`. For conda.
name: {name}
channels:
  - conda-forge
dependencies:
  - python=3.11
  - pip
  - pip:
      - -r requirements.txt
      - -e .
"""


def project() -> dict:
    """The `[project]` table of pyproject.toml."""
    return tomllib.loads(PYPROJECT.read_text(encoding="utf-8"))["project"]


def header() -> str:
    """First line of requirements.txt: which list it was worked out from."""
    listed = json.dumps([project()["dependencies"], project()["requires-python"]])
    digest = hashlib.sha256(listed.encode()).hexdigest()[:16]
    return f"# Made from pyproject.toml by `make pins`; do not edit. Its dependencies: {digest}"


def environment() -> str:
    """The whole text of environment.yml."""
    return ENVIRONMENT_TEXT.format(name=project()["name"])


def write(upgrade: bool) -> None:
    """Work out exact versions for every Python and system, and write the files."""
    command = [sys.executable, "-m", "uv", "pip", "compile", "--quiet", "--universal",
               "--python-version", project()["requires-python"].removeprefix(">="),
               "--no-header", "--no-annotate"]  # fmt: skip
    own = ["--output-file", str(REQUIREMENTS), *["--upgrade"] * upgrade, str(PYPROJECT)]
    subprocess.run([*command, *own], check=True)
    app = ["--output-file", str(EXPORTED), "--constraint", str(REQUIREMENTS), "-"]
    subprocess.run([*command, *app], input="\n".join(EXPORTED_NEEDS), text=True, check=True)
    for file, first in ((REQUIREMENTS, header()), (EXPORTED, EXPORTED_HEADER)):
        file.write_text(f"{first}\n{file.read_text(encoding='utf-8')}", encoding="utf-8")
    ENVIRONMENT.write_text(environment(), encoding="utf-8")


if __name__ == "__main__":
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--write", action="store_true", required=True, help="write them")
    parser.add_argument("--upgrade", action="store_true", help="move to the newest versions")
    write(parser.parse_args().upgrade)
