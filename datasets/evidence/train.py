"""Train the networks for planted evidence, and write their weights.

    python datasets/evidence/train.py                     # all four, one after another
    python datasets/evidence/train.py evidence_gap        # one of them
    python datasets/evidence/train.py --pictures /tmp/x   # keep the pictures between runs

Weights go to `<name>.npz` beside this file; the recipe, the minutes and how often the network is
right on pictures of the split `validation` go into `manifest.json`. Whatever is chosen by figures
is chosen by those; `measure.py` then looks at the split `test`. Pictures and the order of training
are decided by the seed; the last bits of the weights depend on the machine.
"""

from __future__ import annotations

import argparse
import hashlib
import time
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from pathlib import Path

import keras
import numpy as np
from arrays import Pictures, pictures
from manifest import record

from gradcam_eval.models.evidence import build_evidence

HERE = Path(__file__).parent
BATCH = 64
VALIDATION = range(1000)
CLEAN = {"single": 16000, "multi": 3200, "small": 3200}  # training pictures of each variant


@dataclass(frozen=True)
class Recipe:
    """How one network is trained.

    Attributes
    ----------
    pictures : how many of each variant's training split
    epochs : how often each picture is seen
    begins_with : how many of its first convolutions come from `evidence_gap`, trained before
    rate : the highest learning rate
    warm_up : steps in which the rate rises to it, before it falls as a cosine does
    outside : weight of the penalty on what tokens away from all objects say of the class
    seed : of the first weights, and of the order and the turning of pictures
    """

    pictures: dict[str, int]
    epochs: int
    begins_with: int = 0
    rate: float = 3e-3
    warm_up: int = 250
    outside: float = 0.0
    seed: int = 1


RECIPES = {
    "evidence_gap": Recipe(CLEAN, 16, rate=5e-3),
    "evidence_confounded": Recipe({"confounded": 6400}, 6, rate=5e-3, warm_up=60),
    "evidence_flat": Recipe(CLEAN, 10, begins_with=4),
    "evidence_vit": Recipe(CLEAN, 8, begins_with=4, rate=1.5e-3, outside=0.01),
}


def batches(given: list[Pictures], seed: int) -> Iterator[tuple[np.ndarray, dict[str, np.ndarray]]]:
    """Yield images and answers for ever, each batch turned by quarters and mirrored at random."""
    images, shares, objects = (
        np.concatenate([getattr(each, part) for each in given])
        for part in ("images", "shares", "objects")
    )
    far = (~grown(objects)).astype(np.float32)
    rng = np.random.default_rng(seed)
    while True:
        order = rng.permutation(len(images))
        for start in range(0, len(order) - BATCH + 1, BATCH):
            chosen = order[start : start + BATCH]
            turns, mirrored = rng.integers(4), rng.integers(2)
            turned = [np.rot90(each[chosen], turns, axes=(1, 2)) for each in (images, far)]
            if mirrored:
                turned = [each[:, :, ::-1] for each in turned]
            answers = {"class": shares[chosen], "far": turned[1].reshape(BATCH, -1)}
            yield turned[0].astype(np.float32), answers


def grown(cells: np.ndarray) -> np.ndarray:
    """Return the cells and their eight neighbours, (N, 12, 12)."""
    height, width = cells.shape[1:]
    padded = np.pad(cells, ((0, 0), (1, 1), (1, 1)))
    shifts = [(down, right) for down in range(3) for right in range(3)]
    return np.any([padded[:, y : y + height, x : x + width] for y, x in shifts], axis=0)


def train(name: str, recipe: Recipe, cache: Path | None) -> keras.Model:
    """Train one network by a recipe, and round its weights to float16."""
    given = [pictures(each, "train", range(n), cache) for each, n in recipe.pictures.items()]
    keras.utils.set_random_seed(recipe.seed)
    model = build_evidence(name, weights=None)
    if recipe.begins_with:
        begin_with(model, build_evidence("evidence_gap"), recipe.begins_with)
    steps = sum(recipe.pictures.values()) // BATCH
    rate = keras.optimizers.schedules.CosineDecay(
        0.0,
        steps * recipe.epochs - recipe.warm_up,
        warmup_target=recipe.rate,
        warmup_steps=recipe.warm_up,
    )
    taught = keras.Model(model.input, {"class": model.output, **far_outputs(model, recipe)})
    taught.compile(
        keras.optimizers.AdamW(rate, weight_decay=1e-3),
        {key: LOSSES[key] for key in taught.output},
        loss_weights={key: {"class": 1.0, "far": recipe.outside}[key] for key in taught.output},
        metrics={"class": ["accuracy"]},
        jit_compile=False,  # XLA on a CPU takes several times as long
    )
    wanted = (
        (images, {key: answers[key] for key in taught.output})
        for images, answers in batches(given, recipe.seed)
    )
    taught.fit(wanted, steps_per_epoch=steps, epochs=recipe.epochs, verbose=2)
    rounded = [weight.astype(np.float16).astype(np.float32) for weight in model.get_weights()]
    model.set_weights(rounded)
    return model


def far_outputs(model: keras.Model, recipe: Recipe) -> dict[str, keras.KerasTensor]:
    """Return what each token says of each class, (B, 144, 6), if the recipe penalises it.

    The network averages its tokens before the last Dense, which is linear: so its logits are the
    mean of what this Dense says of each token.
    """
    if not recipe.outside:
        return {}
    return {"far": model.get_layer("logits")(model.get_layer("avg_pool").input)}


def far_evidence(far: keras.KerasTensor, evidence: keras.KerasTensor) -> keras.KerasTensor:
    """Return the mean square of what far tokens say for or against a class, (B,)."""
    centred = evidence - keras.ops.mean(evidence, axis=-1, keepdims=True)
    said = keras.ops.sum(keras.ops.square(centred), axis=-1) * far
    return keras.ops.sum(said, axis=-1) / keras.ops.maximum(keras.ops.sum(far, axis=-1), 1.0)


LOSSES = {"class": keras.losses.CategoricalCrossentropy(), "far": far_evidence}


def begin_with(model: keras.Model, trained: keras.Model, count: int) -> None:
    """Copy the first convolutions and their normalisations, which lie in the same order."""
    kinds = (keras.layers.Conv2D, keras.layers.BatchNormalization)
    ours, theirs = (
        [layer for layer in each.layers if isinstance(layer, kinds)] for each in (model, trained)
    )
    for to, source in zip(ours[: 2 * count], theirs[: 2 * count], strict=True):
        to.set_weights(source.get_weights())


def main() -> None:
    """Train what was asked for, and write it down."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("names", nargs="*", default=list(RECIPES))
    parser.add_argument("--pictures", type=Path)
    asked = parser.parse_args()
    for name in asked.names:
        began = time.perf_counter()
        model = train(name, RECIPES[name], asked.pictures)
        file = HERE / f"{name}.npz"
        weights = {f"w{i:03}": w.astype(np.float16) for i, w in enumerate(model.get_weights())}
        np.savez_compressed(file, **weights)
        variant = next(iter(RECIPES[name].pictures))
        seen = pictures(variant, "validation", VALIDATION, asked.pictures)
        right = [int((predicted(model, seen.images) == seen.labels).sum()), len(VALIDATION)]
        print(f"{name}: {right[0]} of {right[1]} right on {variant}, split validation")
        entry = {
            "sha256": hashlib.sha256(file.read_bytes()).hexdigest(),
            "parameters": model.count_params(),
            "command": f"python datasets/evidence/train.py {name}",
            "recipe": asdict(RECIPES[name]),
            "minutes": round((time.perf_counter() - began) / 60, 1),
            "validation": {variant: right},
        }
        record(name, entry, anew=True)


def predicted(model: keras.Model, images: np.ndarray) -> np.ndarray:
    """Return the predicted class of each image, (N,)."""
    scores = model.predict(images.astype(np.float32), batch_size=100, verbose=0)
    return np.argmax(scores, axis=-1)


if __name__ == "__main__":
    main()
