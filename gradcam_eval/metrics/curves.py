"""Curves: does the score fall, or rise, when the pixels a heatmap points at go, or come?

Deletion and insertion follow Petsiuk, Das and Saenko (2018); each departure from their code is in
the Notes of `deletion`. MoRF and LeRF are the same curves with other fills, and from both ends.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradcam_eval.core import Case, Curve, InputError, Predict, Undefined
from gradcam_eval.metrics.adaptive import adaptive_curves
from gradcam_eval.metrics.cases import by_image, chosen
from gradcam_eval.metrics.inputs import Heatmaps, Request, checked_request, reader
from gradcam_eval.metrics.registry import register_metric
from gradcam_eval.metrics.ties import rankings
from gradcam_eval.perturb import Perturbation, filled, masked_scores, scores_at
from gradcam_eval.protocols import FaithfulnessProtocol


def deletion(
    predict: Predict | Any,
    images: NDArray[np.float32],
    heatmaps: Heatmaps,
    targets: Sequence[int],
    protocol: str | FaithfulnessProtocol = "rise2018",
) -> list[Curve | Undefined]:
    """Measure how the target's score falls as the most relevant pixels are deleted first.

    ``score(k) = f(image, its k most relevant pixels replaced by the fill)[target]`` for
    ``k = 0, step, 2 step, ..., H W``; the area is the trapezoid over ``k / (H W)``.

    Parameters
    ----------
    predict : Predict, TraceablePredict or keras.Model
        Maps float32 images (n, H, W, C), 0..255, to probabilities (n, K). A Keras model and a
        `Predictor` run compiled; anything else is called in chunks.
    images : float32 (N, H, W, C) or (1, H, W, C), 0..255
        One image for each heatmap, or one for all of them.
    heatmaps : float (N, h, w), or N arrays (h, w) of any sizes
        Larger is more relevant. Each is resized once, bilinearly, to (H, W).
    targets : N ints, 0..K-1
        The class explained by each heatmap.
    protocol : str or FaithfulnessProtocol
        "rise2018" (224 pixels a step), "rise2018_batch" (1792 pixels a step), "rise2018_adaptive"
        (few of the points of "rise2018": see `adaptive_curves`), "gaussian_clean" (without the
        quirks of their blur), "gaussian_clean_ties", or your own record.

    Returns
    -------
    list of Curve or Undefined, one for each heatmap
        `Curve.area` is in 0..1 for probabilities; lower is better. A heatmap that cannot rank
        pixels (constant, not finite, 1x1) is `Undefined`, and so is a score that is not finite.

    Raises
    ------
    InputError
        Shapes that do not fit, images outside 0..255, targets that the model does not have.

    Notes
    -----
    Departures from the authors' code (repository eclique/RISE):

    - The fill is the fixed colour (123.675, 116.28, 103.53), the zero of *their* normalised input,
      whatever normalisation this model has: numbers of different models share one fill.
    - Pixels of equal relevance go in row-major order. There, the order of ties is what an unstable
      sort leaves, reversed. A rectified map has large ties at zero, so this is visible.
    - The last step may be partial and the area uses true fractions. At 224 x 224 pixels both steps
      divide evenly, and the two areas are the same.
    - Targets are given, not the class predicted at the start; heatmaps of any size are resized.

    References
    ----------
    Petsiuk, Das, Saenko: RISE: Randomized Input Sampling for Explanation of Black-box Models,
    BMVC 2018, arXiv:1806.07421.
    """
    rules = chosen(protocol, "deletion", FaithfulnessProtocol)
    request = checked_request(images, heatmaps, targets, rules.seed)
    return _morf(reader(predict, rules.score), request, rules)


def insertion(
    predict: Predict | Any,
    images: NDArray[np.float32],
    heatmaps: Heatmaps,
    targets: Sequence[int],
    protocol: str | FaithfulnessProtocol = "rise2018",
) -> list[Curve | Undefined]:
    """Measure how the target's score rises as the most relevant pixels come back first.

    ``score(k) = f(blurred image, its k most relevant pixels taken from the image)[target]`` for
    ``k = 0, step, 2 step, ..., H W``; the area is the trapezoid over ``k / (H W)``.

    Parameters
    ----------
    predict : Predict, TraceablePredict or keras.Model
        As for `deletion`.
    images : float32 (N, H, W, C) or (1, H, W, C), 0..255
        One image for each heatmap, or one for all of them.
    heatmaps : float (N, h, w), or N arrays (h, w) of any sizes
        Larger is more relevant. Each is resized once, bilinearly, to (H, W).
    targets : N ints, 0..K-1
        The class explained by each heatmap.
    protocol : str or FaithfulnessProtocol
        As for `deletion`.

    Returns
    -------
    list of Curve or Undefined, one for each heatmap
        `Curve.area` is in 0..1 for probabilities; higher is better. Undefined as for `deletion`.

    Raises
    ------
    InputError
        As for `deletion`.

    Notes
    -----
    The image starts blurred as in the authors' code: their kernel is nearly a flat box of 11 × 11
    pixels and sees the mean colour beyond the border, see `gradcam_eval.perturb.rise_blur`.
    "gaussian_clean" starts from a true Gaussian instead. Departures as for `deletion`.

    References
    ----------
    Petsiuk, Das, Saenko: RISE: Randomized Input Sampling for Explanation of Black-box Models,
    BMVC 2018, arXiv:1806.07421.
    """
    rules = chosen(protocol, "insertion", FaithfulnessProtocol)
    request = checked_request(images, heatmaps, targets, rules.seed)
    return _insertion(reader(predict, rules.score), request, rules)


def morf(
    predict: Predict | Any,
    images: NDArray[np.float32],
    heatmaps: Heatmaps,
    targets: Sequence[int],
    protocol: str | FaithfulnessProtocol = "flip_mean",
) -> list[Curve | Undefined]:
    """Measure how the score falls as the most relevant pixels are removed first (MoRF).

    Formula, parameters, result and errors as for `deletion`; lower is better. The protocols are
    "flip_mean", "flip_blur", "flip_mean_logit", "flip_mean_log_odds" and "flip_mean_label", which
    differ in their fill and in what is read off the model, or your own record.

    References
    ----------
    Samek et al.: Evaluating the Visualization of What a Deep Neural Network Has Learned,
    arXiv:1509.06321 (there with squares instead of pixels: see `aopc`).
    """
    rules = chosen(protocol, "morf", FaithfulnessProtocol)
    request = checked_request(images, heatmaps, targets, rules.seed)
    return _morf(reader(predict, rules.score), request, rules)


def lerf(
    predict: Predict | Any,
    images: NDArray[np.float32],
    heatmaps: Heatmaps,
    targets: Sequence[int],
    protocol: str | FaithfulnessProtocol = "flip_mean",
) -> list[Curve | Undefined]:
    """Measure how the score falls as the least relevant pixels are removed first (LeRF).

    As `morf`, from the other end: higher is better. Ties are in row-major order here as well, so
    that a map's LeRF order is not its MoRF order turned round where it has ties.
    """
    rules = chosen(protocol, "lerf", FaithfulnessProtocol)
    request = checked_request(images, heatmaps, targets, rules.seed)
    return _lerf(reader(predict, rules.score), request, rules)


def abpc(
    predict: Predict | Any,
    images: NDArray[np.float32],
    heatmaps: Heatmaps,
    targets: Sequence[int],
    protocol: str | FaithfulnessProtocol = "abpc_mean",
) -> list[float | Undefined]:
    """Measure the area between the LeRF and the MoRF curve.

    ``ABPC = area(LeRF) − area(MoRF)``, both with one fill. Parameters and errors as for `deletion`.
    In -1..1 for probabilities, 0 for a random order on average; higher is better.

    References
    ----------
    Schulz et al.: Restricting the Flow, ICLR 2020, arXiv:2001.00396.
    """
    rules = chosen(protocol, "abpc", FaithfulnessProtocol)
    request = checked_request(images, heatmaps, targets, rules.seed)
    return _abpc(reader(predict, rules.score), request, rules)


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
class _Change:
    """What a curve starts from and ends with, and from which end of the ranking it goes."""

    base: NDArray[np.float32]
    replacement: NDArray[np.float32]
    is_least_first: bool = False


def _morf(
    predict: Predict, request: Request, rules: FaithfulnessProtocol
) -> list[Curve | Undefined]:
    return _curves(predict, request, rules, _Change(request.images, _removed(request, rules)))


def _lerf(
    predict: Predict, request: Request, rules: FaithfulnessProtocol
) -> list[Curve | Undefined]:
    change = _Change(request.images, _removed(request, rules), is_least_first=True)
    return _curves(predict, request, rules, change)


def _insertion(
    predict: Predict, request: Request, rules: FaithfulnessProtocol
) -> list[Curve | Undefined]:
    start = filled(request.images, rules.start, request.generator())
    return _curves(predict, request, rules, _Change(start, request.images))


def _abpc(
    predict: Predict, request: Request, rules: FaithfulnessProtocol
) -> list[float | Undefined]:
    pairs = zip(_lerf(predict, request, rules), _morf(predict, request, rules), strict=True)
    return [_between(low_first, high_first) for low_first, high_first in pairs]


def _between(least: Curve | Undefined, most: Curve | Undefined) -> float | Undefined:
    if isinstance(least, Undefined) or isinstance(most, Undefined):
        return least if isinstance(least, Undefined) else most  # type: ignore[return-value]
    return least.area - most.area


def _removed(request: Request, rules: FaithfulnessProtocol) -> NDArray[np.float32]:
    return filled(request.images, rules.removal, request.generator())


def _curves(
    predict: Predict, request: Request, rules: FaithfulnessProtocol, change: _Change
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
                results[n] = _curve(plan.counts / pixels, scores[numbers == n].mean(axis=0))
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
    return [_curve(fractions[places], scores) for places, scores in found]


def _curve(fraction: NDArray[np.float64], score: NDArray[np.float64]) -> Curve | Undefined:
    if not np.isfinite(score).all():
        return Undefined("the model's score is not finite")
    return Curve(fraction, score)


_RISE = (
    *("rise2018", "rise2018_batch", "rise2018_adaptive"),
    *("gaussian_clean", "gaussian_clean_ties"),
)
_FLIP = ("flip_mean", "flip_blur", "flip_mean_logit", "flip_mean_log_odds", "flip_mean_label")


@register_metric(
    "deletion", needs="predict", unit="probability", higher_is_better=False, protocols=_RISE
)
def _deletion_of(
    cases: Sequence[Case], predict: Predict | None, name: str
) -> list[Curve | Undefined]:
    """Mean probability of the target while the most relevant pixels are removed first."""
    return by_image(_morf, cases, predict, name, "deletion")


@register_metric(
    "insertion", needs="predict", unit="probability", higher_is_better=True, protocols=_RISE
)
def _insertion_of(
    cases: Sequence[Case], predict: Predict | None, name: str
) -> list[Curve | Undefined]:
    """Mean probability of the target while the most relevant pixels come back first."""
    return by_image(_insertion, cases, predict, name, "insertion")


@register_metric("morf", needs="predict", unit="score", higher_is_better=False, protocols=_FLIP)
def _morf_of(cases: Sequence[Case], predict: Predict | None, name: str) -> list[Curve | Undefined]:
    """Mean score while pixels are removed, the most relevant first."""
    return by_image(_morf, cases, predict, name, "morf")


@register_metric("lerf", needs="predict", unit="score", higher_is_better=True, protocols=_FLIP)
def _lerf_of(cases: Sequence[Case], predict: Predict | None, name: str) -> list[Curve | Undefined]:
    """Mean score while pixels are removed, the least relevant first."""
    return by_image(_lerf, cases, predict, name, "lerf")


@register_metric(
    "abpc",
    needs="predict",
    unit="score",
    higher_is_better=True,
    protocols=("abpc_mean", "abpc_mean_log_odds"),
)
def _abpc_of(cases: Sequence[Case], predict: Predict | None, name: str) -> list[float | Undefined]:
    """Mean score with the least relevant pixels removed first, minus the most relevant first."""
    return by_image(_abpc, cases, predict, name, "abpc")
