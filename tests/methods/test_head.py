"""CAM's head, found on the traced graph: what is allowed, what is refused and why."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from gradcam_eval.methods.cam import cam
from gradcam_eval.methods.head import pooled_head_reason
from gradcam_eval.models.layers import find_layers
from gradcam_eval.models.tap import record
from gradcam_eval.models.target import class_scores, value_of

SIZE = (12, 10, 3)
layers = keras.layers


def classifier(*head, size=SIZE, act="relu"):
    return keras.Sequential(
        [keras.Input(size), layers.Conv2D(4, 3, activation=act, name="map"), *head]
    )


def judged(model, layer="map", score="logit", pick=None):
    """The reason and, where there is none, CAM's map, the score and A of one image."""
    keras.utils.set_random_seed(0)
    (call,) = [c for c in find_layers(model).calls if c.path == layer]
    found = []

    def explain(images):
        def of_target(outputs):
            if pick:
                return pick(outputs)
            scores = class_scores(outputs)
            return value_of(scores, tf.argmax(scores.logits, axis=-1), score)

        seen = record(lambda: model(images, training=False), [call], of_target)
        explained = of_target(seen.outputs)
        found.append(pooled_head_reason(seen.raw[0], explained, call.layout))
        activations = tf.cast(seen.activations[0], seen.gradients[0].dtype)
        return cam(activations, seen.gradients[0]), explained, seen.activations[0]

    shape = model.input_shape[1:]
    compiled = tf.function(explain, autograph=False)
    image = np.random.default_rng(0).uniform(0, 1, (2, *shape)).astype(np.float32)
    return compiled(tf.constant(image)), found[0]


def gap(**options):
    return layers.GlobalAveragePooling2D(**options)


ALLOWED = {
    "dense": lambda: classifier(gap(), layers.Dense(3)),
    "softmax": lambda: classifier(gap(), layers.Dense(3, activation="softmax")),
    "a softmax layer": lambda: classifier(gap(), layers.Dense(3), layers.Softmax()),
    "dropout": lambda: classifier(gap(), layers.Dropout(0.5), layers.Dense(3)),
    "no bias": lambda: classifier(gap(), layers.Dense(3, use_bias=False)),
    "sigmoid": lambda: classifier(gap(), layers.Dense(1, activation="sigmoid")),
    "1×1 convolution": lambda: classifier(
        gap(keepdims=True), layers.Dropout(0.1), layers.Conv2D(3, 1), layers.Flatten()
    ),
    "reshaped": lambda: classifier(
        gap(), layers.Reshape((1, 1, 4)), layers.Conv2D(3, 1), layers.Reshape((3,))
    ),
    "average pool of the map's size": lambda: classifier(
        layers.AveragePooling2D((10, 8)), layers.Flatten(), layers.Dense(3)
    ),
    "nested": lambda: classifier(keras.Sequential([gap(), layers.Dense(3)])),
}


@pytest.mark.parametrize("name", ALLOWED)
def test_cam_is_allowed_and_its_mean_is_the_score_without_the_bias(name):
    model = ALLOWED[name]()
    (heatmap, score, _), reason = judged(model)
    assert reason is None
    # new models have a bias of 0
    np.testing.assert_allclose(tf.reduce_mean(heatmap, (1, 2)), score, rtol=1e-4, atol=1e-6)


def test_the_weights_are_the_dense_layers():
    model = ALLOWED["dense"]()
    (heatmap, _, a), _ = judged(model, pick=lambda logits: logits[:, 1])
    wanted = a.numpy() @ model.layers[-1].kernel.numpy()[:, 1]
    np.testing.assert_allclose(heatmap, wanted, rtol=1e-4, atol=1e-6)


REFUSED = {
    "flat": (lambda: classifier(layers.Flatten(), layers.Dense(3)), "Reshape"),
    "two dense layers": (
        lambda: classifier(gap(), layers.Dense(4), layers.Dense(3)),
        "MatMul",
    ),
    "hidden activation": (
        lambda: classifier(gap(), layers.Dense(4, activation="relu"), layers.Dense(3)),
        "Relu",
    ),
    "maximum": (lambda: classifier(layers.GlobalMaxPooling2D(), layers.Dense(3)), "Max"),
    "an activation after it": (
        lambda: classifier(layers.ReLU(), gap(), layers.Dense(3)),
        "Relu",
    ),
    "normalised means": (
        lambda: classifier(gap(), layers.LayerNormalization(), layers.Dense(3)),
        "LayerNorm|Mean|Square|Sub",
    ),
    "average pools at each position": (
        lambda: classifier(
            layers.AveragePooling2D((10, 8), strides=1, padding="same"),
            layers.Flatten(),
            layers.Dense(3),
        ),
        "AvgPool",
    ),
    "average pool of a part": (
        lambda: classifier(layers.AveragePooling2D(4), layers.Flatten(), layers.Dense(3)),
        "AvgPool",
    ),
    "mean over columns and channels": (
        lambda: classifier(
            layers.Lambda(lambda x: keras.ops.mean(x, axis=(2, 3))), layers.Dense(3), size=(6, 6, 3)
        ),
        "Mean",
    ),
    "mean over one axis": (
        lambda: classifier(
            layers.Lambda(lambda x: keras.ops.mean(x, axis=1)), layers.Flatten(), layers.Dense(3)
        ),
        "Mean",
    ),
}


@pytest.mark.parametrize("name", REFUSED)
def test_other_heads_are_refused_with_what_stands_in_the_way(name):
    make, operation = REFUSED[name]
    _, reason = judged(make())
    assert reason is not None
    assert reason.startswith("CAM needs a layer whose output is averaged")
    assert any(f"here {each} (" in reason for each in operation.split("|")), reason


def test_a_choice_by_the_logits_themselves_is_refused():
    """A class may be picked whichever it is; what keeps the positive ones is a ReLU."""

    def positive(logits):
        kept = tf.raw_ops.Select(condition=logits > 0, x=logits, y=tf.zeros_like(logits))
        return tf.reduce_sum(kept, axis=-1)

    _, reason = judged(ALLOWED["dense"](), pick=positive)
    assert "Select" in reason


def test_no_dense_layer_at_all_is_refused():
    _, reason = judged(classifier(gap()), pick=lambda means: tf.squeeze(means[:, :1], axis=1))
    assert "here StridedSlice (" in reason
    _, reason = judged(classifier(gap()), pick=lambda means: tf.reshape(means, (-1,)))
    assert "here there is no such layer" in reason


def test_an_earlier_layer_of_a_deep_model_is_refused():
    convolutions = [layers.Conv2D(4, 3, padding="same") for _ in range(3)]
    _, reason = judged(classifier(*convolutions, gap(), layers.Dense(3)))
    assert "Conv2D" in reason


def test_a_layer_that_also_goes_round_the_pooling_is_refused():
    inputs = keras.Input(SIZE)
    x = layers.Conv2D(4, 3, name="map")(inputs)
    both = layers.Concatenate()([gap()(x), layers.GlobalMaxPooling2D()(x)])
    _, reason = judged(keras.Model(inputs, layers.Dense(3)(both)))
    assert "here Max (" in reason


@pytest.mark.parametrize("score", ["probability", "log_odds"])
def test_only_a_linear_score_has_cams_weights(score):
    _, reason = judged(ALLOWED["softmax"](), score=score)
    assert reason is not None


def test_the_difference_of_two_classes_is_linear():
    (heatmap, score, _), reason = judged(
        ALLOWED["dense"](), pick=lambda logits: logits[:, 0] - 0.5 * logits[:, 2]
    )
    assert reason is None
    np.testing.assert_allclose(tf.reduce_mean(heatmap, (1, 2)), score, rtol=1e-4, atol=1e-6)


def test_a_product_of_logits_is_not():
    _, reason = judged(ALLOWED["dense"](), pick=lambda logits: logits[:, 0] * logits[:, 1])
    assert "here Mul (" in reason


def test_half_precision_and_its_casts_are_allowed():
    policy = keras.DTypePolicy("mixed_float16")
    model = keras.Sequential(
        [
            keras.Input(SIZE),
            layers.Conv2D(4, 3, name="map", dtype=policy),
            layers.GlobalAveragePooling2D(dtype=policy),
            layers.Dense(3, dtype="float32"),
        ]
    )
    assert judged(model)[1] is None


@functools.cache
def known(build):
    keras.backend.clear_session()
    return getattr(keras.applications, build)((64, 64, 3), weights=None, classes=5)


@pytest.mark.parametrize(
    ("build", "layer", "is_allowed"),
    [
        ("MobileNet", "conv_pw_13_relu", True),
        ("MobileNet", "conv_pw_13_bn", False),
        ("MobileNetV3Small", "activation_17", False),
    ],
)
def test_heads_of_known_networks(build, layer, is_allowed):
    assert (judged(known(build), layer)[1] is None) == is_allowed
