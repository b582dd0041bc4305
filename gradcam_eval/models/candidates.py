"""Which layers' outputs can carry a heatmap, and why others cannot or should not."""

from __future__ import annotations

import itertools
from collections import defaultdict
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np

from gradcam_eval.core import Undefined
from gradcam_eval.models.calls import Traced, has_images_rows
from gradcam_eval.models.ending import ancestors, prediction_operations, without_identity
from gradcam_eval.models.layout import TokenGrid
from gradcam_eval.models.reach.sides import NOTHING, Side, hull, image_side
from gradcam_eval.models.receptive_field import (
    NOWHERE,
    ReceptiveField,
    fitting_grid,
    walk,
)
from gradcam_eval.models.tap import LayerCall

# Their output is a map, but not one that an expert would explain: they only move, drop or rescale
# what the layer before them made.
_NOT_CANDIDATES = (
    "InputLayer",
    "Rescaling",
    "Normalization",
    "Dropout",
    "SpatialDropout2D",
    "ZeroPadding2D",
    "Cropping2D",
    "UpSampling2D",
    "Reshape",
    "Permute",
    "MaxPooling2D",
    "AveragePooling2D",
    "GlobalAveragePooling2D",
    "GlobalMaxPooling2D",
    # operations between layers
    "AveragePool",
    "Cast",
    "Flip",
    "GetItem",
    "MaxPool",
    "Moveaxis",
    "Pad",
    "Transpose",
)


# They finish what a convolution begins: of the maps of one unit the last is looked at.
_FINISHING = (
    *("BatchNormalization", "GroupNormalization", "LayerNormalization", "UnitNormalization"),
    *("ReLU", "LeakyReLU", "PReLU", "ELU", "Activation"),
    # operations between layers
    *("Relu", "Relu6", "LeakyRelu", "Elu", "Silu", "Gelu", "Selu", "HardSilu", "HardSigmoid"),
)
_MIXING = ("Conv2D", "DepthwiseConv2dNative", "Conv2DBackpropInput", "MatMul", "BatchMatMulV2")


def find_candidates(traced: Traced) -> tuple[tuple[LayerCall, ...], dict[str, str]]:
    """Return the calls that can carry a heatmap, and the doubts about others.

    Returns
    -------
    candidates : a map (h, w, C) larger than 1×1 that lies on the image, sees pixels at all its
        positions and influences what is explained, made by a layer that does more than hand on,
        move or rescale values, behind the first layer that learned more than a scale (preprocessing
        is not evidence) and before the prediction itself
    doubts : path → why a map that may be asked for by name is no candidate
    """
    useful, learned = ancestors(traced.ends), _after_first_weights(traced.calls)
    predicted = prediction_operations(traced.graph.outputs)
    candidates, doubts = [], {}
    seen: set[Any] = set()
    for i, (call, output) in enumerate(zip(traced.calls, traced.outputs, strict=True)):
        reference = without_identity(output).ref()
        is_new = reference not in seen  # else a layer inside or before it returned this very tensor
        seen.add(reference)
        if len(call.map_shape) != 3:
            continue
        doubt = _doubt(call, traced.fields[i])
        if doubt is None and getattr(output, "op", None) in predicted:
            doubt = "it is the model's prediction itself"
        if doubt is None and isinstance(call.layout, TokenGrid):
            doubt = _no_influence(traced, output, call.layout)
        if doubt is not None:
            doubts[call.path] = doubt
        elif i >= learned and is_new and _makes_a_map(call) and output.op in useful:
            candidates.append(call)
    return tuple(candidates), doubts


def finished_maps(traced: Traced, candidates: Sequence[LayerCall]) -> tuple[LayerCall, ...]:
    """Return the candidates whose values do not all go on through a normalisation or activation.

    Of a convolution, its normalisation and its activation only the last is left, unless something
    else reads one of the earlier two.
    """
    outputs = {(id(c.layer), c.index): t for c, t in zip(traced.calls, traced.outputs, strict=True)}
    tensors = {call: outputs[id(call.layer), call.index] for call in candidates}
    useful, ends = ancestors(traced.ends), {tensor.op for tensor in traced.ends}
    finishing: defaultdict[Any, list[Any]] = defaultdict(list)  # operations by what they return
    for call in candidates:
        if type(call.layer).__name__ in _FINISHING:
            finishing[call.map_shape].append(tensors[call].op)

    def is_passed_on(call: LayerCall) -> bool:
        tensor = tensors[call]
        ahead = _reached(tensor, useful)
        return any(
            not any(op in ends or op.type in _MIXING for op in _reached(tensor, useful, place))
            for place in finishing[call.map_shape]
            if place in ahead
        )

    return tuple(call for call in candidates if not is_passed_on(call))


def token_grids(traced: Traced) -> dict[str, TokenGrid]:
    """Return the calls on the way to the output that return rows of tokens, with their grids.

    Where the operations do not tell the grid, it is the square that fits, with a class token or
    without one.
    """
    useful = ancestors(traced.ends)
    grids: dict[str, TokenGrid] = {}
    for call, output in zip(traced.calls, traced.outputs, strict=True):
        if not has_images_rows(output) or getattr(output, "op", None) not in useful:
            continue
        if len(call.shape) == 2 and call.shape[0]:
            reach = traced.reaches.get(output.name)
            is_unknown = isinstance(reach, Undefined)
            grid = _square(call.shape[0]) if is_unknown else fitting_grid(reach)
            if grid is not None:
                grids[call.path] = grid
    return grids


def has_weights(layer: keras.Operation) -> bool:
    """Return whether a layer learns something; an operation between layers does not."""
    return bool(getattr(layer, "weights", []))


def _square(tokens: int) -> TokenGrid | None:
    for prefix in (0, 1):
        side = round((tokens - prefix) ** 0.5)
        if side > 1 and side * side == tokens - prefix:
            return TokenGrid(side, side, prefix)
    return None


def _doubt(call: LayerCall, field: ReceptiveField | Undefined) -> str | None:
    height, width = call.map_shape[:2]
    if height == width == 1:
        return "its map is 1×1, one value for the whole image"
    if isinstance(field, Undefined) and field in NOWHERE:
        return field.reason
    if isinstance(field, ReceptiveField) and field.blind:
        count = field.rows.has_place.size * field.columns.has_place.size
        return (
            f"{field.blind} of its {count} positions see nothing but padding: "
            "their value is bias alone"
        )
    return None


def _makes_a_map(call: LayerCall) -> bool:
    is_container = isinstance(call.layer, keras.Sequential | keras.Model)
    return (
        type(call.layer).__name__ not in _NOT_CANDIDATES
        and not (is_container and hasattr(call.layer, "outputs"))  # its last layer stands for it
    )


def _after_first_weights(calls: Sequence[LayerCall]) -> int:
    def is_before(call: LayerCall) -> bool:
        kind = type(call.layer).__name__
        return not has_weights(call.layer) or kind in (*_NOT_CANDIDATES, *_FINISHING)

    return sum(1 for _ in itertools.takewhile(is_before, calls))


def _no_influence(traced: Traced, output: Any, grid: TokenGrid) -> str | None:
    """Say that only the tokens before the grid reach the output, as behind the last attention."""
    is_here = getattr(output, "graph", None) is traced.graph
    if not is_here:
        return None
    nowhere = Side(None, *(np.zeros(0, np.int64),) * 2)
    downstream = walk(traced.graph, {output.name: (image_side(1, grid.tokens), nowhere)})
    seen = NOTHING[1]
    for tensor in traced.ends:
        reach = downstream.get(tensor.name)
        if isinstance(reach, Undefined):
            return None
        seen = max(seen, hull(reach[0])[1]) if reach is not None else seen
    if seen >= grid.prefix:
        return None
    return "its patch tokens do not influence the output, so their gradient is exactly zero"


def _reached(tensor: Any, useful: set[Any], place: Any = None) -> set[Any]:
    """Return the operations that a tensor's values come to, by no convolution and not by `place`.

    The convolutions that they come to are among them.
    """
    seen: set[Any] = set()
    waiting = [op for op in tensor.consumers() if op in useful]
    while waiting:
        operation = waiting.pop()
        if operation in seen or operation is place:
            continue
        seen.add(operation)
        if operation.type not in _MIXING:
            consumers = (op for output in operation.outputs for op in output.consumers())
            waiting.extend(op for op in consumers if op in useful)
    return seen
