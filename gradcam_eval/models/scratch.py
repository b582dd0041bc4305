"""A model that may be spoilt: a faithful copy, or the model itself, put back afterwards."""

from __future__ import annotations

import copy
import logging
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from gradcam_eval.models.process import kept_random_state

log = logging.getLogger(__name__)


@contextmanager
def scratch_model(model: keras.Model, inputs: Any) -> Iterator[keras.Model]:
    """Lend a model with the same weights whose weights may be written.

    A copy by `keras.models.clone_model` where that is faithful, else one by way of Keras' own
    saving; a copy is faithful if it answers `inputs` as the model does. Most subclassed models have
    neither: the model itself is lent then, and its weights are put back when the block ends, also
    after an exception.

    Parameters
    ----------
    model : keras.Model
    inputs : a small batch, as the model takes it

    Warns
    -----
    UserWarning : the model itself is lent, so nobody else should use it meanwhile
    """
    expected = answers_of(model, inputs)  # builds a model that was never called
    for make in (_cloned, copy.deepcopy):
        found = _faithful(make, model, inputs, expected)
        if found is not None:
            yield found
            return
    warnings.warn(
        f"the model {model.name!r} cannot be copied (most subclassed models cannot): its own "
        "weights are changed for a while and then put back; do not use it meanwhile",
        stacklevel=4,
    )
    kept = [weight.numpy().copy() for weight in model.weights]
    try:
        yield model
    finally:
        for weight, value in zip(model.weights, kept, strict=True):
            weight.assign(value)


def answers_of(model: keras.Model, inputs: Any) -> list[np.ndarray]:
    """Return a model's outputs, computed live: no compiled function is involved."""
    return [np.asarray(each) for each in tf.nest.flatten(model(inputs, training=False))]


def _cloned(model: keras.Model) -> keras.Model:
    return keras.models.clone_model(model)


@kept_random_state()
def _faithful(
    make: Callable[[Any], Any], model: keras.Model, inputs: Any, expected: list[np.ndarray]
) -> keras.Model | None:
    """Return the copy that `make` gives, or None where it gives none or another model."""
    try:
        found = make(model)
        found(inputs, training=False)  # builds what is built late
        found.set_weights(model.get_weights())
        answers = answers_of(found, inputs)
    except Exception as error:  # whatever a model's own code raises when it is made anew
        log.debug("%s does not copy %r: %s", make.__name__, model.name, error)
        return None
    mine, yours = {id(weight) for weight in found.weights}, {id(w) for w in model.weights}
    is_alike = len(answers) == len(expected) and all(
        a.shape == b.shape and np.allclose(a, b, rtol=1e-4, atol=1e-6, equal_nan=True)
        for a, b in zip(answers, expected, strict=True)
    )
    return found if is_alike and not mine & yours else None
