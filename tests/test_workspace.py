"""A set arranged to train on and to judge by, and the learner's own copy of it."""

import shutil

import pytest
from PIL import Image

from utils.datasets import DataError, dataset
from utils.workspace import conditions, known_defects, my_copy, train_valid


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


def test_sample_is_judged_by_its_exam():
    path = train_valid("bears")
    exam = [n for n in names(dataset("bears_exam")) if n.endswith(".jpg")]
    gathered = [n for n in names(dataset("bears")) if n.endswith(".jpg")]
    assert names(path / "valid") == exam
    assert names(path / "train") == gathered
    assert (path / "train" / gathered[0]).read_bytes() == (
        dataset("bears") / gathered[0]
    ).read_bytes()


def test_own_folder_is_split_the_same_way_every_time(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_DATA", str(make_own(tmp_path / "photos")))
    first = names(train_valid("bears"))
    shutil.rmtree(tmp_path / "cache")
    assert names(train_valid("bears")) == first
    assert len(first) == 20
    assert sum(n.startswith("valid/") for n in first) == 4


def test_own_exam_is_used(tmp_path, monkeypatch):
    own = make_own(tmp_path / "photos")
    (own / "bears_exam" / "black").mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(own / "bears_exam" / "black" / "x.png")
    monkeypatch.setenv("COURSE_DATA", str(own))
    assert names(train_valid("bears") / "valid") == ["black/x.png"]


def test_follows_the_set(tmp_path, monkeypatch):
    own = make_own(tmp_path / "photos")
    monkeypatch.setenv("COURSE_DATA", str(own))
    train_valid("bears")
    Image.new("RGB", (8, 8)).save(own / "bears" / "grizzly" / "new.jpg")
    (own / "bears" / "black" / "0.jpg").unlink()
    found = {n.partition("/")[2] for n in names(train_valid("bears"))}
    assert "grizzly/new.jpg" in found and "black/0.jpg" not in found


def test_pictures_in_deeper_folders_keep_their_class_and_do_not_collide(tmp_path, monkeypatch):
    own = make_own(tmp_path / "photos")
    for sub in ("a", "b"):
        (own / "bears" / "black" / sub).mkdir()
        Image.new("RGB", (8, 8)).save(own / "bears" / "black" / sub / "same.jpg")
    monkeypatch.setenv("COURSE_DATA", str(own))
    found = {n.partition("/")[2] for n in names(train_valid("bears"))}
    assert {"black/a_same.jpg", "black/b_same.jpg"} <= found


def test_two_folders_of_one_name_are_told_apart(tmp_path, monkeypatch):
    one = make_own(tmp_path / "one" / "photos")
    two = make_own(tmp_path / "two" / "photos", count=3)
    monkeypatch.setenv("COURSE_DATA", str(one))
    mine = my_copy("bears")
    monkeypatch.setenv("COURSE_DATA", str(two))
    assert my_copy("bears") != mine
    assert len(names(my_copy("bears"))) == 6


def test_my_copy_stays_as_the_learner_leaves_it():
    mine = my_copy("bears")
    gone = next(f for f in (mine / "train").rglob("*.jpg"))
    gone.unlink()
    assert not (my_copy("bears") / gone.relative_to(mine)).exists()
    assert (train_valid("bears") / gone.relative_to(mine)).exists()


def test_defects_are_known_of_the_sample_only(tmp_path, monkeypatch):
    defects = known_defects("bears")
    root = dataset("bears")
    assert all((root / file).is_file() for file in defects.file)
    monkeypatch.setenv("COURSE_DATA", str(make_own(tmp_path / "photos")))
    assert known_defects("bears") is None


def test_conditions_of_an_own_folder(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("COURSE_DATA", str(make_own(tmp_path / "photos")))
    assert (conditions() / "night" / "black").is_dir()
    assert "Your folder has no bears_conditions" in capsys.readouterr().out


def test_a_set_that_is_not_there(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_DATA", str(tmp_path))
    with pytest.raises(DataError, match="Looked for bears in"):
        train_valid("bears")
