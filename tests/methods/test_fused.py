"""Six formulas in one loop: the same maps as by each formula alone."""

import ast
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

from gradcam_eval.methods import METHODS, cam, compiled, fused
from gradcam_eval.methods.explainer import Explainer
from gradcam_eval.methods.fused import FUSED, fused_maps

ROOT = Path(compiled.__file__).parents[2]
NAMES = [formula.__name__ for formula in FUSED]
SHAPES = [(1, 1, 1, 1), (2, 7, 5, 3), (3, 4, 9, 33), (1, 40, 40, 8)]


def pair(shape, lowest=0.0, seed=0):
    draw = np.random.default_rng(seed)
    activations = np.maximum(draw.normal(size=shape), lowest) + 0.1
    return activations.astype(np.float32), draw.normal(size=shape).astype(np.float32)


def one(activations, gradients):
    """The six maps of one position and one image, by name."""
    shape = (1, 1, -1, 1)
    values = (np.array(each, np.float32).reshape(shape) for each in (activations, gradients))
    return dict(zip(NAMES, fused_maps([tuple(values)])[0][:, 0, 0], strict=True))


@pytest.mark.parametrize("lowest", [0.0, -0.3])
@pytest.mark.parametrize("shape", SHAPES)
def test_each_map_is_that_of_its_formula(shape, lowest):
    activations, gradients = pair(shape, lowest)
    for formula, found in zip(FUSED, fused_maps([(activations, gradients)])[0], strict=True):
        expected = formula(*(tf.constant(each, tf.float64) for each in (activations, gradients)))
        assert found.dtype == np.float32
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5 * np.abs(expected).max())


def test_by_hand():
    # A = (1, 3), G = (2, −1): ΣA = 4, mean G = 1/2, Σ A G = −1, Σ [G]₊ / (2 + 4 [G]₊) = 1/5
    found = one([1, 3], [2, -1])
    np.testing.assert_allclose(found["grad_cam"], [0.5, 1.5])
    np.testing.assert_allclose(found["grad_cam_pp"], [0.2, 0.6])
    np.testing.assert_array_equal(found["xgrad_cam"], [0, 0])  # −1/4 A, rectified
    np.testing.assert_array_equal(found["hires_cam"], [2, 0])
    np.testing.assert_array_equal(found["grad_cam_elementwise"], [2, 0])
    np.testing.assert_array_equal(found["layer_cam"], [2, 0])


def test_where_a_share_is_nothing_by_nothing_it_is_0():
    found = one([1, -1], [3, 1])  # ΣA = 0
    np.testing.assert_array_equal(found["xgrad_cam"], [0, 0])
    found = one([1, -3], [1, 0])  # 2 + ΣA · G = 0 at the first, G = 0 at the second
    np.testing.assert_array_equal(found["grad_cam_pp"], [0, 0])


def test_grad_cam_pp_where_the_product_of_sum_and_gradient_leaves_float32():
    # ΣA = 4e20, [G]₊ = 2e20: α G = 1 / (1e-20 + 4e20), and the second position has no share
    found = one([1e20, 3e20], [2e20, -1e20])["grad_cam_pp"]
    np.testing.assert_allclose(found, [0.25, 0.75], rtol=1e-6)
    values = (tf.reshape(tf.constant(each), (1, 1, 2, 1)) for each in ([1e20, 3e20], [2e20, -1e20]))
    np.testing.assert_allclose(cam.grad_cam_pp(*values)[0, 0], [0.25, 0.75], rtol=1e-6)


@pytest.mark.parametrize("name", ["grad_cam_pp", "xgrad_cam"])
def test_a_sum_that_leaves_float32_is_no_share_of_0(name):
    activations, gradients = [3e38, 3e38], [1e-3, 1e-3]
    assert np.isnan(one(activations, gradients)[name]).all()
    values = (tf.reshape(tf.constant(each), (1, 1, 2, 1)) for each in (activations, gradients))
    assert np.isnan(getattr(cam, name)(*values)).all()


@pytest.mark.filterwarnings("ignore:.* maps by layer_cam")
@pytest.mark.parametrize("methods", [["hires_cam"], ["hires_cam", "layer_cam"]])
def test_maps_that_leave_float32_are_warned_of(methods):
    network = model()
    weights = network.layers[0].get_weights()
    network.layers[0].set_weights([each * np.float32(1e36) for each in weights])
    with pytest.warns(UserWarning, match="maps by hires_cam at 'second' are not finite"):
        found = Explainer(network, "second", methods)(images() * np.float32(1e3))
    assert not np.isfinite(found["second", "hires_cam"]).all()


def test_what_is_no_number_stays_so():
    found = one([1, 2], [np.nan, 1])
    assert all(np.isnan(found[name][0]) for name in NAMES)


def test_an_images_maps_are_the_same_in_any_batch_and_in_any_parts(monkeypatch):
    pairs = [pair((5, 6, 7, 4), seed=seed) for seed in range(3)]
    together = fused_maps(pairs)
    monkeypatch.setattr(fused, "_VALUES", 1)
    for (activations, gradients), maps, apart in zip(
        pairs, together, fused_maps(pairs), strict=True
    ):
        np.testing.assert_array_equal(apart, maps)
        alone = fused_maps([(activations[2:3], gradients[2:3])])[0]
        np.testing.assert_array_equal(alone, maps[:, 2:3])


def test_no_layers_and_no_images():
    assert fused_maps([]) == []
    assert fused_maps([pair((0, 6, 7, 4))])[0].shape == (6, 0, 6, 7)


def model(dtype="float32"):
    keras.utils.set_random_seed(3)
    layers = [
        keras.layers.Conv2D(6, 3, activation="relu", name="first", dtype=dtype),
        keras.layers.Conv2D(8, 3, strides=2, activation="silu", name="second", dtype=dtype),
        keras.layers.GlobalAveragePooling2D(dtype=dtype),
        keras.layers.Dense(5, dtype=dtype),
    ]
    return keras.Sequential([keras.Input((24, 24, 3)), *layers])


@pytest.fixture
def calls(monkeypatch):
    """How many layers each call of `fused_maps` was given, as explainers make them."""
    seen = []

    def counted(pairs):
        seen.append(len(pairs))
        return fused_maps(pairs)

    monkeypatch.setattr(compiled, "fused_maps", counted)
    monkeypatch.setattr(compiled, "_MANY_LAYERS", 2)
    return seen


def images():
    return np.random.default_rng(0).uniform(0, 255, (3, 24, 24, 3)).astype(np.float32)


METHODS_TOGETHER = [*NAMES, "eigen_grad_cam"]


def compare(network, engine, methods):
    """Explain by all methods together, and by some alone, which run in the graph."""
    together = Explainer(network, ["first", "second"], METHODS_TOGETHER, engine=engine)(images())
    for layer in ("first", "second"):
        for method in methods:
            alone = Explainer(network, layer, method, engine=engine)(images())[layer, method]
            found = together[layer, method]
            np.testing.assert_allclose(found, alone, rtol=1e-4, atol=1e-5 * alone.max())


@pytest.mark.parametrize(
    ("engine", "alone"),
    [("auto", METHODS_TOGETHER), ("tensorflow", ["layer_cam", "eigen_grad_cam"])],
)
def test_several_methods_are_fused_and_their_maps_the_same(engine, alone, calls):
    compare(model(), engine, alone)
    assert calls.count(2) == 1  # both layers of the explainer with all methods
    assert set(calls) == {0, 2}  # and none where there is one method


def test_few_layers_stay_in_the_graph(calls, monkeypatch):
    monkeypatch.setattr(compiled, "_MANY_LAYERS", 3)
    Explainer(model(), ["first", "second"], METHODS_TOGETHER)(images())
    assert set(calls) == {0}


def test_float64_stays_in_the_graph(calls):
    Explainer(model("float64"), ["first", "second"], METHODS_TOGETHER)(images())
    assert set(calls) == {0}


def test_with_a_gpu_all_stays_in_the_graph(calls, monkeypatch):
    monkeypatch.setattr(tf.config, "list_logical_devices", lambda kind: [kind])
    Explainer(model(), "all", NAMES)(images())
    assert set(calls) == {0}


def test_new_weights_give_new_maps(calls):
    network = model()
    explain = Explainer(network, "first", NAMES)
    before = explain(images())["first", "layer_cam"]
    network.layers[0].set_weights([-each for each in network.layers[0].get_weights()])
    after = explain(images())["first", "layer_cam"]
    assert not np.allclose(before, after)
    expected = Explainer(network, "first", "layer_cam")(images())["first", "layer_cam"]
    np.testing.assert_allclose(after, expected, rtol=1e-4, atol=1e-5 * expected.max())


def test_all_of_them_are_methods():
    assert set(NAMES) <= set(METHODS)
    assert all(getattr(cam, name) is METHODS[name].formula for name in NAMES)


def test_numba_is_imported_only_where_formulas_are_fused():
    """No module that the explainer's imports at their beginnings lead to imports numba there."""
    seen, waiting = set(), ["gradcam_eval.methods.explainer"]
    while waiting:
        name = waiting.pop()
        path = ROOT / name.replace(".", "/")
        file = (
            path.with_suffix(".py") if path.with_suffix(".py").is_file() else path / "__init__.py"
        )
        if name in seen or not file.is_file():
            continue
        seen.add(name)
        for node in ast.parse(file.read_text(encoding="utf-8")).body:
            names = [each.name for each in getattr(node, "names", [])]
            if isinstance(node, ast.ImportFrom):
                names = [node.module, *(f"{node.module}.{each}" for each in names)]
            elif not isinstance(node, ast.Import):
                continue
            assert not any(each.split(".")[0] == "numba" for each in names), name
            waiting.extend(each for each in names if each.startswith("gradcam_eval"))
    assert {"gradcam_eval.methods.compiled", "gradcam_eval.methods.fused"} < seen
