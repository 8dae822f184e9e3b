"""Data found, downloaded, unpacked and presized for real: a server on this machine, real photos."""

import hashlib
import io
import json
import os
import re
import shutil
import signal
import socket
import tarfile
import time
from multiprocessing import get_all_start_methods, get_context

import pytest
from fastai.data.transforms import get_image_files
from PIL import Image

from tests.serve import serve
from tests.test_images import photo, rotated_jpeg
from utils import data as datasets
from utils.common import CourseError
from utils.data import DataError, dataset, fetch, presized
from utils.paths import ROOT

SHARED = ROOT.parent / "shared" / "data"
PETS = SHARED / "oxford-iiit-pet.tgz"
needs_fork = pytest.mark.skipif("fork" not in get_all_start_methods(), reason="needs fork")
needs_photos = pytest.mark.skipif(not PETS.exists(), reason=f"needs ../shared/data/{PETS.name}")


@pytest.fixture(autouse=True)
def empty_data(own_folders, tmp_path, monkeypatch):
    """`data/` is an empty stand-in."""
    monkeypatch.setattr(datasets, "DATA", tmp_path / "data")


def add_photos(folder, names=("Abyssinian_1.jpg", "beagle_1.jpg"), size=(120, 80)):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        photo(size).save(folder / name)


def archive(path, names=("images/Abyssinian_1.jpg", "images/beagle_1.jpg"), change=None):
    """An archive of photos as the pets set's; `change` alters its last member."""
    stream = io.BytesIO()
    photo().save(stream, "JPEG")
    path.parent.mkdir(exist_ok=True)
    with tarfile.open(path, "w:gz") as tar:
        for name in names:
            member = tarfile.TarInfo(f"oxford-iiit-pet/{name}")
            member.size = len(stream.getvalue())
            if change and name == names[-1]:
                change(member)
            tar.addfile(member, io.BytesIO(stream.getvalue()))


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    """A server on this machine with a small pets archive, named by COURSE_MIRROR."""
    archive(tmp_path / "served" / PETS.name)
    with serve(tmp_path / "served") as server:
        monkeypatch.setenv("COURSE_MIRROR", server.url)
        yield server


def contents(folder):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*"))


# --- which folder


def test_sample_is_what_is_found_without_being_asked(tmp_path):
    add_photos(tmp_path / "data" / "pets" / "images")
    assert dataset("pets") == dataset("pets", "sample") == tmp_path / "data" / "pets"
    assert datasets.source_label() == "sample"


@pytest.mark.parametrize("inner", ["pets/images", "oxford-iiit-pet/images", "images"])
def test_own_folder_with_each_accepted_layout(tmp_path, monkeypatch, inner):
    add_photos(tmp_path / "mine" / inner, ["Rex_1.JPG"])
    monkeypatch.setenv("COURSE_DATA", str(tmp_path / "mine"))
    assert dataset("pets") / "images" == tmp_path / "mine" / inner
    assert datasets.source_label() == "mine"
    monkeypatch.setenv("COURSE_DATA", str(tmp_path / "full"))  # a folder, whatever its name
    assert datasets.source_label() == "full (your folder)"


@pytest.mark.parametrize("around", ["photos", "photos/of mine"])
@pytest.mark.parametrize("name", ["pets", "bears", "adult", "mnist_sample"])
def test_one_or_two_folders_around_a_set_are_looked_through(tmp_path, capsys, name, around):
    inner = {"pets": "images", "bears": "black", "mnist_sample": "train/3"}.get(name, "")
    suffix = datasets.SETS[name].layout.rpartition("/")[2].replace("*", "a")
    file = tmp_path / "mine" / name / around / inner / suffix
    file.parent.mkdir(parents=True)
    file.write_bytes(b"age,salary\n")
    found = dataset(name, str(tmp_path / "mine"))
    said = capsys.readouterr().out
    if name == "bears":  # whose class folders may lie at any depth: see utils.workspace
        assert found == tmp_path / "mine" / "bears" and not said
    else:
        assert found == tmp_path / "mine" / name / around
        assert said == f"Found {name} inside {around}.\n"


def test_another_set_is_no_folder_around_a_set(tmp_path):
    add_photos(tmp_path / "mine" / "pets" / "images")
    with pytest.raises(DataError, match=r"mine/camvid as images"):
        dataset("camvid", str(tmp_path / "mine"))


def test_a_split_of_a_set_that_the_chapters_divide(tmp_path):
    add_photos(tmp_path / "pets" / "images" / "Train")
    with pytest.raises(DataError, match="has a folder train, but the chapters divide pets themse"):
        dataset("pets", str(tmp_path))


@pytest.mark.parametrize(
    ("encoding", "says"), [("cp1252", "not in UTF-8 .*cp1252"), ("utf-16", "in UTF-16")]
)
def test_a_table_in_another_encoding(tmp_path, encoding, says):
    (tmp_path / "imdb").mkdir()
    (tmp_path / "imdb" / "texts.csv").write_text("label,text\ngut,schön\n", encoding)
    with pytest.raises(CourseError, match=f"texts.csv is {says}.*save it again as UTF-8"):
        dataset("imdb", str(tmp_path))
    (tmp_path / "imdb" / "texts.csv").write_text("label,text\ngut,schön\n", "utf-8-sig")
    assert dataset("imdb", str(tmp_path)) == tmp_path / "imdb"


def test_errors_say_what_where_and_what_to_type(tmp_path):
    (tmp_path / "mine" / "pets" / "images").mkdir(parents=True)
    cases = [
        (("pets", "sample"), ["no sample of pets", "data/pets", "COURSE_DATA=full", "774.1 MB"]),
        (("pets", str(tmp_path / "mine")), ["mine/pets as images/*.jpg", "empty"]),
        (("pets", str(tmp_path)), [f"{tmp_path}/pets", "not there", "COURSE_DATA=sample"]),
        (("pets", "sampel"), ["'sampel'", "sample", "full", "folder"]),
        (("pet", None), ["did you mean 'pets'?", "mnist_sample"]),
    ]
    for arguments, fragments in cases:
        with pytest.raises(DataError) as caught:
            dataset(*arguments)
        for fragment in fragments:
            assert fragment in str(caught.value)
    (tmp_path / "data" / "pets").mkdir(parents=True)
    with pytest.raises(DataError, match="git checkout -- data/pets"):
        dataset("pets")


def test_a_set_of_empty_files_is_not_a_set(tmp_path):
    (tmp_path / "images").mkdir()
    (tmp_path / "images" / "a.jpg").touch()
    with pytest.raises(DataError):
        dataset("pets", str(tmp_path))


def test_inventory_asks_no_network_and_counts_what_is_here(tmp_path, monkeypatch):
    monkeypatch.setattr(socket, "create_connection", lambda *a, **k: pytest.fail("network"))
    add_photos(tmp_path / "data" / "pets" / "images")
    rows = {row["name"]: row for row in datasets.inventory()}
    assert set(rows) == set(datasets.SETS)
    assert rows["pets"]["sample_files"] == 2 and rows["pets"]["full_mb"] == 774.1
    assert not rows["pets"]["full_here"] and not rows["adult"]["sample_files"]
    json.dumps(list(rows.values()))


# --- the full public set, over HTTP


@needs_photos
@pytest.mark.parametrize("name", ["pets", "mnist_sample", "camvid", "adult", "ml", "imdb"])
def test_full_goes_through_a_real_download_once(name, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("COURSE_DATA", "full")
    with serve(SHARED) as server:
        monkeypatch.setenv("COURSE_MIRROR", server.url)
        folder = dataset(name)
        assert folder.parent == tmp_path / "fastai_home" / "data"
        assert any(datasets.SETS[name].files(folder))
        file = server.gets[0].strip("/")
        size = (SHARED / file).stat().st_size / 2**20
        assert f"Downloading {file}, {size:.1f} MB, once" in capsys.readouterr().out
        assert dataset(name) == folder
        assert len(server.gets) == 1
    assert dataset(name) == folder  # and without a network
    assert datasets.where(name)["full_here"]


def test_a_set_that_fastai_fetched_earlier_is_reused(tmp_path, monkeypatch):
    add_photos(tmp_path / "fastai_home" / "data" / "oxford-iiit-pet" / "images")
    monkeypatch.setenv("COURSE_MIRROR", "http://127.0.0.1:9")  # nothing answers there
    assert fetch("pets") == tmp_path / "fastai_home" / "data" / "oxford-iiit-pet"


@pytest.mark.parametrize("tells_length", [True, False])
def test_download_cut_short_is_said_and_the_next_call_recovers(mirror, tmp_path, tells_length):
    mirror.cut_after, mirror.tells_length = 900, tells_length
    with pytest.raises(DataError, match="cut short"):
        fetch("pets")
    assert contents(tmp_path / "fastai_home" / "data") == []
    mirror.cut_after = None
    assert len(get_image_files(fetch("pets"))) == 2


@pytest.mark.parametrize("damage", ["cut", "flipped", "not an archive"])
def test_damaged_archive_of_an_earlier_download_is_fetched_again(mirror, tmp_path, damage, capsys):
    whole = (tmp_path / "served" / PETS.name).read_bytes()
    middle = len(whole) // 2
    kept = tmp_path / "fastai_home" / "archive" / PETS.name
    kept.parent.mkdir(parents=True)
    kept.write_bytes(
        {
            "cut": whole[:-20],
            "flipped": whole[:middle] + bytes([whole[middle] ^ 0xFF]) + whole[middle + 1 :],
            "not an archive": b"<html>Please log in to the hotel's network</html>",
        }[damage]
    )
    assert len(get_image_files(fetch("pets"))) == 2
    assert "cannot be used" in capsys.readouterr().out
    assert kept.read_bytes() == whole


def _link(member):
    member.type, member.linkname, member.size = tarfile.SYMTYPE, "/etc", 0


def _hard_link(member):
    member.type, member.linkname, member.size = tarfile.LNKTYPE, "../../secret", 0


@pytest.mark.parametrize(
    "change",
    [
        lambda m: setattr(m, "name", "../../escaped.jpg"),
        lambda m: setattr(m, "name", "/tmp/course-escaped.jpg"),
        lambda m: setattr(m, "name", "oxford-iiit-pet\\..\\..\\escaped.jpg"),
        _link,
        _hard_link,
        lambda m: setattr(m, "type", tarfile.FIFOTYPE),
    ],
    ids=["dots", "absolute", "backslashes", "link", "hard link", "pipe"],
)
def test_archive_that_reaches_outside_its_folder_is_refused(mirror, tmp_path, change):
    archive(tmp_path / "served" / PETS.name, change=change)
    with pytest.raises(DataError, match="could reach outside its folder"):
        fetch("pets")
    assert contents(tmp_path / "fastai_home" / "data") == []
    assert not list(tmp_path.rglob("*escaped*"))
    archive(tmp_path / "served" / PETS.name)  # an honest one next time: no trace of the other
    assert len(get_image_files(fetch("pets"))) == 2


def test_no_server_no_page_and_no_address_each_get_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_MIRROR", "http://127.0.0.1:9")
    with pytest.raises(DataError, match=r"refused.*another machine.*COURSE_DATA=sample"):
        fetch("pets")
    (tmp_path / "bare").mkdir()
    with serve(tmp_path / "bare") as server:
        monkeypatch.setenv("COURSE_MIRROR", server.url)
        with pytest.raises(DataError, match="the server answered 404"):
            fetch("pets")
    monkeypatch.setenv("COURSE_MIRROR", "ftp://example")
    with pytest.raises(DataError, match="http://"):
        fetch("pets")


@pytest.mark.parametrize("tells_length", [True, False])
def test_a_page_in_place_of_an_archive_is_said(mirror, tmp_path, capsys, tells_length):
    page = b"<!doctype html><html>Please log in to the hotel's network</html>"
    (tmp_path / "served" / PETS.name).write_bytes(page)
    mirror.cut_after, mirror.tells_length = len(page), tells_length
    with pytest.raises(DataError, match="it is a web page, such as a network's log-in page"):
        fetch("pets")
    shares = re.findall(r"([-\d.]+)%", capsys.readouterr().out)
    assert all(0 <= float(share) <= 100 for share in shares)
    assert bool(shares) == tells_length
    assert contents(tmp_path / "fastai_home" / "archive") == [f"{PETS.name}.lock"]


def test_the_public_archive_must_be_the_one_fastai_knows(mirror, monkeypatch):
    """Another file under the public address (a log-in page, say) is thrown away."""
    public = datasets.SETS["pets"].url
    known = {public: (5, "not this one")}
    monkeypatch.setattr(datasets, "read_checks", lambda module: known)
    monkeypatch.setattr("fastdownload.core.read_checks", lambda module: known)
    with pytest.raises(DataError, match="not the file fastai knows"):
        fetch("pets")


def forked(function, *arguments):
    """`function` in a process of its own, at once (a fresh one would import torch first)."""
    process = get_context("fork").Process(target=function, args=arguments)
    process.start()
    return process


def fetch_and_be_killed():
    inside, seen = datasets._inside, []

    def die(member, folder):
        seen.append(member)
        if len(seen) == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return inside(member, folder)

    datasets._inside = die
    fetch("pets")


@needs_fork
def test_killed_while_unpacking_leaves_no_half_set(mirror, tmp_path):
    killed = forked(fetch_and_be_killed)
    killed.join()
    assert killed.exitcode == -signal.SIGKILL
    assert not datasets.where("pets")["full_here"]
    assert contents(tmp_path / "fastai_home" / "data")[0] == ".oxford-iiit-pet.unpacking"
    assert len(get_image_files(fetch("pets"))) == 2
    assert len(mirror.gets) == 1  # the archive itself was whole
    assert contents(tmp_path / "fastai_home" / "data")[0] == "oxford-iiit-pet"  # no leftovers


# --- presized copies


def hashes(folder):
    files = [f for f in folder.rglob("*") if f.is_file()]
    return {f.relative_to(folder): hashlib.sha256(f.read_bytes()).hexdigest() for f in files}


def touched(folder):
    return {f.name: f.stat().st_mtime_ns for f in folder.rglob("*") if f.is_file()}


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


def test_copy_is_made_once_and_the_originals_stay(photos, capsys):
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
    times = touched(copy)
    assert presized(photos, 100) == copy
    assert touched(copy) == times
    said = capsys.readouterr().out
    assert "Making" not in said and "cut_1.jpg" in said  # still told what is left out


def test_new_changed_and_deleted_originals_are_followed(photos):
    copy = presized(photos, 100)
    times = touched(copy)
    photo((500, 500)).save(photos / "images" / "new_1.jpg")
    photo((500, 500)).save(photos / "images" / "Abyssinian_1.jpg")
    (photos / "images" / "Abyssinian_2.jpg").unlink()
    (copy / "images" / "Abyssinian_3.jpg").write_bytes(b"")  # what a power cut can leave
    presized(photos, 100)
    after = touched(copy)
    assert set(after) == set(times) - {"Abyssinian_2.jpg"} | {"new_1.jpg"}
    redone = {name for name in after if after[name] != times.get(name)}
    assert redone == {"new_1.jpg", "Abyssinian_1.jpg", "Abyssinian_3.jpg"}
    assert Image.open(copy / "images" / "Abyssinian_1.jpg").size == (100, 100)
    assert Image.open(copy / "images" / "Abyssinian_3.jpg").size == (150, 100)


def test_small_and_sound_set_is_returned_as_it_is(tmp_path, monkeypatch):
    add_photos(tmp_path / "pets" / "images", size=(180, 130))
    assert presized(tmp_path / "pets", 100) == tmp_path / "pets"
    monkeypatch.setattr(datasets, "check_images", lambda files: pytest.fail("checked again"))
    assert presized(tmp_path / "pets", 100) == tmp_path / "pets"


def test_small_set_with_a_damaged_picture_is_copied_without_it(tmp_path, capsys):
    add_photos(tmp_path / "pets" / "images")
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


def test_folders_limits_the_pictures(photos):
    photo((300, 300)).save(photos / "mask.png")
    copy = presized(photos, 100, folders=("images",))
    assert not (copy / "mask.png").exists() and (copy / "labels.csv").exists()


def test_lost_list_of_copies_only_costs_time(photos):
    copy = presized(photos, 100)
    before = hashes(copy)
    next(copy.parent.glob("*.json")).write_text('{"images/')
    assert hashes(presized(photos, 100)) == before


def test_two_sizes_are_two_copies(photos):
    assert presized(photos, 100) != presized(photos, 120)


@needs_fork
def test_killed_midway_leaves_no_half_picture_and_the_next_run_completes(photos, tmp_path):
    add_photos(photos / "images", [f"beagle_{n}.jpg" for n in range(300)], (900, 700))
    before = hashes(photos)
    running = forked(presized, photos, 100)
    cache = tmp_path / "course_cache"
    while len(list(cache.rglob("*.jpg"))) < 40:
        assert running.is_alive(), "finished before it could be killed"
        time.sleep(0.001)
    os.kill(running.pid, signal.SIGKILL)
    running.join()
    partial = list(cache.rglob("*.jpg"))
    assert 40 <= len(partial) < 300
    for file in partial:
        with Image.open(file) as image:
            image.load()
    copy = presized(photos, 100)
    assert set(hashes(copy)) == {n for n in before if n.name != "cut_1.jpg"}
    assert hashes(photos) == before
    assert not list(cache.rglob("*.part"))


@needs_fork
def test_two_at_once_make_one_sound_copy(photos):
    runs = [forked(presized, photos, 100) for _ in range(2)]
    for run in runs:
        run.join()
    assert [run.exitcode for run in runs] == [0, 0]
    copy = presized(photos, 100)
    assert len(get_image_files(copy)) == 10
    assert all(Image.open(f).size for f in get_image_files(copy))


@needs_photos
def test_real_photos_are_presized_with_every_name_kept(tmp_path):
    shutil.unpack_archive(PETS, tmp_path, filter="data")
    source = dataset("pets", str(tmp_path))
    copy = presized(source)
    assert {f.name for f in get_image_files(copy)} == {f.name for f in get_image_files(source)}
    assert all(min(Image.open(f).size) <= 224 for f in get_image_files(copy))
