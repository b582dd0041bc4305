"""Outlines of objects: which part of each pixel lies inside."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from gradcam_eval.data.evidence.noise import Field

Inside = NDArray[np.bool_]

_SUBPIXELS = 3  # a side: coverage is a multiple of 1/9


@dataclass(frozen=True)
class Pose:
    """Where an object lies: centre and radius in pixels, and the cosine and sine of its turn."""

    x: float
    y: float
    radius: float
    turn: tuple[float, float] = (1.0, 0.0)
    aspect: float = 1.0  # how much narrower it is across than along

    def local(self, x: Field, y: Field) -> tuple[Field, Field]:
        """Return coordinates along and across the object, in pixels from its centre."""
        cosine, sine = self.turn
        dx, dy = x - self.x, y - self.y
        return dx * cosine + dy * sine, dy * cosine - dx * sine


def coverage(outline: str, pose: Pose, size: int) -> Field:
    """Return the share of each pixel (size, size) that lies inside an outline, 0 to 1.

    Parameters
    ----------
    outline : a name in `OUTLINES`
    pose : where it lies
    """
    reach = pose.radius + 2
    rows, columns = _window(pose.y, reach, size), _window(pose.x, reach, size)
    found = np.zeros((size, size))
    steps = (np.arange(_SUBPIXELS) + 0.5) / _SUBPIXELS
    count = np.zeros((rows.stop - rows.start, columns.stop - columns.start))
    for down in steps:
        for across in steps:
            x = np.arange(columns.start, columns.stop)[None, :] + across
            y = np.arange(rows.start, rows.stop)[:, None] + down
            u, v = pose.local(x, y)
            count += OUTLINES[outline](u / pose.radius, v / (pose.radius * pose.aspect))
    found[rows, columns] = count / _SUBPIXELS**2
    return found


def _window(centre: float, reach: float, size: int) -> slice:
    return slice(max(int(centre - reach), 0), min(int(centre + reach) + 1, size))


def _star(u: Field, v: Field) -> Inside:
    return _polygon(u, v, _STAR)


def _ring(u: Field, v: Field) -> Inside:
    squared = u * u + v * v
    return (squared <= 1) & (squared >= 0.52**2)


def _cross(u: Field, v: Field) -> Inside:
    along, across = np.abs(u), np.abs(v)
    return (np.maximum(along, across) <= 0.95) & (np.minimum(along, across) <= 0.28)


def _ellipse(u: Field, v: Field) -> Inside:
    return u * u + v * v <= 1


def _pillow(u: Field, v: Field) -> Inside:
    """A square with round corners, whose corners lie inside the circle of radius 1."""
    u, v = u / 0.85, v / 0.85
    return u * u * u * u + v * v * v * v <= 1


def _bar(u: Field, v: Field) -> Inside:
    return (np.abs(u) <= 1) & (np.abs(v) <= 1)


def _polygon(u: Field, v: Field, corners: tuple[tuple[float, float], ...]) -> Inside:
    """Say which points lie inside a polygon, by the parity of the edges left of them."""
    inside = np.zeros(np.broadcast(u, v).shape, bool)
    for (x0, y0), (x1, y1) in zip(corners, corners[1:] + corners[:1], strict=True):
        crosses = (y0 > v) != (y1 > v)
        if y0 != y1:
            inside ^= crosses & (u < (x1 - x0) * (v - y0) / (y1 - y0) + x0)
    return inside


# Five points at radius 1, and five between them at radius 0.44. As numbers: trigonometric functions
# may differ in the last bit between machines.
_STAR = (
    (0.0, -1.0),
    (0.2586, -0.3560),
    (0.9511, -0.3090),
    (0.4185, 0.1360),
    (0.5878, 0.8090),
    (0.0, 0.44),
    (-0.5878, 0.8090),
    (-0.4185, 0.1360),
    (-0.9511, -0.3090),
    (-0.2586, -0.3560),
)

# Each takes coordinates in which the object's radius is 1.
OUTLINES: dict[str, Callable[[Field, Field], Inside]] = {
    "star": _star,
    "ring": _ring,
    "cross": _cross,
    "ellipse": _ellipse,
    "pillow": _pillow,
    "bar": _bar,
}
