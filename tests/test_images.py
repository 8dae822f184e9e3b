"""Pictures of every awkward kind, made here with Pillow and opened for real."""

import io
import random
import tarfile

import pytest
from fastai.data.transforms import get_image_files
from PIL import Image, ImageFile

import utils.data  # noqa: F401  (tells fastai's get_image_files what is a picture)
from utils import images
from utils.images import ImageError, check_images, open_image, usable_images
from utils.paths import ROOT

PETS = ROOT.parent / "shared" / "data" / "oxford-iiit-pet.tgz"
ORIENTATION = images.ORIENTATION


def photo(size=(120, 80)):
    """Something that does not compress to nothing: coloured noise, enlarged."""
    noise = random.Random(0).randbytes(12 * 8 * 3)
    return Image.frombytes("RGB", (12, 8), noise).resize(size)


def encoded(image, kind, **options):
    stream = io.BytesIO()
    image.save(stream, kind, **options)
    return stream.getvalue()


def rotated_jpeg(orientation=6):
    exif = Image.Exif()
    exif[ORIENTATION] = orientation
    return encoded(photo(), "JPEG", exif=exif)


@pytest.fixture
def zoo(tmp_path):
    """A folder with one file of each kind."""
    jpeg, png = encoded(photo(), "JPEG"), encoded(photo(), "PNG")
    frames = [photo().rotate(angle) for angle in (0, 90)]
    bitmap = Image.new("1", (20_000, 15_000))  # 300 megapixels in a file of 45 kB
    contents = {
        "good.jpg": jpeg,
        "good.png": png,
        "good.webp": encoded(photo(), "WEBP"),
        "empty.jpg": b"",
        "text.jpg": b"A note, saved under the wrong name.\n",
        "cut.jpg": jpeg[: len(jpeg) // 2],
        "cut.png": png[: len(png) // 2],
        "head only.jpg": jpeg[:20],
        "flipped.png": png[:200] + bytes([png[200] ^ 0xFF]) + png[201:],
        "gif inside.jpg": encoded(photo(), "GIF"),
        "png inside.jpg": png,
        "webp inside.jpg": encoded(photo(), "WEBP"),
        "two frames.gif": encoded(frames[0], "GIF", save_all=True, append_images=frames[1:]),
        "cmyk.jpg": encoded(photo().convert("CMYK"), "JPEG"),
        "palette.png": encoded(photo().convert("P"), "PNG"),
        "huge.png": encoded(bitmap, "PNG"),
        "sideways.jpg": rotated_jpeg(),
    }
    for name, data in contents.items():
        (tmp_path / name).write_bytes(data)
    return tmp_path


def kinds(report):
    found = {}
    for problem in report.problems:
        found.setdefault(problem.kind, set()).add(problem.path.name)
    return found


def test_every_kind_is_found_and_reported_and_what_is_called_usable_opens(zoo):
    report = check_images(zoo)
    assert kinds(report) == {
        "empty": {"empty.jpg"},
        "not a picture": {"text.jpg"},
        "truncated": {"cut.jpg", "cut.png", "head only.jpg", "flipped.png"},
        "mislabelled": {"gif inside.jpg", "png inside.jpg", "webp inside.jpg"},
        "animated": {"two frames.gif"},
        "CMYK": {"cmyk.jpg"},
        "palette": {"gif inside.jpg", "two frames.gif", "palette.png"},
        "oversized": {"huge.png"},
        "rotated": {"sideways.jpg"},
    }
    unusable = {"empty.jpg", "text.jpg", "cut.jpg", "cut.png", "head only.jpg", "flipped.png"}
    assert {f.name for f in set(report.files) - set(report.usable)} == unusable | {"huge.png"}
    for file in report.files:
        if file in report.usable:
            assert open_image(file).mode == "RGB"
        else:
            with pytest.raises(ImageError):
                open_image(file)
    text = str(report)  # counts first, then names without folders of this machine
    assert text.splitlines()[0] == "17 pictures: 10 usable, 7 not."
    assert "oversized (left out): 1: huge.png" in text
    assert str(zoo) not in text


def test_which_files_are_pictures_does_not_depend_on_the_machine(tmp_path):
    # .tga is in few systems' tables of types and .cr2 in many; .jfif and .webp lack in some
    for name in ("a.webp", "b.JFIF", "c.avif", "d.heic", "e.tga", "f.cr2", "g.txt"):
        (tmp_path / name).touch()
    found = ["a.webp", "b.JFIF", "c.avif", "d.heic", "e.tga"]
    assert [file.name for file in check_images(tmp_path).files] == found
    assert sorted(file.name for file in get_image_files(tmp_path)) == found


def test_a_file_name_cannot_steer_the_terminal(tmp_path):
    (tmp_path / "a\x1b[2Jb.jpg").write_bytes(b"")
    assert "\x1b" not in str(check_images(tmp_path))


def test_check_images_takes_a_list_too(tmp_path):
    photo().save(tmp_path / "good.jpg")
    (tmp_path / "empty.jpg").touch()
    report = check_images([tmp_path / name for name in ("good.jpg", "empty.jpg", "gone.jpg")])
    assert report.usable == [tmp_path / "good.jpg"]
    assert kinds(report) == {"empty": {"empty.jpg"}, "missing": {"gone.jpg"}}


def test_usable_images_prints_only_when_there_is_something_to_say(tmp_path, capsys):
    photo().save(tmp_path / "a.jpg")
    assert usable_images(tmp_path) == [tmp_path / "a.jpg"]
    assert capsys.readouterr().out == ""
    (tmp_path / "b.jpg").touch()
    assert usable_images(tmp_path) == [tmp_path / "a.jpg"]
    assert "1 usable, 1 not" in capsys.readouterr().out


@pytest.mark.parametrize(
    ("data", "kind", "says"),
    [
        (b"", "empty", "empty"),
        (b"dear diary", "not a picture", "text file"),
        (b"\x00\x01\x02 rubbish", "not a picture", "not a picture"),
        (b"%PDF-1.7\n%\xe2\xe3", "unsupported", "PDF"),
        (b"\0\0\0\x18ftypheic\0\0\0\0", "unsupported", "HEIC"),
        (b"\0\0\0\x18ftypisom\0\0\0\0", "unsupported", "video"),
        (b'<?xml version="1.0"?><svg/>', "unsupported", "an XML file, perhaps an SVG drawing"),
        (b"<svg/>", "unsupported", "an SVG drawing"),
        (b"RIFF\x24\0\0\0WAVEfmt ", "unsupported", "a sound"),
        (b"8BPS\0\x01", "unsupported", "a Photoshop file"),
        (encoded(photo(), "PNG")[:-13] + b"?\0\0\0\0IEND\xaeB`\x82", "truncated", "damaged"),
        (b"\n<!DOCTYPE html><html>", "unsupported", "web page"),
        (b"PK\x03\x04....", "unsupported", "archive"),
        (b"%!PS-Adobe-3.0 EPSF-3.0\n%%BoundingBox: 0 0 9 9\n", "not a picture", "text file"),
        (encoded(photo(), "JPEG")[:600], "truncated", "cut short"),
        (encoded(photo(), "PPM"), "not a picture", "not a picture"),
    ],
)
def test_unusable_uploads_get_a_sentence(data, kind, says):
    with pytest.raises(ImageError, match=says) as caught:
        open_image(data)
    assert caught.value.kind == kind
    assert str(caught.value).endswith(".")


def test_oversized_upload_is_refused_before_a_pixel_is_decoded(monkeypatch):
    monkeypatch.setattr(ImageFile.ImageFile, "load", lambda self: pytest.fail("decoded"))
    # 110 megapixels is below where Pillow stops by itself (179): this is our own limit
    data = encoded(Image.new("1", (11_000, 10_000)), "PNG")
    with pytest.raises(ImageError, match="too large: make it smaller than 100 megapixels"):
        open_image(memoryview(data))  # what ipywidgets' FileUpload hands over


def test_rotated_photo_is_turned_upright():
    assert open_image(rotated_jpeg(6)).size == (80, 120)
    top_left = Image.new("RGB", (60, 40), "black")
    top_left.paste("white", (0, 0, 30, 20))
    exif = Image.Exif()
    exif[ORIENTATION] = 3  # upside down
    upright = open_image(encoded(top_left, "JPEG", exif=exif))
    assert upright.getpixel((50, 35))[0] > 200 and upright.getpixel((5, 5))[0] < 50


def test_garbage_in_exif_is_no_reason_to_refuse_a_photo():
    data = encoded(photo(), "JPEG", exif=b"Exif\0\0MM\0*\xff\xff\xff\xff" + b"\xff" * 40)
    assert open_image(data).size == (120, 80)


def test_transparency_becomes_white():
    clear = Image.new("RGBA", (10, 10), (255, 0, 0, 0))
    assert open_image(encoded(clear, "PNG")).getpixel((5, 5)) == (255, 255, 255)
    half = Image.new("RGBA", (10, 10), (255, 0, 0, 128))
    assert open_image(encoded(half, "PNG")).getpixel((5, 5)) == (255, 127, 127)
    palette = Image.new("P", (10, 10), 7)
    palette.putpalette(range(8 * 3))
    assert open_image(encoded(palette, "PNG", transparency=7)).getpixel((5, 5)) == (255,) * 3


def test_colours_survive_cmyk_palette_and_sixteen_bits():
    red = Image.new("RGB", (16, 16), (220, 30, 40))
    cmyk = open_image(encoded(red.convert("CMYK"), "JPEG", quality=95)).getpixel((8, 8))
    assert all(abs(a - b) < 12 for a, b in zip(cmyk, (220, 30, 40), strict=True))
    two = Image.new("P", (10, 10), 1)
    two.putpalette([0, 0, 0, 10, 200, 30])
    assert open_image(encoded(two, "PNG")).getpixel((5, 5)) == (10, 200, 30)
    deep = Image.new("I;16", (10, 10), 32768)
    assert open_image(encoded(deep, "PNG")).getpixel((5, 5)) == (128, 128, 128)


def test_first_frame_of_an_animation():
    frames = [Image.new("RGB", (10, 10), c) for c in ("red", "blue")]
    for kind in ("GIF", "WEBP", "PNG"):
        options = {"lossless": True} if kind == "WEBP" else {}
        data = encoded(frames[0], kind, save_all=True, append_images=frames[1:], **options)
        assert open_image(data).getpixel((5, 5)) == (255, 0, 0), kind


@pytest.mark.skipif(not PETS.exists(), reason=f"needs ../shared/data/{PETS.name}")
def test_the_two_mislabelled_photos_of_the_real_set(tmp_path):
    with tarfile.open(PETS) as tar:
        tar.extractall(tmp_path, filter="data")
    report = check_images(tmp_path)
    assert len(report.files) == len(report.usable) == 113
    mislabelled = [p for p in report.problems if p.kind == "mislabelled"]
    assert {p.path.name for p in mislabelled} == {"Abyssinian_34.jpg", "Abyssinian_5.jpg"}
    assert {p.sentence.split()[3] for p in mislabelled} == {"GIF", "PNG"}
    for problem in mislabelled:
        assert min(open_image(problem.path).size) > 100
