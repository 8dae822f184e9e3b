"""Smaller copies of a set: made once, kept up to date, whole after a kill."""

import hashlib
import os
import shutil
import signal
import time

import pytest
from fastai.data.transforms import get_image_files
from PIL import Image

from tests.test_data import PETS, add_photos, forked, needs_fork, needs_photos
from tests.test_images import photo, rotated_jpeg
from utils import presize
from utils.data import DataError, dataset
from utils.presize import presized

pytestmark = pytest.mark.usefixtures("own_folders")


def hashes(folder):
    files = [f for f in folder.rglob("*") if f.is_file()]
    return {f.relative_to(folder): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


def made(folder):
    """When each file was made: its own time is the original's."""
    return {f.name: f.stat().st_ino for f in folder.rglob("*") if f.is_file()}


@pytest.fixture
def photos(tmp_path):
    """A set of large photos, with a label file, a damaged, a palette and a sideways one."""
    folder = tmp_path / "pets"
    add_photos(folder / "images", [f"Abyssinian_{n}.jpg" for n in range(6)], (600, 400))
    add_photos(folder / "images", ["small_1.jpg"], (60, 40))
    photo((600, 400)).convert("P").save(folder / "images" / "palette_1.png")
    photo((600, 400)).save(folder / "images" / "gif_1.jpg", "GIF")
    (folder / "images" / "side_1.jpg").write_bytes(rotated_jpeg())
    whole = (folder / "images" / "Abyssinian_0.jpg").read_bytes()
    (folder / "images" / "cut_1.jpg").write_bytes(whole[: len(whole) // 2])
    (folder / "images" / "nowhere_1.jpg").symlink_to("gone")
    (folder / "labels.csv").write_text("name,label\n")
    return folder


def test_a_copy_is_made_once_and_the_originals_stay(photos, capsys):
    before = hashes(photos)
    copy = presized(photos, 100)
    said = capsys.readouterr().out
    assert "100 pixels" in said and "truncated (left out): 1: images/cut_1.jpg" in said
    assert hashes(photos) == before
    assert set(hashes(copy)) == set(before) - {(photos / "images/cut_1.jpg").relative_to(photos)}
    sizes = {f.name: Image.open(f).size for f in get_image_files(copy)}
    assert sizes.pop("small_1.jpg") == (60, 40)  # never enlarged
    assert sizes.pop("side_1.jpg") == (80, 120)
    assert set(sizes.values()) == {(150, 100)}
    assert Image.open(copy / "images" / "gif_1.jpg").format == "JPEG"
    once = made(copy)
    assert presized(photos, 100) == copy and made(copy) == once
    said = capsys.readouterr().out
    assert "Making" not in said and "cut_1.jpg" in said  # still told what is left out
    assert presized(photos, 120) != copy


def test_new_changed_and_deleted_originals_are_followed(photos):
    copy = presized(photos, 100)
    once = made(copy)
    photo((500, 500)).save(photos / "images" / "new_1.jpg")
    photo((500, 500)).save(photos / "images" / "Abyssinian_1.jpg")
    photo((500, 500)).save(photos / "images" / "cut_1.jpg")
    (photos / "images" / "Abyssinian_2.jpg").unlink()
    (copy / "images" / "Abyssinian_3.jpg").write_bytes(b"")  # what a power cut can leave
    (photos / "images" / "Abyssinian_4.jpg").write_bytes(b"no picture any more")
    presized(photos, 100)
    after = made(copy)
    gone = {"Abyssinian_2.jpg", "Abyssinian_4.jpg"}
    assert set(after) == set(once) - gone | {"new_1.jpg", "cut_1.jpg"}
    redone = {name for name in after if after[name] != once.get(name)}
    assert redone == {"new_1.jpg", "cut_1.jpg", "Abyssinian_1.jpg", "Abyssinian_3.jpg"}
    assert Image.open(copy / "images" / "Abyssinian_1.jpg").size == (100, 100)
    assert Image.open(copy / "images" / "Abyssinian_3.jpg").size == (150, 100)


def test_a_small_and_sound_set_is_returned_as_it_is(tmp_path, monkeypatch, capsys):
    add_photos(tmp_path / "pets" / "images", size=(120, 80))
    assert presized(tmp_path / "pets", 100) == tmp_path / "pets"
    with monkeypatch.context() as patch:
        patch.setattr(presize, "check_images", lambda files: pytest.fail("checked again"))
        assert presized(tmp_path / "pets", 100) == tmp_path / "pets"
    damaged = tmp_path / "pets" / "images" / "beagle_1.jpg"
    damaged.write_bytes(damaged.read_bytes()[:700])
    copy = presized(tmp_path / "pets", 100)
    assert [f.name for f in get_image_files(copy)] == ["Abyssinian_1.jpg"]
    assert "beagle_1.jpg" in capsys.readouterr().out


def test_no_usable_picture_at_all_is_an_error(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.jpg").write_bytes(b"not a picture")
    with pytest.raises(DataError, match="None of the 1 pictures"):
        presized(tmp_path, 100)


@needs_fork
def test_killed_midway_leaves_no_half_picture_and_two_go_on_from_there(photos, tmp_path):
    add_photos(photos / "images", [f"beagle_{n}.jpg" for n in range(300)], (900, 700))
    before = hashes(photos)
    running = forked(presized, photos, 100)
    cache = tmp_path / "course_cache"
    while len(list(cache.rglob("[!.]*.jpg"))) < 40:
        assert running.is_alive(), "finished before it could be killed"
        time.sleep(0.001)
    os.kill(running.pid, signal.SIGKILL)
    running.join()
    partial = list(cache.rglob("[!.]*.jpg"))
    assert 40 <= len(partial) < 300
    for file in partial:
        with Image.open(file) as image:
            image.load()
    inodes = {file: file.stat().st_ino for file in partial}
    runs = [forked(presized, photos, 100) for _ in range(2)]
    for run in runs:
        run.join()
    assert [run.exitcode for run in runs] == [0, 0]
    copy = presized(photos, 100)
    assert set(hashes(copy)) == {n for n in before if n.name != "cut_1.jpg"}
    assert all(Image.open(f).size for f in get_image_files(copy))
    # few were made again: those that were ready and not yet in the list
    assert sum(inode != file.stat().st_ino for file, inode in inodes.items()) < 20
    assert hashes(photos) == before
    assert not list(cache.rglob("*.part"))


@needs_photos
def test_real_photos_are_presized_with_every_name_kept(tmp_path):
    shutil.unpack_archive(PETS, tmp_path, filter="data")
    source = dataset("pets", str(tmp_path))
    copy = presized(source)
    assert {f.name for f in get_image_files(copy)} == {f.name for f in get_image_files(source)}
    assert all(min(Image.open(f).size) <= 224 for f in get_image_files(copy))
