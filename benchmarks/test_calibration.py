"""Do the claims keep their error rates? Simulated studies with known truth, minutes in all.

`pytest benchmarks/test_calibration.py benchmarks/test_calibration_intervals.py -s` prints each rate
beside its target; see `calibration.py` for what can be set.
"""

from __future__ import annotations

import re

import numpy as np
import pytest
from calibration import LEVEL, STUDIES, _same_draws, at_least, at_most, report
from numpy.typing import NDArray
from simulated import SHAPES, folder_of, margins, shaped

from gradcam_eval.core import Undefined
from gradcam_eval.report.recommend import recommend
from gradcam_eval.report.sentences import sentence_of
from gradcam_eval.report.verdict import verdicts_of
from gradcam_eval.statistics.families import simultaneous
from gradcam_eval.statistics.selection import confidence_set

__all__ = ["_same_draws"]  # a fixture of every test here
_OWN_VALUE = re.compile(r"its value is (\S+) \[(\S+), (\S+)\]")


def is_claimed(gains: NDArray[np.float64], **options: object) -> bool:
    """Say whether any cell is shown to be better than the reference."""
    family = simultaneous(gains, **options)  # type: ignore[arg-type]
    assert not isinstance(family, Undefined)
    return bool((family.p <= LEVEL).any())


@pytest.mark.parametrize("clusters", [0, 20])
@pytest.mark.parametrize("n", [10, 20, 50, 200])
@pytest.mark.parametrize("cells", [12, 32, 60])
def test_false_claims_among_equal_cells(cells: int, n: int, clusters: int) -> None:
    """Better than the reference, and best sets that lose a cell."""
    if clusters and n < 50:
        pytest.skip("clusters are tested from 20 of them on")
    units = np.arange(n) % clusters if clusters else None
    for shape in SHAPES if not clusters else ("normal", "skewed", "heavy"):
        better = lost = 0
        for seed in range(STUDIES):
            generator = np.random.default_rng(seed)
            x = margins(generator, n, cells + 1, shape=shape, clusters=clusters)
            gains = x[:, :cells] - x[:, cells:]
            better += is_claimed(gains, units=units, is_hits=shape == "hits")
            lost += not confidence_set(x[:, :cells], units=units).is_in.all()
        name = f"{cells} cells, n = {n}, {shape}{f', {clusters} clusters' if clusters else ''}"
        at_most(f"{name}: any is 'better than the reference'", better / STUDIES, LEVEL, STUDIES)
        at_most(f"{name}: the best set loses a cell", lost / STUDIES, LEVEL, STUDIES)


@pytest.mark.parametrize("n", [10, 20, 50, 200])
@pytest.mark.parametrize("kind", ["opposite", "opposite, turned", "long tail"])
def test_a_reference_of_equal_mean_and_other_shape(n: int, kind: str) -> None:
    """No claim of equal cells is false in more than 7 % of studies."""
    false = 0
    for seed in range(3 * STUDIES):
        generator = np.random.default_rng(seed)
        tail = shaped(generator.normal(size=(n, 1)), "skewed")
        if kind == "long tail":  # the reference has nearly all of the spread
            gains = 0.1 * margins(generator, n, 12) - tail
        else:
            gains = margins(generator, n, 12, shape="skewed") + tail
        false += is_claimed(-gains if kind == "opposite, turned" else gains)
    name = f"n = {n}, a reference of other shape ({kind}): any is 'better'"
    at_most(name, false / (3 * STUDIES), 0.07, 3 * STUDIES)


@pytest.mark.parametrize("n", [10, 20, 50, 200])
def test_best_sets_of_cells_with_opposite_skew(n: int) -> None:
    """Half of the cells have a long tail of high scores, half one of low scores: the worst case."""
    lost = 0
    for seed in range(STUDIES):
        x = margins(np.random.default_rng(seed), n, 12, shape="skewed")
        x[:, 6:] *= -1
        lost += not confidence_set(x).is_in.all()
    at_most(
        f"n = {n}, cells of opposite skew: the best set loses one", lost / STUDIES, LEVEL, STUDIES
    )


@pytest.mark.parametrize(("cells", "n"), [(12, 10), (12, 50), (32, 20), (60, 50)])
def test_the_sentences_of_the_answer(cells: int, n: int) -> None:
    """Read the report's own words on studies of equal cells and equal controls."""
    studies = max(20, STUDIES)
    said = {"better than the control": 0, "better than grad_cam": 0, "one best": 0, "Use ": 0}
    covers = []
    for seed in range(studies):
        x = margins(np.random.default_rng(seed), n, cells + 3)
        folder = folder_of(x[:, :cells], x[:, cells:])
        (verdict,) = verdicts_of(folder, "net")
        sentence = sentence_of(folder, verdict)
        text = " ".join((sentence.text, sentence.lead, *sentence.points))
        shown = [part for part in sentence.points if "shown to be better than" in part]
        shown = [part for part in shown if not part.startswith(("No cell", "The metric"))]
        said["better than the control"] += any("the control random" in part for part in shown)
        said["better than grad_cam"] += any("grad_cam at the last" in part for part in shown)
        said["one best"] += "is the best of" in text or "are in the best set" in text
        said["Use "] += recommend(folder, "net", [verdict]).cell is not None
        covers += _own_interval_covers(text, 0.0)
    for what, count in said.items():
        name = f"{cells} cells, n = {n}: the answer says '{what}'"
        at_most(name, count / studies, LEVEL, studies)
    assert len(covers) == (studies if n >= 24 else 0)  # fewer images give no interval of the winner
    if covers:
        name = f"{cells} cells, n = {n}: the interval in the answer covers the winner's value"
        at_least(name, float(np.mean(covers)), 0.93, studies)


def _own_interval_covers(text: str, truth: float) -> list[bool]:
    """Say whether the printed interval of the winner's own value covers the true one."""
    rounding = 0.0005  # three digits are printed
    found = _OWN_VALUE.search(text)
    if found is None:
        return []
    low, high = (float(end.replace("−", "-")) for end in found.groups()[1:])
    return [low - rounding <= truth <= high + rounding]


@pytest.mark.parametrize(("n", "target"), [(20, 0.20), (50, 0.70)])
def test_what_the_best_set_excludes(n: int, target: float) -> None:
    """One of 12 cells is better by .05; each cell's own part has a standard deviation of .055."""
    excluded = []
    for seed in range(STUDIES):
        x = _one_better(seed, n)
        excluded.append(1 - confidence_set(x).is_in[1:].mean())
    rate = float(np.mean(excluded))
    report(f"gap of .05, n = {n}: share of the others excluded", rate, f"≥ {target}", STUDIES)
    assert rate >= target - 3 * np.std(excluded) / np.sqrt(STUDIES)


@pytest.mark.parametrize("n", [10, 20, 50])
def test_what_a_family_shows(n: int) -> None:
    """One of 12 cells is better than the reference by .05: how often that is shown; no target."""
    studies = [_one_better(seed, n) for seed in range(STUDIES)]
    shown = sum(is_claimed(x[:, :-1] - x[:, -1:]) for x in studies)
    report(f"gap of .05, n = {n}: the better cell is shown", shown / STUDIES, "", STUDIES)


def _one_better(seed: int, n: int) -> NDArray[np.float64]:
    generator = np.random.default_rng(seed)
    x = 0.055 * generator.normal(size=(n, 12)) + 0.1 * generator.normal(size=(n, 1))
    x[:, 0] += 0.05
    return x
