"""The calls of a model's layers, from one trace: names, shapes, and what they see of the image."""

from __future__ import annotations

import itertools
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from typing import Any

import keras
import tensorflow as tf

from gradcam_eval.core import Undefined
from gradcam_eval.models.inputs import ModelInputs
from gradcam_eval.models.layout import Layout, TokenGrid, operations_in
from gradcam_eval.models.onednn import channels_first_advice
from gradcam_eval.models.reach.operation import Reach
from gradcam_eval.models.receptive_field import (
    NO_PLACE,
    NO_ROW_EACH,
    Reaches,
    ReceptiveField,
    field_of,
    image_reach,
    walk,
)
from gradcam_eval.models.tap import LayerCall, tapped

_BATCH = 2  # images in the trace: with a known number more shapes are known, and 1 would broadcast
_INSIDE = Undefined("the layer runs inside a compiled function of its own")


@dataclass(frozen=True, eq=False)
class Traced:
    """A model's calls as they were traced, in the order in which they finished.

    Attributes
    ----------
    outputs : the tensor that each call returned
    fields : what each call's map sees of the image
    ends : the tensors that are explained, as a rule the model's outputs
    graph : of the trace, whose outputs are the model's
    reaches : of the graph's tensors
    """

    calls: tuple[LayerCall, ...]
    outputs: tuple[Any, ...]
    fields: tuple[ReceptiveField | Undefined, ...]
    ends: tuple[Any, ...]
    graph: Any
    reaches: Reaches


def trace_calls(
    model: keras.Model,
    inputs: ModelInputs,
    tokens: TokenGrid | None,
    explained: Callable[[Any], Any] = tf.nest.flatten,
) -> Traced:
    """Run the model once while tracing, and say of each call of a layer what it returned.

    `explained` returns what of the model's outputs, or made from them, is explained.
    """
    if not all(layer.built for layer in model._flatten_layers()):  # else that would be listed too
        with channels_first_advice():
            model(inputs.zeros(), training=False)
    paths = dict(_paths(model))
    finished: list[tuple[keras.Operation, Any]] = []
    ends: list[Any] = []

    def run(images: Any, *extras: Any) -> Any:
        with tapped(
            (layer for layer, _ in paths.values()), lambda layer, out: finished.append((layer, out))
        ):
            answer = inputs.answer(model, images, extras)
        ends.extend(_tensors(explained(tf.nest.map_structure(_of_any_number, answer))))
        return _tensors(answer)

    specs = [tf.TensorSpec((_BATCH, *inputs.shape), tf.float32)]
    specs += [tf.TensorSpec((_BATCH, *each.shape[1:]), each.dtype) for each in inputs.extra_specs]
    traced = tf.function(run, autograph=False).get_concrete_function(*specs)
    images = {traced.graph.inputs[0].name: image_reach("channels_last", inputs.shape[:2])}
    reaches = walk(traced.graph, images)
    names = {key: path for key, (_, path) in paths.items()}
    calls, outputs, fields = [], [], []
    for call, output in _name_calls(names, finished):
        is_here = getattr(output, "graph", None) is traced.graph
        reach = reaches.get(output.name) if is_here else _INSIDE
        layout, seen = _read(tuple(output.shape), reach, inputs.layout, tokens)
        if not has_images_rows(output):
            layout, seen = "channels_last", NO_ROW_EACH
        size = inputs.shape[:2]
        calls.append(LayerCall(call.path, call.layer, call.index, call.shape, layout, seen, size))
        outputs.append(output)
        fields.append(seen)
    return Traced(tuple(calls), tuple(outputs), tuple(fields), tuple(ends), traced.graph, reaches)


def _of_any_number(output: Any) -> Any:
    """Return an output as if the number of images were not known, as it is not later on.

    A score function may hold a row for each image that the user is going to explain.
    """
    if not isinstance(output, tf.Tensor) or not output.shape.rank:
        return output
    return tf.raw_ops.PlaceholderWithDefault(input=output, shape=(None, *output.shape[1:]))


def has_images_rows(output: Any) -> bool:
    """Whether an output has a row for each image of the trace; windows of images have more."""
    return output.shape.rank is None or output.shape[:1].is_compatible_with((_BATCH,))


def _tensors(outputs: Any) -> list[Any]:
    return [each for each in tf.nest.flatten(outputs) if isinstance(each, tf.Tensor)]


def _read(
    shape: tuple[int | None, ...],
    reach: Reach | Undefined,
    expected: Layout,
    tokens: TokenGrid | None,
) -> tuple[Layout, ReceptiveField | Undefined]:
    """Return how an output lies on the image, and what it sees of it."""
    if tokens is not None and len(shape) == 3 and shape[1] == tokens.tokens:
        return tokens, field_of(reach, tokens)
    if len(shape) != 4:
        return "channels_last", NO_PLACE
    seen = field_of(reach, expected, shape)
    if seen is NO_PLACE:  # a model may change its layout on the way
        other: Layout = "channels_last" if expected == "channels_first" else "channels_first"
        turned = field_of(reach, other, shape)
        if turned is not NO_PLACE:
            return other, turned
    return expected, seen


def _paths(
    layer: keras.Operation, prefix: str = ""
) -> Iterator[tuple[int, tuple[keras.Operation, str]]]:
    taken: set[str] = set()
    for inner in operations_in(layer):
        numbered = (f"{inner.name}_{n}" for n in itertools.count(1))
        name = next(each for each in itertools.chain([inner.name], numbered) if each not in taken)
        taken.add(name)
        path = f"{prefix}{name}"
        yield from _paths(inner, f"{path}/")
        yield id(inner), (inner, path)


def _name_calls(
    paths: dict[int, str], finished: list[tuple[keras.Operation, Any]]
) -> Iterator[tuple[LayerCall, Any]]:
    times = Counter(id(layer) for layer, _ in finished)
    seen: Counter[int] = Counter()
    for layer, output in finished:
        index = seen[id(layer)]
        seen[id(layer)] += 1
        if isinstance(output, tf.Tensor):
            path = paths[id(layer)] + (f"#{index}" if times[id(layer)] > 1 else "")
            yield LayerCall(path, layer, index, tuple(output.shape[1:])), output
