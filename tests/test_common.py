"""Files and folders appear whole or not at all, and names cannot steer a terminal."""

import os
import sys
from pathlib import Path

import pytest

from utils.common import CourseError, listed, made_whole, printable, served, write_whole


def test_names_are_printed_without_what_steers_a_terminal():
    assert printable("a\x1b[2Jb ü") == "a?[2Jb ü"
    assert listed(["a", "b\n", "c"], 2) == "a, b? and 1 more"
    assert listed(["a", "b"], 2) == "a, b"


def test_a_notebook_shows_the_sentence_alone():
    assert CourseError("Nothing here.")._render_traceback_() == ["CourseError: Nothing here."]


@pytest.mark.parametrize("content", ["grün\n", b"\xff"])
def test_a_file_is_written_whole_or_stays_as_it_was(tmp_path, monkeypatch, content):
    path = tmp_path / "a.txt"
    write_whole(path, "old")
    path.chmod(0o640)
    with monkeypatch.context() as broken, pytest.raises(OSError):
        broken.setattr(os, "fsync", lambda file: os.fdopen(file + 1000))  # as a full disk
        write_whole(path, content)
    assert path.read_text() == "old" and [*tmp_path.iterdir()] == [path]
    write_whole(path, content)
    assert path.read_bytes() in (content, "grün\n".encode())
    assert path.stat().st_mode & 0o777 == 0o640 and [*tmp_path.iterdir()] == [path]


def test_a_folder_is_made_whole_or_stays_as_it_was(tmp_path):
    folder = tmp_path / "new" / "set"
    for content in ("one", "two"):
        with made_whole(folder) as part:
            part.mkdir()
            (part / content).touch()
        assert [file.name for file in folder.iterdir()] == [content]
    with pytest.raises(KeyboardInterrupt), made_whole(folder) as part:
        part.mkdir()
        raise KeyboardInterrupt
    assert [*folder.parent.iterdir()] == [folder] and (folder / "two").exists()


@pytest.mark.skipif(not hasattr(os, "fork"), reason="needs fork")
@pytest.mark.parametrize("at", [1, 2, 3])
def test_a_folder_is_whole_after_a_kill_at_every_rename(tmp_path, at):
    def make(name, folder=tmp_path / "set"):
        with made_whole(folder) as part:
            part.mkdir()
            (part / name).touch()

    make("one")
    before, done = Path.replace, []

    def replace(path, target):
        done.append(path)
        if len(done) == at:
            os._exit(9)
        return before(path, target)

    if child := os.fork():
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == (9 if at < 3 else 0)
    else:
        Path.replace = replace
        make("two")
        os._exit(0)
    with pytest.raises(ZeroDivisionError), made_whole(tmp_path / "set"):
        1 / 0  # noqa: B018
    assert [f.name for f in tmp_path.rglob("*")] == ["set", "one" if at < 3 else "two"]


def test_a_server_is_given_no_token_of_the_jupyter_around_it(monkeypatch):
    monkeypatch.setenv("JUPYTER_TOKEN", "secret")
    says = "import os; print('http://a/?token=' + os.environ['JUPYTER_TOKEN'])"
    process, address = served([sys.executable, "-c", says])
    assert (process.wait(30), address) == (0, "http://a/?token=")
    with pytest.raises(CourseError, match="did not start: no room"):
        served([sys.executable, "-c", "print('no room')"])
