"""Each formula against a slow twin written from its paper's equation, loop by loop, in float64."""

import numpy as np
import pytest
import tensorflow as tf

from gradcam_eval.methods import METHODS, cam, eigen

SHAPES = [(2, 3, 4, 5), (1, 7, 7, 3), (2, 2, 2, 9), (1, 1, 1, 4)]


def relu(x):
    return max(x, 0.0)


def twin_grad_cam(a, g):
    h, w, k = a.shape
    z = h * w
    alpha = [sum(g[i, j, c] for i in range(h) for j in range(w)) / z for c in range(k)]
    return [
        [relu(sum(alpha[c] * a[i, j, c] for c in range(k))) for j in range(w)] for i in range(h)
    ]


def twin_grad_cam_pp(a, g):
    h, w, k = a.shape
    places = [(i, j) for i in range(h) for j in range(w)]
    weight = []
    for c in range(k):
        total = sum(a[i, j, c] for i, j in places)
        weight.append(0.0)
        for i, j in places:
            second, third = g[i, j, c] ** 2, g[i, j, c] ** 3
            bottom = 2 * second + total * third
            alpha = second / bottom if bottom != 0 else 0.0
            weight[c] += alpha * relu(g[i, j, c])
    return [
        [relu(sum(weight[c] * a[i, j, c] for c in range(k))) for j in range(w)] for i in range(h)
    ]


def twin_hires_cam(a, g):
    h, w, k = a.shape
    return [
        [relu(sum(g[i, j, c] * a[i, j, c] for c in range(k))) for j in range(w)] for i in range(h)
    ]


def twin_layer_cam(a, g):
    h, w, k = a.shape
    return [
        [relu(sum(relu(g[i, j, c]) * a[i, j, c] for c in range(k))) for j in range(w)]
        for i in range(h)
    ]


def twin_xgrad_cam(a, g):
    h, w, k = a.shape
    places = [(i, j) for i in range(h) for j in range(w)]
    alpha = []
    for c in range(k):
        total = sum(a[i, j, c] for i, j in places)
        shares = [a[i, j, c] / total * g[i, j, c] if total != 0 else 0.0 for i, j in places]
        alpha.append(sum(shares))
    return [
        [relu(sum(alpha[c] * a[i, j, c] for c in range(k))) for j in range(w)] for i in range(h)
    ]


def twin_eigen_cam(a, g):
    h, w, k = a.shape
    matrix = a.reshape(h * w, k)
    _, _, vt = np.linalg.svd(matrix, full_matrices=False)
    projected = matrix @ vt[0]
    return (projected if projected.sum() >= 0 else -projected).reshape(h, w)


def twin_eigen_grad_cam(a, g):
    h, w, k = a.shape
    matrix = (a * g).reshape(h * w, k)
    u, s, vt = np.linalg.svd(matrix, full_matrices=False)
    of_rank_one = s[0] * np.outer(u[:, 0], vt[0])
    evidence = [sum(row) for row in of_rank_one]  # HiResCAM's of that approximation
    projected = matrix @ vt[0]
    agreement = sum(p * e for p, e in zip(projected, evidence, strict=True))
    return (projected if agreement >= 0 else -projected).reshape(h, w)


def twin_grad_cam_elementwise(a, g):
    h, w, k = a.shape
    return [
        [sum(relu(g[i, j, c] * a[i, j, c]) for c in range(k)) for j in range(w)] for i in range(h)
    ]


def twin_cam(a, g):
    h, w, k = a.shape
    weight = [sum(g[i, j, c] for i in range(h) for j in range(w)) for c in range(k)]
    return [[sum(weight[c] * a[i, j, c] for c in range(k)) for j in range(w)] for i in range(h)]


TWINS = {
    "cam": twin_cam,
    "grad_cam": twin_grad_cam,
    "grad_cam_pp": twin_grad_cam_pp,
    "hires_cam": twin_hires_cam,
    "layer_cam": twin_layer_cam,
    "xgrad_cam": twin_xgrad_cam,
    "grad_cam_elementwise": twin_grad_cam_elementwise,
    "eigen_cam": twin_eigen_cam,
    "eigen_grad_cam": twin_eigen_grad_cam,
}
FORMULAS = {name: getattr(eigen if name.startswith("eigen") else cam, name) for name in TWINS}


def test_every_method_of_a_and_g_has_a_twin():
    registered = {name: each.formula for name, each in METHODS.items() if each.kind == "cam"}
    assert registered.items() <= FORMULAS.items()


@pytest.mark.parametrize("name", TWINS)
@pytest.mark.parametrize("shape", SHAPES)
@pytest.mark.parametrize("is_rectified", [True, False], ids=["A>=0", "signed A"])
def test_equals_its_twin(name, shape, is_rectified, rng):
    activations = rng.normal(size=shape)
    if is_rectified:
        activations = np.maximum(activations, 0)
    gradients = rng.normal(size=shape)
    gradients[rng.random(shape) < 0.2] = 0  # dead units, whose shares are 0/0 in some papers
    fast = FORMULAS[name](tf.constant(activations), tf.constant(gradients)).numpy()
    slow = np.stack([TWINS[name](a, g) for a, g in zip(activations, gradients, strict=True)])
    np.testing.assert_allclose(fast, slow, rtol=1e-9, atol=1e-9)


# One image, 1×2 positions, 2 channels; worked out by hand.
A = np.array([[[[1.0, 2.0], [3.0, 0.0]]]], np.float32)
G = np.array([[[[1.0, -1.0], [0.5, 3.0]]]], np.float32)
LARGER = (7.25 + 16.5625**0.5) / 2
EIGEN = np.array([2, 3.25 - LARGER]) / np.hypot(2, 3.25 - LARGER)
EIGEN *= np.sign(EIGEN.sum())
GOLDEN = {
    # w = (1.5, 2): 1.5·1 + 2·2, 1.5·3 + 2·0
    "cam": [5.5, 4.5],
    # α = (0.75, 1): 0.75·1 + 1·2, 0.75·3 + 1·0
    "grad_cam": [2.75, 2.25],
    # totals (4, 2). α: 1/(2+4·1), 1/(2+4·.5); –, 1/(2+2·3). w = 1/6 + .5/4, 3/8
    "grad_cam_pp": [7 / 24 + 0.75, 7 / 8],
    # 1 − 2 < 0, 1.5 + 0
    "hires_cam": [0.0, 1.5],
    "layer_cam": [1.0, 1.5],
    # [1]₊ + [−2]₊, [1.5]₊ + [0]₊
    "grad_cam_elementwise": [1.0, 1.5],
    # α = (1/4·1 + 3/4·.5, 2/2·(−1)) = (.625, −1): .625 − 2 < 0, 1.875
    "xgrad_cam": [0.0, 1.875],
    # A∘G = [[1, −2], [1.5, 0]]; its Gram matrix [[3.25, −2], [−2, 4]] has the eigenvalues
    # (7.25 ± √16.5625)/2; v₁ ∝ (2, 3.25 − λ₁), and the larger evidence is negative: −2 < 1.5
    "eigen_grad_cam": [EIGEN @ [1, -2], EIGEN @ [1.5, 0]],
}


@pytest.mark.parametrize("name", GOLDEN)
def test_golden_values(name):
    got = FORMULAS[name](tf.constant(A), tf.constant(G)).numpy()
    np.testing.assert_allclose(got, [[GOLDEN[name]]], rtol=1e-6)


def test_eigen_cam_of_a_rank_one_map_is_that_map():
    # A = u vᵀ with |v| = 5: A v₁ = 5 u
    u = np.array([1.0, 2.0, 0.0, 4.0])
    activations = np.outer(u, [3.0, 4.0]).reshape(1, 2, 2, 2).astype(np.float32)
    got = eigen.eigen_cam(tf.constant(activations), tf.zeros_like(activations)).numpy()
    np.testing.assert_allclose(got.ravel(), 5 * u, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("name", TWINS)
def test_dead_maps_stay_finite(name):
    zeros = tf.zeros((2, 3, 3, 4))
    np.testing.assert_array_equal(FORMULAS[name](zeros, zeros), np.zeros((2, 3, 3)))
    ones = tf.ones((2, 3, 3, 4))
    assert np.isfinite(FORMULAS[name](ones, zeros)).all()
    assert np.isfinite(FORMULAS[name](zeros, ones)).all()


@pytest.mark.parametrize("name", TWINS)
def test_images_of_a_batch_do_not_meet(name, rng):
    a, g = (rng.normal(size=(3, 4, 5, 6)).astype(np.float32) for _ in range(2))
    together = FORMULAS[name](tf.constant(a), tf.constant(g)).numpy()
    for n in range(3):
        alone = FORMULAS[name](tf.constant(a[n : n + 1]), tf.constant(g[n : n + 1])).numpy()
        np.testing.assert_allclose(together[n], alone[0], rtol=1e-5, atol=1e-5)


def test_small_gradients_do_not_underflow_in_grad_cam_pp():
    # Cubed in float32, a gradient of 1e-15 is 0 and its share 0/0.
    a = np.ones((1, 2, 2, 1), np.float32)
    g = np.full((1, 2, 2, 1), 1e-15, np.float32)
    got = cam.grad_cam_pp(tf.constant(a), tf.constant(g)).numpy()
    np.testing.assert_allclose(got, 4 * 0.5 * 1e-15, rtol=1e-5)


def test_grad_cam_pp_is_equation_19_where_other_libraries_are_not():
    """Activations and gradients of Xplique's test of its weights: one channel a row, G = A."""
    rows = np.array([[1, 1, 1, 1], [1, 1, 0, 0], [0, 0, 0, 0], [0.5, 0, 0, 0]], np.float32)
    a = rows.T.reshape(1, 2, 2, 4)
    weights = [
        4 / 6,
        2 / 4,
        0,
        0.25 / (2 * 0.25 + 0.5 * 0.125) * 0.5,
    ]  # Σ α G, α = G²/(2G² + ΣA G³)
    xplique = [1 / 3, 1 / 5, 0, 0.25 / (2 * 0.25 + 0.5**3 * 0.125) * 0.125]  # means in their place
    found = cam.grad_cam_pp(tf.constant(a), tf.constant(a)).numpy()
    np.testing.assert_allclose(found[0], (a[0] * weights).sum(-1), rtol=1e-6)
    assert found[0, 1, 1] / found[0, 0, 1] == pytest.approx((4 / 6) / (4 / 6 + 2 / 4))
    assert abs((1 / 3) / (1 / 3 + 1 / 5) - (4 / 6) / (4 / 6 + 2 / 4)) > 0.05  # no factor of one map
    assert xplique[0] / weights[0] != pytest.approx(xplique[1] / weights[1], rel=0.1)
    # pytorch-grad-cam's 1e-6 below the line, with gradients as small as those behind a mean
    small = np.array([1e-4, 1e-3], np.float32).reshape(1, 1, 1, 2) * np.ones((1, 2, 2, 1))
    ones = np.ones((1, 2, 2, 2), np.float32)
    exact = small**3 / (2 * small**2 + 4 * small**3)
    padded = small**3 / (2 * small**2 + 4 * small**3 + 1e-6)
    found = cam.grad_cam_pp(tf.constant(ones), tf.constant(small, tf.float32)).numpy()
    np.testing.assert_allclose(found, exact.sum((1, 2, 3))[:, None, None] * ones[..., 0], rtol=1e-5)
    assert (padded / exact)[0, 0, 0, 0] < 0.05
    assert (padded / exact)[0, 0, 0, 1] > 0.6


def test_eigen_grad_cam_shows_evidence_against_a_class_as_negative():
    a = np.ones((1, 2, 2, 3), np.float32)
    g = -np.arange(1, 5, dtype=np.float32).reshape(1, 2, 2, 1) * np.ones(3, np.float32)
    got = eigen.eigen_grad_cam(tf.constant(a), tf.constant(g)).numpy()
    # each row of A∘G is −c (1, 1, 1): the projection on (1, 1, 1)/√3 is −c √3
    np.testing.assert_allclose(got.ravel(), -np.arange(1, 5) * 3**0.5, rtol=1e-5)


@pytest.mark.parametrize("ratio", [0.5, 0.9, 0.99, 0.9999])
@pytest.mark.parametrize("shape", [(6, 6, 5), (3, 3, 40)], ids=["K×K", "Z×Z"])
def test_eigen_cam_is_exact_however_close_the_second_component_is(ratio, shape, rng):
    h, w, k = shape
    u, _, vt = np.linalg.svd(rng.normal(size=(h * w, k)), full_matrices=False)
    strength = np.full(len(vt), ratio)
    strength[0] = 1
    first = u[:, 0] * np.sign(u[:, 0].sum())
    maps = ((u * strength) @ vt).reshape(1, h, w, k)
    exact = eigen.eigen_cam(tf.constant(maps), None).numpy()
    np.testing.assert_allclose(exact.ravel(), first, atol=1e-8)
    # float32 itself blurs two directions by its rounding over their distance
    rounded = eigen.eigen_cam(tf.constant(maps, tf.float32), None).numpy()
    np.testing.assert_allclose(rounded.ravel(), first, atol=1e-6 + 1e-6 / (1 - ratio**2))


@pytest.mark.parametrize("size", [1e-30, 1e-20, 1e20, 1e30])
@pytest.mark.parametrize("shape", [(2, 5, 6, 4), (2, 2, 2, 9)], ids=["K×K", "Z×Z"])
def test_eigen_maps_scale_with_what_is_tiny_or_huge(size, shape, rng):
    # The gradient of a probability near 0 is as small; squared in float32, it would be nothing.
    a, g = rng.uniform(0, 1, shape), rng.normal(size=shape)
    for formula, activations, gradients in (
        (eigen.eigen_cam, a * size, g),
        (eigen.eigen_grad_cam, a, g * size),
    ):
        exact = formula(tf.constant(activations), tf.constant(gradients)).numpy()
        got = formula(tf.constant(activations, tf.float32), tf.constant(gradients, tf.float32))
        np.testing.assert_allclose(got, exact, rtol=1e-4, atol=1e-5 * np.abs(exact).max())
        assert exact.max() > 0


@pytest.mark.parametrize("fault", [np.nan, np.inf])
def test_eigen_maps_of_what_is_not_finite_are_not_finite_either(fault):
    a = np.ones((2, 2, 2, 3), np.float32)
    a[1, 0, 0, 0] = fault
    for formula in (eigen.eigen_cam, eigen.eigen_grad_cam):
        got = formula(tf.constant(a), tf.ones_like(a)).numpy()
        assert np.isfinite(got[0]).all()
        assert not np.isfinite(got[1]).all()


def test_two_equal_components_give_a_vector_of_their_plane():
    maps = np.zeros((1, 2, 2, 2), np.float32)
    maps[0, 0, 0, 0] = maps[0, 1, 1, 1] = 3
    got = eigen.eigen_cam(tf.constant(maps), None).numpy()
    assert np.linalg.norm(got) == pytest.approx(3, rel=1e-5)
    assert got[0, 0, 1] == got[0, 1, 0] == 0
