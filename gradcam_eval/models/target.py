"""Which scalar is explained: found from a model's outputs without touching the model.

Keras models usually end in a softmax inside their last layer, so the logit is not among their
outputs. While a function is traced, the tensors know the operations that made them: the logit is
the input of the last Softmax (or Sigmoid) operation. Nothing is replaced, whatever kind of layer,
custom class or plain TensorFlow call made that operation.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

import tensorflow as tf

from gradcam_eval.core import InputError, unknown_name

Score: TypeAlias = Literal["logit", "probability", "log_odds"]
SCORES: tuple[str, ...] = get_args(Score)
OutputFunction: TypeAlias = Callable[[Any], Any]  # a model's outputs → (N,)

_PASSES_THROUGH = ("Identity", "IdentityN", "Cast", "StopGradient", "Reshape", "Squeeze")
_HIDES_ITS_INSIDE = ("PartitionedCall", "StatefulPartitionedCall")
_ACTIVATIONS = ("Softmax", "Sigmoid")


@dataclass(frozen=True, eq=False)
class ClassScores:
    """Class scores of one traced call: (N, K), or (N, h, w, K) for a segmentation.

    Attributes
    ----------
    logits : what the final softmax or sigmoid was given; None where a compiled function hides it
    probabilities : float32, or the model's float64
    is_softmax : whether classes exclude each other; a sigmoid's do not
    """

    logits: Any
    probabilities: Any
    is_softmax: bool


def check_score(score: str | OutputFunction) -> None:
    """Raise InputError unless `score` is one of SCORES or a function."""
    if not callable(score) and score not in SCORES:
        raise unknown_name("score", score, SCORES)


def class_scores(
    outputs: Any, head: str | int | None = None, *, names: Sequence[str] = ()
) -> ClassScores:
    """Find the logits and probabilities behind a model's output while it is traced.

    Parameters
    ----------
    outputs : what the model returned inside a `tf.function`: a symbolic tensor (N, K) or
        (N, h, w, K), or a dict or list of them
    head : which of several outputs, by name or index
    names : of the outputs, where they are a list

    Returns
    -------
    ClassScores: `logits` is the input of the final softmax or sigmoid. A model without one gives
    logits already; its probabilities are then softmax(outputs), or sigmoid(outputs) for K = 1.

    Raises
    ------
    InputError : several outputs and no head, no such head, or one that holds no classes
    """
    tensor = pick_head(outputs, head, names)
    if tensor.shape.rank not in (2, 4):
        raise InputError(
            f"this model's output has shape {tuple(tensor.shape)}: a classifier's has two axes, "
            "(images, classes), and a segmentation's four, (images, height, width, classes)"
        )
    ending = _last_operation(tensor)
    hidden = _type_inside(ending) if ending.type in _HIDES_ITS_INSIDE else ""
    if hidden in _ACTIVATIONS:
        return ClassScores(None, _at_least_float32(tensor), is_softmax=hidden == "Softmax")
    if ending.type in _ACTIVATIONS:
        logits = tf.reshape(ending.inputs[0], tf.shape(tensor))
        logits.set_shape(tensor.shape)
        is_softmax = ending.type == "Softmax"
        return ClassScores(_at_least_float32(logits), _at_least_float32(tensor), is_softmax)
    logits = _at_least_float32(tensor)
    is_softmax = tensor.shape[-1] != 1
    activation = tf.nn.softmax if is_softmax else tf.nn.sigmoid
    return ClassScores(logits, activation(logits), is_softmax)


def pick_head(outputs: Any, head: str | int | None = None, names: Sequence[str] = ()) -> Any:
    """Return the output called `head`, or the only one."""
    if isinstance(outputs, Mapping):
        heads: dict[Any, Any] = dict(outputs)
    elif isinstance(outputs, list | tuple):
        indices = dict(enumerate(outputs))
        named = dict(zip(names, outputs, strict=False)) if len(names) == len(outputs) else {}
        heads = named if head in named else indices
    else:
        heads = {0: outputs}
    if head is None and len(heads) == 1:
        return next(iter(heads.values()))
    known = [*map(str, heads if isinstance(outputs, Mapping) else names or heads)]
    if head is None:
        raise InputError(
            f"this model returns {len(heads)} outputs ({', '.join(known)}): "
            "say with head=… which one is to be explained"
        )
    if head not in heads:
        raise unknown_name("head", head, known)
    return heads[head]


def prediction_operations(outputs: Sequence[Any]) -> set[Any]:
    """Return the operations that make a model's outputs and the logits behind them.

    Between a logit and its output stand a softmax or sigmoid, and what changes no value.
    """
    found: set[Any] = set()
    for tensor in outputs:
        operation = tensor.op
        found.add(operation)
        while operation.type in (*_PASSES_THROUGH, *_ACTIVATIONS):
            operation = operation.inputs[0].op
            found.add(operation)
    return found


def value_of(scores: ClassScores, targets: Any, score: Score) -> Any:
    """Return the score of each image's target class.

    logit z_c; probability p_c; log-odds ln(p_c / (1 − p_c)), which is z_c − ln Σ_{k≠c} exp z_k
    behind a softmax and z_c behind a sigmoid: computed from the logits, so that it never saturates.

    Parameters
    ----------
    scores : of N images
    targets : integer (N,), class indices

    Returns
    -------
    (N,), or (N, h, w) for a segmentation
    """
    if score == "probability":
        return _of_class(scores.probabilities, targets)
    if scores.logits is None:
        raise InputError(
            "this model computes its output inside a compiled function of its own, so its logit "
            "cannot be found: explain its probability (score='probability'), or give a model whose "
            "layers Keras sees"
        )
    logit = _of_class(scores.logits, targets)
    if score == "logit" or not scores.is_softmax:
        return logit
    classes = tf.range(tf.shape(scores.logits)[-1], dtype=targets.dtype)
    is_target = classes == _beside(targets, scores.logits)[..., None]
    lowest = tf.constant(scores.logits.dtype.min, scores.logits.dtype)
    return logit - tf.reduce_logsumexp(tf.where(is_target, lowest, scores.logits), axis=-1)


def table_of(scores: ClassScores, score: Score) -> Any:
    """Return one score of every class: (N, K), as `value_of` defines it for the target."""
    if score == "probability":
        return scores.probabilities
    if scores.logits is None:
        raise InputError(
            "this model computes its output inside a compiled function of its own, so its logits "
            "cannot be found: use a protocol that reads the probability"
        )
    if score == "logit" or not scores.is_softmax:
        return scores.logits
    # ln(1 - p) loses all digits where p is near 1, which only the first class can be: its rivals
    # are added up without it
    lowest = tf.constant(scores.logits.dtype.min, scores.logits.dtype)
    is_first = tf.one_hot(tf.argmax(scores.logits, -1), tf.shape(scores.logits)[-1], True, False)
    rivals = tf.reduce_logsumexp(tf.where(is_first, lowest, scores.logits), -1, keepdims=True)
    log_p = scores.logits - tf.reduce_logsumexp(scores.logits, -1, keepdims=True)
    others = log_p - tf.math.log1p(-tf.exp(tf.where(is_first, lowest, log_p)))
    return tf.where(is_first, scores.logits - rivals, others)


def over_region(values: Any, region: Any) -> Any:
    """Sum pixel scores (N, h, w, …) over each image's region (N, h, w), 1 inside and 0 outside.

    Notes
    -----
    The score of Seg-Grad-CAM (Vinogradova, Dibrov & Myers, AAAI 2020, equation 3).
    """
    weights = tf.cast(region, values.dtype)
    return tf.einsum("nhw,nhw...->n...", weights, values)


def best_class(table: Any) -> Any:
    """Return each image's class of the highest score, the first of equals: (N, K) → int64 (N,)."""
    return tf.argmax(table, axis=-1, output_type=tf.int64)


def ranked_class(table: Any, rank: Any) -> Any:
    """Return each image's class of this rank (1 = the highest score): (N, K), (N,) → int64 (N,).

    Equal scores are ranked by index, the lower first.
    """
    order = tf.argsort(table, axis=-1, direction="DESCENDING", stable=True)
    return tf.cast(tf.gather(order, rank - 1, axis=1, batch_dims=1), tf.int64)


def _of_class(table: Any, targets: Any) -> Any:
    return tf.gather(table, _beside(targets, table), axis=-1, batch_dims=table.shape.rank - 1)


def _beside(targets: Any, table: Any) -> Any:
    """Repeat (N,) over the pixels of a table (N, h, w, K)."""
    if table.shape.rank == 2:
        return targets
    return tf.broadcast_to(targets[:, None, None], tf.shape(table)[:3])


def _at_least_float32(tensor: Any) -> Any:
    return tensor if tensor.dtype == tf.float64 else tf.cast(tensor, tf.float32)


def _type_inside(call: Any) -> str:
    """Return the type of the operation that makes a compiled function's output, "" if unclear.

    The output looked at is the first, the only one of functions that wrap a classifier.
    """
    library = call.graph.as_graph_def().library.function
    functions = {function.signature.name: function for function in library}
    name = call.get_attr("f").name
    while name in functions:
        nodes = {node.name: node for node in functions[name].node_def}
        returned = functions[name].ret[functions[name].signature.output_arg[0].name]
        node = nodes.get(returned.split(":")[0])
        while node is not None and node.op in _PASSES_THROUGH:
            node = nodes.get(node.input[0].split(":")[0])
        if node is None or node.op not in _HIDES_ITS_INSIDE:
            return "" if node is None else str(node.op)
        name = node.attr["f"].func.name
    return ""


def _last_operation(tensor: Any) -> Any:
    operation = tensor.op
    while operation.type in _PASSES_THROUGH:
        operation = operation.inputs[0].op
    return operation
