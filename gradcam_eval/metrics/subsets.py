"""Random sets of pixels are removed: does the heatmap's sum over a set tell how the score falls?"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradcam_eval.core import Case, Curve, Predict, Undefined
from gradcam_eval.metrics.cases import by_image, chosen
from gradcam_eval.metrics.inputs import Heatmaps, Request, checked_request, scored
from gradcam_eval.metrics.registry import register_metric
from gradcam_eval.perturb import Perturbation, filled, masked_scores
from gradcam_eval.protocols import SubsetProtocol


def sensitivity_n(
    predict: Predict | Any,
    images: NDArray[np.float32],
    heatmaps: Heatmaps,
    targets: Sequence[int],
    protocol: str | SubsetProtocol = "ancona2018",
) -> list[Curve | Undefined]:
    """Correlate, for sets of n pixels, the heatmap's sum over a set with the score's fall.

    ``score(n) = corr_S(Σ_{i∈S} R_i, f(x) − f(x without S))``, Pearson's correlation over random
    sets S of n pixels each; n grows along the curve, whose fraction is n / (H W). Parameters and
    errors as for `deletion`. In -1..1; higher is better. Undefined where the score does not react
    to the sets of some n, or the heatmap's sums over them are all equal.

    Notes
    -----
    All heatmaps of an image meet the same sets, so that the model is asked once for all. The paper
    removes values of the input; here all channels of a pixel go together. It shows the correlation
    over n; the one number here is the trapezoid over the fractions.

    References
    ----------
    Ancona et al.: Towards Better Understanding of Gradient-based Attribution Methods for Deep
    Neural Networks, ICLR 2018, arXiv:1711.06104, section 4.
    """
    rules = chosen(protocol, "sensitivity_n", SubsetProtocol)
    request = checked_request(images, heatmaps, targets, rules.seed)
    return scored(_sensitivity, predict, request, rules)


def faithfulness_correlation(
    predict: Predict | Any,
    images: NDArray[np.float32],
    heatmaps: Heatmaps,
    targets: Sequence[int],
    protocol: str | SubsetProtocol = "bhatt2020_correlation",
) -> list[float | Undefined]:
    """Correlate, for sets of one size, the heatmap's sum over a set with the score's fall.

    ``corr_S(Σ_{i∈S} R_i, f(x) − f(x without S))``, |S| fixed. As `sensitivity_n` at a single n.

    References
    ----------
    Bhatt, Weller, Moura: Evaluating and Aggregating Feature-based Model Explanations, IJCAI 2020,
    arXiv:2005.00631, definition of faithfulness.
    """
    rules = chosen(protocol, "faithfulness_correlation", SubsetProtocol)
    request = checked_request(images, heatmaps, targets, rules.seed)
    return scored(_correlation, predict, request, rules)


def random_sets(
    pixels: int, size: int, draws: int, generator: np.random.Generator
) -> NDArray[np.bool_]:
    """Draw sets of `size` of the pixels, each as likely as any other: bool (draws, pixels)."""
    order = np.argpartition(generator.random((draws, pixels)), size - 1, axis=1)
    sets = np.zeros((draws, pixels), bool)
    np.put_along_axis(sets, order[:, :size], True, axis=1)
    return sets


def _correlations(
    predict: Predict, request: Request, rules: SubsetProtocol
) -> dict[int, NDArray[np.float64] | Undefined]:
    """Return the correlation at each size of the sets, for each heatmap that ranks pixels."""
    framed, undefined = request.framed()
    found: dict[int, NDArray[np.float64] | Undefined] = dict(undefined)
    pixels = request.size[0] * request.size[1]
    for image, target, members in request.groups(list(framed)):
        picture = request.images[image][None]
        generator = request.generator()
        fill = filled(picture, rules.removal, generator)
        maps = np.stack([framed[n].reshape(-1) for n in members]).astype(np.float64)
        columns = []
        for size in rules.sizes(pixels):
            sets = random_sets(pixels, size, rules.draws, generator)
            falls = _falls(predict, (picture, fill), target, sets)
            columns.append([_pearson(sets @ each, falls) for each in maps])
        for n, row in zip(members, np.array(columns).T, strict=True):
            is_known = np.isfinite(row).all()
            found[n] = (
                row
                if is_known
                else Undefined("the score or the heatmap does not vary over the sets")
            )
    return found


def _falls(
    predict: Predict,
    change: tuple[NDArray[np.float32], NDArray[np.float32]],
    target: int,
    sets: NDArray[np.bool_],
) -> NDArray[np.float64]:
    """Return f(x) − f(x without S) of one image for each set."""
    image, fill = change
    whole = np.zeros((1, sets.shape[1]), bool)
    outside = ~np.concatenate([whole, sets])
    plan = Perturbation(
        image,
        fill,
        owner=np.zeros(len(outside), np.int32),
        ranks=outside.reshape(-1, *image.shape[1:3]).astype(np.int32),
        counts=np.ones(1, np.int32),
        targets=np.full(len(outside), target, np.int32),
    )
    scores = masked_scores(predict, plan)[:, 0]
    return scores[0] - scores[1:]


def _pearson(one: NDArray[np.float64], other: NDArray[np.float64]) -> float:
    """Return Pearson's correlation, or NaN where one side is constant or not finite."""
    if not (np.isfinite(one).all() and np.isfinite(other).all()):
        return float("nan")
    a, b = one - one.mean(), other - other.mean()
    size = float(np.sqrt((a @ a) * (b @ b)))
    # what rounding leaves of a constant is no variation
    noise = (
        len(a) * (np.finfo(np.float32).eps ** 2) * float(np.abs(one).max() * np.abs(other).max())
    )
    return float(a @ b) / size if size > noise else float("nan")


def _sensitivity(
    predict: Predict, request: Request, rules: SubsetProtocol
) -> list[Curve | Undefined]:
    pixels = request.size[0] * request.size[1]
    sizes = np.array(rules.sizes(pixels))
    found = _correlations(predict, request, rules)
    values = [found[n] for n in range(len(request.heatmaps))]
    return [v if isinstance(v, Undefined) else Curve(sizes / pixels, v) for v in values]


def _correlation(
    predict: Predict, request: Request, rules: SubsetProtocol
) -> list[float | Undefined]:
    found = _correlations(predict, request, rules)
    values = [found[n] for n in range(len(request.heatmaps))]
    return [v if isinstance(v, Undefined) else float(v[0]) for v in values]


@register_metric(
    "sensitivity_n",
    needs="predict",
    unit="correlation",
    bounds="-1..1",
    higher_is_better=True,
    protocols=("ancona2018", "ancona2018_logit"),
)
def _sensitivity_of(
    cases: Sequence[Case], predict: Predict | None, name: str
) -> list[Curve | Undefined]:
    """Correlation of the heatmap's sum over random sets of n pixels with the score's fall."""
    return by_image(_sensitivity, cases, predict, name, "sensitivity_n")


@register_metric(
    "faithfulness_correlation",
    needs="predict",
    unit="correlation",
    bounds="-1..1",
    higher_is_better=True,
    protocols=("bhatt2020_correlation",),
)
def _correlation_of(
    cases: Sequence[Case], predict: Predict | None, name: str
) -> list[float | Undefined]:
    """Correlation of the heatmap's sum over random sets of pixels with the score's fall."""
    return by_image(_correlation, cases, predict, name, "faithfulness_correlation")
