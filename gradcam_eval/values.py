"""In what range the values of images lie: 0 to 255 (levels), or what a call or a data set declares.

The toolkit computes in levels: fills, noise and windows are parts of that range. Where a model
takes another one (0 to 1, Hounsfield units), its images are mapped linearly: `low` is level 0,
`high` is level 255.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gradcam_eval.core import InputError

Values: TypeAlias = tuple[float, float]

LEVELS: Values = (0.0, 255.0)
ANY_VALUES: Values = (-math.inf, math.inf)  # nothing is known of them, so nothing is checked
LUMINANCE = (0.299, 0.587, 0.114)  # of R, G and B in grey: ITU-R BT.601, as Pillow's `L`
PERTURBED = 0.5  # of the range: how far noise or a shift may bring an image out of it

_TOP = 255.0
_NORMALISED = 6.0  # levels: images minus their mean over their standard deviation end below it


def as_values(values: Sequence[float]) -> Values:
    """Return a declared range as two floats.

    Raises
    ------
    InputError : it is neither two finite numbers, the lower first, nor `ANY_VALUES`
    """
    try:
        low, high = (float(value) for value in values)
    except (TypeError, ValueError) as error:
        raise InputError(f"values = {values!r}: expected two numbers [low, high].") from error
    is_range = math.isfinite(low) and math.isfinite(high) and low < high
    if not is_range and (low, high) != ANY_VALUES:
        raise InputError(f"values = [{low:g}, {high:g}]: expected two numbers, the lower first.")
    return low, high


def check_values(
    images: NDArray[Any], values: Values = LEVELS, *, what: str = "images", slack: float = 0.0
) -> None:
    """Raise InputError where images do not lie in their range, or were scaled to another one.

    Parameters
    ----------
    images : numbers of any shape
    values : the range that was declared
    what : the subject of the message
    slack : how far, as a share of the range, images may leave it: 0, or `PERTURBED` where noise
        and shifts may have been added

    Notes
    -----
    Images that end within one level above `low` and have fractions of a level were scaled to 0..1.
    A black photograph with a little noise has whole levels. Where images may leave their range,
    those that begin below it and end within six levels of `low` were normalised.
    """
    if not images.size or values == ANY_VALUES:
        return
    if not np.isfinite(images).all():
        raise InputError(f"{what} have values that are not finite: {_expected(values)}.")
    low, high = float(images.min()), float(images.max())
    span = values[1] - values[0]
    room = span * (slack + 1e-6)  # what float32 rounds
    is_outside = low < values[0] - room or high > values[1] + room
    top = (high - values[0]) / span * _TOP
    is_normalised = low < values[0] - span * 1e-6 and top <= _NORMALISED
    is_scaled = low >= values[0] and 0 < top <= 1.001 and not _are_whole(images, values)
    if is_outside or is_normalised or is_scaled:
        raise InputError(
            f"{what} run from {low:.4g} to {high:.4g}: {_expected(values)}, before the model's own "
            f"preprocessing. {_remedy(low, high, values)}"
        )


def to_levels(images: NDArray[Any], values: Values) -> NDArray[np.float32]:
    """Return images of a range as levels: float32, 255 · (x - low) / (high - low)."""
    if values == LEVELS:
        return images.astype(np.float32, copy=False)
    low, high = values
    return ((np.asarray(images, np.float64) - low) * (_TOP / (high - low))).astype(np.float32)


def slope(values: Values) -> float:
    """Return how much of a range one level is: (high - low) / 255."""
    return (values[1] - values[0]) / _TOP


def as_rgb(levels: NDArray[Any]) -> NDArray[np.uint8]:
    """Return what a person can look at of an image (H, W, C) in levels: uint8 (H, W, 3).

    One or two channels are shown grey by the first, more by the first three; values outside 0..255
    are cut, others rounded.
    """
    shown = levels[..., :3] if levels.shape[-1] >= 3 else np.repeat(levels[..., :1], 3, axis=-1)
    return np.rint(np.clip(shown, 0, _TOP)).astype(np.uint8)


def _are_whole(images: NDArray[Any], values: Values) -> bool:
    levels = to_levels(images, values)
    return bool(np.allclose(levels, np.round(levels), rtol=0, atol=1e-4))


def _expected(values: Values) -> str:
    return f"expected {values[0]:g} to {values[1]:g}"


def _remedy(low: float, high: float, values: Values) -> str:
    if values != LEVELS:
        return f"values = [{values[0]:g}, {values[1]:g}] was declared: declare their own range."
    if low >= 0 and high <= 1:
        return "Multiply them by 255, or, where the model takes them so, declare it: values=(0, 1)."
    return (
        "Give them as they were before they were normalised, or, where the model takes them so, "
        "declare their range: values=(low, high)."
    )
