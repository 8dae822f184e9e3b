"""The drop zone without a page: what it answers, what it refuses, and that it keeps nothing."""

import io
import os

import pytest
from PIL import Image

from tests.odd_files import REFUSED, REMARKED, encoded, odd_files
from tests.small_model import small_learner, small_model, some_pictures
from utils.app.dropzone import INTERRUPTED, MAX_BYTES, DropZone
from utils.app.predictor import Predictor
from utils.images import open_image
from utils.lessons import ch01


class Sender:
    """The page's half of a `DropZone`."""

    def __init__(self, answer):
        self.zone, self.replies = DropZone(answer), []
        self.zone.send = lambda content, buffers: self.replies.append((content, buffers))

    def piece(self, name, size, start, content=b"", view="v"):
        message = {"nr": len(self.replies), "do": "take", "view": view, "name": name}
        self.zone.respond(message | {"size": size, "start": start}, [memoryview(content)])
        return self.replies[-1][0]

    def show(self, name, content):
        self.piece(name, len(content), 0, content)
        return self.replies[-1]

    @property
    def kept(self):
        return len(self.zone._content)


@pytest.fixture(scope="module")
def predictor():
    return Predictor(small_model())


@pytest.fixture
def sender(predictor):
    return Sender(lambda picture: predictor.predict([picture])[0])


@pytest.mark.parametrize("name", REFUSED)
def test_a_file_that_is_no_usable_picture_gets_a_sentence(sender, name):
    reply, pictures = sender.show(name, odd_files()[name])
    assert (reply["outcome"], reply["problem"], pictures) == ("refused", "", [])
    assert REFUSED[name] in reply["sentence"]


@pytest.mark.parametrize("name", ["plain.jpg", *REMARKED])
def test_a_picture_is_answered_as_the_predictor_does(sender, predictor, name):
    content = (odd_files() | {"plain.jpg": some_pictures()[0].read_bytes()})[name]
    reply, (thumbnail,) = sender.show(name, content)
    (expected,) = predictor.predict([content])
    assert dict(reply["bars"]) == expected.probabilities
    assert (reply["nr"], reply["sentence"]) == (0, expected.sentence)
    assert (reply["remarks"] or [""])[0].find(REMARKED.get(name, "")) >= 0
    assert bool(reply["remarks"]) == (name in REMARKED)
    # the thumbnail is what the model saw: upright, and the first frame
    small = Image.open(io.BytesIO(thumbnail))
    assert max(small.size) <= 320
    first = open_image(some_pictures()[0]).resize((8, 8)).tobytes()
    seen = small.resize((8, 8)).tobytes()
    assert max(abs(a - b) for a, b in zip(first, seen, strict=True)) < 60


@pytest.mark.parametrize(
    ("sure", "in_domain", "outcome"),
    [(True, True, "sure"), (False, True, "unsure"), (True, False, "foreign")],
)
def test_how_sure_the_answer_is_is_said(predictor, sure, in_domain, outcome):
    (answer,) = predictor.predict(some_pictures()[:1])
    other = type(answer)(**vars(answer) | {"sure": sure, "in_domain": in_domain})
    reply, _ = Sender(lambda _: other).show("a.jpg", some_pictures()[0].read_bytes())
    assert reply["outcome"] == outcome


def test_a_large_picture_arrives_in_pieces_and_nothing_of_it_is_kept(sender, predictor):
    content = encoded(Image.frombytes("RGB", (1000, 900), os.urandom(2_700_000)), "PNG")
    starts = range(0, len(content), 1 << 20)
    replies = [
        sender.piece("a.png", len(content), at, content[at : at + (1 << 20)]) for at in starts
    ]
    assert len(replies) == 3 and all(reply["more"] for reply in replies[:-1])
    assert dict(replies[-1]["bars"]) == predictor.predict([content])[0].probabilities
    assert sender.kept == 0


def test_what_is_too_large_is_refused_whatever_its_sender_says(sender):
    too_large = "This file is too large: 20.0 MB, and the limit is 20 MB"
    assert too_large in sender.piece("big.jpg", MAX_BYTES + 1, 0)["sentence"]
    assert "too large" not in sender.piece("fits.jpg", MAX_BYTES, 0).get("sentence", "")
    piece, at = bytes(3 << 20), 0
    while sender.piece("liar.jpg", MAX_BYTES, at, piece).get("more"):
        at += len(piece)
    assert "This file is too large" in sender.replies[-1][0]["sentence"]
    assert MAX_BYTES - len(piece) < at <= MAX_BYTES and sender.kept == 0


def test_pieces_that_do_not_belong_together_are_refused(sender):
    assert sender.piece("a.jpg", 100, 50, b"x")["sentence"] == INTERRUPTED
    assert sender.piece("a.jpg", 100, 0, b"x" * 50)["more"]
    assert sender.piece("b.jpg", 100, 50, b"y" * 10, view="w")["sentence"] == INTERRUPTED
    assert sender.piece("a.jpg", 100, 0, b"x" * 50)["more"]
    assert sender.piece("a.jpg", 100, 40, b"x" * 10)["sentence"] == INTERRUPTED


def test_a_fault_of_the_app_is_told_to_the_server_only(sender):
    def fail(picture):
        raise RuntimeError("a secret path")

    faulty = Sender(fail)
    reply, pictures = faulty.show("a.jpg", some_pictures()[0].read_bytes())
    assert reply == {"nr": 0, "problem": DropZone.fault} and pictures == []
    for _ in range(2):  # garbage: nothing of it is kept
        assert sender.piece("a.jpg", "many", 0, b"x" * 50)["problem"] == DropZone.fault
    assert sender.kept == 0


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
