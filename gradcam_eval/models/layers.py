"""Which layers a model has, which of them can carry a heatmap, and how to name them."""

from __future__ import annotations

import itertools
import math
from collections import Counter
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import keras
import tensorflow as tf

from gradcam_eval.models.inputs import ModelInputs, model_inputs
from gradcam_eval.models.layout import Layout, TokenGrid
from gradcam_eval.models.tap import LayerCall, tapped

if TYPE_CHECKING:
    import pandas as pd

ROLES = ("last", "stages", "all")

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


@dataclass(frozen=True, eq=False)
class ModelLayers:
    """Every call of every layer of a model, in the order in which the calls finish.

    Attributes
    ----------
    calls : all calls that return one tensor
    candidates : those that can carry a heatmap: a map (h, w, C) larger than 1×1 on the way to the
        output, made by a layer that does more than move or rescale values, and behind the first
        layer that learned something: preprocessing is not evidence
    input_size : (H, W) for which the shapes hold
    """

    calls: tuple[LayerCall, ...]
    candidates: tuple[LayerCall, ...]
    input_size: tuple[int, int]

    def roles_of(self, call: LayerCall) -> list[str]:
        """Return the roles ("last", "stages", "all") under which a call is chosen."""
        return [role for role in ROLES if call in self.role(role)]

    def role(self, role: str) -> list[LayerCall]:
        """Return the calls of a role: "last", "stages" (the last of each resolution) or "all"."""
        if role == "all":
            return list(self.candidates)
        if role == "stages":
            last_of = {call.map_shape[:2]: call for call in self.candidates}
            return sorted(last_of.values(), key=self.candidates.index)
        return list(self.candidates[-1:])


def find_layers(
    model: keras.Model,
    input_size: tuple[int, int] | None = None,
    *,
    inputs: ModelInputs | None = None,
    tokens: TokenGrid | None = None,
) -> ModelLayers:
    """Trace the model once and list the calls of its layers.

    Parameters
    ----------
    model : keras.Model
    input_size : (H, W), needed where the model does not fix it
    inputs : how the model takes its images, where that is known already
    tokens : how the tokens of a transformer lie on the image: layers that return so many of them
        can then carry a heatmap

    Raises
    ------
    InputError : no input is an image, or its size is neither fixed nor given
    """
    inputs = inputs or model_inputs(model, input_size)
    if not model.built:  # else the build's own calls would be listed as well
        model(inputs.zeros(), training=False)
    paths = dict(_paths(model))
    finished: list[tuple[keras.Operation, Any]] = []

    def run(images: Any, *extras: Any) -> Any:
        with tapped(
            (layer for layer, _ in paths.values()), lambda layer, out: finished.append((layer, out))
        ):
            return tf.nest.flatten(model(inputs.join(images, extras), training=False))

    specs = [tf.TensorSpec((None, *inputs.shape), tf.float32), *inputs.extra_specs]
    traced = tf.function(run, autograph=False).get_concrete_function(*specs)
    names = {key: path for key, (_, path) in paths.items()}
    calls, outputs = _name_calls(names, finished, tokens or inputs.layout)
    useful = _ancestors(traced.graph.outputs)
    candidates = tuple(
        call
        for call, output in _after_first_weights(zip(calls, outputs, strict=True))
        if _is_map(call) and getattr(output, "op", None) in useful
    )
    return ModelLayers(calls, candidates, inputs.shape[:2])


def list_layers(model: keras.Model, input_size: tuple[int, int] | None = None) -> pd.DataFrame:
    """List a model's layers, nested ones too, in the order of execution.

    Returns
    -------
    DataFrame with a row for each call of a layer:
    path, type, shape (of the output without the batch axis), stride (input height / map height;
    missing where the output is no map), params (own weights' values), is_candidate, roles
    """
    import pandas as pd

    found = find_layers(model, input_size)
    return pd.DataFrame([describe_call(found, call) for call in found.calls])


def describe_call(found: ModelLayers, call: LayerCall) -> dict[str, Any]:
    """Return a call's row of `list_layers`."""
    is_map = len(call.map_shape) == 3 and bool(call.map_shape[0])
    return {
        "path": call.path,
        "type": type(call.layer).__name__,
        "shape": call.shape,
        "stride": found.input_size[0] / (call.map_shape[0] or 1) if is_map else None,
        "params": sum(math.prod(weight.shape) for weight in _weights(call.layer)),
        "is_candidate": call in found.candidates,
        "roles": ",".join(found.roles_of(call)),
    }


def _paths(
    layer: keras.Operation, prefix: str = ""
) -> Iterator[tuple[int, tuple[keras.Operation, str]]]:
    for inner in _inside(layer):
        path = f"{prefix}{inner.name}"
        yield from _paths(inner, f"{path}/")
        yield id(inner), (inner, path)


def _inside(layer: keras.Operation) -> list[keras.Operation]:
    if not isinstance(layer, keras.layers.Layer):
        return []
    if isinstance(layer, keras.Model) and hasattr(layer, "operations"):  # a functional model
        return list(layer.operations)
    # Model.layers is this same walk, but blocks that are plain Layers offer no public one.
    return list(layer._flatten_layers(include_self=False, recursive=False))


def _weights(layer: keras.Operation) -> list[Any]:
    return list(getattr(layer, "weights", []))  # an operation has none


def _after_first_weights(
    calls: Iterable[tuple[LayerCall, Any]],
) -> Iterator[tuple[LayerCall, Any]]:
    def is_before(pair: tuple[LayerCall, Any]) -> bool:
        layer = pair[0].layer
        return not _weights(layer) or type(layer).__name__ in _NOT_CANDIDATES

    return itertools.dropwhile(is_before, calls)


def _name_calls(
    paths: dict[int, str], finished: list[tuple[keras.Operation, Any]], layout: Layout
) -> tuple[tuple[LayerCall, ...], list[Any]]:
    times = Counter(id(layer) for layer, _ in finished)
    seen: Counter[int] = Counter()
    calls, outputs = [], []
    for layer, output in finished:
        index = seen[id(layer)]
        seen[id(layer)] += 1
        if not isinstance(output, tf.Tensor):
            continue
        path = paths[id(layer)] + (f"#{index}" if times[id(layer)] > 1 else "")
        shape = tuple(output.shape[1:])
        is_read_so = len(shape) == 3 if isinstance(layout, str) else _has_tokens(shape, layout)
        calls.append(LayerCall(path, layer, index, shape, layout if is_read_so else "channels_last"))
        outputs.append(output)
    return tuple(calls), outputs


def _has_tokens(shape: tuple[int | None, ...], grid: TokenGrid) -> bool:
    return len(shape) == 2 and shape[0] == grid.tokens


def _is_map(call: LayerCall) -> bool:
    is_container = isinstance(call.layer, keras.Sequential | keras.Model)
    return (
        len(call.map_shape) == 3
        and all(side is None or side > 1 for side in call.map_shape[:2])
        and type(call.layer).__name__ not in _NOT_CANDIDATES
        and not (is_container and hasattr(call.layer, "outputs"))  # its last layer stands for it
    )


def _ancestors(outputs: Sequence[Any]) -> set[Any]:
    useful: set[Any] = set()
    waiting = [tensor.op for tensor in outputs]
    while waiting:
        operation = waiting.pop()
        if operation not in useful:
            useful.add(operation)
            waiting.extend(tensor.op for tensor in operation.inputs)
    return useful
