"""Which metric tells the better heatmap from the worse, by how much, from how many images?"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import numpy as np
import pandas as pd

from gradcam_eval.aggregates import MEAN
from gradcam_eval.intervals import Estimator, Values, wilson_interval
from gradcam_eval.meta_evaluation.known_quality import PAIRS, QUALITIES
from gradcam_eval.metrics import METRICS
from gradcam_eval.records import checked_records, column_of, estimator_of, values_of

FEWEST = 5  # images: no verdict from fewer
SIZES = (5, 8, 12, 20, 30, 50, 80, 120, 200, 300)
SUBSETS, POWER = 40, 0.8
_RESAMPLES = 500  # in each subset
RULE = (
    "A metric tells a pair where the 95 % interval of the paired margin lies above 0 and the lower "
    "end of Wilson's 95 % interval of the share of images in the right order lies above 1/2; it "
    "tells on average where only the first holds and more images are right than wrong. It is "
    "reversed where the interval lies below 0 and more images are wrong than right, and cannot "
    "tell otherwise. Values equal to 1e-6 are ties, which count as not in order. The smallest n "
    f"is the first of {', '.join(map(str, SIZES))} and all images at which that interval lies "
    f"above 0 in {POWER:.0%} of {SUBSETS} random subsets. Fewer than {FEWEST} images with both "
    "values: undecided."
)


def pair_table(records: pd.DataFrame, *, seed: int = 0) -> pd.DataFrame:
    """Return one row for each metric and each pair of neighbours in quality.

    margin = better minus worse, with the sign turned where lower is better, so that positive is
    right. For a metric whose value is no mean over images it is that of the aggregates, and shares
    are of each image's own value.

    Parameters
    ----------
    records : of `judge_known`
    seed : of the bootstrap and of the subsets

    Returns
    -------
    Columns metric, protocol, needs, higher_is_better, better, worse, n (images with both values),
    missing (undefined or failed), right, tied, wrong, share, share_low, share_high, margin,
    margin_low, margin_high, smallest_n (NA: it does not tell), verdict; see `RULE`
    """
    records = checked_records(records)
    rows = [
        _pair(group, pair, estimator_of(group, seed=seed))
        for _, group in records.groupby(["metric", "protocol"], sort=False)
        for pair in PAIRS
    ]
    return pd.DataFrame(rows).astype({"smallest_n": "Int64"})


def _pair(group: pd.DataFrame, pair: tuple[str, str], rule: Estimator) -> dict[str, Any]:
    """Return the row of one metric and one pair."""
    metric = METRICS[group["metric"].iloc[0]]
    up = metric.higher_is_better
    values = _side_by_side(group, pair, MEAN)
    first, second = (values[name].to_numpy(float) for name in pair)
    right, wrong = _orders(first, second, up)
    n, hits = len(values), int(right.sum())
    share, bounds = (hits / n, wilson_interval(hits, n)) if n else (np.nan, (np.nan, np.nan))
    parts = _side_by_side(group, pair, rule.aggregate)
    sides = [column_of(parts[name]) for name in (pair if up else pair[::-1])]
    margin = rule.paired([(sides[0], sides[1])])[0].tolist()
    found = _verdict(n, (hits, int(wrong.sum())), bounds[0], (margin[1], margin[2]))
    tells = found.startswith("tells")
    return {
        "metric": metric.name,
        "protocol": group["protocol"].iloc[0],
        "needs": metric.needs,
        "higher_is_better": up,
        "better": pair[0],
        "worse": pair[1],
        "n": n,
        "missing": group["sample"].nunique() - n,
        "right": hits,
        "tied": n - hits - int(wrong.sum()),
        "wrong": int(wrong.sum()),
        "share": share,
        "share_low": bounds[0],
        "share_high": bounds[1],
        **dict(zip(("margin", "margin_low", "margin_high"), margin, strict=True)),
        "smallest_n": _smallest(sides[0], sides[1], rule) if tells else pd.NA,
        "verdict": found,
    }


def _side_by_side(group: pd.DataFrame, pair: tuple[str, str], aggregate: str) -> pd.DataFrame:
    """Return the images for which both heatmaps have a value."""
    columns = [values_of(group, ("", "", name), aggregate) for name in pair]
    return pd.concat(columns, axis=1, join="inner", keys=pair).dropna()


def _orders(first: Values, second: Values, up: bool) -> tuple[Values, Values]:
    """Return where the first is the better one, and where the second is; both False in a tie."""
    gain = (first - second) if up else (second - first)
    tied = np.isclose(first, second, rtol=1e-6, atol=1e-9)
    return (gain > 0) & ~tied, (gain < 0) & ~tied


def _verdict(n: int, orders: tuple[int, int], share_low: float, margin: tuple[float, float]) -> str:
    """Apply `RULE`; `orders` counts the images in the right and in the wrong order."""
    right, wrong = orders
    if n < FEWEST:
        return "undecided"
    if margin[0] > 0 and right > wrong:
        return "tells" if share_low > 0.5 else "tells on average"
    return "reversed" if margin[1] < 0 and wrong > right else "cannot tell"


def _smallest(left: Values, right: Values, rule: Estimator) -> int:
    """Return the smallest number of images from which the margin is seen; it is, in all."""
    generator = np.random.default_rng(rule.seed)
    short = Estimator(rule.aggregate, rule.is_hits, rule.seed, _RESAMPLES)
    for size in (size for size in SIZES if size < len(left)):
        chosen = [generator.permutation(len(left))[:size] for _ in range(SUBSETS)]
        lows = short.paired([(left[each], right[each]) for each in chosen])[:, 1]
        if (lows > 0).mean() >= POWER:
            return size
    return len(left)


def whole_orders(records: pd.DataFrame) -> pd.DataFrame:
    """Return how often each metric puts all four heatmaps in the right order, without a tie.

    Returns
    -------
    Columns metric, protocol, n (images with all four values), share, low, high (Wilson's)
    """
    rows = []
    for metric, protocol, scores in score_tables(records):
        steps = [_orders(scores[:, k], scores[:, k + 1], True)[0] for k in range(len(PAIRS))]
        n, hits = len(scores), int(np.all(steps, axis=0).sum())
        low, high = wilson_interval(hits, n) if n else (np.nan, np.nan)
        share = hits / n if n else np.nan
        rows.append(
            {"metric": metric, "protocol": protocol, "n": n}
            | {"share": share, "low": low, "high": high}
        )
    return pd.DataFrame(rows)


def score_tables(records: pd.DataFrame) -> Iterator[tuple[str, str, Values]]:
    """Yield each metric's values (images, 4), higher being better, of images that have all four."""
    for (metric, protocol), group in records.groupby(["metric", "protocol"], sort=False):
        yield str(metric), str(protocol), score_frame(group, str(metric)).dropna().to_numpy(float)


def score_frame(group: pd.DataFrame, metric: str) -> pd.DataFrame:
    """Return one metric's values, images × qualities, higher being better; NaN: no value."""
    table = group.pivot(index="sample", columns="method", values="value")[list(QUALITIES)]
    return table.astype(float) * (1 if METRICS[metric].higher_is_better else -1)
