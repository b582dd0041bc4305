"""Several objects of one class: who is found, and how evenly, by hand and by properties."""

import numpy as np
import pytest

from gradcam_eval.core import Case, InputError, Truth, Undefined
from gradcam_eval.metrics import (
    evaluate,
    instance_evenness,
    instance_fair_share,
    instance_recall,
)

EACH = pytest.mark.parametrize("metric", [instance_recall, instance_evenness, instance_fair_share])
ONE = Undefined("one object of the class is annotated: nothing to share out")


def three():
    masks = np.zeros((3, 6, 9), bool)
    masks[0, 1:3, 1:3] = True
    masks[1, 1:3, 5:6] = True
    masks[2, 4, :] = True
    return masks


def test_recall_by_hand():
    heatmap = np.zeros((6, 9), np.float32)
    heatmap[0, 0] = 10  # beside all objects
    heatmap[1, 1], heatmap[1, 5], heatmap[4, 8] = 9, 5, 4.9
    assert instance_recall([heatmap], [three()]) == [pytest.approx(2 / 3)]
    assert instance_recall([heatmap], [three()], level=0.49) == [1.0]
    assert instance_recall([heatmap], [three()], level=1.0) == [0.0]


def test_evenness_by_hand():
    heatmap = np.zeros((6, 9), np.float32)
    heatmap[1:3, 1:3], heatmap[1:3, 5] = 1, 3  # means 1, 3, 0: shares 1/4 and 3/4
    expected = -(0.25 * np.log(0.25) + 0.75 * np.log(0.75)) / np.log(3)
    assert instance_evenness([heatmap], [three()]) == [pytest.approx(expected)]
    only = np.where(three()[2], 2, -1).astype(np.float32)
    assert instance_evenness([only], [three()]) == [0.0]


def test_fair_share_by_hand():
    heatmap = np.zeros((6, 9), np.float32)
    heatmap[1:3, 1:3], heatmap[1:3, 5], heatmap[4] = 1, 3, 2  # sums 4, 6, 18 on 4, 2, 9 pixels
    heatmap[0, :2] = 1, -5  # 1 beside all of them: 29 in all, and a value against the class
    assert instance_fair_share([heatmap], [three()]) == [pytest.approx((4 / 29) / (4 / 15))]
    heatmap[1, 5] = 0  # the weakest is now 3 on 2 pixels, the map 26
    heatmap[1:3, 1:3] = 2
    assert instance_fair_share([heatmap], [three()]) == [pytest.approx((3 / 30) / (2 / 15))]


def test_a_pixel_of_two_objects_is_shared_between_them():
    masks = np.zeros((2, 1, 4), bool)
    masks[0, 0, :2] = masks[1, 0, 1:3] = True  # pixels 1, 1/2 each
    heatmap = np.array([[2.0, 4.0, 6.0, 0.0]])  # sums 2 + 2 and 2 + 6 of 12, on 1.5 pixels of 3
    assert instance_fair_share([heatmap], [masks]) == [pytest.approx((4 / 12) / (1.5 / 3))]
    assert instance_fair_share([heatmap], [masks[[0, 0]]]) == [pytest.approx(6 / 12)]


def test_fair_share_tells_a_heatmap_from_noise_and_evenness_does_not():
    generator = np.random.default_rng(0)
    masks = np.zeros((2, 40, 40), bool)
    masks[0, 4:14, 4:14] = masks[1, 22:36, 20:34] = True
    covered = masks.any(0).mean()
    noise = generator.random((50, 40, 40))
    on_both = masks.any(0) + 0.2 * noise  # on the objects, and a little everywhere
    shares = instance_fair_share(noise, [masks] * 50)
    (evenness,) = instance_evenness(noise[:1], [masks])
    # a mean over 100 pixels of uniform noise is 1/2 to within six times 1/√1200
    assert max(shares) < (1 + 12 / 1200**0.5) * covered
    assert min(instance_fair_share(on_both, [masks] * 50)) > 2 * max(shares)
    assert evenness > 0.999  # what one object gets of 100 pixels of noise is what another gets
    assert max(instance_evenness(on_both, [masks] * 50)) - evenness < 1e-3
    (constant,) = instance_fair_share([1 + 1e-6 * noise[0]], [masks])
    assert constant == pytest.approx(covered, rel=1e-5)


def test_all_objects_alike_are_perfect_whatever_their_size():
    truth = three().any(0).astype(np.float32)
    assert instance_recall([truth], [three()]) == [1.0]
    assert instance_evenness([truth], [three()]) == [pytest.approx(1.0)]
    assert instance_fair_share([truth], [three()]) == [pytest.approx(1.0)]
    assert instance_recall([1 - truth], [three()]) == [0.0]
    assert instance_fair_share([1 - truth], [three()]) == [0.0]
    assert instance_evenness([1 - truth], [three()]) == [
        Undefined("the heatmap has no positive value on any object")
    ]


@EACH
def test_a_mirror_image_the_order_and_a_positive_factor_change_nothing(metric):
    maps = np.random.default_rng(0).random((9, 6, 9)).astype(np.float32) ** 3
    masks = [three()] * 9
    plain = metric(maps, masks)
    np.testing.assert_allclose(metric(maps[:, ::-1], [m[:, ::-1] for m in masks]), plain)
    np.testing.assert_allclose(metric(maps, [m[::-1] for m in masks]), plain)
    np.testing.assert_allclose(metric(maps * 4, masks), plain)
    assert len(set(plain)) > 1


@EACH
def test_undefined_is_said(metric):
    ramp = np.arange(54.0).reshape(1, 6, 9)
    assert metric(ramp, [three()[:1]]) == [ONE]
    assert metric(ramp, [three()[:0]]) == [Undefined("no object is annotated")]
    gone = three()
    gone[1:] = False  # two of them lie outside the frame
    assert metric(ramp, [gone]) == [ONE]
    assert metric(ramp * 0, [three()]) == [Undefined("the heatmap is all zero")]
    (negative,) = metric(-1 - ramp, [three()])
    assert "no positive value" in negative.reason


def test_a_study_takes_masks_or_boxes():
    masks = three()
    boxes = np.array([[1, 1, 3, 3], [5, 1, 6, 3], [0, 4, 9, 5]], np.float32)
    heatmap = np.random.default_rng(1).random((6, 9)).astype(np.float32)
    for name in ("instance_recall", "instance_evenness", "instance_fair_share"):
        found = []
        for instances in (tuple(masks), ()):
            truth = Truth((6, 9), boxes, masks.any(0), instances=instances)
            found += evaluate(name, [Case(np.zeros((6, 9, 3)), heatmap, 0, truth, truth)])
        assert found[0] == found[1]  # the masks fill their boxes
    single = Truth((6, 9), boxes[:1])
    case = Case(np.zeros((6, 9, 3)), heatmap, 0, single, single)
    assert evaluate("instance_recall", [case]) == [ONE]


def test_bad_input_is_named():
    heatmap = np.random.default_rng(2).random((1, 6, 9))
    for instances, message in (
        ([], "instances for 0 heatmaps, but 1"),
        ([three().astype(int)], "dtype int64: wanted bool"),
        ([[np.ones((2, 2), bool), np.ones((3, 2), bool)]], "wanted one"),
    ):
        with pytest.raises(InputError, match=message):
            instance_evenness(heatmap, instances)
    with pytest.raises(InputError, match="level is 0"):
        instance_recall(heatmap, [three()], level=0)
