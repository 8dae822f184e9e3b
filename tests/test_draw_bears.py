"""The bear sets: drawn again they are the same pictures, and their list of defects is true."""

import csv
import hashlib
import sys
from collections import Counter
from itertools import islice
from pathlib import Path

import imagehash
import pytest
from PIL import Image

DATA = Path(__file__).parent.parent / "data"
sys.path.insert(0, str(DATA))

import draw_bears  # noqa: E402

from tests.test_draw import SAME, unlike  # noqa: E402
from utils.images import check_images  # noqa: E402

BEARS, EXAM, CONDITIONS = (DATA / f"bears{part}" for part in ("", "_exam", "_conditions"))


def table(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


@pytest.fixture(scope="module")
def defects():
    return {row["file"]: row for row in table(BEARS / "defects.csv")}


def of_kind(defects, kind):
    return {file: row["truth"] for file, row in defects.items() if row["defect"] == kind}


def files(folder):
    return {p.relative_to(folder).as_posix(): p for p in folder.glob("**/*.jpg")}


def digest(data):
    return hashlib.sha256(data).hexdigest()


def test_the_sets_are_as_promised():
    for label in draw_bears.CLASSES:
        assert len(files(BEARS / label)) >= 100
        assert len(files(EXAM / label)) == draw_bears.EXAM
    counts = {folder.name: len(files(folder)) for folder in CONDITIONS.iterdir()}
    assert set(counts) == {*draw_bears.CONDITIONS, "polar", "no_bear"}
    assert min(counts.values()) >= 20
    size = sum(p.stat().st_size for f in (BEARS, EXAM, CONDITIONS) for p in f.rglob("*.*"))
    assert size <= 5e6


def test_six_to_eight_per_cent_of_the_labels_are_wrong(defects):
    wrong = of_kind(defects, "wrong_label")
    assert 0.06 <= len(wrong) / len(files(BEARS)) <= 0.08
    for file, truth in wrong.items():
        assert truth in draw_bears.CLASSES and truth != file.split("/")[0]


def test_exam_and_conditions_drawn_again_are_those_that_are_stored():
    for name, picture in islice(draw_bears.other_pictures(), 3, 520, 260):
        drawn = draw_bears.draw_bear(picture, 0)[1]
        assert unlike(drawn, (DATA / name).read_bytes()) < SAME, name


def test_each_label_that_is_not_listed_is_right(defects):
    """What is drawn, by its pixels, against the folder it lies in."""
    stored = {name: path.read_bytes() for name, path in files(BEARS).items()}
    for name in of_kind(defects, "not_an_image"):
        del stored[name]
    kinds = set()
    # two right ones, and two of a wrong kind: a teddy and a cat among the grizzlies
    for number in (5, 245, 362, 366):
        folder, picture = next(islice(draw_bears.gathered_pictures(), number, None))
        drawn = draw_bears.draw_bear(picture, 0)[1]
        met = [name for name, data in stored.items() if unlike(drawn, data) < SAME]
        assert met, picture
        for name in met:
            defect = defects.get(name, {"defect": ""})["defect"]
            assert name.split("/")[0] == folder
            assert (picture.truth == folder) == (defect in ("", "giveaway", "duplicate")), name
            kinds.add(defect)
    assert {"", "wrong_label", "no_bear"} <= kinds


def test_copies_are_copies_and_nothing_else_is(defects):
    paths = files(BEARS)
    exact, near = of_kind(defects, "duplicate"), of_kind(defects, "near_duplicate")
    for file, original in exact.items():
        assert paths[file].read_bytes() == paths[original].read_bytes()
    for file, original in near.items():
        assert paths[file].read_bytes() != paths[original].read_bytes()
        with Image.open(paths[file]) as a, Image.open(paths[original]) as b:
            assert imagehash.phash(a) - imagehash.phash(b) <= 16
    times = Counter(digest(path.read_bytes()) for path in paths.values())
    assert sum(n - 1 for n in times.values()) == len(exact) >= 5
    assert len(near) >= 5


def test_two_files_are_no_pictures(defects):
    broken = of_kind(defects, "not_an_image")
    report = check_images(BEARS)
    unusable = set(report.files) - set(report.usable)
    assert {p.relative_to(BEARS).as_posix() for p in unusable} == set(broken)
    assert len(broken) == 2


def test_the_exam_and_the_conditions_are_without_fault():
    for folder in (EXAM, CONDITIONS):
        pictures = files(folder)
        report = check_images(folder)
        assert report.usable == report.files
        assert len({digest(p.read_bytes()) for p in pictures.values()}) == len(pictures)
    rows = table(EXAM / "scenes.csv")
    assert {row["file"] for row in rows} == set(files(EXAM))
    own = {"grizzly": {"grizzly"}, "black": {"black", "cinnamon"}, "teddy": {"teddy"}}
    for row in rows:
        assert row["kind"] in own[row["file"].split("/")[0]]


def test_no_exam_picture_is_among_the_gathered():
    known = {digest(path.read_bytes()) for path in files(BEARS).values()}
    assert not known & {digest(path.read_bytes()) for path in files(EXAM).values()}


def test_one_class_has_a_giveaway(defects):
    marked = of_kind(defects, "giveaway")
    assert {file.split("/")[0] for file in marked} == {"black"}
    assert len(marked) > 0.4 * len(files(BEARS / "black"))
