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
import safetensors.torch
import torch
from fastai.vision.all import (
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

from tests.small_model import small_learner, small_model, some_pictures, untrained
from utils.app.manifest import DeployError, fingerprint, read_manifest
from utils.app.predictor import Predictor, resized
from utils.app.save import input_settings, load_model, save_model
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


def replace(folder, name, content):
    """Put another file in, and make the manifest list it: what a stranger's folder would have."""
    (folder / name).write_bytes(content)
    listed = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    edit(folder, files=read_manifest(folder)["files"] | {name: listed})


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
    assert 0 < manifest["agreement"] <= AGREE
    for name, listed in manifest["files"].items():
        content = (small_model() / name).read_bytes()
        assert listed == {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}


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
    save_model(small_learner(), copied, metrics={"error_rate": 0.25}, threshold=0.6)
    assert read_manifest(copied)["metrics"] == {"error_rate": 0.25}
    assert Predictor(copied).threshold == 0.6
    with pytest.raises(DeployError, match="aug_transforms"):
        save_model(untrained(batch_tfms=aug_transforms(size=64)), copied)
    assert Predictor(copied).threshold == 0.6
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
    (copied / name).unlink()
    refused(LOADERS[name], copied, f"{name} cannot be read")
    edit(copied, files={})
    refused(LOADERS[name], copied, "damaged or changed")


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


@each_file
@pytest.mark.parametrize(
    "changes", [{"vocab": ["pug", "Siamese", "Bengal"]}, {"architecture": "resnet18"}, {"mean": 0}]
)
def test_a_manifest_edited_afterwards_is_refused(copied, name, changes):
    if "mean" in changes:
        changes = {"input": read_manifest(copied)["input"] | {"mean": [0.0] * 3}}
    edit(copied, **changes)
    refused(LOADERS[name], copied, "do not belong together")


def with_fingerprint(folder, **changes):
    """A folder that is consistent in itself, however wrong: every hash made anew."""
    edit(folder, **changes)
    stamp = fingerprint(read_manifest(folder))
    tensors = safetensors.torch.load_file(folder / "model.safetensors")
    replace(folder, "model.safetensors", safetensors.torch.save(tensors, {"fingerprint": stamp}))
    model = onnx.load(folder / "model.onnx")
    onnx.helper.set_model_props(model, {"fingerprint": stamp})
    replace(folder, "model.onnx", model.SerializeToString())


@each_file
def test_a_model_of_another_shape_is_refused(copied, name):
    with_fingerprint(copied, vocab=["one", "two", "three", "four"])
    refused(LOADERS[name], copied, "does not fit")


def test_a_graph_that_takes_another_size_is_refused(copied):
    settings = read_manifest(copied)["input"]
    with_fingerprint(copied, input=settings | {"size": [128, 128]})
    refused(Predictor, copied, "pictures of 128 by 128")


def test_an_unknown_architecture_is_refused_by_name(copied):
    with_fingerprint(copied, architecture="os.system")
    refused(load_model, copied, "'os.system' is not known here")


@pytest.mark.parametrize(
    ("text", "says"),
    [
        (None, "There is no manifest.json in"),
        ("", "damaged or changed"),
        ('{"kind": "whole-game mod', "damaged or changed"),
        ("[" * 100_000, "damaged or changed"),
        ("[]", "was not written by this course"),
        ('{"architectures": ["BertForMaskedLM"]}', "was not written by this course"),
        ('{"kind": "whole-game model", "format": 2}', "newer version of the course .format 2"),
        ('{"kind": "whole-game model"}', "damaged or changed"),
        ('{"kind": "whole-game model", "format": "1"}', "damaged or changed"),
        ('{"kind": "whole-game model", "format": 1, "vocab": ["a", "b"]}', "damaged or changed"),
    ],
)
def test_a_broken_manifest_is_refused(copied, text, says):
    file = copied / "manifest.json"
    file.unlink() if text is None else file.write_text(text)
    for load in LOADERS.values():
        refused(load, copied, says)


@pytest.mark.parametrize(
    "changes",
    [
        {"vocab": ["a"]},
        {"vocab": [1, 2, 3]},
        {"vocab": ["a", "a"]},
        {"threshold": "high"},
        {"threshold": 7},
        {"threshold": -0.1},
        {"threshold": True},
        {"domain": {}},
        {"domain": {"limit": float("nan")}},
        {"domain": {"limit": 0}},
        {"files": []},
        {"files": {"model.onnx": "abc", "model.safetensors": "abc"}},
        {"subject": 5},
        {"input": {"size": [96, 96]}},
        *({"input": {"size": size}} for size in ([1e9, 96], [2049, 96], [0, 96], [96] * 3, "96")),
        *({"input": {name: "melt"}} for name in ("method", "pad_mode", "resample")),
    ],
    ids=str,
)
def test_a_manifest_with_a_field_of_the_wrong_kind_is_refused(copied, changes):
    if len(changes.get("input", {})) == 1 and changes["input"] != {"size": [96, 96]}:
        changes = {"input": read_manifest(copied)["input"] | changes["input"]}
    edit(copied, **changes)
    for load in LOADERS.values():
        refused(load, copied, "manifest.json .* has been damaged or changed")


# --- refused on saving ----------------------------------------------------------------------


class Blur(RandTransform):
    """A transform of the learner's own, applied to validation too."""

    split_idx = None

    def encodes(self, x: PILImage):
        """Change the picture."""
        return x


@pytest.mark.parametrize(
    ("options", "says"),
    [
        ({"batch_tfms": aug_transforms(size=64)}, "aug_transforms.size"),
        ({"item_tfms": [Resize(96), Blur()]}, "with Blur"),
        ({"loss_func": BCEWithLogitsLossFlat()}, "BCEWithLogitsLossFlat; .* one of several labels"),
        ({"arch": lambda pretrained: nn.Sequential(nn.Conv2d(3, 8, 3), nn.AdaptiveAvgPool2d(1))},
         "has <lambda> and CrossEntropy"),
        ({"lin_ftrs": [64]}, "does not fit the architecture"),
        ({"normalize": False}, "has no Normalize"),
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
