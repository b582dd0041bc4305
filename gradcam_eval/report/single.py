"""One photograph with its heatmaps as a picture of its own, and the file that it is written to."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any, TypeAlias

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image as Pillow

from gradcam_eval.core import Heatmap, InputError
from gradcam_eval.data.geometry import Frame
from gradcam_eval.files import replacing
from gradcam_eval.report.grid import Key, Maps, overlay_grid
from gradcam_eval.report.look import Look
from gradcam_eval.report.tiles import TILE, canvas, draw_text
from gradcam_eval.values import as_rgb

Picture: TypeAlias = NDArray[np.uint8] | Figure

_BAR, _MARGIN, _WIDEST = 30, 8, 360  # pixels: height of the strip, and the bar's place in it
_LEAST = 160  # pixels that the strip needs for its words


def draw(photo: Pillow.Image, maps: Mapping[Key, Heatmap], frame: Frame, look: Look) -> Picture:
    """Lay heatmaps over a photograph: one alone at the photograph's size, more as a grid.

    Parameters
    ----------
    photo : RGB, or F with levels 0..255
    maps : by (layer, method), float (h, w), of the image that `frame` made of the photograph
    look : see `Look`

    Returns
    -------
    uint8 (H, W, 3), or a figure: a grid, and a single picture with a colour bar
    """
    if len(maps) == 1:
        own = Maps(_levels(photo, look.size), None, np.zeros((0, 4), np.float32), dict(maps), frame)
        picture = own.overlay(next(iter(maps)), look)
        return with_bar(picture, look.cmap) if look.has_bar else picture
    side = look.size or TILE
    own = Maps(_levels(photo, side), None, np.zeros((0, 4), np.float32), dict(maps), frame)
    return overlay_grid(own, look=replace(look, size=side))


def with_bar(picture: NDArray[np.uint8], cmap: str) -> Figure:
    """Return a picture, pixel for pixel, with the scale of its colours below."""
    height, width = picture.shape[:2]
    whole = max(width, _LEAST)
    figure, axes = canvas(whole, height + _BAR)
    left = (whole - width) // 2
    axes.imshow(
        picture, extent=(left, left + width, height, 0), interpolation="none", aspect="auto"
    )
    ramp = matplotlib.colormaps[cmap](np.linspace(0, 1, 256))[None, :, :3]
    first, last = _MARGIN + 14, min(whole, _WIDEST) - _MARGIN - 66
    top, middle = height + _MARGIN, height + _BAR / 2 + 4
    axes.imshow(ramp, extent=(first, last, top + 14, top), aspect="auto", interpolation="none")
    axes.set(xlim=(0, whole), ylim=(height + _BAR, 0))
    draw_text(axes, _MARGIN, middle, "0")
    draw_text(axes, last + 6, middle, "maximum")
    return figure


def save(picture: Picture, path: Path) -> None:
    """Write a picture as its file's suffix says, whole or not at all.

    Raises
    ------
    InputError : it cannot be written there, or is too large for the format
    """
    suffix = path.suffix.lower()
    shown = _page(picture) if suffix == ".pdf" and isinstance(picture, np.ndarray) else picture
    try:
        with replacing(path) as file:
            if isinstance(shown, Figure):
                shown.savefig(file, dpi="figure", **_figure_options(suffix))
            else:
                Pillow.fromarray(shown).save(file, **_options(suffix))
    except (OSError, ValueError) as error:  # Pillow has either for a side that a format has not
        said = getattr(error, "strerror", None) or error
        raise InputError(f"cannot write {path}: {said}") from error


def _page(picture: NDArray[np.uint8]) -> Figure:
    """Return a picture as a page, whose pixels are kept as they are."""
    height, width = picture.shape[:2]
    figure, axes = canvas(width, height)
    axes.imshow(picture, extent=(0, width, height, 0), interpolation="none", aspect="auto")
    axes.set(xlim=(0, width), ylim=(height, 0))
    return figure


def _figure_options(suffix: str) -> dict[str, Any]:
    """Return what matplotlib is told; a page has no date, so that equal pages are equal files."""
    if suffix == ".pdf":
        return {"metadata": {"CreationDate": None}}
    return {"pil_kwargs": _options(suffix)}


def _options(suffix: str) -> dict[str, Any]:
    """Return what Pillow is told: fine enough that a heatmap's edges stay clean."""
    if suffix in (".jpg", ".jpeg"):
        return {"quality": 92, "subsampling": 0}
    return {"quality": 90} if suffix == ".webp" else {}


def _levels(photo: Pillow.Image, longest: int | None) -> NDArray[np.uint8]:
    """Return a photograph as uint8 (H, W, 3), its longer side resized to `longest` pixels."""
    if longest is not None and longest != max(photo.size):
        scale = longest / max(photo.size)
        size = (max(1, round(photo.width * scale)), max(1, round(photo.height * scale)))
        photo = photo.resize(size, Pillow.Resampling.LANCZOS)
    pixels = np.asarray(photo)
    return pixels if photo.mode == "RGB" else as_rgb(pixels[..., None])
