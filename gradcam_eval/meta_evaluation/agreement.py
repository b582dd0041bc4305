"""Do the metrics agree about the heatmaps of the ladder?"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gradcam_eval.core import Undefined
from gradcam_eval.intervals import bootstrap_interval
from gradcam_eval.meta_evaluation.concordance import kendalls_w, krippendorff_alpha
from gradcam_eval.meta_evaluation.ladder import RUNGS
from gradcam_eval.meta_evaluation.outcome import score_frame
from gradcam_eval.meta_evaluation.reliability import ranks_of

GROUPS = {
    "all": ("predict", "truth", "labels"),
    "faithfulness": ("predict",),
    "localization": ("truth", "labels"),
}


@dataclass(frozen=True)
class Concordance:
    """How far a group of metrics agrees; None where it does not exist.

    Attributes
    ----------
    group : a key of `GROUPS`
    metrics : how many
    images : those of which a W exists
    kendall_w, low, high : mean over images of Kendall's W of the metrics' rankings of the
        heatmaps, with its 95 % bootstrap interval
    kendall_w_of_mean_ranks : of each metric's mean rank of each heatmap
    krippendorff_alpha : ordinal; raters are metrics, units are heatmaps of images, values are ranks
        within the image
    """

    group: str
    metrics: int
    images: int
    kendall_w: float | None
    low: float | None
    high: float | None
    kendall_w_of_mean_ranks: float | None
    krippendorff_alpha: float | None

    def as_dict(self) -> dict[str, Any]:
        """Return it for JSON."""
        return asdict(self)


def concordances(records: pd.DataFrame, *, seed: int = 0) -> list[Concordance]:
    """Return how far the metrics agree: all, those that ask the model, and those of the truth.

    Parameters
    ----------
    records : of `score_ladder`, with the column needs
    seed : of the bootstrap
    """
    return [
        _concordance(name, records[records["needs"].isin(needs)], seed)
        for name, needs in GROUPS.items()
    ]


def _concordance(name: str, records: pd.DataFrame, seed: int) -> Concordance:
    ranks = _ranks(records)
    by_image = [kendalls_w(rows[~np.isnan(rows).any(1)]) for rows in ranks.transpose(1, 0, 2)]
    known = np.array([w for w in by_image if not isinstance(w, Undefined)])
    low, high = (
        bootstrap_interval(known[:, None], seed=seed)[:, 0] if len(known) > 1 else (None,) * 2
    )
    complete = [table[~np.isnan(table).any(1)] for table in ranks]
    means = [table.mean(0) for table in complete if len(table)]
    of_means = kendalls_w(np.stack(means)) if means else Undefined("no metric has a value")
    alpha = krippendorff_alpha(ranks.reshape(len(ranks), ranks.shape[1] * len(RUNGS)))
    return Concordance(
        name,
        len(ranks),
        len(known),
        float(known.mean()) if len(known) else None,
        None if low is None else float(low),
        None if high is None else float(high),
        _known(of_means),
        _known(alpha),
    )


def _known(value: float | Undefined) -> float | None:
    return None if isinstance(value, Undefined) else value


def _ranks(records: pd.DataFrame) -> NDArray[np.float64]:
    """Return ranks (metrics, images, heatmaps), ties at their mean; NaN: not all are known."""
    samples = records["sample"].unique()
    tables = [
        ranks_of(score_frame(group).reindex(samples).to_numpy(float))
        for _, group in records.groupby(["metric", "protocol"], sort=False)
    ]
    return np.array(tables, float).reshape(len(tables), len(samples), len(RUNGS))
