"""Our Grad-CAM is the tutorial's where the tutorial works, and works where it does not."""

import keras
import numpy as np
import pytest
import skimage.data
from keras.src.applications.densenet import DenseNet
from recipe import recipe

from gradcam_eval.data.decode import load_image
from gradcam_eval.methods.explainer import Explainer, explain
from gradcam_eval.models.layers import find_layers
from gradcam_eval.models.weights import LITE0, MOBILENET_V2, is_installed
from gradcam_eval.models.zoo import load_model

TRAINED = {"efficientnet_lite0": LITE0, "mobilenet_v2_torchvision": MOBILENET_V2}
STAGES = [0, 2]  # of five: the reference takes seconds for each


def normalised(heatmap):
    return heatmap / heatmap.max()


@pytest.fixture
def in_float64():
    before = keras.config.floatx(), keras.config.dtype_policy()
    keras.config.set_floatx("float64")
    keras.config.set_dtype_policy("float64")
    yield
    keras.config.set_floatx(before[0])
    keras.config.set_dtype_policy(before[1])


def trained(name):
    if not is_installed(TRAINED[name]):
        pytest.skip(f"the package with the weights of {name} is not installed")
    return load_model(name), load_image(f"{skimage.data.data_dir}/chelsea.png", (224, 224))


def test_equals_the_recipe_on_a_trained_model():
    model, image = trained("mobilenet_v2_torchvision")
    explainer = Explainer(model, "last", "grad_cam", score="probability")
    ((layer, _), heatmaps), *_ = explainer(image).items()
    np.testing.assert_allclose(
        normalised(heatmaps[0]), recipe(model, layer, image[None]), atol=1e-5
    )
    assert heatmaps.shape == (1, 7, 7)


@pytest.mark.usefixtures("in_float64")
def test_equals_the_recipe_at_early_stages_in_float64():
    """In float32 the mean gradient of an early layer is what is left of large cancelling terms.

    There two ways to compute it, both right, differ by some per cent of the maximum.
    """
    model, image = trained("efficientnet_lite0")
    stages = [call.path for call in find_layers(model).role("stages")]
    assert len(stages) == 5
    chosen = [stages[n] for n in STAGES]
    for (layer, _), heatmaps in Explainer(model, chosen, score="probability")(image).items():
        np.testing.assert_allclose(
            normalised(heatmaps[0]), recipe(model, layer, image[None]), atol=1e-5
        )


LAYER = "conv3_block3_2_conv"


@pytest.fixture(scope="module")
def densenet():
    """The tutorial's own example, smaller: DenseNet without its top, frozen, a new head, random.

    The tutorial has DenseNet201 and 224×224, which takes half a minute.
    """
    keras.utils.set_random_seed(0)
    backbone = DenseNet(
        [2, 3, 3, 2], include_top=False, weights=None, input_shape=(96, 96, 3), name="densenet"
    )
    backbone.trainable = False
    x = keras.layers.Flatten()(backbone.output)
    return backbone, keras.Model(backbone.input, keras.layers.Dense(10, activation="softmax")(x))


@pytest.fixture(scope="module")
def picture():
    return np.random.default_rng(0).uniform(0, 1, (1, 96, 96, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def reference(densenet, picture):
    return recipe(densenet[1], LAYER, picture)


def test_the_recipes_own_example(densenet, picture, reference):
    heatmaps = explain(densenet[1], picture, layers=LAYER, score="probability")
    heatmap = heatmaps[LAYER, "grad_cam"][0]
    assert heatmap.shape == reference.shape == (12, 12)
    np.testing.assert_allclose(normalised(heatmap), reference, atol=1e-5)


def test_the_same_network_nested_in_a_sequential(densenet, picture, reference):
    backbone, flat = densenet
    nested = keras.Sequential(
        [backbone, keras.layers.Flatten(), keras.layers.Dense(10, activation="softmax")]
    )
    nested.build((None, 96, 96, 3))
    nested.layers[-1].set_weights(flat.layers[-1].get_weights())
    with pytest.raises(ValueError, match=LAYER):
        recipe(nested, LAYER, picture)
    heatmaps = explain(nested, picture, layers=LAYER, score="probability")
    heatmap = heatmaps[f"densenet/{LAYER}", "grad_cam"][0]
    np.testing.assert_allclose(normalised(heatmap), reference, atol=1e-5)
