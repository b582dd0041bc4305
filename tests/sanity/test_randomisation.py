"""Parameter randomisation: curves, verdicts, and what must not be taken for a similarity of 1."""

import keras
import numpy as np
import pandas as pd
import pytest
from tiny import cnn, is_same, nested, pictures, subclassed, values_of

from gradcam_eval.core import InputError
from gradcam_eval.methods import METHODS
from gradcam_eval.methods.explainer import Explainer
from gradcam_eval.methods.registry import Method, Passes
from gradcam_eval.sanity import randomisation
from gradcam_eval.sanity.randomisation import ORDERS, grouped, parameter_randomisation
from gradcam_eval.sanity.rules import find_rules


@pytest.fixture(scope="module")
def one_step():
    """A check of one image in one step."""
    return parameter_randomisation(cnn(), pictures(1), steps=1)


def by_step(check, measure="rank_correlation"):
    curves = check.curves(measure)
    return curves[curves["layer"] != ""].set_index("step")["mean"]  # without the controls


def test_a_cascade_goes_from_the_output_to_the_input_and_ends_without_anything_learned():
    check = parameter_randomisation(cnn(), pictures(), layers="late", methods="layer_cam")
    assert check.steps["changed"].tolist() == ["logits", "late_bn", "late_conv", "early"]
    assert check.steps["weights_changed"].all()
    assert (check.steps["images_changed"] == 3).all()
    assert set(check.frame["measure"]) == {
        "rank_correlation",
        "absolute_rank_correlation",
        "ssim",
        "hog",
    }
    assert (by_step(check) < 0.999).all()
    up = parameter_randomisation(
        cnn(), pictures(), layers="late", methods="layer_cam", order="cascading_bottom_up"
    )
    assert up.steps["changed"].tolist() == check.steps["changed"].tolist()[::-1]


def test_the_last_step_is_that_of_a_model_with_those_weights(monkeypatch):
    seen = []
    original = Explainer.__call__

    def keeping(self, *given, **more):
        found = original(self, *given, **more)
        seen.append((values_of(self.model), np.array(found["late", "grad_cam"])))
        return found

    model, images = cnn(), pictures()
    monkeypatch.setattr(Explainer, "__call__", keeping)
    parameter_randomisation(model, images, layers="late", targets=1)
    fresh = cnn()
    explainer = Explainer(fresh, "late", "grad_cam", engine="tensorflow")
    for weights, maps in [seen[0], *seen[3:7]]:  # trained, and four steps; seen[1:3] have noise
        fresh.set_weights(weights)
        expected = original(explainer, images, 1)["late", "grad_cam"]
        np.testing.assert_allclose(maps, expected, atol=1e-5 * np.abs(expected).max())


@pytest.fixture
def seen(monkeypatch):
    """What each explanation was made with: weights, targets asked for, and what came of it."""
    calls = []
    original = Explainer.__call__

    def keeping(self, images, targets=None):
        found = original(self, images, targets)
        calls.append((values_of(self.model), targets, found))
        return found

    monkeypatch.setattr(Explainer, "__call__", keeping)
    return calls


def with_weights(weights):
    model = cnn()
    model.set_weights(weights)
    return model


def test_the_code_s_protocol_explains_what_each_model_predicts(seen):
    images = pictures(8)
    check = parameter_randomisation(cnn(), images, layers="late", protocol="sanity2018_code")
    assert check.protocol == "sanity2018_code"
    # trained, twice again under noise, four steps, three models without anything learned
    assert len(seen) == 1 + 2 + 4 + 3
    model, predicted = cnn(), []
    for weights, _, _ in seen:
        model.set_weights(weights)
        predicted.append(model(images).numpy().argmax(axis=1))
    for (_, asked, found), expected in zip(seen, predicted, strict=True):
        assert asked is None
        assert found.targets.tolist() == expected.tolist()
    assert any(each.tolist() != predicted[0].tolist() for each in predicted[3:7])
    seen.clear()
    parameter_randomisation(cnn(), images, layers="late")
    assert [found.targets.tolist() for _, _, found in seen] == [predicted[0].tolist()] * 10


@pytest.mark.parametrize(
    ("protocol", "is_kept"), [("sanity2018_code", True), ("sanity2018", False)]
)
def test_the_code_s_protocol_leaves_moving_statistics_as_trained(protocol, is_kept, seen):
    model = cnn()
    parameter_randomisation(model, pictures(1), layers="late", protocol=protocol)
    normal = model.get_layer("late_bn")
    after = with_weights(seen[6][0]).get_layer("late_bn")  # after the last step
    for name in ("moving_mean", "moving_variance"):
        one, other = (getattr(each, name).numpy() for each in (normal, after))
        assert np.array_equal(one, other) == is_kept
    np.testing.assert_array_equal(after.gamma.numpy(), np.ones(8))


def test_the_protocol_says_what_is_compared_and_in_how_many_steps(one_step):
    check = parameter_randomisation(
        cnn(), pictures(), layers="late", steps=1, protocol="sanity2018_code"
    )
    assert check.frame["measure"].unique().tolist() == [
        "clipped_rank_correlation",
        "clipped_absolute_rank_correlation",
        "gaussian_ssim",
        "ranked_hog",
    ]
    small = check.frame[check.frame["measure"] == "ranked_hog"]  # images of 16 pixels
    assert set(small["reason"]) == {"the heatmap is smaller than HOG's block of 48 pixels"}
    pd.testing.assert_frame_equal(
        check.conclusions(), check.conclusions("clipped_rank_correlation")
    )
    assert "protocol sanity2018_code" in check.figure().axes[0].get_title(loc="left")
    with pytest.raises(InputError, match="measure of the protocol 'sanity2018_code' 'ssim'"):
        check.conclusions("ssim")
    with pytest.raises(InputError, match="Valid: rank_correlation, abs"):
        one_step.curves("gaussian_ssim")
    assert [find_rules(each).steps for each in ("sanity2018", "sanity2018_code")] == [16, 17]


def test_independent_steps_leave_all_else_as_trained(monkeypatch):
    changed = []
    original = randomisation.reinitialise

    def looking(learned, generator):
        changed.append(learned.path)
        return original(learned, generator)

    monkeypatch.setattr(randomisation, "reinitialise", looking)
    check = parameter_randomisation(
        cnn(), pictures(), layers="early", methods="eigen_cam", order="independent"
    )
    # eigen_cam at the first convolution sees none of what comes after it
    found = by_step(check)
    assert check.steps["changed"].iloc[-1] == "early"
    assert set(check.conclusions()["conclusion"]) == {"not calibrated"}  # cascades are
    np.testing.assert_allclose(found.iloc[:-1], 1.0, atol=1e-6)
    assert found.iloc[-1] < 0.99


def test_a_method_that_looks_at_weights_passes_and_one_that_does_not_fails(monkeypatch):
    def picture_itself(probe):
        """The image's brightness."""
        return probe.images[..., 0]

    blind = Method("blind", picture_itself, "input", passes=lambda s, o: Passes(1))
    monkeypatch.setitem(METHODS, "blind", blind)
    check = parameter_randomisation(cnn(), pictures(6), methods=["blind", "gradient_x_input"])
    table = check.conclusions().set_index("method")
    assert table["conclusion"].to_dict() == {
        "blind": "fails",
        "gradient_x_input": "passes",
        "noise": "fails",
        "edges": "fails",
        "image": "fails",
    }
    assert table.loc["blind", ["last", "chance"]].tolist() == pytest.approx([1, 1])
    assert "hardly different images are not alike" in table.loc["noise", "reason"]
    assert "as alike as repetitions" in table.loc["edges", "reason"]
    assert table.loc["image", "repeatability"] > 0.99


def test_two_images_decide_nothing():
    check = parameter_randomisation(cnn(), pictures(2), layers="late", steps=2)
    assert set(check.conclusions()["conclusion"]) == {"undecided"}


@pytest.mark.parametrize(("make", "order"), [(cnn, ORDERS[2]), (nested, ORDERS[0])])
def test_the_user_s_model_is_as_before(make, order):
    model, images = make(), pictures()
    before, said = values_of(model), model(images).numpy()
    parameter_randomisation(model, images[:1], order=order)
    assert is_same(values_of(model), before)
    np.testing.assert_array_equal(model(images).numpy(), said)


def test_a_subclassed_model_gets_its_weights_back_also_after_an_error(monkeypatch):
    model = subclassed()
    before = values_of(model)
    with pytest.warns(UserWarning, match="cannot be copied"):
        check = parameter_randomisation(model, pictures(), layers="conv")
    assert check.steps["changed"].tolist() == ["logits", "conv"]
    assert is_same(values_of(model), before)

    def breaks(*given, **more):
        assert not is_same(values_of(model), before)
        raise KeyError("whatever")

    monkeypatch.setattr(randomisation, "_moved", breaks)
    with pytest.warns(UserWarning, match="cannot be copied"), pytest.raises(KeyError):
        parameter_randomisation(model, pictures(), layers="conv")
    assert is_same(values_of(model), before)


def test_a_step_that_changes_nothing_is_undefined_and_says_so():
    model = cnn()
    head = model.get_layer("logits")
    head.kernel_initializer = head.bias_initializer = keras.initializers.Constant(0.5)
    head.kernel.assign(np.full(head.kernel.shape, 0.5))
    head.bias.assign(np.full(head.bias.shape, 0.5))
    check = parameter_randomisation(model, pictures(), layers="late")
    assert check.steps["weights_changed"].tolist() == [False, True, True, True]
    first = check.frame[check.frame["step"] == 1]
    assert set(first["reason"]) == {"the step changed no weight"}
    assert first["value"].isna().all()
    assert check.curves()["undefined"].iloc[0] == 3


def test_a_pass_with_old_weights_is_an_error_and_no_similarity_of_one(monkeypatch):
    original, first = Explainer.__call__, []

    def stale(self, *given, **more):
        first.append(original(self, *given, **more))
        return first[0]

    monkeypatch.setattr(Explainer, "__call__", stale)
    with pytest.raises(RuntimeError, match="it has old weights"):
        parameter_randomisation(cnn(), pictures())


def test_a_frozen_graph_is_not_served_after_the_weights_were_randomised():
    model, images = cnn(), pictures()
    explainer = Explainer(model, "late", "grad_cam")
    for _ in range(3):
        before = explainer(images, 0)["late", "grad_cam"]  # frozen by now
    for each in randomisation.learned_layers(model, randomisation.model_inputs(model)):
        randomisation.reinitialise(each, np.random.default_rng(1))
    after = explainer(images, 0)["late", "grad_cam"]
    fresh = Explainer(model, "late", "grad_cam", engine="tensorflow")(images, 0)["late", "grad_cam"]
    np.testing.assert_allclose(after, fresh, atol=1e-5 * max(np.abs(fresh).max(), 1e-9))
    assert not np.allclose(after, before)


def test_the_same_seed_gives_the_same_check(one_step):
    other = parameter_randomisation(cnn(), pictures(1), steps=1)
    pd.testing.assert_frame_equal(one_step.frame, other.frame)
    pd.testing.assert_frame_equal(one_step.conclusions(), other.conclusions())
    assert not one_step.frame.equals(
        parameter_randomisation(cnn(), pictures(1), steps=1, seed=5).frame
    )


def test_layers_are_shared_evenly_among_the_steps():
    assert [len(g) for g in grouped(list(range(8)), 4)] == [1, 3, 2, 2]
    assert grouped([1, 2, 3], 16) == [[1], [2], [3]]
    assert grouped([1, 2, 3], 1) == [[1, 2, 3]]
    check = parameter_randomisation(cnn(), pictures(1), steps=2)
    assert check.steps["changed"].tolist() == ["logits", "late_bn … early"]


def test_the_figure_has_a_line_for_each_cell_and_control():
    check = parameter_randomisation(cnn(), pictures(), layers="late", methods=["grad_cam", "cam"])
    axes = check.figure("ssim").axes[0]
    assert len(axes.lines) == 2 + 3 + 1  # cells, controls, 1
    assert [text.get_text() for text in axes.get_xticklabels()][:2] == ["trained", "logits"]


@pytest.mark.parametrize(
    ("changes", "message"),
    [
        ({"order": "cascade"}, "unknown order 'cascade': did you mean 'cascading'"),
        ({"steps": 0}, "steps is 0: wanted 1 or more"),
        ({"protocol": "sanity2018_cod"}, "did you mean 'sanity2018_code'"),
        ({"protocol": "sanity2018_code", "targets": 1}, "explains the class that each model predi"),
    ],
)
def test_bad_questions_are_refused(changes, message):
    with pytest.raises(InputError, match=message):
        parameter_randomisation(cnn(), pictures(1), **changes)


def test_a_model_without_weights_has_nothing_to_randomise():
    inputs = keras.Input((16, 16, 3))
    model = keras.Model(inputs, keras.layers.GlobalAveragePooling2D()(inputs))
    with pytest.raises(InputError, match="no weights: there is nothing to randomise"):
        parameter_randomisation(model, pictures(1))


def test_conclusions_refuse_what_they_do_not_know(one_step):
    with pytest.raises(InputError, match="unknown measure"):
        one_step.conclusions("cosine")
