"""How often resamples choose each cell: by hand, against all draws there are, and its edges."""

import itertools

import numpy as np
import pandas as pd
import pytest

from gradcam_eval.aggregates import mean_of_maxima
from gradcam_eval.choice import choice_shares
from gradcam_eval.core import InputError, Undefined

ONE, TWO = ("top", "grad_cam"), ("top", "layer_cam")


def records(cells, kind="cam", **changed):
    rows = [
        {"layer": layer, "method": method, "kind": kind, "sample": f"image_{i}"}
        | {"status": "value" if value is not None else "undefined", "value": value}
        for (layer, method), values in cells.items()
        for i, value in enumerate(values)
    ]
    names = {"model": "net", "metric": "deletion", "protocol": "rise2018"}
    return pd.DataFrame(rows).assign(**names | changed)


def shares(table, *, up=True, **options):
    found = choice_shares(table, higher_is_better=up, **options)
    return {(row.layer, row.method): row.share for row in found.itertuples()}


def test_two_images_by_hand():
    """Draws 00, 01, 10, 11: the first cell wins where image 0 is drawn twice, else the second."""
    table = records({ONE: [1.0, 0.0], TWO: [0.0, 2.0]})
    assert shares(table)[ONE] == pytest.approx(0.25, abs=0.02)
    assert shares(table, up=False)[ONE] == pytest.approx(0.75, abs=0.02)
    assert list(shares(table)) == [TWO, ONE]  # the most often chosen first
    assert sum(shares(table).values()) == pytest.approx(1)


def test_every_draw_that_there_is_gives_the_same(rng):
    values = rng.normal(size=(4, 3))
    cells = {(f"layer_{n}", "grad_cam"): values[:, n] for n in range(3)}
    draws = [list(draw) for draw in itertools.product(range(4), repeat=4)]
    winners = [values[draw].mean(0).argmax() for draw in draws]
    expected = np.bincount(winners, minlength=3) / len(draws)
    assert len(set(winners)) > 1
    found = shares(records(cells))
    np.testing.assert_allclose([found[cell] for cell in cells], expected, atol=0.02)


def test_equal_cells_share_and_a_dominated_one_is_never_chosen():
    values = np.array([0.2, 0.6, 0.4])
    cells = {ONE: values, TWO: values * (1 + 1e-9), ("low", "grad_cam"): values - 0.1}
    assert shares(records(cells)) == {ONE: 0.5, TWO: 0.5, ("low", "grad_cam"): 0.0}


def test_controls_do_not_compete_and_all_cells_compete_on_the_same_images():
    table = records({ONE: [1.0, 1.0, 0.0], TWO: [0.5, 0.5, None]})
    control = records({("", "oracle"): [9.0, 9.0, 9.0]}, kind="control")
    assert shares(pd.concat([table, control])) == {ONE: 1.0, TWO: 0.0}


def test_a_metric_with_an_aggregate_is_put_together_anew_in_each_draw():
    """Parts (R = 1, S = 2): hits at two thresholds, of which a data set shares the better."""
    hits = {
        ONE: [[1, 0], [1, 0], [0, 1], [0, 0], [1, 1]],
        TWO: [[0, 1], [0, 1], [1, 1], [1, 0], [0, 0]],
    }
    parts = {cell: np.array(of, float)[:, None] for cell, of in hits.items()}
    table = records({cell: of[:, 0].max(1) for cell, of in parts.items()})
    table["aggregate"] = "mean_of_maxima"
    table["parts"] = [image for of in parts.values() for image in of]
    draws = np.array(list(itertools.product(range(5), repeat=5)))
    weights = np.stack([np.bincount(draw, minlength=5) for draw in draws]).astype(float)
    one, two = (mean_of_maxima(weights, parts[cell]) for cell in (ONE, TWO))
    expected = np.mean((one > two) + 0.5 * (one == two))
    assert 0.05 < expected < 0.95
    assert shares(table)[ONE] == pytest.approx(expected, abs=0.05)  # of 1,000 draws


def test_the_seed_fixes_the_draws():
    table = records({ONE: np.arange(9.0), TWO: np.arange(9.0)[::-1] + 0.01})
    assert shares(table, seed=1) == shares(table.sample(frac=1, random_state=0), seed=1)
    assert shares(table, seed=1, resamples=50) != shares(table, seed=2, resamples=50)


@pytest.mark.parametrize(
    "cells", [{ONE: [1.0], TWO: [2.0]}, {ONE: [1.0, None, 3.0], TWO: [None, 2.0, 3.0]}]
)
def test_one_image_chooses_nothing(cells):
    found = choice_shares(records(cells), higher_is_better=True)
    assert found == Undefined("fewer than two images have a value for every cell")


def test_records_of_two_metrics_are_refused():
    table = records({ONE: [1.0, 2.0]})
    both = pd.concat([table, table.assign(metric="insertion")])
    with pytest.raises(InputError, match="2 pairs of a model and a metric: keep those of one"):
        choice_shares(both, higher_is_better=True)
