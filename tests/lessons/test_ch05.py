"""Chapter 05: counts and their intervals, the rollouts, and the code behind its folds."""

import re
import shutil

import nbformat
import numpy as np
import pandas as pd
import pytest

from tests.small_model import breed, small_model, some_pictures
from utils.app.predictor import Predictor
from utils.lessons.ch05 import as_seen, counted, rollout
from utils.paths import chapter


def test_counts_have_their_shares_and_intervals():
    wrong = pd.Series([True, False, False, False] * 6 + [False] * 10, name="wrong")
    rows = counted(wrong, pd.Series(["night"] * 24 + ["day"] * 10))
    assert list(rows.index) == ["night", "day"]
    assert rows.loc["night", ["wrong", "of", "share"]].tolist() == [6, 24, 0.25]
    assert rows.loc["night", ["from", "to"]].tolist() == pytest.approx([0.120, 0.449], abs=0.001)
    assert rows.loc["day", "from"] == pytest.approx(0)  # no mistake in ten is not no mistake
    assert rows.loc["day", "to"] == pytest.approx(0.278, abs=0.001)


def test_a_rollout_is_stopped_by_what_people_check():
    sites = [0] * 20 + [10] * 40
    as_planned, doubled = rollout(sites, 0.02), rollout(sites, 0.04)
    assert as_planned.running[60] > 0.95  # one in a thousand, looked at every day
    assert doubled.running[60] < 0.05
    assert (doubled["acted on"][:20] == 0).all()  # nothing is acted on in parallel
    assert as_planned["acted on"][60] == pytest.approx(40 * 100 * 0.02, rel=0.1)
    assert rollout(sites, 0.04, checked=5).running[60] > doubled.running[60]


def test_a_cheap_camera_loses_detail():
    file = some_pictures()[0]
    plain, coarse, moved = (
        np.asarray(as_seen(file, **how)).astype(float) for how in ({}, {"pixels": 8}, {"moved": 16})
    )
    assert plain.shape == coarse.shape == moved.shape == (160, 160, 3)
    steps = [abs(np.diff(picture, axis=1)).mean() for picture in (plain, coarse, moved)]
    assert steps[1] < steps[0] and steps[2] < steps[0]


def folds():
    """The code that stands behind the chapter's folds."""
    cells = nbformat.read(chapter("05"), as_version=4).cells
    text = "\n".join(cell.source for cell in cells if cell.cell_type == "markdown")
    return re.findall(r"```python\n(.*?)```", text, re.DOTALL)


def test_the_fold_sets_the_threshold_of_an_exported_app(tmp_path, monkeypatch):
    (code,) = [fold for fold in folds() if "set_threshold" in fold]
    app = shutil.copytree(small_model(), tmp_path / "bears")
    monkeypatch.setattr("utils.paths.model_folder", lambda name: tmp_path / name)
    files = some_pictures()
    exec(code, names := {"exam": pd.DataFrame({"file": files, "label": map(breed, files)})})
    answered = names["table"][names["table"].sure >= Predictor(app).threshold - 1e-4]
    assert len(answered)
    assert answered.wrong.mean() <= names["table"].wrong.mean() / 2 + 0.01


def test_the_other_folds_run_on_an_exam(monkeypatch):
    monkeypatch.setattr(pd.Series, "plot", lambda *_, **__: None)
    rng = np.random.default_rng(0)
    exam = pd.DataFrame({"sure": rng.uniform(0.4, 1, 100)})
    exam["wrong"] = rng.random(100) > exam.sure
    names = {"exam": exam, "np": np, "pd": pd}
    names["cost"] = lambda sure, wrong, t: float(
        (0.1 * (sure < t) + 2 * (wrong & (sure >= t))).sum()
    )
    run = [fold for fold in folds() if "set_threshold" not in fold]
    for fold in run:
        exec(fold, names)
    assert len(run) == 2
