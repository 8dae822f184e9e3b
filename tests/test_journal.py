"""The file of answers: killed, crowded, full, read-only, old, new and damaged, each for real."""

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import threading
import time
from contextlib import closing
from datetime import datetime, timezone
from pathlib import Path

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from journal_writer import answer_text

from utils.quiz import journal as module
from utils.quiz.journal import MIGRATIONS, Journal, JournalError

WRITER = Path(__file__).with_name("journal_writer.py")
ANSWERS, KILLS = 1000, 50


@pytest.fixture
def path(tmp_path):
    return tmp_path / "answers.sqlite3"


def aside(path):
    return sorted(path.parent.glob("*.damaged-*.sqlite3"))


def run(*arguments, **env):
    command = [sys.executable, WRITER, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, env=os.environ | env)


# -- what it keeps ---------------------------------------------------------------------------------


def test_keeps_answers_and_every_earlier_one(path):
    Journal(path).record_answer("intro-01", "first", "wrong", 0.0)
    Journal(path).record_answer("intro-01", "second", "partial", 0.4, source="terminal")
    held = Journal(path).latest("intro-01")
    assert (held.answer, held.outcome, held.score, held.source) == (
        "second",
        "partial",
        0.4,
        "terminal",
    )
    assert [event.body["answer"] for event in Journal(path).history("intro-01")] == [
        "first",
        "second",
    ]
    assert Journal(path).latest("intro-02") is None
    assert list(Journal(path).latest_all()) == ["intro-01"]


def test_blank_does_not_replace_an_answer(path):
    mine = Journal(path)
    mine.record_answer("intro-01", "words", "right", 1.0)
    mine.record_answer("intro-01", "", "blank", 0.0)
    mine.record_answer("intro-02", " ", "blank", 0.0)
    assert mine.latest("intro-01").answer == "words"
    assert mine.latest("intro-02") is None
    assert len(mine.history("intro-01")) == 2


def test_overruling_keeps_the_verdict_and_ends_with_the_next_answer(path):
    mine = Journal(path)
    with pytest.raises(KeyError, match="no answer"):
        mine.overrule("intro-01", "right")
    mine.record_answer("intro-01", "words", "wrong", 0.1)
    with pytest.raises(ValueError, match="right, partial or wrong"):
        mine.overrule("intro-01", "blank")
    mine.overrule("intro-01", "right")
    held = mine.latest("intro-01")
    assert (held.outcome, held.score, held.verdict, held.overruled) == ("right", 1.0, "wrong", True)
    mine.overrule("intro-01", "partial")
    assert mine.latest_all()["intro-01"].outcome == "partial"
    assert mine.latest("intro-01").verdict == "wrong"
    mine.record_answer("intro-01", "other words", "wrong", 0.0)
    assert mine.latest("intro-01").outcome == "wrong" and not mine.latest("intro-01").overruled


def test_refuses_what_is_no_outcome(path):
    for outcome, score in [("great", 1), ("right", 2), ("right", float("nan"))]:
        with pytest.raises(ValueError, match="outcome"):
            Journal(path).record_answer("intro-01", "words", outcome, score)
    assert Journal(path).latest_all() == {}


def test_draft_is_kept_until_checked(path):
    Journal(path).save_draft("intro-01", "half a thou")
    assert Journal(path).draft("intro-01") == "half a thou"
    Journal(path).record_answer("intro-01", "half a thought", "partial", 0.5)
    assert Journal(path).draft("intro-01") is None
    Journal(path).save_draft("intro-01", "more")
    assert Journal(path).drafts() == {"intro-01": "more"}


def test_guesses_and_sections(path):
    mine = Journal(path)
    assert mine.guess("01/cell-7") is None
    mine.record_guess("01/cell-7", "12")
    mine.record_reveal("01/cell-7", "42")
    assert (mine.guess("01/cell-7").text, mine.guess("01/cell-7").shown) == ("12", "42")
    mine.record_guess("01/cell-7", "again")
    assert (mine.guess("01/cell-7").text, mine.guess("01/cell-7").shown) == ("again", None)
    for section in ("Loss and metric", "Recap", "Recap"):
        mine.finish_section("01_pet_classifier", section)
    assert mine.finished() == {"01_pet_classifier": ["Loss and metric", "Recap"]}


@settings(max_examples=40, deadline=None)
@given(text=st.text(alphabet=st.characters(), max_size=200))
def test_any_text_comes_back(tmp_path_factory, text):
    mine = Journal(tmp_path_factory.mktemp("any") / "answers.sqlite3")
    mine.record_answer("intro-01", text, "wrong", 0.0)
    assert mine.latest("intro-01").answer == text


def test_half_a_character_comes_back(path):
    Journal(path).record_answer("intro-01", "\ud83d \0 <script>", "wrong", 0.0)
    assert Journal(path).latest("intro-01").answer == "\ud83d \0 <script>"


def test_lives_where_course_home_says(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_HOME", str(tmp_path / "mine"))
    assert Journal().path == tmp_path / "mine" / "answers.sqlite3"
    assert Journal().path.exists()


# -- killed, and two at once ---------------------------------------------------------------------


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
def test_nothing_acknowledged_is_lost_when_killed(path):
    """1,000 answers by two processes at once, 50 kill -9 at random; each acknowledgement holds."""
    kill_writers(path, ANSWERS, KILLS)


def test_nothing_is_lost_on_a_disk_without_locks(path, no_locks):
    """The same, fewer: a lock that a killed process left must be taken over."""
    kill_writers(path, 60, 4, WAIT="3", **no_locks)


def kill_writers(path, answers, kills_wanted, **env):
    chance, began = random.Random(7), time.monotonic()
    logs = {name: path.with_name(name) for name in "ab"}
    rounds = kills_wanted // 2
    kills = interrupted = torn = 0

    def count(name):
        return logs[name].read_bytes().count(b"\n") if logs[name].exists() else 0

    def start(task, name, stop, begin_at=0):
        with logs[name].open("ab") as log:
            arguments = [sys.executable, WRITER, task, path, name, count(name), stop, begin_at]
            arguments = list(map(str, arguments))
            return subprocess.Popen(arguments, stdout=log, env=os.environ | env)

    for turn in range(1, rounds + 1):
        stop = answers // 2 * turn // rounds
        begin_at = time.time() + 0.15  # so that both write at the same time
        writers = {name: start("write_and_wait", name, stop, begin_at) for name in "ab"}
        for name in chance.sample("ab", 2):  # one dies, and the other meets what it left
            target, deadline = min(count(name) + chance.randint(0, 9), stop), time.monotonic() + 30
            while count(name) < target or time.time() < begin_at:
                assert time.monotonic() < deadline, "a writer hangs"
                time.sleep(0.0002)
            time.sleep(chance.random() * 0.002)  # any point of what comes next
            writers[name].kill()
            assert writers[name].wait() == -signal.SIGKILL
            kills += 1
            interrupted += count(name) < stop
        torn += path.with_name(path.name + "-journal").exists()
    for writer in [start("write", name, answers // 2) for name in "ab"]:
        assert writer.wait(timeout=30) == 0

    mine = Journal(path)
    acknowledged = {
        f"{name}-{int(number):03}": answer_text(name, int(number))
        for name, log in logs.items()
        for number in log.read_text().split()
    }
    held = mine.latest_all()
    lost = [id for id, text in acknowledged.items() if id not in held or held[id].answer != text]
    twice = sum(len(mine.history(id)) - 1 for id in acknowledged)
    print(
        f"\n{len(acknowledged)} answers acknowledged by two processes; {kills} kills, {interrupted}"
        f" of them while writing; {torn} left a transaction half written and {twice} an answer"
        f" written but not acknowledged; {len(lost)} lost; {time.monotonic() - began:.1f} s"
    )
    assert lost == []
    assert (len(acknowledged), kills) == (answers, kills_wanted)
    assert mine.notices == [] and not aside(path)


def together(path, count=40, **env):
    """Two processes that begin at the same moment; returns whether each wrote all it should."""
    begin = time.time() + 0.5
    writers = [run("write", path, name, 0, count, begin, **env) for name in "ab"]
    return [writer.communicate(timeout=30)[0].count(b"\n") == count for writer in writers]


def test_two_kernels_begin_a_file_at_once(path):
    assert together(path) == [True, True]
    assert len(Journal(path).latest_all()) == 80


def test_two_kernels_meet_an_old_file_at_once(path):
    make_version_1(path)
    assert together(path) == [True, True]
    assert len(Journal(path).latest_all()) == 83


def test_two_kernels_meet_a_damaged_file_at_once(path):
    path.write_bytes(b"not a database " * 1000)
    assert together(path) == [True, True]
    assert len(Journal(path).latest_all()) == 80
    assert [old.read_bytes() for old in aside(path)] == [b"not a database " * 1000]


def test_two_kernels_meet_a_damaged_file_on_a_disk_without_locks(path, no_locks):
    path.write_bytes(b"not a database " * 1000)
    assert together(path, **no_locks) == [True, True]
    assert len(Journal(path).latest_all()) == 80
    assert [old.read_bytes() for old in aside(path)] == [b"not a database " * 1000]


def test_the_lock_of_a_dead_process_is_taken_over_without_locks(path, monkeypatch):
    """And that of one that lives is not."""
    monkeypatch.setattr(module, "WAIT", 0.3)
    monkeypatch.setattr(module, "has_locks", lambda folder: False)
    Journal(path)
    held = path.with_name(path.name + ".lock")
    held.mkdir()
    Journal(path).record_answer("intro-01", "words", "right", 1.0)
    assert Journal(path).latest("intro-01").answer == "words" and not held.exists()

    def keep_writing():
        while not done.wait(0.02):
            os.utime(held)  # as SQLite does at each step

    done = threading.Event()
    held.mkdir()
    other = threading.Thread(target=keep_writing)
    other.start()
    with pytest.raises(JournalError, match="another program is holding"):
        Journal(path)
    done.set()
    other.join()
    assert held.exists()


def test_waits_for_another_kernel_then_says_so(path, monkeypatch):
    mine = Journal(path)
    monkeypatch.setattr(module, "WAIT", 0.2)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(JournalError, match="another program is holding"):
            mine.record_answer("intro-01", "words", "right", 1.0)
    mine.record_answer("intro-01", "words", "right", 1.0)


# -- nowhere to write ------------------------------------------------------------------------------


def in_own_mount(task, folder):
    """Run a task of journal_writer in `folder`, a small disk of its own that vanishes with it."""
    if not shutil.which("unshare"):
        pytest.skip("no unshare here")
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    script = 'mount -t tmpfs -o size=256k tmpfs "$1" || exit 77; exec "$2" "$3" "$4" "$1"'
    command = ["unshare", *user, "--mount", "sh", "-c", script, "sh"]
    command += [folder, sys.executable, WRITER, task]
    done = subprocess.run(list(map(str, command)), capture_output=True, text=True)
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip("mounting is not allowed here")
    assert done.returncode == 0, done.stdout + done.stderr
    print(done.stdout)


def test_full_disk(tmp_path):
    in_own_mount("full_disk", tmp_path)


def test_read_only_folder(tmp_path):
    in_own_mount("read_only", tmp_path)


@pytest.mark.skipif(os.name != "posix", reason="RLIMIT_FSIZE")
def test_file_that_may_not_grow(tmp_path):
    writer = run("file_limit", tmp_path)
    assert writer.wait(timeout=30) == 0


def test_a_file_in_place_of_the_folder(tmp_path, monkeypatch):
    (tmp_path / "home").write_text("the learner's")
    monkeypatch.setenv("COURSE_HOME", str(tmp_path / "home"))
    with pytest.raises(JournalError, match=f"{tmp_path / 'home'} cannot be used.*COURSE_HOME"):
        Journal()
    with pytest.raises(JournalError, match="COURSE_HOME"):
        Journal(tmp_path / "home" / "answers.sqlite3")
    assert (tmp_path / "home").read_text() == "the learner's"


# -- other versions --------------------------------------------------------------------------------


def make_version_1(path):
    """A file as version 1 of the journal wrote it."""
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(
            "CREATE TABLE answers (id INTEGER PRIMARY KEY, question_id TEXT NOT NULL,"
            " answer TEXT NOT NULL, outcome TEXT NOT NULL, score REAL NOT NULL, at TEXT NOT NULL)"
        )
        rows = [
            ("intro-01", "first", "wrong", 0.0, "2025-01-01T10:00:00+00:00"),
            (
                "intro-02",
                "naïve \"quotes\" 'and' more",
                "partial",
                0.5,
                "2025-01-01T10:05:00+00:00",
            ),
            ("intro-01", "second", "right", 1.0, "2025-01-02T10:00:00+00:00"),
            ("intro-03", "x" * 5000, "right", 1.0, "2025-01-02T11:00:00+00:00"),
        ]
        db.executemany(
            "INSERT INTO answers (question_id, answer, outcome, score, at) VALUES (?,?,?,?,?)", rows
        )
        db.execute("PRAGMA user_version = 1")


def check_version_1_answers(mine):
    held = mine.latest("intro-01")
    assert (held.answer, held.outcome, held.at) == ("second", "right", "2025-01-02T10:00:00+00:00")
    assert [event.body["outcome"] for event in mine.history("intro-01")] == ["wrong", "right"]
    assert mine.latest("intro-02").answer == "naïve \"quotes\" 'and' more"
    assert mine.latest("intro-03").answer == "x" * 5000


def test_older_version_is_migrated(path):
    make_version_1(path)
    check_version_1_answers(Journal(path))
    mine = Journal(path)
    mine.overrule("intro-02", "right")
    assert mine.latest("intro-02").outcome == "right" and mine.notices == []
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA user_version").fetchone() == (len(MIGRATIONS),) == (2,)
        assert db.execute("PRAGMA integrity_check").fetchone() == ("ok",)


def test_migration_that_fails_changes_nothing(path, monkeypatch):
    make_version_1(path)
    before = path.read_bytes()

    def half_done(db):
        db.execute("DROP TABLE answers")
        db.execute("no such statement")

    monkeypatch.setattr(module, "MIGRATIONS", [MIGRATIONS[0], half_done])
    with pytest.raises(JournalError):
        Journal(path)
    assert path.read_bytes() == before
    monkeypatch.undo()
    check_version_1_answers(Journal(path))


def test_newer_version_is_left_alone(path):
    Journal(path).record_answer("intro-01", "from the future", "right", 1.0)
    mine = Journal(path)  # a kernel that was already running when the file was migrated
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 7")
    before = path.read_bytes()
    with pytest.raises(JournalError, match=r"newer version of the course .*format 7.*Update"):
        Journal(path)
    with pytest.raises(JournalError, match="newer version"):
        mine.record_answer("intro-02", "words", "right", 1.0)
    assert path.read_bytes() == before and sorted(path.parent.iterdir()) == [path]


# -- damaged ---------------------------------------------------------------------------------------


def fill(path, count=200):
    """A file of many answers, written at one go: only what is in it matters here."""
    mine, at = Journal(path), datetime.now(timezone.utc).isoformat()
    body = {"outcome": "right", "score": 1.0, "source": "widget"}
    mine._insert(
        [
            module._row("answer", f"intro-{n:03}", {"answer": answer_text("a", n)} | body, at)
            for n in range(count)
        ]
    )
    return mine


@pytest.fixture(scope="session")
def filled(tmp_path_factory):
    path = tmp_path_factory.mktemp("filled") / "answers.sqlite3"
    fill(path)
    return path.read_bytes()


def test_no_database_is_set_aside(path):
    path.write_bytes(b"holiday pictures")
    path.with_name(path.name + "-wal").write_bytes(b"its wal")
    mine = Journal(path)
    assert len(mine.notices) == 1 and "kept as answers.damaged-" in mine.notices[0]
    assert [old.read_bytes() for old in aside(path)] == [b"holiday pictures"]
    assert aside(path)[0].with_name(aside(path)[0].name + "-wal").read_bytes() == b"its wal"
    mine.record_answer("intro-01", "words", "right", 1.0)
    assert Journal(path).notices == []


def test_damaged_page_loses_only_itself(path, filled):
    middle = len(filled) // 2 // 4096 * 4096
    damaged = filled[:middle] + b"\xff" * 4096 + filled[middle + 4096 :]
    path.write_bytes(damaged)
    mine = Journal(path)
    assert len(mine.notices) == 1
    assert [old.read_bytes() for old in aside(path)] == [damaged]
    held = mine.latest_all()
    print(
        f"{len(held)} of 200 answers saved from a file with one page of {len(filled) // 4096} gone"
    )
    assert len(held) >= 150
    assert all(held[id].answer == answer_text("a", int(id[-3:])) for id in held)


@pytest.mark.parametrize("part", [0.9, 0.5, 0.1])
def test_truncated(path, filled, part):
    cut = filled[: int(len(filled) * part)]
    path.write_bytes(cut)
    mine = Journal(path)
    assert len(mine.notices) == 1
    assert [old.read_bytes() for old in aside(path)] == [cut]
    mine.record_answer("intro-999", "after", "right", 1.0)
    assert Journal(path).latest("intro-999").answer == "after"
    print(f"{len(mine.latest_all()) - 1} of 200 answers saved from {part:.0%} of the file")


def test_damaged_old_file_gives_its_answers(path):
    make_version_1(path)
    cut = path.read_bytes()[:-4096]
    path.write_bytes(cut)
    mine = Journal(path)
    assert len(mine.notices) == 1 and [old.read_bytes() for old in aside(path)] == [cut]
    assert mine.latest("intro-01").answer == "second" and "intro-02" in mine.latest_all()


def test_overruling_survives_damage(path):
    mine = fill(path)
    mine.overrule("intro-199", "wrong")
    content = path.read_bytes()
    middle = len(content) // 2 // 4096 * 4096
    path.write_bytes(content[:middle] + b"\xff" * 4096 + content[middle + 4096 :])
    mine = Journal(path)
    assert len(mine.notices) == 1 and len(mine.latest_all()) < 200
    assert mine.latest("intro-199").outcome == "wrong" and mine.latest("intro-199").overruled


def test_damaged_while_a_kernel_runs(path, filled):
    path.write_bytes(filled)
    mine = Journal(path)
    path.write_bytes(b"\0" * len(filled))
    mine.record_answer("intro-999", "after", "right", 1.0)
    assert len(mine.notices) == 1 and len(aside(path)) == 1
    assert Journal(path).latest("intro-999").answer == "after"


def test_deleted_while_a_kernel_runs(path):
    mine = fill(path, 3)
    path.unlink()
    mine.record_answer("intro-999", "after", "right", 1.0)
    assert list(Journal(path).latest_all()) == ["intro-999"]


def test_a_taken_name_is_never_overwritten(path):
    for content in (b"one" * 500, b"two" * 500, b"three" * 500):
        path.write_bytes(content)
        Journal(path)
    assert sorted(old.read_bytes() for old in aside(path)) == [
        b"one" * 500,
        b"three" * 500,
        b"two" * 500,
    ]


@pytest.mark.parametrize("seed", range(40))
def test_any_damage_is_survived(path, filled, seed):
    """Bytes overwritten anywhere: what it shows is true, and nothing is deleted."""
    chance = random.Random(seed)
    damaged = bytearray(filled)
    for _ in range(chance.choice([1, 5, 50])):
        place = chance.randrange(0, 100 if seed % 4 == 0 else len(damaged))
        length = chance.choice([1, 16, 600])
        damaged[place : place + length] = chance.randbytes(length)[: len(damaged) - place]
    path.write_bytes(damaged)
    try:
        mine = Journal(path)
        mine.record_answer("intro-999", "after", "right", 1.0)
        assert mine.latest("intro-999").answer == "after"
        shown = {id: held.answer for id, held in mine.latest_all().items() if id != "intro-999"}
        assert all(text == answer_text("a", int(id[-3:])) for id, text in shown.items())
    except JournalError as error:  # the damaged bytes say that a newer course wrote it
        assert "newer version" in str(error)
        assert path.read_bytes() == damaged
    else:
        assert [old.read_bytes() for old in aside(path)] == [damaged] * len(mine.notices)
