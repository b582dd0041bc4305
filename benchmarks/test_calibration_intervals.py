"""Do the printed intervals cover the truth? Simulated studies, beside `test_calibration.py`."""

from __future__ import annotations

import numpy as np
import pytest
from calibration import STUDIES, _same_draws, at_least, report
from numpy.typing import NDArray
from scipy.stats import norm
from simulated import MEANS, SHAPES, margins

from gradcam_eval.aggregates import contributions
from gradcam_eval.core import Undefined
from gradcam_eval.intervals import Estimator, bootstrap_interval, mean_intervals
from gradcam_eval.statistics.design import Design
from gradcam_eval.statistics.families import simultaneous
from gradcam_eval.statistics.units import clustered_interval
from gradcam_eval.statistics.winner import choose_winner

__all__ = ["_same_draws"]  # a fixture of every test here
_MANY = 5 * STUDIES


@pytest.mark.parametrize("n", [10, 20, 50, 200])
@pytest.mark.parametrize("shape", SHAPES)
def test_coverage_of_one_cell_s_interval(shape: str, n: int) -> None:
    """The interval of a mean covers the true one; of 70 % zeros from 20 images on."""
    columns = [
        margins(np.random.default_rng(seed), n, 1, shape=shape)[:, 0] for seed in range(_MANY)
    ]
    bounds = mean_intervals(columns, Estimator(is_hits=shape == "hits", resamples=1999)).T
    known = ~np.isnan(bounds[0])
    covers = (bounds[0] <= MEANS[shape]) & (MEANS[shape] <= bounds[1])
    rate, name = float(covers[known].mean()), f"interval of a mean, n = {n}, {shape}"
    if shape == "zeros" and n < 20:
        report(name, rate, "", int(known.sum()))
    else:
        at_least(name, rate, 0.90 if shape == "zeros" else 0.93, int(known.sum()))


@pytest.mark.parametrize("n", [24, 50, 200])
@pytest.mark.parametrize("shape", ["normal", "skewed"])
def test_coverage_of_the_winner_s_own_interval(shape: str, n: int) -> None:
    """The half that did not choose the winner gives an interval that covers its true value."""
    gaps = np.linspace(0, 0.2, 12)
    covers = 0
    for seed in range(_MANY):
        x = margins(np.random.default_rng(seed), n, 12, shape=shape) + gaps
        winner = choose_winner(x)
        low, high = bootstrap_interval(x[winner.images, winner.cell][:, None], resamples=1999)[:, 0]
        covers += low <= gaps[winner.cell] <= high
    name = f"interval of the winner, n = {n}, {shape}, one half chooses"
    at_least(name, covers / _MANY, 0.93, _MANY)


@pytest.mark.parametrize("n", [10, 20, 50, 200])
@pytest.mark.parametrize("shape", ["normal", "skewed", "heavy"])
def test_coverage_of_simultaneous_intervals(shape: str, n: int) -> None:
    """All intervals of a family cover their true differences at once, with one end or two."""
    effects = np.linspace(-1, 1, 12)
    for design in (Design(), Design(alternative="two-sided")):
        covers = 0
        for seed in range(STUDIES):
            x = margins(np.random.default_rng(seed), n, 13, shape=shape)
            family = simultaneous(x[:, :12] - x[:, 12:] + effects, design=design)
            assert not isinstance(family, Undefined)
            covers += bool(((family.low <= effects) & (effects <= family.high)).all())
        name = f"12 simultaneous intervals ({design.alternative}), n = {n}, {shape}: all cover"
        at_least(name, covers / STUDIES, 0.93, STUDIES)


@pytest.mark.parametrize("n", [10, 20, 50, 200])
def test_coverage_of_simultaneous_intervals_of_hits(n: int) -> None:
    """Shares of .5 to .97 beside a reference of .4, correlated by image."""
    shares = np.linspace(0.5, 0.97, 12)
    for design in (Design(), Design(alternative="two-sided")):
        covers = 0
        for seed in range(STUDIES):
            ranks = margins(np.random.default_rng(seed), n, 13)
            hits = (ranks < norm.ppf([*shares, 0.4])).astype(float)
            family = simultaneous(hits[:, :12] - hits[:, 12:], is_hits=True, design=design)
            assert not isinstance(family, Undefined)
            truth = shares - 0.4
            covers += bool(((family.low <= truth) & (truth <= family.high)).all())
        name = f"12 simultaneous intervals ({design.alternative}), n = {n}, hits: all cover"
        at_least(name, covers / STUDIES, 0.93, STUDIES)


@pytest.mark.parametrize("shape", SHAPES)
def test_coverage_with_clusters(shape: str) -> None:
    """20 classes of 10 images with an intra-class correlation of .3."""
    units = np.arange(200) % 20
    covers = naive = 0
    for seed in range(2 * STUDIES):
        x = margins(np.random.default_rng(seed), 200, 1, shape=shape, clusters=20)[:, 0]
        low, high = clustered_interval(x, units, is_hits=shape == "hits")
        covers += low <= MEANS[shape] <= high
        low, high = bootstrap_interval(x[:, None], resamples=499)[:, 0]
        naive += low <= MEANS[shape] <= high
    name = f"interval of a mean, n = 200 in 20 clusters, {shape}"
    at_least(name, covers / (2 * STUDIES), 0.90, 2 * STUDIES)
    report(f"{name}, as if independent", naive / (2 * STUDIES), "", 2 * STUDIES)


@pytest.mark.parametrize("n", [10, 50, 200])
def test_a_threshold_that_the_data_set_shares(n: int) -> None:
    """MaxBoxAcc-like: 40 thresholds, whose best has a true accuracy of .41."""
    truth = 0.41 - 0.3 * np.abs(np.linspace(-1, 1, 40))
    covers, values, published = 0, [], []
    for seed in range(2 * STUDIES):
        generator = np.random.default_rng(seed)
        hard = generator.random((n, 1)) * 0.7 + generator.random((n, 40)) * 0.3
        parts = (_uniform(hard) < truth).astype(float)[:, None]
        each = contributions(parts, "mean_of_maxima")
        low, high = bootstrap_interval(each[:, None], resamples=999)[:, 0]
        covers += bool(low <= truth.max() <= high)
        values.append(each.mean())
        published.append(parts.mean(0).max())
    name = f"shared threshold, n = {n}: interval covers"
    if n >= 50:
        at_least(name, covers / (2 * STUDIES), 0.90, 2 * STUDIES)
    else:
        report(name, covers / (2 * STUDIES), "", 2 * STUDIES)
    name = f"shared threshold, n = {n} (true .410)"
    report(f"{name}: mean value", float(np.mean(values)), "", 2 * STUDIES)
    report(f"{name}: mean of the published value", float(np.mean(published)), "", 2 * STUDIES)


def _uniform(values: NDArray[np.float64]) -> NDArray[np.float64]:
    """Return the sum's distribution function: a trapezoid of widths .7 and .3."""
    a, b = 0.7, 0.3
    low = values**2 / (2 * a * b)
    middle = (values - b / 2) / a
    high = 1 - (a + b - values) ** 2 / (2 * a * b)
    return np.where(values < b, low, np.where(values < a, middle, high))
