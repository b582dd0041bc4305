"""Which scalar is explained: found from a model's outputs without touching the model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

import tensorflow as tf

from gradcam_eval.core import InputError, Undefined, unknown_name
from gradcam_eval.models.ending import find_ending

Score: TypeAlias = Literal["logit", "probability", "log_odds"]
SCORES: tuple[str, ...] = get_args(Score)
OutputFunction: TypeAlias = Callable[[Any], Any]  # a model's outputs → (N,)


@dataclass(frozen=True, eq=False)
class ClassScores:
    """Class scores of one traced call: (N, K), or (N, h, w, K) for a segmentation.

    Attributes
    ----------
    logits : what the final softmax or sigmoid was given; Undefined where there is no such tensor
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


def class_scores(output: Any, *, layout: str = "channels_last") -> ClassScores:
    """Find the logits and probabilities behind a model's output while it is traced.

    Parameters
    ----------
    output : what the model returned inside a `tf.function`: a symbolic tensor (N, K) or
        (N, h, w, K), or a dict or list that holds one
    layout : "channels_first" for a segmentation (N, K, h, w), unless its softmax says otherwise

    Returns
    -------
    ClassScores: `logits` is the input of the final softmax or sigmoid. A model without one gives
    logits already; its probabilities are then softmax(outputs), or sigmoid(outputs) for K = 1.
    A mean, product or choice of several softmaxes or sigmoids gives probabilities and no logits.
    Where the model computes its probabilities in half precision, they are computed again from the
    logits in float32: float16 has none below 6e-8, and three digits.

    Raises
    ------
    InputError : several outputs, or one that holds no classes
    """
    tensor = only_tensor(pick_head(output))
    rank = tensor.shape.rank
    if rank not in (2, 4):
        raise InputError(
            f"this model's output has shape {tuple(tensor.shape)}: a classifier's has two axes, "
            "(images, classes), and a segmentation's four, (images, height, width, classes)"
        )
    ending = find_ending(tensor)
    axis = ending.class_axis or (1 if layout == "channels_first" else rank - 1)
    is_exact = tensor.dtype not in (tf.float16, tf.bfloat16) or isinstance(ending.logits, Undefined)
    tensor, logits = (_classes_last(each, axis) for each in (tensor, ending.logits))
    is_softmax = ending.activation != "Sigmoid" if ending.activation else logits.shape[-1] != 1
    if ending.activation and is_exact:
        p = tf.exp(tensor) if ending.activation == "LogSoftmax" else tensor
        return ClassScores(logits, p, is_softmax)
    activation = tf.nn.softmax if is_softmax else tf.nn.sigmoid
    return ClassScores(logits, activation(logits), is_softmax)


def pick_head(outputs: Any, head: str | int | None = None, names: Sequence[str] = ()) -> Any:
    """Return the output called `head`, or the only one.

    Raises
    ------
    InputError : no such output, or none named among several
    """
    if isinstance(outputs, Mapping):
        heads: dict[Any, Any] = dict(outputs)
    else:
        listed = list(outputs) if isinstance(outputs, list | tuple) else [outputs]
        named = dict(zip(names, listed, strict=False)) if len(names) == len(listed) else {}
        heads = named if head in named else dict(enumerate(listed))
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


def only_tensor(head: Any) -> Any:
    """Return the tensor that a head is, or that it holds.

    Raises
    ------
    InputError : it holds several
    """
    members = tf.nest.flatten(head)
    if len(members) == 1:
        return members[0]
    raise InputError(
        f"this head holds {len(members)} outputs itself: explain a score function of them, "
        "score=lambda outputs: …, or a model that returns them side by side"
    )


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
    if isinstance(scores.logits, Undefined):
        raise InputError(
            f"{scores.logits.reason}, so its logit cannot be found: explain its probability "
            "(score='probability'), or a model that ends in one softmax or sigmoid that Keras sees"
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
    if isinstance(scores.logits, Undefined):
        raise InputError(
            f"{scores.logits.reason}, so its logits cannot be found: use a protocol that reads the "
            "probability"
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
    return tf.cast(_picked(order, rank - 1), tf.int64)


def _of_class(table: Any, targets: Any) -> Any:
    if table.shape.rank == 2:
        return _picked(table, targets)
    return tf.gather(table, _beside(targets, table), axis=-1, batch_dims=table.shape.rank - 1)


def _picked(table: Any, places: Any) -> Any:
    """Return one value of each row: (N, K), (N,) → (N,).

    Not by a gather: OpenVINO's reads places beyond the last one (see `Network`). And not by
    `tf.where`, whose gradient it does not know.
    """
    is_place = tf.one_hot(places, tf.shape(table)[1], True, False)
    alone = tf.raw_ops.Select(condition=is_place, x=table, y=tf.zeros_like(table))
    return tf.reduce_sum(alone, axis=1)


def _beside(targets: Any, table: Any) -> Any:
    """Repeat (N,) over the pixels of a table (N, h, w, K)."""
    if table.shape.rank == 2:
        return targets
    return tf.broadcast_to(targets[:, None, None], tf.shape(table)[:3])


def _classes_last(scores: Any, axis: int) -> Any:
    """Return scores with the classes on the last axis, in float32 or float64."""
    if isinstance(scores, Undefined):
        return scores
    if scores.shape.rank == 4 and axis == 1:
        scores = tf.transpose(scores, (0, 2, 3, 1))
    return scores if scores.dtype == tf.float64 else tf.cast(scores, tf.float32)
