"""start.py: which Pythons it takes, what it installs on which computer, and what it remembers."""

import json
import shutil
import sys
import venv

import pytest

import start


@pytest.fixture
def typed(tmp_path, monkeypatch):
    """Type `start.py WORDS` in a folder of its own; gives the programs that were run."""
    ran = []
    for name in start.PINS:
        shutil.copy(start.HERE / name, tmp_path)
    here = start.HERE
    for name in ("HERE", "VENV", "BIN", "INSTALLED"):
        monkeypatch.setattr(start, name, tmp_path / getattr(start, name).relative_to(here))
    monkeypatch.setattr(start, "run", lambda *words: ran.append(" ".join(words)) or 0)
    monkeypatch.setattr(venv, "create", lambda folder, **_: folder.mkdir(exist_ok=True))
    monkeypatch.delenv("VIRTUAL_ENV", raising=False)

    def type_it(*words):
        ran.clear()
        monkeypatch.setattr(sys, "argv", ["start.py", *words])
        assert start.main() == 0
        return list(ran)

    return type_it


@pytest.mark.parametrize("version", [(3, 9), (3, 15)])
def test_a_python_without_wheels_gets_a_sentence(version, monkeypatch):
    monkeypatch.setattr(sys, "version_info", version)
    monkeypatch.setattr(sys, "argv", ["start.py"])
    with pytest.raises(SystemExit, match=r"Python 3.10 to 3.14 is needed, and this is 3\.\d+: "):
        start.main()


def test_the_second_time_nothing_is_installed(typed):
    assert len(typed("setup")) == 1
    assert typed("setup") == []
    lab = typed("--no-browser")
    assert lab == ["jupyter lab --config=.jupyter/jupyter_lab_config.py --no-browser"]


def test_a_light_install_is_remembered_and_stays_light_after_an_update(typed):
    cpu = "uv pip install --torch-backend=cpu --constraint requirements.txt --editable ."
    assert typed("setup", "--light")[-1] == cpu
    assert typed("setup") == []
    with (start.HERE / "requirements.txt").open("a") as pins:
        pins.write("# a new version\n")
    assert typed("app") == ["python -m pip install --quiet uv", cpu, "course app"]
    assert "uv" not in " ".join(typed("setup", "--full"))
    assert json.loads(start.INSTALLED.read_text())["light"] is False


def test_windows_asks_uv_which_wheel_its_card_needs():
    assert "--torch-backend=auto" in start.commands(light=False, platform="win32")[-1]
    assert "--torch-backend=cpu" in start.commands(light=True, platform="win32")[-1]
    assert not any("uv" in words for words in start.commands(light=False, platform="darwin"))


def test_an_install_that_failed_is_tried_again(typed, monkeypatch):
    monkeypatch.setattr(start, "run", lambda *words: 1)
    monkeypatch.setattr(sys, "argv", ["start.py"])
    with pytest.raises(SystemExit, match="Setting up stopped"):
        start.main()
    assert not start.INSTALLED.exists()


def test_a_failed_check_ends_the_test_command(typed, monkeypatch):
    typed("setup")
    ran = []
    monkeypatch.setattr(start, "run", lambda *words: ran.append(words[0]) or words[0] == "mypy")
    monkeypatch.setattr(sys, "argv", ["start.py", "test", "tests/test_start.py", "-v"])
    assert start.main() == 1
    assert ran == ["ruff", "ruff", "mypy"]
