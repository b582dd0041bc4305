"""What ROAD costs beyond the forward passes that it cannot do without.

Run: ``python -m pytest benchmarks/test_road.py``. Nine fractions of several heatmaps are imputed
and looked at; the floor is as many forward passes, compiled, in the same batches. Floor and ROAD
take turns, so that a busy machine slows both.
"""

from __future__ import annotations

import statistics
import time

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from gradcam_eval.core import Curve
from gradcam_eval.metrics import road_morf
from gradcam_eval.models.engine import Predictor
from gradcam_eval.models.zoo import load_model
from gradcam_eval.perturb import best_chunk

SIZE, FRACTIONS, HEATMAPS, ROUNDS = 224, 9, 8, 3


@pytest.mark.parametrize("model", ["efficientnet_lite0", "mobilenet_v2"])
def test_road_against_its_forward_passes(benchmark: BenchmarkFixture, model: str) -> None:
    """Time ROAD's curves of some heatmaps of one image and, before each round, their floor."""
    predictor = Predictor(load_model(model, weights=None))
    generator = np.random.default_rng(0)
    image = generator.uniform(0, 255, (1, SIZE, SIZE, 3)).astype(np.float32)
    heatmaps = generator.random((HEATMAPS, 7, 7)).astype(np.float32)
    points = FRACTIONS * HEATMAPS
    chunk = best_chunk(points)
    batch = np.repeat(image, chunk, axis=0)
    floors: list[float] = []

    def floor() -> None:
        start = time.perf_counter()
        for _ in range(points // chunk):
            predictor.unwatched(batch)
        floors.append(time.perf_counter() - start)

    def run() -> int:
        curves = road_morf(predictor, image, heatmaps, [0] * HEATMAPS)
        return sum(curve.score.size for curve in curves if isinstance(curve, Curve))

    assert points % chunk == 0
    run()  # the first call compiles; it is not measured
    floor()
    floors.clear()
    assert benchmark.pedantic(run, setup=floor, rounds=ROUNDS) == points
    assert benchmark.stats is not None
    times = benchmark.stats.stats.data
    ratios = [taken / lowest for taken, lowest in zip(times, floors, strict=True)]
    benchmark.extra_info["floor_seconds"] = floors
    benchmark.extra_info["ratio_to_floor"] = statistics.median(ratios)
    benchmark.extra_info["ratio_of_fastest"] = min(times) / min(floors)
    print(
        f"ROAD of {HEATMAPS} heatmaps / its {points} forwards, {model}: median of rounds "
        f"{statistics.median(ratios):.3f}, fastest {min(times) / min(floors):.3f}"
    )
