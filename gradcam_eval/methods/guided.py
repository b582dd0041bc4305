"""Guided backpropagation, and Guided Grad-CAM: a gradient that passes only what speaks for."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from gradcam_eval.core import InputError
from gradcam_eval.methods.cam import grad_cam
from gradcam_eval.methods.gradient import strongest_channel
from gradcam_eval.methods.linearity import first_non_linear
from gradcam_eval.methods.loops import everyone
from gradcam_eval.methods.probe import Probe
from gradcam_eval.methods.registry import Options, Passes, Sizes
from gradcam_eval.models.half import scaled_gradients

_GUIDED = {"Relu": "GradcamEvalGuidedRelu", "Relu6": "GradcamEvalGuidedRelu6"}


@tf.RegisterGradient(_GUIDED["Relu"])
def _through_relu(operation: Any, incoming: Any) -> Any:
    passed = tf.nn.relu(incoming)
    return tf.raw_ops.ReluGrad(gradients=passed, features=operation.outputs[0])


@tf.RegisterGradient(_GUIDED["Relu6"])
def _through_relu6(operation: Any, incoming: Any) -> Any:
    passed = tf.nn.relu(incoming)
    return tf.raw_ops.Relu6Grad(gradients=passed, features=operation.outputs[0])


def guided_backprop(probe: Probe) -> Any:
    """Guided backpropagation: the gradient, without what is negative at any ReLU on its way down.

    L = max_c |R_c|, with R = ∂s/∂x where each ReLU hands down [G]₊ · [its input > 0]: the gate of
    the gradient and that of the deconvolution together. A ReLU6 also needs its input below 6.
    Range [0, ∞), in score for each unit of brightness.

    Returns
    -------
    float32 (N, H, W), larger = more relevant

    Raises
    ------
    InputError : the model has another non-linearity between image and score; it is named

    Notes
    -----
    The rule is defined for ReLU alone: SiLU, GELU, hard swish and gates (squeeze-and-excitation,
    attention) have no threshold to be guided by, and the plain gradient there would be neither
    method. Max pooling hands the gradient to the largest value, as the "switches" of the
    deconvolution do. The paper shows R as a picture; here it is reduced over channels as
    `gradient` is: a negative R says that a darker pixel would raise the score, no less relevant.

    References
    ----------
    Springenberg, Dosovitskiy, Brox & Riedmiller, "Striving for Simplicity: The All Convolutional
    Net", ICLR Workshop 2015, section 3.4.
    """
    return strongest_channel(_guided_gradients("guided_backprop", probe))


def guided_grad_cam(probe: Probe) -> Any:
    """Guided Grad-CAM: guided backpropagation, where Grad-CAM shows the class.

    L = up(Grad-CAM) · max_c |R_c|, with Grad-CAM laid on the image, (H, W), bilinearly and R the
    gradient of guided backpropagation. Range [0, ∞).

    Returns
    -------
    float32 (N, H, W), larger = more relevant: at the image's size, although made at a layer

    Raises
    ------
    InputError : the model has another non-linearity than ReLU; it is named

    Notes
    -----
    The paper multiplies each channel of R by the one Grad-CAM, which is not negative: so reducing
    the product over channels by max |·| is the same as multiplying by the reduced R. The authors'
    code adds up the gradients where the paper takes their mean, which is a factor; it enlarges the
    map with `image.scale` of Torch.

    References
    ----------
    Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based
    Localization", ICCV 2017, section 3.2; code: github.com/ramprs/grad-cam.
    """
    coarse = grad_cam(probe.activations, probe.gradients)
    fine = strongest_channel(_guided_gradients("guided_grad_cam", probe))
    return probe.on_image(coarse) * fine


def guided_passes(sizes: Sizes, options: Options) -> Passes:
    """One forward and one backward pass, down to the image."""
    return Passes(1, 1)


def _guided_gradients(method: str, probe: Probe) -> Any:
    """Return R: (N, H, W, C). The override lasts while the model is traced, and changes nothing."""
    # Its own tensor, so that nothing but this pass lies between it and the score.
    images = tf.identity(probe.images)
    with tf.compat.v1.get_default_graph().gradient_override_map(_GUIDED):
        score = probe.score(images, everyone(images))
    other = first_non_linear(images, score, frozenset(_GUIDED))
    if other is not None:
        raise InputError(
            f"{method} is defined for ReLU networks alone, and this model computes {other.type} "
            f"in {other.name!r} between image and score: use another method, such as "
            "'smooth_grad', or score='logit' where that is the final softmax or sigmoid"
        )
    # A tape would not see the override: it asks for gradients by the type of the operation.
    (found,) = scaled_gradients(
        score, lambda weights: tf.gradients(score, images, weights, unconnected_gradients="zero")
    )
    return found
