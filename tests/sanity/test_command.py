"""`gradcam-eval sanity` on a tiny model file, as a user runs it."""

import json
import zipfile

import keras
import numpy as np
import pandas as pd
import pytest
from PIL import Image
from tiny import cnn, pictures, tokens
from typer.testing import CliRunner

from gradcam_eval.cli import app
from gradcam_eval.cli.sanity_tables import explained_classes
from gradcam_eval.core import InputError
from gradcam_eval.data.decode import load_image


@pytest.fixture
def asked(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for n, pixels in enumerate(pictures(3)):
        Image.fromarray(pixels.round().astype("uint8")).save(folder / f"{n}.png")
    (folder / "broken.png").write_bytes(b"no picture")
    cnn().save(tmp_path / "tiny.keras")
    tokens().save(tmp_path / "tokens.keras")
    for count in (4, 5):
        (tmp_path / f"{count}.txt").write_text("cat\ndog\nowl\nbus\nant\n"[: 4 * count])
    return [str(tmp_path / "tiny.keras"), str(folder)]


def test_it_prints_conclusions_and_writes_tables_and_a_chart(asked, tmp_path):
    out = tmp_path / "out"
    options = ["-l", "late", "--method", "grad_cam", "--method", "eigen_cam", "--steps", "2"]
    done = CliRunner().invoke(app, ["sanity", *asked, *options, "-o", str(out)])
    assert done.exit_code == 0, done.output
    assert "parameter randomisation (cascading), by rank correlation" in done.stdout
    assert "class sensitivity" in done.stdout
    assert "left out broken.png" in done.stdout
    for said in ("by every measure", "efficient MPRT", "necessary, not sufficient", "control"):
        assert said in done.stdout
    conclusions = pd.read_csv(out / "conclusions.csv")
    assert set(conclusions["check"]) == {
        "parameter randomisation (cascading)",
        "class sensitivity",
    }
    assert set(conclusions["conclusion"]) <= {"passes", "fails", "undecided"}
    assert set(conclusions["measure"]) == {
        *("rank_correlation", "absolute_rank_correlation", "ssim", "hog"),
    }
    assert set(pd.read_csv(out / "complexity.csv")["method"]) == {"grad_cam", "eigen_cam"}
    assert set(pd.read_csv(out / "invariance.csv")["is_invariant"]) == {True}
    rows = pd.read_csv(out / "similarities.csv")
    assert set(rows["image"]) == {"0.png", "1.png", "2.png"}
    assert len(pd.read_csv(out / "steps.csv")) == 2
    with Image.open(out / "randomisation.png") as chart:
        assert chart.size[0] > 1000


def test_the_protocol_is_chosen_and_stands_beside_every_number(asked, tmp_path):
    out = tmp_path / "out"
    options = ["-l", "late", "--steps", "1", "--protocol", "sanity2018_code"]
    done = CliRunner().invoke(app, ["sanity", *asked, *options, "-o", str(out)])
    assert done.exit_code == 0, done.output
    said = " ".join(done.stdout.split())
    assert "by clipped rank correlation, protocol sanity2018_code" in said
    for table in ("conclusions", "similarities"):
        assert set(pd.read_csv(out / f"{table}.csv")["protocol"]) == {"sanity2018_code"}
    stored = json.loads((out / "protocol.json").read_text(encoding="utf-8"))
    assert (stored["name"], stored["explains"], stored["resets"]) == (
        "sanity2018_code",
        "predicted",
        "trainable",
    )
    assert "gaussian_ssim" in stored["measures"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (
            ["--protocol", "sanity2019"],
            "unknown protocol .*'sanity2019': did you mean 'sanity2018'",
        ),
        (["--measure", "gaussian_ssim"], "measure of the protocol 'sanity2018' 'gaussian_ssim'"),
        (
            ["--protocol", "sanity2018_code", "--measure", "hog"],
            "measure of the protocol 'sanity2018_code' 'hog'",
        ),
    ],
)
def test_protocol_and_measure_are_checked_before_anything_is_loaded(options, message, asked):
    with pytest.raises(InputError, match=message):
        CliRunner().invoke(
            app, ["sanity", "no_such_net", asked[1], *options], catch_exceptions=False
        )


def test_names_are_checked_before_anything_is_loaded(asked):
    with pytest.raises(InputError, match="unknown model"):
        CliRunner().invoke(app, ["sanity", "no_such_net", asked[1]], catch_exceptions=False)


def test_a_transformer_of_ones_own_is_checked_at_a_head_once_its_tokens_are_declared(
    asked, tmp_path
):
    model, out = str(tmp_path / "tokens.keras"), tmp_path / "out"
    options = ["-l", "mixed", "--steps", "1", "--head", "colour"]
    with pytest.raises(InputError, match="declare how they lie on it with tokens='4x4'"):
        CliRunner().invoke(app, ["sanity", model, asked[1], *options], catch_exceptions=False)
    options += ["--tokens", "4x4", "--score", "log_odds", "-o", str(out)]
    done = CliRunner().invoke(app, ["sanity", model, asked[1], *options])
    assert done.exit_code == 0, done.output
    checks = {"parameter randomisation (cascading)", "class sensitivity"}
    assert set(pd.read_csv(out / "conclusions.csv")["check"]) == checks
    shifted = pd.read_csv(out / "invariance.csv")
    assert (list(shifted["layer"]), shifted["is_invariant"].all()) == (["mixed"] * 3, True)
    given = np.stack([load_image(f"{asked[1]}/{n}.png", (16, 16)) for n in range(3)])
    best = keras.saving.load_model(model)(given)[1].numpy().argmax(axis=1)
    rows = pd.read_csv(out / "similarities.csv").drop_duplicates("image")
    assert list(rows["explained"]) == [f"class {index}" for index in best]


def test_classes_have_the_names_of_a_file(asked, tmp_path):
    out = tmp_path / "out"
    options = ["-l", "late", "--steps", "1", "-o", str(out), "--classes", str(tmp_path / "4.txt")]
    done = CliRunner().invoke(app, ["sanity", *asked, *options])
    assert done.exit_code == 0, done.output
    named = pd.read_csv(out / "similarities.csv").drop_duplicates("image")["explained"]
    assert set(named) <= {"cat", "dog", "owl", "bus"}
    for name, count in named.value_counts().items():
        assert f"{name} ({count} image" in done.stdout
    options[-1] = str(tmp_path / "5.txt")
    with pytest.raises(InputError, match="there are 5 class names"):
        CliRunner().invoke(app, ["sanity", *asked, *options], catch_exceptions=False)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        (["--tokens", "7"], "tokens = '7': wanted rows x columns"),
        (["--method", "gradcam"], "unknown method 'gradcam': did you mean 'grad_cam'"),
        (["--preprocess", "cafe"], "did you mean 'caffe'"),
    ],
)
def test_options_are_checked_before_a_model_is_loaded(options, message, tmp_path):
    with zipfile.ZipFile(tmp_path / "none.keras", "w") as archive:
        archive.writestr("config.json", "no model")
    arguments = ["sanity", str(tmp_path / "none.keras"), "photos", *options]
    with pytest.raises(InputError, match=message):
        CliRunner().invoke(app, arguments, catch_exceptions=False)


def test_of_many_explained_classes_the_most_frequent_are_named():
    names = ("cat", *"abcdefghijk", "cat")
    assert explained_classes(names).startswith("cat (2 images), a (1 image), b (1 image)")
    assert explained_classes(names).endswith(", i (1 image), and 2 more")
