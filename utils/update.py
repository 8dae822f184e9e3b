"""A new version of the course, in a folder whose notebooks were run and changed: nothing is lost.

Notebooks are merged cell by cell, by the cells' ids: a cell of the learner's wins where the course
left it alone. Where both changed the same, the course's is taken, and the learner's whole file
stays beside it as `….yours-1.ipynb`.
"""

import json
import os
import subprocess
from contextlib import suppress
from pathlib import Path

import nbformat

from utils.common import CourseError, beside, write_whole
from utils.paths import file_lock

SAVED = "course-update.json"  # in .git: the learner's files, until the new version is in place
Content = bytes | None  # of a file; None: there is none
Step = tuple[str, dict[Path, bytes]]  # what to say, if anything; what to write once it is there


def git(root: Path, *words: str) -> bytes:
    """What git prints. Raises `CourseError` with the last line of what it complained of."""
    command, asks = ["git", "-C", str(root), *words], {"GIT_TERMINAL_PROMPT": "0"}
    try:
        done = subprocess.run(command, capture_output=True, check=False, env=os.environ | asks)
    except FileNotFoundError:
        raise CourseError("There is no git on this computer: install it first.") from None
    if done.returncode:
        complaint = done.stderr.decode(errors="replace").strip().splitlines() or ["no reason"]
        raise CourseError(f"git {words[0]} did not work: {complaint[-1]}")
    return done.stdout


def changed(root: Path, *words: str) -> set[str]:
    """The files that differ between two versions, or between one and the folder."""
    listed = git(root, "diff", "--name-only", "--no-renames", "-z", *words)
    return {*listed.decode().split("\0")} - {""}


def at(root: Path, version: str, path: str) -> Content:
    """A file as it is in a version."""
    with suppress(CourseError):
        return git(root, "cat-file", "blob", f"{version}:{path}")
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
        cells = {cell.id: cell for cell in new.cells}
        mine_by_id = {cell.id: cell for cell in mine.cells}
    except (ValueError, AttributeError):  # no notebook, or an old one without ids
        return becomes, False
    order, after, all_kept = [*cells], 0, True
    for id, cell in mine_by_id.items():
        if id not in before and id not in cells:
            order.insert(after, id)
            cells[id] = cell
        elif cell.source != before.get(id) and (id not in cells or cell.source != cells[id].source):
            if id in cells and cells[id].source == before.get(id):
                cells[id] = cell
            else:
                all_kept = False
        if id in cells:
            after = order.index(id) + 1
    new.cells = [cells[id] for id in order]
    return (nbformat.writes(new, indent=1) + "\n").encode(), all_kept


def step(file: Path, was: Content, own: Content, becomes: Content) -> Step:
    """What becomes of a file that the learner has changed, or deleted."""
    if own == becomes:
        return "", {}
    if own is None:
        return "deleted by you: comes back", {}
    if becomes is None:
        return "no longer a part of the course: yours stays", {file: own}
    if was == becomes:
        return "", {file: own}
    content = becomes
    if file.suffix == ".ipynb" and was is not None:
        content, all_kept = merged(was, own, becomes)
        if all_kept:
            says = "your cells are in the new version" if content != becomes else ""
            return says, {file: content}
    copy = beside(file, own)
    says = f"changed by you and by the course: new, yours as {copy.name}"
    return says, {file: content, copy: own}


def update(root: Path, dry_run: bool = False) -> list[str]:
    """Bring the newest version of `root`'s branch; returns lines that say what was done.

    Killed at any moment, the next call goes on where it was. Commits of the learner's own stay on a
    branch called `yours-` and their number. `dry_run`: only say what would be done. Raises
    `CourseError` where nothing can be done: no network, no repository.
    """
    folder = root / git(root, "rev-parse", "--git-dir").decode().strip()
    with file_lock(folder / f"{SAVED}.lock"):
        saved = folder / SAVED
        owns: dict[str, Content] = {}
        if saved.exists():  # a stopped update
            base, new, texts = json.loads(saved.read_text())
            owns = {path: text.encode("latin-1") for path, text in texts.items()}
            (folder / "index.lock").unlink(missing_ok=True)  # git was stopped too
        else:
            git(root, "fetch", "--quiet")
            new = git(root, "rev-parse", "@{upstream}").decode().strip()
            base = git(root, "merge-base", "HEAD", new).decode().strip()
            if base == new:
                return ["This is the newest version already."]
        head = git(root, "rev-parse", "HEAD").decode().strip()
        added = changed(root, "--diff-filter=A", base, new)
        in_the_way = {path for path in added if (root / path).exists()}
        for path in changed(root, base) | in_the_way | {*owns}:
            own = (root / path).read_bytes() if (root / path).is_file() else None
            if path not in owns or own not in (None, at(root, new, path)):
                owns[path] = own
        steps = {
            path: step(root / path, at(root, base, path), own, at(root, new, path))
            for path, own in sorted(owns.items())
        }
        lines = [f"{path}: {says}" for path, (says, _) in steps.items() if says]
        if head not in (base, new):
            lines.append(f"Your own commits are on the branch yours-{head[:8]}.")
        count = len(changed(root, base, new))
        if dry_run:
            return [*lines, f"{count} files would change. Nothing was done."]
        # Latin-1 has a letter for every byte.
        texts = {path: own.decode("latin-1") for path, own in owns.items() if own is not None}
        write_whole(saved, json.dumps([base, new, texts]))
        if head not in (base, new):
            git(root, "branch", "--force", f"yours-{head[:8]}", head)
        git(root, "reset", "--quiet", "--hard", new)
        for _, writes in steps.values():
            for file, content in writes.items():
                file.parent.mkdir(parents=True, exist_ok=True)
                write_whole(file, content)
        saved.unlink()  # from here on it is done
        return [*lines, f"{count} files changed. Answers are not in this folder, and stay."]
