"""Guided backpropagation against loops over the layers, and what it refuses."""

import keras
import numpy as np
import pytest
import tensorflow as tf
from handmade import CHANNELS, Split, compiled, enlarged, photos, run, small_split
from keras import layers

from gradcam_eval.core import InputError
from gradcam_eval.methods.cam import grad_cam
from gradcam_eval.methods.gradient import gradient
from gradcam_eval.methods.guided import guided_backprop, guided_grad_cam, guided_passes
from gradcam_eval.methods.registry import Passes, Sizes

TARGETS = [2, 0, 1]


@pytest.fixture(scope="module")
def split():
    return small_split()


def guided(split, image, target):
    """R of `small_split`, layer by layer: dense, ReLU, dense, ReLU, convolution, rescaling."""
    kernel, bias = (w.astype(np.float64) for w in split.trunk.layers[1].get_weights())
    hidden, hidden_bias = split.head.layers[1].get_weights()
    last, _ = split.head.layers[2].get_weights()
    x = image.astype(np.float64) / 255 - 0.4
    rows, columns = (image.shape[0] - 3) // 2 + 1, (image.shape[1] - 3) // 2 + 1
    before = np.zeros((rows, columns, CHANNELS))
    for i in range(rows):
        for j in range(columns):
            patch = x[2 * i : 2 * i + 3, 2 * j : 2 * j + 3]
            before[i, j] = np.tensordot(patch, kernel, 3) + bias
    inner = np.maximum(before, 0).ravel() @ hidden + hidden_bias
    down = last[:, target].astype(np.float64)
    down = np.where((inner > 0) & (down > 0), down, 0)
    down = (hidden @ down).reshape(before.shape)
    down = np.where((before > 0) & (down > 0), down, 0)
    result = np.zeros(x.shape)
    for i in range(rows):
        for j in range(columns):
            result[2 * i : 2 * i + 3, 2 * j : 2 * j + 3] += np.tensordot(kernel, down[i, j], (3, 0))
    return result / 255


def test_is_the_rule_of_the_paper(split):
    images = photos(3)
    found = run(guided_backprop, split, images, TARGETS)
    for heatmap, image, target in zip(found, images, TARGETS, strict=True):
        slow = np.abs(guided(split, image, target)).max(-1)
        np.testing.assert_allclose(heatmap, slow, rtol=1e-4, atol=1e-9)
    assert not np.allclose(found, run(gradient, split, images, TARGETS))


def test_guided_grad_cam_is_the_product(split):
    images = photos(3)
    found = run(guided_grad_cam, split, images, TARGETS)
    for heatmap, image, target in zip(found, images, TARGETS, strict=True):
        given = split.activation(image), split.layer_gradient(image, target)
        coarse = grad_cam(*(tf.constant(each[None], tf.float32) for each in given))[0]
        fine = np.abs(guided(split, image, target)).max(-1)
        np.testing.assert_allclose(
            heatmap, enlarged(coarse, image.shape[:2]) * fine, rtol=1e-3, atol=1e-10
        )


def one_pixel(activation):
    """Score = Σ v · activation(w · x) of a single pixel, w = (1, −1, 4, 2), v = (3, 5, 7, −9)."""
    image = keras.Input((1, 1, 1))
    x = layers.Conv2D(4, 1, use_bias=False)(image)
    x = layers.Flatten()(activation(x))
    model = keras.Model(image, layers.Dense(1, use_bias=False)(x))
    first, last = (layer for layer in model.layers if layer.weights)
    first.set_weights([np.reshape([1.0, -1, 4, 2], (1, 1, 1, 4))])
    last.set_weights([np.reshape([3.0, 5, 7, -9], (4, 1))])
    return as_split(model)


def as_split(model):
    shape = model.output_shape[1:]
    return Split(model, keras.Sequential([keras.Input(shape), layers.Activation("linear")]))


@pytest.mark.parametrize(
    ("activation", "relevance"),
    [
        # At x = 2 the units are 2, −2, 8 and 4: the second is off, the fourth speaks against.
        (layers.ReLU(), 3 * 1 + 7 * 4),
        (layers.ReLU(6), 3 * 1),  # and the third is beyond 6
        (layers.Activation("relu6"), 3 * 1),
        (keras.activations.relu, 3 * 1 + 7 * 4),
    ],
)
def test_one_pixel_by_hand(activation, relevance):
    image = np.full((1, 1, 1, 1), 2, np.float32)
    assert run(guided_backprop, one_pixel(activation), image, [0]).item() == relevance


def test_a_model_without_any_relu_has_its_gradient():
    image = np.full((1, 1, 1, 1), 2, np.float32)
    split = one_pixel(layers.Activation("linear"))
    assert run(guided_backprop, split, image, [0]).item() == abs(3 - 5 + 28 - 18)


@pytest.mark.parametrize(
    ("activation", "named"),
    [
        ("silu", "Sigmoid"),
        ("gelu", "Erfc?"),
        ("tanh", "Tanh"),
        ("elu", "Elu"),
        ("sigmoid", "Sigmoid"),
        ("softplus", "Softplus"),
        ("hard_silu", "Mul"),  # relu6(x + 3) / 6 · x: its ReLU6 alone would pass
        (layers.LeakyReLU(), "LeakyRelu"),
        (layers.ReLU(max_value=3.0), "Minimum"),
        (layers.ReLU(threshold=1.0), "Greater"),
        (layers.LayerNormalization(), "SquaredDifference"),
        (layers.Softmax(), "Softmax"),
    ],
)
@pytest.mark.parametrize("method", [guided_backprop, guided_grad_cam])
def test_another_non_linearity_is_refused_by_name(method, activation, named):
    layer = layers.Activation(activation) if isinstance(activation, str) else activation
    split = small_split(inside=[layers.Conv2D(2, 1), layer])
    with pytest.raises(InputError, match=rf"{method.__name__} is defined for ReLU.*{named} in '"):
        run(method, split, photos(1), [0])


@pytest.mark.parametrize(
    ("made", "named"),
    [
        (lambda x: 1 / (x + 1), "RealDiv"),  # linear in what is divided alone
        (
            lambda x: tf.nn.conv2d(tf.ones((1, 12, 10, 2)), x[0, :3, :3, :, None], 1, "VALID"),
            "Conv",
        ),
        (lambda x: tf.einsum("nhwc,nhwc->nhwc", x, x), "Einsum"),
        (lambda x: tf.matmul(x, x, transpose_b=True), "MatMul"),
    ],
)
def test_what_is_linear_in_one_of_two_values_is_refused_for_the_other(made, named):
    split = small_split(inside=[layers.Conv2D(2, 1, padding="same"), Of(made)])
    with pytest.raises(InputError, match=rf"{named}\w* in '"):
        run(guided_backprop, split, photos(1), [0])


class Of(layers.Layer):
    """A layer of a function of TensorFlow that keeps height and width, or nearly."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def call(self, x):
        return self.function(x)


def gated():
    """Squeeze and excitation with a gate of ReLU6 alone, so that only its product is wrong."""
    image = keras.Input((12, 10, 3))
    x = layers.Conv2D(4, 3, activation="relu")(image)
    gate = layers.Dense(4, activation="relu6")(layers.GlobalAveragePooling2D(keepdims=True)(x))
    x = layers.Multiply(name="excite")([x, gate])
    return as_split(keras.Model(image, layers.Dense(2)(layers.GlobalAveragePooling2D()(x))))


def test_a_gate_is_refused():
    with pytest.raises(InputError, match=r"Mul in '.*excite"):
        run(guided_backprop, gated(), photos(1), [0])


def test_the_softmax_behind_the_logit_is_named():
    split = small_split()
    split.head.add(layers.Softmax())
    with pytest.raises(InputError, match=r"Softmax in .* score='logit'"):
        run(guided_backprop, split, photos(1), [0])


def residual():
    """Everything that a ReLU network may have."""
    image = keras.Input((12, 10, 3))
    normalisation = layers.Normalization(mean=[1.0, 2, 3], variance=[4.0, 5, 6])
    x = layers.ZeroPadding2D()(normalisation(layers.Rescaling(0.5, -1)(image)))
    x = layers.ReLU(6)(layers.BatchNormalization()(layers.SeparableConv2D(4, 3)(x)))
    x = layers.MaxPooling2D(padding="same")(x)
    y = layers.Dropout(0.5)(layers.DepthwiseConv2D(3, padding="same")(x))
    x = layers.Add()([x, layers.Activation("relu")(y)])
    x = layers.Concatenate()([layers.AveragePooling2D(2)(x), layers.MaxPooling2D(2)(x)])
    x = layers.UpSampling2D()(layers.Conv2DTranspose(4, 2, strides=2, activation="relu")(x))
    x = layers.Add()([layers.GlobalMaxPooling2D()(x), layers.GlobalAveragePooling2D()(x)])
    return as_split(keras.Model(image, layers.Dense(2)(layers.Reshape((4,))(x))))


def test_a_relu_network_of_many_layers_is_not_refused():
    found = run(guided_backprop, residual(), photos(2), [0, 1])
    assert found.max() > 0


@pytest.mark.parametrize("method", [guided_backprop, guided_grad_cam])
def test_it_takes_one_forward_and_one_backward_pass(split, method):
    def operations(function):
        return [each.type for each in compiled(function, split, (12, 10, 3)).graph.get_operations()]

    shared = operations(lambda probe: tf.reduce_sum(probe.activations * probe.gradients, -1))
    types = operations(method)
    assert types.count("Conv2D") == shared.count("Conv2D") + 1
    assert types.count("Conv2DBackpropInput") == shared.count("Conv2DBackpropInput") + 1
    assert guided_passes(Sizes((12, 10), CHANNELS), {}) == Passes(1, 1)


def test_the_model_stays_as_it_was(split):
    image = photos(1)
    before = split.input_gradient(image[0], 0)
    run(guided_backprop, split, image, [0])
    np.testing.assert_array_equal(split.input_gradient(image[0], 0), before)
    np.testing.assert_allclose(
        run(gradient, split, image, [0])[0], np.abs(before).max(-1), rtol=1e-4, atol=1e-9
    )
