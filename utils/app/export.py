"""The app as a folder of its own, which a hosting service takes: `course app export DIR`."""

import json
import re
import sys
from contextlib import suppress
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

    `folder` is made. An earlier export in it is replaced, files of yours beside one are left
    alone. Raises `CourseError` where a file would be overwritten that is not as it was exported,
    and `DeployError` for a model that cannot be used.
    """
    Predictor(model)  # an app that cannot answer should not get as far as a server
    sources = [file for pattern in CODE for file in ROOT.glob(pattern) if file.is_file()]
    files = {file.relative_to(ROOT).as_posix(): file.read_bytes() for file in sources}
    files |= {f"model/{name}": (model / name).read_bytes() for name in (MANIFEST, GRAPH)}
    files[notebook.name] = notebook.read_bytes()
    files["requirements.txt"] = files["binder/requirements.txt"] = requirements().encode()
    values = {
        "PYTHON": "{}.{}".format(*sys.version_info),
        "NOTEBOOK": notebook.name,
        "TITLE": nbformat.read(notebook, 4).metadata["title"],
    }
    for file in filter(Path.is_file, HOSTING.rglob("*")):
        text = file.read_text(encoding="utf-8")
        text = re.sub(r"\{([A-Z]+)\}", lambda found: values[found[1]], text)
        files[file.relative_to(HOSTING).as_posix()] = text.encode()
    try:
        earlier = json.loads((folder / MARKER).read_text(encoding="utf-8"))
    except (OSError, ValueError):  # none, or none that could be trusted
        earlier = {}
    there = [name for name in files if (folder / name).exists()]
    edited = [name for name in there if sha256((folder / name).read_bytes()) != earlier.get(name)]
    if edited:
        raise CourseError(
            f"{listed(edited)} in {folder} would be overwritten, and is not as it was exported: "
            "move it away, or choose another folder."
        )
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    (folder / "binder" / "start").chmod(0o755)
    hashes = {name: sha256(content) for name, content in files.items()}
    (folder / MARKER).write_text(json.dumps(hashes, indent=1) + "\n", encoding="utf-8")
    return sorted(files)


def requirements() -> str:
    """The lines of the course's requirements.txt for `NEEDS` and for all that these need.

    What only another system needs is among them: its line says so.
    """
    seen: set[str] = set()
    waiting = [*NEEDS]
    while waiting:
        line = waiting.pop()
        if line in seen:
            continue
        seen.add(line)
        package = Requirement(line)
        extras = [{"extra": extra} for extra in package.extras]
        with suppress(PackageNotFoundError):  # one that only another system has
            for need in requires(package.name) or []:
                marker = Requirement(need).marker
                if "extra" not in str(marker) or (marker and any(map(marker.evaluate, extras))):
                    waiting.append(need)
    names = {canonicalize_name(Requirement(line).name) for line in seen}
    with (ROOT / "requirements.txt").open(encoding="utf-8") as pins:
        return "".join(pin for pin in pins if pin.split("==")[0] in names)
