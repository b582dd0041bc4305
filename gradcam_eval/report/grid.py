"""One picture per image: the photograph, every layer × method, and the controls below."""

from __future__ import annotations

import json
import textwrap
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image as PillowImage

from gradcam_eval.arrays import degenerate_reason
from gradcam_eval.core import Heatmap, InputError
from gradcam_eval.report.overlay import overlay

Key = tuple[str, str]  # layer ("" for a control), method

CMAP = "inferno"  # lightness carries the value, so it reads without colour vision too
ALPHA = 0.55
_DPI = 100
_TILE, _GAP, _LABEL, _TITLE, _FOOT = 190, 8, 150, 26, 44  # pixels of the finished picture
_INK, _FAINT, _TRUTH = "#1a1a1a", "#595959", "#ffffff"


@dataclass(frozen=True, eq=False)
class Maps:
    """One image with its truth and its raw maps, as `maps/<model>/<sample>.npz` holds them."""

    image: NDArray[np.uint8]
    mask: NDArray[np.bool_] | None
    boxes: NDArray[np.float32]
    maps: dict[Key, Heatmap]

    @property
    def layers(self) -> list[str]:
        """The layers, in the order of the file, without the controls."""
        return list(dict.fromkeys(layer for layer, _ in self.maps if layer))

    @property
    def methods(self) -> list[str]:
        """The methods, in the order of the file, without the controls."""
        return list(dict.fromkeys(method for layer, method in self.maps if layer))

    @property
    def controls(self) -> list[str]:
        """The controls, in the order of the file."""
        return [method for layer, method in self.maps if not layer]


def read_maps(path: Path) -> Maps:
    """Read a file of maps; raises InputError where it is not one."""
    try:
        with np.load(path, allow_pickle=False) as file:
            names = json.loads(str(file["names"]))
            mask = file["mask"] if "mask" in file.files else None
            maps = {(a, b): file[f"map_{i}"] for i, (a, b) in enumerate(names)}
            image = file["image"]
            boxes = file["boxes"] if "boxes" in file.files else np.zeros((0, 4), np.float32)
    except (OSError, ValueError, KeyError, EOFError) as error:
        raise InputError(
            f"{path} is not a file of maps ({type(error).__name__}: {error}): run the study again."
        ) from error
    return Maps(image, mask if mask is not None and mask.any() else None, boxes, maps)


def overlay_grid(maps: Maps, *, caption: Sequence[str] = ()) -> Figure:
    """Draw an image's maps: rows are layers, columns methods; controls stand in the last row.

    The first row shows the picture itself with the outline of the truth (box or mask), and the
    lines of `caption` beside it, the first in bold. Every map is coloured by `overlay`: negatives
    are 0 and each map is scaled to its own maximum, so colours of two maps do not compare.
    """
    columns = max(4, len(maps.methods), len(maps.controls))
    step = _TILE + _GAP
    rows = 1 + len(maps.layers) + bool(maps.controls)
    width = _LABEL + columns * step + _GAP
    height = _GAP + rows * step + 2 * _TITLE + _FOOT
    figure, axes = _canvas(width, height)
    _tile(axes, _LABEL, _GAP, maps.image, None)
    _draw_truth(axes, _LABEL, _GAP, maps)
    _row_label(axes, _GAP, "the image, truth outlined" if _has_truth(maps) else "the image")
    _draw_caption(axes, _LABEL + step + 8, caption, width)
    top = _GAP + step + _TITLE
    for j, method in enumerate(maps.methods):
        _text(axes, _LABEL + j * step + _TILE / 2, top - 8, method, ha="center", weight="bold")
    for i, layer in enumerate(maps.layers):
        heights = {maps.maps[key].shape for key in maps.maps if key[0] == layer}
        _row_label(axes, top + i * step, layer, " ".join(f"{h}×{w}" for h, w in sorted(heights)))
        for j, method in enumerate(maps.methods):
            _map_tile(axes, (_LABEL + j * step, top + i * step), maps, (layer, method))
    top += len(maps.layers) * step + _TITLE
    if maps.controls:
        _row_label(axes, top, "controls", "no model")
    for j, method in enumerate(maps.controls):
        _text(axes, _LABEL + j * step + _TILE / 2, top - 8, method, ha="center", weight="bold")
        _map_tile(axes, (_LABEL + j * step, top), maps, ("", method))
    _draw_legend(axes, height)
    return figure


def thumbnail(maps: Maps, key: Key | None, *, size: int = 132) -> NDArray[np.uint8]:
    """Return the picture, and beside it one map over it, as uint8 (size, 2 · size + 4, 3)."""
    parts = [maps.image]
    if key in maps.maps:
        parts.append(overlay(maps.image, maps.maps[key], alpha=ALPHA, cmap=CMAP))
    squares = [_square(part, size) for part in parts]
    gap = np.full((size, 4, 3), 255, np.uint8)
    return np.concatenate([squares[0], *(x for s in squares[1:] for x in (gap, s))], axis=1)


def _canvas(width: int, height: int) -> tuple[Figure, Any]:
    """Return a figure and axes whose data coordinates are pixels, y downwards."""
    figure = Figure(figsize=(width / _DPI, height / _DPI), dpi=_DPI, facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(height, 0))
    axes.set_axis_off()
    return figure, axes


def _square(image: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Fit an image into a white square."""
    height, width = image.shape[:2]
    scale = size / max(height, width)
    shape = max(1, round(height * scale)), max(1, round(width * scale))
    # Pillow's bilinear filter averages where it shrinks, which a picture for the eye wants.
    small = PillowImage.fromarray(image).resize(shape[::-1], PillowImage.Resampling.BILINEAR)
    square = np.full((size, size, 3), 255, np.uint8)
    y, x = (size - shape[0]) // 2, (size - shape[1]) // 2
    square[y : y + shape[0], x : x + shape[1]] = np.asarray(small)
    return square


def _tile(axes: Any, x: float, y: float, image: NDArray[np.uint8], note: str | None) -> None:
    """Put one picture at its place, with a note on it where the map shows nothing."""
    extent = (x, x + _TILE, y + _TILE, y)
    axes.imshow(_square(image, _TILE), extent=extent, interpolation="nearest", aspect="auto")
    axes.set(xlim=axes.get_xlim(), ylim=axes.get_ylim())
    if note:
        note = "\n".join(textwrap.wrap(note, 24))
        box = {"facecolor": "white", "alpha": 0.85, "edgecolor": "none", "pad": 3}
        _text(axes, x + _TILE / 2, y + _TILE / 2, note, ha="center", va="center", bbox=box)


def _map_tile(axes: Any, place: tuple[float, float], maps: Maps, key: Key) -> None:
    """Draw one map over the image, or say why there is none."""
    heatmap = maps.maps.get(key)
    if heatmap is None:
        blank = np.full_like(maps.image, 240)
        _tile(axes, *place, blank, "no map")
        return
    note = degenerate_reason(heatmap)
    if note is None and heatmap.max() <= 0:
        note = "nothing in the heatmap is positive"
    _tile(axes, *place, overlay(maps.image, heatmap, alpha=ALPHA, cmap=CMAP), note)


def _has_truth(maps: Maps) -> bool:
    """Return whether there is anything to outline."""
    return maps.mask is not None or len(maps.boxes) > 0


def _to_tile(maps: Maps, x: float, y: float) -> Callable[[Any, Any], tuple[Any, Any]]:
    """Return the function from the image's pixels to the picture's, for a tile at (x, y)."""
    height, width = maps.image.shape[:2]
    scale = _TILE / max(height, width)
    left, top = x + (_TILE - width * scale) / 2, y + (_TILE - height * scale) / 2
    return lambda px, py: (left + np.asarray(px) * scale, top + np.asarray(py) * scale)


def _draw_truth(axes: Any, x: float, y: float, maps: Maps) -> None:
    """Outline the mask, and each box, in white over black, so that it shows on any picture."""
    place = _to_tile(maps, x, y)
    for width, colour in ((3.2, "black"), (1.5, _TRUTH)):
        if maps.mask is not None:
            height, length = maps.mask.shape
            xs, ys = place(np.arange(length) + 0.5, np.arange(height) + 0.5)
            axes.contour(xs, ys, maps.mask, levels=[0.5], colors=[colour], linewidths=width)
        for x0, y0, x1, y1 in maps.boxes:
            xs, ys = place([x0, x1, x1, x0, x0], [y0, y0, y1, y1, y0])
            style = "-" if colour == "black" else (0, (4, 3))
            axes.plot(xs, ys, color=colour, linewidth=width, linestyle=style)


def _draw_caption(axes: Any, x: float, caption: Sequence[str], width: int) -> None:
    """Write the caption beside the picture, each line wrapped to the space there is."""
    y = _GAP + 16.0
    for part in textwrap.wrap(caption[0], int((width - x) / 11))[:2] if caption else []:
        _text(axes, x, y, part, size=12, weight="bold")
        y += 22
    lines = [part for line in caption[1:] for part in textwrap.wrap(line, int((width - x) / 7.6))]
    room = int((_GAP + _TILE - y) / 17) + 1
    for i, part in enumerate(lines[:room]):
        _text(axes, x, y + 17 * i, part + (" …" if i + 1 == room < len(lines) else ""))


def _row_label(axes: Any, y: float, label: str, note: str = "") -> None:
    """Write a row's name left of its tiles, broken where names are broken: at _ and /."""
    lines = textwrap.wrap(label.replace("_", "_ ").replace("/", "/ "), 18)
    lines = [line.replace("_ ", "_").replace("/ ", "/") for line in lines]
    middle = y + _TILE / 2 - 9 * len(lines)
    for i, line in enumerate(lines):
        _text(axes, _LABEL - 10, middle + 18 * i, line, ha="right", weight="bold")
    _text(axes, _LABEL - 10, middle + 18 * len(lines), note, ha="right", color=_FAINT)


def _draw_legend(axes: Any, height: int) -> None:
    """Draw the colour scale and say what it means."""
    ramp = matplotlib.colormaps[CMAP](np.linspace(0, 1, 128))[None, :, :3]
    y = height - _FOOT / 2
    axes.imshow(ramp, extent=(_LABEL, _LABEL + 120, y + 6, y - 6), aspect="auto")
    axes.set(xlim=axes.get_xlim(), ylim=(height, 0))
    _text(axes, _LABEL - 10, y + 4, "0", ha="right")
    text = "maximum. Negatives are 0; each map has its own scale: do not compare colours of maps."
    _text(axes, _LABEL + 128, y + 4, text, color=_FAINT)


def _text(axes: Any, x: float, y: float, text: str, **style: Any) -> None:
    """Write text as it is: a `$` in a file's name is no mathematics."""
    axes.text(x, y, text, parse_math=False, **{"size": 9, "color": _INK, **style})
