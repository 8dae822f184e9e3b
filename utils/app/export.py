"""The app as a folder of its own, which a hosting service takes: `course app export DIR`."""

import ast
import hashlib
import json
import platform
import re
import sys
from collections.abc import Iterable, Iterator
from importlib.metadata import PackageNotFoundError, packages_distributions, requires
from pathlib import Path

import nbformat
from packaging.requirements import Requirement
from packaging.utils import canonicalize_name

from utils.app.manifest import GRAPH, NAME
from utils.app.predictor import Predictor
from utils.common import CourseError
from utils.paths import NOTEBOOKS, ROOT

NOTEBOOK = NOTEBOOKS / "apps" / "bear_classifier.ipynb"
HOSTING = Path(__file__).parent / "hosting"  # what is copied with {names} filled in
SERVER = "utils.app.server"
STARTED_BY_NAME = ("ipykernel",)  # no module imports it, and nothing runs without it
MARKER = "course-export.json"
PORT = 7860  # what Hugging Face expects unless told otherwise


class ExportError(CourseError):
    """The app cannot be exported there."""


def export_app(folder: Path, model: Path, notebook: Path = NOTEBOOK) -> list[str]:
    """Write the app with the model in `model` to `folder`; returns the names of what is there.

    `folder` is made. An earlier export in it is replaced; files of yours beside one are left
    alone. Raises `ExportError` for a folder with something else in it, or with an export that was
    edited, and `DeployError` for a model that cannot be used.
    """
    Predictor(model)  # an app that cannot answer should not get as far as a server
    files = dict(sorted(_files(model, notebook).items()))
    earlier = _earlier(folder)
    _refuse_to_overwrite(folder, [*files, MARKER], earlier)
    for name in earlier:
        (folder / name).unlink(missing_ok=True)
    for name, content in files.items():
        (folder / name).parent.mkdir(parents=True, exist_ok=True)
        (folder / name).write_bytes(content)
    (folder / "binder" / "start").chmod(0o755)
    hashes = {name: _sha256(content) for name, content in files.items()}
    (folder / MARKER).write_text(json.dumps(hashes, indent=1) + "\n", encoding="utf-8")
    return list(files)


# -- what is in the folder -----------------------------------------------------------------------


def _files(model: Path, notebook: Path) -> dict[str, bytes]:
    modules = _modules([*_imports(_code(notebook)), SERVER])
    files = {file.relative_to(ROOT).as_posix(): file.read_bytes() for file in modules.values()}
    here = Path(__file__).parent
    for page in (*here.glob("*.js"), *here.glob("*.css"), *here.glob("voila/**/*.*")):
        files[page.relative_to(ROOT).as_posix()] = page.read_bytes()
    files[notebook.name] = notebook.read_bytes()
    for name in (NAME, GRAPH):
        files[f"model/{name}"] = (model / name).read_bytes()
    packages = requirements(_packages([notebook, *modules.values()]))
    files["requirements.txt"] = files["binder/requirements.txt"] = packages.encode()
    return files | _hosting_files(notebook)


def _hosting_files(notebook: Path) -> dict[str, bytes]:
    """Dockerfile, README and Binder's files, with what depends on this course filled in."""
    major, minor, _ = platform.python_version_tuple()
    values = {"PYTHON": f"{major}.{minor}", "NOTEBOOK": notebook.name, "PORT": str(PORT)}
    values |= {"SERVER": SERVER, "TITLE": nbformat.read(notebook, 4).metadata["title"]}
    files = {}
    for file in sorted(HOSTING.rglob("*")):
        if file.is_file():
            text = file.read_text(encoding="utf-8")
            filled = re.sub(r"\{([A-Z]+)\}", lambda found: values[found[1]], text)
            # the dot of names such as .dockerignore is left out here, so that nobody overlooks them
            name = file.relative_to(HOSTING).as_posix().replace("dot_", ".")
            files[name] = filled.encode()
    return files


def _code(file: Path) -> str:
    """The Python of a module, or of a notebook's cells."""
    if file.suffix != ".ipynb":
        return file.read_text(encoding="utf-8")
    cells = nbformat.read(file, 4).cells
    return "\n".join(cell.source for cell in cells if cell.cell_type == "code")


def _imports(code: str) -> Iterator[str]:
    """What is imported at the top level. What a function imports, it can do without."""
    for node in ast.parse(code).body:
        if isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            yield from (node.module, *(f"{node.module}.{alias.name}" for alias in node.names))


def _modules(names: Iterable[str]) -> dict[str, Path]:
    """The course's own modules among `names`, their packages, and all that these import."""
    found, todo = {}, list(names)
    while todo:
        name = todo.pop()
        path = ROOT.joinpath(*name.split("."))
        file = path / "__init__.py" if path.is_dir() else path.with_suffix(".py")
        if name.split(".")[0] == "utils" and name not in found and file.exists():
            found[name] = file
            todo += [*_imports(_code(file)), name.rpartition(".")[0]]
    return found


def _packages(files: Iterable[Path]) -> set[str]:
    """The installed packages that the code in `files` imports."""
    names = {name.split(".")[0] for file in files for name in _imports(_code(file))}
    known = packages_distributions()
    others = names - set(sys.stdlib_module_names) - {"utils"}
    # Python 3.10 knows only those packages that list their modules: the others are called like them
    packages = {package for name in others for package in known.get(name, [name])}
    return packages | set(STARTED_BY_NAME)


def requirements(packages: Iterable[str]) -> str:
    """The lines of the course's requirements.txt for `packages` and for all they need."""
    lines = (ROOT / "requirements.txt").read_text(encoding="utf-8").splitlines()
    pins = [(canonicalize_name(Requirement(line).name), line) for line in lines if line[0] != "#"]
    needed = _with_needs(packages)
    return "".join(f"{line}\n" for name, line in pins if name in needed)


def _with_needs(packages: Iterable[str]) -> set[str]:
    """`packages` and, step by step, what they need on any system, as their metadata say."""
    seen, todo = set(), [Requirement(package) for package in packages]
    while todo:
        wanted = todo.pop()
        key = (canonicalize_name(wanted.name), frozenset(wanted.extras))
        if key not in seen:
            seen.add(key)
            todo += [need for need in _needs(wanted.name) if _applies(need, wanted.extras)]
    return {name for name, _ in seen}


def _needs(package: str) -> list[Requirement]:
    try:
        return [Requirement(line) for line in requires(package) or []]
    except PackageNotFoundError:
        return []  # one that only another system has; its line in requirements.txt says so


def _applies(need: Requirement, extras: set[str]) -> bool:
    if need.marker is None or "extra" not in str(need.marker):
        return True
    return any(need.marker.evaluate({"extra": extra}) for extra in extras)


# -- where it is written -------------------------------------------------------------------------


def _sha256(content: bytes) -> str:
    return hashlib.sha256(content).hexdigest()


def _earlier(folder: Path) -> dict[str, str]:
    """The files of an earlier export in `folder`, with their hashes."""
    marker = folder / MARKER
    if not marker.exists():
        return {}
    try:
        listed = json.loads(marker.read_text(encoding="utf-8"))
        files = {name: folder.joinpath(name).resolve() for name in listed}
        inside = [n for n, file in files.items() if file.is_relative_to(folder.resolve())]
        return {name: listed[name] for name in inside if files[name].is_file()}
    except (ValueError, TypeError) as error:
        raise ExportError(f"{MARKER} in {folder} is damaged: choose another folder.") from error


def _refuse_to_overwrite(folder: Path, names: list[str], earlier: dict[str, str]) -> None:
    if folder.exists() and not folder.is_dir():
        raise ExportError(f"{folder} is a file: choose the name of a folder.")
    if not (folder / MARKER).exists() and folder.exists() and any(folder.iterdir()):
        raise ExportError(
            f"{folder} has files in it that are no earlier export of this app: choose a new or an "
            "empty folder."
        )
    edited = [
        name for name, said in earlier.items() if _sha256((folder / name).read_bytes()) != said
    ]
    taken = [name for name in names if (folder / name).exists() and name not in earlier]
    mine = sorted({*edited, *taken} - {MARKER})
    if mine:
        raise ExportError(
            f"{', '.join(mine)} in {folder} would be overwritten, and is not as it was exported: "
            "move it away, or choose another folder."
        )
