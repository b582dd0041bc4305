"""The rule of the sanity checks, on similarities whose conclusion is known."""

from dataclasses import replace

import numpy as np
import pytest

from gradcam_eval.protocols.sanity import SANITY_2018
from gradcam_eval.sanity.conclusion import Similarities, conclude


def cell(after_output, over_steps, chance, repeated, n=10):
    """Similarities of n images that scatter by ±.02 about the numbers given."""
    spread = np.linspace(-0.02, 0.02, n)
    given = {"over_steps": over_steps, "chance": chance, "repeated": repeated}
    columns = {
        name: value + np.roll(spread, 3 * place)
        for place, (name, value) in enumerate(given.items())
    }
    output = None if after_output is None else after_output + spread[::-1]
    return Similarities(after_output=output, **columns)


@pytest.mark.parametrize(
    ("similarities", "conclusion", "reason"),
    [
        (cell(0.4, 0.2, 0.1, 0.95), "passes", ""),
        # as of guided backpropagation: the random output layer is not noticed, the rest is
        (cell(0.93, 0.3, 0.2, 0.97), "fails", "too alike after the output layer lost its weights"),
        (cell(0.4, 0.9, 0.1, 0.95), "fails", "too alike over the steps"),
        (cell(0.93, 0.9, 0.1, 0.97), "fails", "too alike over the steps and too alike after"),
        # as of edges: two random models have the same heatmap
        (cell(1.0, 1.0, 1.0, 0.97), "fails", "nothing learned in common are as alike"),
        # as of noise that the score seeds
        (cell(0.0, 0.0, 0.0, 0.0), "fails", "hardly different images are not alike"),
        (cell(0.4, 0.2, 0.1, 0.95, n=5), "undecided", "5 images have every number: 6 or more"),
    ],
)
def test_what_the_rule_says(similarities, conclusion, reason):
    found = conclude(similarities, SANITY_2018)
    assert found["conclusion"] == conclusion
    assert reason in found["reason"]
    assert (reason == "") == (found["reason"] == "")


def test_an_interval_that_contains_a_limit_is_undecided():
    rules = replace(SANITY_2018, over_steps_limit=0.5)
    found = conclude(cell(0.2, 0.525, 0.1, 0.95), rules)  # a share of .5
    assert found["over_steps_low"] < 0.5 < found["over_steps_high"]
    assert (found["conclusion"], found["reason"]) == (
        "undecided",
        "the interval of over_steps contains the limit",
    )


def test_the_share_is_a_ratio_of_means_with_its_interval():
    similarities = cell(0.5, 0.4, 0.1, 0.9)
    found = conclude(similarities, SANITY_2018)
    assert found["over_steps"] == pytest.approx((0.4 - 0.1) / (0.9 - 0.1))
    assert found["after_output"] == pytest.approx((0.5 - 0.1) / (0.9 - 0.1))
    assert found["over_steps_low"] < found["over_steps"] < found["over_steps_high"]
    assert found["room"] == pytest.approx(0.8)


def test_without_a_step_of_the_output_layer_alone_nothing_passes_that_needs_one():
    similarities = cell(None, 0.2, 0.1, 0.95)
    assert conclude(similarities, SANITY_2018)["conclusion"] == "passes"
    found = conclude(similarities, SANITY_2018, needs_output=True)
    assert found["conclusion"] == "undecided"
    assert found["reason"] == "no step replaced the output layer alone"
    assert np.isnan(found["after_output"])
    alike = cell(None, 0.9, 0.1, 0.95)
    assert conclude(alike, SANITY_2018, needs_output=True)["conclusion"] == "fails"


def test_no_images_leave_no_numbers():
    nothing = np.empty(0)
    found = conclude(Similarities(nothing, nothing, nothing, nothing), SANITY_2018)
    assert (found["conclusion"], found["n"]) == ("undecided", 0)
    assert np.isnan(found["chance"])
