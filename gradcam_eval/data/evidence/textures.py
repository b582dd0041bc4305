"""What covers an object: a pattern of two tones, or mottling, in any colour."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np

from gradcam_eval.data.evidence.background import Colours
from gradcam_eval.data.evidence.draws import Draws
from gradcam_eval.data.evidence.noise import Field, fractal
from gradcam_eval.data.evidence.shapes import Pose


@dataclass(frozen=True, eq=False)
class Place:
    """The n pixels of an object: their centres, each (n,), and the background there, (n, 3)."""

    x: Field
    y: Field
    under: Colours


def painted(draws: Draws, texture: str, pose: Pose, place: Place) -> Colours:
    """Return the colour of each pixel of an object, (n, 3), 0..255.

    Its mean grey level differs from the background's by a random contrast, upwards or downwards.

    Parameters
    ----------
    texture : a name in `TEXTURES`
    pose : where the object lies
    place : its pixels, and what lies under them
    """
    u, v = pose.local(place.x, place.y)
    pattern = TEXTURES[texture](draws, u, v, pose)
    light = _mean_light(place.under)
    contrast = draws.between(28.0, 95.0)
    brighter = draws.chance(0.5) if 60 < light < 195 else light <= 60
    level = light + contrast if brighter else light - contrast
    depth = draws.between(38.0, 75.0)
    mottling = 26.0 * (fractal(draws, u / 4, v / 4, octaves=2, fade=0.7) - 0.5)
    shade = 1.0 - draws.between(0.0, 0.22) * (place.y - pose.y) / pose.radius
    tone = (min(max(level, 45.0), 210.0) + depth * (2 * pattern - 1) + mottling) * shade
    tint = 30.0 * (2 * draws.units(3) - 1)
    return np.clip(tone[:, None] + tint, 0.0, 255.0)


def _mean_light(under: Colours) -> float:
    """Return the mean grey level under an object, summed in whole numbers: exact in any order."""
    grey = np.floor((under[:, 0] + under[:, 1] + under[:, 2]) / 3).astype(np.int64)
    return int(grey.sum()) / len(grey)


def _wave(position: Field, period: float) -> Field:
    """Return a triangle wave between 0 and 1."""
    phase = position / period
    return np.abs(2 * (phase - np.floor(phase)) - 1)


def _edge(wave: Field, middle: float, period: float) -> Field:
    """Return 0 or 1 on either side of the middle, with a border about a pixel wide."""
    return np.clip((wave - middle) * period / 2 + 0.5, 0.0, 1.0)


def _period(draws: Draws, pose: Pose, least: float) -> float:
    """Return a length in pixels that fits several times into the object."""
    return max(least, pose.radius * draws.between(0.36, 0.5))


def _striped(draws: Draws, u: Field, v: Field, pose: Pose) -> Field:
    period = _period(draws, pose, 4.5)
    cosine, sine = draws.turn()
    return _edge(_wave(u * cosine + v * sine, period), 0.5, period)


def _chequered(draws: Draws, u: Field, v: Field, pose: Pose) -> Field:
    period = 1.25 * _period(draws, pose, 5.0)
    cosine, sine = draws.turn()
    first = _edge(_wave(u * cosine + v * sine, period), 0.5, period)
    second = _edge(_wave(v * cosine - u * sine, period), 0.5, period)
    return first + second - 2 * first * second


def _dotted(draws: Draws, u: Field, v: Field, pose: Pose) -> Field:
    period = 1.1 * _period(draws, pose, 5.0)
    cosine, sine = draws.turn()
    a = _wave(u * cosine + v * sine, period) * period / 2
    b = _wave(v * cosine - u * sine, period) * period / 2
    return np.clip(0.33 * period - np.sqrt(a * a + b * b) + 0.5, 0.0, 1.0)


def _mottled(draws: Draws, u: Field, v: Field, pose: Pose) -> Field:
    field = fractal(draws, u / 6, v / 6, octaves=3, fade=0.7)
    return 0.5 + draws.between(0.15, 0.5) * (field - 0.5)


TEXTURES: dict[str, Callable[[Draws, Field, Field, Pose], Field]] = {
    "striped": _striped,
    "chequered": _chequered,
    "dotted": _dotted,
    "mottled": _mottled,
}
