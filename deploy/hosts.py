"""Where a chapter can be opened without installing anything, once the course has an address.

`python deploy/hosts.py FOLDER` writes copies of the chapters for Colab and Kaggle, which open a
page by itself: their first cell fetches the rest. The workflow pushes them as the branch `hosted`.
Binder takes the whole repository. The address is `Repository` under `[project.urls]` in
pyproject.toml; without one there are no copies, and no buttons on the site (site/build.py).
"""

import sys
from pathlib import Path
from urllib.parse import quote

import nbformat
from nbformat.v4 import new_code_cell

if sys.version_info >= (3, 11):
    import tomllib
else:
    import tomli as tomllib

ROOT = Path(__file__).resolve().parents[1]
BRANCH = "hosted"
# What these take (`course run` tells it, in GiB); Binder gives 2 GB.
NOT_ON_BINDER = {"08_language": 2.0, "10_training_long": 2.2}
FIRST_CELL = """\
# Opened by itself, on Colab or Kaggle, this page fetches the course; anywhere else it does nothing.
import os

if {{"COLAB_RELEASE_TAG", "KAGGLE_KERNEL_RUN_TYPE"}} & os.environ.keys():
    !test -d ~/whole-game || git clone --quiet --depth 1 {address} ~/whole-game
    %run ~/whole-game/deploy/host.py"""


def address(pyproject: Path = ROOT / "pyproject.toml") -> str:
    """The course's repository, "" as long as it has none that everybody can reach."""
    table = tomllib.loads(pyproject.read_text(encoding="utf-8"))
    return table["project"].get("urls", {}).get("Repository", "").rstrip("/")


def buttons(repository: str, chapter: str) -> dict[str, str]:
    """Each host and the address that opens the chapter there; Colab and Kaggle read from GitHub."""
    slug = repository.removeprefix("https://github.com/")
    if slug == repository:
        return {}
    copy = f"{slug}/blob/{BRANCH}/{chapter}.ipynb"
    page = quote(f"lab/tree/notebooks/{chapter}.ipynb", safe="")
    binder = {"Binder": f"https://mybinder.org/v2/gh/{slug}/main?urlpath={page}"}
    return {
        "Colab": f"https://colab.research.google.com/github/{copy}",
        "Kaggle": f"https://kaggle.com/kernels/welcome?src=https://github.com/{copy}",
    } | (binder if chapter not in NOT_ON_BINDER else {})


def hosted(notebook: nbformat.NotebookNode, repository: str) -> nbformat.NotebookNode:
    """The chapter with a first cell that fetches the course; what it had stays as it is."""
    notebook.cells = [cell for cell in notebook.cells if cell.id != "fetch"]
    notebook.cells.insert(0, new_code_cell(FIRST_CELL.format(address=repository), id="fetch"))
    return notebook


def main(folder: Path) -> None:
    """Write the copies; without an address say so."""
    if not (repository := address()):
        print("pyproject.toml has no [project.urls] with a Repository yet: nothing was written.")
        return
    folder.mkdir(parents=True, exist_ok=True)
    for path in sorted((ROOT / "notebooks").glob("[0-9][0-9]_*.ipynb")):
        copy = hosted(nbformat.read(path, as_version=4), repository)
        (folder / path.name).write_text(nbformat.writes(copy) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
