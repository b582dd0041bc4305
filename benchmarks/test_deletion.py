"""What deletion costs beyond the forward passes that it cannot do without.

Run: ``python -m pytest benchmarks/test_deletion.py``. One heatmap at 224 pixels a step asks for
225 forward passes. The floor is those 225, compiled, in the same batches of 25. Floor and deletion
take turns, so that a busy machine slows both. `extra_info` holds the median of the rounds' ratios
and the ratio of the fastest rounds, which on a busy machine is the steadier of the two.
"""

from __future__ import annotations

import statistics
import time

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from gradcam_eval.metrics import deletion
from gradcam_eval.models.engine import Predictor
from gradcam_eval.models.zoo import load_model
from gradcam_eval.perturb import best_chunk

SIZE, POINTS, ROUNDS = 224, 225, 5


@pytest.fixture(scope="module")
def predictor() -> Predictor:
    """Return a model without trained weights: they would cost the same."""
    return Predictor(load_model("efficientnet_lite0", weights=None))


def test_deletion_against_its_forward_passes(
    benchmark: BenchmarkFixture, predictor: Predictor
) -> None:
    """Time one deletion curve and, before each round, its floor."""
    generator = np.random.default_rng(0)
    image = generator.uniform(0, 255, (1, SIZE, SIZE, 3)).astype(np.float32)
    heatmap = generator.random((1, 7, 7)).astype(np.float32)
    chunk = best_chunk(POINTS)
    batch = np.repeat(image, chunk, axis=0)
    floors: list[float] = []

    def floor() -> None:
        start = time.perf_counter()
        for _ in range(POINTS // chunk):
            predictor(batch)
        floors.append(time.perf_counter() - start)

    def run() -> int:
        (curve,) = deletion(predictor, image, heatmap, [0])
        return len(curve.score)  # type: ignore[union-attr]

    assert POINTS % chunk == 0
    run()  # the first call compiles; it is not measured
    floor()
    floors.clear()
    points = benchmark.pedantic(run, setup=floor, rounds=ROUNDS)
    assert points == POINTS
    assert benchmark.stats is not None
    times = benchmark.stats.stats.data
    ratios = [taken / lowest for taken, lowest in zip(times, floors, strict=True)]
    benchmark.extra_info["floor_seconds"] = floors
    benchmark.extra_info["ratio_to_floor"] = statistics.median(ratios)
    benchmark.extra_info["ratio_of_fastest"] = min(times) / min(floors)
    print(
        f"deletion / its {POINTS} forwards: median of rounds {statistics.median(ratios):.3f}, "
        f"fastest {min(times) / min(floors):.3f}"
    )
