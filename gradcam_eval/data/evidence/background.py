"""Backgrounds that look like ground, stone, leaves, bark, water or sky: noise and palettes."""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from gradcam_eval.data.evidence.draws import Draws
from gradcam_eval.data.evidence.noise import Field, cells, fractal, pixel_grid, value_noise

Colours = NDArray[np.float64]  # (H, W, 3), 0..255

# Dark, middle and light tone of each, as photographs have them.
PALETTES = (
    ((38, 52, 24), (86, 108, 48), (150, 166, 92)),  # grass
    ((24, 40, 30), (58, 84, 58), (120, 146, 104)),  # leaves
    ((60, 42, 28), (116, 86, 60), (176, 146, 112)),  # bark
    ((92, 74, 52), (158, 134, 98), (214, 194, 156)),  # sand
    ((52, 54, 56), (108, 108, 106), (172, 170, 164)),  # rock
    ((36, 60, 84), (84, 122, 150), (160, 190, 204)),  # water
    ((104, 132, 168), (156, 182, 208), (222, 230, 236)),  # sky
    ((66, 30, 22), (134, 70, 38), (196, 136, 74)),  # autumn
    ((88, 92, 100), (158, 162, 168), (226, 228, 232)),  # snow
)


def background(draws: Draws, size: int) -> Colours:
    """Return a background (size, size, 3), 0..255: one surface, or two with a wavy border."""
    surface = _surface(draws, size)
    if draws.chance(0.4):
        other = _surface(draws, size)
        share = _border(draws, size)[..., None]
        surface = surface * share + other * (1 - share)
    cast = 0.88 + 0.24 * draws.units(3)
    return np.clip(surface * cast, 0.0, 255.0)


def lighting(draws: Draws, size: int) -> Field:
    """Return a factor for each pixel, about 0.65 to 1.2: light from one side, darker corners."""
    x, y = pixel_grid(size)
    cosine, sine = draws.turn()
    u, v = x / size - 0.5, y / size - 0.5
    slope = draws.between(0.0, 0.5)
    vignette = draws.between(0.0, 0.35)
    return draws.between(0.92, 1.1) + slope * (u * cosine + v * sine) - vignette * (u * u + v * v)


def sensor_noise(draws: Draws, size: int) -> Colours:
    """Return triangular noise around 0 of random strength, up to 7 grey levels either way."""
    strength = draws.between(1.0, 7.0)
    return strength * (draws.units(size, size, 3) - draws.units(size, size, 3))


def _surface(draws: Draws, size: int) -> Colours:
    name = draws.pick(tuple(_RELIEFS))
    tone = _RELIEFS[name](draws, *_coordinates(draws, size, stretched=name == "fibrous"))
    contrast = draws.between(0.8, 1.7)
    middle = draws.between(0.35, 0.65)
    tone = np.clip((tone - 0.5) * contrast + middle, 0.0, 1.0)
    colours = _tinted(tone, np.array(draws.pick(PALETTES), np.float64))
    hue = _surface_hue(draws, size)
    return colours + hue


def _surface_hue(draws: Draws, size: int) -> Colours:
    """Return slow changes of colour, up to 14 grey levels a channel."""
    x, y = pixel_grid(size)
    layers = [value_noise(draws, x * 3 / size, y * 3 / size) for _ in range(3)]
    return 28.0 * (np.stack(layers, axis=-1) - 0.5)


def _coordinates(draws: Draws, size: int, *, stretched: bool) -> tuple[Field, Field]:
    """Return turned, scaled and bent coordinates, in cells of the coarsest noise."""
    x, y = pixel_grid(size)
    cosine, sine = draws.turn()
    scale = draws.between(2.5, 7.0) / size
    u, v = (x * cosine + y * sine) * scale, (y * cosine - x * sine) * scale
    bend = draws.between(0.0, 1.2)
    u, v = u + bend * value_noise(draws, u, v), v + bend * value_noise(draws, u, v)
    ratio = draws.between(3.0, 6.0) if stretched else 1.0
    return u * ratio, v


def _cloudy(draws: Draws, x: Field, y: Field) -> Field:
    field = fractal(draws, x, y, octaves=5, fade=draws.between(0.45, 0.7))
    return 0.5 + 1.6 * (field - 0.5)


def _ridged(draws: Draws, x: Field, y: Field) -> Field:
    field = fractal(draws, x, y, octaves=4, fade=0.55)
    ridges = 1.0 - np.abs(2 * field - 1) * 3
    return 0.55 * np.maximum(ridges, 0.0) + 0.45 * fractal(draws, x * 3, y * 3, octaves=3, fade=0.7)


def _pebbled(draws: Draws, x: Field, y: Field) -> Field:
    scale = draws.between(1.5, 3.0)
    grain = fractal(draws, x * 4, y * 4, octaves=3, fade=0.7)
    return 1.0 - 0.95 * cells(draws, x * scale, y * scale) + 0.5 * (grain - 0.5)


def _grainy(draws: Draws, x: Field, y: Field) -> Field:
    coarse = fractal(draws, x, y, octaves=2, fade=0.5)
    fine = fractal(draws, x * 6, y * 6, octaves=3, fade=0.9)
    return 0.5 + 0.7 * (coarse - 0.5) + 1.2 * (fine - 0.5)


# "fibrous" is the cloudy one in coordinates stretched along one direction: grass, bark, water.
_RELIEFS: dict[str, Callable[[Draws, Field, Field], Field]] = {
    "cloudy": _cloudy,
    "ridged": _ridged,
    "pebbled": _pebbled,
    "grainy": _grainy,
    "fibrous": _cloudy,
}


def _border(draws: Draws, size: int) -> Field:
    """Return the share of the first of two surfaces, with a wavy, more or less sharp border."""
    x, y = pixel_grid(size)
    cosine, sine = draws.turn()
    wave = fractal(draws, x * 4 / size, y * 4 / size, octaves=3, fade=0.5)
    side = (x / size - 0.5) * cosine + (y / size - 0.5) * sine + 0.5 * (wave - 0.5)
    return np.clip(0.5 + draws.between(2.0, 25.0) * (side - draws.between(-0.2, 0.2)), 0.0, 1.0)


def _tinted(tone: Field, stops: NDArray[np.float64]) -> Colours:
    """Return the colour of each tone: linear from the dark stop over the middle to the light."""
    lower = np.minimum(tone * 2, 1.0)[..., None]
    upper = np.maximum(tone * 2 - 1, 0.0)[..., None]
    return stops[0] + (stops[1] - stops[0]) * lower + (stops[2] - stops[1]) * upper
