"""The cleaner's files: random sequences, kills, crowds, full and read-only disks, odd names."""

import errno
import os
import shutil
import signal
import subprocess
import sys
import tempfile
from contextlib import contextmanager
from functools import partial
from itertools import count
from pathlib import Path
from unittest import mock

import pytest
from cleaner_tasks import LABELS, cleaning, make_many, make_set, on_disk, send, start
from filelock import FileLock
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from utils.cleaner import folder as module
from utils.cleaner.folder import CleanerError, PictureFolder

TASKS = Path(__file__).with_name("cleaner_tasks.py")
MEMORY = Path("/dev/shm")  # a disk in memory makes waiting for the disk cheap


@contextmanager
def in_memory():
    with tempfile.TemporaryDirectory(dir=MEMORY if MEMORY.is_dir() else None) as folder:
        yield Path(folder)


@pytest.fixture(scope="module")
def kill():
    """Do something to a set in another process, and kill that at some touch of the disk."""
    if not hasattr(os, "fork"):
        pytest.skip("no SIGKILL here")
    server = start()

    def do(root, what, kill_at):
        """True when it came to its end."""
        send(server, root=root, do=what, kill_at=kill_at)
        status = int(server.stdout.readline())
        assert status in (0, signal.SIGKILL), status
        return status == 0

    yield do
    server.stdin.close()
    assert server.wait(timeout=10) == 0


# -- random sequences against a model --------------------------------------------------------------


class Sequence:
    """The disk is a dict; Apply, Undo and Redo move its keys, or are refused."""

    def __init__(self, folder, splits, kill):
        self.root = folder / "be ars"
        make_set(self.root, splits)
        self.kill = partial(kill, self.root)
        self.set = PictureFolder(self.root)
        self.disk = self.found()
        self.chosen = {}  # file → action, label, content
        self.done, self.undone = [], []  # each step: its moves and its choices

    def found(self):
        return {
            name: content for name, content in on_disk(self.root).items() if content is not None
        }

    def pictures(self):
        return sorted(name[4:] for name in self.disk if name.startswith("set/"))

    def choose(self, which, action, label):
        pictures = self.pictures()
        names = {pictures[number % len(pictures)] for number in which if pictures}
        if action == "forget":
            self.set.forget(names)
        else:
            self.set.choose(names, action, label if action == "relabel" else None, new=True)
        for name in names:
            self.chosen.pop(name, None)
            as_it_is = action == "relabel" and name.split("/")[-2] == label
            if action in ("discard", "relabel") and not as_it_is:
                wanted = label if action == "relabel" else None
                self.chosen[name] = action, wanted, self.disk[f"set/{name}"]

    def apply(self, kill_at):
        plan, moves = self.set.plan(), []
        assert {c.file: (c.action, c.new_label) for c in plan} == {
            name: choice[:2] for name, choice in self.chosen.items()
        }
        for change in (change for change in plan if not change.problem):
            old, new = Path(change.file), Path(change.to)
            place = "trash" if change.action == "discard" else "set"
            taken = [name.casefold() for name in self.disk if name.startswith(place)]
            assert f"{place}/{new}".casefold() not in taken
            assert (new.suffix, new.stem[:1]) == (old.suffix, old.stem[:1])
            assert new.parent.parent == old.parent.parent
            assert new.parent.name == (change.new_label or old.parent.name)
            moves.append((f"set/{old}", f"{place}/{new}", self.chosen[change.file][2]))
        assert len({new.casefold() for _, new, _ in moves}) == len(moves)
        possible = len(moves) == len(plan)
        if self.carried_out("apply", moves if possible else None, kill_at) and plan:
            self.done.append((moves, self.chosen))
            self.chosen, self.undone = {}, []

    def undo(self, kill_at):
        moves, choices = self.done[-1] if self.done else (None, {})
        back = moves and [(new, old, content) for old, new, content in moves]
        if self.carried_out("undo", back, kill_at):
            self.undone.append(self.done.pop())
            for _, new, _ in moves:
                self.chosen.pop(new.removeprefix("set/"), None)
            self.chosen = self.chosen | choices

    def redo(self, kill_at):
        moves, choices = self.undone[-1] if self.undone else (None, {})
        if self.carried_out("redo", moves, kill_at):
            self.done.append(self.undone.pop())
            self.chosen = {k: v for k, v in self.chosen.items() if k not in choices}

    def carried_out(self, do, moves, kill_at):
        """Do it, killed or not: the disk is as before or as after. True if after."""
        after = dict(self.disk)
        for old, new, content in moves or ():
            if after.get(old) != content or new in after:
                moves = None
                break
            after[new] = after.pop(old)
        if moves is None:
            with pytest.raises(CleanerError):
                getattr(self.set, do)()
            return False
        if kill_at is None:
            getattr(self.set, do)()
        else:
            ended = self.kill(do, kill_at)
            self.kill("open", kill_at % 7)  # the taking back, too
            self.set = PictureFolder(self.root)
            if not ended and self.found() == self.disk:
                return False
        self.disk = after
        return True

    def outside(self, what, which, label):
        """Another program does something in the set."""
        files = [n for n in self.pictures() if not n.endswith("link.jpg")]
        path = self.root / (files[which % len(files)] if files else "")
        if what == "add":
            path = self.root / label / f"a_{which}.jpg"
            if path.parent.is_dir() and not path.exists():
                path.write_bytes(os.urandom(8))
        elif files:
            path.unlink() if what == "remove" else path.write_bytes(os.urandom(8))
        self.disk = self.found()

    def agrees(self):
        assert self.found() == self.disk
        journal = PictureFolder(self.root).journal()
        pending = [change for change in journal.choices.values() if change.action != "keep"]
        assert {c.file: (c.action, c.new_label) for c in pending} == {
            name: choice[:2] for name, choice in self.chosen.items()
        }
        assert (len(journal.done), len(journal.undone)) == (len(self.done), len(self.undone))
        assert [picture.file for picture in self.set.pictures()] == self.pictures()


STEP = st.fixed_dictionaries(
    {
        "do": st.sampled_from(["choose"] * 3 + ["apply"] * 4 + ["undo", "redo"] * 3 + ["outside"]),
        "which": st.lists(st.sampled_from(range(12)), min_size=1, max_size=3),
        "action": st.sampled_from(["discard", "relabel", "keep", "forget"]),
        "label": st.sampled_from([*LABELS, "polar"]),
        "kill_at": st.none() | st.sampled_from(range(2, 36)),
        "outside": st.sampled_from(["add", "edit", "remove"]),
    }
)


@pytest.mark.parametrize("splits", [False, True])
@settings(max_examples=50, deadline=None, suppress_health_check=list(HealthCheck))
@given(steps=st.lists(STEP, min_size=8, max_size=16))
def test_random_sequences_lose_nothing(kill, splits, steps):
    """Every second Apply, Undo and Redo meets a SIGKILL."""
    with in_memory() as folder:
        sequence = Sequence(folder, splits, kill)
        for step in steps:
            do = step["do"]
            if do == "outside":
                sequence.outside(step["outside"], step["which"][0], step["label"])
            elif do == "choose" or (do == "apply" and not sequence.chosen):
                sequence.choose(step["which"], step["action"], step["label"])
            else:
                getattr(sequence, do)(step["kill_at"])
            sequence.agrees()


# -- killed, and several at once -------------------------------------------------------------------


@pytest.mark.parametrize("splits", [False, True])
def test_killed_at_every_touch_of_the_disk(kill, splits):
    """Each touch in turn; the taking back is killed at each of its touches in turn as well."""
    with in_memory() as folder:
        root = folder / "bears"
        make_set(root, splits)
        pictures = PictureFolder(root)
        files = [picture.file for picture in pictures.pictures()]
        pictures.choose(files[:3], "discard")
        pictures.choose(files[-2:], "relabel", "polar", new=True)
        again, states = 0, [on_disk(root)]
        for do in ("apply", "undo", "redo"):
            journal = pictures.journal()
            for kill_at in count():
                ended = kill(root, do, kill_at)
                again = 0 if kill(root, "open", again) else again + 1
                if ended or pictures.journal() != journal:  # as good as opening it anew
                    break
                assert on_disk(root) == states[-1]
            assert kill_at > 15
            states.append(on_disk(root))
        assert states[:2] == states[2:] and states[0] != states[1]


def test_killed_at_any_moment():
    if not hasattr(os, "fork"):
        pytest.skip("no SIGKILL here")
    subprocess.run([sys.executable, TASKS, "kills", "20"], check=True)


def test_kernels_at_once_do_no_harm(kill, tmp_path):
    root = tmp_path / "bears"
    pictures = make_many(root, 24)
    pictures.forget([picture.file for picture in pictures.pictures()])
    before = on_disk(root)
    kernels = [start() for _ in range(4)]
    for begin, kernel in enumerate(kernels):
        send(kernel, root=root, do="every fourth", kill_at=None, begin=begin)
    assert [kernel.communicate()[0] for kernel in kernels] == ["0\n"] * 4
    after = on_disk(root)
    assert sum(name.startswith("trash/") for name in after) == 16
    assert sum(name.startswith("set/teddy/") for name in after) == 8
    assert sorted(filter(None, after.values())) == sorted(filter(None, before.values()))
    while pictures.journal().done:
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
    return PictureFolder(root)


def test_lists_what_fastai_finds(root, tmp_path):
    from fastai.data.transforms import get_image_files

    pictures = write(root, "Train/black/a.jpg", "val/grizzly/b.PNG", "teddy/c.webp")
    write(root, ".hidden/d.jpg", "teddy/.e.jpg", "teddy/notes.txt", "loose.jpg", "val/n/in/f.jpg")
    (root / "polar").mkdir()
    (root / "test").mkdir()
    (root / "teddy/link.jpg").symlink_to("nowhere.jpg")
    assert [(p.file, p.split, p.label) for p in pictures.pictures()] == [
        ("Train/black/a.jpg", "train", "black"),
        ("teddy/c.webp", None, "teddy"),
        ("teddy/link.jpg", None, "teddy"),
        ("val/grizzly/b.PNG", "valid", "grizzly"),
        ("val/n/in/f.jpg", "valid", "in"),
    ]
    found = {root / picture.file for picture in pictures.pictures()}
    assert found | {root / "loose.jpg"} == set(get_image_files(root))
    assert pictures.labels() == ["black", "grizzly", "in", "polar", "teddy"]
    (root / "grizzly").symlink_to(tmp_path)
    with pytest.raises(CleanerError, match="grizzly is a link to another folder"):
        pictures.pictures()


def test_a_name_taken_at_the_last_moment_is_not_overwritten(root):
    pictures = write(root, "black/a.jpg", "black/b.jpg", "teddy/c.jpg")
    pictures.choose(["black/a.jpg", "black/b.jpg"], "relabel", "teddy")
    before, move = on_disk(root), module.move

    def late(source, target):
        if target.name == "b.jpg" and not target.exists():
            target.write_bytes(b"somebody else's")
        move(source, target)

    refused = pytest.raises(CleanerError, match=r"Nothing was changed: .*teddy/b.jpg is taken by")
    with mock.patch.object(module, "move", late), refused:
        pictures.apply()
    assert on_disk(root) == before | {"set/teddy/b.jpg": b"somebody else's"}
    assert [change.to for change in pictures.apply()] == ["teddy/a.jpg", "teddy/b_2.jpg"]


def test_discards_the_same_name_twice(root):
    for number in range(3):
        pictures = write(root, "black/a.jpg")
        (root / "black/a.jpg").write_bytes(bytes([number]))
        pictures.choose("black/a.jpg", "discard")
        pictures.apply()
    trash = sorted((cleaning(root) / "trash/black").iterdir())
    names = ["a.jpg", "a_2.jpg", "a_3.jpg"]
    assert [(path.name, path.read_bytes()) for path in trash] == [
        (name, bytes([number])) for number, name in enumerate(names)
    ]


def test_a_set_may_be_opened_through_a_link_and_moved(root, tmp_path):
    pictures = write(root, "black/a.jpg", "teddy/b.jpg")
    (tmp_path / "shortcut").symlink_to(root)
    PictureFolder(tmp_path / "shortcut").choose(Path("black/a.jpg"), "discard")
    assert list(pictures.journal().choices) == ["black/a.jpg"]
    pictures.apply()
    root.rename(tmp_path / "elsewhere")
    cleaning(root).rename(tmp_path / "elsewhere.cleaning")
    PictureFolder(tmp_path / "elsewhere").undo()
    assert (tmp_path / "elsewhere/black/a.jpg").read_bytes() == b"black/a.jpg"


# -- what is refused -------------------------------------------------------------------------------


def test_refuses_choices_that_make_no_sense(root, tmp_path):
    pictures = write(root, "black/a.jpg", "teddy/b.jpg")
    for files, action, label, because in [
        ("black/zz.jpg", "keep", None, "no picture black/zz.jpg in bears"),
        (["black/a.jpg", "black/zz.jpg"], "discard", None, "no picture"),
        (tmp_path / "far.jpg", "keep", None, "no picture"),
        ("../far.jpg", "discard", None, "no picture"),
        ("black/a.jpg", "relabel", "tedy", "none of the labels .black, teddy."),
        ("black/a.jpg", "relabel", "Teddy", "none of the labels .teddy."),
        ("black/a.jpg", "relabel", None, "none of the labels"),
        ("black/a.jpg", "remove", None, "'remove' is not keep, relabel or discard"),
    ]:
        with pytest.raises(CleanerError, match=because):
            pictures.choose(files, action, label)
    for label in ("../teddy", "", ".hidden", "a/b", "Teddy"):
        with pytest.raises(
            CleanerError, match=r"none of the labels .* needs new_label=True, and must be a name"
        ):
            pictures.choose("black/a.jpg", "relabel", label, new=True)
    assert pictures.journal().choices == {} and pictures.plan() == pictures.apply() == []
    for do in (pictures.undo, pictures.redo):
        with pytest.raises(CleanerError, match="nothing to"):
            do()
    for wrong in (tmp_path / "no", root / "black" / "a.jpg"):
        with pytest.raises(CleanerError, match="There is no folder"):
            PictureFolder(wrong)


@pytest.mark.parametrize("content", [None, b"edited"])
def test_a_changed_file_is_not_touched(root, content):
    def change(file):
        (root / file).write_bytes(content) if content else (root / file).unlink()

    pictures = write(root, "black/a.jpg", "black/b.jpg", "teddy/c.jpg")
    pictures.choose("black/a.jpg", "discard")
    pictures.choose("black/b.jpg", "relabel", "teddy")
    pictures.apply()
    change("teddy/b.jpg")
    before = on_disk(root)
    with pytest.raises(CleanerError, match=r"b.jpg was .* by another program: put it back"):
        pictures.undo()
    assert on_disk(root) == before
    (root / "teddy/b.jpg").write_bytes(b"black/b.jpg")
    pictures.undo()
    change("black/b.jpg")
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
    with pytest.raises(CleanerError, match=r"Nothing was changed: .*black/b.jpg is taken by"):
        pictures.undo()
    assert not (root / "black/a.jpg").exists() and len(pictures.journal().done) == 1
    (root / "black/b.jpg").unlink()
    pictures.undo()
    assert (root / "black/b.jpg").read_bytes() == b"black/b.jpg"


def test_an_interrupted_step_waits_for_a_name_taken_since(kill, root):
    pictures = write(root, "black/a.jpg", "black/b.jpg")
    pictures.choose(["black/a.jpg", "black/b.jpg"], "discard")
    for kill_at in count():
        assert not kill(root, "apply", kill_at)
        if not (root / "black/a.jpg").exists():
            break
    (root / "black/a.jpg").write_bytes(b"somebody else's")
    before = on_disk(root)
    with pytest.raises(CleanerError, match=r"move that file away.*Nothing is lost.*open the set"):
        PictureFolder(root)
    assert on_disk(root) == before
    (root / "black/a.jpg").rename(root / "black/theirs.jpg")
    assert len(PictureFolder(root).apply()) == 2


@pytest.mark.parametrize("do", ["undo", "redo"])
def test_of_several_steps_the_killed_one_is_taken_back(kill, root, do):
    pictures = write(root, "black/a.jpg", "black/b.jpg", "black/c.jpg")
    for file in ("black/a.jpg", "black/b.jpg"):
        pictures.choose(file, "discard")
        pictures.apply()
    if do == "redo":
        pictures.undo()
        pictures.undo()
    before = on_disk(root)
    for kill_at in count():
        assert not kill(root, do, kill_at)
        if on_disk(root) != before:
            break
    PictureFolder(root)
    assert on_disk(root) == before


@pytest.mark.parametrize("error", [KeyboardInterrupt(), OSError(errno.EIO, "the disk fails")])
@pytest.mark.parametrize("moves", [1, 2])
def test_an_interrupted_cell_leaves_the_set_as_before(root, error, moves):
    pictures = write(root, "black/a.jpg", "black/b.jpg", "teddy/c.jpg")
    pictures.choose(["black/a.jpg", "black/b.jpg"], "relabel", "polar", new=True)
    before, calls, move = on_disk(root), count(1), module.move

    def interrupted(source, target):
        move(source, target)
        if next(calls) == moves:
            raise error

    expected = KeyboardInterrupt if isinstance(error, KeyboardInterrupt) else CleanerError
    with mock.patch.object(module, "move", interrupted), pytest.raises(expected):
        pictures.apply()
    assert on_disk(root) == before and len(pictures.journal().choices) == 2
    assert len(pictures.apply()) == 2


def test_an_interrupt_after_the_last_write_leaves_the_set_as_after(root):
    pictures = write(root, "black/a.jpg", "teddy/b.jpg")
    pictures.choose("black/a.jpg", "discard")
    write_whole = module.write_whole

    def interrupted(path, content):
        write_whole(path, content)
        if '"doing": ""' in content:
            raise KeyboardInterrupt

    with mock.patch.object(module, "write_whole", interrupted):
        with pytest.raises(KeyboardInterrupt):
            pictures.apply()
        after = on_disk(root)
        assert "trash/black/a.jpg" in after and len(pictures.journal().done) == 1
        with pytest.raises(KeyboardInterrupt):
            pictures.undo()
    assert "set/black/a.jpg" in on_disk(root) and len(pictures.journal().undone) == 1
    pictures.redo()
    assert on_disk(root) == after


def test_a_step_that_cannot_be_taken_back_yet(root):
    pictures = write(root, "black/a.jpg", "black/b.jpg")
    pictures.choose(["black/a.jpg", "black/b.jpg"], "discard")
    before, move = on_disk(root), module.move

    def fails(source, target):
        if source.name == "b.jpg" or "trash" in str(source):
            raise OSError(errno.EIO, "the disk fails")
        move(source, target)

    with (
        mock.patch.object(module, "move", fails),
        pytest.raises(CleanerError, match=r"stopped half way.*Nothing is lost"),
    ):
        pictures.apply()
    assert on_disk(root) != before
    PictureFolder(root)
    assert on_disk(root) == before


# -- what is remembered ----------------------------------------------------------------------------


def test_choices_survive_and_looking_leaves_nothing_behind(root):
    pictures = write(root, "black/a.jpg", "teddy/b.jpg")
    assert pictures.journal().choices == {} and pictures.plan() == []
    assert not cleaning(root).exists()
    pictures.choose("black/a.jpg", "relabel", "teddy")
    pictures.choose("teddy/b.jpg", "relabel", "teddy")  # as it is: keep
    held = PictureFolder(root).journal().choices
    assert {file: change.choice for file, change in held.items()} == {
        "black/a.jpg": "relabel to teddy",
        "teddy/b.jpg": "keep",
    }
    assert held["teddy/b.jpg"].content is None  # not read for that
    pictures.apply()
    assert list(pictures.journal().choices) == ["teddy/b.jpg"]


@pytest.mark.parametrize(
    "content", [b"no journal", b"{}", b'{"choices": {"a": {"new": 1}}}', b"[]"]
)
def test_a_journal_that_cannot_be_used(root, content):
    pictures = write(root, "black/a.jpg")
    pictures.choose("black/a.jpg", "discard")
    (cleaning(root) / "journal.json").write_bytes(content)
    for do in (lambda: PictureFolder(root), pictures.apply):
        with pytest.raises(CleanerError, match="damaged or of a newer course"):
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
