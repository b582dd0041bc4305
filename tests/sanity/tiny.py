"""Tiny models of each kind, and pictures, for all sanity checks."""

import keras
import numpy as np

L = keras.layers
SIDE = 16


def pictures(n=3, seed=0):
    return np.random.default_rng(seed).uniform(0, 255, (n, SIDE, SIDE, 3)).astype(np.float32)


def cnn(seed=3, padding="same"):
    """Convolutions with and without batch normalisation, as if trained: no moving mean is 0."""
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((SIDE, SIDE, 3))
    x = L.Rescaling(1 / 127.5, offset=-1)(inputs)
    x = L.Conv2D(6, 3, padding=padding, activation="relu", name="early")(x)
    x = L.Conv2D(8, 3, padding="same", use_bias=False, name="late_conv")(x)
    x = L.Activation("relu", name="late")(L.BatchNormalization(name="late_bn")(x))
    x = L.GlobalAveragePooling2D()(x)
    return disturbed(keras.Model(inputs, L.Dense(4, name="logits")(x)), seed)


def nested(seed=3):
    """The same layers inside a model inside a model."""
    keras.utils.set_random_seed(seed)
    block_in = keras.Input((SIDE, SIDE, 3))
    x = L.Conv2D(6, 3, padding="same", activation="relu", name="conv")(block_in)
    block = keras.Model(block_in, x, name="block")
    inputs = keras.Input((SIDE, SIDE, 3))
    x = L.GlobalAveragePooling2D()(block(L.Rescaling(1 / 255)(inputs)))
    return disturbed(keras.Model(inputs, L.Dense(4, name="logits")(x)), seed)


def tokens(seed=3):
    """A row of 16 tokens instead of maps, and two outputs of two and of four classes."""
    keras.utils.set_random_seed(seed)
    inputs = keras.Input((SIDE, SIDE, 3))
    x = L.Conv2D(8, 4, strides=4)(L.Rescaling(1 / 127.5, offset=-1)(inputs))
    x = L.Dense(8, activation="gelu", name="mixed")(L.Reshape((16, 8))(x))
    x = L.GlobalAveragePooling1D()(x)
    outputs = [L.Dense(2, name="kind")(x), L.Dense(4, name="colour")(x)]
    return disturbed(keras.Model(inputs, outputs), seed)


def subclassed(seed=3):
    """A model that Keras can neither clone nor save and load."""

    class Hidden(keras.Model):
        def __init__(self, width):
            super().__init__()
            self.conv = L.Conv2D(width, 3, padding="same", activation="relu", name="conv")
            self.pool = L.GlobalAveragePooling2D()
            self.head = L.Dense(4, name="logits")

        def call(self, x):
            return self.head(self.pool(self.conv(x / 255)))

        def get_config(self):
            raise NotImplementedError

    keras.utils.set_random_seed(seed)
    model = Hidden(6)
    model(np.zeros((1, SIDE, SIDE, 3), np.float32))
    return disturbed(model, seed)


def disturbed(model, seed):
    """Add noise to all weights, so that none is what an initialiser gives."""
    generator = np.random.default_rng(seed)
    for weight in model.weights:
        value = weight.numpy().copy()
        weight.assign(value + 0.2 * np.abs(generator.normal(size=value.shape)))
    return model


def values_of(model):
    return [weight.numpy().copy() for weight in model.weights]


def is_same(ones, others):
    return all(np.array_equal(a, b) for a, b in zip(ones, others, strict=True))
