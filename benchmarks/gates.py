"""How many inputs of ReLU6 fall on the other side of a kink than in float64, by engine and by fold.

Run: ``python benchmarks/gates.py`` (a minute; needs the weights of `mobilenet_v2_torchvision`). The
inputs are outputs of ten batch normalisations of the trained MobileNetV2, on 48 crops of
scikit-image's pictures. Printed for each way of computing: their rounding error, relative to their
root mean square, and how many of all lie beyond 0 or 6 where float64 has them before it.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

import keras
import numpy as np
import skimage.data
import tensorflow as tf
from numpy.typing import NDArray
from PIL import Image

import gradcam_eval as ge
from gradcam_eval.models import fold
from gradcam_eval.models.frozen import FrozenFunction

PICTURES = ("camera", "astronaut", "coffee", "chelsea", "rocket", "page", "coins", "moon", "text",
            "clock", "brick", "grass")  # fmt: skip
LAYERS = ("block_1_expand_BN", "block_1_depthwise_BN", "block_3_expand_BN", "block_6_expand_BN",
          "block_6_depthwise_BN", "block_10_expand_BN", "block_13_expand_BN",
          "block_13_depthwise_BN", "block_15_expand_BN", "Conv_1_bn")  # fmt: skip
SIDE = 224


def crops() -> NDArray[np.float32]:
    """Return each picture and three random squares of it, float32 (48, 224, 224, 3)."""
    rng, found = np.random.default_rng(5), []
    for name in PICTURES:
        picture = Image.fromarray(getattr(skimage.data, name)()).convert("RGB")
        parts = [picture]
        for _ in range(3):
            side = int(min(picture.size) * rng.uniform(0.5, 0.95))
            x, y = (int(rng.integers(0, length - side + 1)) for length in picture.size)
            parts.append(picture.crop((x, y, x + side, y + side)))
        found += [
            np.asarray(each.resize((SIDE, SIDE), Image.Resampling.BILINEAR)) for each in parts
        ]
    return np.stack(found).astype(np.float32)


def in_float64(model: keras.Model) -> keras.Model:
    """Return a copy of a model that computes in float64."""

    def copy(layer: keras.Layer) -> keras.Layer:
        return type(layer).from_config({**layer.get_config(), "dtype": "float64"})

    twin = keras.models.clone_model(model, clone_function=copy)
    twin.set_weights([np.asarray(weight, np.float64) for weight in model.get_weights()])
    return twin


def outputs_of(model: keras.Model) -> keras.Model:
    """Return the model from the images to the inputs of its ReLU6."""
    return keras.Model(model.inputs, [model.get_layer(name).output for name in LAYERS])


@contextmanager
def without(*rules: str) -> Iterator[None]:
    """Leave rules of `fold` out of what is compiled in the block."""
    kept = dict(fold._RULES)
    for rule in rules:
        del fold._RULES[rule]
    try:
        yield
    finally:
        fold._RULES.clear()
        fold._RULES.update(kept)


def ways(model: keras.Model, image: NDArray[np.float32]) -> dict[str, Callable[..., Any]]:
    """Return each way of computing, compiled."""
    spec = [tf.TensorSpec((None, SIDE, SIDE, 3), tf.float32)]

    def live() -> Any:
        return tf.function(lambda x: model(x, training=False), input_signature=spec)

    found: dict[str, Callable[..., Any]] = {"tensorflow": live()}
    left_out = {"frozen": (), "no scale in depthwise kernels": ("DepthwiseConv2dNative",),
                "no scale past a bias": ("BiasAdd",)}  # fmt: skip
    for name, rules in left_out.items():
        with without(*rules):
            found[name] = FrozenFunction(live(), model)
            found[name](image)
    found["openvino"] = FrozenFunction(live(), model, engine="openvino", rows=1)
    return found


def main() -> None:
    """Print a line for each way."""
    model, images = ge.load_model("mobilenet_v2_torchvision"), crops()
    exact, compiled = outputs_of(in_float64(model)), ways(outputs_of(model), images[:1])
    squares, count = 0.0, 0
    errors = dict.fromkeys(compiled, 0.0)
    flipped = dict.fromkeys(compiled, 0)
    for start in range(0, len(images), 4):
        batch = images[start : start + 4]
        expected = [np.asarray(each) for each in exact(batch.astype(np.float64), training=False)]
        squares += sum(float(np.square(each).sum()) for each in expected)
        count += sum(each.size for each in expected)
        for name, run in compiled.items():
            for one, other in zip(run(batch), expected, strict=True):
                values = np.asarray(one, np.float64)
                errors[name] += float(np.square(values - other).sum())
                for kink in (0, 6):
                    flipped[name] += int(((values > kink) != (other > kink)).sum())
    for name in compiled:
        error = np.sqrt(errors[name] / squares)
        print(f"{name:30} error {error:.2e}, {flipped[name]} of {count} on the other side")


if __name__ == "__main__":
    main()
