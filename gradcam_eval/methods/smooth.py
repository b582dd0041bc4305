"""Gradients averaged over noisy copies of the image: SmoothGrad and Smooth Grad-CAM++."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from gradcam_eval.core import InputError
from gradcam_eval.methods.gradient import input_gradients, strongest_channel
from gradcam_eval.methods.loops import check_count, fold, per_image
from gradcam_eval.methods.probe import Probe
from gradcam_eval.methods.registry import Options, Passes, Sizes


def smooth_grad(probe: Probe, *, samples: int = 50, noise: float = 0.15) -> Any:
    """SmoothGrad: the gradient averaged over noisy copies of the image.

    L = max_c |(1/n) Σₙ ∂s/∂x_c at x + εₙ|, εₙ ~ N(0, σ²), σ = noise · (max x − min x).
    Range [0, ∞), in score for each unit of brightness.

    Parameters
    ----------
    probe : at no layer
    samples : noisy copies, the n of the formula
    noise : standard deviation as a share of the image's own range of values; the paper
        recommends 0.1 to 0.2

    Returns
    -------
    float32 (N, H, W), larger = more relevant; without noise it is `gradient`

    Raises
    ------
    InputError : fewer samples than 1, a negative noise

    Notes
    -----
    The signed gradients are averaged, then |·| and the maximum over channels are taken, as for
    `gradient`. All images of a batch share the same draws of noise. Noisy pixels are not clipped
    to 0..255, as in the authors' code. An image of one colour has no range, so it gets no noise.

    References
    ----------
    Smilkov, Thorat, Kim, Viégas & Wattenberg, "SmoothGrad: removing noise by adding noise",
    arXiv:1706.03825, 2017, section 3.
    """
    check_smooth("smooth_grad", {"samples": samples, "noise": noise})
    images = probe.images

    def step(items: Any, total: Any) -> tuple[Any]:
        image = items // samples
        noisy = _noisy(probe, image, items % samples, noise)
        return (total + per_image(input_gradients(probe, noisy, image), image, total),)

    items = tf.shape(images)[0] * samples
    (total,) = fold(step, (tf.zeros_like(images),), total=items, chunk=probe.chunk)
    return strongest_channel(total / samples)


def smooth_grad_cam_pp(probe: Probe, *, samples: int = 25, noise: float = 0.15) -> Any:
    """Smooth Grad-CAM++: Grad-CAM++ with derivatives averaged over noisy copies of the image.

    L = [Σₖ wₖ Aᵏ]₊ with wₖ = Σᵢⱼ αᵏᵢⱼ [D₁]₊, α = D₂ / (2 D₂ + (Σₐᵦ Aᵏₐᵦ) D₃) and
    Dₚ = (1/n) Σₙ Gᵖ, the powers of the gradient at the layer, averaged over x + εₙ with
    εₙ ~ N(0, σ²), σ = noise · (max x − min x). A is that of the image itself. Range [0, ∞).

    Parameters
    ----------
    probe : at a layer
    samples : noisy copies, the n of the formula
    noise : standard deviation as a share of the image's own range of values

    Returns
    -------
    float32 (N, h, w), larger = more relevant; without noise it is Grad-CAM++

    Raises
    ------
    InputError : fewer samples than 1, a negative noise

    Notes
    -----
    - The paper prints D₁ as α's numerator. It derives α from Grad-CAM++, where it is D₂, without
      which no noise would not give Grad-CAM++: D₂ is taken here, as others do.
    - The paper differentiates exp(S), which weighs each copy by exp of its score and overflows
      for large logits: here every copy counts alike and Dₚ is the power of G.
    - 25 samples and a noise of 0.15 are those of yiskw713/SmoothGradCAMplusplus, not taken from
      the paper. That one averages the maps of the copies, each divided by its maximum, and divides
      the noise by the image's range. torch-cam averages D₂ and D₃ alone, and takes D₁ of the last
      copy. No code of the authors was found.
    - Sums are kept in double precision, where squares and cubes do not underflow.

    References
    ----------
    Omeiza, Speakman, Cintas & Weldemariam, "Smooth Grad-CAM++: An Enhanced Inference Level
    Visualization Technique for Deep Convolutional Neural Network Models", IntelliSys 2019.
    """
    check_smooth("smooth_grad_cam_pp", {"samples": samples, "noise": noise})
    activations = tf.cast(probe.activations, tf.float64)
    ask: Any = probe.at_layer

    def step(items: Any, *totals: Any) -> tuple[Any, ...]:
        image = items // samples
        _, found = ask(_noisy(probe, image, items % samples, noise), image)
        found = tf.cast(found, tf.float64)
        powers = (found, found**2, found**3)
        return tuple(
            total + per_image(power, image, total)
            for total, power in zip(totals, powers, strict=True)
        )

    start = (tf.zeros_like(activations),) * 3
    items = tf.shape(probe.images)[0] * samples
    first, second, third = fold(step, start, total=items, chunk=probe.chunk)
    total = tf.reduce_sum(activations, axis=(1, 2), keepdims=True)
    alpha = tf.math.divide_no_nan(second, 2.0 * second + total * third)
    weights = tf.reduce_sum(alpha * tf.nn.relu(first), axis=(1, 2)) / samples
    return tf.cast(tf.nn.relu(tf.einsum("nhwk,nk->nhw", activations, weights)), tf.float32)


def check_smooth(name: str, options: Options) -> None:
    """Raise InputError for fewer samples than 1 or a negative noise."""
    check_count(name, "samples", options["samples"])
    noise = options["noise"]
    if not 0 <= noise < float("inf"):
        raise InputError(
            f"{name}: noise is {noise}: wanted a share of the image's range, 0 or more"
        )


def smooth_passes(sizes: Sizes, options: Options) -> Passes:
    """A forward and a backward pass for each sample."""
    return Passes(options["samples"], options["samples"])


def _noisy(probe: Probe, image: Any, sample: Any, noise: float) -> Any:
    """Return noisy copies (m, H, W, C); a sample's draw is the same for every image and batch."""
    images = tf.gather(probe.images, image)
    values = (1, 2, 3)
    reach = tf.reduce_max(images, values, True) - tf.reduce_min(images, values, True)

    def draw(number: Any) -> Any:
        seed = tf.stack([tf.constant(probe.seed, tf.int64), tf.cast(number, tf.int64)])
        shape = tf.shape(images)[1:]
        # The algorithm is named, since the default one depends on the device.
        return tf.random.stateless_normal(shape, seed, dtype=images.dtype, alg="philox")

    return images + noise * reach * tf.map_fn(draw, sample, fn_output_signature=images.dtype)
