"""Chapter 05: the check of a drift test, unsolved, solved and plausibly wrong; the season."""

import nbformat
import numpy as np
import pytest
from scipy.stats import ks_2samp, mannwhitneyu, permutation_test, ttest_ind

from utils.lessons.ch05 import HEED, LATE, check_drift_test, season, shuffle_p
from utils.paths import chapter


def by_hand(before, now):
    """As the chapter's text describes it, in plain Python."""
    rng = np.random.default_rng(1)
    bowl, distances = np.concatenate([before, now]), []
    for _ in range(300):
        rng.shuffle(bowl)
        distances.append(abs(bowl[: len(now)].mean() - bowl[len(now) :].mean()))
    return np.mean(np.array(distances) >= abs(now.mean() - before.mean()))


RIGHT = {
    "by hand": by_hand,
    "ours": lambda before, now: shuffle_p(before, now, shuffles=200),
    "Kolmogorov-Smirnov": lambda before, now: ks_2samp(before, now).pvalue,
    "t": lambda before, now: ttest_ind(before, now).pvalue,
    "ranks": lambda before, now: mannwhitneyu(before, now).pvalue,
    "falls only": lambda before, now: ttest_ind(before, now, alternative="greater").pvalue,
}


@pytest.mark.parametrize("name", RIGHT)
def test_any_right_drift_test_passes(name):
    verdict = check_drift_test(RIGHT[name])
    assert verdict.solved, verdict


def z_of_single_numbers(before, now):
    """The standard deviation where the standard error should be: sees nothing."""
    return min(1.0, np.exp(-(((now.mean() - before.mean()) / before.std()) ** 2)))


def too_short(before, now):
    """A standard error that is far too small: alarms all the time."""
    return ttest_ind(np.tile(before, 20), np.tile(now, 20)).pvalue


def shuffles_the_original(before, now):
    before[:] = np.random.default_rng(0).permutation(before)
    return 0.5


WRONG = {
    "never": (lambda before, now: 1.0, "can it see"),
    "always": (lambda before, now: 0.0, "in which nothing changed"),
    "by lot": (lambda before, now: np.random.default_rng(int(1e6 * now[0])).random(), "can it see"),
    "the wrong way round": (lambda b, n: 1 - ttest_ind(b, n).pvalue, "can it see"),
    "rises only": (lambda b, n: ttest_ind(b, n, alternative="less").pvalue, "can it see"),
    "standard deviation": (z_of_single_numbers, "can it see"),
    "too certain": (too_short, "in which nothing changed"),
    "the difference": (lambda before, now: now.mean() - before.mean(), "from 0 to 1"),
    "an answer": (lambda before, now: now.mean() < before.mean(), "from 0 to 1"),
    "nothing": (lambda before, now: None, "one number"),
    "a list": (lambda before, now: [0.5, 0.5], "one number"),
    "not a number": (lambda before, now: float("nan"), "from 0 to 1"),
    "spoils its inputs": (shuffles_the_original, "shuffle a copy"),
    "crashes": (lambda before, now: before - now, "stopped with ValueError"),
}


@pytest.mark.parametrize("name", WRONG)
def test_a_wrong_drift_test_is_told_why(name):
    test, says = WRONG[name]
    verdict = check_drift_test(test)
    assert not verdict.solved
    assert says in verdict.sentence


def test_the_cell_to_fill_in_is_not_solved_yet():
    cells = [c.source for c in nbformat.read(chapter("05"), as_version=4).cells]
    (cell,) = [source for source in cells if "def drift_p(" in source]
    names = {}
    exec(cell, names)
    verdict = check_drift_test(names["drift_p"])
    assert not verdict.solved and repr(verdict) == f"not yet: {verdict.sentence}"


def test_shuffling_agrees_with_scipy():
    rng = np.random.default_rng(3)
    for fall in (0.0, 0.05, 0.1):
        before, now = rng.normal(1, 0.3, 60), rng.normal(1 - fall, 0.3, 40)
        theirs = permutation_test(
            (before, now), lambda a, b, axis: abs(a.mean(axis) - b.mean(axis)),
            vectorized=True, alternative="greater", n_resamples=4000, rng=1,
        )  # fmt: skip
        assert shuffle_p(before, now, 4000) == pytest.approx(theirs.pvalue, abs=0.04)


def test_shuffling_is_repeatable_and_never_certain():
    before, now = np.zeros(50), np.ones(50)
    assert shuffle_p(before, now) == shuffle_p(before, now) == pytest.approx(1 / 1001)
    assert shuffle_p(before, before) == 1


def test_what_a_season_brings():
    silent = season(threshold=99)
    assert silent["looks"] == 0
    assert silent["error"] == pytest.approx(0.01, abs=0.001)  # "no bear" is wrong for bears only
    assert silent["met"] == pytest.approx(120 * 20 * 0.01, abs=1)
    perfect = season(threshold=50, quality=100)  # no false alarm: heeded
    assert perfect["error"] == 0
    assert perfect["met"] == pytest.approx(24 * (1 - HEED), abs=0.3)
    tired = season(threshold=-99)  # it sounds all the time
    assert tired["looks"] == 20 and tired["met"] > 22
    ranger = season(threshold=-99, ranger=True)  # never wrong, sometimes late
    assert ranger["met"] == pytest.approx(24 * (1 - (1 - LATE) * HEED), abs=0.5)
    assert season(1.0) == season(1.0) != season(1.0, seed=1)
