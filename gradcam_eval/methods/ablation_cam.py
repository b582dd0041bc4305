"""Ablation-CAM: weigh each channel by what the score loses without it."""

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
from gradcam_eval.methods.loops import collect, everyone
from gradcam_eval.methods.probe import Probe
from gradcam_eval.methods.registry import Options, Passes, Sizes

_SMALLEST = 1e-12  # a score nearer to 0 counts as this, so that the map stays finite


def ablation_cam(probe: Probe, *, channels: int | None = None) -> Any:
    """Ablation-CAM: weigh each channel by what the score loses without it.

    L = [Σₖ wₖ Aᵏ]₊ with wₖ = (y − yₖ) / |y|: y is the score, yₖ the score where channel k of the
    layer's output is 0. Range [0, ∞).

    Parameters
    ----------
    probe : at a layer; only the part of the model behind that layer is asked
    channels : ablate only this many channels of each image, those with the largest mean square;
        the others get weight 0. None: all of them, as in the paper

    Returns
    -------
    float32 (N, h, w), larger = more relevant

    Raises
    ------
    InputError : fewer channels than 1

    Notes
    -----
    - The paper divides by y. A negative logit would turn every weight round, so that the channels
      which speak for the class were those removed from its map: here it is |y|, which is the same
      for the positive scores that the paper has in mind. The divisor is one number for an image,
      so it changes the scale of the map and no rank.
    - No code of the authors was found. Work that cites it also gives the weight as the drop over
      the norm of Aᵏ; pytorch-grad-cam divides by y, with its sign.
    - |y| below 1e-12 counts as 1e-12.
    - The choice of channels is ours.

    References
    ----------
    Desai & Ramaswamy, "Ablation-CAM: Visual Explanations for Deep Convolutional Network via
    Gradient-free Localization", WACV 2020, equations 3 and 4.
    """
    activations = probe.activations
    available = activations.shape[-1]
    count = how_many("ablation_cam", channels, available)
    energy = tf.reduce_mean(tf.square(activations), axis=(1, 2))
    chosen = top_channels(energy, count)
    ask: Any = probe.score_from

    def score(image: Any, place: Any) -> Any:
        channel = tf.gather(tf.reshape(chosen, (-1,)), image * count + place)
        kept = 1 - tf.one_hot(channel, available, dtype=activations.dtype)
        return ask(tf.gather(activations, image) * kept[:, None, None, :], image)

    whole = tf.cast(ask(activations, everyone(activations)), tf.float32)[:, None]
    ablated = collect(score, tf.shape(activations)[0], count, probe.chunk)
    weights = (whole - ablated) / tf.maximum(tf.abs(whole), _SMALLEST)
    return rectified_sum(tf.cast(weights, activations.dtype), planes_of(activations, chosen))


def check_ablation_cam(name: str, options: Options) -> None:
    """Raise InputError for fewer channels than 1."""
    check_channels(name, options["channels"])


def ablation_cam_passes(sizes: Sizes, options: Options) -> Passes:
    """One pass for each channel and one for the whole score, each of the head alone.

    They are counted as forward passes, which is their number and the upper bound of their cost.
    """
    return Passes(1 + how_many("ablation_cam", options["channels"], sizes.channels))
