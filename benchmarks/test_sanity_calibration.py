"""Do the sanity checks' limits separate what must pass from what must fail? Minutes in all.

`pytest benchmarks/test_sanity_calibration.py --override-ini addopts= -s` prints, for each trained
network of the package, what every measure of similarity concludes of Grad-CAM, of guided
backpropagation, and of the controls. docs/sanity.md has the figures.
"""

from __future__ import annotations

import numpy as np
import pytest

import gradcam_eval as ge
from gradcam_eval.core import Sample
from gradcam_eval.models.inputs import input_shape
from gradcam_eval.sanity.check import SanityCheck

METHODS = ["grad_cam", "guided_backprop"]
MODELS = {
    "evidence_gap": "evidence/single",
    "efficientnet_lite0": "photos",
    "mobilenet_v2_torchvision": "photos",
}
COLUMNS = ["conclusion", "n", "after_output", "over_steps", "repeatability", "chance"]


@pytest.mark.parametrize("name", MODELS)
@pytest.mark.parametrize("seed", [0, 1])
def test_grad_cam_passes_and_what_does_not_explain_fails(name: str, seed: int) -> None:
    """Grad-CAM fails by no measure and passes by one or more; the others fail by rank correlation.

    Ten images leave Grad-CAM undecided by rank correlation on EfficientNet-Lite0.
    """
    check = _randomised(name, seed)
    for measure in check.rules.measures:
        table = check.conclusions(measure).set_index("method")
        print(f"\n{name}, seed {seed}, {measure}\n{table[COLUMNS].round(2).to_string()}")
    table = check.conclusions().set_index("method")
    said = [str(table.loc["grad_cam", measure]) for measure in check.rules.measures]
    assert "fails" not in said
    assert "passes" in said
    failing = ["guided_backprop", "edges", "image", "noise"]
    assert table.loc[failing, "conclusion"].tolist() == ["fails"] * 4
    assert "not alike" in str(table.loc["noise", "reason"])


def _randomised(name: str, seed: int) -> SanityCheck:
    model = ge.load_model(name)
    size = input_shape(model, (224, 224))[:2]
    samples = ge.load_samples(MODELS[name], (size[0], size[1]))[:10]
    images = np.stack([sample.image for sample in samples if isinstance(sample, Sample)])
    return ge.parameter_randomisation(model, images, methods=METHODS, seed=seed)
