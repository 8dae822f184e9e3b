"""The file of answers: killed, crowded, full, read-only, newer and damaged, each for real."""

import os
import random
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
from contextlib import closing
from pathlib import Path

import pytest
from journal_writer import answer_text

from utils.common import CourseError
from utils.quiz import journal as module
from utils.quiz.journal import VERSION, Journal

WRITER = Path(__file__).with_name("journal_writer.py")
KILLS = 16  # `make kills` makes 2,000


@pytest.fixture
def path(tmp_path):
    return tmp_path / "answers.sqlite3"


def copy_of(path):
    return path.with_name("answers.copy.sqlite3")


def aside(path):
    return sorted(path.parent.glob("*.damaged-*.sqlite3"))


def run(*arguments, **env):
    command = [sys.executable, WRITER, *map(str, arguments)]
    return subprocess.Popen(command, stdout=subprocess.PIPE, env=os.environ | env)


# -- what it keeps ---------------------------------------------------------------------------------


def test_keeps_answers_and_every_earlier_one(path):
    Journal(path).record_answer("intro-01", "first", "wrong")
    Journal(path).record_answer("intro-01", "second", "partial")
    Journal(path).record_answer("intro-01", "", "blank")
    (first, held) = Journal(path).answers()
    assert (first.answer, first.outcome) == ("first", "wrong")
    assert (held.answer, held.outcome, held.verdict) == ("second", "partial", "partial")
    assert Journal(path).latest_all() == {"intro-01": held}
    with closing(sqlite3.connect(path)) as db:
        bodies = db.execute("SELECT body FROM events").fetchall()
    assert len(bodies) == 3 and "first" in bodies[0][0]


def test_overruling_keeps_the_verdict_and_ends_with_the_next_answer(path):
    mine = Journal(path)
    with pytest.raises(KeyError):
        mine.overrule("intro-01", "right")
    mine.record_answer("intro-01", "words", "wrong")
    mine.overrule("intro-01", "right")
    for outcome in ("right", "partial"):
        mine.overrule("intro-01", outcome)
        held = mine.latest_all()["intro-01"]
        assert (held.outcome, held.verdict) == (outcome, "wrong")
    mine.record_answer("intro-01", "other words", "wrong")
    assert [answer.outcome for answer in mine.answers()] == ["partial", "wrong"]


def test_any_text_comes_back(path):
    mine = Journal(path)
    for text in (
        "\ud83d \0 <script>",
        "naïve \"quotes\" 'and' more",
        "\u2028🐻\x7f\r\n\t",
        "x" * 9000,
    ):
        mine.record_answer("intro-01", text, "wrong")
        assert mine.latest_all()["intro-01"].answer == text


def test_lives_where_course_home_says(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_HOME", str(tmp_path / "mine"))
    Journal().record_answer("intro-01", "words", "right")
    assert (tmp_path / "mine" / "answers.sqlite3").exists()


# -- killed, and two at once ---------------------------------------------------------------------


@pytest.mark.skipif(os.name != "posix", reason="SIGKILL")
def test_nothing_acknowledged_is_lost_when_killed(path):
    """Two processes write at once, each killed at a random moment; each acknowledgement holds."""
    kill_writers(path, 20 * KILLS, KILLS)


def test_nothing_is_lost_on_a_disk_without_locks(path, no_locks):
    """The same, fewer: SQLite's locks are of no use there, the course's own is elsewhere."""
    kill_writers(path, 60, 4, **no_locks, NO_LOCKS_BELOW=str(path.parent))


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
    with closing(sqlite3.connect(path)) as db:
        twice = db.execute("SELECT COUNT(*) FROM events").fetchone()[0] - len(acknowledged)
    print(
        f"\n{len(acknowledged)} answers acknowledged by two processes; {kills} kills, {interrupted}"
        f" of them while writing; {torn} left a transaction half written and {twice} an answer"
        f" written but not acknowledged; {len(lost)} lost; {time.monotonic() - began:.1f} s"
    )
    assert lost == []
    assert (len(acknowledged), kills) == (answers, kills_wanted)
    assert mine.notices == [] and not aside(path)


def together(path, count=20, **env):
    """Two processes that begin at the same moment; each writes all it should."""
    begin = time.time() + 0.5
    writers = [run("write", path, name, 0, count, begin, **env) for name in "ab"]
    assert [w.communicate(timeout=60)[0].count(b"\n") for w in writers] == [count, count]
    assert len(Journal(path).latest_all()) == 2 * count


def test_two_kernels_begin_a_file_at_once(path):
    together(path)


@pytest.mark.parametrize("locks", [True, False])
def test_two_kernels_meet_a_damaged_file_at_once(path, locks, request):
    path.write_bytes(b"not a database " * 1000)
    no_locks = {} if locks else request.getfixturevalue("no_locks")
    together(path, **no_locks, NO_LOCKS_BELOW=str(path.parent))
    assert [old.read_bytes() for old in aside(path)] == [b"not a database " * 1000]


def test_waits_for_another_program_then_says_so(path, monkeypatch):
    monkeypatch.setattr(module, "WAIT", 0.2)
    mine = Journal(path)
    with closing(sqlite3.connect(path, isolation_level=None)) as other:
        other.execute("BEGIN EXCLUSIVE")
        with pytest.raises(CourseError, match="another program is holding"):
            mine.record_answer("intro-01", "words", "right")
    with module.file_lock(f"{path}.lock"), pytest.raises(CourseError, match="another program is"):
        mine.record_answer("intro-01", "words", "right")
    mine.record_answer("intro-01", "words", "right")


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
    with pytest.raises(CourseError, match=f"{tmp_path / 'home'} cannot be used.*COURSE_HOME"):
        Journal()
    with pytest.raises(CourseError, match="COURSE_HOME"):
        Journal(tmp_path / "home" / "answers.sqlite3")
    assert (tmp_path / "home").read_text() == "the learner's"


# -- other versions --------------------------------------------------------------------------------


def test_a_file_of_an_earlier_commit_opens(path):
    body = '{"answer": "na\\u00efve", "outcome": "right", "score": 1.0, "source": "quiz"}'
    rows = [
        ("2026-01-02T10:00:00+00:00", "answer", "intro-01", body, 358098627),
        ("2026-01-02T10:01:00+00:00", "guess", "01/loss", '{"text": "4.6"}', 1618610591),
        ("2026-01-02T10:02:00+00:00", "draft", "intro-02", '{"text": "half a tho"}', 2242912650),
    ]
    with closing(sqlite3.connect(path)) as db, db:
        db.execute(
            "CREATE TABLE events (id INTEGER PRIMARY KEY, at TEXT NOT NULL, kind TEXT NOT NULL,"
            " key TEXT NOT NULL, body TEXT NOT NULL, checksum INTEGER NOT NULL)"
        )
        words = "INSERT INTO events (at, kind, key, body, checksum) VALUES (?,?,?,?,?)"
        db.executemany(words, rows)
        db.execute("PRAGMA user_version = 2")
    mine = Journal(path)
    kept = {key: answer.answer for key, answer in mine.latest_all().items()}
    assert kept == {"intro-01": "naïve", "01/loss": "4.6"} and mine.notices == []
    mine.record_answer("intro-02", "2", "right")  # from here on the earlier version leaves it alone
    with closing(sqlite3.connect(path)) as db:
        assert db.execute("PRAGMA user_version").fetchone()[0] == VERSION


def test_an_overruling_whose_answer_is_gone_hides_no_other(path):
    """As in a copy that was made between the two."""
    mine = Journal(path)
    for id in ("intro-01", "intro-02"):
        mine.record_answer(id, "words", "wrong")
        mine.overrule(id, "right")
    with closing(sqlite3.connect(path)) as db, db:
        db.execute("DELETE FROM events WHERE key = 'intro-01' AND kind = 'answer'")
    assert {id: answer.outcome for id, answer in mine.latest_all().items()} == {"intro-02": "right"}
    with pytest.raises(ValueError, match="great"):
        mine.overrule("intro-02", "great")


def test_newer_version_is_left_alone(path):
    mine = Journal(path)  # a kernel that was already running when the file was changed
    mine.record_answer("intro-01", "from the future", "right")
    with closing(sqlite3.connect(path)) as db:
        db.execute("PRAGMA user_version = 7")
    before = path.read_bytes()
    with pytest.raises(CourseError, match=r"newer version of the course .*format 7.*Update"):
        Journal(path)
    with pytest.raises(CourseError, match="newer version"):
        mine.record_answer("intro-02", "words", "right")
    assert path.read_bytes() == before and not aside(path)


# -- damaged ---------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def filled(tmp_path_factory):
    """The bytes of a file with 60 answers, `a-000` to `a-059`."""
    path = tmp_path_factory.mktemp("filled") / "answers.sqlite3"
    assert run("write", path, "a", 0, 60, 0).wait(timeout=60) == 0
    return path.read_bytes()


def is_whole(mine, beside=()):
    held = {id: answer.answer for id, answer in mine.latest_all().items() if id not in beside}
    return held == {f"a-{n:03}": answer_text("a", n) for n in range(60)}


def test_a_copy_is_made_while_a_kernel_writes(path, monkeypatch):
    mine = Journal(path)
    for number in range(3):  # at the first, and not again within the minute
        mine.record_answer(f"intro-0{number}", "words", "right")
    assert list(Journal(copy_of(path)).latest_all()) == ["intro-00"]
    monkeypatch.setattr(module.time, "monotonic", lambda: 1e9)
    mine.record_answer("intro-03", "words", "right")
    assert len(Journal(copy_of(path)).latest_all()) == 4


def test_no_database_is_set_aside(path):
    path.write_bytes(b"holiday pictures")
    mine = Journal(path)
    assert len(mine.notices) == 1 and f"kept as {aside(path)[0].name}" in mine.notices[0]
    assert "no copy" in mine.notices[0]
    assert [old.read_bytes() for old in aside(path)] == [b"holiday pictures"]
    mine.record_answer("intro-01", "words", "right")
    assert Journal(path).notices == []


def damage_page(content):
    middle = len(content) // 2 // 4096 * 4096
    return content[:middle] + b"\xff" * 4096 + content[middle + 4096 :]


def damage_letter(content):
    return content.replace(b"a wrote 30", b"a wrote 31")


@pytest.mark.parametrize(
    "damage",
    [damage_page, damage_letter, lambda content: content[: len(content) // 2], lambda _: b"\0" * 9],
)
def test_the_newest_copy_takes_the_place_of_a_damaged_file(path, filled, damage):
    copy_of(path).write_bytes(filled)
    os.utime(copy_of(path), (1.7e9, 1.7e9))
    path.write_bytes(damage(filled))
    mine = Journal(path)
    assert len(mine.notices) == 1 and "November 2023" in mine.notices[0]
    assert [old.read_bytes() for old in aside(path)] == [damage(filled)]
    assert is_whole(mine) and is_whole(Journal(path)) and Journal(path).notices == []


def test_a_damaged_copy_is_not_used_and_takes_no_place(path, filled, monkeypatch):
    copy_of(path).write_bytes(damage_page(filled))
    path.write_bytes(damage_letter(filled))
    mine = Journal(path)
    assert mine.latest_all() == {} and "no copy" in mine.notices[0]
    mine.record_answer("intro-01", "words", "right")
    before = copy_of(path).read_bytes()
    assert len(Journal(copy_of(path)).latest_all()) == 1
    path.write_bytes(damage_letter(filled))
    monkeypatch.setattr(module.time, "monotonic", lambda: 1e9)  # the copy is due
    mine.record_answer("intro-02", "onto a damaged file", "right")
    assert copy_of(path).read_bytes() == before


def test_damaged_while_a_kernel_runs(path, filled):
    path.write_bytes(filled)
    mine = Journal(path)
    copy_of(path).write_bytes(filled)
    path.write_bytes(b"\0" * len(filled))
    mine.record_answer("b-001", "after", "right")
    assert len(mine.notices) == 1 and len(aside(path)) == 1
    assert is_whole(Journal(path), beside=["b-001"])


def test_deleted_while_a_kernel_runs(path):
    mine = Journal(path)
    path.unlink()
    mine.record_answer("intro-01", "after", "right")
    assert list(Journal(path).latest_all()) == ["intro-01"]


def test_a_file_set_aside_is_never_overwritten(path):
    contents = [name * 500 for name in (b"one", b"three", b"two")]
    for content in contents:
        path.write_bytes(content)
        Journal(path)
    assert sorted(old.read_bytes() for old in aside(path)) == contents


@pytest.mark.parametrize("seed", range(16))
def test_any_damage_is_survived(path, filled, seed):
    """Bytes overwritten anywhere: all answers are there, by the copy, and nothing is deleted."""
    chance = random.Random(seed)
    damaged = bytearray(filled)
    for _ in range(chance.choice([1, 5, 50])):
        place = chance.randrange(0, 100 if seed % 4 == 0 else len(damaged))
        length = chance.choice([1, 16, 600])
        damaged[place : place + length] = chance.randbytes(length)[: len(damaged) - place]
    path.write_bytes(damaged)
    copy_of(path).write_bytes(filled)
    try:
        mine = Journal(path)
        mine.record_answer("b-001", "after", "right")
        assert is_whole(mine, beside=["b-001"])
    except CourseError as error:  # the damaged bytes say that a newer course wrote it
        assert "newer version" in str(error)
        assert path.read_bytes() == damaged
    else:
        assert [old.read_bytes() for old in aside(path)] == [damaged] * len(mine.notices)
