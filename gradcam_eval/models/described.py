"""The kind of a model's output, or of each of several, from one trace of the model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any

import keras
import tensorflow as tf

from gradcam_eval.core import InputError
from gradcam_eval.models.ending import random_operations
from gradcam_eval.models.inputs import ModelInputs, model_inputs
from gradcam_eval.models.layout import output_layout
from gradcam_eval.models.objective import Objective
from gradcam_eval.models.output import Output
from gradcam_eval.models.target import class_scores

_BATCH = 2  # images in the trace: with a known number more shapes are known


def describe_output(
    model: keras.Model,
    input_size: tuple[int, int] | None = None,
    *,
    declared: str | None = None,
    head: str | int | None = None,
    inputs: ModelInputs | None = None,
) -> Output:
    """Return the kind of a model's output.

    Parameters
    ----------
    model : keras.Model
    input_size : (H, W), needed where the model does not fix it
    declared : the kind, where the user said it
    head : which output of a model with several, by name or index
    inputs : how the model takes its images, where that is known already

    Raises
    ------
    InputError : the output holds no classes or is not of the declared kind, there are several and
        no head is named, or what `model_inputs` raises
    """
    return describe(model, input_size, declared=declared, head=head, inputs=inputs)[0]


def describe(
    model: keras.Model,
    input_size: tuple[int, int] | None = None,
    *,
    declared: str | None = None,
    head: str | int | None = None,
    inputs: ModelInputs | None = None,
) -> tuple[Output, list[str]]:
    """Return the kind of a model's output, and its operations that draw random numbers.

    The parameters are those of `describe_output`. A model draws none at inference, but for dropout
    or noise that is on when training=False.
    """
    objective = Objective("logit", head, _names(model), output_layout(model), declared)
    kinds: list[Output] = []

    def look(outputs: Any) -> None:
        scores = class_scores(
            objective.read(outputs), layout=objective.layout, declared=objective.declared
        )
        kinds.append(scores.output)

    ends = _trace(model, inputs or model_inputs(model, input_size), look)
    return kinds[-1], random_operations(ends)


def say_outputs(model: keras.Model, inputs: ModelInputs) -> str:
    """Return the kind of a model's output in words; of several the kind of each, by its name."""
    names, layout = _names(model), output_layout(model)
    said: list[str] = []

    def look(outputs: Any) -> None:
        if isinstance(outputs, Mapping):
            heads = {str(name): head for name, head in outputs.items()}
        else:
            listed = list(outputs) if isinstance(outputs, list | tuple) else [outputs]
            keys = names if len(names) == len(listed) else map(str, range(len(listed)))
            heads = dict(zip(keys, listed, strict=True))
        said.extend(f"{name}: {_said(head, layout)}" for name, head in heads.items())
        if len(heads) == 1:
            said[:] = [said[0].partition(": ")[2]]

    _trace(model, inputs, look)
    return "; ".join(said)


def _said(head: Any, layout: str) -> str:
    try:
        return str(class_scores(head, layout=layout).output)
    except InputError:  # such as a detection head's
        shapes = [("N", *each.shape[1:]) for each in tf.nest.flatten(head)]
        shown = ", ".join("(" + ", ".join(map(str, shape)) + ")" for shape in shapes)
        return f"{shown}, explained by a score function of it alone"


def _names(model: keras.Model) -> tuple[str, ...]:
    return tuple(getattr(model, "output_names", None) or ())


def _trace(model: keras.Model, takes: ModelInputs, look: Callable[[Any], None]) -> Sequence[Any]:
    """Show a model's outputs to a function while the model is traced; return those of the graph."""

    def run(images: Any, *extras: Any) -> Any:
        outputs = takes.answer(model, images, extras)
        look(outputs)
        return [each for each in tf.nest.flatten(outputs) if isinstance(each, tf.Tensor)]

    if not all(layer.built for layer in model._flatten_layers()):
        model(takes.zeros(), training=False)
    specs = [tf.TensorSpec((_BATCH, *takes.shape), tf.float32)]
    specs += [tf.TensorSpec((_BATCH, *each.shape[1:]), each.dtype) for each in takes.extra_specs]
    graph = tf.function(run, autograph=False).get_concrete_function(*specs).graph
    outputs: Sequence[Any] = graph.outputs
    return outputs
