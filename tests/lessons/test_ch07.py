"""Chapter 07: which set a chapter gets, and which table."""

import pytest
from PIL import Image

from utils.data import DataError, dataset_or_sample
from utils.lessons.ch07 import ADULT, PENGUINS, open_table
from utils.paths import DATA


def test_a_folder_without_a_set_gets_the_sample_and_a_sentence(tmp_path, monkeypatch, capsys):
    monkeypatch.setenv("COURSE_DATA", str(tmp_path))
    assert dataset_or_sample("noses") == DATA / "noses"
    assert "Your folder has no noses" in capsys.readouterr().out
    (tmp_path / "noses" / "images").mkdir(parents=True)
    Image.new("RGB", (8, 8)).save(tmp_path / "noses" / "images" / "a.jpg")
    assert dataset_or_sample("noses") == tmp_path / "noses"
    assert not capsys.readouterr().out


def test_a_missing_sample_is_still_an_error(monkeypatch, tmp_path):
    monkeypatch.setattr("utils.data.DATA", tmp_path)
    with pytest.raises(DataError, match="no sample of noses"):
        dataset_or_sample("noses")
    with pytest.raises(DataError):
        open_table()


def test_the_sample_table_is_penguins_and_another_source_is_adult(tmp_path, monkeypatch, capsys):
    rows, names = open_table()
    assert names == PENGUINS and len(rows) == 344
    assert {names.target, *names.categories, *names.numbers} <= set(rows.columns)
    monkeypatch.setenv("COURSE_DATA", str(tmp_path))
    assert open_table()[1] == PENGUINS
    assert "Your folder has no adult" in capsys.readouterr().out
    header = [ADULT.target, *ADULT.categories, *ADULT.numbers]
    (tmp_path / "adult").mkdir()
    text = ",".join(header) + "\n>=50k, Private, x, x, x, x, x, 1, 2, 3\n"
    (tmp_path / "adult" / "adult.csv").write_text(text)
    rows, names = open_table()
    assert names == ADULT and rows.workclass[0] == "Private"
