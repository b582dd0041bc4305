"""Memory stays bounded: over many images, and where a layer's activations would not fit."""

import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest

from gradcam_eval.methods.explainer import Explainer

STATUS = Path("/proc/self/statm")


def small_model():
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((16, 16, 3)),
            keras.layers.Conv2D(8, 3, activation="relu", padding="same", name="a"),
            keras.layers.Conv2D(8, 3, activation="relu", padding="same", name="b"),
            keras.layers.MaxPooling2D(),
            keras.layers.Conv2D(8, 3, activation="relu", padding="same", name="c"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(3),
        ]
    )


@pytest.fixture(scope="module")
def model():
    return small_model()


GROWTH = """
import gc, os, sys
from pathlib import Path
import numpy as np
sys.path.insert(0, {folder!r})
from test_memory import small_model
from gradcam_eval.methods.explainer import Explainer

explainer = Explainer(small_model(), ["a", "c"], ["grad_cam", "layer_cam"], batch_size=64)
images = np.random.default_rng(0).uniform(0, 255, (97, 16, 16, 3)).astype(np.float32)

def explain(count):
    done = 0
    while done < count:
        size = 1 + done % 97
        explainer(images[:size])
        done += size
    gc.collect()
    return int(Path("/proc/self/statm").read_text().split()[1]) * os.sysconf("SC_PAGE_SIZE")

before = explain(3000)
print(explain(10_000) - before, len(explainer._passes.compiled))
"""


@pytest.mark.skipif(not STATUS.exists(), reason="memory is read from Linux' /proc")
def test_memory_does_not_grow_over_ten_thousand_images():
    """Batches of all sizes; a copy of each batch kept would be 30 MB, a trace of each far more.

    In a process of its own: what other tests free and take would count as well.
    """
    code = GROWTH.format(folder=str(Path(__file__).parent))
    command = [sys.executable, "-c", code]
    done = subprocess.run(command, capture_output=True, text=True, check=True)
    grown, traces = map(int, done.stdout.split())
    assert grown < 15e6
    assert traces == 1


def test_layers_that_do_not_fit_together_are_explained_in_turn(model, rng):
    """a and b have 16·16·8 values an image, with their gradients 8 bytes each; c a quarter."""
    images = rng.uniform(0, 255, (5, 16, 16, 3)).astype(np.float32)
    layers, methods = ["a", "b", "c"], ["grad_cam", "gradient", "fusion_mean"]
    value = 16 * 16 * 8 * 8 * 4  # bytes at a batch size of 4
    whole = Explainer(model, layers, methods, batch_size=4, memory=10 * value)
    parts = Explainer(model, layers, methods, batch_size=4, memory=int(1.3 * value))
    assert (whole.passes(), parts.passes()) == (1, 2)
    assert Explainer(model, layers, methods, batch_size=4, memory=1).passes() == 3
    # just what two layers take, and a byte less
    assert Explainer(model, ["a", "b"], batch_size=4, memory=2 * value).passes() == 1
    assert Explainer(model, ["a", "b"], batch_size=4, memory=2 * value - 1).passes() == 2
    together, in_turn = whole(images), parts(images)
    assert list(together) == list(in_turn)
    for key, maps in together.items():
        np.testing.assert_allclose(in_turn[key], maps, rtol=1e-4, atol=1e-6 * np.abs(maps).max())
