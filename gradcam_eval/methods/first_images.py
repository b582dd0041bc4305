"""The images of what Keras' `fit` takes: a data set of batches, or images with their labels."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from itertools import islice
from typing import Any

import keras
import numpy as np

from gradcam_eval.core import InputError
from gradcam_eval.models.inputs import fits
from gradcam_eval.models.structure import rank_of

MOST = 8  # images of a data set that is not batched


def first_images(model: keras.Model, given: Any) -> Any:
    """Return images, or the inputs of a model that has several, without labels or weights.

    Parameters
    ----------
    model : which explains them
    given : images as `Explainer` takes them, which come back as they are; (x, y) or (x, y, weights)
        as `validation_data` has them, of which x is returned; or a `tf.data.Dataset` or a
        `keras.utils.PyDataset` of such elements, of which the first batch is returned, or, where
        its elements are single images, the first 8

    Raises
    ------
    InputError : the data set is empty, or images of different size are in it
    """
    if isinstance(given, keras.utils.PyDataset):
        return _without_labels(model, given[0])
    if not hasattr(given, "element_spec"):
        return _without_labels(model, given)
    elements = [_as_arrays(_without_labels(model, each)) for each in islice(given, MOST)]
    if not elements:
        raise InputError("the data set of images is empty: give one with images.")
    # several inputs in a structure are batched; a single image has no axis for the batch
    if isinstance(elements[0], np.ndarray) and elements[0].ndim == 3:
        return _stacked(elements)
    return elements[0]


def _without_labels(model: keras.Model, given: Any) -> Any:
    """Return x of (x, y) or (x, y, weights), and anything else as it is."""
    if not isinstance(given, tuple) or not 2 <= len(given) <= 3:
        return given
    first = given[0]
    if isinstance(first, Mapping | list | tuple):
        return first if fits(model, first) or not fits(model, given) else given
    if fits(model, given):
        return given
    has_ranks = len({rank_of(each) for each in given}) > 1
    return first if has_ranks or rank_of(first) == 4 else given


def _as_arrays(element: Any) -> Any:
    """Return tensors as arrays, in the same structure."""
    if isinstance(element, Mapping):
        return {name: _as_arrays(each) for name, each in element.items()}
    if isinstance(element, list | tuple):
        return type(element)(_as_arrays(each) for each in element)
    return np.asarray(element)


def _stacked(images: Iterable[np.ndarray]) -> np.ndarray:
    images = list(images)
    if len({image.shape for image in images}) > 1:
        shapes = ", ".join(sorted({str(image.shape) for image in images}))
        raise InputError(f"the first images of the data set have the shapes {shapes}: wanted one.")
    return np.stack(images)
