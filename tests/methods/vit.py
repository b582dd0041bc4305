"""A small Vision Transformer, and pictures with a texture planted on noise to train it on."""

import keras
import numpy as np

L = keras.layers

SIZE, PATCH, GRID, OBJECT, STEP = 32, 4, 8, 8, 4


@keras.saving.register_keras_serializable()
class ClassTokenAndPosition(L.Layer):
    """Put a learned token before the patches (or none) and add a learned position to each."""

    def __init__(self, has_class_token=True, **options):
        super().__init__(**options)
        self.has_class_token = has_class_token

    def build(self, shape):
        count = shape[1] + self.has_class_token
        self.position = self.add_weight(shape=(1, count, shape[2]), initializer="random_normal")
        if self.has_class_token:
            self.token = self.add_weight(shape=(1, 1, shape[2]), initializer="random_normal")

    def call(self, patches):
        if self.has_class_token:
            token = keras.ops.repeat(self.token, keras.ops.shape(patches)[0], axis=0)
            patches = keras.ops.concatenate([token, patches], axis=1)
        return patches + self.position


def block(x, name, width):
    # The penalty keeps evidence where it is: without it the tokens of the background carry the
    # class too, as in larger transformers, and a map that says so is right but hard to test.
    quiet = keras.regularizers.L2(0.01)
    y = L.LayerNormalization(name=f"{name}_norm1")(x)
    attention = L.MultiHeadAttention(
        2, width // 2, activity_regularizer=quiet, name=f"{name}_attention"
    )
    y = attention(y, y)
    x = L.Add(name=f"{name}_add1")([x, y])
    y = L.LayerNormalization(name=f"{name}_norm2")(x)
    y = L.Dense(2 * width, activation="gelu", name=f"{name}_mlp1")(y)
    y = L.Dense(width, name=f"{name}_mlp2")(y)
    return L.Add(name=f"{name}_out")([x, y])


def build(has_class_token=True, width=32, blocks=2, classes=3):
    inputs = keras.Input((SIZE, SIZE, 3))
    x = L.Rescaling(1 / 127.5, offset=-1)(inputs)
    x = L.Conv2D(width, PATCH, strides=PATCH, name="patches")(x)
    x = L.Reshape((GRID * GRID, width), name="tokens")(x)
    x = ClassTokenAndPosition(has_class_token, name="position")(x)
    for i in range(blocks):
        x = block(x, f"block{i + 1}", width)
    x = L.LayerNormalization(name="norm")(x)
    x = x[:, 0] if has_class_token else L.GlobalAveragePooling1D(name="pool")(x)
    return keras.Model(inputs, L.Dense(classes, name="head")(x))


def pictures(count, seed=0):
    """Noise with a square of 2×2 patches: stripes across, stripes down, or a chequerboard.

    Returns
    -------
    images float32 (N, 32, 32, 3), 0..255; classes (N,); the square's top left corner (N, 2)
    """
    rng = np.random.default_rng(seed)
    images = rng.uniform(70, 185, (count, SIZE, SIZE, 3))
    classes = rng.integers(0, 3, count)
    corners = STEP * rng.integers(0, (SIZE - OBJECT) // STEP + 1, (count, 2))
    i, j = np.indices((OBJECT, OBJECT)) // 2
    textures = np.stack([i % 2, j % 2, (i + j) % 2])
    for image, kind, (y, x) in zip(images, classes, corners, strict=True):
        texture = textures[kind][..., None] * 170 + 40
        image[y : y + OBJECT, x : x + OBJECT] = texture + rng.uniform(-30, 30, (OBJECT, OBJECT, 3))
    return images.astype(np.float32), classes, corners


def trained(has_class_token, steps=350):
    """Return a model of one block that tells the textures apart, in about eight seconds."""
    keras.utils.set_random_seed(3)
    model = build(has_class_token, blocks=1)
    images, classes, _ = pictures(32 * steps, seed=1)
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    rate = keras.optimizers.schedules.CosineDecay(3e-3, steps)
    model.compile(keras.optimizers.Adam(rate), loss, steps_per_execution=50)
    model.fit(images, classes, batch_size=32, verbose=0)
    return model
