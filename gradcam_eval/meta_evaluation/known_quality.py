"""Heatmaps whose order is known before any metric has seen them."""

from __future__ import annotations

import itertools

import numpy as np

from gradcam_eval.arrays import blur
from gradcam_eval.core import Heatmap, Image, Truth, Undefined
from gradcam_eval.methods.controls import ControlInput, oracle, random
from gradcam_eval.study.judge import seed_of

QUALITIES = ("oracle", "good", "random", "inverted")  # the best first
PAIRS = tuple(itertools.pairwise(QUALITIES))
NOISE = 1 / 3  # share of `random` in `good`
BLUR = 1 / 16  # of the shorter side: σ of the blur in `good`


def known_heatmaps(image: Image, truth: Truth, *, seed: int) -> dict[str, Heatmap] | Undefined:
    """Return four heatmaps of one image, from the best to the worst.

    oracle = m, the truth's mask (its boxes where there is none);
    good = 2/3 · blur(m) + 1/3 · noise, σ of the blur a sixteenth of the shorter side;
    random = other noise of the same kind; inverted = 1 − m.

    Parameters
    ----------
    image : float32 (H, W, 3)
    truth : of the explained class, in the image's frame
    seed : of the two noises, which are the control `random` twice

    Returns
    -------
    name → float32 (H, W) in 0..1, in the order of `QUALITIES`; Undefined where there is no truth

    Notes
    -----
    `good` is made by mixing, not by Grad-CAM: its place between oracle and random then holds by
    construction, whatever the network does. `inverted` is 1 − m and not −m, which has the same
    order of pixels but no relevance anywhere for a metric that looks at what is positive.
    """
    noises = (np.random.default_rng(seed_of(seed, name)) for name in ("good", "random"))
    mixed, alone = (random(ControlInput(image, truth, each)) for each in noises)
    mask = oracle(ControlInput(image, truth, np.random.default_rng(seed)))
    if isinstance(mask, Undefined):
        return mask
    if not 0 < mask.mean() < 1:
        return Undefined("the truth covers nothing of the image, or all of it")
    smooth = blur(mask, BLUR * min(mask.shape))
    return {
        "oracle": mask,
        "good": ((1 - NOISE) * smooth + NOISE * mixed).astype(np.float32),
        "random": alone,
        "inverted": 1 - mask,
    }
