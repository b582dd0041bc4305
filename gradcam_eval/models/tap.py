"""The tap: read the outputs of any layers, and their gradients, in one traced pass.

While a function is traced, each wanted layer's `call` is replaced on the instance by one that
hands its output on; afterwards the instance is as it was. This works alike for functional, nested,
Sequential, subclassed, shared and frozen models, since it needs no second model to be built. The
operations that Keras records between layers (`x + shortcut` in a functional model) are called in
the same way, and count as layers here.
"""

from __future__ import annotations

import functools
import itertools
import threading
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from gradcam_eval.core import InputError, Undefined
from gradcam_eval.models.half import scaled_gradients
from gradcam_eval.models.layout import Layout, map_shape, to_map
from gradcam_eval.models.receptive_field import ReceptiveField

_TRACING = threading.RLock()  # two threads that tap one model would restore each other's calls
_ABSENT = object()


@dataclass(frozen=True, eq=False)
class LayerCall:
    """One call of one layer: what a heatmap is made from.

    Attributes
    ----------
    path : "block/conv", or "block/conv#1" for the second call of a layer that is called twice
    index : which call of the layer this is, counted from 0 in the order of execution
    shape : the output's shape without the batch axis; None for an axis of unknown size
    layout : how the output becomes a map (h, w, channels)
    field : what the map sees of an image, or why that is not known; None where nobody computed it
    image_size : (H, W) of the images for which `shape` and `field` are
    """

    path: str
    layer: keras.Operation
    index: int
    shape: tuple[int | None, ...]
    layout: Layout = "channels_last"
    field: ReceptiveField | Undefined | None = None
    image_size: tuple[int, int] | None = None

    @property
    def map_shape(self) -> tuple[int | None, ...]:
        """The shape (h, w, channels) of the map that the output is read as."""
        return map_shape(self.shape, self.layout)


@dataclass(frozen=True, eq=False)
class Recording:
    """What one traced pass saw: the model's outputs, and per tapped call A and G as maps.

    All are symbolic tensors. `gradients` holds None for a call that the score does not depend on,
    or where none was asked; `raw` is what the tapped calls returned, before it was read as a map.
    """

    outputs: Any
    raw: list[Any]
    activations: list[Any]
    gradients: list[Any]


@contextmanager
def tapped(
    layers: Iterable[keras.Operation], on_output: Callable[[keras.Operation, Any], Any]
) -> Iterator[None]:
    """Call `on_output(layer, output)` after each call of each layer, while the block runs.

    What it returns stands in for the output, unless that is None. The layers' own `call` is
    restored when the block ends, also after an exception.
    """
    with _TRACING:
        saved: list[tuple[keras.Operation, Any]] = []
        try:
            for layer in {id(layer): layer for layer in layers}.values():
                saved.append((layer, vars(layer).get("call", _ABSENT)))
                # Written past Layer.__setattr__, which would track the function as state.
                vars(layer)["call"] = _reporting(layer, layer.call, on_output)
            yield
        finally:
            for layer, original in saved:
                if original is _ABSENT:
                    del vars(layer)["call"]
                else:
                    vars(layer)["call"] = original


def _reporting(
    layer: keras.Operation,
    call: Callable[..., Any],
    on_output: Callable[[keras.Operation, Any], Any],
) -> Callable[..., Any]:
    @functools.wraps(call)
    def reporting(*args: Any, **kwargs: Any) -> Any:
        output = call(*args, **kwargs)
        replacement = on_output(layer, output)
        return output if replacement is None else replacement

    return reporting


@contextmanager
def kept(model: keras.Model) -> Iterator[None]:
    """Put back what layers count, or draw random numbers from, while the block runs."""
    if not model.built:  # nothing has counted or drawn yet
        yield
        return
    learned = {id(variable) for variable in model.trainable_variables}
    others = [variable for variable in model.variables if id(variable) not in learned]
    before = [np.array(keras.ops.convert_to_numpy(variable)) for variable in others]
    try:
        yield
    finally:
        for variable, value in zip(others, before, strict=True):
            now = keras.ops.convert_to_numpy(variable)
            if now.tobytes() != value.tobytes():
                variable.assign(value)


@contextmanager
def substituted(call: LayerCall, value: Any) -> Iterator[None]:
    """Let one call of a layer return `value`, which has its output's shape, while the block runs.

    The layer still runs; while a function is traced, what nobody uses of it is left out later.
    """
    count = itertools.count()

    def replace(layer: keras.Operation, output: Any) -> Any:
        return value if next(count) == call.index else None

    with tapped([call.layer], replace):
        yield


def record(
    forward: Callable[[], Any],
    calls: Sequence[LayerCall],
    score: Callable[[Any], Any],
    *,
    needs_gradient: bool = True,
) -> Recording:
    """Run a model once while tracing; return A at each call and G = ∂ Σ score / ∂A.

    Parameters
    ----------
    forward : calls the model on symbolic tensors and returns its outputs
    calls : where to read; one backward pass serves them all
    score : outputs → (N,), the explained scalar of each image; each depends on its own image
        alone, so the gradient of the sum is each image's gradient
    needs_gradient : False to skip the backward pass

    Raises
    ------
    InputError : a layer was not called, or runs inside a compiled function of its own
    """
    seen: dict[int, list[Any]] = {}
    with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:

        def keep(layer: keras.Operation, output: Any) -> None:
            if isinstance(output, tf.Tensor):
                tape.watch(output)
            seen.setdefault(id(layer), []).append(output)

        with tapped([call.layer for call in calls], keep):
            outputs = forward()
        explained = score(outputs)
    raw = [_output_of(call, seen, explained.graph) for call in calls]
    gradients = [None] * len(raw)
    if needs_gradient:
        gradients = scaled_gradients(
            explained, lambda weights: tape.gradient(explained, raw, output_gradients=weights)
        )
    return Recording(
        outputs,
        raw,
        [to_map(each, call.layout) for call, each in zip(calls, raw, strict=True)],
        [
            None if each is None else to_map(each, call.layout)
            for call, each in zip(calls, gradients, strict=True)
        ],
    )


def _output_of(call: LayerCall, outputs: dict[int, list[Any]], graph: Any) -> Any:
    seen = outputs.get(id(call.layer), [])
    if call.index >= len(seen):
        raise InputError(f"layer {call.path!r} was not called when the model ran on an image")
    output = seen[call.index]
    if getattr(output, "graph", graph) is not graph:
        raise InputError(
            f"layer {call.path!r} runs inside a compiled function of its own, where its output "
            "cannot be read: choose a layer outside it"
        )
    return output
