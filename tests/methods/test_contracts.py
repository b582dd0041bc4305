"""Every registered method against every contract, and the contracts against what breaks them."""

import numpy as np
import pytest
import tensorflow as tf

from gradcam_eval.contracts import CONTRACTS, ContractError, check_method, make_subject
from gradcam_eval.core import InputError
from gradcam_eval.methods import METHODS, register_method

# Fewer of what a method draws or slides: the contracts are about something else.
LIGHT = {"rise": "rise(masks=64)", "smooth_grad": "smooth_grad(samples=4)"}


@pytest.fixture(scope="module")
def subjects():
    return {}


@pytest.mark.parametrize("contract", CONTRACTS)
@pytest.mark.parametrize("method", METHODS)
def test_every_method_keeps_every_contract(subjects, method, contract):
    if method not in subjects:
        subjects[method] = make_subject(LIGHT.get(method, method))
    CONTRACTS[contract](subjects[method])


def four_axes(activations, gradients):
    return activations[..., :1]


def one_number(activations, gradients):
    return tf.reduce_sum(activations)


def no_maps(activations, gradients):
    pass


def a_list(maps, *, of="layer_cam"):
    return list(maps)


def wrong_type(maps, *, of="layer_cam"):
    return maps[0].astype(np.float64)


def one_image(maps, *, of="layer_cam"):
    return maps[0][:1]


def not_finite(activations, gradients):
    return activations[..., 0] / tf.zeros(())


def flat(activations, gradients):
    return tf.ones_like(activations[..., 0])


def of_the_batch(activations, gradients):
    return activations[..., 0] - tf.reduce_mean(activations[..., 0])


def unseeded(activations, gradients):
    return tf.random.uniform(tf.shape(activations)[:3])


def smaller(activations, gradients):
    return activations[:, 1:, 1:, 0]


def of_a_corner(probe):
    return probe.images[:, :9, :7, 0]


def of_a_smaller_corner(probe):
    return probe.images[:, :8, :6, 0]


def smallest(maps, *, of="layer_cam"):
    return maps[-1]


def asks_thrice(probe):
    everyone = tf.range(tf.shape(probe.images)[0])
    asked = [probe.score(probe.images, everyone) for _ in range(3)]
    return probe.images[..., 0] * sum(asked)[:, None, None]


BROKEN = {
    four_axes: (
        "cam",
        r"gives_finite_float32_maps.*of shape \(None, 22, 18, 1\): wanted \(N, h, w",
    ),
    one_number: ("cam", r"gives_finite_float32_maps.*one_number returned maps of shape \(\)"),
    no_maps: ("cam", "gives_finite_float32_maps.*no_maps returned NoneType"),
    a_list: ("fusion", "gives_finite_float32_maps.*a_list returned list"),
    wrong_type: ("fusion", "gives_finite_float32_maps.*maps are float64, not float32"),
    one_image: ("fusion", "gives_finite_float32_maps.*1 maps for 5 images"),
    not_finite: ("cam", "gives_finite_float32_maps.*not finite"),
    flat: ("cam", "gives_finite_float32_maps.*every map is constant"),
    smaller: ("cam", r"gives_finite_float32_maps.*are \(21, 17\): wanted \(22, 18\)$"),
    of_a_corner: ("input", r"gives_finite_float32_maps.*are \(9, 7\): wanted \(24, 20\)$"),
    of_a_smaller_corner: ("layer", r"are \(8, 6\): wanted \(22, 18\) or \(24, 20\)$"),
    smallest: ("fusion", r"gives_finite_float32_maps.*are \(9, 7\): wanted \(22, 18\)$"),
    of_the_batch: ("cam", "does_not_depend_on_the_batch.*differ by"),
    unseeded: ("cam", "does_not_depend_on_the_batch|gives_the_same_again"),
    asks_thrice: ("input", "asks_as_often_as_it_says.*4 forward passes an image, and 1 are said"),
}


@pytest.mark.filterwarnings("ignore:.* maps by not_finite")
@pytest.mark.parametrize("function", BROKEN, ids=lambda function: function.__name__)
def test_a_method_that_breaks_a_contract_is_told_which(function):
    kind, message = BROKEN[function]
    register_method(kind=kind)(function)
    try:
        with pytest.raises(ContractError, match=rf"{function.__name__} breaks.*{message}"):
            check_method(function.__name__)
    finally:
        METHODS.pop(function.__name__)


class Weighs:
    """A method that writes to the model while it is traced."""

    def __init__(self, model):
        self.model = model

    def __call__(self, activations, gradients):
        self.model.layers[1].name_of_mine = 1
        return activations[..., 0]


def test_a_method_that_leaves_a_trace_on_the_model_is_found():
    subject = make_subject("grad_cam")
    function = Weighs(subject.model)
    function.__name__ = "weighs"
    register_method(function)
    try:
        broken = make_subject("weighs")
        function.model = broken.model
        with pytest.raises(ContractError, match="the model's attributes changed"):
            CONTRACTS["leaves_the_model"](broken)
    finally:
        METHODS.pop("weighs")


def test_a_swallowed_exception_and_changed_images_are_found(monkeypatch):
    subject = make_subject("grad_cam")
    monkeypatch.setattr(type(subject), "make_explainer", lambda self: lambda images: None)
    with pytest.raises(ContractError, match="swallowed"):
        CONTRACTS["leaves_the_model_after_an_exception"](subject)
    monkeypatch.setattr(type(subject), "make_explainer", lambda self: lambda images: images.fill(0))
    with pytest.raises(ContractError, match="images were changed"):
        CONTRACTS["leaves_the_images"](subject)


def test_an_unknown_method_is_named():
    with pytest.raises(InputError, match="did you mean 'grad_cam'"):
        check_method("gradcam")


def test_the_small_model_has_maps_to_look_at():
    subject = make_subject("grad_cam")
    maps = subject.explainer(subject.images)
    assert all(np.ptp(each) > 0 for each in maps["high", "grad_cam"])
