"""What visitors of the app send: files that are refused, and odd ones that are not."""

import io
from functools import cache

from PIL import Image

from tests.small_model import some_pictures

# name → words of the sentence it gets
REFUSED = {
    "empty.jpg": "This file is empty",
    "note.jpg": "This is a text file",
    "cut.jpg": "damaged or cut short",
    "300 megapixels.png": "This picture is too large: make it smaller than 100 megapixels",
    "letter.pdf": "This looks like a PDF document",
    "drawing.svg": "an SVG drawing",
}
# name → words of the remark beside its answer
REMARKED = {
    "animated.gif": "This holds several pictures; the first is used",
    "printed.jpg": "the colours of printing (CMYK)",
    "palette.png": "at most 256 colours",
    "sideways.jpg": "the picture is turned",
    "webp inside.jpg": "This is a WEBP inside, under the name .jpg",
}


def encoded(image: Image.Image, kind: str, **options) -> bytes:
    """The bytes of a file with `image` in it."""
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def turned(image: Image.Image) -> bytes:
    """`image` as a camera held sideways writes it: lying, with a note which way is up."""
    exif = Image.Exif()
    exif[0x0112] = 6  # turn to the right to see it upright
    return encoded(image.rotate(90, expand=True), "JPEG", exif=exif, quality=95)


@cache
def odd_files() -> dict[str, bytes]:
    """Every file of `REFUSED` and `REMARKED`, by name."""
    photo = Image.open(some_pictures()[0]).convert("RGB")
    jpeg = encoded(photo, "JPEG")
    frames = [photo.transpose(Image.Transpose.FLIP_LEFT_RIGHT)]
    files = {
        "empty.jpg": b"",
        "note.jpg": b"A note, saved under the wrong name.\n",
        "cut.jpg": jpeg[: len(jpeg) // 2],
        "300 megapixels.png": encoded(Image.new("1", (20_000, 15_000)), "PNG"),
        "letter.pdf": b"%PDF-1.7\n%\xe2\xe3\xcf\xd3\n",
        "drawing.svg": b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>",
        "animated.gif": encoded(photo, "GIF", save_all=True, append_images=frames),
        "printed.jpg": encoded(photo.convert("CMYK"), "JPEG"),
        "palette.png": encoded(photo.convert("P"), "PNG"),
        "sideways.jpg": turned(photo),
        "webp inside.jpg": encoded(photo, "WEBP"),
    }
    assert files.keys() == REFUSED.keys() | REMARKED.keys()
    return files
