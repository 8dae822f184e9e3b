"""The drop zone without a page: what it answers, and what it refuses."""

import pytest

from tests.odd_files import REFUSED, REMARKED, odd_files
from tests.small_model import small_learner, small_model, some_pictures
from utils.app.dropzone import DropZone
from utils.app.predictor import Predictor
from utils.images import open_image
from utils.lessons import ch01


def show(answer, name, content):
    """What a `DropZone` replies when its page sends a picture."""
    zone, replies = DropZone(answer), []
    zone.send = lambda reply, buffers: replies.append(reply)
    zone.respond({"nr": 0, "do": "take", "name": name, "size": len(content)}, [memoryview(content)])
    return replies[0]


@pytest.fixture(scope="module")
def predictor():
    return Predictor(small_model())


@pytest.fixture
def answer(predictor):
    return lambda picture: predictor.predict([picture])[0]


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_that_is_no_usable_picture_gets_a_sentence(answer, name):
    reply = show(answer, name, odd_files()[name])
    assert (reply["outcome"], reply["problem"]) == ("refused", "")
    assert REFUSED[name] in reply["sentence"]


@pytest.mark.parametrize("name", ["plain.jpg", *REMARKED])
def test_a_picture_is_answered_as_the_predictor_does(answer, predictor, name):
    content = (odd_files() | {"plain.jpg": some_pictures()[0].read_bytes()})[name]
    reply = show(answer, name, content)
    (expected,) = predictor.predict([content])
    assert dict(reply["bars"]) == expected.probabilities
    assert (reply["nr"], reply["sentence"]) == (0, expected.sentence)
    assert (reply["remarks"] or [""])[0].find(REMARKED.get(name, "")) >= 0
    assert bool(reply["remarks"]) == (name in REMARKED)


@pytest.mark.parametrize(
    ("sure", "in_domain", "outcome"),
    [(True, True, "sure"), (False, True, "unsure"), (True, False, "foreign")],
)
def test_how_sure_the_answer_is_is_said(predictor, sure, in_domain, outcome):
    (found,) = predictor.predict(some_pictures()[:1])
    other = type(found)(**vars(found) | {"sure": sure, "in_domain": in_domain})
    reply = show(lambda _: other, "a.jpg", some_pictures()[0].read_bytes())
    assert reply["outcome"] == outcome


def test_a_fault_of_the_app_is_told_to_the_server_only():
    def fail(picture):
        raise RuntimeError("a secret path")

    reply = show(fail, "a.jpg", some_pictures()[0].read_bytes())
    assert reply == {"nr": 0, "problem": DropZone.fault}


def test_what_is_too_large_is_refused_whatever_its_sender_says(answer):
    reply = show(answer, "a.jpg", bytes(10_000_001))
    assert (reply["outcome"], reply["problem"]) == ("refused", "")
    assert reply["sentence"].startswith("This file is too large: 10.0 MB, and the limit is 10 MB")
    assert "too large" not in show(answer, "a.jpg", bytes(10_000_000))["sentence"]


def test_chapter_01_says_a_label_as_it_is_read_out(monkeypatch):
    zones = []
    monkeypatch.setattr(ch01, "show_widget", lambda zone, text: zones.append((zone, text)))
    learn, file = small_learner(), some_pictures()[0]
    ch01.ask_for_picture(learn, names={"Bengal": "a striped cat"})
    ((zone, text),) = zones
    answer = zone._answer(open_image(file))
    with learn.no_bar(), learn.no_logging():
        label, number, shares = learn.predict(file)
    assert label == "Bengal" and answer.label == "a striped cat"
    assert answer.sentence == f"a striped cat (probability {shares[number]:.2f})"
    assert answer.probabilities == pytest.approx(
        dict(zip(["a striped cat", "Siamese", "pug"], shares.tolist(), strict=True))
    )
    assert text.startswith("Run this cell (Shift-Enter)")
