"""How heatmaps are shown on pictures: one look for single pictures and for grids."""

from __future__ import annotations

from dataclasses import dataclass

import matplotlib

from gradcam_eval.core import InputError, is_whole, unknown_name

CMAP = "inferno"  # lightness carries the value, so it reads without colour vision too
ALPHA = 0.55
SIZES = (16, 8192)  # pixels


@dataclass(frozen=True)
class Look:
    """How a heatmap is laid over a picture.

    Attributes
    ----------
    alpha : weight of the colour, 0..1
    cmap : name of a matplotlib colormap
    size : the longer side of each picture in pixels; None: a single picture's own, and 190 in a
        grid
    has_bar : whether a single picture has a colour bar below it, which a grid always has
    """

    alpha: float = ALPHA
    cmap: str = CMAP
    size: int | None = None
    has_bar: bool = False

    def __post_init__(self) -> None:
        """Refuse what nothing can be drawn with."""
        if not 0 <= self.alpha <= 1:
            raise InputError(f"alpha is {self.alpha:g}: give a number from 0 to 1.")
        check_colormap(self.cmap)
        if self.size is None:
            return
        if not is_whole(self.size) or not SIZES[0] <= self.size <= SIZES[1]:
            raise InputError(f"size is {self.size}: give {SIZES[0]} to {SIZES[1]} pixels.")


def check_colormap(name: str) -> None:
    """Raise InputError for a name that matplotlib has no colormap for."""
    if name not in matplotlib.colormaps:
        raise unknown_name("colormap", name, list(matplotlib.colormaps))
