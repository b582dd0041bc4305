import os

os.environ.setdefault("TF_CPP_MIN_LOG_LEVEL", "3")
os.environ.setdefault("TF_ENABLE_ONEDNN_OPTS", "1")  # as the command line does

import numpy as np
import pytest


def pytest_runtest_setup(item):
    if item.get_closest_marker("onednn") and not _computes_channels_first():
        pytest.skip("TensorFlow has no channels-first convolution here: oneDNN is off, and no GPU")


def _computes_channels_first():
    import tensorflow as tf

    from gradcam_eval.environment import uses_onednn

    return uses_onednn() or bool(tf.config.list_physical_devices("GPU"))


@pytest.fixture
def rng():
    return np.random.default_rng(0)
