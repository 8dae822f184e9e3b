"""Chapter 04's fifteen lines, in a folder where only their three packages can be imported."""

import sys
import venv

import pytest

from tests.chapter_04 import answer, taken_away, written
from tests.exported_app import install, run
from tests.small_model import BREEDS, some_pictures


def test_fifteen_lines_answer_where_only_their_packages_are(tmp_path):
    assert len([line for line in written("bear-py").splitlines() if line.strip()]) == 15
    python = str(tmp_path / "env" / "bin" / "python")
    venv.create(tmp_path / "env", symlinks=True)
    for name in ("numpy", "onnxruntime", "pillow"):
        install(name, tmp_path / "env")
    for name in ("torch", "fastai", "gradio", "utils"):
        assert run(python, "-c", f"import {name}", cwd=taken_away()).returncode != 0
    for file in some_pictures()[::16]:
        shares = answer(python, file)
        assert tuple(shares) == BREEDS and sum(shares.values()) == pytest.approx(1, abs=1e-5)
        assert shares == pytest.approx(answer(sys.executable, file), abs=1e-5)
