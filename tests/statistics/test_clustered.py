"""Intervals of images that come in clusters: what they cover, and where they must be wider."""

import numpy as np
import pandas as pd
import pytest

from gradcam_eval.intervals import bootstrap_interval
from gradcam_eval.statistics.effects import effect_of
from gradcam_eval.statistics.units import clustered_interval
from gradcam_eval.stats import summarise


@pytest.mark.parametrize("count", [5, 10])
def test_twenty_classes_keep_the_promise(count):
    """At an intra-class correlation of .3; as if images were independent, 65-80 % is covered.

    At 95 %, 200 studies cover 178 or fewer with a chance of .0003.
    """
    units = np.arange(20 * count) % 20
    covers = naive = 0
    for seed in range(200):
        generator = np.random.default_rng(seed)
        group = generator.normal(size=20)[units]
        x = np.sqrt(0.3) * group + np.sqrt(0.7) * generator.normal(size=20 * count)
        low, high = clustered_interval(x, units)
        covers += low <= 0 <= high
        low, high = bootstrap_interval(x[:, None], resamples=50)[:, 0]
        naive += low <= 0 <= high
    assert covers >= 180
    assert naive < 170


def test_the_share_of_images_won_counts_clusters():
    won, units = np.repeat([1.0, -1.0, 1.0, 1.0], 10), np.repeat(np.arange(4), 10)
    alone, together = effect_of(won, 1.0), effect_of(won, 1.0, units=units)
    assert together.share == alone.share == 0.75
    assert together.share_low < alone.share_low
    assert together.share_high > alone.share_high


def test_a_summary_of_mostly_zeros_has_a_share_of_fewer_images():
    rows = [
        {"model": "net", "layer": "a", "method": "m", "kind": "cam", "sample": f"s{i}"}
        | {"metric": "deletion", "protocol": "p", "status": "value", "value": 1.5 * (i < 8)}
        for i in range(40)
    ]
    plain = summarise(pd.DataFrame(rows)).iloc[0]
    found = summarise(pd.DataFrame(rows), clusters={f"s{i}": f"c{i // 4}" for i in range(40)})
    found = found.iloc[0]
    assert pd.isna(found["low"])
    assert found["nonzero"] == plain["nonzero"] == pytest.approx(0.2)
    assert found["nonzero_low"] < plain["nonzero_low"]
