"""Small sets for test_cleaner_files.py, and what it does to them in processes it can kill.

Run as a program this reads one order per line, carries it out in a child of its own and answers
with the child's exit status. It imports neither fastai nor pytest: a small process forks fast.
"""

import csv
import errno
import json
import os
import signal
import subprocess
import sys
import types
from itertools import count
from pathlib import Path
from unittest import mock

ROOT = Path(__file__).parents[1]
if __name__ == "__main__":  # the package alone, without the widget its __init__ brings
    sys.path.insert(0, str(ROOT))
    sys.modules["utils.cleaner"] = types.ModuleType("utils.cleaner")
    sys.modules["utils.cleaner"].__path__ = [str(ROOT / "utils" / "cleaner")]

from utils.cleaner.files import (  # noqa: E402
    ClassFolders,
    CleanerError,
    FileNames,
    LabelTable,
    PictureSet,
)

TOUCHES = {"open", "os.link", "os.remove", "os.rename", "os.mkdir", "os.rmdir", "sqlite3.connect"}
LABELS = ("grizzly", "black", "teddy")

# Names that clash in other classes or on other systems, and names that are awkward.
FOLDERS = {
    "grizzly/a.jpg": b"1",
    "black/a.jpg": b"2",
    "teddy/A.JPG": b"3",
    "grizzly/a_2.jpg": b"4",
    "teddy/b\u0308 'q\" <i>\n.jpg": b"5",
    "black/\udcff.png": b"",  # bytes that are no text, and an empty file
}
NAMES = {
    "grizzly_1.jpg": b"1",
    "black_1.jpg": b"2",
    "teddy_1.JPG": b"3",
    "train/black_002.jpg": b"4",
    "train/grizzly_\u0663.jpg": b"5",
    "valid/grizzly_9.jpg": b"",
}
TABLE = {f"pics/{number},\r{number}.jpg": bytes([48 + number]) for number in range(5)}
TABLE |= {"loose.png": b""}


def label_in_name(path):
    return path.name.rpartition("_")[0]


def renamed(path, label):
    return f"{label}_{path.stem.rpartition('_')[2]}{path.suffix}"


def opened(layout, root):
    if layout == "names":
        return PictureSet(FileNames(root, label_in_name, renamed))
    return PictureSet(LabelTable(root, "labels.csv") if layout == "table" else ClassFolders(root))


def make_set(layout, root):
    """A small set in one of the layouts."""
    contents = {"names": NAMES, "table": TABLE}.get(layout, FOLDERS)
    for number, (name, content) in enumerate(contents.items()):
        split = ("train/", "valid/")[number % 2] if layout == "splits" else ""
        file = root / (split + name)
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(content)
    if layout in ("folders", "splits"):
        far = root.with_name("far.jpg")
        far.write_bytes(b"far")
        (next(root.rglob("a.jpg")).parent / "link.jpg").symlink_to(far)
    if layout == "table":
        with (root / "labels.csv").open("w", newline="") as file:
            writer = csv.writer(file)
            writer.writerow(["note", "file", "label", "is_valid"])
            for number, name in enumerate(TABLE):
                writer.writerow([f"n, {number}", name, LABELS[number % 3], number % 2])


def make_many(root, number):
    """So many pictures in two class folders; half of them are to be moved."""
    for index in range(number):
        file = root / LABELS[index % 2] / f"{index}.jpg"
        file.parent.mkdir(parents=True, exist_ok=True)
        file.write_bytes(f"picture {index}".encode())
    pictures = opened("folders", root)
    names = [picture.file for picture in pictures.pictures()]
    pictures.choose(names[: number // 4], "discard")
    pictures.choose(names[-number // 4 :], "relabel", "teddy", new_label=True)
    return pictures


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


def cleaning(root):
    return root.with_name(f"{root.name}.cleaning")


def no_hard_links():
    """As on a memory stick or in a cloud's folder."""
    return mock.patch.object(os, "link", side_effect=OSError(errno.EPERM, "no hard links here"))


# -- orders ----------------------------------------------------------------------------------------


def obey(order):
    """Carry out one order: `do` in a set, killed by SIGKILL at the so-manieth touch of the disk."""
    root, touches = Path(order["root"]), count()

    def hook(event, arguments):
        near = event in TOUCHES and str(arguments[0]).startswith(str(root))
        if near and next(touches) == order["kill_at"]:
            os.kill(os.getpid(), signal.SIGKILL)

    if not order["hard_links"]:
        no_hard_links().start()
    sys.addaudithook(hook)
    pictures = opened(order["layout"], root)
    TASKS[order["do"]](pictures, order)


def to_and_fro(pictures, order):
    print(os.getpid(), flush=True)
    while True:
        pictures.redo() if pictures.redoable() else pictures.undo()


def every_fourth(pictures, order):
    for index in range(order["begin"], 24, 4):
        file = f"{LABELS[index % 2]}/{index}.jpg"
        if index % 3:
            pictures.choose(file, "discard")
        else:
            pictures.choose(file, "relabel", "teddy", new_label=True)
        pictures.apply()


TASKS = {
    "open": lambda pictures, order: None,
    "apply": lambda pictures, order: pictures.apply(),
    "undo": lambda pictures, order: pictures.undo(),
    "redo": lambda pictures, order: pictures.redo(),
    "to and fro": to_and_fro,
    "every fourth": every_fourth,
}


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
        for spare in range(14):
            before, choices = on_disk(root), pictures.choices()
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
                assert "no room left" in str(error), error
                done = False
            filler.unlink()
            pictures = opened("folders", root)
            ended[done] += 1
            assert done or (on_disk(root) == before and pictures.choices() == choices)
            if done:
                break
    print(ended)
    assert ended[True] == 10 and ended[False] > 10


def read_only(folder):
    root = Path(folder) / "bears"
    pictures = make_many(root, 8)
    before, choices = on_disk(root), pictures.choices()
    untouched = Path(folder) / "untouched"
    make_set("folders", untouched)
    remount(folder, "ro")
    refused(pictures.apply, "read-only")
    refused(lambda: pictures.choose("grizzly/0.jpg", "keep"), "read-only")
    assert opened("folders", root).choices() == choices  # it can still be looked at
    refused(lambda: opened("folders", untouched).choose("black/a.jpg", "keep"), "read-only")
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
    refused(pictures.apply, "read-only")
    subprocess.run(["umount", black], check=True)
    assert on_disk(root) == before and len(pictures.apply()) == 4


def other_disk(folder):
    """The set is a disk of its own, so the trash beside it is on another."""
    root = Path(folder)
    for name in "ab":
        (root / "black").mkdir(exist_ok=True)
        (root / "black" / f"{name}.jpg").write_bytes(name.encode())
    pictures, before = opened("folders", root), on_disk(root)
    pictures.choose("black/a.jpg", "discard")
    refused(pictures.apply, "different disks")
    assert on_disk(root) == before and pictures.choices()
    pictures.choose("black/a.jpg", "relabel", "teddy", new_label=True)
    assert len(pictures.apply()) == 1


def remount(folder, how):
    subprocess.run(["mount", "-o", f"remount,bind,{how}", folder], check=True)


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
