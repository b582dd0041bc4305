"""Class activation mapping: activations A and gradients G of one layer → heatmaps.

Every function takes A and G, float32 tensors (N, h, w, K) with G = ∂(score)/∂A of each image's own
target, and returns float32 (N, h, w), larger = more relevant, on the formula's own scale. They are
pure TensorFlow, so the `Explainer` compiles them into the pass that makes A and G. `fused` has the
same formulas in one loop, for several at once on a CPU, and is held to these by its tests.

Float32 ends at 3.4e38, and products of A and G may not: where a sum or a product leaves it, the map
holds infinities or no numbers, in both implementations, and an `Explainer` warns. No such value is
hidden: an order of pixels that were all cut to one largest number would be none. Below 1.2e-38
TensorFlow takes numbers for 0, and so a map of still smaller products is 0.

Notation: i, j run over positions and k over channels; [x]₊ = max(x, 0); Z = h·w.
"""

from __future__ import annotations

from typing import Any

import numpy as np
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
    α is taken as 0. The denominator changes its sign where ΣA·G = −2, which only a layer with
    negative activations can do (a linear one, SiLU): α has a pole there, so that one position close
    to it outweighs all others, and beyond it a positive gradient counts against its channel. The
    paper has ReLU in mind. On the pole itself α is taken as 0.

    Other libraries give other maps. pytorch-grad-cam adds 1e-6 to the denominator, which equation
    19 does not: that outweighs 2 G² wherever |G| < 7e-4, as two gradients in five are at the last
    layer of EfficientNet-Lite0, and α is about 1e6 · G² for the smallest. Xplique takes means over
    positions for both sums, of A and of α [G]₊, and its test `test_weights_computation` expects
    these: a mean in place of ΣA changes how channels compare, and not the map's scale alone.

    References
    ----------
    Chattopadhay et al., "Grad-CAM++: Generalized Gradient-based Visual Explanations for Deep
    Convolutional Networks", WACV 2018, equations 10, 11 and 19.
    """
    total = _finite_sum(activations)[:, None, None]
    # α [G]₊ = 1 / (2 / [G]₊ + ΣA), G² cancelled: small gradients, cubed, would underflow, and large
    # ones overflow. Where G ≤ 0 this is 1 / ∞.
    shares = tf.math.divide_no_nan(1.0, 2.0 / tf.nn.relu(gradients) + total)
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

    Notes
    -----
    The authors' code has no rectification after the sum, which changes nothing where A is not
    negative, and scales the enlarged map to 0..1 by its minimum and maximum. Their code for
    localization rectifies each channel's product before the sum, as `grad_cam_elementwise` does.
    tanh, with which the paper scales shallow layers, is left to `fusion_max`.

    References
    ----------
    Jiang et al., "LayerCAM: Exploring Hierarchical Class Activation Maps for Localization",
    IEEE TIP 30, 2021, equations 5 to 7; code: github.com/PengtaoJiang/LayerCAM-jittor and
    github.com/PengtaoJiang/layercam_loc.
    """
    return tf.nn.relu(tf.reduce_sum(tf.nn.relu(gradients) * activations, axis=-1))


def xgrad_cam(activations: Any, gradients: Any) -> Any:
    """XGrad-CAM: weigh each channel by its gradients, averaged with its activations as weights.

    L = [Σₖ αₖ Aᵏ]₊ with αₖ = Σᵢⱼ (Aᵏᵢⱼ / Σₐᵦ Aᵏₐᵦ) Gᵏᵢⱼ. Range [0, ∞).

    Notes
    -----
    A channel whose activations sum to 0 gets weight 0 (the paper's share is 0/0 there). The
    authors' code adds 1e-6 to every sum instead, which changes channels of small activations, and
    divides the map, enlarged, by its maximum. Behind a layer with negative activations a sum near
    0 makes a weight as large as it is small.

    References
    ----------
    Fu et al., "Axiom-based Grad-CAM: Towards Accurate Visualization and Explanation of CNNs",
    BMVC 2020, equation 9; code: github.com/Fu0511/XGrad-CAM.
    """
    weighted = tf.reduce_sum(activations * gradients, axis=(1, 2))
    weights = tf.math.divide_no_nan(weighted, _finite_sum(activations))
    return tf.nn.relu(_weighted_sum(weights, activations))


def _finite_sum(activations: Any) -> Any:
    """Return Σᵢⱼ Aᵏ, (N, K), NaN where it leaves the range of floats: a share of ∞ would be 0."""
    total = tf.reduce_sum(activations, axis=(1, 2))
    return tf.where(tf.math.is_finite(total), total, np.nan)


def _weighted_sum(weights: Any, activations: Any) -> Any:
    """Return Σₖ wₖ Aᵏ: weights (N, K), activations (N, h, w, K) → (N, h, w)."""
    return tf.einsum("nhwk,nk->nhw", activations, weights)
