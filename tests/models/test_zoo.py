import inspect
import subprocess
import sys
import urllib.error
from pathlib import Path

import keras
import numpy as np
import pytest
from keras.src.utils import file_utils

from gradcam_eval.core import InputError
from gradcam_eval.models.catalogue import (
    EVIDENCE_CLASSES,
    EVIDENCE_NETWORKS,
    KERAS_APPLICATIONS,
    MODELS,
    model_spec,
)
from gradcam_eval.models.identity import model_digest
from gradcam_eval.models.preprocess import PREPROCESSING
from gradcam_eval.models.zoo import load_model

IMAGES = np.random.default_rng(0).uniform(0, 255, (1, 224, 224, 3)).astype(np.float32)


def classifiers():
    """Every public class of `keras.applications` that ends in a classifier, by its name."""
    found = {}
    for name, item in vars(keras.applications).items():
        if callable(item) and "classifier_activation" in inspect.signature(item).parameters:
            found[name] = item
    return found


def test_the_table_has_every_classifier_once():
    assert sorted(row[0] for row in KERAS_APPLICATIONS.values()) == sorted(classifiers())
    offline = ["efficientnet_lite0", "mobilenet_v2_torchvision", *EVIDENCE_NETWORKS]
    assert set(MODELS) == {*KERAS_APPLICATIONS, *offline}
    assert [name for name, spec in MODELS.items() if spec.offline] == offline


def test_every_specification_is_complete():
    for name, spec in MODELS.items():
        assert spec.name == name
        assert spec.preprocess in PREPROCESSING
        assert spec.licence
        assert spec.source
        known = (len(spec.class_names), len(spec.synsets))
        assert known == ((len(EVIDENCE_CLASSES), 0) if name in EVIDENCE_NETWORKS else (1000, 1000))
    assert model_spec("resnet50").class_names[285] == "Egyptian cat"


class Captured(Exception):
    """Ends the building of a model once its default size is known."""


@pytest.mark.parametrize("name", KERAS_APPLICATIONS)
def test_input_size_is_the_one_keras_builds_with(name, monkeypatch):
    constructor = classifiers()[KERAS_APPLICATIONS[name][0]]
    module = sys.modules[constructor.__module__]

    def capture(*_, default_size, **__):
        raise Captured(default_size)

    if name.startswith("mobilenet_v3"):  # asks for no default size, and warns where it is not 224
        assert "rows != 224" in inspect.getsource(module)
        assert model_spec(name).input_size == (224, 224)
        return
    monkeypatch.setattr(module.imagenet_utils, "obtain_input_shape", capture)
    with pytest.raises(Captured) as caught:
        constructor(weights=None)
    (side,) = caught.value.args
    assert model_spec(name).input_size == (side, side)


@pytest.mark.parametrize("name", KERAS_APPLICATIONS)
def test_preprocessing_is_the_one_of_the_models_own_module(name):
    module = sys.modules[classifiers()[KERAS_APPLICATIONS[name][0]].__module__]
    pixels = IMAGES[0, :4, :4]
    expected = module.preprocess_input(pixels.copy())
    way = PREPROCESSING[model_spec(name).preprocess]
    np.testing.assert_allclose(way(pixels), expected, rtol=1e-5, atol=1e-4)


@pytest.mark.parametrize("name", ["convnext_tiny", "efficientnet_v2_b0", "mobilenet_v3_small"])
def test_built_in_preprocessing_is_what_the_first_convolution_sees(name):
    model = load_model(name, weights=None)
    assert front(model).output_shape == (None, 224, 224, 3)
    expected = PREPROCESSING[model_spec(name).built_in](IMAGES)
    np.testing.assert_allclose(np.asarray(front(model)(IMAGES)), expected, rtol=1e-4, atol=1e-5)


def front(model):
    """The part of a model before its first layer that is not preprocessing."""
    kinds = (keras.layers.InputLayer, keras.layers.Rescaling, keras.layers.Normalization)
    last = [layer for layer in model.layers if isinstance(layer, kinds)][-1]
    return keras.Model(model.input, last.output)


def test_the_zero_colour_is_that_of_the_preprocessing_wherever_it_stands():
    assert model_spec("vgg16").zero_colour == PREPROCESSING["caffe"].zero_colour
    assert model_spec("efficientnet_b0").zero_colour == PREPROCESSING["torch"].zero_colour
    assert model_spec("efficientnet_v2_s").zero_colour == (128, 128, 128)


@pytest.fixture(scope="module")
def resnet():
    return load_model("resnet50", weights=None)


def test_a_keras_model_is_flat_and_begins_with_its_preprocessing(resnet):
    assert type(resnet).__name__ == "Functional"
    assert not any(isinstance(layer, keras.Model) for layer in resnet.layers)
    assert [layer.name for layer in resnet.layers[:3]] == [
        "image",
        "preprocess_caffe",
        "conv1_pad",
    ]
    assert resnet.input_shape == (None, 224, 224, 3)


def test_it_computes_what_the_plain_model_computes_on_preprocessed_images(resnet):
    plain = keras.applications.ResNet50(weights=None)
    plain.set_weights(resnet.get_weights())
    expected = plain(keras.applications.resnet50.preprocess_input(IMAGES.copy()))
    np.testing.assert_allclose(np.asarray(resnet(IMAGES)), np.asarray(expected), rtol=1e-4)


@pytest.mark.filterwarnings("error::UserWarning")
def test_it_survives_a_file_and_takes_a_plain_tensor_without_a_warning(resnet, tmp_path):
    resnet.save(tmp_path / "resnet.keras")
    again = load_model(tmp_path / "resnet.keras")
    np.testing.assert_array_equal(np.asarray(again(IMAGES)), np.asarray(resnet(IMAGES)))
    assert model_digest(again) == model_digest(resnet)


def test_layers_have_the_same_names_each_time_and_clash_with_nobodys():
    mine = keras.layers.Rescaling(1.0)
    first, second = (load_model("mobilenet_v3_small", weights=None) for _ in range(2))
    names = [layer.name for layer in first.layers]
    assert names == [layer.name for layer in second.layers]
    assert {"rescaling", "activation", "activation_1"} < set(names)
    assert keras.layers.Rescaling(1.0).name not in {mine.name, *names}
    assert keras.layers.Activation("relu").name not in names


def test_random_weights_follow_the_callers_seed():
    keras.utils.set_random_seed(3)
    first = load_model("mobilenet", weights=None).get_layer("conv1").get_weights()[0]
    keras.utils.set_random_seed(3)
    second = load_model("mobilenet", weights=None).get_layer("conv1").get_weights()[0]
    np.testing.assert_array_equal(first, second)


@pytest.fixture
def empty_cache(tmp_path, monkeypatch):
    monkeypatch.setattr(file_utils.config, "keras_home", lambda: str(tmp_path))
    return tmp_path / "models"


def test_no_network_says_so_and_names_what_works_without(empty_cache, monkeypatch, capsys):
    def fail(_url, target, _progress):
        Path(target).write_bytes(b"half")
        raise urllib.error.URLError("no route")

    monkeypatch.setattr(file_utils, "urlretrieve", fail)
    with pytest.raises(InputError, match=r"'mobilenet' .*no route.*need a network.*lite0, mobile"):
        load_model("mobilenet")
    assert list(empty_cache.iterdir()) == []  # Keras removes the half it has
    assert capsys.readouterr().out == ""


def test_a_download_that_was_killed_is_not_taken_for_weights(empty_cache):
    empty_cache.mkdir()
    # Keras knows no hash of this file, so it believes the half that an earlier process left.
    (empty_cache / "mobilenet_1_0_224_tf.h5").write_bytes(b"\x89HDF\r\n\x1a\n" + bytes(600))
    with pytest.raises(InputError, match="a file that was cut short must be deleted from"):
        load_model("mobilenet")


def test_a_defect_in_building_is_not_called_a_network_error(monkeypatch):
    def broken(**_):
        raise RuntimeError("a defect")

    monkeypatch.setattr(keras.applications, "MobileNet", broken)
    with pytest.raises(RuntimeError, match="a defect"):
        load_model("mobilenet", weights=None)


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"name_or_path": "resnet5"}, "unknown model 'resnet5': did you mean 'resnet50'"),
        ({"name_or_path": "vgg16", "preprocess": "caffe"}, "contains its preprocessing already"),
        ({"name_or_path": "vgg16", "weights": "noisy"}, "'imagenet' or None"),
        ({"name_or_path": "model.keras", "weights": None}, "for the zoo's models"),
        ({"name_or_path": "no/such.keras"}, "does not exist"),
        ({"name_or_path": "hf://owner/model"}, "not a local file"),
    ],
)
def test_what_cannot_be_loaded(arguments, message):
    with pytest.raises(InputError, match=message):
        load_model(**arguments)


def test_unknown_specification():
    with pytest.raises(InputError, match="did you mean 'efficientnet_lite0'"):
        model_spec("efficientnet_lite")


def test_the_table_is_read_without_tensorflow():
    code = (
        "import sys, gradcam_eval.models.zoo, gradcam_eval.models.catalogue as catalogue;"
        "catalogue.model_spec('vgg16');"
        "sys.exit('tensorflow' in sys.modules or 'keras' in sys.modules)"
    )
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0
