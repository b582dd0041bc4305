"""Which scalar is explained: a class's logit or probability, found without touching the model.

Keras models usually end in a softmax inside their last layer, so the logit is not among their
outputs. While a function is traced, the tensors know the operations that made them: the logit is
the input of the last Softmax (or Sigmoid) operation. Nothing is replaced, whatever kind of layer,
custom class or plain TensorFlow call made that operation.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

import tensorflow as tf

from gradcam_eval.core import InputError, unknown_name

Score: TypeAlias = Literal["logit", "probability"]
SCORES: tuple[str, ...] = get_args(Score)

_PASSES_THROUGH = ("Identity", "IdentityN", "Cast", "StopGradient", "Reshape", "Squeeze")
_HIDES_ITS_INSIDE = ("PartitionedCall", "StatefulPartitionedCall", "XlaLaunch")


@dataclass(frozen=True, eq=False)
class ClassScores:
    """Logits and probabilities of one traced call, (N, K) each, float32 or the model's float64."""

    logits: Any
    probabilities: Any


def check_score(score: str) -> None:
    """Raise InputError unless `score` is one of SCORES."""
    if score not in SCORES:
        raise unknown_name("score", score, SCORES)


def class_scores(outputs: Any) -> ClassScores:
    """Find the logits and probabilities behind a classifier's output while it is traced.

    Parameters
    ----------
    outputs : symbolic tensor (N, K), what the model returned inside a `tf.function`

    Returns
    -------
    ClassScores: `logits` is the input of the final softmax or sigmoid. A model without one gives
    logits already; its probabilities are then softmax(outputs), or sigmoid(outputs) for K = 1.

    Raises
    ------
    InputError : the output is not one (N, K) tensor, or a compiled function hides how it was made
    """
    tensor = _single_output(outputs)
    ending = _last_operation(tensor)
    if ending.type in _HIDES_ITS_INSIDE:
        raise InputError(
            "this model computes its output inside a compiled function of its own "
            f"({ending.type}), so its logit cannot be found: give a model whose layers Keras sees"
        )
    if ending.type in ("Softmax", "Sigmoid"):
        logits = tf.reshape(ending.inputs[0], tf.shape(tensor))
        logits.set_shape(tensor.shape)
        return ClassScores(_at_least_float32(logits), _at_least_float32(tensor))
    logits = _at_least_float32(tensor)
    activation = tf.nn.sigmoid if tensor.shape[-1] == 1 else tf.nn.softmax
    return ClassScores(logits, activation(logits))


def _single_output(outputs: Any) -> Any:
    if isinstance(outputs, dict):
        raise InputError(
            f"this model returns {len(outputs)} outputs ({', '.join(map(str, outputs))}): "
            "give a model with the one output that is to be explained"
        )
    if isinstance(outputs, list | tuple):
        if len(outputs) == 1:
            return outputs[0]
        raise InputError(
            f"this model returns {len(outputs)} outputs: "
            "give a model with the one output that is to be explained"
        )
    if outputs.shape.rank != 2:
        raise InputError(
            f"this model's output has shape {tuple(outputs.shape)}: "
            "a classifier's has two axes, (images, classes)"
        )
    return outputs


def _at_least_float32(tensor: Any) -> Any:
    return tensor if tensor.dtype == tf.float64 else tf.cast(tensor, tf.float32)


def _last_operation(tensor: Any) -> Any:
    operation = tensor.op
    while operation.type in _PASSES_THROUGH:
        operation = operation.inputs[0].op
    return operation
