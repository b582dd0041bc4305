"""A ladder of heatmaps whose order is known before any metric has seen them."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from gradcam_eval.core import Heatmap, Image, Truth, Undefined
from gradcam_eval.methods.controls import ControlInput, oracle, random
from gradcam_eval.study.judge import seed_of

STEPS = 10
SHARES = tuple(step / STEPS for step in range(STEPS + 1))  # of noise, the best heatmap first
RUNGS = tuple(f"{share:.1f}" for share in SHARES)  # names of the heatmaps
BACKGROUND = 0.01  # the largest value of the graded oracle beside the object


def graded_oracle(mask: NDArray[np.bool_]) -> Heatmap:
    """Return the truth's mask with its ties resolved by the distance to the object's edge.

    g = 1/2 + d / (2 max d) on the object, d the distance of a pixel to the nearest pixel beside it;
    g = 0.01 (1 − e / max e) beside the object, e the distance to the nearest pixel on it.

    Parameters
    ----------
    mask : bool (H, W), with pixels on and beside the object

    Returns
    -------
    float32 (H, W), (1/2, 1] on the object, [0, 0.01) beside it: every pixel on it comes before
    every other, half of the maximum cuts it out, and nearly all of the map's energy is on it

    Notes
    -----
    A flat mask leaves the order of its pixels to a protocol's rule for ties. Which part of the
    object the model uses most is not known: the grading is a convention, and only the comparison
    with noise is known.
    """
    from scipy.ndimage import distance_transform_edt

    inside, outside = distance_transform_edt(mask), distance_transform_edt(~mask)
    graded = np.where(
        mask, 0.5 + inside / (2 * inside.max()), BACKGROUND * (1 - outside / outside.max())
    )
    return graded.astype(np.float32)


def ladder(image: Image, truth: Truth, *, seed: int) -> dict[str, Heatmap] | Undefined:
    """Return heatmaps of one image, from the graded oracle down to noise alone.

    h_s = (1 − s) g + s r for s = 0, .1, … 1, with g the graded oracle of the truth's mask (of its
    boxes where there is no mask) and r the control `random`, the same for all s.

    Parameters
    ----------
    image : float32 (H, W, C)
    truth : of the explained class, in the image's frame
    seed : of the noise

    Returns
    -------
    name → float32 (H, W) in 0..1, in the order of `RUNGS`; Undefined where there is no truth, or
    where it covers nothing or all of the image

    Notes
    -----
    In each image the correlation of h_s with g falls with every step: it is the cosine of the angle
    between the centred g and h_s, which turns from g to r. So the order holds by construction,
    whatever the model does.
    """
    noise = random(ControlInput(image, truth, np.random.default_rng(seed_of(seed, "noise"))))
    mask = oracle(ControlInput(image, truth, np.random.default_rng(seed)))
    if isinstance(mask, Undefined):
        return mask
    if not 0 < mask.mean() < 1:
        return Undefined("the truth covers nothing of the image, or all of it")
    best = graded_oracle(mask > 0)
    mixed = (np.float32(1 - share) * best + np.float32(share) * noise for share in SHARES)
    return dict(zip(RUNGS, mixed, strict=True))
