"""A set arranged to train on and to judge by, and the learner's own copy of it."""

import shutil
from collections import Counter
from pathlib import Path

import pytest
from fastai.data.transforms import RandomSplitter
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from utils.data import DataError, dataset
from utils.splits import (
    conditions,
    fair_split,
    fitting_batch,
    held_out,
    known_defects,
    my_copy,
    read_folders,
    train_valid,
    worries,
)


@pytest.fixture(autouse=True)
def folders(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_HOME", str(tmp_path / "home"))
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path / "cache"))


def make_own(folder, classes=("grizzly", "black"), count=10):
    for label in classes:
        for i in range(count):
            path = folder / "bears" / label / f"{i}.jpg"
            path.parent.mkdir(parents=True, exist_ok=True)
            Image.new("RGB", (8, 8), (i, 0, 0)).save(path)
    return folder


def names(folder):
    return sorted(p.relative_to(folder).as_posix() for p in folder.rglob("*") if p.is_file())


def own_set(folder, monkeypatch, **options):
    monkeypatch.setenv("COURSE_DATA", str(make_own(folder, **options)))
    return folder / "bears"


def test_the_sample_is_judged_by_its_exam_and_my_copy_stays_as_the_learner_leaves_it():
    path = train_valid("bears")
    gathered = [n for n in names(dataset("bears")) if n.endswith(".jpg")]
    assert names(path / "train") == gathered
    assert names(path / "valid") == [n for n in names(dataset("bears_exam")) if n.endswith(".jpg")]
    first = path / "train" / gathered[0]
    assert first.read_bytes() == (dataset("bears") / gathered[0]).read_bytes()
    mine = my_copy("bears")
    (mine / "train" / gathered[0]).unlink()
    assert names(my_copy("bears") / "train") == gathered[1:]
    assert names(train_valid("bears") / "train") == gathered


def test_own_folder_is_split_the_same_way_every_time_and_followed(tmp_path, monkeypatch):
    own = own_set(tmp_path / "photos", monkeypatch)
    first = names(train_valid("bears"))
    shutil.rmtree(tmp_path / "cache")
    assert names(train_valid("bears")) == first
    assert len(first) == 20
    assert sum(n.startswith("valid/") for n in first) == 4
    Image.new("RGB", (8, 8)).save(own / "grizzly" / "new.jpg")
    (own / "black" / "0.jpg").unlink()
    found = {n.partition("/")[2] for n in names(train_valid("bears"))}
    assert "grizzly/new.jpg" in found and "black/0.jpg" not in found


def test_own_exam_is_used(tmp_path, monkeypatch):
    exam = own_set(tmp_path / "photos", monkeypatch).with_name("bears_exam")
    (exam / "black").mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(exam / "black" / "x.png")
    assert names(train_valid("bears") / "valid") == ["black/x.png"]
    (exam / "black").rename(exam / "polar")
    with pytest.raises(DataError, match="be judged by polar"):
        train_valid("bears")


def test_pictures_in_deeper_folders_keep_their_class_and_do_not_collide(tmp_path, monkeypatch):
    own = own_set(tmp_path / "photos", monkeypatch)
    for sub in ("a", "b"):
        (own / "black" / sub).mkdir()
        Image.new("RGB", (8, 8)).save(own / "black" / sub / "same.jpg")
    found = {n.partition("/")[2] for n in names(train_valid("bears"))}
    assert {"black/a_same.jpg", "black/b_same.jpg"} <= found


def test_two_folders_of_one_name_are_told_apart(tmp_path, monkeypatch):
    own_set(tmp_path / "one" / "photos", monkeypatch)
    mine = my_copy("bears")
    own_set(tmp_path / "two" / "photos", monkeypatch, count=3)
    assert my_copy("bears") != mine
    assert len(names(my_copy("bears"))) == 6


def test_what_is_known_of_the_sample_only(tmp_path, monkeypatch, capsys):
    assert all((dataset("bears") / file).is_file() for file in known_defects("bears").file)
    own_set(tmp_path / "photos", monkeypatch)
    assert known_defects("bears") is None
    assert (conditions() / "night" / "black").is_dir()
    assert "Your folder has no bears_conditions" in capsys.readouterr().out
    monkeypatch.setenv("COURSE_DATA", str(tmp_path))
    with pytest.raises(DataError, match="Looked for bears in"):
        train_valid("bears")


# --- how folders are meant


TREES = {
    "classes": (["a/1", "b/2"], ["/a", "/b"], []),
    "a deeper folder": (["a/x/1", "a/2", "b/3"], ["/a/x", "/a", "/b"], []),
    "a split": (["train/a/1", "valid/a/2"], ["train/a", "valid/a"], []),
    "other names": (["Train/a/1", "VAL/a/2", "test/a/3"], ["train/a", "valid/a", "test/a"], []),
    "below the classes": (["a/train/1", "a/test/2"], ["train/a", "test/a"], []),
    "one around": (["x/a/1", "x/b/2"], ["/a", "/b"], ["x"]),
    "two around": (["x/y/a/1", "x/y/b/2"], ["/a", "/b"], ["x", "y"]),
    "three around": (["x/y/z/a/1", "x/y/z/b/2"], ["/z/a", "/z/b"], ["x", "y"]),
    "around a split": (["x/train/a/1", "x/valid/a/2"], ["train/a", "valid/a"], ["x"]),
    "within a split": (["train/x/a/1", "val/y/a/2"], ["train/a", "valid/a"], ["x", "y"]),
    "as Kaggle does": (
        ["training_set/training_set/a/1", "test_set/test_set/a/2"],
        ["train/a", "test/a"],
        ["test_set", "training_set"],
    ),
    "only train": (["train/a/1", "train/b/2"], ["/a", "/b"], ["train"]),
    "photos of trains": (["train/1", "car/2"], ["/train", "/car"], []),
    "one beside": (["1", "x/a/2", "x/b/3"], ["/", "/a", "/b"], ["x"]),
    "one beside them": (["x/1", "x/a/2", "x/b/3"], ["/", "/a", "/b"], ["x"]),
    "one class with a folder": (["a/1", "a/x/2"], ["/a", "/a/x"], []),
    "one class": (["a/1", "a/2"], ["/a", "/a"], []),
}


@pytest.mark.parametrize(("files", "meant", "through"), TREES.values(), ids=TREES)
def test_how_folders_are_meant(files, meant, through):
    root = Path("photos")
    places, said = read_folders(root, [root / f"{file}.jpg" for file in files])
    assert [f"{p.split}/{'/'.join(p.folders)}" for p in places.values()] == meant
    assert said == ([f"Looked for the labels inside {' and '.join(through)}."] if through else [])


@given(st.lists(st.integers(1, 12), min_size=2, max_size=12))
def test_a_fifth_of_each_label_is_held_out_and_every_label_can_be_learned(counts):
    labels = {Path(f"{n}_{i}.jpg"): str(n) for n, count in enumerate(counts) for i in range(count)}
    judged = held_out(labels)
    assert judged == held_out(dict(reversed(labels.items())))
    found = Counter(labels[file] for file in judged)
    for label, count in enumerate(counts):
        assert found[str(label)] == (max(1, round(count / 5)) if count > 1 else 0)


@pytest.mark.parametrize(
    ("learned", "judged", "says"),
    [
        ({"a": 40, "b": 40}, {"a": 10, "b": 10}, []),
        ({"a": 8, "b": 25}, {"a": 1, "b": 19}, ["fewer than 10 pictures of a:"]),
        ({"a": 9, "b": 60}, {"a": 2, "b": 18}, ["78 pictures of b and 11 of a"]),
        (dict.fromkeys(["Dog", "dog", "cat"], 40), dict.fromkeys(["Dog", "dog", "cat"], 9),
         ["the labels Dog, dog differ in capitals only"]),
        ({"a": 20, "b": 20}, {"a": 4},
         ["no picture of b to judge by", "with 4 to judge by, a single picture moves"]),
    ],
)  # fmt: skip
def test_worries(learned, judged, says):
    found = worries(learned, judged)
    assert len(found) == len(says)
    assert all(part in sentence for part, sentence in zip(says, found, strict=True))


@pytest.mark.parametrize(
    ("learned", "judged", "says"),
    [
        ({"a": 5, "b": 5}, {"b": 1, "c": 1}, "learn from a, b and be judged by c: add pictures"),
        ({"a": 5}, {"a": 1}, "learns from pictures of two kinds at least"),
        ({}, {}, "learn from none and be judged by none"),
        ({"a": 1, "b": 1}, {}, "judged by none: add pictures, two of each kind"),
    ],
)
def test_what_cannot_be_learned_is_named(learned, judged, says):
    with pytest.raises(DataError, match=says):
        worries(learned, judged)


@pytest.mark.parametrize(("wanted", "n", "fits"), [(16, 400, 16), (16, 16, 16), (16, 3, 3)])
def test_a_batch_is_never_larger_than_the_set(wanted, n, fits):
    assert fitting_batch(wanted, n) == fits


@pytest.mark.parametrize("counts", [(200, 200), (2, 2), (5, 5), (4, 4), (3, 1, 4), (2,) * 6])
def test_a_split_that_is_drawn_has_every_label_in_both_parts(counts):
    labels = [str(n) for n, count in enumerate(counts) for _ in range(count)]
    settings = fair_split(labels)
    learned, judged = ({labels[n] for n in part} for part in RandomSplitter(**settings)(labels))
    assert learned == set(labels)
    assert judged == {str(n) for n, count in enumerate(counts) if count > 1}
    assert settings == {"valid_pct": 0.2, "seed": 42} or sum(counts) < 400


def test_nothing_can_be_set_aside_of_one_picture_each():
    with pytest.raises(DataError, match="add pictures, two of each kind at least"):
        fair_split(["a", "b"])


@pytest.mark.parametrize(
    ("valid", "around"), [("valid", ""), ("val", "photos/"), ("test", "a/b/")], ids=str
)
def test_own_split_is_used(tmp_path, monkeypatch, capsys, valid, around):
    own = own_set(tmp_path / "mine", monkeypatch)
    for label in ("grizzly", "black"):
        for part, numbers in ((valid, (3, 7)), ("train", (0, 1, 2, 4))):
            (own / around / part / label).mkdir(parents=True)
            for n in numbers:
                (own / label / f"{n}.jpg").rename(own / around / part / label / f"{n}.jpg")
        shutil.rmtree(own / label)
    path = train_valid("bears")
    said = capsys.readouterr().out.splitlines()
    assert names(path / "valid") == [f"{c}/{n}.jpg" for c in ("black", "grizzly") for n in (3, 7)]
    assert len(names(my_copy("bears") / "train")) == 8
    judge = "test" if valid == "test" else "valid"
    assert f"Your own split is used: train to learn from, {judge} to judge by." in said
    assert ("Looked for the labels inside" in said[0]) == bool(around)


@pytest.mark.parametrize("count", [2, 4])
def test_few_pictures_are_in_both_parts_and_that_is_said(tmp_path, monkeypatch, capsys, count):
    own_set(tmp_path / "photos", monkeypatch, count=count)
    path = train_valid("bears")
    for part in ("train", "valid"):
        assert {Path(name).parent.name for name in names(path / part)} == {"black", "grizzly"}
    said = capsys.readouterr().out
    assert "a single picture moves the error rate by 50%" in said
    assert "fewer than 10 pictures of black, grizzly" in said


def test_a_single_or_damaged_picture_never_ends_up_in_valid_alone(tmp_path, monkeypatch, capsys):
    own = own_set(tmp_path / "photos", monkeypatch, count=4)
    make_own(tmp_path / "photos", ("teddy",), 1)
    make_own(tmp_path / "photos", ("polar",), 2)
    (own / "polar" / "0.jpg").write_bytes(b"")
    found = names(train_valid("bears"))
    assert {"train/teddy/0.jpg", "train/polar/0.jpg", "train/polar/1.jpg"} <= set(found)
    assert "there is no picture of polar, teddy to judge by" in capsys.readouterr().out
