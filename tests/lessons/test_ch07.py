"""Chapter 07: which table it gets, what is cut out of a scene, and the truth about ratings."""

import numpy as np
import pandas as pd
from PIL import Image

from utils.data import dataset
from utils.lessons import ch07
from utils.lessons.ch07 import ADULT, PENGUINS, open_table


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


def test_what_is_to_be_found_are_animals_or_what_moves_in_a_street():
    assert ch07.to_find(["Bear", "Cat", "Dog", "Sky"]) == [0, 1, 2]
    assert ch07.to_find(["Animal", "Car", "Road", "Pedestrian"]) == [1, 3]


def test_a_close_up_is_grey_outside_of_the_region(tmp_path):
    Image.new("RGB", (40, 30), "red").save(tmp_path / "scene.png")
    region = np.zeros((30, 40), bool)
    region[10:20, 5:25] = True
    close = np.array(ch07.close_up(tmp_path / "scene.png", region))
    assert close.shape[0] == close.shape[1]
    assert (close == (255, 0, 0)).all(2).sum() == region.sum()
    assert (close == 128).all(2).sum() > 0


def test_portraits_are_as_many_of_each_kind():
    pictures, kinds = ch07.portraits(seed=1)
    assert len(pictures) == len(kinds) and set(pd.Series(kinds).value_counts()) == {100}


class Guesses:
    """A learner that gives every pair the same number of stars."""

    def __init__(self):
        self.dls = self

    def no_bar(self):
        return np.errstate()

    def test_dl(self, table):
        return table

    def get_preds(self, dl):
        return np.full((len(dl), 1), 3.0), None


def test_the_truth_is_known_of_our_own_ratings_only(tmp_path):
    pairs = ch07.everybody_and_every_film(Guesses(), dataset("ml", "sample"))
    assert len(pairs) == 120 * 90 and pairs.rated.sum() == 5400
    assert pairs.true.between(0.5, 5).all() and (pairs.guessed == 3).all()
    assert pairs[pairs.rated].true.mean() > pairs[~pairs.rated].true.mean()
    rows = pd.DataFrame({"userId": [1, 2], "movieId": [5, 6], "rating": [3.0, 4.0]})
    rows.to_csv(tmp_path / "ratings.csv", index=False)
    pairs = ch07.everybody_and_every_film(Guesses(), tmp_path)
    assert len(pairs) == 4 and pairs.rated.sum() == 2 and pairs.true.isna().all()
