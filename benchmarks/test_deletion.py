"""What deletion costs beside the forward passes that it asks for, on each engine.

Run: ``python -m pytest benchmarks/test_deletion.py --override-ini addopts= -s``. One heatmap at 224
pixels a step asks for 225 forward passes. The floor is as many, of a plain `tf.function`, in the
batches that deletion takes. Floor and deletion take turns, so that a busy machine slows both. What
we want to reach stands beside the ratio and is never asserted: a test must not lean on timing.
`extra_info` holds the median of the rounds' ratios, and the ratio of the fastest rounds, which on a
busy machine is the steadier of the two.
"""

from __future__ import annotations

import importlib.util
import statistics
import time

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from gradcam_eval.core import Curve
from gradcam_eval.metrics import deletion
from gradcam_eval.models.engine import Engine, Predictor
from gradcam_eval.models.zoo import load_model
from gradcam_eval.perturb import best_chunk

SIZE, POINTS = 224, 225
ROUNDS = {1: 5, 8: 2}  # by the number of images
WANTED: dict[Engine, float] = {"frozen": 0.80, "openvino": 0.45}


@pytest.mark.parametrize("images", ROUNDS)
@pytest.mark.parametrize("engine", WANTED)
def test_deletion_against_its_forward_passes(
    benchmark: BenchmarkFixture, engine: Engine, images: int
) -> None:
    """Time deletion curves, one of each image, and before each round their floor."""
    if engine == "openvino" and importlib.util.find_spec("openvino") is None:
        pytest.skip("openvino is not installed")
    predictor = Predictor(load_model("mobilenet_v2", weights=None), engine=engine)
    generator = np.random.default_rng(0)
    pictures = generator.uniform(0, 255, (images, SIZE, SIZE, 3)).astype(np.float32)
    heatmaps = generator.random((images, 7, 7)).astype(np.float32)
    chunk = best_chunk(POINTS * images)
    batch = np.repeat(pictures[:1], chunk, axis=0)
    floors: list[float] = []

    def floor() -> None:
        start = time.perf_counter()
        for _ in range(POINTS * images // chunk):
            predictor.unwatched(batch)
        floors.append(time.perf_counter() - start)

    def run() -> int:
        curves = deletion(predictor, pictures, heatmaps, [0] * images)
        return sum(len(curve.score) for curve in curves if isinstance(curve, Curve))

    assert POINTS * images % chunk == 0
    deletion(predictor, pictures[:1], heatmaps[:1], [0])  # compiles; it is not measured
    predictor.unwatched(batch)
    points = benchmark.pedantic(run, setup=floor, rounds=ROUNDS[images])
    assert points == POINTS * images
    assert benchmark.stats is not None
    times = benchmark.stats.stats.data
    ratios = [taken / lowest for taken, lowest in zip(times, floors, strict=True)]
    benchmark.extra_info["floor_seconds"] = floors
    benchmark.extra_info["ratio_to_floor"] = statistics.median(ratios)
    benchmark.extra_info["ratio_of_fastest"] = min(times) / min(floors)
    print(
        f"\n{engine}, images: {images}: deletion / its {points} forwards: median of "
        f"{len(ratios)} rounds {statistics.median(ratios):.3f}, fastest "
        f"{min(times) / min(floors):.3f} (wanted ≤ {WANTED[engine]:g})"
    )
