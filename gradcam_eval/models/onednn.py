"""oneDNN, without which TensorFlow computes no channels-first convolution on a CPU."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import tensorflow as tf

from gradcam_eval.core import InputError

_REFUSAL = "NHWC"  # in each message of an operation that has a channels-last kernel alone


@contextmanager
def channels_first_advice() -> Iterator[None]:
    """Say what to do where the block, or a function that this decorates, needs oneDNN.

    TensorFlow turns oneDNN on by itself on some processors only, and reads the variable once, when
    it is imported.

    Raises
    ------
    InputError : an operation computes channels first and has no kernel for that on this device
    """
    try:
        yield
    except (tf.errors.UnimplementedError, tf.errors.InvalidArgumentError) as error:
        if _REFUSAL not in str(error):
            raise
        raise InputError(
            "this model computes channels first, which TensorFlow does on this CPU with oneDNN "
            "alone: set the environment variable TF_ENABLE_ONEDNN_OPTS=1 before TensorFlow is "
            "imported, or build the model with channels last"
        ) from error
