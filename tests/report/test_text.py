import pytest

from gradcam_eval.report.text import interval, percent


@pytest.mark.parametrize(
    ("low", "high", "said"),
    [
        (-0.197, 3.93e-4, "[−0.197, +0.0004]"),
        (5.56e-5, 0.8123, "[+0.00006, +0.812]"),
        (-4.31e-4, 0.104, "[−0.0004, +0.104]"),
        (-0.5, 0.0, "[−0.500, 0.000]"),
        (1e-4, 3e-4, "[+1.00e−04, +3.00e−04]"),  # all of it is small: three digits of each
        (1e-9, 0.3, "[+1.00e−09, +0.300]"),
        (-120.4, 0.0004, "[−120, +0.0004]"),
    ],
)
def test_an_end_near_0_says_its_side_in_plain_digits(low, high, said):
    assert interval(low, high, sign=True) == said


def test_an_interval_that_does_not_exist_is_not_written():
    assert interval(float("nan"), 1.0) == ""


@pytest.mark.parametrize(
    ("share", "written"),
    [(0, "0 %"), (0.004, "under 1 %"), (0.47, "47 %"), (0.996, "over 99 %"), (1, "100 %")],
)
def test_shares_are_whole_per_cent_and_nearly_all_is_not_all(share, written):
    assert percent(share).replace("\N{NO-BREAK SPACE}", " ") == written
