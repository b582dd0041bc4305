"""The best set and a family of 500 cells × 50,000 images: seconds and peak memory.

Run: ``python -m pytest benchmarks/test_large_tables.py --override-ini addopts= -s``. Each procedure
runs in a process of its own, which makes the scores (200 MB of float64), runs it once and reports
its seconds and the largest resident size that the process ever had. The time of one matrix product
of the same size stands beside them: 2,000 flips of all scores are the least that a test needs.
"""

from __future__ import annotations

import json
import resource
import subprocess
import sys
import time

import numpy as np
import pytest
from pytest_benchmark.fixture import BenchmarkFixture

from gradcam_eval.core import Undefined
from gradcam_eval.statistics.families import simultaneous
from gradcam_eval.statistics.flips import DRAWS
from gradcam_eval.statistics.selection import confidence_set

IMAGES, CELLS = 50_000, 500
STEP = 100  # flips in the matrix product that is timed
MOST_MB = 1_500


def work(kind: str) -> dict[str, float]:
    """Do one procedure's work in this process, and return its seconds, its peak and its claims."""
    generator = np.random.default_rng(0)
    scores = generator.normal(size=(IMAGES, CELLS))
    scores += generator.normal(size=(IMAGES, 1))
    scores += np.linspace(0, 0.05, CELLS)
    made = peak()
    start = time.perf_counter()
    if kind == "best set":
        claims = int((~confidence_set(scores).is_in).sum())
    else:
        scores -= scores[:, CELLS // 2, None].copy()
        family = simultaneous(scores)
        assert not isinstance(family, Undefined)
        claims = int((family.p <= 0.05).sum())
    seconds = time.perf_counter() - start
    most = peak()
    start = time.perf_counter()
    np.ones((STEP, IMAGES)) @ scores
    product = (time.perf_counter() - start) * (DRAWS + 1) / STEP
    return {"seconds": seconds, "product": product, "made": made, "peak": most, "claims": claims}


def peak() -> float:
    """Return the largest resident size of this process so far, in MB (of 10⁶ bytes)."""
    unit = 1 if sys.platform == "darwin" else 1024
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * unit / 1e6


def measured(kind: str) -> dict[str, float]:
    """Do a procedure's work in a new process."""
    command = [sys.executable, __file__, kind]
    done = subprocess.run(command, stdout=subprocess.PIPE, text=True, check=True)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


@pytest.mark.parametrize("kind", ["best set", "family"])
def test_large_tables(benchmark: BenchmarkFixture, kind: str) -> None:
    """Measure each procedure once; its memory is bounded."""
    found = benchmark.pedantic(measured, args=(kind,), rounds=1)
    benchmark.extra_info.update(found)
    print(
        f"\n{kind} of {CELLS} cells × {IMAGES:,} images: {found['seconds']:.0f} s (the matrix "
        f"product of its flips alone {found['product']:.0f} s), peak {found['peak']:.0f} MB, of "
        f"which {found['made']:.0f} before; {found['claims']:.0f} cells told apart"
    )
    assert found["peak"] < MOST_MB


if __name__ == "__main__":
    print(json.dumps(work(sys.argv[1])))
