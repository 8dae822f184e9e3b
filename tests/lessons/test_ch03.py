"""Chapter 03: cleaning by hand in a folder, and what the score says of it."""

import shutil

import pandas as pd
import pytest
from fastai.torch_core import set_seed

from utils.bears import bear_learner
from utils.data import dataset
from utils.lessons.ch03 import HalfWay, fates, hits, score

SET = {
    "grizzly": ["g1", "g2", "g3", "g3_copy", "is_black", "is_teddy", "no_bear"],
    "black": ["b1", "b2", "b2_near", "broken", "wall"],
    "teddy": ["t1"],
}
KNOWN = pd.DataFrame(
    [
        ("grizzly/is_black.jpg", "wrong_label", "black"),
        ("grizzly/is_teddy.jpg", "wrong_label", "teddy"),
        ("grizzly/no_bear.jpg", "no_bear", ""),
        ("grizzly/g3_copy.jpg", "duplicate", "grizzly/g3.jpg"),
        ("black/b2_near.jpg", "near_duplicate", "black/b2.jpg"),
        ("black/broken.jpg", "not_an_image", ""),
        ("black/wall.jpg", "giveaway", ""),
    ],
    columns=["file", "defect", "truth"],
)


class Folder:
    """A set on the disk, and a copy of it to clean."""

    def __init__(self, root):
        self.before, self.after = root / "before", root / "after"
        for label, names in SET.items():
            for name in names:
                file = self.before / label / f"{name}.jpg"
                file.parent.mkdir(parents=True, exist_ok=True)
                file.write_bytes(name.encode())
        shutil.copytree(self.before, self.after)

    def relabel(self, file, label):
        path = self.after / file
        path.rename(self.after / label / path.name)

    def discard(self, *files):
        for file in files:
            (self.after / file).unlink()

    def score(self):
        return score(fates(self.before, self.after), KNOWN)


@pytest.fixture
def folder(tmp_path):
    return Folder(tmp_path)


def found(result):
    return result.kinds["found"].to_dict()


def test_an_untouched_set_has_found_nothing_and_a_perfect_cleaning_all(folder):
    result = folder.score()
    kinds = {"wrong_label": 2, "no_bear": 1, "duplicate": 1, "near_duplicate": 1, "not_an_image": 1}
    assert result.kinds["known"].to_dict() == result.kinds["missed"].to_dict() == kinds
    assert not any(found(result).values())
    folder.relabel("grizzly/is_black.jpg", "black")
    folder.relabel("grizzly/is_teddy.jpg", "teddy")
    folder.discard(
        "grizzly/no_bear.jpg", "grizzly/g3_copy.jpg", "black/b2_near.jpg", "black/broken.jpg"
    )
    cleaned = folder.score()
    assert found(cleaned) == kinds
    for spoiled in (result, cleaned):
        assert spoiled.thrown_out == spoiled.mislabelled == []


def test_a_wrong_label_is_mended_by_the_right_one_or_by_a_discard_only(folder):
    folder.relabel("grizzly/is_black.jpg", "teddy")
    folder.discard("grizzly/is_teddy.jpg")
    folder.relabel("grizzly/no_bear.jpg", "teddy")
    result = folder.score()
    assert (found(result)["wrong_label"], found(result)["no_bear"]) == (1, 0)
    assert result.mislabelled == []  # they were wrong before: no good picture was spoiled


def test_either_of_two_copies_may_go_but_not_both(folder):
    folder.discard("grizzly/g3.jpg")
    result = folder.score()
    assert found(result)["duplicate"] == 1 and result.thrown_out == []
    folder.discard("grizzly/g3_copy.jpg")
    result = folder.score()
    assert found(result)["duplicate"] == 1 and result.thrown_out == ["grizzly/g3.jpg"]


def test_good_pictures_that_went_or_changed_class_are_named(folder):
    folder.discard("teddy/t1.jpg", "black/wall.jpg")  # a giveaway background is no reason to go
    folder.relabel("grizzly/g1.jpg", "black")
    folder.relabel("black/b2_near.jpg", "grizzly")
    result = folder.score()
    assert sorted(result.thrown_out) == ["black/wall.jpg", "teddy/t1.jpg"]
    assert result.mislabelled == ["black/b2_near.jpg", "grizzly/g1.jpg"]
    assert not any(found(result).values())


def test_a_picture_is_followed_by_its_content_whatever_it_is_called(folder):
    clash = folder.before / "black" / "t1.jpg"
    clash.write_bytes(b"another")
    (folder.after / "grizzly" / "moved.jpg").write_bytes(b"another")
    fate = fates(folder.before, folder.after)
    assert (fate["black/t1.jpg"], fate["teddy/t1.jpg"]) == ("grizzly", "teddy")


def test_of_two_equal_files_the_one_that_stayed_is_not_taken_for_the_one_that_moved(folder):
    for root, label in ((folder.before, "black"), (folder.after, "grizzly")):
        (root / label / "same.jpg").write_bytes(b"t1")
    fate = fates(folder.before, folder.after)
    assert (fate["black/same.jpg"], fate["teddy/t1.jpg"]) == ("grizzly", "teddy")


def test_hits_counts_the_first_of_a_ranking():
    ranking = ["grizzly/is_black.jpg", "black/b1.jpg", "grizzly/no_bear.jpg", "black/broken.jpg"]
    assert [hits(ranking, KNOWN, first) for first in (1, 2, 3, 4, 100)] == [1, 1, 2, 2, 2]


def test_training_from_half_way_is_the_same_training(tmp_path, own_folders):
    """But for rounding, what `fine_tune` makes of whole pictures: the kept model is the same."""
    for label in ("black", "teddy"):
        for number, file in enumerate(sorted((dataset("bears", "sample") / label).iterdir())[:11]):
            part = tmp_path / "set" / ("train" if number < 9 else "valid") / label
            part.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, part / file.name)
    whole, halves = (bear_learner(tmp_path / "set") for _ in range(2))
    half_way = HalfWay(halves)
    for learn in (whole, half_way.rest()):
        set_seed(1, reproducible=True)
        learn.fine_tune(2, 5e-3)
    pairs = zip(whole.model.parameters(), halves.model.parameters(), strict=True)
    assert max(float((a - b).abs().max()) for a, b in pairs) < 1e-3
