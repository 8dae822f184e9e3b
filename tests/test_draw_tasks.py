"""The sets of chapter 07: drawn again they are the same, laid out as promised, and true."""

import csv
import io
import sys
from collections import Counter
from itertools import pairwise
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

DATA = Path(__file__).parent.parent / "data"
sys.path.insert(0, str(DATA))

import draw_tasks  # noqa: E402

from tests.test_draw import SAME, unlike  # noqa: E402
from utils.images import check_images  # noqa: E402

CAMVID, NOSES, PLANET, ML = (DATA / name for name in ("camvid", "noses", "planet", "ml"))
SEED = 0


def table(path):
    with path.open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


def mask(number):
    with Image.open(CAMVID / "labels" / f"scene_{number:03}_P.png") as image:
        return np.asarray(image)


# --- drawn again


def test_a_scene_drawn_again_has_the_same_pixels_and_mask():
    for name, data in draw_tasks.draw_scene(7, SEED).items():
        stored = (CAMVID / name).read_bytes()
        assert unlike(data, stored) < SAME, name
        if name.startswith("labels"):
            with Image.open(io.BytesIO(data)) as drawn:
                assert (np.asarray(drawn) == mask(7)).mean() > 0.99


def test_a_nose_drawn_again_has_the_same_pixels_and_place():
    data, place = draw_tasks.draw_nose(11, SEED)
    assert unlike(data, (NOSES / "images" / "bear_011.jpg").read_bytes()) < SAME
    row = next(r for r in table(NOSES / "noses.csv") if r["file"] == "bear_011.jpg")
    assert (float(row["x"]), float(row["y"])) == pytest.approx(place, abs=0.15)


def test_a_labelled_picture_drawn_again_has_the_same_pixels_and_tags():
    rows = {row["image_name"]: row["tags"].split() for row in table(PLANET / "labels.csv")}
    for number in (2, 18):  # with labels, and without
        data, tags = draw_tasks.draw_labelled(number, SEED)
        assert unlike(data, (PLANET / "train" / f"train_{number:03}.jpg").read_bytes()) < SAME
        assert rows[f"train_{number:03}"] == tags


def test_ratings_made_again_are_the_same():
    ratings, truth = draw_tasks.make_ratings(SEED)
    for rows, name in ((ratings, "ratings.csv"), (truth, "tastes.csv")):
        stored = [tuple(row.values()) for row in table(ML / name)]
        assert stored == [tuple(str(value) for value in row) for row in rows]


def test_another_seed_makes_others():
    assert draw_tasks.make_ratings(1) != draw_tasks.make_ratings(SEED)


# --- as promised


def test_together_they_are_small():
    folders = [CAMVID, NOSES, PLANET, ML, DATA / "penguins"]
    assert sum(p.stat().st_size for f in folders for p in f.rglob("*.*")) <= 3e6


def test_each_scene_has_a_mask_of_its_size_with_known_classes():
    codes = (CAMVID / "codes.txt").read_text().split()
    assert codes == sorted(codes) and draw_tasks.VOID in codes
    pictures = sorted((CAMVID / "images").iterdir())
    assert len(pictures) == len(list((CAMVID / "labels").iterdir())) == 100
    met = Counter()
    for number, path in enumerate(pictures, start=1):
        with Image.open(path) as image:
            assert image.size == mask(number).shape[::-1] == draw_tasks.SCENE_SIZE
        met.update(np.unique(mask(number)).tolist())
    assert set(met) == set(range(len(codes))) and min(met.values()) >= 10


def test_a_mask_names_what_was_drawn():
    """Each animal's own pixels, by the engine, against the mask; only its outline is void."""
    codes = (CAMVID / "codes.txt").read_text().split()
    scene, drawn = draw_tasks.scene_with_mask(3, SEED)
    stored = mask(3)
    for i, animal in enumerate(scene.animals, start=1):
        here = stored[drawn.objects == i]
        kind = codes.index(draw_tasks.BREEDS[animal.breed].species.capitalize())
        assert (here == kind).mean() > 0.6
        assert set(here.tolist()) <= {kind, codes.index("Void")}
    inside = (drawn.objects[:, :-1] == drawn.objects[:, 1:])[:-1]
    inside &= (drawn.objects[:-1] == drawn.objects[1:])[:, :-1]
    free = drawn.parts != drawn.names.index("occluder")
    assert not (stored[:-1, :-1][inside & free[:-1, :-1]] == codes.index("Void")).any()


def test_every_nose_lies_in_its_picture_and_they_are_spread_out():
    rows = table(NOSES / "noses.csv")
    assert [row["file"] for row in rows] == sorted(p.name for p in (NOSES / "images").iterdir())
    places = []
    for row in rows:
        with Image.open(NOSES / "images" / row["file"]) as image:
            place = np.array([float(row["x"]), float(row["y"])]) / image.size
        assert (place > 0).all() and (place < 1).all()
        places.append(place)
    assert np.std(places, axis=0).min() > 0.1


def test_at_the_nose_it_is_darker_than_around_it():
    darker = 0
    rows = table(NOSES / "noses.csv")
    for row in rows:
        with Image.open(NOSES / "images" / row["file"]) as image:
            grey = np.asarray(image.convert("L"), float)
        x, y = round(float(row["x"])), round(float(row["y"]))
        around = grey[max(y - 10, 0) : y + 11, max(x - 10, 0) : x + 11].mean()
        darker += grey[max(y - 1, 0) : y + 2, max(x - 1, 0) : x + 2].mean() < around
    assert darker > 0.85 * len(rows)


def test_labels_are_several_one_or_none():
    rows = table(PLANET / "labels.csv")
    assert {p.stem for p in (PLANET / "train").iterdir()} == {r["image_name"] for r in rows}
    counts = Counter(len(row["tags"].split()) for row in rows)
    assert counts[0] >= 20 and counts[1] >= 60 and counts[2] + counts[3] >= 60
    tags = Counter(tag for row in rows for tag in row["tags"].split())
    assert set(tags) == {*draw_tasks.SPECIES, *draw_tasks.THINGS} and min(tags.values()) >= 40


def test_every_picture_can_be_used():
    for folder in (CAMVID, NOSES, PLANET):
        report = check_images(folder)
        assert report.files and report.usable == report.files


def test_ratings_follow_the_tastes_they_were_made_from():
    tastes = {(row["kind"], int(row["id"])): row for row in table(ML / "tastes.csv")}
    true, stars = [], []
    for row in table(ML / "ratings.csv"):
        person, film = tastes["user", int(row["userId"])], tastes["film", int(row["movieId"])]
        match = sum(float(person[t]) * float(film[t]) for t in draw_tasks.TASTES)
        true.append(3.3 + float(person["bias"]) + float(film["bias"]) + match)
        stars.append(float(row["rating"]))
    assert set(stars) == {n / 2 for n in range(1, 11)}
    off = np.sqrt(np.mean((np.clip(true, 0.5, 5) - stars) ** 2))
    assert abs(off - draw_tasks.NOISE) < 0.05
    keys = [(row["userId"], row["movieId"]) for row in table(ML / "ratings.csv")]
    assert len(set(keys)) == len(keys) == draw_tasks.RATINGS
    times = [int(row["timestamp"]) for row in table(ML / "ratings.csv")]
    assert all(a <= b for a, b in pairwise(times))


def test_the_penguins_are_all_there():
    rows = table(DATA / "penguins" / "penguins.csv")
    counts = Counter(row["species"] for row in rows)
    assert counts == {"Adelie": 152, "Gentoo": 124, "Chinstrap": 68}
    assert sum(row["sex"] == "NA" for row in rows) == 11
