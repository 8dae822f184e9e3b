"""The cleaner above the file layer: its opinions of labels and copies, its methods, its widget."""

import io
import json
import random
import shutil
import tarfile
from base64 import b64decode
from itertools import product

import numpy as np
import pandas as pd
import pytest
import torch
from fastai.vision.all import (
    CategoryBlock,
    CrossEntropyLossFlat,
    DataBlock,
    ImageBlock,
    ImageDataLoaders,
    RegressionBlock,
    Resize,
    get_image_files,
    parent_label,
    vision_learner,
)
from PIL import Image, ImageEnhance

from utils.cleaner import Cleaner, CleanerError, ranking, thumbs
from utils.cleaner.cleaner import PAGE, CleanerWidget
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
def bears(tmp_path):
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
def learn(monkeypatch):
    """One that is sure of each label, but takes black_0 and black_1 for teddies."""

    def predict(learn, paths):
        table = pd.DataFrame(0.1, index=range(len(paths)), columns=LABELS)
        for n, path in enumerate(paths):
            table.loc[n, path.parent.name] = 0.8 - n / 1000
            if path.name == "black_0.jpg":
                table.loc[n] = 0.01, 0.02, 0.97
            if path.name == "black_1.jpg":
                table.loc[n] = 0.03, 0.03, 0.94
        return table

    monkeypatch.setattr(ranking, "predict", predict)

    def features(jpegs):
        """The first two black bears look like teddies (the last pictures), and more so than these.

        As much so would be a tie, which the folds decide.
        """
        looks = np.zeros((len(jpegs), 2))
        looks[:2], looks[-12:] = 2, 1
        return looks

    monkeypatch.setattr(ranking, "features", features)
    return "a learner"


def look_at(path):
    return thumbs.look_at.__wrapped__(path, None)  # not one that is remembered


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
    looks = [
        look_at(saved(picture, folder / f"{number}.jpg", quality=quality))
        for number, (picture, quality) in enumerate(pictures)
    ]
    assert not any(look.problem for look in looks)
    return [look.hash for look in looks]


@pytest.mark.parametrize(("kind", "least"), [("drawn", 0.95), ("photos", 0.9)])
def test_copies_are_found_and_nothing_else(tmp_path, kind, least):
    """No two of the pictures are taken for copies; of their copies at least so many are found."""
    files = sorted(get_image_files(PETS))[::4]
    if kind == "photos":
        if not PHOTOS.exists():
            pytest.skip(f"no {PHOTOS.name} here")
        with tarfile.open(PHOTOS) as archive:
            archive.extractall(tmp_path, filter="data")
        files = sorted(get_image_files(tmp_path))[::2]
    pictures = [open_image(file) for file in files]
    originals = hashes(((picture, 95) for picture in pictures), tmp_path / "originals")
    assert [list(near) for near in ranking.alike(originals)] == [[n] for n in range(len(files))]
    for number, copies in enumerate(zip(*map(copies_of, pictures), strict=True)):
        near = ranking.alike(originals + hashes(copies, tmp_path / f"{number}"))[len(files) :]
        assert np.mean([n in places for n, places in enumerate(near)]) >= least


def test_of_several_copies_the_best_stays():
    near = [np.array([0, 1, 2]), np.array([0, 1, 2]), np.array([0, 1, 2, 3]), np.array([2, 3])]
    assert ranking.copies(near, [1, 0, 2, 3]) == {0: 1, 2: 1}  # 3 is near a copy, not the original
    assert ranking.copies(near, [3, 2, 1, 0]) == {2: 3, 0: 1}
    assert ranking.families([*near, np.array([4])]).tolist() == [0, 0, 0, 0, 4]
    hashes = np.random.default_rng(0).choice([1, -1], (1001, 256))
    hashes[7] = 0  # what is no picture
    many = ranking.alike(hashes)
    assert [list(places) for places in many] == [[n] * (n != 7) for n in range(1001)]
    assert ranking.alike([]) == []


# -- labels ----------------------------------------------------------------------------------------


@pytest.fixture(scope="module")
def described():
    """Features of 96 drawn pets of three breeds, and the breeds."""
    names = [f"{breed}_{n}" for breed, n in product(("Persian", "beagle", "Bombay"), range(1, 33))]
    small = [look_at(PETS / f"{name}.jpg").jpeg for name in names]
    return ranking.features(tuple(small)), np.array([name.split("_")[0] for name in names])


def test_features_are_the_bodys(tmp_path):
    """As timm wants them: from -1 to 1."""
    body = torch.nn.Sequential(*list(efficientnet_lite0().eval().children())[:-1])
    for colour, value in (("black", -1.0), ("white", 1.0)):
        picture = saved(Image.new("RGB", (160, 120), colour), tmp_path / "a.jpg")
        x = torch.full((1, 3, 160, 160), value)
        with torch.inference_mode():
            expected = body(x).numpy()
        found = ranking.features((look_at(picture).jpeg,))
        assert found.shape == (1, 1280) and found == pytest.approx(expected, abs=1e-3)


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
    same = ["same"] * len(x)
    judged = ranking.judge(same, ranking.out_of_fold(x, same, range(len(x))))
    assert judged["quality"].isna().all() and not judged["mislabelled"].any()


# -- what a learner says ---------------------------------------------------------------------------


@pytest.mark.parametrize("kind", ["block", "table"])
def test_predictions_are_the_learners(bears, kind):
    """The same pictures, loaded as paths or as rows."""
    (bears / "black/black_3.jpg").unlink()  # which fastai would stumble over
    files = sorted(on_disk(bears))
    labels = [file.split("/")[0] for file in files]
    if kind == "table":
        table = pd.DataFrame({"name": files, "label": labels})
        dls = ImageDataLoaders.from_df(table, bears, item_tfms=Resize(64), bs=8, num_workers=0)
    else:
        blocks = {"blocks": (ImageBlock, CategoryBlock), "item_tfms": Resize(64)}
        block = DataBlock(get_items=get_image_files, get_y=parent_label, **blocks)
        dls = block.dataloaders(bears, bs=8, num_workers=0)
    learn = vision_learner(dls, efficientnet_lite0)
    paths = [bears / file for file in files]
    probabilities = ranking.predict(learn, paths)
    with learn.no_bar():
        one = learn.predict(paths[7])
        dl = learn.dls.test_dl([str(p) if kind == "table" else p for p in paths])
        scores, _ = learn.get_preds(dl=dl, act=lambda x: x)
    assert probabilities.columns.tolist() == list(LABELS)
    assert probabilities.loc[7].tolist() == pytest.approx(one[2].tolist(), abs=1e-4)
    said = ranking.opinion(labels, probabilities)
    assert said["prediction"][7] == one[0]
    targets = [LABELS.index(label) for label in labels]
    loss = CrossEntropyLossFlat(reduction="none")(scores, scores.new_tensor(targets).long())
    assert said["loss"].tolist() == pytest.approx(loss.tolist(), abs=1e-3)


def test_a_learner_in_the_cleaner(bears):
    usable = [file for file in get_image_files(bears) if file.name != "black_3.jpg"]
    options = {"get_y": parent_label, "item_tfms": Resize(64)}
    block = DataBlock((ImageBlock, CategoryBlock), get_items=lambda root: usable, **options)
    learn = vision_learner(block.dataloaders(bears, bs=8, num_workers=0), efficientnet_lite0)
    cleaner = Cleaner(bears, learn)
    table = cleaner.table().set_index("file")
    broken = table.loc["black/black_3.jpg"]
    assert "web page" in broken["problem"] and broken["prediction"] is None
    rest = table.drop(index="black/black_3.jpg")
    opinions = ["prediction", "confidence", "loss", "quality", "second_opinion"]
    assert rest[opinions].notna().all(axis=None)
    # what is known of a picture is still known when it has moved
    cleaner.relabel("black/black_5.jpg", "teddy")
    cleaner.apply()
    after = cleaner.table().set_index("file").loc["teddy/black_5.jpg"]
    before = rest.loc["black/black_5.jpg"]
    assert after[["prediction", "confidence"]].equals(before[["prediction", "confidence"]])
    assert after["loss"] != before["loss"]


def test_a_learner_that_cannot_be_asked(bears):
    options = {"get_y": lambda file: 1.0, "item_tfms": Resize(64)}
    block = DataBlock((ImageBlock, RegressionBlock), get_items=get_image_files, **options)
    dls = block.dataloaders(bears / "grizzly", bs=4, num_workers=0)
    learn = vision_learner(dls, efficientnet_lite0, n_out=1)
    with pytest.raises(CleanerError, match="one of its labels"):
        Cleaner(bears, learn).table()


# -- the methods -----------------------------------------------------------------------------------


def test_table_and_order(bears, learn):
    cleaner = Cleaner(bears, learn)
    table = cleaner.table().set_index("file")
    assert set(table.index) == on_disk(bears)
    assert "web page" in table.loc["black/black_3.jpg", "problem"]
    assert not table.loc["black/black_3.jpg", "mislabelled"]
    assert table["duplicate_of"].dropna().to_dict() == {
        "grizzly/near.jpg": "grizzly/grizzly_2.jpg",
        "teddy/teddy_1.jpg": "teddy/copy.jpg",
    }
    wrong = table.loc[["black/black_0.jpg", "black/black_1.jpg"]]
    assert wrong["mislabelled"].all() and wrong["second_opinion"].tolist() == ["teddy"] * 2
    worst = cleaner.order()
    assert worst["file"][:2].tolist() == ["black/black_0.jpg", "black/black_1.jpg"]
    assert worst["prediction"][:2].tolist() == ["teddy", "teddy"]
    assert worst["loss"][0] == pytest.approx(-np.log(0.01))
    assert worst["file"].iloc[-1] == "black/black_3.jpg"  # of which nothing is known
    assert cleaner.order("quality")["quality"].dropna().is_monotonic_increasing
    assert cleaner.order("file")["file"].tolist() == sorted(on_disk(bears))
    with pytest.raises(CleanerError, match="Order by one of loss, quality, file"):
        cleaner.order("size")
    cleaner.keep("teddy/teddy_1.jpg")
    assert cleaner.table()["choice"].dropna().tolist() == ["keep"]


def test_of_a_copy_in_both_splits_the_one_to_judge_by_stays(tmp_path):
    for file in ("train/black/0.jpg", "valid/black/1.jpg", "train/black/2.jpg"):
        saved(photo(0), tmp_path / "set" / file)
    saved(photo(0).resize((240, 180)), tmp_path / "set/train/black/large.jpg")
    table = Cleaner(tmp_path / "set").table().set_index("file")
    assert set(table["duplicate_of"].dropna()) == {"valid/black/1.jpg"}
    (tmp_path / "set/valid/black/1.jpg").unlink()
    table = Cleaner(tmp_path / "set").table().set_index("file")
    assert set(table["duplicate_of"].dropna()) == {"train/black/large.jpg"}


def test_choices_apply_undo_and_history(bears):
    cleaner = Cleaner(bears)
    before = on_disk(bears)
    assert cleaner.history().empty and cleaner.pending().empty
    cleaner.discard(["black/black_0.jpg", "black/black_1.jpg"])
    cleaner.forget("black/black_1.jpg")
    cleaner.relabel("black/black_2.jpg", "polar", new_label=True)
    columns = ["file", "action", "label", "new_label", "to", "problem"]
    assert cleaner.pending().columns.tolist() == columns
    assert cleaner.pending().fillna("").to_numpy().tolist() == [
        ["black/black_0.jpg", "discard", "black", "", "black/black_0.jpg", ""],
        ["black/black_2.jpg", "relabel", "black", "polar", "polar/black_2.jpg", ""],
    ]
    moved = {"black/black_0.jpg", "black/black_2.jpg"}
    assert {change.file for change in cleaner.apply()} == moved
    after = on_disk(bears)
    assert after == before - moved | {"polar/black_2.jpg"}
    again = Cleaner(bears)
    again.undo()
    assert on_disk(bears) == before and len(again.pending()) == 2
    again.redo()
    assert on_disk(bears) == after
    discarded = ["black/black_0.jpg", "discard", "black", ""]
    relabelled = ["black/black_2.jpg", "relabel", "black", "polar"]
    assert cleaner.history().drop(columns="at").fillna("").to_numpy().tolist() == [
        [did, *what]
        for did in ("apply", "undo", "redo")
        for what in (
            [*discarded, "bears.cleaning/trash/black/black_0.jpg"],
            [*relabelled, "bears/polar/black_2.jpg"],
        )
    ]


def test_nothing_usable(tmp_path, learn):
    (tmp_path / "set" / "black").mkdir(parents=True)
    assert Cleaner(tmp_path / "set", learn).table().empty
    (tmp_path / "set/black/a.jpg").write_bytes(b"")
    table = Cleaner(tmp_path / "set", learn).table()
    assert table["problem"].notna().all() and table["loss"].isna().all()


def test_pictures_are_opened_once(bears, monkeypatch):
    Cleaner(bears).table()
    decoded, decode = [], thumbs.decode
    monkeypatch.setattr(thumbs, "decode", lambda *a, **k: decoded.append(1) or decode(*a, **k))
    cleaner = Cleaner(bears)
    assert len(cleaner.table()) == 33 and not decoded
    saved(photo(1000, (400, 300)), bears / "black/black_0.jpg")
    assert (cleaner.table(), decoded)[1] == [1]
    shutil.copy(PETS / "beagle_1.jpg", bears.parent)
    (bears / "black/link.jpg").symlink_to(bears.parent / "beagle_1.jpg")
    cleaner.table()
    shutil.copy(PETS / "Persian_1.jpg", bears.parent / "beagle_1.jpg")  # another target
    cleaner.table()
    assert cleaner.looks["black/link.jpg"].jpeg == look_at(PETS / "Persian_1.jpg").jpeg
    small = look_at(bears / "black/black_0.jpg").jpeg
    assert Image.open(io.BytesIO(small)).size == (160, 120)


# -- the widget ------------------------------------------------------------------------------------


class Browser:
    """What the browser's half does: it asks, and takes what it is answered."""

    def __init__(self, cleaner):
        self.widget = CleanerWidget(cleaner)
        self.widget.send = lambda reply, buffers=None: setattr(self, "reply", reply)

    def ask(self, do, **request):
        """What was said; raises with the problem, if there was one."""
        self.widget._handle_custom_msg({"do": do, "nr": do, **request}, [])
        assert self.reply["nr"] == do
        if self.reply["problem"]:
            raise CleanerError(self.reply["problem"])
        return self.reply.get("said", "")

    @property
    def page(self):
        """As it travels: all of it can be JSON."""
        return json.loads(json.dumps(self.widget.get_state()["page"]))

    def ids(self, *names):
        return [row["id"] for row in self.page["rows"] if line(row, "name") in names]


def line(row, kind):
    """What is said of a picture: its label, its name, …; of several lines the last."""
    return dict(row["lines"]).get(kind, "")


def test_widget_does_what_the_methods_do(bears, learn):
    cleaner = Cleaner(bears, learn)
    browser = Browser(cleaner)
    assert not browser.widget.notice
    page = browser.page
    assert page["place"] == "Page 1 of 2 · 33 pictures"
    assert [line(row, "name") for row in page["rows"]] == [
        *cleaner.order("loss")["file"][:PAGE].str.replace("\udcff", "?")
    ]
    worst = page["rows"][0]
    assert worst["lines"][:3] == [["label", "black"], ["fact", "teddy 0.97"], ["fact", "loss 4.61"]]
    assert worst["lines"][3][1].startswith("quality 0.")
    assert worst["lines"][4:] == [["remark", "looks mislabelled"], ["name", "black/black_0.jpg"]]
    head, _, jpeg = worst["image"].partition(",")
    assert head == "data:image/jpeg;base64"
    assert Image.open(io.BytesIO(b64decode(jpeg))).size == (120, 90)
    menus = page["menus"]
    assert page["view"]["by"] == "loss" and len(menus["by"]) == 3
    assert menus["label"][:2] == [["", "all"], ["black", "black (10)"]]
    assert menus["split"] == [["", "all"]]
    assert [words for _, words in menus["only"]][2:] == [
        "copies and their originals (4)", "not usable as pictures (1)", "my choices (0)",
    ]  # fmt: skip
    browser.ask("look", page=1)
    assert len(browser.page["rows"]) == 9
    assert "web page" in line(browser.page["rows"][-1], "remark")
    assert browser.page["rows"][-1]["image"] == ""
    browser.ask("look", page=99)
    assert browser.page["view"]["page"] == 1
    copies = "copies and their originals"
    browser.ask("look", only=copies, page=0)
    assert [line(row, "name") for row in browser.page["rows"]] == [
        "grizzly/grizzly_2.jpg", "grizzly/near.jpg", "teddy/copy.jpg", "teddy/teddy_1.jpg",
    ]  # fmt: skip
    browser.ask("look", label="teddy")
    assert len(browser.page["rows"]) == 2
    assert line(browser.page["rows"][1], "remark") == "a copy, or nearly, of teddy/copy.jpg"
    copy = browser.ids("teddy/copy.jpg")
    assert browser.ask("choose", ids=copy, action="discard") == "1 picture: discard."
    browser.ask("look", label="black", prediction="teddy", only="", by="file")
    assert len(browser.page["rows"]) == 2
    browser.ask("look", label="", prediction="")
    two = browser.ids("black/black_0.jpg", "black/black_1.jpg")
    said = browser.ask("choose", ids=two, action="relabel", label="teddy")
    assert said == "2 pictures: relabel to teddy."
    browser.ask("choose", ids=browser.ids("black/black_2.jpg"), action="keep")
    browser.ask("choose", ids=browser.ids("black/black_4.jpg"), action="discard")
    said = browser.ask("choose", ids=browser.ids("black/black_4.jpg"), action="forget")
    assert said == "1 picture: no choice."
    chosen = [line(row, "choice") for row in browser.page["rows"]]
    assert chosen[:5] == ["relabel to teddy"] * 2 + ["keep", "", ""]
    assert browser.page["plan"] == [
        "black/black_0.jpg: relabel to teddy, moves to teddy/black_0.jpg",
        "black/black_1.jpg: relabel to teddy, moves to teddy/black_1.jpg",
        "teddy/copy.jpg: discard, moves to trash/teddy/copy.jpg",
    ]
    browser.ask("look", only="my choices")
    assert len(browser.page["rows"]) == 4
    before = on_disk(bears)
    assert browser.ask("apply") == "Applied: 3 pictures."
    assert {"teddy/black_0.jpg", "teddy/black_1.jpg"} < on_disk(bears)
    assert browser.page["plan"] == []
    assert browser.ask("undo") == "Undone: 3 pictures."
    assert on_disk(bears) == before and len(browser.page["plan"]) == 3
    assert browser.ask("redo") == "Done again: 3 pictures."
    assert browser.ask("apply") == "Applied: 0 pictures."
    with pytest.raises(CleanerError, match="nothing to redo"):
        browser.ask("redo")


def test_widget_and_a_name_that_is_no_text(bears):
    browser = Browser(Cleaner(bears))
    browser.ask("look", by="file", label="teddy")
    name = f"teddy/{HOSTILE}".replace("\udcff", "?")
    (row,) = (row for row in browser.page["rows"] if line(row, "name") == name)
    assert row["id"].isascii() and row["image"]
    browser.ask("choose", ids=[row["id"]], action="discard")
    browser.ask("apply")
    assert f"teddy/{HOSTILE}" not in on_disk(bears)


def test_widget_with_many_pictures_and_no_learner(tmp_path):
    """It lists the first hundred changes."""
    for n in range(130):
        (tmp_path / "set/black").mkdir(parents=True, exist_ok=True)
        shutil.copy(PETS / "beagle_1.jpg", tmp_path / f"set/black/{n:03}.jpg")
    cleaner = Cleaner(tmp_path / "set")
    browser = Browser(cleaner)
    assert browser.page["view"]["by"] == "file"
    assert browser.page["menus"]["by"] == [["file", "by name"]]
    assert all(row["image"] for row in browser.page["rows"])
    assert line(browser.page["rows"][0], "name") == "black/000.jpg"
    browser.ask("look", only="copies and their originals")
    assert browser.page["place"] == "Page 1 of 6 · 130 pictures"
    cleaner.discard(cleaner.table()["file"])
    browser.ask("look")
    assert browser.page["changes"] == 130 and browser.page["plan"][100:] == ["… and 30 more"]
    browser.ask("look", only="not usable as pictures")
    assert browser.page["place"] == "Page 1 of 1 · 0 pictures"


def test_widget_says_what_it_could_not_do(bears):
    browser = Browser(Cleaner(bears))
    (bears.parent / "bears.cleaning").write_text("in the way")
    with pytest.raises(CleanerError, match="Nothing was changed"):
        browser.ask("choose", ids=['"black/black_0.jpg"'], action="discard")
    (bears.parent / "bears.cleaning").unlink()
    with pytest.raises(CleanerError, match="no picture"):
        browser.ask("choose", ids=['"black/gone.jpg"'], action="discard")
    browser.ask("choose", ids=['"black/black_0.jpg"'], action="discard")
    (bears / "black/black_0.jpg").unlink()
    browser.ask("look", page=0)
    assert "not in the set any more" in browser.page["plan"][0]
    shutil.rmtree(bears)
    with pytest.raises(CleanerError):
        browser.ask("apply")
