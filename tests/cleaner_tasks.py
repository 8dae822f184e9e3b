"""Small sets for test_cleaner_files.py, and what it does to them in processes it can kill.

As a program: `serve` reads one order per line, carries it out in a child of its own and answers
with the child's exit status; `kills 500` kills Apply, Undo and Redo so often at a random moment,
and prints what came of it. It imports neither fastai nor pytest: a small process forks fast.
"""

import json
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
import types
from itertools import count
from pathlib import Path

ROOT = Path(__file__).parents[1]
if __name__ == "__main__":  # the package alone, without the widget its __init__ brings
    sys.path.insert(0, str(ROOT))
    sys.modules["utils.cleaner"] = types.ModuleType("utils.cleaner")
    sys.modules["utils.cleaner"].__path__ = [str(ROOT / "utils" / "cleaner")]

from utils.cleaner.folder import CleanerError, PictureFolder  # noqa: E402

TOUCHES = {"open", "os.link", "os.remove", "os.rename", "os.mkdir", "os.rmdir"}
LABELS = ("grizzly", "black", "teddy")

# Names that clash in other classes or on other systems, and names that are awkward.
FILES = {
    "grizzly/a.jpg": b"1",
    "black/a.jpg": b"2",
    "teddy/A.JPG": b"3",
    "grizzly/a_2.jpg": b"4",
    "teddy/b\u0308 'q\" <i>\n.jpg": b"5",
    "black/\udcff.png": b"",  # bytes that are no text, and an empty file
}


def make_set(root, splits=False):
    for number, (name, content) in enumerate(FILES.items()):
        file = root / (("train/", "valid/")[number % 2] if splits else "") / name
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    far = root.with_name("far.jpg")
    far.write_bytes(b"far")
    (next(root.rglob("a.jpg")).parent / "link.jpg").symlink_to(far)


def make_many(root, number):
    """So many pictures in two class folders; half of them are to be moved."""
    for index in range(number):
        file = root / LABELS[index % 2] / f"{index}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(f"picture {index}".encode())
    pictures = PictureFolder(root)
    names = [picture.file for picture in pictures.pictures()]
    pictures.choose(names[: number // 4], "discard")
    pictures.choose(names[-number // 4 :], "relabel", "teddy", new=True)
    return pictures


def cleaning(root):
    return root.with_name(f"{root.name}.cleaning")


def on_disk(root):
    """Everything in the set and in the trash: names with contents; folders of the set with None."""
    found = {}
    for place, folder in (("set", root), ("trash", cleaning(root) / "trash")):
        for path in folder.rglob("*"):
            name = f"{place}/{path.relative_to(folder).as_posix()}"
            if path.is_symlink():
                found[name] = f"link to {path.readlink()}".encode()
            elif path.is_file():
                found[name] = path.read_bytes()
            elif place == "set":
                found[name] = None
    return found


# -- orders ----------------------------------------------------------------------------------------


def start():
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    return subprocess.Popen([sys.executable, __file__, "serve"], **pipes)


def send(server, **order):
    print(json.dumps(order, default=str), file=server.stdin, flush=True)


def serve():
    for line in sys.stdin:
        child = os.fork()
        if child == 0:
            try:
                obey(json.loads(line))
                os._exit(0)
            except BaseException as error:
                os.write(2, f"{type(error).__name__}: {error}\n".encode())
                os._exit(1)
        print(os.waitpid(child, 0)[1], flush=True)


def obey(order):
    """Carry out one order: `do` in a set, killed by SIGKILL at the so-manieth touch of the disk."""
    root, touches = Path(order["root"]), count()

    def hook(event, arguments):
        near = event in TOUCHES and str(arguments[0]).startswith(str(root))
        if near and next(touches) == order["kill_at"]:
            os.kill(os.getpid(), signal.SIGKILL)

    sys.addaudithook(hook)
    pictures = PictureFolder(root)
    if order["do"] == "to and fro":
        print(os.getpid(), flush=True)
        while True:
            pictures.redo() if pictures.journal().undone else pictures.undo()
    elif order["do"] == "every fourth":
        for index in range(order["begin"], 24, 4):
            action = "discard" if index % 3 else "relabel"
            label = "teddy" if action == "relabel" else None
            pictures.choose(f"{LABELS[index % 2]}/{index}.jpg", action, label, new=True)
            pictures.apply()
    elif order["do"] != "open":
        getattr(pictures, order["do"])()


def kills(number):
    """On a real disk, from outside: wherever SIGKILL hits, the disk is as before or as after."""
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder) / "bears"
        pictures = make_many(root, 24)
        states = [on_disk(root)]
        pictures.apply()
        states.append(on_disk(root))
        server, half_way, lost, number = start(), 0, 0, int(number)
        for kill in count(1):
            send(server, root=root, do="to and fro", kill_at=None)
            child = int(server.stdout.readline())
            time.sleep(random.uniform(0, 0.1))
            os.kill(child, signal.SIGKILL)
            assert int(server.stdout.readline()) == signal.SIGKILL
            half_way += on_disk(root) not in states
            pictures = PictureFolder(root)
            lost += on_disk(root) != states[len(pictures.journal().done)]
            if kill >= number and half_way:  # on a busy machine a process gets little done
                break
        server.communicate()
    print(f"{kill} kills, {half_way} of them half way: {lost} sets neither as before nor as after")
    assert not lost


# -- disks of their own ----------------------------------------------------------------------------


def refused(do, because):
    try:
        do()
    except CleanerError as error:
        print(error)
        assert because in str(error) and "Nothing was changed" in str(error), error
    else:
        raise AssertionError("it was not refused")


def full_disk(folder):
    """Apply and Undo with ever less room, down to none: done whole, or refused whole."""
    root = Path(folder) / "bears"
    pictures = make_many(root, 40)
    filler, ended = Path(folder) / "filler", {True: 0, False: 0}
    for do in ("apply", "undo", "redo", "undo", "apply") * 2:
        for spare in range(20):
            before, choices = on_disk(root), pictures.journal().choices
            with filler.open("wb", buffering=0) as file:
                try:
                    while True:
                        file.write(b"x" * 4096)
                except OSError:
                    file.truncate(max(0, file.tell() // 4096 - spare) * 4096)
            try:
                getattr(pictures, do)()
                done = True
            except CleanerError as error:
                assert "No space left" in str(error), error
                done = False
            filler.unlink()
            pictures = PictureFolder(root)
            ended[done] += 1
            assert done or (on_disk(root) == before and pictures.journal().choices == choices)
            if done:
                break
    print(ended)
    assert ended[True] == 10 and ended[False] > 10


def read_only(folder):
    root, untouched = Path(folder) / "bears", Path(folder) / "untouched"
    pictures = make_many(root, 8)
    before, choices = on_disk(root), pictures.journal().choices
    make_set(untouched)
    remount(folder, "ro")
    refused(pictures.apply, "Read-only")
    refused(lambda: pictures.choose("grizzly/0.jpg", "keep"), "Read-only")
    assert PictureFolder(root).journal().choices == choices  # it can still be looked at
    refused(lambda: PictureFolder(untouched).choose("black/a.jpg", "keep"), "Read-only")
    remount(folder, "rw")
    assert on_disk(root) == before and not cleaning(untouched).exists()
    assert len(pictures.apply()) == 4


def read_only_inside(folder):
    """Only one class folder is read-only: the others are not touched either."""
    root = Path(folder) / "bears"
    pictures = make_many(root, 8)
    before = on_disk(root)
    black = root / "black"
    subprocess.run(["mount", "--bind", black, black], check=True)
    remount(black, "ro")
    refused(pictures.apply, "set on one disk")  # the mount makes it another disk as well
    subprocess.run(["umount", black], check=True)
    assert on_disk(root) == before and len(pictures.apply()) == 4


def other_disk(folder):
    """The set is a disk of its own, so the trash beside it is on another."""
    root = Path(folder)
    for name in "ab":
        (root / "black").mkdir(exist_ok=True)
        (root / "black" / f"{name}.jpg").write_bytes(name.encode())
    pictures, before = PictureFolder(root), on_disk(root)
    pictures.choose("black/a.jpg", "discard")
    refused(pictures.apply, "set on one disk")
    assert on_disk(root) == before and pictures.journal().choices
    pictures.choose("black/a.jpg", "relabel", "teddy", new=True)
    assert len(pictures.apply()) == 1


def remount(folder, how):
    subprocess.run(["mount", "-o", f"remount,bind,{how}", folder], check=True)


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
