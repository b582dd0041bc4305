"""Measure the trained networks on pictures of the split `test`, and write that down.

    python datasets/evidence/measure.py                   # all of them, some 5 minutes
    python datasets/evidence/measure.py evidence_vit --pictures /tmp/x

How often they are right, and how often the highest point of last-layer Grad-CAM lies within 8
pixels of the object, beside a random map's. These pictures are for measuring alone: nothing of a
network was ever chosen by them.
"""

from __future__ import annotations

import argparse
import json
from pathlib import Path

import keras
import numpy as np
from arrays import Pictures, pictures
from manifest import record
from train import predicted

import gradcam_eval as ge
from gradcam_eval.data.evidence.variants import SIZE, make_scene
from gradcam_eval.intervals import wilson_interval
from gradcam_eval.methods.explainer import Explainer
from gradcam_eval.metrics import pointing_game

TEST = range(1000, 5000)  # the first 1000 were looked at while earlier networks were made
POINTED = TEST[:500]
CLEAN, MARKED = ("single", "multi", "small"), ("", "_removed", "_moved")
MEASURED = {
    "evidence_gap": (*CLEAN, "null"),
    "evidence_confounded": tuple(f"confounded{end}" for end in MARKED),
    "evidence_flat": CLEAN,
    "evidence_vit": CLEAN,
}


def right(name: str, variant: str, cache: Path | None) -> dict[str, list[float]]:
    """Return how often the predicted class is right, with 95 % intervals."""
    seen = pictures(variant, "test", TEST, cache)
    model = ge.load_model("evidence_blind" if variant == "null" else name)
    found = predicted(model, seen.images)
    counted = {"accuracy": found == seen.labels}
    if variant == "multi":
        counted["any_class_present"] = seen.shares[np.arange(len(found)), found] > 0
    if variant == "confounded_moved":
        counted["says_what_the_watermark_says"] = found == seen.marks
    return {key: share(hits) for key, hits in counted.items()}


def share(hits: np.ndarray) -> list[float]:
    """Return how many are True, of how many, and the Wilson interval of the share, 95 %."""
    ends = wilson_interval(int(hits.sum()), len(hits))
    return [int(hits.sum()), len(hits), *(round(end, 4) for end in ends)]


def pointed(model: keras.Model, cache: Path | None) -> dict[str, list[float]]:
    """Return how often a map's highest point lies within 8 pixels of the object of `single`."""
    seen = pictures("single", "test", TEST, cache)
    first = Pictures(*(each[: len(POINTED)] for each in vars(seen).values()))
    masks = [make_scene("single", index).seen("object")[0].mask for index in POINTED]
    maps = Explainer(model, methods="grad_cam")(first.images.astype(np.float32), first.labels)
    (heatmaps,) = maps.resized((SIZE, SIZE)).values()
    noise = np.random.default_rng(1).uniform(size=heatmaps.shape).astype(np.float32)
    return {
        key: share(np.array([hit is True for hit in pointing_game(each, masks=masks, tolerance=8)]))
        for key, each in (("grad_cam", heatmaps), ("random", noise))
    }


def main() -> None:
    """Measure what was asked for, and write it down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=list(MEASURED))
    parser.add_argument("--pictures", type=Path)
    asked = parser.parse_args()
    for name in asked.names:
        test = {variant: right(name, variant, asked.pictures) for variant in MEASURED[name]}
        found = {"test": test, "points": pointed(ge.load_model(name), asked.pictures)}
        print(name, json.dumps(found, indent=1))
        record(name, found)


if __name__ == "__main__":
    main()
