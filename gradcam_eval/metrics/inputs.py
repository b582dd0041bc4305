"""What metrics are given, checked once: models, images, heatmaps, targets."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gradcam_eval.core import Heatmap, InputError, Predict

Heatmaps: TypeAlias = Heatmap | Sequence[Heatmap]


def as_predict(predict: Predict | Any) -> Predict:
    """Return `predict`, or the compiled forward pass of it where it is a Keras model.

    Keras is not imported for this: a Keras model cannot exist before someone imported Keras.

    Notes
    -----
    The last model's compiled functions are kept, so that a loop over images compiles once. New
    weights are seen; a model whose *layers* were changed in between needs its own `Predictor`.
    """
    keras = sys.modules.get("keras")
    if keras is not None and isinstance(predict, keras.Model):
        return _predictor(predict)
    if not callable(predict):
        raise InputError(
            f"predict is {type(predict).__name__}: give a Keras model or a function that maps "
            "images (n, H, W, C) to probabilities (n, K)."
        )
    return predict


@lru_cache(maxsize=1)
def _predictor(model: Any) -> Predict:
    from gradcam_eval.models.engine import Predictor

    return Predictor(model)


@dataclass(frozen=True, eq=False)
class Request:
    """What was asked, checked: images (I, H, W, C) with I = 1 or N, N heatmaps, N targets."""

    images: NDArray[np.float32]
    heatmaps: list[Heatmap]
    targets: NDArray[np.int32]


def checked_request(
    images: NDArray[np.float32], heatmaps: Heatmaps, targets: Sequence[int]
) -> Request:
    """Check what a caller gave, in the words that help to put it right."""
    maps = checked_heatmaps(heatmaps)
    classes = np.asarray(targets)
    if len(maps) and (classes.shape != (len(maps),) or classes.dtype.kind not in "iu"):
        raise InputError(
            f"targets have shape {classes.shape} and dtype {classes.dtype}: give {len(maps)} class "
            "indices (int), one for each heatmap."
        )
    pictures = _checked_images(np.asarray(images))
    if len(pictures) not in (1, len(maps)) and maps:
        raise InputError(
            f"{len(pictures)} images for {len(maps)} heatmaps: give one image for each heatmap, "
            "or one for all."
        )
    return Request(pictures, maps, classes.astype(np.int32))


def checked_heatmaps(heatmaps: Heatmaps) -> list[Heatmap]:
    """Return the heatmaps as a list of (h, w) arrays, which may have different sizes."""
    maps = [np.asarray(each) for each in heatmaps]
    for each in maps:
        if each.ndim != 2 or each.size == 0 or each.dtype.kind not in "fiub":
            raise InputError(
                f"a heatmap has shape {each.shape} and dtype {each.dtype}: wanted numbers (h, w); "
                "for one heatmap give heatmap[None]."
            )
    return [each.astype(np.float32) if each.dtype.kind == "b" else each for each in maps]


def _checked_images(images: NDArray[Any]) -> NDArray[np.float32]:
    if images.ndim != 4 or images.dtype.kind not in "fiu":
        raise InputError(
            f"images have shape {images.shape} and dtype {images.dtype}: wanted numbers "
            "(N, H, W, C); for one image give image[None]."
        )
    if not np.isfinite(images).all():
        raise InputError("an image has values that are not finite: images must be 0 to 255.")
    low, high = (float(images.min()), float(images.max())) if images.size else (0.0, 0.0)
    # a black photograph with a little noise has whole numbers up to 1; a scaled one has fractions
    is_scaled = 0 < high <= 1 and not np.array_equal(images, np.round(images))
    if low < 0 or high > 255 or is_scaled:
        raise InputError(
            f"images run from {low:.4g} to {high:.4g}: wanted 0 to 255, before the model's own "
            "preprocessing."
        )
    return images.astype(np.float32, copy=False)
