"""The learner's answers: one SQLite file that loses nothing it has acknowledged.

Every method that writes returns only when the words are on the disk. Nothing is ever changed or
deleted: each answer, draft, guess and review is an event, and what holds now is read from them.

SQLite's plain rollback journal is used, not its write-ahead log: it is as durable, a learner writes
once a minute at most, the learner can copy or synchronise one file instead of three, and it is safe
on the network folders that shared notebook servers keep homes on. Where such a disk has no locks,
SQLite makes a folder beside the file for as long as it writes. A connection lives for one
operation, so a fork, a thread, a dead kernel or a file that was moved away holds nothing open.
"""

import json
import sqlite3
import time
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import closing, contextmanager, suppress
from dataclasses import dataclass, replace
from datetime import datetime, timezone
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TypeVar
from zlib import crc32

from utils.common import CourseError
from utils.paths import FolderError, course_home, has_locks

NAME = "answers.sqlite3"
SCORES = {"right": 1.0, "partial": 0.5, "wrong": 0.0, "blank": 0.0}
WAIT = 10.0  # seconds to wait for another kernel that is writing
SIBLINGS = ("", "-journal", "-wal", "-shm")  # the file and what SQLite may keep beside it
DAMAGE = (
    "not a database",
    "malformed",
    "unsupported file format",
)  # how SQLite says it; Python 3.10 has no error codes yet

T = TypeVar("T")


class JournalError(CourseError):
    """Nothing was written; the message says why, what is safe and what to do."""


class _Damaged(Exception):
    """The file is there and cannot be read as a database."""


# The last: Python cannot decode what SQLite says when a name in a damaged file is no text.
DATABASE_ERRORS = (_Damaged, sqlite3.DatabaseError, UnicodeDecodeError)


@dataclass(frozen=True)
class Answer:
    """What holds for a question: its last checked answer and the verdict on it."""

    question_id: str
    answer: str
    outcome: str  # after the learner's overruling, if there was one
    score: float  # 0 to 1, after the overruling
    at: str  # UTC, ISO 8601
    source: str
    verdict: str  # what the course said
    overruled: bool = False


@dataclass(frozen=True)
class Guess:
    """A guess made before a cell and, once the cell has run, what it showed."""

    text: str
    at: str  # UTC, ISO 8601
    shown: str | None = None


@dataclass(frozen=True)
class Event:
    """One line of the journal; `body` holds what its `kind` needs."""

    id: int
    at: str
    kind: str
    key: str
    body: dict


def _create_answers(db: sqlite3.Connection) -> None:
    db.execute(
        "CREATE TABLE answers (id INTEGER PRIMARY KEY, question_id TEXT NOT NULL,"
        " answer TEXT NOT NULL, outcome TEXT NOT NULL, score REAL NOT NULL, at TEXT NOT NULL)"
    )


def _answers_to_events(db: sqlite3.Connection) -> None:
    """Version 2 keeps every kind of event in one table, so a new kind needs no new version."""
    db.execute(
        "CREATE TABLE events (id INTEGER PRIMARY KEY, at TEXT NOT NULL, kind TEXT NOT NULL,"
        " key TEXT NOT NULL, body TEXT NOT NULL, checksum INTEGER NOT NULL)"
    )
    db.execute("CREATE INDEX events_by_kind ON events (kind, key)")
    rows = db.execute(f"{ALL_OF_VERSION_1} ORDER BY id").fetchall()
    db.executemany(INSERT, [_event_of_answer(row[1:]) for row in rows])
    db.execute("DROP TABLE answers")


ALL = "SELECT id, at, kind, key, body, checksum FROM events"
ALL_OF_VERSION_1 = "SELECT id, at, question_id, answer, outcome, score FROM answers"
# MIGRATIONS[n] takes a file of version n to version n + 1, inside one transaction.
MIGRATIONS: list[Callable[[sqlite3.Connection], None]] = [_create_answers, _answers_to_events]
INSERT = "INSERT INTO events (at, kind, key, body, checksum) VALUES (?, ?, ?, ?, ?)"


def _event_of_answer(row: Sequence) -> tuple:
    at, question_id, answer, outcome, score = row
    body = {"answer": answer, "outcome": outcome, "score": score, "source": "version 1"}
    return _row("answer", question_id, body, at)


def _row(kind: str, key: str, body: dict, at: str) -> tuple:
    # ASCII-escaped JSON: half an emoji, a NUL or any other text a browser sends can be kept.
    texts = at, kind, key, json.dumps(body)
    return *texts, _checksum(texts)


def _checksum(texts: Iterable) -> int:
    """What shows that bytes inside a text have changed, which SQLite does not notice."""
    return crc32("\0".join(map(str, texts)).encode("utf-8", "replace"))


def _is_sound(row: Sequence) -> bool:
    return _checksum(row[:4]) == row[4]


class Journal:
    """The file of answers at `path` (default: `answers.sqlite3` in `course_home()`).

    `notices` holds what the learner should be told once, for example that a damaged file was set
    aside. Raises `JournalError` when the file is from a newer course or cannot be made at all; a
    file that can be read but not written opens, and each attempt to write raises `JournalError`.
    """

    def __init__(self, path: str | Path | None = None) -> None:
        """Open the file, or begin one."""
        self.notices: list[str] = []
        try:
            self.path = Path(path) if path else course_home(to_write=False) / NAME
            self.path.parent.mkdir(parents=True, exist_ok=True)
        except FolderError as error:
            raise JournalError(str(error)) from error
        except OSError as error:
            raise JournalError(_sentence(error, Path(path))) from error
        self._has_locks = has_locks(self.path.parent)
        self._held = _beside(self.path, ".lock")  # the folder, on a disk without locks
        self._attempt(self._check)

    # -- answers ---------------------------------------------------------------------------------

    def record_answer(
        self, question_id: str, answer: str, outcome: str, score: float, source: str = "widget"
    ) -> None:
        """Keep a checked answer; returns when it is on the disk.

        Raises `JournalError` when it could not be kept, `ValueError` for an unknown outcome or a
        score outside 0 to 1.
        """
        if outcome not in SCORES or not 0 <= score <= 1:
            raise ValueError(f"outcome {outcome!r} with score {score!r}: {', '.join(SCORES)}, 0-1")
        body = {"answer": answer, "outcome": outcome, "score": score, "source": source}
        self._add("answer", question_id, body)

    def overrule(self, question_id: str, outcome: str) -> None:
        """Let the learner's own `outcome` hold for their last answer; the verdict is kept too.

        Raises `KeyError` when the question has no answer yet.
        """
        if outcome not in SCORES or outcome == "blank":
            raise ValueError(f"outcome {outcome!r}: right, partial or wrong")
        held = self.latest(question_id)
        if held is None:
            raise KeyError(f"{question_id} has no answer to overrule")
        self._add("overrule", question_id, {"answer_at": held.at, "outcome": outcome})

    def latest(self, question_id: str) -> Answer | None:
        """The answer that holds for a question; a blank one does not replace an earlier answer."""
        return _fold(self.history(question_id)).get(question_id)

    def latest_all(self) -> dict[str, Answer]:
        """The answer that holds for each question that has one."""
        return _fold(self._events("answer", "overrule"))

    def history(self, question_id: str) -> list[Event]:
        """Every answer (blank ones too) and overruling of a question, oldest first."""
        return self._events("answer", "overrule", key=question_id)

    def save_draft(self, question_id: str, text: str) -> None:
        """Keep what is typed but not checked yet."""
        if self.draft(question_id) != text:
            self._add("draft", question_id, {"text": text})

    def draft(self, question_id: str) -> str | None:
        """What was typed after the last check, if anything."""
        return self.drafts().get(question_id)

    def drafts(self) -> dict[str, str]:
        """The draft of each question that has one newer than its last answer."""
        last = {event.key: event for event in self._events("answer", "draft")}
        return {key: event.body["text"] for key, event in last.items() if event.kind == "draft"}

    # -- guesses and sections --------------------------------------------------------------------

    def record_guess(self, key: str, text: str) -> None:
        """Keep a guess made before the cell `key` (`01_pet_classifier/cell-7`) is run."""
        self._add("guess", key, {"text": text})

    def record_reveal(self, key: str, shown: str) -> None:
        """Keep what the cell showed, to be put beside the guess."""
        self._add("reveal", key, {"shown": shown})

    def guess(self, key: str) -> Guess | None:
        """The last guess for a cell, with what was shown after it."""
        found = None
        for event in self._events("guess", "reveal", key=key):
            if event.kind == "guess":
                found = Guess(event.body["text"], event.at)
            elif found:
                found = Guess(found.text, found.at, event.body["shown"])
        return found

    def finish_section(self, notebook: str, section: str) -> None:
        """Tick a section off."""
        if section not in self.finished().get(notebook, []):
            self._add("section", notebook, {"section": section})

    def finished(self) -> dict[str, list[str]]:
        """The sections ticked off, by notebook, in the order they were."""
        sections: dict[str, list[str]] = {}
        for event in self._events("section"):
            sections.setdefault(event.key, []).append(event.body["section"])
        return sections

    # -- reviews (their meaning is `review`'s; here they are only kept) ----------------------------

    def record_card(self, question_id: str, before: dict | None, card: dict, log: dict) -> None:
        """Keep a review: the card before and after it and the log entry, as fsrs writes them."""
        self._add("review", question_id, {"before": before, "card": card, "log": log})

    def reviews(self, until: datetime | None = None) -> dict[str, dict]:
        """The last review (`before`, `card`, `log`) of each question that has one.

        One later than `until` does not count: it was kept while the clock was set ahead.
        """
        return {
            event.key: event.body
            for event in self._events("review")
            if not until or datetime.fromisoformat(event.body["card"]["last_review"]) <= until
        }

    def review_log(self, question_id: str) -> list[dict]:
        """The log entries of a question, oldest first."""
        return [event.body["log"] for event in self._events("review", key=question_id)]

    # -- events ----------------------------------------------------------------------------------

    def _add(self, kind: str, key: str, body: dict) -> None:
        row = _row(kind, key, body, datetime.now(timezone.utc).isoformat())
        self._attempt(lambda: self._insert([row]))

    def _insert(self, rows: list[tuple]) -> None:
        while True:
            before = _identity(self.path)
            with self._open() as db, _transaction(db):
                db.executemany(INSERT, rows)
            # Another kernel may have set this very file aside since: then write to its successor.
            if before in (None, _identity(self.path)):
                return

    def _events(self, *kinds: str, key: str | None = None) -> list[Event]:
        marks = ", ".join("?" * len(kinds))
        query = f"{ALL} WHERE kind IN ({marks})"
        arguments = list(kinds)
        if key is not None:
            query, arguments = query + " AND key = ?", [*kinds, key]

        def read() -> list[tuple]:
            with self._open() as db:
                return db.execute(query + " ORDER BY id", arguments).fetchall()

        rows = [row for row in self._attempt(read) if _is_sound(row[1:])]
        return [Event(*row[:4], json.loads(row[4])) for row in rows]

    # -- the file --------------------------------------------------------------------------------

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        with closing(_connect(self.path, self._has_locks)) as db:
            version = db.execute("PRAGMA user_version").fetchone()[0]
            if version > len(MIGRATIONS):
                raise JournalError(
                    f"{self.path} was written by a newer version of the course (format {version},"
                    f" this one knows {len(MIGRATIONS)}). It was left as it is. Update the course."
                )
            if version < len(MIGRATIONS):
                self._migrate(db)
            yield db

    def _migrate(self, db: sqlite3.Connection) -> None:
        with _transaction(db):  # asked again inside it: another kernel may have been faster
            for version in range(db.execute("PRAGMA user_version").fetchone()[0], len(MIGRATIONS)):
                MIGRATIONS[version](db)
                db.execute(f"PRAGMA user_version = {version + 1}")

    def _check(self) -> None:
        """Raise `_Damaged` unless the file is sound, or new."""
        empty = not self.path.exists() or self.path.stat().st_size == 0
        if empty and any(_beside(self.path, suffix).exists() for suffix in ("-wal", "-shm")):
            raise _Damaged  # its head is gone; SQLite would delete the rest
        with closing(_connect(self.path, self._has_locks)) as db:  # before anything is migrated
            if db.execute("PRAGMA quick_check").fetchall() != [("ok",)]:
                raise _Damaged
        with self._open() as db:
            if not all(_is_sound(row[1:]) for row in db.execute(ALL)):
                raise _Damaged

    def _attempt(self, operation: Callable[[], T], repair: bool = True) -> T:
        """Run `operation`; set a damaged file aside and try again; say all else in a sentence."""
        held, since = _made(self._held), time.monotonic()
        deadline = since + (WAIT if self._has_locks else 3 * WAIT)
        while True:
            try:
                return operation()
            except (*DATABASE_ERRORS, OSError) as error:
                if repair and _is_damage(error):
                    self._attempt(self._set_aside, repair=False)
                    repair = False
                # SQLite does not wait when two kernels both want to undo a dead one's transaction.
                elif "locked" in str(error) and time.monotonic() < deadline:
                    time.sleep(0.01)
                    if held != _made(self._held):
                        held, since = _made(self._held), time.monotonic()
                    elif held and time.monotonic() > since + WAIT:
                        self._let_go(held)  # SQLite needs moments: who held it so long is dead
                else:
                    raise JournalError(_sentence(error, self.path)) from error

    def _let_go(self, held: tuple[int, int]) -> None:
        """Take away the lock `held` that a process left, on a disk without locks."""
        with suppress(OSError), TemporaryDirectory(dir=self.path.parent) as folder:
            taken = Path(folder, self._held.name)
            self._held.rename(taken)
            if _made(taken) != held:  # another kernel was faster, and has begun to write
                taken.rename(self._held)

    def _set_aside(self) -> None:
        """Move a damaged file to a new name, begin another and copy what can still be read."""
        repair = _beside(self.path, "-repair")
        with closing(_connect(repair, self._has_locks)) as lock, _transaction(lock):
            try:
                return self._check()  # another kernel has done it while this one waited
            except DATABASE_ERRORS as error:
                if not _is_damage(error):
                    raise
            rows, aside = _salvage(self.path, self._has_locks), _free_name(self.path)
            for suffix in reversed(SIBLINGS):
                if _beside(self.path, suffix).exists():
                    _beside(self.path, suffix).rename(_beside(aside, suffix))
            self._insert(rows)
            self.notices.append(
                f"Your file of answers was damaged. It was kept as {aside.name} and another begun,"
                f" with the {len(rows)} entries that could still be read. Nothing was deleted; a"
                f" backup of {self.path.name}, if you have one, can be put back in {aside.parent}."
            )


def _connect(path: Path, has_locks: bool) -> sqlite3.Connection:
    # a URI only then: Windows' network paths make none
    where = path if has_locks else f"{path.absolute().as_uri()}?vfs=unix-dotfile"
    db = sqlite3.connect(where, WAIT, isolation_level=None, uri=not has_locks)
    db.text_factory = lambda text: text.decode("utf-8", "replace")
    db.execute("PRAGMA synchronous = EXTRA")  # wait for the disk, and for its directory
    return db


@contextmanager
def _transaction(db: sqlite3.Connection) -> Iterator[None]:
    db.execute("BEGIN IMMEDIATE")
    try:
        yield
        db.execute("COMMIT")
    except BaseException:
        if db.in_transaction:
            db.execute("ROLLBACK")
        raise


def _is_damage(error: Exception) -> bool:
    said = any(word in str(error) for word in DAMAGE)
    return said or isinstance(error, _Damaged | UnicodeDecodeError)


def _identity(path: Path) -> int | None:
    return path.stat().st_ino if path.exists() else None


def _made(folder: Path) -> tuple[int, int] | None:
    """Which folder it is, and from when: a new one may get the number of one that is gone."""
    with suppress(OSError):
        found = folder.stat()
        return found.st_ino, found.st_mtime_ns
    return None


def _fold(events: list[Event]) -> dict[str, Answer]:
    """Answers and overrulings, oldest first, to the one answer that holds for each question."""
    held: dict[str, Answer] = {}
    for event in events:
        body, before = event.body, held.get(event.key)
        if event.kind == "answer" and body["outcome"] != "blank":
            held[event.key] = Answer(event.key, at=event.at, verdict=body["outcome"], **body)
        elif event.kind == "overrule" and before and before.at == body["answer_at"]:
            outcome = body["outcome"]
            held[event.key] = replace(
                before, outcome=outcome, score=SCORES[outcome], overruled=True
            )
    return held


def _beside(path: Path, suffix: str) -> Path:
    return path.with_name(path.name + suffix)


def _free_name(path: Path) -> Path:
    """`answers.damaged-20250131-093000.sqlite3`, with a number when that is taken."""
    stem = f"{path.stem}.damaged-{datetime.now(timezone.utc):%Y%m%d-%H%M%S}"
    number, aside = 1, path.with_name(stem + path.suffix)
    while any(_beside(aside, suffix).exists() for suffix in SIBLINGS):
        number += 1
        aside = path.with_name(f"{stem}-{number}{path.suffix}")
    return aside


def _salvage(path: Path, has_locks: bool) -> list[tuple]:
    """The events of a damaged file that can be read, oldest first; the file is not touched."""
    queries = [(ALL, tuple), (ALL_OF_VERSION_1, _event_of_answer)]
    found: dict[int, tuple] = {}
    with TemporaryDirectory() as folder:
        copy = Path(folder) / path.name
        copy.write_bytes(_whole_pages(path.read_bytes()))
        with suppress(*DATABASE_ERRORS), closing(_connect(copy, has_locks)) as db:
            for query, as_event in queries:
                for direction in ("ASC", "DESC"):  # from both ends towards the damage
                    for number, *row in _rows(db, f"{query} ORDER BY id {direction}"):
                        if _is_sound(event := as_event(row)):
                            found[number] = event
    return [found[number] for number in sorted(found)]


def _whole_pages(content: bytes) -> bytes:
    """A file that was cut off, filled up with empty pages, without which SQLite reads none."""
    page, pages = int.from_bytes(content[16:18], "big"), int.from_bytes(content[28:32], "big")
    missing = page * pages - len(content)
    return content + b"\0" * missing if 0 < missing < 2**28 else content


def _rows(db: sqlite3.Connection, query: str) -> Iterator[tuple]:
    try:
        yield from db.execute(query)
    except DATABASE_ERRORS:
        return


def _sentence(error: Exception, where: Path) -> str:
    """What happened, what is safe, and what to do, for the learner."""
    folder, reason = where.parent, str(error)
    if "full" in reason or "disk I/O" in reason or getattr(error, "errno", 0) == 28:
        what = (
            f"there is no room left on the disk of {folder}, or the disk fails. Free some space"
            " and try again"
        )
    elif "locked" in reason:
        what = f"another program is holding {where}. Close it and try again"
    else:
        what = (
            f"{folder} cannot be written to. Make that folder writable, or set COURSE_HOME to"
            " another folder, and try again"
        )
    return f"This was not saved: {what}. Everything saved before it is still there. ({reason})"
