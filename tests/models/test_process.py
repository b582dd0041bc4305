"""What loading a model must leave as it was, and what a forked process is told."""

import os
import random

import keras
import numpy as np
import pytest
import tensorflow as tf

import gradcam_eval as ge
from gradcam_eval.core import InputError
from gradcam_eval.models.loading import _cause, load_file
from gradcam_eval.models.process import check_process
from gradcam_eval.models.scratch import scratch_model
from gradcam_eval.models.zoo import check_model_name, load_model


@pytest.fixture(scope="module")
def model():
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 3, name="conv")(inputs)
    x = keras.layers.Dropout(0.5)(keras.layers.GlobalAveragePooling2D()(x))
    return keras.Model(inputs, keras.layers.Dense(2, activation="softmax")(x))


@pytest.fixture(scope="module")
def file(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "net.keras"
    model.save(path)
    return path


def states():
    return random.getstate(), [str(each) for each in np.random.get_state()]  # noqa: NPY002


def use(what, model, file):
    images = np.zeros((1, 8, 8, 3), np.float32)
    if what == "load_model":
        load_model(file)
    elif what == "load_file, wrapped":
        load_file(file, preprocess="tf")
    elif what == "broken":
        with pytest.raises(InputError):
            load_file(file.with_name("gone.keras"))
    elif what == "copy":
        with scratch_model(model, images):
            pass
    else:
        ge.Explainer(model, "conv", ["grad_cam", "rise(masks=4)"])(images + 1)


@pytest.mark.parametrize("what", ["load_model", "load_file, wrapped", "broken", "copy", "explain"])
def test_the_global_random_states_stay(model, file, what):
    random.seed(1)
    np.random.seed(1)  # noqa: NPY002 - the global state is what is tested
    before = states()
    use(what, model, file)
    assert states() == before


def in_a_fork(action):
    """Return what a forked process wrote, which ends without running anything else."""
    read, write = os.pipe()
    child = os.fork()
    if child == 0:
        try:
            action()
            said = "nothing"
        except BaseException as error:
            said = f"{type(error).__name__}: {error}"
        os.write(write, said.encode())
        os._exit(0)
    os.close(write)
    os.waitpid(child, 0)
    with os.fdopen(read) as stream:
        return stream.read()


@pytest.mark.parametrize("what", ["load_model", "Explainer", "call", "predict"])
def test_a_forked_process_is_told_to_be_spawned(model, file, what):
    tf.constant(1) + 1  # TensorFlow has started
    images = np.zeros((1, 8, 8, 3), np.float32)
    explainer, predict = ge.Explainer(model, "conv"), ge.Predictor(model)
    actions = {
        "load_model": lambda: load_model(file),
        "Explainer": lambda: ge.Explainer(model, "conv"),
        "call": lambda: explainer(images),
        "predict": lambda: predict(images),
    }
    said = in_a_fork(actions[what])
    assert said.startswith("InputError: this process was forked")
    assert "get_context('spawn')" in said
    check_process()  # this one was not


@pytest.mark.parametrize("name", ["x" * 300, "x" * 300 + ".keras", "a/" + "é" * 200, "x" * 10_000])
def test_a_name_that_no_file_system_takes_is_an_unknown_model(name):
    for check in (check_model_name, load_model):
        with pytest.raises(
            InputError, match=r"unknown model|does not exist|has the suffix"
        ) as error:
            check(name)
        assert len(str(error.value)) <= 500


def test_the_cause_of_keras_refusal_is_kept():
    error = TypeError(
        "<class 'Conv2D'> could not be deserialized properly.\n\nconfig={'module': 'keras.layers', "
        + "'x': 1, " * 500
        + "}.\n\nException encountered: Unrecognized keyword arguments passed to Conv2D:\n"
        "{'groupz': 1}"
    )
    assert _cause(error, 250) == "Unrecognized keyword arguments passed to Conv2D: {'groupz': 1}"
    assert _cause(ValueError("x" * 1000 + " at last"), 250).endswith(" at last")
    assert _cause(KeyError(), 250) == "KeyError"


def test_a_refused_file_says_the_cause(model, tmp_path):
    """A layer with an argument that it does not take, as Keras 2 wrote some."""
    import json
    import zipfile

    path, spoilt = tmp_path / "net.keras", tmp_path / "spoilt.keras"
    model.save(path)
    with zipfile.ZipFile(path) as whole, zipfile.ZipFile(spoilt, "w") as copy:
        for name in whole.namelist():
            content = whole.read(name)
            if name == "config.json":
                config = json.loads(content)
                config["config"]["layers"][1]["config"]["groupz"] = 1
                content = json.dumps(config).encode()
            copy.writestr(name, content)
    with pytest.raises(InputError, match="groupz"):
        load_file(spoilt)
