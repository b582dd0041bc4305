"""Class activation mapping: activations A and gradients G of one layer → heatmaps.

Every function takes A and G, float32 tensors (N, h, w, K) with G = ∂(score)/∂A of each image's own
target, and returns float32 (N, h, w), larger = more relevant, on the formula's own scale. They are
pure TensorFlow, so the `Explainer` compiles them into the pass that makes A and G.

Notation: i, j run over positions and k over channels; [x]₊ = max(x, 0); Z = h·w.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf


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
    total = tf.reduce_sum(activations, axis=(1, 2), keepdims=True)
    # G² / (2 G² + ΣA·G³) with G² cancelled: small gradients, cubed, would underflow.
    alpha = tf.math.divide_no_nan(tf.ones_like(gradients), 2.0 + total * gradients)
    alpha = tf.where(gradients == 0, tf.zeros_like(alpha), alpha)
    weights = tf.reduce_sum(alpha * tf.nn.relu(gradients), axis=(1, 2))
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


def eigen_cam(activations: Any, gradients: Any) -> Any:
    """Eigen-CAM: project the activations on their first right singular vector.

    L = A v₁ with A as a (Z, K) matrix = U Σ Vᵀ. It does not look at the class. Range (−∞, ∞).

    Notes
    -----
    A singular vector's sign is arbitrary: the one is taken for which the map's sum is not
    negative. The smaller of the two Gram matrices is decomposed, AᵀA (K×K) or AAᵀ (Z×Z), since
    A v₁ = σ₁ u₁; an all-zero A gives an all-zero map. A is not centred, as in the paper.

    References
    ----------
    Muhammad & Yeasin, "Eigen-CAM: Class Activation Map using Principal Components", IJCNN 2020.
    """
    height, width, channels = activations.shape[1:]
    shape = tf.shape(activations)
    matrix = tf.reshape(activations, (shape[0], shape[1] * shape[2], channels))
    if height and width and height * width <= channels:
        values, vectors = tf.linalg.eigh(tf.matmul(matrix, matrix, transpose_b=True))
        flat = tf.sqrt(tf.nn.relu(values[:, -1:])) * vectors[..., -1]
    else:
        _, vectors = tf.linalg.eigh(tf.matmul(matrix, matrix, transpose_a=True))
        flat = tf.squeeze(tf.matmul(matrix, vectors[..., -1:]), axis=-1)
    flat = tf.where(tf.reduce_sum(flat, axis=-1, keepdims=True) < 0, -flat, flat)
    return tf.reshape(flat, shape[:3])


def _weighted_sum(weights: Any, activations: Any) -> Any:
    """Return Σₖ wₖ Aᵏ: weights (N, K), activations (N, h, w, K) → (N, h, w)."""
    return tf.einsum("nhwk,nk->nhw", activations, weights)
