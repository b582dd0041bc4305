import json
import re
import zipfile

import h5py
import keras
import numpy as np
import pytest
from keras import layers

from gradcam_eval.core import InputError
from gradcam_eval.methods.explainer import explain
from gradcam_eval.models.catalogue import MODELS
from gradcam_eval.models.identity import model_digest, spec_of
from gradcam_eval.models.loading import load_file
from gradcam_eval.models.preprocess import PREPROCESSING
from gradcam_eval.models.zoo import check_model_name

SUFFIXES = (".keras", ".h5")
IMAGES = np.random.default_rng(0).uniform(0, 255, (2, 6, 5, 3)).astype(np.float32)


def small(*more):
    return keras.Sequential(
        [
            keras.Input((6, 5, 3)),
            *more,
            layers.Conv2D(4, 3, name="conv"),
            layers.Flatten(),
            layers.Dense(3),
        ],
        name="small",
    )


@pytest.fixture(scope="module")
def model():
    return small()


@pytest.fixture(scope="module", params=SUFFIXES)
def path(request, model, tmp_path_factory):
    path = tmp_path_factory.mktemp("models") / f"small{request.param}"
    model.save(path)
    return path


@pytest.mark.filterwarnings("error::UserWarning")
def test_a_file_gives_the_model_back(path, model):
    np.testing.assert_array_equal(np.asarray(load_file(path)(IMAGES)), np.asarray(model(IMAGES)))
    assert model_digest(load_file(str(path))) == model_digest(load_file(path))


def test_a_file_is_explained_as_its_model(path, model):
    wanted, got = (explain(each, IMAGES, layers="all") for each in (model, load_file(path)))
    assert list(got) == list(wanted) == [("conv", "grad_cam")]
    assert wanted["conv", "grad_cam"].any()
    np.testing.assert_array_equal(got["conv", "grad_cam"], wanted["conv", "grad_cam"])
    np.testing.assert_array_equal(got.scores, wanted.scores)


def test_the_training_configuration_is_not_loaded(tmp_path):
    trained = small()
    trained.compile("adam", "mse")
    trained.save(tmp_path / "m.keras")
    assert not load_file(tmp_path / "m.keras").compiled


def test_preprocessing_is_put_in_front_and_survives_a_file(path, model, tmp_path):
    wrapped = load_file(path, preprocess="caffe")
    assert [layer.name for layer in wrapped.layers] == ["image", "preprocess_caffe", "small"]
    expected = np.asarray(model(PREPROCESSING["caffe"](IMAGES)))
    np.testing.assert_allclose(np.asarray(wrapped(IMAGES)), expected, rtol=1e-4, atol=1e-4)
    wrapped.save(tmp_path / "wrapped.keras")
    assert model_digest(load_file(tmp_path / "wrapped.keras")) == model_digest(wrapped)


def test_unknown_preprocessing(path):
    with pytest.raises(InputError, match="unknown preprocessing 'imagenet'"):
        load_file(path, preprocess="imagenet")


@pytest.mark.parametrize(
    "name",
    [
        "hf://owner/model",
        "gs://bucket/m.keras",
        "s3://bucket/m.keras",
        "http://host/m.keras",
        "https://host/m.h5",
        "kaggle://keras/m",
        "file:///m.keras",
    ],
)
def test_remote_paths(name):
    with pytest.raises(InputError, match="is not a local file"):
        load_file(name)


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("m.pkl", "is a .pkl file, which may run any code"),
        ("m.pt", "may run any code"),
        ("m.PTH", "may run any code"),
        ("m.joblib", "may run any code"),
        ("m.onnx", "is an ONNX model, whose layers cannot be reached: save the Keras model"),
        ("m.tflite", "is a TensorFlow Lite model, whose layers cannot be reached"),
        ("frozen.pb", "is a graph of TensorFlow, whose layers"),
        ("m", "has the suffix '': give a .keras"),
        ("m.keras", "is not a zip archive"),
        ("m.h5", "is not an HDF5 file"),
    ],
)
def test_files_of_another_kind(tmp_path, name, message):
    (tmp_path / name).write_bytes(b"something else")
    with pytest.raises(InputError, match=message):
        load_file(tmp_path / name)


@pytest.mark.parametrize(
    ("name", "content", "message"),
    [
        ("m.h5", b"version https://git-lfs.github.com/spec/v1\noid sha256:0\n", "`git lfs pull`"),
        ("m.onnx", b"version https://git-lfs.github.com/spec/v1\n", "Git LFS pointer"),
        ("m.h5", b"\x1c\0\0\0TFL3\x14\0", "is a TensorFlow Lite model"),
        ("m.keras", b"\n<!DOCTYPE html><html>", "is a web page, which was downloaded"),
        ("m.h5", b"<html><body>404", "is a web page"),
    ],
)
def test_what_a_file_really_is(tmp_path, name, content, message):
    (tmp_path / name).write_bytes(content)
    for load in (load_file, check_model_name):
        with pytest.raises(InputError, match=message):
            load(str(tmp_path / name))


@pytest.mark.parametrize(
    ("part", "message"),
    [
        ("saved_model.pb", "is a SavedModel folder.*TFSMLayer"),
        ("config.json", "with the parts of a .keras file.*load_model"),
        ("other", "is a folder: give a"),
    ],
)
def test_kinds_of_folders(tmp_path, part, message):
    (tmp_path / part).write_bytes(b"")
    with pytest.raises(InputError, match=message):
        load_file(tmp_path)


@pytest.mark.parametrize("name", ["none.keras", "none.h5"])
def test_files_that_are_missing(tmp_path, name):
    with pytest.raises(InputError, match="does not exist"):
        load_file(tmp_path / name)


def test_a_folder(tmp_path):
    (tmp_path / "saved.keras").mkdir()
    for folder in (tmp_path, tmp_path / "saved.keras"):
        with pytest.raises(InputError, match="is a folder"):
            load_file(folder)


def test_one_kind_under_the_name_of_the_other(path, tmp_path):
    other = tmp_path / ("m.h5" if path.suffix == ".keras" else "m.keras")
    other.write_bytes(path.read_bytes())
    with pytest.raises(InputError, match=f"wrong suffix.*m{path.suffix}"):
        load_file(other)


@pytest.mark.parametrize("share", [0.1, 0.5, 0.9])
def test_a_file_that_is_cut_short(path, tmp_path, share):
    content = path.read_bytes()
    short = tmp_path / path.name
    short.write_bytes(content[: int(len(content) * share)])
    with pytest.raises(InputError, match="cut short"):
        load_file(short)


def test_weights_without_an_architecture(model, tmp_path):
    model.save_weights(tmp_path / "m.weights.h5")
    with pytest.raises(InputError, match="weights without an architecture"):
        load_file(tmp_path / "m.weights.h5")


def test_a_zip_archive_that_is_no_model(tmp_path):
    with zipfile.ZipFile(tmp_path / "m.keras", "w") as archive:
        archive.writestr("readme.txt", "no model")
    with pytest.raises(InputError, match="not a Keras model"):
        load_file(tmp_path / "m.keras")


def rewritten(path, change):
    """Change the text of the architecture in a file."""
    if path.suffix == ".h5":
        with h5py.File(path, "r+") as file:
            file.attrs["model_config"] = change(file.attrs["model_config"])
        return path
    with zipfile.ZipFile(path) as archive:
        parts = {name: archive.read(name) for name in archive.namelist()}
    parts["config.json"] = change(parts["config.json"].decode()).encode()
    with zipfile.ZipFile(path, "w") as archive:
        for name, content in parts.items():
            archive.writestr(name, content)
    return path


@pytest.mark.parametrize("suffix", SUFFIXES)
@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("{not json", "not valid JSON"),
        ("[" * 100_000, "not valid JSON"),
        ('{"module": "keras", "class_name": "Model", "config": {"layers": 3}}', "cannot be loaded"),
        ("7", "cannot be loaded as a Keras model"),
    ],
)
def test_a_broken_architecture(model, tmp_path, suffix, text, message):
    path = tmp_path / f"m{suffix}"
    model.save(path)
    with pytest.raises(InputError, match=message):
        load_file(rewritten(path, lambda _: text))


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_lambda_layers_of_every_kind_at_every_depth(tmp_path, suffix):
    python = layers.Lambda(lambda x: x * 2, output_shape=(6, 5, 3))
    named = layers.Lambda(keras.activations.relu)
    path = tmp_path / f"m{suffix}"
    for code in (python, named):
        inner = keras.Sequential([keras.Input((6, 5, 3)), code])
        for unsafe in (small(code), keras.Sequential([keras.Input((6, 5, 3)), small(inner)])):
            unsafe.save(path)
            with pytest.raises(InputError, match="contains Lambda"):
                load_file(path)
    # Keras itself loads the named one: that refusal is this package's.
    small(named).save(path)
    assert keras.models.load_model(path, safe_mode=True, compile=False).name == "small"


@pytest.mark.parametrize("name", ["TFSMLayer", "TorchModuleWrapper", "Lambda", "any>Lambda"])
def test_other_layers_that_carry_code_are_refused_by_their_name(model, tmp_path, name):
    model.save(tmp_path / "m.keras")

    def change(text):
        config = json.loads(text)
        config["config"]["layers"][1]["class_name"] = name
        return json.dumps(config)

    with pytest.raises(InputError, match=f"contains {name.rpartition('>')[2]}"):
        load_file(rewritten(tmp_path / "m.keras", change))


class Twice(layers.Layer):
    def call(self, x):
        return x * 2


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_custom_class_must_be_registered(tmp_path, suffix):
    path = tmp_path / f"m{suffix}"
    model = small(Twice())
    model.save(path)
    way = 'keras.saving.get_custom_objects()["Twice"] = Twice'
    with pytest.raises(InputError, match=f"uses the class 'Twice'.*{re.escape(way)}.*--import"):
        load_file(path)
    try:
        exec(way)  # what the message says
        np.testing.assert_array_equal(load_file(path)(IMAGES), model(IMAGES))
    finally:
        del keras.saving.get_custom_objects()["Twice"]


@pytest.mark.parametrize("suffix", SUFFIXES)
def test_a_custom_class_of_a_package_is_registered_under_it(tmp_path, suffix):
    path = tmp_path / f"m{suffix}"
    named = keras.saving.register_keras_serializable("my_package")(type("Named", (Twice,), {}))
    small(named()).save(path)
    known = keras.saving.get_custom_objects()
    kept = known.pop("my_package>Named")
    try:
        with pytest.raises(InputError, match=r"'Named'.*serializable\(\"my_package\"\)"):
            load_file(path)
        known["my_package>Named"] = kept
        load_file(path)
    finally:
        known.pop("my_package>Named", None)


def test_a_registered_class_is_loaded(tmp_path):
    @keras.saving.register_keras_serializable("test_loading")
    class Thrice(layers.Layer):
        def call(self, x):
            return x * 3

    saved = small(Thrice())
    saved.save(tmp_path / "m.keras")
    loaded = load_file(tmp_path / "m.keras")
    np.testing.assert_array_equal(np.asarray(loaded(IMAGES)), np.asarray(saved(IMAGES)))


def test_specification_of_a_file_and_of_a_model(path, model):
    spec = spec_of(path, class_names=["a", "b", "c"], preprocess="tf")
    assert (spec.name, spec.input_size, spec.preprocess) == ("small", (6, 5), "tf")
    assert spec.class_names == ("a", "b", "c")
    assert spec.source == f"the file {path.name}"
    assert spec_of(model).class_names == ()
    assert spec_of("resnet50") is MODELS["resnet50"]


def test_specification_of_a_model_of_any_size():
    inputs = keras.Input((None, None, 3))
    model = keras.Model(inputs, layers.GlobalMaxPooling2D()(inputs))
    assert spec_of(model).input_size is None


def test_class_names_that_do_not_fit(model):
    with pytest.raises(InputError, match="2 class names, but model 'small' has 3 outputs"):
        spec_of(model, class_names=["a", "b"])


def test_models_that_take_no_image():
    one, two = keras.Input((4,)), keras.Input((4,))
    for model in (keras.Model(one, one * 2), keras.Model([one, two], one + two)):
        with pytest.raises(InputError, match="valid is one batch of images"):
            spec_of(model)
    with pytest.raises(InputError, match="has no input shape yet"):
        spec_of(keras.Sequential([layers.Dense(1)]))


def test_the_digest_sees_weights_and_architecture_and_nothing_else():
    keras.utils.set_random_seed(0)
    model = small()
    before = model_digest(model)
    model.compile("adam", "mse")
    assert model_digest(model) == before
    values = model.get_weights()
    values[-1][0] += 1
    model.set_weights(values)
    assert model_digest(model) != before
    values[-1][0] -= 1
    model.set_weights(values)
    assert model_digest(model) == before
    model.layers[0].strides = (2, 2)
    assert model_digest(model) != before


def test_the_digest_of_a_subclassed_model():
    class Own(keras.Model):
        def __init__(self, width):
            super().__init__()
            self.dense = layers.Dense(width)
            self.function = lambda x: x  # nothing that can be serialised

        def call(self, x):
            return self.dense(x)

        def get_config(self):
            raise NotImplementedError

    first, second = Own(2), Own(2)
    for model in (first, second):
        model(np.zeros((1, 3), np.float32))
    assert model_digest(first) != model_digest(second)
    second.set_weights(first.get_weights())
    assert model_digest(first) == model_digest(second)
