"""What heatmaps cost beside the compiled forward pass of the same run.

Run: ``python -m pytest benchmarks/test_heatmaps.py --override-ini addopts= -s``. Each row is the
median over rounds of the ratio to the forward pass (`Predictor.unwatched`, a `tf.function`) of the
same round, with quartiles: everything takes turns, so that a busy machine slows all alike. What we
want to reach stands beside it and is never asserted: a test must not lean on timing. Weights are
random, and so is what batch normalisation has to subtract and add, as it is after training: with
the zeros that a new model has, a frozen graph has no biases, and TensorFlow joins an activation to
a convolution only behind a bias.
"""

from __future__ import annotations

import importlib.util
import math
from collections.abc import Callable
from functools import partial
from typing import Any

import keras
import numpy as np
import pytest
import tensorflow as tf
from pytest_benchmark.fixture import BenchmarkFixture

from gradcam_eval.methods import METHODS
from gradcam_eval.methods.explainer import Explainer
from gradcam_eval.models.engine import Predictor
from gradcam_eval.models.zoo import load_model
from gradcam_eval.timing import Timing, measure

ROUNDS = {1: 21, 16: 7}
MIDDLE = {"mobilenet_v2": "block_6_expand_relu", "resnet50": "conv3_block4_out"}
ONE_PASS = [m.name for m in METHODS.values() if m.kind == "cam" and not m.refuses]
GRADIENT = [name for name in ONE_PASS if METHODS[name].needs_gradient and "eigen" not in name]

# Nothing that multiplies in float32 can be much faster than the matrix product of large squares.
SIDE = 2048
PRODUCT = f"product of {SIDE}×{SIDE} matrices"
BOUND = "its operations at a product's rate"

# name → layers, methods, engine, the ratio wanted at batch 1 and 16
PASSES: dict[str, tuple[str, Any, str, tuple[float | None, float | None]]] = {
    "last layer": ("last", "grad_cam", "auto", (0.8, 0.8)),
    "last layer, tensorflow": ("last", "grad_cam", "tensorflow", (None, None)),
    "last layer, openvino": ("last", "grad_cam", "openvino", (0.35, 0.5)),
    "middle layer": ("middle", "grad_cam", "auto", (1.5, 1.5)),
    "middle layer, openvino": ("middle", "grad_cam", "openvino", (None, None)),
    "all layers × grad_cam": ("all", "grad_cam", "auto", (None, None)),
    f"all layers × {len(GRADIENT)} gradient methods": ("all", GRADIENT, "auto", (3.0, 3.0)),
}


@pytest.fixture(scope="module", params=list(MIDDLE))
def passes(request: pytest.FixtureRequest) -> tuple[str, int, dict[str, Callable[[Any], Any]]]:
    """Return a model's name, its operations, and what is timed on it."""
    name: str = request.param
    model = load_model(name, weights=None)
    _set_statistics(model)
    made: dict[str, Callable[[Any], Any]] = {"forward": Predictor(model).unwatched}
    has_openvino = importlib.util.find_spec("openvino") is not None
    for title, (layers, methods, engine, _) in PASSES.items():
        chosen = MIDDLE[name] if layers == "middle" else layers
        if engine != "openvino" or has_openvino:
            made[title] = Explainer(model, chosen, methods, engine=engine)  # type: ignore[arg-type]
    square = tf.random.stateless_normal((SIDE, SIDE), (0, 0))
    made[PRODUCT] = lambda _: tf.matmul(square, square).numpy()
    return name, _operations(model), made


def _set_statistics(model: keras.Model) -> None:
    """Give each batch normalisation a scale, a mean, an offset and a variance, as training does."""
    draw = np.random.default_rng(0)
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.BatchNormalization):
            for variable, mean in zip(layer.weights, (1.0, 0.0, 0.0, 1.0), strict=True):
                variable.assign(mean + draw.uniform(-0.3, 0.3, variable.shape))


def _operations(model: keras.Model) -> int:
    """Return how many multiplications and additions convolutions and Dense layers take an image."""
    count = 0
    for layer in model._flatten_layers():
        if isinstance(layer, keras.layers.Conv2D | keras.layers.Dense):
            count += 2 * layer.kernel.shape.num_elements() * math.prod(layer.output.shape[1:-1])
        if isinstance(layer, keras.layers.DepthwiseConv2D):
            height, width = layer.kernel.shape[:2]
            count += 2 * height * width * math.prod(layer.output.shape[1:])
    return count


@pytest.mark.parametrize("batch_size", ROUNDS)
def test_heatmaps_against_the_forward_pass(
    benchmark: BenchmarkFixture,
    passes: tuple[str, int, dict[str, Callable[[Any], Any]]],
    batch_size: int,
) -> None:
    """Time all passes side by side, and the last layer's for the record of pytest-benchmark."""
    name, operations, made = passes
    noise = np.random.default_rng(0).uniform(0, 255, (batch_size, 224, 224, 3)).astype(np.float32)
    timings = measure(
        {title: partial(run, noise) for title, run in made.items()}, rounds=ROUNDS[batch_size]
    )
    print(f"\n{name}, batch {batch_size}, {ROUNDS[batch_size]} rounds")
    floor = timings["forward"]
    print(f"  {'forward':<38}{floor.quantile(0.5):8.1f} ms")
    share = batch_size * operations / (2 * SIDE**3)
    print(_row(BOUND, Timing(0, tuple(share * t for t in timings[PRODUCT].values_ms)), floor, None))
    for title, timing in timings.items():
        if title in PASSES:
            print(_row(title, timing, floor, PASSES[title][3][batch_size > 1]))
            benchmark.extra_info[title] = timing.ratio_to(floor)
    benchmark.pedantic(made["last layer"], args=(noise,), rounds=3)


def _row(title: str, timing: Timing, floor: Timing, wanted: float | None) -> str:
    ratios = np.divide(timing.values_ms, floor.values_ms)
    low, median, high = np.quantile(ratios, (0.25, 0.5, 0.75))
    want = f"  (wanted ≤ {wanted:g})" if wanted else ""
    return (
        f"  {title:<38}{timing.quantile(0.5):8.1f} ms  "
        f"ratio {median:5.2f} [{low:.2f}, {high:.2f}]{want}"
    )
