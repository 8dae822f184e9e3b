"""Chapter 04's fifteen lines, in a folder where only their three packages can be imported."""

import ast
import venv

from tests.chapter_04 import taken_away, written
from tests.exported_app import install, run
from tests.small_model import BREEDS, some_pictures


def test_fifteen_lines_answer_where_only_their_packages_are(tmp_path):
    assert len([line for line in written("bear-py").splitlines() if line.strip()]) == 15
    folder, python = taken_away(), str(tmp_path / "env" / "bin" / "python")
    venv.create(tmp_path / "env", symlinks=True)
    for name in ("numpy", "onnxruntime", "pillow"):
        install(name, tmp_path / "env")
    for name in ("torch", "fastai", "gradio", "utils"):
        assert run(python, "-c", f"import {name}", cwd=folder).returncode != 0
    labels = []
    for file in some_pictures()[::8]:
        done = run(python, "bear.py", str(file), cwd=folder)
        assert done.returncode == 0, done.stderr
        shares = ast.literal_eval(done.stdout)
        assert tuple(shares) == BREEDS and abs(sum(shares.values()) - 1) < 1e-5
        labels.append(max(shares, key=shares.get) == file.name.rpartition("_")[0])
    assert sum(labels) >= 5, labels  # of 6
