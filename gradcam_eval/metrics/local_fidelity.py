"""Infidelity: how far is the heatmap's forecast of the score's fall from the fall?"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from gradcam_eval.core import Case, Image, Predict, Undefined
from gradcam_eval.metrics.cases import by_image, chosen
from gradcam_eval.metrics.inputs import Heatmaps, Request, checked_request, finite_scores, scored
from gradcam_eval.metrics.registry import register_metric
from gradcam_eval.perturb import image_scores
from gradcam_eval.protocols import InfidelityProtocol


def infidelity(
    predict: Predict | Any,
    images: NDArray[np.float32],
    heatmaps: Heatmaps,
    targets: Sequence[int],
    protocol: str | InfidelityProtocol = "infidelity2019_places_scaled",
) -> list[float | Undefined]:
    """Measure the mean squared error of the heatmap's forecast of the score's fall.

    ``INFD = E_I [(β · Iᵀ Φ − (f(x) − f(x − I)))²]`` over random perturbations I; β = 1, or, where
    the protocol is scaled, ``β = E[Iᵀ Φ · fall] / E[(Iᵀ Φ)²]``, the factor that fits best.
    Parameters and errors as for `deletion`. In [0, ∞), in the squared unit of the score; lower is
    better. Undefined where the forecast is 0 for every perturbation and β is asked for.

    Notes
    -----
    "square": one square, of a side from 1 to 10/28 of the image's and anywhere inside it, becomes
    black; I is 1 on it, so that Iᵀ Φ is the heatmap's sum over it. The authors' code takes every
    such square once, and so small ones more often: a side of s pixels (29 − s)² times in an image
    of 28 × 28. "infidelity2019_places_scaled" draws each square with the same probability and
    estimates their number without bias; "infidelity2019_scaled" draws every side with the same
    probability, another distribution. "noisy baseline": every value
    becomes noise round black, cut to 0..1, and I is what was taken away; a heatmap has no channels,
    so that I is averaged over them. All heatmaps of an image meet the same perturbations.

    Without the scaling the number depends on the heatmap's unit: a CAM twice as large has another
    infidelity. The authors' code always scales.

    References
    ----------
    Yeh et al.: On the (In)fidelity and Sensitivity of Explanations, NeurIPS 2019, arXiv:1901.09392,
    definition 2.1; repository chihkuanyeh/saliency_evaluation.
    """
    rules = chosen(protocol, "infidelity", InfidelityProtocol)
    request = checked_request(images, heatmaps, targets, rules.seed)
    return scored(_infidelity, predict, request, rules)


def _infidelity(
    predict: Predict, request: Request, rules: InfidelityProtocol
) -> list[float | Undefined]:
    framed, undefined = request.framed()
    results: dict[int, float | Undefined] = dict(undefined)
    draw = _squares if rules.perturbation == "square" else _noise
    for image, target, members in request.groups(list(framed)):
        picture = request.images[image]
        perturbed, taken = draw(picture, rules, request.generator())
        targets = np.full(rules.draws + 1, target, np.int32)
        scores = image_scores(predict, _first_whole(picture, perturbed), targets)
        falls = scores[0] - scores[1:]
        for n in members:
            forecast = np.asarray(taken @ framed[n].reshape(-1), np.float64)
            results[n] = _error(forecast, falls, rules.is_scaled)
    return [results[n] for n in range(len(request.heatmaps))]


def _error(
    forecast: NDArray[np.float64], falls: NDArray[np.float64], is_scaled: bool
) -> float | Undefined:
    found = finite_scores(falls)
    if isinstance(found, Undefined):
        return found
    if is_scaled:
        power = float(forecast @ forecast)
        if power == 0:
            return Undefined("the heatmap is 0 wherever the image was perturbed")
        forecast = forecast * (float(forecast @ falls) / power)
    return float(np.mean((forecast - falls) ** 2))


def _first_whole(picture: Image, perturbed: Iterator[Image]) -> Iterator[Image]:
    yield picture
    yield from perturbed


def _squares(
    picture: Image, rules: InfidelityProtocol, generator: np.random.Generator
) -> tuple[Iterator[Image], NDArray[np.float32]]:
    """Return the images with a black square each, and I as (draws, H W): 1 on the square."""
    height, width = picture.shape[:2]
    largest = max(1, round((rules.largest_square or 0) * min(height, width)))
    inside = np.zeros((rules.draws, height, width), bool)
    sides = _sides(rules, (height, width), largest, generator)
    for mask, side in zip(inside, sides, strict=True):
        top = generator.integers(0, height - side + 1)
        left = generator.integers(0, width - side + 1)
        mask[top : top + side, left : left + side] = True
    images = (np.where(mask[..., None], np.float32(0), picture) for mask in inside)
    return images, inside.reshape(rules.draws, -1).astype(np.float32)


def square_places(size: tuple[int, int], largest: int) -> NDArray[np.int64]:
    """Return in how many places of an image (H, W) a square of each side, 1 to `largest`, fits.

    Examples
    --------
    >>> square_places((28, 28), 10).tolist(), int(square_places((28, 28), 10).sum())
    ([784, 729, 676, 625, 576, 529, 484, 441, 400, 361], 5605)
    """
    sides = np.arange(1, largest + 1)
    return (size[0] + 1 - sides) * (size[1] + 1 - sides)


def _sides(
    rules: InfidelityProtocol,
    size: tuple[int, int],
    largest: int,
    generator: np.random.Generator,
) -> Iterator[int]:
    """Yield the side of each square, 1 to `largest`; evenly ones in turn with their places."""
    if rules.sides == "by number of places":
        places = square_places(size, largest)
        yield from (1 + generator.choice(largest, rules.draws, p=places / places.sum())).tolist()
    else:
        for _ in range(rules.draws):
            yield int(generator.integers(1, largest + 1))


def _noise(
    picture: Image, rules: InfidelityProtocol, generator: np.random.Generator
) -> tuple[Iterator[Image], NDArray[np.float32]]:
    """Return images of noise round black, and I as (draws, H W): what they lack of the picture."""
    shape = (rules.draws, *picture.shape)
    noise = generator.normal(0, rules.noise or 0, shape).astype(np.float32)
    values = np.clip(noise, 0, 1, out=noise)
    taken = (picture / 255 - values).mean(axis=-1).reshape(rules.draws, -1)
    return (255 * each for each in values), taken


@register_metric(
    "infidelity",
    needs="predict",
    unit="squared probability",
    bounds="0 or more",
    higher_is_better=False,
    protocols=(
        "infidelity2019_places_scaled",
        "infidelity2019_places",
        "infidelity2019_scaled",
        "infidelity2019",
        "infidelity2019_noise_scaled",
        "infidelity2019_noise",
    ),
)
def _infidelity_of(
    cases: Sequence[Case], predict: Predict | None, name: str
) -> list[float | Undefined]:
    """Mean squared error of the heatmap's forecast of the score's fall under perturbations."""
    return by_image(_infidelity, cases, predict, name, "infidelity")
