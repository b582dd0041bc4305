"""True and 1.0 equal 1 in Python; no option that counts something or is an index takes them."""

import keras
import numpy as np
import pytest

import gradcam_eval as ge
from gradcam_eval.core import InputError, check_whole, is_whole
from gradcam_eval.data import load_image
from gradcam_eval.data.pipeline import Reading
from gradcam_eval.data.subset import Subset
from gradcam_eval.models.image_input import image_key
from gradcam_eval.models.target import pick_head
from gradcam_eval.report.look import Look
from gradcam_eval.timing import CostPlan, measure

PICTURES, MASK = np.zeros((4, 2, 2, 3), np.float32), np.ones((2, 2), bool)
HEATMAP = np.arange(4, dtype=np.float32).reshape(1, 2, 2)


@pytest.fixture(scope="module")
def members():
    """Two inputs of images."""
    return dict(enumerate([keras.Input((4, 4, 3), name=name) for name in "ab"]))


@pytest.fixture(scope="module")
def model():
    image = keras.Input((4, 4, 3))
    return keras.Model(image, keras.layers.GlobalAveragePooling2D()(image))


def explainer(model, **options):
    return ge.Explainer(model, methods="gradient", **options)


CALLS = {
    "image_input": lambda v, model, members: image_key(members, v),
    "head": lambda v, *_: pick_head([1, 2], v, ["x", "y"]),
    "head of unnamed": lambda v, *_: pick_head([1, 2], v),
    "targets": lambda v, model, _: explainer(model)(np.zeros((2, 4, 4, 3)), targets=[0, v]),
    "batch_size": lambda v, model, _: explainer(model, batch_size=v),
    "draws": lambda v, model, _: explainer(model, draws=v),
    "seed": lambda v, model, _: explainer(model, seed=v),
    "memory": lambda v, model, _: explainer(model, memory=v),
    "layers": lambda v, model, _: ge.Explainer(model, [v]),
    "targets of a metric": lambda v, model, _: ge.deletion(
        lambda x: np.ones((len(x), 2)) / 2, PICTURES[:2], [HEATMAP[0]] * 2, [0, v]
    ),
    "k": lambda v, *_: ge.top_k_intersection(HEATMAP, masks=[MASK], k=v),
    "count of mosaics": lambda v, *_: ge.make_mosaics(PICTURES, range(4), count=v, grid=2),
    "grid": lambda v, *_: ge.make_mosaics(PICTURES, range(4), count=1, grid=v),
    "permuted labels": lambda v, *_: ge.permuted_labels([0, 1], seed=v),
    "rounds": lambda v, *_: CostPlan(rounds=v),
    "rounds of a function": lambda v, *_: measure({"a": int}, rounds={"a": v}),
    "batch sizes": lambda v, *_: CostPlan(batch_sizes=(v,)),
    "count of a subset": lambda v, *_: Subset(count=v),
    "size": lambda v, *_: load_image("x.png", size=(v, 4)),
    "size of samples": lambda v, *_: Reading((4, v)),
    "size of an overlay": lambda v, *_: Look(size=v),
}


@pytest.mark.parametrize("value", [True, 1.0, 1.5, "1", float("nan"), np.True_], ids=repr)
@pytest.mark.parametrize("option", CALLS)
def test_what_is_no_whole_number_is_refused_in_a_sentence(option, value, model, members):
    if option == "layers" and value == "1":
        return  # as on the command line
    if option == "targets" and value == "1":
        return
    with pytest.raises(InputError):
        CALLS[option](value, model, members)


@pytest.mark.parametrize("value", [1, np.int64(1), np.uint8(1)])
def test_whole_numbers_of_numpy_count(value, members):
    assert is_whole(value)
    check_whole("n", value)
    assert image_key(members, value) == 1
    assert pick_head(["x", "y"], value) == "y"
    with pytest.raises(InputError, match="n is 1: wanted 2 or more"):
        check_whole("n", value, 2)
