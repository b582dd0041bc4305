import inspect
import re
import subprocess
import sys

import pytest

import gradcam_eval


@pytest.mark.parametrize("name", gradcam_eval.__all__)
def test_a_public_name_is_there(name):
    assert getattr(gradcam_eval, name) is not None
    assert name in dir(gradcam_eval)


def test_each_name_has_one_home_and_is_announced():
    assert sorted(gradcam_eval._HOME_OF) == sorted(gradcam_eval.__all__)
    assert sum(map(len, gradcam_eval._HOMES.values())) == len(gradcam_eval.__all__)


def test_public_functions_and_classes_say_what_they_do():
    for name in gradcam_eval.__all__:
        value = getattr(gradcam_eval, name)
        if callable(value):
            assert value.__doc__, name
            assert value.__module__.startswith("gradcam_eval."), name


def told_by(name, seen=frozenset()):
    """Return the words of a docstring, and of those that it leans on: "as for `deletion`"."""
    text = getattr(gradcam_eval, name).__doc__ or ""
    leans_on = set(re.findall(r"(?:[Aa]s|for|of|see)\s+`(\w+)`", text)) & set(gradcam_eval.__all__)
    seen = seen | {name}
    words = set(re.findall(r"\w+", text))
    return words.union(*(told_by(other, seen) for other in leans_on - seen))


def test_public_functions_say_what_each_parameter_is():
    for name in gradcam_eval.__all__:
        function = getattr(gradcam_eval, name)
        if inspect.isfunction(function):
            untold = set(inspect.signature(function).parameters) - told_by(name)
            assert not untold, (name, untold)


def test_a_name_that_is_not_there_is_an_attribute_error():
    with pytest.raises(AttributeError, match="module 'gradcam_eval' has no attribute 'grad_cam'"):
        gradcam_eval.grad_cam  # noqa: B018
    assert not hasattr(gradcam_eval, "_nothing")


def test_importing_star_brings_exactly_the_public_names():
    namespace = {}
    exec("from gradcam_eval import *", namespace)
    assert set(namespace) - {"__builtins__"} == set(gradcam_eval.__all__)


def test_names_are_listed_before_any_is_loaded():
    code = (
        "import sys, gradcam_eval\n"
        "assert set(gradcam_eval.__all__) <= set(dir(gradcam_eval))\n"
        "assert not [name for name in sys.modules if name.startswith('gradcam_eval.')]\n"
        "gradcam_eval.InputError\n"
        "print([name for name in sys.modules if name.startswith('gradcam_eval.')])"
    )
    found = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert found.stdout.strip() == "['gradcam_eval.texts', 'gradcam_eval.core']"
