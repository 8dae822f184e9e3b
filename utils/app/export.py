"""The app as a folder of its own, which a hosting service takes: `course app export DIR`."""

import json
import sys
from pathlib import Path

from utils.app.manifest import GRAPH, MANIFEST, sha256
from utils.app.predictor import Predictor
from utils.common import CourseError, listed
from utils.paths import NOTEBOOKS, ROOT

NOTEBOOK = NOTEBOOKS / "apps" / "bear_classifier.ipynb"
HERE = Path(__file__).parent
HOSTING = HERE / "hosting"  # what is copied with {names} filled in
# The app's own code, none of which needs PyTorch. What it imports: hosting/requirements.txt.
CODE = (
    *("utils/__init__.py", "utils/common.py", "utils/images.py", "utils/widgets/*"),
    *("utils/app/__init__.py", "utils/app/manifest.py", "utils/app/predictor.py"),
    *("utils/app/dropzone.*", "utils/app/server.py", "utils/app/voila/templates/course/*"),
)
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
    title = json.loads(files[notebook.name])["metadata"]["title"]
    python = f"{sys.version_info.major}.{sys.version_info.minor}"
    for file in filter(Path.is_file, HOSTING.rglob("*")):
        text = file.read_text(encoding="utf-8").replace("{TITLE}", title)
        text = text.replace("{PYTHON}", python).replace("{NOTEBOOK}", notebook.name)
        files[file.relative_to(HOSTING).as_posix()] = text.encode()
    files["binder/requirements.txt"] = files["requirements.txt"]
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
