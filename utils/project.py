"""Your own project: a folder with your pictures, and a notebook that runs on them as it is.

`course new NAME --data FOLDER` makes it; the notebook in it calls `Project.here()`.
"""

import re
import shutil
import subprocess
import sys
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

from utils.common import CourseError, free_port, made_whole, served
from utils.paths import PROJECTS

# fastai takes seconds to import, and `course app --project` does without: the functions that need
# it import what uses it.

STARTER = Path(__file__).parent / "starter"  # what a new project's folder begins with
NOTEBOOK, APP = "project.ipynb", "app.ipynb"


@dataclass(frozen=True)
class Project:
    """A learner's project: where its parts are."""

    folder: Path

    @classmethod
    def here(cls, folder: Path | str = ".") -> "Project":
        """The project in `folder`. Raises `CourseError` where there is none."""
        project = cls(Path(folder).resolve())
        if not (project.folder / APP).is_file():
            raise CourseError(
                f"{project.folder.name} is no project (it has no {APP}): make one with "
                "`course new NAME --data FOLDER`, and open the notebook in it."
            )
        return project

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

    def check(self) -> None:
        """Print what there is to learn from, and what about it should worry you.

        Raises `DataError` where nothing could be learned from it, as after much cleaning.
        """
        from utils.splits import worries

        counts = self.counts()
        for label, count in counts.items():
            print(f"{count:6}  {label}")
        print(f"{sum(counts.values()):6}  pictures of {len(counts)} labels")
        for worry in worries(self.counts("train"), self.counts("valid")):
            print(worry)

    def serve(self) -> subprocess.Popen:
        """Serve the app of this project on this computer, and print its address.

        It runs until `terminate()` of what this returns, or until the kernel ends. Raises
        `CourseError` with what the server said when it does not start.
        """
        course, options = Path(sys.executable).with_name("course"), ["--no-browser", "--port"]
        command = [str(course), "app", "--project", str(self.folder), *options, str(free_port())]
        process, address = served(command)
        print(f"The app is at {address} until you type app.terminate() or end this kernel.")
        return process


def new_project(name: str, data: Path, into: Path = PROJECTS, pets: bool = False) -> Project:
    """Make a folder `name` in `into`, with copies of the usable pictures in `data`.

    Labels are the class folders; where there are not at least two, file names without their number.
    With `pets` they are cat and dog, by the first letter, as in chapter 01.
    Prints what was left out, and how the folders were understood. Raises `CourseError`, and leaves
    nothing behind, for a name that is no folder's or is taken, and for a folder without pictures of
    two kinds to learn from and to judge by.
    """
    from utils.images import check_images
    from utils.splits import divide, read_folders

    if not re.fullmatch(r"\w[\w -]{,59}", name):  # systems take 255 bytes; a letter can have four
        raise CourseError(
            f"{name[:60]!r} is no name for a folder: use up to 60 letters, digits, - and _, as in "
            "my-birds."
        )
    folder, data = into / name, data.expanduser().resolve()
    if folder.exists():
        raise CourseError(f"There is a project {name} already ({folder}): choose another name.")
    if not data.is_dir():
        raise CourseError(f"There is no folder {data}: give --data the folder of your pictures.")
    report = check_images(data)
    if not report.usable:
        raise CourseError(f"There are no usable pictures in {data}: give --data another folder.")
    places, found = read_folders(data, report.usable)
    labels = {file: place.folders[0] for file, place in places.items() if place.folders}
    if pets:
        labels = {file: "cat" if file.name[0].isupper() else "dog" for file in places}
    elif len({*labels.values()}) < 2:  # `Maine_Coon_12.jpg` is a `Maine_Coon`
        labels = {file: re.sub(r"[\W_]*\d+$", "", file.stem) for file in places}
    if len({*labels.values()} - {""}) < 2:
        raise CourseError(
            f"{data.name} has pictures of one kind only, and a classifier needs two: give a folder "
            "for each kind (bears/black/…, bears/grizzly/…), or file names that begin with the "
            "kind and end in a number (black_1.jpg, grizzly_1.jpg)."
        )
    labels = {file: label for file, label in labels.items() if label}
    parts, notes = divide(labels, places)
    print(report, *found, *notes, sep="\n")
    if unlabelled := len(report.usable) - len(labels):
        print(f"  {unlabelled} are in no class folder, so they have no label and are left out.")
    with made_whole(folder) as unfinished:
        unfinished.mkdir()
        for file in STARTER.iterdir():
            text = file.read_text("utf-8").replace("{name}", name)
            (unfinished / file.name).write_text(text, "utf-8")
        for file, part in sorted(parts.items()):
            target = unfinished / "pictures" / part / labels[file] / file.name
            while target.exists():  # the same name in two folders below the class folder
                target = target.with_stem(f"{target.stem}_")
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)
    return Project(folder)
