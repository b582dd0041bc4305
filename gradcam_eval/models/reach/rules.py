"""What each TensorFlow operation does to the reach of its inputs: the table `RULES`.

An operation that is not here, or whose arguments are not constants, is not guessed at.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import numpy as np

from gradcam_eval.models.reach import products, rearrangements, windows
from gradcam_eval.models.reach.operation import (
    Reach,
    Rule,
    constant,
    each_side,
    only,
    static_shape,
    static_value,
)
from gradcam_eval.models.reach.sides import (
    NotComputedError,
    Side,
    concatenated,
    spread,
    united,
)

# fmt: off
POINTWISE = (
    "Abs", "Add", "AddN", "AddV2", "BiasAdd", "Cast", "Ceil", "CheckNumerics", "ClipByValue",
    "Cos", "Div", "DivNoNan", "Elu", "Equal", "Erf", "Erfc", "Exp", "Expm1",
    "FakeQuantWithMinMaxVars", "Floor", "FloorDiv", "Greater", "GreaterEqual", "Identity", "Inv",
    "IsFinite", "LRN", "LeakyRelu", "Less", "LessEqual", "Log", "Log1p", "LogicalAnd",
    "LogicalNot", "LogicalOr", "Maximum", "Minimum", "Mul", "MulNoNan", "Neg", "NotEqual",
    "PlaceholderWithDefault", "Pow", "PreventGradient", "RealDiv", "Reciprocal", "Relu", "Relu6",
    "Rint", "Round", "Rsqrt", "SelectV2", "Selu", "Sigmoid", "Sign", "Sin", "Snapshot",
    "Softplus", "Softsign", "Sqrt", "Square", "SquaredDifference", "StopGradient", "Sub",
    "Tanh", "Xdivy",
)
REDUCTIONS = ("All", "Any", "ArgMax", "ArgMin", "Max", "Mean", "Min", "Prod", "Sum")
WITHOUT_VALUES = ("OnesLike", "Rank", "Shape", "ShapeN", "Size", "ZerosLike")  # a shape is no value
# fmt: on


def _pointwise(op: Any, reaches: list[Reach]) -> Reach:
    rank = op.outputs[0].shape.rank
    known = []
    for tensor, reach in zip(op.inputs, reaches, strict=True):
        if reach is not None:
            known.append([_shifted(side, rank - tensor.shape.rank) for side in reach])
    rows, columns = (_fitted(united(sides), op) for sides in zip(*known, strict=True))
    return rows, columns


def _shifted(side: Side, by: int) -> Side:
    """Align axes from the right, as broadcasting does."""
    return side if side.axis is None else replace(side, axis=side.axis + by)


def _fitted(side: Side, op: Any) -> Side:
    if side.axis is None or side.dilation > 1:
        return side
    length = op.outputs[0].shape[side.axis]
    if length is None:  # only one position could have become more
        return spread(side) if len(side.first) == 1 else side
    return spread(side) if length != len(side.first) else side


def _identity_n(op: Any, reaches: list[Reach]) -> list[Reach]:
    return reaches


def _batch_norm(op: Any, reaches: list[Reach]) -> list[Reach]:
    if op.get_attr("is_training"):
        raise NotComputedError("it normalises by the batch that it is given")
    return [reaches[0]] + [None] * (len(op.outputs) - 1)


def _reduce(op: Any, reaches: list[Reach]) -> Reach:
    reach, rank = only(reaches), len(static_shape(op.inputs[0]))
    axes = {int(axis) % rank for axis in np.ravel(constant(op, 1))}
    keeps = op.type not in ("ArgMax", "ArgMin") and op.get_attr("keep_dims")

    def over(side: Side) -> Side:
        if side.axis is None or side.axis in axes:
            return spread(side)
        gone = 0 if keeps else sum(axis < side.axis for axis in axes)
        return _shifted(side, -gone)

    return each_side(reach, over)


def _softmax(op: Any, reaches: list[Reach]) -> Reach:
    last = op.inputs[0].shape.rank - 1
    return each_side(reaches[0], lambda side: spread(side) if side.axis == last else side)


def _concat(op: Any, reaches: list[Reach]) -> Reach:
    axis = int(constant(op, len(reaches) - 1)) % op.outputs[0].shape.rank
    parts = list(zip(op.inputs[:-1], reaches[:-1], strict=True))
    return _joined(reaches[:-1], [_length(tensor, reach, axis) for tensor, reach in parts], axis)


def _length(tensor: Any, reach: Reach, axis: int) -> int:
    """Return how long a tensor is along an axis, also where only its values say so."""
    along = [len(side.first) for side in reach or () if side.axis == axis]
    if along or tensor.shape[axis] is not None:
        return along[0] if along else int(tensor.shape[axis])
    value = None if reach else static_value(tensor)
    return static_shape(tensor)[axis] if value is None else int(np.shape(value)[axis])


def _joined(reaches: Sequence[Reach], lengths: list[int], axis: int) -> Reach:
    are_tokens = any(reach is not None and reach[0].axis == reach[1].axis for reach in reaches)

    def one(side: int) -> Side:
        sides = [None if reach is None else reach[side] for reach in reaches]
        known = [each for each in sides if each is not None]
        if any(each.axis == axis for each in known):
            return concatenated(sides, lengths, axis, is_padding=not are_tokens)
        return united(known)

    return one(0), one(1)


def _pack(op: Any, reaches: list[Reach]) -> Reach:
    axis = op.get_attr("axis") % op.outputs[0].shape.rank
    shifted = [
        each_side(r, lambda s: _shifted(s, 1) if s.axis is not None and s.axis >= axis else s)
        for r in reaches
    ]
    return _joined(shifted, [1] * len(shifted), axis)


RULES: dict[str, Rule] = {
    **dict.fromkeys(POINTWISE, _pointwise),
    **dict.fromkeys(REDUCTIONS, _reduce),
    **products.RULES,
    **rearrangements.RULES,
    **windows.RULES,
    "IdentityN": _identity_n,
    "FusedBatchNormV3": _batch_norm,
    "Softmax": _softmax,
    "LogSoftmax": _softmax,
    "ConcatV2": _concat,
    "Pack": _pack,
}
