"""Models that take more, or something else, than three-channel images of one size."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from gradcam_eval.core import InputError
from gradcam_eval.methods.explainer import Explainer, explain
from gradcam_eval.models.engine import Predictor

SIZE = (12, 10)
# Outside channels last, inside first: what TensorFlow computes on a CPU with oneDNN alone.
INSIDE_IS_FIRST = pytest.param("channels_last", marks=pytest.mark.onednn)


def cnn(*, channels=3, size=SIZE, data_format="channels_last"):
    keras.utils.set_random_seed(2)
    shape = (*size, channels) if data_format == "channels_last" else (channels, *size)
    return keras.Sequential(
        [
            keras.Input(shape),
            keras.layers.Conv2D(4, 3, activation="relu", data_format=data_format, name="low"),
            keras.layers.MaxPooling2D(data_format=data_format),
            keras.layers.Conv2D(6, 3, activation="relu", data_format=data_format, name="high"),
            keras.layers.GlobalAveragePooling2D(data_format=data_format),
            keras.layers.Dense(3, activation="softmax", name="head"),
        ]
    )


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(1).uniform(0, 1, (2, *SIZE, 3)).astype(np.float32)


def two_inputs(structure):
    keras.utils.set_random_seed(2)
    picture, facts = keras.Input((*SIZE, 3), name="picture"), keras.Input((2,), name="facts")
    maps = keras.layers.Conv2D(4, 3, activation="relu", name="conv")(picture)
    pooled = keras.layers.GlobalAveragePooling2D()(maps * facts[:, None, None, :1])
    outputs = keras.layers.Dense(2, name="head")(keras.layers.Concatenate()([pooled, facts]))
    model = keras.Model(structure(picture, facts), outputs)
    model.set_weights([np.abs(weight) for weight in model.get_weights()])
    return model


def as_dict(picture, facts):
    return {"picture": picture, "facts": facts}


def as_list(picture, facts):
    return [picture, facts]


def as_tuple(picture, facts):
    return (facts, picture)


def as_dict_of_lists(picture, facts):
    return {"pictures": [picture], "more": {"facts": facts}}


def as_nested_lists(picture, facts):
    return [[facts], (picture,)]


STRUCTURES = [as_dict, as_list, as_tuple, as_dict_of_lists, as_nested_lists]


@pytest.mark.parametrize(
    ("structure", "engine"),
    [*((each, "auto") for each in STRUCTURES), (as_nested_lists, "tensorflow")],
)
def test_each_image_is_explained_beside_its_other_inputs(images, structure, engine):
    """The first fact scales the activations' gradient, so the maps differ by that factor."""
    model, facts = two_inputs(structure), np.array([[1.0, 2.0], [3.0, -1.0]], np.float32)

    def given(n):
        return structure(images[n], facts[n])

    explainer = Explainer(model, "conv", engine=engine)
    together = explainer(given(slice(None)), 1)["conv", "grad_cam"]
    for n in range(2):
        alone = explainer(given(slice(n, n + 1)), 1)["conv", "grad_cam"]
        np.testing.assert_allclose(together[n], alone[0], rtol=1e-5, atol=1e-8)
    kernel = model.get_layer("head").kernel.numpy()[:4, 1]
    cam = np.maximum(model.get_layer("conv")(images).numpy() @ kernel, 0) / 80
    assert cam.max() > 0
    np.testing.assert_allclose(together, cam * facts[:, :1, None], rtol=1e-4, atol=1e-7)


def test_a_method_asks_about_each_image_beside_its_other_inputs(images):
    methods = ["score_cam", "ablation_cam", "occlusion(window=4)", "smooth_grad(samples=3)"]
    explainer = Explainer(two_inputs(as_dict), "conv", methods)
    facts = np.array([[1.0, 2.0], [3.0, -1.0]], np.float32)
    together = explainer({"picture": images, "facts": facts}, 1)
    for n in range(2):
        alone = explainer({"picture": images[n : n + 1], "facts": facts[n : n + 1]}, 1)
        for key, maps in together.items():
            np.testing.assert_allclose(maps[n], alone[key][0], rtol=1e-4, atol=1e-6)
            assert maps[n].max() > maps[n].min()


def test_metrics_refuse_a_model_with_other_inputs(images):
    with pytest.raises(InputError, match="takes 'facts' beside the images"):
        Predictor(two_inputs(as_dict))(images)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda given: {"picture": given["picture"]}, r"inputs are \['facts', 'picture'\]"),
        (lambda given: {**given, "other": 1}, r"inputs are \['facts', 'picture'\]"),
        (
            lambda given: {"picture": given["picture"], "fact": 1},
            r"\['picture', 'fact'\] was given",
        ),
        (lambda given: given["picture"], "ndarray was given"),
        (lambda given: {**given, "facts": given["facts"][:1]}, "wanted 2 rows of shape"),
        (lambda given: {**given, "facts": given["facts"][:, :1]}, r"wanted 2 rows of shape \(2,\)"),
        (lambda given: {**given, "facts": 1.0}, r"has shape \(\): wanted 2 rows"),
        (lambda given: {**given, "facts": ["a", "b"]}, "input 'facts' cannot be read as one array"),
    ],
)
def test_wrong_inputs_get_a_sentence(images, change, message):
    given = {"picture": images, "facts": np.ones((2, 2))}
    with pytest.raises(InputError, match=message):
        explain(two_inputs(as_dict), change(given), layers="conv")


def test_nested_inputs_of_another_structure_get_a_sentence(images):
    facts = np.ones((2, 2))
    model = two_inputs(as_dict_of_lists)
    for given in (
        {"pictures": images, "more": {"facts": facts}},
        {"pictures": [images], "more": facts},
        {"pictures": [images], "more": {}},
        [images, facts],
    ):
        with pytest.raises(InputError, match=r"inputs are \['more/facts', 'pictures/0'\]"):
            explain(model, given, layers="conv")


@pytest.mark.parametrize("structure", [lambda x: [x], lambda x: (x,), lambda x: {"picture": x}])
def test_one_input_in_a_structure_is_given_alone_or_in_it(images, structure, recwarn):
    """As in `keras.Model([base.input], …)`; Keras warns where it is called in another structure."""
    plain = cnn()
    model = keras.Model(structure(plain.inputs[0]), plain.outputs[0])
    wanted = explain(plain, images)["high", "grad_cam"]
    recwarn.clear()
    for given in (images, structure(images), list(images)):
        np.testing.assert_allclose(explain(model, given)["high", "grad_cam"], wanted, rtol=1e-5)
    np.testing.assert_allclose(Predictor(model)(images), Predictor(plain)(images), rtol=1e-6)
    assert not [each for each in recwarn if "structure" in str(each.message)]


def test_another_input_of_any_length(images):
    keras.utils.set_random_seed(0)
    picture, words = keras.Input((*SIZE, 3)), keras.Input((None, 4))
    maps = keras.layers.Conv2D(4, 3, activation="relu", name="conv")(picture)
    state = keras.layers.GRU(4)(words)
    pooled = keras.layers.GlobalAveragePooling2D()(maps * state[:, None, None])
    model = keras.Model([picture, words], keras.layers.Dense(2)(pooled))
    explainer = Explainer(model, "conv", "hires_cam")
    generator = np.random.default_rng(0)
    for length in (3, 7):
        words = generator.normal(size=(2, length, 4)).astype(np.float32)
        found = explainer([images, words], 1)["conv", "hires_cam"]
        kernel = model.layers[-1].kernel.numpy()[:, 1]
        weights = (kernel * state_of(model, words))[:, None, None]
        wanted = np.maximum(
            (model.get_layer("conv")(images) * weights).numpy().sum(axis=-1) / 80, 0
        )
        np.testing.assert_allclose(found, wanted, rtol=1e-4, atol=1e-6)
    with pytest.raises(InputError, match=r"wanted 2 rows of shape \(None, 4\)"):
        explainer([images, words[:, :, :2]], 1)


def state_of(model, words):
    return next(each for each in model.layers if isinstance(each, keras.layers.GRU))(words).numpy()


def test_a_dict_for_a_model_with_one_input_is_refused(images):
    with pytest.raises(InputError, match="one input, and 2 were given"):
        explain(cnn(), {"picture": images, "facts": np.ones((2, 2))})


NO_MODELS = {
    "a function": lambda x: x,
    "a name": "resnet50",
    "a class": keras.layers.Dense,
    "nothing": None,
}


@pytest.mark.parametrize("model", NO_MODELS.values(), ids=NO_MODELS)
def test_what_is_no_model_gets_a_sentence(images, model):
    with pytest.raises(InputError, match=r"wanted a keras.Model.*TFSMLayer"):
        explain(model, images)


def test_two_images_need_a_name(images):
    left, right = keras.Input((*SIZE, 3)), keras.Input((*SIZE, 3))
    maps = keras.layers.Conv2D(2, 3, name="conv")(keras.layers.Concatenate()([left, right]))
    model = keras.Model([left, right], keras.ops.mean(maps, axis=(1, 2)))
    with pytest.raises(
        InputError, match=r"2 of which could be images \(.*name one with image_input"
    ):
        explain(model, [images, images])
    with pytest.raises(InputError, match="image_input is 'left'"):
        Explainer(model, image_input="left")([images, images])
    maps = Explainer(model, "conv", "grad_cam", image_input=1)([images, images[::-1]])
    assert maps["conv", "grad_cam"].shape == (2, 10, 8)


def test_a_subclassed_model_takes_a_dict(images):
    class Takes(keras.Model):
        def __init__(self):
            super().__init__()
            self.conv = keras.layers.Conv2D(2, 3, name="conv")
            self.head = keras.layers.Dense(2)

        def call(self, given):
            pooled = keras.ops.mean(self.conv(given["picture"]), axis=(1, 2))
            return self.head(keras.ops.concatenate([pooled, given["facts"]], axis=-1))

    given = {"picture": images, "facts": np.ones((2, 3), np.float32)}
    assert explain(Takes(), given)["conv", "grad_cam"].shape == (2, 10, 8)
    given["facts"] = [[1.0, 2.0, 3.0]] * 2
    assert explain(Takes(), given)["conv", "grad_cam"].shape == (2, 10, 8)
    with pytest.raises(InputError, match="input 'facts' cannot be read as one array"):
        explain(Takes(), {"picture": images, "facts": [[1.0], [1.0, 2.0]]})


@pytest.mark.onednn
def test_a_subclassed_channels_first_model_takes_a_dict_of_images_channels_last(images):
    class Takes(keras.Model):
        def __init__(self):
            super().__init__()
            self.conv = keras.layers.Conv2D(2, 3, data_format="channels_first", name="conv")

        def call(self, given):
            return keras.ops.mean(self.conv(given["picture"]), axis=(2, 3)) + given["facts"]

    given = {"picture": images, "facts": np.ones((2, 2), np.float32)}
    assert explain(Takes(), given)["conv", "grad_cam"].shape == (2, 10, 8)


@pytest.mark.onednn
def test_channels_first_gives_the_map_of_channels_last(images):
    first, last = cnn(data_format="channels_first"), cnn()
    last.set_weights(first.get_weights())
    layers, methods = ["low", "high"], ["grad_cam", "layer_cam", "eigen_cam"]
    ours = explain(first, images, layers=layers, methods=methods)
    theirs = explain(last, images, layers=layers, methods=methods)
    assert list(ours) == list(theirs)
    for key, heatmap in ours.items():
        np.testing.assert_allclose(heatmap, theirs[key], rtol=1e-4, atol=1e-6)
    np.testing.assert_allclose(Predictor(first)(images), Predictor(last)(images), rtol=1e-5)
    with pytest.raises(InputError, match="channels-first layout is made inside"):
        explain(first, images.transpose(0, 3, 1, 2))


class Turn(keras.layers.Layer):
    """Hides in a layer, as in converted models, that the axes are put into another order."""

    def __init__(self, *dims):
        super().__init__()
        self.permute = keras.layers.Permute(dims)

    def call(self, values):
        return self.permute(values)


@pytest.mark.parametrize("turn", [keras.layers.Permute, Turn, "operation"])
@pytest.mark.parametrize("outside", [INSIDE_IS_FIRST, "channels_first"])
def test_a_model_that_turns_its_images_round_first(images, outside, turn):
    """Its first convolution has another layout than its input."""
    inside = "channels_first" if outside == "channels_last" else "channels_last"
    core, plain = cnn(data_format=inside), cnn()
    plain.set_weights(core.get_weights())
    dims = (3, 1, 2) if inside == "channels_first" else (2, 3, 1)
    inputs = keras.Input((*SIZE, 3) if outside == "channels_last" else (3, *SIZE))
    if turn == "operation":
        turned = keras.ops.transpose(inputs, (0, *dims))
    else:
        turned = turn(dims)(inputs) if turn is keras.layers.Permute else turn(*dims)(inputs)
    model = keras.Model(inputs, core(turned))
    found, wanted = explain(model, images), explain(plain, images)
    assert [path.split("/")[-1] for path, _ in found] == ["high"]
    (heatmap,) = found.values()
    np.testing.assert_allclose(heatmap, wanted["high", "grad_cam"], rtol=1e-4, atol=1e-6)


@pytest.mark.parametrize("channels", [1, 4])
def test_other_numbers_of_channels(channels):
    images = np.random.default_rng(0).uniform(0, 1, (2, *SIZE, channels))
    maps = explain(cnn(channels=channels), images, geometry="stretch")
    assert maps["high", "grad_cam"].shape == (2, 3, 2)
    with pytest.raises(InputError, match="images are 12×10×3"):
        explain(cnn(channels=channels), np.ones((1, *SIZE, 3)))


def test_any_size_and_sizes_one_after_the_other():
    explainer = Explainer(cnn(size=(None, None)), "high", geometry="stretch")
    for size, shape in (((12, 10), (3, 2)), ((20, 30), (7, 12)), ((12, 10), (3, 2))):
        images = np.random.default_rng(0).uniform(0, 1, (1, *size, 3))
        assert explainer(images)["high", "grad_cam"].shape == (1, *shape)
    assert len(explainer._passes.compiled) == 2


def deep():
    """Five halvings of images of any size."""
    x = inputs = keras.Input((None, None, 3))
    for place in range(5):
        x = keras.layers.Conv2D(4, 3, 2, padding="same", activation="relu", name=f"c{place}")(x)
    return keras.Model(inputs, keras.layers.Dense(3)(keras.layers.GlobalAveragePooling2D()(x)))


def test_the_layers_are_those_of_each_size_of_images():
    keras.utils.set_random_seed(0)
    small, large = np.ones((1, 32, 32, 3)), np.ones((1, 64, 96, 3))
    explainer = Explainer(deep(), "last")
    assert [*explainer(small)] == [("c3", "grad_cam")]  # c4 is 1×1 there
    assert [*explainer(large)] == [("c4", "grad_cam")]
    assert [call.map_shape for call in explainer.calls()] == [(2, 3, 4)]  # of the last images
    assert [cell.layer for cell in explainer.cells((32, 32))] == ["c3"]
    assert [*explainer(small)] == [("c3", "grad_cam")]
    fused = Explainer(deep(), ["c0", "last"], "fusion_mean")
    assert [[*fused(images)] for images in (small, large)] == [
        [("c0+c3", "fusion_mean")],
        [("c0+c4", "fusion_mean")],
    ]


def test_memory_holds_for_larger_images_too():
    keras.utils.set_random_seed(0)
    memory = 8 * 16 * 16 * 16 * 4  # A and G of a batch at the first layer, of 32×32 images
    explainer = Explainer(deep(), ["c0", "c1", "c2"], memory=memory * 3 // 2)
    explainer(np.ones((1, 32, 32, 3)))
    assert explainer.passes() == 1
    explainer(np.ones((1, 64, 64, 3)))
    assert explainer.passes() == explainer.passes((64, 64)) == 2
    assert [len(each) for each in explainer._passes.compiled.values()] == [1, 2]


def test_what_a_method_refuses_is_told_for_the_images_explained_last():
    keras.utils.set_random_seed(0)
    explainer = Explainer(deep(), ["c0", "last"], "cam", skip_refused=True)
    explainer(np.ones((1, 32, 32, 3)))
    assert set(explainer.refused()) == {("c0", "cam"), ("c3", "cam")}
    assert set(explainer.refused((64, 64))) == {("c0", "cam")}


def test_augmentation_inside_does_nothing_when_explaining(images):
    body = cnn()
    model = keras.Sequential(
        [
            keras.Input((*SIZE, 3)),
            keras.layers.RandomFlip(),
            keras.layers.RandomRotation(0.3),
            keras.layers.RandomContrast(0.5),
            *body.layers,
        ]
    )
    ours, plain = (explain(each, images)["high", "grad_cam"] for each in (model, body))
    np.testing.assert_allclose(ours, plain, rtol=1e-5)
    assert plain.max() > 0


@pytest.mark.parametrize("mode", ["int8", "float8"])
def test_quantised_models(images, mode):
    model = cnn()
    plain = explain(model, images, targets=1)["high", "grad_cam"]
    model.quantize(mode)
    quantised = explain(model, images, targets=1)["high", "grad_cam"]
    assert np.isfinite(quantised).all()
    assert plain.max() > 0
    assert np.abs(quantised - plain).max() < 0.2 * plain.max()


@pytest.fixture(scope="module")
def exported(tmp_path_factory):
    """Return a model and the same as a SavedModel behind a TFSMLayer."""
    folder = tmp_path_factory.mktemp("saved")
    model = cnn()
    model.export(str(folder), verbose=False)
    layer = keras.layers.TFSMLayer(str(folder), call_endpoint="serve")
    return model, keras.Sequential([keras.Input((*SIZE, 3)), layer])


def test_a_saved_model_predicts(exported, images):
    model, saved = exported
    np.testing.assert_allclose(Predictor(saved)(images), model(images), rtol=1e-5)


def test_a_saved_models_probability_is_explained_at_the_input(exported, images):
    model, saved = exported
    options = {"methods": "gradient", "targets": 1, "score": "probability"}
    ours, plain = (explain(each, images, **options) for each in (saved, model))
    np.testing.assert_allclose(
        ours["input", "gradient"], plain["input", "gradient"], rtol=1e-3, atol=1e-7
    )
    with pytest.raises(InputError, match=r"compiled function of its own.*score='probability'"):
        explain(saved, images, methods="gradient")


def test_a_saved_model_of_logits_keeps_them(images, tmp_path):
    model = cnn()
    logits = keras.Sequential([*model.layers[:-1], keras.layers.Dense(3, name="logits")])
    logits.build((None, *SIZE, 3))
    logits.export(str(tmp_path), verbose=False)
    saved = keras.Sequential(
        [keras.Input((*SIZE, 3)), keras.layers.TFSMLayer(str(tmp_path), call_endpoint="serve")]
    )
    np.testing.assert_allclose(
        Predictor(saved)(images), tf.nn.softmax(logits(images)).numpy(), rtol=1e-5
    )


def test_a_saved_models_layers_are_refused_with_the_reason(exported, images):
    with pytest.raises(InputError, match="TFSMLayer"):
        explain(exported[1], images, score="probability")


@pytest.mark.parametrize("by_layer", [True, False])
@pytest.mark.parametrize("layout", [INSIDE_IS_FIRST, "channels_first"])
def test_a_model_that_turns_its_images_first(images, layout, by_layer):
    """As converters write it: the first layer has another layout than the images."""
    keras.utils.set_random_seed(2)
    is_last = layout == "channels_last"
    inner = "channels_first" if is_last else "channels_last"
    inputs = keras.Input((*SIZE, 3) if is_last else (3, *SIZE))
    order = (3, 1, 2) if is_last else (2, 3, 1)
    turn = keras.layers.Permute(order) if by_layer else keras.ops.transpose
    x = turn(inputs) if by_layer else turn(inputs, (0, *order))
    x = keras.layers.Conv2D(4, 3, activation="relu", data_format=inner, name="conv")(x)
    x = keras.layers.Conv2D(2, 1, data_format=inner, name="classes")(x)
    model = keras.Model(inputs, keras.layers.Activation("sigmoid")(x))
    plain = keras.Sequential(
        [
            keras.Input((*SIZE, 3)),
            keras.layers.Conv2D(4, 3, activation="relu", name="conv"),
            keras.layers.Conv2D(2, 1, activation="sigmoid"),
        ]
    )
    model.set_weights([np.abs(weight) for weight in model.get_weights()])
    plain.set_weights(model.get_weights())
    got, wanted = (explain(each, images, targets=1) for each in (model, plain))
    assert got.probabilities.shape == (2, 2)
    np.testing.assert_allclose(got.probabilities, wanted.probabilities, rtol=1e-5)
    assert wanted["conv", "grad_cam"].max() > 0
    np.testing.assert_allclose(
        got["conv", "grad_cam"], wanted["conv", "grad_cam"], rtol=1e-4, atol=1e-7
    )
