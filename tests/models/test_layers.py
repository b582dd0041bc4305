"""Layers are found in every kind of model, and roles choose what an expert would."""

import keras
import numpy as np
import pytest

from gradcam_eval.core import InputError
from gradcam_eval.models.inputs import input_shape
from gradcam_eval.models.layers import find_layers, list_layers
from gradcam_eval.models.selection import resolve_layers
from gradcam_eval.models.zoo import load_model

LAST = {
    "mobilenet_v2": ("out_relu", (7, 7, 1280)),
    "vgg16": ("block5_conv3", (14, 14, 512)),
    "mobilenet_v3_small": (None, (7, 7, 576)),  # not its 1×1 maps, which come later
    "inception_v3": ("mixed10", (8, 8, 2048)),  # not one of the branches it joins
    "densenet121": ("relu", (7, 7, 1024)),  # not the last 32 of its channels
    "resnet50": ("conv5_block3_out", (7, 7, 2048)),
    "efficientnet_b0": ("top_activation", (7, 7, 1280)),
    "xception": ("block14_sepconv2_act", (10, 10, 2048)),  # not a shortcut's convolution
    "efficientnet_lite0": ("top_activation", (7, 7, 1280)),
    "convnext_tiny": ("add_17", (7, 7, 768)),  # the block's output, not its residual branch
}


@pytest.mark.parametrize("name", LAST)
def test_last_is_the_layer_that_an_expert_names(name):
    found = find_layers(load_model(name, weights=None))
    (call,) = found.role("last")
    path, shape = LAST[name]
    assert call.shape == shape
    assert path is None or call.path == path


def test_stages_are_the_last_map_of_each_resolution():
    found = find_layers(load_model("vgg16", weights=None))
    assert [(call.path, call.shape[0]) for call in found.role("stages")] == [
        ("block1_conv2", 224),
        ("block2_conv2", 112),
        ("block3_conv3", 56),
        ("block4_conv3", 28),
        ("block5_conv3", 14),
    ]
    assert "block5_pool" in [call.path for call in found.calls]
    assert "block5_pool" not in [call.path for call in found.candidates]


@pytest.fixture(scope="module")
def model():
    """Two branches, one of which leads nowhere, and a nested block."""
    inputs = keras.Input((16, 16, 3), name="image")
    block = keras.Sequential(
        [
            keras.layers.Conv2D(4, 3, padding="same", name="conv"),
            keras.layers.ReLU(name="relu"),
        ],
        name="block",
    )
    x = block(keras.layers.Rescaling(1 / 255, name="rescale")(inputs))
    x = keras.layers.Conv2D(5, 3, strides=2, padding="same", name="down")(x)
    x = keras.layers.Dropout(0.1, name="drop")(x)
    x = keras.layers.GlobalAveragePooling2D(name="gap", keepdims=True)(x)
    x = keras.layers.Conv2D(6, 1, name="squeeze")(x)
    return keras.Model(inputs, keras.layers.Dense(2, name="head")(keras.layers.Flatten()(x)))


def test_the_table(model):
    frame = list_layers(model).set_index("path")
    assert frame.loc["block/conv", "shape"] == (16, 16, 4)
    assert frame.loc["down", "stride"] == 2.0
    assert frame.loc["block/conv", "params"] == 3 * 3 * 3 * 4 + 4
    assert frame.loc["down", "roles"] == "last,stages,all"
    assert list(frame.index[frame["is_candidate"]]) == ["block/conv", "block/relu", "down"]
    assert frame.loc["gap", "roles"] == ""
    assert np.isnan(frame.loc["head", "stride"])


def test_a_branch_that_does_not_reach_the_output_is_no_candidate():
    class Spare(keras.Model):
        def __init__(self):
            super().__init__()
            self.used = keras.layers.Conv2D(2, 3, name="used")
            self.unused = keras.layers.Conv2D(2, 3, name="unused")
            self.head = keras.layers.Dense(2, name="head")

        def call(self, x):
            self.unused(x)
            return self.head(keras.ops.mean(self.used(x), axis=(1, 2)))

    found = find_layers(Spare(), (8, 8))
    assert [call.path for call in found.candidates] == ["used"]
    assert [call.path for call in found.calls] == ["used", "head", "unused"] or {
        call.path for call in found.calls
    } == {"used", "unused", "head"}


@pytest.mark.parametrize(
    ("wanted", "paths"),
    [
        ("last", ["down"]),
        ("stages", ["block/relu", "down"]),
        ("all", ["block/conv", "block/relu", "down"]),
        ("block/relu", ["block/relu"]),
        ("relu", ["block/relu"]),
        ("block/*", ["block/conv", "block/relu"]),
        (["last", "stages", "down"], ["down", "block/relu"]),
    ],
)
def test_names_become_calls(model, wanted, paths):
    assert [call.path for call in resolve_layers(find_layers(model), wanted)] == paths


@pytest.mark.parametrize(
    ("wanted", "message"),
    [
        ("dwon", "did you mean 'down'"),
        ("nothing*", "no candidate layer matches the glob"),
        ("head", "a heatmap needs a map"),
        ([], "no layer was named"),
    ],
)
def test_wrong_names_get_a_sentence(model, wanted, message):
    with pytest.raises(InputError, match=message):
        resolve_layers(find_layers(model), wanted)


def test_a_name_that_stands_twice_must_be_told_apart():
    def block(name):
        return keras.Sequential([keras.layers.Conv2D(2, 3, name="conv")], name=name)

    model = keras.Sequential(
        [keras.Input((12, 12, 3)), block("a"), block("b"), keras.layers.Flatten()]
    )
    found = find_layers(model)
    with pytest.raises(InputError, match=r"ambiguous.*a/conv, b/conv"):
        resolve_layers(found, "conv")
    assert resolve_layers(found, "b/conv")[0].path == "b/conv"


def test_a_model_without_a_map_says_so():
    model = keras.Sequential(
        [keras.Input((8, 8, 3)), keras.layers.Flatten(), keras.layers.Dense(2)]
    )
    with pytest.raises(InputError, match="no map larger than 1×1"):
        resolve_layers(find_layers(model), "last")


def test_listing_an_unbuilt_model_lists_each_call_once():
    model = keras.Sequential(
        [keras.layers.Conv2D(2, 3, name="conv"), keras.layers.Flatten(), keras.layers.Dense(2)]
    )
    paths = [call.path for call in find_layers(model, (8, 8)).calls]
    assert len(paths) == 3
    assert paths[0] == "conv"


def test_an_open_input_size_must_be_given():
    inputs = keras.Input((None, None, 3))
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Conv2D(2, 3)(inputs))
    model = keras.Model(inputs, x)
    with pytest.raises(InputError, match="input_size"):
        find_layers(model)
    assert input_shape(model, (20, 30)) == (20, 30, 3)


@pytest.mark.parametrize(
    "inputs", [[keras.Input((8,)), keras.Input((8,))], [keras.Input((8,))]], ids=["two", "vector"]
)
def test_an_input_that_is_not_one_image_is_refused(inputs):
    x = keras.layers.Add()(inputs) if len(inputs) > 1 else inputs[0]
    with pytest.raises(InputError, match="input"):
        find_layers(keras.Model(inputs, keras.layers.Dense(2)(x)))


def residual(before=None):
    """A functional model whose last map is made by `+` and not by a layer."""
    inputs = keras.Input((12, 12, 3))
    scaled = before(inputs) if before else inputs
    x = keras.layers.Conv2D(4, 3, padding="same", name="one")(scaled)
    y = keras.layers.Conv2D(4, 3, padding="same", name="two")(x)
    pooled = keras.layers.GlobalAveragePooling2D()(x + y)
    return keras.Model(inputs, keras.layers.Dense(2, name="head")(pooled))


def test_an_operation_between_layers_is_a_layer_too():
    model = residual()
    (last,) = find_layers(model).role("last")
    assert type(last.layer).__name__ == "Add"
    assert last.shape == (12, 12, 4)
    row = list_layers(model).set_index("path").loc[last.path]
    assert (row["type"], row["params"], row["roles"]) == ("Add", 0, "last,stages,all")


@pytest.mark.parametrize(
    "before",
    [
        lambda x: x / 255.0 - 0.5,
        lambda x: keras.ops.flip(x, axis=-1) * 2.0,
        keras.layers.Rescaling(2.0),
        keras.layers.Normalization(mean=[1.0, 2.0, 3.0], variance=[1.0, 1.0, 1.0]),
    ],
    ids=["arithmetic", "flip", "rescaling", "normalization"],
)
def test_preprocessing_is_no_evidence(before):
    found = find_layers(residual(before))
    assert [call.path for call in found.candidates][:2] == ["one", "two"]
    assert len(found.candidates) == 3
