"""What a study compiled for its images is let go of before its cells are timed."""

from types import SimpleNamespace

from gradcam_eval.study.subject import Subject


def test_all_that_was_made_is_released_and_nothing_is_made_for_it():
    released = []
    made = {
        name: SimpleNamespace(release=lambda name=name: released.append(name))
        for name in ("explainer", "live", "reference")
    }
    Subject.release(SimpleNamespace(**made, loaded=None))
    assert sorted(released) == ["explainer", "live", "reference"]
    released.clear()
    Subject.release(SimpleNamespace(explainer=made["explainer"], live=None))
    assert released == ["explainer"]
