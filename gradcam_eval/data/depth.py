"""From the values of grey files with more than 8 bits to levels, 0..255 with their fractions.

And what a decoder returns.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

import numpy as np
from numpy.typing import NDArray
from PIL import Image as Pillow

from gradcam_eval.core import InputError
from gradcam_eval.values import Values, as_values, to_levels

Large: TypeAlias = Literal["refuse", "reduce"]

SIXTEEN_BITS: Values = (0.0, 65535.0)
NARROW = 1 / 16  # of the range: a 12-bit picture in a 16-bit file uses less
_MOST_BITS = 32
_BAND = 256  # rows that are computed at once


@dataclass(frozen=True)
class Pixels:
    """How the pixels of a data set's files are taken.

    Attributes
    ----------
    window : [low, high] in the file's own values (of DICOM after the rescale slope): they become
        level 0 and 255, what lies beyond is cut. For grey files
    bits : short for window = [0, 2**bits - 1]: how many bits of 16 are used
    large : what becomes of pictures with too many pixels: "refuse" them, or "reduce" them by a
        whole factor while they are decoded (JPEG and TIFF)
    """

    window: Values | None = None
    bits: int | None = None
    large: Large = "refuse"

    def __post_init__(self) -> None:
        """Refuse what is no window, and two of them."""
        if self.window is not None and self.bits is not None:
            raise InputError(f"bits = {self.bits} is a window of its own: give bits or window.")
        if self.window is not None:
            low, high = as_values(self.window)
            if math.isinf(low):
                raise InputError("window: expected two finite numbers.")
            object.__setattr__(self, "window", (low, high))
        if self.bits is not None and not 1 <= self.bits <= _MOST_BITS:
            raise InputError(f"bits = {self.bits}: expected 1 to {_MOST_BITS}.")
        if self.large not in get_args(Large):
            raise InputError(f"large = {self.large!r}: expected 'refuse' or 'reduce'.")

    @property
    def range(self) -> Values | None:
        """The values that become 0 and 255, where they are said."""
        return (0.0, float(2**self.bits - 1)) if self.bits else self.window


@dataclass(frozen=True, eq=False)
class Levels:
    """Grey levels, float32 (H, W), 0..255; how they came about; and what to look at."""

    values: NDArray[np.float32]
    note: str
    warnings: tuple[str, ...] = ()


@dataclass(frozen=True, eq=False)
class Decoded:
    """A picture, upright, with what was done to it.

    Attributes
    ----------
    picture : mode RGB, 8 bits; or F: grey levels, 0..255 with their fractions
    orientation : the EXIF orientation that was applied, 1..8; 1 changes nothing
    is_grey : whether the file has one channel
    upright : (H, W) of the whole file, upright, where the picture was reduced; else None
    notes, warnings : what was applied, and what to look at
    """

    picture: Pillow.Image
    orientation: int = 1
    is_grey: bool = False
    upright: tuple[int, int] | None = None
    notes: tuple[str, ...] = ()
    warnings: tuple[str, ...] = ()


def levels_of(values: NDArray[Any], pixels: Pixels, *, name: str) -> Levels:
    """Return the values of a grey file as levels.

    ``level = 255 · clip((x - low) / (high - low), 0, 1)``, with the window or the bits that were
    given, or 0 to 65535 for whole numbers that lie there.

    Raises
    ------
    InputError : values of unknown scale, not finite, above the bits that were given, or all within
        the first level of their range
    """
    if values.dtype.kind == "f" and not np.isfinite(values).all():
        raise InputError(f"{name} has values that are not finite: save it without them.")
    low, high = float(values.min()), float(values.max())
    if pixels.bits and (low < 0 or high > 2**pixels.bits - 1):
        raise InputError(
            f"{name} has values from {low:g} to {high:g}, outside the {pixels.bits} bits that were "
            "given: give more bits, or window = [low, high]."
        )
    return scaled(values, pixels.range or _own_range(values, low, high, name), name=name)


def scaled(values: NDArray[Any], within: Values, *, name: str) -> Levels:
    """Return values as levels of a range; what lies beyond is cut."""
    levels = np.empty(values.shape, np.float32)
    for start in range(0, len(values), _BAND):  # rows, so that little stands in memory twice
        part = slice(start, start + _BAND)
        cut = np.clip(values[part].astype(np.float32, copy=False), *within)
        levels[part] = to_levels(cut, within)
    ends = float(values.min()), float(values.max())
    low, high = (float(np.clip(np.float32(end), *within)) for end in ends)
    span = within[1] - within[0]
    used = f"values {ends[0]:g} to {ends[1]:g}"
    narrow = (
        f"{used} use under a sixteenth of {within[0]:g} to {within[1]:g}: say which are black and "
        "white, as in bits = 12 or window = [low, high]"
    )
    if 0 < levels.max() <= 1:
        raise InputError(f"{name} is all but black: {narrow}.")
    return Levels(
        levels,
        f"{used}, window {within[0]:g} to {within[1]:g}",
        (narrow,) if high - low < NARROW * span else (),
    )


def _own_range(values: NDArray[Any], low: float, high: float, name: str) -> Values:
    remedy = "say which are black and white, window = [low, high], or save it with 8 or 16 bits."
    if values.dtype.kind == "f":
        raise InputError(f"{name} holds floats of unknown scale: {remedy}")
    if low < SIXTEEN_BITS[0] or high > SIXTEEN_BITS[1]:
        raise InputError(
            f"{name} holds integers outside 0..65535, of unknown scale (from {low:g} to {high:g}): "
            f"{remedy}"
        )
    return SIXTEEN_BITS
