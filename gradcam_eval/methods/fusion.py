"""Fusion: one heatmap from those of several layers, coarse and fine together.

Every function takes the maps of one method at several layers, float32 arrays (N, hₗ, wₗ) in the
order of the network, and returns float32 (N, h, w) with h and w the largest of theirs. `of` names
the method that makes the members; the `Explainer` reads it, the functions do not.

Before they meet, the members are made alike, image by image: M̂ₗ = [Mₗ]₊ resized bilinearly to
(h, w) and divided by its maximum. A member whose [Mₗ]₊ has no order (all zero, constant, 1×1) says
nothing of where the evidence lies, and is left out for that image: else it would empty a product
and fill a maximum. Where every member is left out the map is all zero, which metrics report as
undefined. A member that is not finite makes the map not finite: a fault is not hidden.
"""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence

import numpy as np
from numpy.typing import NDArray

from gradcam_eval.arrays import resize
from gradcam_eval.core import Heatmap, InputError
from gradcam_eval.methods.registry import Options


def fusion_mean(maps: Sequence[Heatmap], *, of: str = "layer_cam") -> Heatmap:
    """Mean over layers of their maps, each scaled to its own maximum.

    L = (1/n) Σₗ M̂ₗ over the n members that are not left out. Range [0, 1].

    Notes
    -----
    No paper: the plain average, a baseline for the other two.
    """
    total, count = _fold(np.add, _members(maps))
    return _where_any(total / np.maximum(count, 1), count)


def fusion_max(maps: Sequence[Heatmap], *, of: str = "layer_cam", gamma: float = 2.0) -> Heatmap:
    """LayerCAM's fusion: the element-wise maximum over layers, after a saturating scale.

    L = maxₗ tanh(γ M̂ₗ). Range [0, tanh γ].

    Parameters
    ----------
    maps, of : as of every fusion, see above
    gamma : γ, above 0

    Raises
    ------
    InputError : a gamma that is not above 0

    Notes
    -----
    The paper scales with tanh the maps of shallow layers alone (the first three of VGG16's five
    stages), whose few high values would otherwise leave the rest too low to win the maximum. Where
    shallow ends is not defined for other networks, so every member is scaled, as torch-cam does.
    The paper resizes to the image and divides by the maximum before; here by that of the resized.

    References
    ----------
    Jiang et al., "LayerCAM: Exploring Hierarchical Class Activation Maps for Localization",
    IEEE TIP 30, 2021, equation 9 and the text on fusion.
    """
    check_fusion_max("fusion_max", {"gamma": gamma})
    scaled = ((np.tanh(gamma * each), is_used) for each, is_used in _members(maps))
    return _where_any(*_fold(np.maximum, scaled))


def check_fusion_max(name: str, options: Options) -> None:
    """Raise InputError for a gamma that would empty the map, or turn it round."""
    if not options["gamma"] > 0:
        raise InputError(f"{name}: gamma is {options['gamma']}: wanted a number above 0")


def fusion_product(maps: Sequence[Heatmap], *, of: str = "layer_cam") -> Heatmap:
    """Product over layers of their maps: only what every layer points at remains.

    L = (Πₗ M̂ₗ)^(1/n) over the n members that are not left out. Range [0, 1].

    Notes
    -----
    After Poly-CAM, which refines a deep layer's map by multiplying it, enlarged, with those of
    shallower layers, one after the other. Poly-CAM weighs channels without gradients and normalises
    each step by its neighbourhood; here the members are any method's, and all are multiplied at
    once. The root changes no order of pixels: it keeps products of many layers from underflowing,
    and the scale the same where a member is left out.

    References
    ----------
    Englebert, Cornu & De Vleeschouwer, "Poly-CAM: High resolution class activation map for
    convolutional neural networks", arXiv:2204.13359, 2022.
    """
    with np.errstate(divide="ignore"):  # the logarithm of 0 is −∞, and the product 0
        logarithms = ((np.log(each), is_used) for each, is_used in _members(maps))
        total, count = _fold(np.add, logarithms)
    return _where_any(np.exp(total / np.maximum(count, 1)), count)


_Member = tuple[NDArray[np.float64], NDArray[np.bool_]]


def _members(maps: Sequence[Heatmap]) -> Iterator[_Member]:
    """Yield each layer's M̂ (N, h, w), and for which images it counts, (N, 1, 1)."""
    size = (max(each.shape[1] for each in maps), max(each.shape[2] for each in maps))
    for each in maps:
        positive = resize(np.maximum(each, 0), size).astype(np.float64)
        low = positive.min(axis=(1, 2), keepdims=True)
        high = positive.max(axis=(1, 2), keepdims=True)
        has_order = (high > low) | ~np.isfinite(high)
        yield positive / np.where(has_order, high, 1), has_order


def _fold(
    combine: Callable[..., NDArray[np.float64]], members: Iterable[_Member]
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Combine the members that count; return that and how many they were, (N, 1, 1)."""
    total, count = np.zeros(()), np.zeros((), np.int64)
    for each, is_used in members:
        combined = np.where(count == 0, each, combine(total, each))
        total = np.where(is_used, combined, total)
        count = count + is_used
    return total, count


def _where_any(fused: NDArray[np.float64], count: NDArray[np.int64]) -> Heatmap:
    return np.asarray(np.where(count == 0, 0.0, fused), np.float32)
