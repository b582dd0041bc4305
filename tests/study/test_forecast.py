import pytest

from gradcam_eval.models.catalogue import ModelSpec
from gradcam_eval.study import forecast as module
from gradcam_eval.study.config import Study
from gradcam_eval.study.forecast import forecast
from gradcam_eval.study.subject import LoadedModel, make_subject
from gradcam_eval.timing import CostPlan

SIZE = (40, 40)


@pytest.fixture
def subject(model, monkeypatch):
    monkeypatch.setattr(module, "time_forward", lambda predictor, size: 0.5)

    def make(**changes):
        values = {"name": "toy", "models": ["tiny"], "data": "x", "layers": ["stages"], **changes}
        loaded = LoadedModel("tiny", model, ModelSpec("tiny", None, "none"), "d", SIZE)
        return make_subject(Study.model_validate(values), loaded)

    return make


def test_the_numbers_are_those_worked_out_by_hand(subject):
    made = subject(methods=["grad_cam", "layer_cam", "eigen_cam"], controls=["random", "edges"])
    calls = made.explainer.calls(SIZE)
    plan = CostPlan((1, 4), rounds=3)
    found = forecast(made, calls, plan, images=10, size=SIZE)
    assert (found.images, found.cells, found.controls) == (10, 2 * 3, 2)
    # 1600 pixels, 224 a step: 8 steps and the first point, for deletion and for insertion;
    # the pointing game asks the model nothing. One pass for all heatmaps counts as 3.
    assert found.forwards == 10 * (3 + (6 + 2) * (9 + 9)) == 1470
    # 5 images a round, 3 rounds and 2 more calls, 6 cells of two passes and the forward pass
    assert found.seconds == 0.5 * (1470 + 5 * 5 * 13)
    # activations of 40×40×4 and 20×20×6 with their gradients; 32 masked images
    assert found.memory_bytes == 4 * (2 * (6400 + 2400) + 32 * 1600 * 3)
    # 3 maps of 40×40 and of 20×20, two controls and the picture with its mask
    assert found.disk_bytes == 10 * (4 * (3 * (1600 + 400) + 2 * 1600) + 4 * 1600)


def test_steps_follow_the_protocol_and_what_is_not_done_costs_nothing(subject):
    made = subject(metrics=["deletion"], protocols={"deletion": "rise2018_batch"}, controls=[])
    calls = made.explainer.calls(SIZE)
    # 1600 pixels at 1792 a step: one step, two points
    assert forecast(made, calls, None, images=7, size=SIZE).forwards == 7 * (3 + 2 * 2)
    assert forecast(made, calls, None, images=0, size=SIZE).seconds == 0
    made = subject(metrics=["pointing_game"])
    assert forecast(made, calls, None, images=7, size=SIZE).forwards == 7 * 3


def test_the_line_says_it_all(subject):
    made = subject(layers=["last"], controls=["random"])
    calls = made.explainer.calls(SIZE)
    assert str(forecast(made, calls, None, images=1, size=SIZE)) == (
        "1 image × (1 layer × method cell + 1 control): about 39 forward passes, 20 s, "
        "1 MB for activations, 0 MB on disk"
    )
    assert "about 3,900 forward passes, 32 min, " in str(
        forecast(made, calls, None, images=100, size=SIZE)
    )
