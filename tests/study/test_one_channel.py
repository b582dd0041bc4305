"""Models of one channel from files: 12-bit grey pictures, commands and a study."""

import contextlib
import json
import sys

import keras
import numpy as np
import pandas as pd
import pytest
from PIL import Image

import gradcam_eval as ge
from gradcam_eval import cli

SIDE = 24
STUDY = """
name = "ct"
models = ["ct.keras"]
layers = ["last"]
metrics = ["deletion", "insertion", "road", "energy_pointing_game", "max_sensitivity"]
target = "predicted"
cost = { rounds = 0 }

[data]
path = "list.csv"
bits = 12
values = [-1000, 400]
boxes_unit = "relative"
"""


@pytest.fixture(scope="module")
def workplace(tmp_path_factory):
    """A folder with a model of Hounsfield units, 12-bit pictures, and a study of both."""
    folder = tmp_path_factory.mktemp("ct")
    keras.utils.set_random_seed(2)
    inputs = keras.Input((SIDE, SIDE, 1))
    x = keras.layers.Rescaling(1 / 1400, 1000 / 1400)(inputs)
    x = keras.layers.Conv2D(4, 3, padding="same", activation="relu", name="late")(x)
    x = keras.layers.Dense(3, activation="softmax")(keras.layers.GlobalAveragePooling2D()(x))
    keras.Model(inputs, x).save(folder / "ct.keras")
    rng = np.random.default_rng(0)
    rows = ["file,x0,y0,x1,y1"]
    for name in ("a", "b"):
        values = rng.integers(0, 4096, (30, 40)).astype(np.uint16)
        values[0, :2] = 0, 4095
        Image.fromarray(values).save(folder / f"{name}.png")
        rows.append(f"{name}.png,0.25,0.25,0.75,0.75")
    (folder / "list.csv").write_text("\n".join(rows) + "\n")
    (folder / "ct.toml").write_text(STUDY)
    Image.fromarray(rng.integers(0, 256, (30, 40, 3), np.uint8)).save(folder / "colour.png")
    return folder


@pytest.fixture
def call(workplace, monkeypatch, capfd):
    monkeypatch.chdir(workplace)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["gradcam-eval", *map(str, arguments)])
        capfd.readouterr()
        with pytest.raises(SystemExit) as ended:
            cli.main()
        return ended.value.code or 0, *capfd.readouterr()

    return run


def test_explain_reads_grey_files_and_says_what_it_did(call, tmp_path):
    options = ("-m", "ct.keras", "--values", -1000, 400, "-o", tmp_path / "out.png")
    code, said, err = call("explain", "a.png", *options, "--bits", 12)
    assert (code, err) == (0, "")
    assert "preprocessing of the picture: none (grey, -1000 to 400)" in said
    assert "pixels: values 0 to 4095, window 0 to 4095" in said
    with Image.open(tmp_path / "out.png") as written:
        assert (written.mode, written.size) == ("RGB", (40, 30))
    code, said, err = call("explain", "a.png", *options)
    assert "warning: values 0 to 4095 use under a sixteenth of 0 to 65535" in said
    code, said, err = call("explain", "colour.png", *options)
    assert "pixels: grey by luminance, since the model takes one channel" in said
    code, said, err = call("explain", "colour.png", *options, "--bits", 12)
    assert (code, said) == (2, "")
    assert "bits = 12 is for grey files" in err


def test_sanity_reads_grey_files(call):
    code, said, err = call(
        *("sanity", "ct.keras", ".", "--values", -1000, 400, "--bits", 12, "--steps", 1)
    )
    assert (code, err) == (0, "")
    assert "pixels of a.png: values 0 to 4095, window 0 to 4095" in said
    assert "left out colour.png" in said


@pytest.fixture(scope="module")
def study(workplace):
    with contextlib.chdir(workplace):
        return ge.run_study("ct.toml")


def test_a_study_of_hounsfield_units_from_files(study, workplace):
    images = pd.read_csv(workplace / "results/ct/images.csv")
    assert images["status"].tolist() == ["ok", "ok"]
    assert images["applied"].tolist() == ["values 0 to 4095, window 0 to 4095"] * 2
    records = pd.read_csv(workplace / "results/ct/records.csv")
    assert set(records["status"]) <= {"value", "undefined"}
    resolved = json.loads((workplace / "results/ct/study.json").read_text())
    assert resolved["data_options"]["bits"] == 12
    assert resolved["data_options"]["values"] == [-1000, 400]
    oracle = records[
        (records["method"] == "oracle") & (records["metric"] == "energy_pointing_game")
    ]
    assert oracle["value"].tolist() == pytest.approx([1, 1])


def test_a_study_in_memory_equals_one_of_its_files(study, workplace):
    resized = [
        ge.load_image(
            workplace / f"{n}.png", (SIDE, SIDE), channels=1, pixels=ge.data.Pixels(bits=12)
        )
        for n in "ab"
    ]
    units = [level / 255 * 1400 - 1000 for level in resized]
    given = {
        "name": "memory",
        "models": [str(workplace / "ct.keras")],
        "metrics": ["deletion"],
        "controls": [],
        "cost": {"rounds": 0},
        "data": {"values": [-1000, 400]},
    }
    entries = list(ge.entries_from_dataset(units, values=(-1000, 400)))
    found = ge.run_study(given, results=workplace / "results", data=entries)
    mine = pd.read_csv(found.folder / "records.csv")["value"]
    files = pd.read_csv(workplace / study.folder / "records.csv")
    files = files[(files["metric"] == "deletion") & (files["method"] == "grad_cam")]
    np.testing.assert_allclose(mine, files["value"], rtol=1e-4)
