"""Occlusion: slide a window over the image and watch the score."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
from numpy.typing import NDArray

from gradcam_eval.core import InputError
from gradcam_eval.methods.fills import check_fill, fill_colour
from gradcam_eval.methods.loops import blend, check_count, collect, everyone
from gradcam_eval.methods.probe import Probe
from gradcam_eval.methods.registry import Options, Passes, Sizes

_WINDOWS_ALONG = 7  # windows side by side along an image: 32 of 224 pixels


def occlusion(
    probe: Probe, *, window: int | None = None, stride: int | None = None, fill: str = "mean"
) -> Any:
    """Occlusion: the drop in score where a window hides the image.

    L(p) = mean over the windows that cover pixel p of s(x) − s(x with the window filled).
    Signed: negative where hiding raises the score. Range (−∞, ∞), in score.

    Parameters
    ----------
    probe : at no layer
    window : side of the square window in pixels, cut to the image's where it is longer; None: a
        seventh of the image's shorter side (32 of 224)
    stride : pixels from one window to the next, at most the window's side; None: half of it
    fill : what the window shows: "mean", the image's own mean colour, or "black"

    Returns
    -------
    float32 (N, H, W), larger = more relevant

    Raises
    ------
    InputError : a window or stride below 1, a stride that leaves pixels out, an unknown fill

    Notes
    -----
    The paper maps the probability, or a feature's activity, by the position of a grey square; it
    names neither size nor stride, so the defaults are ours. Here each pixel gets the mean over
    the windows that cover it, which turns positions into pixels. Windows begin at 0, stride,
    2·stride, …; the last one of a row or column ends at the border, whatever the stride, so every
    window is whole and every pixel is covered.

    References
    ----------
    Zeiler & Fergus, "Visualizing and Understanding Convolutional Networks", ECCV 2014, section 4.2.
    """
    images = probe.images
    rows, columns = _both_ways(images.shape[1:3], window, stride)
    across, each = len(columns), len(rows) * len(columns)
    colour = fill_colour(images, fill)

    def score(image: Any, place: Any) -> Any:
        hidden = tf.einsum(
            "mh,mw->mhw", tf.gather(rows, place // across), tf.gather(columns, place % across)
        )
        hides = blend(tf.gather(images, image), 1 - hidden, tf.gather(colour, image))
        return probe.score(hides, image)

    whole = tf.cast(probe.score(images, everyone(images)), tf.float32)
    drops = whole[:, None] - collect(score, tf.shape(images)[0], each, probe.chunk)
    drops = tf.reshape(drops, (-1, len(rows), across))
    covering = np.outer(rows.sum(0), columns.sum(0))
    return tf.einsum("nyx,yh,xw->nhw", drops, rows, columns) / covering


def check_occlusion(name: str, options: Options) -> None:
    """Raise InputError for a window or stride below 1, too large a stride, or an unknown fill."""
    window, stride = options["window"], options["stride"]
    for option, value in (("window", window), ("stride", stride)):
        if value is not None:
            check_count(name, option, value)
    if window is not None and stride is not None:
        _check_stride(stride, window)
    check_fill(options["fill"])


def occlusion_passes(sizes: Sizes, options: Options) -> Passes:
    """One forward pass for each window and one for the whole image."""
    rows, columns = _both_ways(sizes.image, options["window"], options["stride"])
    return Passes(1 + len(rows) * len(columns))


def _both_ways(
    size: tuple[int, int], window: int | None, stride: int | None
) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
    """Return what each row and each column of windows covers: 0 or 1, (ny, H) and (nx, W)."""
    side = max(1, min(size) // _WINDOWS_ALONG) if window is None else window
    check_count("occlusion", "window", side)
    step = max(1, side // 2) if stride is None else stride
    check_count("occlusion", "stride", step)
    _check_stride(step, side)
    rows, columns = (_covered(length, side, step) for length in size)
    return rows, columns


def _check_stride(stride: int, window: int) -> None:
    if stride > window:
        raise InputError(
            f"occlusion: the stride is {stride} and the window {window} pixels, which leaves "
            "pixels out: give a stride of at most the window's side"
        )


def _covered(length: int, window: int, stride: int) -> NDArray[np.float32]:
    """Return which of `length` pixels each window covers: 0 or 1, (windows, length)."""
    side = min(window, length)
    starts = [*range(0, length - side, stride), length - side]
    pixels = np.arange(length)
    return np.stack([(pixels >= at) & (pixels < at + side) for at in starts]).astype(np.float32)
