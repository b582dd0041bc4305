"""Score-CAM: weigh each channel by the score of the image seen through it."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from gradcam_eval.methods.channels import (
    check_channels,
    how_many,
    planes_of,
    rectified_sum,
    top_channels,
)
from gradcam_eval.methods.fills import check_fill, fill_colour
from gradcam_eval.methods.loops import blend, collect
from gradcam_eval.methods.probe import Probe
from gradcam_eval.methods.registry import Options, Passes, Sizes


def score_cam(probe: Probe, *, channels: int | None = None, fill: str = "mean") -> Any:
    """Score-CAM: weigh each channel by the score of the image seen through it.

    L = [Σₖ αₖ Aᵏ]₊ with α = softmax(S) over the channels, Sₖ = f(X ∘ Hᵏ) − f(X_b) and
    Hᵏ = s(up(Aᵏ)): the channel laid on the image, (H, W), bilinearly, then scaled to 0..1.
    Range [0, max A], since the weights are positive and sum to 1.

    Parameters
    ----------
    probe : at a layer
    channels : ask only about this many channels of each image, those whose activations vary most
        over the positions; the others get weight 0. None: all of them, as in the paper
    fill : what a mask of 0 leaves of the image: "mean", the image's own mean colour, or "black"

    Returns
    -------
    float32 (N, h, w), larger = more relevant

    Raises
    ------
    InputError : fewer channels than 1, an unknown fill

    Notes
    -----
    - The paper's ∘ is a product with the normalised image, where 0 is the mean colour of the data
      set. Images are 0..255 here, where the same product would be a mask towards black: so X ∘ H
      is H·X + (1 − H)·fill, and X_b is an image of the fill.
    - f(X_b) is the same for all channels and a softmax does not see it: that pass is not made.
    - f is the explained score, a logit by default, as Algorithm 1 says. The authors' code takes
      probabilities and applies no softmax over the channels.
    - A channel that is constant over the image cannot be scaled to 0..1; it gets weight 0 and does
      not count in the softmax, as in the authors' code. An image with no other channels has an
      all-zero map.
    - Where the layer sees a part of the image alone (a crop), the mask is scaled over that part and
      0 beyond it.
    - Choosing channels by their spread is Faster-Score-CAM's idea, not the paper's.

    References
    ----------
    Wang et al., "Score-CAM: Score-Weighted Visual Explanations for Convolutional Neural Networks",
    CVPR Workshops 2020, Algorithm 1.
    """
    activations, images = probe.activations, probe.images
    count = how_many("score_cam", channels, activations.shape[-1])
    variance = tf.math.reduce_variance(activations, axis=(1, 2))
    planes = planes_of(activations, top_channels(variance, count))
    size = tf.shape(planes)[2:]
    flat = tf.reshape(planes, (-1, size[0], size[1]))
    colour = fill_colour(images, fill)

    def score(image: Any, place: Any) -> Any:
        mask = probe.on_image(tf.gather(flat, image * count + place), _unit_range)
        seen = blend(tf.gather(images, image), mask, tf.gather(colour, image))
        return probe.score(seen, image)

    scores = collect(score, tf.shape(images)[0], count, probe.chunk)
    varies = tf.reduce_max(planes, axis=(2, 3)) > tf.reduce_min(planes, axis=(2, 3))
    return rectified_sum(tf.cast(_softmax_of(scores, varies), planes.dtype), planes)


def check_score_cam(name: str, options: Options) -> None:
    """Raise InputError for fewer channels than 1 or an unknown fill."""
    check_channels(name, options["channels"])
    check_fill(options["fill"])


def score_cam_passes(sizes: Sizes, options: Options) -> Passes:
    """One forward pass for each channel asked about; no backward pass."""
    return Passes(how_many("score_cam", options["channels"], sizes.channels))


def _unit_range(planes: Any) -> Any:
    low = tf.reduce_min(planes, axis=(1, 2), keepdims=True)
    high = tf.reduce_max(planes, axis=(1, 2), keepdims=True)
    return tf.math.divide_no_nan(planes - low, high - low)


def _softmax_of(scores: Any, counts: Any) -> Any:
    """Return the softmax over those that count; the others get 0."""
    weights = tf.nn.softmax(tf.where(counts, scores, scores.dtype.min), axis=-1)
    return tf.where(counts, weights, tf.zeros_like(weights))
