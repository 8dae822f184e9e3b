"""What is wrong or unusual about the pictures of a folder, told before it stops a training."""

import warnings
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from fastai.data.transforms import get_image_files, image_extensions
from fastcore.foundation import L
from fastprogress import progress_bar
from PIL import Image

from utils.opening import (
    FATAL,
    ORIENTATION,
    SUFFIXES,
    CourseError,
    ImageError,
    decode,
    open_image,
    opened,
    remarks,
)

__all__ = [
    "ORIENTATION",
    "SUFFIXES",
    "CourseError",
    "ImageError",
    "ImageProblem",
    "ImageReport",
    "check_images",
    "decode",
    "open_image",
    "opened",
    "usable_images",
]

# fastai's `get_image_files` reads this set, which it makes of the system's table of types: so that
# the same files are pictures on every machine, it is ours from here on.
image_extensions.clear()
image_extensions.update(SUFFIXES)


@dataclass(frozen=True)
class ImageProblem:
    """One thing to know about one file. `usable`: a training can use the file all the same."""

    path: Path
    kind: str
    sentence: str

    @property
    def usable(self) -> bool:
        """Whether the file can be trained on nevertheless."""
        return self.kind not in FATAL


@dataclass
class ImageReport:
    """What `check_images` found. Its `str` is for a notebook: counts, then names, no full paths."""

    files: list[Path]
    problems: list[ImageProblem] = field(default_factory=list)
    root: Path | None = None

    @property
    def usable(self) -> list[Path]:
        """The files a training can use."""
        broken = {problem.path for problem in self.problems if not problem.usable}
        return [file for file in self.files if file not in broken]

    def _name(self, path: Path) -> str:
        name = path.relative_to(self.root).as_posix() if self.root else path.name
        # A file may be called anything: nothing in its name may steer the terminal.
        return "".join(c if c.isprintable() else "?" for c in name)

    def __str__(self) -> str:
        """The counts on one line, then a line for each kind of problem with its first names."""
        usable = len(self.usable)
        lines = [f"{len(self.files)} pictures: {usable} usable, {len(self.files) - usable} not."]
        for kind in sorted({p.kind for p in self.problems}, key=lambda k: (k not in FATAL, k)):
            names = [self._name(p.path) for p in self.problems if p.kind == kind]
            more = f" and {len(names) - 5} more" if len(names) > 5 else ""
            use = "left out" if kind in FATAL else "usable"
            lines.append(f"  {kind} ({use}): {len(names)}: {', '.join(names[:5])}{more}")
        return "\n".join(lines)


def _check(path: Path) -> list[ImageProblem]:
    """Everything to know about one file: whether it decodes, and if so what is unusual."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        try:
            with opened(path) as image:
                image.verify()
            with opened(path) as image:
                unusual = list(remarks(image, path.suffix))
            with opened(path) as image:
                decode(image, at_least=32)  # every byte is still read, so a cut-off file shows
        except ImageError as error:
            return [ImageProblem(path, error.kind, str(error))]
    odd = [w for w in caught if not issubclass(w.category, Image.DecompressionBombWarning)]
    unusual += [("odd", f"Pillow says: {odd[0].message}")] if odd else []
    return [ImageProblem(path, kind, sentence) for kind, sentence in unusual]


def check_images(folder_or_files: Path | str | Iterable[Path]) -> ImageReport:
    """Open every picture of a folder (or of a list) and report what is wrong or unusual.

    Never stops at a bad file. Files of a folder are those with a picture's suffix (fastai's
    `get_image_files`), in the order of their names.
    """
    if isinstance(folder_or_files, (str, Path)):
        root = Path(folder_or_files)
        files = sorted(get_image_files(root))
    else:
        root, files = None, [Path(file) for file in folder_or_files]
    shown = progress_bar(files, leave=False) if len(files) > 1000 else files  # seconds, then
    return ImageReport(files, [p for file in shown for p in _check(file)], root)


def usable_images(path: Path | str) -> L:
    """fastai's `get_image_files`, sorted, without the files no training could use.

    Prints the report when there is something to report.
    """
    report = check_images(path)
    if report.problems:
        print(report)
    return L(report.usable)
