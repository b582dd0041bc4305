"""Small networks for the data set `evidence`, with weights that this project trained itself."""

from __future__ import annotations

import hashlib
import io
import json
from collections.abc import Callable

import keras
import numpy as np
from keras import layers

from gradcam_eval.core import InputError
from gradcam_eval.models.preprocess import PREPROCESSING
from gradcam_eval.resources import datasets_root

SIDE, CLASSES = 96, 6
BLIND_FROM = 64  # `evidence_blind` sees no pixel of this column or further right


def build_evidence(name: str, *, weights: str | None = "imagenet") -> keras.Model:
    """Return a network of the zoo for planted evidence: 0-255 RGB (96, 96, 3) → 6 probabilities.

    Parameters
    ----------
    name : a key of `NETWORKS`
    weights : None for random ones; otherwise those that lie in `datasets/evidence`

    Returns
    -------
    a functional model without nesting, which ends in `logits` (Dense) and `softmax`

    Raises
    ------
    InputError
        If the weights are not those that the manifest names.

    Notes
    -----
    `datasets/evidence/train.py` trains them and stores their weights as float16.
    """
    inputs = keras.Input((SIDE, SIDE, 3), name="image")
    x = _blinded(inputs) if name == "evidence_blind" else inputs
    x = PREPROCESSING["tf"].apply(x)
    x = layers.Dense(CLASSES, name="logits")(NETWORKS[name](x))
    model = keras.Model(inputs, layers.Softmax(name="softmax")(x), name=name)
    if weights is not None:
        model.set_weights(read_weights(WEIGHTS_OF.get(name, name)))
    return model


def read_weights(name: str) -> list[np.ndarray]:
    """Return a network's weights in the order of `model.weights`, once their hash is checked."""
    folder = datasets_root() / "evidence"
    try:
        manifest = json.loads((folder / "manifest.json").read_text(encoding="utf-8"))
        content = (folder / f"{name}.npz").read_bytes()
    except OSError as error:
        raise InputError(f"the weights of '{name}' cannot be read: {error}.") from error
    found = hashlib.sha256(content).hexdigest()
    if found != manifest["networks"][name]["sha256"]:
        raise InputError(
            f"the weights {folder / name}.npz are not those that the manifest names (their "
            f"SHA-256 is {found}): install the package again, or train them again."
        )
    with np.load(io.BytesIO(content), allow_pickle=False) as arrays:
        return [arrays[key].astype(np.float32) for key in sorted(arrays.files)]


def _blinded(images: keras.KerasTensor) -> keras.KerasTensor:
    """Make the columns from BLIND_FROM on mid-grey: times 0 plus 127.5, exact for every pixel."""
    seen = [float(column < BLIND_FROM) for column in range(SIDE)]
    scale = [[[one] for one in seen]]  # (1, W, 1)
    offset = [[[127.5 * (1 - one)] for one in seen]]
    return layers.Rescaling(scale, offset, name="blind")(images)


def _pooled(x: keras.KerasTensor) -> keras.KerasTensor:
    """A convolutional network that ends in global average pooling; its last map is 12×12."""
    stages = ((16, 2), (32, 2), (48, 1), (64, 2), (64, 1), (64, 1))
    for number, (filters, stride) in enumerate(stages, 1):
        x = _convolution(x, filters, stride, f"conv{number}")
    return layers.GlobalAveragePooling2D(name="avg_pool")(x)


def _flat(x: keras.KerasTensor) -> keras.KerasTensor:
    """A convolutional network with a weight for each place of its last map, 6×6."""
    stages = ((16, 2), (32, 2), (48, 1), (64, 2), (48, 2))
    for number, (filters, stride) in enumerate(stages, 1):
        x = _convolution(x, filters, stride, f"conv{number}")
    x = layers.Flatten(name="flatten")(x)
    return layers.Dropout(0.3, name="dropout")(x)


def _vit(x: keras.KerasTensor) -> keras.KerasTensor:
    """A Vision Transformer of two blocks over 12×12 tokens, which it averages at the end.

    Its tokens come from four convolutions, whose zero padding tells them where they are: it needs
    no embedding of positions, and learns from few pictures. No normalisation stands before the
    average, so that a few tokens can say as much as they need to; with one, attention spreads the
    class over all tokens.
    """
    width, grid = 48, SIDE // 8
    for number, (filters, stride) in enumerate(((16, 2), (32, 2), (48, 1), (64, 2)), 1):
        x = _convolution(x, filters, stride, f"stem{number}")
    x = layers.Conv2D(width, 1, name="patches")(x)
    x = layers.Reshape((grid * grid, width), name="tokens")(x)
    for number in (1, 2):
        x = _block(x, width, f"block{number}")
    return layers.GlobalAveragePooling1D(name="avg_pool")(x)


def _convolution(x: keras.KerasTensor, filters: int, stride: int, name: str) -> keras.KerasTensor:
    x = layers.Conv2D(filters, 3, stride, padding="same", use_bias=False, name=name)(x)
    x = layers.BatchNormalization(momentum=0.95, name=f"{name}_bn")(x)
    return layers.ReLU(name=f"{name}_relu")(x)


def _block(x: keras.KerasTensor, width: int, name: str) -> keras.KerasTensor:
    y = layers.LayerNormalization(name=f"{name}_norm1")(x)
    attention = layers.MultiHeadAttention(4, width // 4, name=f"{name}_attention")
    x = layers.Add(name=f"{name}_add1")([x, attention(y, y)])
    y = layers.LayerNormalization(name=f"{name}_norm2")(x)
    y = layers.Dense(2 * width, activation="gelu", name=f"{name}_mlp1")(y)
    y = layers.Dense(width, name=f"{name}_mlp2")(y)
    return layers.Add(name=f"{name}_add2")([x, y])


NETWORKS: dict[str, Callable[[keras.KerasTensor], keras.KerasTensor]] = {
    "evidence_gap": _pooled,
    "evidence_flat": _flat,
    "evidence_vit": _vit,
    "evidence_confounded": _pooled,
    "evidence_blind": _pooled,
}
WEIGHTS_OF = {"evidence_blind": "evidence_gap"}  # it sees less, and is the same otherwise
