"""What the app answers with: no PyTorch, the same pixels as fastai, and sentences that are true."""

import json
import random
import shutil
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import pytest
from fastai.vision.all import PILImage, Resize
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from PIL import Image

from tests.odd_files import encoded
from tests.small_model import small_model, some_pictures
from utils.app.manifest import DeployError, read_manifest, write_manifest
from utils.app.predictor import Predictor, resized, set_threshold
from utils.images import ImageError, open_image
from utils.paths import ROOT

# Run in a process of its own, where everything but these is as if it were not installed.
ALLOWED = {"numpy", "PIL", "onnxruntime", "flatbuffers", "google", "packaging", "utils"}
ANSWER = """
import sys, json

class OnlyThese:
    def find_spec(self, name, path=None, target=None):
        top = name.partition(".")[0]
        if top not in allowed and top not in sys.stdlib_module_names:
            asked.add(top)
            raise ModuleNotFoundError(f"No module named {name!r}", name=name)

allowed, asked = set(json.loads(sys.argv[1])), set()
sys.meta_path.insert(0, OnlyThese())
from utils.app.predictor import Predictor
predictions = Predictor(sys.argv[2]).predict(sys.argv[3:])
print(json.dumps({
    "answers": [[p.label, p.probabilities, p.sure, p.in_domain, p.sentence] for p in predictions],
    "modules": sorted({m.partition(".")[0] for m in sys.modules} - set(sys.stdlib_module_names)),
    "ours": sorted(m for m in sys.modules if m.startswith("utils.")),
}))
"""


def test_answers_without_pytorch_fastai_or_anything_but_three_packages():
    files = [str(file) for file in some_pictures()[::8]]
    command = [
        sys.executable,
        "-c",
        ANSWER,
        json.dumps(sorted(ALLOWED)),
        str(small_model()),
        *files,
    ]
    done = subprocess.run(command, cwd=ROOT, capture_output=True, text=True, check=True)
    found = json.loads(done.stdout)
    here = Predictor(small_model()).predict(files)
    assert found["answers"] == [
        [p.label, p.probabilities, p.sure, p.in_domain, p.sentence] for p in here
    ]
    assert not {"torch", "fastai", "safetensors", "onnx"} & set(found["modules"])
    assert done.stderr == ""


# --- the same pixels as fastai --------------------------------------------------------------


def noise(width, height):
    bits = random.Random(width * 1000 + height).randbytes(width * height * 3)
    return Image.frombytes("RGB", (width, height), bits)


@settings(deadline=None, max_examples=150)
@given(
    width=st.integers(20, 400),
    height=st.integers(20, 400),
    size=st.tuples(st.integers(8, 200), st.integers(8, 200)),
    method=st.sampled_from(["squish", "crop", "pad"]),
)
def test_resizes_as_fastai_does_for_validation(width, height, size, method):
    scale = min(width / size[1], height / size[0])
    assume(method == "squish" or scale * min(size) >= 1)  # less: fastai gives a black picture
    picture, transform = noise(width, height), Resize(size, method, "zeros")
    expected = np.asarray(transform(PILImage(picture), split_idx=1))
    ours = {"size": size, "method": method, "resample": "bilinear"}
    assert np.array_equal(np.asarray(resized(picture, ours)), expected)


@pytest.mark.parametrize("method", ["squish", "crop", "pad"])
def test_a_line_of_pixels_is_resized_or_refused_without_filling_the_memory(method):
    ours = {"size": [96, 96], "method": method, "resample": "bilinear"}
    assert resized(noise(1, 5000), ours).size == (96, 96)
    if method == "pad":
        with pytest.raises(ImageError, match="too long and thin"):
            resized(Image.new("RGB", (1, 60_000)), ours)


def test_the_same_picture_in_other_forms_gets_the_same_answer():
    predictor, file = Predictor(small_model()), some_pictures()[0]
    picture, content = open_image(file), file.read_bytes()
    grey, clear = picture.convert("L"), picture.convert("RGBA")
    exif = Image.Exif()
    exif[0x0112] = 6  # held sideways
    turned = encoded(picture.rotate(90, expand=True), "PNG", exif=exif)
    same = [(grey, grey.convert("RGB")), (encoded(clear, "PNG"), picture), (turned, picture)]
    forms = (content, bytearray(content), memoryview(content), file, str(file))
    same += [(form, picture) for form in forms]
    for one, other in same:
        first, second = predictor.predict([one, other])
        assert close(first, second)


def test_an_unusable_picture_is_refused_with_its_own_sentence():
    with pytest.raises(ImageError, match="text file"):
        Predictor(small_model()).predict([some_pictures()[0], b"dear diary"])
    with pytest.raises(DeployError, match="takes a list"):
        Predictor(small_model()).predict(some_pictures()[0])


# --- several at once ------------------------------------------------------------------------


def close(one, other):
    """The same answer, but for the rounding of sums that were taken in another order."""
    pairs = zip(one.probabilities.values(), other.probabilities.values(), strict=True)
    return one.label == other.label and all(abs(a - b) < 1e-5 for a, b in pairs)


def test_a_batch_answers_as_one_at_a_time_does_in_the_same_order():
    predictor, files = Predictor(small_model()), some_pictures()
    assert len(files) > 32  # more than are worked on at once
    together = predictor.predict(file for file in files)
    alone = [predictor.predict([file])[0] for file in files]
    assert all(map(close, together, alone))
    assert len({a.label for a in alone}) == 3
    with ThreadPoolExecutor(8) as pool:  # visitors in several threads get their own
        found = list(pool.map(lambda file: predictor.predict([file])[0], files))
    assert all(map(close, found, together))


# --- what it says ---------------------------------------------------------------------------


@pytest.fixture
def copied(tmp_path):
    return shutil.copytree(small_model(), tmp_path / "model")


def test_probabilities_sum_to_one_and_the_label_is_the_likeliest():
    for answer in Predictor(small_model()).predict(some_pictures()):
        assert sum(answer.probabilities.values()) == pytest.approx(1, abs=1e-5)
        assert answer.probability == max(answer.probabilities.values())
        assert answer.in_domain == (answer.distance <= 1)


def test_the_threshold_decides_whether_it_is_sure(copied):
    file = next(f for f, p in zip(some_pictures(), Predictor(copied).predict(some_pictures()),
                                  strict=True) if p.in_domain)  # fmt: skip
    set_threshold(copied, 0)
    (answer,) = Predictor(copied).predict([file])
    assert answer.sure
    assert answer.sentence == f"{answer.label}, with probability {answer.probability:.2f}."
    set_threshold(copied, 1)
    (unsure,) = Predictor(copied).predict([file])
    assert not unsure.sure and unsure.label == answer.label
    assert unsure.sentence.startswith(f"Not sure, ask a person: perhaps {answer.label} (")
    assert Predictor(copied).threshold == 1


@pytest.mark.parametrize("value", [-0.1, 1.5, float("nan")])
def test_a_threshold_that_is_no_probability_is_refused(copied, value):
    with pytest.raises(DeployError, match="from 0 to 1"):
        set_threshold(copied, value)
    assert Predictor(copied).threshold == 0.8


def test_what_is_far_from_all_it_knows_gets_no_label(copied):
    (answer,) = Predictor(copied).predict([noise(200, 150)])
    assert not answer.in_domain and answer.distance > 1
    unlike = ": it is unlike the pictures the model learned from."
    assert answer.sentence == f"This does not look like a cat or a dog{unlike}"
    write_manifest(copied, read_manifest(copied) | {"subject": None})
    (answer,) = Predictor(copied).predict([noise(200, 150)])
    assert answer.sentence == f"This does not look like any of Bengal, Siamese, pug{unlike}"
