"""The cleaner's files: random sequences, kills, crowds, full and read-only disks, odd names."""

import csv
import errno
import io
import json
import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import tempfile
import time
from contextlib import contextmanager, nullcontext
from functools import partial
from itertools import count
from pathlib import Path, PurePosixPath
from types import SimpleNamespace
from unittest import mock

import pandas as pd
import pytest
from cleaner_tasks import (
    LABELS,
    cleaning,
    label_in_name,
    make_many,
    make_set,
    no_hard_links,
    on_disk,
    opened,
    renamed,
)
from filelock import FileLock
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from utils.cleaner import files as module
from utils.cleaner.files import ClassFolders, CleanerError, FileNames, LabelTable, PictureSet

TASKS = Path(__file__).with_name("cleaner_tasks.py")
MEMORY = Path("/dev/shm")  # a disk in memory makes waiting for the disk cheap


@contextmanager
def in_memory():
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        yield Path(folder)


def links(hard_links):
    return nullcontext() if hard_links else no_hard_links()


def start():
    if not hasattr(os, "fork"):
        pytest.skip("no SIGKILL here")
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, TASKS, "serve"], **pipes)


def send(server, **order):
    print(json.dumps(order, default=str), file=server.stdin, flush=True)


@pytest.fixture(scope="module")
def kill():
    """Do something to a set in another process, and kill that at some touch of the disk."""
    server = start()

    def do(layout, root, hard_links, what, kill_at):
        """True when it came to its end."""
        send(server, layout=layout, root=root, do=what, kill_at=kill_at, hard_links=hard_links)
        status = int(server.stdout.readline())
        assert status in (0, signal.SIGKILL), status
        return status == 0

    yield do
    server.stdin.close()
    assert server.wait(timeout=10) == 0


def rows_of(content):
    """A CSV as text, read without the cleaner."""
    text = content.decode("utf-8", "surrogateescape")
    return list(csv.DictReader(io.StringIO(text, newline="")))


# -- 200 random sequences against a model ----------------------------------------------------------


class Sequence:
    """The disk is a dict; Apply, Undo and Redo move its keys."""

    def __init__(self, layout, hard_links, folder, kill):
        self.layout, self.root = layout, folder / "be ars"
        make_set(layout, self.root)
        self.kill = partial(kill, layout, self.root, hard_links)
        self.set = opened(layout, self.root)
        self.disk = on_disk(self.root)
        self.choices, self.done, self.undone = {}, [], []

    def labels(self):
        """The label of every picture, from the model's disk."""
        if self.layout == "table":
            return {row["file"]: row["label"] for row in rows_of(self.disk["set/labels.csv"])}
        names = [k[4:] for k, v in self.disk.items() if v is not None and k.startswith("set/")]
        if self.layout == "names":
            return {name: label_in_name(PurePosixPath(name)) for name in names}
        return {name: PurePosixPath(name).parent.name for name in names}

    def choose(self, which, action, label):
        labels = self.labels()
        names = [sorted(labels)[number % len(labels)] for number in which] if labels else []
        if action == "forget":
            self.set.forget(names)
            self.choices = {k: v for k, v in self.choices.items() if k not in names}
            return
        if self.layout == "table" and any(f"set/{n}" not in self.disk for n in names):
            names = [n for n in names if f"set/{n}" in self.disk]
        self.set.choose(names, action, label if action == "relabel" else None, new_label=True)
        for name in names:
            if action == "keep" or (action == "relabel" and labels[name] == label):
                self.choices[name] = ("keep", None, None)
            else:
                wanted = label if action == "relabel" else None
                self.choices[name] = (action, wanted, self.disk[f"set/{name}"])

    def apply(self, kill_at):
        labels = self.labels()
        wanted = {
            name: choice
            for name, choice in self.choices.items()
            if choice[0] != "keep" and (name not in labels or labels[name] != choice[1])
        }
        if any(self.disk.get(f"set/{n}") != content for n, (_, _, content) in wanted.items()):
            return self.refused(self.set.apply)
        plan = self.set.plan()
        assert {c.file: (c.action, c.new_label) for c in plan} == {
            name: choice[:2] for name, choice in wanted.items()
        }
        moves = [self.checked_move(change) for change in plan if change.to]
        assert len({to.casefold() for _, to in moves}) == len(moves)
        step = SimpleNamespace(
            moves=[(old, new, self.disk[old]) for old, new in moves],
            choices={name: self.choices[name] for name in wanted},
            folders=[],
            table=None,
        )
        after = dict(self.disk)
        for old, new, content in step.moves:
            del after[old]
            after[new] = content
            parent = new.rpartition("/")[0]
            if new.startswith("set/") and "/" in parent and parent not in after:
                after[parent] = None
                step.folders.append(parent)
        if self.layout == "table" and wanted:
            rows = [dict(row) for row in rows_of(self.disk["set/labels.csv"])]
            for row in rows:
                row["label"] = wanted.get(row["file"], (0, None))[1] or row["label"]
            gone = [name for name, choice in wanted.items() if choice[0] == "discard"]
            step.table = [self.disk["set/labels.csv"], None]
            after["set/labels.csv"] = [row for row in rows if row["file"] not in gone]
        if self.carried_out("apply", after, kill_at) and wanted:
            if step.table:
                step.table[1] = self.disk["set/labels.csv"]
            self.choices = {k: v for k, v in self.choices.items() if k not in wanted}
            self.done.append(step)
            self.undone = []

    def checked_move(self, change):
        """The names are the cleaner's to choose, within these rules."""
        old, new = PurePosixPath(change.file), PurePosixPath(change.to)
        place = "trash" if change.action == "discard" else "set"
        taken = [name.casefold() for name in self.disk if name.startswith(place)]
        assert f"{place}/{new}".casefold() not in taken
        assert new.suffix == old.suffix
        if change.action == "discard":
            assert new.parent == old.parent
        elif self.layout == "names":
            assert new.parent == old.parent and label_in_name(new) == change.new_label
        else:
            assert new.parent == old.parent.with_name(change.new_label)
            assert new.stem.startswith(old.stem.rstrip("0123456789"))
        return f"set/{old}", f"{place}/{new}"

    def undo(self, kill_at):
        if not self.done:
            return self.refused(self.set.undo)
        step = self.done[-1]
        backward = [(new, old, content) for old, new, content in step.moves]
        if not self.possible(backward, step.table and step.table[1]):
            return self.refused(self.set.undo)
        after = self.moved(backward, step.table and step.table[0])
        for folder in step.folders:
            if not any(name.startswith(f"{folder}/") for name in after):
                del after[folder]
        if self.carried_out("undo", after, kill_at):
            self.undone.append(self.done.pop())
            for _, new, _ in step.moves:
                self.choices.pop(new.removeprefix("set/"), None)
            self.choices |= step.choices

    def redo(self, kill_at):
        if not self.undone:
            return self.refused(self.set.redo)
        step = self.undone[-1]
        if not self.possible(step.moves, step.table and step.table[0]):
            return self.refused(self.set.redo)
        after = self.moved(step.moves, step.table and step.table[1])
        after |= dict.fromkeys(step.folders)
        if self.carried_out("redo", after, kill_at):
            self.done.append(self.undone.pop())
            self.choices = {k: v for k, v in self.choices.items() if k not in step.choices}

    def possible(self, moves, table):
        there = all(self.disk.get(old) == content for old, _, content in moves)
        free = not any(new in self.disk for _, new, _ in moves)
        return there and free and (not table or self.disk.get("set/labels.csv") == table)

    def moved(self, moves, table):
        after = dict(self.disk)
        for old, new, content in moves:
            del after[old]
            after[new] = content
        return after | ({"set/labels.csv": table} if table else {})

    def refused(self, do):
        with pytest.raises(CleanerError):
            do()

    def carried_out(self, do, after, kill_at):
        """Do it, killed or not: the disk is as before or as after. True if after."""
        if kill_at is None:
            getattr(self.set, do)()
        else:
            ended = self.kill(do, kill_at)
            self.kill("open", kill_at % 7)  # the putting back, too
            self.set = opened(self.layout, self.root)
        found = on_disk(self.root)
        if kill_at is not None and not ended and found == self.disk:
            return False
        if isinstance(after.get("set/labels.csv"), list):  # the rows decide, not the quotes
            assert rows_of(found["set/labels.csv"]) == after["set/labels.csv"]
            after = after | {"set/labels.csv": found["set/labels.csv"]}
        assert found == after
        self.disk = found
        return True

    def outside(self, what, which, label):
        """Another program does something in the set."""
        files = sorted(k for k, v in self.disk.items() if v is not None and k.startswith("set/"))
        files = [name for name in files if not name.endswith(("labels.csv", "link.jpg"))]
        if what == "row" and self.layout == "table":
            with (self.root / "labels.csv").open("a") as file:
                file.write(f"x,{random.random()}.jpg,{label},0\n")
        elif what == "add":
            name = {"names": f"{label}_{which}.jpg", "table": f"pics/{which},\r{which}.jpg"}.get(
                self.layout, f"{label}/a_{which}.jpg"
            )
            if (self.root / name).parent.is_dir() and not (self.root / name).exists():
                (self.root / name).write_bytes(os.urandom(8))
        elif files and what in ("edit", "remove"):
            path = self.root / files[which % len(files)][4:]
            path.unlink() if what == "remove" else path.write_bytes(os.urandom(8))
        self.disk = on_disk(self.root)

    def agrees(self):
        assert on_disk(self.root) == self.disk
        held = {name: (c.action, c.label) for name, c in self.set.choices().items()}
        assert held == {name: choice[:2] for name, choice in self.choices.items()}
        assert (self.set.undoable(), self.set.redoable()) == (len(self.done), len(self.undone))
        assert {p.file: p.label for p in self.set.pictures()} == self.labels()


STEP = st.fixed_dictionaries(
    {
        "do": st.sampled_from(["choose"] * 3 + ["apply"] * 4 + ["undo", "redo"] * 3 + ["outside"]),
        "which": st.lists(st.sampled_from(range(12)), min_size=1, max_size=3),
        "action": st.sampled_from(["discard", "relabel", "keep", "forget"]),
        "label": st.sampled_from([*LABELS, "polar"]),
        "kill_at": st.none() | st.sampled_from(range(2, 36)),
        "outside": st.sampled_from(["add", "edit", "remove", "row"]),
    }
)


@pytest.mark.parametrize("layout", ["folders", "splits", "names", "table"])
@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
@given(hard_links=st.booleans(), steps=st.lists(STEP, min_size=8, max_size=16))
def test_random_sequences_lose_nothing(kill, layout, hard_links, steps):
    """50 for each layout; every second Apply, Undo and Redo meets a SIGKILL."""
    with in_memory() as folder, links(hard_links):
        sequence = Sequence(layout, hard_links, folder, kill)
        for step in steps:
            run_step(sequence, **step)
            sequence.agrees()


def run_step(sequence, do, which, action, label, kill_at, outside):
    if do == "choose":
        sequence.choose(which, action, label)
    elif do == "outside":
        sequence.outside(outside, which[0], label)
        sequence.set = opened(sequence.layout, sequence.root)
    elif do == "undo":
        sequence.undo(kill_at)
    elif do == "redo" and sequence.undone:
        sequence.redo(kill_at)
    else:
        if not any(choice[0] != "keep" for choice in sequence.choices.values()):
            sequence.choose(which, "relabel" if action == "relabel" else "discard", label)
        sequence.apply(kill_at)


# -- killed, and several at once -------------------------------------------------------------------


@pytest.mark.parametrize("hard_links", [True, False])
@pytest.mark.parametrize("layout", ["folders", "table"])
def test_killed_at_every_touch_of_the_disk(kill, layout, hard_links):
    """Each touch in turn; the putting back is killed at each of its touches in turn as well."""
    with in_memory() as folder, links(hard_links):
        root = folder / "bears"
        make_set(layout, root)
        pictures = opened(layout, root)
        files = [picture.file for picture in pictures.pictures()]
        pictures.choose(files[:2], "discard")
        pictures.choose(files[-2:], "relabel", "polar", new_label=True)
        again = 0
        for do in ("apply", "undo", "redo"):
            before, choices = on_disk(root), pictures.choices()
            for kill_at in count():
                if kill(layout, root, hard_links, do, kill_at):
                    break
                again = 0 if kill(layout, root, hard_links, "open", again) else again + 1
                pictures.pictures()  # as good as opening it anew
                assert on_disk(root) == before and pictures.choices() == choices
            assert kill_at > 15 and on_disk(root) != before and pictures.choices() != choices


def test_killed_at_any_moment(tmp_path):
    """On a real disk, from outside: wherever SIGKILL hits, also inside SQLite."""
    root = tmp_path / "bears"
    pictures = make_many(root, 24)
    states = [on_disk(root)]
    pictures.apply()
    states.append(on_disk(root))
    server, half_way, kills = start(), 0, 0
    while kills < 10 or (half_way < 3 and kills < 100):
        send(server, layout="folders", root=root, do="to and fro", kill_at=None, hard_links=True)
        child = int(server.stdout.readline())
        time.sleep(random.uniform(0, 0.2))
        os.kill(child, signal.SIGKILL)
        assert int(server.stdout.readline()) == signal.SIGKILL
        kills, half_way = kills + 1, half_way + (on_disk(root) not in states)
        pictures = opened("folders", root)
        assert on_disk(root) == states[pictures.undoable()]
    server.communicate()
    assert half_way, "no kill hit a step half way"


def test_kernels_at_once_do_no_harm(tmp_path):
    root = tmp_path / "bears"
    pictures = make_many(root, 24)
    pictures.forget([picture.file for picture in pictures.pictures()])
    before = on_disk(root)
    kernels = [start() for _ in range(4)]
    order = {"layout": "folders", "root": root, "do": "every fourth", "kill_at": None}
    for begin, kernel in enumerate(kernels):
        send(kernel, **order, hard_links=True, begin=begin)
    assert [kernel.communicate()[0] for kernel in kernels] == ["0\n"] * 4
    after = on_disk(root)
    assert sum(name.startswith("trash/") for name in after) == 16
    assert sum(name.startswith("set/teddy/") for name in after) == 8
    assert sorted(filter(None, after.values())) == sorted(filter(None, before.values()))
    while pictures.undoable():
        pictures.undo()
    assert on_disk(root) == before


# -- nowhere to write ------------------------------------------------------------------------------


@pytest.mark.parametrize("task", ["full_disk", "read_only", "read_only_inside", "other_disk"])
def test_a_disk_that_refuses(tmp_path, task):
    """On a small disk of its own, which vanishes with the process."""
    if not shutil.which("unshare"):
        pytest.skip("no unshare here")
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    script = 'mount -t tmpfs -o size=512k tmpfs "$1" || exit 77; exec "$2" "$3" "$4" "$1"'
    command = ["unshare", *user, "--mount", "sh", "-c", script, "sh"]
    command += [tmp_path, sys.executable, TASKS, task]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip("mounting is not allowed here")
    print(done.stdout)
    assert done.returncode == 0, done.stdout + done.stderr


# -- names -----------------------------------------------------------------------------------------


@pytest.fixture
def root(tmp_path):
    return tmp_path / "bears"


def write(root, *names):
    for name in names:
        (root / name).parent.mkdir(parents=True, exist_ok=True)
        (root / name).write_bytes(name.encode())
    return PictureSet(ClassFolders(root))


def test_lists_what_fastai_finds(root):
    from fastai.data.transforms import get_image_files

    pictures = write(root, "train/black/a.jpg", "valid/grizzly/b.PNG", "teddy/c.webp")
    write(root, ".hidden/d.jpg", "teddy/.e.jpg", "teddy/notes.txt", "loose.jpg")
    (root / "polar").mkdir()
    assert [(p.file, p.split, p.label) for p in pictures.pictures()] == [
        ("teddy/c.webp", None, "teddy"),
        ("train/black/a.jpg", "train", "black"),
        ("valid/grizzly/b.PNG", "valid", "grizzly"),
    ]
    assert {root / p.file for p in pictures.pictures()} | {root / "loose.jpg"} == set(
        get_image_files(root)
    )
    assert pictures.labels() == ["black", "grizzly", "polar", "teddy"]


def test_takes_another_name_when_one_is_taken_between_plan_and_move(root):
    pictures = write(root, "black/a.jpg", "teddy/b.jpg")
    pictures.choose("black/a.jpg", "relabel", "teddy")
    taken, link = iter(["teddy/a.jpg", "teddy/a_2.jpg"]), os.link

    def late(source, target, **more):
        if name := next(taken, None):
            (root / name).write_bytes(b"somebody else's")
        link(source, target, **more)

    with mock.patch.object(os, "link", late):
        done = pictures.apply()
    assert [change.to for change in done] == ["teddy/a_3.jpg"]
    assert (root / "teddy/a_3.jpg").read_bytes() == b"black/a.jpg"
    assert {(root / f"teddy/a{n}.jpg").read_bytes() for n in ("", "_2")} == {b"somebody else's"}


def test_discards_the_same_name_twice(root):
    for number in range(3):
        pictures = write(root, "black/a.jpg")
        (root / "black/a.jpg").write_bytes(bytes([number]))
        pictures.choose("black/a.jpg", "discard")
        pictures.apply()
    trash = sorted((cleaning(root) / "trash/black").iterdir())
    assert [(path.name, path.read_bytes()) for path in trash] == [
        ("a.jpg", b"\0"),
        ("a_2.jpg", b"\1"),
        ("a_3.jpg", b"\2"),
    ]


def test_links(root, tmp_path):
    pictures = write(root, "black/a.jpg", "black/b.jpg", "teddy/c.jpg")
    (root / "black/to_b.jpg").symlink_to("b.jpg")
    (root / "black/nothing.jpg").symlink_to("nowhere.jpg")
    pictures.choose("black/to_b.jpg", "relabel", "teddy")
    with pytest.raises(CleanerError, match="point elsewhere"):
        pictures.apply()
    pictures.choose("black/b.jpg", "relabel", "teddy")
    pictures.forget("black/to_b.jpg")
    with pytest.raises(CleanerError, match="would point nowhere"):
        pictures.apply()
    pictures.choose(["black/to_b.jpg", "black/nothing.jpg"], "discard")
    before = on_disk(root)
    assert len(pictures.apply()) == 3
    pictures.undo()
    assert on_disk(root) == before
    (root / "grizzly").symlink_to(tmp_path)
    with pytest.raises(CleanerError, match="link to another folder"):
        pictures.pictures()


def test_a_set_may_be_opened_through_a_link_and_moved(root, tmp_path):
    pictures = write(root, "black/a.jpg", "teddy/b.jpg")
    (tmp_path / "shortcut").symlink_to(root)
    other = PictureSet(ClassFolders(tmp_path / "shortcut"))
    other.choose(tmp_path / "shortcut" / "black" / "a.jpg", "discard")
    assert pictures.choices() == other.choices() and len(pictures.choices()) == 1
    pictures.apply()
    root.rename(tmp_path / "elsewhere")
    cleaning(root).rename(tmp_path / "elsewhere.cleaning")
    PictureSet(ClassFolders(tmp_path / "elsewhere")).undo()
    assert (tmp_path / "elsewhere/black/a.jpg").read_bytes() == b"black/a.jpg"


# -- what is refused -------------------------------------------------------------------------------


def test_refuses_choices_that_make_no_sense(root, tmp_path):
    pictures = write(root, "black/a.jpg", "teddy/b.jpg")
    for files, action, label, because in [
        ("black/zz.jpg", "keep", None, "no picture black/zz.jpg"),
        (["black/a.jpg", "black/zz.jpg"], "discard", None, "no picture"),
        (tmp_path / "far.jpg", "keep", None, "is not in bears"),
        ("../far.jpg", "discard", None, "no picture"),
        ("black/a.jpg", "burn", None, "choose keep, discard, or relabel"),
        ("black/a.jpg", "relabel", None, "choose keep, discard, or relabel"),
        ("black/a.jpg", "keep", "teddy", "choose keep, discard, or relabel"),
        ("black/a.jpg", "relabel", "tedy", "none of the labels .black, teddy."),
        ("black/a.jpg", "relabel", "Teddy", "none of the labels .teddy."),
    ]:
        with pytest.raises(CleanerError, match=because):
            pictures.choose(files, action, label)
    for label in ("../teddy", "", ".hidden", "a/b"):
        with pytest.raises(CleanerError, match="cannot be the name of a folder"):
            pictures.choose("black/a.jpg", "relabel", label, new_label=True)
    assert pictures.choices() == {} and pictures.plan() == pictures.apply() == []
    for do in (pictures.undo, pictures.redo):
        with pytest.raises(CleanerError, match="nothing to"):
            do()
    for wrong in (tmp_path / "no", root / "black" / "a.jpg"):
        with pytest.raises(CleanerError, match="There is no folder"):
            ClassFolders(wrong)


def changed(root, name, how):
    if how == "gone":
        (root / name).unlink()
    else:
        (root / name).write_bytes(b"edited")


@pytest.mark.parametrize("how", ["gone", "edited"])
def test_a_changed_file_is_not_touched(root, how):
    pictures = write(root, "black/a.jpg", "black/b.jpg", "teddy/c.jpg")
    pictures.choose("black/a.jpg", "discard")
    pictures.choose("black/b.jpg", "relabel", "teddy")
    pictures.apply()
    changed(root, "teddy/b.jpg", how)
    before = on_disk(root)
    with pytest.raises(CleanerError, match=r"b.jpg was .* by another program: put it back"):
        pictures.undo()
    assert on_disk(root) == before
    (root / "teddy/b.jpg").write_bytes(b"black/b.jpg")
    pictures.undo()
    changed(root, "black/b.jpg", how)
    before = on_disk(root)
    for do in (pictures.redo, pictures.apply):
        with pytest.raises(CleanerError, match=r"b.jpg (was|is not in the set any more)"):
            do()
    assert on_disk(root) == before
    pictures.forget("black/b.jpg")
    assert [change.file for change in pictures.apply()] == ["black/a.jpg"]


def test_a_name_taken_since_stops_undo(root):
    pictures = write(root, "black/a.jpg", "black/b.jpg")
    pictures.choose(["black/a.jpg", "black/b.jpg"], "discard")
    pictures.apply()
    (root / "black/b.jpg").write_bytes(b"new")
    with pytest.raises(CleanerError, match=r"black/b.jpg is taken by another file"):
        pictures.undo()
    assert not (root / "black/a.jpg").exists() and pictures.undoable() == 1
    (root / "black/b.jpg").unlink()
    pictures.undo()
    assert (root / "black/b.jpg").read_bytes() == b"black/b.jpg"


def test_an_interrupted_step_waits_for_a_name_taken_since(kill, root):
    pictures = write(root, "black/a.jpg", "black/b.jpg")
    pictures.choose(["black/a.jpg", "black/b.jpg"], "discard")
    kill_at = 0
    while (root / "black/a.jpg").exists():
        assert not kill("folders", root, True, "apply", kill_at)
        kill_at += 1
    (root / "black/a.jpg").write_bytes(b"somebody else's")
    before = on_disk(root)
    with pytest.raises(CleanerError, match="Move that file away and open the set again"):
        PictureSet(ClassFolders(root))
    assert on_disk(root) == before
    (root / "black/a.jpg").rename(root / "black/theirs.jpg")
    PictureSet(ClassFolders(root))
    assert (root / "black/a.jpg").read_bytes() == b"black/a.jpg"
    assert len(PictureSet(ClassFolders(root)).apply()) == 2


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(errno.EIO, "the disk fails")])
def test_an_interrupted_cell_leaves_the_set_as_before(root, error):
    pictures = write(root, "black/a.jpg", "black/b.jpg", "teddy/c.jpg")
    pictures.choose(["black/a.jpg", "black/b.jpg"], "relabel", "teddy")
    before, calls, unlink = on_disk(root), count(), Path.unlink

    def interrupted(path, **more):
        if next(calls) == 1:
            raise error
        unlink(path, **more)

    expected = KeyboardInterrupt if isinstance(error, KeyboardInterrupt) else CleanerError
    with mock.patch.object(Path, "unlink", interrupted), pytest.raises(expected):
        pictures.apply()
    assert on_disk(root) == before and len(pictures.choices()) == 2
    assert len(pictures.apply()) == 2


def test_an_interrupt_after_the_last_write_leaves_the_set_as_after(root):
    pictures = write(root, "black/a.jpg", "teddy/b.jpg")
    pictures.choose("black/a.jpg", "discard")
    finish = pictures.journal.finish

    def interrupted(*arguments):
        finish(*arguments)
        raise KeyboardInterrupt

    with mock.patch.object(pictures.journal, "finish", interrupted):
        with pytest.raises(KeyboardInterrupt):
            pictures.apply()
        after = on_disk(root)
        assert "trash/black/a.jpg" in after and pictures.undoable() == 1
        with pytest.raises(KeyboardInterrupt):
            pictures.undo()
    assert "set/black/a.jpg" in on_disk(root) and pictures.redoable() == 1
    pictures.redo()
    assert on_disk(root) == after


# -- names and tables ------------------------------------------------------------------------------


def test_functions_that_do_not_fit_are_named(root):
    write(root, "black_1.jpg", "teddy_1.jpg")
    for rename, because in [
        (lambda path, label: f"../{label}_1.jpg", "without a folder"),
        (lambda path, label: f"{label}_1", "picture's file name"),
        (lambda path, label: path.name, "make the two functions agree"),
        (lambda path, label: path.nam, "AttributeError"),
    ]:
        pictures = PictureSet(FileNames(root, label_in_name, rename))
        with pytest.raises(CleanerError, match=because):
            pictures.choose("black_1.jpg", "relabel", "teddy")
        assert pictures.choices() == {}
    with pytest.raises(CleanerError, match=r"failed on black_1.jpg .IndexError"):
        FileNames(root, lambda path: path.name.split("-")[1], renamed)


def test_a_free_name_keeps_the_label(root):
    """fastai's pets: the number is cut off, so a second number behind it would change the label."""
    write(root, "Bombay_7.jpg", "great_dane_7.jpg", "great_dane_8.jpg")
    pictures = PictureSet(FileNames(root, label_in_name, renamed))
    pictures.choose("Bombay_7.jpg", "relabel", "great_dane")
    assert [change.to for change in pictures.apply()] == ["great_dane_9.jpg"]
    pictures.choose("great_dane_9.jpg", "relabel", "Bombay", new_label=True)
    assert [change.to for change in pictures.apply()] == ["Bombay_9.jpg"]


CSV = (
    b'\xef\xbb\xbffile,label,photo by,is_valid\r\na.jpg,black,"Ann, B.",True\r\n'
    b"./sub//b.jpg,teddy,,False\r\nc.jpg,teddy,x,False\r\nlost.jpg,black,,False\r\n"
)


@pytest.fixture
def table(root):
    write(root, "a.jpg", "sub/b.jpg", "c.jpg")
    (root / "labels.csv").write_bytes(CSV)
    return PictureSet(LabelTable(root, "labels.csv"))


def test_a_table_keeps_all_else(root, table):
    assert [(p.file, p.split, p.label) for p in table.pictures()] == [
        ("a.jpg", "valid", "black"),
        ("c.jpg", "train", "teddy"),
        ("lost.jpg", "train", "black"),
        ("sub/b.jpg", "train", "teddy"),
    ]
    table.choose("sub/b.jpg", "relabel", "black")
    table.choose(["c.jpg", "lost.jpg"], "discard")
    assert [(c.file, c.to) for c in table.apply()] == [
        ("c.jpg", "c.jpg"),
        ("lost.jpg", None),  # there was no file, so only its row goes
        ("sub/b.jpg", None),
    ]
    after = CSV.replace(b"b.jpg,teddy", b"b.jpg,black").replace(b"lost.jpg,black,,False\r\n", b"")
    after = after.replace(b"c.jpg,teddy,x,False\r\n", b"")
    assert (root / "labels.csv").read_bytes() == after
    assert CSV in [path.read_bytes() for path in (cleaning(root) / "tables").iterdir()]
    assert (cleaning(root) / "trash/c.jpg").read_bytes() == b"c.jpg"
    table.undo()
    assert (root / "labels.csv").read_bytes() == CSV


def test_a_table_edited_since_is_not_overwritten(root, table):
    table.choose("c.jpg", "discard")
    table.apply()
    after = (root / "labels.csv").read_bytes()
    (root / "labels.csv").write_bytes(after + b"new.jpg,teddy,,True\r\n")
    before = on_disk(root)
    with pytest.raises(CleanerError, match=r"another program has changed labels.csv"):
        table.undo()
    assert on_disk(root) == before
    table.choose("a.jpg", "relabel", "teddy")  # Apply goes on from what the table says now
    table.apply()
    assert b"new.jpg" in (root / "labels.csv").read_bytes()
    table.undo()
    assert on_disk(root) == before


@pytest.mark.parametrize(
    ("content", "because"),
    [
        ("name,label\na.jpg,black\n", "needs the columns file and label"),
        ("", "first row is empty"),
        ("file,label\na.jpg\n", "as many cells in each row"),
        ("file,label\na.jpg,x\n./a.jpg,y\n", "names a.jpg twice"),
        ("file,label\n../a.jpg,x\n", "no file in the set"),
        ("file,label\n/etc/a.jpg,x\n", "no file in the set"),
    ],
)
def test_a_table_that_cannot_be_used(root, content, because):
    write(root, "a.jpg")
    (root / "labels.csv").write_text(content)
    with pytest.raises(CleanerError, match=because):
        LabelTable(root, "labels.csv")
    with pytest.raises(CleanerError, match=r"no\.csv"):
        LabelTable(root, "no.csv")


def test_a_data_frame_begins_the_table_and_never_overwrites_it(root):
    write(root, "a.jpg", "b.jpg")
    frame = pd.DataFrame({"file": ["a.jpg", "b.jpg"], "label": ["black", "teddy"], "by": [None, 1]})
    pictures = PictureSet(LabelTable(root, "labels.csv", frame))
    assert (root / "labels.csv").read_text() == "file,label,by\na.jpg,black,\nb.jpg,teddy,1.0\n"
    LabelTable(root, "labels.csv", frame)  # the same cell once more
    pictures.choose("a.jpg", "relabel", "teddy")
    pictures.apply()
    with pytest.raises(CleanerError, match="differ: give the CSV alone"):
        LabelTable(root, "labels.csv", frame)
    assert LabelTable(root, "labels.csv", pd.read_csv(root / "labels.csv")).labels() == ["teddy"]


# -- the list of everything done -------------------------------------------------------------------


def test_history(root, tmp_path):
    pictures = write(root, "black/a.jpg", "black/=b,.jpg", "teddy/a.jpg")
    pictures.choose("black/a.jpg", "relabel", "teddy")
    pictures.choose("black/=b,.jpg", "discard")
    assert [change.sentence for change in pictures.plan()] == [
        "black/=b,.jpg: discard (black), moves to trash/black/=b,.jpg",
        "black/a.jpg: relabel black → teddy, becomes teddy/a_2.jpg",
    ]
    assert pictures.history() == []
    pictures.apply()
    pictures.undo()
    rows = pictures.history()
    assert [(row["did"], row["step"], row["file"], row["to"]) for row in rows] == [
        ("apply", 1, "black/=b,.jpg", "bears.cleaning/trash/black/=b,.jpg"),
        ("apply", 1, "black/a.jpg", "teddy/a_2.jpg"),
        ("undo", 1, "black/=b,.jpg", "bears.cleaning/trash/black/=b,.jpg"),
        ("undo", 1, "black/a.jpg", "teddy/a_2.jpg"),
    ]
    list_of_all = pictures.to_csv(tmp_path / "done.csv")
    assert [row["file"] for row in rows_of(list_of_all.read_bytes())] == [r["file"] for r in rows]
    pictures.redo()
    pictures.to_csv(tmp_path / "done.csv")
    assert len(rows_of(list_of_all.read_bytes())) == 6
    with pytest.raises(CleanerError, match="is another file"):
        pictures.to_csv(root / "teddy" / "a.jpg")
    assert (root / "teddy/a.jpg").read_bytes() == b"teddy/a.jpg"


def test_an_apply_after_undo_ends_what_could_be_redone(root):
    pictures = write(root, "black/a.jpg", "black/b.jpg", "teddy/c.jpg")
    for name in ("black/a.jpg", "black/b.jpg"):
        pictures.choose(name, "discard")
        pictures.apply()
    pictures.undo()
    pictures.undo()
    assert (pictures.undoable(), pictures.redoable()) == (0, 2)
    pictures.forget(["black/a.jpg", "black/b.jpg"])
    pictures.choose("teddy/c.jpg", "discard")
    pictures.apply()
    assert (pictures.undoable(), pictures.redoable()) == (1, 0)
    assert [row["did"] for row in pictures.history()] == ["apply", "apply", "undo", "undo", "apply"]


# -- the journal's file ----------------------------------------------------------------------------


def test_choices_survive_and_looking_leaves_nothing_behind(root):
    pictures = write(root, "black/a.jpg", "teddy/b.jpg")
    assert pictures.choices() == {} and pictures.plan() == [] and pictures.history() == []
    assert not cleaning(root).exists()
    pictures.choose("black/a.jpg", "relabel", "teddy")
    pictures.choose("teddy/b.jpg", "relabel", "teddy")  # as it is: keep
    held = PictureSet(ClassFolders(root)).choices()
    assert {file: (c.action, c.label) for file, c in held.items()} == {
        "black/a.jpg": ("relabel", "teddy"),
        "teddy/b.jpg": ("keep", None),
    }
    pictures.apply()
    assert list(pictures.choices()) == ["teddy/b.jpg"]


@pytest.mark.parametrize(
    ("spoil", "because"),
    [
        (lambda path: path.write_bytes(b"no database" * 500), "is damaged"),
        (lambda path: sqlite3.connect(path).execute("PRAGMA user_version = 9"), "newer version"),
    ],
)
def test_a_journal_that_cannot_be_used(root, spoil, because):
    pictures = write(root, "black/a.jpg")
    pictures.choose("black/a.jpg", "discard")
    spoil(cleaning(root) / "journal.sqlite")
    for do in (lambda: PictureSet(ClassFolders(root)), pictures.apply):
        with pytest.raises(CleanerError, match=because):
            do()
    assert (root / "black/a.jpg").exists()


def test_a_kernel_that_holds_the_set_is_named(root):
    pictures = write(root, "black/a.jpg")
    pictures.choose("black/a.jpg", "discard")
    with (
        mock.patch.object(module, "WAIT", 0.1),
        FileLock(cleaning(root) / "lock"),
        pytest.raises(CleanerError, match="another kernel is cleaning bears"),
    ):
        pictures.apply()
    assert len(pictures.apply()) == 1
