"""The rewritten graph computes the same, with the scale in the kernels; nothing read is lost."""

from collections import Counter

import numpy as np
import pytest
import tensorflow as tf

from gradcam_eval.models.fold import folded
from gradcam_eval.models.frozen_graph import FrozenGraph, Signature

SPEC = tf.TensorSpec((None, 5, 5, 3), tf.float32)
SCALE, BIAS = np.array([2.0, -3.0, 0.5], np.float32), np.array([0.1, 0.2, -0.3], np.float32)


@pytest.fixture
def images(rng):
    return rng.normal(size=(2, 5, 5, 3)).astype(np.float32)


def convolve(images):
    kernel = np.linspace(-1, 1, 27).reshape(3, 3, 3, 1) * np.ones(3)
    return tf.nn.conv2d(images, tf.constant(kernel, tf.float32), 1, "VALID")


def depthwise(images, multiplier=1):
    kernel = np.linspace(-1, 1, 27 * multiplier).reshape(3, 3, 3, multiplier)
    return tf.nn.depthwise_conv2d(images, tf.constant(kernel, tf.float32), [1] * 4, "VALID")


# A value here is a sum of sums of at most 36 products (a kernel of 3×3×4, and its gradient), none
# of which is much larger than the largest value: float32 rounds each of them once.
ROUNDING = 2 * 36 * np.finfo(np.float32).eps


def run(function, images):
    traced = tf.function(function, input_signature=[SPEC], autograph=False).get_concrete_function()
    definition, count = folded(traced.graph)
    kinds = Counter(node.op for node in definition.node)
    wanted = tf.nest.flatten(traced(images))
    names = [[each.name for each in some] for some in (traced.inputs, traced.outputs)]
    signature = Signature((SPEC,), tuple(traced.captured_inputs), [0] * len(wanted))
    found = FrozenGraph(definition, *names, signature, traced.graph).compiled()(images)
    for one, other in zip(found, wanted, strict=True):
        np.testing.assert_allclose(one, other, rtol=0, atol=ROUNDING * np.abs(other).max())
    return count, kinds


def test_a_bias_before_a_scale(images):
    count, _ = run(lambda x: tf.nn.bias_add(convolve(x), BIAS) * SCALE + 1.0, images)
    assert count == 1


@pytest.mark.parametrize("multiplier", [1, 2])
@pytest.mark.parametrize("shape", [(-1,), (1, 1, 1, -1)], ids=str)
def test_a_scale_after_a_depthwise_convolution(images, multiplier, shape):
    scale = np.repeat(SCALE, multiplier) * np.arange(1, 3 * multiplier + 1)
    scale = scale.reshape(shape).astype(np.float32)
    count, _ = run(lambda x: scale * depthwise(x, multiplier) + 1.0, images)
    assert count == 1


def test_the_scale_may_be_computed_from_constants(images):
    def normalise(x):
        scale = tf.math.rsqrt(tf.constant(np.square(SCALE)) + 1e-3) * tf.constant(BIAS)
        return depthwise(x) * scale

    assert run(normalise, images)[0] == 1


@pytest.mark.parametrize(
    "function",
    [
        lambda x: (depthwise(x) * SCALE, depthwise(x) + 1.0)[0] + depthwise(x) * x[:, :3, :3],
        lambda x: depthwise(x) * tf.reduce_mean(x, axis=(1, 2), keepdims=True),
        lambda x: depthwise(x) * 2.0,
        lambda x: depthwise(x) * np.arange(27, dtype=np.float32).reshape(3, 3, 3),
    ],
    ids=["", "a scale of the image", "a scalar", "a scale of positions"],
)
def test_other_products_stay(images, function):
    run(function, images)


def both(x):
    inner = depthwise(x)
    return inner * SCALE, tf.nn.relu(inner)


def output_too(x):
    inner = tf.nn.bias_add(convolve(x), BIAS)
    return inner * SCALE, inner


@pytest.mark.parametrize("function", [both, output_too])
def test_a_value_that_something_else_reads_stays(images, function):
    count, _ = run(function, images)
    assert count == 0


def test_the_gradient_is_the_same(images):
    def gradient(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = tf.nn.relu(tf.nn.bias_add(depthwise(x) * SCALE, BIAS))
            y = tf.nn.bias_add(convolve(y), BIAS) * SCALE
            score = tf.reduce_sum(y * y)
        return tape.gradient(score, x)

    count, kinds = run(gradient, images)
    assert count == 2
    assert kinds["Shape"] > 0  # which is what the backward pass asks of values that are gone


def gradient_of(layer):
    def gradient(x):
        with tf.GradientTape() as tape:
            tape.watch(x)
            y = layer(x)
            score = tf.reduce_sum(y * y * y)
        return tape.gradient(score, x)

    return gradient


def kernel(*shape):
    return np.random.default_rng(0).normal(size=shape).astype(np.float32)


BACKWARD = {"Conv2DBackpropInput", "DepthwiseConv2dNativeBackpropInput"}


@pytest.mark.parametrize("size", [(1, 1), (3, 3), (5, 3), (1, 3)], ids=str)
@pytest.mark.parametrize("is_depthwise", [False, True])
def test_a_gradient_becomes_a_convolution_with_the_kernel_turned(images, size, is_depthwise):
    if is_depthwise:
        layer = gradient_of(
            lambda x: tf.nn.depthwise_conv2d(x, kernel(*size, 3, 1), [1] * 4, "SAME")
        )
    else:
        layer = gradient_of(lambda x: tf.nn.conv2d(x, kernel(*size, 3, 4), 1, "SAME"))
    count, kinds = run(layer, images)
    assert count == 1
    assert not BACKWARD & set(kinds)


def test_without_padding_it_does_where_the_kernel_is_one_pixel(images):
    assert (
        run(gradient_of(lambda x: tf.nn.conv2d(x, kernel(1, 1, 3, 4), 1, "VALID")), images)[0] == 1
    )


@pytest.mark.parametrize("padding", ["SAME", "VALID"])
@pytest.mark.parametrize("steps", [2, 3, 5])
def test_the_gradient_of_one_pixel_in_some_is_spread(images, padding, steps):
    layer = gradient_of(lambda x: tf.nn.conv2d(x, kernel(1, 1, 3, 4), steps, padding))
    count, kinds = run(layer, images)
    assert count == 1
    assert BACKWARD & set(kinds) == {"DepthwiseConv2dNativeBackpropInput"}


@pytest.mark.parametrize(
    "layer",
    [
        lambda x: tf.nn.conv2d(x, kernel(3, 3, 3, 4), 2, "SAME"),
        lambda x: tf.nn.conv2d(x, kernel(3, 3, 3, 4), 1, "VALID"),
        lambda x: tf.nn.conv2d(x, kernel(2, 2, 3, 4), 1, "SAME"),
        lambda x: tf.nn.conv2d(x, kernel(3, 3, 3, 4) * tf.reduce_mean(x), 1, "SAME"),
        lambda x: tf.nn.depthwise_conv2d(x, kernel(3, 3, 3, 2), [1] * 4, "SAME"),
        lambda x: tf.nn.depthwise_conv2d(x, kernel(3, 3, 3, 1), [1, 2, 2, 1], "SAME"),
        lambda x: tf.nn.depthwise_conv2d(x, kernel(1, 1, 3, 1), [1, 2, 2, 1], "SAME"),
    ],
    ids=[
        "steps",
        "no padding",
        "even",
        "a kernel of the image",
        "two of each",
        "steps, depthwise",
        "1×1",
    ],
)
def test_other_gradients_stay(images, layer):
    count, kinds = run(gradient_of(layer), images)
    assert count == 0
    assert BACKWARD & set(kinds)
