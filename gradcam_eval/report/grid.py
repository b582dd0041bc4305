"""One picture per image: the photograph, every layer × method, and the controls below."""

from __future__ import annotations

import json
import textwrap
from collections import Counter
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import matplotlib
import numpy as np
from matplotlib.figure import Figure
from numpy.typing import NDArray

from gradcam_eval.arrays import degenerate_reason
from gradcam_eval.core import Heatmap, InputError
from gradcam_eval.data.geometry import Frame
from gradcam_eval.data.photo import photo_of
from gradcam_eval.report.look import Look
from gradcam_eval.report.overlay import overlay
from gradcam_eval.report.tiles import (
    TILE,
    canvas,
    draw_text,
    draw_tile,
    heading_lines,
    label_lines,
    square,
)
from gradcam_eval.texts import one_line, shortened

Key = tuple[str, str]  # layer ("" for a control), method

_GAP, _LABEL, _FOOT = 8, 150, 44  # pixels of the finished picture
_STEP = TILE + _GAP
_LONGEST_CAUSE = 200
_FAINT, _TRUTH = "#595959", "#ffffff"


@dataclass(frozen=True, eq=False)
class Maps:
    """One image with its truth and its raw maps, as `maps/<model>/<sample>.npz` holds them.

    `frame` says where a photograph's pixels are in the image that the maps are of, where `image` is
    the photograph; None: `image` is that image, or was only resized. Mask and boxes are in the
    pixels of the image that the maps are of.
    """

    image: NDArray[np.uint8]
    mask: NDArray[np.bool_] | None
    boxes: NDArray[np.float32]
    maps: dict[Key, Heatmap]
    frame: Frame | None = None

    def overlay(self, key: Key, look: Look) -> NDArray[np.uint8]:
        """Return the image with one map over it."""
        heatmap, frame = self.maps[key], self.frame
        return overlay(self.image, heatmap, alpha=look.alpha, cmap=look.cmap, frame=frame)

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
    """Read a file of maps.

    Raises
    ------
    InputError : it is not one, or an array in it is not what a study writes
    """
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            return _as_maps({name: arrays[name] for name in arrays.files})
    except Exception as error:  # a broken archive can raise anything in zlib and zipfile
        said = shortened(one_line(f"{type(error).__name__}: {error}"), _LONGEST_CAUSE)
        raise InputError(f"{path} is not a file of maps ({said}): run the study again.") from error


def _as_maps(arrays: dict[str, NDArray[Any]]) -> Maps:
    names = json.loads(str(arrays["names"]))
    maps = {(str(a), str(b)): arrays[f"map_{i}"] for i, (a, b) in enumerate(names)}
    image, mask = arrays["image"], arrays.get("mask")
    boxes = arrays.get("boxes", np.zeros((0, 4), np.float32))
    if image.dtype != np.uint8 or image.ndim != 3 or image.shape[2] != 3 or not image.size:
        raise ValueError(f"image is {image.dtype} of shape {image.shape}")
    if mask is not None and (mask.dtype != bool or mask.shape != image.shape[:2]):
        raise ValueError(f"mask is {mask.dtype} of shape {mask.shape}")
    if boxes.dtype.kind not in "fiu" or boxes.ndim != 2 or boxes.shape[1] != 4:
        raise ValueError(f"boxes is {boxes.dtype} of shape {boxes.shape}")
    for key, heatmap in maps.items():
        if heatmap.dtype.kind != "f" or heatmap.ndim != 2 or not heatmap.size:
            raise ValueError(f"the map of {key} is {heatmap.dtype} of shape {heatmap.shape}")
    mask = mask if mask is not None and mask.any() else None
    photo = photo_of(arrays)
    if photo is None:  # an array in memory, or written by an earlier version
        return Maps(image, mask, boxes, maps)
    return Maps(photo.pixels, mask, boxes, maps, photo.frame)


@dataclass(frozen=True)
class _Band:
    """Rows of maps under one line of headings."""

    layers: tuple[str, ...]
    methods: tuple[str, ...]

    @property
    def heading(self) -> int:
        """Pixels that the headings take."""
        return 12 + 14 * max(len(heading_lines(method)) for method in self.methods)

    @property
    def height(self) -> int:
        """Pixels that the band takes."""
        return self.heading + len(self.layers) * _STEP


def overlay_grid(maps: Maps, *, caption: Sequence[str] = (), look: Look | None = None) -> Figure:
    """Draw an image's maps: rows are layers, columns methods; controls stand in the last row.

    The first row shows the picture itself with the outline of the truth (box or mask), and the
    lines of `caption` beside it, the first in bold. What shares no method with another row (maps
    of no layer, or of several) has a row of its own. Every map is coloured by `overlay`: negatives
    are 0 and each map is scaled to its own maximum, so colours of two maps do not compare.
    `look.size` is the side of a tile; texts grow with it.
    """
    look = look or Look()
    bands = _bands(maps)
    width = _LABEL + max(4, *(len(band.methods) for band in bands)) * _STEP + _GAP
    height = _GAP + _STEP + sum(band.height for band in bands) + _FOOT
    figure, axes = canvas(width, height, (look.size or TILE) / TILE)
    draw_tile(axes, _LABEL, _GAP, maps.image, None)
    _draw_truth(axes, _LABEL, _GAP, maps)
    _row_label(axes, _GAP, "the image, truth outlined" if _has_truth(maps) else "the image")
    _draw_caption(axes, _LABEL + _STEP + 8, caption, width)
    top = _GAP + _STEP
    for band in bands:
        _draw_band(axes, top, band, maps, look)
        top += band.height
    _draw_legend(axes, height, look.cmap)
    return figure


def _bands(maps: Maps) -> list[_Band]:
    at = {layer: tuple(m for k, m in maps.maps if k == layer) for layer in maps.layers}
    count = Counter(method for methods in at.values() for method in methods)
    matrix = [layer for layer, methods in at.items() if any(count[m] > 1 for m in methods)]
    columns = dict.fromkeys(method for layer in matrix for method in at[layer])
    bands = [_Band(tuple(matrix), tuple(columns))] if matrix else []
    bands += [_Band((layer,), methods) for layer, methods in at.items() if layer not in matrix]
    return [*bands, _Band(("",), tuple(maps.controls))] if maps.controls else bands


def _draw_band(axes: Any, top: int, band: _Band, maps: Maps, look: Look) -> None:
    first = top + band.heading
    for j, method in enumerate(band.methods):
        lines = heading_lines(method)
        for k, line in enumerate(lines):
            y = first - 8 - 14 * (len(lines) - 1 - k)
            draw_text(axes, _LABEL + j * _STEP + TILE / 2, y, line, ha="center", weight="bold")
    for i, layer in enumerate(band.layers):
        y = first + i * _STEP
        sizes = sorted({maps.maps[key].shape for key in maps.maps if key[0] == layer})
        note = " ".join(f"{h}×{w}" for h, w in sizes) if layer else "no model"
        _row_label(axes, y, layer or "controls", note)
        for j, method in enumerate(band.methods):
            _map_tile(axes, (_LABEL + j * _STEP, y), maps, (layer, method), look)


def thumbnail(maps: Maps, key: Key | None, *, size: int = 132) -> NDArray[np.uint8]:
    """Return the picture, and beside it one map over it, as uint8 (size, 2 · size + 4, 3)."""
    parts = [maps.image]
    if key in maps.maps:
        parts.append(maps.overlay(key, Look()))
    squares = [square(part, size) for part in parts]
    gap = np.full((size, 4, 3), 255, np.uint8)
    return np.concatenate([squares[0], *(x for s in squares[1:] for x in (gap, s))], axis=1)


def _map_tile(axes: Any, place: tuple[float, float], maps: Maps, key: Key, look: Look) -> None:
    """Draw one map over the image, or say why there is none."""
    heatmap = maps.maps.get(key)
    if heatmap is None:
        blank = np.full_like(maps.image, 240)
        draw_tile(axes, *place, blank, "no map")
        return
    note = degenerate_reason(heatmap)
    if note is None and heatmap.max() <= 0:
        note = "nothing in the heatmap is positive"
    draw_tile(axes, *place, maps.overlay(key, look), note)


def _has_truth(maps: Maps) -> bool:
    """Return whether there is anything to outline."""
    return maps.mask is not None or len(maps.boxes) > 0


def _to_tile(maps: Maps, x: float, y: float) -> Callable[[Any, Any], tuple[Any, Any]]:
    """Return the function from the truth's pixels to the picture's, for a tile at (x, y)."""
    height, width = maps.image.shape[:2]
    scale = TILE / max(height, width)
    left, top = x + (TILE - width * scale) / 2, y + (TILE - height * scale) / 2
    frame = maps.frame or Frame.identity((height, width))
    (across, down), (right, below) = frame.scale, frame.offset
    across, down = across * frame.original[1] / width, down * frame.original[0] / height

    def place(px: Any, py: Any) -> tuple[Any, Any]:
        shown = (np.asarray(px) - right) / across, (np.asarray(py) - below) / down
        return left + shown[0] * scale, top + shown[1] * scale

    return place


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
        draw_text(axes, x, y, part, size=12, weight="bold")
        y += 22
    lines = [part for line in caption[1:] for part in textwrap.wrap(line, int((width - x) / 7.6))]
    room = int((_GAP + TILE - y) / 17) + 1
    for i, part in enumerate(lines[:room]):
        draw_text(axes, x, y + 17 * i, part + (" …" if i + 1 == room < len(lines) else ""))


def _row_label(axes: Any, y: float, label: str, note: str = "") -> None:
    """Write a row's name left of its tiles, broken where names are broken: at _ and /."""
    lines = label_lines(label)
    middle = y + TILE / 2 - 9 * len(lines)
    for i, line in enumerate(lines):
        draw_text(axes, _LABEL - 10, middle + 18 * i, line, ha="right", weight="bold")
    draw_text(axes, _LABEL - 10, middle + 18 * len(lines), note, ha="right", color=_FAINT)


def _draw_legend(axes: Any, height: int, cmap: str) -> None:
    """Draw the colour scale and say what it means."""
    ramp = matplotlib.colormaps[cmap](np.linspace(0, 1, 128))[None, :, :3]
    y = height - _FOOT / 2
    axes.imshow(
        ramp, extent=(_LABEL, _LABEL + 120, y + 6, y - 6), aspect="auto", interpolation="none"
    )
    axes.set(xlim=axes.get_xlim(), ylim=(height, 0))
    draw_text(axes, _LABEL - 10, y + 4, "0", ha="right")
    text = "maximum. Negatives are 0; each map has its own scale: do not compare colours of maps."
    draw_text(axes, _LABEL + 128, y + 4, text, color=_FAINT)
