"""The app as `course app export` writes it, with an environment of its own, made once."""

import os
import re
import shutil
import subprocess
import sysconfig
import venv
from functools import cache
from importlib.metadata import distribution, version
from pathlib import Path
from tempfile import TemporaryDirectory

from packaging.requirements import Requirement

from tests.small_model import small_model
from utils.app.export import export_app

FOLDER = TemporaryDirectory(prefix="course-test-export-")  # goes when the tests end


def run(*words: str, **options) -> subprocess.CompletedProcess:
    """Run a command with nothing in its environment that leads back to the course."""
    bare = {k: v for k, v in os.environ.items() if k not in ("PYTHONPATH", "VIRTUAL_ENV")}
    return subprocess.run(words, env=bare, capture_output=True, text=True, check=False, **options)


def install(name: str, environment: Path) -> None:
    """Put a package of this environment into another, with its commands and data files."""
    site = Path(sysconfig.get_path("purelib", vars={"base": str(environment)}))
    installed = distribution(name)
    for file in installed.files:
        source, target = Path(installed.locate_file(file)), Path(os.path.normpath(site / file))
        if not source.exists() or target.exists():  # not made yet (.pyc), or listed twice
            continue
        target.parent.mkdir(parents=True, exist_ok=True)
        if target.parent.name == "bin":  # its first line says which Python runs it
            own = f"#!{environment}/bin/python".encode()
            target.write_bytes(re.sub(rb"\A#!.*python.*", own, source.read_bytes()))
            target.chmod(0o755)
        else:
            try:
                os.link(source, target)  # in a moment, where both lie on one disk
            except OSError:
                shutil.copy2(source, target)


@cache
def exported() -> tuple[Path, Path]:
    """The exported folder, and the programs of an environment with its requirements.txt in it.

    The versions are this environment's, so the packages are taken from here and not downloaded;
    what is not on the list is not there.
    """
    folder = Path(FOLDER.name, "app")
    export_app(folder, small_model())
    environment = folder / ".venv"
    venv.create(environment, symlinks=True)
    for line in (folder / "requirements.txt").read_text("utf-8").splitlines()[1:]:
        wanted = Requirement(line)
        if wanted.marker is None or wanted.marker.evaluate():
            assert wanted.specifier.contains(version(wanted.name))
            install(wanted.name, environment)
    return folder, environment / "bin"
