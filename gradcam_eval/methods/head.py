"""Whether a layer's output reaches the score as CAM needs it: pooled, then one dense layer."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import tensorflow as tf

from gradcam_eval.models.layout import Layout

_MAP, _POOLED, _CLASSES = range(3)  # what a tensor on the way holds

_PASSES = frozenset({"Identity", "IdentityN", "Cast"})
_RESHAPES = frozenset({"Reshape", "Squeeze", "ExpandDims"})
_DENSE = frozenset({"MatMul", "BatchMatMul", "BatchMatMulV2", "Conv2D"})
# Linear in the classes' logits: the bias, the choice of a class, the difference of two, the two
# classes of one sigmoid side by side.
_LINEAR = frozenset(
    {
        *("BiasAdd", "Add", "AddV2", "AddN", "Sub", "Neg", "Sum", "Mean"),
        *("ConcatV2", "Gather", "GatherV2", "GatherNd", "StridedSlice", "Slice", "Transpose"),
    }
)
_SCALES = frozenset({"Mul", "RealDiv"})  # linear where only one factor depends on the layer
_WITHOUT_VALUES = frozenset({"ZerosLike", "OnesLike"})  # of their input they take the shape alone


def pooled_head_reason(activation: Any, score: Any, layout: Layout) -> str | None:
    """Say why CAM cannot explain the layer that returned `activation`, or None where it can.

    Wanted is activation → mean over all positions → one dense layer or 1×1 convolution → score.
    Between them may stand what changes no value (identity, reshape, cast, dropout outside training)
    and, behind the dense layer, what is linear in the logits (bias, choice or difference of
    classes). The operations of the traced graph are looked at, whatever layers made them.

    Parameters
    ----------
    activation : symbolic tensor, the layer's output as the model goes on with it
    score : symbolic tensor (N,), the explained scalar, made from it in the same graph
    layout : how `activation` lies on the image: which of its axes are positions

    Returns
    -------
    The reason, as the end of a sentence that names method and layer, or None
    """
    stages: dict[Any, int] = {activation.ref(): _MAP}
    for operation in _between(activation, score):
        inputs = [each for each in operation.inputs if each.ref() in stages]
        found = {stages[each.ref()] for each in inputs}
        stage = _next_stage(operation, layout, found.pop()) if len(found) == 1 else None
        if stage is None or (operation.type in _SCALES and len(inputs) > 1):
            return _reason(f"{operation.type} ({operation.name}) comes on the way")
        stages.update((output.ref(), stage) for output in operation.outputs)
    if stages.get(score.ref()) != _CLASSES:
        return _reason("there is no such layer on the way")
    return None


def _reason(found: str) -> str:
    return (
        "CAM needs a layer whose output is averaged over all positions and then meets one dense "
        f"layer that gives the score, and here {found}: choose the last map before the pooling, "
        "or the method grad_cam"
    )


def _between(activation: Any, score: Any) -> Iterator[Any]:
    """Yield the operations from the layer's output to the score, in the order of execution.

    Only along floating-point tensors with values: a shape or an index made from the layer's output
    carries no evidence.
    """
    needed, waiting = set(), [score]
    while waiting:
        tensor = waiting.pop()
        if tensor is activation or not tensor.dtype.is_floating or tensor.op in needed:
            continue
        if tensor.op.type in _WITHOUT_VALUES:
            continue
        needed.add(tensor.op)
        waiting.extend(tensor.op.inputs)
    reached = {activation.ref()}
    for operation in activation.graph.get_operations():
        is_on_the_way = any(
            each.ref() in reached and each.dtype.is_floating for each in operation.inputs
        )
        if operation in needed and is_on_the_way:
            reached.update(output.ref() for output in operation.outputs)
            yield operation


def _next_stage(operation: Any, layout: Layout, stage: int) -> int | None:
    """Return what the operation makes of its input, or None where CAM does not allow it."""
    kind = operation.type
    if kind in _PASSES or (kind in _RESHAPES and stage != _MAP):
        return stage
    if stage == _MAP:
        return _POOLED if _averages_all_positions(operation, layout) else None
    if stage == _POOLED:
        return _CLASSES if kind in _DENSE else None
    return stage if kind in _LINEAR | _SCALES or _picks_a_class(operation) else None


def _picks_a_class(operation: Any) -> bool:
    """Whether an operation keeps one class; a condition on the values would make it a ReLU."""
    return operation.type == "Select" and operation.inputs[0].op.type == "OneHot"


def _averages_all_positions(operation: Any, layout: Layout) -> bool:
    given = operation.inputs[0]
    if given.shape.rank != 4:
        return False
    places = slice(2, 4) if layout == "channels_first" else slice(1, 3)
    if operation.type == "Mean":
        axes = tf.get_static_value(operation.inputs[1])
        wanted = list(range(4))[places]
        return axes is not None and sorted(axis % 4 for axis in axes.ravel()) == wanted
    if operation.type != "AvgPool":
        return False
    sides = list(given.shape[places])
    pooled = list(operation.outputs[0].shape[places])
    return list(operation.get_attr("ksize"))[places] == sides and pooled == [1, 1]
