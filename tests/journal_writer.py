"""Programs that test_journal.py runs in processes of their own, some of them only to kill them."""

import importlib.util
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

# The module alone: importing the package would load the whole bank, 50 times in the crash test.
SOURCE = Path(__file__).parents[1] / "utils" / "quiz" / "journal.py"
spec = importlib.util.spec_from_file_location("journal", SOURCE)
journal = importlib.util.module_from_spec(spec)
sys.modules["journal"] = journal
spec.loader.exec_module(journal)
Journal, CourseError = journal.Journal, journal.CourseError
journal.WAIT = float(os.environ.get("WAIT", journal.WAIT))


def answer_text(name: str, number: int) -> str:
    return f"{name} wrote {number}: <script>é</script> " + "x" * (number * 37 % 900)


def write(path: str, name: str, start: str, stop: str, begin_at: str) -> None:
    """Record numbered answers from the moment `begin_at` on, and say so after each."""
    mine = Journal(path)
    while time.time() < float(begin_at):
        time.sleep(0.0002)
    for number in range(int(start), int(stop)):
        mine.record_answer(f"{name}-{number:03}", answer_text(name, number), "right")
        os.write(1, f"{number}\n".encode())


def write_and_wait(*arguments: str) -> None:
    """The same, and then wait to be killed."""
    write(*arguments)
    signal.pause()


def full_disk(folder: str) -> None:
    mine = Journal(Path(folder) / "answers.sqlite3")
    for number in range(5):
        mine.record_answer(f"intro-0{number}", "an answer", "right")
    filler = Path(folder) / "filler"
    try:
        with filler.open("wb", buffering=0) as file:
            while True:
                file.write(b"x" * 512)
    except OSError as error:
        print("filled:", error)
    refused(mine, "no room left")
    refused(Journal(mine.path), "no room left")  # a kernel started on the full disk
    filler.unlink()
    mine.record_answer("intro-99", "after making room", "right")
    assert Journal(mine.path).latest_all()["intro-99"].answer == "after making room"


def read_only(folder: str) -> None:
    mine = Journal(Path(folder) / "answers.sqlite3")
    for number in range(5):
        mine.record_answer(f"intro-0{number}", "an answer", "right")
    remount(folder, "ro")
    refused(mine, "cannot be written")
    refused(Journal(mine.path), "cannot be written")
    try:
        Journal(Path(folder) / "new" / "answers.sqlite3")
        raise AssertionError("a journal was made in a read-only folder")
    except CourseError as error:
        assert "COURSE_HOME" in str(error)
    remount(folder, "rw")
    mine.record_answer("intro-99", "after making it writable", "right")


def remount(folder: str, how: str) -> None:
    subprocess.run(["mount", "-o", f"remount,bind,{how}", folder], check=True)


def file_limit(folder: str) -> None:
    """As with a quota: the file may not grow."""
    import resource

    mine = Journal(Path(folder) / "answers.sqlite3")
    for number in range(5):
        mine.record_answer(f"intro-0{number}", "an answer", "right")
    size = mine.path.stat().st_size
    resource.setrlimit(resource.RLIMIT_FSIZE, (size, resource.RLIM_INFINITY))
    refused(mine, "no room left", "long " * 5000)
    resource.setrlimit(resource.RLIMIT_FSIZE, (resource.RLIM_INFINITY, resource.RLIM_INFINITY))
    mine.record_answer("intro-99", "long " * 5000, "right")


def refused(mine: object, because: str, text: str = "long " * 2000) -> None:
    """Writing fails with a sentence, and the five earlier answers are there."""
    try:
        mine.record_answer("intro-98", text, "right")
        raise AssertionError("the answer was acknowledged")
    except CourseError as error:
        print(error)
        assert because in str(error) and "still there" in str(error), error
    held = mine.latest_all()
    assert sorted(held) == [f"intro-0{number}" for number in range(5)], held
    assert mine.notices == []


if __name__ == "__main__":
    globals()[sys.argv[1]](*sys.argv[2:])
