"""The two models whose weights come from pip packages: the conversion, on real photographs."""

from pathlib import Path

import keras
import matplotlib
import numpy as np
import pytest
import skimage.data
from PIL import Image

from gradcam_eval.models.catalogue import model_spec
from gradcam_eval.models.lite0 import build_lite0
from gradcam_eval.models.mobilenet_v2 import build_mobilenet_v2
from gradcam_eval.models.weights import LITE0, MOBILENET_V2, is_installed
from gradcam_eval.models.zoo import load_model

FILES = {"efficientnet_lite0": LITE0, "mobilenet_v2_torchvision": MOBILENET_V2}


def photograph(name):
    """float32 (1, 224, 224, 3): squashed by Pillow's bilinear filter, as all reference figures."""
    if name == "grace_hopper":
        path = Path(matplotlib.get_data_path()) / "sample_data" / "grace_hopper.jpg"
        image = Image.open(path)
    elif name == "motorcycle_left":
        image = Image.fromarray(skimage.data.stereo_motorcycle()[0])
    else:
        image = Image.fromarray(getattr(skimage.data, name)())
    squashed = image.convert("RGB").resize((224, 224), Image.Resampling.BILINEAR)
    return np.asarray(squashed, np.float32)[None]


@pytest.fixture(scope="module", params=FILES)
def model(request):
    file = FILES[request.param]
    if not is_installed(file):
        pytest.skip(f"the weights are not installed: {file.install}")
    return load_model(request.param)


# Lite0's figures were measured elsewhere, with another implementation of the network; those of
# MobileNetV2 are this conversion's own.
PROBABILITIES = {
    "efficientnet_lite0": {
        "chelsea": ("Egyptian cat", 0.79),
        "coffee": ("espresso", 0.90),
        "camera": ("tripod", 0.94),
        "motorcycle_left": ("moped", 0.49),
        "grace_hopper": ("military uniform", 0.39),
    },
    "mobilenet_v2_torchvision": {
        "chelsea": ("Egyptian cat", 0.745),
        "coffee": ("espresso", 0.991),
        "camera": ("tripod", 0.997),
        "motorcycle_left": ("moped", 0.497),  # and "motor scooter" .491
        "grace_hopper": ("military uniform", 0.365),
    },
}


@pytest.mark.parametrize(
    "photo", ["chelsea", "coffee", "camera", "motorcycle_left", "grace_hopper"]
)
def test_what_the_model_sees(model, photo):
    name, expected = PROBABILITIES[model.name][photo]
    probabilities = np.asarray(model(photograph(photo)))[0]
    assert model_spec(model.name).class_names[probabilities.argmax()] == name
    assert probabilities.max() == pytest.approx(expected, abs=0.03)
    assert probabilities.sum() == pytest.approx(1, abs=1e-5)


def test_it_is_flat_and_ends_in_logits_and_softmax(model):
    assert not any(isinstance(layer, keras.Model) for layer in model.layers)
    assert [layer.name for layer in model.layers[-3:]] == ["avg_pool", "logits", "softmax"]
    assert isinstance(model.get_layer("logits"), keras.layers.Dense)
    assert model.layers[1].name == f"preprocess_{model_spec(model.name).preprocess}"
    assert model.input_shape == (None, *model_spec(model.name).input_size, 3)


def test_it_survives_a_file(model, tmp_path):
    model.save(tmp_path / "m.keras")
    again = load_model(tmp_path / "m.keras")
    image = photograph("coffee")
    np.testing.assert_array_equal(np.asarray(again(image)), np.asarray(model(image)))


@pytest.fixture(scope="module")
def random_lite0():
    return build_lite0(weights=None)


@pytest.fixture(scope="module")
def random_mobilenet():
    return build_mobilenet_v2(weights=None)


def trainable(model):
    return sum(int(np.prod(weight.shape)) for weight in model.trainable_weights)


def test_sizes_are_the_published_ones(random_lite0, random_mobilenet):
    assert trainable(random_lite0) == 4_652_008
    assert trainable(random_mobilenet) == 3_504_872


def test_layers_have_the_names_that_keras_gives_them(random_lite0, random_mobilenet):
    convolutions = (keras.layers.Conv2D, keras.layers.DepthwiseConv2D)

    def names(model):
        found = [layer.name for layer in model.layers if isinstance(layer, convolutions)]
        return [name for name in found if "_se_" not in name]  # Lite has no squeeze-and-excite

    applications = keras.applications
    assert names(random_lite0) == names(applications.EfficientNetB0(weights=None))
    assert names(random_mobilenet) == names(applications.MobileNetV2(weights=None))


def test_resolutions_fall_where_the_papers_say(random_lite0, random_mobilenet):
    sides = {"block1a_project_bn": 112, "block2b_add": 56, "block3b_add": 28, "block4c_add": 14}
    sides |= {"block5c_add": 14, "block6d_add": 7, "top_activation": 7}
    for name, side in sides.items():
        assert random_lite0.get_layer(name).output.shape[1:3] == (side, side)
    sides = {"expanded_conv_project_BN": 112, "block_2_add": 56, "block_5_add": 28}
    sides |= {"block_12_add": 14, "block_15_add": 7, "out_relu": 7}
    for name, side in sides.items():
        assert random_mobilenet.get_layer(name).output.shape[1:3] == (side, side)
