"""How a study lays maps on its images: a field of its own, said beside the results."""

import json

import keras
import numpy as np
import pandas as pd
import pytest
import tensorflow as tf
from PIL import Image

from gradcam_eval.core import InputError
from gradcam_eval.report.caveats import placed
from gradcam_eval.report.folder import read_folder
from gradcam_eval.report.html import write_report
from gradcam_eval.results import run_study
from gradcam_eval.study.config import make_study

L = keras.layers
PLACES = ((14, 26), (14, 60), (24, 30), (26, 62))  # all inside the model's centre crop


@keras.saving.register_keras_serializable("gradcam_eval_tests")
class Backwards(L.Layer):
    """Counts up along the rows, by an operation without a rule, and takes a part."""

    def call(self, x):
        return tf.math.cumsum(x, axis=1)[:, :, 48:]


@pytest.fixture
def values(tmp_path):
    """Four annotated pictures of 48×96, a bright square in each."""
    rows = []
    for n, (row, column) in enumerate(PLACES):
        pixels = np.zeros((48, 96, 3), np.uint8)
        pixels[row : row + 8, column : column + 8] = 250
        Image.fromarray(pixels).save(tmp_path / f"{n}.png")
        box = [column, row, column + 8, row + 8]
        rows.append({"file": f"{n}.png", "labels": ["1"], "objects": [{"box": box}]})
    (tmp_path / "list.jsonl").write_text("\n".join(map(json.dumps, rows)))
    return {
        "name": "parts",
        "data": str(tmp_path / "list.jsonl"),
        "methods": ["hires_cam", "guided_grad_cam"],
        "metrics": ["relevance_mass_accuracy", "pointing_game"],
        "controls": ["oracle"],
        "target": 1,
        "cost": {"rounds": 0},
    }


def save(path, *first):
    """A box filter of brightness: class 1 is where it is bright."""
    filters = {"use_bias": False, "padding": "same", "kernel_initializer": "ones"}
    model = keras.Sequential(
        [
            keras.Input((48, 96, 3)),
            *first,
            L.Conv2D(1, 1, activation="relu", name="conv", **filters),
            L.GlobalAveragePooling2D(),
            L.Dense(2, kernel_initializer="ones"),
        ]
    )
    model.save(path)
    return str(path)


def means(folder):
    records = pd.read_csv(folder / "records.csv", keep_default_na=False)
    cells = records[records["layer"] != ""]
    assert set(cells["status"]) == {"value"}
    numbers = cells.assign(value=pd.to_numeric(cells["value"]))
    return numbers.groupby(["metric", "model", "method"])["value"].mean()


def test_a_crop_in_the_model_costs_no_accuracy(values, tmp_path):
    values["models"] = [
        save(tmp_path / "whole.keras"),
        save(tmp_path / "crop.keras", L.CenterCrop(24, 48)),
    ]
    folder = run_study(values, results=tmp_path / "results").folder
    found = means(folder)
    for metric in ("relevance_mass_accuracy", "pointing_game"):
        for method in values["methods"]:
            assert found[metric, "crop", method] == pytest.approx(found[metric, "whole", method])
            assert found[metric, "crop", method] == pytest.approx(1)
    layers = pd.read_csv(folder / "layers.csv", keep_default_na=False)
    assert layers["geometry"].tolist() == ["stretch", "receptive_field"]
    sees = "rows 12 to 35, columns 24 to 71 of the image's 48×96"
    assert layers["sees"].tolist() == ["", sees]
    results = read_folder(folder)
    assert results.study["geometry"] == "auto"
    assert placed(results, "whole") == ""
    assert f"conv ({sees})" in placed(results, "crop")
    page = write_report(folder).read_text(encoding="utf-8")
    assert "geometry auto" in page
    assert sees.replace("'", "&#39;") in page


def test_a_study_says_its_geometry_and_is_another_one_by_another(values, tmp_path):
    values["models"] = save(tmp_path / "crop.keras", L.CenterCrop(24, 48))
    values |= {"geometry": "stretch", "methods": "hires_cam"}
    found = means(run_study(values, results=tmp_path / "results").folder)
    assert found["relevance_mass_accuracy", "crop", "hires_cam"] < 0.5
    with pytest.raises(InputError, match=r"geometry = 'autom'"):
        make_study({**values, "geometry": "autom"})
    fingerprints = {
        make_study({**values, "geometry": each}).fingerprint()
        for each in ("auto", "stretch", "receptive_field")
    }
    assert len(fingerprints) == 3


def test_a_layer_whose_place_is_not_known_is_undefined_with_the_reason(values, tmp_path):
    values["models"] = save(tmp_path / "part.keras", Backwards())
    folder = run_study(values, results=tmp_path / "results").folder
    records = pd.read_csv(folder / "records.csv", keep_default_na=False)
    cells = records[records["layer"] == "conv"]
    assert set(cells["status"]) == {"undefined"}
    assert cells["reason"].str.contains(r"borders \(left\).*Cumsum.*geometry='stretch'").all()
    assert set(records[records["layer"] == ""]["status"]) == {"value"}
    layers = pd.read_csv(folder / "layers.csv")
    assert layers["geometry"].tolist() == ["undefined"]
