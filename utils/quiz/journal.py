"""The learner's answers: one SQLite file that loses nothing it has acknowledged.

Every method that writes returns only when the words are on the disk. Nothing is ever changed or
deleted: each answer and each overruling is an event, and what holds now is read from them.

SQLite's plain rollback journal is used, not its write-ahead log: it is as durable, and safe on the
network folders that shared notebook servers keep homes on. One process at a time is at the file,
by a lock that works on such a disk where SQLite's own do not. A connection lives for one operation,
so a fork, a thread, a dead kernel or a file that was moved away holds nothing open.
"""

import json
import sqlite3
import time
from collections.abc import Callable, Iterable
from contextlib import closing, suppress
from dataclasses import dataclass
from datetime import datetime, timezone
from errno import ENOSPC
from pathlib import Path
from typing import Any, TypeVar
from zlib import crc32

from utils.common import CourseError, made_whole, write_whole
from utils.paths import course_home, file_lock, has_locks

WAIT = 10.0  # seconds to wait for another kernel that is writing
COPY_EVERY = 60.0  # seconds, while a kernel writes
# How SQLite says that a file is damaged; Python 3.10 has no error codes yet.
DAMAGE = ("malformed", "not a database", "unsupported file format", "not decode", "too big")
VERSION = 3  # a guess is an answer since then; files of version 2 are read
SCHEMA = f"""
BEGIN IMMEDIATE;
CREATE TABLE IF NOT EXISTS events (id INTEGER PRIMARY KEY, at TEXT NOT NULL, kind TEXT NOT NULL,
    key TEXT NOT NULL, body TEXT NOT NULL, checksum INTEGER NOT NULL);
PRAGMA user_version = {VERSION};
COMMIT;
"""
INSERT = "INSERT INTO events (at, kind, key, body, checksum) VALUES (?, ?, ?, ?, ?)"

T = TypeVar("T")


@dataclass
class Answer:
    """A checked answer and the verdict on it; or a guess, whose verdict is "guess"."""

    question_id: str
    answer: str
    at: str  # UTC, ISO 8601
    verdict: str  # what the course said
    outcome: str  # the same, or what the learner said of it since


class Journal:
    """The file of answers at `path` (default: `answers.sqlite3` in `course_home()`).

    `notices` holds what the learner should be told once: that a damaged file was set aside. Raises
    `CourseError` when the file is from a newer course or cannot be made at all; a file that can be
    read but not written opens, and each attempt to write raises.
    """

    def __init__(self, path: str | Path | None = None) -> None:
        """Open the file, or begin one."""
        self.notices: list[str] = []
        self.path = Path(path) if path else course_home(to_write=False) / "answers.sqlite3"
        self._copy = self.path.with_name(f"{self.path.stem}.copy{self.path.suffix}")
        self._copy_due = 0.0  # on the monotonic clock
        self._lock = file_lock(f"{self.path}.lock", WAIT)
        self._has_locks = has_locks(self.path.parent)
        self._run(_check)

    def now(self) -> datetime:
        """The clock that answers are dated by."""
        return datetime.now(timezone.utc)

    def record_answer(self, question_id: str, answer: str, outcome: str) -> None:
        """Keep a checked answer, or a guess; returns when it is on the disk."""
        self._add("answer", question_id, {"answer": answer, "outcome": outcome})

    def overrule(self, question_id: str, outcome: str) -> None:
        """Let the learner's own `outcome` hold for their last answer; the verdict is kept too.

        Raises `KeyError` when the question has no answer yet, `ValueError` for no such outcome.
        """
        if outcome not in ("right", "partial", "wrong"):
            raise ValueError(outcome)
        at = self.latest_all()[question_id].at
        self._add("overrule", question_id, {"answer_at": at, "outcome": outcome})

    def answers(self) -> list[Answer]:
        """Every answer but the blank ones, oldest first."""
        found: dict[tuple[str, str], Answer] = {}
        for at, kind, key, body in self._run(_read):
            outcome = body.get("outcome", "")
            if kind == "answer" and outcome != "blank":
                found[key, at] = Answer(key, body["answer"], at, outcome, outcome)
            elif kind == "guess":  # as the first versions of the course kept one
                found[key, at] = Answer(key, body["text"], at, kind, kind)
            elif kind == "overrule" and (key, body["answer_at"]) in found:
                found[key, body["answer_at"]].outcome = outcome  # a copy may lack the last answer
        return list(found.values())

    def latest_all(self) -> dict[str, Answer]:
        """The answer that holds for each question, or guess: the last that was not blank."""
        return {answer.question_id: answer for answer in self.answers()}

    # -- the file --------------------------------------------------------------------------------

    def _add(self, kind: str, key: str, body: dict) -> None:
        # ASCII-escaped JSON: half an emoji, a NUL or any other text a browser sends can be kept.
        texts = self.now().isoformat(), kind, key, json.dumps(body)

        def insert(db: sqlite3.Connection) -> None:
            db.execute(INSERT, (*texts, _checksum(texts)))
            db.execute(f"PRAGMA user_version = {VERSION}")  # so that an older course says so
            if time.monotonic() > self._copy_due:
                with suppress(OSError, sqlite3.Error, ValueError):  # the answer is safe without it
                    self._copy_due = time.monotonic() + COPY_EVERY
                    self._write_copy(db, self._copy)

        self._run(insert)

    def _run(self, operation: Callable[[sqlite3.Connection], T]) -> T:
        """Do it with the file held alone; what damage or the disk prevents becomes a sentence."""
        try:
            try:
                self._lock.acquire(poll_interval=0.01)
            except OSError as error:  # a disk that is full or can only be read takes no lock
                if isinstance(error, TimeoutError):
                    raise
            try:
                return self._in_file(operation)
            except (sqlite3.Error, ValueError) as error:
                if not _is_damage(error):
                    raise
                self._set_aside()
                return self._in_file(operation)
        except (sqlite3.Error, OSError) as error:
            raise CourseError(_sentence(error, self.path)) from error
        finally:
            self._lock.release()

    def _in_file(self, operation: Callable[[sqlite3.Connection], T]) -> T:
        with self._connected(self.path) as db:
            version = db.execute("PRAGMA user_version").fetchone()[0]
            if version not in (0, 2, VERSION):
                raise CourseError(
                    f"{self.path} was written by a newer version of the course (format {version},"
                    f" this one knows {VERSION}). It was left as it is. Update the course."
                )
            if version == 0:
                db.executescript(SCHEMA)
            return operation(db)

    def _connected(self, path: Path) -> closing[sqlite3.Connection]:
        # a URI only where need be: Windows' network paths make none
        where = path if self._has_locks else f"{path.absolute().as_uri()}?vfs=unix-none"
        db = sqlite3.connect(where, WAIT, isolation_level=None, uri=not self._has_locks)
        db.execute("PRAGMA synchronous = EXTRA")  # wait for the disk, and for its directory
        return closing(db)

    def _write_copy(self, db: sqlite3.Connection, path: Path) -> None:
        """Make `path` a copy of the database by SQLite's own backup, if it is sound."""
        with made_whole(path) as part, self._connected(part) as copy:
            db.backup(copy)
            _check(copy)

    def _set_aside(self) -> None:
        """Keep the damaged file under another name, and put the newest copy in its place."""
        stamp = f"{datetime.now(timezone.utc):%Y%m%d-%H%M%S-%f}"
        aside = self.path.with_name(f"{self.path.stem}.damaged-{stamp}{self.path.suffix}")
        write_whole(aside, self.path.read_bytes())
        try:
            made = datetime.fromtimestamp(self._copy.stat().st_mtime)
            with self._connected(self._copy) as db:
                self._write_copy(db, self.path)
            now = f"In its place is the copy that was made on {made:%d %B %Y at %H:%M}"
        except (FileNotFoundError, sqlite3.Error, ValueError) as error:
            if not (isinstance(error, FileNotFoundError) or _is_damage(error)):
                raise
            self.path.unlink()
            now = "There was no copy to put in its place, so another is begun"
        self.notices.append(
            f"Your file of answers was damaged. {now}. Nothing was deleted: the damaged file was"
            f" kept as {aside.name}; a backup of {self.path.name}, if you have one, can be put back"
            f" in {self.path.parent}."
        )


def _check(db: sqlite3.Connection) -> None:
    """Raise `sqlite3.DatabaseError` unless every page and every event is as it was written."""
    if db.execute("PRAGMA quick_check").fetchall() != [("ok",)]:
        raise sqlite3.DatabaseError("malformed")
    _read(db)


def _read(db: sqlite3.Connection) -> list[tuple[str, str, str, dict[str, Any]]]:
    """The events, oldest first; raises `sqlite3.DatabaseError` if one is not as it was written."""
    rows = db.execute("SELECT at, kind, key, body, checksum FROM events ORDER BY id").fetchall()
    # SQLite does not notice bytes that changed within a text
    if any(_checksum(texts) != checksum for *texts, checksum in rows):
        raise sqlite3.DatabaseError("malformed")
    return [(at, kind, key, json.loads(body)) for at, kind, key, body, _ in rows]


def _checksum(texts: Iterable[object]) -> int:
    return crc32("\0".join(map(str, texts)).encode("utf-8", "replace"))


def _is_damage(error: Exception) -> bool:
    # ValueError: a text in the file, or in SQLite's own message, that is no text any more
    return isinstance(error, ValueError) or any(words in str(error) for words in DAMAGE)


def _sentence(error: Exception, where: Path) -> str:
    """What happened, what is safe, and what to do, for the learner."""
    folder, reason = where.parent, str(error)
    if "full" in reason or "disk I/O" in reason or getattr(error, "errno", 0) == ENOSPC:
        what = f"there is no room left on the disk of {folder}, or it fails. Free some space"
    elif "locked" in reason or isinstance(error, TimeoutError):
        what = f"another program is holding {where}. Close it"
    else:
        what = f"{folder} cannot be written to. Make it writable, or set COURSE_HOME to another"
    return (
        f"This was not saved: {what}, and try again. Everything saved before it is still there."
        f" ({reason})"
    )
