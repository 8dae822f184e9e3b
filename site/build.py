"""`make site`: the stored chapters as a site, in build/site. Nothing is executed."""

import re
import shutil
import sys
from pathlib import Path

import nbformat
from sphinx.cmd.build import main as sphinx_build

HERE = Path(__file__).resolve().parent
ROOT = HERE.parent
sys.path.insert(0, str(ROOT))
from deploy.hosts import NOT_ON_BINDER, address, buttons  # noqa: E402
from utils.paths import chapters  # noqa: E402

PAGES, SITE = ROOT / "build" / "pages", ROOT / "build" / "site"
ROW = re.compile(r"^\| *(?P<word>[^|]+?) *\| *(?P<meaning>.+?) *\|$", flags=re.MULTILINE)
START = """\
# Whole Game

A course in deep learning, in notebooks you work through by yourself, with fastai and PyTorch.
These pages are the stored notebooks: read here, and run them on your own computer, where the
questionnaires judge your answers and keep them.

{contents}

To run it: clone the repository and type `python start.py` in its folder; its README says more.

```{{toctree}}
:hidden:

{chapters}
words
```
"""


def glossary(notebooks: dict[str, nbformat.NotebookNode]) -> str:
    """A page with the rows of all tables called Words, in the order of the alphabet."""
    rows = {}
    for name, notebook in notebooks.items():
        for cell in notebook.cells:
            if cell.cell_type == "markdown" and cell.source.startswith("## Words"):
                found = [row.groupdict() for row in ROW.finditer(cell.source)][2:]
                rows |= {row["word"]: (row["meaning"], name) for row in found}
    lines = [
        f"| {word} | {meaning} | [{name[:2]}]({name}.ipynb#Words) |"
        for word, (meaning, name) in sorted(rows.items(), key=lambda row: row[0].lower())
    ]
    return "\n".join(["# Words", "", "| word | meaning | chapter |", "|---|---|---|", *lines, ""])


def open_in(name: str, repository: str) -> str:
    """A row of buttons that open a chapter where it runs; "" while the course has no address."""
    links = [f'<a href="{url}">{host}</a>' for host, url in buttons(repository, name).items()]
    says = "(on Kaggle, switch Internet on first). Answers stay there as long as the machine does."
    if taken := NOT_ON_BINDER.get(name):
        says += f" Binder has too little memory for this chapter, which takes {taken} GiB."
    return f'\n\n<p class="open-in">Run it in {" ".join(links)} {says}</p>' if links else ""


def write_pages() -> None:
    """Put all that Sphinx reads into `build/pages`."""
    shutil.rmtree(PAGES, ignore_errors=True)
    shutil.copytree(HERE, PAGES, ignore=shutil.ignore_patterns("build.py", "__pycache__"))
    notebooks = {path.stem: nbformat.read(path, as_version=4) for path in chapters()}
    repository = address()
    for name, notebook in notebooks.items():
        notebook.metadata["language_info"] = {"name": "python", "pygments_lexer": "ipython3"}
        title, *rest = notebook.cells[0].source.split("\n")
        notebook.cells[0].source = "\n".join([title + open_in(name, repository), *rest])
        for cell in notebook.cells:
            if alts := cell.metadata.get("alt"):  # where MyST-NB looks for it
                cell.metadata["mystnb"] = {"image": {"alt": " ".join(alts)}}
        nbformat.write(notebook, PAGES / f"{name}.ipynb")
    contents = next(cell for cell in notebooks["00_start_here"].cells if cell.id == "contents")
    start = START.format(contents=contents.source, chapters="\n".join(notebooks))
    (PAGES / "index.md").write_text(start, encoding="utf-8")
    (PAGES / "words.md").write_text(glossary(notebooks), encoding="utf-8")


if __name__ == "__main__":
    write_pages()
    # -W: a warning fails, --keep-going: after all of them were said
    sys.exit(sphinx_build(["-b", "html", "-q", "-W", "--keep-going", str(PAGES), str(SITE)]))
