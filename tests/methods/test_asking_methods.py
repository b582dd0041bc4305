"""Contracts of every method that asks the model again."""

import numpy as np
import pytest
import tensorflow as tf
from handmade import CHANNELS, SIZE, compiled, counting_split, photos, run, small_split
from tensorflow.python.framework.convert_to_constants import convert_variables_to_constants_v2

from gradcam_eval.methods.ablation_cam import ablation_cam, ablation_cam_passes
from gradcam_eval.methods.gradient import (
    gradient,
    gradient_passes,
    gradient_x_input,
    integrated_gradients,
    integrated_gradients_passes,
)
from gradcam_eval.methods.guided import guided_backprop, guided_grad_cam, guided_passes
from gradcam_eval.methods.occlusion import occlusion, occlusion_passes
from gradcam_eval.methods.registry import Method, Sizes, with_options
from gradcam_eval.methods.rise import rise, rise_passes
from gradcam_eval.methods.score_cam import score_cam, score_cam_passes
from gradcam_eval.methods.smooth import smooth_grad, smooth_grad_cam_pp, smooth_passes

# method, its passes, whether its map has the layer's size, the lowest value it may have, options
CASES = {
    "score_cam": (score_cam, score_cam_passes, True, 0, {}),
    "score_cam_top": (score_cam, score_cam_passes, True, 0, {"channels": 2}),
    "ablation_cam": (ablation_cam, ablation_cam_passes, True, 0, {}),
    "ablation_cam_top": (ablation_cam, ablation_cam_passes, True, 0, {"channels": 3}),
    "smooth_grad_cam_pp": (smooth_grad_cam_pp, smooth_passes, True, 0, {"samples": 3}),
    "guided_grad_cam": (guided_grad_cam, guided_passes, False, 0, {}),
    "gradient": (gradient, gradient_passes, False, 0, {}),
    "gradient_x_input": (gradient_x_input, gradient_passes, False, -np.inf, {}),
    "integrated_gradients": (
        integrated_gradients,
        integrated_gradients_passes,
        False,
        -np.inf,
        {"steps": 5},
    ),
    "smooth_grad": (smooth_grad, smooth_passes, False, 0, {"samples": 6}),
    "guided_backprop": (guided_backprop, guided_passes, False, 0, {}),
    "occlusion": (occlusion, occlusion_passes, False, -np.inf, {"window": 4, "stride": 3}),
    "rise": (rise, rise_passes, False, -np.inf, {"masks": 10, "cells": 3}),
}
# one for each kind of loop, for what depends on the loop alone
LOOPS = ["score_cam", "smooth_grad_cam_pp", "guided_grad_cam", "occlusion", "rise"]
TARGETS = [2, 0, 1]


@pytest.fixture(scope="module")
def split():
    return small_split()


@pytest.fixture(scope="module")
def functions(split):
    """Each method, compiled to ask in chunks of four."""
    return {
        name: compiled(method, split, (*SIZE, 3), **options)
        for name, (method, _, _, _, options) in CASES.items()
    }


@pytest.fixture(scope="module")
def maps(functions):
    """Each method's maps of three images."""
    return {name: call(function, photos(3), TARGETS) for name, function in functions.items()}


def call(function, images, targets):
    return function(tf.constant(images), tf.constant(targets)).numpy()


@pytest.mark.parametrize("name", CASES)
class TestEveryMethod:
    def test_shape_type_and_range(self, maps, name):
        _, _, at_layer, lowest, _ = CASES[name]
        assert maps[name].shape == (3, *((5, 4) if at_layer else SIZE))
        assert maps[name].dtype == np.float32
        assert np.isfinite(maps[name]).all()
        assert maps[name].min() >= lowest
        assert maps[name].max() > maps[name].min()

    def test_one_by_one_equals_the_batch(self, functions, maps, name):
        for n, image in enumerate(photos(3)):
            alone = call(functions[name], image[None], TARGETS[n : n + 1])[0]
            assert_alike(alone, maps[name][n])

    def test_the_chunk_does_not_matter(self, split, maps, name):
        method, *_, options = CASES[name]
        assert_alike(run(method, split, photos(3), TARGETS, chunk=64, **options), maps[name])

    def test_its_passes_are_what_it_says(self, name):
        method, passes, at_layer, _, options = CASES[name]
        if method in (guided_backprop, guided_grad_cam):
            pytest.skip("refuses the layer that counts; its own tests count operations")
        counts = {}
        split = counting_split(counts)
        images = tf.constant(photos(3))
        function = compiled(method, split, images.shape[1:], **options)
        counts.clear()
        call(function, images, TARGETS)
        settings = with_options(Method(name, method), options).settings
        said = passes(Sizes(SIZE, CHANNELS), settings)
        # The probe makes A itself, as the pass that all methods share does.
        own = 3 if at_layer else 0
        in_trunk = 0 if method is ablation_cam else 3 * said.forwards
        assert counts["trunk forward"] == own + in_trunk
        assert counts["head forward"] == 3 * said.forwards
        assert counts.get("head backward", 0) == 3 * said.backwards

    def test_a_frozen_graph_gives_the_same(self, functions, maps, name):
        if name not in LOOPS:
            pytest.skip("its loop is that of another method")
        frozen = convert_variables_to_constants_v2(functions[name])
        assert not frozen.graph.variables
        (found,) = frozen(tf.constant(photos(3)), tf.constant(TARGETS))
        assert_alike(found.numpy(), maps[name])

    def test_constant_images_and_a_dead_layer_are_finite(self, split, functions, name):
        images = np.stack([np.full((*SIZE, 3), value, np.float32) for value in (0, 90)])
        assert np.isfinite(call(functions[name], images, [0, 1])).all()
        convolution = split.trunk.layers[1]
        kernel, bias = convolution.get_weights()
        try:
            convolution.set_weights([kernel * 0, bias * 0 - 1])
            found = call(functions[name], photos(2), [0, 1])
        finally:
            convolution.set_weights([kernel, bias])
        assert np.isfinite(found).all()
        if CASES[name][0] is not rise:  # whose map of a constant score is that score
            np.testing.assert_allclose(found, 0, atol=1e-6)

    @pytest.mark.parametrize(
        ("dtype", "size", "channels"),
        [("float64", (9, 13), 1), ("mixed_float16", (7, 7), 4)],
    )
    def test_any_precision_size_and_channels(self, name, dtype, size, channels):
        method, _, at_layer, lowest, options = CASES[name]
        if name.endswith("_top") or (dtype == "float64" and name not in LOOPS):
            pytest.skip("its loop is that of another method")
        split = small_split(dtype=dtype, size=size, channels=channels)
        images = photos(2, size=size, channels=channels)
        found = run(method, split, images, [0, 1], **options)
        assert found.shape[1:] == (split.trunk.output_shape[1:3] if at_layer else size)
        assert np.isfinite(found).all()
        assert found.min() >= lowest
        assert found.max() > found.min()


@pytest.mark.parametrize(
    ("method", "option", "few", "many"),
    [
        (score_cam, "channels", 1, CHANNELS - 1),
        (ablation_cam, "channels", 1, CHANNELS - 1),
        (smooth_grad, "samples", 2, 40),
        (smooth_grad_cam_pp, "samples", 2, 40),
        (integrated_gradients, "steps", 2, 40),
        (occlusion, "stride", 4, 1),
        (rise, "masks", 2, 40),
    ],
)
def test_more_perturbations_are_no_larger_graph(split, method, option, few, many):
    """The loop runs in the graph: it is not unrolled, so tracing and memory do not grow."""
    more = {"window": 4} if method is occlusion else {}
    sizes = []
    for value in (few, many):
        function = compiled(method, split, (*SIZE, 3), **{option: value}, **more)
        graph = function.graph.as_graph_def()
        inner = sum(len(each.node_def) for each in graph.library.function)
        sizes.append(len(graph.node) + inner)
    assert sizes[0] == sizes[1]


def assert_alike(found, expected):
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5 * abs(expected).max())
