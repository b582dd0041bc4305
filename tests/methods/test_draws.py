"""Models that stay random at inference: noticed, said, and explained by the mean over runs."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

from gradcam_eval.core import InputError
from gradcam_eval.methods.draws import mean_of_draws
from gradcam_eval.methods.explainer import Explainer
from gradcam_eval.models.engine import Predictor


@keras.saving.register_keras_serializable("test_draws")
class AlwaysOn(keras.layers.Dropout):
    """Monte Carlo dropout."""

    def call(self, inputs, training=False):
        return super().call(inputs, training=True)


def by_tensorflow(values):
    """Noise that Keras knows nothing of: the frozen graph draws it too."""
    return values * tf.random.uniform(tf.shape(values), 0.2, 1.8)


def model_with(*layers):
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((12, 12, 3)),
            keras.layers.Conv2D(16, 3, activation="relu", name="conv"),
            *layers,
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(3),
        ]
    )
    rng = np.random.default_rng(1)
    model.set_weights([rng.uniform(0, 1, w.shape) for w in model.get_weights()])
    return model


RANDOM = {
    "keras": lambda: AlwaysOn(0.4),
    "tensorflow": lambda: keras.layers.Lambda(by_tensorflow, output_shape=lambda shape: shape),
}


@pytest.fixture
def images(rng):
    return rng.uniform(0, 1, (2, 12, 12, 3)).astype(np.float32)


@pytest.mark.parametrize("engine", ["auto", "tensorflow"])
@pytest.mark.parametrize("kind", RANDOM)
def test_a_random_layer_is_said_once(images, kind, engine):
    explainer = Explainer(model_with(RANDOM[kind]()), "conv", engine=engine)
    with pytest.warns(UserWarning, match=r"random at inference.*differ by 0\.\d+ .*draws=") as said:
        explainer(images, 1)
    assert said[0].filename == __file__
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        explainer(images, 1)


def test_the_mean_over_draws_is_that_of_the_model_without_noise(images):
    """The score is linear in each factor, whose mean is 1; a mean's error falls with √n."""
    ((_, plain),) = Explainer(model_with(), "conv", "hires_cam")(images, 1).items()

    def off(draws):
        model = model_with(RANDOM["keras"]())
        found = Explainer(model, "conv", "hires_cam", draws=draws)(images, 1)
        ((_, maps),) = found.items()
        return np.sqrt(np.square(maps - plain).mean() / np.square(plain).mean())

    one = np.mean([np.sqrt(0.4 / 0.6)])  # of one draw, by the variance of a scaled Bernoulli
    assert off(64) < one / 4


def test_all_draws_explain_the_class_of_the_first():
    given = []

    def explain(targets):
        given.append(targets)
        n = len(given)
        return {"targets": np.array([n]), "scores": np.float32([n]), "a\tb": np.full((1, 1, 1), n)}

    found = mean_of_draws(explain, 3)
    assert [None if each is None else each.tolist() for each in given] == [None, [1], [1]]
    assert found["targets"] == [1]
    assert found["scores"] == 2
    assert found["a\tb"] == 2


@pytest.mark.parametrize("method", ["grad_cam", "rise(masks=4)", "smooth_grad(samples=2)"])
def test_a_method_that_draws_makes_no_model_random(images, method):
    explainer = Explainer(model_with(keras.layers.Dropout(0.4)), "conv", method, draws=3)
    explainer(images, 1)
    (compiled,) = next(iter(explainer._passes.compiled.values()))
    assert not compiled.plan.found.random


def test_a_predictor_says_how_much_two_calls_differ(images):
    images *= 0.02  # so that the softmax is not saturated
    assert Predictor(model_with()).variation(images) == 0
    assert Predictor(model_with(AlwaysOn(0.4))).variation(images) > 1e-5


def test_no_draws_are_refused():
    with pytest.raises(InputError, match="draws is 0: wanted 1 or more"):
        Explainer(model_with(), draws=0)


@pytest.mark.parametrize(
    ("batch", "wrap"), [(1, lambda layer: layer), (2, keras.layers.Bidirectional)]
)
def test_a_stateful_model_is_that_of_its_stateless_twin(images, batch, wrap):
    """A batch of 2 gave one image two scores, and one of 1 ended in Keras' error."""

    def recurrent(is_stateful, shape):
        keras.utils.set_random_seed(4)
        inputs = keras.Input(batch_shape=shape)
        rows = keras.layers.Reshape((12, 36))(keras.layers.Conv2D(3, 1, name="conv")(inputs))
        memory = keras.layers.SimpleRNN(2, stateful=is_stateful, name="memory")
        return keras.Model(inputs, keras.layers.Dense(3)(wrap(memory)(rows)))

    images = images * 0.01  # larger ones saturate
    twin = recurrent(False, (None, 12, 12, 3))
    model = recurrent(True, (batch, 12, 12, 3))
    for mine, its in zip(model.trainable_variables, twin.trainable_variables, strict=True):
        its.assign(mine)
    model(images[:batch])  # it remembers these
    before = [np.array(each) for each in model.variables]
    mine, expected = (Explainer(m, "conv", "hires_cam")(images, 1) for m in (model, twin))
    np.testing.assert_allclose(mine.scores, expected.scores, rtol=1e-5)
    for key, maps in mine.items():
        scale = np.abs(expected[key]).max()
        np.testing.assert_allclose(maps, expected[key], rtol=1e-4, atol=1e-5 * scale)
    np.testing.assert_allclose(Predictor(model)(images), Predictor(twin)(images), rtol=1e-5)
    for each, earlier in zip(model.variables, before, strict=True):
        np.testing.assert_array_equal(each, earlier)
    stateful = [each for each in model._flatten_layers() if getattr(each, "stateful", False)]
    assert stateful


def test_a_stateful_layer_of_ones_own_is_refused_with_what_to_do(images):
    class Counting(keras.layers.Layer):
        stateful = True

        def call(self, x):
            return x

    with pytest.raises(InputError, match=r"is stateful.*build the model with stateful=False"):
        Explainer(model_with(Counting()))(images)


@pytest.mark.parametrize("batch", [1, 4])
def test_a_fixed_batch_is_no_limit_where_no_layer_depends_on_it(images, batch):
    inputs = keras.Input(batch_shape=(batch, 12, 12, 3))
    maps = keras.layers.Conv2D(4, 3, name="conv")(inputs)
    outputs = keras.layers.Dense(3)(keras.layers.GlobalAveragePooling2D()(maps))
    model = keras.Model(inputs, outputs)
    ((_, together),) = Explainer(model, "conv", "hires_cam")(images, 1).items()
    ((_, alone),) = Explainer(model, "conv", "hires_cam")(images[1], 1).items()
    np.testing.assert_allclose(alone[0], together[1], rtol=1e-4, atol=1e-6 * together.max())
