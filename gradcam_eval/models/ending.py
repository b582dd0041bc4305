"""How a model ends: which operations make its class scores, found in the traced graph.

Keras models usually end in a softmax inside their last layer, so the logit is not among their
outputs. While a function is traced, the tensors know the operations that made them: the logit is
the input of the last Softmax (or Sigmoid) operation. Nothing is replaced, whatever kind of layer,
custom class or plain TensorFlow call made that operation.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from gradcam_eval.core import Undefined
from gradcam_eval.models.reach.operation import static_value

ACTIVATIONS = ("Softmax", "LogSoftmax", "Sigmoid")
_MOVES = ("ExpandDims", "Reshape", "Squeeze", "Transpose")
_PASSES_THROUGH = (*("Identity", "IdentityN", "Cast", "StopGradient"), *_MOVES)
_CLIPS = ("ClipByValue", "Minimum", "Maximum")  # to a constant, as a loss wants its probabilities
_RESIZES = ("ResizeBilinear", "ResizeNearestNeighbor")
# They make one prediction of several, or choose among its classes.
_COMBINES = frozenset(
    {
        *("Add", "AddN", "AddV2", "Sub", "Mul", "RealDiv"),
        *("Mean", "Sum", "Prod", "Max", "Min", "AvgPool", "MaxPool"),
        *("ConcatV2", "Pack", "Split", "SplitV", "Unpack", "GatherV2", "Slice", "StridedSlice"),
        *("BroadcastTo", "Pad", "PadV2", "Tile"),
        *(*_PASSES_THROUGH, *_CLIPS, *_RESIZES),
    }
)
_PRODUCTS = ("BatchMatMulV2", "Einsum", "MatMul")
_WITHOUT_EVIDENCE = ("ReadVariableOp", "Shape", "VarHandleOp")  # weights and sizes
_HIDES_ITS_INSIDE = ("PartitionedCall", "StatefulPartitionedCall")
_HIDDEN = Undefined("this model computes its output inside a compiled function of its own")
_COMBINED = Undefined("this model's output is put together from probabilities")
_CLIPPED = Undefined("this model's output is clipped to 0..1, as by a hard sigmoid")


@dataclass(frozen=True, eq=False)
class Ending:
    """How an output is made.

    Attributes
    ----------
    activation : "Softmax", "LogSoftmax" or "Sigmoid", or "" for an output that has none
    logits : what the activation was given, in the output's shape; the output itself where there is
        no activation; Undefined where the output is made of probabilities and has no such tensor
    class_axis : the output's axis over which a softmax makes one; None where nothing says so
    """

    activation: str
    logits: Any
    class_axis: int | None = None


def find_ending(tensor: Any) -> Ending:
    """Return how a model's output, a symbolic tensor, is made."""
    passed = [tensor]
    while passed[-1].op.type in _PASSES_THROUGH or _is_clip(passed[-1].op):
        passed.append(_source(passed[-1]))
    last = passed.pop().op
    kind = _activation_of(last)
    if kind and last.type in _HIDES_ITS_INSIDE:
        return Ending(kind, _HIDDEN)
    if kind:
        axis = None if kind == "Sigmoid" else _moved_axis(last.inputs[0].shape.rank - 1, passed)
        return Ending(kind, _moved(last.inputs[0], passed), axis)
    beside = _sigmoids_beside_each_other(last)
    if beside is not None:
        return Ending("Sigmoid", _moved(beside, passed))
    behind = _activations_behind(tensor.op)
    if behind:
        return Ending("Softmax" if behind == {"Softmax"} else "Sigmoid", _COMBINED)
    if _is_within_0_and_1(last, passed):
        return Ending("Sigmoid", _CLIPPED)
    return Ending("", tensor)


def prediction_operations(outputs: Sequence[Any]) -> set[Any]:
    """Return the operations that make a model's outputs and the logits behind them.

    Between a logit and its output stand a softmax or sigmoid, and what moves values or resizes. An
    output that another one is made from, as a map returned beside the classes, is no prediction.
    """
    found: set[Any] = set()
    for tensor in outputs:
        others = [each for each in outputs if each is not tensor]
        if without_identity(tensor).op in ancestors(others):
            continue
        found.add(tensor.op)
        while tensor.op.type in (*_PASSES_THROUGH, *_RESIZES, *ACTIVATIONS):
            tensor = _source(tensor)
            found.add(tensor.op)
    return found


_RANDOM = ("Random", "Multinomial", "TruncatedNormal")  # in the names of TensorFlow operations


def ancestors(tensors: Sequence[Any]) -> set[Any]:
    """Return the operations that make these tensors, and all that they are made from."""
    found: set[Any] = set()
    waiting = [tensor.op for tensor in tensors]
    while waiting:
        operation = waiting.pop()
        if operation not in found:
            found.add(operation)
            waiting.extend(tensor.op for tensor in operation.inputs)
    return found


def random_operations(tensors: Sequence[Any]) -> list[str]:
    """Return the operations that draw what tensors are made from; a graph of inference has none."""
    drawn = (op for op in ancestors(tensors) if any(kind in op.type for kind in _RANDOM))
    return sorted(op.name for op in drawn)


def without_identity(tensor: Any) -> Any:
    """Return the tensor that operations of type Identity have handed on as this one."""
    while isinstance(tensor, tf.Tensor) and tensor.op.type == "Identity":
        tensor = tensor.op.inputs[0]
    return tensor


def _source(tensor: Any) -> Any:
    """Return the tensor whose values the operation that made this one hands on."""
    return tensor.op.inputs[tensor.value_index if tensor.op.type == "IdentityN" else 0]


def _is_clip(operation: Any) -> bool:
    bounds = operation.inputs[1:]
    return operation.type in _CLIPS and all(static_value(each) is not None for each in bounds)


def _sigmoids_beside_each_other(operation: Any) -> Any:
    """Return the logits of an output that is sigmoids one beside the other; None of another."""
    if operation.type != "ConcatV2":
        return None
    parts = [find_ending(each) for each in operation.inputs[:-1]]
    if any(each.activation != "Sigmoid" or isinstance(each.logits, Undefined) for each in parts):
        return None
    return tf.concat([each.logits for each in parts], operation.inputs[-1])


def _is_within_0_and_1(last: Any, passed: Sequence[Any]) -> bool:
    """Return whether an output is clipped to what a probability may be.

    By Keras' hard sigmoid, min(max(z + 3, 0), 6) / 6, or by the clips that it has passed.
    """
    if last.type == "RealDiv" and last.inputs[0].op.type == "Relu6":
        return bool(np.all(static_value(last.inputs[1]) == 6))
    clips = [each.op for each in passed if each.op.type in _CLIPS]
    lower = [op.inputs[1] for op in clips if op.type != "Minimum"]
    upper = [op.inputs[-1] for op in clips if op.type != "Maximum"]
    is_above = any(np.all(static_value(each) >= 0) for each in lower)
    return is_above and any(np.all(static_value(each) <= 1) for each in upper)


def _moved(logits: Any, passed: Sequence[Any]) -> Any:
    """Return what an activation was given, moved as its result was on its way to the output."""
    for tensor in reversed(passed):
        if tensor.op.type == "Transpose":
            logits = tf.transpose(logits, tensor.op.inputs[1])
        elif tensor.op.type in _MOVES:
            logits = tf.reshape(logits, tf.shape(tensor))
        logits.set_shape(tensor.shape)
    return logits


def _moved_axis(axis: int, passed: Sequence[Any]) -> int | None:
    """Return where an axis is after the same moves; None where one of them dissolves it."""
    for tensor in reversed(passed):
        before, after = _source(tensor).shape, tensor.shape
        if tensor.op.type == "Transpose":
            order = static_value(tensor.op.inputs[1])
            if order is None:
                return None
            axis = [int(each) for each in order].index(axis)
        elif tensor.op.type in _MOVES:
            if axis != before.rank - 1 or before[-1] != after[-1]:
                return None
            axis = after.rank - 1
    return axis


def _activations_behind(operation: Any) -> set[str]:
    """Return the activations whose values an operation combines; none if it has other inputs."""
    found: set[str] = set()
    seen, waiting = {operation}, [operation]
    while waiting:
        each = waiting.pop()
        kind = "Softmax" if _sums_to_one(each) else _activation_of(each)
        if kind in ("Softmax", "Sigmoid"):
            found.add(kind)
        elif each.type in _PRODUCTS:  # of shares and probabilities, not of values and weights
            factors = [_activations_behind(tensor.op) for tensor in each.inputs]
            if not all(factors) or not any("Softmax" in factor for factor in factors):
                return set()
            found = found.union(*factors)
        elif each.type not in (*_COMBINES, *_WITHOUT_EVIDENCE):
            return set()
        elif each.type not in _WITHOUT_EVIDENCE:
            inputs = {tensor.op for tensor in each.inputs if static_value(tensor) is None}
            waiting += inputs - seen
            seen |= inputs
    return found


def _sums_to_one(operation: Any) -> bool:
    """Return whether an operation divides values by their sum, as in a softmax made by hand."""
    if operation.type != "RealDiv":
        return False
    value, divisor = operation.inputs
    return divisor.op.type == "Sum" and divisor.op.inputs[0] is value


def _activation_of(operation: Any) -> str:
    kind = _type_inside(operation) if operation.type in _HIDES_ITS_INSIDE else operation.type
    return kind if kind in ACTIVATIONS else ""


def _type_inside(call: Any) -> str:
    """Return the type of the operation that makes a compiled function's output, "" if unclear.

    The output looked at is the first, the only one of functions that wrap a classifier.
    """
    library = call.graph.as_graph_def().library.function
    functions = {function.signature.name: function for function in library}
    name = call.get_attr("f").name
    while name in functions:
        nodes = {node.name: node for node in functions[name].node_def}
        returned = functions[name].ret[functions[name].signature.output_arg[0].name]
        node = nodes.get(returned.split(":")[0])
        while node is not None and node.op in _PASSES_THROUGH:
            node = nodes.get(node.input[0].split(":")[0])
        if node is None or node.op not in _HIDES_ITS_INSIDE:
            return "" if node is None else str(node.op)
        name = node.attr["f"].func.name
    return ""
