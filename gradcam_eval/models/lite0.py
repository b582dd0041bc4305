"""EfficientNet-Lite0 as a flat Keras model, with the ImageNet weights of a pip package."""

from __future__ import annotations

from dataclasses import dataclass

import keras
from keras import layers

from gradcam_eval.models.preprocess import PREPROCESSING
from gradcam_eval.models.weights import LITE0, assign_weights, locate, read_checkpoint

EPSILON = 1e-3


@dataclass(frozen=True)
class _Stage:
    """Blocks that share everything but the stride, which only the first one has."""

    repeats: int
    kernel: int
    stride: int
    expand: int
    filters: int


STAGES = (
    _Stage(1, 3, 1, 1, 16),
    _Stage(2, 3, 2, 6, 24),
    _Stage(2, 5, 2, 6, 40),
    _Stage(3, 3, 2, 6, 80),
    _Stage(3, 5, 1, 6, 112),
    _Stage(4, 5, 2, 6, 192),
    _Stage(1, 3, 1, 6, 320),
)


def build_lite0(*, weights: str | None = "imagenet") -> keras.Model:
    """Return EfficientNet-Lite0: 0-255 RGB (224, 224, 3) → 1000 probabilities.

    Parameters
    ----------
    weights : "imagenet", or None for random ones

    Returns
    -------
    a functional model without nesting; its layers have the names of Keras' EfficientNet and it
    ends in `logits` (Dense) and `softmax`

    Raises
    ------
    InputError
        If the package with the weights is missing or is not the known one.

    Notes
    -----
    EfficientNet-B0 without squeeze-and-excite, with ReLU6 and with a stem and head that do not
    scale. Padding is TensorFlow's "same". The dropout before the classifier and the dropping of
    blocks act in training only and are left out.

    References
    ----------
    Tan & Le 2019, "EfficientNet"; the Lite variants of github.com/tensorflow/tpu.
    """
    inputs = keras.Input((224, 224, 3), name="image")
    x = PREPROCESSING["lite"].apply(inputs)
    x = layers.Conv2D(32, 3, 2, padding="same", use_bias=False, name="stem_conv")(x)
    x = _normalise(x, "stem_bn", "stem_activation")
    for name, stage in _blocks():
        x = _block(x, stage, name)
    x = layers.Conv2D(1280, 1, use_bias=False, name="top_conv")(x)
    x = _normalise(x, "top_bn", "top_activation")
    x = layers.GlobalAveragePooling2D(name="avg_pool")(x)
    x = layers.Dense(1000, name="logits")(x)
    outputs = layers.Softmax(name="softmax")(x)
    model = keras.Model(inputs, outputs, name="efficientnet_lite0")
    if weights == "imagenet":
        tensors = read_checkpoint(locate(LITE0), sha256=LITE0.sha256)
        assign_weights(model, tensors, _modules())
    return model


def _blocks() -> list[tuple[str, _Stage]]:
    """Return the name (block1a, block2a, block2b, …) and the stage of each block."""
    return [
        (f"block{number}{letter}", stage)
        for number, stage in enumerate(STAGES, start=1)
        for letter in "abcd"[: stage.repeats]
    ]


def _block(x: keras.KerasTensor, stage: _Stage, name: str) -> keras.KerasTensor:
    """Add one inverted residual block; the first one of a stage ("a") has the stage's stride."""
    shortcut, stride = x, stage.stride if name.endswith("a") else 1
    channels = x.shape[-1]
    if stage.expand > 1:
        x = layers.Conv2D(channels * stage.expand, 1, use_bias=False, name=f"{name}_expand_conv")(x)
        x = _normalise(x, f"{name}_expand_bn", f"{name}_expand_activation")
    x = layers.DepthwiseConv2D(
        stage.kernel, stride, padding="same", use_bias=False, name=f"{name}_dwconv"
    )(x)
    x = _normalise(x, f"{name}_bn", f"{name}_activation")
    x = layers.Conv2D(stage.filters, 1, use_bias=False, name=f"{name}_project_conv")(x)
    x = layers.BatchNormalization(epsilon=EPSILON, name=f"{name}_project_bn")(x)
    if stride == 1 and channels == stage.filters:
        x = layers.Add(name=f"{name}_add")([x, shortcut])
    return x


def _normalise(x: keras.KerasTensor, bn: str, activation: str) -> keras.KerasTensor:
    x = layers.BatchNormalization(epsilon=EPSILON, name=bn)(x)
    return layers.ReLU(6.0, name=activation)(x)


def _modules() -> dict[str, str]:
    """Return Keras layer name → PyTorch module name."""
    names = {
        "stem_conv": "_conv_stem",
        "stem_bn": "_bn0",
        "top_conv": "_conv_head",
        "top_bn": "_bn1",
        "logits": "_fc",
    }
    parts = {
        "expand_conv": "_expand_conv",
        "expand_bn": "_bn0",
        "dwconv": "_depthwise_conv",
        "bn": "_bn1",
        "project_conv": "_project_conv",
        "project_bn": "_bn2",
    }
    for index, (block, _stage) in enumerate(_blocks()):
        names |= {f"{block}_{ours}": f"_blocks.{index}.{theirs}" for ours, theirs in parts.items()}
    return names
