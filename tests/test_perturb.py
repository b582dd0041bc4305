"""Fills and masked scores, against slow twins written from the definitions."""

import dataclasses

import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.ndimage import gaussian_filter

from gradcam_eval.arrays import rank_pixels
from gradcam_eval.core import InputError
from gradcam_eval.perturb import (
    Perturbation,
    best_chunk,
    constant_fill,
    masked_scores,
    rise_blur,
)
from gradcam_eval.protocols import IMAGENET_MEAN

SIZE, CLASSES = (6, 5), 4


class Traceable:
    """A small TensorFlow classifier with the interface of `TraceablePredict`.

    It computes in float64, so that its float32 probabilities are the same to one rounding (6e-8)
    on every processor and in every batch.
    """

    def __init__(self, seed=0, size=SIZE):
        values = np.random.default_rng(seed).normal(size=(size[0] * size[1] * 3, CLASSES))
        self.weights = tf.Variable(values / 300, dtype=tf.float64)
        self.traces, self.batches, self.memo = 0, [], {}

    def forward(self, images):
        self.traces += 1
        flat = tf.cast(tf.reshape(images, (-1, self.weights.shape[0])), tf.float64)
        return tf.cast(tf.nn.softmax(tf.sin(flat @ self.weights) * 3), tf.float32)

    def __call__(self, images):
        self.batches.append(len(images))
        return self.forward(tf.constant(images)).numpy()

    def compiled(self, builder, *, rows=0):
        if builder not in self.memo:
            self.memo[builder] = builder(self.forward)
        return self.memo[builder]

    def black_box(self, images):
        """Call the same network with no way to compile it."""
        return self(images)


def plan_of(seed=0, rankings=3, counts=(0, 4, 17, 30), images=None):
    generator = np.random.default_rng(seed)
    number = rankings if images is None else images
    pixels = generator.uniform(0, 255, (2, number, *SIZE, 3)).astype(np.float32)
    return Perturbation(
        base=pixels[0],
        replacement=pixels[1],
        owner=np.arange(rankings, dtype=np.int32) % number,
        ranks=rank_pixels(generator.normal(size=(rankings, *SIZE)).astype(np.float32)),
        counts=np.array(counts, np.int32),
        targets=generator.integers(0, CLASSES, rankings).astype(np.int32),
    )


def slow_scores(predict, plan):
    """Replace pixel by pixel, predict image by image."""
    scores = np.empty(plan.shape)
    for n, s in np.ndindex(*plan.shape):
        image = plan.base[plan.owner[n]].copy()
        for row, column in np.ndindex(*SIZE):
            if plan.ranks[n, row, column] < plan.counts[s]:
                image[row, column] = plan.replacement[plan.owner[n], row, column]
        scores[n, s] = predict(image[None])[0, plan.targets[n]]
    return scores


@pytest.fixture(scope="module")
def model():
    return Traceable()


@pytest.mark.parametrize("images", [1, 2, 3])
@pytest.mark.parametrize("way", ["compiled", "black box"])
def test_masked_scores_equal_the_slow_twin(model, images, way):
    plan = plan_of(images=images)
    predict = model if way == "compiled" else model.black_box
    found = masked_scores(predict, plan)
    assert found.dtype == np.float64
    np.testing.assert_allclose(found, slow_scores(model, plan), atol=1e-6)
    assert np.ptp(found) > 0.1  # the network reacts: equal constants would prove nothing


@pytest.mark.parametrize("chunk", [1, 3, 5, 12, 50])
def test_the_chunk_changes_nothing(model, chunk):
    plan = plan_of(seed=1)
    whole = masked_scores(model, plan)
    for predict in (model, model.black_box):
        np.testing.assert_allclose(masked_scores(predict, plan, chunk=chunk), whole, atol=1e-6)


def test_no_black_box_call_exceeds_the_chunk(model):
    model.batches.clear()
    masked_scores(model.black_box, plan_of(), chunk=5)
    assert model.batches == [5, 5, 2]


def test_one_trace_serves_every_number_of_rankings_points_and_chunks():
    model = Traceable()
    for rankings, counts, chunk in [(1, (0, 30), 2), (3, (0, 1, 2, 3), None), (2, (5,), 7)]:
        masked_scores(model, plan_of(rankings=rankings, counts=counts), chunk=chunk)
    assert model.traces == 1
    assert len(model.memo) == 1


def test_the_compiled_way_sees_new_weights():
    model, plan = Traceable(), plan_of()
    before = masked_scores(model, plan)
    model.weights.assign(-model.weights)
    after = masked_scores(model, plan)
    assert np.abs(after - before).max() > 0.1
    np.testing.assert_allclose(after, slow_scores(model, plan), atol=1e-6)


def test_the_plan_is_not_changed(model):
    plan = plan_of()
    copies = {f.name: getattr(plan, f.name).copy() for f in dataclasses.fields(plan)}
    for predict in (model, model.black_box):
        masked_scores(predict, plan)
    for name, value in copies.items():
        np.testing.assert_array_equal(getattr(plan, name), value)


def test_an_image_that_several_points_show_is_computed_once(model):
    plan = plan_of(rankings=4, images=1)
    targets = np.array([1, 1, 1, 2], np.int32)
    plan = dataclasses.replace(plan, ranks=plan.ranks[[0, 1, 0, 0]], targets=targets)
    model.batches.clear()
    found = masked_scores(model.black_box, plan)
    # counts 4 and 17 of two rankings, and both ends; the third is the first; another target
    assert sum(model.batches) == 2 * 2 + 2 + 0 + (2 + 2)
    np.testing.assert_allclose(found, slow_scores(model, plan), rtol=1e-6)


def test_no_rankings_ask_for_no_model():
    plan = dataclasses.replace(plan_of(), ranks=np.zeros((0, *SIZE), np.int32))
    assert masked_scores(lambda images: 1 / 0, plan).shape == (0, 4)


@pytest.mark.parametrize("target", [-1, CLASSES])
@pytest.mark.parametrize("way", ["compiled", "black box"])
def test_a_target_that_does_not_exist_is_named(model, target, way):
    plan = dataclasses.replace(plan_of(), targets=np.array([0, target, 1], np.int32))
    predict = model if way == "compiled" else model.black_box
    with pytest.raises(InputError, match=f"target {target} does not exist: the model has 4 class"):
        masked_scores(predict, plan)


def test_scores_of_another_shape_are_refused():
    with pytest.raises(InputError, match=r"scores of shape \(12,\) for 12 images"):
        masked_scores(lambda images: images.mean(axis=(1, 2, 3)), plan_of())


@given(total=st.integers(1, 3000), largest=st.integers(2, 64))
@settings(max_examples=100, deadline=None)
def test_the_best_chunk_wastes_no_more_than_any_other(total, largest):
    size = best_chunk(total, largest)
    assert 1 <= size <= min(largest, total)
    if total > largest:
        choices = range(largest // 2, largest + 1)
        assert -total % size == min(-total % choice for choice in choices)


def test_the_best_chunk_divides_the_published_numbers_of_points():
    assert (best_chunk(225), best_chunk(29), best_chunk(12 * 29)) == (25, 29, 29)


def test_constant_fill_is_one_colour():
    images = np.zeros((2, 3, 4, 3), np.float32)
    fill = constant_fill(images, (1, 2, 3))
    assert fill.shape == images.shape
    assert fill.dtype == np.float32
    assert (fill == [1, 2, 3]).all()


def test_a_colour_for_other_channels_is_refused():
    with pytest.raises(InputError, match="images have 2 channels, but the fill colour"):
        constant_fill(np.zeros((1, 2, 2, 2), np.float32), IMAGENET_MEAN)


def slow_rise_blur(image):
    """Normalise, pad with zeros, add up 11 x 11 shifted copies, undo the normalisation."""
    mean, deviation = np.array([0.485, 0.456, 0.406]), np.array([0.229, 0.224, 0.225])
    impulse = np.zeros((11, 11))
    impulse[5, 5] = 1
    kernel = gaussian_filter(impulse, 5)
    normalised = (image / 255 - mean) / deviation
    padded = np.pad(normalised, ((5, 5), (5, 5), (0, 0)))
    height, width = image.shape[:2]
    total = np.zeros(image.shape)
    for row, column in np.ndindex(11, 11):
        shifted = padded[row : row + height, column : column + width]
        total += kernel[row, column] * shifted
    return (total * deviation + mean) * 255


def test_rise_blur_equals_the_slow_twin():
    image = np.random.default_rng(0).uniform(0, 255, (20, 14, 3)).astype(np.float32)
    found = rise_blur(image[None], kernel=11, sigma=5.0, border=IMAGENET_MEAN)
    assert found.dtype == np.float32
    np.testing.assert_allclose(found[0], slow_rise_blur(image), atol=1e-3)


def test_the_blur_sees_the_mean_colour_beyond_the_border_not_black():
    mean = constant_fill(np.zeros((1, 13, 13, 3), np.float32), IMAGENET_MEAN)
    blurred = rise_blur(mean, kernel=11, sigma=5.0, border=IMAGENET_MEAN)
    np.testing.assert_allclose(blurred, mean, atol=1e-4)
    white = np.full((1, 13, 13, 3), 255, np.float32)
    corner = rise_blur(white, kernel=11, sigma=5.0, border=IMAGENET_MEAN)[0, 0, 0]
    assert (corner > IMAGENET_MEAN).all()
    assert (corner < 255).all()
