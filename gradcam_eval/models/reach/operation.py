"""What a rule reads of a TensorFlow operation, and what it is given and returns."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any, TypeAlias

import tensorflow as tf

from gradcam_eval.models.reach.sides import NotComputedError, Side

Reach: TypeAlias = tuple[Side, Side] | None  # rows and columns; None: independent of the image
# What TensorFlow and Keras work out the arguments of other operations with.
_ARITHMETIC = (
    *("Add", "AddV2", "Cast", "Ceil", "ConcatV2", "Equal", "Floor", "FloorDiv", "Maximum"),
    *("Minimum", "Mul", "Pack", "Range", "RealDiv", "SelectV2", "Sub"),
)
Rule: TypeAlias = Callable[[Any, list[Reach]], Reach | list[Reach]]


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
    if value is None and _is_arithmetic_of_constants(tensor):
        with tf.compat.v1.Session(graph=tensor.graph) as session:
            value = session.run(tensor)
    return value


def _is_arithmetic_of_constants(tensor: Any) -> bool:
    seen, waiting = {tensor.op}, [tensor.op]
    while waiting:
        operation = waiting.pop()
        if operation.type not in ("Const", *_ARITHMETIC):
            return False
        inputs = {each.op for each in operation.inputs} - seen
        seen |= inputs
        waiting += inputs
    return True


def each_side(reach: Reach, change: Callable[[Side], Side]) -> Reach:
    """Change rows and columns in the same way."""
    return reach and (change(reach[0]), change(reach[1]))


def only(reaches: list[Reach], position: int = 0) -> tuple[Side, Side]:
    """Return the reach of one input; the others must not depend on the image."""
    reach = reaches[position]
    if reach is None or sum(each is not None for each in reaches) > 1:
        raise NotComputedError("an argument of it is computed from the image")
    return reach
