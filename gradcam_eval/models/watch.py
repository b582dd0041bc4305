"""Tell in well under a millisecond whether the weights of a model were written.

TensorFlow writes a variable in place only while nobody else holds its buffer. A `Watch` holds the
buffers of all weights, so that every write, whoever makes it, must give the variable another one:
it is enough to compare addresses, and values only where an address differs.
"""

from __future__ import annotations

import operator
from collections.abc import Callable, Sequence
from typing import Any, TypeAlias
from weakref import WeakKeyDictionary

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from gradcam_eval.models.live import is_replaced

Reader: TypeAlias = Callable[[], list[NDArray[Any]]]


class Watch:
    """The values that the weights of a model have at this moment, and whether they still do.

    It keeps the old values in memory after a write, so another one should replace it then.

    Parameters
    ----------
    model : keras.Model, built

    Attributes
    ----------
    weights : the model's variables
    """

    def __init__(self, model: keras.Model) -> None:
        self._model = model
        self.weights: list[Any] = list(model.weights)
        self._read = _shared_reader(model, [weight.value for weight in self.weights])
        self._held = self._read() if self._read else []

    @property
    def values(self) -> list[NDArray[Any]] | None:
        """The array of each weight: the variable's own memory, so this copies nothing.

        None where buffers cannot be compared: NumPy sees a copy of what lies on another device
        than the CPU. Then `is_current` tells of replaced variables alone.
        """
        if self._read is None:
            return None
        shapes = [tuple(weight.shape) for weight in self.weights]
        return [held.reshape(shape) for held, shape in zip(self._held, shapes, strict=True)]

    def is_current(self) -> bool:
        """Whether the model has the variables, and these the values, that were watched.

        Writing the same values back is no change.
        """
        if is_replaced(self._model, self.weights):
            return False
        if self._read is None:
            return True
        held, now = self._held, self._read()
        if all(map(np.may_share_memory, now, held)):
            return True
        if not all(map(_is_same, now, held)):
            return False
        self._held = now  # the same values in other buffers: addresses tell again from now on
        return True

    def let_go(self) -> None:
        """Hold the values no longer: from now on only variables that are replaced are a change.

        For a function that reads the weights at each call, and may write them itself.
        """
        self._read, self._held = None, []


_readers: WeakKeyDictionary[keras.Model, tuple[Sequence[Any], Reader | None]] = WeakKeyDictionary()


def _shared_reader(model: keras.Model, variables: Sequence[Any]) -> Reader | None:
    """Return the reader of a model's variables, which is compiled once for all that watch it."""
    if model in _readers:
        known, reader = _readers[model]
        if len(known) == len(variables) and all(map(operator.is_, known, variables)):
            return reader
    _readers[model] = (variables, _reader(variables))
    return _readers[model][1]


def _reader(variables: Sequence[Any]) -> Reader | None:
    """Return a function that reads all variables without copying, or None where that cannot be.

    One call of a function with one thread takes a quarter of the time of the reads one by one.
    """
    if not all(map(_is_in_memory, variables)):
        return None
    if not variables:
        return list

    def read() -> list[Any]:
        values = [variable.read_value() for variable in variables]
        # NumPy cannot look at a single bfloat16; a reshaped tensor has the same memory.
        return [tf.reshape(value, [1]) if value.shape.rank == 0 else value for value in values]

    concrete = tf.function(read, autograph=False).get_concrete_function()
    handles = list(concrete.captured_inputs)
    types = [tensor.dtype for tensor in concrete.outputs]

    def call() -> list[NDArray[Any]]:
        tensors = tf.raw_ops.StatefulPartitionedCall(
            args=handles, Tout=types, f=concrete, executor_type="SINGLE_THREADED_EXECUTOR"
        )
        return [np.asarray(tensor) for tensor in tensors]  # the tensor's own memory

    return call


def _is_in_memory(variable: Any) -> bool:
    is_plain = isinstance(variable, tf.Variable)
    is_spread = isinstance(variable, tf.distribute.DistributedValues)
    return is_plain and not is_spread and "CPU:" in variable.device


def _is_same(one: NDArray[Any], other: NDArray[Any]) -> bool:
    """Compare bytes, so that NaN equals itself and bfloat16 needs no arithmetic."""
    if np.may_share_memory(one, other):
        return True
    return np.array_equal(one.ravel().view(np.uint8), other.ravel().view(np.uint8))
