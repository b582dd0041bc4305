"""Noise fields: smooth values at any coordinates, summed over octaves, and cells round points."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gradcam_eval.data.evidence.draws import Draws

Field = NDArray[np.float64]

_LATTICE = 32  # the lattice repeats after so many cells; a picture shows fewer


def pixel_grid(size: int) -> tuple[Field, Field]:
    """Return x and y of the pixel centres of a square picture, each (size, size)."""
    centres = np.arange(size) + 0.5
    return np.broadcast_to(centres, (size, size)), np.broadcast_to(centres[:, None], (size, size))


def value_noise(draws: Draws, x: Field, y: Field) -> Field:
    """Return smooth noise in [0, 1): a random value at each whole (x, y), smoothstep between them.

    ``n(x, y) = Σ_corners w(x − i) w(y − j) value(i, j)``, where ``w`` falls from 1 to 0 as
    ``1 − (3t² − 2t³)``.
    """
    values = draws.units(_LATTICE * _LATTICE)
    left, top = np.floor(x), np.floor(y)
    across, down = _smoothstep(x - left), _smoothstep(y - top)
    j0, i0 = left.astype(np.int64) % _LATTICE, top.astype(np.int64) % _LATTICE * _LATTICE
    j1, i1 = (j0 + 1) % _LATTICE, (i0 + _LATTICE) % (_LATTICE * _LATTICE)
    upper = _between(values.take(i0 + j0), values.take(i0 + j1), across)
    lower = _between(values.take(i1 + j0), values.take(i1 + j1), across)
    return _between(upper, lower, down)


def fractal(draws: Draws, x: Field, y: Field, *, octaves: int, fade: float) -> Field:
    """Return noise over octaves in [0, 1]: ``Σ fadeᵒ n(2ᵒ x, 2ᵒ y) / Σ fadeᵒ``."""
    total, weight, sum_of_weights = np.zeros_like(x), 1.0, 0.0
    for octave in range(octaves):
        scale = float(2**octave)
        total = total + weight * value_noise(draws, x * scale, y * scale)
        sum_of_weights += weight
        weight *= fade
    return total / sum_of_weights


def cells(draws: Draws, x: Field, y: Field) -> Field:
    """Return the distance to the nearest of one random point in each unit square, in [0, 1]."""
    points = draws.units(_LATTICE, _LATTICE, 2)
    left, top = np.floor(x), np.floor(y)
    nearest = np.full(x.shape, 2.0)
    for down in (-1.0, 0.0, 1.0):
        for across in (-1.0, 0.0, 1.0):
            j, i = left + across, top + down
            point = points[i.astype(int) % _LATTICE, j.astype(int) % _LATTICE]
            dx, dy = j + point[..., 0] - x, i + point[..., 1] - y
            nearest = np.minimum(nearest, dx * dx + dy * dy)
    return np.minimum(np.sqrt(nearest), 1.0)


def _between(first: Field, second: Field, share: Field) -> Field:
    return first + (second - first) * share


def _smoothstep(t: Field) -> Field:
    return t * t * (3 - 2 * t)
