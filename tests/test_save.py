"""A learner saved without a pickle: what is in the folder, and what is refused on loading it."""

import getpass
import hashlib
import io
import json
import pickle
import platform
import shutil

import numpy as np
import onnx
import pytest
import torch
from fastai.vision.all import (
    AdaptiveConcatPool2d,
    BCEWithLogitsLossFlat,
    FlipItem,
    PILImage,
    RandomResizedCrop,
    RandTransform,
    Resize,
    ResizeMethod,
    ToTensor,
    aug_transforms,
    load_learner,
    nn,
)
from PIL import ImageFilter

from tests.small_model import small_learner, small_model, some_pictures, untrained
from utils.app.manifest import DeployError, _hash, read_manifest, sha256, write_manifest
from utils.app.predictor import Predictor, resized
from utils.app.save import LargestAndMean, input_settings, load_model, save_model
from utils.data import dataset
from utils.images import check_images
from utils.paths import ROOT, course_home

AGREE = 1e-4


@pytest.fixture
def copied(tmp_path):
    """The saved model, to be spoiled."""
    return shutil.copytree(small_model(), tmp_path / "model")


def edit(folder, **changes):
    """Change the manifest as a text editor would."""
    file = folder / "manifest.json"
    manifest = json.loads(file.read_text()) | changes
    file.write_text(json.dumps(manifest))


def sign(folder, **changes):
    """Change the manifest as a stranger would, who makes the hash anew, whatever the content."""
    edit(folder, **changes, hash=_hash(read_manifest(folder) | changes))


def replace(folder, name, content):
    """Put another file in, and make the manifest list it: what a stranger's folder would have."""
    (folder / name).write_bytes(content)
    manifest = read_manifest(folder)
    manifest["files"][name] = sha256(content)
    write_manifest(folder, manifest)


def probabilities(predictions):
    return np.array([list(p.probabilities.values()) for p in predictions])


# --- agreement ------------------------------------------------------------------------------


@pytest.mark.parametrize("name", ["bears", "bears_exam", "bears_conditions", "pets"])
def test_agrees_with_the_learner_on_every_sample_picture(name):
    learn, files = small_learner(), check_images(dataset(name)).usable
    assert len(files) >= 150
    with learn.no_bar(), learn.no_logging():
        expected, _ = learn.get_preds(dl=learn.dls.test_dl(files, bs=64))
    found = probabilities(Predictor(small_model()).predict(files))
    assert np.abs(found - expected.numpy()).max() <= AGREE
    assert expected.max(1).values.min() < 0.9  # not all certain, so there is something to agree on


def test_load_model_gives_the_learner_its_network_back():
    learn, model = small_learner(), load_model(small_model())
    x = torch.rand(3, 3, 96, 96)
    with torch.no_grad():
        assert torch.allclose(model(x), learn.model.eval()(x), atol=1e-5)


def test_the_network_does_without_the_pooling_that_pytorch_2_11_cannot_export(monkeypatch):
    x = torch.randn(3, 8, 5, 4)
    assert torch.allclose(LargestAndMean()(x), AdaptiveConcatPool2d(1)(x), atol=1e-6)
    monkeypatch.setattr(nn.functional, "adaptive_max_pool2d", None)
    assert load_model(small_model())(torch.rand(3, 3, 96, 96)).shape == (3, 3)


# --- what is in the folder ------------------------------------------------------------------


def test_manifest_says_what_the_model_is():
    learn, manifest = small_learner(), read_manifest(small_model())
    assert manifest["vocab"] == ["Bengal", "Siamese", "pug"]
    assert manifest["architecture"] == "efficientnet_lite0"
    assert manifest["input"] == {
        "size": [96, 96], "method": "squish", "pad_mode": "reflection", "resample": "bilinear",
        "mean": [0.5] * 3, "std": [0.5] * 3,
    }  # fmt: skip
    assert manifest["pictures"] == len(learn.dls.valid_ds) == 12
    for name, listed in manifest["files"].items():
        assert listed == hashlib.sha256((small_model() / name).read_bytes()).hexdigest()


def test_folder_holds_three_files_and_nothing_of_this_machine():
    files = {file.name: file.read_bytes() for file in small_model().iterdir()}
    assert set(files) == {"manifest.json", "model.safetensors", "model.onnx"}
    for name, content in files.items():
        for private in (str(ROOT), str(course_home()), str(small_model()), "site-packages"):
            assert private.encode() not in content, (name, private)
    for private in (platform.node(), getpass.getuser()):  # too short to look for among parameters
        assert private not in files["manifest.json"].decode()


def test_graph_takes_any_number_of_pictures_and_names_no_other_file():
    model = onnx.load(small_model() / "model.onnx", load_external_data=False)
    assert not any(t.external_data for t in model.graph.initializer)
    assert {o.domain for o in model.opset_import} <= {"", "ai.onnx"}
    predictor, file = Predictor(small_model()), some_pictures()[0]
    for count in (1, 2, 33):
        assert len(predictor.predict([file] * count)) == count
    assert predictor.predict([]) == []


def test_saving_again_replaces_and_a_refusal_leaves_what_was_there(copied):
    (copied / ".DS_Store").touch()
    save_model(small_learner(), copied, metrics={"error_rate": 0.25}, threshold=0.6)
    assert read_manifest(copied)["metrics"] == {"error_rate": 0.25}
    assert Predictor(copied).threshold == 0.6
    with pytest.raises(DeployError, match="aug_transforms"):
        save_model(untrained(batch_tfms=aug_transforms(size=64)), copied)
    (copied / ".git").mkdir()
    with pytest.raises(DeployError, match="is not a model's folder"):
        save_model(small_learner(), copied)
    assert Predictor(copied).threshold == 0.6 and (copied / ".git").exists()
    assert [p.name for p in copied.parent.iterdir()] == [copied.name]


# --- refused on loading ---------------------------------------------------------------------

LOADERS = {"model.safetensors": load_model, "model.onnx": Predictor}
each_file = pytest.mark.parametrize("name", LOADERS)


def refused(load, folder, match):
    with pytest.raises(DeployError, match=match) as caught:
        load(folder)
    sentence = str(caught.value)
    assert sentence.endswith(".") and "\n" not in sentence and str(folder) not in sentence


def flipped(content, place):
    return content[:place] + bytes([content[place] ^ 1]) + content[place + 1 :]


@each_file
@pytest.mark.parametrize(
    "spoil",
    [lambda c: flipped(c, 0), lambda c: flipped(c, len(c) // 2), lambda c: c[:-1], lambda c: b""],
    ids=["first bit", "middle bit", "cut short", "empty"],
)
def test_a_changed_file_is_refused(copied, name, spoil):
    (copied / name).write_bytes(spoil((copied / name).read_bytes()))
    refused(LOADERS[name], copied, "not the file that was saved")


@each_file
def test_a_missing_file_is_refused(copied, name):
    for missing in (name, "manifest.json"):
        (copied / missing).unlink()
        refused(LOADERS[name], copied, f"There is no {missing} in model that can be read")


class Trap:
    """Unpickling this raises; nothing may get as far."""

    def __reduce__(self):
        return (pytest.fail, ("a pickle was loaded",))


@each_file
@pytest.mark.parametrize("kind", ["pickle", "torch", "text", "nothing"])
def test_a_foreign_file_is_refused_and_a_pickle_is_never_loaded(copied, name, kind):
    stream = io.BytesIO()
    torch.save({"weight": Trap()}, stream)
    contents = {
        "pickle": pickle.dumps(Trap()), "torch": stream.getvalue(), "text": b"hi", "nothing": b"",
    }  # fmt: skip
    replace(copied, name, contents[kind])
    refused(LOADERS[name], copied, "is no ")


@pytest.mark.parametrize(
    "changes",
    [
        {"vocab": ["pug", "Siamese", "Bengal"]},
        {"architecture": "resnet18"},
        {"subject": 5},
        {"hash": None},
    ],
    ids=str,
)
def test_a_manifest_edited_afterwards_is_refused(copied, changes):
    edit(copied, **changes)
    for load in LOADERS.values():
        refused(load, copied, "manifest.json .* has been damaged or changed")


@pytest.mark.parametrize(
    "changes",
    [
        {"vocab": ["a"]},
        {"vocab": [1, 2, 3]},
        {"vocab": ["a", "a"]},
        {"vocab": "abc"},
        {"threshold": "high"},
        {"threshold": 7},
        {"threshold": -0.1},
        {"threshold": True},
        {"domain": {}},
        {"domain": {"limit": float("nan")}},
        {"domain": {"limit": 0}},
        {"domain": {"limit": 10**400}},
        {"files": []},
        {"files": {}},
        {"files": {"model.onnx": "abc"}},
        {"architecture": []},
        {"input": []},
        {"input": {"size": [96, 96]}},
        *({"input": {"size": size}} for size in ([1e9, 96], [2049, 96], [0, 96], [96] * 3, "96")),
        *({"input": {"crop": size}} for size in ([10**9, 96], [96], None)),
        *({"input": {"method": "melt"}}, {"input": {"resample": "melt"}}),
        {"input": {"resample": 3}},
    ],
    ids=lambda changes: str(changes)[:50],
)
def test_a_strangers_manifest_with_a_field_of_the_wrong_kind_is_refused(copied, changes):
    if len(changes.get("input", [])) == 1 and changes["input"] != {"size": [96, 96]}:
        changes = {"input": read_manifest(copied)["input"] | changes["input"]}
    sign(copied, **changes)
    for load in LOADERS.values():
        refused(load, copied, "manifest.json .* has been damaged or changed")


def test_a_strangers_graph_that_takes_another_size_is_refused(copied):
    sign(copied, input=read_manifest(copied)["input"] | {"size": [128, 128]})
    refused(Predictor, copied, "pictures of 128 by 128")


@pytest.mark.parametrize(
    ("loads", "changes", "says"),
    [
        (load_model, {"vocab": ["one", "two", "three", "four"]}, "does not fit"),
        (Predictor, {"vocab": ["one", "two", "three", "four"]}, "does not fit .* 4 probabilities"),
        (load_model, {"architecture": "os.system"}, "'os.system' is not known here"),
    ],
)
def test_a_strangers_model_is_built_of_our_code_or_refused(copied, loads, changes, says):
    sign(copied, **changes)
    refused(loads, copied, says)


@pytest.mark.parametrize(
    "text",
    ["", '{"vocab": ["a", "b', "[" * 100_000, "[]", '{"architectures": ["BertForMaskedLM"]}'],
    ids=["empty", "cut short", "too deep", "a list", "another program's"],
)
def test_a_broken_manifest_is_refused(copied, text):
    (copied / "manifest.json").write_text(text)
    for load in LOADERS.values():
        refused(load, copied, "was not written by this .* or has been damaged or changed")


# --- refused on saving ----------------------------------------------------------------------


class Blur(RandTransform):
    """A transform of the learner's own, applied to validation too."""

    split_idx = None

    def encodes(self, x: PILImage):
        """Change the picture."""
        return x.filter(ImageFilter.BoxBlur(3))


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"batch_tfms": aug_transforms(size=64)}, "aug_transforms.size"),
        ({"item_tfms": [Resize(96), Blur()]}, "differ .* Leave out transforms of your own"),
        ({"item_tfms": Resize(96, ResizeMethod.Pad)}, "pad_mode=PadMode.Zeros"),
        ({"loss_func": BCEWithLogitsLossFlat()}, "BCEWithLogitsLossFlat; .* one of several labels"),
        ({"arch": lambda pretrained: nn.Sequential(nn.Conv2d(3, 8, 3), nn.AdaptiveAvgPool2d(1))},
         "'<lambda>' is not known here"),
        ({"lin_ftrs": [64]}, "does not fit the architecture"),
        ({"normalize": False}, "needs Resize and Normalize"),
    ],
)  # fmt: skip
def test_a_learner_the_app_could_not_repeat_is_refused(tmp_path, options, says):
    with pytest.raises(DeployError, match=says):
        save_model(untrained(**options), tmp_path / "model")
    assert list(tmp_path.iterdir()) == []


def test_a_loaded_learner_has_no_pictures_to_measure_on(tmp_path):
    small_learner().export(tmp_path / "export.pkl")
    with pytest.warns(UserWarning, match="pickle"):
        loaded = load_learner(tmp_path / "export.pkl")
    with pytest.raises(DeployError, match="no pictures to measure"):
        save_model(loaded, tmp_path / "model")


def test_a_folder_that_is_no_model_is_never_replaced(tmp_path):
    (tmp_path / "thesis.txt").write_text("years of work")
    for folder in (tmp_path, tmp_path / "thesis.txt"):
        with pytest.raises(DeployError, match="would be replaced"):
            save_model(small_learner(), folder)
    assert (tmp_path / "thesis.txt").read_text() == "years of work"


@pytest.mark.parametrize(
    "transform",
    [Resize(90, ResizeMethod.Pad, pad_mode="zeros"), Resize((80, 100)), RandomResizedCrop(96)],
    ids=["pad", "crop", "random crop"],
)
def test_settings_of_other_ways_to_resize_repeat_them(transform):
    settings = input_settings(untrained(item_tfms=[transform, FlipItem()]))
    for file in some_pictures()[::16]:
        expected = ToTensor()(transform(PILImage.create(file), split_idx=1))
        found = np.asarray(resized(PILImage.create(file), settings))
        assert np.array_equal(found, expected.permute(1, 2, 0).numpy())


# --- other pictures than those it knows -----------------------------------------------------


def test_noise_is_further_than_the_limit_and_most_of_its_own_pictures_are_not():
    noise = np.random.default_rng(0).integers(0, 256, (8, 96, 96, 3), dtype=np.uint8)
    predictor = Predictor(small_model())
    assert not any(p.in_domain for p in predictor.predict([PILImage.create(x) for x in noise]))
    own = [p.in_domain for p in predictor.predict(small_learner().dls.valid_ds.items)]
    assert sum(own) >= 11
