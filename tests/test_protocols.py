"""Protocols: what each name fixes, and what a wrong name says."""

import dataclasses
import json
import runpy
from pathlib import Path

import pytest

from gradcam_eval.core import InputError
from gradcam_eval.protocols import _ALL, PROTOCOLS, FaithfulnessProtocol, describe, protocol
from gradcam_eval.protocols.faithfulness import FAITHFULNESS

ROOT = Path(__file__).parents[1]


def test_rise2018_fixes_the_published_parameters():
    rules = protocol("rise2018", "deletion")
    assert isinstance(rules, FaithfulnessProtocol)
    assert rules.step_pixels == 224
    assert rules.removal.colour == pytest.approx((0.485 * 255, 0.456 * 255, 0.406 * 255))
    assert rules.start.colour == rules.removal.colour
    assert (rules.start.rule, rules.start.kernel, rules.start.sigma) == ("rise_blur", 11, 5.0)
    assert protocol("rise2018", "insertion") is rules


def test_the_batch_protocol_differs_in_its_step_alone():
    single, batch = describe("rise2018"), describe("rise2018_batch")
    assert batch["step_pixels"] == 8 * 224
    assert {key for key in single if single[key] != batch[key]} == {
        "name",
        "step_pixels",
        "source",
    }


def test_pointing2018_counts_15_pixels_of_the_original_image():
    assert describe("pointing2018")["tolerance_pixels"] == 15
    assert describe("pointing2018")["frame"] == "original"


@pytest.mark.parametrize("name", PROTOCOLS)
def test_every_protocol_is_frozen_named_by_its_key_and_can_be_stored(name):
    record = PROTOCOLS[name]
    assert record.name == name
    assert record.source
    assert json.loads(json.dumps(describe(name), allow_nan=False))["name"] == name
    with pytest.raises(dataclasses.FrozenInstanceError):
        record.name = "other"


def test_an_unknown_protocol_names_the_valid_ones_of_that_metric():
    with pytest.raises(InputError, match=r"did you mean 'rise2018'\? Valid: rise2018, rise2018_b"):
        protocol("rise218", "deletion")


def test_a_protocol_of_another_metric_is_unknown():
    with pytest.raises(
        InputError,
        match=r"'pointing_game' 'rise2018'\. Valid: pointing2018, pointing2018_strict,",
    ):
        protocol("rise2018", "pointing_game")


def test_describing_an_unknown_protocol_fails_in_words():
    with pytest.raises(InputError, match="unknown protocol 'risee'"):
        describe("risee")


def test_no_two_protocols_have_one_name():
    assert len(_ALL) == len(PROTOCOLS)


def test_the_page_of_protocols_is_in_step():
    found = runpy.run_path(str(ROOT / "docs" / "protocols_page.py"))
    assert found["PAGE"].read_text(encoding="utf-8") == found["page"](), (
        "run: python docs/protocols_page.py"
    )


def test_every_faithfulness_protocol_says_what_it_costs():
    for entry in FAITHFULNESS:
        calls = entry.calls(50176)
        assert calls.each_heatmap + calls.each_image > 0
    assert PROTOCOLS["rise2018"].calls(50176).each_heatmap == 225
    assert PROTOCOLS["rise2018_batch"].calls(50176).each_heatmap == 29
    assert PROTOCOLS["samek2017_one_draw"].calls(50176).each_heatmap == 101
    assert PROTOCOLS["samek2017"].calls(50176).each_heatmap == 1010
