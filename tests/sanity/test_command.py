"""`gradcam-eval sanity` on a tiny model file, as a user runs it."""

import json

import pandas as pd
import pytest
from PIL import Image
from tiny import cnn, pictures
from typer.testing import CliRunner

from gradcam_eval.cli import app
from gradcam_eval.core import InputError


@pytest.fixture
def asked(tmp_path):
    folder = tmp_path / "pictures"
    folder.mkdir()
    for n, pixels in enumerate(pictures(3)):
        Image.fromarray(pixels.round().astype("uint8")).save(folder / f"{n}.png")
    (folder / "broken.png").write_bytes(b"no picture")
    cnn().save(tmp_path / "tiny.keras")
    return [str(tmp_path / "tiny.keras"), str(folder)]


def test_it_prints_verdicts_and_writes_tables_and_a_chart(asked, tmp_path):
    out = tmp_path / "out"
    options = ["-l", "late", "--method", "grad_cam", "--method", "eigen_cam", "--steps", "2"]
    done = CliRunner().invoke(app, ["sanity", *asked, *options, "-o", str(out)])
    assert done.exit_code == 0, done.output
    assert "parameter randomisation (cascading), by rank correlation" in done.stdout
    assert "class sensitivity" in done.stdout
    assert "left out broken.png" in done.stdout
    assert "input invariance was not tested: " in done.stdout
    verdicts = pd.read_csv(out / "verdicts.csv")
    assert set(verdicts["check"]) == {"parameter randomisation (cascading)", "class sensitivity"}
    assert set(verdicts["verdict"]) <= {"passes", "fails", "undecided"}
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
    for table in ("verdicts", "similarities"):
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
