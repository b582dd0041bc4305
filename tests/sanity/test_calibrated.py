"""The limits on a trained network: a short form of benchmarks/test_sanity_calibration.py."""

import numpy as np
import pytest

from gradcam_eval.data import load_samples
from gradcam_eval.models.zoo import load_model
from gradcam_eval.sanity.randomisation import parameter_randomisation


@pytest.fixture(scope="module")
def check():
    """Of six pictures of planted evidence: the output layer, then all others."""
    samples = load_samples("evidence/single", (96, 96))[:6]
    images = np.stack([sample.image for sample in samples])
    methods = ["grad_cam", "guided_backprop"]
    return parameter_randomisation(load_model("evidence_gap"), images, methods=methods, steps=2)


def test_grad_cam_passes_and_what_explains_nothing_fails(check):
    table = check.conclusions().set_index("method")
    assert table["conclusion"].to_dict() == {
        "grad_cam": "passes",
        "guided_backprop": "fails",
        "noise": "fails",
        "edges": "fails",
        "image": "fails",
    }
    assert table.loc["guided_backprop", "after_output"] > 0.9  # the last step alone would pass it
    assert "after the output layer" in table.loc["guided_backprop", "reason"]
    assert "not alike" in table.loc["noise", "reason"]
    assert table.loc[["edges", "image"], "room"].max() < 0


def test_every_measure_stands_beside_it(check):
    table = check.conclusions("ssim")
    for measure in ("rank_correlation", "absolute_rank_correlation", "ssim", "hog"):
        of_controls = table.loc[table["layer"] == "", measure]
        assert of_controls.tolist() == ["fails"] * 3
        assert check.conclusions(measure)["conclusion"].tolist() == table[measure].tolist()
    assert check.disagreements().empty


def test_the_entropy_of_heatmaps_rises_without_anything_learned(check):
    table = check.complexity_rises().set_index("method")
    assert list(table.index) == ["grad_cam", "guided_backprop"]
    assert (table["rise"] > 0).all()
    rises = table["randomised"] / table["trained"] - 1
    assert (np.sign(rises) == np.sign(table["rise"])).all()
