"""Make the model files of Keras 2 beside this script, and what Keras 2 predicts with them.

Run once, in an environment of its own (its Keras is Keras 2, under the name tf_keras)::

    python -m venv keras2 && keras2/bin/pip install tf_keras tensorflow-cpu
    keras2/bin/python tests/models/keras2/make.py

Each model is saved as `.h5` and as `.keras`; `expected.npz` has the images and, by model, the
predictions. All weights are random, also those that start as 0 or 1.
"""

from pathlib import Path

import numpy as np
import tensorflow as tf
import tf_keras as keras
from tf_keras import layers
from tf_keras.src.applications.convnext import LayerScale

FOLDER = Path(__file__).parent
SIZE = (8, 6)


def convolutions() -> keras.Model:
    """Layers with `groups`, names with a slash, and a layer of keras.applications."""
    image = keras.Input((*SIZE, 3), name="image")
    x = layers.Rescaling(1 / 255, name="in/scale")(image)
    x = layers.DepthwiseConv2D(3, padding="same", activation="relu", name="block/depth")(x)
    x = layers.SeparableConv2D(4, 3, strides=3, padding="same", name="block_depth")(x)
    x = layers.BatchNormalization(name="block/norm")(x)
    x = layers.Activation("hard_sigmoid", name="hard")(x)
    x = LayerScale(0.1, 4, name="scale")(x)
    x = layers.Conv2DTranspose(4, 2, strides=2, activation="hard_sigmoid", name="up")(x)
    x = layers.UnitNormalization(axis=[1, 2], name="unit")(x)
    x = layers.Dropout(0.2, name="drop")(layers.Flatten(name="flat")(x))
    return keras.Model(image, layers.Dense(3, "softmax", name="out/class")(x), name="conv/s")


def nested() -> keras.Model:
    """A functional model inside a Sequential one, whose layers have slashes in their names too."""
    inside = keras.Input((*SIZE, 4), name="in/side")
    x = layers.Conv2D(4, 3, padding="same", name="a/b")(inside)
    x = layers.LayerNormalization(axis=[1, 3], name="norm")(layers.Add(name="a_b")([x, inside]))
    block = keras.Model(inside, layers.LeakyReLU(0.1, name="leaky")(x), name="the/block")
    first = layers.Conv2D(4, 3, padding="same", name="first", input_shape=(*SIZE, 3))
    last = layers.Dense(2, activation="sigmoid", name="last")
    return keras.Sequential([first, block, layers.GlobalMaxPooling2D(), last], "nest")


def transfer() -> keras.Model:
    """A functional model inside another one, called twice, and a layer inside a wrapper."""
    image = keras.Input((*SIZE, 3), name="image")
    inside = keras.Input((*SIZE, 3), name="inside")
    x = layers.TimeDistributed(layers.Dense(4, name="a/b"), name="time")(inside)
    x = layers.Normalization(mean=[1, 2, 3, 4], variance=[1, 4, 9, 16], name="norm")(x)
    base = keras.Model(inside, layers.Conv2D(4, 3, padding="same", name="conv")(x), name="base")
    x = layers.Concatenate(name="both")([base(image), base(image - 100.0)])
    x = layers.ReLU(6.0, name="relu6")(layers.GroupNormalization(2, name="groups")(x))
    head = keras.Sequential([keras.Input((4, 3, 8)), layers.Flatten(), layers.Dense(3)], "head")
    return keras.Model(image, head(layers.AveragePooling2D(name="pool")(x)), name="transfer")


def mixed() -> keras.Model:
    """Layers in mixed_float16."""
    keras.mixed_precision.set_global_policy("mixed_float16")
    try:
        image = keras.Input((*SIZE, 3), name="image")
        x = layers.Rescaling(1 / 255)(image)
        x = layers.Conv2D(4, 3, activation="relu")(x)
        x = layers.GlobalAveragePooling2D()(x)
        return keras.Model(image, layers.Dense(3, "softmax", dtype="float32")(x), name="mixed")
    finally:
        keras.mixed_precision.set_global_policy("float32")


def operations() -> keras.Model:
    """Arithmetic between layers, as in MobileNetV3 of Keras 2: each operation is a layer."""
    image = keras.Input((*SIZE, 3), name="image")
    x = image / 127.5 - 1.0
    x = layers.Conv2D(4, 3, padding="same", name="conv")(x)
    gate = layers.ReLU(6.0, name="relu")(x + 3.0) * (1.0 / 6.0)
    x = 2.0 * (x * gate) - gate
    x = tf.nn.relu(1.0 - x + gate)
    x = tf.reduce_mean(x, axis=[1, 2])
    return keras.Model(image, layers.Dense(3, name="out")(x), name="operations")


def functions() -> keras.Model:
    """TensorFlow's functions of shapes and of several tensors, and tensors given by keyword."""
    image = keras.Input((*SIZE, 3), name="image")
    x = tf.cast(image, "float32") / 255.0
    x = tf.concat([x[:, :, :, ::-1], x[:, :, :, 1:]], axis=-1)
    x = layers.Conv2D(4, 3, padding="same", name="conv")(x)
    x = layers.ThresholdedReLU(0.25, name="threshold")(x)
    rows = tf.reshape(x, [-1, 24, 8])
    x = layers.MultiHeadAttention(2, 3, name="attention")(query=rows, value=rows[:, :12])
    x = layers.MultiHeadAttention(2, 3, name="again")(x, x, key=rows, attention_mask=None)
    x = tf.transpose(tf.stack([x, rows], axis=1), perm=[0, 2, 3, 1])
    x = tf.squeeze(tf.expand_dims(tf.nn.silu(x), 1), axis=1)
    x = tf.math.log(tf.abs(tf.nn.softmax(x, axis=2)) + 1.0)
    x = tf.reduce_sum(x[:, 3:21:2, :, 1], axis=1)
    return keras.Model(image, layers.Dense(3, name="out")(x), name="functions")


def settings() -> keras.Model:
    """TensorFlow's functions whose settings Keras 3 writes otherwise."""
    image = keras.Input((*SIZE, 3), name="image")
    x = layers.Conv2D(4, 3, padding="same", name="conv")(image / 255.0)
    x = tf.pad(x, [[0, 0], [1, 1], [2, 0], [0, 0]], mode="REFLECT")
    x = tf.pad(x, [[0, 0], [0, 2], [0, 0], [0, 0]])
    x = tf.image.resize(x, [6, 5])
    first, second = tf.split(tf.image.resize(x, (9, 7), method="nearest"), 2, axis=-1)
    left, middle, right = tf.split(x, [1, 2, 2], axis=2)
    rows = tf.reshape(tf.concat([left, right], axis=2), [-1, 18, 4])
    rows = tf.matmul(tf.matmul(rows, rows, transpose_b=True) * 0.1, rows)
    pooled = [tf.nn.gelu(first), tf.nn.leaky_relu(second, alpha=0.3), tf.nn.gelu(middle, True)]
    pooled = [tf.reduce_mean(each, axis=[1, 2]) for each in pooled]
    gates = [tf.nn.elu(rows), tf.nn.selu(rows), tf.math.rsqrt(tf.math.softplus(rows) + 1.0)]
    pooled += [tf.reduce_mean(each, axis=1) for each in gates]
    return keras.Model(image, layers.Dense(3, name="out")(tf.concat(pooled, axis=1)), name="set")


if __name__ == "__main__":
    random = np.random.default_rng(0)
    images = random.integers(0, 256, (3, *SIZE, 3)).astype("float32")
    expected = {"images": images}
    for make in (convolutions, nested, transfer, mixed, operations, functions, settings):
        model = make()
        model.set_weights([random.uniform(0.2, 1, w.shape) for w in model.get_weights()])
        signs = [np.sign(random.uniform(-1, 1, w.shape)) for w in model.get_weights()]
        model.set_weights(
            [
                value if "variance" in weight.name else value * sign
                for value, sign, weight in zip(
                    model.get_weights(), signs, model.weights, strict=True
                )
            ]
        )
        expected[make.__name__] = model.predict(images, verbose=0)
        model.save(FOLDER / f"{make.__name__}.h5")
        model.save(FOLDER / f"{make.__name__}.keras")
    np.savez(FOLDER / "expected.npz", **expected)
