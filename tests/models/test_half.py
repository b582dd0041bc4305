"""Gradients through float16: as in float32, however small or large they are on their way."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from gradcam_eval.methods.explainer import Explainer
from gradcam_eval.models.half import scaled_gradients

PLAIN = (
    *("grad_cam", "grad_cam_pp", "gradient"),
    *("integrated_gradients(steps=2)", "smooth_grad_cam_pp(samples=2)"),
)
GUIDED = ("guided_backprop", "guided_grad_cam")


def gradients(score_of, x):
    """The scaled gradients of score_of(x) with respect to x, and the operations of their graph."""

    @tf.function(autograph=False, input_signature=[tf.TensorSpec((None, 2), tf.float32)])
    def run(x):
        with tf.GradientTape(persistent=True, watch_accessed_variables=False) as tape:
            tape.watch(x)
            score = score_of(x)
        return scaled_gradients(score, lambda w: [tape.gradient(score, x, output_gradients=w)])

    concrete = run.get_concrete_function()
    (found,) = concrete(tf.constant(x, tf.float32))
    return np.asarray(found), {op.type for op in concrete.graph.get_operations()}


def through(dtype, factor=1.0, share=1.0):
    """The score share · Σ factor · x², with its squares and products in a number type."""

    def score(x):
        values = tf.cast(x, dtype)
        return share * tf.reduce_sum(tf.cast(values * values * factor, tf.float32), axis=1)

    return score


X = np.array([[1, 2], [3, -4]], np.float32)


@pytest.mark.parametrize(
    ("factor", "share"),
    [(1.0, 1.0), *((f, s) for f in (2.0**-14, 2.0**12) for s in (2.0**-40, 2.0**40))],
)
def test_powers_of_two_are_exact(factor, share):
    """2 · share · factor · x: by 2⁻⁴⁰ far below float16's smallest number, by 2⁴⁰ far above."""
    found, _ = gradients(through(tf.float16, factor, share), X)
    np.testing.assert_array_equal(found, np.float32(2 * share * factor) * X)


def test_each_image_has_a_scale_of_its_own():
    shares = tf.constant([2.0**-40, 2.0**30])
    found, _ = gradients(lambda x: shares * through(tf.float16)(x), X)
    np.testing.assert_array_equal(found, 2 * np.array([[2.0**-40], [2.0**30]]) * X)


def test_a_gradient_that_is_never_finite_ends_the_search():
    found, _ = gradients(lambda x: through(tf.float16)(x) * np.inf, X)
    assert not np.isfinite(found).any()


@pytest.mark.parametrize("dtype", ["float32", "bfloat16"])
def test_without_float16_nothing_is_scaled(dtype):
    found, types = gradients(through(tf.as_dtype(dtype)), X)
    np.testing.assert_array_equal(found, 2 * X)
    assert "While" not in types
    assert "StatelessWhile" not in types


def test_float16_inside_a_compiled_function_is_seen():
    hidden = tf.function(through(tf.float16, 2.0**-14), autograph=False)
    found, _ = gradients(lambda x: 2.0**-20 * hidden(x), X)
    np.testing.assert_array_equal(found, np.float32(2.0**-33) * X)


def classifier(policy, last, size=16):
    """Positive weights below the last layer, so that no ReLU is near its threshold."""
    layers, policy = keras.layers, keras.DTypePolicy(policy)
    model = keras.Sequential(
        [
            keras.Input((size, size, 3)),
            layers.Rescaling(1 / 255, dtype=policy),
            layers.Conv2D(4, 3, activation="relu", name="low", dtype=policy),
            layers.Conv2D(8, 3, activation="relu", name="high", dtype=policy),
            layers.GlobalAveragePooling2D(dtype=policy),
            layers.Dense(
                3, activation="softmax", dtype=keras.DTypePolicy(last) if last else policy
            ),
        ]
    )
    rng = np.random.default_rng(4)
    weights = [rng.uniform(0.02, 0.2, w.shape) for w in model.get_weights()]
    # class 0 is rare: its probability, and the gradient behind a softmax, are about 2e-5
    model.set_weights([*weights[:-2], weights[-2] * [1, -1, -1], np.array([-22.0, 0.0, 0.1])])
    return model


# roundings to 11 bits, or to 8, add up over half a dozen layers
TOLERANCES = {"mixed_float16": 2.0**-7, "float16": 2.0**-7, "mixed_bfloat16": 2.0**-4}
FEW = ("grad_cam", "gradient")


@pytest.mark.parametrize(
    ("policy", "last", "engine", "methods", "score"),
    [
        ("mixed_float16", "float32", "auto", PLAIN, "probability"),
        ("mixed_float16", "float32", "auto", GUIDED, "logit"),  # undefined through a softmax
        ("mixed_float16", None, "tensorflow", FEW, "probability"),
        ("float16", None, "auto", FEW, "probability"),
        ("mixed_bfloat16", None, "auto", FEW, "probability"),
    ],
)
def test_a_rare_class_has_the_maps_of_float32(policy, last, engine, methods, score):
    model, twin = classifier(policy, last), classifier("float32", "float32")
    twin.set_weights([np.asarray(w, np.float32) for w in model.get_weights()])
    images = np.random.default_rng(5).uniform(50, 200, (2, 16, 16, 3)).astype(np.float32)
    found = Explainer(model, "high", methods, score=score, engine=engine)(images, 0)
    expected = Explainer(twin, "high", methods, score=score)(images, 0)
    for key, maps in expected.items():
        off = np.abs(found[key] - maps).max() / np.abs(maps).max()
        assert off <= TOLERANCES[policy], (key, off)


def test_the_logit_at_one_of_many_positions_keeps_its_digits():
    """A mean over 763² positions: 1.7e-6 each, where float16 has steps of 6e-8."""
    model, twin = (classifier(p, "float32", 768) for p in ("mixed_float16", "float32"))
    image = np.full((1, 768, 768, 3), 100, np.float32)
    found, wanted = (next(iter(Explainer(m, "high")(image, 0).values())) for m in (model, twin))
    np.testing.assert_allclose(found, wanted, rtol=TOLERANCES["mixed_float16"])
