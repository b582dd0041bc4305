"""What is explained: ranks, contrasts, log-odds, heads, regions and functions of the outputs."""

import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

from gradcam_eval.core import InputError
from gradcam_eval.methods.explainer import Explainer, explain

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
    with pytest.raises(InputError, match="'predicted:5', and this model has 4 classes"):
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


def test_a_segmentation_predicts_the_class_with_the_highest_sum_in_the_region(segmentation, images):
    region = np.zeros((3, *SIZE))
    region[:, :4, :4] = 1
    got = Explainer(segmentation, "conv")(images, regions=region)
    kernel = segmentation.get_layer("head").kernel.numpy()[0, 0]
    logits = segmentation.get_layer("conv")(images).numpy() @ kernel
    np.testing.assert_array_equal(got.targets, logits[:, :4, :4].sum(axis=(1, 2)).argmax(axis=1))


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
    with pytest.raises(InputError, match=r"returned \(None, 4\): wanted one number"):
        explain(model, images, score=lambda outputs: outputs)
    with pytest.raises(InputError, match="knows no classes"):
        explain(model, images, targets=1, score=lambda outputs: outputs[:, 0])
