"""Which steps of the ladder does a metric resolve, and from how many images?"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from gradcam_eval.core import Undefined
from gradcam_eval.intervals import Values
from gradcam_eval.meta_evaluation.ladder import STEPS
from gradcam_eval.statistics.design import Design
from gradcam_eval.statistics.families import simultaneous
from gradcam_eval.statistics.power import POWER
from gradcam_eval.statistics.units import FEWEST

SIZES = (10, 30, 100)  # images of a study
LEVEL = 0.05  # of the one-sided test
MOST_IMAGES = 10_000
_MOST_SHIFT = 30.0  # standard errors: the power is 1


@dataclass(frozen=True)
class Step:
    """What a metric shows of two heatmaps whose shares of noise differ by one step.

    Attributes
    ----------
    step : difference of the shares of noise, .1 to 1
    places : how many pairs of heatmaps of the ladder are that far apart
    margin, low : the better minus the worse heatmap, as a mean over images and places, in the
        metric's unit and positive where the metric is right; its simultaneous 95 % lower bound over
        all steps. None below 6 images
    is_shown : whether the lower bound is above 0
    power : for each of `SIZES`, the share of studies of so many images that would show the better
        heatmap to be better, as a mean over the places
    smallest_n : of images at which that share reaches 80 %; None where the step is not shown, or
        where it is more than 10,000
    """

    step: float
    places: int
    margin: float
    low: float | None
    is_shown: bool
    power: tuple[float, ...]
    smallest_n: int | None


def step_table(values: Values, *, seed: int = 0) -> list[Step]:
    """Return what a metric shows of each step, the smallest step first.

    For step k of 10: d_i(p) = v_i(p) − v_i(p + k), for image i and place p = 0 … 10 − k. A step is
    shown where the mean of d over images and places is above 0 by the simultaneous test of all ten
    steps (`statistics.families`, one-sided, 5 %).

    Parameters
    ----------
    values : float (n, 11): what each image adds to the value of each heatmap, the best heatmap
        first, higher = better
    seed : of the test

    Notes
    -----
    If a metric cannot tell two heatmaps, their scores are exchangeable and d is symmetric about 0.
    The power is that of the one-sided paired t-test of size 5 % under the mean and the standard
    deviation that these images have. For more images than these, it is an extrapolation.
    """
    gains = [values[:, :-k] - values[:, k:] for k in range(1, STEPS + 1)]
    means = np.stack([gain.mean(1) for gain in gains], axis=1)
    family = simultaneous(means, design=Design(level=LEVEL, seed=seed))
    rows = []
    for at, gain in enumerate(gains):
        low = None if isinstance(family, Undefined) else float(family.low[at])
        is_shown = not isinstance(family, Undefined) and bool(family.p[at] <= LEVEL)
        ratios = _ratios(gain) if len(gain) > 1 else np.zeros(gain.shape[1])
        rows.append(
            Step(
                step=(at + 1) / STEPS,
                places=gain.shape[1],
                margin=float(gain.mean()) if len(gain) else float("nan"),
                low=low,
                is_shown=is_shown,
                power=tuple(float(power_of(ratios, n).mean()) for n in SIZES),
                smallest_n=smallest_n(ratios) if is_shown else None,
            )
        )
    return rows


def _ratios(gain: Values) -> Values:
    """Return mean / standard deviation of each column; ±infinity where only the latter is 0."""
    mean, spread = gain.mean(0), gain.std(0, ddof=1)
    with np.errstate(divide="ignore", invalid="ignore"):
        return np.nan_to_num(mean / spread, nan=0.0, posinf=np.inf, neginf=-np.inf)


def power_of(ratios: Values, n: int) -> Values:
    """Return the power of the one-sided paired t-test at 5 %: P(T > t_.95(n − 1)), T noncentral.

    Parameters
    ----------
    ratios : mean paired difference over its standard deviation, (k,)
    n : images; no claim is made below 6, so the power is 0 there
    """
    from scipy.stats import nct  # a second to import

    if n < FEWEST:
        return np.zeros(len(ratios))
    shift = np.clip(np.sqrt(n) * ratios, -_MOST_SHIFT, _MOST_SHIFT)
    power = np.asarray(nct.sf(_quantile(n), n - 1, shift))
    return np.where(np.abs(shift) < _MOST_SHIFT, power, (shift > 0).astype(float))


@lru_cache(maxsize=256)
def _quantile(n: int) -> float:
    from scipy.stats import t

    return float(t.ppf(1 - LEVEL, n - 1))


def smallest_n(ratios: Values) -> int | None:
    """Return the smallest number of images with a mean power of 80 %, None above 10,000."""
    low, high = FEWEST - 1, MOST_IMAGES
    if power_of(ratios, high).mean() < POWER:
        return None
    while high - low > 1:
        middle = (low + high) // 2
        is_enough = power_of(ratios, middle).mean() >= POWER
        low, high = (low, middle) if is_enough else (middle, high)
    return high


def smallest_step(steps: list[Step], n: int) -> float | None:
    """Return the smallest step that n images resolve: shown here, and with a power of 80 %.

    Larger steps must be resolved as well, so that the answer does not depend on chance at one step.
    """
    smallest = None
    for each in reversed(steps):
        if not (each.is_shown and each.power[SIZES.index(n)] >= POWER):
            break
        smallest = each.step
    return smallest
