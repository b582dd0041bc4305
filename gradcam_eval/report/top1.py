"""Whether a model knows the labels of a data set at all, in a sentence for its report."""

from __future__ import annotations

import pandas as pd

from gradcam_eval.intervals import wilson_interval
from gradcam_eval.report.folder import Folder, about_model
from gradcam_eval.report.text import is_yes, percent, plural

FEWEST = 5  # labelled images: fewer say nothing
NEAR_NONE = 0.05


def label_warning(folder: Folder, model: str) -> str:
    """Warn where a model's first answers are hardly ever the label, or as often as by chance.

    That is so where labels are numbered otherwise than the classes, or pictures are not what the
    model was trained on; every metric that reads the label is then about the wrong class.

    Returns
    -------
    A sentence where, of 5 labelled images or more, the share of hits is 0.05 or less, or where
    chance (the mean number of labels ÷ the number of classes) is within the 95 % Wilson interval of
    that share or above it, and the share is in the lowest quarter above chance; "" otherwise
    """
    images = folder.labelled(model)
    n = len(images)
    if n < FEWEST:
        return ""
    hits = sum(map(is_yes, images["hit_top1"]))
    chance = _chance(folder, model, images)
    share = hits / n
    if share > NEAR_NONE and not _is_chance(hits, n, chance):
        return ""
    shown = "" if chance is None else f" (by chance {percent(chance)})"
    return (
        f"The labels may not mean the model's classes: its first answer is right on {hits} of "
        f"{plural(n, 'labelled image')}{shown}. Either they are numbered from 1 or in another "
        "order (see numbering and class_map), or the pictures are prepared otherwise than in "
        "training (preprocess, RGB or BGR, 0 to 1 or 0 to 255), or the model is no better. Metrics "
        "of the label and of the annotation may be about the wrong class."
    )


def _is_chance(hits: int, n: int, chance: float | None) -> bool:
    if chance is None or hits / n > chance + (1 - chance) / 4:
        return False
    return chance >= wilson_interval(hits, n)[0]


def _chance(folder: Folder, model: str, images: pd.DataFrame) -> float | None:
    """Return how often a random answer is right; None where the number of classes is unknown."""
    classes = about_model(folder.environment, "models", model).get("n_classes")
    if not isinstance(classes, int) or classes < 2:
        return None
    labels = images["labels"].map(lambda text: len(str(text).split("; "))).mean()
    return min(float(labels) / classes, 1.0)
