"""The bear model is trained once for all who need it, and again when anything is different."""

import shutil

import pytest
import torch
from fastai.learner import Learner
from PIL import Image

from utils.bears import SEED, bear_learner, keep_bears, train_bears
from utils.data import dataset
from utils.images import usable_images
from utils.recipe import recipe

USED = "trained earlier"


@pytest.fixture
def bears(tmp_path, own_folders):
    """Nine pictures of each of two kinds to learn from, and two to judge by."""
    for label in ("black", "teddy"):
        files = sorted((dataset("bears", "sample") / label).glob("*.jpg"))[:11]
        for number, file in enumerate(files):
            target = tmp_path / "set" / ("train" if number < 9 else "valid") / label / file.name
            target.parent.mkdir(parents=True, exist_ok=True)
            shutil.copyfile(file, target)
    return tmp_path / "set"


def same(one, other):
    pairs = zip(one.model.parameters(), other.model.parameters(), strict=True)
    return all(torch.allclose(a, b, atol=1e-6) for a, b in pairs)


def trained(folder, capsys, **options):
    """The learner, and whether it had to be trained."""
    capsys.readouterr()
    learn = train_bears(folder, **options)
    return learn, USED not in capsys.readouterr().out


def test_what_chapter_03_trains_on_its_page_is_what_train_bears_gives(bears, capsys):
    """Kept by one, taken by the other; and without the first, the second trains the same."""
    page = bear_learner(bears)
    how = recipe(usable_images(bears), quiet=True)
    page.fine_tune(how.epochs, how.lr)
    keep_bears(page)
    taken, new = trained(bears, capsys)
    assert not new and same(taken, page) and not same(taken, bear_learner(bears))
    shutil.rmtree(bears.parent / "course_cache" / "bears")
    again, new = trained(bears, capsys)
    chance = torch.rand(1)
    assert new and same(again, page)
    trained(bears, capsys)
    assert torch.rand(1) == chance  # what follows does not depend on who trained


@pytest.fixture
def quick(monkeypatch):
    """Training that takes no time, where only whether there is one matters."""
    monkeypatch.setattr(Learner, "fine_tune", lambda self, epochs, lr: None)


def test_another_picture_label_seed_or_setting_is_another_model(bears, quick, capsys, monkeypatch):
    assert trained(bears, capsys)[1]
    assert trained(bears, capsys, seed=SEED + 1)[1]
    file = next((bears / "train" / "teddy").iterdir())
    with Image.open(file) as picture:
        turned = picture.rotate(180)
    turned.save(file)
    assert trained(bears, capsys)[1]
    file.rename(bears / "train" / "black" / file.name)
    assert trained(bears, capsys)[1]
    moved = bears.rename(bears.with_name("moved"))  # the same pictures, wherever they lie
    assert not trained(moved, capsys)[1]
    monkeypatch.setenv("COURSE_SEED_SHIFT", "1")
    assert trained(moved, capsys)[1]
    monkeypatch.setenv("ONEDNN_MAX_CPU_ISA", "AVX512_CORE")  # (AVX2, SSE41: `make elsewhere`)
    assert trained(moved, capsys)[1]


def test_a_file_that_is_damaged_is_made_again(bears, quick, capsys):
    trained(bears, capsys)
    (file,) = (bears.parent / "course_cache" / "bears").glob("*.safetensors")
    whole = file.read_bytes()
    file.write_bytes(whole[:1000])
    assert trained(bears, capsys)[1]
    assert file.read_bytes() == whole
