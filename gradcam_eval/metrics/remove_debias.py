"""ROAD, remove and debias: removed pixels are imputed, so that no edge betrays where they were."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradcam_eval import arrays
from gradcam_eval.core import Case, Curve, Heatmap, Predict, Undefined
from gradcam_eval.metrics.cases import by_image, chosen
from gradcam_eval.metrics.inputs import Heatmaps, Request, checked_request, finite_scores, scored
from gradcam_eval.metrics.registry import register_metric
from gradcam_eval.perturb import image_scores
from gradcam_eval.perturb.linear import Job, imputed
from gradcam_eval.protocols import RoadProtocol
from gradcam_eval.protocols.kinds import RoadArea

MEAN: RoadArea = "mean over the fractions"


def road_morf(
    predict: Predict | Any,
    images: NDArray[np.float32],
    heatmaps: Heatmaps,
    targets: Sequence[int],
    protocol: str | RoadProtocol = "road2022",
) -> list[Curve | Undefined]:
    """Measure the score with the most relevant pixels imputed (ROAD, MoRF).

    ``score(p) = f(image with its p H W most relevant pixels imputed)[target]`` for each fraction p
    of the protocol; exactly round(p H W) pixels. The one number, `Curve.area`, is the trapezoid
    over p, divided by their range ("road2022"), or the mean of the scores ("road2022_mean"), of
    which `road` is half the difference. Parameters and errors as for `deletion`; lower is better.

    Notes
    -----
    Imputation: each missing pixel is the weighted mean of its neighbours, 1/6 across an edge and
    1/12 across a corner, missing ones included; then Gaussian noise of 0.01 (images in 0..1) is
    added to each imputed value. As in the authors' code the result is not clipped to 0..1. The
    noise is drawn once for an image, so that all its heatmaps and fractions meet the same.

    Departures from the repository tleemann/road_evaluation: the probability of the target, where
    the code reports the accuracy and the mean probability of a data set; ties in row-major order,
    where noise of 1e-4 breaks them there; round(p H W) pixels, where it cuts to a whole number;
    LeRF removes the fraction p, where the code keeps it; the linear systems are solved to within
    0.01 of 255 grey levels (see `impute`), a 255th of the noise, where the code eliminates.

    References
    ----------
    Rong et al.: A Consistent and Efficient Evaluation Strategy for Attribution Methods, ICML 2022,
    arXiv:2202.00449.
    """
    rules = chosen(protocol, "road_morf", RoadProtocol)
    request = checked_request(images, heatmaps, targets, rules.seed)
    return scored(_road_morf, predict, request, rules)


def road_lerf(
    predict: Predict | Any,
    images: NDArray[np.float32],
    heatmaps: Heatmaps,
    targets: Sequence[int],
    protocol: str | RoadProtocol = "road2022",
) -> list[Curve | Undefined]:
    """Measure the score with the least relevant pixels imputed (ROAD, LeRF).

    As `road_morf`, from the other end: higher is better.
    """
    rules = chosen(protocol, "road_lerf", RoadProtocol)
    request = checked_request(images, heatmaps, targets, rules.seed)
    return scored(_road_lerf, predict, request, rules)


def road(
    predict: Predict | Any,
    images: NDArray[np.float32],
    heatmaps: Heatmaps,
    targets: Sequence[int],
    protocol: str | RoadProtocol = "road2022_combined",
) -> list[float | Undefined]:
    """Measure ROAD from both ends at once.

    ``ROAD = mean over p of (score_LeRF(p) − score_MoRF(p)) / 2``, the scores as for `road_morf`. In
    -0.5..0.5 for probabilities, 0 for a random order on average; higher is better. It is half the
    difference of `road_lerf` and `road_morf` under "road2022_mean", not of the areas that they are
    under "road2022".
    """
    rules = chosen(protocol, "road", RoadProtocol)
    request = checked_request(images, heatmaps, targets, rules.seed)
    return scored(_road, predict, request, rules)


def _road_morf(predict: Predict, request: Request, rules: RoadProtocol) -> list[Curve | Undefined]:
    return _curves(_scores(predict, request, rules, signs=(1,)), request, rules)


def _road_lerf(predict: Predict, request: Request, rules: RoadProtocol) -> list[Curve | Undefined]:
    return _curves(_scores(predict, request, rules, signs=(-1,)), request, rules)


def _road(predict: Predict, request: Request, rules: RoadProtocol) -> list[float | Undefined]:
    found = _scores(predict, request, rules, signs=(1, -1))
    fraction = _fractions(request, rules)
    return [_combined(found[n], fraction, rules) for n in range(len(request.heatmaps))]


def _combined(
    scores: NDArray[np.float64] | Undefined, fraction: NDArray[np.float64], rules: RoadProtocol
) -> float | Undefined:
    if isinstance(scores, Undefined):
        return scores
    most, least = scores
    if rules.area == MEAN:
        return float((least - most).mean() / 2)
    return Curve(fraction, least - most).area / 2


def _curves(
    found: dict[int, NDArray[np.float64] | Undefined], request: Request, rules: RoadProtocol
) -> list[Curve | Undefined]:
    fraction = _fractions(request, rules)
    scores = [found[n] for n in range(len(request.heatmaps))]
    return [
        each if isinstance(each, Undefined) else _curve(fraction, each[0], rules) for each in scores
    ]


def _curve(fraction: NDArray[np.float64], score: NDArray[np.float64], rules: RoadProtocol) -> Curve:
    return Curve(fraction, score, is_mean=rules.area == MEAN)


def _fractions(request: Request, rules: RoadProtocol) -> NDArray[np.float64]:
    pixels = request.size[0] * request.size[1]
    return np.array(_counts(rules, pixels)) / pixels


def _scores(
    predict: Predict, request: Request, rules: RoadProtocol, *, signs: tuple[int, ...]
) -> dict[int, NDArray[np.float64] | Undefined]:
    """Return the scores (orders, fractions) of each heatmap, or why it has none."""
    framed, undefined = request.framed()
    shape = (len(framed), len(signs), len(rules.fractions))
    targets = request.targets[list(framed)].repeat(shape[1] * shape[2])
    images = imputed(
        _jobs(request, rules, framed, signs),
        edge_weight=rules.edge_weight,
        diagonal_weight=rules.diagonal_weight,
    )
    scores = image_scores(predict, images, targets).reshape(shape)
    found: dict[int, NDArray[np.float64] | Undefined] = dict(undefined)
    found.update(zip(framed, map(finite_scores, scores), strict=True))
    return found


def _jobs(
    request: Request, rules: RoadProtocol, framed: dict[int, Heatmap], signs: tuple[int, ...]
) -> Iterator[Job]:
    """Yield what is to be imputed, heatmap by heatmap, order by order, fraction by fraction."""
    shape = request.images.shape[1:]
    noise = request.generator().normal(0, 255 * rules.noise, shape).astype(np.float32)
    for n, heatmap in framed.items():
        for sign in signs:
            ranks = arrays.rank_pixels(sign * heatmap)
            for count in _counts(rules, ranks.size):
                yield Job(request.images[request.owners[n]], ranks < count, noise)


def _counts(rules: RoadProtocol, pixels: int) -> list[int]:
    """Return how many pixels are imputed at each fraction: one at least is known."""
    return [min(round(fraction * pixels), pixels - 1) for fraction in rules.fractions]


_ROAD = ("road2022", "road2022_label", "road2022_mean")


@register_metric(
    "road_morf",
    needs="predict",
    unit="probability",
    bounds="0..1",
    higher_is_better=False,
    protocols=_ROAD,
)
def _morf_of(cases: Sequence[Case], predict: Predict | None, name: str) -> list[Curve | Undefined]:
    """Mean probability with pixels imputed, the most relevant first."""
    return by_image(_road_morf, cases, predict, name, "road_morf")


@register_metric(
    "road_lerf",
    needs="predict",
    unit="probability",
    bounds="0..1",
    higher_is_better=True,
    protocols=_ROAD,
)
def _lerf_of(cases: Sequence[Case], predict: Predict | None, name: str) -> list[Curve | Undefined]:
    """Mean probability with pixels imputed, the least relevant first."""
    return by_image(_road_lerf, cases, predict, name, "road_lerf")


@register_metric(
    "road",
    needs="predict",
    unit="probability",
    bounds="-0.5..0.5",
    higher_is_better=True,
    protocols=("road2022_combined",),
)
def _road_of(cases: Sequence[Case], predict: Predict | None, name: str) -> list[float | Undefined]:
    """Half the mean difference of probability between LeRF and MoRF imputation."""
    return by_image(_road, cases, predict, name, "road")
