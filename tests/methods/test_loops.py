"""The loops over perturbations: every item once, in chunks that are no larger than asked."""

import functools

import numpy as np
import pytest
import tensorflow as tf

from gradcam_eval.core import InputError
from gradcam_eval.methods.channels import how_many, top_channels
from gradcam_eval.methods.fills import fill_colour
from gradcam_eval.methods.loops import blend, check_count, collect, fold, per_image


@functools.cache
def counting(chunk):
    """How often each item is visited, and how many items each step takes, of any total."""

    def run(total):
        def step(items, times, lengths, number):
            times = tf.tensor_scatter_nd_add(times, items[:, None], tf.ones_like(items))
            lengths = tf.tensor_scatter_nd_add(lengths, [[number]], [tf.size(items)])
            return times, lengths, number + 1

        state = (tf.zeros((total,), tf.int32), tf.zeros((99,), tf.int32), 0)
        times, lengths, number = fold(step, state, total=total, chunk=chunk)
        return times, lengths[:number]

    return tf.function(run, input_signature=[tf.TensorSpec((), tf.int32)], autograph=False)


def steps_of(total, chunk):
    return [each.numpy().tolist() for each in counting(chunk)(total)]


@pytest.mark.parametrize(
    ("total", "chunk", "lengths"),
    [
        (12, 4, [4, 4, 4]),
        (9, 4, [3, 3, 3]),
        (10, 4, [4, 4, 2]),
        (3, 32, [3]),
        (1, 1, [1]),
        (4, 1, [1, 1, 1, 1]),
    ],
)
def test_each_item_once_in_even_chunks(total, chunk, lengths):
    assert steps_of(total, chunk) == [[1] * total, lengths]


def test_no_chunk_is_empty_or_too_large():
    for total in range(1, 14):
        for chunk in range(1, 7):
            times, lengths = steps_of(total, chunk)
            assert times == [1] * total
            assert min(lengths) >= 1
            assert max(lengths) <= chunk
            assert len(lengths) == -(-total // chunk)


def test_collect_puts_each_score_in_its_place():
    def score(image, place):
        return tf.cast(10 * image + place, tf.float64)

    found = tf.function(lambda: collect(score, tf.constant(2), 3, 4))()
    assert found.dtype == tf.float32
    np.testing.assert_array_equal(found, [[0, 1, 2], [10, 11, 12]])


def test_values_are_summed_by_their_image():
    values = tf.constant([[1.0, 2], [3, 4], [5, 6]])
    summed = per_image(values, tf.constant([2, 0, 2]), tf.zeros((3, 2)))
    np.testing.assert_array_equal(summed, [[3, 4], [0, 0], [6, 8]])


def test_a_mask_blends_between_colour_and_image():
    image = tf.fill((1, 1, 3, 1), 100.0)
    seen = blend(image, tf.constant([[[0.0, 0.25, 1.0]]]), tf.fill((1, 1, 1, 1), 20.0))
    np.testing.assert_array_equal(np.ravel(seen), [20, 40, 100])


def test_the_colour_that_fills():
    images = tf.constant([[[[0.0, 10], [20, 30]]], [[[1.0, 1], [1, 3]]]])
    np.testing.assert_array_equal(
        np.reshape(fill_colour(images, "mean"), (2, 2)), [[10, 20], [1, 2]]
    )
    np.testing.assert_array_equal(fill_colour(images, "black"), np.zeros((2, 1, 1, 2)))
    with pytest.raises(InputError, match=r"unknown fill 'grey'.*mean, black"):
        fill_colour(images, "grey")


def test_the_strongest_channels_of_each_image():
    strength = tf.constant([[1.0, 5, 3], [9, 2, 9]])
    np.testing.assert_array_equal(top_channels(strength, 2), [[1, 2], [0, 2]])
    np.testing.assert_array_equal(top_channels(strength, 3), [[0, 1, 2]] * 2)


def test_how_many_channels_are_asked_about():
    assert how_many("score_cam", None, 7) == 7
    assert how_many("score_cam", 3, 7) == 3
    assert how_many("score_cam", 9, 7) == 7
    with pytest.raises(InputError, match="score_cam: channels is 0: wanted 1 or more"):
        how_many("score_cam", 0, 7)
    check_count("rise", "masks", 1)


def test_scores_are_collected_in_as_few_chunks_as_hold_them():
    sizes = []

    def score(image, place):
        sizes.append(len(image))
        return tf.cast(10 * image + place, tf.float32)

    found = collect(score, 3, 5, chunk=8)
    np.testing.assert_array_equal(found, 10 * np.arange(3)[:, None] + np.arange(5))
    assert sizes == [8, 7]
