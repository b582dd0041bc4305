"""The parts of multigrid, each against its definition as a dense matrix."""

import subprocess
import sys

import numpy as np
import pytest

from gradcam_eval.jit import compiled
from gradcam_eval.perturb.grids import grids
from gradcam_eval.perturb.multigrid import (
    galerkin,
    jacobi,
    laplacian,
    prolong,
    residual,
    restrict,
    v_cycle,
)

SIZES = [(1, 9), (2, 2), (5, 7), (6, 8), (7, 4)]


def halved(size):
    return (size[0] + 1) // 2, (size[1] + 1) // 2


def zeros(channels, size):
    return np.zeros((channels, size[0] + 2, size[1] + 2), np.float32)


def units(size):
    """Each pixel's unit vector as a channel of its own."""
    fields = zeros(size[0] * size[1], size)
    fields[:, 1:-1, 1:-1] = np.eye(len(fields)).reshape(-1, *size)
    return fields


def matrix_of(function, size):
    """The columns that a linear function makes of the unit vectors."""
    return function(units(size))[:, 1:-1, 1:-1].reshape(size[0] * size[1], -1).T


def matrix(operator):
    """The matrix whose nine entries a node an operator keeps."""
    height, width = size = operator.shape[2] - 2, operator.shape[3] - 2
    found = np.zeros((*size, *size))
    for a, b, i, j in np.ndindex(3, 3, *size):
        to = i + a - 1, j + b - 1
        if 0 <= to[0] < height and 0 <= to[1] < width:
            found[i, j, *to] = operator[a, b, i + 1, j + 1]
    return found.reshape(height * width, -1)


def interpolation(size):
    def prolonged(coarse):
        fine = zeros(len(coarse), size)
        prolong(coarse, np.ones_like(fine[0]), fine)
        return fine

    return matrix_of(prolonged, halved(size))


def some(size, seed=0):
    missing = np.random.default_rng(seed).random(size) < 0.6
    missing[0, 0] = True
    return missing


def cycle_of(missing, corner):
    """The matrix M of a V-cycle on the missing pixels, and the operator's matrix A on them."""
    prepared = grids(missing, corner, missing.size)
    inner = missing.ravel()

    def cycled(fields):
        prepared.right[0][...] = fields
        prepared.right[0][:, 1:-1, 1:-1] *= missing
        v_cycle(prepared)
        return prepared.found[0].copy()

    m = matrix_of(cycled, missing.shape).astype(np.float64)
    assert not m[~inner].any()
    return m[inner][:, inner], matrix(prepared.operators[0])[inner][:, inner]


@pytest.mark.parametrize("size", SIZES)
@pytest.mark.parametrize("corner", [0.5, 0.0, 2.0])
def test_the_operator_is_the_graph_laplacian_of_the_missing_pixels(size, corner):
    missing = some(size)
    expected = np.zeros((missing.size, missing.size))
    for r, c in np.argwhere(missing):
        for s, d in np.ndindex(size):
            far = abs(r - s), abs(c - d)
            weight = {(0, 1): 1, (1, 0): 1, (1, 1): corner}.get(far, 0)
            expected[r * size[1] + c, r * size[1] + c] += weight
            expected[r * size[1] + c, s * size[1] + d] -= weight
    expected[:, ~missing.ravel()] = 0  # x is 0 at known pixels, in corrections
    np.testing.assert_array_equal(matrix(laplacian(missing, corner)), expected)


@pytest.mark.parametrize("size", SIZES)
def test_the_residual_is_what_the_matrix_leaves(size):
    operator = laplacian(some(size), 0.5)
    right = np.random.default_rng(1).random(units(size).shape).astype(np.float32)
    rest = zeros(len(right), size)
    residual(operator, units(size), right, rest)
    expected = right[:, 1:-1, 1:-1].reshape(len(right), -1) - matrix(operator)
    np.testing.assert_allclose(rest[:, 1:-1, 1:-1].reshape(len(right), -1), expected, atol=1e-6)
    rest[:, 1:-1, 1:-1] = 0
    assert not rest.any()  # the border stays 0


@pytest.mark.parametrize("size", SIZES)
def test_interpolation_is_bilinear_and_restriction_its_transpose(size):
    found = interpolation(size)
    np.testing.assert_array_equal(found.sum(1), 1)
    rows = [np.interp(np.arange(n), np.arange(0, n, 2), np.arange((n + 1) // 2)) for n in size]
    positions = np.indices(halved(size)).reshape(2, -1)
    np.testing.assert_allclose(found @ positions[0], np.repeat(rows[0], size[1]))
    np.testing.assert_allclose(found @ positions[1], np.tile(rows[1], size[0]))

    def restricted(fine):
        coarse = zeros(len(fine), halved(size))
        restrict(fine, coarse)
        return coarse

    np.testing.assert_array_equal(matrix_of(restricted, size), found.T)


def test_interpolation_adds_and_leaves_known_pixels_alone():
    missing = some((5, 6))
    fine, factor = zeros(1, (5, 6)), zeros(1, (5, 6))[0]
    factor[1:-1, 1:-1] = missing
    fine[0, 1:-1, 1:-1] = 7
    prolong(np.ones((1, 5, 5), np.float32), factor, fine)
    np.testing.assert_array_equal(fine[0, 1:-1, 1:-1], 7 + missing)


@pytest.mark.parametrize("size", [(9, 1), (9, 12), (14, 11), (1, 6)])
def test_the_coarser_operator_is_galerkin_s_product_also_twice(size):
    operator, inside = laplacian(some(size), 0.5), some(size).ravel()
    for _ in range(2):
        p = inside[:, None] * interpolation(size)
        expected = p.T @ matrix(operator) @ p
        operator, size = galerkin(operator), halved(size)
        np.testing.assert_allclose(matrix(operator), expected, atol=2e-6)
        inside = expected.diagonal() > 0


@pytest.mark.parametrize("seed", range(3))
def test_a_sweep_enlarges_nothing(seed):
    # by Gershgorin no eigenvalue of D⁻¹ A exceeds 2, also where several nodes see the same pixels
    operator = laplacian(some((14, 11), seed), 0.5)
    for _ in range(3):
        factor = jacobi(operator, 1.0)
        a = matrix(operator)
        np.testing.assert_array_equal(factor[1:-1, 1:-1].ravel() > 0, a.diagonal() > 0)
        assert np.linalg.eigvals(factor[1:-1, 1:-1].reshape(-1, 1) * a).real.max() <= 2 + 1e-5
        operator = galerkin(operator)


@pytest.mark.parametrize("missing", [some((13, 12)), np.indices((12, 17)).min(0) % 2 == 1])
@pytest.mark.parametrize("corner", [0.5, 0.04, 1.0])
def test_a_cycle_is_symmetric_and_positive_on_the_missing_pixels(missing, corner):
    m, _ = cycle_of(missing, corner)
    np.testing.assert_allclose(m, m.T, atol=1e-5)
    assert np.linalg.eigvalsh(m).min() > 0


@pytest.mark.parametrize("size", [(9, 13), (16, 18)])
def test_a_cycle_leaves_little_of_an_error_whatever_the_size(size):
    # known: the left edge alone. The eigenvalues of M A are 1 where the cycle is exact
    m, a = cycle_of(np.indices(size)[1] > 0, 0.5)
    eigenvalues = np.linalg.eigvals(m @ a).real
    assert 0.6 < eigenvalues.min() <= eigenvalues.max() < 1.1


def test_loops_are_compiled_also_where_nothing_can_be_kept(monkeypatch):
    kept = []

    def njit(**options):
        kept.append(options.get("cache", False))
        if options.get("cache"):
            raise RuntimeError("no locator available")
        return lambda function: function

    monkeypatch.setattr("gradcam_eval.jit.njit", njit)
    assert compiled(abs) is abs
    assert kept == [True, False]


def test_nothing_is_compiled_where_nothing_is_imputed():
    code = "import sys, gradcam_eval.perturb.linear; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code]).returncode == 0
