"""The cleaner's journal: what was chosen, what was done, and what a dead kernel was about to do.

Every Apply is a step. Before a file moves, the step is written here as begun (`applying`,
`undoing`, `redoing`); after the last file has moved, it becomes `done` or `undone` in the same
transaction that settles the choices. A step found begun belongs to a kernel that died, and
`files.PictureSet` puts its files back. SQLite is set as in `utils.quiz.journal`: the plain rollback
journal, a connection for each operation, and nothing returns before it is on the disk.
"""

import json
import sqlite3
import time
from collections.abc import Iterable, Iterator, Mapping
from contextlib import closing, contextmanager
from dataclasses import dataclass
from datetime import datetime, timezone
from pathlib import Path

from utils.cleaner.disk import CleanerError

FORMAT = 1
WAIT = 10.0  # seconds to wait for another kernel that is writing
# File names are kept as ASCII JSON: a name may be bytes that are no text.
TABLES = (
    "CREATE TABLE choices (file TEXT PRIMARY KEY, body TEXT NOT NULL)",
    "CREATE TABLE steps (number INTEGER PRIMARY KEY, state TEXT NOT NULL, body TEXT NOT NULL)",
    "CREATE TABLE events (id INTEGER PRIMARY KEY, at TEXT NOT NULL, did TEXT NOT NULL,"
    " number INTEGER NOT NULL)",
    f"PRAGMA user_version = {FORMAT}",
)
BEGUN = {"apply": "applying", "undo": "undoing", "redo": "redoing"}
BEFORE = {"applying": None, "undoing": "done", "redoing": "undone"}
AFTER = {"applying": "done", "undoing": "undone", "redoing": "done"}


@dataclass(frozen=True)
class Choice:
    """What the learner wants done with a picture; `mark` tells if the file is still the same."""

    action: str  # keep, relabel or discard
    label: str | None = None
    mark: str | None = None


@dataclass(frozen=True)
class Step:
    """One Apply: `body` holds its changes, the folders it makes and the table's two versions."""

    number: int
    state: str
    body: dict


class Journal:
    """The journal at `path`; a journal that does not exist yet reads as an empty one.

    Raises `CleanerError` when it is damaged, locked, from a newer course or cannot be written.
    """

    def __init__(self, path: Path) -> None:
        """Remember where; the file is made by the first write."""
        self.path = path

    def choices(self) -> dict[str, Choice]:
        """The choice that holds for each file that has one."""
        rows = self._read("SELECT file, body FROM choices")
        return {json.loads(file): Choice(*json.loads(body)) for file, body in rows}

    def choose(self, choices: Mapping[str, Choice | None]) -> None:
        """Keep these choices, all or none; None takes a choice back."""
        self._write(_choose(file, choice) for file, choice in choices.items())

    def begin(self, did: str, step: Step) -> None:
        """Write down what is about to happen. A new step becomes the last one."""
        row = (step.number, BEGUN[did], json.dumps(step.body))
        self._write([("REPLACE INTO steps VALUES (?, ?, ?)", row)])

    def finish(self, did: str, step: Step, choices: Mapping[str, Choice | None]) -> None:
        """It has happened: settle the step and the choices. An Apply ends what could be redone."""
        at = datetime.now(timezone.utc).isoformat(timespec="seconds")
        event = ("INSERT INTO events (at, did, number) VALUES (?, ?, ?)", (at, did, step.number))
        drop = [("UPDATE steps SET state = 'dropped' WHERE state = 'undone'", ())]
        self._write(
            [
                *(drop if did == "apply" else []),
                _state(step.number, AFTER[BEGUN[did]]),
                event,
                *(_choose(file, choice) for file, choice in choices.items()),
            ]
        )

    def cancel(self, step: Step) -> None:
        """It has not happened after all, and the files are back."""
        if BEFORE[step.state] is None:
            self._write([("DELETE FROM steps WHERE number = ?", (step.number,))])
        else:
            self._write([_state(step.number, BEFORE[step.state])])

    def begun(self) -> Step | None:
        """The step that is neither done nor undone, if there is one."""
        steps = self.steps(*BEFORE)
        return steps[0] if steps else None

    def steps(self, *states: str) -> list[Step]:
        """The steps in one of these states (all without), oldest first."""
        which = f" WHERE state IN ({', '.join('?' * len(states))})" if states else ""
        rows = self._read(f"SELECT * FROM steps{which} ORDER BY number", states)
        return [Step(number, state, json.loads(body)) for number, state, body in rows]

    def events(self) -> list[tuple[str, str, int]]:
        """When, what ("apply", "undo", "redo") and the step's number, oldest first."""
        return self._read("SELECT at, did, number FROM events ORDER BY id")

    def _read(self, query: str, values: tuple = ()) -> list[tuple]:
        if not self.path.exists():
            return []
        deadline = time.monotonic() + WAIT
        while True:
            try:
                with self._open() as db:
                    return db.execute(query, values).fetchall()
            except CleanerError as error:
                # SQLite does not wait when two kernels both want to undo a dead one's writing.
                if "locked" not in str(error.__cause__) or time.monotonic() > deadline:
                    raise
                time.sleep(0.01)

    def _write(self, statements: Iterable[tuple[str, tuple]]) -> None:
        with self._open() as db:
            db.execute("BEGIN IMMEDIATE")
            for statement, values in statements:
                db.execute(statement, values)
            db.execute("COMMIT")

    @contextmanager
    def _open(self) -> Iterator[sqlite3.Connection]:
        """A connection; closing it takes back what was not committed."""
        try:
            with closing(sqlite3.connect(self.path, timeout=WAIT, isolation_level=None)) as db:
                db.execute("PRAGMA synchronous = EXTRA")  # wait for the disk and its directory
                self._prepare(db)
                yield db
        except sqlite3.Error as error:
            raise CleanerError(_sentence(error, self.path)) from error

    def _prepare(self, db: sqlite3.Connection) -> None:
        if (version := _version(db)) > FORMAT:
            raise CleanerError(
                f"{self.path} was written by a newer version of the course: update the course."
            )
        if version == 0:
            db.execute("BEGIN IMMEDIATE")
            for statement in TABLES if _version(db) == 0 else ():
                db.execute(statement)
            db.execute("COMMIT")


def _version(db: sqlite3.Connection) -> int:
    return db.execute("PRAGMA user_version").fetchone()[0]


def _choose(file: str, choice: Choice | None) -> tuple[str, tuple]:
    if choice is None:
        return "DELETE FROM choices WHERE file = ?", (json.dumps(file),)
    body = json.dumps([choice.action, choice.label, choice.mark])
    return "REPLACE INTO choices VALUES (?, ?)", (json.dumps(file), body)


def _state(number: int, state: str) -> tuple[str, tuple]:
    return "UPDATE steps SET state = ? WHERE number = ?", (state, number)


def _sentence(error: sqlite3.Error, path: Path) -> str:
    reason = str(error)
    if "full" in reason or "disk I/O" in reason:
        what = "there is no room left on its disk, or the disk fails: free some space"
    elif "locked" in reason:
        what = "another program is holding it: close that program"
    elif "malformed" in reason or "not a database" in reason:
        what = "it is damaged: put back a copy of it, or move it away to begin a new one"
    else:
        what = "it cannot be written to: make its folder writable, or clean a copy of the set"
    return f"Nothing was changed. {path}: {what}, and try again. ({reason})"
