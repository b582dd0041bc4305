"""Watermarks: a light plate with one dark glyph for each class, as agencies stamp photographs."""

from __future__ import annotations

import numpy as np

from gradcam_eval.data.evidence.background import Colours
from gradcam_eval.data.evidence.noise import Field
from gradcam_eval.data.evidence.shapes import Pose
from gradcam_eval.data.evidence.textures import Place

SIDE = 12  # pixels: five dots of two pixels, and a border of one

_PLATE, _INK = (232.0, 232.0, 226.0), (34.0, 34.0, 60.0)
_GLYPHS = (
    "#...# .#.#. ..#.. .#.#. #...#",
    "##### ..... ##### ..... #####",
    "..#.. ..#.. ..#.. ..#.. #####",
    "##### #...# #...# #...# #####",
    "#.#.# .#.#. #.#.# .#.#. #.#.#",
    "##... ##... ...## ...## .....",
)


def stamp_cover(pose: Pose, size: int) -> Field:
    """Return 1 on the plate and 0 elsewhere, (size, size)."""
    cover = np.zeros((size, size))
    cover[_place(pose)] = 1.0
    return cover


def stamped(label: int, pose: Pose, place: Place) -> Colours:
    """Return the colours of a class's watermark at its pixels, (n, 3)."""
    dots = np.array([[dot == "#" for dot in row] for row in _GLYPHS[label].split()])
    glyph = np.pad(dots.repeat(2, axis=0).repeat(2, axis=1), 1)
    rows, columns = _place(pose)
    inked = glyph[place.y.astype(int) - rows.start, place.x.astype(int) - columns.start]
    return np.where(inked[:, None], _INK, _PLATE)


def _place(pose: Pose) -> tuple[slice, slice]:
    left, top = int(pose.x - SIDE / 2), int(pose.y - SIDE / 2)
    return slice(top, top + SIDE), slice(left, left + SIDE)
