"""Your own project: a folder with your pictures, and a notebook that runs on them as it is.

`course new NAME --data FOLDER` makes it; the notebook in it calls `Project.here()`.
"""

import atexit
import json
import re
import shutil
import subprocess
import sys
from collections import Counter, deque
from collections.abc import Callable
from dataclasses import asdict, dataclass
from pathlib import Path
from threading import Thread
from typing import TYPE_CHECKING

from utils.common import CourseError, free_port
from utils.paths import PROJECTS

if TYPE_CHECKING:  # fastai takes seconds to import, and `course app` does without
    from utils.workspace import Place

HERE = Path(__file__).parent
SETTINGS = "project.json"
NOTEBOOK, APP, CHECKLIST = "project.ipynb", "app.ipynb", "README.md"
LONGEST = 60  # letters in a name: systems take 255 bytes, and a letter can have four
STEPS = 1500  # pictures shown to the network in all, about: what 02's bears need


class ProjectError(CourseError):
    """A project that cannot be made or used; the sentence says what to type."""


@dataclass(frozen=True)
class Project:
    """A learner's project: where its parts are, and what is known of its pictures."""

    name: str
    chapter: str
    source: str  # the folder its pictures were copied from
    folder: Path

    @classmethod
    def here(cls, folder: Path | str = ".") -> "Project":
        """The project in `folder`. Raises `ProjectError` where there is none."""
        folder = Path(folder).resolve()
        try:
            settings = json.loads((folder / SETTINGS).read_text("utf-8"))
            return cls(settings["name"], settings["chapter"], settings["source"], folder)
        except (OSError, ValueError, KeyError) as error:
            raise ProjectError(
                f"{folder.name} is no project (its {SETTINGS} is missing or damaged): make one "
                "with `course new NAME --data FOLDER`, and open the notebook in it."
            ) from error

    @property
    def pictures(self) -> Path:
        """Copies of your pictures, yours to clean: `train/<label>/` and `valid/<label>/`."""
        return self.folder / "pictures"

    @property
    def model(self) -> Path:
        """Where the notebook exports the trained model to, and the app looks for it."""
        return self.folder / "model"

    def counts(self, part: str = "") -> dict[str, int]:
        """How many pictures each label has now, in all or in the part `train` or `valid`."""
        from fastai.data.transforms import get_image_files

        labels = (file.parent.name for file in get_image_files(self.pictures / part))
        return dict(sorted(Counter(labels).items()))

    def batch_size(self, wanted: int = 16) -> int:
        """`wanted`, or fewer where there are fewer pictures to learn from."""
        from utils.workspace import fitting_batch

        return fitting_batch(wanted, sum(self.counts("train").values()))

    @property
    def epochs(self) -> int:
        """Full epochs for a first try: the fewer pictures, the more, from 1 to 8."""
        return min(8, max(1, round(STEPS / max(1, sum(self.counts().values())))))

    def check(self) -> None:
        """Print what there is to learn from, and what about it should worry you.

        Raises `DataError` where nothing could be learned from it, as after much cleaning.
        """
        from utils.workspace import worries

        counts = self.counts()
        for label, count in counts.items():
            print(f"{count:6}  {label}")
        print(f"{sum(counts.values()):6}  pictures of {len(counts)} labels, from {self.source}")
        for worry in worries(self.counts("train"), self.counts("valid")):
            print(f"note: {worry}")

    def serve(self) -> "Serving":
        """Serve the app of this project on this computer, and print its address.

        It runs until `stop()` of what this returns, or until the kernel ends. Raises
        `ProjectError` with what the server said when it does not start.
        """
        port, course = str(free_port()), Path(sys.executable).with_name("course")
        command = [course, "app", "--project", self.folder, "--port", port, "--no-browser"]
        process = subprocess.Popen(
            command, text=True, stdout=subprocess.PIPE, stderr=subprocess.STDOUT
        )
        atexit.register(process.terminate)
        said = []
        for line in process.stdout:
            said.append(line)
            if address := re.search(r"http://\S+", line):
                # Read on, or the app would stand still once the pipe is full.
                Thread(target=deque, args=(process.stdout, 0), daemon=True).start()
                print(f"The app is at {address[0]} until you call stop() or end this kernel.")
                return Serving(address[0], process)
        raise ProjectError(f"The app did not start: {''.join(said).strip()}")


@dataclass(frozen=True)
class Serving:
    """An app that is being served."""

    address: str
    process: subprocess.Popen

    def stop(self) -> None:
        """End it."""
        self.process.terminate()
        self.process.wait(timeout=30)


# -- labels, as the chapters find them -------------------------------------------------------


def _by_folder(file: Path, place: "Place") -> str:
    """Chapter 02: the outermost folder that the file is in; "" for none."""
    return place.folders[0] if place.folders else ""


def _by_name(file: Path, place: "Place") -> str:
    """The file name without the number at its end: `Maine_Coon_12.jpg` is a `Maine_Coon`."""
    return re.sub(r"[\W_]*\d+$", "", file.stem)


def _by_initial(file: Path, place: "Place") -> str:
    """Chapter 01, as the public pets are named: a capital is a cat."""
    return "cat" if file.name[0].isupper() else "dog"


def labels_of(root: Path, places: "dict[Path, Place]", chapter: str) -> dict[Path, str]:
    """The label of each file, found as `chapter` finds it; files without one are left out.

    02: class folders, and where there are not at least two, file names without their number.
    01: cats and dogs, by the first letter. Raises `ProjectError` when there are not two labels.
    """
    rules: list[Callable[[Path, Place], str]] = {
        "01": [_by_initial],
        "02": [_by_folder, _by_name],
    }[chapter]
    for rule in rules:
        labels = {file: label for file, place in places.items() if (label := rule(file, place))}
        if len(set(labels.values())) > 1:
            return labels
    wanted = "a folder for each kind (bears/black/…, bears/grizzly/…), or file names that begin "
    raise ProjectError(
        f"{root.name} has pictures of one kind only, and a classifier needs two: give {wanted}"
        "with the kind and end in a number (black_1.jpg, grizzly_1.jpg)."
    )


# -- a new project ---------------------------------------------------------------------------


def new_project(name: str, data: Path, chapter: str = "02", into: Path = PROJECTS) -> Project:
    """Make a folder `name` in `into`, with copies of the usable pictures in `data`.

    Prints what was left out, and how the folders were understood. Raises `ProjectError` or
    `DataError`, and leaves nothing behind, for a name that is no folder's or is taken, and for a
    folder without pictures of two kinds to learn from and to judge by.
    """
    from utils.images import check_images
    from utils.workspace import divide, read_folders

    if not re.fullmatch(rf"\w[\w -]{{,{LONGEST - 1}}}", name):
        raise ProjectError(
            f"{name[:LONGEST]!r} is no name for a folder: use up to {LONGEST} letters, digits, - "
            "and _, as in my-birds."
        )
    folder, data = into / name, data.expanduser().resolve()
    if folder.exists():
        raise ProjectError(f"There is a project {name} already ({folder}): choose another name.")
    if not data.is_dir():
        raise ProjectError(f"There is no folder {data}: give --data the folder of your pictures.")
    report = check_images(data)
    if not report.usable:
        raise ProjectError(f"There are no usable pictures in {data}: give --data another folder.")
    places, found = read_folders(data, report.usable)
    labels = labels_of(data, places, chapter)
    parts, said, _ = divide(labels, places)
    print(report, *found, *said, sep="\n")
    if unlabelled := len(report.usable) - len(labels):
        print(f"  {unlabelled} are in no class folder, so they have no label and are left out.")
    project = Project(name, chapter, str(data), folder)
    scratch = folder.with_name(f".{name}.part")
    shutil.rmtree(scratch, ignore_errors=True)  # what a killed run left
    try:
        _fill(scratch, project, labels, parts)
        scratch.rename(folder)
    except OSError as error:
        shutil.rmtree(scratch, ignore_errors=True)
        raise ProjectError(
            f"The project could not be written to {into} ({error.strerror or error}): make room "
            "there, or name another place with --into."
        ) from error
    return project


def _fill(folder: Path, project: Project, labels: dict[Path, str], parts: dict[Path, str]) -> None:
    for file, part in sorted(parts.items()):
        target = folder / "pictures" / part / labels[file] / file.name
        while target.exists():  # the same name in two folders below the class folder
            target = target.with_stem(f"{target.stem}_")
        target.parent.mkdir(parents=True, exist_ok=True)
        shutil.copyfile(file, target)
    settings = {key: value for key, value in asdict(project).items() if key != "folder"}
    (folder / SETTINGS).write_text(json.dumps(settings, indent=1) + "\n", "utf-8")
    checklist = (HERE / "checklist.md").read_text("utf-8")
    (folder / CHECKLIST).write_text(checklist.replace("{name}", project.name), "utf-8")
    shutil.copyfile(HERE / NOTEBOOK, folder / NOTEBOOK)
    import nbformat  # seconds again

    app = nbformat.read(HERE / APP, as_version=4)
    app.metadata.title = project.name
    app.cells[0].source = app.cells[0].source.replace("{name}", project.name)
    nbformat.write(app, folder / APP)


def projects(into: Path = PROJECTS) -> list[Path]:
    """The notebooks of the learner's projects, by name."""
    return sorted(path.parent / NOTEBOOK for path in into.glob(f"*/{SETTINGS}"))
