"""Replace pixels of images by a fill, many at a time, and read the model's score each time."""

from gradcam_eval.perturb.fills import constant_fill, filled, gaussian_blur, rise_blur
from gradcam_eval.perturb.linear import impute
from gradcam_eval.perturb.scores import (
    CHUNK,
    Perturbation,
    best_chunk,
    image_scores,
    masked_scores,
    scores_at,
)

__all__ = [
    "CHUNK",
    "Perturbation",
    "best_chunk",
    "constant_fill",
    "filled",
    "gaussian_blur",
    "image_scores",
    "impute",
    "masked_scores",
    "rise_blur",
    "scores_at",
]
