import pytest
import tensorflow as tf

from gradcam_eval.core import InputError
from gradcam_eval.methods import METHODS, find_methods, register_method


def test_a_registered_function_is_a_method():
    def my_cam(activations, gradients):
        """My CAM: a test."""
        return tf.reduce_max(activations * gradients, axis=-1)

    try:
        assert register_method(my_cam) is my_cam
        assert [method.formula for method in find_methods("my_cam")] == [my_cam]
        assert METHODS["my_cam"].summary == "My CAM: a test."
        with pytest.raises(InputError, match="taken"):
            register_method(my_cam)
    finally:
        METHODS.pop("my_cam", None)


def test_a_control_s_name_is_taken():
    def random(activations, gradients):
        return activations[..., 0]

    with pytest.raises(InputError, match="taken"):
        register_method(random)


@pytest.mark.parametrize(
    ("names", "message"),
    [
        ("gradcam", "did you mean 'grad_cam'"),
        (["grad_cam", "oracle"], "'oracle' is a control"),
        ([], "no method was named"),
    ],
)
def test_wrong_names_get_a_sentence(names, message):
    with pytest.raises(InputError, match=message):
        find_methods(names)


def test_names_stand_once_and_in_order():
    names = ["layer_cam", "grad_cam", "layer_cam"]
    assert [method.name for method in find_methods(names)] == ["layer_cam", "grad_cam"]
