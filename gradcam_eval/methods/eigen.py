"""Eigen-CAM and Eigen-Grad-CAM: the first principal component of a layer's output.

See `cam` for what the functions take and return.
"""

from __future__ import annotations

from typing import Any

import tensorflow as tf

# Squared so often, a matrix whose two largest eigenvalues differ in float32 has rank one.
_MOST_SQUARINGS = 26
_RANK_ONE = 1e-5  # of 1 − tr(M²)/tr(M)²; the next squaring leaves less than its square


def eigen_cam(activations: Any, gradients: Any) -> Any:
    """Eigen-CAM: project the activations on their first right singular vector.

    L = A v₁ with A as a (Z, K) matrix = U Σ Vᵀ. It does not look at the class. Range (−∞, ∞).

    Notes
    -----
    A singular vector's sign is arbitrary: the one is taken for which the map's sum is not
    negative. An all-zero A gives an all-zero map. A is not centred, as in the paper.

    References
    ----------
    Muhammad & Yeasin, "Eigen-CAM: Class Activation Map using Principal Components", IJCNN 2020.
    """
    unit, scale = _to_unit_scale(activations)
    heatmap = _projection(unit)
    total = tf.reduce_sum(heatmap, axis=(1, 2), keepdims=True)
    return scale * tf.where(total < 0, -heatmap, heatmap)


def eigen_grad_cam(activations: Any, gradients: Any) -> Any:
    """Eigen-Grad-CAM: Eigen-CAM of each element times its own gradient.

    L = ± M v₁ with M = A ∘ G as a (Z, K) matrix = U Σ Vᵀ. Range (−∞, ∞), positive where the
    position speaks for the class.

    Notes
    -----
    No paper: the method comes from the library pytorch-grad-cam. That one centres M and leaves the
    sign as the decomposition gives it; here M is not centred, as in Eigen-CAM's paper, and the sign
    is the one for which Σᵢⱼ L ∘ Σₖ Mᵏ, the product with HiResCAM's unrectified map, is not
    negative. L is then HiResCAM's map of the best approximation of M of rank one, but for a
    positive factor: M v₁ v₁ᵀ sums over channels to M v₁ · Σₖ v₁ₖ, and that product has the sign of
    Σₖ v₁ₖ. (The sum of L would make the evidence against a class look like evidence for it.)

    References
    ----------
    Gildenblat et al., pytorch-grad-cam, 2021, `EigenGradCAM`; Muhammad & Yeasin, IJCNN 2020.
    """
    unit, scale = _to_unit_scale(activations * gradients)
    heatmap = _projection(unit)
    agreement = tf.reduce_sum(heatmap * tf.reduce_sum(unit, axis=-1), axis=(1, 2), keepdims=True)
    return scale * tf.where(agreement < 0, -heatmap, heatmap)


def _to_unit_scale(maps: Any) -> tuple[Any, Any]:
    """Return each image's values over the largest of them, and that: (N, h, w, K), (N, 1, 1).

    A Gram matrix holds squares, which in float32 are nothing below 1e-19 and infinite above 1e19.
    """
    largest = tf.reduce_max(tf.abs(maps), axis=(1, 2, 3), keepdims=True)
    return tf.math.divide_no_nan(maps, largest), largest[..., 0]


def _projection(maps: Any) -> Any:
    """Return M v₁ of each image's (Z, K) matrix, of any sign: (N, h, w, K) → (N, h, w).

    From the smaller of the two Gram matrices, MᵀM (K×K) or MMᵀ (Z×Z), since M v₁ = σ₁ u₁.
    """
    height, width, channels = maps.shape[1:]
    shape = tf.shape(maps)
    matrix = tf.reshape(maps, (shape[0], shape[1] * shape[2], channels))
    if height and width and height * width <= channels:
        gram = tf.matmul(matrix, matrix, transpose_b=True)
        u = _first_eigenvector(gram)
        squared = tf.reduce_sum(u * tf.linalg.matvec(gram, u), axis=-1, keepdims=True)
        flat = tf.sqrt(tf.nn.relu(squared)) * u
    else:
        flat = tf.linalg.matvec(
            matrix, _first_eigenvector(tf.matmul(matrix, matrix, transpose_a=True))
        )
    return tf.reshape(flat, shape[:3])


def _first_eigenvector(gram: Any) -> Any:
    """Return a unit eigenvector of the largest eigenvalue: (N, d, d) → (N, d); of zeros, zeros.

    The matrix is squared until its rank is one, which takes as few steps as the eigenvalues lie
    apart: about four for a trained network's maps. That is as exact as `tf.linalg.eigh`, and costs
    a fraction of it. Where two eigenvalues are equal, the vector is any of their plane.
    """

    def trace_of(matrix: Any) -> Any:
        return tf.linalg.trace(matrix)[:, None, None]

    def is_open(matrix: Any, purity: Any) -> Any:
        return tf.reduce_any((purity < 1 - _RANK_ONE) & (purity > 0))

    def square(matrix: Any, purity: Any) -> tuple[Any, Any]:
        squared = tf.matmul(matrix, matrix)
        trace = trace_of(squared)  # of a matrix with trace 1: 1 where the rank is one
        return tf.math.divide_no_nan(squared, trace), trace

    once = square(tf.math.divide_no_nan(gram, trace_of(gram)), None)
    power, _ = tf.while_loop(is_open, square, once, maximum_iterations=_MOST_SQUARINGS)
    largest = tf.argmax(tf.linalg.diag_part(power), axis=-1)
    column = tf.gather(power, largest, axis=1, batch_dims=1)
    return tf.math.divide_no_nan(column, tf.norm(column, axis=-1, keepdims=True))
