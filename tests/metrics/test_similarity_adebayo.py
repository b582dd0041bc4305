"""The measures of the code of Adebayo et al.: golden values of that code, slow twins, edges."""

import numpy as np
import pytest
import scipy.stats
import skimage.feature
import skimage.metrics

from gradcam_eval.core import Undefined
from gradcam_eval.metrics.similarity import MEASURES, find_measure, rank_correlation
from gradcam_eval.metrics.similarity_adebayo import (
    clipped_absolute_rank_correlation,
    clipped_rank_correlation,
    gaussian_ssim,
    ranked_hog,
)


def drawn(phase, shape=(64, 80)):
    """A smooth map with both signs, the same on every machine."""
    rows, columns = np.meshgrid(*map(np.arange, shape), indexing="ij")
    value = np.sin(rows / 7 + phase) + np.cos(columns / 11 - 2 * phase) + 0.3 * np.sin(rows / 3)
    return (value * (1 + columns / 80)).astype(np.float32)


def noise(seed, shape=(20, 20)):
    return np.random.default_rng(seed).normal(size=shape).astype(np.float32)


def scaled(values):
    return (values - values.min()) / (values.max() - values.min())


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("clipped_rank_correlation", 0.8181411),
        ("clipped_absolute_rank_correlation", 0.6066068),
        ("gaussian_ssim", 0.8755380),
        ("ranked_hog", 0.5412398),
    ],
)
def test_golden_values_of_the_authors_code(name, expected):
    # Of the map in three equal channels, by `compare_ssim` and `feature.hog` of scikit-image 0.15.0
    # and the two functions of saliency 0.0.4's visualization.py, called as the notebook calls them.
    assert find_measure(name).of(drawn(0.0), drawn(0.4)) == pytest.approx(expected, abs=1e-6)


def slow_percentile(values, percent):
    """The value at that share of the way from the least to the largest, linear in between."""
    ordered = sorted(map(float, values))
    at = percent / 100 * (len(ordered) - 1)
    low = int(at)
    above = ordered[min(low + 1, len(ordered) - 1)]
    return ordered[low] + (at - low) * (above - ordered[low])


def test_clipped_ranks_equal_the_slow_twin():
    one, other = noise(1), noise(1) + noise(2)

    def drawn_with_signs(values):
        span = abs(slow_percentile(values, 99))
        return [max(-1.0, min(1.0, (v + span) / (2 * span))) for v in values]

    def drawn_without(values):
        sizes = [abs(v) for v in values]
        low, high = min(sizes), slow_percentile(sizes, 99)
        return [max(0.0, min(1.0, (v - low) / (high - low))) for v in sizes]

    for found, draw in (
        (clipped_rank_correlation, drawn_with_signs),
        (clipped_absolute_rank_correlation, drawn_without),
    ):
        expected = scipy.stats.spearmanr(*(draw(m.astype(float).ravel()) for m in (one, other)))
        assert found(one, other) == pytest.approx(expected.statistic, abs=1e-9)


def test_the_largest_hundredth_of_the_pixels_share_a_rank():
    ramp = np.arange(400.0).reshape(20, 20)
    swapped = ramp.copy()
    swapped[-1, -4:] = ramp[-1, -4:][::-1]  # 396..399; the 99th percentile of 0..399 is 395.01
    assert clipped_rank_correlation(ramp, swapped) == pytest.approx(1, abs=1e-12)
    assert clipped_absolute_rank_correlation(ramp, swapped) == pytest.approx(1, abs=1e-12)
    assert rank_correlation(ramp, swapped) < 1 - 1e-7


def test_values_below_three_spans_share_a_rank():
    values = np.linspace(-1, 1, 400).reshape(20, 20)
    one, other = values.copy(), values.copy()
    one[0, :2], other[0, :2] = (-9, -8), (-8, -9)  # the span is 0.98
    assert clipped_rank_correlation(one, other) == pytest.approx(1, abs=1e-12)
    assert clipped_absolute_rank_correlation(one, other) == pytest.approx(1, abs=1e-12)
    one[0, :2], other[0, :2] = (-2.9, -2.8), (-2.8, -2.9)
    assert clipped_rank_correlation(one, other) < 1 - 1e-8


def test_a_map_of_few_values_is_constant_once_clipped():
    spot = np.zeros((20, 20))
    spot[3, :3] = 1, 2, 3  # 3 of 400 pixels: the 99th percentile is 0
    reason = "clipped at its 99th percentile, the heatmap is constant"
    for measure in (clipped_rank_correlation, clipped_absolute_rank_correlation):
        assert measure(spot, noise(0)) == measure(noise(0), spot) == Undefined(reason)


def slow_gaussian_ssim(a, b):
    """The formula of Wang et al. in every 11 × 11 window under a Gaussian; the range is 2."""
    a, b, values = scaled(a.astype(float)), scaled(b.astype(float)), []
    line = np.exp(-(np.arange(-5, 6) ** 2) / (2 * 1.5**2))
    weight = np.outer(line, line) / line.sum() ** 2
    c1, c2 = 0.02**2, 0.06**2
    for row in range(a.shape[0] - 10):
        for column in range(a.shape[1] - 10):
            x, y = (m[row : row + 11, column : column + 11] for m in (a, b))
            m1, m2 = (weight * x).sum(), (weight * y).sum()
            v1, v2 = (weight * (x - m1) ** 2).sum(), (weight * (y - m2) ** 2).sum()
            cov = (weight * (x - m1) * (y - m2)).sum()
            v1, v2, cov = (121 / 120 * v for v in (v1, v2, cov))
            top = (2 * m1 * m2 + c1) * (2 * cov + c2)
            values.append(top / ((m1**2 + m2**2 + c1) * (v1 + v2 + c2)))
    return np.mean(values)


def test_gaussian_ssim_equals_the_slow_twin_and_scikit_image():
    one, other = noise(3), noise(3) + 2 * noise(4)
    found = gaussian_ssim(one, other)
    assert found == pytest.approx(slow_gaussian_ssim(one, other), abs=1e-6)
    today = skimage.metrics.structural_similarity(
        scaled(one.astype(float)), scaled(other.astype(float)), gaussian_weights=True, data_range=2
    )
    assert found == pytest.approx(today, abs=1e-6)
    assert abs(found - MEASURES["ssim"].of(one, other)) > 0.01


def test_ranked_hog_is_spearman_s_of_cells_of_16_pixels():
    one, other = drawn(0.0), drawn(0.4)
    cells = [
        skimage.feature.hog(scaled(m), orientations=9, pixels_per_cell=(16, 16))
        for m in (one, other)
    ]
    assert cells[0].size == (4 - 2) * (5 - 2) * 3 * 3 * 9
    expected = scipy.stats.spearmanr(*cells).statistic
    assert ranked_hog(one, other) == pytest.approx(expected, abs=1e-9)
    assert abs(ranked_hog(one, other) - MEASURES["hog"].of(one, other)) > 0.01


def test_maps_smaller_than_a_window_or_a_block_are_undefined():
    assert gaussian_ssim(noise(0, (11, 11)), noise(1, (11, 11))) < 1
    found = gaussian_ssim(noise(0, (10, 30)), noise(1, (10, 30)))
    assert found == Undefined("the heatmap is smaller than SSIM's window of 11 pixels")
    assert ranked_hog(noise(0, (48, 48)), noise(1, (48, 48))) < 1
    found = ranked_hog(noise(0, (47, 80)), noise(1, (47, 80)))
    assert found == Undefined("the heatmap is smaller than HOG's block of 48 pixels")


def test_a_map_without_gradients_inside_whole_cells_has_nothing_to_rank():
    edge = np.zeros((64, 63))
    edge[:, -1] = 1  # the last whole cell ends at column 48
    found = ranked_hog(edge, drawn(0.0)[:, :63])
    assert found == Undefined("the heatmap has the same gradients everywhere")
