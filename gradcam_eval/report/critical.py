"""The critical-difference diagram (Demšar 2006): mean ranks of all cells. It makes no claim."""

from __future__ import annotations

import numpy as np
from matplotlib.figure import Figure
from matplotlib.ticker import MaxNLocator

from gradcam_eval.report.plots import BLUE, GREY, INK, chart, title_left
from gradcam_eval.report.text import cell_name, number, plural
from gradcam_eval.report.verdict import Verdict
from gradcam_eval.statistics.ranks import cliques, critical_difference, friedman_p, mean_ranks
from gradcam_eval.statistics.units import unit_sums

FEWEST_CELLS = 3
MOST_CELLS = 60  # drawn: a picture of more is higher than a page can embed


def critical_figure(verdict: Verdict) -> Figure | None:
    """Draw the mean ranks of one model's cells by one metric, and which of them lie close.

    A row is a cell, the lowest mean rank (1 = best on each image) on top. Each line on the right
    joins cells whose mean ranks differ by no more than Nemenyi's critical difference, which is
    drawn above. Of more than 60 cells the first 60 are drawn. The p-value of Friedman's test stands
    in the title. Images of a cluster count as one, with the mean of their scores.

    Returns
    -------
    Figure; None with fewer than 3 cells or 6 independent images

    References
    ----------
    Demšar 2006, Journal of Machine Learning Research 7, 1-30. Laid out in rows, because the names
    of layers are long.
    """
    values, samples, cells = verdict.values
    if len(cells) < FEWEST_CELLS or not verdict.is_tested:
        return None
    units = verdict.scores.units(samples)
    values = unit_sums(values, units) / np.bincount(units)[:, None]
    ranks = mean_ranks(values)
    order = np.argsort(ranks, kind="stable")[:MOST_CELLS]
    ranks, rows = ranks[order], np.arange(len(order))
    level = verdict.scores.design.level
    far = critical_difference(len(cells), len(values), level)
    figure, axes = chart(7.4, 1.9 + 0.24 * len(rows))
    axes.plot(ranks, rows, "o", color=BLUE, markersize=6)
    columns = _columns(cliques(ranks, far))
    step = 0.03 * (len(cells) - 1)
    right = len(cells) + 2 * step
    for at, (first, last) in columns:
        axes.plot([right + at * step] * 2, [first, last], color=INK, linewidth=3)
    axes.plot([1, 1 + far], [-1.2, -1.2], color=GREY, linewidth=2, marker="|", clip_on=False)
    note = f"critical difference {number(far)}"
    axes.text(1, -1.5, note, color=GREY, size=8, va="bottom")
    most = max((at for at, _ in columns), default=0)
    axes.set(ylim=(len(rows) - 0.5, -2.4), xlim=(0.8, right + (most + 1) * step))
    axes.xaxis.set_major_locator(MaxNLocator(8, integer=True))
    axes.set_xticks([tick for tick in axes.get_xticks() if 1 <= tick <= len(cells)])
    axes.set_yticks(rows, [cell_name(*cells[at][1:]) for at in order], size=8, parse_math=False)
    axes.set_xlabel("mean rank over images (1 = best)", size=9)
    p = friedman_p(values)
    said = "p < 0.001" if p < 0.001 else f"p = {p:.3f}"
    what = plural(len(values), "image" if not verdict.scores.clusters else "independent unit")
    some = f", the first {len(rows)} of {len(cells)} cells" if len(rows) < len(cells) else ""
    lines = f"a line joins ranks within the critical difference (Nemenyi, {100 * level:g} %)"
    title_left(axes, f"{verdict.label}: mean ranks, {what}{some}, Friedman {said}\n{lines}")
    return figure


def _columns(runs: list[tuple[int, int]]) -> list[tuple[int, tuple[int, int]]]:
    """Put each run of rows into the first column in which it overlaps with none."""
    ends: list[int] = []
    placed = []
    for run in runs:
        at = next((at for at, end in enumerate(ends) if end < run[0]), len(ends))
        ends[at : at + 1] = [run[1]]
        placed.append((at, run))
    return placed
