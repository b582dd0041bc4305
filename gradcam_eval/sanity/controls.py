"""The controls of a sanity check: heatmaps that no check may take for an explanation."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gradcam_eval.core import Heatmap, Truth
from gradcam_eval.methods.controls import ControlInput, edges, random

CONTROL_LAYER = ""  # as in a study: a control looks at no layer
NOISE, EDGES, IMAGE = "noise", "edges", "image"


def image_controls(images: NDArray[np.float32]) -> dict[tuple[str, str], Heatmap]:
    """Return the controls that look at the image alone, each (N, H, W).

    `edges` is the Sobel gradient of the luminance, `image` the mean over the channels.
    """
    return {
        (CONTROL_LAYER, EDGES): np.stack([edges(_given(image, 0)) for image in images]),
        (CONTROL_LAYER, IMAGE): images.mean(axis=-1),
    }


def score_noise(
    images: NDArray[np.float32], scores: NDArray[np.float32], seed: int
) -> dict[tuple[str, str], Heatmap]:
    """Return coarse noise that the bits of each image's score seed, (N, H, W).

    It changes with every change of the model, so it passes any check that asks only for change.
    """
    bits = np.asarray(scores, np.float32).view(np.uint32)
    noise = [random(_given(x, seed, int(each))) for x, each in zip(images, bits, strict=True)]
    return {(CONTROL_LAYER, NOISE): np.stack(noise)}


def unrelated_noise(
    images: NDArray[np.float32], seed: int, draw: int
) -> dict[tuple[str, str], Heatmap]:
    """Return coarse noise, (N, H, W), that neither the images nor the model seed."""
    noise = [random(_given(x, seed, draw, n)) for n, x in enumerate(images)]
    return {(CONTROL_LAYER, NOISE): np.stack(noise)}


def _given(image: NDArray[np.float32], *seed: int) -> ControlInput:
    return ControlInput(image, Truth(image.shape[:2]), np.random.default_rng(seed))
