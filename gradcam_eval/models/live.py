"""Compiled functions that read a model's weights at each call, whichever variables hold them."""

from __future__ import annotations

import operator
import threading
from collections.abc import Callable
from typing import Any

import keras
import tensorflow as tf

from gradcam_eval.models.memory import trimmed
from gradcam_eval.models.onednn import channels_first_advice


class LiveFunction:
    """A `tf.function` of tensors that computes with the variables that a model has at each call.

    A traced function keeps the variables that it was traced with. `model.quantize` replaces some
    and `enable_lora` adds others, so the model's list is looked at before each call (a tenth of a
    millisecond) and the function is traced again where it is another.

    Parameters
    ----------
    function : made by `tf.function`; without an input signature it is traced for each kind of
        argument
    model : whose weights the function reads
    """

    def __init__(self, function: Any, model: keras.Model) -> None:
        self._function = function
        self._model = model
        self._variables: list[Any] = []
        self._run: Callable[..., Any] | None = None
        self._lock = threading.Lock()

    def __call__(self, *args: Any) -> Any:
        """Call the function with the model's weights of this moment."""
        return self.traced()(*args)

    def traced(self) -> Callable[..., Any]:
        """Return what computes with the variables that the model has now."""
        with self._lock:
            if self._run is not None and is_replaced(self._model, self._variables):
                self._function, self._run = _again(self._function), None
            if self._run is None:
                self._run = trimmed(channels_first_advice()(_traced(self._function)))
                self._variables = list(self._model.weights)  # tracing may have made some
            return self._run

    def unwatched(self) -> Callable[..., Any]:
        """Return what computes with the variables of the last trace, whatever the model has now."""
        return self._run or self.traced()


def is_replaced(model: keras.Model, variables: list[Any]) -> bool:
    """Whether a model has other variables than these, as after `quantize` or `enable_lora`."""
    now = model.weights
    return len(now) != len(variables) or not all(map(operator.is_, now, variables))


def _traced(function: Any) -> Callable[..., Any]:
    return function.get_concrete_function() if function.input_signature else function


def _again(function: Any) -> Any:
    """Return the function without its traces, which hold the variables that were replaced."""
    return tf.function(
        function.python_function, input_signature=function.input_signature, autograph=False
    )
