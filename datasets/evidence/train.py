"""Train the networks for planted evidence, and write their weights and what they reach.

    python datasets/evidence/train.py                     # all four once, some 20 minutes
    python datasets/evidence/train.py evidence_gap        # one of them
    python datasets/evidence/train.py evidence_gap --on   # go on from the weights that are there
    python datasets/evidence/train.py evidence_gap --on --epochs 6 --seed 2
    python datasets/evidence/train.py --pictures /tmp/x   # keep the pictures between runs

The published weights took several runs; the manifest lists the commands. Weights go to
`<name>.npz` beside this file, and figures into `manifest.json`. Pictures and the order of training
are decided by the seed; the last bits of the weights depend on the machine.
"""

from __future__ import annotations

import argparse
import hashlib
import json
import multiprocessing
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Any

import keras
import numpy as np

from gradcam_eval.data.evidence.variants import CLASSES, make_scene, shown_classes
from gradcam_eval.intervals import wilson_interval
from gradcam_eval.models.evidence import build_evidence

HERE = Path(__file__).parent
TEST_IMAGES = 1000  # of each variant
CLEAN = {"single": 9600, "multi": 3200, "small": 3200}  # training pictures of each variant


@dataclass(frozen=True)
class Recipe:
    """How one network is trained.

    Attributes
    ----------
    pictures : how many of each variant's training split
    epochs : how often each picture is seen
    begins_with : how many of its first convolutions come from `evidence_gap`, trained already
    rate : the highest learning rate
    warm_up : steps in which the rate rises to it, before it falls as a cosine does
    seed : of the first weights, and of the order and the turning of pictures; a run that goes on
        wants another, lest it meets the same batches again
    """

    pictures: dict[str, int]
    epochs: int
    begins_with: int = 0
    rate: float = 5e-3
    warm_up: int = 60
    seed: int = 1


RECIPES = {
    "evidence_gap": Recipe(CLEAN, 14),
    "evidence_confounded": Recipe({"confounded": 6400}, 6),
    "evidence_flat": Recipe(CLEAN, 4, begins_with=4),
    "evidence_vit": Recipe(CLEAN, 6, begins_with=3, rate=1.5e-3),
}
# What of a recipe an option changes.
CHANGEABLE = {"epochs": int, "rate": float, "warm_up": int, "seed": int}
SEEN = ("single", "multi", "small", "null")
MARKED = ("confounded", "confounded_removed", "confounded_moved")


def picture(wanted: tuple[str, str, int]) -> tuple[np.ndarray, np.ndarray, int, int]:
    """Return pixels, the share of each class in the label, the class, and the watermark's class."""
    variant, split, index = wanted
    label, other, mark = shown_classes(variant, index, split=split)
    share = np.zeros(len(CLASSES), np.float32)
    share[[label, other] if other >= 0 else label] = 1
    return make_scene(variant, index, split=split).pixels, share / share.sum(), label, mark


def pictures(variant: str, split: str, count: int, cache: Path | None) -> tuple[np.ndarray, ...]:
    """Return what `picture` does for the first images of a split, stacked."""
    file = cache / f"{variant}-{split}-{count}.npz" if cache else None
    if file and file.exists():
        with np.load(file) as arrays:
            return tuple(arrays[key] for key in arrays.files)
    with multiprocessing.get_context("spawn").Pool(2) as pool:
        made = pool.map(picture, [(variant, split, k) for k in range(count)], chunksize=100)
    stacked = tuple(np.stack(each) for each in zip(*made, strict=True))
    if file:
        file.parent.mkdir(parents=True, exist_ok=True)
        np.savez(file, *stacked)
    return stacked


def batches(
    images: np.ndarray, shares: np.ndarray, seed: int, size: int = 64
) -> Iterator[tuple[np.ndarray, np.ndarray]]:
    """Yield batches for ever, each turned by quarters and mirrored at random."""
    rng = np.random.default_rng(seed)
    while True:
        order = rng.permutation(len(images))
        for start in range(0, len(order) - size + 1, size):
            chosen = order[start : start + size]
            batch = np.rot90(images[chosen], rng.integers(4), axes=(1, 2))
            if rng.integers(2):
                batch = batch[:, :, ::-1]
            yield batch.astype(np.float32), shares[chosen]


def train(name: str, recipe: Recipe, cache: Path | None, *, goes_on: bool) -> keras.Model:
    """Train one network by a recipe, and round its weights to float16."""
    parts = [pictures(variant, "train", n, cache) for variant, n in recipe.pictures.items()]
    images, shares = (np.concatenate([part[i] for part in parts]) for i in (0, 1))
    keras.utils.set_random_seed(recipe.seed)
    model = build_evidence(name, weights="imagenet" if goes_on else None)
    if not goes_on and recipe.begins_with:
        begin_with(model, build_evidence("evidence_gap"), recipe.begins_with)
    steps = len(images) // 64
    rate = keras.optimizers.schedules.CosineDecay(
        0.0,
        steps * recipe.epochs - recipe.warm_up,
        warmup_target=recipe.rate,
        warmup_steps=recipe.warm_up,
    )
    model.compile(
        keras.optimizers.AdamW(rate, weight_decay=1e-3),
        keras.losses.CategoricalCrossentropy(),
        metrics=["accuracy"],
        jit_compile=False,  # XLA on a CPU takes several times as long
    )
    model.fit(
        batches(images, shares, recipe.seed), steps_per_epoch=steps, epochs=recipe.epochs, verbose=2
    )
    rounded = [weight.astype(np.float16).astype(np.float32) for weight in model.get_weights()]
    model.set_weights(rounded)
    return model


def begin_with(model: keras.Model, trained: keras.Model, count: int) -> None:
    """Copy the first convolutions and their normalisations, which lie in the same order."""
    kinds = (keras.layers.Conv2D, keras.layers.BatchNormalization)
    ours, theirs = (
        [layer for layer in each.layers if isinstance(layer, kinds)] for each in (model, trained)
    )
    for to, source in zip(ours[: 2 * count], theirs[: 2 * count], strict=True):
        to.set_weights(source.get_weights())


def figures(model: keras.Model, variant: str, cache: Path | None) -> dict[str, object]:
    """Return how often the predicted class is right on the test split, with 95 % intervals."""
    images, shares, labels, marks = pictures(variant, "test", TEST_IMAGES, cache)
    found = model.predict(images.astype(np.float32), batch_size=100, verbose=0).argmax(axis=-1)
    counted = {"accuracy": found == labels}
    if variant == "multi":
        counted["any_class_present"] = shares[np.arange(len(found)), found] > 0
    if variant == "confounded_moved":
        counted["says_what_the_watermark_says"] = found == marks
    return {
        key: [int(hits.sum()), len(hits), *(round(end, 4) for end in interval(hits))]
        for key, hits in counted.items()
    }


def interval(hits: np.ndarray) -> tuple[float, float]:
    """Return the Wilson interval of a share, 95 %."""
    return wilson_interval(int(hits.sum()), len(hits))


def main() -> None:
    """Train what was asked for, and write it down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=list(RECIPES))
    parser.add_argument("--pictures", type=Path)
    parser.add_argument("--on", action="store_true")
    for key, kind in CHANGEABLE.items():
        parser.add_argument(f"--{key}", type=kind)
    parser.add_argument("--single", type=int, help="how many pictures of `single`")
    asked = parser.parse_args()
    changes: dict[str, Any] = {
        key: getattr(asked, key) for key in CHANGEABLE if getattr(asked, key)
    }
    for name in asked.names:
        began = time.perf_counter()
        runs = known()["networks"][name]["runs"] if asked.on else []
        recipe = replace(RECIPES[name], **changes)
        if asked.single:
            recipe = replace(recipe, pictures={**recipe.pictures, "single": asked.single})
        model = train(name, recipe, asked.pictures, goes_on=asked.on)
        file = HERE / f"{name}.npz"
        weights = {f"w{i:03}": w.astype(np.float16) for i, w in enumerate(model.get_weights())}
        np.savez_compressed(file, **weights)
        blind = build_evidence("evidence_blind", weights=None)
        found = {}
        for variant in MARKED if name == "evidence_confounded" else SEEN:
            if variant != "null":
                found[variant] = figures(model, variant, asked.pictures)
            elif name == "evidence_gap":
                blind.set_weights(model.get_weights())
                found[variant] = figures(blind, variant, asked.pictures)
        entry = {
            "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
            "parameters": model.count_params(),
            "runs": [*runs, this_run(name, recipe, asked.on, time.perf_counter() - began)],
            "test": found,
        }
        print(name, json.dumps(entry, indent=1))
        write(name, entry)


def this_run(name: str, recipe: Recipe, goes_on: bool, seconds: float) -> dict[str, Any]:
    """Return the command that does this again, and by which recipe."""
    command = f"python datasets/evidence/train.py {name}" + " --on" * goes_on
    for key in CHANGEABLE:
        if getattr(recipe, key) != getattr(RECIPES[name], key):
            command += f" --{key} {getattr(recipe, key)}"
    if recipe.pictures != RECIPES[name].pictures:
        command += f" --single {recipe.pictures['single']}"
    return {"command": command, **asdict(recipe), "minutes": round(seconds / 60, 1)}


def known() -> dict[str, Any]:
    """Return the manifest as it is."""
    path = HERE / "manifest.json"
    return json.loads(path.read_text(encoding="utf-8")) if path.exists() else {"networks": {}}


def write(name: str, entry: dict[str, object]) -> None:
    """Put one network's entry into the manifest."""
    manifest = known()
    manifest["networks"][name] = entry
    (HERE / "manifest.json").write_text(json.dumps(manifest, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
