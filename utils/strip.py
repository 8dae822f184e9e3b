"""Stripped notebooks: a chapter's headings and code without its words, with a box to guess in.

Going through one, guessing what each cell will show before running it, is the quickest way to find
out what was understood.
"""

import ast
import hashlib
import os
import re
from itertools import pairwise
from pathlib import Path

import nbformat
from nbformat import NotebookNode
from nbformat.v4 import new_code_cell, new_markdown_cell, new_notebook

IMPORT = "from utils.quiz.widget import guess"

CODE = re.compile(r"^(```|~~~).*?^\1[^\n]*$|`[^`\n]*`", re.MULTILINE | re.DOTALL)
HEADING = re.compile(r"^ {0,3}#{1,6}[ \t].*$", re.MULTILINE)
IMAGE = re.compile(r"!\[([^\]]*)\]\([^)]*\)")
LINK = re.compile(r"\[((?:!\[[^\]]*\]\([^)]*\)|[^\[\]])*)\]\(\s*<?([^\s)>]+)>?[^)]*\)")
BARE = re.compile(r"(?<![\"'(])https?://[^\s<>)\]\"']+[^\s<>)\]\"'.,;:!?]")
ANCHOR = re.compile(r"<a\s+(?:id|name)=[\"']([^\"']+)[\"'][^>]*>")
METADATA = ("kernelspec", "language_info")
PLUMBING = {"guess", "reveal", "quiz", "review", "progress", "banner"}  # nobody has to guess these
INTRODUCTION = (
    "*A copy without the words. Before each cell, guess what it will show; run it; compare. "
    "[The whole chapter]({whole})*"
)


def strip_notebook(notebook: NotebookNode, name: str, up: str = "../") -> NotebookNode:
    """A copy of chapter `name` (`01_pet_classifier`): headings, links, code and guess boxes.

    `up` leads from the copy's folder to the chapter's, for links that are relative to it.
    """
    prose = "\n".join(cell.source for cell in notebook.cells if cell.cell_type == "markdown")
    section = _Section("", set(re.findall(r"\]\(#([^)\s]+)", prose)), up)
    introduction = INTRODUCTION.format(whole=f"{up}{name}.ipynb")
    kept = {key: notebook.metadata[key] for key in METADATA if key in notebook.metadata}
    copy = new_notebook(metadata=kept | {"stripped": {}})
    copy.cells = [section.cell]
    boxed = False
    for number, cell in enumerate(notebook.cells):
        if cell.cell_type == "markdown":
            for heading, body in _sections(cell.source):
                if heading:
                    section = section.next(heading)
                    copy.cells.append(section.cell)
                section.keep(body)
        elif cell.cell_type == "code" and cell.source.strip():
            id = cell.get("id", f"cell-{number}")
            if not boxed and not _is_plumbing(cell.source):
                copy.cells.append(_guess_box(f"{name}/{id}", cell))
            boxed = cell.source.lstrip().startswith("guess(")  # the chapter asks by itself
            copy.cells.append(new_code_cell(cell.source, metadata=_tags(cell), id=id))
    copy.cells = [cell for cell in copy.cells if cell.source]
    copy.cells[1:1] = [new_markdown_cell(introduction), new_code_cell(IMPORT)]  # below the title
    _number_cells(copy)
    copy.metadata.stripped.digest = _digest(copy)
    return copy


def strip_file(chapter: str | Path, out: str | Path) -> Path:
    """Write the stripped copy of a chapter into folder `out`; returns its path.

    A copy the learner has written in is kept beside the new one, as `….yours.ipynb`.
    """
    chapter, out = Path(chapter), Path(out)
    out.mkdir(parents=True, exist_ok=True)
    path = out / chapter.name
    up = Path(os.path.relpath(chapter.parent, out)).as_posix() + "/"
    stripped = strip_notebook(nbformat.read(chapter, as_version=4), chapter.stem, up)
    nbformat.validate(stripped)
    if path.exists() and _is_changed(path):
        path.rename(_free_name(path))
    unfinished = path.with_name(path.name + ".part")
    nbformat.write(stripped, unfinished)
    unfinished.replace(path)
    return path


def strip_all(folder: str | Path, out: str | Path) -> list[Path]:
    """Write the stripped copies of every chapter (`00_….ipynb`) of `folder` into `out`."""
    return [strip_file(path, out) for path in sorted(Path(folder).glob("[0-9][0-9]_*.ipynb"))]


class _Section:
    """A heading and what is worth keeping of the words under it."""

    def __init__(self, heading: str, targets: set[str], up: str) -> None:
        self.cell = new_markdown_cell(LINK.sub(lambda m: _link(m[1], m[2], up), heading))
        self.targets, self.up = targets, up
        self.links: list[str] = []

    def next(self, heading: str) -> "_Section":
        return _Section(heading, self.targets, self.up)

    def keep(self, body: str) -> None:
        """Add the links of `body`, and the anchors that something links to, below the heading."""
        body = CODE.sub("", body)
        found = [(IMAGE.sub(r"\1", text), target) for text, target in LINK.findall(body)]
        found += [(target, target) for target in BARE.findall(LINK.sub("", body))]
        for text, target in found:
            line = f"- {_link(text, target, self.up)}"
            if not target.startswith(("attachment:", "data:")) and line not in self.links:
                self.cell.source += ("" if self.links else "\n\nLinks:\n") + f"\n{line}"
                self.links.append(line)
        for anchor in ANCHOR.findall(body):
            if anchor in self.targets:
                self.cell.source = f'<a id="{anchor}"></a>\n\n{self.cell.source}'
        self.cell.source = self.cell.source.strip()


def _link(text: str, target: str, up: str) -> str:
    relative = not re.match(r"[a-zA-Z][\w+.-]*:|[#/]", target)
    return f"[{text.strip() or target}]({up if relative else ''}{target})"


def _sections(source: str) -> list[tuple[str, str]]:
    """The headings of a cell, each with what follows it; what is before the first has none."""
    hidden = CODE.sub(
        lambda code: re.sub(r"[^\n]", "x", code[0]), source
    )  # a comment is no heading
    bounds = [match.start() for match in HEADING.finditer(hidden)] + [len(source)]
    parts = [("", source[: bounds[0]])]
    for start, stop in pairwise(bounds):
        heading, _, body = source[start:stop].partition("\n")
        parts.append((heading, body))
    return parts


def _guess_box(key: str, cell: NotebookNode) -> NotebookNode:
    outputs = cell.get("outputs", [])
    pictures = any("image/png" in output.get("data", {}) for output in outputs)
    asks = "show" if pictures else "print" if outputs else "do"
    id = f"guess-{key.split('/')[1]}"[:64]  # an id may not be longer
    return new_code_cell(f'guess("{key}", "What will this {asks}?")', id=id)


def _is_plumbing(source: str) -> bool:
    """Whether a cell only imports, or calls the course's own boxes."""
    try:
        statements = ast.parse(source).body
    except SyntaxError:  # a magic such as %time, or `name?`
        return False
    return all(
        isinstance(line, ast.Import | ast.ImportFrom)
        or (isinstance(line, ast.Expr) and getattr(_called(line.value), "id", "") in PLUMBING)
        for line in statements
    )


def _called(value: ast.expr) -> ast.expr | None:
    return value.func if isinstance(value, ast.Call) else None


def _tags(cell: NotebookNode) -> dict:
    return {"tags": cell.metadata.tags} if "tags" in cell.metadata else {}


def _number_cells(notebook: NotebookNode) -> None:
    """Give cells that are ours, and those whose id is taken, an id that never changes."""
    used: set[str] = set()
    for number, cell in enumerate(notebook.cells):
        ours = cell.cell_type == "markdown" or cell.source == IMPORT
        if ours or cell.id in used:
            cell.id = f"stripped-{number}"
        used.add(cell.id)


def _digest(notebook: NotebookNode) -> str:
    text = "\0".join(cell.source for cell in notebook.cells)
    return hashlib.sha256(text.encode("utf-8", "replace")).hexdigest()


def _is_changed(path: Path) -> bool:
    try:
        notebook = nbformat.read(path, as_version=4)
        return notebook.metadata.stripped.digest != _digest(notebook)
    except (AttributeError, nbformat.reader.NotJSONError, nbformat.ValidationError):
        return True


def _free_name(path: Path) -> Path:
    number, name = 1, path.with_suffix(".yours.ipynb")
    while name.exists():
        number += 1
        name = path.with_suffix(f".yours-{number}.ipynb")
    return name
