"""Memory that goes back to the system, and collections that are quick."""

import gc
import weakref

import keras
import numpy as np
import pytest

from gradcam_eval.methods.explainer import Explainer
from gradcam_eval.models import memory
from gradcam_eval.models.memory import collect, quick_collections, trim, trimmed


@pytest.fixture
def trims(monkeypatch):
    """The arguments of each call of the C library's `malloc_trim`."""
    called = []
    monkeypatch.setattr(memory, "_malloc_trim", called.append)
    return called


def test_a_c_library_without_the_call_is_left_alone(monkeypatch):
    monkeypatch.setattr(memory, "_malloc_trim", None)
    trim()
    collect()


def test_a_compiled_function_trims_after_its_first_call_alone(trims):
    double = trimmed(lambda x: 2 * x)
    assert (double(2), double(3)) == (4, 6)
    assert trims == [0]


def test_a_call_that_raises_is_not_the_first(trims):
    inverse = trimmed(lambda x: 1 / x)
    with pytest.raises(ZeroDivisionError):
        inverse(0)
    assert (inverse(2), trims) == (0.5, [0])


@pytest.fixture
def nothing_frozen():
    """As in a new process: the tests' own start has frozen what it imported."""
    gc.unfreeze()
    yield
    gc.freeze()


@pytest.mark.usefixtures("nothing_frozen")
def test_collections_inside_free_what_was_made_inside():
    class Node:
        pass

    with quick_collections():
        assert gc.get_freeze_count() > 0
        node = Node()
        node.itself, seen = node, weakref.ref(node)
        del node
        gc.collect()
        assert seen() is None
    assert gc.get_freeze_count() == 0


@pytest.mark.usefixtures("nothing_frozen")
def test_objects_that_somebody_else_froze_stay_frozen():
    gc.freeze()
    with quick_collections():
        pass
    assert gc.get_freeze_count() > 0


def test_an_explainer_lets_go_of_its_passes_and_compiles_them_again(monkeypatch):
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((6, 6, 3)),
            keras.layers.Conv2D(2, 3),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(2),
        ]
    )
    image = np.random.default_rng(0).uniform(0, 255, (6, 6, 3)).astype(np.float32)
    explainer = Explainer(model)
    before = explainer(image)
    compiled = [weakref.ref(each) for kept in explainer._passes.compiled.values() for each in kept]
    explainer.release()
    assert compiled
    assert not any(each() for each in compiled)
    np.testing.assert_array_equal(explainer(image)["last", "grad_cam"], before["last", "grad_cam"])
