"""Real downloads from real servers on the loopback address: untidy pictures, lists, a search."""

import json
import threading
import urllib.request
from contextlib import contextmanager
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from urllib.error import HTTPError
from urllib.parse import parse_qs, urlsplit

import numpy as np
import pytest
from fastai.data.transforms import get_image_files
from fastai.vision.core import PILImage
from fastai.vision.utils import download_images, verify_images
from PIL import Image
from serve import serve

from utils import gather as module
from utils.gather import (
    BROKEN,
    GONE,
    UNTIDY,
    GatherError,
    PictureServer,
    gather,
    read_addresses,
    search_images,
)
from utils.images import check_images, open_image
from utils.presize import presized

pytestmark = pytest.mark.usefixtures("own_folders")


def picture(shade: int, size=(90, 60)) -> Image.Image:
    """Dark with a bright band along its upper edge, so that turning it shows."""
    image = Image.new("RGB", size, (shade, 40, 30))
    image.paste((230, 220, 210), (0, 0, size[0], size[1] // 4))
    return image


@pytest.fixture
def bears(tmp_path):
    """Three labels of five pictures each, and a file that is no picture."""
    root = tmp_path / "source"
    for number, label in enumerate(("black", "grizzly", "teddy")):
        (root / label).mkdir(parents=True)
        for n in range(5):
            picture(20 + 10 * number + n).save(root / label / f"{label}_{n}.jpg")
    (root / "black" / "a note.jpg").write_bytes(b"no picture")
    return root


@pytest.fixture
def web(bears):
    server = PictureServer(bears)
    yield server
    server.stop()


def name_of(url: str) -> str:
    return urlsplit(url).path.rpartition("/")[2]


def fetch(url: str) -> bytes:
    with urllib.request.urlopen(url, timeout=5) as answer:
        return answer.read()


# --- the small web --------------------------------------------------------------------------


def test_the_web_has_each_untidy_form_once_and_every_other_picture(web):
    names = [name_of(url) for urls in web.urls.values() for url in urls]
    assert set(web.urls) == {"black", "grizzly", "teddy"}
    assert {name_of(url) for url in web.untidy} == {*UNTIDY, GONE}
    assert len(names) == len(set(names)) == 16 + len(BROKEN) + 1  # nine stand for pictures of 16


def test_the_web_listens_on_this_machine_only_and_serves_nothing_else(web, bears):
    assert web.server_address[0] == "127.0.0.1"
    good = next(url for url in web.urls["teddy"] if name_of(url) == "teddy_4.jpg")
    assert fetch(good) == (bears / "teddy" / "teddy_4.jpg").read_bytes()
    base = f"http://127.0.0.1:{web.server_port}"
    gone = next(url for url in web.untidy if name_of(url) == GONE)
    for url in (gone, f"{base}/", f"{base}/{web.root}/../../etc/passwd", f"{base}/etc/passwd"):
        with pytest.raises(HTTPError, match="404"):
            fetch(url)


def test_addresses_are_plain_whatever_files_and_labels_are_called(tmp_path):
    for label in ("été", "ete_", "hiver"):
        (tmp_path / label).mkdir()
        for stem in ("1", "2", "3", "4", "a b?", "a_b_", "熊" * 60):
            picture(50).save(tmp_path / label / f"{stem}.jpg")
    server = PictureServer(tmp_path)
    try:
        found = gather(server.urls, "odd")
    finally:
        server.stop()
    assert found.missing.reason.to_list() == ["the server answered 404"]
    assert len(get_image_files(found.folder)) == 3 * 7 + len(BROKEN)
    assert sorted(p.name for p in found.folder.iterdir() if p.is_dir()) == ["ete_", "hiver", "été"]


def test_a_folder_without_pictures_is_a_sentence(tmp_path):
    with pytest.raises(GatherError, match="no pictures"):
        PictureServer(tmp_path)


def test_a_proxy_is_not_asked_for_this_machine(bears, monkeypatch):
    for variable in ("http_proxy", "HTTP_PROXY"):
        monkeypatch.setenv(variable, "http://127.0.0.1:9")  # nothing listens there
    for variable in ("no_proxy", "NO_PROXY"):
        monkeypatch.setenv(variable, "intranet.example")
    server = PictureServer(bears)
    try:
        found = gather(server.urls, "bears")
    finally:
        server.stop()
    assert len(found.missing) == 1
    assert module.os.environ["no_proxy"] == "intranet.example,127.0.0.1"


# --- untidy pictures: what comes through, and what fastai's own check lets pass ---------------


@pytest.fixture
def untidy(web, tmp_path):
    """The untidy files as fastai's own call downloads them."""
    folder = tmp_path / "untidy"
    download_images(folder, urls=web.untidy, preserve_filename=True)
    return folder


def test_fastai_downloads_them_and_finds_the_three_that_do_not_open(untidy):
    assert {file.name for file in untidy.iterdir()} == set(UNTIDY)
    failed = verify_images(get_image_files(untidy))
    assert {file.name for file in failed} == set(BROKEN)


def test_each_comes_through_or_is_set_aside_with_a_reason(untidy):
    report = check_images(untidy)
    kinds = {}
    for problem in report.problems:
        kinds.setdefault(problem.path.name, set()).add(problem.kind)
    assert kinds == {
        "webp_inside.jpg": {"mislabelled"},
        "png_inside.jpg": {"mislabelled"},
        "palette.png": {"palette"},
        "printing_colours.jpg": {"CMYK"},
        "sideways.jpg": {"rotated"},
        "animated.gif": {"animated", "palette"},
        "cut_off.jpg": {"truncated"},
        "text.jpg": {"not a picture"},
        "empty.jpg": {"empty"},
    }
    assert {file.name for file in report.usable} == set(UNTIDY) - set(BROKEN)


def brightness(image: Image.Image, box: tuple[float, float, float, float]) -> float:
    left, top, right, bottom = box
    area = (left * image.width, top * image.height, right * image.width, bottom * image.height)
    return float(np.asarray(image.convert("RGB").crop([round(n) for n in area])).mean())


MIDDLE_TOP, MIDDLE_LOW, CORNER = (0.45, 0.1, 0.55, 0.2), (0.4, 0.5, 0.6, 0.7), (0, 0, 0.04, 0.04)


@pytest.mark.parametrize("name", sorted(set(UNTIDY) - set(BROKEN)))
def test_the_course_reads_them_upright_on_white_and_in_the_right_tones(untidy, name):
    image = open_image(untidy / name)
    assert image.mode == "RGB" and image.width > image.height
    assert brightness(image, MIDDLE_TOP) > 190 and brightness(image, MIDDLE_LOW) < 80


def test_what_fastai_makes_of_those_that_its_check_lets_pass(untidy):
    """The chapter says so; should fastai learn better, the chapter has to be changed."""
    sideways = PILImage.create(untidy / "sideways.jpg")
    assert sideways.width < sideways.height
    deep = PILImage.create(untidy / "deep_grey.png")
    assert brightness(deep, MIDDLE_LOW) == 255  # all white
    for name in ("see_through.png", "palette.png"):
        assert brightness(PILImage.create(untidy / name), CORNER) == 0
        assert brightness(open_image(untidy / name), CORNER) == 255


def test_the_large_one_is_large_and_its_small_copy_is_not(web):
    found = gather(web.urls, "bears")
    large = next(found.folder.rglob("thirty_megapixels.jpg"))
    with Image.open(large) as image:
        assert image.width * image.height == pytest.approx(30e6, rel=0.01)
    small = presized(found.folder)
    assert min(Image.open(next(small.rglob("thirty_megapixels.jpg"))).size) == 224
    assert {f.name for f in get_image_files(small)}.isdisjoint({*BROKEN, "a_note.jpg"})
    assert len(get_image_files(small)) == 15


# --- download -------------------------------------------------------------------------------


def test_every_address_is_accounted_for(web):
    found = gather(web.urls, "bears")
    assert len(found.table) == sum(map(len, web.urls.values()))
    for row in found.table[found.table.file != ""].itertuples():
        assert (found.folder / row.label / row.file).read_bytes() == fetch(row.address)
    assert str(found).splitlines() == [
        "20 addresses: 19 files arrived, 1 did not.",
        f"  the server answered 404: {GONE}",
    ]


@pytest.fixture
def plain(tmp_path):
    """A folder to serve: three pictures, two of them of one name."""
    for place, shade in (("one/bear.jpg", 10), ("two/bear.jpg", 60), ("three/other.jpg", 110)):
        (tmp_path / "plain" / place).parent.mkdir(parents=True)
        picture(shade).save(tmp_path / "plain" / place)
    return tmp_path / "plain"


def test_a_second_run_asks_for_nothing_and_other_addresses_are_kept_apart(plain):
    with serve(plain) as server:
        first = gather({"bear": [f"{server.url}/one/bear.jpg"]}, "mine")
        asked = len(server.gets)
        assert gather({"bear": [f"{server.url}/one/bear.jpg"]}, "mine").folder == first.folder
        assert len(server.gets) == asked
        other = gather({"bear": [f"{server.url}/three/other.jpg"]}, "mine")
        assert other.folder != first.folder
        assert [f.name for f in get_image_files(other.folder)] == ["other.jpg"]
        picture(200).save(plain / "one" / "bear.jpg")
        again = gather({"bear": [f"{server.url}/one/bear.jpg"]}, "mine", again=True)
        assert again.folder == first.folder
        assert (again.folder / "bear/bear.jpg").read_bytes() == (
            plain / "one/bear.jpg"
        ).read_bytes()


def test_another_start_of_the_web_is_known_again_and_a_changed_picture_is_not(bears):
    folders = []
    for change in (None, None, "black_4.jpg"):
        if change:
            picture(99, (40, 40)).save(bears / "black" / change)
        server = PictureServer(bears)
        folders.append(gather(server.urls, "bears").folder)
        server.stop()
    assert folders[0] == folders[1] != folders[2]


def test_what_a_killed_run_left_is_not_mixed_in(plain):
    with serve(plain) as server:
        urls = {"bear": [f"{server.url}/one/bear.jpg"]}
        folder = gather(urls, "mine").folder
        scratch = folder.with_name(folder.name + ".part")
        folder.rename(scratch)
        (scratch / "bear" / "old.jpg").write_bytes(b"half")
        assert {f.name for f in gather(urls, "mine").folder.rglob("*.jpg")} == {"bear.jpg"}
    assert not scratch.exists()


def test_two_files_of_one_name_both_arrive(plain):
    with serve(plain) as server:
        (plain / "three" / "BEAR.JPG").write_bytes((plain / "three/other.jpg").read_bytes())
        urls = [f"{server.url}/{n}" for n in ("one/bear.jpg", "two/bear.jpg", "three/BEAR.JPG")]
        found = gather({"bear": urls}, "mine")
    assert found.table.file.to_list() == ["bear.jpg", "bear_2.jpg", "BEAR_3.JPG"]
    for file, source in zip(found.table.file, ("one/bear", "two/bear", "three/other"), strict=True):
        path = found.folder / "bear" / file
        assert path.read_bytes() == (plain / f"{source}.jpg").read_bytes()


def test_a_text_file_from_windows_works(plain, tmp_path):
    listed = tmp_path / "list.txt"
    with serve(plain) as server:
        lines = [f"{server.url}/one/bear.jpg", "", f"{server.url}/three/other.jpg  "]
        listed.write_bytes("\r\n".join([*lines, lines[0], ""]).encode("utf-8-sig"))
        found = gather({"bear": listed}, "mine")
    assert found.table.file.to_list() == ["bear.jpg", "other.jpg"]
    assert read_addresses(listed) == [lines[0], lines[2].strip()]


def test_a_name_that_is_no_pictures_still_counts_as_one(plain):
    (plain / "image.php").write_bytes((plain / "one/bear.jpg").read_bytes())
    with serve(plain) as server:
        found = gather({"bear": [f"{server.url}/image.php?id=3"]}, "mine")
    assert [f.name for f in get_image_files(found.folder)] == ["image.jpg"]


def test_reasons(plain, tmp_path):
    secret = tmp_path / "secret.jpg"
    picture(1).save(secret)
    with serve(plain) as dead:
        nobody = dead.url
    with serve(plain) as server:
        urls = [f"{server.url}/one/bear.jpg", f"{server.url}/none.jpg", secret.as_uri(),
                f"{nobody}/a.jpg", "not an address"]  # fmt: skip
        found = gather({"bear": urls}, "mine")
    reasons = dict(zip(found.missing.address, found.missing.reason, strict=True))
    assert reasons[f"{server.url}/none.jpg"] == "the server answered 404"
    assert reasons[secret.as_uri()] == "not a web address"
    assert reasons["not"] == reasons["address"] == "not a web address"
    assert reasons[f"{nobody}/a.jpg"].startswith("no answer (")
    assert [f.name for f in get_image_files(found.folder)] == ["bear.jpg"]


def test_a_download_that_breaks_off_is_not_kept(plain):
    with serve(plain) as server:
        good = gather({"bear": [f"{server.url}/one/bear.jpg"]}, "mine")
        server.cut_after = 100
        with pytest.raises(GatherError, match="broke off"):
            gather({"bear": [f"{server.url}/two/bear.jpg"]}, "mine")
        with pytest.raises(GatherError):  # and what was there stays
            gather({"bear": [f"{server.url}/one/bear.jpg"]}, "mine", again=True)
    assert (good.folder / "bear/bear.jpg").read_bytes() == (plain / "one/bear.jpg").read_bytes()


def test_no_network_is_one_sentence_and_the_next_run_tries_again(plain):
    with serve(plain) as server:
        urls = {"bear": [f"{server.url}/one/bear.jpg"]}
    with pytest.raises(GatherError, match="Nothing came from any of the 1 addresses") as caught:
        gather(urls, "mine")
    assert "check the network" in str(caught.value)
    with serve(plain) as server:
        urls = {"bear": [f"{server.url}/one/bear.jpg"]}
        assert len(gather(urls, "mine").missing) == 0


def test_an_empty_list_is_one_sentence():
    with pytest.raises(GatherError, match="for 'none' is empty"):
        gather({"some": ["http://127.0.0.1:9/a.jpg"], "none": []}, "mine")


@pytest.mark.parametrize("label", ["", "..", ".hidden", "a/b", "a\\b", "c:d"])
def test_a_label_must_be_the_name_of_a_folder(label):
    with pytest.raises(GatherError, match="label"):
        gather({label: ["http://127.0.0.1:9/a.jpg"]}, "mine")


# --- search ---------------------------------------------------------------------------------


def result(number: int, base: str, **changes) -> dict:
    """A search result with the fields that Openverse documents for an image."""
    return {
        "id": f"00000000-0000-0000-0000-{number:012}",
        "title": f"Bear {number}",
        "indexed_on": "2022-08-27T17:39:48Z",
        "foreign_landing_url": f"https://photos.example/{number}",
        "url": f"{base}/bear_{number}.jpg",
        "creator": "A. Keeper",
        "creator_url": "https://photos.example/keeper",
        "license": "by-sa",
        "license_version": "4.0",
        "license_url": "https://creativecommons.org/licenses/by-sa/4.0/",
        "provider": "flickr",
        "source": "flickr",
        "category": "photograph",
        "filesize": None,
        "filetype": "jpg",
        "tags": [{"name": "bear", "accuracy": None, "unstable__provider": "flickr"}],
        "attribution": f'"Bear {number}" by A. Keeper is licensed under CC BY-SA 4.0.',
        "fields_matched": ["title"],
        "mature": False,
        "height": 60,
        "width": 90,
        "thumbnail": f"{base}/v1/images/{number}/thumb/",
        "detail_url": f"{base}/v1/images/{number}/",
        "related_url": f"{base}/v1/images/{number}/related/",
        "unstable__sensitivity": [],
    } | changes


class Openverse(BaseHTTPRequestHandler):
    """Answers a search for bears in the documented form, and pictures; remembers what was asked."""

    def do_GET(self):
        address = urlsplit(self.path)
        self.server.asked.append(address)
        status, kind, body = self.server.answer(
            address, f"http://127.0.0.1:{self.server.server_port}"
        )
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.end_headers()
        self.wfile.write(body)

    def log_message(self, *args):
        pass


@contextmanager
def openverse(answer):
    server = ThreadingHTTPServer(("127.0.0.1", 0), Openverse)
    server.asked, server.answer = [], answer
    threading.Thread(target=server.serve_forever, daemon=True).start()
    try:
        yield server, f"http://127.0.0.1:{server.server_port}/v1/images/"
    finally:
        server.shutdown()
        server.server_close()


def found_bears(count):
    def answer(address, base):
        if not address.path.startswith("/v1/images"):
            return 200, "image/jpeg", module._encoded(picture(70), "JPEG")
        asked = parse_qs(address.query)
        page, size = int(asked["page"][0]), int(asked["page_size"][0])
        numbers = range((page - 1) * size, min(page * size, count))
        body = {
            "result_count": count,
            "page_count": -(-count // size),
            "page_size": size,
            "page": page,
            "results": [result(n, base) for n in numbers],
        }
        return 200, "application/json", json.dumps(body).encode()

    return answer


@pytest.fixture(autouse=True)
def no_pause(monkeypatch):
    monkeypatch.setattr(module, "PAUSE", 0)


def test_a_search_gives_addresses_with_their_licences_and_they_download():
    with openverse(found_bears(3)) as (server, api):
        found = search_images("grizzly bear", api=api)
        assert parse_qs(server.asked[0].query) == {
            "q": ["grizzly bear"], "page_size": ["20"], "page": ["1"]
        }  # fmt: skip
        assert found.licence.to_list() == ["CC BY-SA 4.0"] * 3
        assert found.page[0] == "https://photos.example/0"
        assert set(found.creator) == {"A. Keeper"}
        pictures = gather({"grizzly": found.address}, "searched")
    assert len(get_image_files(pictures.folder)) == 3


def test_a_search_turns_pages_and_stops_at_the_number_or_the_end():
    with openverse(found_bears(45)) as (server, api):
        assert len(search_images("bear", n=30, api=api)) == 30
        assert len(server.asked) == 2
        assert search_images("bear", n=500, api=api).address.is_unique
        assert len(server.asked) == 5


def test_public_domain_is_not_called_a_licence_of_creative_commons_by():
    def answer(address, base):
        changes = {"license": "cc0", "license_version": "1.0", "creator": None, "title": None}
        odd = [result(1, base, **changes), result(2, base, url=None)]
        return 200, "application/json", json.dumps({"page_count": 1, "results": odd}).encode()

    with openverse(answer) as (_, api):
        found = search_images("bear", api=api)
    assert found.licence.to_list() == ["CC0 1.0"] and found.creator.to_list() == [""]


@pytest.mark.parametrize(
    ("answer", "says"),
    [
        (lambda *_: (429, "application/json", b'{"detail": "Request was throttled."}'), "pause"),
        (lambda *_: (503, "text/plain", b"busy"), "answered 503"),
        (lambda *_: (200, "text/html", b"<html>Please log in</html>"), "log-in page"),
        (lambda *_: (200, "application/json", b'{"detail": "moved"}'), "no search result"),
        (lambda *_: (200, "application/json", b"[1, 2]"), "no search result"),
        (found_bears(0), "found nothing for 'bear'"),
    ],
)
def test_a_search_that_fails_is_one_sentence(answer, says):
    with openverse(answer) as (_, api), pytest.raises(GatherError, match=says):
        search_images("bear", api=api)


def test_a_search_without_a_network_says_so():
    with openverse(found_bears(1)) as (_, api):
        pass
    with pytest.raises(GatherError, match=r"There is no network, or 127\.0\.0\.1:") as caught:
        search_images("bear", api=api)
    assert "any list of addresses" in str(caught.value)


def test_an_empty_search_term_asks_nothing():
    with openverse(found_bears(1)) as (server, api), pytest.raises(GatherError, match="empty"):
        search_images("  ", api=api)
    assert server.asked == []
