"""Planted evidence: what is drawn, where, and that it is the same everywhere."""

import dataclasses

import numpy as np
import pytest

from gradcam_eval.core import InputError
from gradcam_eval.data.evidence import entries as module
from gradcam_eval.data.evidence.draws import Draws
from gradcam_eval.data.evidence.entries import (
    COUNT,
    VIEWS,
    checked_scene,
    evidence_entries,
    read_manifest,
    scene_digest,
)
from gradcam_eval.data.evidence.noise import cells, pixel_grid, value_noise
from gradcam_eval.data.evidence.scene import SIZE, render
from gradcam_eval.data.evidence.shapes import OUTLINES, Pose, coverage
from gradcam_eval.data.evidence.variants import (
    BLIND_FROM,
    CLASSES,
    LEAST_VISIBLE,
    VARIANTS,
    make_plan,
    make_scene,
    shown_classes,
)
from gradcam_eval.data.evidence.watermark import SIDE

FEW = range(6)


def test_draws_are_those_of_the_raw_generator():
    # seed: the first 16 bytes of sha256("a\x1f1"), big-endian; units: raw >> 11, times 2^-53
    raw = np.random.PCG64(0x839E11A421D370BE28DB56FDE67E9AAD).random_raw(3)
    expected = [(int(each) >> 11) / 2**53 for each in raw]
    found = Draws("a", 1).units(3)
    assert found.tolist() == expected
    assert Draws("a", 2).units(3).tolist() != found.tolist()


def test_whole_numbers_and_turns_cover_their_range():
    draws = Draws("range")
    wholes = [draws.whole(2, 4) for _ in range(300)]
    assert {wholes.count(n) > 60 for n in (2, 3, 4)} == {True}
    turns = np.array([draws.turn() for _ in range(400)])
    np.testing.assert_allclose((turns**2).sum(axis=1), 1, atol=1e-15)
    angles = np.histogram(np.arctan2(turns[:, 1], turns[:, 0]), 8, (-np.pi, np.pi))[0]
    assert angles.min() > 20  # 50 each if they were even


def test_value_noise_is_the_sum_over_corners():
    x, y = np.array([[3.25, -0.5]]), np.array([[7.75, 40.0]])
    values = Draws("noise").units(32, 32)
    expected = []
    for u, v in zip(x[0], y[0], strict=True):
        total = 0.0
        for i in range(-50, 50):
            for j in range(-50, 50):
                a, b = max(0, 1 - abs(u - i)), max(0, 1 - abs(v - j))
                # 1 - smoothstep(t) at t = 1 - a is smoothstep(a)
                total += a * a * (3 - 2 * a) * b * b * (3 - 2 * b) * values[j % 32, i % 32]
        expected.append(total)
    np.testing.assert_allclose(value_noise(Draws("noise"), x, y)[0], expected, rtol=1e-12)


def test_cells_measure_the_distance_to_the_nearest_point():
    x, y = (axis[:5, :5] / 3 for axis in pixel_grid(8))
    offsets = Draws("cells").units(32, 32, 2)
    points = np.array(
        [(j + offsets[i % 32, j % 32, 0], i + offsets[i % 32, j % 32, 1])
         for i in range(-3, 6) for j in range(-3, 6)]
    )  # fmt: skip
    far = np.hypot(x[..., None] - points[:, 0], y[..., None] - points[:, 1]).min(axis=-1)
    np.testing.assert_allclose(cells(Draws("cells"), x, y), np.minimum(far, 1), rtol=1e-12)


@pytest.mark.parametrize(
    ("outline", "area"),
    # of radius 1: pi; pi (1 - 0.52^2); two bars 1.9 x 0.56 less their crossing; the superellipse
    # |x|^4 + |y|^4 <= 0.85^4 has 3.7081 x 0.85^2; a bar of 2 x 2; ten triangles of the star:
    # 5 x 1 x 0.44 x sin 36 degrees
    [
        ("ellipse", 3.1416),
        ("ring", 2.2921),
        ("cross", 1.8144),
        ("pillow", 2.6791),
        ("bar", 4.0),
        ("star", 1.2931),
    ],
)
def test_outlines_have_the_area_that_geometry_says(outline, area):
    share = coverage(outline, Pose(48.3, 47.6, 25.0, (0.6, 0.8)), SIZE)
    if outline == "bar":  # its corners reach beyond the radius, and are cut at a window round it
        share = coverage(outline, Pose(48.3, 47.6, 25.0, (0.6, 0.8), 0.3), SIZE)
        area = 1.2
    assert share.sum() / 25**2 == pytest.approx(area, rel=0.02)
    assert ((share >= 0) & (share <= 1)).all()


def test_every_outline_is_covered_by_a_test():
    assert set(OUTLINES) == {"ellipse", "ring", "cross", "pillow", "bar", "star"}


@pytest.mark.parametrize("variant", VARIANTS)
def test_published_images_are_drawn_as_they_were(variant):
    for index in (0, 1, 17, COUNT - 1):
        checked_scene(variant, index)
    assert len(read_manifest()[variant]) == COUNT
    assert len(set(read_manifest()[variant])) == COUNT


def test_another_image_than_the_published_one_is_an_error(monkeypatch):
    wrong = {name: ["0" * 16] * COUNT for name in VARIANTS}
    monkeypatch.setattr(module, "_published", lambda: wrong)
    with pytest.raises(InputError, match=r"image 3 of evidence/single is drawn otherwise here"):
        checked_scene("single", 3)
    checked_scene("single", 3, seed=1)  # of another seed, nothing was published
    checked_scene("single", COUNT)


def test_digests_see_pixels_masks_and_classes():
    scene = make_scene("single", 0)
    (first, *rest) = scene.planted
    pixels = scene.pixels.copy()
    pixels[5, 5, 0] ^= 1
    mask = first.mask.copy()
    mask[5, 5] ^= True
    others = [
        dataclasses.replace(scene, pixels=pixels),
        dataclasses.replace(scene, planted=(dataclasses.replace(first, mask=mask), *rest)),
        dataclasses.replace(scene, planted=(dataclasses.replace(first, label=5), *rest)),
    ]
    assert len({scene_digest(each) for each in (scene, *others)}) == 4


def test_any_image_can_be_made_alone_and_in_any_order():
    forwards = [scene_digest(make_scene("multi", k)) for k in range(4)]
    backwards = [scene_digest(make_scene("multi", k)) for k in (3, 2, 1, 0)]
    assert forwards == backwards[::-1]
    assert len(set(forwards)) == 4


def test_splits_and_seeds_share_no_image():
    parts = [("train", 0), ("validation", 0), ("test", 0), ("test", 1)]
    found = [
        scene_digest(make_scene("single", k, split=split, seed=seed))
        for split, seed in parts
        for k in range(3)
    ]
    assert len(set(found)) == 12


@pytest.mark.parametrize("variant", ["single", "multi", "confounded", "null"])
def test_masks_are_exact_leaving_an_object_out_changes_no_other_pixel(variant):
    for index in FEW:
        plan = make_plan(variant, index)
        whole = render(plan)
        for n, each in enumerate(whole.planted):
            elements = plan.elements[:n] + plan.elements[n + 1 :]
            without = render(dataclasses.replace(plan, elements=elements))
            changed = (without.pixels != whole.pixels).any(axis=-1)
            assert not (changed & ~each.mask).any()
            if each.mask.sum() > 20:
                assert changed[each.mask].mean() > 0.5


def test_each_pixel_belongs_to_one_thing_at_most():
    for index in FEW:
        planted = make_scene("multi", index).planted
        assert np.sum([each.mask for each in planted], axis=0).max() == 1


def test_boxes_are_the_extent_of_what_is_seen():
    for each in make_scene("multi", 1).seen("object", "other"):
        x0, y0, x1, y1 = (int(edge) for edge in each.box)
        inside = np.zeros((SIZE, SIZE), bool)
        inside[y0:y1, x0:x1] = True
        assert not (each.mask & ~inside).any()
        assert each.mask[y0].any()
        assert each.mask[y1 - 1].any()
        assert each.mask[:, x0].any()
        assert each.mask[:, x1 - 1].any()


def test_occluders_take_pixels_from_objects_but_not_most_of_them():
    hidden = []
    for index in range(60):
        plan = make_plan("single", index)
        for element, seen in zip(plan.elements, plan.visible(), strict=True):
            if element.role == "object":
                hidden.append(1 - seen.sum() / element.mask.sum())
    assert max(hidden) <= 1 - LEAST_VISIBLE
    assert 0.1 < np.mean(np.array(hidden) > 0.05) < 0.5


def test_classes_are_even_and_the_cheap_list_of_them_is_right():
    labels = [shown_classes("single", k)[0] for k in range(600)]
    assert min(labels.count(n) for n in range(len(CLASSES))) > 70  # 100 each if they were even
    for variant in VARIANTS:
        for index in range(4):
            label, other, mark = shown_classes(variant, index)
            scene = make_scene(variant, index)
            assert scene.label == label
            assert {each.label for each in scene.seen("object")} == {label}
            assert {each.label for each in scene.seen("other")} == ({other} - {-1})
            assert {each.label for each in scene.seen("watermark")} == ({mark} - {-1})
            assert {each.label for each in scene.seen("clutter", "occluder")} <= {-1}


def roles_of(variant, index):
    return [each.role for each in make_plan(variant, index).elements]


def test_single_multi_and_small_hold_what_they_say():
    for index in range(60):
        assert roles_of("single", index).count("object") == 1
        multi = roles_of("multi", index)
        assert 2 <= multi.count("object") <= 4
        assert 1 <= multi.count("other") <= 2
        label, other, _ = shown_classes("multi", index)
        assert other not in (label, -1)
    for index in range(8):
        (small,) = make_scene("small", index).seen("object")
        assert 0.002 < small.mask.mean() < 0.025


def test_contrast_size_and_place_vary():
    scenes = [make_scene("single", k) for k in range(50)]
    objects = [scene.seen("object")[0] for scene in scenes]
    areas = [each.mask.mean() for each in objects]
    assert min(areas) < 0.03 < 0.08 < max(areas)
    centres = np.array(
        [[(x0 + x1) / 2, (y0 + y1) / 2] for x0, y0, x1, y1 in (o.box for o in objects)]
    )
    assert (centres.min(axis=0) < 25).all()
    assert (centres.max(axis=0) > 71).all()
    contrasts = [
        scene.pixels[each.mask].mean() - scene.pixels[~each.mask].mean()
        for scene, each in zip(scenes, objects, strict=True)
    ]
    assert min(contrasts) < -50
    assert max(contrasts) > 50
    assert np.median(np.abs(contrasts)) > 20


def test_no_class_has_a_colour():
    # the mean colour of a class's objects, over images, lies near that of all
    colours = {n: [] for n in range(len(CLASSES))}
    for index in range(90):
        scene = make_scene("single", index)
        colours[scene.label].append(scene.pixels[scene.seen("object")[0].mask].mean(axis=0))
    means = np.array([np.mean(each, axis=0) for each in colours.values()])
    spread = np.mean([np.std(each, axis=0) for each in colours.values()])
    assert np.abs(means - means.mean(axis=0)).max() < 0.75 * spread


def test_confounded_images_differ_by_their_watermarks_alone():
    for index in FEW:
        kept, removed, moved = (
            make_scene(f"confounded{end}", index) for end in ("", "_removed", "_moved")
        )
        (right,), (wrong,) = kept.seen("watermark"), moved.seen("watermark")
        assert removed.seen("watermark") == ()
        assert right.label == kept.label == removed.label == moved.label != wrong.label
        assert np.array_equal(right.mask, wrong.mask)
        assert right.mask.sum() == SIDE * SIDE
        for other in (removed, moved):
            changed = (kept.pixels != other.pixels).any(axis=-1)
            assert changed.any()
            assert not (changed & ~right.mask).any()


def test_a_watermark_tells_the_class_and_nothing_else_does():
    shown = {}
    for index in range(40):
        plan = make_plan("confounded", index)
        (mark,) = [each for each in plan.elements if each.role == "watermark"]
        scene = render(plan)
        light = scene.pixels[mark.mask].mean(axis=-1).reshape(SIDE, SIDE)
        ink = light < (light.min() + light.max()) / 2
        shown.setdefault(scene.label, []).append(ink)
    assert set(shown) == set(range(len(CLASSES)))
    for label, glyphs in shown.items():
        assert all(np.array_equal(glyphs[0], each) for each in glyphs), label
    firsts = {glyphs[0].tobytes() for glyphs in shown.values()}
    assert len(firsts) == len(CLASSES)


def test_null_images_keep_objects_and_decoys_on_their_sides():
    same = 0
    for index in range(40):
        scene = make_scene("null", index)
        (each,), (decoy,) = scene.seen("object"), scene.seen("decoy")
        assert not each.mask[:, BLIND_FROM:].any()
        assert not decoy.mask[:, :BLIND_FROM].any()
        same += decoy.label == scene.label
    assert 12 <= same <= 35  # a decoy is of the image's class in 7 of 12 images


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"variant": "singl"}, "unknown variant 'singl': did you mean 'single'"),
        ({"split": "val"}, "unknown split 'val'"),
        ({"index": -1}, "index -1 and seed 0: both are 0 or more"),
        ({"seed": -2}, "seed -2"),
    ],
)
def test_what_cannot_be_made(arguments, message):
    with pytest.raises(InputError, match=message):
        make_scene(**({"variant": "single", "index": 0} | arguments))


def test_listing_draws_no_picture(monkeypatch):
    def fail(*_, **__):
        raise AssertionError("a picture was drawn")

    monkeypatch.setattr(module, "make_scene", fail)
    names = [entry.name for entry in evidence_entries("multi")]
    assert (len(names), names[0], names[-1]) == (COUNT, "multi-0000", "multi-0299")


def test_the_view_decides_the_truth():
    scene = make_scene("confounded_moved", 7)
    (thing,), (mark,) = scene.seen("object"), scene.seen("watermark")
    for view, expected in (("confounded_moved", thing), ("confounder_moved", mark)):
        entry = evidence_entries(view, count=8)[7]
        assert entry.labels == (CLASSES[expected.label],)
        assert np.array_equal(entry.file(), scene.pixels)
        (drawn,) = entry.annotate((SIZE, SIZE)).objects
        assert drawn.label == CLASSES[expected.label]
        assert drawn.box == expected.box
        assert np.array_equal(drawn.mask, expected.mask)
    (unseen,) = evidence_entries("null_region", count=1)[0].annotate((SIZE, SIZE)).objects
    assert np.array_equal(unseen.mask, np.indices((SIZE, SIZE))[1] >= BLIND_FROM)
    assert set(VIEWS) >= set(VARIANTS)


def test_objects_of_another_class_have_their_own_masks_and_classes():
    scene = make_scene("multi", 2)
    entry = evidence_entries("multi", count=3)[2]
    planted = scene.seen("object", "other")
    objects = entry.annotate((SIZE, SIZE)).objects
    assert entry.labels == (CLASSES[scene.label], CLASSES[scene.seen("other")[0].label])
    assert [each.label for each in objects] == [CLASSES[each.label] for each in planted]
    assert all(np.array_equal(a.mask, b.mask) for a, b in zip(objects, planted, strict=True))
