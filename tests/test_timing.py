import weakref
from dataclasses import asdict, replace

import keras
import numpy as np
import pytest

from gradcam_eval.core import InputError
from gradcam_eval.methods import METHODS
from gradcam_eval.methods.explainer import Explainer
from gradcam_eval.methods.registry import Method, Passes
from gradcam_eval.timing import CostPlan, Timing, cost_rows, measure, measure_cost

ONE = Timing(1, (1,))  # millisecond


class FakeClock:
    """A clock that stands still unless a function says how many milliseconds it took."""

    def __init__(self):
        self.seconds = 100.0
        self.log = []

    def __call__(self):
        return self.seconds

    def function(self, name, milliseconds):
        times = iter(milliseconds)

        def run():
            self.log.append(name)
            self.seconds += next(times) / 1000

        return run


def test_first_call_and_warm_up_stand_apart_from_what_is_counted():
    clock = FakeClock()
    function = clock.function("f", [500, 70, 3, 1, 2, 4, 10])
    timing = measure({"f": function}, rounds=5, clock=clock)["f"]
    assert timing.first_ms == pytest.approx(500)
    assert timing.values_ms == pytest.approx((3, 1, 2, 4, 10))
    # of 1 2 3 4 10: the median is 3, the quartiles 2 and 4
    assert [timing.quantile(q) for q in (0, 0.25, 0.5, 0.75, 1)] == pytest.approx([1, 2, 3, 4, 10])


def test_the_median_of_an_even_count_lies_half_way():
    timing = Timing(9.0, (1.0, 2.0, 4.0, 8.0))
    assert timing.quantile(0.5) == 3.0
    assert timing.quantile(0.25) == 1.75


def test_what_was_called_before_keeps_its_first_call_and_is_warmed_up_again():
    called = []
    timings = measure(
        {"old": lambda: called.append("old"), "new": lambda: called.append("new")},
        rounds=2,
        first_ms={"old": 70.0},
    )
    assert timings["old"].first_ms == 70.0
    assert called == ["new", "old", "new", *["old", "new"] * 2]


def test_functions_take_turns_in_every_round():
    clock = FakeClock()
    functions = {name: clock.function(name, [1] * 9) for name in "abc"}
    measure(functions, rounds=3, clock=clock)
    assert "".join(clock.log) == "abc" * 5  # the first calls, the warm-ups, three rounds


def test_progress_is_told_of_each_call_and_is_not_timed():
    clock = FakeClock()
    told = []

    def slow_progress():
        clock.seconds += 50
        told.append(1)

    functions = {name: clock.function(name, [2] * 5) for name in "ab"}
    timings = measure(functions, rounds=3, on_call=slow_progress, clock=clock)
    assert timings["a"].values_ms == pytest.approx((2, 2, 2))
    assert len(told) == 2 * 5


def test_each_function_may_have_rounds_of_its_own():
    clock = FakeClock()
    functions = {"a": clock.function("a", [1] * 5), "b": clock.function("b", [4] * 3)}
    timings = measure(functions, rounds={"a": 3, "b": 1}, clock=clock)
    assert "".join(clock.log) == "ab" * 3 + "aa"
    assert timings["b"].values_ms == pytest.approx((4,))
    assert timings["b"].ratio_to(timings["a"]) == pytest.approx(4)


def test_nothing_to_measure_is_an_error_or_nothing():
    with pytest.raises(InputError, match="rounds is 0: wanted 1 or more"):
        measure({"f": lambda: None}, rounds=0)
    assert measure({}, rounds=1) == {}


@pytest.mark.parametrize(
    ("sizes", "rounds", "message"),
    [
        ((), 1, r"batch_sizes are \(\): wanted whole numbers from 1 up"),
        ((1, 0), 1, r"batch_sizes are \(1, 0\)"),
        ((1,), 0, "rounds is 0: wanted 1 or more"),
    ],
)
def test_a_plan_that_measures_nothing_is_refused(sizes, rounds, message):
    with pytest.raises(InputError, match=message):
        CostPlan(sizes, rounds)


def tiny(size=(8, 8)):
    keras.utils.set_random_seed(1)
    inputs = keras.Input((*size, 3))
    x = keras.layers.Conv2D(2, 3, activation="relu", padding="same", name="a")(inputs)
    x = keras.layers.Conv2D(2, 3, strides=2, activation="relu", padding="same", name="b")(x)
    x = keras.layers.GlobalAveragePooling2D()(x)
    return keras.Model(inputs, keras.layers.Dense(3, activation="softmax")(x))


@pytest.fixture(scope="module")
def model():
    return tiny()


def rows_of(model, layers, methods, **options):
    explainer = Explainer(model, list(layers), methods)
    return cost_rows(explainer, explainer.cells(), **options)


def test_each_cell_has_a_row_beside_the_forward_pass(model):
    frame = measure_cost(model, ["a", "b"], ["grad_cam", "eigen_cam"], batch_sizes=(1, 4), rounds=2)
    cells = [("", "forward"), *((la, m) for la in "ab" for m in ("grad_cam", "eigen_cam"))]
    assert list(zip(frame["layer"], frame["method"], strict=True)) == cells * 2
    assert frame["batch_size"].tolist() == [1] * 5 + [4] * 5
    assert frame["forwards"].tolist() == [1] * 10
    assert frame["backwards"].tolist() == [0, 1, 0, 1, 0] * 2
    # the forward pass has the rounds that it takes turns in with the four pairs
    assert frame["rounds"].tolist() == [8, 2, 2, 2, 2] * 2
    # a pair is compiled once: the first call at the first batch size is the one shown
    assert frame["first_call_ms"][:5].tolist() == frame["first_call_ms"][5:].tolist()
    assert (frame["low_ms_per_image"] <= frame["median_ms_per_image"]).all()
    assert (frame["median_ms_per_image"] <= frame["high_ms_per_image"]).all()


def test_milliseconds_are_those_of_an_image_and_the_ratio_that_of_the_same_batch(
    model, monkeypatch
):
    """Timings made by hand go in; the forward pass takes 2 ms for one image, about 8 for four."""
    made = iter(
        [
            {("", "forward"): Timing(90, (2, 2, 2)), ("a", "grad_cam"): Timing(700, (3, 5, 7))},
            # the machine slows from round to round: 12/4, 8/8 and 40/20, not 12/8
            {("", "forward"): Timing(1, (4, 8, 20)), ("a", "grad_cam"): Timing(2, (12, 8, 40))},
        ]
    )

    def measure_by_hand(_, *, first_ms, **__):
        return {
            key: replace(each, first_ms=first_ms.get(key, each.first_ms))
            for key, each in next(made).items()
        }

    monkeypatch.setattr("gradcam_eval.timing.measure", measure_by_hand)
    plan = CostPlan((1, 4), rounds=3)
    rows = [asdict(row) for row in rows_of(model, "a", "grad_cam", plan=plan)]
    shown = ("batch_size", "first_call_ms", "low_ms_per_image", "median_ms_per_image",
             "high_ms_per_image", "ratio_to_forward", "rounds")  # fmt: skip
    assert [[row[name] for name in shown] for row in rows] == [
        [1, 90, 2, 2, 2, 1.0, 3],
        [1, 700, 4, 5, 6, 2.5, 3],
        [4, 90, 1.5, 2, 3.5, 1.0, 3],
        [4, 700, 2.5, 3, 6.5, 2.0, 3],
    ]


def test_each_pair_is_called_with_the_batch_it_is_shown_for(model, monkeypatch):
    seen = []

    def count(functions, **_):
        for (_layer, method), run in functions.items():
            found = run()
            maps = [found] if method == "forward" else list(found.values())
            assert all(np.isfinite(each).all() for each in maps)
            seen.append((method, len(maps), len(maps[0])))
        return dict.fromkeys(functions, ONE)

    monkeypatch.setattr("gradcam_eval.timing.measure", count)
    rows_of(model, "b", "grad_cam", plan=CostPlan((2, 5)))
    assert seen == [("forward", 1, 2), ("grad_cam", 1, 2), ("forward", 1, 5), ("grad_cam", 1, 5)]


def test_one_cell_after_another_is_timed_and_freed(model, monkeypatch):
    living, at_once, heard = weakref.WeakSet(), [], []

    def only(self, cell, **options):
        made = original(self, cell, **options)
        living.add(made)
        return made

    original = Explainer.only
    monkeypatch.setattr(Explainer, "only", only)
    monkeypatch.setattr(
        "gradcam_eval.timing.measure",
        lambda functions, **_: at_once.append(len(living)) or dict.fromkeys(functions, ONE),
    )
    options = {"plan": CostPlan((1, 2)), "on_cell": lambda: heard.append(len(living))}
    rows_of(model, "ab", ["grad_cam", "eigen_cam"], **options)
    assert at_once == [1] * 4 * 2  # four pairs, two sizes
    assert heard == [0] * 4


def test_no_cells_leave_the_forward_pass(model):
    rows = cost_rows(Explainer(model), [], plan=CostPlan((1, 2), rounds=3))
    assert rows[0].first_call_ms == rows[1].first_call_ms  # compiled once, at the first size
    shown = [(row.method, row.batch_size, row.rounds, row.ratio_to_forward) for row in rows]
    assert shown == [("forward", 1, 3, 1.0), ("forward", 2, 3, 1.0)]


def test_a_method_of_many_passes_is_timed_less_often(model, monkeypatch):
    def asks(probe):
        return probe.images[..., 0]

    method = Method("asks", asks, "input", passes=lambda sizes, options: Passes(39, 2))
    monkeypatch.setitem(METHODS, "asks", method)
    rows = rows_of(model, "b", ["asks", "grad_cam"], plan=CostPlan((2, 5), rounds=10))
    shown = [(row.method, row.batch_size, row.rounds, row.forwards, row.backwards) for row in rows]
    assert shown == [
        ("forward", 2, 10 + 10 * 8 // 40, 1, 0),
        ("grad_cam", 2, 10, 1, 1),
        ("asks", 2, 10 * 8 // 40, 40, 2),
        ("forward", 5, 10, 1, 0),
        ("grad_cam", 5, 10, 1, 1),
    ]


def test_a_cell_is_timed_by_the_settings_of_its_explainer(model):
    how = {"score": "probability", "seed": 5, "geometry": "stretch", "output": "classes"}
    explainer = Explainer(model, ["a", "b"], ["grad_cam", "eigen_cam"], **how)
    images = np.random.default_rng(0).uniform(0, 255, (3, 8, 8, 3)).astype(np.float32)
    expected = explainer(images)
    for cell in explainer.cells():
        alone = explainer.only(cell, batch_size=2)
        assert alone.objective is explainer.objective
        found = alone(images)
        assert list(found) == [cell.key]
        assert found.geometry == "stretch"
        np.testing.assert_allclose(found[cell.key], expected[cell.key], rtol=1e-5, atol=1e-8)


def test_a_declared_output_reaches_what_is_timed(model):
    with pytest.raises(InputError, match=r"output='binary' is for one number"):
        measure_cost(model, "b", output="binary")


def test_a_model_of_any_size_needs_one():
    free = tiny((None, None))
    with pytest.raises(InputError, match=r"does not fix its image size"):
        measure_cost(free)
    frame = measure_cost(free, "b", batch_sizes=[2], rounds=1, image_size=(6, 10))
    assert frame["layer"].tolist() == ["", "b"]


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (("nolayer", "grad_cam"), "unknown layer 'nolayer'"),
        (("last", "grad_kam"), "unknown method 'grad_kam': did you mean 'grad_cam'"),
        (("last", "random"), "'random' is a control"),
    ],
)
def test_unknown_names_are_refused_before_anything_is_timed(model, monkeypatch, arguments, message):
    monkeypatch.setattr("gradcam_eval.timing.measure", lambda *_, **__: pytest.fail("timed"))
    with pytest.raises(InputError, match=message):
        measure_cost(model, *arguments)
