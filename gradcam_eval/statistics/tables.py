"""The public procedures: a table of records in, a table of claims out."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from gradcam_eval.core import InputError, Undefined, unknown_name
from gradcam_eval.intervals import Values
from gradcam_eval.records import Cell
from gradcam_eval.statistics.design import DESIGN, Design
from gradcam_eval.statistics.effects import effect_of
from gradcam_eval.statistics.families import Family, simultaneous
from gradcam_eval.statistics.frames import Scores, scores_of
from gradcam_eval.statistics.inputs import cells_of, check_clusters
from gradcam_eval.statistics.selection import Selection, confidence_set
from gradcam_eval.statistics.units import FEWEST, plural_units

_KEYS = ["model", "layer", "method"]


def compare_all(
    records: pd.DataFrame,
    *,
    metric: str,
    reference: Cell | Sequence[Cell],
    higher_is_better: bool,
    design: Design = DESIGN,
) -> pd.DataFrame:
    """Compare every cell with a reference, all at once, paired by image.

    Parameters
    ----------
    records : columns model, layer, method, sample, metric, value; see `frames.scores_of`
    metric : its name
    reference : (model, layer, method), layer "" for a control; or several of them, of which every
        pair with a cell is in one family
    higher_is_better : the metric's direction
    design : the alternative ("better" by default), the error rate of the whole family (.05),
        clusters of images that are not independent, and the seed

    Returns
    -------
    DataFrame, one row for each cell that is no control (and no reference) and each reference:
    model, layer, method, reference (its name), images (pairs), units, difference (cell minus
    reference, in the metric's unit), low, high (simultaneous 1 − level interval; with "better" and
    "worse" one end, the other one is NA), p (adjusted), is_shown (p ≤ level), relative (gain over
    the score's range), share, share_low, share_high (images won, Wilson's 1 − level interval),
    rank_biserial (positive = better) and note (why there is no p). What does not exist is NA.

    Raises
    ------
    InputError : as `scores_of`, or a reference that is no such triple or not in the records

    Notes
    -----
    The test is `families.simultaneous`; values of a whole data set enter by `contributions`. No
    claim is made from fewer than 6 independent units.
    """
    scores = scores_of(records, metric=metric, higher_is_better=higher_is_better, design=design)
    check_clusters(records, design.cluster)
    return compare_scores(scores, cells_of(reference))


def compare_scores(
    scores: Scores,
    references: Sequence[Any],
    *,
    cells: Sequence[Cell] | None = None,
) -> pd.DataFrame:
    """Return the table of `compare_all` for scores; `cells` are those compared, all by default."""
    pairs = _pairs(scores, references, cells)
    if not pairs:
        return _frame([])
    table = _side_by_side(scores, pairs)
    gains = table.to_numpy(float)
    units = scores.units(list(table.index))
    family = simultaneous(gains, units=units, is_hits=scores.is_hits, design=scores.design)
    span = scores.range
    rows = []
    for at, (cell, reference) in enumerate(pairs):
        known = ~np.isnan(gains[:, at])
        gain, own = gains[known, at], units[known] if scores.clusters else None
        names = {"reference": " · ".join(filter(None, reference[1:]))}
        names |= dict(zip(_KEYS, cell, strict=True))
        rows.append(
            names
            | _row(gain, family, at, scores)
            | _effects(gain, span, own, level=scores.design.level)
        )
    return _frame(rows)


def _pairs(
    scores: Scores, references: Sequence[Cell], cells: Sequence[Cell] | None
) -> list[tuple[Cell, Cell]]:
    """Return each cell with each reference but itself."""
    for reference in references:
        if reference not in scores.kinds:
            raise unknown_name("reference", reference, map(str, scores.kinds))
    chosen = scores.cells if cells is None else list(cells)
    return [(cell, ref) for ref in references for cell in chosen if cell != ref]


def _side_by_side(scores: Scores, pairs: list[tuple[Cell, Cell]]) -> pd.DataFrame:
    """Return the differences of all pairs, samples × pairs, NaN where one has no value."""
    blocks = []
    for reference in dict.fromkeys(ref for _, ref in pairs):
        mine = [cell for cell, ref in pairs if ref == reference]
        values, samples = scores.differences(mine, reference)
        blocks.append(pd.DataFrame(values, index=samples))
    return pd.concat(blocks, axis=1).sort_index()


def _row(gain: Values, family: Family | Undefined, at: int, scores: Scores) -> dict[str, Any]:
    """Return the test's part of a row, in the metric's unit."""
    n, sign = len(gain), scores.sign
    if isinstance(family, Undefined) or family.units[at] < FEWEST:
        few = family.reason if isinstance(family, Undefined) else plural_units(family.units[at])
        note = few if n else "no image has both values"
        mean = sign * float(gain.mean()) if n else None
        return {"images": n, "difference": mean, "is_shown": False, "note": note}
    widest = scores.estimator.widest
    ends = [
        None if np.isinf(end) else sign * float(np.clip(end, -widest, widest))
        for end in (family.low[at], family.high[at])
    ]
    low, high = ends[::sign]
    p = float(family.p[at])
    return {
        "images": n,
        "units": int(family.units[at]),
        "difference": sign * float(family.difference[at]),
        "low": low,
        "high": high,
        "p": p,
        "is_shown": p <= scores.design.level,
        "note": "",
    }


def _effects(
    gain: Values, span: float, units: NDArray[np.intp] | None, *, level: float
) -> dict[str, Any]:
    if not len(gain):
        return {}
    effect = effect_of(gain, span, units=units, level=level)
    names = ("relative", "share", "share_low", "share_high", "rank_biserial")
    return {name: getattr(effect, name) for name in names}


def _frame(rows: list[dict[str, Any]]) -> pd.DataFrame:
    texts = [*_KEYS, "reference"]
    counts = ["images", "units"]
    numbers = ["difference", "low", "high", "p"]
    effects = ["relative", "share", "share_low", "share_high", "rank_biserial"]
    columns = [*texts, *counts, *numbers, "is_shown", *effects, "note"]
    frame = pd.DataFrame(rows, columns=columns)
    kinds = dict.fromkeys(counts, "Int64") | dict.fromkeys([*numbers, *effects], "Float64")
    return frame.astype(kinds | {"is_shown": bool})


def best_set(
    records: pd.DataFrame, *, metric: str, higher_is_better: bool, design: Design = DESIGN
) -> pd.DataFrame:
    """Return the cells that the data cannot tell from the best one: a model confidence set.

    Parameters
    ----------
    records, metric, higher_is_better : as for `compare_all`, of one model
    design : its level: the best cell is missing from the set in at most this share of studies

    Returns
    -------
    DataFrame of the set's cells, the best mean first: model, layer, method, mean (or the value of
    the data set, in the metric's unit), images (shared by all that compete) and p. Controls do not
    compete, nor do cells with values on fewer than half of the images. Below 6 independent units
    all that compete are in the set, and where they share no image their mean is NA. Empty where no
    cell has a value.

    Raises
    ------
    InputError : as `scores_of`, or records of several models
    """
    scores = scores_of(records, metric=metric, higher_is_better=higher_is_better, design=design)
    check_clusters(records, design.cluster)
    if len(models := {cell[0] for cell in scores.cells}) > 1:
        raise InputError(
            f"the records are of {len(models)} models ({', '.join(sorted(models))}), whose scores "
            "do not compare: keep those of one."
        )
    frame = selection_table(scores)[1]
    return frame[frame.pop("is_in")].astype({"mean": "Float64"}).reset_index(drop=True)


def selection_table(scores: Scores) -> tuple[Selection, pd.DataFrame]:
    """Return the confidence set of scores, and a row for each competing cell, best mean first.

    Columns model, layer, method, mean, images, p, is_in.
    """
    cells = scores.competing()
    values, samples = scores.shared(cells)
    found = confidence_set(values, units=scores.units(samples), design=scores.design)
    means = values.mean(0) if len(samples) else np.full(len(cells), np.nan)
    frame = pd.DataFrame(cells, columns=_KEYS).assign(
        mean=scores.sign * means, images=len(samples), p=found.p, is_in=found.is_in
    )
    order = np.argsort(-means, kind="stable")
    return found, frame.iloc[order].reset_index(drop=True)
