"""Robustness: does a heatmap stay the same where the image hardly changes?

The model is asked for further heatmaps of the same layer, method and class (`Explain`). Its own
prediction may change as well; that is part of what is measured.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import TypeAlias

import numpy as np
from numpy.typing import NDArray

from gradcam_eval import arrays
from gradcam_eval.core import Case, Explain, Heatmap, Image, InputError, Predict, Undefined
from gradcam_eval.metrics.cases import chosen
from gradcam_eval.metrics.registry import register_metric
from gradcam_eval.protocols import SensitivityProtocol

Images: TypeAlias = NDArray[np.float32]

NOT_ASKABLE = (
    "what made this heatmap cannot be asked for others (a control, or a heatmap made elsewhere)"
)


def max_sensitivity(
    explain: Explain, image: Image, neighbours: Images, *, is_relative: bool = True
) -> float | Undefined:
    """Largest relative change of a heatmap under small changes of its image.

    ``max_d ‖Φ(x_d) − Φ(x)‖ / ‖Φ(x)‖`` over the given neighbours x_d, in the L2 norm.

    Parameters
    ----------
    explain : images (n, H, W, C), 0..255 → heatmaps (n, h, w) of one class
    image : float32 (H, W, C), 0..255
    neighbours : float32 (D, H, W, C), see `uniform_neighbours`
    is_relative : whether to divide by ‖Φ(x)‖

    Returns
    -------
    float, 0 or more, lower is better: 0 where the heatmap never changes. Undefined where the
    heatmap is constant or not finite, or a neighbour's is not finite.

    Notes
    -----
    The paper's definition has no denominator; its code (chihkuanyeh/saliency_evaluation) divides
    by ‖Φ(x)‖, without which heatmaps of different scales do not compare. The code of 2019 divided
    the running maximum again at each draw; that was corrected in 2022, to what is computed here.

    References
    ----------
    Yeh, Hsieh, Suggala, Inouye, Ravikumar: On the (In)fidelity and Sensitivity of Explanations,
    NeurIPS 2019, arXiv:1901.09392.
    """
    changes = _changes(explain, image, neighbours, is_relative)
    return changes if isinstance(changes, Undefined) else float(changes.max())


def average_sensitivity(
    explain: Explain, image: Image, neighbours: Images, *, is_relative: bool = True
) -> float | Undefined:
    """Mean relative change of a heatmap under small changes of its image.

    ``mean_d ‖Φ(x_d) − Φ(x)‖ / ‖Φ(x)‖``; all else as `max_sensitivity`.
    """
    changes = _changes(explain, image, neighbours, is_relative)
    return changes if isinstance(changes, Undefined) else float(changes.mean())


def local_lipschitz(
    explain: Explain, image: Image, neighbours: Images, *, is_relative: bool = True
) -> float | Undefined:
    """Largest change of a heatmap per change of its image.

    ``max_d (‖Φ(x_d) − Φ(x)‖ / ‖Φ(x)‖) / ‖x_d − x‖`` with images in units of their range (x / 255);
    without ‖Φ(x)‖ where `is_relative` is False, as published.

    Parameters
    ----------
    explain, image, neighbours, is_relative : as of `max_sensitivity`

    Returns
    -------
    float, 0 or more, lower is better. Undefined as `max_sensitivity` is, and where no neighbour
    differs from the image.

    Notes
    -----
    The paper searches the neighbourhood for the maximum by Bayesian optimisation; random draws give
    a lower bound of it, as common libraries do. Its ratio has no ‖Φ(x)‖: "lipschitz2018" divides by
    it, so that methods of different scales compare; "lipschitz2018_absolute" does not.

    References
    ----------
    Alvarez-Melis, Jaakkola: On the Robustness of Interpretability Methods, 2018, arXiv:1806.08049.
    """
    changes = _changes(explain, image, neighbours, is_relative)
    if isinstance(changes, Undefined):
        return changes
    distances = _norms((neighbours - image) / 255)
    if not distances.any():
        return Undefined("no neighbour differs from the image")
    return float((changes[distances > 0] / distances[distances > 0]).max())


def uniform_neighbours(
    image: Image, *, radius: float, draws: int, generator: np.random.Generator
) -> Images:
    """Draw images uniformly from the box ``‖x' − x‖∞ ≤ radius``.

    Parameters
    ----------
    image : float32 (H, W, C), 0..255
    radius : grey levels, of 255
    draws : how many

    Returns
    -------
    float32 (draws, H, W, C); values may leave 0..255, as in Yeh et al.
    """
    if not (radius > 0 and draws > 0):
        raise InputError(f"radius is {radius} and draws {draws}: wanted both above 0")
    noise = generator.uniform(-radius, radius, (draws, *image.shape))
    return (image + noise).astype(np.float32)


def _changes(
    explain: Explain, image: Image, neighbours: Images, is_relative: bool
) -> NDArray[np.float64] | Undefined:
    # One question, so that all heatmaps come from the same kind of pass.
    maps = asked(explain, np.concatenate([image[None], neighbours]))
    reason = arrays.degenerate_reason(maps[0])
    if reason:
        return Undefined(reason)
    if not np.isfinite(maps).all():
        return Undefined("a heatmap of a changed image has values that are not finite")
    changes = _norms(maps[1:] - maps[0])
    return changes / _norms(maps[:1]) if is_relative else changes


def _norms(values: NDArray[np.floating]) -> NDArray[np.float64]:
    flat = values.reshape(len(values), -1).astype(np.float64)
    return np.asarray(np.linalg.norm(flat, axis=1))


def asked(explain: Explain, images: Images) -> Heatmap:
    """Return the heatmap (n, h, w) of each image, or say that these are none."""
    maps = np.asarray(explain(images))
    if maps.ndim != 3 or len(maps) != len(images):
        raise InputError(
            f"explain returned shape {maps.shape} for {len(images)} images: wanted (n, h, w), a "
            "heatmap for each"
        )
    return maps


def _of_neighbours(
    cases: Sequence[Case],
    metric: Callable[..., float | Undefined],
    rules: SensitivityProtocol,
) -> list[float | Undefined]:
    """Measure each case on neighbours that all cells and metrics of an image share."""
    drawn: dict[tuple[int, int], Images] = {}
    results: list[float | Undefined] = []
    for case in cases:
        reason = arrays.degenerate_reason(case.heatmap)
        if reason or case.explain is None:
            results.append(Undefined(reason or NOT_ASKABLE))
            continue
        key = (id(case.image), case.seed)
        if key not in drawn:
            generator = case.generator("sensitivity")
            drawn[key] = uniform_neighbours(
                case.image, radius=rules.radius, draws=rules.draws, generator=generator
            )
        found = metric(case.explain, case.image, drawn[key], is_relative=rules.is_relative)
        results.append(found)
    return results


_PROTOCOLS = ("yeh2019", "yeh2019_small")


@register_metric(
    "max_sensitivity",
    needs="explain",
    unit="relative change",
    bounds="0 or more",
    higher_is_better=False,
    protocols=_PROTOCOLS,
)
def _max(cases: Sequence[Case], predict: Predict | None, name: str) -> list[float | Undefined]:
    """Largest relative change of the heatmap under noise on the image."""
    return _of_neighbours(
        cases, max_sensitivity, chosen(name, "max_sensitivity", SensitivityProtocol)
    )


@register_metric(
    "average_sensitivity",
    needs="explain",
    unit="relative change",
    bounds="0 or more",
    higher_is_better=False,
    protocols=_PROTOCOLS,
)
def _average(cases: Sequence[Case], predict: Predict | None, name: str) -> list[float | Undefined]:
    """Mean relative change of the heatmap under noise on the image."""
    return _of_neighbours(
        cases, average_sensitivity, chosen(name, "average_sensitivity", SensitivityProtocol)
    )


@register_metric(
    "local_lipschitz",
    needs="explain",
    unit="change per unit of image change",
    bounds="0 or more",
    higher_is_better=False,
    protocols=("lipschitz2018", "lipschitz2018_absolute"),
)
def _lipschitz(
    cases: Sequence[Case], predict: Predict | None, name: str
) -> list[float | Undefined]:
    """Largest change of the heatmap per change of the image."""
    return _of_neighbours(
        cases, local_lipschitz, chosen(name, "local_lipschitz", SensitivityProtocol)
    )
