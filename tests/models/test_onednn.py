"""Channels first on a CPU whose TensorFlow runs without oneDNN: one sentence, everywhere."""

import os
import subprocess
import sys

import pytest
import tensorflow as tf

from gradcam_eval.core import InputError
from gradcam_eval.models.onednn import channels_first_advice

REFUSALS = [
    tf.errors.UnimplementedError(
        None, None, "The Conv2D op currently only supports the NHWC tensor format on the CPU."
    ),
    tf.errors.InvalidArgumentError(None, None, "Conv2DCustomBackpropInputOp only supports NHWC."),
]
ENTRANCES = """
import keras, numpy as np, tensorflow as tf
import gradcam_eval as ge

class Unbuilt(keras.Model):
    def __init__(self):
        super().__init__()
        self.conv = keras.layers.Conv2D(2, 3, data_format="channels_first")

    def call(self, images):
        return keras.ops.mean(self.conv(images), axis=(2, 3))

pool = keras.layers.GlobalAveragePooling2D(data_format="channels_first")
built = keras.Sequential([keras.Input((3, 8, 8)), *Unbuilt().layers, pool])
images = np.ones((1, 8, 8, 3), np.float32)
for entrance in (
    lambda: ge.explain(built, images),
    lambda: ge.explain(built, images, methods="gradient"),
    lambda: ge.Explainer(built, engine="tensorflow")(images),
    lambda: ge.Predictor(built)(images),
    lambda: ge.Predictor(built, engine="frozen").difference(images),
    lambda: ge.explain(Unbuilt(), np.ones((1, 3, 8, 8), np.float32)),
):
    try:
        entrance()
        print("ran")
    except ge.InputError as error:
        print(error)
"""


@pytest.mark.parametrize("refusal", REFUSALS)
def test_a_refusal_names_the_variable(refusal):
    with pytest.raises(InputError, match="TF_ENABLE_ONEDNN_OPTS=1 before TensorFlow"):
        channels_first_advice()(_raises)(refusal)


def test_other_errors_stay_what_they_are():
    for error in (ValueError("NHWC"), tf.errors.InvalidArgumentError(None, None, "shapes")):
        with pytest.raises(type(error)) as caught:
            channels_first_advice()(_raises)(error)
        assert caught.value is error


def test_every_entrance_says_it_where_onednn_is_off():
    found = subprocess.run(
        [sys.executable, "-c", ENTRANCES],
        env=os.environ | {"TF_ENABLE_ONEDNN_OPTS": "0", "CUDA_VISIBLE_DEVICES": ""},
        capture_output=True,
        text=True,
        check=False,
    )
    assert found.returncode == 0, found.stderr
    answers = found.stdout.splitlines()
    assert len(answers) == 6
    assert all("TF_ENABLE_ONEDNN_OPTS=1" in answer for answer in answers), answers


def _raises(error):
    raise error
