"""The colour that stands for a removed pixel, inside the compiled pass.

Papers remove a pixel by setting the *normalised* input to 0, which is the data set's mean colour.
Here images are in the model's own scale and the normalisation is inside the model, so a factor of
0 would be black: an edge, and often evidence of its own. "mean" is each image's own mean colour: it
is as neutral, needs no knowledge of the model, and works for any range and number of channels.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from gradcam_eval.core import unknown_name

FILLS = ("mean", "black")


def check_fill(fill: str) -> None:
    """Raise InputError unless this is a fill."""
    if fill not in FILLS:
        raise unknown_name("fill", fill, FILLS)


def fill_colour(images: Any, fill: str) -> Any:
    """Return the colour of removed pixels for each image: (N, H, W, C) → (N, 1, 1, C).

    Raises
    ------
    InputError : a fill that is neither "mean" nor "black"
    """
    check_fill(fill)
    mean = tf.reduce_mean(images, axis=(1, 2), keepdims=True)
    return mean if fill == "mean" else tf.zeros_like(mean)
