"""Gradients through float16 that do not underflow: scores are scaled before the backward pass.

Float16 has no number between 0 and 6e-8 and none above 65,504. The gradient of a rare class's
probability, or that of a logit at one of a million positions, is smaller: it would become 0 or lose
its digits. So each image's gradient enters float16 near 2¹⁴. Where it leaves the range of float16
further down, it is computed again with a smaller scale. Scales are powers of two, which round
nothing, and are divided out in float32. Bfloat16 has the range of float32 and needs no scale.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import tensorflow as tf

_FIRST = 14  # the exponent at which a gradient enters float16
_STEP = 6  # by which it falls where the gradient overflowed
_TRIES = 6
_LARGEST = 100  # exponent of a scale, well inside the range of float32
_CALLS = (
    *("PartitionedCall", "StatefulPartitionedCall", "While", "StatelessWhile"),
    *("If", "StatelessIf", "Case", "StatelessCase"),
)

Backward = Callable[[Any], Sequence[Any]]  # weight of each image's score (N,) → gradients, or None


def scaled_gradients(score: Any, backward: Backward) -> list[Any]:
    """Return the gradients of each image's score, scaled on their way through float16.

    G = 2⁻ᵉ · ∂(2ᵉ s)/∂A for each image and each tensor A, with the largest e of 14 − a, 8 − a, …,
    −16 − a at which ∂(2ᵉ s)/∂A is finite, where 2ᵃ is the size of the largest gradient with which
    the image enters float16. It does not depend on the other images of the batch.

    Parameters
    ----------
    score : symbolic tensor (N,), float32 or float64
    backward : weights (N,) → gradients of Σ weight · score with respect to some tensors (N, …);
        None for a tensor that the score does not depend on. It is called more than once

    Returns
    -------
    what `backward` returns; where float16 stands before the score, in float32 or float64

    Notes
    -----
    A gradient that is finite at no scale stays as the smallest scale gives it.
    """
    sizes = [_largest(each, score) for each in _entering(score)]
    if not sizes:
        return list(backward(tf.ones_like(score)))
    first = _FIRST - _exponents(tf.reduce_max(tf.stack(sizes), axis=0))

    def scaled(number: Any) -> list[Any]:
        scale = _powers_of_two(first - _STEP * number)
        gradients = backward(tf.cast(scale, score.dtype))
        return [None if each is None else _divided(each, scale) for each in gradients]

    found = scaled(0)
    is_there = [each is not None for each in found]
    dense = [each for each in found if each is not None]
    rest = iter(_without_overflow(dense, scaled) if dense else [])
    return [next(rest) if there else None for there in is_there]


def _without_overflow(found: list[Any], scaled: Callable[[Any], list[Any]]) -> list[Any]:
    """Replace the images whose gradients are not finite by those of smaller scales."""

    def step(number: Any, *before: Any) -> tuple[Any, ...]:
        again = [each for each in scaled(number) if each is not None]
        after = [
            tf.where(_beside(_is_finite(old), old), old, new)
            for old, new in zip(before, again, strict=True)
        ]
        for new, old in zip(after, before, strict=True):
            new.set_shape(old.shape)
        return (number + 1, *after)

    def goes_on(number: Any, *gradients: Any) -> Any:
        is_finite = tf.reduce_all(tf.stack([tf.reduce_all(_is_finite(g)) for g in gradients]))
        return tf.logical_and(number < _TRIES, tf.logical_not(is_finite))

    _, *last = tf.while_loop(goes_on, step, (1, *found), parallel_iterations=1)
    return last


def _entering(score: Any) -> list[Any]:
    """Return the gradients with which a score enters float16; none where no float16 is before it.

    They are those of the first tensors, on the way back from the score, that are made from float16.
    """
    made: list[Any] = []
    seen, waiting = {score.ref()}, [score]
    functions = _Functions(score.graph)
    while waiting:
        tensor = waiting.pop()
        if functions.computes_in_half(tensor.op):
            made.append(tensor)
            continue
        inputs = [each for each in tensor.op.inputs if each.ref() not in seen]
        seen.update(each.ref() for each in inputs)
        waiting += inputs
    gradients = tf.gradients(score, made) if made else []
    return [tf.convert_to_tensor(each) for each in gradients if each is not None]


class _Functions:
    """The functions that a graph's operations call, looked up when they are first needed."""

    def __init__(self, graph: Any) -> None:
        self._graph = graph
        self._library: dict[str, Any] | None = None

    def computes_in_half(self, operation: Any) -> bool:
        """Whether an operation takes float16, or calls a function that computes with it."""
        if any(each.dtype == tf.float16 for each in operation.inputs):
            return True
        return operation.type in _CALLS and self._is_half_inside(operation.node_def)

    def _is_half_inside(self, node: Any) -> bool:
        if self._library is None:
            functions = self._graph.as_graph_def().library.function
            self._library = {each.signature.name: each for each in functions}
        names = [each.func.name for each in node.attr.values() if each.HasField("func")]
        return any(
            inner.attr["T"].type == tf.float16.as_datatype_enum
            or inner.attr["dtype"].type == tf.float16.as_datatype_enum
            or (inner.op in _CALLS and self._is_half_inside(inner))
            for name in names
            if name in self._library
            for inner in self._library[name].node_def
        )


def _largest(gradient: Any, score: Any) -> Any:
    """Return max |gradient| of each image, float32 (N,); of all where its rows are not images."""
    count, size = tf.shape(score)[0], tf.size(gradient)
    rows = tf.where(size % count == 0, count, 1)
    largest = tf.reduce_max(tf.abs(tf.reshape(gradient, (rows, -1))), axis=1)
    return tf.broadcast_to(tf.cast(largest, tf.float32), (count,))


def _exponents(sizes: Any) -> Any:
    """Return ⌊log₂ size⌋ of float32 values, int32; of 0, infinity and NaN 0."""
    bits = tf.bitcast(sizes, tf.int32)
    exponents = tf.bitwise.bitwise_and(tf.bitwise.right_shift(bits, 23), 255) - 127
    return tf.where((sizes > 0) & (exponents <= 127), exponents, 0)


def _powers_of_two(exponents: Any) -> Any:
    """Return 2ᵉ in float32, exactly; e no further from 0 than float32 takes with some to spare."""
    bounded = tf.clip_by_value(exponents, -_LARGEST, _LARGEST)
    return tf.bitcast(tf.bitwise.left_shift(bounded + 127, 23), tf.float32)


def _divided(gradient: Any, scale: Any) -> Any:
    precision = tf.float64 if gradient.dtype == tf.float64 else tf.float32
    value = tf.cast(tf.convert_to_tensor(gradient), precision)
    return value / tf.cast(_beside(scale, value), precision)


def _is_finite(gradient: Any) -> Any:
    """Return whether each image's gradient is finite throughout: (N, …) → (N,)."""
    return tf.reduce_all(tf.math.is_finite(gradient), axis=list(range(1, gradient.shape.rank)))


def _beside(each: Any, like: Any) -> Any:
    """Return (N,) as (N, 1, …), with as many axes as another tensor."""
    return tf.reshape(each, (-1, *([1] * (like.shape.rank - 1))))
