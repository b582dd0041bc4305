"""How a curve is made: pixels ranked, replaced step by step, the score read at each point."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gradcam_eval.core import Curve, InputError, Predict, Undefined
from gradcam_eval.metrics.adaptive import adaptive_curves
from gradcam_eval.metrics.inputs import Request, finite_scores
from gradcam_eval.metrics.ties import rankings
from gradcam_eval.perturb import Perturbation, filled, masked_scores, scores_at
from gradcam_eval.protocols import FaithfulnessProtocol


def step_counts(pixels: int, step: int) -> NDArray[np.int32]:
    """Return how many pixels are changed at each point: 0, step, 2 step, ..., all of them.

    Examples
    --------
    >>> step_counts(10, 4).tolist()
    [0, 4, 8, 10]
    """
    if step < 1:
        raise InputError(f"a step of {step} pixels never ends: give at least 1.")
    return np.append(np.arange(0, pixels, step), pixels).astype(np.int32)


@dataclass(frozen=True, eq=False)
class Change:
    """What a curve starts from and ends with, and from which end of the ranking it goes."""

    base: NDArray[np.float32]
    replacement: NDArray[np.float32]
    is_least_first: bool = False


def removed_first(
    predict: Predict,
    request: Request,
    rules: FaithfulnessProtocol,
    *,
    is_least_first: bool = False,
) -> list[Curve | Undefined]:
    """Return the curves of images that lose their pixels, from either end of the ranking."""
    fill = filled(request.images, rules.removal, request.generator())
    return curves(predict, request, rules, Change(request.images, fill, is_least_first))


def curves(
    predict: Predict, request: Request, rules: FaithfulnessProtocol, change: Change
) -> list[Curve | Undefined]:
    """Rank each heatmap that can be ranked, and read the scores of all of them in one go."""
    pixels = request.size[0] * request.size[1]
    framed, undefined = request.framed()
    results: dict[int, Curve | Undefined] = dict(undefined)
    if framed:
        sign = -1 if change.is_least_first else 1
        orders = [rankings(sign * each, rules, request.generator()) for each in framed.values()]
        numbers = np.repeat(np.fromiter(framed, np.int32), [len(each) for each in orders])
        plan = Perturbation(
            change.base,
            change.replacement,
            owner=request.owners[numbers],
            ranks=np.concatenate(orders),
            counts=step_counts(pixels, rules.step(pixels)),
            targets=request.targets[numbers],
        )
        if rules.tolerance is None:
            scores = masked_scores(predict, plan)
            for n in framed:
                results[n] = curve_of(plan.counts / pixels, scores[numbers == n].mean(axis=0))
        else:
            curves = _adaptive(predict, plan, rules.tolerance)
            results |= dict(zip(numbers.tolist(), curves, strict=True))
    return [results[n] for n in range(len(request.heatmaps))]


def _adaptive(predict: Predict, plan: Perturbation, tolerance: float) -> list[Curve | Undefined]:
    """Read each ranking's curve at as many of the plan's points as the tolerance needs."""
    fractions = plan.counts / plan.ranks[0].size

    def score_at(ranking: NDArray[np.intp], place: NDArray[np.intp]) -> NDArray[np.float64]:
        return scores_at(predict, plan, ranking, plan.counts[place])

    found = adaptive_curves(score_at, fractions, len(plan.ranks), tolerance=tolerance)
    return [curve_of(fractions[places], scores) for places, scores in found]


def curve_of(fraction: NDArray[np.float64], score: NDArray[np.float64]) -> Curve | Undefined:
    """Return the curve of these scores; undefined where one is not finite."""
    found = finite_scores(score)
    return found if isinstance(found, Undefined) else Curve(fraction, found)
