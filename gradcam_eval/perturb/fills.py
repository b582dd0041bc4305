"""What stands where pixels were removed: images like the given ones, float32, 0..255."""

from __future__ import annotations

from collections.abc import Callable, Sequence

import numpy as np
from numpy.typing import NDArray
from scipy import ndimage

from gradcam_eval.core import InputError
from gradcam_eval.protocols import Fill
from gradcam_eval.values import LUMINANCE


def filled(
    images: NDArray[np.float32], fill: Fill, generator: np.random.Generator | None = None
) -> NDArray[np.float32]:
    """Return what a removed pixel of each image becomes, shaped like `images` (N, H, W, C).

    Only "uniform_noise" needs the generator; its draw is the same for all the images.

    Raises
    ------
    InputError : "noisy_linear", which is another picture for each set of removed pixels
    """
    if fill.rule == "noisy_linear":
        raise InputError(
            "the fill 'noisy_linear' follows what is removed: it works in deletion, insertion, "
            "MoRF, LeRF and ABPC; choose another one here."
        )
    rules: dict[str, Callable[[], NDArray[np.float32]]] = {
        "colour": lambda: constant_fill(images, fill.colour or ()),
        "image_mean": lambda: image_mean_fill(images),
        "gaussian_blur": lambda: gaussian_blur(images, sigma=fill.sigma or 0.0),
        "rise_blur": lambda: rise_blur(
            images, kernel=fill.kernel or 0, sigma=fill.sigma or 0.0, border=fill.colour or ()
        ),
        "uniform_noise": lambda: uniform_noise(images, generator or np.random.default_rng(0)),
    }
    return rules[fill.rule]()


def constant_fill(images: NDArray[np.float32], colour: Sequence[float]) -> NDArray[np.float32]:
    """Return images of one colour, shaped like `images` (N, H, W, C).

    `colour` has C values; of grey images, C = 1, an RGB colour becomes its luminance.
    """
    return np.broadcast_to(_of_channels(images, colour).astype(np.float32), images.shape).copy()


def image_mean_fill(images: NDArray[np.float32]) -> NDArray[np.float32]:
    """Return each image's own mean colour: (N, H, W, C) → the same shape."""
    mean = images.mean(axis=(1, 2), keepdims=True, dtype=np.float64).astype(np.float32)
    return np.broadcast_to(mean, images.shape).copy()


def gaussian_blur(images: NDArray[np.float32], *, sigma: float) -> NDArray[np.float32]:
    """Blur each image with a true Gaussian of `sigma` pixels; beyond the border it is mirrored.

    The kernel ends at 4 sigma (0.006 % of its weight is beyond). The border is d c b a | a b c d.
    """
    return ndimage.gaussian_filter(
        images, (0, sigma, sigma, 0), mode="reflect", truncate=4.0
    ).astype(np.float32)


def uniform_noise(
    images: NDArray[np.float32], generator: np.random.Generator
) -> NDArray[np.float32]:
    """Return values drawn evenly from 0..255, the same for all images of (N, H, W, C)."""
    drawn = generator.uniform(0, 255, images.shape[1:]).astype(np.float32)
    return np.broadcast_to(drawn, images.shape).copy()


def rise_blur(
    images: NDArray[np.float32], *, kernel: int, sigma: float, border: Sequence[float]
) -> NDArray[np.float32]:
    """Blur images as the authors of RISE do for insertion.

    ``blurred = border + correlate(images - border, k)``, zero outside the image, where ``k`` is
    what `scipy.ndimage.gaussian_filter` makes of an impulse in the middle of a kernel x kernel
    square.

    Parameters
    ----------
    images : float32 (N, H, W, C), 0..255
        What to blur.
    kernel : int, odd
        Side of the square kernel in pixels.
    sigma : float
        Standard deviation of the Gaussian in pixels.
    border : C floats, 0..255
        The colour seen beyond the border; for grey images, of an RGB colour its luminance.

    Returns
    -------
    float32 (N, H, W, C), 0..255

    Notes
    -----
    The reference code convolves the *normalised* image with zero padding: zero is the mean colour
    there, so in 0..255 terms the border is the mean colour, not black. A convolution is linear and
    its kernel sums to 1, so the division by the standard deviation cancels out.

    SciPy reflects the impulse at the border of the small square, which folds the cut tails of the
    Gaussian back in: with 11 pixels and sigma 5 the kernel is almost a box (0.0077 to 0.0088
    against 1/121 = 0.0083). It is kept so, because the published numbers were made with it.

    References
    ----------
    Petsiuk, Das, Saenko: RISE, BMVC 2018; repository eclique/RISE, evaluation.py (gkern).
    """
    colour = _of_channels(images, border)
    impulse = np.zeros(kernel)
    impulse[kernel // 2] = 1
    weights = ndimage.gaussian_filter1d(impulse, sigma, mode="reflect")
    blurred = images.astype(np.float64) - colour
    for axis in (1, 2):
        blurred = ndimage.correlate1d(blurred, weights, axis=axis, mode="constant", cval=0.0)
    return (blurred + colour).astype(np.float32)


def _of_channels(images: NDArray[np.float32], colour: Sequence[float]) -> NDArray[np.float64]:
    """Return a colour of as many values as the images have channels."""
    if images.shape[-1] == 1 and len(colour) == 3:
        return np.array([np.dot(LUMINANCE, colour)])
    if images.shape[-1] != len(colour):
        raise InputError(
            f"images have {images.shape[-1]} channels, but the fill colour {tuple(colour)} has "
            f"{len(colour)}: give images with {len(colour)} channels, or a protocol with another "
            "fill."
        )
    return np.asarray(colour, np.float64)
