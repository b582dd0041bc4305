"""torchvision's MobileNetV2 as a flat Keras model, with the ImageNet weights of a pip package."""

from __future__ import annotations

import keras
from keras import layers

from gradcam_eval.models.preprocess import PREPROCESSING
from gradcam_eval.models.weights import MOBILENET_V2, assign_weights, locate, read_checkpoint

EPSILON = 1e-5

# filters, repeats, stride of the first block: rows of the paper's table 2 behind its first block
STAGES = (
    (24, 2, 2),
    (32, 3, 2),
    (64, 4, 2),
    (96, 3, 1),
    (160, 3, 2),
    (320, 1, 1),
)


def build_mobilenet_v2(*, weights: str | None = "imagenet") -> keras.Model:
    """Return torchvision's MobileNetV2: 0-255 RGB (224, 224, 3) → 1000 probabilities.

    Parameters
    ----------
    weights : "imagenet", or None for random ones

    Returns
    -------
    a functional model without nesting; its layers have the names of Keras' MobileNetV2 and it
    ends in `logits` (Dense) and `softmax`

    Raises
    ------
    InputError
        If the package with the weights is missing or is not the known one.

    Notes
    -----
    PyTorch pads by one pixel on each side whatever the stride, so each 3×3 convolution is a
    `ZeroPadding2D(1)` and a "valid" convolution; TensorFlow's "same" pads right and below only
    where the stride is 2. The dropout before the classifier acts in training only and is left out.

    References
    ----------
    Sandler et al. 2018, "MobileNetV2"; torchvision/models/mobilenetv2.py.
    """
    inputs = keras.Input((224, 224, 3), name="image")
    x = PREPROCESSING["torch"].apply(inputs)
    x = layers.ZeroPadding2D(1, name="Conv1_pad")(x)
    x = layers.Conv2D(32, 3, 2, use_bias=False, name="Conv1")(x)
    x = _normalise(x, "bn_Conv1", "Conv1_relu")
    x = _block(x, "expanded_conv", filters=16, stride=1)
    for name, filters, stride in _blocks():
        x = _block(x, name, filters=filters, stride=stride)
    x = layers.Conv2D(1280, 1, use_bias=False, name="Conv_1")(x)
    x = _normalise(x, "Conv_1_bn", "out_relu")
    x = layers.GlobalAveragePooling2D(name="avg_pool")(x)
    x = layers.Dense(1000, name="logits")(x)
    outputs = layers.Softmax(name="softmax")(x)
    model = keras.Model(inputs, outputs, name="mobilenet_v2_torchvision")
    if weights == "imagenet":
        tensors = read_checkpoint(locate(MOBILENET_V2), sha256=MOBILENET_V2.sha256)
        assign_weights(model, tensors, _modules())
    return model


def _blocks() -> list[tuple[str, int, int]]:
    """Return name, filters and stride of each block that expands."""
    rows = [
        (filters, stride if repeat == 0 else 1)
        for filters, repeats, stride in STAGES
        for repeat in range(repeats)
    ]
    return [(f"block_{i}", filters, stride) for i, (filters, stride) in enumerate(rows, start=1)]


def _block(x: keras.KerasTensor, name: str, *, filters: int, stride: int) -> keras.KerasTensor:
    """Add one inverted residual block; only the first one of the network does not expand."""
    shortcut, channels = x, x.shape[-1]
    if name != "expanded_conv":
        x = layers.Conv2D(channels * 6, 1, use_bias=False, name=f"{name}_expand")(x)
        x = _normalise(x, f"{name}_expand_BN", f"{name}_expand_relu")
    x = layers.ZeroPadding2D(1, name=f"{name}_pad")(x)
    x = layers.DepthwiseConv2D(3, stride, use_bias=False, name=f"{name}_depthwise")(x)
    x = _normalise(x, f"{name}_depthwise_BN", f"{name}_depthwise_relu")
    x = layers.Conv2D(filters, 1, use_bias=False, name=f"{name}_project")(x)
    x = layers.BatchNormalization(epsilon=EPSILON, name=f"{name}_project_BN")(x)
    if stride == 1 and channels == filters:
        x = layers.Add(name=f"{name}_add")([x, shortcut])
    return x


def _normalise(x: keras.KerasTensor, bn: str, activation: str) -> keras.KerasTensor:
    x = layers.BatchNormalization(epsilon=EPSILON, name=bn)(x)
    return layers.ReLU(6.0, name=activation)(x)


def _modules() -> dict[str, str]:
    """Return Keras layer name → PyTorch module name."""
    names = {
        "Conv1": "features.0.0",
        "bn_Conv1": "features.0.1",
        "expanded_conv_depthwise": "features.1.conv.0.0",
        "expanded_conv_depthwise_BN": "features.1.conv.0.1",
        "expanded_conv_project": "features.1.conv.1",
        "expanded_conv_project_BN": "features.1.conv.2",
        "Conv_1": "features.18.0",
        "Conv_1_bn": "features.18.1",
        "logits": "classifier.1",
    }
    parts = {
        "expand": "0.0",
        "expand_BN": "0.1",
        "depthwise": "1.0",
        "depthwise_BN": "1.1",
        "project": "2",
        "project_BN": "3",
    }
    for index, (block, _filters, _stride) in enumerate(_blocks(), start=2):
        names |= {
            f"{block}_{ours}": f"features.{index}.conv.{theirs}" for ours, theirs in parts.items()
        }
    return names
