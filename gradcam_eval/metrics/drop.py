"""Average drop, increase in confidence, average gain: what the score is behind the heatmap."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradcam_eval import arrays
from gradcam_eval.core import Case, Heatmap, Predict, Undefined
from gradcam_eval.metrics.cases import by_image, chosen
from gradcam_eval.metrics.inputs import (
    Heatmaps,
    Request,
    checked_request,
    finite_scores,
    of_probabilities,
    scored,
)
from gradcam_eval.metrics.registry import register_metric
from gradcam_eval.perturb import filled, image_scores
from gradcam_eval.protocols import DropProtocol


def average_drop(
    predict: Predict | Any,
    images: NDArray[np.float32],
    heatmaps: Heatmaps,
    targets: Sequence[int],
    protocol: str | DropProtocol = "drop2018",
) -> list[float | Undefined]:
    """Measure the share of the score that is lost where the image is seen through the heatmap.

    ``drop = max(0, y − o) / y``, where y is the score of the image and o that of the image times
    its heatmap, resized and then scaled linearly to 0..1. The published number is 100 times the
    mean over images. Parameters and errors as for `deletion`; in 0..1, lower is better. Undefined
    where y is 0.

    Notes
    -----
    "drop2018" multiplies the pixels, so that black is behind the map; "drop2018_mean" multiplies
    what differs from the mean colour, as libraries that multiply the normalised image do. Per-image
    values instead of a mean alone.

    The repositories of the two papers (adityac94/Grad_CAM_plus_plus, hanwei0912/OptiCAM) hold the
    methods without these metrics. Opti-CAM's util.py resizes its map bilinearly, scales it by
    min-max, multiplies images of 0..1 by it and subtracts the mean colour afterwards: "drop2018".

    References
    ----------
    Chattopadhay et al.: Grad-CAM++, WACV 2018, arXiv:1710.11063, section 4.1.
    """
    rules = chosen(protocol, "average_drop", DropProtocol)
    request = checked_request(images, heatmaps, targets)
    return scored(_drop, predict, request, rules)


def increase_in_confidence(
    predict: Predict | Any,
    images: NDArray[np.float32],
    heatmaps: Heatmaps,
    targets: Sequence[int],
    protocol: str | DropProtocol = "drop2018",
) -> list[bool | Undefined]:
    """Tell whether the score is higher where the image is seen through the heatmap.

    ``increase = 1[y < o]``, y and o as for `average_drop`; its mean is the published share of
    images. Higher is better.

    References
    ----------
    Chattopadhay et al.: Grad-CAM++, WACV 2018, arXiv:1710.11063, section 4.1.
    """
    rules = chosen(protocol, "increase_in_confidence", DropProtocol)
    request = checked_request(images, heatmaps, targets)
    return scored(_increase, predict, request, rules)


def average_gain(
    predict: Predict | Any,
    images: NDArray[np.float32],
    heatmaps: Heatmaps,
    targets: Sequence[int],
    protocol: str | DropProtocol = "drop2018",
) -> list[float | Undefined]:
    """Measure how much of the missing score is gained where the image is seen through the heatmap.

    ``gain = max(0, o − y) / (1 − y)``, y and o as for `average_drop`; in 0..1, higher is better.
    Undefined where y is 1.

    References
    ----------
    Zhang, Torres, Sicre, Avrithis, Ayache: Opti-CAM: Optimizing saliency maps for interpretability,
    arXiv:2301.07002.
    """
    rules = chosen(protocol, "average_gain", DropProtocol)
    request = checked_request(images, heatmaps, targets)
    return scored(_gain, predict, request, rules)


@of_probabilities
def _drop(predict: Predict, request: Request, rules: DropProtocol) -> list[float | Undefined]:
    def share(y: float, o: float) -> float | Undefined:
        return max(0.0, y - o) / y if y else Undefined("the score of the image is 0")

    return _compared(predict, request, rules, share)


@of_probabilities
def _increase(predict: Predict, request: Request, rules: DropProtocol) -> list[bool | Undefined]:
    return _compared(predict, request, rules, lambda y, o: y < o)


@of_probabilities
def _gain(predict: Predict, request: Request, rules: DropProtocol) -> list[float | Undefined]:
    def share(y: float, o: float) -> float | Undefined:
        return max(0.0, o - y) / (1 - y) if y < 1 else Undefined("the score of the image is 1")

    return _compared(predict, request, rules, share)


def _compared(
    predict: Predict,
    request: Request,
    rules: DropProtocol,
    compare: Callable[[float, float], Any],
) -> list[Any]:
    """Compare the score of each image with the one behind its heatmap."""
    framed, undefined = request.framed()
    groups = request.groups(list(framed))
    targets = [target for _, target, _ in groups] + [int(request.targets[n]) for n in framed]
    scores = image_scores(predict, _seen(request, rules, framed), np.array(targets, np.int32))
    before = {n: scores[g] for g, (_, _, members) in enumerate(groups) for n in members}
    after = dict(zip(framed, scores[len(groups) :], strict=True))
    results: dict[int, Any] = dict(undefined)
    for n in framed:
        pair = finite_scores(np.array([before[n], after[n]]))
        results[n] = pair if isinstance(pair, Undefined) else compare(*pair.tolist())
    return [results[n] for n in range(len(request.heatmaps))]


def _seen(
    request: Request, rules: DropProtocol, framed: dict[int, Heatmap]
) -> Iterator[NDArray[np.float32]]:
    """Yield the images as they are, once for each target, then each behind its heatmap."""
    behind = filled(request.images, rules.behind)
    for image, _, _ in request.groups(list(framed)):
        yield request.images[image]
    for n, heatmap in framed.items():
        image, empty = request.images[request.owners[n]], behind[request.owners[n]]
        yield empty + arrays.min_max(heatmap)[..., None] * (image - empty)


_DROPS = ("drop2018", "drop2018_mean")


@register_metric(
    "average_drop",
    needs="predict",
    unit="share of the probability",
    bounds="0..1",
    higher_is_better=False,
    protocols=_DROPS,
)
def _drop_of(cases: Sequence[Case], predict: Predict | None, name: str) -> list[float | Undefined]:
    """Share of the target's probability that is lost behind the heatmap."""
    return by_image(_drop, cases, predict, name, "average_drop")


@register_metric(
    "increase_in_confidence",
    needs="predict",
    unit="higher (1) or not (0)",
    bounds="0..1",
    higher_is_better=True,
    protocols=_DROPS,
)
def _increase_of(
    cases: Sequence[Case], predict: Predict | None, name: str
) -> list[bool | Undefined]:
    """Share of images whose probability is higher behind the heatmap."""
    return by_image(_increase, cases, predict, name, "increase_in_confidence")


@register_metric(
    "average_gain",
    needs="predict",
    unit="share of the missing probability",
    bounds="0..1",
    higher_is_better=True,
    protocols=_DROPS,
)
def _gain_of(cases: Sequence[Case], predict: Predict | None, name: str) -> list[float | Undefined]:
    """Share of the missing probability that is gained behind the heatmap."""
    return by_image(_gain, cases, predict, name, "average_gain")
