"""Compiled functions with the model's weights as constants: faster, and never stale.

TensorFlow can then merge batch normalisation and activations into the convolutions. Such a graph
is a snapshot: before each call a `Watch` tells whether the weights are still those.
"""

from __future__ import annotations

import logging
import threading
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from gradcam_eval.models.fold import folded
from gradcam_eval.models.watch import Watch

log = logging.getLogger(__name__)

PATIENCE = 4
_LARGEST = 1_500_000_000  # bytes of weights; a graph of 2 GiB cannot be stored


class CannotFreeze(Exception):
    """The graph cannot be frozen; the message says why."""


@dataclass(frozen=True, eq=False)
class FrozenGraph:
    """A traced function whose weights are constants.

    Attributes
    ----------
    run : tensors → the outputs, in the structure in which the function returns them
    concrete : the same with flat outputs, and what it still captures (lookup tables, plain
        TensorFlow variables) as further arguments
    captures : what those arguments are
    """

    run: Callable[..., Any]
    concrete: Any
    captures: tuple[Any, ...]


class FrozenFunction:
    """A `tf.function` of tensors that runs on a frozen graph for as long as the weights stay.

    The weights are looked at before each call, in about a millisecond. After they changed, the
    next calls run live, and a graph is frozen again when the new weights have stayed: while a model
    trains, freezing would cost more than it gains. A graph that cannot be frozen, or whose weights
    lie on another device than the CPU, runs live. Calls from several threads compute side by side.

    Parameters
    ----------
    function : made by `tf.function` with an input signature
    model : whose weights the function reads
    patience : calls after a change of the weights that run live

    Notes
    -----
    What a model does apart from its weights (an activation, a rate) is fixed when it is traced, as
    it is in Keras' own `predict`.
    """

    def __init__(self, function: Any, model: keras.Model, *, patience: int = PATIENCE) -> None:
        self._function = function
        self._model = model
        self._patience = patience
        self._watch: Watch | None = None
        self._live: Any = None
        self._frozen: FrozenGraph | None = None
        self._live_calls_left = 0
        self._lock = threading.Lock()
        self.reason = ""

    @property
    def is_frozen(self) -> bool:
        """Whether the last call ran on a frozen graph; if it did not, `reason` may say why."""
        return self._frozen is not None

    def prepare(self) -> None:
        """Trace the function now, so that a call is quick and what tracing finds out is known."""
        with self._lock:
            self._ready()

    def __call__(self, *args: Any) -> Any:
        """Call the function with the model's weights of this moment."""
        with self._lock:
            run = self._ready()
        return run(*args)

    def _ready(self) -> Callable[..., Any]:
        if self._watch is None:
            if not _is_built(self._model):
                self._live = self._function.get_concrete_function()
            self._watch = Watch(self._model)
        elif not self._watch.is_current():
            if self._watch.is_replaced():
                self._function, self._live = _again(self._function), None
            self._watch, self._frozen, self.reason = Watch(self._model), None, ""
            self._live_calls_left = self._patience
        if self._frozen is None and not self.reason and not self._live_calls_left:
            self._freeze(self._watch)
        self._live_calls_left = max(0, self._live_calls_left - 1)
        if self._frozen is not None:
            return self._frozen.run
        if self._live is None:
            self._live = self._function.get_concrete_function()
        return self._live

    def _freeze(self, watch: Watch) -> None:
        try:
            self._frozen = freeze(self._function, watch)
        except CannotFreeze as problem:
            self.reason = str(problem)
            log.debug("the graph runs live: %s", problem)


def freeze(function: Any, watch: Watch) -> FrozenGraph:
    """Trace a function with the watched values as constants.

    Parameters
    ----------
    function : made by `tf.function` with an input signature; it is traced anew
    watch : of the model that it calls

    Raises
    ------
    CannotFreeze : the weights are too large or not in the CPU's memory, or the function writes them
    """
    if watch.values is None:
        raise CannotFreeze("the weights are not plain variables in the CPU's memory")
    if sum(value.nbytes for value in watch.values) > _LARGEST:
        raise CannotFreeze(f"the weights are larger than {_LARGEST / 1e9:g} GB")
    traced = _traced_with_constants(function, watch)
    definition, rewritten = folded(traced.graph)
    concrete = _imported(definition, traced) if rewritten else traced
    further = tuple(traced.captured_inputs) if rewritten else ()
    structure = tf.nest.map_structure(lambda _: 0, traced.structured_outputs)
    specs = traced.structured_input_signature[0]

    def run(*args: Any) -> Any:
        tensors = [
            tf.convert_to_tensor(value, spec.dtype) for value, spec in zip(args, specs, strict=True)
        ]
        found = concrete(*tensors, *further)
        return tf.nest.pack_sequence_as(structure, tf.nest.flatten(found))

    return FrozenGraph(run, concrete, further)


def _traced_with_constants(function: Any, watch: Watch) -> Any:
    writes: list[int] = []

    def with_constants(*args: Any) -> Any:
        constants = [
            (weight, tf.constant(value, weight.dtype))
            for weight, value in zip(watch.weights, watch.values or (), strict=True)
        ]
        # Keras reads a variable's value from the scope, and writes it there instead of into it.
        with keras.StatelessScope(constants) as scope:
            outputs = function.python_function(*args)
        kept = [scope.get_current_value(weight) is value for weight, value in constants]
        writes.append(kept.count(False) + len(scope.state_mapping) - len(constants))
        return outputs

    signature = function.input_signature
    traced = tf.function(with_constants, input_signature=signature, autograph=False)
    concrete = traced.get_concrete_function()
    if any(writes):
        raise CannotFreeze("the function writes variables, as random layers do")
    return concrete


def _imported(definition: Any, traced: Any) -> Any:
    """Return a concrete function of a changed definition; its captures are arguments now."""

    def load() -> None:
        tf.graph_util.import_graph_def(definition, name="")

    wrapped = tf.compat.v1.wrap_function(load, [])
    definition.Clear()  # `wrapped` keeps `load` alive, and that a second copy of the weights
    named = wrapped.graph.get_tensor_by_name
    inputs, outputs = (
        [named(tensor.name) for tensor in tensors] for tensors in (traced.inputs, traced.outputs)
    )
    return wrapped.prune(inputs, outputs)


def _is_built(model: keras.Model) -> bool:
    """Whether no layer waits for its first call to make its weights."""
    return all(layer.built for layer in model._flatten_layers())


def _again(function: Any) -> Any:
    """Return the function without its traces, which hold the variables that were replaced."""
    return tf.function(
        function.python_function, input_signature=function.input_signature, autograph=False
    )
