"""Which scalar is explained: found from a model's outputs without touching the model."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias, get_args

import tensorflow as tf

from gradcam_eval.core import InputError, NoScore, Undefined, is_whole, unknown_name
from gradcam_eval.models.ending import Ending, find_ending
from gradcam_eval.models.output import NO_PROBABILITIES, Output, decide_output

Score: TypeAlias = Literal["logit", "probability", "log_odds"]
SCORES: tuple[str, ...] = get_args(Score)
OutputFunction: TypeAlias = Callable[[Any], Any]  # a model's outputs → (N,)


@dataclass(frozen=True, eq=False)
class ClassScores:
    """Class scores of one traced call: (N, K), or (N, h, w, K) for a segmentation.

    Attributes
    ----------
    logits : what the final softmax or sigmoid was given; of one number z for two classes
        (−z/2, z/2), of a regression the value; Undefined where there is no such tensor
    probabilities : float32, or the model's float64; of one number p for two classes (1 − p, p);
        Undefined of a regression
    is_softmax : whether classes exclude each other; the labels of several sigmoids do not
    output : the kind of the output
    """

    logits: Any
    probabilities: Any
    is_softmax: bool
    output: Output

    @property
    def predictions(self) -> Any:
        """The probabilities, or a regression's values."""
        return self.logits if isinstance(self.probabilities, Undefined) else self.probabilities


def check_score(score: str | OutputFunction) -> None:
    """Raise InputError unless `score` is one of SCORES or a function."""
    if not callable(score) and score not in SCORES:
        raise unknown_name("score", score, SCORES)


def class_scores(
    output: Any, *, layout: str = "channels_last", declared: str | None = None
) -> ClassScores:
    """Find the logits and probabilities behind a model's output while it is traced.

    Parameters
    ----------
    output : what the model returned inside a `tf.function`: a symbolic tensor (N, K) or
        (N, h, w, K), or a dict or list that holds one
    layout : "channels_first" for a segmentation (N, K, h, w), unless its softmax says otherwise
    declared : the kind of the output, where the user said it (`decide_output`)

    Returns
    -------
    ClassScores: `logits` is the input of the final softmax or sigmoid. A model without one gives
    logits already; its probabilities are then softmax(outputs), or sigmoid(outputs) of labels and
    of one logit. One number for two classes becomes two columns, the negative class first.
    A mean, product or choice of several softmaxes or sigmoids gives probabilities and no logits.
    Where the model computes its probabilities in half precision, they are computed again from the
    logits in float32: float16 has none below 6e-8, and three digits.

    Raises
    ------
    InputError : several outputs, one that holds no classes, or one that is not of the declared kind
    """
    tensor = _as_row(only_tensor(pick_head(output)), layout, declared)
    rank = tensor.shape.rank
    if not tensor.dtype.is_floating:
        raise InputError(
            f"this model's output is {tensor.dtype.name}: expected scores, which are floats; leave "
            "out a last step that gives the index of a class, such as argmax"
        )
    if rank not in (2, 4):
        raise InputError(
            f"this model's output has shape {tuple(tensor.shape)}: a classifier's has two axes, "
            "(images, classes), and a segmentation's four, (images, height, width, classes); "
            "another one, such as a detection head's, is explained by a score function of it, "
            "score=lambda outputs: … → (images,)"
        )
    ending = find_ending(tensor)
    axis = ending.class_axis or (1 if layout == "channels_first" else rank - 1)
    is_exact = tensor.dtype not in (tf.float16, tf.bfloat16) or isinstance(ending.logits, Undefined)
    tensor, logits = (_classes_last(each, axis) for each in (tensor, ending.logits))
    kind = decide_output(ending.activation, rank=rank, outputs=tensor.shape[-1], declared=declared)
    if not kind.has_probabilities:
        return ClassScores(tensor, NO_PROBABILITIES, is_softmax=False, output=kind)
    given = tensor if ending.activation and is_exact else None
    p = _probabilities(ending, given, logits, kind)
    if kind.is_pair:
        p = tf.concat([1 - p, p], axis=-1)
        if not isinstance(logits, Undefined):
            logits = tf.concat([-logits / 2, logits / 2], axis=-1)
    is_softmax = kind.is_pair or not _is_sigmoid(ending, kind)
    return ClassScores(logits, p, is_softmax, kind)


def _as_row(tensor: Any, layout: str, declared: str | None) -> Any:
    """Return an output with one row of numbers for each image as (N, K), whatever axes it has.

    A map of one position, (N, 1, 1, K), is such a row, as fully convolutional heads give it; so are
    (N, 1, K) and (N,).
    """
    rank = tensor.shape.rank
    if rank == 1:
        return tf.expand_dims(tensor, 1)
    single = {3: [1], 4: [2, 3] if layout == "channels_first" else [1, 2]}.get(rank)
    if single is None or declared == "segmentation" or any(tensor.shape[a] != 1 for a in single):
        return tensor
    return tf.squeeze(tensor, single)


def _probabilities(ending: Ending, given: Any, logits: Any, kind: Output) -> Any:
    """Return what each number of an output stands for: as given, or from the logits."""
    if given is not None:
        return tf.exp(given) if ending.activation == "LogSoftmax" else given
    return tf.nn.sigmoid(logits) if _is_sigmoid(ending, kind) else tf.nn.softmax(logits)


def _is_sigmoid(ending: Ending, kind: Output) -> bool:
    is_of_logits = not ending.activation and (kind.is_pair or kind.kind == "multi_label")
    return ending.activation == "Sigmoid" or is_of_logits


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
        heads = named if isinstance(head, str) and head in named else dict(enumerate(listed))
    if head is None and len(heads) == 1:
        return next(iter(heads.values()))
    known = [*map(str, heads if isinstance(outputs, Mapping) else names or heads)]
    if head is None:
        raise InputError(
            f"this model returns {len(heads)} outputs ({', '.join(known)}): "
            "say which one is to be explained with head=…, an option of gradcam_eval.Explainer, or "
            "explain a function of them, score=lambda outputs: … → (images,)"
        )
    if not (isinstance(head, str) or is_whole(head)) or head not in heads:
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

    logit z_c, or a regression's value; probability p_c; log-odds ln(p_c / (1 − p_c)), which is
    z_c − ln Σ_{k≠c} exp z_k behind a softmax, z_c of a label, −z and z of the two classes of one
    logit z: computed from the logits, so that it never saturates.

    Parameters
    ----------
    scores : of N images
    targets : integer (N,), class indices

    Returns
    -------
    (N,), or (N, h, w) for a segmentation
    """
    _check_probabilities(scores, score)
    if score == "probability":
        return _of_class(scores.probabilities, targets)
    if isinstance(scores.logits, Undefined):
        raise NoScore(
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
    _check_probabilities(scores, score)
    if score == "probability":
        return scores.probabilities
    if isinstance(scores.logits, Undefined):
        raise NoScore(
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


def _check_probabilities(scores: ClassScores, score: Score) -> None:
    """Raise NoScore where a probability or its log-odds are to be read off a regression."""
    if score != "logit" and isinstance(scores.probabilities, Undefined):
        raise NoScore(
            f"{scores.probabilities.reason}, so there is no {score.replace('_', '-')}: leave out "
            "the score to read the value, or declare the kind of output (output='binary' for one "
            "logit, 'classes' or 'multi_label' for several)"
        )


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
