"""Data found, downloaded and unpacked for real: a server on this machine, real photos."""

import io
import json
import os
import re
import signal
import socket
import tarfile
from collections import Counter
from functools import partial
from multiprocessing import get_all_start_methods, get_context

import pytest
from fastai.data.transforms import get_image_files

from tests.serve import serve
from tests.test_images import photo
from tests.typed import course as type_course
from utils import data
from utils.common import CourseError
from utils.data import DataError, dataset, dataset_or_sample, fetch, fetch_photos
from utils.lessons import ch02
from utils.paths import ROOT

SHARED = ROOT.parent / "shared" / "data"
PETS = SHARED / "oxford-iiit-pet.tgz"
needs_fork = pytest.mark.skipif("fork" not in get_all_start_methods(), reason="needs fork")
needs_photos = pytest.mark.skipif(not PETS.exists(), reason=f"needs ../shared/data/{PETS.name}")


@pytest.fixture(autouse=True)
def empty_data(own_folders, tmp_path, monkeypatch):
    """`data/` is an empty stand-in."""
    monkeypatch.setattr(data, "DATA", tmp_path / "data")


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
            content = stream.getvalue() + os.urandom(999)  # or gzip would see the same ones
            member = tarfile.TarInfo(f"oxford-iiit-pet/{name}")
            member.size = len(content)
            if change and name == names[-1]:
                change(member)
            tar.addfile(member, io.BytesIO(content))


@pytest.fixture
def mirror(tmp_path, monkeypatch):
    """A server on this machine with a small pets archive, named by COURSE_MIRROR."""
    archive(tmp_path / "served" / PETS.name)
    with serve(tmp_path / "served") as server:
        monkeypatch.setenv("COURSE_MIRROR", server.url)
        yield server


def here(name):
    """Whether `course data` says that the full set is here."""
    return next(row[3].startswith("here") for row in data.inventory() if row[0] == name)


def contents(folder):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*"))


# --- which folder


def test_sample_is_what_is_found_without_being_asked(tmp_path):
    add_photos(tmp_path / "data" / "pets" / "images")
    assert dataset("pets") == dataset("pets", "sample") == tmp_path / "data" / "pets"
    assert data.source_label() == "sample"


@pytest.mark.parametrize("inner", ["pets/images", "oxford-iiit-pet/images"])
def test_own_folder_with_each_accepted_layout(tmp_path, monkeypatch, inner):
    add_photos(tmp_path / "mine" / inner, ["Rex_1.JPG"])
    monkeypatch.setenv("COURSE_DATA", str(tmp_path / "mine"))
    assert dataset("pets") / "images" == tmp_path / "mine" / inner
    assert data.source_label() == "mine"
    monkeypatch.setenv("COURSE_DATA", str(tmp_path / "gone"))
    assert data.source_label() == "gone"
    monkeypatch.setenv("COURSE_DATA", str(tmp_path / "full"))  # a folder, whatever its name
    assert data.source_label() == "full (your folder)"


@pytest.mark.parametrize("around", ["photos", "photos/of mine"])
@pytest.mark.parametrize("name", ["pets", "bears", "adult", "mnist_sample"])
def test_one_or_two_folders_around_a_set_are_looked_through(tmp_path, capsys, name, around):
    inner = {"pets": "images", "bears": "black", "mnist_sample": "train/3"}.get(name, "")
    suffix = data.SETS[name].layout.rpartition("/")[2].replace("*", "a")
    file = tmp_path / "mine" / name / around / inner / suffix
    file.parent.mkdir(parents=True)
    file.write_bytes(b"age,salary\n")
    found = dataset(name, str(tmp_path / "mine"))
    said = capsys.readouterr().out
    if name == "bears":  # whose class folders may lie at any depth: see utils.splits
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
    with pytest.raises(DataError, match="without a folder train"):
        dataset("pets", str(tmp_path))


@pytest.mark.parametrize("encoding", ["cp1252", "utf-16"])
def test_a_table_in_another_encoding(tmp_path, encoding):
    (tmp_path / "imdb").mkdir()
    (tmp_path / "imdb" / "texts.csv").write_text("label,text\ngut,schön\n", encoding)
    with pytest.raises(CourseError, match=r"texts\.csv is not in UTF-8: save it again as UTF-8"):
        dataset("imdb", str(tmp_path))
    (tmp_path / "imdb" / "texts.csv").write_text("label,text\ngut,schön\n", "utf-8-sig")
    assert dataset("imdb", str(tmp_path)) == tmp_path / "imdb"


def test_errors_say_what_where_and_what_to_type(tmp_path):
    (tmp_path / "mine" / "pets" / "images").mkdir(parents=True)
    cases = [
        (("adult", "sample"), ["no sample of adult", "adult.csv): set COURSE_DATA=full."]),
        (("pets", str(tmp_path / "mine")), ["mine/pets as images/*.jpg", "COURSE_DATA=sample"]),
        (("pets", "sampel"), ["'sampel'", "sample", "full", "folder"]),
        (("pet", None), ["no set called 'pet'", "pets", "mnist_sample"]),
    ]
    for arguments, fragments in cases:
        with pytest.raises(DataError) as caught:
            dataset(*arguments)
        for fragment in fragments:
            assert fragment in str(caught.value)
    (tmp_path / "data" / "pets").mkdir(parents=True)
    with pytest.raises(DataError, match="git checkout -- data/pets"):
        dataset("pets")


def test_a_folder_without_a_set_gets_the_sample_and_a_sentence(tmp_path, monkeypatch, capsys):
    add_photos(tmp_path / "data" / "noses" / "images")
    monkeypatch.setenv("COURSE_DATA", str(tmp_path))
    assert dataset_or_sample("noses") == tmp_path / "data" / "noses"
    assert "Your folder has no noses" in capsys.readouterr().out
    add_photos(tmp_path / "noses" / "images")
    assert dataset_or_sample("noses") == tmp_path / "noses"
    assert not capsys.readouterr().out
    monkeypatch.setenv("COURSE_DATA", "sample")
    with pytest.raises(DataError, match="no sample of planet"):
        dataset_or_sample("planet")


def test_a_set_of_empty_files_is_not_a_set(tmp_path):
    (tmp_path / "pets" / "images").mkdir(parents=True)
    (tmp_path / "pets" / "images" / "a.jpg").touch()
    with pytest.raises(DataError):
        dataset("pets", str(tmp_path))


def test_inventory_asks_no_network_and_counts_what_is_here(tmp_path, monkeypatch):
    monkeypatch.setattr(socket, "create_connection", lambda *a, **k: pytest.fail("network"))
    add_photos(tmp_path / "data" / "pets" / "images")
    rows = {row[0]: row[2:] for row in data.inventory()}
    assert set(rows) == set(data.SETS)
    assert rows["pets"][0].startswith("2 files") and rows["pets"][1] == "not here, 774.1 MB"
    assert rows["adult"][0] == "no" and rows["bears"][1] == "there is none"


# --- the full public set, over HTTP


@needs_photos
@pytest.mark.parametrize("name", ["pets", "camvid", "adult", "ml", "imdb"])
def test_full_goes_through_a_real_download_once(name, tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("COURSE_DATA", "full")
    with serve(SHARED) as server:
        monkeypatch.setenv("COURSE_MIRROR", server.url)
        folder = dataset(name)
        assert folder.parent == tmp_path / "fastai_home" / "data"
        assert data.SETS[name].is_in(folder)
        file = server.gets[0].strip("/")
        size = (SHARED / file).stat().st_size / 2**20
        assert f"Downloading {file}, {size:.1f} MB, once" in capsys.readouterr().out
        assert dataset(name) == folder
        assert len(server.gets) == 1
    assert dataset(name) == folder  # and without a network
    assert here(name)


def test_a_set_that_fastai_fetched_earlier_is_reused(tmp_path, monkeypatch):
    add_photos(tmp_path / "fastai_home" / "data" / "oxford-iiit-pet" / "images")
    monkeypatch.setenv("COURSE_MIRROR", "http://127.0.0.1:9")  # nothing answers there
    assert fetch("pets") == tmp_path / "fastai_home" / "data" / "oxford-iiit-pet"


@pytest.mark.parametrize("tells_length", [True, False])
def test_download_cut_short_is_said_and_the_next_call_recovers(mirror, tmp_path, tells_length):
    mirror.cut_after, mirror.tells_length = 900, tells_length
    with pytest.raises(DataError, match=r"Could not download pets .Compressed file ended before"):
        fetch("pets")
    assert contents(tmp_path / "fastai_home" / "data") == []
    mirror.cut_after = None
    assert len(get_image_files(fetch("pets"))) == 2


@pytest.mark.parametrize("damage", ["cut", "flipped", "not an archive"])
def test_a_damaged_archive_is_thrown_away_and_the_next_call_recovers(mirror, tmp_path, damage):
    served = tmp_path / "served" / PETS.name
    whole = served.read_bytes()
    middle = len(whole) // 2
    served.write_bytes(
        {
            "cut": whole[:-20],
            "flipped": whole[:middle] + bytes([whole[middle] ^ 0xFF]) + whole[middle + 1 :],
            "not an archive": b"<html>Please log in to the hotel's network</html>",
        }[damage]
    )
    with pytest.raises(DataError, match="Could not download pets") as caught:
        fetch("pets")
    assert ("log-in" in str(caught.value)) == (damage == "not an archive")
    assert contents(tmp_path / "fastai_home" / "data") == []
    served.write_bytes(whole)
    assert len(get_image_files(fetch("pets"))) == 2


def _link(member):
    member.type, member.linkname, member.size = tarfile.SYMTYPE, "/etc", 0


def _hard_link(member):
    member.type, member.linkname, member.size = tarfile.LNKTYPE, "../../secret", 0


@pytest.mark.parametrize(
    "change",
    [
        lambda m: setattr(m, "name", "../../escaped.jpg"),
        lambda m: setattr(m, "name", "oxford-iiit-pet/../../../escaped.jpg"),
        _link,
        _hard_link,
        lambda m: setattr(m, "type", tarfile.FIFOTYPE),
    ],
    ids=["dots", "more dots", "link", "hard link", "pipe"],
)
def test_archive_that_reaches_outside_its_folder_is_refused(mirror, tmp_path, change):
    archive(tmp_path / "served" / PETS.name, change=change)
    with pytest.raises(DataError, match=r"is outside the destination|is a special file"):
        fetch("pets")
    assert contents(tmp_path / "fastai_home" / "data") == []
    assert not list(tmp_path.rglob("*escaped*"))
    archive(tmp_path / "served" / PETS.name)  # an honest one next time: no trace of the other
    assert len(get_image_files(fetch("pets"))) == 2


def test_absolute_names_in_an_archive_stay_in_its_folder(mirror, tmp_path):
    outside = tmp_path / "outside.jpg"
    archive(tmp_path / "served" / PETS.name, change=lambda m: setattr(m, "name", str(outside)))
    inside = [file.name for file in get_image_files(fetch("pets"))]
    assert "outside.jpg" in inside and not outside.exists()


def test_no_server_no_page_and_no_address_each_get_a_sentence(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_MIRROR", "http://127.0.0.1:9")
    with pytest.raises(DataError, match=r"refused.*another machine.*COURSE_DATA=sample"):
        fetch("pets")
    (tmp_path / "bare").mkdir()
    with serve(tmp_path / "bare") as server:
        monkeypatch.setenv("COURSE_MIRROR", server.url)
        with pytest.raises(DataError, match="HTTP Error 404"):
            fetch("pets")
    monkeypatch.setenv("COURSE_MIRROR", "ftp://example")
    with pytest.raises(DataError, match="http://"):
        fetch("pets")


@pytest.mark.parametrize("tells_length", [True, False])
def test_the_progress_bar_stays_within_the_whole(mirror, capsys, tells_length):
    mirror.cut_after, mirror.tells_length = 2**20, tells_length
    fetch("pets")
    shares = re.findall(r"([-\d.]+)%", capsys.readouterr().out)
    assert all(0 <= float(share) <= 100 for share in shares)
    assert bool(shares) == tells_length


def forked(function, *arguments):
    """`function` in a process of its own, at once (a fresh one would import torch first)."""
    process = get_context("fork").Process(target=function, args=arguments)
    process.start()
    return process


def fetch_and_be_killed():
    plain, seen = data._plain, []

    def die(member, folder):
        seen.append(member)
        if len(seen) == 2:
            os.kill(os.getpid(), signal.SIGKILL)
        return plain(member, folder)

    data._plain = die
    fetch("pets")


def test_the_public_archive_must_be_the_one_fastai_knows(mirror, monkeypatch):
    """Another file under the public address (a log-in page, say) is not unpacked."""
    known = {data.SETS["pets"].url: (5, "not this one")}
    monkeypatch.setattr("utils.data.read_checks", lambda module: known)
    with pytest.raises(DataError, match="Could not download pets"):
        fetch("pets")


@needs_fork
def test_killed_while_unpacking_leaves_no_half_set(mirror, tmp_path):
    killed = forked(fetch_and_be_killed)
    killed.join()
    assert killed.exitcode == -signal.SIGKILL
    assert not here("pets")
    assert contents(tmp_path / "fastai_home" / "data")[0] == ".oxford-iiit-pet.part"
    assert len(get_image_files(fetch("pets"))) == 2
    assert contents(tmp_path / "fastai_home" / "data")[0] == "oxford-iiit-pet"  # no leftovers


# --- some photos


CATS, DOGS = ([f"{name}{letter}" for letter in "abcdefghij"] for name in ("Cat_", "dog_"))
NAMES = [
    f"{breed}_{n}" for breed in [*CATS, *DOGS, *(f"hound_{dog}" for dog in DOGS)] for n in range(8)
]


@pytest.fixture
def photos(mirror, tmp_path):
    """The mirror has 80 photos of ten breeds of cats, then 160 of twenty of dogs."""
    archive(tmp_path / "served" / PETS.name, [f"images/{name}.jpg" for name in NAMES])
    return tmp_path / "photos"


def test_some_photos_half_of_them_cats_and_of_several_breeds(photos, tmp_path, monkeypatch):
    folder = fetch_photos(400, photos)
    names = [file.stem for file in folder.iterdir()]
    assert Counter(name[0].isupper() for name in names) == {True: 80, False: 160}
    assert dataset("pets", str(photos)) == photos / "pets"
    monkeypatch.setattr(data, "NOTEBOOKS", tmp_path)
    assert data.resolve_source("photos") == str(photos)
    with pytest.raises(DataError, match=r"COURSE_DATA is .~whoever"):
        data.resolve_source("~whoever/photos")
    with pytest.raises(DataError, match="is there already: move it away"):
        fetch_photos(400, photos)


def test_no_more_is_read_than_is_needed(photos, mirror, tmp_path):
    """Cut off behind the last photo that is wanted, it is as good as the whole."""
    whole = (tmp_path / "served" / PETS.name).stat().st_size
    mirror.cut_after = whole * 3 // 4
    names = [file.stem for file in fetch_photos(40, photos).iterdir()]
    breeds = Counter(name.rpartition("_")[0] for name in names)
    assert breeds == dict.fromkeys([*CATS, *DOGS], 2)


@pytest.mark.parametrize("answer", ["cut off", "a page", "404", "a loop", "nobody"])
def test_a_server_that_misbehaves_leaves_nothing_behind(
    photos, mirror, tmp_path, monkeypatch, answer
):
    served, says = tmp_path / "served" / PETS.name, "Could not download pets"
    if answer == "cut off":
        mirror.cut_after = 5000
    elif answer == "a page":
        served.write_text("<html>Log in first</html>")
    elif answer == "404":
        served.unlink()
        says = "HTTP Error 404"
    elif answer == "a loop":
        mirror.redirect = True
        says = "HTTP Error 302"
    else:
        monkeypatch.setenv("COURSE_MIRROR", "http://127.0.0.1:9")
        says = "refused"
    with pytest.raises(DataError, match=f"{says}.*COURSE_DATA=sample"):
        fetch_photos(400, photos)
    assert not (photos / "pets").exists() and not any(photos.rglob("*.jpg"))


def test_a_server_that_stalls_is_given_up(photos, mirror, monkeypatch):
    monkeypatch.setattr(data, "TIMEOUT", 0.3)
    mirror.stall = 2
    with pytest.raises(DataError, match="timed out"):
        fetch_photos(400, photos)


@pytest.fixture
def bears(tmp_path, monkeypatch):
    """A search and 12 pictures for each kind of bear, one of them a web page, on this machine."""
    served = tmp_path / "web"
    add_photos(served, [f"bear_{n}.jpg" for n in range(12)])
    (served / "bear_3.jpg").write_text("<html>Log in first</html>")
    monkeypatch.setattr(ch02, "NOTEBOOKS", tmp_path / "notebooks")
    with serve(served) as server:
        results = [{"url": f"{server.url}/bear_{n}.jpg", "creator": "A. Keeper"} for n in range(12)]
        (served / "search").write_text(json.dumps({"page_count": 1, "results": results}))
        search = partial(ch02.search_images, api=f"{server.url}/search")
        monkeypatch.setattr(ch02, "search_images", search)
        yield server


def test_bears_by_a_search_with_their_licences_and_without_what_is_no_picture(bears, tmp_path):
    done = type_course("data", "fetch", "bears", "--photos", "40")
    folder = tmp_path / "notebooks" / "photos"
    assert done.status == 0 and done.out.startswith("33 photos are in")
    assert len(get_image_files(dataset("bears", str(folder)))) == 33
    assert (folder / "bears" / "licences.csv").read_text().count("A. Keeper") == 36
    again = type_course("data", "fetch", "bears", "--photos", "40")
    assert again.status == 1 and "is there already" in again.errors


@pytest.mark.parametrize(
    ("answer", "says"),
    [("cut off", "No search result came"), ("a loop", "No search result came"),
     ("pages", "Fewer than ten photos came of grizzly, black, teddy"),
     ("404", "Nothing came from any of the 36 addresses"), ("nobody", "is there a network")],
)  # fmt: skip
def test_a_web_that_misbehaves_leaves_no_bears_behind(bears, tmp_path, monkeypatch, answer, says):
    pictures = sorted((tmp_path / "web").glob("*.jpg"))
    if answer == "cut off":
        bears.cut_after = 20
    elif answer == "a loop":
        bears.redirect = True
    elif answer == "pages":
        for file in pictures[:3]:
            file.write_text("<html>Log in first</html>")
    elif answer == "404":
        for file in pictures:
            file.unlink()
    else:
        nobody = partial(ch02.search_images.func, api="http://127.0.0.1:9/search")
        monkeypatch.setattr(ch02, "search_images", nobody)
    done = type_course("data", "fetch", "bears", "--photos", "40")
    assert done.status == 1 and says in " ".join(done.errors.split())
    assert not any((tmp_path / "notebooks").rglob("*.jpg"))
