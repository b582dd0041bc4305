"""Files of Keras 2: `keras2/make.py` made them once, and wrote what Keras 2 predicts with them."""

import json
import shutil
import struct
import zipfile
from pathlib import Path

import h5py
import keras
import numpy as np
import pytest

from gradcam_eval import explain
from gradcam_eval.core import InputError
from gradcam_eval.models.keras2 import hard_sigmoid, mend
from gradcam_eval.models.keras2_graph import check_order, order_of
from gradcam_eval.models.keras2_operations import mend_keywords, mend_operation
from gradcam_eval.models.loading import _BUILD_AGAIN, _OWN_LAYER, load_file

FOLDER = Path(__file__).parent / "keras2"
EXPECTED = np.load(FOLDER / "expected.npz")
IMAGES = EXPECTED["images"]
# Sums of fewer than 256 products; float16 sums in another order, each rounded to 2^-11.
ROUNDING = {"mixed": 2.0**-9}
NAMES = [name for name in EXPECTED.files if name != "images"]


@pytest.mark.parametrize("suffix", [".h5", ".keras"])
@pytest.mark.parametrize("name", NAMES)
def test_a_file_of_keras_2_predicts_what_keras_2_predicts(name, suffix):
    path = FOLDER / f"{name}{suffix}"
    before = path.read_bytes()
    model = load_file(path)
    expected = EXPECTED[name]
    assert np.ptp(expected, axis=0).max() > 5e-3  # other images have other predictions
    found = np.asarray(model(IMAGES, training=False), np.float32)
    allowed = ROUNDING.get(name, 256 * np.finfo(np.float32).eps) * np.abs(expected).max()
    np.testing.assert_allclose(found, expected, rtol=0, atol=allowed)
    assert path.read_bytes() == before
    assert all("/" not in layer.name for layer in model.layers)


def test_it_is_explained_and_saved_as_any_model(tmp_path):
    maps = explain(load_file(FOLDER / "operations.h5"), IMAGES[:1], layers=["conv"])
    assert maps["conv", "grad_cam"].any()
    convolutions = load_file(FOLDER / "convolutions.keras")
    convolutions.save(tmp_path / "new.keras")
    again = load_file(tmp_path / "new.keras")
    np.testing.assert_array_equal(again(IMAGES), convolutions(IMAGES))


def test_the_hard_sigmoid_of_keras_2():
    found = np.asarray(hard_sigmoid(np.array([-3, -2.5, -1, 0, 1, 2.5, 3], np.float32)))
    np.testing.assert_allclose(found, [0, 0, 0.3, 0.5, 0.7, 1, 1], atol=1e-7)


def changed(name, tmp_path, change):
    """Copy a file and change its architecture."""
    path = tmp_path / name
    shutil.copy(FOLDER / name, path)
    if path.suffix == ".h5":
        with h5py.File(path, "r+") as file:
            config = json.loads(file.attrs["model_config"])
            change(config)
            file.attrs["model_config"] = json.dumps(config)
        return path
    with zipfile.ZipFile(path) as archive:
        parts = {each: archive.read(each) for each in archive.namelist()}
    config = json.loads(parts["config.json"])
    change(config)
    parts["config.json"] = json.dumps(config)
    with zipfile.ZipFile(path, "w") as archive:
        for each, content in parts.items():
            archive.writestr(each, content)
    return path


@pytest.mark.parametrize("name", NAMES)
def test_a_file_whose_layers_have_no_module_as_keras_2_13_wrote_it(name, tmp_path):
    def change(config):
        for entry in config["config"]["layers"]:
            for key in ("module", "registered_name", "build_config"):
                entry.pop(key, None)

    path = changed(f"{name}.keras", tmp_path, change)
    np.testing.assert_array_equal(load_file(path)(IMAGES), load_file(FOLDER / path.name)(IMAGES))


def _setting(**settings):
    return lambda config: config["config"]["layers"][2]["config"].update(settings)


def _function(config):
    config["config"]["layers"][1]["config"]["function"] = "image.rgb_to_hsv"


def _class(name):
    return lambda config: config["config"]["layers"][2].update(
        class_name=name, registered_name=name, module="mine"
    )


def _removed(config):
    """A layer of Keras 2 that Keras 3 does not have."""
    config["config"]["layers"][2].update(class_name="LocallyConnected2D", module="keras.layers")
    config["config"]["layers"][2]["registered_name"] = None


WRITTEN = r"written by Keras 2\.21\.0, "
CASES = [  # groups of 2 compute something else, and no layer of Keras 3 has them
    ("convolutions", _setting(groups=2), WRITTEN + r"cannot be.*'groups': 2.*tf_keras"),
    ("operations", _function, WRITTEN + "cannot be.* calls tf.image.rgb_to_hsv, which.*tf_keras"),
    ("convolutions", _removed, WRITTEN + "uses a layer that .*: LocallyConnected2D.* of your own"),
    ("convolutions", _class("Swish"), WRITTEN + "uses the class 'Swish'.*--import FILE.py"),
    ("convolutions", _class("my>Swish"), r"uses the class 'Swish'.*serializable\(\"my\"\)"),
    ("convolutions", _class("Lambda"), WRITTEN + "contains Lambda, which may run any code"),
    ("mixed", lambda config: config.update(config=None), WRITTEN + "cannot be loaded"),
    ("mixed", lambda config: config["config"].update(layers=[3]), WRITTEN + "cannot be loaded"),
]


@pytest.mark.parametrize("suffix", [".h5", ".keras"])
@pytest.mark.parametrize(("name", "change", "message"), CASES)
def test_what_cannot_be_mended_says_who_wrote_it_and_what_to_do(
    name, change, message, suffix, tmp_path
):
    folder = tmp_path / ("a" * 200) / ("b" * 200)
    folder.mkdir(parents=True)
    with pytest.raises(InputError, match=message) as error:
        load_file(changed(name + suffix, folder, change))
    assert len(str(error.value)) <= 500
    assert str(error.value).endswith((_BUILD_AGAIN, _OWN_LAYER, "again.", "FILE.py)."))


@pytest.mark.parametrize("version", ["3.0.0", "x" * 10_000, "2\n; rm", 7, None])
def test_only_a_version_is_taken_as_one(version, tmp_path):
    path = tmp_path / "mixed.h5"
    shutil.copy(FOLDER / "mixed.h5", path)
    with h5py.File(path, "r+") as file:
        del file.attrs["keras_version"]
        if version is not None:
            file.attrs["keras_version"] = version
        file.attrs["model_config"] = json.dumps({"class_name": "No", "config": {}})
    with pytest.raises(InputError) as error:
        load_file(path)
    assert "written by" not in str(error.value)


def layer(kind, **settings):
    return {"class_name": kind, "config": settings}


@pytest.mark.parametrize(
    ("entry", "expected"),
    [
        (layer("DepthwiseConv2D", groups=1, strides=2), {"strides": 2}),
        (layer("Conv2DTranspose", groups=2), {"groups": 2}),
        (layer("Conv2D", groups=1), {"groups": 1}),  # which has them
        (layer("Mine", groups=1), {"groups": 1}),
        (layer("InputLayer", ragged=True), {"ragged": True}),
        (layer("BatchNormalizationV1", fused=True, adjustment=None, axis=[3]), {"axis": 3}),
        (layer("BatchNormalization", virtual_batch_size=4), {"virtual_batch_size": 4}),
        (layer("Dense", dtype={"class_name": "Policy", "config": {"name": "x"}}), None),
        (layer("Dense", dtype={"class_name": "PolicyV1", "config": {"name": "float16"}}),
         {"dtype": "float16"}),
        (layer("LeakyReLU", alpha=0.25), {"negative_slope": 0.25}),
        (layer("SpatialDropout2D", rate=0.5, trainable=True), {"rate": 0.5}),
        (layer("ThresholdedReLU", theta=0.5), {"threshold": 0.5}),
        (layer("MultiHeadAttention", num_heads=2, query_shape=[2]), {"num_heads": 2}),
    ],
)  # fmt: skip
def test_settings(entry, expected):
    expected = json.loads(json.dumps(entry["config"])) if expected is None else expected
    mend(entry)
    assert entry["config"] == expected


def test_axes_of_several_are_kept_in_an_h5_file(tmp_path):
    """Keras 3 drops such a list, also of its own files, and normalises over the last axis."""
    inputs = keras.Input((4, 4, 3))
    model = keras.Model(inputs, keras.layers.UnitNormalization([1, 2])(inputs))
    model.save(tmp_path / "m.h5")
    images = np.arange(48, dtype=np.float32).reshape(1, 4, 4, 3)
    np.testing.assert_array_equal(load_file(tmp_path / "m.h5")(images), model(images))


def test_a_text_that_is_the_name_of_a_function_stays_a_text(tmp_path):
    inputs = keras.Input((4, 3))
    model = keras.Model(inputs, keras.layers.Attention(score_mode="dot")([inputs, inputs]))
    model.save(tmp_path / "m.h5")
    values = np.arange(12, dtype=np.float32).reshape(1, 4, 3)
    np.testing.assert_array_equal(load_file(tmp_path / "m.h5")(values), model(values))


def test_names_without_slashes_stay_apart():
    names = ["a/b", "a_b", "a/b/", "a_b_"]
    config = {
        "class_name": "Model",
        "config": {
            "name": "m/n",
            "layers": [
                layer("ReLU", name=name) | {"name": name, "inbound_nodes": [[["a/b", 0, 0, {}]]]}
                for name in names
            ],
            "output_layers": [["a/b/", 0, 0]],
        },
    }
    mend(config)
    found = config["config"]
    assert [each["name"] for each in found["layers"]] == ["a_b__", "a_b", "a_b___", "a_b_"]
    assert [each["config"]["name"] for each in found["layers"]] == [
        "a_b__",
        "a_b",
        "a_b___",
        "a_b_",
    ]
    assert found["layers"][1]["inbound_nodes"] == [[["a_b__", 0, 0, {}]]]
    assert (found["name"], found["output_layers"]) == ("m_n", ["a_b___", 0, 0])


def test_a_sequential_model_of_the_first_keras_2():
    """Its configuration was a list, and its first layer had the shape of the input."""
    dense = layer("Dense", units=2, name="d", batch_input_shape=[None, 4], activation="linear")
    config = {"class_name": "Sequential", "config": [dense]}
    mend(config)
    model = keras.Sequential.from_config(config["config"])
    assert model.input_shape == (None, 4)


@pytest.mark.parametrize(
    "call",
    [
        ["x", 0, 0, {"y": "text"}],
        ["x", 0, 0, {"y": 1, "axis": 2}],
        ["x", 0, 0, {"y": True}],
        ["_CONSTANT_VALUE", -1, [1, 2], {"y": ["x", 0, 0]}],
        ["_CONSTANT_VALUE", -1, 1, {"y": 2}],
        [["x", 0, 0]],
        "x",
    ],
)
def test_other_calls_of_functions_are_left_alone(call):
    entry = layer("TFOpLambda", function="math.add", name="f") | {"inbound_nodes": [call]}
    before = json.dumps(entry)
    mend_operation(entry)
    assert json.dumps(entry) == before


@pytest.mark.parametrize(
    ("function", "call"),
    [
        ("reshape", ["x", 0, 0, {"shape": [["y", 0, 0], 4]}]),  # a side that is computed
        ("concat", [["x", 0, 0, {"axis": -1}], ["_CONSTANT_VALUE", -1, [1.0], {"axis": -1}]]),
        ("concat", []),
        ("compat.v1.transpose", ["x", 0, 0, {"perm": [0, 1], "conjugate": True}]),
        ("nn.softmax", ["x", 0, 0, {"axis": -1, "beta": 2}]),
        ("nn.silu", ["x", 0, 0, {"beta": 2.0}]),
        ("image.resize", ["x", 0, 0, {"size": [4, 4], "method": "area"}]),
        ("image.resize", ["x", 0, 0, {"size": [4, 4], "preserve_aspect_ratio": True}]),
        ("image.resize", ["x", 0, 0, {"size": ["y", 0, 0]}]),
        ("split", ["x", 0, 0, {"num_or_size_splits": [1, -1], "axis": 1}]),
        ("split", ["x", 0, 0, {"num_or_size_splits": ["y", 0, 0]}]),
        ("compat.v1.pad", ["x", 0, 0, {"paddings": [[0, 0], [1, 1]], "constant_values": 1.0}]),
        ("compat.v1.pad", ["x", 0, 0, {"paddings": ["y", 0, 0]}]),
        ("linalg.matmul", ["x", 0, 0, {"b": ["y", 0, 0], "adjoint_a": True}]),
        ("linalg.matmul", ["x", 0, 0, {"b": [[1.0]]}]),
        ("nn.leaky_relu", ["x", 0, 0, {"alpha": ["y", 0, 0]}]),
    ],
)
def test_functions_with_another_meaning_are_left_alone(function, call):
    entry = layer("TFOpLambda", function=function, name="f") | {"inbound_nodes": [call]}
    before = json.dumps(entry)
    mend_operation(entry)
    assert json.dumps(entry) == before


def whole(start=None, stop=None, step=None):
    return {"start": start, "stop": stop, "step": step}


@pytest.mark.parametrize(
    ("spec", "key"),
    [
        ([{"class_name": "__ellipsis__"}, whole(1)],
         [{"class_name": "__ellipsis__", "config": {}},
          {"class_name": "__slice__", "config": whole(1)}]),
        ([whole(), 0, None], [{"class_name": "__slice__", "config": whole()}, 0, None]),
        (2, [2]),
        ([whole(["y", 0, 0])], None),
        ([["y", 0, 0]], None),
        ([True], None),
    ],
)  # fmt: skip
def test_slices(spec, key):
    call = ["x", 0, 0, {"slice_spec": spec}]
    entry = layer("SlicingOpLambda", function="__operators__.getitem", name="s")
    entry["inbound_nodes"] = [call]
    mend_operation(entry)
    if key is None:
        assert entry["class_name"] == "SlicingOpLambda"
    else:
        assert entry["class_name"] == "GetItem"
        assert entry["inbound_nodes"][0]["args"][1] == key


def test_a_call_with_a_keyword_that_is_not_understood_is_left_alone():
    tensor = ["y", 0, 0]
    for given in ({"value": tensor, "mask": [tensor, tensor]}, {"mask": [1, 2]}):
        entry = layer("MultiHeadAttention", name="m")
        entry["inbound_nodes"] = [[["x", 0, 0, given]]]
        before = json.dumps(entry)
        mend_keywords(entry)
        assert json.dumps(entry) == before


def test_an_order_that_is_not_the_file_s_is_refused():
    image = keras.Input((4,))
    first, second = keras.layers.Dense(4, name="a"), keras.layers.Dense(4, name="b")
    model = keras.Model(image, second(first(image)))
    order = [("a", []), ("b", [])]
    check_order(model, order)
    with pytest.raises(InputError, match="another order"):
        check_order(model, order[::-1])
    outer = keras.Sequential([keras.Input((4,)), model])
    with pytest.raises(InputError, match="another order"):
        check_order(outer, [(model.name, order[::-1])])
    assert order_of({"config": {"layers": [layer("Dense", name="a")]}}) == [("a", [])]


def test_a_heap_that_the_hdf5_library_would_read_for_ever_is_refused(tmp_path):
    content = bytearray((FOLDER / "mixed.h5").read_bytes())
    start = content.index(b"GCOL\x01\0\0\0") + 16
    index, length = struct.unpack("<H6xQ", content[start : start + 16])
    while index:
        start += 16 + -(-length // 8) * 8
        index, length = struct.unpack("<H6xQ", content[start : start + 16])
    assert length > 0
    content[start + 8 : start + 16] = bytes(8)
    (tmp_path / "m.h5").write_bytes(content)
    with pytest.raises(InputError, match=r"cannot be read as HDF5 \(an endless heap\)"):
        load_file(tmp_path / "m.h5")
