"""The objective: the one number of each image that a heatmap explains, as tensors while tracing."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from typing import Any

import tensorflow as tf

from gradcam_eval.core import InputError, Undefined
from gradcam_eval.models.output import Output
from gradcam_eval.models.target import (
    ClassScores,
    OutputFunction,
    Score,
    best_class,
    class_scores,
    only_tensor,
    over_region,
    pick_head,
    ranked_class,
    value_of,
)


@dataclass(frozen=True)
class Objective:
    """What is read off a model's outputs.

    Attributes
    ----------
    score : of the target class; or a function of the outputs → (N,), which knows no classes
    head : which of several outputs, by name or index
    head_names : what the outputs are called, where they are a list
    layout : "channels_first" where a segmentation's classes stand before its rows and columns
    declared : the kind of the output, where the user said it
    """

    score: Score | OutputFunction = "logit"
    head: str | int | None = None
    head_names: tuple[str, ...] = ()
    layout: str = "channels_last"
    declared: str | None = None

    def read(self, outputs: Any) -> Any:
        """Return the tensor that is looked at: of the outputs the head, or the function's value.

        Raises
        ------
        InputError : no such head, none named among several, one that holds several outputs itself,
            or a score function that does not return one number for each image
        """
        if self.head is not None or not callable(self.score):
            outputs = pick_head(outputs, self.head, self.head_names)
        return _checked(self.score(outputs)) if callable(self.score) else only_tensor(outputs)


@dataclass(frozen=True, eq=False)
class Asked:
    """What is asked of each of N images: symbolic tensors.

    Attributes
    ----------
    targets : int64 (N,), a class; −k stands for the class with the k-th highest score
    against : int64 (N,), the class whose score is subtracted (contrastive), or None
    regions : (N, h, w), 1 where a segmentation's pixels count and 0 elsewhere; None: everywhere
    """

    targets: Any
    against: Any = None
    regions: Any = None

    def of(self, owner: Any) -> Asked:
        """Return what is asked of the images with these indices (M,)."""
        return self._each(lambda each: tf.gather(each, owner))

    def _each(self, change: Callable[[Any], Any]) -> Asked:
        parts = (self.targets, self.against, self.regions)
        return Asked(*(None if part is None else change(part) for part in parts))


def chosen(objective: Objective, outputs: Any, asked: Asked, *, has_ranks: bool = True) -> Asked:
    """Return what is asked with every rank (−k) replaced by the class that has it.

    `has_ranks` is False where the only rank that is asked for is the first.
    """
    if callable(objective.score):
        return asked
    scores = _scores(objective, outputs)
    table = scores.probabilities if isinstance(scores.logits, Undefined) else scores.logits
    if table.shape.rank == 4:
        table = over_region(table, _region(asked, table))

    def to_class(targets: Any) -> Any:
        ranked = best_class(table)
        if has_ranks:
            ranked = ranked_class(table, tf.maximum(-targets, 1))
        return tf.where(targets < 0, ranked, targets)

    against = None if asked.against is None else to_class(asked.against)
    return replace(asked, targets=to_class(asked.targets), against=against)


def explained(objective: Objective, outputs: Any, asked: Asked) -> Any:
    """Return the explained number of each image, (N,); `asked` holds classes, no ranks.

    Raises
    ------
    InputError : a score function that does not return one number for each image, or regions of an
        output that has none
    """
    if callable(objective.score):
        if asked.regions is not None:
            raise InputError(
                "regions were given beside a score function: let the function take its region"
            )
        return objective.read(outputs)
    scores = _scores(objective, outputs)
    value = value_of(scores, asked.targets, objective.score)
    if asked.against is not None:
        value = value - value_of(scores, asked.against, objective.score)
    if value.shape.rank == 3:
        return over_region(value, _region(asked, scores.predictions))
    if asked.regions is not None:
        raise InputError("regions were given, and this model's output is no segmentation")
    return value


def predictions(objective: Objective, outputs: Any, asked: Asked) -> tuple[Any, Output]:
    """Return the class probabilities or a regression's values (N, K), and the kind of the output.

    Of a segmentation they are the mean over the region.
    """
    scores = _scores(objective, outputs)
    table = scores.predictions
    if table.shape.rank == 2:
        return table, scores.output
    region = _region(asked, table)
    area = tf.reduce_sum(tf.cast(region, table.dtype), axis=(1, 2))[:, None]
    return over_region(table, region) / area, scores.output


def _scores(objective: Objective, outputs: Any) -> ClassScores:
    return class_scores(
        objective.read(outputs), layout=objective.layout, declared=objective.declared
    )


def _region(asked: Asked, table: Any) -> Any:
    """Return each image's region at the size of the model's output.

    A pixel of a smaller output counts by its share in the region: none is too small to be seen.
    """
    if asked.regions is None:
        return tf.ones(tf.shape(table)[:3], table.dtype)
    size = tf.shape(table)[1:3]
    resized = tf.image.resize(tf.cast(asked.regions, tf.float32)[..., None], size, "area")
    return resized[..., 0]


def _checked(value: Any) -> Any:
    if not isinstance(value, tf.Tensor) or value.shape.rank != 1:
        found = type(value).__name__
        if isinstance(value, tf.Tensor):
            axes = ["N", *map(str, value.shape[1:])] if value.shape.rank else []
            found = f"a tensor ({', '.join(axes)})"
        raise InputError(
            f"the score function returned {found}: wanted one number for each image, a tensor (N,)"
        )
    return value if value.dtype == tf.float64 else tf.cast(value, tf.float32)
