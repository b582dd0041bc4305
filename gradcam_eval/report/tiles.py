"""Drawing on a canvas of pixels: tiles, texts and labels of the pictures with many maps."""

from __future__ import annotations

import textwrap
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from numpy.typing import NDArray
from PIL import Image as PillowImage

from gradcam_eval.texts import printable

DPI = 100
TILE = 190  # pixels of the finished picture
INK = "#1a1a1a"


def canvas(width: int, height: int, scale: float = 1.0) -> tuple[Figure, Any]:
    """Return a figure and axes whose data coordinates are pixels, y downwards; enlarged by `scale`.

    The hundredth keeps what is divided and multiplied again from being cut to one pixel less.
    """
    inches = ((width + 0.01) / DPI, (height + 0.01) / DPI)
    figure = Figure(figsize=inches, dpi=DPI * scale, facecolor="white")
    FigureCanvasAgg(figure)
    axes = figure.add_axes((0, 0, 1, 1))
    axes.set(xlim=(0, width), ylim=(height, 0))
    axes.set_axis_off()
    return figure, axes


def square(image: NDArray[np.uint8], size: int) -> NDArray[np.uint8]:
    """Fit an image into a white square."""
    height, width = image.shape[:2]
    scale = size / max(height, width)
    shape = max(1, round(height * scale)), max(1, round(width * scale))
    # Pillow's bilinear filter averages where it shrinks, which a picture for the eye wants.
    small = PillowImage.fromarray(image).resize(shape[::-1], PillowImage.Resampling.BILINEAR)
    fitted = np.full((size, size, 3), 255, np.uint8)
    y, x = (size - shape[0]) // 2, (size - shape[1]) // 2
    fitted[y : y + shape[0], x : x + shape[1]] = np.asarray(small)
    return fitted


def draw_tile(axes: Any, x: float, y: float, image: NDArray[np.uint8], note: str | None) -> None:
    """Put one picture at its place, with a note on it where the map shows nothing."""
    extent = (x, x + TILE, y + TILE, y)
    side = round(TILE * axes.figure.dpi / DPI)
    axes.imshow(square(image, side), extent=extent, interpolation="none", aspect="auto")
    axes.set(xlim=axes.get_xlim(), ylim=axes.get_ylim())
    if note:
        note = "\n".join(map(printable, textwrap.wrap(note, 24)))  # line ends of our own
        box = {"facecolor": "white", "alpha": 0.85, "edgecolor": "none", "pad": 3}
        style = {"size": 9, "color": INK, "ha": "center", "va": "center", "bbox": box}
        axes.text(x + TILE / 2, y + TILE / 2, note, parse_math=False, **style)


def draw_text(axes: Any, x: float, y: float, text: str, **style: Any) -> None:
    """Write text as it is: a `$` in a file's name is no mathematics, control characters escaped."""
    axes.text(x, y, printable(text), parse_math=False, **{"size": 9, "color": INK, **style})


def heading_lines(method: str) -> list[str]:
    """Break a method's name for the head of a column: its options stand below it."""
    name, bracket, options = method.partition("(")
    return [*textwrap.wrap(name, 26), *textwrap.wrap(bracket + options, 28)]


def label_lines(label: str) -> list[str]:
    """Break a layer's name for the head of a row: at _, / and +, and after five lines for good."""
    for sign in "_/+":
        label = label.replace(sign, f"{sign} ")
    lines = textwrap.wrap(label, 18)
    lines = [*lines[:4], "…"] if len(lines) > 5 else lines
    for sign in "_/+":
        lines = [line.replace(f"{sign} ", sign) for line in lines]
    return lines
