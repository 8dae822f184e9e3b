"""Chapter 11: a campsite's season."""

import pytest

from utils.lessons.ch11 import HEED, LATE, season


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
    patient = season(threshold=-99, weary=1e9)
    assert patient["met"] == pytest.approx(perfect["met"], abs=0.3)
    ranger = season(threshold=-99, ranger=True)  # never wrong, sometimes late
    assert ranger["met"] == pytest.approx(24 * (1 - (1 - LATE) * HEED), abs=0.5)
    assert season(1.0) == season(1.0) != season(1.0, seed=1)
