"""The cleaner above the file layer: its opinions of labels and copies, its methods, its widget."""

import io
import json
import os
import random
import shutil
import subprocess
import sys
import tarfile
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from fastai.vision.all import (
    CategoryBlock,
    CrossEntropyLossFlat,
    DataBlock,
    ImageBlock,
    ImageDataLoaders,
    Resize,
    get_image_files,
    parent_label,
    set_seed,
    vision_learner,
)
from IPython.core.interactiveshell import InteractiveShell
from PIL import Image, ImageEnhance

from utils.cleaner import Cleaner, CleanerError, ranking, thumbs
from utils.cleaner.layouts import LabelTable
from utils.cleaner.widget import PAGE, CleanerWidget, show
from utils.images import open_image
from utils.models import efficientnet_lite0
from utils.paths import DATA, ROOT

PETS = DATA / "pets" / "images"
PHOTOS = ROOT.parent / "shared" / "data" / "oxford-iiit-pet.tgz"
LABELS = ("black", "grizzly", "teddy")
HOSTILE = "<img src=x onerror=alert(1)> & \udcff.jpg"  # and a byte that is no text


def photo(seed, size=(120, 90)):
    """A picture like no other: coloured noise, enlarged."""
    noise = random.Random(seed).randbytes(12 * 9 * 3)
    return Image.frombytes("RGB", (12, 9), noise).resize(size, Image.Resampling.BICUBIC)


def saved(picture, path, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("wb") as file:
        picture.save(file, "JPEG", **options)
    return path


@pytest.fixture
def bears(tmp_path, own_folders):
    """Ten pictures of each class; one file is no picture, one a copy, one nearly a copy."""
    root = tmp_path / "bears"
    for n, (label, number) in enumerate(product(LABELS, range(10))):
        saved(photo(n), root / label / f"{label}_{number}.jpg")
    (root / "black/black_3.jpg").write_text("<html>not here</html>")
    shutil.copy(root / "teddy/teddy_1.jpg", root / "teddy/copy.jpg")
    near = photo(LABELS.index("grizzly") * 10 + 2).crop((2, 2, 118, 88))
    saved(near, root / "grizzly/near.jpg", quality=60)
    saved(photo(99), root / "teddy" / HOSTILE)
    return root


@pytest.fixture
def opinion(bears):
    """What a model might say: sure of each label, but takes black_0 and black_1 for teddies."""
    files = sorted(file.relative_to(bears).as_posix() for file in bears.rglob("*.jpg"))
    table = pd.DataFrame(0.1, index=files, columns=LABELS)
    for n, file in enumerate(files):
        table.loc[file, file.split("/")[0]] = 0.8 - n / 1000
    table.loc[["black/black_0.jpg", "black/black_1.jpg"]] = [0.01, 0.02, 0.97], [0.03, 0.03, 0.94]
    return table


def on_disk(root):
    return {file.relative_to(root).as_posix() for file in root.rglob("*.jpg")}


# -- copies ----------------------------------------------------------------------------------------


def copies_of(picture):
    """Encoded again, made smaller, cropped a little, brightened; and all of it at once."""
    width, height = picture.size
    cropped = picture.crop((width // 40, height // 40, width - width // 40, height - height // 40))
    half = picture.resize((width // 2, height // 2))
    yield picture, 40
    yield half, 85
    yield cropped, 85
    yield ImageEnhance.Brightness(picture).enhance(1.2), 85
    yield ImageEnhance.Brightness(cropped.resize(half.size)).enhance(1.2), 70


def hashes(pictures, folder):
    looks = []
    for number, (picture, quality) in enumerate(pictures):
        path = saved(picture, folder / f"{number}.jpg", quality=quality)
        looks.append(thumbs.look_at(path)[0])
    assert not any(look.problem for look in looks)
    return [look.hash for look in looks]


def check_hashes(files, folder, least):
    """No two of the pictures are taken for copies; of their copies at least so many are found."""
    pictures = [open_image(file) for file in files]
    originals = hashes(((picture, 95) for picture in pictures), folder)
    assert [list(near) for near in ranking.alike(originals)] == [[n] for n in range(len(files))]
    variants = list(zip(*map(copies_of, pictures), strict=True))
    found = [
        np.mean(
            [
                n in near
                for n, near in enumerate(ranking.alike(originals + hashes(v, folder))[len(files) :])
            ]
        )
        for v in variants
    ]
    assert found == pytest.approx([1, 1, 1, 1, 1], abs=1 - least)
    return found


def test_copies_are_found_and_nothing_else_among_drawn_pictures(tmp_path):
    print(check_hashes(sorted(get_image_files(PETS))[::2], tmp_path, least=0.95))


def test_copies_are_found_and_nothing_else_among_photos(tmp_path):
    if not PHOTOS.exists():
        pytest.skip(f"no {PHOTOS.name} here")
    with tarfile.open(PHOTOS) as archive:
        archive.extractall(tmp_path, filter="data")
    print(check_hashes(sorted(get_image_files(tmp_path)), tmp_path / "copies", least=0.9))


def test_of_several_copies_the_best_stays():
    near = [np.array([0, 1, 2]), np.array([0, 1, 2]), np.array([0, 1, 2, 3]), np.array([2, 3])]
    assert ranking.copies(near, [1, 0, 2, 3]) == {0: 1, 2: 1}  # 3 is near a copy, not the original
    assert ranking.copies(near, [3, 2, 1, 0]) == {2: 3, 0: 1}


# -- labels ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def described():
    """Features of 96 drawn pets of three breeds, and the breeds."""
    names = [f"{breed}_{n}" for breed, n in product(("Persian", "beagle", "Bombay"), range(1, 33))]
    small = [thumbs.look_at(PETS / f"{name}.jpg")[1] for name in names]
    return ranking.features(small), np.array([name.split("_")[0] for name in names])


def test_quality_finds_wrong_labels(described):
    x, truth = described
    wrong = np.random.default_rng(0).choice(len(truth), 8, replace=False)
    labels = truth.copy()
    labels[wrong] = np.where(truth[wrong] == "beagle", "Persian", "beagle")
    judged = ranking.judge(labels, ranking.out_of_fold(x, labels, range(len(x))))
    worst = judged["quality"].sort_values().index[: len(wrong)]
    assert len(set(worst) & set(wrong)) >= 7
    mislabelled = set(judged.index[judged["mislabelled"]])
    assert len(mislabelled & set(wrong)) >= 5
    assert len(mislabelled - set(wrong)) <= 1
    assert judged["quality"].between(0, 1).all()


def test_a_copy_does_not_vouch_for_its_twin(described):
    """Six copies of one wrongly labelled picture agree with each other, and must not be asked."""
    x, truth = described
    x, labels = np.concatenate([x, np.repeat(x[:1], 6, axis=0)]), np.append(truth, ["beagle"] * 6)
    labels[0] = "beagle"
    groups = [*range(len(truth)), *[0] * 6]
    apart = ranking.judge(labels, ranking.out_of_fold(x, labels, groups))
    together = ranking.judge(labels, ranking.out_of_fold(x, labels, range(len(x))))
    assert apart["mislabelled"][[0, 96, 97, 98, 99, 100, 101]].all()
    assert not together["mislabelled"][[0, 96, 97, 98, 99, 100, 101]].all()


def test_labels_that_cannot_be_judged(described):
    x, truth = described
    labels = np.array(["alone", *truth[1:]], dtype=object)
    probabilities = ranking.out_of_fold(x, labels, range(len(x)))
    judged = ranking.judge(labels, probabilities)
    assert judged["quality"].isna().tolist() == [True] + [False] * 95
    relabelled = ranking.judge(["new label", *labels[1:]], probabilities)
    assert np.isnan(relabelled["quality"][0]) and not relabelled["mislabelled"][0]
    with pytest.raises(CleanerError, match="at least two"):
        ranking.out_of_fold(x, ["same"] * len(x), range(len(x)))


# -- what a learner says ---------------------------------------------------------------------------


def loaders(kind, root):
    """The same pictures, loaded as chapters and learners do."""
    options = {"item_tfms": Resize(64), "bs": 8, "num_workers": 0, "seed": 1}
    if kind == "folders":
        return ImageDataLoaders.from_folder(root, valid_pct=0.4, **options)
    if kind == "block":
        blocks = {"blocks": (ImageBlock, CategoryBlock), "item_tfms": Resize(64)}
        block = DataBlock(get_items=get_image_files, get_y=parent_label, **blocks)
        return block.dataloaders(root, bs=8, num_workers=0)
    files = sorted(on_disk(root))
    table = pd.DataFrame({"name": files, "label": [file.split("/")[0] for file in files]})
    return ImageDataLoaders.from_df(table, root, valid_pct=0.4, **options)


@pytest.mark.parametrize("kind", ["folders", "block", "table"])
def test_predictions_are_the_learners(bears, kind):
    (bears / "black/black_3.jpg").unlink()  # which fastai would stumble over
    set_seed(0)
    learn = vision_learner(loaders(kind, bears), efficientnet_lite0)
    files = sorted(on_disk(bears))
    paths = [bears / file for file in files]
    probabilities = ranking.predict(learn, paths)
    labels = [file.split("/")[0] for file in files]
    with learn.no_bar():
        one = learn.predict(paths[7])
    assert probabilities.columns.tolist() == list(LABELS)
    assert probabilities.loc[7].tolist() == pytest.approx(one[2].tolist(), abs=1e-4)
    said = ranking.opinion(labels, probabilities)
    assert said["prediction"][7] == one[0]
    with learn.no_bar():
        dl = learn.dls.test_dl([str(p) if kind == "table" else p for p in paths])
        scores, _ = learn.get_preds(dl=dl, act=lambda x: x)
    targets = [list(LABELS).index(label) for label in labels]
    loss = CrossEntropyLossFlat(reduction="none")(scores, scores.new_tensor(targets).long())
    assert said["loss"].tolist() == pytest.approx(loss.tolist(), abs=1e-3)


def test_a_learner_in_the_cleaner(bears):
    fine = DataBlock((ImageBlock, CategoryBlock), get_items=lambda root: [
        file for file in get_image_files(root) if file.name != "black_3.jpg"], get_y=parent_label,
        item_tfms=Resize(64))  # fmt: skip
    learn = vision_learner(fine.dataloaders(bears, bs=8, num_workers=0), efficientnet_lite0)
    cleaner = Cleaner(bears, learn)
    table = cleaner.table().set_index("file")
    broken = table.loc["black/black_3.jpg"]
    assert "web page" in broken["problem"] and broken["prediction"] is None
    rest = table.drop(index="black/black_3.jpg")
    assert (
        rest[["prediction", "confidence", "loss", "quality", "second_opinion"]]
        .notna()
        .all(axis=None)
    )
    # the layout has no splits, so they are the learner's
    assert (rest["split"] == "valid").sum() == len(learn.dls.valid_ds)
    # what is known of a picture is still known when it has moved
    cleaner.relabel("black/black_5.jpg", "teddy")
    cleaner.apply()
    after = cleaner.table().set_index("file").loc["teddy/black_5.jpg"]
    before = rest.loc["black/black_5.jpg"]
    assert after[["prediction", "confidence", "split"]].equals(
        before[["prediction", "confidence", "split"]]
    )
    assert after["loss"] != before["loss"]


def test_a_learner_that_cannot_be_asked(bears):
    from fastai.vision.all import RegressionBlock

    block = DataBlock((ImageBlock, RegressionBlock), get_items=lambda root: get_image_files(
        root / "grizzly"), get_y=lambda file: 1.0, item_tfms=Resize(64))  # fmt: skip
    learn = vision_learner(
        block.dataloaders(bears, bs=4, num_workers=0), efficientnet_lite0, n_out=1
    )
    with pytest.raises(CleanerError, match="one of its labels"):
        Cleaner(bears, learn).table()


# -- the methods -----------------------------------------------------------------------------------


def test_table_order_and_suggest(bears, opinion):
    cleaner = Cleaner(bears, predictions=opinion)
    table = cleaner.table().set_index("file")
    assert set(table.index) == on_disk(bears)
    assert "web page" in table.loc["black/black_3.jpg", "problem"]
    copies = table[table["duplicate_of"].notna()]
    assert dict(
        zip(copies["copy"], zip(copies.index, copies["duplicate_of"], strict=True), strict=True)
    ) == {
        "exact": ("teddy/teddy_1.jpg", "teddy/copy.jpg"),
        "near": ("grizzly/near.jpg", "grizzly/grizzly_2.jpg"),
    }
    worst = cleaner.order("loss")
    assert worst["file"][:2].tolist() == ["black/black_0.jpg", "black/black_1.jpg"]
    assert worst["prediction"][:2].tolist() == ["teddy", "teddy"]
    assert worst["loss"][0] == pytest.approx(-np.log(0.01))
    assert worst["file"].iloc[-1] == "black/black_3.jpg"  # of which nothing is known
    teddies = cleaner.order("name", label="black", prediction="teddy")
    assert teddies["file"].tolist() == ["black/black_0.jpg", "black/black_1.jpg"]
    assert cleaner.order("name", only="duplicates")["file"].tolist() == [
        "grizzly/grizzly_2.jpg", "grizzly/near.jpg", "teddy/copy.jpg", "teddy/teddy_1.jpg",
    ]  # fmt: skip
    with pytest.raises(CleanerError, match="loss, quality, name"):
        cleaner.order("size")

    cleaner.keep("teddy/teddy_1.jpg")  # a choice of the learner's, which stays
    made = cleaner.suggest()
    assert dict(zip(made["file"], made["choice"], strict=True)) == {
        "black/black_3.jpg": "discard", "grizzly/near.jpg": "discard",
    }  # fmt: skip
    assert cleaner.order(only="chosen")["file"].tolist() == [
        "teddy/teddy_1.jpg", "grizzly/near.jpg", "black/black_3.jpg",
    ]  # fmt: skip
    assert cleaner.suggest().empty


def test_suggest_relabels_what_looks_wrong(tmp_path, own_folders):
    """Real features: two breeds of drawn pets, and two of each in the other's folder."""
    root = tmp_path / "pets"
    for breed, n in product(("Persian", "beagle"), range(1, 21)):
        other = {"Persian": "beagle", "beagle": "Persian"}[breed] if n < 3 else breed
        path = root / other / f"{breed}_{n}.jpg"
        path.parent.mkdir(parents=True, exist_ok=True)
        shutil.copy(PETS / path.name, path)
    cleaner = Cleaner(root)
    assert cleaner.table()["quality"].isna().all()  # nobody was asked yet
    cleaner.suggest()  # asks by itself
    wrong = {
        file.relative_to(root).as_posix()
        for file in root.rglob("*.jpg")
        if file.parent.name not in file.name
    }
    changed = set(cleaner.pending()["file"])
    assert wrong <= changed and len(changed) <= len(wrong) + 1  # one good one may look wrong
    assert (cleaner.pending()["action"] == "relabel").all()
    cleaner.apply()
    doubtful = cleaner.table()["mislabelled"].sum()
    cleaner.undo()
    assert cleaner.table()["mislabelled"].sum() >= doubtful + len(wrong)


def test_labels_in_names_and_in_a_table(bears, opinion):
    flat = bears.parent / "flat"
    for file in bears.rglob("*_?.jpg"):
        saved(photo(str(file)), flat / file.name)
    with pytest.raises(CleanerError, match="rename"):
        Cleaner(flat, labels=lambda path: path.name.split("_")[0])
    cleaner = Cleaner(
        flat,
        labels=lambda path: path.name.split("_")[0],
        rename=lambda path, label: f"{label}_{path.name.split('_')[1]}",
    )
    cleaner.relabel("black_0.jpg", "teddy")
    assert cleaner.apply()["to"].tolist() == ["teddy_0_2.jpg"]
    cleaner.undo()

    files = sorted(on_disk(flat))
    rows = pd.DataFrame({"file": files, "label": [f.split("_")[0] for f in files]})
    rows["is_valid"] = [n % 2 == 0 for n in range(len(rows))]
    cleaner = Cleaner(flat, labels=rows)
    assert cleaner.table()["split"].tolist() == ["valid", "train"] * 15
    assert len(cleaner.order(split="valid", label="grizzly")) == 5
    cleaner.relabel(cleaner.order(label="black")["file"], "teddy")
    assert len(cleaner.apply()) == 10
    assert pd.read_csv(flat / "labels.csv")["label"].value_counts().to_dict() == {
        "teddy": 20,
        "grizzly": 10,
    }
    assert (flat / "black_0.jpg").exists()


@pytest.fixture
def labelled(tmp_path, own_folders):
    """A set whose labels are in a table, and the rows of that."""
    for n in range(4):
        saved(photo(n), tmp_path / "set" / "images" / f"{n}.jpg")
    return tmp_path / "set", pd.DataFrame(
        {"file": [f"images/{n}.jpg" for n in range(4)], "label": ["black", "teddy"] * 2}
    )


def test_a_table_with_paths_from_elsewhere(labelled):
    root, rows = labelled
    rows["file"] = [f"train/{n}.jpg" for n in range(4)]
    with pytest.raises(
        CleanerError,
        match=r"labels.csv names train/0.jpg, and there is no file .*/set/train/0.jpg"
        "; so it is with 4 of 4 rows: write each path as it is inside set, as in images/0.jpg, or",
    ):
        Cleaner(root, labels=rows)
    rows["file"] = [f"images/{n}.jpg" for n in (0, 1, 2, 9)]  # one that is gone is a row to discard
    assert Cleaner(root, labels=rows).suggest()["file"].tolist() == ["images/9.jpg"]
    (root / "labels.csv").write_text("file,label\n0.jpg,black\n")
    with pytest.raises(CleanerError, match=r"so it is with 1 of 1 rows.*, as in images/0.jpg"):
        Cleaner(root, labels=pd.read_csv(root / "labels.csv"))


def test_a_table_with_absolute_paths(labelled):
    root, rows = labelled
    rows["file"] = [str(root / file) for file in rows["file"]]
    cleaner = Cleaner(root, labels=rows)
    cleaner.relabel("images/0.jpg", "teddy")
    cleaner.discard(root / "images" / "3.jpg")
    cleaner.apply()
    written = pd.read_csv(root / "labels.csv")
    assert written["file"].tolist() == rows["file"].tolist()[:3]
    assert written["label"].tolist() == ["teddy", "teddy", "black"]


@pytest.mark.parametrize(("encoding", "says"), [("cp1252", "not in UTF-8"), ("utf-16", "UTF-16")])
def test_a_table_in_another_encoding(labelled, encoding, says):
    root, rows = labelled
    rows.assign(label=["bär", "teddy"] * 2).to_csv(root / "l.csv", index=False, encoding=encoding)
    with pytest.raises(CleanerError, match=f"l.csv is (in )?{says}: save it again as UTF-8"):
        LabelTable(root, "l.csv")


def test_splits_by_other_names_and_folders_around_are_no_labels(tmp_path, own_folders):
    for file in ("Train/black/0.jpg", "val/teddy/1.jpg", "val/photos/polar/2.jpg"):
        saved(photo(0), tmp_path / "set" / file)
    cleaner = Cleaner(tmp_path / "set")
    assert cleaner.table()["split"].tolist() == ["train", "valid", "valid"]
    assert cleaner.set.labels() == ["black", "polar", "teddy"]


def test_history_as_a_table_and_a_file(bears, tmp_path):
    cleaner = Cleaner(bears)
    assert cleaner.history().empty
    cleaner.discard(["black/black_0.jpg", "black/black_1.jpg"])
    cleaner.forget("black/black_1.jpg")
    cleaner.apply()
    cleaner.undo()
    history = Cleaner(bears).history()
    assert history[["did", "file", "action"]].to_numpy().tolist() == [
        ["apply", "black/black_0.jpg", "discard"], ["undo", "black/black_0.jpg", "discard"],
    ]  # fmt: skip
    written = pd.read_csv(cleaner.to_csv(tmp_path / "done.csv"))
    assert written["file"].tolist() == ["black/black_0.jpg"] * 2


# -- thumbnails ------------------------------------------------------------------------------------


def test_pictures_are_opened_once(bears, monkeypatch):
    Cleaner(bears).table()
    opened, look_at = [], thumbs.look_at
    monkeypatch.setattr(thumbs, "look_at", lambda path: opened.append(path.name) or look_at(path))
    cleaner = Cleaner(bears)
    assert len(cleaner.table()) == 33 and not opened
    saved(photo(1000), bears / "black/black_0.jpg")
    cleaner.table()
    assert opened == ["black_0.jpg"]
    # and not again when they have moved
    cleaner.relabel("black/black_0.jpg", "teddy")
    cleaner.apply()
    small = cleaner.thumbs.thumbnails(["teddy/black_0.jpg"])[0]
    cleaner.undo()
    cleaner.table()
    assert opened == ["black_0.jpg"]
    assert max(Image.open(io.BytesIO(small)).size) == 120


def test_a_deleted_or_damaged_cache(bears):
    cleaner = Cleaner(bears)
    cleaner.table()
    cache = Path(os.environ["COURSE_CACHE"]) / "thumbnails.sqlite"
    cache.unlink()
    assert all(cleaner.thumbs.thumbnails(["black/black_0.jpg", "teddy/teddy_0.jpg"]))
    cache.write_text("no database" * 1000)
    with pytest.raises(CleanerError, match="delete that file"):
        cleaner.thumbs.thumbnails(["black/black_0.jpg"])
    cache.unlink()
    assert all(cleaner.thumbs.thumbnails(["black/black_0.jpg"]))


# -- the widget ------------------------------------------------------------------------------------


class Browser:
    """What the browser's half does: it asks, and takes what it is answered."""

    def __init__(self, cleaner):
        self.widget, self.answers = CleanerWidget(cleaner), []
        self.widget.send = lambda content, buffers=None: self.answers.append((content, buffers))

    def ask(self, do, **request):
        """What was said; raises with the problem, if there was one."""
        self.widget._handle_custom_msg({"do": do, "nr": do, **request}, [])
        content, self.buffers = self.answers[-1]
        assert content["nr"] == do
        if content["problem"]:
            raise CleanerError(content["problem"])
        return content["said"]

    @property
    def page(self):
        """As it travels: all of it can be JSON."""
        return json.loads(json.dumps(self.widget.page))

    def ids(self, *names):
        return [row["id"] for row in self.page["rows"] if row["name"] in names]


def test_widget_does_what_the_methods_do(bears, opinion):
    cleaner = Cleaner(bears, predictions=opinion)
    cleaner.thumbs.end()
    browser = Browser(cleaner)
    assert not browser.widget.notice
    page = browser.page
    assert (page["place"], page["pages"], len(page["rows"])) == ("Pictures 1 to 24 of 33", 2, PAGE)
    assert [row["name"] for row in page["rows"]] == [
        *cleaner.order("loss")["file"][:PAGE].str.replace("\udcff", "?")
    ]
    assert page["rows"][0]["spoken"] == "label black, teddy 0.97, loss 4.61, black/black_0.jpg"
    browser.ask("look", page=1)
    assert len(browser.page["rows"]) == 9
    assert "web page" in browser.page["rows"][-1]["marks"][0]
    browser.ask("look", page=99)
    assert browser.page["page"] == 1
    browser.ask("look", label="teddy", only="duplicates", page=0)
    assert [row["name"] for row in browser.page["rows"]] == ["teddy/copy.jpg", "teddy/teddy_1.jpg"]
    assert (
        browser.ask("choose", ids=browser.ids("teddy/copy.jpg"), action="discard")
        == "1 picture: discard."
    )
    browser.ask("look", label="", only="", by="name")
    two = browser.ids("black/black_0.jpg", "black/black_1.jpg")
    assert (
        browser.ask("choose", ids=two, action="relabel", label="teddy")
        == "2 pictures: relabel to teddy."
    )
    browser.ask("choose", ids=browser.ids("black/black_2.jpg"), action="keep")
    browser.ask("choose", ids=browser.ids("black/black_4.jpg"), action="discard")
    browser.ask("choose", ids=browser.ids("black/black_4.jpg"), action="forget")
    assert browser.page["changes"] == 3 == len(cleaner.pending())
    assert browser.page["plan"] == cleaner.pending()["sentence"].tolist()
    before = on_disk(bears)
    assert browser.ask("apply") == "Applied: 2 relabelled and 1 discarded."
    assert {"teddy/black_0.jpg", "teddy/black_1.jpg"} < on_disk(bears)
    assert (browser.page["changes"], browser.page["undo"], browser.page["redo"]) == (0, 1, 0)
    assert browser.ask("undo") == "Undone: 2 relabelled and 1 discarded."
    assert on_disk(bears) == before and browser.page["changes"] == 3
    assert browser.ask("redo").startswith("Done again")
    assert browser.ask("apply") == "Nothing was chosen that changes a file."
    with pytest.raises(CleanerError, match="nothing to redo"):
        browser.ask("redo")


def test_widget_and_a_name_that_is_no_text(bears):
    browser = Browser(Cleaner(bears))
    browser.ask("look", by="name", label="teddy")
    name = f"teddy/{HOSTILE}".replace("\udcff", "?")
    (row,) = (row for row in browser.page["rows"] if row["name"] == name)
    assert row["id"].isascii()
    browser.ask("choose", ids=[row["id"]], action="discard")
    browser.ask("thumbnails", ids=[row["id"]])
    assert Image.open(io.BytesIO(browser.buffers[0])).size == (120, 90)
    browser.ask("apply")
    assert f"teddy/{HOSTILE}" not in on_disk(bears)


def test_widget_sends_a_page_of_thumbnails_in_parts(bears):
    cleaner = Cleaner(bears)
    cleaner.thumbs.end()
    cleaner.thumbs.looks.clear()  # as if none had been opened yet
    browser = Browser(cleaner)
    wanted = [row["id"] for row in browser.page["rows"]]
    got = {}
    while wanted:
        browser.ask("thumbnails", ids=wanted)
        sent = browser.answers[-1][0]["ids"]
        assert sent and set(sent) <= set(wanted)
        got |= zip(sent, browser.buffers, strict=True)
        wanted = [id for id in wanted if id not in sent]
    assert len(got) == PAGE
    assert [json.loads(id) for id, jpeg in got.items() if not jpeg] == ["black/black_3.jpg"]


def test_widget_says_what_it_could_not_do(bears):
    cleaner = Cleaner(bears)
    browser = Browser(cleaner)
    (bears.parent / "bears.cleaning").write_text("in the way")
    with pytest.raises(CleanerError, match="Nothing was changed"):
        browser.ask("choose", ids=['"black/black_0.jpg"'], action="discard")
    (bears.parent / "bears.cleaning").unlink()
    with pytest.raises(CleanerError, match="no picture"):
        browser.ask("choose", ids=['"black/gone.jpg"'], action="discard")
    shutil.rmtree(bears)
    with pytest.raises(CleanerError):
        browser.ask("apply")


READ_ONLY = """
import json, sys
from utils.cleaner import Cleaner
from utils.cleaner.widget import CleanerWidget
widget = CleanerWidget(Cleaner(sys.argv[1]))
widget.send = lambda content, buffers=None: print(content["problem"])
print(widget.notice, len(widget.page["rows"]))
ids = ['"black/black_0.jpg"']
widget._heard(widget, {"nr": 1, "do": "choose", "ids": ids, "action": "discard"}, [])
"""


def test_a_read_only_set_can_be_looked_at(bears):
    if not shutil.which("unshare"):
        pytest.skip("no unshare here")
    user = [] if os.geteuid() == 0 else ["--user", "--map-root-user"]
    script = 'mount --bind "$1" "$1" && mount -o remount,ro,bind "$1" || exit 77;'
    script += ' exec "$2" -c "$3" "$1/bears"'
    command = [
        "unshare",
        *user,
        "--mount",
        "sh",
        "-c",
        script,
        "sh",
        bears.parent,
        sys.executable,
        READ_ONLY,
    ]
    cache = bears.parent.with_name(f"{bears.parent.name}_cache")
    done = subprocess.run(
        list(map(str, command)),
        capture_output=True,
        text=True,
        cwd=ROOT,
        env=os.environ | {"COURSE_CACHE": str(cache)},
    )
    if done.returncode == 77 or "unshare" in done.stderr:
        pytest.skip("mounting is not allowed here")
    notice, answer = done.stdout.splitlines()[:2]
    assert "read-only" in notice and notice.endswith(str(PAGE)), done.stderr
    assert "read-only" in answer


def test_what_a_notebook_stores(bears, capsys):
    shell = InteractiveShell.instance()
    published = []
    shell.display_pub.publish = lambda data, metadata=None, **_: published.append(data)
    try:
        show(Cleaner(bears))
    finally:
        InteractiveShell.clear_instance()
    copy, live = published
    assert set(copy) == {"text/html", "text/plain"}
    assert list(live) == ["application/vnd.jupyter.widget-view+json"]
