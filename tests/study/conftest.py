"""One tiny model and a few small pictures for all tests of studies."""

import keras
import numpy as np
import pytest
from PIL import Image

from gradcam_eval.results import run_study

SIDE = 40


@pytest.fixture(scope="session")
def model():
    keras.utils.set_random_seed(3)
    inputs = keras.Input((SIDE, SIDE, 3))
    x = keras.layers.Rescaling(1 / 255)(inputs)
    x = keras.layers.Conv2D(4, 3, padding="same", activation="relu", name="early")(x)
    x = keras.layers.Conv2D(6, 3, strides=2, padding="same", activation="relu", name="late")(x)
    x = keras.layers.Dense(3)(keras.layers.GlobalAveragePooling2D()(x))
    return keras.Model(inputs, keras.layers.Softmax()(x))


@pytest.fixture(scope="session")
def model_file(model, tmp_path_factory):
    path = tmp_path_factory.mktemp("model") / "tiny.keras"
    model.save(path)
    return path


def paint(seed):
    """A picture of its own for each seed: noise and a bright square."""
    pixels = np.random.default_rng(seed).integers(0, 120, (SIDE + 4, SIDE, 3), dtype=np.uint8)
    pixels[4:10, 2 + seed : 8 + seed] = (250, 200 - 20 * seed, 40 * seed)
    return Image.fromarray(pixels)


@pytest.fixture
def pictures(tmp_path):
    """Four pictures, and one that is cut short, second in order of names."""
    return painted(tmp_path / "pictures")


def painted(folder):
    (folder / "more").mkdir(parents=True)
    for seed, name in enumerate(("a.png", "c.png", "d.png", "more/a.png")):
        paint(seed).save(folder / name)
    whole = (folder / "a.png").read_bytes()
    (folder / "b.png").write_bytes(whole[: len(whole) // 2])
    return folder


@pytest.fixture
def values(model_file, pictures):
    """A study of the tiny model on the pictures, as plain values."""
    return values_of(model_file, pictures)


def values_of(model_file, pictures):
    return {
        "name": "toy",
        "models": [str(model_file)],
        "data": str(pictures),
        "layers": ["stages"],
        "methods": ["layer_cam", "eigen_cam"],
        "cost": {"rounds": 0},
    }


@pytest.fixture(scope="session")
def whole(model_file, tmp_path_factory):
    """The folder of that study, run in one go: to be read alone."""
    home = tmp_path_factory.mktemp("whole")
    study = values_of(model_file, painted(home / "pictures"))
    return run_study(study, results=home / "results").folder


@pytest.fixture(autouse=True)
def no_figures(plain_figures):
    """Draw no figures: what a study's page looks like is tested in tests/report."""
