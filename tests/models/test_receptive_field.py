"""Receptive fields: by hand for small stacks, and against the gradient for every kind of model."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from gradcam_eval.core import Undefined
from gradcam_eval.models.inputs import model_inputs
from gradcam_eval.models.layers import find_layers
from gradcam_eval.models.receptive_field import ReceptiveField

L = keras.layers


def field_of(*layers, size=(12, 12), channels=2):
    """The field of the last of these layers, and a model that ends in it."""
    inputs = keras.Input((*size, channels))
    x = inputs
    for layer in layers:
        x = layer(x)
    return keras.Model(inputs, x), last_field(keras.Model(inputs, x))


def last_field(model, images=None):
    found = find_layers(model, inputs=model_inputs(model, given=images))
    return list(found.fields.values())[-1]


def conv(kernel=3, filters=2, **options):
    return L.Conv2D(filters, kernel, **options)


def test_a_stack_by_hand():
    _, field = field_of(conv(3, strides=2), conv(3), L.MaxPooling2D(2), size=(20, 20))
    # r: 3, then 3 + 2·2 = 7, then 7 + 1·2 = 9; j: 2, 2, 4; middle of the first: 4
    assert (field.rows.size, field.rows.stride) == (9, 4)
    assert field.rows.centres.tolist() == [4, 8, 12]
    assert field.rows.pixels.tolist() == [[0, 9], [4, 13], [8, 17]]
    assert not field.rows.is_global
    assert field.blind == 0


def test_same_padding_moves_the_first_position_by_the_input_size():
    _, even = field_of(conv(3, strides=2, padding="same"), size=(8, 7))
    assert even.rows.pixels.tolist() == [[0, 3], [2, 5], [4, 7], [6, 8]]  # padded below alone
    assert even.columns.pixels.tolist() == [[0, 2], [1, 4], [3, 6], [5, 7]]  # on both sides
    assert even.rows.centres.tolist() == [1, 3, 5, 7]
    assert even.columns.centres.tolist() == [0, 2, 4, 6]


def test_paths_are_joined_by_their_union():
    inputs = keras.Input((9, 9, 2))
    small, large = conv(1)(inputs), conv(5, padding="same")(inputs)
    field = last_field(keras.Model(inputs, L.Concatenate()([small, large])))
    assert (field.rows.size, field.rows.stride) == (5, 1)
    assert field.rows.pixels[:3].tolist() == [[0, 3], [0, 4], [0, 5]]


def test_a_border_of_bias_sees_nothing():
    _, field = field_of(conv(3), L.ZeroPadding2D(1), conv(1), size=(8, 8))
    assert field.blind == 8 * 8 - 6 * 6
    assert field.rows.pixels[[0, 1, -1]].tolist() == [[0, 0], [0, 3], [0, 0]]
    assert field.rows.has_place.tolist() == [False] + [True] * 6 + [False]


def test_a_gate_lets_all_see_all_but_keeps_their_places():
    inputs = keras.Input((9, 9, 2))
    x = conv(3)(inputs)
    gate = conv(1)(L.GlobalAveragePooling2D(keepdims=True)(x))
    field = last_field(keras.Model(inputs, x * gate))
    assert field.rows.is_global
    assert (field.rows.pixels == [0, 9]).all()
    assert (field.rows.size, field.rows.centres[0]) == (3, 1)


def test_upsampling_lies_between():
    _, nearest = field_of(conv(2, strides=2), L.UpSampling2D(2), size=(8, 8))
    assert nearest.rows.centres.tolist() == list(range(8))
    assert nearest.rows.pixels[:3].tolist() == [[0, 2], [0, 2], [2, 4]]
    _, bilinear = field_of(L.UpSampling2D(2, interpolation="bilinear"), size=(4, 4))
    assert bilinear.rows.centres.tolist() == [-0.25, 0.25, 0.75, 1.25, 1.75, 2.25, 2.75, 3.25]
    assert bilinear.rows.pixels[:3].tolist() == [[0, 1], [0, 2], [0, 2]]


def test_a_transposed_convolution_lies_where_its_kernel_is_laid_down():
    _, field = field_of(L.Conv2DTranspose(2, 3, strides=2, padding="same"), size=(4, 4))
    # o = 2 i + t for t in 0, 1, 2: output 1 is the middle of what input 0 lays down
    assert field.rows.centres.tolist() == [-0.5, 0, 0.5, 1, 1.5, 2, 2.5, 3]
    assert field.rows.pixels[:4].tolist() == [[0, 1], [0, 1], [0, 2], [1, 2]]
    assert (field.rows.size, field.rows.stride) == (2, 0.5)


class Cumulated(L.Layer):
    def call(self, x):
        return tf.math.cumsum(x, axis=1)


def test_an_operation_without_a_rule_is_said_and_not_guessed():
    _, field = field_of(conv(3), Cumulated(), conv(3))
    assert isinstance(field, Undefined)
    assert "Cumsum" in field.reason
    assert "is not known" in field.reason


class Wandering(L.Layer):
    """Crops where the image says."""

    def call(self, x):
        begin = tf.cast(tf.reduce_max(x), tf.int32) * 0
        return tf.slice(x, tf.stack([0, begin, 0, 0]), [2, 2, 2, 2])


def test_arguments_from_the_image_are_not_guessed():
    _, field = field_of(Wandering())
    assert isinstance(field, Undefined)
    assert "argument 1 is not a constant" in field.reason


def residual(x):
    y = conv(3, strides=2, padding="same")(x)
    return conv(3, padding="same")(y) + conv(1, strides=2)(x)


def inception(x):
    one = L.AveragePooling2D(3, strides=1, padding="same")(x)
    return L.Concatenate()([conv(3, padding="same")(one), conv(1)(x)])


def gated(x):
    x = conv(3)(x)
    return x * keras.ops.sigmoid(keras.ops.mean(x, axis=(1, 2), keepdims=True))


def folded(x):
    """Rows of tokens, a product over channels, and a map again."""
    x = L.Reshape((36, 2))(conv(2, strides=2)(x))
    return conv(3)(L.Reshape((6, 6, 3))(L.Dense(3)(x)))


def attended(x):
    tokens = L.Reshape((16, 2))(conv(3, strides=3)(x))
    tokens = tokens + L.MultiHeadAttention(1, 2)(tokens, tokens)
    return L.Reshape((4, 4, 2))(tokens)


def shuffled(x):
    x = keras.ops.transpose(conv(3)(x), (0, 3, 1, 2))
    x = keras.ops.flip(x, axis=2)[:, :, 1:-1:2]
    return keras.ops.transpose(x, (0, 2, 3, 1))


class Shared(keras.Model):
    def __init__(self):
        super().__init__()
        self.twice = conv(3, filters=2)
        self.inner = keras.Sequential([conv(2, strides=2), L.BatchNormalization()])

    def call(self, x):
        return self.inner(self.twice(self.twice(x)))


def functional(body):
    inputs = keras.Input((12, 12, 2))
    return keras.Model(inputs, body(inputs))


def stack(*layers):
    return lambda: field_of(*layers)[0]


def patches(x):
    return conv(1)(keras.ops.image.extract_patches(x, 3))


MODELS = {
    "pools of two sizes": stack(conv(3), L.AdaptiveAveragePooling2D((4, 3))),
    "valid": stack(conv(3, strides=2), conv(3), L.DepthwiseConv2D(2)),
    "same": stack(conv(5, strides=2, padding="same"), conv(3, strides=2, padding="same")),
    "dilated": stack(conv(3, dilation_rate=2, padding="same"), conv(3, dilation_rate=3)),
    "depthwise dilated": stack(L.DepthwiseConv2D(3, dilation_rate=2, padding="same"), conv(2)),
    "separable": stack(L.SeparableConv2D(2, 3, strides=2, padding="same")),
    "grouped": stack(conv(3, groups=2), conv(3, strides=2, padding="same")),
    "pools": stack(L.MaxPooling2D(3, strides=2, padding="same"), L.AveragePooling2D(2)),
    "padded": stack(L.ZeroPadding2D(((3, 0), (1, 2))), conv(2), L.Cropping2D(((1, 2), (0, 3)))),
    "blind": stack(conv(3), L.ZeroPadding2D(2), conv(2)),
    "transposed": stack(conv(3, strides=2), L.Conv2DTranspose(2, 3, strides=2, padding="same")),
    "transposed valid": stack(conv(4, strides=4), L.Conv2DTranspose(2, 2, strides=3)),
    "upsampled": stack(conv(3, strides=3), L.UpSampling2D(2), conv(3)),
    "bilinear": stack(conv(3, strides=3), L.UpSampling2D(2, interpolation="bilinear")),
    "group norm": stack(conv(3), L.GroupNormalization(1)),
    "layer norm": stack(conv(3), L.LayerNormalization(), L.Dense(2, activation="gelu")),
    "residual": lambda: functional(residual),
    "inception": lambda: functional(inception),
    "gated": lambda: functional(gated),
    "folded": lambda: functional(folded),
    "attended": lambda: functional(attended),
    "shuffled": lambda: functional(shuffled),
    "patches": lambda: functional(patches),
    "subclassed": Shared,
}


def slow_field(model, images):
    """Rows and columns of pixels on which each row and column of the output depends at all.

    In a graph: eagerly, on one thread, oneDNN's gradient of a 1×1 convolution with strides writes
    beyond its memory where it has fewer than eight channels (TensorFlow 2.21).
    """

    @tf.function(autograph=False)
    def dependence(rows, columns):
        with tf.GradientTape() as tape:
            tape.watch(images)
            out = tf.sin(model(images, training=False) * 3)
            score = tf.einsum("nijc,i,j->", out, rows, columns)
        return tape.gradient(score, images, unconnected_gradients="zero")

    def seen(weights, axes):
        return [np.abs(dependence(*each)).sum(axis=axes) > 0 for each in weights]

    height, width = model(images).shape[1:3]
    ones = tf.ones(height), tf.ones(width)
    rows = seen([(row, ones[1]) for row in tf.eye(height)], (0, 2, 3))
    return rows, seen([(ones[0], column) for column in tf.eye(width)], (0, 1, 3))


@pytest.mark.parametrize("name", MODELS)
def test_the_interval_is_where_the_gradient_is(name):
    """Zero outside it, and not zero at its ends: neither too small nor too large."""
    keras.utils.set_random_seed(1)
    model = MODELS[name]()
    images = tf.constant(np.random.default_rng(2).normal(size=(16, 12, 12, 2)), tf.float32)
    model(images)
    field = last_field(model, images)
    assert isinstance(field, ReceptiveField), field
    for axis, seen in zip((field.rows, field.columns), slow_field(model, images), strict=True):
        assert len(axis.pixels) == len(seen)
        for (first, end), depends in zip(axis.pixels, seen, strict=True):
            where = np.flatnonzero(depends)
            measured = (where[0], where[-1] + 1) if where.size else (0, 0)
            assert (first, end) == measured


def test_channels_first_is_the_same():
    def body(x, **options):
        x = L.Conv2D(2, 3, strides=2, padding="same", **options)(x)
        x = L.DepthwiseConv2D(3, **options)(L.ZeroPadding2D(1, **options)(x))
        return L.AveragePooling2D(2, **options)(x)

    fields = []
    for layout, shape in (("channels_last", (12, 14, 2)), ("channels_first", (2, 12, 14))):
        inputs = keras.Input(shape)
        fields.append(last_field(keras.Model(inputs, body(inputs, data_format=layout))))
    for side in ("rows", "columns"):
        one, other = (getattr(field, side) for field in fields)
        assert one.pixels.tolist() == other.pixels.tolist()
        assert (one.size, one.stride) == (other.size, other.stride)
        assert one.centres.tolist() == other.centres.tolist()


def test_an_argument_that_is_arithmetic_of_constants_is_worked_out():
    """A softmax over rows turns the map by an order that TensorFlow computes in the graph."""
    inputs = keras.Input((9, 9, 2))
    x = conv(3)(inputs)
    field = last_field(keras.Model(inputs, x * keras.ops.softmax(x, axis=1)))
    assert field.rows.is_global
    assert not field.columns.is_global
    assert (field.rows.size, field.columns.size) == (3, 3)


class SomeRows(L.Layer):
    def call(self, x):
        return tf.gather(x, [0, 1, 3, 6], axis=1)


def test_rows_that_do_not_lie_evenly_have_no_stride():
    _, field = field_of(conv(3), SomeRows(), size=(9, 9))
    assert field.rows.pixels.tolist() == [[0, 3], [1, 4], [3, 6], [6, 9]]
    assert field.rows.size is field.rows.stride is field.rows.centres is None
    assert (field.columns.size, field.columns.stride) == (3, 1)


def test_a_map_that_is_turned_over_has_a_stride_as_before():
    inputs = keras.Input((9, 9, 2))
    field = last_field(keras.Model(inputs, keras.ops.flip(conv(3, strides=2)(inputs), axis=1)))
    assert field.rows.stride == field.columns.stride == 2
    assert field.rows.centres.tolist() == [7, 5, 3, 1]
