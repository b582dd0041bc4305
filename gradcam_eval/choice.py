"""How sure the choice of the best cell is: would other images of this kind have chosen it, too?

The mean of the best of many cells is optimistic, because the same images chose the cell. Resamples
of the images show how much of the choice is theirs: each chooses anew.
"""

from __future__ import annotations

import numpy as np
import pandas as pd

from gradcam_eval.core import InputError, Undefined
from gradcam_eval.intervals import RESAMPLES, Estimator, Values, resampled
from gradcam_eval.records import checked_records, column_of, estimator_of, table_of
from gradcam_eval.stats import ROUNDING


def choice_shares(
    records: pd.DataFrame, *, higher_is_better: bool, seed: int = 0, resamples: int = RESAMPLES
) -> pd.DataFrame | Undefined:
    """Return in what share of resamples of the images each cell is the best.

    share_c = Σ_b [c is best in resample b] / (T_b B), b = 1..B, where T_b cells are the best in b;
    a resample draws as many images as there are, with replacement, and a cell's value in it is its
    mean, or the metric's own aggregate, over the images drawn.

    Parameters
    ----------
    records : as in `stats.summarise`, of one model, metric and protocol; controls do not compete
    higher_is_better : the metric's direction
    seed, resamples : of the bootstrap; an aggregate that is no mean takes 1,000 resamples at most

    Returns
    -------
    DataFrame with layer, method and share (0..1, 1 in sum), the largest first; Undefined where
    fewer than two images have a value for every cell. Only those images are drawn from, so that
    all cells compete on the same.

    Raises
    ------
    InputError : records of several models, metrics or protocols

    Notes
    -----
    The share says how stable the choice is; it is no probability that the cell is the best. With
    few images it is a coarse figure, as their bootstrap is. Cells less than `ROUNDING` apart are
    equally good.

    References
    ----------
    Efron & Tibshirani 1993 (the bootstrap); Hall & Miller 2009, Annals of Statistics 37, 3929-3959
    (the bootstrap of a ranking, which is not consistent among cells that are nearly alike).
    """
    records = checked_records(records)
    kinds = records[["model", "metric", "protocol"]].drop_duplicates()
    if len(kinds) > 1:
        raise InputError(
            f"the records hold {len(kinds)} pairs of a model and a metric: keep those of one"
        )
    cells = records[records["kind"] != "control"]
    rule = estimator_of(records, seed=seed, resamples=resamples)
    table = table_of(cells, rule.aggregate).dropna()
    if len(table) < 2 or table.shape[1] == 0:
        return Undefined("fewer than two images have a value for every cell")
    votes = _votes([column_of(table[cell]) for cell in table], rule, 1 if higher_is_better else -1)
    shares = pd.DataFrame({"share": votes}, index=table.columns).reset_index()
    return shares.sort_values("share", ascending=False, kind="stable", ignore_index=True)


def _votes(columns: list[Values], rule: Estimator, sign: int) -> Values:
    votes = np.zeros(len(columns))
    count = 0
    for values in resampled(columns, rule):
        best = (sign * values).max(axis=1, keepdims=True)
        is_best = np.isclose(sign * values, best, rtol=ROUNDING, atol=1e-12)
        votes += (is_best / is_best.sum(axis=1, keepdims=True)).sum(axis=0)
        count += len(values)
    return votes / count
