"""What deletion needs in memory beside the forward passes that it asks for, on each engine.

Run: ``python -m pytest benchmarks/test_memory.py --override-ini addopts= -s``. Each measurement is
a process of its own, which loads the model, does its work and reports the largest resident size
that it ever had (`ru_maxrss`). The work is deletion of eight images at 224 pixels a step. That of
the floor, which runs in TensorFlow whatever the engine, is the compiled forward pass of a few
batches as large as deletion's. What we want to reach is printed and never asserted.
"""

from __future__ import annotations

import importlib.util
import json
import resource
import subprocess
import sys

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from gradcam_eval.core import Curve
from gradcam_eval.metrics import deletion
from gradcam_eval.models.engine import Predictor
from gradcam_eval.models.zoo import load_model
from gradcam_eval.perturb import best_chunk

SIZE, IMAGES, POINTS, FORWARDS = 224, 8, 225, 8
WANTED = 300  # MB beyond the floor's
FLOOR = "the forward passes alone"


def work(kind: str) -> dict[str, float]:
    """Do one measurement's work in this process, and return its peak in MB and what was done."""
    engine = "tensorflow" if kind == FLOOR else kind
    predictor = Predictor(load_model("mobilenet_v2", weights=None), engine=engine)  # type: ignore[arg-type]
    generator = np.random.default_rng(0)
    pictures = generator.uniform(0, 255, (IMAGES, SIZE, SIZE, 3)).astype(np.float32)
    heatmaps = generator.random((IMAGES, 7, 7)).astype(np.float32)
    started = peak()
    chunk = best_chunk(IMAGES * POINTS)
    if kind == FLOOR:
        batch = np.resize(pictures, (chunk, SIZE, SIZE, 3))
        points = sum(len(predictor(batch)) for _ in range(FORWARDS))
    else:
        curves = deletion(predictor, pictures, heatmaps, [0] * IMAGES)
        points = sum(curve.score.size for curve in curves if isinstance(curve, Curve))
    return {"started": started, "peak": peak(), "points": points}


def peak() -> float:
    """Return the largest resident size of this process so far, in MB (of 10⁶ bytes)."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def measured(kind: str) -> dict[str, float]:
    """Do a measurement's work in a new process."""
    command = [sys.executable, __file__, kind]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    assert found["points"] == IMAGES * POINTS or kind == FLOOR
    return found


@pytest.mark.parametrize("engine", ["tensorflow", "frozen", "openvino"])
def test_peak_memory_of_deletion(benchmark: BenchmarkFixture, engine: str) -> None:
    """Measure the floor, and deletion beside it, once."""
    if engine == "openvino" and importlib.util.find_spec("openvino") is None:
        pytest.skip("openvino is not installed")
    floor = measured(FLOOR)
    found = benchmark.pedantic(measured, args=(engine,), rounds=1)
    beyond = found["peak"] - floor["peak"]
    benchmark.extra_info.update(beyond_the_floor_mb=beyond, measured=found, floor=floor)
    print(
        f"\n{engine}: deletion of {IMAGES} images peaks {beyond:+.0f} MB beyond its forward "
        f"passes' {floor['peak']:.0f} MB (wanted ≤ +{WANTED}); before any work "
        f"{found['started']:.0f} MB"
    )


if __name__ == "__main__":
    print(json.dumps(work(sys.argv[1])))
