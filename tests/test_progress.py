"""Plain progress by a clock that the test moves: nothing waits, and nothing depends on speed."""

import pytest

from gradcam_eval.progress import plain_progress


class Run:
    """A progress, what it has said, and the clock that it looks at."""

    def __init__(self):
        self.now, self.said = 1000.0, []
        self.progress = plain_progress(self.said.append, clock=lambda: self.now)

    def steps(self, count, seconds):
        for _ in range(count):
            self.now += seconds
            self.progress.step()


@pytest.fixture
def run():
    return Run()


def test_a_short_stage_says_how_many_steps_it_has_and_no_more(run):
    run.progress.stage("net: images", 9)
    run.steps(9, 1.0)
    assert run.said == ["net: images: 9 steps"]


def test_a_long_stage_says_from_time_to_time_how_far_it_is(run):
    run.progress.stage("net: images", 40)
    run.steps(40, 4.0)
    assert run.said[:3] == [
        "net: images: 40 steps",
        "net: images: 3 of 40 done, about 2 min left",
        "net: images: 6 of 40 done, about 2 min left",
    ]
    assert "net: images: 30 of 40 done, about 40 s left" in run.said
    assert run.said[-1] == "net: images: all 40 done in 3 min"


def test_the_first_step_is_no_measure_of_the_others(run):
    run.progress.stage("net: images", 100)
    run.steps(1, 60.0)  # it compiles
    run.steps(20, 1.0)
    assert run.said[1:3] == [
        "net: images: 1 of 100 done",
        "net: images: 11 of 100 done, about 89 s left",
    ]


def test_what_an_earlier_run_has_done_does_not_make_the_rest_look_quick(run):
    run.progress.stage("net: images", 1000)
    run.steps(900, 0.0)
    run.steps(40, 60.0)
    assert run.said[-1] == "net: images: 937 of 1000 done, about 63 min left"


def test_a_log_of_many_hours_stays_short(run):
    run.progress.stage("net: images", 36_000)
    run.steps(36_000, 1.0)
    assert 50 < len(run.said) < 200
    assert run.said[-1] == "net: images: all 36000 done in 10 h 0 min"


def test_a_new_stage_starts_anew(run):
    run.progress.stage("net: images", 5)
    run.steps(5, 20.0)
    run.progress.stage("net: cost", 8)
    run.steps(2, 1.0)
    assert run.said[-2:] == ["net: images: all 5 done in 2 min", "net: cost: 8 steps"]
    run.steps(1, 20.0)
    assert run.said[-1] == "net: cost: 3 of 8 done, about 52 s left"
