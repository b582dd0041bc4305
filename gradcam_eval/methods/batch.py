"""What a user hands to an `Explainer`, checked and turned into arrays."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
from numpy.typing import NDArray

from gradcam_eval.arrays import Placing
from gradcam_eval.core import InputError, Undefined, check_whole, is_whole
from gradcam_eval.models.inputs import (
    ModelInputs,
    check_shape,
    check_takes_images,
    fits,
    model_inputs,
    split,
)
from gradcam_eval.models.structure import Key, is_structure, shapes_of
from gradcam_eval.models.zoo import known_values
from gradcam_eval.texts import quoted
from gradcam_eval.values import PERTURBED, Values, check_values


@dataclass(frozen=True, eq=False)
class Batch:
    """Images and the other inputs of a model, N rows each."""

    inputs: ModelInputs
    images: NDArray[np.float32]  # (N, H, W, C)
    extras: tuple[NDArray[Any], ...]


def as_batch(
    model: keras.Model,
    given: Any,
    image_input: Key | None = None,
    *,
    known: dict[Any, ModelInputs] | None = None,
    values: Values | None = None,
) -> Batch:
    """Check what a model is to be called with.

    Parameters
    ----------
    model, given, image_input : see `model_inputs`
    known : what was found out in earlier calls, by the shapes that were given; it is added to
    values : the range of the images; None: that which the model is known to take, if any

    Raises
    ------
    InputError : images of another shape or scale than the model takes or not finite, an input
        missing or of another length
    """
    if not (is_structure(given) or fits(model, given)):
        try:
            given = as_images(given)
        except InputError:
            check_takes_images(model)  # else the shape is not what is wrong
            raise
    inputs = _known_inputs(model, given, image_input, {} if known is None else known)
    found, extras = split(inputs, given)
    images = as_images(found, values or known_values(model))
    check_shape(inputs, images.shape[1:])
    others = []
    for key, spec, extra in zip(inputs.extras, inputs.extra_specs, extras, strict=True):
        other = as_numbers(f"input {key!r}", extra, spec.dtype.as_numpy_dtype)
        is_alike = other.ndim and spec.shape[1:].is_compatible_with(other.shape[1:])
        if other.shape[:1] != (len(images),) or not is_alike:
            raise InputError(
                f"input {key!r} has shape {other.shape}: wanted {len(images)} rows of shape "
                f"{tuple(spec.shape[1:])}, one for each image"
            )
        others.append(other)
    return Batch(inputs, images, tuple(others))


def _known_inputs(
    model: keras.Model, given: Any, image_input: Key | None, known: dict[Any, ModelInputs]
) -> ModelInputs:
    shapes = shapes_of(given)
    if shapes not in known:
        known[shapes] = model_inputs(model, given=given, image_input=image_input)
    return known[shapes]


def as_images(images: Any, values: Values | None = None) -> NDArray[np.float32]:
    """Return (N, H, W, C) float32 of one image or several; refuse what is not finite.

    Where `values` are known, images of another scale are refused; see `check_values`.
    """
    batch = as_numbers("images", images, np.float32)
    if batch.ndim == 3:
        batch = batch[None]
    if batch.ndim != 4 or not batch.size:
        raise InputError(
            f"images have shape {np.shape(images)}: wanted (N, H, W, C) or (H, W, C), not empty"
        )
    if values is not None:
        check_values(batch, values, slack=PERTURBED)
    if not np.isfinite(batch).all():
        raise InputError("images have values that are not finite: give finite numbers")
    return batch


def as_numbers(what: str, given: Any, dtype: Any) -> NDArray[Any]:
    """Return an array of this type; refuse what is no array of numbers, or would lose a part."""
    try:
        found = np.asarray(given)
        if np.iscomplexobj(found):
            raise TypeError
        with np.errstate(over="ignore"):  # an infinity says so by itself
            return found.astype(dtype, copy=False)
    except (TypeError, ValueError) as error:
        # such as file names, or pictures of different sizes in one list
        raise InputError(
            f"{what} cannot be read as one array: wanted real numbers, of one shape for each image"
        ) from error


def check_settings(*, batch_size: int, seed: int, draws: int = 1, memory: int = 1) -> None:
    """Raise InputError unless these are whole numbers that the compiled pass can take."""
    check_whole("batch_size", batch_size)
    check_whole("draws", draws)
    check_whole("memory", memory)
    if not is_whole(seed) or not -(2**63) <= seed < 2**63:
        raise InputError(f"seed is {quoted(seed)}: wanted a whole number of 64 bits")


def as_regions(regions: Any, count: int) -> NDArray[np.float32]:
    """Return (N, h, w) of 0 and 1 of one region for each image, or one for all."""
    given = np.asarray(regions)
    if given.ndim == 2:
        given = np.broadcast_to(given, (count, *given.shape))
    if given.ndim != 3 or len(given) != count:
        raise InputError(
            f"regions have shape {np.shape(regions)}: wanted (h, w), or (N, h, w) with one for "
            f"each of {count} images"
        )
    inside = (given != 0).astype(np.float32)
    empty = np.flatnonzero(~inside.any(axis=(1, 2)))
    if len(empty):
        raise InputError(f"the region of image {empty[0]} is empty: there is nothing to explain")
    return inside


def lay_regions(regions: NDArray[np.float32], placing: Placing) -> NDArray[np.float32]:
    """Return regions of the image, (N, H, W) of 0 and 1, as shares of the output's positions.

    Parameters
    ----------
    regions : of any size; each covers its image corner to corner
    placing : where the output's positions lie; None: corner to corner, which the pass itself does

    Raises
    ------
    InputError : the place is not known, or the output sees nothing of a region
    """
    if placing is None:
        return regions
    if isinstance(placing, Undefined):
        raise InputError(
            f"the regions cannot be laid on this model's output: {placing.reason}; give them at "
            "the output's own height and width"
        )
    rows, columns = placing.shares((regions.shape[1], regions.shape[2]))
    laid = np.asarray(rows @ regions @ columns.T, np.float32)
    unseen = np.flatnonzero(~laid.any(axis=(1, 2)))
    if len(unseen):
        raise InputError(
            f"the region of image {unseen[0]} lies beside what this model's output sees: expected "
            f"one within {placing}"
        )
    return laid
