"""What a layer of a model holds: A and G as arrays, for formulas that are run outside a pass."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from gradcam_eval.core import InputError
from gradcam_eval.methods.batch import as_batch
from gradcam_eval.methods.targets import Targets, target_indices
from gradcam_eval.models.inputs import ModelInputs
from gradcam_eval.models.layers import find_layers
from gradcam_eval.models.output import Output, check_output_kind
from gradcam_eval.models.selection import resolve_layers
from gradcam_eval.models.tap import LayerCall, record
from gradcam_eval.models.target import Score, check_score, class_scores, value_of


def activations_and_gradients(  # noqa: PLR0913 - what is read, and of what
    model: keras.Model,
    images: Any,
    targets: Targets,
    *,
    layer: str | int = "last",
    score: Score = "logit",
    output: str | None = None,
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return what a CAM formula takes: A of one layer and G = ∂ score / ∂A, as arrays.

    Heatmaps need no such call (`explain` runs the formulas itself); `difull` and `dipart` put the
    values of several images together first.

    Parameters
    ----------
    model : keras.Model with one output of class scores; it is not changed
    images : float32 (N, H, W, C) or (H, W, C), 0..255
    targets : a class index or name for all images, or one for each
    layer : as of `Explainer`; it must stand for one layer
    score : of the target class: "logit", "probability" or "log_odds"
    output : as of `Explainer`

    Returns
    -------
    A and G, float32 (N, h, w, K) each

    Raises
    ------
    InputError
        Images or targets that do not fit, a layer that is none or stands for several, or one that
        does not influence the output.
    """
    check_score(score)
    check_output_kind(output)
    batch = as_batch(model, images)
    calls = resolve_layers(find_layers(model, inputs=batch.inputs), layer)
    if len(calls) != 1:
        raise InputError(f"the layer {layer!r} stands for {len(calls)} layers: name one of them.")
    if batch.extras:
        raise InputError("this model has several inputs: wrap it in one that fixes the others")
    function, kind = _compiled(model, batch.inputs, calls[0], score, output)
    wanted = target_indices(model, targets, count=len(batch.images), output=kind)
    if wanted.min() < 0:
        raise InputError(f"targets are {targets!r}: wanted classes, by index or name")
    activations, gradients = function(batch.images, wanted)
    return activations.numpy(), gradients.numpy()


def _compiled(
    model: keras.Model, inputs: ModelInputs, call: LayerCall, score: Score, declared: str | None
) -> tuple[Any, Output]:
    """Return (images, targets) → (A, G), compiled, and the kind of the output."""
    kinds: list[Output] = []

    def values(images: Any, targets: Any) -> tuple[Any, Any]:
        def explained(outputs: Any) -> Any:
            scores = class_scores(outputs, declared=declared)
            kinds.append(scores.output)
            value = value_of(scores, targets, score)
            if value.shape.rank != 1:
                raise InputError("this model is a segmentation: wanted one score for each class")
            return value

        seen = record(lambda: inputs.answer(model, images), [call], explained)
        if seen.gradients[0] is None:
            raise InputError(f"layer {call.path!r} does not influence the model's output")
        return tf.cast(seen.activations[0], tf.float32), tf.cast(seen.gradients[0], tf.float32)

    signature = [tf.TensorSpec((None, *inputs.shape), tf.float32), tf.TensorSpec((None,), tf.int64)]
    function = tf.function(values, input_signature=signature, autograph=False)
    return function.get_concrete_function(), kinds[-1]
