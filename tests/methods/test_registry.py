import importlib
import re
import sys
from functools import partial, update_wrapper

import numpy as np
import pytest
import tensorflow as tf

from gradcam_eval.core import InputError
from gradcam_eval.methods import METHODS, find_methods, register_method
from gradcam_eval.methods.registry import Method, Passes, Sizes, with_options


def test_a_registered_function_is_a_method():
    def my_cam(activations, gradients):
        """My CAM: a test."""
        return tf.reduce_max(activations * gradients, axis=-1)

    try:
        assert register_method(my_cam) is my_cam
        assert [method.formula for method in find_methods("my_cam")] == [my_cam]
        assert METHODS["my_cam"].summary == "My CAM: a test."
        assert register_method(my_cam) is my_cam  # again, as in a notebook
    finally:
        METHODS.pop("my_cam", None)


def test_a_function_that_is_defined_again_takes_the_place_of_the_earlier_one(tmp_path, monkeypatch):
    cell = (
        "from gradcam_eval.methods import register_method\n"
        "@register_method\n"
        "def of_a_cell(activations, gradients, *, power={}):\n"
        "    return activations[..., 0]\n"
    )
    path = tmp_path / "with_a_cell.py"
    path.write_text(cell.format(1))
    monkeypatch.syspath_prepend(tmp_path)
    monkeypatch.setattr(sys, "dont_write_bytecode", True)
    try:
        module = importlib.import_module("with_a_cell")
        assert METHODS["of_a_cell"].defaults == {"power": 1}
        path.write_text(cell.format("'twice'"))
        importlib.reload(module)
        assert METHODS["of_a_cell"].defaults == {"power": "twice"}
    finally:
        METHODS.pop("of_a_cell", None)
        sys.modules.pop("with_a_cell", None)


def test_a_name_is_not_taken_from_another_function():
    def grad_cam(activations, gradients):
        return activations[..., 0]

    before = METHODS["grad_cam"]
    with pytest.raises(InputError, match="'grad_cam' is taken"):
        register_method(grad_cam)
    assert METHODS["grad_cam"] is before


def scaled_sum(activations, gradients, *, power=1.0):
    return tf.reduce_sum(activations, axis=-1) * power


def test_a_partial_with_a_name_has_the_defaults_that_it_sets():
    doubled = update_wrapper(partial(scaled_sum, power=2.0), scaled_sum)
    register_method(doubled)
    try:
        assert METHODS["scaled_sum"].defaults == {"power": 2.0}
        # a power of 1 is not the default, so it is not left out
        assert find_methods("scaled_sum(power=1)")[0].label == "scaled_sum(power=1)"
        assert find_methods("scaled_sum(power=2)")[0].label == "scaled_sum"
    finally:
        METHODS.pop("scaled_sum")


def test_a_control_s_name_is_taken():
    def random(activations, gradients):
        return activations[..., 0]

    with pytest.raises(InputError, match="taken"):
        register_method(random)


def one_of_a_users(activations, gradients):
    return activations[..., 0]


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ("gradcam", "did you mean 'grad_cam'"),
        (["grad_cam", "oracle"], "'oracle' is a control"),
        ([], "no method was named"),
        (one_of_a_users, "wanted a name, as in 'grad_cam'; a function of your own"),
        (["grad_cam", one_of_a_users], "wanted a name, as in 'grad_cam'"),
        (3, "the method is 3: wanted a name"),
    ],
)
def test_wrong_names_get_a_sentence(names, message):
    with pytest.raises(InputError, match=message):
        find_methods(names)


def test_names_stand_once_and_in_order():
    names = ["layer_cam", "grad_cam", "layer_cam"]
    assert [method.name for method in find_methods(names)] == ["layer_cam", "grad_cam"]


@pytest.mark.parametrize(
    ("text", "label"),
    [
        ("rise(p=1.0, masks=64)", "rise(masks=64, p=1)"),
        ("fusion_max(gamma=1e300)", "fusion_max(gamma=1e+300)"),
        ("fusion_max(gamma=0.25)", "fusion_max(gamma=0.25)"),
        ("rise(p=0.5, masks=4000)", "rise"),
        ("smooth_grad(noise=0)", "smooth_grad(noise=0)"),
        ("score_cam(channels=None, fill='black')", "score_cam(fill=black)"),
        ("fusion_max(of=score_cam(channels=4))", "fusion_max(of=score_cam(channels=4))"),
        ("fusion_max(of='score_cam(channels = 4)')", "fusion_max(of=score_cam(channels=4))"),
        ("fusion_max(of=score_cam(channels=None))", "fusion_max(of=score_cam)"),
        ("fusion_mean(of='layer_cam')", "fusion_mean"),
    ],
)
def test_a_setting_has_one_label_by_which_it_is_found_again(text, label):
    (method,) = find_methods(text)
    assert method.label == label
    assert find_methods(label) == [method]


@pytest.mark.parametrize(
    "word", ["", "two words", "tab\t", "None", "True", "1", "a,b", "it's", "-"]
)
def test_any_text_of_an_option_is_found_again(word):
    def spoken(activations, gradients, *, word="mean"):
        return activations[..., 0]

    register_method(spoken)
    try:
        method = with_options(METHODS["spoken"], {"word": word})
        assert find_methods(method.label) == [method]
        assert method.settings == {"word": word}
        assert "\t" not in method.label  # which separates layer and method in a pass
    finally:
        METHODS.pop("spoken")


@pytest.mark.parametrize(
    ("text", "message"),
    [
        ("rise(masks=0)", "rise: masks is 0: wanted 1 or more"),
        ("rise(cells=0)", "rise: cells is 0"),
        ("rise(p=0)", "rise: p is 0.0: wanted a probability"),
        ("rise(p=1.1)", "rise: p is 1.1"),
        ("rise(fill=grey)", "unknown fill 'grey'"),
        ("rise(masks=True)", "masks of the method 'rise' is True: wanted a value like its default"),
        ("rise(masks=2.0)", "masks of the method 'rise' is 2.0"),
        ("rise(p=1e999)", "p of the method 'rise' is not finite"),
        (f"rise(p=1{'0' * 400})", "p of the method 'rise' is not finite"),
        ("rise(p=half)", "p of the method 'rise' is 'half'"),
        ("smooth_grad(samples=0)", "smooth_grad: samples is 0"),
        ("smooth_grad(noise=-0.1)", "smooth_grad: noise is -0.1"),
        ("smooth_grad_cam_pp(samples=-2)", "smooth_grad_cam_pp: samples is -2"),
        ("smooth_grad_cam_pp(noise=-1)", "smooth_grad_cam_pp: noise is -1"),
        ("integrated_gradients(steps=0)", "integrated_gradients: steps is 0"),
        ("integrated_gradients(baseline=white)", "unknown fill 'white'"),
        ("occlusion(window=0)", "occlusion: window is 0"),
        ("occlusion(stride=0)", "occlusion: stride is 0"),
        ("occlusion(window=4, stride=5)", "the stride is 5 and the window 4"),
        ("occlusion(fill=grey)", "unknown fill 'grey'"),
        ("score_cam(channels=0)", "score_cam: channels is 0"),
        ("score_cam(channels=1.5)", "channels of the method 'score_cam' is 1.5"),
        ("score_cam(fill=grey)", "unknown fill 'grey'"),
        ("ablation_cam(channels=-1)", "ablation_cam: channels is -1"),
        ("fusion_max(gamma=0)", "fusion_max: gamma is 0.0: wanted a number above 0"),
        ("fusion_max(gamma=-2)", "fusion_max: gamma is -2.0"),
        ("fusion_max(of=rise)", "'rise' has no map of each"),
        ("fusion_max(of=fusion_mean)", "'fusion_mean' has no map of each"),
        ("fusion_mean(of=layercam)", "did you mean 'layer_cam'"),
        ("fusion_mean(of=score_cam(channels=0))", "score_cam: channels is 0"),
        ("grad_cam(power=2)", "'grad_cam' has no options: power was given"),
        ("rise(mask=2)", "did you mean 'masks'"),
    ],
)
def test_a_value_that_an_option_cannot_have_is_refused_before_anything_runs(text, message):
    with pytest.raises(InputError, match=re.escape(message)):
        find_methods(text)


TWO = np.float64(2)


def test_an_authors_own_number_types_are_options_too():
    def scaled(activations, gradients, *, power=TWO):
        return activations[..., 0]

    method = with_options(Method("scaled", scaled), {"power": 3})
    assert method.settings == {"power": 3.0}


def test_a_registered_method_says_what_it_needs_and_refuses():
    def looks(probe):
        return probe.activations[..., 0]

    passes, refuses = (
        (lambda sizes, options: Passes(sizes.channels, 2)),
        (lambda a, s, layout: "no"),
    )
    register_method(kind="layer", needs_gradient=False, passes=passes, refuses=refuses)(looks)
    try:
        method = METHODS["looks"]
        assert method.count(Sizes((8, 8), 5)) == Passes(5, 2)
        assert method.refuses is refuses
    finally:
        METHODS.pop("looks")


def one_argument(activations):
    return activations[..., 0]


def not_keyword_only(activations, gradients, power=2):
    return activations[..., 0]


def any_options(activations, gradients, **options):
    return activations[..., 0]


def any_arguments(activations, *gradients):
    return activations[..., 0]


def no_default(activations, gradients, *, power):
    return activations[..., 0]


def no_plain_default(activations, gradients, *, weights=(1, 2)):
    return activations[..., 0]


def keyword(activations, gradients):
    return activations[..., 0]


keyword.__name__ = "class"


def of_two(maps, others, *, of="layer_cam"):
    return maps[0]


def of_nothing(maps):
    return maps[0]


def of_none(maps, *, of=None):
    return maps[0]


@pytest.mark.parametrize(
    ("function", "kind", "message"),
    [
        (one_argument, "cam", r"takes activations: .* is given \(activations, gradients\)"),
        (not_keyword_only, "cam", r"takes activations, gradients, power=2: .* behind a \*"),
        (any_options, "cam", r"takes activations, gradients, \*\*options"),
        (any_arguments, "cam", r"takes activations, \*gradients"),
        (no_default, "cam", "the option power of no_default has no plain default"),
        (no_plain_default, "cam", "the option weights of no_plain_default has no plain default"),
        (one_argument, "maps", "unknown kind of method 'maps'"),
        (not_keyword_only, "layer", r"is given \(probe\)"),
        (not_keyword_only, "input", r"is given \(probe\)"),
        (of_two, "fusion", r"is given \(maps\)"),
        (of_nothing, "fusion", "of_nothing does not say of which method's maps"),
        (of_none, "fusion", "of_none does not say"),
        (lambda activations, gradients: activations, "cam", "write it with def"),
        (partial(not_keyword_only, power=3), "cam", "write it with def"),
        (keyword, "cam", "none that can be written in front of options"),
        (max, "cam", "max does not say what it takes"),
        ("grad_cam", "cam", "'grad_cam' has none"),
    ],
)
def test_a_function_that_can_be_no_method_is_refused_at_once(function, kind, message):
    before = dict(METHODS)
    with pytest.raises(InputError, match=message):
        register_method(kind=kind)(function)
    assert before == METHODS
