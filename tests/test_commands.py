"""Every command of the README and of `course --help`, typed in a terminal and into a pipe.

Those that import PyTorch are typed in this process, which has it.
"""

import errno
import json
import os
import re
import shlex
import shutil
import signal
import subprocess
import sys
import tarfile
from collections.abc import Iterator
from contextlib import suppress
from pathlib import Path

import nbformat
import pytest
import typer
from fastai.data.external import fastai_cfg
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

from tests.serve import serve
from tests.small_model import small_model, some_pictures
from tests.typed import Said, course
from utils.cli import app
from utils.common import CourseError, free_port
from utils.data import fetch
from utils.device import banner
from utils.notebooks import Run
from utils.paths import (
    DATA,
    ROOT,
    chapter,
    chapters,
    course_cache,
    course_home,
    model_folder,
    path_with_course,
)
from utils.quiz.journal import Journal
from utils.timings import record_seconds, seconds_of

COURSE = shutil.which("course", path=path_with_course())
RIGHT = "metric: for people to judge the model. loss: for SGD to update the parameters"
# What is typed after `course`, and a piece of what it must say.
TYPED = {
    "info": ("info", r"device +CPU"),
    "run": ("run notebooks/01_two.ipynb --device cpu", r"share +0\.5000"),
    "store": ("store notebooks/01_two.ipynb", r"01_two: stored after \d+ s"),
    "strip": ("strip 00 --out stripped", r"stripped/00_start_here\.ipynb"),
    "data": ("data", r"bears_exam .*there is none"),
    "data fetch": ("data fetch planet", r"Downloading planet_tiny\.tgz"),
    "check": (f"check intro-24 '{RIGHT}'", r"Right"),
    "review": ("review", r"Nothing is due\."),
    "anki": ("anki", r"cards in .*whole-game\.apkg"),
    "progress": ("progress", r"(?s)00_start_here .*01_pet_classifier .*09_training_well "),
    "app": ("app --no-browser --port PORT", r"The app is at http://127\.0\.0\.1:\d+/\?token="),
    "app export": ("app export exported", r"exported has the app, \d+ files"),
    "new": ("new 'my bears' --data pictures --into .", r"(?s)my bears has your project.*Run All"),
    "predict": ("predict 'a picture.jpg'", r"a picture\.jpg: .*Siamese \d"),
}


def commands(group: typer.core.TyperGroup, above: str = "") -> Iterator[str]:
    """Every command below `group`, as it is typed."""
    for name, command in group.commands.items():
        yield f"{above}{name}"
        if hasattr(command, "commands"):
            yield from commands(command, f"{above}{name} ")


PROCESS = ("strip", "check", "review", "anki", "progress", "app", "app export", "predict")
ONCE = ("run", "store", "app")  # each starts a kernel or a server
ALL = [("terminal", name) for name in TYPED] + [("json", "run")]
ALL += [("pipe", name) for name in TYPED if name not in ONCE]


def type_there(words: list[str], until: str | None) -> Said:
    """Run `course` with `words` in a process and a terminal of its own; on `until`, Ctrl-C."""
    ours, theirs = os.openpty()
    process = subprocess.Popen([COURSE, *words], stdin=theirs, stdout=theirs, stderr=theirs)
    os.close(theirs)
    said = ""
    with suppress(OSError):  # how Linux says that nobody has the terminal any more
        while piece := os.read(ours, 65536):
            said += re.sub(r"\x1b\[[\d;?]*[A-Za-z]", "", piece.decode("utf-8", "replace"))
            if until and re.search(until, said):
                process.send_signal(signal.SIGINT)
                until = None
    os.close(ours)
    return Said(process.wait(), said)


@pytest.fixture(scope="module")
def how(request, tmp_path_factory) -> Iterator[str]:
    """How the commands are typed, in a folder with what they work on and a home that they share."""
    place, mirror = tmp_path_factory.mktemp("commands"), tmp_path_factory.mktemp("mirror")
    with tarfile.open(mirror / "planet_tiny.tgz", "w:gz") as archive:
        archive.add(DATA / "planet" / "labels.csv", "planet_tiny/labels.csv")
    (place / "notebooks").mkdir()
    (place / "tests" / "figures").mkdir(parents=True)
    cells = [new_markdown_cell("One in two."), new_code_cell("share = 0.5", id="half")]
    nbformat.write(new_notebook(cells=cells), place / "notebooks" / "01_two.ipynb")
    figure = "[{name: share, after: half, value: share, at_most: 0.6, sentence: One in two.}]"
    (place / "tests" / "figures" / "01.yaml").write_text(figure)
    shutil.copy(some_pictures()[-1], place / "a picture.jpg")
    for label in ("black", "grizzly"):
        (place / "pictures" / label).mkdir(parents=True)
        for file in sorted((DATA / "bears" / label).iterdir())[:3]:
            shutil.copy(file, place / "pictures" / label)
    shutil.copytree(small_model(), place / "home" / "models" / "bears")
    own = {name: str(place / name.lower()) for name in ("HOME", "FASTAI_HOME", "COURSE_CACHE")}
    own |= {"COURSE_HOME": str(place / "home"), "COLUMNS": "120", "COURSE_DEVICE": "CPU"}
    # What is started in a shell's background ignores Ctrl-C, and so would all that it starts.
    before = signal.signal(signal.SIGINT, signal.default_int_handler)
    with pytest.MonkeyPatch.context() as patch, serve(mirror) as server:
        patch.delenv("COURSE_DATA")
        for name, value in (own | {"COURSE_MIRROR": server.url, "NO_PROXY": "127.0.0.1"}).items():
            patch.setenv(name, value)
        patch.chdir(place)
        fastai_cfg.cache_clear()
        yield request.param
    fastai_cfg.cache_clear()
    signal.signal(signal.SIGINT, before)


@pytest.mark.skipif(not hasattr(os, "openpty"), reason="no terminals to be had here")
@pytest.mark.parametrize(("how", "name"), ALL, indirect=["how"])
def test_as_a_person_types_it(how, name):
    words, expected = TYPED[name]
    words = shlex.split(words.replace("PORT", str(free_port()))) + ["--json"] * (how == "json")
    if how == "terminal" and name in PROCESS:
        found = type_there(words, until=expected if name == "app" else None)
    else:
        found = course(*words, is_terminal=how == "terminal")
    everything = found.out + found.errors
    assert "Traceback" not in everything, everything
    assert found.status == 0 or (name, found.status) == ("app", 130), everything  # 130: Ctrl-C
    if how == "json":
        assert json.loads(found.out)["expectations"][0]["name"] == "share"
    else:
        assert re.search(expected, everything), everything


def test_several_chapters_end_in_a_table_and_their_json_is_a_list(monkeypatch, tmp_path):
    figure = {"name": "error", "value": 0.5, "at_least": None, "at_most": 0.4, "ok": False}
    stopped = "cell 3 stopped"

    def run_chapter(path, device, data, on_cell, seed_shift):
        failure = stopped if path.stem.startswith("01") else None
        return Run(path.stem, device, data, 12.3, 1.25, [figure], failure, ["its sentence"])

    monkeypatch.setattr("utils.notebooks.run_chapter", run_chapter)
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path))
    said = course("run", "--all", "--device", "cpu")
    assert said.status == 1 and stopped in said.errors and "its sentence" in said.errors
    assert re.search(r"01_pet_classifier +12 +1\.2 +0 of 1 +stopped", said.out)
    assert re.search(rf"all +{12.3 * len(chapters()):.0f}\b", said.out)
    runs = json.loads(course("run", "00", "02", "--device", "cpu", "--json").out)
    assert [run["notebook"][:2] for run in runs] == ["00", "02"]
    assert "course run 01" in course("run").errors


def test_none_is_forgotten():
    in_a_clone = {"update"}  # test_update.py
    assert set(commands(typer.main.get_command(app))) == {*TYPED} | in_a_clone


def test_the_readme_names_commands_that_exist():
    named = re.findall(r"`course ((?:[a-z]+ ?)+)", (ROOT / "README.md").read_text("utf-8"))
    assert len(named) > 10
    for words in named:
        first, *rest = words.split()
        if words == "update":
            continue
        assert first in TYPED, words
        assert f"{first} {' '.join(rest)}" in TYPED or first in TYPED


# -- homes and disks as people have them -----------------------------------------------------------

NOWHERE = "/dev/null/folder"  # where no folder can be made


@pytest.mark.skipif(os.name != "posix", reason="another way to say nowhere")
@pytest.mark.parametrize("words", ["progress", "review", "predict x.jpg", "app export x"])
def test_a_home_that_cannot_be_is_a_sentence(words, monkeypatch):
    monkeypatch.setenv("COURSE_HOME", NOWHERE)
    found = course(*words.split())
    assert (found.status, found.out) == (1, "")
    says = rf"The folder {NOWHERE} cannot be used \(.*\): set COURSE_HOME.*\n"
    assert re.fullmatch(says, found.errors)


def test_a_home_that_is_read_only_can_be_read(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_HOME", str(tmp_path))
    monkeypatch.setattr(os, "access", lambda *_: False)  # who runs this may be allowed everything
    assert model_folder("bears") == tmp_path / "models" / "bears"
    assert Journal().latest_all() == {}
    with pytest.raises(CourseError, match=r"it is read-only.*set COURSE_HOME"):
        course_home()


@pytest.mark.skipif(os.name != "posix", reason="another way to say nowhere")
def test_a_chapter_begins_without_a_cache(monkeypatch, capsys):
    monkeypatch.setenv("COURSE_CACHE", NOWHERE)
    banner("01_pet_classifier")
    (course_cache() / "kept.txt").write_text("for this process")
    assert (course_cache() / "kept.txt").exists()
    said = capsys.readouterr()
    assert "01_pet_classifier" in said.out
    assert said.err.count("set COURSE_CACHE to a folder that can be written to") == 1


def test_timings_that_were_cut_short_stop_no_chapter(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path))
    (tmp_path / "timings.json").write_text('{"01_pet')
    assert seconds_of("01_pet_classifier") > 0
    record_seconds("01_pet_classifier", 77)
    assert seconds_of("01_pet_classifier") == 77


def test_a_relative_home_is_the_same_everywhere(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_HOME", os.path.relpath(tmp_path / "mine", ROOT))
    for place in (tmp_path, ROOT / "notebooks"):
        monkeypatch.chdir(place)
        assert course_home().resolve() == tmp_path / "mine"


HOLD = "import sys; from utils.paths import file_lock\nwith file_lock(sys.argv[1]): "
HOLD += "print('held', flush=True); input()"
TRY = "import sys; from utils.paths import file_lock\nfile_lock(sys.argv[1], 0).acquire()"


@pytest.mark.parametrize("dies", [False, True])
def test_kernels_keep_apart_on_a_disk_without_locks(tmp_path, no_locks, monkeypatch, dies):
    for name, value in (no_locks | {"NO_LOCKS_BELOW": str(tmp_path)}).items():
        monkeypatch.setenv(name, value)
    lock = str(tmp_path / "a set.lock")
    holder = subprocess.Popen(
        [sys.executable, "-c", HOLD, lock], stdin=subprocess.PIPE, stdout=subprocess.PIPE
    )
    assert holder.stdout.readline() == b"held\n"
    other = [sys.executable, "-c", TRY, lock]
    assert b"Timeout" in subprocess.run(other, capture_output=True, check=False).stderr
    holder.kill() if dies else holder.communicate(b"\n")
    holder.wait()
    assert subprocess.run(other, capture_output=True, check=False).stderr == b""


@pytest.mark.skipif(sys.platform != "linux", reason="it says which file a number means")
def test_downloads_on_a_disk_without_locks(tmp_path, own_folders, monkeypatch):
    import fcntl

    def flock(file, what, lock=fcntl.flock):
        number = file if isinstance(file, int) else file.fileno()
        if tmp_path in Path(f"/proc/self/fd/{number}").readlink().parents:
            raise OSError(errno.ENOLCK, os.strerror(errno.ENOLCK))
        return lock(file, what)

    monkeypatch.setattr(fcntl, "flock", flock)
    with tarfile.open(tmp_path / "planet_tiny.tgz", "w:gz") as archive:
        archive.add(DATA / "planet" / "labels.csv", "planet_tiny/labels.csv")
    with serve(tmp_path) as server:
        monkeypatch.setenv("COURSE_MIRROR", server.url)
        assert (fetch("planet") / "labels.csv").exists()


@pytest.mark.parametrize("name", ["", "100", "x"])
def test_a_name_that_is_no_chapters(name):
    with pytest.raises(CourseError, match="No chapter is called"):
        chapter(name)


def test_a_deck_is_nothing_that_git_adds():
    ignored = ["git", "check-ignore", "-q", "whole-game.apkg", "notebooks/whole-game.apkg"]
    assert subprocess.run(ignored, cwd=ROOT, check=False).returncode in (0, 128)  # 128: no clone
