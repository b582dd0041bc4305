"""Whole regions are removed one after another: AOPC by squares, IROF by superpixels."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradcam_eval import arrays
from gradcam_eval.core import Case, Heatmap, Image, Predict, Undefined
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
from gradcam_eval.perturb import Perturbation, filled, masked_scores
from gradcam_eval.protocols import RegionProtocol


def aopc(
    predict: Predict | Any,
    images: NDArray[np.float32],
    heatmaps: Heatmaps,
    targets: Sequence[int],
    protocol: str | RegionProtocol = "samek2017_one_draw",
) -> list[float | Undefined]:
    """Measure the mean fall of the score while regions are removed, the most relevant first.

    ``AOPC = 1 / (L + 1) · Σ_{k=0..L} (f(x₀) − f(x_k))``, where x_k lacks the k most relevant of the
    image's regions. The area over the MoRF perturbation curve; parameters and errors as for
    `deletion`. In -1..1 for probabilities; higher is better.

    Notes
    -----
    Squares of 9 × 9 pixels from the upper left corner (those at the right and lower border may be
    smaller), 100 of them or as many as there are, filled with uniform noise. A square's relevance
    is the sum of its pixels'; equal ones go in row-major order. "samek2017" averages the score over
    ten draws of the noise, as the paper does; "samek2017_one_draw" takes the first of them.

    References
    ----------
    Samek et al.: Evaluating the Visualization of What a Deep Neural Network Has Learned, IEEE TNNLS
    2017, arXiv:1509.06321, equation 12.
    """
    rules = chosen(protocol, "aopc", RegionProtocol)
    request = checked_request(images, heatmaps, targets, rules.seed)
    return scored(_aopc, predict, request, rules)


def irof(
    predict: Predict | Any,
    images: NDArray[np.float32],
    heatmaps: Heatmaps,
    targets: Sequence[int],
    protocol: str | RegionProtocol = "irof2020",
) -> list[float | Undefined]:
    """Measure the share of the score that is lost while superpixels are removed (IROF).

    ``IROF = 1 − area of f(x_l) / f(x₀) over l / L``, l = 0..L superpixels removed, the one with the
    highest mean relevance first; the area is the trapezoid. Parameters and errors as for
    `deletion`. At most 1; higher is better. Undefined where f(x₀) is 0 or the image is one segment.

    Notes
    -----
    Superpixels are SLIC's of scikit-image, and a removed one gets the image's mean colour. They are
    removed one after another. The library Quantus (quantus/metrics/faithfulness/irof.py), whose
    number of segments we share, has no point without removal and does not divide by the number of
    segments L: with the same scores it returns ``L · IROF + (1 + f(x₁) / f(x₀)) / 2``. Its early
    versions took each segment away from the whole image instead, and left one out.

    References
    ----------
    Rieger, Hansen: IROF: a low resource evaluation metric for explanation methods, 2020,
    arXiv:2003.08747.
    """
    rules = chosen(protocol, "irof", RegionProtocol)
    request = checked_request(images, heatmaps, targets, rules.seed)
    return scored(_irof, predict, request, rules)


def square_grid(size: tuple[int, int], side: int) -> NDArray[np.int64]:
    """Number the squares of a grid, row-major: (H, W), each pixel with its square's number.

    Examples
    --------
    >>> square_grid((2, 5), 2).tolist()
    [[0, 0, 1, 1, 2], [0, 0, 1, 1, 2]]
    """
    rows, columns = (np.arange(n) // side for n in size)
    return rows[:, None] * (columns[-1] + 1) + columns


def superpixels(image: Image, rules: RegionProtocol) -> NDArray[np.int64]:
    """Number an image's superpixels from 0: (H, W)."""
    from skimage.segmentation import slic

    found = slic(
        image / 255,
        n_segments=rules.segments,
        compactness=rules.compactness,
        sigma=rules.sigma,
        start_label=0,
        channel_axis=-1,
    )
    numbers = np.unique(found, return_inverse=True)[1]
    return numbers.reshape(found.shape)


def region_ranks(framed: Heatmap, labels: NDArray[np.int64], relevance: str) -> NDArray[np.int32]:
    """Give each pixel the rank of its region, 0 for the most relevant one; ties by number."""
    flat = labels.reshape(-1)
    total = np.bincount(flat, weights=framed.reshape(-1).astype(np.float64))
    worth = total / np.bincount(flat) if relevance == "mean" else total
    return arrays.rank_pixels(worth[None].astype(np.float32))[0][labels]


def _region_scores(
    predict: Predict, request: Request, rules: RegionProtocol
) -> dict[int, NDArray[np.float64] | Undefined]:
    """Return the score with 0, 1, 2, … regions removed, of each heatmap that ranks pixels."""
    framed, undefined = request.framed()
    found: dict[int, NDArray[np.float64] | Undefined] = dict(undefined)
    generator = request.generator()
    fills = [filled(request.images, rules.removal, generator) for _ in range(rules.repeats)]
    for image in sorted({int(request.owners[n]) for n in framed}):
        members = [n for n in framed if request.owners[n] == image]
        picture = request.images[image]
        is_squares = rules.regions == "squares"
        labels = square_grid(request.size, rules.size or 1) if is_squares else None
        labels = superpixels(picture, rules) if labels is None else labels
        regions = int(labels.max()) + 1
        ranks = [region_ranks(framed[n], labels, rules.relevance) for n in members]
        plan = Perturbation(
            np.stack([picture] * rules.repeats),
            np.stack([fill[image] for fill in fills]),
            owner=np.repeat(np.arange(rules.repeats, dtype=np.int32), len(members)),
            ranks=np.stack(ranks * rules.repeats),
            counts=np.arange(min(rules.steps or regions, regions) + 1, dtype=np.int32),
            targets=np.tile(request.targets[members], rules.repeats),
        )
        scores = masked_scores(predict, plan).reshape(rules.repeats, len(members), -1).mean(axis=0)
        found.update(zip(members, map(finite_scores, scores), strict=True))
    return found


def _aopc(predict: Predict, request: Request, rules: RegionProtocol) -> list[float | Undefined]:
    found = _region_scores(predict, request, rules)
    return [_mean_fall(found[n]) for n in range(len(request.heatmaps))]


def _mean_fall(scores: NDArray[np.float64] | Undefined) -> float | Undefined:
    if isinstance(scores, Undefined):
        return scores
    return float((scores[0] - scores).mean())


@of_probabilities
def _irof(predict: Predict, request: Request, rules: RegionProtocol) -> list[float | Undefined]:
    found = _region_scores(predict, request, rules)
    return [_share_lost(found[n]) for n in range(len(request.heatmaps))]


def _share_lost(scores: NDArray[np.float64] | Undefined) -> float | Undefined:
    if isinstance(scores, Undefined):
        return scores
    if len(scores) <= 2:
        return Undefined("the image is a single superpixel")
    if scores[0] == 0:
        return Undefined("the score of the unperturbed image is 0")
    return float(1 - np.trapezoid(scores / scores[0]) / (len(scores) - 1))


@register_metric(
    "aopc",
    needs="predict",
    unit="probability",
    bounds="-1..1",
    higher_is_better=True,
    protocols=("samek2017_one_draw", "samek2017"),
)
def _aopc_of(cases: Sequence[Case], predict: Predict | None, name: str) -> list[float | Undefined]:
    """Mean fall of the score while squares are removed, the most relevant first."""
    return by_image(_aopc, cases, predict, name, "aopc")


@register_metric(
    "irof",
    needs="predict",
    unit="share of the score",
    bounds="at most 1",
    higher_is_better=True,
    protocols=("irof2020",),
)
def _irof_of(cases: Sequence[Case], predict: Predict | None, name: str) -> list[float | Undefined]:
    """Share of the score that is lost while superpixels are removed, the most relevant first."""
    return by_image(_irof, cases, predict, name, "irof")
