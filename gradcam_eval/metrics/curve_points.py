"""How a curve is made: pixels ranked, replaced step by step, the score read at each point."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from gradcam_eval.core import Curve, Image, InputError, Predict, Undefined
from gradcam_eval.metrics.adaptive import adaptive_curves
from gradcam_eval.metrics.inputs import Request
from gradcam_eval.metrics.ties import curve_over_orders, rankings
from gradcam_eval.perturb import Perturbation, filled, image_scores, masked_scores, scores_at
from gradcam_eval.perturb.linear import Job, imputed
from gradcam_eval.protocols import FaithfulnessProtocol, Fill


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
class Imputing:
    """What is missing is imputed: the noise added to it, and whether that is what is not yet there.

    One pixel at least is known, since from none nothing follows.
    """

    noise: Image
    weights: tuple[float, float]
    is_insertion: bool

    def missing(self, ranks: NDArray[np.int32], count: int) -> NDArray[np.bool_]:
        """Return which pixels are missing at a point of the curve, (H, W)."""
        if self.is_insertion:
            return ranks >= max(count, 1)
        return ranks < min(count, ranks.size - 1)


@dataclass(frozen=True, eq=False)
class Change:
    """What a curve starts from and ends with, and from which end of the ranking it goes."""

    base: NDArray[np.float32]
    replacement: NDArray[np.float32]
    is_least_first: bool = False
    imputing: Imputing | None = None


def change_of(request: Request, fill: Fill, *, is_insertion: bool) -> Change:
    """Return how images change to or from a fill; what is imputed is so at each point anew."""
    images = request.images
    if fill.rule == "noisy_linear":
        noise = request.generator().normal(0, fill.sigma or 0, images.shape[1:]).astype(np.float32)
        way = Imputing(noise, fill.weights or (1.0, 1.0), is_insertion)
        return Change(images, images, imputing=way)
    other = filled(images, fill, request.generator())
    return Change(other, images) if is_insertion else Change(images, other)


def removed_first(
    predict: Predict,
    request: Request,
    rules: FaithfulnessProtocol,
    *,
    is_least_first: bool = False,
) -> list[Curve | Undefined]:
    """Return the curves of images that lose their pixels, from either end of the ranking."""
    change = change_of(request, rules.removal, is_insertion=False)
    return curves(predict, request, rules, replace(change, is_least_first=is_least_first))


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
            scores = _scores(predict, plan, change.imputing)
            fraction = plan.counts / pixels
            for n in framed:
                results[n] = curve_over_orders(fraction, scores[numbers == n], rules)
        else:
            points = _adaptive(predict, plan, rules.tolerance)
            for n, (fraction, score) in zip(numbers.tolist(), points, strict=True):
                results[n] = curve_over_orders(fraction, score[None], rules)
    return [results[n] for n in range(len(request.heatmaps))]


def _scores(predict: Predict, plan: Perturbation, way: Imputing | None) -> NDArray[np.float64]:
    if way is None:
        return masked_scores(predict, plan)
    edge, diagonal = way.weights
    images = imputed(_jobs(plan, way), edge_weight=edge, diagonal_weight=diagonal)
    targets = plan.targets.repeat(len(plan.counts))
    return image_scores(predict, images, targets).reshape(plan.shape)


def _jobs(plan: Perturbation, way: Imputing) -> Iterator[Job]:
    for owner, ranks in zip(plan.owner, plan.ranks, strict=True):
        for count in plan.counts.tolist():
            yield Job(plan.base[owner], way.missing(ranks, count), way.noise)


def _adaptive(
    predict: Predict, plan: Perturbation, tolerance: float
) -> list[tuple[NDArray[np.float64], NDArray[np.float64]]]:
    """Read each ranking's score at as many fractions of the plan as the tolerance needs."""
    fractions = plan.counts / plan.ranks[0].size

    def score_at(ranking: NDArray[np.intp], place: NDArray[np.intp]) -> NDArray[np.float64]:
        return scores_at(predict, plan, ranking, plan.counts[place])

    found = adaptive_curves(score_at, fractions, len(plan.ranks), tolerance=tolerance)
    return [(fractions[places], scores) for places, scores in found]
