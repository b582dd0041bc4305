"""A study's engine: the fastest of those that give TensorFlow's numbers, by times made by hand."""

import keras
import pytest

from gradcam_eval.models import engine_choice
from gradcam_eval.models.engine_choice import EngineChoice, choose_engine


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(0)
    layers = [keras.layers.GlobalAveragePooling2D(), keras.layers.Dense(2, activation="softmax")]
    return keras.Sequential([keras.Input((6, 6, 3)), *layers])


@pytest.fixture
def choose(model, monkeypatch):
    """Choose by given milliseconds an image, and differences of a probability, by engine."""

    class Known:
        def __init__(self, _, *, engine, output):
            assert output == "classes"
            self.engine, self.is_released = engine, False
            made.append(self)

        def on(self, engine):
            return Known(None, engine=engine, output="classes")

        def release(self):
            self.is_released = True

        def difference(self, images):
            assert images.shape[1:] == (6, 6, 3)
            return known[self.engine][1]

        def on_engine(self, images):
            assert not self.is_released
            clock[0] += known[self.engine][0] * len(images) / 1000

    known, clock, made = {}, [0.0], []
    monkeypatch.setattr(engine_choice, "Predictor", Known)
    monkeypatch.setattr(engine_choice.time, "perf_counter", lambda: clock[0])

    def choice(**engines):
        known.update(engines)
        found, predictor = choose_engine(model, (6, 6), output="classes")
        assert predictor.engine == found.engine
        kept = [each for each in made if not each.is_released]
        assert kept[-1] is predictor  # the others hold no memory
        assert {each.engine for each in kept} <= {found.engine, "frozen"}
        return found

    return choice


@pytest.mark.parametrize(
    ("engines", "chosen", "timed"),
    [
        ({"frozen": (6, 0), "openvino": (2, 1e-7)}, "openvino", ["frozen", "openvino"]),
        ({"frozen": (6, 0), "openvino": (5.5, 1e-7)}, "frozen", ["frozen", "openvino"]),
        ({"frozen": (6, 0), "openvino": (2, 2e-5)}, "frozen", ["frozen"]),
        ({"frozen": (2, 0)}, "frozen", ["frozen"]),  # nothing to gain: no other is tried
        ({"frozen": (6, 1e-3)}, "tensorflow", []),
    ],
)
def test_the_fastest_that_gives_the_numbers(choose, engines, chosen, timed):
    found = choose(**engines)
    assert (found.engine, list(found.ms_per_image)) == (chosen, timed)
    assert [found.ms_per_image[e] for e in timed] == pytest.approx([engines[e][0] for e in timed])


def test_where_it_is_not_installed_it_is_not_tried(choose, monkeypatch):
    monkeypatch.setattr(engine_choice.importlib.util, "find_spec", lambda name: None)
    assert choose(frozen=(6, 0)).engine == "frozen"


def test_the_real_engines_of_a_small_model_leave_the_frozen_graph(model):
    found, _ = choose_engine(model, (6, 6))
    assert found.engine == "frozen"
    assert found.ms_per_image["frozen"] > 0


def test_it_says_what_it_chose_and_what_it_measured():
    assert str(EngineChoice("frozen")) == "the metrics' forward passes run on frozen"
    said = str(EngineChoice("openvino", {"frozen": 6.84, "openvino": 2.4}))
    assert said == (
        "the metrics' forward passes run on openvino (an image takes: frozen 6.8 ms, openvino "
        "2.4 ms)"
    )
