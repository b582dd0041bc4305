"""Which channels of a layer a method asks about, where asking about all of them is too dear."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from gradcam_eval.methods.loops import check_count


def how_many(method: str, channels: int | None, available: int) -> int:
    """Return the number of channels that are asked about: all of them where `channels` is None."""
    check_channels(method, channels)
    return available if channels is None else min(channels, available)


def check_channels(method: str, channels: int | None) -> None:
    """Raise InputError unless the number of channels is None or at least 1."""
    if channels is not None:
        check_count(method, "channels", channels)


def top_channels(strength: Any, count: int) -> Any:
    """Return the `count` strongest channels of each image: (N, K) → int32 (N, count).

    All of them stay in their order; of equal ones the first is taken.
    """
    images, available = tf.shape(strength)[0], strength.shape[-1]
    if count == available:
        return tf.tile(tf.range(available)[None], (images, 1))
    return tf.math.top_k(strength, count).indices


def planes_of(activations: Any, channels: Any) -> Any:
    """Return the chosen channels one by one: (N, h, w, K), (N, k) → (N, k, h, w)."""
    return tf.gather(tf.transpose(activations, (0, 3, 1, 2)), channels, batch_dims=1)


def rectified_sum(weights: Any, planes: Any) -> Any:
    """Return [Σₖ wₖ Aᵏ]₊: (N, k), (N, k, h, w) → (N, h, w)."""
    return tf.nn.relu(tf.einsum("nk,nkhw->nhw", weights, planes))
