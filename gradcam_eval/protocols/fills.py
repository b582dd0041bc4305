"""What replaces a pixel that is removed, as a record: a rule with its numbers."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal, TypeAlias

FillRule: TypeAlias = Literal[
    "colour", "image_mean", "gaussian_blur", "rise_blur", "uniform_noise", "noisy_linear"
]

# The mean colour of ImageNet, RGB, 0..255: 255 x (0.485, 0.456, 0.406), which the published torch
# models subtract. Their normalised input is 0 there.
IMAGENET_MEAN = (123.675, 116.28, 103.53)


@dataclass(frozen=True)
class Fill:
    """What stands where a pixel was removed, whatever the model's own normalisation.

    Attributes
    ----------
    rule : "colour" (one colour for all images: a constant, or a data set's mean), "image_mean"
        (each image's own mean colour), "gaussian_blur" (a true Gaussian, the border reflected),
        "rise_blur" (the blur of the authors of RISE), "uniform_noise" (each value drawn from
        0..255, one draw for an image) or "noisy_linear" (ROAD's: the weighted mean of a pixel's
        neighbours, removed ones included, and noise; it follows what is removed at each point)
    colour : RGB, 0..255, of "colour"; of "rise_blur" the colour seen beyond the border
    sigma : the Gaussian's standard deviation, in pixels; that of the noise of "noisy_linear", in
        grey levels
    kernel : side of the square kernel of "rise_blur", in pixels
    weights : of "noisy_linear", of the neighbours across an edge and across a corner
    """

    rule: FillRule
    colour: tuple[float, ...] | None = None
    sigma: float | None = None
    kernel: int | None = None
    weights: tuple[float, float] | None = None


MEAN_COLOUR = Fill("colour", colour=IMAGENET_MEAN)
BLACK = Fill("colour", colour=(0.0, 0.0, 0.0))
IMAGE_MEAN = Fill("image_mean")
NOISY_LINEAR = Fill("noisy_linear", sigma=2.55, weights=(1 / 6, 1 / 12))
