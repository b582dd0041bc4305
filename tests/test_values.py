"""One check of the range of images at every entrance, and models of other ranges."""

import keras
import numpy as np
import pytest

import gradcam_eval as ge
from gradcam_eval.core import InputError
from gradcam_eval.models.zoo import known_values
from gradcam_eval.perturb.fills import constant_fill
from gradcam_eval.values import (
    ANY_VALUES,
    LEVELS,
    PERTURBED,
    as_rgb,
    as_values,
    check_values,
    slope,
    to_levels,
)

PICTURE = np.random.default_rng(0).integers(0, 256, (1, 12, 10, 3)).astype(np.float32)
NORMALISED = (PICTURE / 255 - 0.45) / 0.225


@pytest.fixture(scope="module")
def named():
    return ge.load_model("evidence_gap", weights=None)


@pytest.mark.parametrize(
    ("images", "values", "slack", "words"),
    [
        (PICTURE / 255, LEVELS, 0, r"run from \S+ to 1: expected 0 to 255.* Multiply them by 255"),
        (PICTURE / 255, LEVELS, PERTURBED, r"declare it: values=\(0, 1\)"),
        (PICTURE / 127.5 - 1, LEVELS, PERTURBED, r"from -1 to 1: .*before they were normalised"),
        (NORMALISED, LEVELS, PERTURBED, r"expected 0 to 255"),
        (PICTURE * 257, LEVELS, PERTURBED, r"to 6.554e\+04"),
        (PICTURE - 1, LEVELS, 0, r"from -1 to 254"),
        (PICTURE * np.nan, LEVELS, 0, r"not finite: expected 0 to 255"),
        (PICTURE, (0, 1), 0, r"values = \[0, 1\] was declared: declare their own range"),
        (PICTURE / 255**2, (0, 1), 0, r"expected 0 to 1"),
    ],
)
def test_another_range_is_refused_with_what_to_do(images, values, slack, words):
    with pytest.raises(InputError, match=words):
        check_values(images, values, slack=slack)


@pytest.mark.parametrize(
    ("images", "values", "slack"),
    [
        (PICTURE, LEVELS, 0),
        (PICTURE / 255, (0, 1), 0),
        (PICTURE / 255, (-1000, 400), 0),  # a narrow part of a wide range
        (PICTURE * 0, LEVELS, 0),
        (np.round(PICTURE / 255), LEVELS, 0),  # a black photograph with a little noise
        (PICTURE + 100, LEVELS, PERTURBED),
        (PICTURE - 51, LEVELS, PERTURBED),
        (NORMALISED, ANY_VALUES, 0),
        (PICTURE[:0], LEVELS, 0),
    ],
)
def test_what_lies_in_its_range_passes(images, values, slack):
    check_values(images, values, slack=slack)


@pytest.mark.parametrize("values", [(1, 1), (2, 1), (0, np.nan), "ab", (0, 1, 2), 3, (0, np.inf)])
def test_what_is_no_range_is_refused(values):
    with pytest.raises(InputError, match="values = "):
        as_values(values)


def test_levels_and_back_by_hand():
    units = np.array([-1000, -300, 400], np.float32)
    assert to_levels(units, (-1000, 400)).tolist() == [0, 127.5, 255]
    assert slope((-1000, 400)) * 255 - 1000 == pytest.approx(400)
    assert to_levels(units, LEVELS) is units


@pytest.mark.parametrize(("channels", "shown"), [(1, [7, 7, 7]), (2, [7, 7, 7]), (4, [7, 8, 9])])
def test_any_number_of_channels_can_be_looked_at(channels, shown):
    image = np.arange(7, 7 + channels, dtype=np.float32)[None, None] + np.float32(0.2)
    assert as_rgb(image)[0, 0].tolist() == shown
    assert as_rgb(np.array([[[-5.0, 300.0, 2.5]]])).tolist() == [[[0, 255, 2]]]


def test_a_named_model_refuses_images_of_another_scale_at_every_entrance(named):
    picture = np.random.default_rng(1).integers(0, 256, (96, 96, 3)).astype(np.float32)
    small = picture / 255
    for call in (
        lambda: ge.explain(named, small),
        lambda: ge.Explainer(named)(small),
        lambda: ge.activations_and_gradients(named, small, "last"),
        lambda: ge.parameter_randomisation(named, small),
        lambda: ge.class_sensitivity(named, small),
        lambda: ge.input_invariance(named, small),
        lambda: ge.overlay(small, np.eye(4, dtype=np.float32)),
        lambda: ge.deletion(named, small[None], np.eye(4, dtype=np.float32)[None], [0]),
    ):
        with pytest.raises(InputError, match=r"expected 0 to 255.*Multiply them by 255"):
            call()
    with pytest.raises(InputError, match="this model takes 0 to 255"):
        ge.explain(named, small, values=(0, 1))
    with pytest.raises(InputError, match="this model takes 0 to 255"):
        ge.in_levels(named, small[None], (0, 1))
    assert known_values(named) == LEVELS
    assert known_values(keras.Sequential()) is None
    assert known_values(np.ones(3)) is None


def _in_units(low, high):
    """Return a linear classifier of levels, and the same one of another range of values."""
    weights = np.random.default_rng(3).normal(0, 0.02, (12 * 10, 3)).astype(np.float32)
    models = []
    for bottom, top in ((0.0, 255.0), (low, high)):
        inputs = keras.Input((12, 10, 1))
        x = keras.layers.Rescaling(1 / (top - bottom), -bottom / (top - bottom))(inputs)
        x = keras.layers.Dense(3, activation="softmax")(keras.layers.Flatten()(x))
        model = keras.Model(inputs, x)
        model.layers[-1].set_weights([weights * 255, np.zeros(3, np.float32)])
        models.append(model)
    return models


METRICS = ("deletion", "insertion", "road", "aopc", "irof", "infidelity", "average_drop")


@pytest.mark.parametrize("is_black_box", [False, True])
def test_metrics_of_another_range_equal_those_in_levels(is_black_box):
    first, second = _in_units(-1000, 400)
    levels = PICTURE[..., :1]
    units = levels / 255 * 1400 - 1000
    maps = np.random.default_rng(4).random((1, 12, 10), dtype=np.float32)
    one, other = (m if not is_black_box else _plain(m) for m in (first, second))
    predict, images = ge.in_levels(other, units, [-1000, 400])
    assert images.dtype == np.float32
    for name in METRICS[: 3 if is_black_box else None]:
        found, expected = (
            getattr(ge, name)(call, given, maps, [1])[0]
            for call, given in ((predict, images), (one, levels))
        )
        value = [each.area if hasattr(each, "area") else each for each in (found, expected)]
        assert value[0] == pytest.approx(value[1], rel=1e-3), name
    with pytest.raises(InputError, match="`in_levels"):
        ge.deletion(other, units, maps, [1])


def _plain(model):
    return lambda images: np.asarray(model(images))


def test_what_explains_again_is_brought_to_levels_too():
    seen = []
    explain, image = ge.in_levels(
        lambda x: seen.append(x) or x.mean(axis=-1), PICTURE[0] / 255, (0, 1)
    )
    np.testing.assert_allclose(image, PICTURE[0], atol=1e-4)
    explain(image[None])
    np.testing.assert_allclose(seen[0][0], PICTURE[0] / 255, atol=1e-6)


def test_a_grey_image_takes_the_luminance_of_a_fill():
    grey = np.zeros((1, 2, 2, 1), np.float32)
    assert constant_fill(grey, (123.675, 116.28, 103.53))[0, 0, 0, 0] == pytest.approx(
        0.299 * 123.675 + 0.587 * 116.28 + 0.114 * 103.53, rel=1e-6
    )


def test_a_declared_range_is_checked_of_ones_own_model():
    model = _in_units(0, 1)[0]
    images = PICTURE[..., :1]
    options = {"layers": [], "methods": "gradient"}
    ge.explain(model, images / 255, **options)  # nothing is known: taken as they are
    with pytest.raises(InputError, match="expected 0 to 255"):
        ge.explain(model, images / 255, values=(0, 255), **options)
    ge.explain(model, images / 255, values=(0, 1), **options)


def test_an_overlay_shows_a_declared_range_black_to_white():
    image = np.array([[[-1000.0], [400.0]]])
    flat = np.zeros((2, 2), np.float32)
    assert ge.overlay(image, flat, values=(-1000, 400))[0].tolist() == [[0] * 3, [255] * 3]
