"""Graphs with the model's weights as constants, which TensorFlow computes faster.

It can then merge batch normalisation and activations into the convolutions. Such a graph is a
snapshot: `FrozenFunction` says when it holds.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from gradcam_eval.models.fold import folded
from gradcam_eval.models.watch import Watch

_LARGEST = 1_500_000_000  # bytes of weights; a graph of 2 GiB cannot be stored


class Unsuitable(Exception):
    """A graph cannot run in the faster way that was wanted; the message says why."""


@dataclass(frozen=True, eq=False)
class Signature:
    """What a function takes and returns, beside the flat tensors of its graph.

    Attributes
    ----------
    specs : of its arguments
    captures : handles of what stays live (lookup tables, plain TensorFlow variables): further
        inputs of the graph behind the arguments
    structure : in which it returns its outputs
    """

    specs: tuple[tf.TensorSpec, ...]
    captures: tuple[Any, ...]
    structure: Any

    def tensors(self, args: Sequence[Any]) -> list[Any]:
        """Return the function's arguments as the tensors that the graph takes."""
        given = zip(args, self.specs, strict=True)
        return [*(tf.convert_to_tensor(each, spec.dtype) for each, spec in given), *self.captures]

    def packed(self, outputs: Any) -> Any:
        """Return the graph's flat outputs in the function's structure."""
        return tf.nest.pack_sequence_as(self.structure, outputs)


@dataclass(frozen=True, eq=False)
class FrozenGraph:
    """A function of tensors as a graph whose weights are constants. It holds copies of them.

    Attributes
    ----------
    definition : GraphDef
    inputs, outputs : names of its tensors
    signature : of the function
    traced : the tf.Graph that the definition was made from, which knows shapes and types
    """

    definition: Any
    inputs: tuple[str, ...]
    outputs: tuple[str, ...]
    signature: Signature
    traced: Any

    def spec(self, tensor: str) -> tf.TensorSpec | None:
        """Return a tensor's shape and type; None for one that was not traced but made later."""
        try:
            found = self.traced.get_tensor_by_name(tensor)
        except KeyError:
            return None
        return tf.TensorSpec(found.shape, found.dtype)

    def between(self, inputs: Sequence[str], outputs: Sequence[str]) -> Any:
        """Return the concrete function from some tensors of the graph to others, as flat lists.

        It has only the operations that the outputs need beyond these inputs.
        """
        part = tf.compat.v1.GraphDef(
            versions=self.definition.versions, library=self.definition.library
        )
        needed = needed_nodes(self.definition, outputs, inputs)
        part.node.extend(node for node in self.definition.node if node.name in needed)
        read = {
            _full(each) for node in part.node for each in node.input if not each.startswith("^")
        }

        def load(*tensors: Any) -> list[Any]:
            given = dict(zip(inputs, tensors, strict=True))
            made = [each for each in outputs if each not in given]
            used = {name: tensor for name, tensor in given.items() if name in read}
            found = tf.graph_util.import_graph_def(part, used, made, name="")
            given.update(zip(made, found, strict=True))
            return [given[each] for each in outputs]

        specs = [self.spec(each) for each in inputs]
        concrete = tf.compat.v1.wrap_function(load, specs)
        part.Clear()  # `concrete` keeps `load` alive, and that a further copy of the weights
        return concrete

    def compiled(self) -> Callable[..., Any]:
        """Return what computes the whole graph: the function's arguments → its outputs."""
        concrete = self.between(self.inputs, self.outputs)
        signature = self.signature
        return lambda *args: signature.packed(concrete(*signature.tensors(args)))


def needed_nodes(
    definition: Any, outputs: Sequence[str], given: Sequence[str] = ()
) -> dict[str, list[str]]:
    """Return the nodes that some tensors depend on, each behind those that it reads.

    Parameters
    ----------
    definition : GraphDef
    outputs, given : names of tensors; what is given needs nothing

    Returns
    -------
    name of each node → names of the nodes that it reads, without those that are given
    """
    nodes = {node.name: node for node in definition.node}
    stop = set(given)
    order: dict[str, list[str]] = {}
    waiting = [(node_name(each), False) for each in outputs if each not in stop]
    reads: dict[str, list[str]] = {}
    while waiting:
        name, is_complete = waiting.pop()
        if is_complete:
            order[name] = reads[name]
        elif name not in reads:
            reads[name] = [node_name(each) for each in nodes[name].input if _full(each) not in stop]
            waiting.append((name, True))
            waiting.extend((each, False) for each in reads[name] if each not in reads)
    return order


def node_name(tensor: str) -> str:
    """Return the name of the node that makes a tensor, as a GraphDef writes its inputs."""
    return tensor.removeprefix("^").split(":")[0]


def _full(tensor: str) -> str:
    return tensor if ":" in tensor or tensor.startswith("^") else f"{tensor}:0"


def freeze(function: Any, watch: Watch) -> FrozenGraph:
    """Trace a function with the watched values as constants.

    Parameters
    ----------
    function : made by `tf.function` with an input signature; it is traced anew
    watch : of the model that it calls

    Raises
    ------
    Unsuitable : the weights are too large or not in the CPU's memory, or the function writes them
    """
    if watch.values is None:
        raise Unsuitable("the weights are not plain variables in the CPU's memory")
    if sum(value.nbytes for value in watch.values) > _LARGEST:
        raise Unsuitable(f"the weights are larger than {_LARGEST / 1e9:g} GB")
    traced = _traced_with_constants(function, watch)
    return FrozenGraph(
        folded(traced.graph)[0],
        inputs=tuple(tensor.name for tensor in traced.inputs),
        outputs=tuple(tensor.name for tensor in traced.outputs),
        signature=Signature(
            specs=tuple(traced.structured_input_signature[0]),
            captures=tuple(traced.captured_inputs),
            structure=tf.nest.map_structure(lambda _: 0, traced.structured_outputs),
        ),
        traced=traced.graph,
    )


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
        raise Unsuitable("the function writes variables, as random layers do")
    return concrete
