"""Lay a heatmap over its image."""

from __future__ import annotations

from collections.abc import Sequence
from numbers import Real
from typing import Any

import matplotlib
import numpy as np
from numpy.typing import NDArray

from gradcam_eval.arrays import degenerate_reason, min_max, resize
from gradcam_eval.core import Heatmap, InputError
from gradcam_eval.data.geometry import Frame
from gradcam_eval.report.look import ALPHA, CMAP, check_colormap
from gradcam_eval.values import LEVELS, PERTURBED, as_values, check_values, to_levels

_BAND = 1 << 20  # pixels that are coloured at a time: photographs have many


def overlay(  # noqa: PLR0913 - the one call that says all
    image: NDArray[Any],
    heatmap: Heatmap,
    *,
    alpha: float = ALPHA,
    cmap: str = CMAP,
    values: Sequence[float] = LEVELS,
    frame: Frame | None = None,
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
    frame : where the photograph's pixels are in the image that was explained, where `image` is the
        photograph at any size, as ``Framing("crop").frame(photo.shape[:2], (224, 224))``; None
        where it was only resized ("squash"), which this function undoes anyway

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
    With a frame, the scale is that of the map on the whole image that was explained, padding
    included, and what the model did not see (outside a crop) is untinted.
    """
    within = as_values(values)
    _check(image, heatmap, alpha)
    check_values(image, within, what="the image's values", slack=PERTURBED)
    check_colormap(cmap)
    size = (image.shape[0], image.shape[1])
    frame = None if frame is None or frame.is_stretch else frame
    positive = positive_map(heatmap, size, frame)
    seen = None if frame is None else frame.seen(size)
    colours, out = matplotlib.colormaps[cmap], np.empty((*size, 3), np.uint8)
    step = max(1, _BAND // size[1])
    for rows in (slice(top, top + step) for top in range(0, size[0], step)):
        part = image[rows] if within == LEVELS else to_levels(image[rows], within)
        picture = np.clip(part, 0, 255)  # a grey one's channel is repeated as it meets the colours
        if positive is None:
            out[rows] = np.rint(picture)
            continue
        share = alpha if seen is None else alpha * seen[rows, :, None]
        out[rows] = np.rint((1 - share) * picture + share * colours(positive[rows])[..., :3] * 255)
    return out


def positive_map(
    heatmap: Heatmap, size: tuple[int, int], frame: Frame | None = None
) -> Heatmap | None:
    """Return the map's positive part at `size`, scaled to 0..1; None where it shows nothing."""
    if degenerate_reason(heatmap):
        return None
    positive = np.maximum(resize(heatmap, size if frame is None else frame.size), 0)
    if degenerate_reason(positive):
        return None
    if frame is None:
        return min_max(positive)
    low, high = float(positive.min()), float(positive.max())
    laid = (frame.on_file(heatmap, size) - low) / (high - low)
    return np.clip(laid, 0, 1).astype(np.float32)


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
    if not isinstance(alpha, Real) or not 0 <= alpha <= 1:
        raise InputError(f"overlay received alpha {alpha!r}: give a number from 0 to 1.")
