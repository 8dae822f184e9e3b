"""Kill the course while it writes: no acknowledged answer is lost, and no picture.

`make kills` kills one of two processes that write a file of answers, 2,000 times, and a cleaner
during Apply, Undo and Redo, 500 times, with SIGKILL at a random moment, and prints what is lost.
`python tests/bench_kills.py 200 50` does fewer. Who is killed is forked from this process, which
has imported the course already.
"""

import os
import random
import sys
import time
from collections.abc import Callable
from contextlib import suppress
from itertools import count, cycle
from multiprocessing import get_context
from multiprocessing.process import BaseProcess
from pathlib import Path
from tempfile import TemporaryDirectory

from PIL import Image

from utils.cleaner import Cleaner, CleanerError
from utils.quiz.journal import Journal

FORK = get_context("fork")
A_FOLDER = 20  # kills; then what is there is counted, and another file or set begun
LABELS, PICTURES = ("black", "grizzly", "teddy"), 24


def answer(key: str) -> str:
    """What is answered to a question: up to three pages of the file."""
    return f"{key}: <script>é</script> " + "x" * (int(key.rpartition("-")[2]) * 997 % 9000)


def write_answers(folder: Path, log: Path) -> None:
    """Record answers until killed; each line of `log` but the first acknowledges one."""
    journal = Journal(folder / "answers.sqlite3")
    with log.open("ab", buffering=0) as file:
        file.write(b"ready\n")
        for number in count():
            key = f"{log.stem}-{number}"
            journal.record_answer(key, answer(key), "right")
            file.write(f"{key}\n".encode())
            time.sleep(0.005)  # or the other would hardly ever come to write


def lost_answers(folder: Path) -> tuple[int, list[str]]:
    """How many answers were acknowledged, and which of them are not there."""
    keys = [line for log in folder.glob("*.log") for line in log.read_text().splitlines()[1:]]
    held = Journal(folder / "answers.sqlite3").latest_all()
    return len(keys), [key for key in keys if key not in held or held[key].answer != answer(key)]


def clean(folder: Path, log: Path) -> None:
    """Apply, undo and redo random choices in a set, until killed."""
    chance, cleaner = random.Random(log.stem), Cleaner(folder / "bears")
    cleaner.table()  # every picture has been looked at
    log.write_text("ready\n")
    for do in cycle(("undo", "apply", "undo", "redo")):
        if do == "apply":
            files = chance.sample(list(cleaner.table()["file"]), 18)
            cleaner.discard(files[:6])
            cleaner.relabel(files[6:], chance.choice(LABELS))
        with suppress(CleanerError):  # the first time there is nothing to undo
            getattr(cleaner, do)()


def lost_pictures(folder: Path) -> tuple[int, list[str]]:
    """Put right what was killed; how many pictures there are, and which are not there once."""
    Cleaner(folder / "bears")
    found = [file.read_bytes() for file in folder.rglob("*.jpg") if file.parent.name != "made"]
    made = list((folder / "made").iterdir())
    return len(made), [file.name for file in made if found.count(file.read_bytes()) != 1]


def make_set(folder: Path) -> None:
    """Small pictures in three class folders, and a copy of each that nobody touches."""
    for number in range(PICTURES):
        for place in (f"bears/{LABELS[number % 3]}", "made"):
            file = folder / place / f"{number}.jpg"
            file.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (24, 24), (number * 10, 99, 255 - number * 10)).save(file)


def start(target: Callable, *arguments: object) -> BaseProcess:
    """A process of its own that does `target`."""
    process = FORK.Process(target=target, args=arguments, daemon=True)
    process.start()
    return process


def kill(writer: Callable, lost: Callable, kills: int, at_once: int, longest: float) -> str:
    """Kill one of `at_once` writers at a time; what came of it."""
    chance, began, kept, missing = random.Random(7), time.monotonic(), 0, []
    for first in range(0, kills, A_FOLDER):
        with TemporaryDirectory() as name:
            folder, running = Path(name), []
            make_set(folder)
            for number in range(first, min(first + A_FOLDER, kills)):
                while len(running) < at_once:
                    log = folder / f"{number}-{len(running)}.log"
                    running.append((log, start(writer, folder, log)))
                log, process = running.pop(chance.randrange(at_once))
                while number % 4 and not log.exists():  # every fourth while it opens, perhaps
                    assert process.is_alive(), f"{writer.__name__} ended by itself"
                    time.sleep(0.001)
                time.sleep(chance.random() * longest)
                process.kill()
                process.join()
            for _, process in running:
                process.kill()
                process.join()
            with FORK.Pool(1) as pool:  # the files are opened by a process that starts no other
                found, gone = pool.apply(lost, [folder])
            kept, missing = kept + found - len(gone), missing + gone
    seconds = time.monotonic() - began
    return f"{kills} kills, {kept} kept, {len(missing)} lost {missing[:9]}, {seconds:.0f} s"


if __name__ == "__main__":
    answers, sets = map(int, sys.argv[1:] or (2000, 500))
    with TemporaryDirectory() as cache:
        os.environ |= {"COURSE_CACHE": cache, "COURSE_HOME": cache}
        print("answers:", kill(write_answers, lost_answers, answers, 2, 0.02), flush=True)
        print("pictures:", kill(clean, lost_pictures, sets, 1, 0.1), flush=True)
