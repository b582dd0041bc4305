"""What localization costs: all metrics but MaxBoxAcc, and MaxBoxAcc beside the direct way.

All metrics are timed twice, under one default protocol each: through `evaluate_all`, which a study
calls and which resizes and ranks a heatmap once for all of them, and metric by metric, where
nothing is shared.

Run: ``OMP_NUM_THREADS=1 python -m pytest benchmarks/test_localization.py``. The maps are 7 x 7,
rectified, as a usual last layer's, judged at 224 x 224. `extra_info` holds the seconds of processor
time for 1,000 maps: other work on the machine disturbs it less than the time on the clock. The
direct way searches the thresholded map at each of the 1,000 thresholds, as the published code does,
with SciPy's labelling in the place of OpenCV's contours.
"""

from __future__ import annotations

import time
from collections.abc import Callable

import numpy as np
import pytest
from numpy.typing import NDArray
from pytest_benchmark.fixture import BenchmarkFixture
from scipy import ndimage

from gradcam_eval.core import Case, Truth
from gradcam_eval.metrics import METRICS, evaluate, evaluate_all
from gradcam_eval.metrics.max_box import best_overlaps
from gradcam_eval.metrics.score_map import score_map

SIDE, MAPS, DIRECT = 224, 100, 3
ALL = [
    (metric.name, metric.default_protocol)
    for metric in METRICS.values()
    if metric.needs in ("truth", "labels") and metric.name != "max_box_acc"
]


@pytest.fixture(scope="module")
def cases() -> list[Case]:
    """Return cases with two objects each, an ignored strip, and an answer that is right."""
    generator = np.random.default_rng(0)
    cases = []
    for _ in range(MAPS):
        masks, boxes = [], []
        for corner in generator.integers(0, 120, (2, 2)):
            x, y = corner.tolist()
            mask = np.zeros((SIDE, SIDE), bool)
            mask[y : y + 90, x : x + 70] = True
            masks.append(mask)
            boxes.append([x, y, x + 70, y + 90])
        ignore = np.zeros((SIDE, SIDE), bool)
        ignore[-5:] = True
        drawn = np.array(boxes, np.float32)
        truth = Truth((SIDE, SIDE), drawn, masks[0] | masks[1], ignore, instances=tuple(masks))
        heatmap = np.maximum(generator.normal(size=(7, 7)), 0).astype(np.float32)
        image = np.zeros((1, 1, 3), np.float32)
        cases.append(Case(image, heatmap, 3, truth, truth, labels=(3,), predicted=(3, 1)))
    return cases


def test_all_metrics_of_a_heatmap(benchmark: BenchmarkFixture, cases: list[Case]) -> None:
    """Time every localization metric, as a study calls them: one heatmap after another."""
    taken: list[float] = []
    benchmark.pedantic(
        lambda: taken.append(processor_time(lambda: evaluate_all(ALL, cases))),
        rounds=5,
        warmup_rounds=1,
    )
    benchmark.extra_info["seconds_for_1000_maps"] = min(taken) * 1000 / MAPS
    print(f"\nseconds for 1,000 maps, all metrics: {min(taken) * 1000 / MAPS:.2f}")


def test_each_metric_alone(benchmark: BenchmarkFixture, cases: list[Case]) -> None:
    """Time every localization metric by itself, which shares nothing with the others."""
    seconds = {name: [] for name, _ in ALL}  # type: dict[str, list[float]]

    def run() -> None:
        for name, taken in seconds.items():
            taken.append(processor_time(lambda name=name: evaluate(name, cases)))  # type: ignore[misc]

    benchmark.pedantic(run, rounds=3, warmup_rounds=1)
    each = {name: min(taken) * 1000 / MAPS for name, taken in seconds.items()}
    benchmark.extra_info["seconds_for_1000_maps"] = sum(each.values())
    benchmark.extra_info["of_which"] = each
    print(f"\nseconds for 1,000 maps, each metric alone: {sum(each.values()):.2f}")
    for name, taken in sorted(each.items(), key=lambda item: -item[1]):
        print(f"  {name}: {taken:.2f}")


def processor_time(work: Callable[[], object]) -> float:
    """Return the seconds that this process computed."""
    start = time.process_time()
    work()
    return time.process_time() - start


@pytest.mark.parametrize("protocol", ["maxboxaccv2", "maxboxacc2020"])
def test_max_box_acc(benchmark: BenchmarkFixture, cases: list[Case], protocol: str) -> None:
    """Time MaxBoxAcc's part of each image."""
    taken: list[float] = []

    def run() -> None:
        taken.append(processor_time(lambda: evaluate("max_box_acc", cases, protocol_name=protocol)))

    benchmark.pedantic(run, rounds=2, warmup_rounds=1)
    benchmark.extra_info["seconds_for_1000_maps"] = min(taken) * 1000 / MAPS
    print(f"\n{protocol}: {min(taken) * 1000 / MAPS:.1f} seconds for 1,000 maps")


def test_max_box_acc_v2_against_the_direct_way(
    benchmark: BenchmarkFixture, cases: list[Case]
) -> None:
    """Time the boxes of all levels, and the search at 1,000 thresholds of the same maps."""
    maps = []
    for case in cases[:DIRECT]:
        scores = score_map(case.heatmap, (SIDE, SIDE))
        assert isinstance(scores, np.ndarray)
        maps.append((scores * 255).astype(np.int64))
    boxes = [case.truth.boxes for case in cases[:DIRECT]]
    direct_seconds: list[float] = []
    fast_seconds: list[float] = []

    def search() -> None:
        for levels in maps:
            for threshold in np.arange(0, 1, 0.001):
                contour_boxes(levels > int(threshold * 255))

    def sweep() -> None:
        for levels, drawn in zip(maps, boxes, strict=True):
            best_overlaps(levels, drawn, "all")

    benchmark.pedantic(
        lambda: fast_seconds.append(processor_time(sweep)),
        setup=lambda: direct_seconds.append(processor_time(search)),
        rounds=3,
    )
    ratio = min(direct_seconds) / min(fast_seconds)
    benchmark.extra_info["times_faster"] = ratio
    print(f"\nMaxBoxAccV2: {ratio:.1f} times faster than 1,000 searches")


def contour_boxes(above: NDArray[np.bool_]) -> int:
    """Find the boxes of all segments and holes; overlaps are not computed, to be fair."""
    segments, _ = ndimage.label(above, np.ones((3, 3)))
    holes, _ = ndimage.label(~above)
    return len(ndimage.find_objects(segments)) + len(ndimage.find_objects(holes))
