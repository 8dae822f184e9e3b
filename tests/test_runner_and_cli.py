"""`course`: real notebooks run in real kernels, and what goes wrong is told readably."""

import ast
import json
import os
import subprocess
import sys
from pathlib import Path

import nbformat
import pytest
from jupyter_client.manager import start_new_kernel
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from utils.notebooks import code_cells, run_chapter, store_chapter
from utils.paths import NOTEBOOKS, ROOT, chapter, chapters
from utils.timings import say_seconds


def write(path: Path, *cells: str) -> Path:
    notebook = new_notebook(cells=[new_markdown_cell("# A title\n\n## A part")])
    notebook.cells += [new_code_cell(source) for source in cells]
    nbformat.write(notebook, path)
    return path


def course(*words: str, **env: str) -> subprocess.CompletedProcess:
    command = [str(Path(sys.executable).parent / "course"), *words]
    return subprocess.run(
        command, capture_output=True, text=True, check=False, env=os.environ | env, timeout=300
    )


EXPECT = "from utils.checks import expect"


def test_a_run_reports_expectations_and_leaves_the_notebook_alone(tmp_path):
    path = write(tmp_path / "n.ipynb", EXPECT, "expect('share', 0.5, at_most=0.6)")
    before = path.read_bytes()
    run = run_chapter(path, "cpu", "sample")
    assert run.failure is None
    assert run.expectations == [
        {"name": "share", "value": 0.5, "at_least": None, "at_most": 0.6, "ok": True}
    ]
    assert path.read_bytes() == before


def test_a_run_does_not_see_the_learners_folder(tmp_path):
    path = write(
        tmp_path / "n.ipynb",
        "import os\nassert os.environ['COURSE_HOME'] != " + repr(os.environ["COURSE_HOME"]),
        "from pathlib import Path\nPath('left-behind.txt').write_text('x')",
    )
    assert run_chapter(path, "cpu", "sample").failure is None
    assert [p.name for p in tmp_path.iterdir()] == ["n.ipynb"]


def test_the_failing_cell_is_named(tmp_path):
    run = run_chapter(write(tmp_path / "n.ipynb", "1 + 1", "1 / 0"), "cpu", "sample")
    assert (
        run.failure == 'Cell [2], under "A part":\n\n1 / 0\n\nZeroDivisionError: division by zero'
    )


def test_a_dead_kernel_is_said(tmp_path):
    run = run_chapter(write(tmp_path / "n.ipynb", "import os; os._exit(1)"), "cpu", "sample")
    assert "kernel died" in run.failure


def test_progress_counts_cells_under_their_heading(tmp_path):
    seen = []
    run_chapter(write(tmp_path / "n.ipynb", "1", "2"), "cpu", "sample", lambda *at: seen.append(at))
    assert seen == [(0, 2, "A part"), (1, 2, "A part")]


def test_store_keeps_outputs_and_drops_the_machine(tmp_path):
    path = write(tmp_path / "n.ipynb", "6 * 7", "import ipywidgets; ipywidgets.Button()")
    assert store_chapter(path).failure is None
    stored = nbformat.read(path, as_version=4)
    assert stored.cells[1].outputs[0].data["text/plain"] == "42"
    assert "widgets" not in stored.metadata
    kinds = [kind for output in stored.cells[2].outputs for kind in output.data]
    assert kinds == ["text/plain"]
    assert [c.execution_count for c in stored.cells[1:]] == [1, 2]
    nbformat.validate(stored)


def test_output_widgets_are_played_without_a_word_to_the_kernel(tmp_path):
    """A message that is sent while the reply is awaited can hang the run (nbclient#312)."""
    path = write(
        tmp_path / "n.ipynb",
        "import ipywidgets\nout, told = ipywidgets.Output(), []",
        "out.observe(told.append, 'outputs')",
        "with out:\n    print('inside')\nprint('outside')",
        "assert not told, told",
    )
    assert store_chapter(path).failure is None
    stored = nbformat.read(path, as_version=4)
    assert [output.text for output in stored.cells[3].outputs] == ["outside\n"]


SEEDS = """
import random, subprocess, sys
import numpy as np, torch
from fastai.data.transforms import RandomSplitter
from fastai.torch_core import set_seed
from sklearn.model_selection import train_test_split
from sklearn.utils import check_random_state

def after(seeding, draw):
    seeding(SEED)
    return float(draw())

def one(generator=None):
    return torch.rand(1, generator=generator)

child = f"import torch; torch.manual_seed({SEED}); print(torch.rand(1).item())"
values = {
    "random.seed": after(random.seed, random.random),
    "random.Random": random.Random(SEED).random(),
    "np.random.seed": after(np.random.seed, np.random.rand),
    "default_rng": np.random.default_rng(SEED).random(),
    "default_rng, named": np.random.default_rng(seed=np.int64(SEED)).random(),
    "wrapped": np.random.default_rng((SEED - 1010) % 2**32).random(),
    "RandomState": np.random.RandomState(SEED).rand(),
    "torch.manual_seed": after(torch.manual_seed, one),
    "torch.Generator": one(torch.Generator().manual_seed(SEED)).item(),
    "set_seed, random": after(set_seed, random.random),
    "set_seed, numpy": after(set_seed, np.random.rand),
    "set_seed, torch": after(set_seed, one),
    "splitter": RandomSplitter(seed=SEED)(range(1000))[0][0],
    "scikit-learn": train_test_split(range(1000), random_state=SEED)[0][0],
    "a generator handed on": check_random_state(np.random.RandomState(SEED)).rand(),
    "a process": float(subprocess.run([sys.executable, "-c", child], capture_output=True).stdout),
}
assert isinstance(torch.default_generator, torch.Generator)
assert np.random.default_rng().random() != np.random.default_rng(None).random()
assert np.random.RandomState().rand() != np.random.RandomState(None).rand()
assert random.Random().random() != random.Random(None).random()
"""


def test_a_shifted_run_draws_what_every_seed_plus_1000_draws(tmp_path):
    report = "for name, value in values.items():\n    expect(name, float(value), at_least=0)"
    path = write(tmp_path / "n.ipynb", EXPECT, "SEED = 5\n" + SEEDS, report)
    run = run_chapter(path, "cpu", "sample", seed_shift=1)
    assert run.failure is None, run.failure
    moved = {row["name"]: row["value"] for row in run.expectations}
    here = {"SEED": 1005}
    exec(SEEDS, here)
    assert moved == pytest.approx(here["values"], abs=1e-9)


def test_a_run_that_is_not_shifted_is_left_alone(tmp_path):
    path = write(
        tmp_path / "n.ipynb",
        "import os, sys\nassert 'COURSE_SEED_SHIFT' not in os.environ",
        f"assert not any('seeds' in part for part in sys.path if {str(ROOT)!r} in part)",
    )
    assert run_chapter(path, "cpu", "sample", seed_shift=0).failure is None


def test_memory_counts_the_kernel_and_its_processes(tmp_path):
    holds = "import time; x = b'1' * 2**28; time.sleep(1)"
    starts = f"import subprocess, sys\nsubprocess.run([sys.executable, '-c', {holds!r}])"
    alone = run_chapter(write(tmp_path / "a.ipynb", "1 + 1"), "cpu", "sample").peak_gib
    both = run_chapter(write(tmp_path / "b.ipynb", starts), "cpu", "sample").peak_gib
    assert 0.02 < alone < 0.25 < both < 0.6


OTHERS = [*NOTEBOOKS.glob("apps/*.ipynb"), *ROOT.glob("utils/project/*.ipynb")]


@pytest.mark.parametrize("path", [*chapters(), *sorted(OTHERS)], ids=lambda p: p.stem)
def test_utils_is_imported_before_what_computes(path):
    first = code_cells(nbformat.read(path, as_version=4))[0].source
    modules = [
        (node.module if isinstance(node, ast.ImportFrom) else node.names[0].name).split(".")[0]
        for node in ast.parse(first).body
        if isinstance(node, ast.Import | ast.ImportFrom)
    ]
    assert next(name for name in modules if name != "PIL") == "utils"


def test_threads_wait_passively_in_a_kernel_without_our_settings(tmp_path):
    """As VS Code, `jupyter nbconvert` and Colab start one; OpenMP itself says what it has read."""
    ours = ("OMP_WAIT_POLICY", "KMP_BLOCKTIME")
    env = {name: value for name, value in os.environ.items() if name not in ours}
    said = tmp_path / "said.txt"
    with said.open("w") as file:
        manager, client = start_new_kernel(
            env=env | {"OMP_DISPLAY_ENV": "TRUE"}, cwd=str(tmp_path), stderr=file,
            extra_arguments=["--IPKernelApp.capture_fd_output=False"],
        )  # fmt: skip
        first = code_cells(nbformat.read(chapter("06"), as_version=4))[0].source
        reply = client.execute_interactive(first, timeout=120, output_hook=lambda message: None)
        client.stop_channels()
        manager.shutdown_kernel(now=True)
    assert reply["content"]["status"] == "ok"
    assert "OMP_WAIT_POLICY = 'PASSIVE'" in said.read_text()


def test_storing_twice_gives_the_same_file(tmp_path):
    path = write(tmp_path / "n.ipynb", "6 * 7")
    store_chapter(path)
    first = path.read_bytes()
    store_chapter(path)
    assert path.read_bytes() == first


def test_a_failing_chapter_is_not_stored(tmp_path):
    path = write(tmp_path / "n.ipynb", "1 / 0")
    before = path.read_bytes()
    assert "ZeroDivisionError" in store_chapter(path).failure
    assert path.read_bytes() == before


def test_course_run_json_and_exit_codes(tmp_path):
    good = write(tmp_path / "good.ipynb", EXPECT, "expect('share', 0.5, at_most=0.6)")
    done = course("run", str(good), "--device", "cpu", "--json")
    assert done.returncode == 0, done.stderr
    printed = json.loads(done.stdout)
    assert (printed["notebook"], printed["device"], printed["data"]) == ("good", "cpu", "sample")
    assert printed["expectations"][0]["ok"] is True
    assert printed["peak_gib"] > 0
    off = write(tmp_path / "off.ipynb", EXPECT, "expect('share', 0.7, at_most=0.6)")
    done = course("run", str(off), "--device", "cpu", "--json")
    assert done.returncode == 1
    assert json.loads(done.stdout)["expectations"][0]["ok"] is False
    bad = write(tmp_path / "bad.ipynb", "1 / 0")
    done = course("run", str(bad), "--device", "cpu")
    assert done.returncode == 1
    assert "1 / 0" in done.stderr
    assert "Traceback" not in done.stderr


def test_own_data_is_not_judged_by_course_run(tmp_path):
    off = write(tmp_path / "off.ipynb", EXPECT, "expect('share', 0.7, at_most=0.6)")
    done = course("run", str(off), "--device", "cpu", "--data", str(tmp_path), "--json")
    assert done.returncode == 0, done.stderr


@pytest.mark.parametrize(
    ("words", "says"),
    [
        (("run", "77"), "No chapter is called '77'. There are: 00_start_here"),
        (("run", "01", "--data", "no/such/folder"), "no/such/folder"),
        (("run", "01", "--device", "tpu"), "tpu"),
    ],
)
def test_bad_input_gets_a_sentence(words, says):
    done = course(*words)
    assert done.returncode != 0
    assert says in done.stderr
    assert "Traceback" not in done.stderr


def test_every_command_has_help():
    listed = course("--help", COLUMNS="100").stdout
    for command in ("info", "run", "data", "strip", "check", "review", "anki", "progress", "new"):
        assert command in listed
        done = course(command, "--help", COLUMNS="100")
        assert done.returncode == 0
        assert "Usage" in done.stdout


def test_info_names_device_data_and_chapters():
    printed = json.loads(course("info", "--json", COURSE_DEVICE="cpu").stdout)
    assert printed["machine"]["device"] == "cpu"
    assert printed["machine"]["cores"] >= 1
    assert {"torch", "fastai", "python"} <= set(printed["versions"])
    assert "01_pet_classifier" in printed["chapters"]
    assert any(row["name"] == "pets" for row in printed["data"])


def test_seconds_are_said_as_people_do():
    assert say_seconds(100) == "about 1 min 40 s"
    assert say_seconds(9.6) == "about 10 s"
    assert say_seconds(None) == "not measured yet"
