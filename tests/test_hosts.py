"""Colab, Kaggle, Binder: buttons only with an address, a first cell that elsewhere does nothing."""

import subprocess
import sys

import nbformat
import pytest
from IPython.core.inputtransformer2 import TransformerManager
from packaging.requirements import Requirement

from deploy import host, hosts
from utils.paths import chapters

REPOSITORY = "https://github.com/someone/course"


@pytest.mark.parametrize(
    ("urls", "found"),
    [
        ("", ""),
        ('[project.urls]\nRepository = "https://github.com/a/b/"', "https://github.com/a/b"),
    ],
)
def test_the_address_stands_in_one_place(tmp_path, urls, found):
    pyproject = tmp_path / "pyproject.toml"
    pyproject.write_text(f'[project]\nname = "a"\n{urls}\n')
    assert hosts.address(pyproject) == found


def test_a_button_for_each_host_and_none_without_an_address():
    assert hosts.buttons(REPOSITORY, "01_pets") == {
        "Colab": "https://colab.research.google.com/github/someone/course/blob/hosted/01_pets.ipynb",
        "Kaggle": f"https://kaggle.com/kernels/welcome?src={REPOSITORY}/blob/hosted/01_pets.ipynb",
        "Binder": "https://mybinder.org/v2/gh/someone/course/main"
        "?urlpath=lab%2Ftree%2Fnotebooks%2F01_pets.ipynb",
    }
    assert [*hosts.buttons(REPOSITORY, "10_training_long")] == ["Colab", "Kaggle"]  # see there why
    assert hosts.buttons("", "01_pets") == {} == hosts.buttons("https://example.org/a", "01_pets")


def test_without_an_address_no_copies_are_written(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(hosts, "address", lambda: "")
    hosts.main(tmp_path / "out")
    assert not (tmp_path / "out").exists() and "nothing was written" in capsys.readouterr().out


def test_a_copy_is_the_chapter_below_one_more_cell(tmp_path, monkeypatch):
    monkeypatch.setattr(hosts, "address", lambda: REPOSITORY)
    hosts.main(tmp_path)
    firsts = set()
    for path in chapters():
        copy = nbformat.read(tmp_path / path.name, as_version=4)
        first = copy.cells.pop(0)
        assert not first.outputs and first.execution_count is None
        firsts.add(first.source)
        assert nbformat.writes(copy) + "\n" == path.read_text(encoding="utf-8")
        again = hosts.hosted(nbformat.read(tmp_path / path.name, as_version=4), REPOSITORY)
        assert [cell.id for cell in again.cells].count("fetch") == 1
    assert len(firsts) == 1


@pytest.mark.parametrize("variable", ["COLAB_RELEASE_TAG", "KAGGLE_KERNEL_RUN_TYPE", None])
def test_the_first_cell_does_something_on_a_host_only(monkeypatch, variable):
    for name in ("COLAB_RELEASE_TAG", "KAGGLE_KERNEL_RUN_TYPE"):
        monkeypatch.delenv(name, raising=False)
    if variable:
        monkeypatch.setenv(variable, "1")
    done = []

    class Shell:
        def system(self, command):
            done.append(command)

        def run_line_magic(self, magic, line):
            done.append(f"{magic} {line}")

    cell = hosts.FIRST_CELL.format(address=REPOSITORY)
    exec(TransformerManager().transform_cell(cell), {"get_ipython": Shell})
    fetch = f"test -d ~/whole-game || git clone --quiet --depth 1 {REPOSITORY} ~/whole-game"
    assert done == ([fetch, "run ~/whole-game/deploy/host.py"] if variable else [])


def test_what_a_host_has_is_not_asked_for_again():
    everything = host.missing(set())
    names = {Requirement(line).name for line in everything}
    assert {"torch", "fastai", "fsrs"} <= names and not names & host.AT_HOME
    rest = host.missing({"torch", "fastai"})
    assert len(rest) == len(everything) - 2
    listed = host.ROOT.joinpath("pyproject.toml").read_text(encoding="utf-8")
    assert all(f'"{name}' in listed for name in host.AT_HOME), "gone from pyproject.toml"


@pytest.mark.parametrize("status", [0, 1])
def test_what_it_lacks_is_installed_beside_what_it_has(monkeypatch, status):
    asked = []

    def pip(command, **_):
        asked.append((command, command[command.index("--constraint") + 1].read_text()))
        return subprocess.CompletedProcess(command, status)

    monkeypatch.setattr(host, "missing", lambda have: ["fsrs~=6.3"])
    monkeypatch.setattr(host.subprocess, "run", pip)
    elsewhere = [folder for folder in sys.path if folder != str(host.ROOT)]
    monkeypatch.setattr(sys, "path", elsewhere.copy())
    monkeypatch.setenv("PYTHONPATH", "mine")
    if status:
        with pytest.raises(RuntimeError, match="could not be installed"):
            host.set_up()
        assert sys.path == elsewhere
    else:
        assert host.set_up() == ["fsrs~=6.3"]
        assert sys.path == [str(host.ROOT), *elsewhere]
    ((command, as_it_is),) = asked
    assert command[-1] == "fsrs~=6.3" and "\ntorch==" in as_it_is


def test_a_second_time_nothing_is_installed(monkeypatch):
    monkeypatch.setattr(host, "missing", lambda have: [])
    monkeypatch.setattr(host.subprocess, "run", lambda *_, **__: pytest.fail("pip"))
    monkeypatch.setattr(sys, "path", [str(host.ROOT)])
    assert host.set_up() == []
