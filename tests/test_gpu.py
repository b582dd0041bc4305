"""On a GPU the heatmaps are the CPU's, to the precision that its convolutions have."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from gradcam_eval.methods import METHODS
from gradcam_eval.methods.explainer import explain

pytestmark = pytest.mark.gpu


@pytest.fixture
def model():
    if not tf.config.list_physical_devices("GPU"):
        pytest.skip("TensorFlow sees no GPU on this machine")
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((32, 32, 3)),
            keras.layers.Conv2D(8, 3, activation="relu", name="conv"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(4, activation="softmax"),
        ]
    )


@pytest.mark.parametrize("method", METHODS)
def test_the_gpus_map_is_the_cpus(model, method, rng):
    images = rng.uniform(0, 1, (4, 32, 32, 3)).astype(np.float32)
    with tf.device("/GPU:0"):
        (on_gpu,) = explain(model, images, methods=method).values()
    with tf.device("/CPU:0"):
        (on_cpu,) = explain(model, images, methods=method).values()
    np.testing.assert_allclose(on_gpu, on_cpu, atol=1e-3 * np.abs(on_cpu).max())
