"""Contracts of every registered method, properties of the formulas, targets and errors."""

import functools

import keras
import numpy as np
import pytest
import tensorflow as tf

from gradcam_eval.core import InputError
from gradcam_eval.methods import METHODS
from gradcam_eval.methods.cam import contributions
from gradcam_eval.methods.explainer import Explainer, explain
from gradcam_eval.models.layers import find_layers
from gradcam_eval.models.selection import resolve_layers
from gradcam_eval.models.tap import record
from gradcam_eval.models.target import class_scores
from gradcam_eval.models.zoo import load_model

SIZE = (24, 20)


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(1)
    return keras.Sequential(
        [
            keras.Input((*SIZE, 3)),
            keras.layers.Rescaling(1 / 255),
            keras.layers.Conv2D(6, 3, activation="relu", name="low"),
            keras.layers.BatchNormalization(),
            keras.layers.MaxPooling2D(),
            keras.layers.Conv2D(8, 3, activation="relu", name="high"),
            keras.layers.Flatten(),
            keras.layers.Dropout(0.5),
            keras.layers.Dense(4, activation="softmax", name="head"),
        ]
    )


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(0).uniform(0, 255, (5, *SIZE, 3)).astype(np.float32)


ONE_PASS = [m.name for m in METHODS.values() if m.kind == "cam" and not m.refuses]


def test_one_pass_equals_a_pass_for_each(model, images):
    together = explain(model, images, layers=["low", "high"], methods=ONE_PASS)
    for (layer, method), heatmap in together.items():
        if layer == "low" and method != "grad_cam":
            continue
        alone = explain(model, images, layers=layer, methods=method)[layer, method]
        np.testing.assert_allclose(heatmap, alone, rtol=1e-5, atol=1e-6 * np.abs(alone).max())


def test_chunks_equal_one_batch_and_use_one_trace(model, images):
    whole = Explainer(model, "high", "grad_cam", batch_size=16)
    parts = Explainer(model, "high", "grad_cam", batch_size=2)
    np.testing.assert_allclose(
        parts(images)["high", "grad_cam"], whole(images)["high", "grad_cam"], rtol=1e-5, atol=1e-7
    )
    assert len(parts._passes.compiled) == 1


def gap_model(rng):
    model = keras.Sequential(
        [
            keras.Input((10, 10, 3)),
            keras.layers.Conv2D(5, 3, activation="relu", name="conv"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(3, name="head"),
        ]
    )
    # No negative weight: the class map is then positive somewhere for certain.
    model.set_weights([np.abs(rng.normal(size=w.shape)) for w in model.get_weights()])
    return model


def test_on_a_gap_model_the_gradient_methods_are_cam(rng):
    """∂(logit)/∂A = w/(h·w) everywhere: Grad-CAM = HiResCAM = XGrad-CAM = CAM/(h·w)."""
    model = gap_model(rng)
    images = rng.uniform(0, 1, (2, 10, 10, 3)).astype(np.float32)
    heatmaps = explain(
        model, images, methods=["grad_cam", "hires_cam", "xgrad_cam"], targets=[2, 0]
    )
    activations = model.layers[0](images).numpy()
    kernel = model.layers[-1].kernel.numpy()
    cam = np.stack([a @ kernel[:, k] for a, k in zip(activations, [2, 0], strict=True)]) / 64
    assert cam.max() > 0
    for heatmap in heatmaps.values():
        np.testing.assert_allclose(heatmap, np.maximum(cam, 0), rtol=1e-4, atol=1e-6)


def test_unrectified_hires_cam_sums_to_the_logit_minus_its_bias(model, images):
    calls = resolve_layers(find_layers(model), "high")

    @tf.function(autograph=False)
    def run(x):
        def logit(outputs):
            return class_scores(outputs).logits[:, 1]

        seen = record(lambda: model(x, training=False), calls, logit)
        return contributions(seen.activations[0], seen.gradients[0]), logit(seen.outputs)

    heatmaps, logits = run(images)
    bias = model.get_layer("head").bias.numpy()[1]
    np.testing.assert_allclose(heatmaps.numpy().sum(axis=(1, 2)), logits - bias, rtol=1e-4)


def test_new_weights_give_new_maps(rng):
    model = gap_model(rng)
    explainer = Explainer(model)
    images = rng.uniform(0, 1, (1, 10, 10, 3)).astype(np.float32)
    before = explainer(images, 0)["conv", "grad_cam"]
    model.set_weights([weight * 2 for weight in model.get_weights()])
    after = explainer(images, 0)["conv", "grad_cam"]
    assert np.abs(after - before).max() > 1e-3
    fresh = explain(model, images, targets=0)["conv", "grad_cam"]  # frozen, where that one is live
    np.testing.assert_allclose(after, fresh, rtol=0, atol=1e-5 * fresh.max())


def test_targets_scores_and_probabilities(model, images):
    expected = model.predict(images, verbose=0)
    predicted = explain(model, images)
    np.testing.assert_array_equal(predicted.targets, expected.argmax(axis=1))
    np.testing.assert_allclose(predicted.probabilities, expected, rtol=1e-5)
    one = explain(model, images, targets=3, score="probability")
    np.testing.assert_array_equal(one.targets, [3] * 5)
    np.testing.assert_allclose(one.scores, expected[:, 3], rtol=1e-5)
    each = explain(model, images, targets=[0, 1, 2, 3, 0])
    np.testing.assert_array_equal(each.targets, [0, 1, 2, 3, 0])
    for n, target in enumerate([0, 1, 2, 3, 0]):
        alone = explain(model, images[n], targets=target)
        np.testing.assert_allclose(
            each["high", "grad_cam"][n], alone["high", "grad_cam"][0], rtol=1e-4, atol=1e-7
        )


@pytest.mark.filterwarnings("ignore:the probability of .* saturated")
def test_the_probabilitys_map_is_the_logits_by_the_softmax_derivative(rng):
    """∂p₀/∂A = p₀ (∂z₀/∂A − Σₖ pₖ ∂zₖ/∂A): another map than the logit's, worked out by hand."""
    model = gap_model(rng)
    probable = keras.Sequential([*model.layers, keras.layers.Softmax()])
    image = rng.uniform(0, 1, (1, 10, 10, 3)).astype(np.float32)
    logit = explain(probable, image, targets=0)
    np.testing.assert_allclose(
        logit["conv", "grad_cam"], explain(model, image, targets=0)["conv", "grad_cam"], rtol=1e-5
    )
    np.testing.assert_allclose(logit.scores, model(image)[:, 0], rtol=1e-5)
    probability = explain(probable, image, targets=0, score="probability")
    p = probability.probabilities[0]
    kernel = model.layers[-1].kernel.numpy()
    weights = p[0] * (kernel[:, 0] - kernel @ p) / 64  # ∂p₀/∂A, with the softmax's derivative
    cam = np.maximum(model.layers[0](image).numpy()[0] @ weights, 0)
    np.testing.assert_allclose(probability["conv", "grad_cam"][0], cam, rtol=1e-3, atol=1e-7)
    np.testing.assert_allclose(probability.scores, p[:1], rtol=1e-6)


def test_a_class_name_is_a_target_where_the_names_are_known():
    model = load_model("evidence_gap")
    image = np.zeros(model.input_shape[1:], np.float32)
    assert explain(model, image, targets="chequered").targets[0] == 4
    with pytest.raises(InputError, match="crane"):
        explain(model, image, targets="crane")


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        (4, "classes are 0 to 3"),
        (-1, "classes are 0 to 3"),
        ([0, 1], "one for each of 5 images"),
        ([0, [1, 2], 0, 0, 0], "wanted one for each image"),
        (1.5, "whole numbers"),
        ([True] * 5, "whole numbers"),
        ("cat", "no class names"),
    ],
)
def test_wrong_targets_get_a_sentence(model, images, targets, message):
    with pytest.raises(InputError, match=message):
        explain(model, images, targets=targets)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda x: x[0, 0], r"wanted \(N, H, W, C\)"),
        (lambda x: x[:0], "not empty"),
        (lambda x: x * np.nan, "not finite"),
        (lambda x: x.astype(np.float64) * 1e300, "not finite"),
        (lambda x: x[:, :9, :9], "images are 9×9×3 .* takes 24×20×3"),
        (lambda x: [x[0], x[0, :9]], "cannot be read as one array.*of one shape"),
        (lambda x: "cat.jpg", "cannot be read as one array: wanted real numbers"),
        (lambda x: x * 1j, "cannot be read as one array: wanted real numbers"),
        (lambda x: None, r"images have shape \(\)"),
    ],
)
def test_wrong_images_get_a_sentence(model, images, change, message):
    with pytest.raises(InputError, match=message):
        explain(model, change(images))


def test_wrong_options_get_a_sentence(model):
    with pytest.raises(InputError, match="did you mean 'logit'"):
        Explainer(model, score="logits")
    for size in (0, -1, 1.5, None):
        with pytest.raises(InputError, match=f"batch_size is {size}: wanted (1 or|a whole)"):
            Explainer(model, batch_size=size)
    for seed in (1.5, None, 2**63):
        with pytest.raises(InputError, match=f"seed is {seed}: wanted a whole number of 64 bits"):
            Explainer(model, seed=seed)


def test_no_layer_is_refused_where_a_method_looks_at_one(model, images):
    with pytest.raises(InputError, match="no layer was named"):
        Explainer(model, [], ["gradient", "grad_cam"])
    assert list(Explainer(model, [], "gradient")(images)) == [("input", "gradient")]


@pytest.mark.parametrize("seed", [np.int64(-(2**63)), 2**63 - 1])
def test_any_seed_of_64_bits_is_taken(model, images, seed):
    methods = ["smooth_grad(samples=2)", "rise(masks=4)"]
    for maps in Explainer(model, [], methods, seed=seed)(images[:1]).values():
        assert np.isfinite(maps).all()
        assert maps.max() > maps.min()


@pytest.mark.parametrize(
    ("layers", "method"),
    [
        ([], "rise(masks=8)"),
        ("low", "smooth_grad_cam_pp(samples=2)"),
    ],
)
def test_another_seed_gives_another_map(model, images, layers, method):
    first, same, other = (
        next(iter(Explainer(model, layers, method, seed=seed)(images[:1], 0).values()))
        for seed in (1, 1, 2)
    )
    np.testing.assert_array_equal(first, same)
    assert np.abs(first - other).max() > 1e-3 * np.abs(first).max()


def test_a_method_puts_few_images_into_one_forward_pass(images):
    sizes = []

    def note(values):
        sizes.append(len(values))
        return values

    def noted(values):
        handed = tf.numpy_function(note, [values], values.dtype)
        handed.set_shape(values.shape)
        return handed

    model = keras.Sequential(
        [
            keras.Input((*SIZE, 3)),
            keras.layers.Lambda(noted, output_shape=lambda shape: shape),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(2),
        ]
    )
    explainer = Explainer(model, [], "rise(masks=40)", engine="tensorflow")
    sizes.clear()
    explainer(images[:2])
    assert sorted(sizes) == [2, 16, 16, 16, 16, 16]  # memory does not grow with the masks


def test_a_channel_is_ablated_beside_what_a_shortcut_hands_on(images):
    """In float64: a map is made of differences of scores, and only its last rounding is left."""
    keras.utils.set_random_seed(1)
    convolve = functools.partial(
        keras.layers.Conv2D, 4, 3, padding="same", activation="relu", dtype="float64"
    )
    given = keras.Input((*SIZE, 3))
    before = convolve(name="before")(given)
    product = keras.layers.Multiply(dtype="float64")([before, convolve(name="branch")(before)])
    pooled = keras.layers.GlobalAveragePooling2D(dtype="float64")(product)
    model = keras.Model(given, keras.layers.Dense(2, dtype="float64")(pooled))
    explainer = Explainer(model, "branch", "ablation_cam")
    (together,) = explainer(images, 0).values()
    assert together.max() > 0
    rounding = np.finfo(np.float32).eps
    for n, image in enumerate(images):
        (alone,) = explainer(image, 0).values()
        np.testing.assert_allclose(together[n], alone[0], rtol=rounding, atol=1e-9 * alone.max())


def test_a_fusion_of_refused_maps_is_refused_with_their_reason(model, images):
    methods = ["grad_cam", "fusion_mean(of=cam)"]
    maps = Explainer(model, ["low", "high"], methods, skip_refused=True)(images)
    assert list(maps) == [("low", "grad_cam"), ("high", "grad_cam")]
    assert "CAM needs a layer" in maps.refused["low+high", "fusion_mean(of=cam)"]


def test_a_layer_without_influence_on_the_output_is_refused():
    class Spare(keras.Model):
        def __init__(self):
            super().__init__()
            self.used = keras.layers.Conv2D(2, 3, name="used")
            self.unused = keras.layers.Conv2D(2, 3, name="unused")

        def call(self, x):
            self.unused(x)
            return keras.ops.mean(self.used(x), axis=(1, 2))

    with pytest.raises(InputError, match="does not influence"):
        explain(Spare(), np.ones((1, 8, 8, 3), np.float32), layers="unused")


def test_heatmaps_resize_and_name_what_they_hold(model, images):
    heatmaps = explain(model, images, layers=["low", "high"])
    resized = heatmaps.resized()
    assert resized["high", "grad_cam"].shape == (5, *SIZE)
    assert heatmaps.resized((7, 9))["low", "grad_cam"].shape == (5, 7, 9)
    assert heatmaps["low", "grad_cam"].shape == (5, 22, 18)
    assert heatmaps["high", "grad_cam"].shape == (5, *SIZE)  # placed: without padding it is off
    assert heatmaps.resized(geometry="stretch").placed == {}
    stretched = explain(model, images, layers="high", geometry="stretch")
    assert stretched["high", "grad_cam"].shape == (5, 9, 7)
    np.testing.assert_array_equal(
        heatmaps.resized(geometry="stretch")["high", "grad_cam"],
        stretched.resized()["high", "grad_cam"],
    )
    assert len(heatmaps) == 2
    with pytest.raises(KeyError, match="there are low / grad_cam, high / grad_cam"):
        heatmaps["high", "layer_cam"]


def test_a_heatmap_is_found_under_the_text_it_was_asked_for(model, images):
    written = ["smooth_grad_cam_pp(noise=0.0, samples=2)", "grad_cam", "smooth_grad(samples=2)"]
    maps = explain(model, images[:1], layers=["last", 0, "hi*"], methods=written)
    kept = "smooth_grad_cam_pp(samples=2, noise=0)"
    first = next(iter(maps))[0]  # the path of the layer with index 0 is not what was written
    assert len(maps) == 5
    for spelling in (*written[:2], kept, "smooth_grad_cam_pp( samples = 2, noise=0 )"):
        label = "grad_cam" if spelling == "grad_cam" else kept
        assert maps["last", spelling] is maps["hi*", spelling] is maps["high", label]
        assert maps[0, spelling] is maps[maps.layer_names[0][0], label]
    assert maps.resized()["last", written[0]].shape == (1, *SIZE)
    assert ("last", written[0]) in maps
    assert maps["last", "smooth_grad( samples=2 )"] is maps["input", written[2]]
    assert ("last", "layer_cam") not in maps
    for key in (
        ("last", "grad_cam(power=2)"),
        ("stages", "grad_cam"),
        ("low", "smooth_grad(samples=2)"),
        "last",
    ):
        with pytest.raises(KeyError, match=f"no heatmap .*: there are {first} / smooth"):
            maps[key]


def test_a_key_that_stands_for_several_heatmaps_or_a_refused_one_says_so(model, images):
    several = explain(model, images[:1], layers="*")
    with pytest.raises(KeyError, match=r"'\*' stands for 3 layers: name one of low, .*, high"):
        several["*", "grad_cam"]
    skipping = Explainer(model, "last", ["grad_cam", "cam"], skip_refused=True)(images[:1])
    with pytest.raises(KeyError, match="no heatmap") as caught:
        skipping["last", "cam"]
    assert skipping.refused["high", "cam"] in caught.value.args[0]


# test_asking_methods.py has each method that asks in half precision
IN_HALF = [*ONE_PASS, "gradient", "rise(masks=4)", "fusion_mean"]


def test_mixed_precision_gives_finite_float32_maps(rng):
    policy = keras.mixed_precision.Policy("mixed_float16")
    model = keras.Sequential(
        [
            keras.Input((16, 16, 3)),
            keras.layers.Conv2D(4, 3, activation="relu", name="conv", dtype=policy),
            keras.layers.GlobalAveragePooling2D(dtype=policy),
            keras.layers.Dense(3, activation="softmax", dtype="float32"),
        ]
    )
    heatmaps = explain(model, rng.uniform(0, 1, (2, 16, 16, 3)), methods=IN_HALF)
    for heatmap in heatmaps.values():
        assert heatmap.dtype == np.float32
        assert np.isfinite(heatmap).all()


def test_the_output_of_an_operation_between_layers_is_explained(rng):
    """x + y feeds a global average and a dense layer, so its map is CAM's of the sum."""
    inputs = keras.Input((12, 12, 3))
    x = keras.layers.Conv2D(4, 3, padding="same", activation="relu", name="one")(inputs)
    y = keras.layers.Conv2D(4, 3, padding="same", activation="relu", name="two")(x)
    pooled = keras.layers.GlobalAveragePooling2D()(x + y)
    model = keras.Model(inputs, keras.layers.Dense(2, name="head")(pooled))
    model.set_weights([np.abs(rng.normal(size=w.shape)) for w in model.get_weights()])
    image = rng.uniform(0, 1, (1, 12, 12, 3)).astype(np.float32)
    ((layer, _), heatmap), *_ = explain(model, image, targets=1).items()
    assert layer.startswith("add")
    one = model.get_layer("one")(image).numpy()
    total = one + model.get_layer("two")(one).numpy()
    cam = total[0] @ model.get_layer("head").kernel.numpy()[:, 1] / 144
    np.testing.assert_allclose(heatmap[0], cam, rtol=1e-5)
    assert all("call" not in vars(operation) for operation in model.operations)


def test_a_call_may_be_handed_over_alone(model, images):
    (call,) = resolve_layers(find_layers(model), "high")
    assert list(Explainer(model, call)(images)) == [("high", "grad_cam")]
