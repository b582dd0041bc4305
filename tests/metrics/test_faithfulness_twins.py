"""Each further metric of faithfulness: a value worked out by hand, and a twin from the paper."""

import dataclasses

import numpy as np
import pytest
from slow import SIZE, image_and_maps, of, smooth

from gradcam_eval.core import InputError, Undefined
from gradcam_eval.metrics import (
    METRICS,
    abpc,
    aopc,
    average_drop,
    average_gain,
    evaluate,
    faithfulness_correlation,
    increase_in_confidence,
    infidelity,
    insertion,
    irof,
    lerf,
    morf,
    road,
    road_lerf,
    road_morf,
    sensitivity_n,
)
from gradcam_eval.metrics.black_box import BlackBox
from gradcam_eval.metrics.region_removal import region_ranks, square_grid, superpixels
from gradcam_eval.metrics.subsets import random_sets
from gradcam_eval.perturb import filled, gaussian_blur, impute
from gradcam_eval.protocols import IMAGENET_MEAN, PROTOCOLS

WHITE = np.full((1, 1, 2, 3), 255, np.float32)


def known(images):
    """Score 0.7 for an untouched left pixel and 0.3 for an untouched right one, in proportion."""
    share = images[:, 0, :, 0].astype(np.float64) / 255
    return (share @ [[0.7], [0.3]]).repeat(2, axis=1)


def changed(name, **fields):
    return dataclasses.replace(PROTOCOLS[name], **fields)


BLACK = PROTOCOLS["drop2018"].behind
PIXELS = changed("flip_mean", removal=BLACK, step_fraction=None, step_pixels=1)
BETWEEN = changed("abpc_mean", removal=BLACK, step_fraction=None, step_pixels=1)


def test_morf_and_lerf_by_hand():
    # MoRF: 1, .3, 0, area .4; LeRF: 1, .7, 0, area (1 + .7) / 4 + .7 / 4 = .6
    heatmap = np.array([[[2.0, 1.0]]])
    assert morf(known, WHITE, heatmap, [0], PIXELS)[0].area == pytest.approx(0.4)
    assert lerf(known, WHITE, heatmap, [0], PIXELS)[0].area == pytest.approx(0.6)
    assert abpc(known, WHITE, heatmap, [0], BETWEEN)[0] == pytest.approx(0.2)
    assert abpc(known, WHITE, -heatmap, [0], BETWEEN)[0] == pytest.approx(-0.2)


def test_lerf_is_the_morf_of_the_negative_map():
    image, maps = image_and_maps()
    rules = changed("flip_mean", step_fraction=0.1)
    for down, up in zip(
        lerf(smooth, image, maps, [0, 1, 0], rules),
        morf(smooth, image, -maps, [0, 1, 0], rules),
        strict=True,
    ):
        np.testing.assert_allclose(down.score, up.score)


def test_a_step_may_be_a_share_of_the_pixels():
    image, maps = image_and_maps(1)
    curve = morf(smooth, image, maps, [0], changed("flip_mean", step_fraction=0.25))[0]
    # round(0.25 * 42) = 10 pixels (half to even)
    np.testing.assert_allclose(curve.fraction * 42, [0, 10, 20, 30, 40, 42])


@pytest.mark.parametrize(("metric", "is_insertion"), [(morf, False), (insertion, True)])
def test_a_curve_may_impute_what_is_missing(metric, is_insertion):
    image, (heatmap,) = image_and_maps(1)
    fill = PROTOCOLS["flip_imputed"].removal
    rules = changed("flip_imputed", step_fraction=0.25, seed=5)
    rules = dataclasses.replace(rules, metrics=("morf", "insertion"))
    found = metric(smooth, image, [heatmap], [0], rules)[0]
    noise = np.random.default_rng(5).normal(0, fill.sigma, image.shape[1:]).astype(np.float32)
    order = np.argsort(-heatmap, axis=None, kind="stable")
    scores = []
    for count in (0, 10, 20, 30, 40, 42):
        missing = np.full(heatmap.shape, is_insertion)
        missing.flat[order[: max(count, 1) if is_insertion else min(count, 41)]] = not is_insertion
        picture = impute(image[0], missing)  # weights 1/6 and 1/12
        picture[missing] += noise[missing]
        scores.append(of(picture))
    np.testing.assert_allclose(found.score, scores, atol=1e-6)
    np.testing.assert_allclose(found.fraction * 42, [0, 10, 20, 30, 40, 42])
    assert np.ptp(scores) > 0.01


def test_imputation_has_no_picture_of_its_own_and_no_tolerance():
    image, maps = image_and_maps(1)
    removal = PROTOCOLS["flip_imputed"].removal
    with pytest.raises(InputError, match="'noisy_linear' follows what is removed"):
        aopc(smooth, image, maps, [0], changed("samek2017", removal=removal))
    with pytest.raises(InputError, match="imputes and has a tolerance"):
        changed("flip_imputed", tolerance=0.01)


def test_log_odds_of_a_black_box_and_no_logit():
    image, maps = image_and_maps(1)
    plain = morf(smooth, image, maps, [0], "flip_mean")[0].score
    odds = morf(smooth, image, maps, [0], "flip_mean_log_odds")[0].score
    np.testing.assert_allclose(odds, np.log(plain / (1 - plain)), rtol=1e-9)
    with pytest.raises(InputError, match="predict gives probabilities alone"):
        morf(smooth, image, maps, [0], "flip_mean_logit")
    certain = morf(lambda x: np.ones((len(x), 2)), image, maps, [0], "flip_mean_log_odds")
    assert certain == [Undefined("the model's score is not finite")]


def test_aopc_by_hand():
    rules = changed("samek2017_one_draw", size=1, removal=BLACK)
    # scores 1, .3, 0: falls 0, .7, 1, mean 17/30
    assert aopc(known, WHITE, [np.array([[2.0, 1]])], [0], rules) == [pytest.approx(1.7 / 3)]


def test_aopc_equals_its_twin():
    image, maps = image_and_maps(2)
    rules = changed("samek2017", size=3, steps=4, seed=7, repeats=3)
    generator = np.random.default_rng(7)
    noises = [generator.uniform(0, 255, image.shape[1:]).astype(np.float32) for _ in range(3)]
    for heatmap, found in zip(maps, aopc(smooth, image, maps, [0, 0], rules), strict=True):
        squares = [(r, c) for r in range(0, 6, 3) for c in range(0, 7, 3)]
        squares.sort(key=lambda at: -heatmap[at[0] : at[0] + 3, at[1] : at[1] + 3].sum())
        means = []
        for noise in noises:
            picture, falls = image[0].copy(), [0.0]
            for r, c in squares[:4]:
                picture[r : r + 3, c : c + 3] = noise[r : r + 3, c : c + 3]
                falls.append(of(image[0]) - of(picture))
            means.append(np.mean(falls))
        assert found == pytest.approx(np.mean(means), abs=1e-7)
        assert np.ptp(means) > 0.001


def test_regions_rank_by_sum_or_mean_and_ties_by_number():
    labels = square_grid((2, 5), 2)
    heatmap = np.array([[1, 1, 0, 0, 3], [1, 0, 0, 0, 0]], np.float32)
    # sums 3, 0, 3; means .75, 0, 1.5
    assert region_ranks(heatmap, labels, "sum")[0].tolist() == [0, 0, 2, 2, 1]
    assert region_ranks(heatmap, labels, "mean")[0].tolist() == [1, 1, 2, 2, 0]


def test_irof_equals_its_twin():
    generator = np.random.default_rng(2)
    image = generator.uniform(0, 255, (1, *SIZE, 3)).astype(np.float32)
    heatmap = generator.random(SIZE).astype(np.float32)
    rules = changed("irof2020", segments=6, compactness=1000.0)
    labels = superpixels(image[0], rules)
    assert sorted(np.unique(labels)) == list(range(labels.max() + 1))
    assert labels.max() >= 3
    order = sorted(range(labels.max() + 1), key=lambda k: -heatmap[labels == k].mean())
    picture, scores = image[0].copy(), [of(image[0])]
    for segment in order:
        picture[labels == segment] = image[0].mean(axis=(0, 1))
        scores.append(of(picture))
    ratio = np.array(scores) / scores[0]
    expected = 1 - sum((ratio[i] + ratio[i + 1]) / 2 for i in range(len(order))) / len(order)
    assert irof(smooth, image, [heatmap], [0], rules)[0] == pytest.approx(expected, abs=1e-6)
    left, count = ratio[1:], len(order)  # what Quantus keeps, and makes of it
    quantus = count - sum((left[i] + left[i + 1]) / 2 for i in range(count - 1))
    assert quantus == pytest.approx(count * expected + (1 + left[0]) / 2)
    assert irof(lambda x: np.zeros((len(x), 2)), image, [heatmap], [0], rules) == [
        Undefined("the score of the unperturbed image is 0")
    ]


def test_drop_increase_and_gain_by_hand():
    heatmaps = [np.array([[3.0, 1.0]]), np.array([[1.0, 3.0]])]  # seen through 1, 0 and 0, 1
    # y = 1: o = .7 and .3
    assert average_drop(known, WHITE, heatmaps, [0, 0]) == pytest.approx([0.3, 0.7])
    assert increase_in_confidence(known, WHITE, heatmaps, [0, 0]) == [False, False]
    full = Undefined("the score of the image is 1")
    assert average_gain(known, WHITE, heatmaps, [0, 0]) == [full, full]

    def inverse(images):
        return 1 - known(images)

    # y = 0: o = .3 and .7
    assert average_drop(inverse, WHITE, heatmaps[:1], [0]) == [
        Undefined("the score of the image is 0")
    ]
    assert increase_in_confidence(inverse, WHITE, heatmaps, [0, 0]) == [True, True]
    assert average_gain(inverse, WHITE, heatmaps, [0, 0]) == pytest.approx([0.3, 0.7])


@pytest.mark.parametrize("protocol", ["drop2018", "drop2018_mean"])
def test_drop_equals_its_twin(protocol):
    image, maps = image_and_maps()
    behind = np.array((0, 0, 0) if protocol == "drop2018" else IMAGENET_MEAN)
    drops = average_drop(smooth, image, maps, [0, 1, 0], protocol)
    gains = average_gain(smooth, image, maps, [0, 1, 0], protocol)
    for n, target in enumerate((0, 1, 0)):
        share = (maps[n] - maps[n].min()) / (maps[n].max() - maps[n].min())
        seen = behind + share[..., None] * (image[0] - behind)
        y, o = of(image[0], target), of(seen, target)
        assert drops[n] == pytest.approx(max(0, y - o) / y, abs=1e-5)
        assert gains[n] == pytest.approx(max(0, o - y) / (1 - y), abs=1e-5)
    assert max(drops) > 0.01
    assert max(gains) > 0.01


def slow_impute(image, missing):
    """Relax each missing pixel to the weighted mean of its neighbours until nothing moves."""
    picture = image.astype(np.float64)
    picture[missing] = 128
    height, width = missing.shape
    for _ in range(3000):
        largest = 0.0
        for r, c in np.argwhere(missing):
            total, weights = np.zeros(3), 0.0
            for dr, dc in [(a, b) for a in (-1, 0, 1) for b in (-1, 0, 1) if (a, b) != (0, 0)]:
                if 0 <= r + dr < height and 0 <= c + dc < width:
                    weight = 1 / 6 if 0 in (dr, dc) else 1 / 12
                    total += weight * picture[r + dr, c + dc]
                    weights += weight
            largest = max(largest, np.abs(picture[r, c] - total / weights).max())
            picture[r, c] = total / weights
        if largest < 1e-6:
            break
    return picture


def test_road_equals_its_twin():
    image, maps = image_and_maps(1)
    rules = changed("road2022", fractions=(0.25, 0.5), seed=3)
    most = road_morf(smooth, image, maps, [0], rules)[0]
    least = road_lerf(smooth, image, maps, [0], rules)[0]
    noise = np.random.default_rng(3).normal(0, 2.55, image.shape[1:])
    order = np.argsort(-maps[0].ravel(), kind="stable")
    for curve, places in ((most, order), (least, order[::-1])):
        np.testing.assert_allclose(curve.fraction * 42, [10, 21])  # round(10.5) is even
        for point, count in enumerate((10, 21)):
            missing = np.zeros(42, bool)
            missing[places[:count]] = True
            missing = missing.reshape(SIZE)
            picture = slow_impute(image[0], missing)
            picture[missing] += noise[missing]
            assert curve.score[point] == pytest.approx(of(picture), abs=1e-5)
    both = road(
        smooth, image, maps, [0], changed("road2022_combined", fractions=(0.25, 0.5), seed=3)
    )
    assert both[0] == pytest.approx((least.score - most.score).mean() / 2, abs=1e-9)


def test_road_is_half_the_difference_of_the_means_and_not_of_the_areas():
    image, maps = image_and_maps(3)
    both = road(smooth, image, maps, [0, 1, 0])

    def of_orders(protocol):
        most = road_morf(smooth, image, maps, [0, 1, 0], protocol)
        least = road_lerf(smooth, image, maps, [0, 1, 0], protocol)
        return most, [(b.area - a.area) / 2 for a, b in zip(most, least, strict=True)]

    curves, means = of_orders("road2022_mean")
    assert [curve.area for curve in curves] == [float(curve.score.mean()) for curve in curves]
    np.testing.assert_allclose(both, means, rtol=1e-12)
    areas_too, areas = of_orders("road2022")
    for one, other in zip(curves, areas_too, strict=True):
        np.testing.assert_array_equal(one.score, other.score)  # the same points, another number
    assert np.abs(np.subtract(both, areas)).min() > 1e-4
    by_area = changed("road2022_combined", area=PROTOCOLS["road2022"].area)
    np.testing.assert_allclose(road(smooth, image, maps, [0, 1, 0], by_area), areas, rtol=1e-9)


def test_infidelity_by_hand():
    # one pixel: the only square is the image itself; the fall is 1, the forecast the map's value
    def whole(images):
        return images.mean((1, 2)) / 255

    image = np.full((1, 1, 2, 3), 255, np.float32)
    rules = changed("infidelity2019", draws=40)
    # squares of side 1 cover one of two pixels: fall .5, forecasts 3 and 1
    found = infidelity(whole, image, [np.array([[3.0, 1.0]])], [0], rules)[0]
    lefts = sum(slow_squares(40, (1, 2), 1)[:, 0, 0])
    assert found == pytest.approx((lefts * 2.5**2 + (40 - lefts) * 0.5**2) / 40)
    # the map that says how the score falls is without error, whatever its scale
    exact = infidelity(known, image, [np.array([[0.7, 0.3]])], [0], rules)[0]
    assert exact == pytest.approx(0, abs=1e-12)
    scaled = changed("infidelity2019_scaled", draws=40)
    assert infidelity(known, image, [np.array([[70.0, 30]])], [0], scaled)[0] == pytest.approx(0)
    assert infidelity(known, image, [np.array([[0.3, 0.7]])], [0], scaled)[0] > 0.01


def slow_squares(draws, size, largest, seed=0):
    generator = np.random.default_rng(seed)
    masks = np.zeros((draws, *size), bool)
    for mask in masks:
        side = generator.integers(1, largest + 1)
        top, left = (generator.integers(0, n - side + 1) for n in size)
        mask[top : top + side, left : left + side] = True
    return masks


@pytest.mark.parametrize("scaled", [False, True])
def test_infidelity_equals_its_twin(scaled):
    image, maps = image_and_maps(2)
    rules = changed("infidelity2019", draws=30, is_scaled=scaled)
    found = infidelity(smooth, image, maps, [0, 1], rules)
    masks = slow_squares(30, SIZE, 2)  # round(10 / 28 * 6)
    for n, target in enumerate((0, 1)):
        forecast = [maps[n][mask].sum() for mask in masks]
        fall = [
            of(image[0], target) - of(np.where(mask[..., None], 0, image[0]), target)
            for mask in masks
        ]
        beta = np.dot(forecast, fall) / np.dot(forecast, forecast) if scaled else 1
        expected = np.mean([(beta * a - b) ** 2 for a, b in zip(forecast, fall, strict=True)])
        assert found[n] == pytest.approx(expected, rel=1e-4)


@pytest.mark.parametrize("protocol", ["infidelity2019_places", "infidelity2019"])
def test_squares_drawn_by_their_places_estimate_the_mean_over_every_square(protocol):
    image, maps = image_and_maps(1)
    maps = 1 + np.abs(maps)  # a larger square holds more of it
    errors = {1: [], 2: []}  # sides up to round(10 / 28 * 6): 42 and 30 places
    for side, found in errors.items():
        for top, left in np.ndindex(SIZE[0] + 1 - side, SIZE[1] + 1 - side):
            mask = np.zeros(SIZE, bool)
            mask[top : top + side, left : left + side] = True
            fall = of(image[0]) - of(np.where(mask[..., None], 0, image[0]))
            found.append((maps[0][mask].astype(float).sum() - fall) ** 2)
    published = np.mean(errors[1] + errors[2])
    evenly = (np.mean(errors[1]) + np.mean(errors[2])) / 2
    draws = 40_000
    bound = 6 * np.std(errors[1] + errors[2]) / np.sqrt(draws)  # six standard errors
    assert evenly > published + 3 * bound
    found = infidelity(smooth, image, maps, [0], changed(protocol, draws=draws))[0]
    expected = evenly if protocol == "infidelity2019" else published
    assert found == pytest.approx(expected, abs=1.5 * bound)


def test_infidelity_with_noise_equals_its_twin():
    image, maps = image_and_maps(1)
    found = infidelity(smooth, image, maps, [0], changed("infidelity2019_noise", draws=20))[0]
    generator, errors = np.random.default_rng(0), []
    for _ in range(20):
        values = np.clip(generator.normal(0, 0.2, image[0].shape), 0, 1)
        taken = image[0] / 255 - values
        fall = of(image[0]) - of(255 * values)
        errors.append(((taken.mean(axis=-1) * maps[0]).sum() - fall) ** 2)
    assert found == pytest.approx(np.mean(errors), rel=1e-4)


def test_a_linear_model_is_told_perfectly_by_its_own_contributions():
    generator = np.random.default_rng(4)
    weights = generator.uniform(0, 1e-4, (*SIZE, 3))
    image = generator.uniform(0, 255, (1, *SIZE, 3)).astype(np.float32)

    def linear(images):
        return np.tensordot(images, weights, 3)[:, None]

    value = BlackBox(linear, output="regression")
    contributions = ((image[0] - IMAGENET_MEAN) * weights).sum(axis=-1)
    for sign in (1, -1):
        maps = [sign * contributions.astype(np.float32)]
        curve = sensitivity_n(value, image, maps, [0], changed("ancona2018", draws=20))[0]
        np.testing.assert_allclose(curve.score, sign, atol=1e-4)
        rules = changed("bhatt2020_correlation", draws=20, subset_pixels=5)
        found = faithfulness_correlation(value, image, maps, [0], rules)[0]
        assert found == pytest.approx(sign, abs=1e-4)


def test_correlation_equals_its_twin():
    image, maps = image_and_maps(2)
    rules = changed("bhatt2020_correlation", draws=25, subset_pixels=8)
    found = faithfulness_correlation(smooth, image, maps, [0, 1], rules)
    sets = random_sets(42, 8, 25, np.random.default_rng(0))
    for n, target in enumerate((0, 1)):
        falls, sums = [], []
        for chosen in sets.reshape(-1, *SIZE):
            picture = np.where(chosen[..., None], np.float32(IMAGENET_MEAN), image[0])
            falls.append(of(image[0], target) - of(picture, target))
            sums.append(maps[n][chosen].sum())
        assert found[n] == pytest.approx(np.corrcoef(sums, falls)[0, 1], abs=1e-4)
    blind = faithfulness_correlation(lambda x: np.full((len(x), 2), 0.5), image, maps[:1], [0])
    assert blind == [Undefined("the score or the heatmap does not vary over the sets")]


def test_random_sets_have_their_size_and_favour_no_pixel():
    sets = random_sets(10, 3, 4000, np.random.default_rng(0))
    assert (sets.sum(axis=1) == 3).all()
    np.testing.assert_allclose(sets.mean(axis=0), 0.3, atol=0.04)


@pytest.mark.parametrize("metric", [morf, lerf, abpc, aopc, irof, road_morf, road_lerf, road])
def test_a_positive_factor_changes_no_ranking_metric(metric):
    image, maps = image_and_maps(2)
    plain = metric(smooth, image, maps, [0, 1])
    scaled = metric(smooth, image, maps * 1024, [0, 1])
    for a, b in zip(plain, scaled, strict=True):
        assert getattr(a, "area", a) == getattr(b, "area", b)


@pytest.mark.parametrize("metric", [aopc, road, infidelity, faithfulness_correlation])
def test_the_seed_of_a_protocol_decides_its_draws(metric):
    image, maps = image_and_maps(1)
    name = metric.__defaults__[0]
    rules = changed(name, subset_pixels=9) if "subset_pixels" in vars(PROTOCOLS[name]) else name
    plain = metric(smooth, image, maps, [0], rules)
    assert metric(smooth, image, maps, [0], rules) == plain
    other = dataclasses.replace(PROTOCOLS[name] if rules is name else rules, seed=9)
    assert metric(smooth, image, maps, [0], other) != plain


OF_LABEL = [
    (metric.name, name)
    for metric in METRICS.values()
    for name in metric.protocols
    if getattr(PROTOCOLS[name], "of", "target") == "label"
]


@pytest.mark.parametrize(("metric", "name"), OF_LABEL)
def test_a_protocol_of_the_label_reads_the_label(cases_of_two_labels, metric, name):
    first, second, none = evaluate(metric, cases_of_two_labels, smooth, name)
    np.testing.assert_allclose(first.score + second.score, 1, atol=1e-6)
    assert np.abs(first.score - second.score).max() > 1e-3
    assert none == Undefined("the image has no label, and the protocol reads its score")


def test_the_label_can_be_read_by_deletion_insertion_flipping_and_road():
    read = {metric for metric, _ in OF_LABEL}
    assert read == {"deletion", "insertion", "morf", "lerf", "road_morf", "road_lerf"}


@pytest.mark.parametrize("metric", ["deletion", "insertion"])
def test_of_the_explained_class_both_protocols_of_rise_are_one(cases_of_two_labels, metric):
    cases = cases_of_two_labels[:2]  # explained: class 0; labels: 0, and 1 before 0
    by_label = evaluate(metric, cases, smooth, "rise2018_label")
    by_target = evaluate(metric, cases, smooth, "rise2018")
    np.testing.assert_array_equal(by_label[0].score, by_target[0].score)
    np.testing.assert_allclose(by_label[1].score, 1 - by_target[1].score, atol=1e-6)


@pytest.fixture
def cases_of_two_labels():
    from gradcam_eval.core import Case, Truth

    image, maps = image_and_maps(1)
    return [
        Case(image[0], maps[0], 0, Truth(SIZE), Truth(SIZE), labels=labels)
        for labels in ((0,), (1, 0), ())
    ]


def test_the_fills_by_hand():
    image = np.zeros((1, 1, 4, 1), np.float32)
    image[0, 0, :, 0] = [0, 0, 100, 100]
    assert (filled(image, PROTOCOLS["flip_mean"].removal) == 50).all()
    blurred = gaussian_blur(image, sigma=1.0)[0, 0, :, 0]
    # the mirrored border keeps the mean; the edge is spread evenly to both sides
    assert blurred.mean() == pytest.approx(50, abs=1e-4)
    assert blurred[0] + blurred[3] == pytest.approx(100, abs=1e-4)
    weights = np.exp(-(np.arange(-4, 5) ** 2) / 2)
    weights /= weights.sum()
    row = [100, 100, 0, 0, 0, 0, 100, 100, 100, 100, 0, 0]  # d c b a | a b c d | d c b a
    assert blurred[0] == pytest.approx(np.dot(row[:9], weights), abs=1e-3)
    noise = filled(image, PROTOCOLS["samek2017"].removal, np.random.default_rng(0))
    assert 0 <= noise.min() < noise.max() <= 255


def test_a_keras_model_reads_logits_compiled():
    import keras

    from gradcam_eval.models.engine import Predictor

    keras.utils.set_random_seed(0)
    layers = [
        keras.layers.Rescaling(1 / 99),
        keras.layers.Flatten(),
        keras.layers.Dense(3, "softmax"),
    ]
    model = keras.Sequential([keras.Input((*SIZE, 3)), *layers])
    image, maps = image_and_maps(2)
    odds = morf(model, image, maps, [0, 2], "flip_mean_log_odds")
    logits = morf(model, image, maps, [0, 2], "flip_mean_logit")
    black_box = morf(lambda x: np.asarray(model(x)), image, maps, [0, 2], "flip_mean_log_odds")
    table = Predictor(model, "logit")(image)[0]
    for n, target in enumerate((0, 2)):
        np.testing.assert_allclose(odds[n].score, black_box[n].score, atol=1e-4)
        assert logits[n].score[0] == pytest.approx(table[target], abs=1e-4)
    for metric in (average_drop, road_morf, irof, infidelity):
        fast = metric(model, image, maps, [0, 2])
        slow = metric(lambda x: np.asarray(model(x)), image, maps, [0, 2])
        for a, b in zip(fast, slow, strict=True):
            assert getattr(a, "area", a) == pytest.approx(getattr(b, "area", b), abs=1e-5)
