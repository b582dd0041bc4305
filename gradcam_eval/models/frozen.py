"""Compiled functions with the model's weights folded in as constants: faster, and never stale.

TensorFlow can then merge batch normalisation and activations into the convolutions. Such a graph
is a snapshot: before each call the weights are compared with those that it was made from.
"""

from __future__ import annotations

import hashlib
import logging
import threading
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf

log = logging.getLogger(__name__)


class FrozenFunction:
    """A `tf.function` of tensors that runs on a frozen graph for as long as the weights stay.

    Comparing the weights takes about a second for each gigabyte of them, so this is for functions
    that run the model many times in a call. A graph that TensorFlow cannot freeze runs as it is.

    Parameters
    ----------
    function : made by `tf.function` with an input signature
    model : whose weights the function reads
    """

    def __init__(self, function: Any, model: keras.Model) -> None:
        self._live = function
        self._model = model
        self._frozen: Callable[..., Any] | None = None
        self._digest = b""
        self._lock = threading.Lock()

    def __call__(self, *args: Any) -> Any:
        """Call the function with the model's weights of this moment."""
        with self._lock:
            digest = weights_digest(self._model)
            if self._frozen is None or digest != self._digest:
                self._frozen, self._digest = _freeze(self._live), digest
            frozen = self._frozen
        return frozen(*args)


def weights_digest(model: keras.Model) -> bytes:
    """Return a digest of the values of all weights."""
    digest = hashlib.blake2b(digest_size=16)
    for weight in model.weights:
        digest.update(np.asarray(weight).tobytes())
    return digest.digest()


def _freeze(function: Any) -> Callable[..., Any]:
    # No public name offers this for a function; TensorFlow Lite's converter uses the same one.
    from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

    concrete = function.get_concrete_function()
    try:
        frozen = convert_variables_to_constants_v2(concrete)
    except Exception:  # whatever the conversion cannot do, the live function can
        log.debug("the graph cannot be frozen", exc_info=True)
        return concrete
    specs = concrete.structured_input_signature[0]

    def call(*args: Any) -> Any:
        tensors = [
            tf.convert_to_tensor(value, spec.dtype) for value, spec in zip(args, specs, strict=True)
        ]
        return tf.nest.pack_sequence_as(concrete.structured_outputs, frozen(*tensors))

    return call
