"""Studies of models with one sigmoid, of labels, and of regressions."""

import json

import keras
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from gradcam_eval.core import InputError
from gradcam_eval.results import run_study
from gradcam_eval.study.run import Progress

SIDE = 24
BRIGHT = ("1", "0", "1", "0")


def network(units, activation, kernel, bias):
    """Brightness of the upper half, read by a dense layer."""
    model = keras.Sequential(
        [
            keras.Input((SIDE, SIDE, 3)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Conv2D(1, 3, padding="same", kernel_initializer="ones", name="conv"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(units, activation, name="head"),
        ]
    )
    model.get_layer("head").set_weights([np.float32(kernel), np.float32(bias)])
    return model


# behind the convolution the bright pictures have a mean of about 27 · 0.7, the dark ones 27 · 0.2
MODELS = {
    "sigmoid": (1, "sigmoid", [[0.5]], [-5.5]),
    "softmax": (2, "softmax", [[-0.25, 0.25]], [2.75, -2.75]),
    "logit": (1, None, [[0.5]], [-5.5]),
    "value": (1, None, [[2.0]], [10.0]),
    "labels": (3, "sigmoid", [[0.5, -0.5, 0.0]], [-5.5, 5.5, -9.0]),
    "sure": (1, "sigmoid", [[40.0]], [-400.0]),
}


@pytest.fixture(scope="module")
def files(tmp_path_factory):
    folder = tmp_path_factory.mktemp("models")
    for name, how in MODELS.items():
        network(*how).save(folder / f"{name}.keras")
    return folder


@pytest.fixture
def pictures(tmp_path):
    """Two bright pictures in folder 1 and two dark ones in folder 0."""
    generator = np.random.default_rng(0)
    for n, label in enumerate(BRIGHT):
        pixels = generator.integers(0, 60, (SIDE, SIDE, 3)) + (150 if label == "1" else 20)
        (tmp_path / "pictures" / label).mkdir(parents=True, exist_ok=True)
        Image.fromarray(pixels.astype(np.uint8)).save(tmp_path / "pictures" / label / f"{n}.png")
    return tmp_path / "pictures"


@pytest.fixture
def run(files, pictures, tmp_path):
    def study(model, *, entry=None, said=None, **changes):
        values = {
            "name": model,
            "models": [{"name": str(files / f"{model}.keras"), **(entry or {})}],
            "data": {"path": str(pictures), "format": "class_folders"},
            "methods": ["grad_cam"],
            "controls": ["random"],
            "metrics": ["deletion", "average_drop"],
            "protocols": {"deletion": ["rise2018_batch"]},
            "cost": {"rounds": 0},
        }
        progress = Progress(say=(said if said is not None else []).append)
        return run_study({**values, **changes}, results=tmp_path / "results", progress=progress)

    return study


def images_of(results):
    return pd.read_csv(results.folder / "images.csv").sort_values("sample").reset_index()


def test_a_study_of_one_sigmoid_is_that_of_its_softmax_twin(run):
    said = []
    results = run("sigmoid", said=said)
    mine, twin = images_of(results), images_of(run("softmax"))
    assert mine["target"].tolist() == [0, 0, 1, 1] == twin["target"].tolist()
    assert mine["target_name"].tolist() == ["negative", "negative", "positive", "positive"]
    assert mine["labels"].tolist() == mine["target_name"].tolist()
    assert mine["hit_top1"].tolist() == [True] * 4
    assert (mine["probability"] > 0.8).all()
    np.testing.assert_allclose(mine["probability"], twin["probability"], rtol=1e-5)
    values = [
        pd.read_csv(results.folder.parent / name / "records.csv")
        for name in MODELS
        if name in ("sigmoid", "softmax")
    ]
    np.testing.assert_allclose(values[0]["value"], values[1]["value"], rtol=1e-4, atol=1e-5)
    kind = "2 classes by one sigmoid, negative and positive (binary)"
    assert any(line.endswith(f"output: {kind}") for line in said)
    facts = json.loads((results.folder / "environment.json").read_text())["models"]["sigmoid"]
    assert (facts["output"], facts["output_kind"]) == (kind, "binary")
    page = results.report().read_text(encoding="utf-8")
    assert f"The model returns {kind}." in page
    assert "right on 4 of 4 labelled images" in page
    assert "saturated" not in page


def test_a_study_of_labels_explains_the_right_class_of_one_sigmoid(run, tmp_path):
    names = tmp_path / "names.txt"
    names.write_text("dark\nbright\n")
    entry = {"classes": str(names)}
    found = images_of(run("sigmoid", entry=entry, target="label"))
    assert found["target_name"].tolist() == ["dark", "dark", "bright", "bright"]
    fixed = images_of(run("sigmoid", entry=entry, target="bright", name="fixed"))
    assert fixed["target"].tolist() == [1] * 4
    names.write_text("dark\nbright\nother\n")
    with pytest.raises(InputError, match=r"3 class names, but .* returns 2 classes by one sigmoid"):
        run("sigmoid", entry=entry, name="three")


def test_a_logit_is_declared(run, tmp_path):
    found = images_of(run("logit", entry={"output": "binary"}))
    assert found["target"].tolist() == [0, 0, 1, 1]
    assert found["hit_top1"].all()
    names = tmp_path / "names.txt"
    names.write_text("dark\nbright\n")
    with pytest.raises(InputError, match=r"one value \(regression\): give one name, or declare"):
        run("logit", entry={"classes": str(names)}, name="undeclared")


def test_a_study_of_a_regression_reads_the_value(run):
    results = run("value")
    seen = images_of(results)
    assert seen["status"].eq("ok").all()
    assert seen[["probability", "hit_top1", "labels"]].isna().all(axis=None)
    assert seen["target_name"].tolist() == ["value"] * 4
    ((name, value),) = json.loads(seen["top5"][3])
    assert (name, value > 30) == ("value", True)
    records = pd.read_csv(results.folder / "records.csv")
    assert (records[records["metric"] == "deletion"]["value"] > 10).all()
    drops = records[records["metric"] == "average_drop"]
    assert drops["status"].eq("undefined").all()
    assert drops["reason"].str.startswith("the model is a regression").all()
    metrics = json.loads((results.folder / "study.json").read_text())["metrics"]
    assert [metric["unit"] for metric in metrics] == ["value", "share of the value"]
    page = results.report().read_text(encoding="utf-8")
    assert "The model returns one value (regression)." in page
    assert "explained: the value · " in page
    assert "first answer is right" not in page


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"target": "label"}, r"target is 'label', and value returns one value .regression., whic"),
        ({"target": "predicted:2"}, "has no classes: leave it out for the only value"),
        ({"target": 1}, "class index 1 is out of range: valid is 0 to 0"),
        ({"score": "probability"}, "leave out the score to explain the value"),
    ],
)
def test_what_a_regression_has_not_ends_the_study_before_an_image(run, changes, message):
    with pytest.raises(InputError, match=message):
        run("value", **changes)


@pytest.mark.parametrize("engine", ["auto", "frozen"])
def test_a_segmentation_has_every_metric_that_does_not_ask_the_model(run, files, engine):
    convolve = keras.layers.Conv2D
    layers = [convolve(2, 3, padding="same", name="conv"), convolve(3, 1, activation="softmax")]
    keras.Sequential([keras.Input((SIDE, SIDE, 3)), *layers]).save(files / "map.keras")
    metrics = {"metrics": ["deletion", "gini_sparseness"], "engine": engine}
    results = run("map", **metrics, layers=["conv"], cost={"rounds": 1, "batch_sizes": [1]})
    assert images_of(results)["status"].eq("ok").all()
    records = pd.read_csv(results.folder / "records.csv")
    assert set(records[records["metric"] == "gini_sparseness"]["status"]) == {"value"}
    deletion = records[records["metric"] == "deletion"]
    assert set(deletion["status"]) == {"undefined"}
    assert deletion["reason"].str.startswith("this model's output is a map: 3 classes for").all()


def test_labels_by_sigmoids_are_named_in_the_target(run, tmp_path):
    names = tmp_path / "names.txt"
    names.write_text("bright\ndark\nred\n")
    found = images_of(run("labels", entry={"classes": str(names)}, target="red"))
    assert found["target_name"].tolist() == ["red"] * 4
    facts = json.loads((tmp_path / "results/labels/environment.json").read_text())
    assert facts["models"]["labels"]["output"] == "3 labels, each by a sigmoid (multi_label)"


def test_the_report_warns_of_saturated_targets(run):
    page = run("sure").report().read_text(encoding="utf-8")
    assert "probability is saturated (within 1e-06 of 0 or 1) on 4 of 4 images" in page


@keras.saving.register_keras_serializable("study_outputs")
class AlwaysOn(keras.layers.Dropout):
    """Monte Carlo dropout."""

    def call(self, inputs, training=False):
        return super().call(inputs, training=True)


def test_the_report_says_that_a_model_is_random(run, files):
    inputs = keras.Input((SIDE, SIDE, 3))
    maps = keras.layers.Conv2D(4, 3, name="conv")(inputs)
    pooled = keras.layers.GlobalAveragePooling2D()(maps)
    drawn = AlwaysOn(0.5, name="always_on")(pooled)
    keras.Model(inputs, keras.layers.Dense(2, "softmax")(drawn)).save(files / "dropout.keras")
    results = run("dropout", draws=2)
    page = results.report().read_text(encoding="utf-8")
    assert "The model stays random at inference" in page
    assert "always_on" in page
    assert "Each heatmap is the mean of 2 runs" in page
