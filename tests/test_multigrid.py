"""The parts of multigrid, each against its definition as a dense matrix."""

import numpy as np
import pytest

from gradcam_eval.perturb.grid import (
    Room,
    UniformStencil,
    VariableStencil,
    halved,
    inside,
    prolong,
    restrict,
    zeros,
)
from gradcam_eval.perturb.multigrid import Multigrid, _galerkin

SIZES = [(1, 9), (2, 2), (5, 7), (6, 8), (7, 4)]


def units(size):
    """Each pixel's unit vector as a channel of its own."""
    fields = zeros(size[0] * size[1], size)
    inside(fields)[...] = np.eye(len(fields)).reshape(-1, *size)
    return fields


def matrix_of(operator, size):
    """The columns that an operator makes of the unit vectors."""
    return np.array(inside(operator(units(size)))).reshape(size[0] * size[1], -1).T


def matrix(stencil, size):
    return -matrix_of(lambda x: stencil.negative(x, np.full_like(x, 7), np.full_like(x, 7)), size)


def test_a_room_hands_memory_out_again_only_once_it_is_cleared():
    room = Room()
    first, second = room((2, 3), np.float32), room((2, 3), np.float32)
    first += 5
    assert not second.any()
    assert not np.shares_memory(first, second)
    room.clear()
    again, other, double = (room((2, 3), kind) for kind in (np.float32, np.float32, np.float64))
    assert not again.any()
    assert {id(again), id(other)} == {id(first), id(second)}
    assert double.dtype == np.float64
    room.clear()
    room.clear()  # nothing was used since, so nothing is kept
    assert id(room((2, 3), np.float32)) not in {id(again), id(other)}


def interpolation(size):
    def prolonged(coarse):
        fine = zeros(len(coarse), size)
        prolong(coarse, fine)
        return fine

    return matrix_of(prolonged, halved(size))


def some(size, seed=0):
    missing = np.random.default_rng(seed).random(size) < 0.6
    missing[0, 0] = True
    return missing


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
    found = matrix(UniformStencil.of(missing, corner, np.float32), size)
    found[:, ~missing.ravel()] = 0
    np.testing.assert_array_equal(found, expected)


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


@pytest.mark.parametrize("size", [(9, 1), (9, 12), (14, 11)])
def test_the_coarser_operator_is_galerkin_s_product_also_twice(size):
    stencil = UniformStencil.of(some(size), 0.5, np.float32)
    mask = inside(stencil.mask).ravel()
    for _ in range(2):
        p = mask[:, None] * interpolation(size)
        expected = p.T @ matrix(stencil, size) @ p
        stencil, size = _galerkin(stencil, size), halved(size)
        assert isinstance(stencil, VariableStencil)
        np.testing.assert_allclose(matrix(stencil, size), expected, atol=2e-6)
        mask = inside(stencil.mask).ravel()


@pytest.mark.parametrize("missing", [some((13, 12)), np.indices((12, 17)).min(0) % 2 == 1])
@pytest.mark.parametrize("corner", [0.5, 0.04, 1.0])
def test_a_cycle_is_symmetric_and_positive_on_the_missing_pixels(missing, corner):
    cycle = Multigrid(missing, corner, missing.size)
    stencil = UniformStencil.of(missing, corner, np.float32)
    size, is_missing = missing.shape, missing.ravel()
    found = matrix_of(lambda x: cycle(x * stencil.mask), size).astype(np.float64)
    assert not found[~is_missing].any()
    found = found[is_missing][:, is_missing]
    np.testing.assert_allclose(found, found.T, atol=1e-5)
    assert np.linalg.eigvalsh(found).min() > 0


@pytest.mark.parametrize("size", [(9, 13), (16, 18)])
def test_a_cycle_leaves_little_of_an_error_whatever_the_size(size):
    # known: the left edge alone. The eigenvalues of M A are 1 where the cycle is exact
    missing = np.indices(size)[1] > 0
    cycle = Multigrid(missing, 0.5, missing.size)
    stencil = UniformStencil.of(missing, 0.5, np.float32)
    inner = missing.ravel()
    m = matrix_of(lambda x: cycle(x * stencil.mask), size)[inner][:, inner]
    a = matrix(stencil, size)[inner][:, inner]
    eigenvalues = np.linalg.eigvals(m @ a).real
    assert 0.6 < eigenvalues.min() <= eigenvalues.max() < 1.1
