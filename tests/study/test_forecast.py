from dataclasses import replace

import pytest

from gradcam_eval.methods import METHODS
from gradcam_eval.methods.explainer import Explainer
from gradcam_eval.methods.registry import Method, Passes
from gradcam_eval.models.catalogue import ModelSpec
from gradcam_eval.models.engine_choice import EngineChoice
from gradcam_eval.study import forecast as module
from gradcam_eval.study.config import Study
from gradcam_eval.study.forecast import forecast
from gradcam_eval.study.subject import LoadedModel, make_subject
from gradcam_eval.timing import CostPlan

SIZE = (40, 40)


@pytest.fixture
def subject(model, monkeypatch):
    monkeypatch.setattr(module, "seconds_of_forward", lambda subject: 0.5)

    def make(**changes):
        values = {"name": "toy", "models": ["tiny"], "data": "x", "layers": ["stages"], **changes}
        loaded = LoadedModel("tiny", model, ModelSpec("tiny", None, "none"), "d", SIZE)
        return make_subject(Study.model_validate(values), loaded)

    return make


def test_the_numbers_are_those_worked_out_by_hand(subject):
    made = subject(methods=["grad_cam", "layer_cam", "eigen_cam"], controls=["random", "edges"])
    plan = CostPlan((1, 4), rounds=3)
    found = forecast(made, plan, images=10, size=SIZE)
    assert (found.images, found.cells, found.controls) == (10, 2 * 3, 2)
    # 1600 pixels, 224 a step: 8 steps and the first point, for deletion and for insertion;
    # the pointing game asks the model nothing. One pass for all heatmaps counts as 3.
    assert found.forwards == 10 * (3 + (6 + 2) * (9 + 9)) == 1470
    # 5 images a round, 3 rounds and 2 more calls, 6 cells of two passes beside the forward pass
    assert found.seconds == 0.5 * (1470 + 5 * 5 * 6 * 3)
    # activations of 40×40×4 and 20×20×6 with their gradients; 32 masked images
    assert found.memory_bytes == 4 * (2 * (6400 + 2400) + 32 * 1600 * 3)
    # 3 maps of 40×40 and of 20×20, two controls and the picture with its mask
    assert found.disk_bytes == 10 * (4 * (3 * (1600 + 400) + 2 * 1600) + 4 * 1600)


def test_steps_follow_the_protocol_and_what_is_not_done_costs_nothing(subject):
    made = subject(metrics=["deletion"], protocols={"deletion": "rise2018_batch"}, controls=[])
    # 1600 pixels at 1792 a step: one step, two points
    assert forecast(made, None, images=7, size=SIZE).forwards == 7 * (3 + 2 * 2)
    assert forecast(made, None, images=0, size=SIZE).seconds == 0
    made = subject(metrics=["pointing_game"])
    assert forecast(made, None, images=7, size=SIZE).forwards == 7 * 3


def test_what_heatmaps_share_is_asked_once_for_an_image(subject):
    made = subject(
        metrics=["deletion", "faithfulness_correlation", "road"],
        protocols={"deletion": ["rise2018", "rise2018_batch"]},
    )
    cells = 2 + 4
    # deletion: 9 and 2 points; ROAD: 2 orders of 9; 100 sets and the image itself, once
    assert forecast(made, None, images=2, size=SIZE).forwards == 2 * (3 + cells * (11 + 18) + 101)


def test_the_line_says_it_all(subject):
    made = subject(layers=["last"], controls=["random"])
    assert str(forecast(made, None, images=1, size=SIZE)) == (
        "1 image × (1 layer × method cell + 1 control): about 39 forward passes, 20 s, "
        "1 MB for activations, 0 MB on disk; output: 3 classes by a softmax (classes)"
    )
    assert "about 3,900 forward passes, 32 min, " in str(
        forecast(made, None, images=100, size=SIZE)
    )


def test_layers_that_do_not_fit_into_memory_take_more_passes(subject, model):
    made = subject(metrics=["deletion"], protocols={"deletion": "rise2018_batch"}, controls=[])
    # one layer's activation and gradient, 16 images of 40×40×4 values
    small = Explainer(model, made.explainer.calls(SIZE), batch_size=16, memory=8 * 16 * 6400)
    found = forecast(replace(made, explainer=small), None, images=7, size=SIZE)
    assert found.passes == 2
    assert found.forwards == 7 * (2 * 3 + 2 * 2)
    assert found.memory_bytes == 4 * (6400 + 2400 + 32 * 1600 * 3)
    assert "MB for activations in 2 passes, " in str(found)


def test_methods_that_ask_the_model_more_than_once_are_counted(subject, monkeypatch):
    def asks(probe, *, times=20):
        return probe.images[..., 0]

    passes = lambda sizes, options: Passes(forwards=options["times"], backwards=3)  # noqa: E731
    monkeypatch.setitem(METHODS, "asks", Method("asks", asks, "input", passes=passes))
    made = subject(methods=["grad_cam", "asks(times=30)"], metrics=["pointing_game"], controls=[])
    plan = CostPlan((1, 4), rounds=10)
    found = forecast(made, plan, images=2, size=SIZE)
    assert found.cells == 2 + 1
    assert found.forwards == 2 * (3 + 30 + 2 * 3)
    # two cells beside the forward pass, 5 images a round of 12; the third: batch 1 alone, and
    # 10 * 8 // 31 rounds
    assert found.seconds == 0.5 * (2 * 39 + 5 * 12 * 2 * 3 + (2 + 2) * 33)
    # two maps of the layers, and one as large as the image
    assert found.disk_bytes == 2 * (4 * (1600 + 400 + 1600) + 4 * 1600)


def test_changed_images_that_are_explained_are_counted_once_for_all_metrics(subject):
    metrics = ["max_sensitivity", "average_sensitivity", "local_lipschitz"]
    found = forecast(subject(metrics=metrics), None, images=2, size=SIZE)
    assert found.forwards == 2 * 3 * (1 + 50)  # the image and its 50 neighbours, in one pass each


def test_a_forward_takes_what_the_choice_of_the_engine_timed_or_is_timed(model):
    values = {"name": "toy", "models": ["tiny"], "data": "x", "layers": ["stages"]}
    loaded = LoadedModel("tiny", model, ModelSpec("tiny", None, "none"), "d", SIZE)
    study = Study.model_validate(values)
    timed = EngineChoice("frozen", {"frozen": 7.0, "openvino": 9.0})
    subject = make_subject(study, loaded, engine=timed)
    assert module.seconds_of_forward(subject) == 0.007
    assert not subject.predictor._compiled  # nothing was run
    named = make_subject(study, loaded, engine=EngineChoice("frozen"))
    assert 0 < module.seconds_of_forward(named) < 1
