"""A new version of the course, in a folder whose notebooks were run and changed: nothing is lost.

Notebooks are merged cell by cell, by the cells' ids, as nbgitpuller does it line by line: a cell of
the learner's wins where the course left it alone. Where both changed the same, the course's is
taken, and the learner's whole file stays beside it as `….yours-1.ipynb`.
"""

import json
import os
import shutil
import subprocess
from dataclasses import dataclass, field
from pathlib import Path

import nbformat

from utils.common import CourseError, beside, made_whole, write_whole
from utils.paths import file_lock

SAVED = "course-update"  # in .git: the learner's files, until the new version is in place
PLAN = "plan.json"


class UpdateError(CourseError):
    """Nothing has been changed, and the sentence says why."""


@dataclass
class Step:
    """What becomes of one file that the learner has changed."""

    path: str
    own: bytes | None  # None: deleted
    says: str = ""  # "" where there is nothing to tell
    writes: dict[str, bytes] = field(default_factory=dict)  # once the new version is there


def git(root: Path, *words: str) -> bytes:
    """What git prints. Raises `UpdateError` with the last line of what it complained of."""
    command, asks = ["git", "-C", str(root), *words], {"GIT_TERMINAL_PROMPT": "0"}
    try:
        done = subprocess.run(command, capture_output=True, check=False, env=os.environ | asks)
    except FileNotFoundError:
        raise UpdateError("There is no git on this computer: install it first.") from None
    if done.returncode:
        complaint = done.stderr.decode(errors="replace").strip().splitlines() or ["no reason"]
        raise UpdateError(f"git {words[0]} did not work: {complaint[-1]}")
    return done.stdout


def names(root: Path, *words: str) -> set[str]:
    """The files that a git command lists with `-z`."""
    return set(git(root, *words).decode().split("\0")) - {""}


def at(root: Path, version: str, path: str) -> bytes | None:
    """A file as it is in a version, None where it has none."""
    try:
        return git(root, "cat-file", "blob", f"{version}:{path}")
    except UpdateError:
        return None


def merged(was: bytes, own: bytes, becomes: bytes) -> tuple[bytes, bool]:
    """The new notebook with the learner's cells in it, and whether all of them are.

    Cells that the learner added stand after the one they were added after; cells that they deleted
    come back; of cells they only ran, the new version's outputs are taken.
    """
    try:
        old, mine, new = (
            nbformat.reads(text.decode(), as_version=4) for text in (was, own, becomes)
        )
        before = {cell.id: cell.source for cell in old.cells}
        mine_by_id = {cell.id: cell for cell in mine.cells}
        place = {cell.id: cell for cell in new.cells}
    except (ValueError, AttributeError):  # no notebook, or an old one without ids
        return becomes, False
    all_kept, cells, previous = True, list(new.cells), None
    for id, cell in mine_by_id.items():
        if id not in before and id not in place:
            ids = [other.id for other in cells]
            cells.insert(ids.index(previous) + 1 if previous in ids else 0, cell)
        elif cell.source != before.get(id) and (id not in place or cell.source != place[id].source):
            if id in place and place[id].source == before.get(id):
                cells = [cell if other.id == id else other for other in cells]
            else:
                all_kept = False
        if id in {other.id for other in cells}:
            previous = id
    new.cells = cells
    return (nbformat.writes(new, indent=1) + "\n").encode(), all_kept


def step(root: Path, path: str, own: bytes | None, base: str, new: str) -> Step:
    """What becomes of a file that is not, or may not be, as `base` has it."""
    was, becomes = at(root, base, path), at(root, new, path)
    if own == becomes:
        return Step(path, own)
    if own is None:
        return Step(path, own, "deleted by you: comes back")
    if was == becomes or becomes is None:
        gone = "no longer a part of the course: yours stays" if becomes is None else ""
        return Step(path, own, gone, {path: own})
    content = becomes
    if path.endswith(".ipynb") and was is not None:
        content, all_kept = merged(was, own, becomes)
        if all_kept:
            says = "your cells are in the new version" if content != becomes else ""
            return Step(path, own, says, {path: content})
    copy = beside(root / path, own)
    writes = {path: content, copy.relative_to(root).as_posix(): own}
    return Step(path, own, f"changed by you and by the course: new, yours as {copy.name}", writes)


def steps(root: Path, base: str, new: str, saved: dict[str, bytes]) -> list[Step]:
    """What becomes of each file that differs from `base`; `saved` has those of a stopped update."""
    changed = names(root, "diff", "--name-only", "--no-renames", "-z", base)
    added = names(root, "diff", "--name-only", "--no-renames", "-z", "--diff-filter=A", base, new)
    found = {path for path in added if (root / path).exists()}
    rows = []
    for path in sorted(changed | found | set(saved)):
        file = root / path
        own = file.read_bytes() if file.is_file() else None
        if path in saved and own in (None, at(root, new, path)):
            own = saved[path]
        rows.append(step(root, path, own, base, new))
    return rows


def update(root: Path, dry_run: bool = False) -> list[str]:
    """Bring the newest version of `root`'s branch; returns lines that say what was done.

    Killed at any moment, the next call goes on where it was. Commits of the learner's own stay on a
    branch called `yours-` and their number. `dry_run`: only say what would be done. Raises
    `UpdateError` where nothing can be done: no network, no repository.
    """
    folder = root / git(root, "rev-parse", "--git-dir").decode().strip()
    with file_lock(folder / f"{SAVED}.lock"):
        saved: dict[str, bytes] = {}
        if (folder / SAVED / PLAN).exists():  # a stopped update
            plan = json.loads((folder / SAVED / PLAN).read_text())
            base, new = plan["base"], plan["new"]
            saved = {path: (folder / SAVED / n).read_bytes() for n, path in plan["files"].items()}
            (folder / "index.lock").unlink(missing_ok=True)  # git was stopped too
        else:
            git(root, "fetch", "--quiet")
            new = git(root, "rev-parse", "@{upstream}").decode().strip()
            base = git(root, "merge-base", "HEAD", new).decode().strip()
            if base == new:
                return ["This is the newest version already."]
        head = git(root, "rev-parse", "HEAD").decode().strip()
        rows = steps(root, base, new, saved)
        lines = [f"{row.path}: {row.says}" for row in rows if row.says]
        if head not in (base, new):
            lines.append(f"Your own commits are on the branch yours-{head[:8]}.")
        changed = len(names(root, "diff", "--name-only", "-z", base, new))
        if dry_run:
            return [*lines, f"{changed} files would change. Nothing was done."]
        with made_whole(folder / SAVED) as scratch:
            scratch.mkdir()
            own = [(row.path, row.own) for row in rows if row.own is not None]
            for number, (_, content) in enumerate(own):
                (scratch / str(number)).write_bytes(content)
            files = {str(number): path for number, (path, _) in enumerate(own)}
            (scratch / PLAN).write_text(json.dumps({"base": base, "new": new, "files": files}))
        if head not in (base, new):
            git(root, "branch", "--force", f"yours-{head[:8]}", head)
        git(root, "reset", "--quiet", "--hard", new)
        for row in rows:
            for path, content in row.writes.items():
                (root / path).parent.mkdir(parents=True, exist_ok=True)
                write_whole(root / path, content)
        (folder / SAVED / PLAN).unlink()  # from here on it is done
        shutil.rmtree(folder / SAVED)
        return [*lines, f"{changed} files changed. Answers are not in this folder, and stay."]
