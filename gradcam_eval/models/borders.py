"""Whether a map is of the whole image, in its order: tried where a layer's field is not known."""

from __future__ import annotations

import logging
from collections.abc import Sequence

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from gradcam_eval.core import Undefined
from gradcam_eval.models.inputs import ModelInputs
from gradcam_eval.models.layout import to_map
from gradcam_eval.models.tap import LayerCall, kept, tapped

log = logging.getLogger(__name__)

BORDERS = ("top", "bottom", "left", "right")
_BANDS = 16  # of rows, and of columns, of which one is changed at a time
_REVERSAL = 0.4  # of a map's side, by which the change moves back
_DRAWS = 2  # images of noise: a rectified value may be 0 for one of them by chance
_ROUNDINGS = 64  # of a layer's largest value: less is no change
_CHANCE = 1e-3  # of the same: two equal images that differ by more show that a layer is random


def unseen_borders(
    model: keras.Model, inputs: ModelInputs, calls: Sequence[LayerCall]
) -> dict[str, Undefined | None]:
    """Say of each call whether each edge of its map sees that border of the image, by path.

    An image of noise is shown with other noise on one border at a time, as wide as one position of
    the layer's map (H / h rows, W / w columns). The outermost positions of the map on that side
    change with it, unless the map is of a crop, of one window or of a padded image.

    Parameters
    ----------
    model, inputs : the model, and how it takes images of a size; it is left as it was
    calls : of layers whose outputs are read as maps

    Returns
    -------
    None where all four do, and the map's positions are in the order of the image's; else
    Undefined, which names the borders, and says why the place of the map is not known; likewise
    where the layer's values are random, or the model cannot be run so

    Notes
    -----
    Other inputs of the model are zeros, as in the trace. A border that is seen through a global
    operation alone counts as seen. The order is tried with other noise on one sixteenth of the rows
    (columns) at a time: what changes lies, on the mean, further down for a band further down. A map
    whose rows see one row of each of several frames changes at its top for the top of each frame.
    """
    found: dict[str, Undefined | None] = {}
    for size in dict.fromkeys(call.map_shape[:2] for call in calls):
        alike = [call for call in calls if call.map_shape[:2] == size]
        try:
            found |= _tried(model, inputs, alike)
        except Exception as error:  # whatever a layer raises when it runs on noise
            log.debug("the borders cannot be tried", exc_info=True)
            text = f"{type(error).__name__}: {str(error)[:200]}"
            found |= {call.path: _unknown(call, f"running it failed ({text})") for call in alike}
    return found


def _unknown(call: LayerCall, what: str) -> Undefined:
    why = getattr(call.field, "reason", "")
    return Undefined(f"{what}, and where its map lies is not known: {why}")


def _tried(
    model: keras.Model, inputs: ModelInputs, calls: Sequence[LayerCall]
) -> dict[str, Undefined | None]:
    height, width = calls[0].map_shape[:2]
    if not height or not width:
        return {call.path: _unknown(call, "the size of its map is not fixed") for call in calls}
    images = _images(inputs.shape, (height, width))
    outputs = _outputs(model, inputs, calls, images)
    found = {call.path: _said(call, outputs[call.path]) for call in calls}
    whole = [call for call in calls if found[call.path] is None]
    if whole:
        outputs = _outputs(model, inputs, whole, _banded(inputs.shape))
        found |= {call.path: _order(call, outputs[call.path], inputs.shape) for call in whole}
    return found


def _images(shape: tuple[int, int, int], size: tuple[int, int]) -> NDArray[np.float32]:
    """Return noise (_DRAWS · 6, H, W, C): an image, the same again, and each border changed."""
    generator = np.random.default_rng(0)
    rows, columns = (-(-n // m) for n, m in zip(shape[:2], size, strict=True))
    bands = (np.s_[:rows], np.s_[-rows:], np.s_[:, :columns], np.s_[:, -columns:])
    images = []
    for _ in range(_DRAWS):
        image, other = generator.uniform(0, 255, (2, *shape))
        changed = [image.copy() for _ in bands]
        for each, band in zip(changed, bands, strict=True):
            each[band] = other[band]
        images += [image, image, *changed]
    return np.asarray(images, np.float32)


def _outputs(
    model: keras.Model,
    inputs: ModelInputs,
    calls: Sequence[LayerCall],
    images: NDArray[np.float32],
) -> dict[str, NDArray[np.float64] | None]:
    """Return the map that each call returns for the images."""
    seen: dict[int, list[object]] = {id(call.layer): [] for call in calls}

    def keep(layer: keras.Operation, output: object) -> None:
        seen[id(layer)].append(output)

    extras = tuple(
        tf.zeros((len(images), *(side or 1 for side in spec.shape[1:])), spec.dtype)
        for spec in inputs.extra_specs
    )
    with kept(model), tapped([call.layer for call in calls], keep):
        inputs.answer(model, tf.constant(images), extras)
    return {call.path: _map_of(call, seen[id(call.layer)][call.index]) for call in calls}


def _map_of(call: LayerCall, output: object) -> NDArray[np.float64] | None:
    """Return what a call returned as a map (N, h, w, K); None inside a function of its own."""
    if not isinstance(output, tf.Tensor) or not hasattr(output, "numpy"):
        return None
    return np.asarray(to_map(output, call.layout), np.float64)


def _said(call: LayerCall, maps: NDArray[np.float64] | None) -> Undefined | None:
    """Return None where each edge of the map changes with its border in at least one draw."""
    if maps is None or len(maps) != _DRAWS * (2 + len(BORDERS)):
        return _unknown(call, "its values cannot be read image by image")
    draws = maps.reshape(_DRAWS, 2 + len(BORDERS), *maps.shape[1:])
    largest = np.abs(draws[:, 0]).max(axis=(1, 2, 3))
    chance = np.abs(draws[:, 1] - draws[:, 0]).max(axis=(1, 2, 3))
    if (chance > _CHANCE * largest).any():
        return _unknown(call, "its values differ from run to run")
    limit = np.maximum(_ROUNDINGS * np.finfo(np.float32).eps * largest, 10 * chance)
    unseen = [
        name
        for n, (name, edge) in enumerate(zip(BORDERS, _edges(*maps.shape[1:3]), strict=True))
        if not (np.abs(draws[:, 2 + n] - draws[:, 0])[edge].max(axis=(1, 2, 3)) > limit).any()
    ]
    if not unseen:
        return None
    return _unknown(call, f"its edges do not see the image's borders ({', '.join(unseen)})")


def _bands(pixels: int) -> list[NDArray[np.int64]]:
    """Return the rows (or columns) of each band of an image."""
    return np.array_split(np.arange(pixels), min(pixels, _BANDS))


def _banded(shape: tuple[int, int, int]) -> NDArray[np.float32]:
    """Return noise (1 + bands, H, W, C): an image, and it with each band of rows, then columns."""
    image, other = np.random.default_rng(1).uniform(0, 255, (2, *shape))
    images = [image]
    for axis in (0, 1):
        for band in _bands(shape[axis]):
            place = (band,) if axis == 0 else (slice(None), band)
            changed = image.copy()
            changed[place] = other[place]
            images.append(changed)
    return np.asarray(images, np.float32)


def _order(
    call: LayerCall, maps: NDArray[np.float64] | None, shape: tuple[int, int, int]
) -> Undefined | None:
    """Return None unless what a band changes lies far before what an earlier band changes."""
    counts = [len(_bands(side)) for side in shape[:2]]
    if maps is None or len(maps) != 1 + sum(counts):
        return _unknown(call, "its values cannot be read image by image")
    changes = np.abs(maps[1:] - maps[0]).sum(-1)
    changes[changes <= _ROUNDINGS * np.finfo(np.float32).eps * np.abs(maps[0]).max()] = 0
    for axis, bands in ((1, changes[: counts[0]]), (2, changes[counts[0] :])):
        profiles = bands.sum(3 - axis)
        profiles = profiles[profiles.sum(1) > 0]
        places = (np.arange(profiles.shape[1]) + 0.5) / profiles.shape[1]
        middles = profiles @ places / profiles.sum(1)
        if (np.maximum.accumulate(middles) - middles > _REVERSAL).any():
            what = "rows" if axis == 1 else "columns"
            return _unknown(call, f"its {what} do not follow each other as those of the image do")
    return None


def _edges(height: int, width: int) -> list[tuple[slice, ...]]:
    """Return the index (draws, h, w) of each edge of a map; its corners are at two edges."""
    rows, columns = (slice(n // 4, n - n // 4) for n in (height, width))
    every = slice(None)
    return [
        (every, slice(0, 1), columns),
        (every, slice(-1, None), columns),
        (every, rows, slice(0, 1)),
        (every, rows, slice(-1, None)),
    ]
