"""Class activation mapping: activations A and gradients G of one layer → heatmaps.

Every function takes A and G, float32 tensors (N, h, w, K) with G = ∂(score)/∂A of each image's own
target, and returns float32 (N, h, w), larger = more relevant, on the formula's own scale. They are
pure TensorFlow, so the `Explainer` compiles them into the pass that makes A and G. `fused` has the
same formulas in one loop, for several at once on a CPU, and is held to these by its tests.

Notation: i, j run over positions and k over channels; [x]₊ = max(x, 0); Z = h·w.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf


def cam(activations: Any, gradients: Any) -> Any:
    """CAM: weigh each channel by the weight with which the dense layer takes its mean.

    L = Σₖ wₖ Aᵏ, where the explained score is Σₖ wₖ · (1/Z) Σᵢⱼ Aᵏᵢⱼ + b. Range (−∞, ∞); the mean
    of the map is the score minus the bias.

    Notes
    -----
    Only behind a layer that is averaged over all positions and meets one dense layer: there
    wₖ = Σᵢⱼ Gᵏᵢⱼ, so the weights need not be looked for in the model. `pooled_head_reason` refuses
    every other head. The paper leaves out b, as here, and shows the map resized.

    References
    ----------
    Zhou et al., "Learning Deep Features for Discriminative Localization", CVPR 2016, equation 2.
    """
    return _weighted_sum(tf.reduce_sum(gradients, axis=(1, 2)), activations)


def grad_cam(activations: Any, gradients: Any) -> Any:
    """Grad-CAM: weigh each channel by its mean gradient.

    L = [Σₖ αₖ Aᵏ]₊ with αₖ = (1/Z) Σᵢⱼ Gᵏᵢⱼ. Range [0, ∞).

    References
    ----------
    Selvaraju et al., "Grad-CAM: Visual Explanations from Deep Networks via Gradient-based
    Localization", ICCV 2017, equations 1 and 2.
    """
    weights = tf.reduce_mean(gradients, axis=(1, 2))
    return tf.nn.relu(_weighted_sum(weights, activations))


def grad_cam_pp(activations: Any, gradients: Any) -> Any:
    """Grad-CAM++: weigh each channel by its positive gradients, each position by its share.

    L = [Σₖ wₖ Aᵏ]₊ with wₖ = Σᵢⱼ αᵏᵢⱼ [Gᵏᵢⱼ]₊ and αᵏᵢⱼ = G² / (2 G² + (Σₐᵦ Aᵏₐᵦ) G³).
    Range [0, ∞).

    Notes
    -----
    The paper differentiates exp(S) of the score S, which makes higher derivatives powers of G and
    leaves one factor exp(S) in wₖ: a positive constant for each image, dropped here because it
    overflows for large logits. Where G = 0, α is 0/0; the position has no weight either way, and
    α is taken as 0. A denominator that is 0 although G is not (Σ A·G = −2) gives α = 0 too.

    References
    ----------
    Chattopadhay et al., "Grad-CAM++: Generalized Gradient-based Visual Explanations for Deep
    Convolutional Networks", WACV 2018, equations 10, 11 and 19.
    """
    total = tf.reduce_sum(activations, axis=(1, 2))[:, None, None]
    # α [G]₊ = [G]₊ / (2 + ΣA·[G]₊), G² cancelled: small gradients, cubed, would underflow; and
    # nothing is left where G ≤ 0, so that G stands rectified in the denominator as well.
    positive = tf.nn.relu(gradients)
    shares = tf.math.divide_no_nan(positive, 2.0 + total * positive)
    weights = tf.reduce_sum(shares, axis=(1, 2))
    return tf.nn.relu(_weighted_sum(weights, activations))


def hires_cam(activations: Any, gradients: Any) -> Any:
    """HiResCAM: weigh each element of each channel by its own gradient.

    L = [Σₖ Gᵏ ∘ Aᵏ]₊. Range [0, ∞).

    Notes
    -----
    Without the rectification (`contributions`) the sum over positions is the logit minus the bias
    where a single dense layer follows A. The rectification is Grad-CAM's, which the paper follows
    when it shows maps.

    References
    ----------
    Draelos & Carin, "Use HiResCAM instead of Grad-CAM for faithful explanations of convolutional
    neural networks", arXiv:2011.08891, 2020.
    """
    return tf.nn.relu(contributions(activations, gradients))


def contributions(activations: Any, gradients: Any) -> Any:
    """HiResCAM before its rectification: Σₖ Gᵏ ∘ Aᵏ, signed, range (−∞, ∞)."""
    return tf.reduce_sum(activations * gradients, axis=-1)


def grad_cam_elementwise(activations: Any, gradients: Any) -> Any:
    """Element-wise Grad-CAM: sum what each element, by itself, speaks for the class.

    L = Σₖ [Gᵏ ∘ Aᵏ]₊. Range [0, ∞).

    Notes
    -----
    No paper: a variant of HiResCAM in the library pytorch-grad-cam, which rectifies before the sum
    over channels and not after it. Where no activation is negative it equals LayerCAM; it differs
    behind a linear layer or a SiLU, where G < 0 and A < 0 count as evidence here and not there.

    References
    ----------
    Gildenblat et al., pytorch-grad-cam, 2021, `GradCAMElementWise`.
    """
    return tf.reduce_sum(tf.nn.relu(activations * gradients), axis=-1)


def layer_cam(activations: Any, gradients: Any) -> Any:
    """LayerCAM: weigh each element by its own positive gradient.

    L = [Σₖ [Gᵏ]₊ ∘ Aᵏ]₊. Range [0, ∞).

    References
    ----------
    Jiang et al., "LayerCAM: Exploring Hierarchical Class Activation Maps for Localization",
    IEEE TIP 30, 2021, equations 5 to 7.
    """
    return tf.nn.relu(tf.reduce_sum(tf.nn.relu(gradients) * activations, axis=-1))


def xgrad_cam(activations: Any, gradients: Any) -> Any:
    """XGrad-CAM: weigh each channel by its gradients, averaged with its activations as weights.

    L = [Σₖ αₖ Aᵏ]₊ with αₖ = Σᵢⱼ (Aᵏᵢⱼ / Σₐᵦ Aᵏₐᵦ) Gᵏᵢⱼ. Range [0, ∞).

    Notes
    -----
    A channel whose activations sum to 0 gets weight 0 (the paper's share is 0/0 there).

    References
    ----------
    Fu et al., "Axiom-based Grad-CAM: Towards Accurate Visualization and Explanation of CNNs",
    BMVC 2020, equation 9.
    """
    weighted = tf.reduce_sum(activations * gradients, axis=(1, 2))
    weights = tf.math.divide_no_nan(weighted, tf.reduce_sum(activations, axis=(1, 2)))
    return tf.nn.relu(_weighted_sum(weights, activations))


def _weighted_sum(weights: Any, activations: Any) -> Any:
    """Return Σₖ wₖ Aᵏ: weights (N, K), activations (N, h, w, K) → (N, h, w)."""
    return tf.einsum("nhwk,nk->nhw", activations, weights)
