"""The named ways from a photograph to what a network was trained on.

Each one may reverse the channels and then takes `(x - shift) / divisor`. They are data, so that a
study can record them, and they become named Keras layers at the front of a model. Keras is
imported only when such layers are made.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, TypeAlias

import numpy as np
from numpy.typing import NDArray

from gradcam_eval.core import InputError, unknown_name

if TYPE_CHECKING:
    import keras

Channels: TypeAlias = tuple[float, float, float]


@dataclass(frozen=True)
class Preprocessing:
    """One way from 0-255 RGB to a network's own range: `(x - shift) / divisor`.

    Attributes
    ----------
    name : the key in `PREPROCESSING`
    description : one line, recorded with each study
    shift, divisor : one number for each channel, in the network's order
    reverse : whether RGB becomes BGR first
    """

    name: str
    description: str
    shift: Channels = (0.0, 0.0, 0.0)
    divisor: Channels = (1.0, 1.0, 1.0)
    reverse: bool = False

    def apply(self, images: keras.KerasTensor) -> keras.KerasTensor:
        """Add the layers to a symbolic tensor (N, H, W, 3), 0..255 RGB, and return their output.

        What treats all channels alike takes (N, H, W, 1) as well.

        Raises
        ------
        InputError : images of another number of channels
        """
        import keras

        if self.name == "none":
            return images
        channels = images.shape[-1]
        self._check_channels(channels)
        if self.reverse:
            images = keras.ops.flip(images, axis=-1)
        scale = [1 / d for d in self.divisor][:channels]
        offset = [-s / d for s, d in zip(self.shift, self.divisor, strict=True)][:channels]
        return keras.layers.Rescaling(scale, offset, name=f"preprocess_{self.name}")(images)

    def _check_channels(self, channels: int | None) -> None:
        """Refuse colour constants for a model that takes no three channels."""
        is_grey = len(set(self.shift)) == len(set(self.divisor)) == 1 and not self.reverse
        if channels not in (1, 3) or (channels == 1 and not is_grey):
            raise InputError(
                f"preprocess = {self.name!r} is for images of 3 channels"
                f"{' or 1' if is_grey else ''}, and this model takes {channels}."
            )

    def __call__(self, images: NDArray[Any]) -> NDArray[np.float32]:
        """Return what the layers return, computed by NumPy: float32 (…, 3)."""
        values = np.asarray(images, np.float64)
        if self.reverse:
            values = values[..., ::-1]
        return ((values - self.shift) / self.divisor).astype(np.float32)

    @property
    def zero_colour(self) -> Channels:
        """The RGB colour, 0..255, that the network sees as zeros: the fill of some protocols."""
        first, second, third = self.shift
        return (third, second, first) if self.reverse else self.shift


def _alike(value: float) -> Channels:
    return (value, value, value)


PREPROCESSING: dict[str, Preprocessing] = {
    way.name: way
    for way in (
        Preprocessing("none", "the model takes 0-255 RGB as it is"),
        Preprocessing("unit", "x / 255: 0 to 1", divisor=_alike(255)),
        Preprocessing("tf", "x / 127.5 - 1: -1 to 1", _alike(127.5), _alike(127.5)),
        Preprocessing("lite", "(x - 127) / 128: about -1 to 1", _alike(127), _alike(128)),
        Preprocessing("half", "x / 128 - 1: about -1 to 1", _alike(128), _alike(128)),
        Preprocessing(
            "torch",
            "(x / 255 - the ImageNet mean) / its standard deviation, by channel",
            shift=(0.485 * 255, 0.456 * 255, 0.406 * 255),
            divisor=(0.229 * 255, 0.224 * 255, 0.225 * 255),
        ),
        Preprocessing(
            "caffe",
            "RGB to BGR, then minus the ImageNet mean by channel, not scaled",
            shift=(103.939, 116.779, 123.68),
            reverse=True,
        ),
    )
}


def preprocessing(name: str) -> Preprocessing:
    """Return a way of preprocessing by its name, or raise `InputError` with the valid names."""
    if name not in PREPROCESSING:
        raise unknown_name("preprocessing", name, PREPROCESSING)
    return PREPROCESSING[name]
