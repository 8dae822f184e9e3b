"""Chapter 05: a campsite's season, made up, and a check of a drift test of one's own."""

from collections.abc import Callable
from numbers import Real

import numpy as np

from utils.lessons.verdict import check_of, require

LEVEL = 0.05  # below this p-value the check takes a drift test's answer as an alarm
CALM, MOVED = 100, 25  # pairs of months to try it on, without and with a change
MOST_ALARMS = 0.12  # chance alone brings 5 in 100 calm months, and hardly ever 12
FEWEST_FOUND = 0.8

HEED = 0.95  # share of warnings that guests act on while none has been false
WEARY = 28.0  # so many false alarms in a week bring that down to a third
LATE = 0.1  # share of bears that are at the tents before a ranger has looked at the picture


# --- a drift test of one's own ----------------------------------------------------------------


def shuffle_p(before: np.ndarray, now: np.ndarray, shuffles: int = 1000) -> float:
    """The p-value of the distance between two means, by shuffling which number is from when.

    The usual permutation test, with the observed order counted as one of the shuffles so that
    the answer is never 0. Always the same shuffles, so always the same answer.
    """
    rng = np.random.default_rng(0)
    everything, n = np.concatenate([before, now]), len(now)
    shuffled = rng.permuted(np.tile(everything, (shuffles, 1)), axis=1)
    chance = abs(shuffled[:, :n].mean(1) - shuffled[:, n:].mean(1))
    return float((1 + (chance >= abs(np.mean(now) - np.mean(before))).sum()) / (1 + shuffles))


def two_months(rng: np.random.Generator, fall: float) -> tuple[np.ndarray, np.ndarray]:
    """Confidences of 300 pictures before and 100 now; `fall` of those now are of a new kind."""
    before, now = rng.beta(6, 1, 300), rng.beta(6, 1, 100)
    new = rng.random(100) < fall
    now[new] = rng.beta(3, 2, new.sum())
    return before, now


@check_of("your test")
def check_drift_test(test: Callable[[np.ndarray, np.ndarray], float]) -> str:
    """Whether `test(before, now)` gives a p-value that is calm in calm months and sees a fall.

    It is tried on made-up confidences: 100 pairs of months in which nothing changed and 25 in
    which half of the pictures are of a new, less certain kind.
    """
    before, now = two_months(np.random.default_rng(7), fall=0.2)
    copies = before.copy(), now.copy()
    p = test(before, now)
    unchanged = np.array_equal(before, copies[0]) and np.array_equal(now, copies[1])
    require(unchanged, "it changes the numbers it is given; shuffle a copy of them")
    is_p = isinstance(p, Real) and not isinstance(p, bool) and 0 <= p <= 1
    require(is_p, f"it should return a p-value, one number from 0 to 1, and returned {p!r}")

    def share_of_alarms(tries: int, fall: float) -> float:
        rng = np.random.default_rng(8)
        return float(np.mean([float(test(*two_months(rng, fall))) < LEVEL for _ in range(tries)]))

    false, found = share_of_alarms(CALM, fall=0), share_of_alarms(MOVED, fall=0.5)
    require(
        false <= MOST_ALARMS,
        f"it raises the alarm in {false:.0%} of months in which nothing changed; below 0.05 should "
        "fall about 5 % of them",
    )
    require(
        found >= FEWEST_FOUND,
        f"half of the pictures became less certain, and it raises the alarm in {found:.0%} of such "
        "months; can it see that now is lower than before?",
    )
    return f"alarms: {false:.0%} of calm months, {found:.0%} of changed ones."


# --- a campsite -------------------------------------------------------------------------------


def season(
    threshold: float,
    quality: float = 2.0,
    ranger: bool = False,
    nights: int = 120,
    triggers: int = 20,
    bears: float = 0.01,
    seasons: int = 200,
    seed: int = 0,
) -> dict[str, float]:
    """What a summer with a bear warning brings a campsite, on average over `seasons`.

    Each night the cameras are triggered so many times, mostly by deer and wind, and by a bear with
    probability `bears`. The model gives each picture a score: normal, standard deviation 1, mean 0
    without a bear and `quality` with one. A score above `threshold` sounds the siren; with
    `ranger`, a person looks first, who is never wrong but a tenth of the time too late. Guests act
    on a siren less the more false alarms there were in the last seven nights. All our own
    assumptions. Returns `error` (share of pictures judged wrong), `looks` (pictures over the
    threshold, a night) and `met` (bears, a season, that came to tents without anyone heeding).
    """
    rng = np.random.default_rng(seed)
    bear = rng.random((seasons, nights, triggers)) < bears
    over = rng.normal(quality * bear) > threshold
    in_time = rng.random(bear.shape) >= LATE
    siren = over & bear & in_time if ranger else over
    false = (siren & ~bear).sum(2).cumsum(1)
    week = false - np.pad(false, ((0, 0), (7, 0)))[:, :nights]
    heeded = siren & (rng.random(bear.shape) < HEED * np.exp(-week / WEARY)[:, :, None])
    return {
        "error": float((over != bear).mean()),
        "looks": float(over.sum((1, 2)).mean() / nights),
        "met": float((bear & ~heeded).sum((1, 2)).mean()),
    }
