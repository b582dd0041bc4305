"""Lay a heatmap over its image."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import matplotlib
import numpy as np
from numpy.typing import NDArray

from gradcam_eval.arrays import degenerate_reason, min_max, resize
from gradcam_eval.core import Heatmap, InputError, unknown_name
from gradcam_eval.values import LEVELS, PERTURBED, as_values, check_values, to_levels


def overlay(
    image: NDArray[Any],
    heatmap: Heatmap,
    *,
    alpha: float = 0.4,
    cmap: str = "jet",
    values: Sequence[float] = LEVELS,
) -> NDArray[np.uint8]:
    """Blend a coloured heatmap into its image.

    out = (1 - alpha) · image + alpha · cmap(min_max(max(resize(heatmap), 0)))

    Parameters
    ----------
    image : numbers (H, W, 3), RGB, or (H, W, 1), grey, in `values`
    heatmap : float (h, w), raw scale, larger = more relevant
    alpha : weight of the colour, 0..1
    cmap : name of a matplotlib colormap
    values : the range [low, high] of the image; low is shown black, high white

    Returns
    -------
    uint8 (H, W, 3)

    Raises
    ------
    InputError
        A shape, range or name is not as above.

    Notes
    -----
    The map is resized bilinearly, then negatives are set to 0, then it is scaled to its own 0..1:
    colours of two maps do not compare. A map without an order (constant, all zero, one pixel,
    nothing positive, not finite) leaves the image untinted, so that it cannot pass for evidence.
    """
    within = as_values(values)
    _check(image, heatmap, alpha)
    check_values(image, within, what="the image's values", slack=PERTURBED)
    if cmap not in matplotlib.colormaps:
        raise unknown_name("colormap", cmap, list(matplotlib.colormaps))
    picture = np.clip(image if within == LEVELS else to_levels(image, within), 0, 255)
    if picture.shape[2] == 1:
        picture = np.repeat(picture, 3, axis=2)
    positive = positive_map(heatmap, (image.shape[0], image.shape[1]))
    if positive is None:
        return np.asarray(np.rint(picture), np.uint8)
    colour = matplotlib.colormaps[cmap](positive)[..., :3] * 255
    return np.asarray(np.rint((1 - alpha) * picture + alpha * colour), np.uint8)


def positive_map(heatmap: Heatmap, size: tuple[int, int]) -> Heatmap | None:
    """Return the map's positive part at `size`, scaled to 0..1; None where it shows nothing."""
    if degenerate_reason(heatmap):
        return None
    positive = np.maximum(resize(heatmap, size), 0)
    return None if degenerate_reason(positive) else min_max(positive)


def _check(image: NDArray[Any], heatmap: Heatmap, alpha: float) -> None:
    """Raise InputError where the arrays cannot be blended."""
    if not isinstance(image, np.ndarray) or image.ndim != 3 or image.shape[2] not in (1, 3):
        raise InputError(
            f"overlay received an image of shape {np.shape(image)}: give one RGB array (H, W, 3), "
            "or a grey one (H, W, 1)."
        )
    if image.dtype.kind not in "uif" or not image.size:
        raise InputError(
            f"overlay received an image of dtype {image.dtype} that is empty or has no numbers: "
            "give uint8 or float values in 0..255."
        )
    if not isinstance(heatmap, np.ndarray) or heatmap.ndim != 2 or not heatmap.size:
        raise InputError(
            f"overlay received a heatmap of shape {np.shape(heatmap)}: give one map (h, w)."
        )
    if not 0 <= alpha <= 1:
        raise InputError(f"overlay received alpha {alpha!r}: give a number from 0 to 1.")
