import keras
import numpy as np
import pytest

from gradcam_eval.core import InputError
from gradcam_eval.models.preprocess import PREPROCESSING, preprocessing

PIXEL = np.array([[[[255.0, 127.5, 0.0]]]], np.float32)  # (1, 1, 1, 3), RGB


@pytest.mark.parametrize(
    ("name", "expected"),
    [
        ("none", [255, 127.5, 0]),
        ("unit", [1, 0.5, 0]),
        ("tf", [1, 0, -1]),
        ("lite", [1, 0.00390625, -0.9921875]),
        ("half", [0.9921875, -0.00390625, -1]),
        # (1 - .485) / .229, (.5 - .456) / .224, -.406 / .225
        ("torch", [2.2489083, 0.19642857, -1.8044444]),
        # BGR: 0 - 103.939, 127.5 - 116.779, 255 - 123.68
        ("caffe", [-103.939, 10.721, 131.32]),
    ],
)
def test_values_by_hand_in_numpy_and_in_keras(name, expected):
    way = PREPROCESSING[name]
    inputs = keras.Input((1, 1, 3))
    layered = keras.Model(inputs, way.apply(inputs))(PIXEL)
    np.testing.assert_allclose(way(PIXEL)[0, 0, 0], expected, rtol=1e-6)
    np.testing.assert_allclose(np.asarray(layered)[0, 0, 0], expected, rtol=1e-5)


@pytest.mark.parametrize("name", PREPROCESSING)
def test_the_network_sees_zeros_where_the_image_has_the_zero_colour(name):
    way = PREPROCESSING[name]
    np.testing.assert_allclose(way(np.array(way.zero_colour)), [0, 0, 0], atol=1e-6)


def test_the_zero_colour_is_rgb():
    assert PREPROCESSING["caffe"].zero_colour == (123.68, 116.779, 103.939)
    assert PREPROCESSING["torch"].zero_colour == pytest.approx((123.675, 116.28, 103.53))


@pytest.mark.parametrize("name", [name for name in PREPROCESSING if name != "none"])
def test_the_layers_are_named_and_survive_a_file(name, tmp_path):
    inputs = keras.Input((2, 2, 3))
    model = keras.Model(inputs, PREPROCESSING[name].apply(inputs))
    assert f"preprocess_{name}" in [layer.name for layer in model.layers]
    model.save(tmp_path / "m.keras")
    again = keras.models.load_model(tmp_path / "m.keras", safe_mode=True)
    images = np.random.default_rng(0).uniform(0, 255, (2, 2, 2, 3)).astype(np.float32)
    np.testing.assert_array_equal(np.asarray(model(images)), np.asarray(again(images)))


def test_unknown_name():
    with pytest.raises(InputError, match="did you mean 'caffe'"):
        preprocessing("cafe")
