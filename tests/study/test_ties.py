"""What the order of equal pixels does, from the heatmaps of a study to its summary and report."""

import io
import re

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from PIL import Image
from rich.console import Console

from gradcam_eval.methods import METHODS, register_method
from gradcam_eval.records import TIES
from gradcam_eval.report.folder import read_folder
from gradcam_eval.report.tables import summary_table
from gradcam_eval.results import run_study

SIDE = 40
KEYS = ["layer", "method", "sample"]


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """Three pictures, and a model to which it matters where a pixel lies, as a pooled map's not."""
    made = tmp_path_factory.mktemp("ties")
    keras.utils.set_random_seed(0)
    layers = [
        keras.layers.Rescaling(1 / 255),
        keras.layers.Conv2D(4, 3, strides=2, padding="same", activation="relu", name="late"),
        keras.layers.Flatten(),
        keras.layers.Dense(3, "softmax"),
    ]
    keras.Sequential([keras.Input((SIDE, SIDE, 3)), *layers]).save(made / "places.keras")
    (made / "pictures").mkdir()
    generator = np.random.default_rng(0)
    for name in ("a", "b", "c"):
        pixels = generator.integers(0, 120, (SIDE, SIDE, 3), dtype=np.uint8)
        pixels[: SIDE // 2] += 130  # as a sky: row by row, it goes first
        Image.fromarray(pixels).save(made / "pictures" / f"{name}.png")
    return made


@pytest.fixture(scope="module")
def results(folder):
    """A study by one metric in the declared order of ties and in random ones, and by another."""

    @register_method
    def two_levels(activations, gradients):
        """1 where the activations are above their mean, else 0."""
        mean = tf.reduce_mean(activations, axis=-1)
        return tf.cast(mean > tf.reduce_mean(mean, axis=(1, 2), keepdims=True), tf.float32)

    study = {
        "name": "toy",
        "models": [str(folder / "places.keras")],
        "data": str(folder / "pictures"),
        "layers": ["late"],
        "methods": ["two_levels", "layer_cam"],
        "controls": ["random"],
        "metrics": ["deletion", "pointing_game"],
        "protocols": {"deletion": ["gaussian_clean", "gaussian_clean_ties"]},
        "cost": {"rounds": 0},
    }
    try:
        yield run_study(study, results=folder / "results")
    finally:
        del METHODS["two_levels"]


@pytest.fixture(scope="module")
def summary(results):
    return results.summary()


def of_protocol(rows, protocol):
    return rows[rows["protocol"] == protocol]


def test_a_value_over_orders_comes_with_what_the_order_does_to_it(results):
    records = results.frame
    drawn = of_protocol(records, "gaussian_clean_ties").set_index(KEYS)
    stable = of_protocol(records, "gaussian_clean").set_index(KEYS)
    # the same number twice: from another protocol's value, and as this one's shift
    shift = stable["value"] - drawn["value"]
    np.testing.assert_allclose(drawn["tie_shift"], shift, rtol=0, atol=1e-6)
    assert drawn["tie_shift"].abs().max() > 1e-3
    assert drawn["tie_spread"].max() > 1e-4
    others = records[records["protocol"] != "gaussian_clean_ties"]
    assert others[list(TIES)].isna().all(axis=None)
    written = pd.read_csv(results.folder / "records.csv")
    np.testing.assert_array_equal(written[list(TIES)], records[list(TIES)])


def test_the_summary_has_the_mean_shift_and_the_pooled_spread(results, summary):
    rows = of_protocol(summary, "gaussian_clean_ties")
    assert rows["method"].tolist() == ["two_levels", "layer_cam", "random"]
    records = of_protocol(results.frame, "gaussian_clean_ties")
    for row in rows.to_dict("records"):
        mine = records[records["method"] == row["method"]]
        assert row["tie_shift"] == pytest.approx(mine["tie_shift"].mean())
        pooled = np.sqrt((mine["tie_spread"] ** 2).mean())
        assert row["tie_spread"] == pytest.approx(pooled)
    others = summary[summary["protocol"] != "gaussian_clean_ties"]
    assert others[list(TIES)].isna().all(axis=None)


def test_the_page_and_the_summary_s_file_show_it(results):
    page = results.report().read_text(encoding="utf-8")
    assert page.count("row by row<span") == 1  # one of the three measures draws orders
    assert "“Row by row” says how much depends on an order" in page
    written = pd.read_csv(results.folder / "summary.csv")
    known = written[written["tie_shift"].notna() & written["tie_spread"].notna()]
    assert known["protocol"].tolist() == ["gaussian_clean_ties"] * 3


def test_the_terminal_s_table_has_a_column_of_it_where_orders_are_drawn(results, summary):
    drawn = of_protocol(summary, "gaussian_clean_ties")
    printed = printed_table(results, drawn)
    assert "row by row = what the mean would gain" in " ".join(printed.split())
    found = re.findall(r"\] +([−+]?\.\d{3}) *$", printed, re.MULTILINE)
    shifts = [float(each.replace("−", "-")) for each in found]
    assert shifts == pytest.approx(drawn["tie_shift"].tolist(), abs=6e-4)
    assert max(map(abs, shifts)) > 1e-3
    all_measures = printed_table(results, summary).splitlines()
    assert [line.split().count("row") for line in all_measures[:3]] == [1, 0, 1]
    without = printed_table(results, of_protocol(summary, "gaussian_clean"))
    assert "row" not in without


def printed_table(results, summary):
    console = Console(width=200, file=io.StringIO())
    metrics = read_folder(results.folder).study["metrics"]
    console.print(summary_table(summary, metrics=metrics))
    return console.file.getvalue()
