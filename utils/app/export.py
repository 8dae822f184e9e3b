"""The app as a folder of its own, which a hosting service takes: `course app export DIR`."""

import json
import re
import sys
from importlib.metadata import PackageNotFoundError, requires
from pathlib import Path

import nbformat
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from utils.app.manifest import GRAPH, MANIFEST, sha256
from utils.app.predictor import Predictor
from utils.common import CourseError, listed
from utils.paths import NOTEBOOKS, ROOT

NOTEBOOK = NOTEBOOKS / "apps" / "bear_classifier.ipynb"
HERE = Path(__file__).parent
HOSTING = HERE / "hosting"  # what is copied with {names} filled in
# The app's own code, none of which needs PyTorch, and the packages that it imports.
CODE = (
    *("utils/__init__.py", "utils/common.py", "utils/images.py", "utils/widgets/*"),
    *("utils/app/__init__.py", "utils/app/manifest.py", "utils/app/predictor.py"),
    *("utils/app/dropzone.*", "utils/app/server.py", "utils/app/voila/templates/course/*"),
)
NEEDS = ("anywidget", "ipykernel", "numpy", "onnxruntime", "pillow", "voila")
MARKER = "course-export.json"


def export_app(folder: Path, model: Path, notebook: Path = NOTEBOOK) -> list[str]:
    """Write the app with the model in `model` to `folder`; returns the names of what is there.

    `folder` is made. An earlier export in it is replaced; files of yours beside one are left
    alone. Raises `CourseError` for a folder with something else in it, or with an export that was
    edited, and `DeployError` for a model that cannot be used.
    """
    Predictor(model)  # an app that cannot answer should not get as far as a server
    sources = [file for pattern in CODE for file in ROOT.glob(pattern) if file.is_file()]
    files = {file.relative_to(ROOT).as_posix(): file.read_bytes() for file in sources}
    files |= {f"model/{name}": (model / name).read_bytes() for name in (MANIFEST, GRAPH)}
    files[notebook.name] = notebook.read_bytes()
    files["requirements.txt"] = files["binder/requirements.txt"] = requirements().encode()
    files |= _hosting_files(notebook)
    _refuse_to_overwrite(folder, list(files))
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    (folder / "binder" / "start").chmod(0o755)
    hashes = {name: sha256(content) for name, content in files.items()}
    (folder / MARKER).write_text(json.dumps(hashes, indent=1) + "\n", encoding="utf-8")
    return sorted(files)


def _hosting_files(notebook: Path) -> dict[str, bytes]:
    """Dockerfile, README and Binder's files, with what depends on this course filled in."""
    values = {
        "PYTHON": "{}.{}".format(*sys.version_info),
        "NOTEBOOK": notebook.name,
        "TITLE": nbformat.read(notebook, 4).metadata["title"],
    }
    files = {}
    for file in filter(Path.is_file, HOSTING.rglob("*")):
        # the dot of names such as .dockerignore is left out here, so that nobody overlooks them
        name = file.relative_to(HOSTING).as_posix().replace("dot_", ".")
        text = file.read_text(encoding="utf-8")
        files[name] = re.sub(r"\{([A-Z]+)\}", lambda found: values[found[1]], text).encode()
    return files


def requirements() -> str:
    """The lines of the course's requirements.txt for `NEEDS` and for all that these need.

    What only another system needs is among them: its line says so.
    """
    seen, waiting = set(), [Requirement(name) for name in NEEDS]
    while waiting:
        package = waiting.pop()
        key = (canonicalize_name(package.name), *sorted(package.extras))
        if key in seen:
            continue
        seen.add(key)
        try:
            lines = requires(package.name) or []
        except PackageNotFoundError:  # one that only another system has
            continue
        for need in map(Requirement, lines):
            if (
                (marker := need.marker) is None
                or "extra" not in str(marker)
                or any(marker.evaluate({"extra": extra}) for extra in package.extras)
            ):
                waiting.append(need)
    names = {name for name, *_ in seen}
    with (ROOT / "requirements.txt").open(encoding="utf-8") as pins:
        return "".join(pin for pin in pins if pin.split("==")[0] in names)


def _refuse_to_overwrite(folder: Path, names: list[str]) -> None:
    """Only an earlier export may be replaced, and of that only what is still as it was written."""
    if folder.exists() and not folder.is_dir():
        raise CourseError(f"{folder} is a file: choose the name of a folder.")
    marker = folder / MARKER
    if not marker.exists() and folder.exists() and any(folder.iterdir()):
        raise CourseError(
            f"{folder} has files in it that are no earlier export of this app: choose a new or an "
            "empty folder."
        )
    try:
        earlier = dict(json.loads(marker.read_text(encoding="utf-8"))) if marker.exists() else {}
    except (ValueError, TypeError) as error:
        raise CourseError(f"{MARKER} in {folder} is damaged: choose another folder.") from error
    there = [name for name in names if (folder / name).exists()]
    edited = [name for name in there if sha256((folder / name).read_bytes()) != earlier.get(name)]
    if edited:
        raise CourseError(
            f"{listed(edited)} in {folder} would be overwritten, and is not as it was exported: "
            "move it away, or choose another folder."
        )
