"""Processes that are started, killed, or share a training; the training is that of chapter 09."""

import socket

import nbformat
import pytest
import torch
from safetensors.torch import load_file, save_file

from utils import processes
from utils.paths import NOTEBOOKS
from utils.processes import ProcessError, accelerate_launch, run_and_kill, run_python, write_script

FUNCTIONS = ("net", "train_epochs", "train")


def chapter_script() -> str:
    """The training that the chapter hands to Accelerate, as a script, from the chapter's cells."""
    notebook = nbformat.read(NOTEBOOKS / "09_training_well.ipynb", as_version=4)
    cells = [cell.source for cell in notebook.cells if cell.cell_type == "code"]
    (imports,) = (cell for cell in cells if cell.startswith("imports =") and "Accelerator" in cell)
    found = {}
    exec(imports, found)
    sources = [cell for name in FUNCTIONS for cell in cells if cell.startswith(f"def {name}(")]
    assert len(sources) == len(FUNCTIONS)
    end = 'if __name__ == "__main__":\n    train(*sys.argv[1:])\n'
    return "\n\n".join(["import sys", found["imports"], *sources, end])


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """The folder with the script, its data, and the weights one process ends with."""
    folder = tmp_path_factory.mktemp("shared")
    (folder / "train.py").write_text(chapter_script(), "utf-8")
    x = torch.rand(320, 1, 28, 28, generator=torch.Generator().manual_seed(1))
    y = (x[:, 0, :14].mean((1, 2)) > x[:, 0, 14:].mean((1, 2))).long()
    save_file({"x": x, "y": y}, folder / "data")
    run_python(folder / "train.py", folder / "data", folder / "one")
    return folder


def furthest(one, other):
    one, other = load_file(one), load_file(other)
    return max((one[name] - other[name]).abs().max().item() for name in one)


def test_two_processes_end_where_one_does(trained):
    accelerate_launch(trained / "train.py", trained / "data", trained / "two", num_processes=2)
    assert furthest(trained / "one", trained / "two") < 1e-5


def test_a_smaller_mini_batch_does_not(trained):
    """The distance above is small because the global mini-batch is the same, and only then."""
    script = chapter_script()
    assert "batch_size=32" in script
    (trained / "other.py").write_text(script.replace("batch_size=32", "batch_size=16"), "utf-8")
    run_python(trained / "other.py", trained / "data", trained / "half")
    assert furthest(trained / "one", trained / "half") > 1e-3


def test_a_failing_script_is_a_sentence(tmp_path):
    (tmp_path / "wrong.py").write_text("1 / 0", "utf-8")
    with pytest.raises(ProcessError, match=r"ended with 1: ZeroDivisionError: division by zero"):
        run_python(tmp_path / "wrong.py")


def greet(name: str) -> None:
    for number in range(1_000_000):
        print(name, number, "at", time.time())  # noqa: F821  (imported by the script)


def test_a_script_runs_and_is_killed(tmp_path):
    script = write_script(
        tmp_path / "greet.py",
        "import time",
        [greet],
        "print('ready'); print('go'); greet(sys.argv[1])",
    )
    assert run_and_kill(script, "Ada", at="go") == ["ready", "go"]
    last = "greet(sys.argv[1]) if len(sys.argv) > 2 else print('done')"
    write_script(script, "import time", [greet], last)
    with pytest.raises(ProcessError, match="ended with 0 before it said 'go'"):
        run_and_kill(script, "Ada", at="go")


def test_a_killed_process_did_not_end_by_itself(tmp_path):
    end = tmp_path / "end"
    last = "print('go'); time.sleep(30); open(sys.argv[1], 'w')"
    script = write_script(tmp_path / "sleep.py", "import time", [], last)
    run_and_kill(script, end, at="go")
    assert not end.exists()


def test_a_free_port_is_free():
    with socket.socket() as server:
        server.bind(("127.0.0.1", int(processes.free_port())))
