"""A probe made by hand on a tiny model, split in two: what the methods are tested with."""

from collections.abc import Callable
from dataclasses import dataclass, field

import keras
import numpy as np
import tensorflow as tf

from gradcam_eval.methods.probe import Probe

SIZE = (12, 10)
CLASSES = 3
CHANNELS = 5


@dataclass(frozen=True, eq=False)
class Split:
    """A model cut at a layer; both halves work on their own."""

    trunk: keras.Model  # images → the layer's output
    head: keras.Model  # that → logits
    counts: dict[str, int] = field(default_factory=dict)

    def logits(self, images):
        return self.head(self.trunk(images))

    def score(self, image, target):
        """The score of one image, for the slow twins."""
        return float(self.logits(image[None])[0, target])

    def score_of_map(self, activation, target):
        return float(self.head(activation[None])[0, target])

    def activation(self, image):
        return np.asarray(self.trunk(image[None])[0], np.float64)

    def input_gradient(self, image, target):
        given = tf.constant(image[None])
        with tf.GradientTape() as tape:
            tape.watch(given)
            score = self.logits(given)[0, target]
        return np.asarray(tape.gradient(score, given)[0], np.float64)

    def layer_gradient(self, image, target):
        with tf.GradientTape() as tape:
            activation = self.trunk(image[None])
            tape.watch(activation)
            score = self.head(activation)[0, target]
        return np.asarray(tape.gradient(score, activation)[0], np.float64)


def small_split(*, act="relu", dtype="float32", size=SIZE, channels=3, inside=()):
    """A convolution, its activation, and a head with one hidden layer; reproducible."""
    keras.utils.set_random_seed(3)
    policy = keras.DTypePolicy(dtype)
    layers = keras.layers
    trunk = keras.Sequential(
        [
            keras.Input((*size, channels)),
            layers.Rescaling(1 / 255, -0.4, dtype=policy),
            *inside,
            layers.Conv2D(CHANNELS, 3, 2, dtype=policy),
            layers.Activation(act, dtype=policy),
        ]
    )
    head = keras.Sequential(
        [
            keras.Input(trunk.output_shape[1:]),
            layers.Flatten(dtype=policy),
            layers.Dense(8, activation=act, dtype=policy),
            layers.Dense(CLASSES, dtype=policy),
        ]
    )
    return Split(trunk, head)


def photos(count, *, size=SIZE, channels=3, seed=0):
    shape = (count, *size, channels)
    return np.random.default_rng(seed).uniform(0, 255, shape).astype(np.float32)


def probe_of(split: Split, images, targets, *, seed=0, chunk=4) -> Probe:
    """Call it while tracing."""

    def of_owner(logits, owner):
        chosen = tf.gather(logits, tf.gather(targets, owner), axis=1, batch_dims=1)
        return chosen if chosen.dtype == tf.float64 else tf.cast(chosen, tf.float32)

    def at_layer(some, owner):
        with tf.GradientTape() as tape:
            activations = split.trunk(some)
            tape.watch(activations)
            score = of_owner(split.head(activations), owner)
        return floats(activations), floats(tape.gradient(score, activations))

    everyone = tf.range(tf.shape(images)[0])
    activations, gradients = at_layer(images, everyone)
    return Probe(
        images=images,
        activations=activations,
        gradients=gradients,
        score=lambda some, owner: of_owner(split.logits(some), owner),
        at_layer=at_layer,
        score_from=lambda maps, owner: of_owner(split.head(maps), owner),
        seed=seed,
        chunk=chunk,
    )


def floats(tensor):
    return tensor if tensor.dtype == tf.float64 else tf.cast(tensor, tf.float32)


def compiled(method, split: Split, shape, *, seed=0, chunk=4, **options):
    """The method as one traced function of any number of images."""

    def explain(images, targets):
        probe = probe_of(split, images, targets, seed=seed, chunk=chunk)
        return tf.cast(method(probe, **options), tf.float32)

    specs = [tf.TensorSpec((None, *shape), tf.float32), tf.TensorSpec((None,), tf.int32)]
    return tf.function(explain, input_signature=specs, autograph=False).get_concrete_function()


def run(method: Callable, split: Split, images, targets, **options) -> np.ndarray:
    function = compiled(method, split, images.shape[1:], **options)
    return function(tf.constant(images), tf.constant(targets, tf.int32)).numpy()


def counting_split(counts: dict[str, int]) -> Split:
    """`small_split` with a layer in each half that counts the images passing it, both ways."""
    plain = small_split()
    trunk = keras.Sequential([keras.Input((*SIZE, 3)), Counting(counts, "trunk"), plain.trunk])
    head = keras.Sequential(
        [keras.Input(plain.trunk.output_shape[1:]), Counting(counts, "head"), plain.head]
    )
    return Split(trunk, head, counts)


class Counting(keras.layers.Layer):
    """Counts images on their way forward and gradients on their way back, as they are computed."""

    def __init__(self, counts, part):
        super().__init__()
        self.counted = _counted(counts, part)

    def call(self, inputs):
        return self.counted(inputs)

    def compute_output_spec(self, inputs):
        return keras.KerasTensor(inputs.shape, inputs.dtype)


def _counted(counts, part):
    def passes(tensor, way):
        def count(values):
            counts[f"{part} {way}"] = counts.get(f"{part} {way}", 0) + len(values)
            return values

        # Without effects in TensorFlow's eyes, so that what nobody needs is not computed.
        out = tf.numpy_function(count, [tensor], tensor.dtype, stateful=False)
        out.set_shape(tensor.shape)
        return out

    @tf.custom_gradient
    def counted(tensor):
        return passes(tensor, "forward"), lambda gradient: passes(gradient, "backward")

    return counted


def enlarged(plane, size):
    """Bilinear, pixel centres at half integers, border repeated: position by position."""
    plane = np.asarray(plane, np.float64)
    out = np.zeros(size)
    for y in range(size[0]):
        for x in range(size[1]):
            v = min(max((y + 0.5) * plane.shape[0] / size[0] - 0.5, 0), plane.shape[0] - 1)
            u = min(max((x + 0.5) * plane.shape[1] / size[1] - 0.5, 0), plane.shape[1] - 1)
            top, left = int(v), int(u)
            low, right = min(top + 1, plane.shape[0] - 1), min(left + 1, plane.shape[1] - 1)
            upper = plane[top, left] * (1 - u + left) + plane[top, right] * (u - left)
            lower = plane[low, left] * (1 - u + left) + plane[low, right] * (u - left)
            out[y, x] = upper * (1 - v + top) + lower * (v - top)
    return out
