"""What is explained: ranks, contrasts, log-odds, heads, regions and functions of the outputs."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

from gradcam_eval.core import InputError
from gradcam_eval.methods.explainer import Explainer, explain
from gradcam_eval.models.engine import Predictor

SIZE = (12, 10)


def gap_model(*, activation="softmax", classes=4):
    """A → mean → dense: ∂z_c/∂A = w_c / (h·w), so every map can be worked out by hand."""
    keras.utils.set_random_seed(3)
    return keras.Sequential(
        [
            keras.Input((*SIZE, 3)),
            keras.layers.Conv2D(5, 3, activation="relu", name="conv"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(classes, activation=activation, name="head"),
        ]
    )


@pytest.fixture(scope="module")
def model():
    return gap_model()


@pytest.fixture(scope="module")
def images():
    return np.random.default_rng(5).uniform(0, 1, (3, *SIZE, 3)).astype(np.float32)


def class_map(model, images, weights):
    """[Σₖ wₖ Aᵏ]₊ / (h·w), with weights (K,) or (N, K)."""
    activations = model.get_layer("conv")(images).numpy()
    total = np.einsum("nhwk,nk->nhw", activations, np.broadcast_to(weights, (len(images), 5)))
    return np.maximum(total, 0) / activations[0, :, :, 0].size


def assert_is(heatmaps, expected):
    (heatmap,) = heatmaps.values()
    assert expected.max() > 0, "a map of zeros would prove nothing"
    np.testing.assert_allclose(heatmap, expected, rtol=1e-3, atol=1e-6 * expected.max())


def test_the_kth_best_class(model, images):
    order = np.argsort(-model(images).numpy(), axis=1)
    for place in (1, 2, 4):
        explained = explain(model, images, targets=f"predicted:{place}")
        np.testing.assert_array_equal(explained.targets, order[:, place - 1])
    mixed = explain(model, images, targets=["predicted", 3, "predicted:2"])
    np.testing.assert_array_equal(mixed.targets, [order[0, 0], 3, order[2, 1]])
    with pytest.raises(InputError, match=r"this model has 4 classes: .* to 'predicted:4'$"):
        explain(model, images, targets="predicted:5")


def test_equal_scores_rank_the_lower_index_first():
    model = gap_model()
    model.set_weights([np.zeros_like(weight) for weight in model.get_weights()])
    for target, index in (("predicted", 0), ("predicted:3", 2)):
        assert explain(model, np.ones((1, *SIZE, 3)), targets=target).targets.tolist() == [index]


def test_a_contrast_is_the_map_of_the_difference_of_two_classes(model, images):
    kernel = model.get_layer("head").kernel.numpy()
    got = Explainer(model)(images, [0, 1, 2], against=[3, 2, 0])
    assert_is(got, class_map(model, images, (kernel[:, [0, 1, 2]] - kernel[:, [3, 2, 0]]).T))
    probabilities = model(images).numpy()
    difference = np.log(probabilities[[0, 1, 2], [0, 1, 2]] / probabilities[[0, 1, 2], [3, 2, 0]])
    np.testing.assert_allclose(got.scores, difference, rtol=1e-4)
    ranked = Explainer(model)(images, "predicted", against="predicted:2")
    assert (ranked.scores > 0).all()


def test_log_odds_of_a_softmax(model, images):
    """∂ ln(p_c / (1 − p_c)) = ∂z_c − Σ_{k≠c} p_k ∂z_k / (1 − p_c)."""
    p, kernel = model(images).numpy(), model.get_layer("head").kernel.numpy()
    others = p.copy()
    others[:, 1] = 0
    weights = kernel[:, 1] - (others / (1 - p[:, 1:2])) @ kernel.T
    got = explain(model, images, targets=1, score="log_odds")
    np.testing.assert_allclose(got.scores, np.log(p[:, 1] / (1 - p[:, 1])), rtol=1e-4)
    assert_is(got, class_map(model, images, weights))


def test_log_odds_of_a_sigmoid_are_its_logit(images):
    model = gap_model(activation="sigmoid")
    odds, logit = (explain(model, images, targets=1, score=s) for s in ("log_odds", "logit"))
    np.testing.assert_array_equal(odds.scores, logit.scores)


def test_log_odds_never_saturate(images):
    model = gap_model()
    *body, kernel, bias = model.get_weights()
    model.set_weights([*body, kernel * 1e4, bias])
    odds = explain(model, images, score="log_odds")
    assert odds.probabilities.max() == 1
    assert np.isfinite(odds.scores).all()
    assert (odds.scores > 20).all()


def test_a_saturated_probability_warns(images):
    model = gap_model()
    *body, kernel, bias = model.get_weights()
    model.set_weights([*body, kernel * 1e4, bias])
    with pytest.warns(UserWarning, match="the probability of 3 of 3 images is saturated"):
        explain(model, images, score="probability")
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        explain(model, images, score="logit")
        explain(gap_model(), images, score="probability")


@pytest.mark.parametrize("as_dict", [True, False])
def test_a_head_of_several_outputs(model, images, as_dict):
    aux = keras.layers.Dense(2, "sigmoid", kernel_initializer="ones", name="aux")
    second = aux(model.layers[-2].output)
    outputs = {"main": model.outputs[0], "aux": second} if as_dict else [model.outputs[0], second]
    both = keras.Model(model.inputs, outputs)
    got = Explainer(both, "conv", head="aux")(images, 1)
    assert got.probabilities.shape == (3, 2)
    assert_is(got, class_map(model, images, aux.kernel.numpy()[:, 1]))
    first = Explainer(both, "conv", head="main" if as_dict else 0)(images, 2)
    assert_is(first, class_map(model, images, model.get_layer("head").kernel.numpy()[:, 2]))
    with pytest.raises(InputError, match=r"returns 2 outputs .*aux.*head="):
        explain(both, images)
    with pytest.raises(InputError, match="unknown head 'axu': did you mean 'aux'"):
        Explainer(both, head="axu")(images)


@pytest.fixture(scope="module")
def segmentation():
    """Each pixel's logits are its own activations times a kernel."""
    keras.utils.set_random_seed(4)
    return keras.Sequential(
        [
            keras.Input((*SIZE, 3)),
            keras.layers.Conv2D(5, 3, padding="same", activation="relu", name="conv"),
            keras.layers.Conv2D(3, 1, activation="softmax", name="head"),
        ]
    )


def test_the_region_of_a_segmentation(segmentation, images):
    """The score is Σ over the region of z_c: the gradient is w_c inside and 0 outside."""
    region = np.zeros(SIZE)
    region[2:7, 3:6] = 1
    got = Explainer(segmentation, "conv", "hires_cam")(images, 2, regions=region)
    activations = segmentation.get_layer("conv")(images).numpy()
    kernel = segmentation.get_layer("head").kernel.numpy()[0, 0]
    assert_is(got, np.maximum(activations @ kernel[:, 2], 0) * region)
    np.testing.assert_allclose(
        got.scores, ((activations @ kernel[:, 2]) * region).sum(axis=(1, 2)), rtol=1e-4
    )
    probabilities = segmentation(images).numpy()
    np.testing.assert_allclose(
        got.probabilities, probabilities[:, 2:7, 3:6].mean(axis=(1, 2)), rtol=1e-5
    )


def test_a_segmentation_predicts_the_class_with_the_highest_sum_in_the_region(images):
    """A pixel's logits are its colours; the whole picture's class is nowhere best in the region."""
    layers = [keras.layers.Conv2D(3, 1, use_bias=False, name=name) for name in ("conv", "head")]
    model = keras.Sequential([keras.Input((*SIZE, 3)), *layers])
    model.set_weights([np.eye(3)[None, None]] * 2)
    whole = images.sum(axis=(1, 2)).argmax(axis=1)
    region = images.argmax(axis=-1) != whole[:, None, None]
    expected = np.einsum("nhw,nhwk->nk", region, images).argmax(axis=1)
    assert (expected != whole).all()
    got = Explainer(model, "conv")(images, regions=region)
    np.testing.assert_array_equal(got.targets, expected)
    np.testing.assert_array_equal(Explainer(model, "conv")(images).targets, whole)


def test_no_region_is_every_pixel_and_another_size_is_resized(segmentation, images):
    whole = Explainer(segmentation, "conv")(images, 1)
    coarse = Explainer(segmentation, "conv")(images, 1, regions=np.ones((6, 5)))
    np.testing.assert_allclose(whole["conv", "grad_cam"], coarse["conv", "grad_cam"], rtol=1e-6)
    half = np.zeros((6, 5))
    half[:3] = 1
    fine = np.repeat(np.repeat(half, 2, 0), 2, 1)
    maps = [Explainer(segmentation, "conv")(images, 1, regions=r) for r in (half, fine)]
    np.testing.assert_allclose(*(each["conv", "grad_cam"] for each in maps), rtol=1e-6)


@pytest.mark.parametrize(
    ("regions", "message"),
    [
        (np.zeros(SIZE), "region of image 0 is empty"),
        (np.ones((2, *SIZE)), "one for each of 3 images"),
        (np.ones(4), r"wanted \(h, w\)"),
    ],
)
def test_wrong_regions_get_a_sentence(segmentation, images, regions, message):
    with pytest.raises(InputError, match=message):
        Explainer(segmentation, "conv")(images, 1, regions=regions)


def test_a_classifier_has_no_regions(model, images):
    with pytest.raises(InputError, match="no segmentation"):
        Explainer(model)(images, regions=np.ones(SIZE))


def test_any_function_of_the_outputs(model, images):
    """s = ln p₀ + ln p₁: ∂s = ∂z₀ + ∂z₁ − 2 Σ pₖ ∂zₖ."""
    got = Explainer(model, score=lambda outputs: tf.math.log(outputs[:, 0] * outputs[:, 1]))(images)
    p, kernel = model(images).numpy(), model.get_layer("head").kernel.numpy()
    np.testing.assert_allclose(got.scores, np.log(p[:, 0] * p[:, 1]), rtol=1e-4)
    assert_is(got, class_map(model, images, kernel[:, 0] + kernel[:, 1] - 2 * p @ kernel.T))
    for name in ("targets", "probabilities"):
        with pytest.raises(InputError, match="knows no classes"):
            getattr(got, name)


def test_a_score_function_is_checked(model, images):
    with pytest.raises(InputError, match=r"returned a tensor \(N, 4\): wanted one number"):
        explain(model, images, score=lambda outputs: outputs)
    with pytest.raises(InputError, match="knows no classes"):
        explain(model, images, targets=1, score=lambda outputs: outputs[:, 0])


def two_headed(as_dict=True):
    """An encoder, a decoder that only the mask sees, and a class of the whole image."""
    keras.utils.set_random_seed(6)
    inputs = keras.Input((*SIZE, 3))
    x = keras.layers.Conv2D(5, 3, 2, padding="same", activation="relu", name="encoder")(inputs)
    kind = keras.layers.Dense(2, activation="softmax", name="kind")(
        keras.layers.GlobalAveragePooling2D()(x)
    )
    y = keras.layers.Conv2DTranspose(4, 3, 2, padding="same", name="decoder")(x)
    mask = keras.layers.Conv2D(3, 1, activation="softmax", name="mask")(y)
    return keras.Model(inputs, {"kind": kind, "mask": mask} if as_dict else [kind, mask])


@pytest.mark.parametrize("as_dict", [True, False])
def test_last_is_the_last_layer_that_the_head_depends_on(images, as_dict):
    model = two_headed(as_dict)
    for head, last in (("kind", "encoder"), ("mask", "decoder")):
        assert list(Explainer(model, head=head)(images)) == [(last, "grad_cam")]
    both = Explainer(model, "all", head="mask")(images)
    assert [layer for layer, _ in both] == ["encoder", "decoder"]
    kind = "kind" if as_dict else 0
    by_function = Explainer(model, score=lambda outputs: outputs[kind][:, 1])(images)
    assert list(by_function) == [("encoder", "grad_cam")]


@pytest.mark.parametrize("head", [None, "pair"])
def test_a_head_of_several_outputs_is_for_a_score_function(images, head):
    model = two_headed()
    kind, mask = model.outputs
    nested = keras.Model(model.inputs, {"pair": [kind, mask]})
    with pytest.raises(InputError, match=r"this head holds 2 outputs itself.*score=lambda"):
        Explainer(nested, head=head)(images)
    with pytest.raises(InputError, match="this head holds 2 outputs itself"):
        Predictor(nested)(images)
    got = Explainer(nested, score=lambda pair: pair[0][:, 1], head="pair")(images)
    wanted = Explainer(model, head="kind", score="probability")(images, 1)
    np.testing.assert_allclose(got.scores, wanted.scores, rtol=1e-6)
    single = keras.Model(model.inputs, {"alone": [kind]})
    np.testing.assert_array_equal(
        Explainer(single)(images, 1).scores, Explainer(model, head="kind")(images, 1).scores
    )


def test_a_function_of_a_head_is_given_that_head(images):
    model = two_headed()
    got = Explainer(model, score=lambda kind: kind[:, 1], head="kind")(images)
    wanted = Explainer(model, head="kind", score="probability")(images, 1)
    np.testing.assert_allclose(got.scores, wanted.scores, rtol=1e-6)
    np.testing.assert_allclose(got["encoder", "grad_cam"], wanted["encoder", "grad_cam"], rtol=1e-6)


def test_the_only_output_may_be_named(model, images):
    model = keras.Model(model.inputs, model.outputs)
    named = Explainer(model, head="head")(images, 1)
    np.testing.assert_array_equal(named.scores, Explainer(model)(images, 1).scores)
    with pytest.raises(InputError, match="unknown head 'haed': did you mean 'head'"):
        Explainer(model, head="haed")(images)


def test_a_score_function_and_a_region_are_not_mixed(segmentation, images):
    explainer = Explainer(segmentation, score=lambda outputs: outputs[:, 0, 0, 0])
    with pytest.raises(InputError, match="let the function take its region"):
        explainer(images, regions=np.ones(SIZE))


def test_a_region_smaller_than_a_pixel_of_the_output_counts_by_its_share(images):
    """One pixel of the image is a quarter of the one pixel of a halved output that it lies in."""
    keras.utils.set_random_seed(4)
    body = keras.layers.Conv2D(5, 3, 2, padding="same", activation="relu", name="conv")
    head = keras.layers.Conv2D(3, 1, activation="softmax", name="head")
    model = keras.Sequential([keras.Input((*SIZE, 3)), body, head])
    region = np.zeros(SIZE)
    region[5, 4] = 1
    got = Explainer(model, "conv", "hires_cam")(images, 2, regions=region)
    activations, kernel = body(images).numpy(), head.kernel.numpy()[0, 0]
    logits = activations @ kernel[:, 2]
    np.testing.assert_allclose(got.scores, logits[:, 2, 2] / 4, rtol=1e-4)
    np.testing.assert_allclose(got.probabilities, model(images)[:, 2, 2], rtol=1e-5)
    expected = np.zeros_like(logits)
    expected[:, 2, 2] = np.maximum(logits[:, 2, 2], 0) / 4
    assert_is(got, expected)


@pytest.mark.onednn
def test_a_segmentation_with_channels_first(images):
    """The same network in both layouts gives the same map of the same region."""
    found = {}
    for layout in ("channels_last", "channels_first"):
        keras.utils.set_random_seed(4)
        axis = -1 if layout == "channels_last" else 1
        body = keras.layers.Conv2D(5, 3, activation="relu", name="conv", data_format=layout)
        head = keras.layers.Conv2D(3, 1, name="head", data_format=layout)
        shape = (*SIZE, 3) if axis == -1 else (3, *SIZE)
        softmax = keras.layers.Softmax(axis=axis)
        model = keras.Sequential([keras.Input(shape), body, head, softmax])
        region = np.zeros((10, 8))
        region[2:7, 3:6] = 1
        found[layout] = Explainer(model, "last", "hires_cam")(images, [0, 1, 2], regions=region)
    first, last = found["channels_first"], found["channels_last"]
    assert first.probabilities.shape == (3, 3)
    np.testing.assert_allclose(first.probabilities, last.probabilities, rtol=1e-5)
    assert_is(first, last["conv", "hires_cam"])


@pytest.mark.parametrize(
    "targets", [np.array(["0", "predicted", "2"]), np.array([0, "predicted", 2], object)]
)
def test_names_may_stand_in_an_array(model, images, targets):
    got = explain(model, images, targets=targets)
    best = int(np.argmax(model(images[1:2])))
    assert got.targets.tolist() == [0, best, 2]


@pytest.mark.parametrize(
    ("targets", "message"),
    [
        ([], "targets are empty: wanted one for each of 3 images"),
        ([None, 0, 1], "targets are object: wanted class indices .whole numbers., names or"),
        (0.5, "targets are float64: wanted class indices"),
        ("predicted:0", "the target is 'predicted:0': wanted 'predicted', or as in 'predicted:2'"),
        ("Predicted", "the target is 'Predicted': wanted 'predicted'"),
        ([[0, 1, 2]], r"targets have shape \(1, 3\): wanted one for each of 3 images"),
    ],
)
def test_wrong_targets_get_a_sentence(model, images, targets, message):
    with pytest.raises(InputError, match=message):
        explain(model, images, targets=targets)


@pytest.fixture(scope="module")
def binary():
    return gap_model(activation="sigmoid", classes=1)


def test_one_sigmoid_has_two_classes(binary, images):
    p = binary(images).numpy()[:, 0]
    assert (p != 0.5).all()
    found = explain(binary, images)
    np.testing.assert_array_equal(found.targets, p > 0.5)
    np.testing.assert_allclose(found.probabilities, np.stack([1 - p, p], axis=1), atol=1e-6)
    assert found.output.names == ("negative", "positive")
    z = np.log(p) - np.log1p(-p)
    explainer = Explainer(binary)
    np.testing.assert_allclose(explainer(images, "positive").scores, z / 2, rtol=1e-5)
    np.testing.assert_allclose(explainer(images, "negative").scores, -z / 2, rtol=1e-5)
    other = explainer(images, "predicted:2")
    np.testing.assert_array_equal(other.targets, p <= 0.5)
    with pytest.raises(InputError, match=r"2 to 2: this model's classes are 0 \(negative\)"):
        explainer(images, 2)
    with pytest.raises(InputError, match="'predicted:3', and this model has 2 classes"):
        explainer(images, "predicted:3")


def test_a_contrast_of_two_classes_is_the_logit_of_one_sigmoid(binary, images):
    weights = binary.get_layer("head").kernel.numpy()[:, 0]
    explainer = Explainer(binary, "conv", "grad_cam")
    for target, sign in ((1, 1), (0, -1)):
        contrast = explainer(images, target, against=1 - target)
        assert_is(contrast, class_map(binary, images, sign * weights))
        assert_is(explainer(images, target), class_map(binary, images, sign * weights / 2))
    p = binary(images).numpy()[:, 0]
    np.testing.assert_allclose(contrast.scores, np.log1p(-p) - np.log(p), rtol=1e-5)
    by_log_odds = Explainer(binary, "conv", score="log_odds")(images, 1)
    assert_is(by_log_odds, class_map(binary, images, weights))


def test_one_linear_output_is_a_value_unless_it_is_declared_a_logit(images):
    model = gap_model(activation=None, classes=1)
    value, weights = model(images).numpy(), model.get_layer("head").kernel.numpy()[:, 0]
    found = explain(model, images)
    assert found.output.kind == "regression"
    assert found.targets.tolist() == [0, 0, 0]
    np.testing.assert_allclose(found.predictions, value, rtol=1e-6)
    np.testing.assert_allclose(found.scores, value[:, 0], rtol=1e-6)
    assert_is(found, class_map(model, images, weights))
    with pytest.raises(InputError, match=r"the model is a regression: .* read `predictions`"):
        found.probabilities  # noqa: B018
    with pytest.raises(InputError, match="targets run from 1 to 1: this model's only value is 0"):
        explain(model, images, targets=1)
    with pytest.raises(InputError, match="'predicted:2', and this model returns one value"):
        explain(model, images, targets="predicted:2")
    with pytest.raises(InputError, match="no probability: leave out the score"):
        explain(model, images, score="probability")
    declared = explain(model, images, output="binary", targets="positive")
    np.testing.assert_allclose(declared.scores, value[:, 0] / 2, rtol=1e-6)


def test_of_several_values_one_is_named(images):
    model = gap_model(activation=None, classes=3)
    explainer = Explainer(model, output="regression")
    np.testing.assert_allclose(explainer(images, 2).scores, model(images)[:, 2], rtol=1e-6)
    with pytest.raises(InputError, match=r"a regression ranks no classes: .* index, 0 to 2"):
        explainer(images)


def test_a_region_of_a_map_of_one_channel_is_of_the_foreground(images):
    inputs = keras.Input((*SIZE, 3))
    maps = keras.layers.Conv2D(1, 3, padding="same", name="map")(inputs)
    model = keras.Model(inputs, keras.layers.Activation("sigmoid")(maps))
    region = np.zeros(SIZE, bool)
    region[2:5, 3:9] = True
    explainer = Explainer(model, methods="gradient")
    z = keras.Model(inputs, maps)(images).numpy()[:, region, 0].sum(axis=1)
    found = explainer(images, "foreground", regions=region)
    np.testing.assert_allclose(found.scores, z / 2, rtol=1e-4, atol=1e-5)
    contrast = explainer(images, "background", against="foreground", regions=region)
    np.testing.assert_allclose(contrast.scores, -z, rtol=1e-4, atol=1e-5)


def test_a_mean_of_softmaxes_is_explained_by_its_probability(model, images):
    other = gap_model()
    inputs = keras.Input((*SIZE, 3))
    both = keras.Model(inputs, keras.layers.Average()([model(inputs), other(inputs)]))
    explainer = Explainer(both, f"{model.name}/conv", score="probability")
    got = explainer(images, 1)
    np.testing.assert_allclose(got.probabilities, both(images), rtol=1e-6)
    np.testing.assert_allclose(got.scores, both(images)[:, 1], rtol=1e-6)
    with pytest.raises(InputError, match=r"put together from probabilities.*score='probability'"):
        Explainer(both, f"{model.name}/conv")(images)


def test_a_score_function_may_hold_a_row_for_each_image(model, images):
    """Three images, three rows: the layers are looked for with another number of images."""
    weights = np.eye(4, dtype=np.float32)[[2, 0, 1]]
    got = Explainer(model, score=lambda p: tf.reduce_sum(p * weights, axis=-1))(images)
    wanted = explain(model, images, targets=[2, 0, 1], score="probability")
    np.testing.assert_allclose(got.scores, wanted.scores, rtol=1e-6)
    np.testing.assert_allclose(got["conv", "grad_cam"], wanted["conv", "grad_cam"], rtol=1e-5)
