"""Layers are found in every kind of model, and roles choose what an expert would."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from gradcam_eval.core import InputError
from gradcam_eval.models.inputs import input_shape
from gradcam_eval.models.layers import find_layers, list_layers
from gradcam_eval.models.selection import resolve_layers
from gradcam_eval.models.zoo import load_model


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
    assert frame.loc["block/relu", "receptive_field"] == 3
    assert frame.loc["down", "receptive_field"] == 5
    assert frame.loc["gap", "note"] == "its map is 1×1, one value for the whole image"
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
        ("all", ["block/relu", "down"]),
        ("block/relu", ["block/relu"]),
        ("relu", ["block/relu"]),
        ("block/*", ["block/conv", "block/relu"]),
        ("*", ["block/conv", "block/relu", "down"]),
        (["last", "stages", "down"], ["down", "block/relu"]),
        (-1, ["down"]),
        ("-2", ["block/relu"]),
        (0, ["block/conv"]),
        ([-1, "block/*", 0], ["down", "block/conv", "block/relu"]),
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
        (3, "index 3 is out of range: this model has 3 candidate layers, 0 to 2"),
        ("-4", "-1 to -3 from the end"),
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
    with pytest.warns(UserWarning, match="'b/conv' is no good choice"):
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


def test_a_layer_that_is_named_like_an_index_is_meant_by_it():
    layers = [keras.layers.Conv2D(2, 3, name=name) for name in ("1", "0")]
    head = [keras.layers.Flatten(), keras.layers.Dense(2)]
    found = find_layers(keras.Sequential([keras.Input((12, 12, 3)), *layers, *head]))
    assert [call.path for call in resolve_layers(found, ["0", -2])] == ["0", "1"]


def bordered():
    """Like SqueezeNet as some port it: a 1×1 convolution with padding 1 makes 15×15 of 13×13."""
    inputs = keras.Input((15, 15, 3))
    x = keras.layers.Conv2D(4, 3, name="inner")(inputs)
    x = keras.layers.Conv2D(4, 1, name="outer")(keras.layers.ZeroPadding2D(1)(x))
    x = keras.layers.ReLU(name="outer_relu")(x)
    return keras.Model(inputs, keras.layers.GlobalAveragePooling2D(name="gap", keepdims=True)(x))


def test_a_border_of_bias_is_never_chosen_silently():
    found = find_layers(bordered())
    for role in ("last", "stages", "all"):
        assert [call.path for call in resolve_layers(found, role)] == ["inner"]
    with pytest.warns(UserWarning, match="'outer_relu' is no good choice: 56 of its 225 positions"):
        (call,) = resolve_layers(found, "outer_relu")
    assert call.map_shape == (15, 15, 4)


def test_a_map_of_one_value_is_never_chosen_silently():
    found = find_layers(bordered())
    with pytest.warns(UserWarning, match="its map is 1×1"):
        resolve_layers(found, "gap")


def test_a_good_choice_does_not_warn(model, recwarn):
    resolve_layers(find_layers(model), ["last", "down", -1])
    assert not [each for each in recwarn if "no good choice" in str(each.message)]


def test_channels_first_is_listed_as_maps_of_the_image():
    inputs = keras.Input((3, 12, 16))
    x = keras.layers.Conv2D(5, 3, data_format="channels_first", name="first")(inputs)
    y = keras.layers.Conv2D(4, 3, name="turned")(keras.ops.transpose(x, (0, 2, 3, 1)))
    model = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(y))
    found = find_layers(model)
    assert [(c.path, c.map_shape, c.layout) for c in found.candidates] == [
        ("first", (10, 14, 5), "channels_first"),
        ("turned", (8, 12, 4), "channels_last"),  # told by what its axes see
    ]
    frame = list_layers(model).set_index("path")
    assert frame.loc["turned", "receptive_field"] == 5


def test_the_image_is_found_among_other_inputs():
    image, mask = keras.Input((12, 12, 3), name="image"), keras.Input((12, 12, 1), name="mask")
    age = keras.Input((4,), name="age")
    seen = keras.layers.Conv2D(4, 3, name="seen")(image)
    other = keras.layers.Conv2D(4, 3, name="other")(mask)
    x = keras.layers.GlobalAveragePooling2D()(keras.layers.Multiply(name="both")([seen, other]))
    x = keras.layers.Concatenate()([x, age])
    model = keras.Model({"image": image, "mask": mask, "age": age}, keras.layers.Dense(2)(x))
    with pytest.raises(InputError, match="name one with image_input"):
        list_layers(model)
    frame = list_layers(model, image_input="image").set_index("path")
    assert list(frame.index[frame["is_candidate"]]) == ["seen", "both"]  # "other" sees the mask
    assert frame.loc["both", "receptive_field"] == 3


def test_attention_over_a_map_is_no_map():
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, name="conv")(inputs)
    tokens = keras.layers.Reshape((36, 4))(x)
    weights = keras.layers.Softmax(name="weights")(tokens @ keras.ops.transpose(tokens, (0, 2, 1)))
    stacked = keras.layers.Reshape((36, 36, 1), name="stacked")(weights)
    y = keras.layers.Conv2D(2, 1, name="not_the_image")(stacked)
    found = find_layers(keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(y)))
    assert [call.path for call in found.candidates] == ["conv"]
    assert "do not lie on the image" in found.doubts["not_the_image"]


def unit_model(*, skip):
    """conv → normalisation → ReLU → conv; with `skip` the first convolution is read again."""
    inputs = keras.Input((8, 8, 3))
    first = keras.layers.Conv2D(4, 3, padding="same", name="first")(inputs)
    x = keras.layers.BatchNormalization(name="norm")(first)
    x = keras.layers.ReLU(name="relu")(x)
    x = keras.layers.Conv2D(4, 3, padding="same", activation="relu", name="second")(x)
    x = keras.layers.Add(name="add")([x, first]) if skip else x
    outputs = keras.layers.Dense(2)(keras.layers.GlobalAveragePooling2D()(x))
    return keras.Model(inputs, outputs)


def test_all_has_one_map_for_each_convolution():
    found = find_layers(unit_model(skip=False))
    assert [call.path for call in found.role("all")] == ["relu", "second"]
    assert [call.path for call in found.candidates] == ["first", "norm", "relu", "second"]


def test_a_depthwise_unit_does_not_swallow_the_one_before():
    """The first activation has the shape of the last one, and a convolution between them."""
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, padding="same", activation="relu", name="first")(inputs)
    x = keras.layers.DepthwiseConv2D(3, padding="same", name="depthwise")(x)
    x = keras.layers.BatchNormalization(name="norm")(x)
    x = keras.layers.ReLU(name="relu")(x)
    outputs = keras.layers.Dense(2)(keras.layers.GlobalAveragePooling2D()(x))
    found = find_layers(keras.Model(inputs, outputs))
    assert [call.path for call in found.role("all")] == ["first", "relu"]


def test_a_map_that_something_else_reads_is_looked_at_as_well():
    found = find_layers(unit_model(skip=True))
    assert [call.path for call in found.role("all")] == ["first", "relu", "second", "add"]


@pytest.mark.parametrize("inside", [True, False], ids=["softmax inside", "softmax layer"])
def test_the_prediction_of_a_segmentation_is_no_candidate(inside):
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, padding="same", activation="relu", name="body")(inputs)
    x = keras.layers.Conv2D(3, 1, activation="softmax" if inside else None, name="head")(x)
    outputs = x if inside else keras.layers.Softmax(name="softmax")(x)
    found = find_layers(keras.Model(inputs, outputs))
    assert [call.path for call in found.role("last")] == ["body"]
    assert found.doubts["head"] == "it is the model's prediction itself"


class Repeated(keras.layers.Layer):
    """Two convolutions that its author gave one name, and an activation that both go through."""

    def __init__(self, **options):
        super().__init__(**options)
        self.convs = [keras.layers.Conv2D(2, 3, name="conv") for _ in range(2)]
        self.act = keras.layers.ReLU(name="act")

    def call(self, x):
        for conv in self.convs:
            x = self.act(conv(x))
        return x


def test_layers_of_one_name_get_paths_of_their_own():
    blocks = [Repeated(name="block"), Repeated(name="block")]
    inputs = keras.Input((16, 16, 3))
    holder = keras.Sequential([blocks[0]], name="holder")

    class Model(keras.Model):
        def __init__(self):
            super().__init__()
            self.first, self.second = blocks
            self.head = keras.layers.Dense(2, name="head")

        def call(self, x):
            return self.head(keras.ops.mean(self.second(self.first(x)), axis=(1, 2)))

    found = find_layers(Model(), (16, 16))
    paths = [call.path for call in found.calls]
    assert paths[:5] == ["block/conv", "block/act#0", "block/conv_1", "block/act#1", "block"]
    assert paths[5:7] == ["block_1/conv", "block_1/act#0"]
    assert len(set(paths)) == len(paths)
    (second,) = resolve_layers(found, "block_1/conv_1")
    assert second.layer is blocks[1].convs[1]
    assert found.fields["block_1/conv_1"].rows.size == 9
    outputs = keras.layers.GlobalAveragePooling2D()(holder(inputs))
    assert [call.path for call in find_layers(keras.Model(inputs, outputs)).role("all")] == [
        "holder/block/act#0",
        "holder/block/act#1",
    ]


def test_the_end_of_a_path_names_all_calls_of_a_layer():
    inputs = keras.Input((16, 16, 3))
    outputs = keras.layers.Flatten()(Repeated(name="block")(inputs))
    found = find_layers(keras.Model(inputs, outputs))
    for name in ("act", "block/act"):
        with pytest.raises(InputError, match=r"ambiguous.*block/act#0, block/act#1"):
            resolve_layers(found, name)
    with pytest.warns(UserWarning, match="'block/act#1' is no good choice"):
        assert [call.path for call in resolve_layers(found, ["act#1"])] == ["block/act#1"]
    with pytest.raises(InputError, match="unknown layer 'ct'"):
        resolve_layers(found, "ct")


def test_a_layer_that_hands_on_a_map_is_not_a_second_candidate():
    """The block returns what its last layer returned; the others change nothing when predicting."""
    model = keras.Sequential(
        [
            keras.Input((16, 16, 3)),
            Repeated(name="block"),
            keras.layers.GaussianNoise(0.1),
            keras.layers.Identity(),
            keras.layers.ActivityRegularization(),
            keras.layers.GlobalAveragePooling2D(),
        ]
    )
    found = find_layers(model)
    assert [call.path for call in found.role("all")] == ["block/act#0", "block/act#1"]
    assert [call.path for call in resolve_layers(found, "last")] == ["block/act#1"]
    assert [call.path for call in resolve_layers(found, "block")] == ["block"]


def test_a_normalisation_of_the_images_is_no_evidence():
    inputs = keras.Input((16, 16, 3))
    x = keras.layers.BatchNormalization(name="norm")(inputs)
    x = keras.layers.Conv2D(4, 3, strides=2, name="conv")(x)
    x = keras.layers.BatchNormalization(name="later")(x)
    found = find_layers(keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(x)))
    assert [call.path for call in found.candidates] == ["conv", "later"]


def test_a_functional_model_with_layers_of_its_own_shows_them():
    class Extended(keras.Model):
        def __init__(self):
            inputs = keras.Input((16, 16, 3))
            super().__init__(inputs, keras.layers.Conv2D(4, 3, name="inner")(inputs))
            self.extra = keras.layers.Conv2D(5, 3, name="extra")

        def call(self, x, training=None):
            return keras.ops.mean(self.extra(super().call(x)), axis=(1, 2))

    found = find_layers(Extended())
    assert [call.path for call in found.candidates] == ["inner", "extra"]


@pytest.mark.parametrize("softmax_first", [True, False])
def test_a_prediction_that_is_made_larger_at_the_end_is_no_candidate(softmax_first):
    """As in DeepLab: classes at a quarter of the size, then an upsampling."""
    inputs = keras.Input((16, 16, 3))
    x = keras.layers.Conv2D(4, 3, strides=4, padding="same", name="body")(inputs)
    x = keras.layers.Conv2D(3, 1, name="classes")(x)
    x = keras.layers.Softmax()(x) if softmax_first else x
    x = keras.layers.UpSampling2D(4, interpolation="bilinear", name="up")(x)
    outputs = x if softmax_first else keras.layers.Softmax()(x)
    found = find_layers(keras.Model(inputs, outputs))
    assert [call.path for call in found.candidates] == ["body"]
    assert found.doubts["classes"] == "it is the model's prediction itself"


def two_heads():
    """The second head has a convolution of its own, which runs last."""
    inputs = keras.Input((12, 12, 3))
    shared = keras.layers.Conv2D(4, 3, name="shared")(inputs)
    own = keras.layers.Conv2D(4, 3, name="own")(shared)
    heads = [
        keras.layers.Dense(2, name=name)(keras.layers.GlobalAveragePooling2D()(x))
        for name, x in (("first", shared), ("second", own))
    ]
    return keras.Model(inputs, heads)


@pytest.mark.parametrize(
    ("explained", "paths"),
    [
        (lambda outputs: outputs, ["shared", "own"]),
        (lambda outputs: outputs[0], ["shared"]),
        (lambda outputs: outputs[1][:, 0], ["shared", "own"]),
    ],
)
def test_a_layer_that_does_not_influence_what_is_explained_has_no_role(explained, paths):
    found = find_layers(two_heads(), explained=explained)
    assert [call.path for call in found.role("all")] == paths
    assert [call.path for call in found.role("last")] == paths[-1:]


@pytest.mark.parametrize("wanted", [None, 1.5, True, ["last", None], [["last"]]])
def test_what_is_no_name_gets_a_sentence(model, wanted):
    with pytest.raises(InputError, match=r"layers hold .*: name a layer by its path"):
        resolve_layers(find_layers(model), wanted)


def test_an_index_may_be_numpys(model):
    assert [call.path for call in resolve_layers(find_layers(model), np.int64(-1))] == ["down"]


class Beside(keras.Model):
    """Returns something else beside the classes: as users write it, its features or nothing."""

    def __init__(self, beside):
        super().__init__()
        self.conv = keras.layers.Conv2D(4, 3, name="conv")
        self.head = keras.layers.Dense(2, name="head")
        self.beside = beside

    def call(self, x):
        features = self.conv(x)
        return self.head(keras.ops.mean(features, axis=(1, 2))), self.beside(features)


@pytest.mark.parametrize("beside", [lambda x: x, lambda x: None], ids=["features", "None"])
def test_what_is_returned_beside_the_classes_hides_no_layer(beside):
    found = find_layers(Beside(beside), (8, 8))
    assert [call.path for call in found.role("last")] == ["conv"]


def test_layers_that_a_call_of_build_left_unbuilt_are_listed_once():
    """Keras marks the model as built, and builds its layers when they first run."""
    model = Beside(lambda x: None)
    model.built = True
    assert [call.path for call in find_layers(model, (8, 8)).calls] == ["conv", "head"]


@pytest.mark.parametrize(
    "layout", ["channels_last", pytest.param("channels_first", marks=pytest.mark.onednn)]
)
def test_a_subclassed_model_says_how_many_channels_it_was_built_for(layout):
    class Grey(keras.Model):
        def __init__(self):
            super().__init__()
            self.conv = keras.layers.Conv2D(4, 3, name="conv", data_format=layout)

        def call(self, x):
            return keras.ops.mean(self.conv(x), axis=(1, 2))

    model = Grey()
    model(np.zeros((1, 8, 9, 1) if layout == "channels_last" else (1, 1, 8, 9), np.float32))
    assert input_shape(model, (8, 9)) == (8, 9, 1)
    assert list_layers(model, (8, 9)).path.tolist() == ["conv"]


def test_branches_that_run_by_turns_have_one_map_each():
    """Keras runs all convolutions first, then all normalisations, then all activations."""
    inputs = keras.Input((8, 8, 3))
    branches = []
    for n in range(6):
        x = keras.layers.Conv2D(2, 3, padding="same", name=f"conv{n}")(inputs)
        x = keras.layers.BatchNormalization(name=f"norm{n}")(x)
        branches.append(keras.layers.ReLU(name=f"relu{n}")(x))
    x = keras.layers.Concatenate(name="joined")(branches)
    outputs = keras.layers.Dense(2)(keras.layers.GlobalAveragePooling2D()(x))
    found = find_layers(keras.Model(inputs, outputs))
    assert len(found.candidates) == 19
    assert sorted(call.path for call in found.role("all")) == [
        "joined",
        *(f"relu{n}" for n in range(6)),
    ]


def test_an_activation_behind_a_pooling_does_not_finish_the_larger_map():
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(2, 3, padding="same", name="conv")(inputs)
    x = keras.layers.ReLU(name="relu")(keras.layers.MaxPooling2D()(x))
    outputs = keras.layers.Dense(2)(keras.layers.GlobalAveragePooling2D()(x))
    found = find_layers(keras.Model(inputs, outputs))
    assert [call.path for call in found.role("all")] == ["conv", "relu"]


def test_two_activations_of_one_map_finish_it_together_and_neither_alone():
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(2, 3, padding="same", name="conv")(inputs)
    both = [keras.layers.ReLU(name="relu")(x), keras.layers.ELU(name="elu")(x)]
    x = keras.layers.Conv2D(2, 3, name="next")(keras.layers.Concatenate(name="joined")(both))
    outputs = keras.layers.Dense(2)(keras.layers.GlobalAveragePooling2D()(x))
    found = find_layers(keras.Model(inputs, outputs))
    assert {call.path for call in found.role("all")} == {"conv", "relu", "elu", "joined", "next"}


def test_a_map_that_the_model_returns_as_well_is_looked_at():
    inputs = keras.Input((8, 8, 3))
    first = keras.layers.Conv2D(2, 3, padding="same", name="conv")(inputs)
    x = keras.layers.ReLU(name="relu")(first)
    outputs = keras.layers.Dense(2)(keras.layers.GlobalAveragePooling2D()(x))
    found = find_layers(keras.Model(inputs, [outputs, first]))
    assert [call.path for call in found.role("all")] == ["conv", "relu"]


def test_a_map_of_one_row_is_larger_than_one_value():
    """As in a network that reads a line of text: columns are left, rows are not."""
    inputs = keras.Input((8, 24, 3))
    x = keras.layers.Conv2D(2, 3, padding="same", name="lines")(inputs)
    x = keras.layers.Conv2D(4, (8, 3), name="row")(x)
    outputs = keras.layers.Dense(2)(keras.layers.GlobalAveragePooling2D()(x))
    found = find_layers(keras.Model(inputs, outputs))
    assert [call.map_shape for call in found.role("last")] == [(1, 22, 4)]
    assert not found.doubts


def test_the_table_where_positions_do_not_lie_evenly():
    """11 rows are pooled to 4, of 3 or 4 rows each: there is no stride and no size for all."""
    inputs = keras.Input((11, 12, 3))
    x = keras.layers.Conv2D(2, 1, name="conv")(inputs)
    x = keras.layers.AdaptiveAveragePooling2D((4, 6), name="pool")(x)
    x = keras.layers.Conv2D(2, 1, name="after")(x)
    model = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(x))
    row = list_layers(model).set_index("path").loc["after"]
    assert (row["stride"], row["receptive_field"]) == (11 / 4, 4)
    pixels = find_layers(model).fields["after"].rows.pixels
    assert pixels.tolist() == [[0, 3], [2, 6], [5, 9], [8, 11]]


def test_stages_stand_in_the_order_of_execution():
    inputs = keras.Input((16, 16, 3))
    fine = keras.layers.Conv2D(2, 3, padding="same", name="fine")(inputs)
    x = keras.layers.Conv2D(2, 3, strides=2, padding="same", name="coarse")(fine)
    x = keras.layers.Conv2DTranspose(2, 2, strides=2, name="up")(x)
    x = keras.layers.Add(name="joined")([x, fine])
    outputs = keras.layers.Dense(2)(keras.layers.GlobalAveragePooling2D()(x))
    found = find_layers(keras.Model(inputs, outputs))
    assert [call.path for call in found.role("stages")] == ["coarse", "joined"]


class Squeezed(keras.layers.Layer):
    """Drops every axis of length 1: that of a single image as well."""

    def call(self, x):
        return tf.squeeze(x)


def test_a_model_that_takes_several_images_alone_is_listed():
    """The trace that looks for layers has more than one image, so it keeps the axis of images."""

    class Model(keras.Model):
        def __init__(self):
            super().__init__()
            self.conv = keras.layers.Conv2D(4, 3, name="conv")
            self.pool = keras.layers.GlobalAveragePooling2D(keepdims=True, name="pool")
            self.squeezed = Squeezed(name="squeezed")
            self.head = keras.layers.Dense(2, name="head")

        def call(self, x):
            return self.head(self.squeezed(self.pool(self.conv(x))))

    model = Model()
    model(np.zeros((2, 8, 9, 3), np.float32))
    frame = list_layers(model, (8, 9)).set_index("path")
    assert frame.loc["squeezed", "shape"] == (4,)
    assert frame.loc["conv", "roles"] == "last,stages,all"
