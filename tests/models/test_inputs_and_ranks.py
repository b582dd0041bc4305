"""What is said of models without images or maps, and inputs in a list that are named."""

import keras
import numpy as np
import pytest

import gradcam_eval as ge
from gradcam_eval.core import InputError
from gradcam_eval.methods.explainer import Explainer
from gradcam_eval.models.inputs import model_inputs

L = keras.layers


def ending(x):
    return L.Dense(2, activation="softmax")(x)


def model_of(shape, *layers):
    return keras.Sequential([keras.Input(shape, name="given"), *layers, L.Flatten(), L.Dense(2)])


NO_IMAGES = {
    "a signal": ((64, 3), [L.Conv1D(2, 3)], r"'given' is \(None, 64, 3\), signals or sequences"),
    "a volume": ((4, 6, 6, 1), [L.Conv3D(2, 3)], "volumes or sequences of images; put an input"),
    "frames": (
        (2, 6, 6, 3),
        [L.TimeDistributed(L.Conv2D(2, 3))],
        r"'given' is \(None, 2, 6, 6, 3\), volumes or sequences of images; put an input of images",
    ),
    "a table": ((7,), [], r"'given' is \(None, 7\); wanted an input of four axes"),
}


@pytest.mark.parametrize("kind", NO_IMAGES)
@pytest.mark.parametrize("entrance", ["explain", "list_layers", "deletion"])
def test_a_model_without_images_is_told_what_it_takes(kind, entrance):
    shape, layers, message = NO_IMAGES[kind]
    model = model_of(shape, *layers)
    given = np.ones((1, *shape), np.float32)
    image, heatmap = np.full((1, 8, 8, 3), 9.0), np.eye(8)[None]
    call = {
        "explain": lambda: ge.explain(model, given),
        "list_layers": lambda: ge.list_layers(model),
        "deletion": lambda: ge.deletion(model, image, heatmap, [0]),
    }[entrance]
    with pytest.raises(InputError, match=rf"no images \(N, height, .*{message}"):
        call()


def test_a_signal_is_explained_as_an_image_of_one_row(rng):
    """As the message says."""
    signals = keras.Sequential(
        [keras.Input((16, 3)), L.Conv1D(4, 3, activation="relu"), L.GlobalAveragePooling1D()]
    )
    inputs = keras.Input((1, 16, 3))
    model = keras.Model(inputs, ending(signals(L.Reshape((16, 3))(inputs))))
    maps = ge.explain(model, rng.uniform(0, 1, (2, 1, 16, 3)), methods="gradient")
    assert maps["input", "gradient"].shape == (2, 1, 16)


@pytest.mark.parametrize(
    ("layers", "message"),
    [
        ([L.MaxPooling2D(2, name="pool")], r"maps are 'pool' \(24×96\): name one by its path if"),
        ([L.MaxPooling2D((48, 3), name="row")], r"maps are 'row' \(1×64\): name one by its path"),
        ([L.GlobalAveragePooling2D(keepdims=True)], "has no map larger than 1×1 on the way to"),
        (
            [L.AveragePooling2D((1, 2 + n), (1, 1), name=f"p{n}") for n in range(5)],
            r"'p2' \(48×186\); 'p3' \(48×182\); 'p4' \(48×177\) and 2 before them",
        ),
    ],
)
def test_where_no_layer_fits_the_maps_that_there_are_are_named(layers, message):
    model = model_of((48, 192, 3), *layers)
    with pytest.raises(InputError, match=message):
        ge.explain(model, np.ones((1, 48, 192, 3)), layers="last")
    with pytest.raises(InputError, match="use a method that looks at no layer"):
        ge.explain(model, np.ones((1, 48, 192, 3)), layers="stages")


def test_a_map_that_is_the_prediction_is_said_to_be_it():
    inputs = keras.Input((24, 96, 3))
    model = keras.Model(inputs, L.Conv2D(2, 3, activation="softmax", name="mask")(inputs))
    message = r"'mask' \(22×94: it is the model's prediction itself\)"
    with pytest.raises(InputError, match=message):
        ge.explain(model, np.ones((1, 24, 96, 3)))


def test_a_map_of_one_row_is_a_map(rng):
    inputs = keras.Input((8, 64, 3))
    x = L.Conv2D(2, (8, 1), activation="relu", name="row")(inputs)
    model = keras.Model(inputs, ending(L.GlobalAveragePooling2D()(x)))
    assert ge.explain(model, rng.uniform(0, 1, (1, 8, 64, 3)))["row", "grad_cam"].shape[1:] == (
        1,
        64,
    )


@pytest.fixture(scope="module")
def pair():
    """All weights are 1: every map is positive."""
    a, b = keras.Input((9, 9, 3), name="a"), keras.Input((9, 9, 1), name="b")
    ones = {"kernel_initializer": "ones"}
    x, y = (L.Conv2D(4, 3, name=f"of_{each.name}", **ones)(each) for each in (a, b))
    pooled = [L.GlobalAveragePooling2D()(each) for each in (x, y)]
    joined = L.Concatenate()(pooled)
    return keras.Model([a, b], L.Dense(2, activation="softmax", **ones)(joined))


@pytest.fixture(scope="module")
def given():
    generator = np.random.default_rng(0)
    return [generator.uniform(0, 1, (2, 9, 9, n)).astype(np.float32) for n in (3, 1)]


@pytest.mark.parametrize(("by_name", "by_place"), [("a", 0), ("b", 1)])
def test_inputs_of_a_list_have_their_names(pair, given, by_name, by_place):
    layer = f"of_{by_name}"
    expected = Explainer(pair, layer, image_input=by_place)(given, 0)[layer, "grad_cam"]
    named = Explainer(pair, layer, image_input=by_name)
    for images in (given, dict(zip("ab", given, strict=True)), dict(enumerate(given))):
        np.testing.assert_array_equal(named(images, 0)[layer, "grad_cam"], expected)
    assert expected.max() > 0


def test_wrong_names_of_inputs_are_answered_by_the_right_ones(pair, given):
    with pytest.raises(InputError, match="'c': this model's image inputs are 'a', 'b'"):
        Explainer(pair, image_input="c")(given)
    with pytest.raises(InputError, match=r"2 of which could be images \('a', 'b'\): name one"):
        Explainer(pair)(given)
    with pytest.raises(InputError, match=r"this model's inputs are \['a', 'b'\]: \['a', 'c'\] was"):
        Explainer(pair, image_input="a")(dict(zip("ac", given, strict=True)))


def test_one_input_may_be_given_by_its_name(given):
    a = keras.Input((9, 9, 3), name="a")
    model = keras.Model(a, ending(L.GlobalAveragePooling2D()(L.Conv2D(4, 3, name="c")(a))))
    expected = ge.explain(model, given[0], targets=0)["c", "grad_cam"]
    found = Explainer(model, image_input="a")({"a": given[0]}, 0)["c", "grad_cam"]
    np.testing.assert_array_equal(found, expected)
    with pytest.raises(InputError, match=r"one input, and 1 were given \(b\): give the"):
        ge.explain(model, {"b": given[0]})


@pytest.mark.filterwarnings("ignore:When providing `inputs` as a dict")
def test_the_keys_of_a_dict_go_before_the_names_of_its_tensors(given):
    """Names that are crossed with the keys must not cross the arrays."""
    a, b = keras.Input((9, 9, 3), name="b"), keras.Input((9, 9, 3), name="a")
    model = keras.Model({"a": a, "b": b}, ending(L.Flatten()(L.Subtract()([a, b]))))
    inputs = model_inputs(model, image_input="a")
    assert (inputs.image, list(inputs.extras)) == ("a", ["b"])
    ones, zeros = np.ones((1, 9, 9, 3)), np.zeros((1, 9, 9, 3))
    explainer = Explainer(model, methods="gradient", image_input="a")
    found = explainer({"a": ones, "b": zeros}, 0).probabilities
    np.testing.assert_allclose(found, model({"a": ones, "b": zeros}), rtol=1e-5)


def test_the_listing_says_what_the_model_returns(pair):
    assert (
        ge.list_layers(pair, image_input="a").attrs["output"] == "2 classes by a softmax (classes)"
    )
    inputs = keras.Input((9, 9, 3))
    x = L.Conv2D(6, 3, name="c")(inputs)
    heads = {"boxes": L.Reshape((49, 6))(x), "kind": ending(L.GlobalAveragePooling2D()(x))}
    said = ge.list_layers(keras.Model(inputs, heads)).attrs["output"]
    assert said == (
        "boxes: (N, 49, 6), explained by a score function of it alone; "
        "kind: 2 classes by a softmax (classes)"
    )
