"""Pictures opened as if hostile, with Pillow alone: what is no picture gets a sentence.

The app of chapter 04 runs on this module without fastai or PyTorch.
"""

import struct
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

# How files that are no picture here begin: (offset, bytes, what it looks like, what to do).
AS_JPEG = "export it as JPEG or PNG and try again"
SIGNATURES = [
    (0, b"%PDF", "a PDF document", "take a screenshot of the picture in it"),
    *((4, b"ftyp" + b, "a HEIC photo", AS_JPEG) for b in (b"hei", b"hev", b"mif1", b"msf1")),
    (4, b"ftypavi", "an AVIF picture", AS_JPEG),
    (4, b"ftyp", "a video", "take a still from it"),
    (0, b"8BPS", "a Photoshop file", AS_JPEG),
    (0, b"%!PS", "a PostScript file", AS_JPEG),
    (0, b"<svg", "an SVG drawing", AS_JPEG),
    (0, b"<?xml", "an SVG drawing or another XML file", AS_JPEG),
    (8, b"WAVE", "a sound", "choose a photo"),
    (0, b"PK\x03\x04", "a ZIP archive or an office document", "unpack the picture first"),
    (0, b"\x1f\x8b", "a compressed archive", "unpack the picture first"),
    (0, b"<!doctype html", "a web page", "save the picture itself, not the page it is on"),
    (0, b"<html", "a web page", "save the picture itself, not the page it is on"),
]
# How the pictures we do open begin: one that begins so, but cannot be opened, is damaged.
BEGINNINGS = (b"\xff\xd8\xff", b"\x89PNG", b"GIF8", b"RIFF", b"II*\0", b"MM\0*")
DAMAGED = "This picture is damaged or cut short: copy or download it again."


class ImageError(CourseError):
    """A file that cannot be used as a picture; `kind` is one of `FATAL`."""

    def __init__(self, kind: str, sentence: str) -> None:
        """Keep the kind beside the sentence."""
        super().__init__(sentence)
        self.kind = kind


def _unrecognised(head: bytes) -> ImageError:
    """What to say of a file no decoder recognises, from how it begins."""
    start = head.removeprefix(b"\xef\xbb\xbf").lstrip()  # text may begin with a mark or blanks
    for offset, signature, looks_like, advice in SIGNATURES:
        if start[offset : offset + len(signature)].lower() == signature.lower():
            sentence = f"This looks like {looks_like}, which the course cannot open: {advice}."
            return ImageError("unsupported", sentence)
    if start.startswith(BEGINNINGS):
        return ImageError("truncated", DAMAGED)
    if min(head) >= ord("\t"):  # no control characters below tab and newline
        return ImageError("not a picture", "This is a text file, not a picture: choose a photo.")
    return ImageError("not a picture", "This is not a picture in any format known here.")


def _oversized(size: str) -> ImageError:
    limit = f"the limit is {MAX_MEGAPIXELS} megapixels; make it smaller and try again."
    return ImageError("oversized", f"This picture is too large: {size}, and {limit}")


@contextmanager
def opened(source: Path | str | bytes) -> Iterator[Image.Image]:
    """A picture, not decoded yet; whatever goes wrong inside becomes an `ImageError`.

    A damaged file can make a decoder raise nearly anything, so everything is caught here, once.
    """
    head = b""
    try:
        with BytesIO(source) if isinstance(source, bytes) else Path(source).open("rb") as stream:
            head = stream.read(1024)
            if not head:
                raise ImageError("empty", "This file is empty (0 bytes): copy or upload it again.")
            stream.seek(0)
            with Image.open(stream, formats=FORMATS) as image:
                # by the header, before a pixel is decoded (Pillow itself stops only at 179)
                megapixels = image.width * image.height / 1e6
                if megapixels > MAX_MEGAPIXELS:
                    sides = f"{image.width} by {image.height} pixels"
                    raise _oversized(f"{sides}, {megapixels:,.0f} megapixels")
                image.verify()  # checksums, where the format has them; this uses the picture up
            stream.seek(0)
            with Image.open(stream, formats=FORMATS) as image:
                yield image
    except ImageError:
        raise
    except (FileNotFoundError, IsADirectoryError, PermissionError) as error:
        raise ImageError("missing", f"This file cannot be read ({error.strerror}).") from error
    except UnidentifiedImageError as error:
        raise _unrecognised(head) from error
    except Image.DecompressionBombError as error:
        raise _oversized("huge") from error
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
    with suppress(OSError, SyntaxError, ValueError, TypeError, KeyError, struct.error):
        image = ImageOps.exif_transpose(image)  # unless its EXIF is garbage
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


def _check(path: Path) -> list[ImageProblem]:
    """Everything to know about one file: whether it decodes, and if so what is unusual."""
    try:
        with opened(path) as image:
            unusual = list(remarks(image, path.suffix))
            decode(image, at_least=32)  # every byte is still read, so a cut-off file shows
    except ImageError as error:
        return [ImageProblem(path, error.kind, str(error))]
    return [ImageProblem(path, kind, sentence) for kind, sentence in unusual]


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
    bar = progress_bar(files, leave=False) if len(files) > 1000 else files  # seconds, then
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # what Pillow warns of is judged in `opened`
        return ImageReport(files, [p for file in bar for p in _check(file)], root)


def usable_images(path: Path | str) -> "L":
    """The pictures of a folder, sorted, without the files no training could use.

    Prints the report when there is something to report.
    """
    report = check_images(path)
    if report.problems:
        print(report)
    from fastcore.foundation import L

    return L(report.usable)
