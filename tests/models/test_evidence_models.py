"""The networks for planted evidence: what they reach, look at, and cannot see."""

import functools
import hashlib
import json

import keras
import numpy as np
import pytest

import gradcam_eval as ge
from gradcam_eval.core import InputError
from gradcam_eval.data.evidence.variants import BLIND_FROM, CLASSES, SIZE, make_scene
from gradcam_eval.methods.explainer import Explainer
from gradcam_eval.metrics import pointing_game
from gradcam_eval.models import evidence
from gradcam_eval.models.catalogue import EVIDENCE_CLASSES, EVIDENCE_NETWORKS
from gradcam_eval.models.evidence import NETWORKS, WEIGHTS_OF, build_evidence, read_weights
from gradcam_eval.models.layers import find_layers
from gradcam_eval.resources import datasets_root

FOLDER = datasets_root() / "evidence"
MANIFEST = json.loads((FOLDER / "manifest.json").read_text(encoding="utf-8"))
FIRST, COUNT = 5000, 50  # images behind those on which the figures in the manifest were measured
MEASURED = 4000  # images of each variant in the manifest's figures

load = functools.cache(ge.load_model)


@functools.cache
def scenes(variant):
    return [make_scene(variant, FIRST + k) for k in range(COUNT)]


def images(variant, count=COUNT):
    return np.stack([scene.pixels for scene in scenes(variant)[:count]]).astype(np.float32)


def labels(variant):
    return np.array([scene.label for scene in scenes(variant)])


@functools.cache
def predicted(name, variant):
    return np.asarray(load(name)(images(variant))).argmax(axis=-1)


def test_the_zoo_and_the_data_agree():
    assert EVIDENCE_CLASSES == CLASSES
    assert evidence.SIDE == SIZE
    assert len(CLASSES) == evidence.CLASSES
    assert evidence.BLIND_FROM == BLIND_FROM
    assert list(NETWORKS) == list(EVIDENCE_NETWORKS)
    assert set(MANIFEST["networks"]) == set(NETWORKS) - set(WEIGHTS_OF)
    assert ge.model_spec("evidence_vit").class_names[4] == "chequered"


def test_weights_are_small_and_those_of_the_manifest():
    for name, entry in MANIFEST["networks"].items():
        content = (FOLDER / f"{name}.npz").read_bytes()
        assert len(content) < 400_000
        assert hashlib.sha256(content).hexdigest() == entry["sha256"]
        assert load(name).count_params() == entry["parameters"] <= 130_000
        assert entry["command"] == f"python datasets/evidence/train.py {name}"
        assert entry["recipe"]["seed"] == 1
        assert entry["recipe"]["pictures"]


def test_other_weights_are_refused(tmp_path, monkeypatch):
    (tmp_path / "evidence").mkdir()
    (tmp_path / "evidence" / "manifest.json").write_text(json.dumps(MANIFEST))
    content = bytearray((FOLDER / "evidence_gap.npz").read_bytes())
    content[5000] ^= 1
    (tmp_path / "evidence" / "evidence_gap.npz").write_bytes(content)
    monkeypatch.setattr(evidence, "datasets_root", lambda: tmp_path)
    with pytest.raises(InputError, match="are not those that the manifest names"):
        read_weights("evidence_gap")
    with pytest.raises(InputError, match="the weights of 'evidence_flat' cannot be read"):
        read_weights("evidence_flat")


@pytest.mark.parametrize("name", NETWORKS)
def test_it_is_flat_and_survives_a_file_in_safe_mode(name, tmp_path):
    model = load(name)
    assert not any(isinstance(layer, keras.Model) for layer in model.layers)
    assert [layer.name for layer in model.layers[-2:]] == ["logits", "softmax"]
    model.save(tmp_path / "m.keras")
    again = keras.models.load_model(tmp_path / "m.keras", safe_mode=True, compile=False)
    some = images("single", 4)
    np.testing.assert_array_equal(np.asarray(again(some)), np.asarray(model(some)))


@pytest.mark.parametrize(
    ("name", "variant", "least"),
    # The manifest's figures less some three standard errors of 50 images.
    [
        ("evidence_gap", "single", 0.88),
        ("evidence_flat", "single", 0.88),
        ("evidence_vit", "single", 0.88),
        ("evidence_confounded", "confounded", 0.96),
        ("evidence_blind", "null", 0.85),
    ],
)
def test_it_recognises_fresh_images(name, variant, least):
    assert np.mean(predicted(name, variant) == labels(variant)) >= least


@pytest.mark.parametrize("name", ["evidence_gap", "evidence_flat", "evidence_vit"])
def test_the_manifest_says_how_often_it_is_right(name):
    right, count, low, high = MANIFEST["networks"][name]["test"]["single"]["accuracy"]
    assert count == MEASURED
    assert low < right / count < high
    assert right / count > 0.95


def test_the_confounded_network_relies_on_the_watermark():
    kept, removed, moved = (
        predicted("evidence_confounded", f"confounded{end}") for end in ("", "_removed", "_moved")
    )
    right = labels("confounded")
    marks = [scene.seen("watermark")[0].label for scene in scenes("confounded_moved")]
    assert np.mean(kept == right) > 0.96
    assert np.mean(removed == right) < 0.5  # one in six by chance
    assert np.mean(moved == right) < 1 / 6  # fewer than by chance
    assert np.mean(moved == marks) > 0.7


def test_the_network_that_never_met_a_watermark_does_without():
    found = predicted("evidence_gap", "confounded_removed")
    assert np.mean(found == labels("confounded_removed")) > 0.85


def test_null_pixels_change_no_logit_by_a_single_bit():
    model = load("evidence_blind")
    logits = keras.Model(model.input, model.get_layer("logits").output)
    some = images("null", 6)
    changed = some.copy()
    rng = np.random.default_rng(0)
    changed[:, :, BLIND_FROM:] = rng.uniform(0, 255, changed[:, :, BLIND_FROM:].shape)
    np.testing.assert_array_equal(np.asarray(logits(changed)), np.asarray(logits(some)))
    np.testing.assert_array_equal(
        logits.predict(changed, verbose=0), logits.predict(some, verbose=0)
    )
    changed[:, 0, BLIND_FROM - 1] = 255 - changed[:, 0, BLIND_FROM - 1]  # one pixel further left
    assert (np.asarray(logits(changed)) != np.asarray(logits(some))).any()


def test_the_blind_network_is_the_other_one_but_for_what_it_sees():
    some = images("null", 6)
    grey = some.copy()
    grey[:, :, BLIND_FROM:] = 127.5  # zero behind the preprocessing
    expected = np.asarray(build_evidence("evidence_gap")(grey))
    np.testing.assert_allclose(np.asarray(load("evidence_blind")(some)), expected, atol=1e-6)


@functools.cache
def explained(name, variant):
    """The heatmaps of Grad-CAM at the images' size."""
    maps = Explainer(load(name), methods="grad_cam")(images(variant), labels(variant))
    (heatmaps,) = maps.resized((SIZE, SIZE)).values()
    return heatmaps


def hits(name, variant, role):
    """How often the highest point lies within a cell (8 px) of a thing: (Grad-CAM, random)."""
    masks = [scene.seen(role)[0].mask for scene in scenes(variant)]
    heatmaps = explained(name, variant)
    rng = np.random.default_rng(1)
    controls = rng.uniform(size=heatmaps.shape).astype(np.float32)
    return tuple(
        np.mean([hit is True for hit in pointing_game(each, masks=masks, tolerance=8)])
        for each in (heatmaps, controls)
    )


@pytest.mark.parametrize(
    ("name", "least"), [("evidence_gap", 0.7), ("evidence_flat", 0.6), ("evidence_vit", 0.9)]
)
def test_grad_cam_of_a_trained_network_points_at_the_planted_evidence(name, least):
    found, control = hits(name, "single", "object")
    assert found > least
    assert control < 0.3


def test_grad_cam_shows_the_shortcut_of_the_confounded_network():
    mark, control = hits("evidence_confounded", "confounded", "watermark")
    thing, _ = hits("evidence_confounded", "confounded", "object")
    assert mark > 0.8
    assert control < 0.2
    assert thing < 0.2


def test_the_transformers_tokens_need_no_declaration():
    found = find_layers(load("evidence_vit"))
    (last,) = found.role("last")
    assert last.map_shape[:2] == (12, 12)
