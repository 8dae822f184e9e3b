"""Pictures opened as if hostile, with Pillow alone: what is no picture gets a sentence.

The app of chapter 04 runs on this module without fastai or PyTorch.
"""

import re
import warnings
from collections.abc import Iterable, Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass, field
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

from PIL import Image, ImageOps, UnidentifiedImageError, features

from utils.common import CourseError, listed

if TYPE_CHECKING:
    from fastcore.foundation import L

MAX_MEGAPIXELS = 100
# Only these decoders are ever tried. Pillow knows more, and one of them (EPS) starts a program.
FORMATS = ["JPEG", "PNG", "GIF", "WEBP", "BMP", "TIFF"]
FORMATS += ["AVIF"] if features.check("avif") else []
# What a picture's name may end in: those above, and those that get a sentence why they cannot be
# opened. Not the system's table of types, which lacks one or another on many machines.
ENDINGS = "jpg jpeg jpe jfif png apng gif webp bmp dib tif tiff avif"
ENDINGS += " heic heif hif svg psd ico jp2 jxl ppm pgm pbm pnm tga"
SUFFIXES = frozenset(f".{ending}" for ending in ENDINGS.split())
ORIENTATION = 0x0112  # the EXIF tag that says which way up the camera was held
FATAL = ("empty", "oversized", "truncated", "not a picture", "unsupported", "missing")

# How files that are no picture here begin, and what they look like.
SIGNATURES = [
    (rb"%PDF", "a PDF document"),
    (rb"....ftyp(hei|hev|mif1|msf1|avi)", "a HEIC or AVIF photo"),
    (rb"....ftyp", "a video"),
    (rb"<svg", "an SVG drawing"),
    (rb"<\?xml", "an XML file, perhaps an SVG drawing"),
    (rb"RIFF....WAVE", "a sound"),
    (rb"8BPS", "a Photoshop file"),
    (rb"PK\x03\x04|\x1f\x8b", "an archive or an office document"),
    (rb"<!doctype html|<html", "a web page"),
]
# How the pictures we do open begin: one that begins so, but cannot be opened, is damaged.
BEGINNINGS = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"RIFF", b"II*\0", b"MM\0*")
DAMAGED = "This picture is damaged or cut short: copy or download it again."
TOO_LARGE = f"This picture is too large: make it smaller than {MAX_MEGAPIXELS} megapixels."


class ImageError(CourseError):
    """A file that cannot be used as a picture; `kind` is one of `FATAL`."""

    def __init__(self, kind: str, sentence: str) -> None:
        """Keep the kind beside the sentence."""
        super().__init__(sentence)
        self.kind = kind


def _unrecognised(head: bytes) -> ImageError:
    """What to say of a file no decoder recognises, from how it begins."""
    if not head:
        return ImageError("empty", "This file is empty (0 bytes): copy or upload it again.")
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()  # text may begin with a mark or blanks
    for signature, looks_like in SIGNATURES:
        if re.match(signature, start, re.IGNORECASE | re.DOTALL):
            return ImageError(
                "unsupported",
                f"This looks like {looks_like}, which the course cannot open: save the picture "
                "itself as JPEG or PNG, and try that.",
            )
    if start.startswith(BEGINNINGS):
        return ImageError("truncated", DAMAGED)
    if min(head) >= ord("\t"):  # no control characters below tab and newline
        return ImageError("not a picture", "This is a text file, not a picture: choose a photo.")
    return ImageError("not a picture", "This is not a picture in any format known here.")


@contextmanager
def opened(source: Path | str | bytes) -> Iterator[Image.Image]:
    """A picture, not decoded yet; whatever goes wrong inside becomes an `ImageError`.

    A damaged file can make a decoder raise nearly anything, so everything is caught here, once.
    """
    head = b""
    try:
        with BytesIO(source) if isinstance(source, bytes) else Path(source).open("rb") as stream:
            head = stream.read(1024)
            stream.seek(0)
            with Image.open(stream, formats=FORMATS) as image:
                # by the header, before a pixel is decoded (Pillow itself stops only at 179)
                if image.width * image.height > MAX_MEGAPIXELS * 1e6:
                    raise Image.DecompressionBombError
                if image.format == "PNG":
                    image.verify()  # its checksums; this uses the picture up
                    stream.seek(0)
                    image = Image.open(stream, formats=FORMATS)
                yield image
    except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
        raise ImageError("missing", f"This file cannot be read ({error.strerror}).") from error
    except UnidentifiedImageError as error:
        raise _unrecognised(head) from error
    except Image.DecompressionBombError as error:
        raise ImageError("oversized", TOO_LARGE) from error
    except Exception as error:
        raise ImageError("truncated", DAMAGED) from error


def decode(image: Image.Image, at_least: int | None = None) -> Image.Image:
    """An opened picture as upright RGB: first frame, transparency on white, CMYK converted.

    `at_least` lets a JPEG be decoded at a fraction of its size, while its shorter side keeps at
    least so many pixels: several times faster. CMYK is converted without its colour profile.
    """
    if at_least:
        scale = at_least / min(image.size)
        image.draft(image.mode, (round(image.width * scale), round(image.height * scale)))
    image.load()
    with suppress(Exception):  # its EXIF may be any garbage
        image = ImageOps.exif_transpose(image)
    if image.mode.startswith("I;16"):  # 16-bit greys: Pillow would clip them all to white
        image = image.point(lambda value: value / 256, "L")
    if image.has_transparency_data:
        rgba = image.convert("RGBA")
        image = Image.alpha_composite(Image.new("RGBA", rgba.size, "white"), rgba)
    return image.convert("RGB")


def open_image(source: Path | str | bytes | bytearray | memoryview) -> Image.Image:
    """A file, or the bytes of an upload, as an upright RGB picture.

    Raises `ImageError`, with a sentence a learner understands, for all that is no usable picture:
    an empty or cut-off file, text, an unsupported type, more than 100 megapixels.
    """
    source = source if isinstance(source, (str, Path)) else bytes(source)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what Pillow warns of is judged above
        with opened(source) as image:
            return decode(image)


def remarks(image: Image.Image, suffix: str) -> Iterator[tuple[str, str]]:
    """What is unusual about a picture that can be used, from its header."""
    known = Image.registered_extensions().get(suffix.lower())
    actual = "JPEG" if image.format == "MPO" else image.format  # MPO: how many phones write JPEG
    if known and known not in (actual, image.format):
        yield "mislabelled", f"This is a {actual} inside, under the name {suffix}."
    if getattr(image, "is_animated", False) and image.format != "MPO":
        yield "animated", "This holds several pictures; the first is used."
    if image.mode == "CMYK":
        yield "CMYK", "This is in the colours of printing (CMYK); it is converted."
    if image.mode == "P":
        yield "palette", "This has at most 256 colours (a palette); it is converted."
    if image.getexif().get(ORIENTATION, 1) not in (0, 1):
        yield "rotated", "The camera was held sideways or upside down; the picture is turned."


@dataclass(frozen=True)
class ImageProblem:
    """One thing to know about one file; it cannot be used when `kind` is one of `FATAL`."""

    path: Path
    kind: str
    sentence: str


@dataclass
class ImageReport:
    """What `check_images` found. Its `str` is for a notebook: counts, then names, no full paths."""

    files: list[Path]
    problems: list[ImageProblem] = field(default_factory=list)
    root: Path | None = None

    @property
    def usable(self) -> list[Path]:
        """The files a training can use."""
        broken = {problem.path for problem in self.problems if problem.kind in FATAL}
        return [file for file in self.files if file not in broken]

    def __str__(self) -> str:
        """The counts on one line, then a line for each kind of problem with its first names."""
        usable = len(self.usable)
        lines = [f"{len(self.files)} pictures: {usable} usable, {len(self.files) - usable} not."]
        for kind in sorted({p.kind for p in self.problems}, key=lambda k: (k not in FATAL, k)):
            paths = [p.path for p in self.problems if p.kind == kind]
            names = [p.relative_to(self.root).as_posix() if self.root else p.name for p in paths]
            use = "left out" if kind in FATAL else "usable"
            lines.append(f"  {kind} ({use}): {len(names)}: {listed(names)}")
        return "\n".join(lines)


def check_images(folder_or_files: Path | str | Iterable[Path]) -> ImageReport:
    """Open every picture of a folder (or of a list) and report what is wrong or unusual.

    Never stops at a bad file. Hidden files and folders are left out.
    """
    from fastai.data.transforms import get_files  # an exported app has neither
    from fastprogress import progress_bar

    if isinstance(folder_or_files, (str, Path)):
        root = Path(folder_or_files)
        files = sorted(get_files(root, extensions=SUFFIXES))
    else:
        root, files = None, [Path(file) for file in folder_or_files]
    report = ImageReport(files, root=root)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what Pillow warns of is judged in `opened`
        for file in progress_bar(files, leave=False) if len(files) > 1000 else files:  # seconds
            try:
                with opened(file) as image:
                    unusual = list(remarks(image, file.suffix))
                    decode(image, at_least=32)  # every byte is still read: a cut-off file shows
            except ImageError as error:
                unusual = [(error.kind, str(error))]
            report.problems += [ImageProblem(file, *found) for found in unusual]
    return report


def usable_images(path: Path | str) -> "L":
    """The pictures of a folder that a training can use, sorted; prints what there is to report."""
    from fastcore.foundation import L

    report = check_images(path)
    if report.problems:
        print(report)
    return L(report.usable)
