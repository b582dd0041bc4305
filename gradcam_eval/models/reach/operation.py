"""What a rule reads of a TensorFlow operation, and what it is given and returns."""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from contextvars import ContextVar
from typing import Any, TypeAlias

import numpy as np
import tensorflow as tf

from gradcam_eval.models.reach.sides import NotComputedError, Side

Reach: TypeAlias = tuple[Side, Side] | None  # rows and columns; None: independent of the image
# What TensorFlow and Keras work out the arguments of other operations with.
_ARITHMETIC = (
    *("Abs", "Add", "AddV2", "Cast", "Ceil", "ConcatV2", "Equal", "ExpandDims", "Fill", "Floor"),
    *("FloorDiv", "FloorMod", "GatherV2", "Greater", "GreaterEqual", "Identity", "Less"),
    *("LessEqual", "LogicalAnd", "LogicalNot", "LogicalOr", "Max", "Maximum", "Min", "Minimum"),
    *("Mul", "Neg", "NotEqual", "Pack", "Prod", "Range", "RealDiv", "Reshape", "Rint", "Round"),
    *("SelectV2", "Slice", "Split", "Squeeze", "StridedSlice", "Sub", "Sum", "Unpack"),
)
# What the inputs of the functions that are being read stand for: tensors of their callers.
_GIVEN: ContextVar[Mapping[Any, Any]] = ContextVar("given")
_SHAPES = ("Shape", "Size", "Rank")  # known without a value, where the shape is
Rule: TypeAlias = Callable[[Any, list[Reach]], Reach | list[Reach]]


@contextmanager
def called_with(inputs: Sequence[Any], given: Sequence[Any]) -> Iterator[None]:
    """Know, while a function's graph is read, which tensors its caller gives it."""
    pairs = {each.ref(): tensor for each, tensor in zip(inputs, given, strict=True)}
    token = _GIVEN.set({**_GIVEN.get({}), **pairs})
    try:
        yield
    finally:
        _GIVEN.reset(token)


def static_shape(tensor: Any) -> tuple[int, ...]:
    """Return a tensor's shape, all of which must be known."""
    if tensor.shape.rank is None or None in tuple(tensor.shape):
        raise NotComputedError(f"a tensor's shape {tensor.shape} is not known before it runs")
    return tuple(tensor.shape)


def constant(op: Any, position: int) -> Any:
    """Return the value of an argument that must be a constant."""
    value = static_value(op.inputs[position])
    if value is None:
        raise NotComputedError(f"its argument {position} is not a constant")
    return value


def static_value(tensor: Any) -> Any:
    """Return what a tensor holds whatever the model is given, or None where it depends on that."""
    value = tf.get_static_value(tensor)
    known = _shapes_behind(tensor) if value is None else None
    if known is not None:
        with tf.compat.v1.Session(graph=tensor.graph) as session:
            value = session.run(tensor, known)
    return value


def _shapes_behind(tensor: Any) -> dict[str, Any] | None:
    """Return the shapes from which a tensor is computed by arithmetic alone, by tensors' names.

    What a function is given by its caller counts like a shape, where it is a constant there. None
    where a tensor is computed from more.
    """
    shapes: dict[str, Any] = {}
    seen, waiting = {tensor.op}, [tensor.op]
    while waiting:
        operation = waiting.pop()
        given = _GIVEN.get({}).get(operation.outputs[0].ref()) if operation.outputs else None
        if given is not None:
            value = static_value(given)
            if value is None:
                return None
            shapes[operation.outputs[0].name] = value
            continue
        if operation.type in _SHAPES:
            if not operation.inputs[0].shape.is_fully_defined():
                return None
            shapes[operation.outputs[0].name] = _shape_value(operation)
            continue
        if operation.type not in ("Const", *_ARITHMETIC):
            return None
        inputs = {each.op for each in operation.inputs} - seen
        seen |= inputs
        waiting += inputs
    return shapes


def _shape_value(operation: Any) -> Any:
    shape = operation.inputs[0].shape
    given = {"Shape": shape.as_list(), "Size": shape.num_elements(), "Rank": shape.rank}
    return np.array(given[operation.type], operation.outputs[0].dtype.as_numpy_dtype)


def each_side(reach: Reach, change: Callable[[Side], Side]) -> Reach:
    """Change rows and columns in the same way."""
    return reach and (change(reach[0]), change(reach[1]))


def only(reaches: list[Reach], position: int = 0) -> tuple[Side, Side]:
    """Return the reach of one input; the others must not depend on the image."""
    reach = reaches[position]
    if reach is None or sum(each is not None for each in reaches) > 1:
        raise NotComputedError("an argument of it is computed from the image")
    return reach
