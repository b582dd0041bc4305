"""What a model's output is made of: an activation and its logits, or several probabilities."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from gradcam_eval.core import InputError, Undefined
from gradcam_eval.models.ending import find_ending
from gradcam_eval.models.target import class_scores, table_of, value_of

Z = np.array([[1.0, -2.0, 0.5], [0.0, 3.0, -1.0]], np.float32)  # logits
MAP = np.random.default_rng(3).normal(size=(2, 4, 3, 3)).astype(np.float32)  # (N, h, w, K)


def softmax(z, axis=-1):
    exp = np.exp(z - z.max(axis=axis, keepdims=True))
    return exp / exp.sum(axis=axis, keepdims=True)


def sigmoid(z):
    return 1 / (1 + np.exp(-z))


def scores_of(end, z=Z, **options):
    """Logits (None where there are none), probabilities, and whether classes exclude each other."""
    found = {}

    @tf.function(autograph=False)
    def run(z):
        scores = class_scores(end(z), **options)
        found["is_softmax"] = scores.is_softmax
        has_logits = not isinstance(scores.logits, Undefined)
        return (scores.logits if has_logits else None), scores.probabilities

    logits, probabilities = run(tf.convert_to_tensor(z))
    return None if logits is None else logits.numpy(), probabilities.numpy(), found["is_softmax"]


def by_hand(z):
    exp = tf.exp(z - tf.reduce_max(z, axis=-1, keepdims=True))
    return exp / tf.reduce_sum(exp, axis=-1, keepdims=True)


WITH_LOGITS = {
    "clipped as a loss wants it": lambda z: keras.ops.clip(keras.ops.softmax(z), 1e-7, 1 - 1e-7),
    "log-probabilities": lambda z: keras.ops.log_softmax(z),
    "an axis more, and less again": lambda z: tf.squeeze(tf.expand_dims(tf.nn.softmax(z), 1), 1),
    "the second output of an operation": lambda z: tf.identity_n([z, tf.nn.softmax(z)])[1],
}


@pytest.mark.parametrize("end", WITH_LOGITS)
def test_the_logit_stands_before_what_only_hands_on(end):
    logits, probabilities, is_softmax = scores_of(WITH_LOGITS[end])
    assert is_softmax
    np.testing.assert_allclose(logits, Z, rtol=1e-6)
    np.testing.assert_allclose(probabilities, softmax(Z), rtol=1e-5)


def test_sigmoids_beside_each_other_are_one_output_with_logits():
    def end(z):
        return tf.concat([tf.nn.sigmoid(z[:, :1]), tf.nn.sigmoid(z[:, 1:])], axis=-1)

    logits, probabilities, is_softmax = scores_of(end)
    assert not is_softmax
    np.testing.assert_allclose(logits, Z, rtol=1e-6)
    np.testing.assert_allclose(probabilities, sigmoid(Z), rtol=1e-6)


def both(activation, z):
    """Return what two experts say, (N, 2, K)."""
    return activation(tf.stack([z, 2 * z], axis=1))


P, S = softmax(Z), sigmoid(Z)
OF_PROBABILITIES = {
    "the mean of two models": (
        lambda z: keras.layers.Average()([tf.nn.softmax(z), tf.nn.softmax(2 * z)]),
        (P + softmax(2 * Z)) / 2,
        True,
    ),
    "some of the classes": (lambda z: tf.nn.softmax(z)[:, 1:], P[:, 1:], True),
    "a softmax by hand": (by_hand, P, True),
    "the other class": (lambda z: 1 - tf.nn.sigmoid(z), 1 - S, False),
    "a softmax beside sigmoids": (
        lambda z: tf.concat([tf.nn.softmax(z), tf.nn.sigmoid(z)], -1),
        np.concatenate([P, S], -1),
        False,
    ),
    "experts and their shares": (
        lambda z: keras.ops.einsum("ne,nek->nk", tf.nn.softmax(z[:, :2]), both(tf.nn.softmax, z)),
        np.einsum("ne,nek->nk", softmax(Z[:, :2]), np.stack([P, softmax(2 * Z)], 1)),
        True,
    ),
    "one of many, whichever": (
        lambda z: 1 - tf.reduce_prod(1 - both(tf.nn.sigmoid, z), axis=1),
        1 - (1 - S) * (1 - sigmoid(2 * Z)),
        False,
    ),
    "a mean that is reshaped": (
        lambda z: keras.layers.Reshape((3, 1))(tf.reduce_mean(both(tf.nn.softmax, z), 1))[..., 0],
        (P + softmax(2 * Z)) / 2,
        True,
    ),
    "a hard sigmoid": (keras.activations.hard_sigmoid, np.clip(Z / 6 + 0.5, 0, 1), False),
    "values clipped to 0..1": (lambda z: keras.ops.clip(z, 0, 1), np.clip(Z, 0, 1), False),
    "the best of many places": (
        lambda z: tf.reduce_max(tf.nn.sigmoid(tf.stack([z, 2 * z], 1)), axis=1),
        np.maximum(S, sigmoid(2 * Z)),
        False,
    ),
}


@pytest.mark.parametrize("end", OF_PROBABILITIES)
def test_what_is_made_of_probabilities_is_one_and_has_no_logit(end):
    """Taken as logits they would be given a second softmax, and none would be near 0 or 1."""
    function, expected, excludes = OF_PROBABILITIES[end]
    logits, probabilities, is_softmax = scores_of(function)
    assert logits is None
    assert is_softmax == excludes
    np.testing.assert_allclose(probabilities, expected, rtol=1e-5)


def test_an_ensemble_with_learned_shares_is_made_of_probabilities():
    share = tf.Variable([0.3, 0.7, 0.5])
    logits, probabilities, _ = scores_of(
        lambda z: share * tf.nn.softmax(z) + (1 - share) * tf.nn.softmax(-z)
    )
    assert logits is None
    np.testing.assert_allclose(
        probabilities, share.numpy() * P + (1 - share.numpy()) * softmax(-Z), rtol=1e-5
    )


def test_the_table_of_log_odds_is_that_of_each_class():
    """Also where one probability is 1 to all digits: ln(p / (1 - p)) of exact numbers."""
    z = np.array([[1.0, -2.0, 0.5], [60.0, 0.0, -3.0]], np.float32)
    rivals = [np.delete(z.astype(np.float64), k, axis=1) for k in range(3)]
    expected = z - np.stack([np.log(np.exp(each).sum(axis=1)) for each in rivals], axis=1)
    targets = [0, 2]

    @tf.function(autograph=False)
    def run(z):
        scores = class_scores(tf.nn.softmax(z))
        sigmoids = class_scores(tf.nn.sigmoid(z))
        return (
            table_of(scores, "log_odds"),
            value_of(scores, tf.constant(targets), "log_odds"),
            table_of(scores, "logit"),
            table_of(sigmoids, "log_odds"),
        )

    table, value, logits, of_sigmoids = run(tf.constant(z))
    np.testing.assert_allclose(table, expected, rtol=1e-5)
    np.testing.assert_allclose(value, expected[[0, 1], targets], rtol=1e-5)
    np.testing.assert_array_equal(logits, z)
    np.testing.assert_array_equal(of_sigmoids, z)


def test_the_logit_of_a_hard_sigmoid_is_refused():
    @tf.function(autograph=False)
    def run(z):
        return table_of(class_scores(keras.activations.hard_sigmoid(z)), "logit")

    with pytest.raises(InputError, match=r"clipped to 0\.\.1, as by a hard sigmoid, so its logit"):
        run(tf.constant(Z))


def test_the_error_says_to_explain_the_probability():
    @tf.function(autograph=False)
    def run(z, read, *rest):
        return read(class_scores(tf.nn.softmax(z)[:, 1:]), *rest)

    for read, rest in ((value_of, (tf.constant([0, 1]), "logit")), (table_of, ("log_odds",))):
        with pytest.raises(InputError, match=r"put together from probabilities.*probability"):
            run(tf.constant(Z), read, *rest)
    np.testing.assert_allclose(run(tf.constant(Z), table_of, "probability"), P[:, 1:], rtol=1e-6)


@pytest.mark.parametrize(
    "end",
    [
        lambda z: z * tf.nn.sigmoid(z),
        lambda z: tf.matmul(tf.nn.softmax(z), tf.constant(np.eye(3), tf.float32)) * 3,
        lambda z: tf.nn.softmax(z)[:, :1] * tf.tanh(z) + tf.nn.softmax(z)[:, 1:2] * tf.sin(z),
        lambda z: keras.ops.einsum("ne,nek->nk", tf.nn.softmax(z[:, :2]), both(tf.sin, z)),
        lambda z: tf.matmul(tf.nn.sigmoid(z), tf.nn.sigmoid(z[:, :, None] * z[:, None])[0]),
        lambda z: tf.matmul(tf.nn.softmax(z), 3 * tf.eye(tf.shape(z)[-1])),
        lambda z: tf.reduce_mean(both(tf.sin, z) * both(tf.nn.sigmoid, z), axis=1),
        lambda z: tf.maximum(z, 0.0),
        lambda z: tf.clip_by_value(z, -1.0, 1.0),
        lambda z: tf.clip_by_value(z, 0.0, 6.0),
        lambda z: tf.nn.relu6(z) / 3,
        tf.tanh,
    ],
    ids=[
        *("a gate", "a dense layer over them", "a mixture of experts", "experts and their shares"),
        *("features of features", "a matrix", "gates, pooled", "a ReLU"),
        *("clipped on both sides", "clipped above 1", "a third of a ReLU6", "a tanh"),
    ],
)
def test_a_softmax_further_inside_makes_no_probabilities(end):
    logits, probabilities, _ = scores_of(end)
    np.testing.assert_allclose(logits, end(tf.constant(Z)), rtol=1e-6)
    np.testing.assert_allclose(probabilities, softmax(logits), rtol=1e-5)


CHANNELS_FIRST = {
    "softmax over axis 1": (lambda z: keras.ops.softmax(z, axis=1), "channels_last"),
    "log-softmax over axis 1": (lambda z: keras.ops.log_softmax(z, axis=1), "channels_last"),
    "softmax, then turned back": (
        lambda z: tf.transpose(keras.ops.softmax(z, axis=1), (0, 2, 3, 1)),
        "channels_first",
    ),
    "turned, then softmax": (
        lambda z: keras.ops.softmax(tf.transpose(z, (0, 2, 3, 1))),
        "channels_first",
    ),
    "logits": (lambda z: z, "channels_first"),
}


@pytest.mark.parametrize("end", CHANNELS_FIRST)
def test_a_segmentations_classes_are_found_on_their_axis(end):
    """(N, K, h, w): by the softmax's axis, and by the model's layout where there is none."""
    function, layout = CHANNELS_FIRST[end]
    first = MAP.transpose(0, 3, 1, 2)
    logits, probabilities, _ = scores_of(function, first, layout=layout)
    np.testing.assert_allclose(logits, MAP, rtol=1e-6)
    np.testing.assert_allclose(probabilities, softmax(MAP), rtol=1e-5)


def test_a_segmentation_of_sigmoids_goes_by_the_layout():
    first = MAP.transpose(0, 3, 1, 2)
    logits, probabilities, _ = scores_of(tf.nn.sigmoid, first, layout="channels_first")
    np.testing.assert_allclose(logits, MAP, rtol=1e-6)
    np.testing.assert_allclose(probabilities, sigmoid(MAP), rtol=1e-6)


def test_places_that_are_folded_up_keep_their_classes_last():
    """A U-Net that makes a row of its pixels before the softmax and pixels again behind it."""

    def end(z):
        return tf.reshape(tf.nn.softmax(tf.reshape(z, (-1, 12, 3))), (-1, 4, 3, 3))

    logits, probabilities, _ = scores_of(end, MAP, layout="channels_first")
    np.testing.assert_allclose(logits, MAP, rtol=1e-6)
    np.testing.assert_allclose(probabilities, softmax(MAP), rtol=1e-5)


def test_a_resized_softmax_is_a_probability():
    _, probabilities, _ = scores_of(
        lambda z: tf.image.resize(tf.nn.softmax(z), (8, 6), "nearest"), MAP
    )
    np.testing.assert_allclose(probabilities[:, ::2, ::2], softmax(MAP), rtol=1e-5)


def test_the_axis_is_lost_where_a_reshape_dissolves_it_or_a_weight_says_where_it_goes():
    order = tf.Variable([0, 3, 1, 2])

    @tf.function(autograph=False)
    def run(z):
        assert find_ending(tf.reshape(tf.nn.softmax(z), (-1, 3, 2, 6))).class_axis is None
        assert find_ending(tf.transpose(tf.nn.softmax(z), order)).class_axis is None
        return z

    run(tf.constant(MAP))
