import numpy as np
import pytest

from gradcam_eval.arrays import resize
from gradcam_eval.core import InputError, Sample, Truth
from gradcam_eval.methods import METHODS, register_method
from gradcam_eval.metrics import METRICS, register_metric
from gradcam_eval.metrics.similarity import rank_correlation
from gradcam_eval.models.catalogue import ModelSpec
from gradcam_eval.study.asking import SharedExplainer
from gradcam_eval.study.config import Study
from gradcam_eval.study.judge import Cell, _named, failed_row, judge, reason_of, seed_of
from gradcam_eval.study.subject import LoadedModel, make_subject

SIDE = 40
NAMES = ("cat", "dog", "owl")
BOX = np.array([[2, 4, 9, 10]], np.float32)


def make_sample(rng, labels=(), boxes=BOX, **changes):
    image = rng.uniform(0, 255, (SIDE, SIDE, 3)).astype(np.float32)
    truth = Truth((SIDE, SIDE), np.asarray(boxes, np.float32).reshape(-1, 4))
    fields = {"id": "c1", "name": "picture", "image": image, "labels": labels} | changes
    return Sample(truth=truth, original_truth=truth, credit="me", licence="CC0", **fields)


@pytest.fixture(scope="module")
def subject(model):
    """Make the subject of a study with these changes, or give the one that was made before."""
    made = {}

    def make(**changes):
        values = {"name": "toy", "models": ["tiny"], "data": "x", "layers": ["late"]}
        values |= {"methods": ["layer_cam"], **changes}
        study = Study.model_validate(values)
        key = study.model_dump_json()
        if key not in made:
            loaded = LoadedModel(
                "tiny", model, ModelSpec("tiny", None, "none", NAMES), "d", (SIDE, SIDE)
            )
            made[key] = make_subject(study, loaded)
        return made[key]

    return make


def table(judged):
    """Each record by metric and method."""
    return {(record.metric, record.method): record for _, record in judged.records}


def other_than(judged):
    return (judged.row["target"] + 1) % 3


def test_every_cell_and_control_is_judged_by_every_metric(subject, rng):
    judged = judge(subject(methods=["layer_cam", "eigen_cam"]), make_sample(rng))
    methods = ["layer_cam", "eigen_cam", "random", "centre_gaussian", "edges", "oracle"]
    metrics = ["deletion", "insertion", "pointing_game"]
    assert list(table(judged)) == [(metric, method) for metric in metrics for method in methods]
    for kind, record in judged.records:
        assert record.status == "value", record.reason
        assert kind == ("cam" if record.layer else "control")
        assert (record.layer == "late") == (record.method in ("layer_cam", "eigen_cam"))
        assert (record.curve is None) == (record.metric == "pointing_game")
        if record.curve:
            assert record.value == record.curve.area
    assert table(judged)["pointing_game", "oracle"].value == 1.0
    assert [cell.method for cell in judged.maps] == methods
    assert judged.maps[next(iter(judged.maps))].shape == (20, 20)  # its own size, not the image's


def test_one_heatmap_is_judged_by_several_protocols_of_one_metric(subject, rng):
    names = ["rise2018", "gaussian_clean"]
    made = subject(metrics=["deletion"], protocols={"deletion": names}, controls=["random"])
    records = [record for _, record in judge(made, make_sample(rng)).records]
    assert [(record.protocol, record.method) for record in records] == [
        (name, method) for name in names for method in ("layer_cam", "random")
    ]
    assert {record.status for record in records} == {"value"}
    steps = {record.protocol: len(record.curve.score) for record in records}
    assert steps == {"rise2018": 9, "gaussian_clean": 230}  # 1600 pixels: 224, or 7, a step


def test_a_curve_begins_with_the_model_s_probability_and_controls_get_the_same(subject, rng):
    judged = judge(subject(), make_sample(rng))
    for (metric, _), record in table(judged).items():
        if metric == "deletion":
            assert record.curve.score[0] == pytest.approx(judged.row["probability"], rel=1e-5)
        if metric == "insertion":
            assert record.curve.score[-1] == pytest.approx(judged.row["probability"], rel=1e-5)


def test_the_row_says_what_the_model_saw_beside_what_is_right(subject, rng):
    sample = make_sample(rng)
    seen = judge(subject(), sample).row
    predicted = seen["target"]
    assert seen["target_name"] == NAMES[predicted]
    assert (seen["labels"], seen["hit_top1"], seen["hit_top5"]) == ("", "", "")
    assert (seen["width"], seen["height"]) == (SIDE, SIDE)
    assert (seen["status"], seen["credit"], seen["licence"]) == ("ok", "me", "CC0")
    right = judge(subject(), make_sample(np.random.default_rng(0), labels=(predicted,))).row
    assert (right["labels"], right["hit_top1"], right["hit_top5"]) == (NAMES[predicted], True, True)
    wrong = judge(subject(), make_sample(np.random.default_rng(0), labels=((predicted + 1) % 3,)))
    assert (wrong.row["hit_top1"], wrong.row["hit_top5"]) == (False, True)
    assert failed_row("tiny", "a", "why").keys() == seen.keys()


def test_an_annotation_of_another_class_judges_nothing(subject, rng):
    sample = make_sample(rng)
    other = other_than(judge(subject(), sample))
    found = table(judge(subject(), make_sample(np.random.default_rng(0), labels=(other,))))
    explained = NAMES[(other + 2) % 3]
    reason = f"the explained class is {explained}, and the annotation shows {NAMES[other]}"
    for (metric, method), record in found.items():
        by_truth = metric == "pointing_game" or method == "oracle"
        assert record.status == ("undefined" if by_truth else "value")
        assert record.reason == (reason if by_truth else "")
        assert (record.value is None) == by_truth


def test_a_label_of_several_classes_is_explained_by_the_most_probable_of_them(subject, rng):
    sample = make_sample(rng)
    probabilities = subject().predictor(sample.image[None])[0]
    order = np.argsort(-probabilities).tolist()
    # the label means the two that the model thinks least of; the first answer is another label
    labels = (order[2], order[1], order[0])
    both = {"labels": labels, "image": sample.image, "n_main": 2}
    found = judge(subject(target="label"), make_sample(rng, **both))
    assert found.row["target"] == order[1]
    assert found.row["labels"] == "; ".join(NAMES[n] for n in (order[1], order[2], order[0]))
    assert table(found)["pointing_game", "oracle"].value == 1.0
    # the first answer is right if it is any of them
    assert judge(subject(), make_sample(rng, **both)).row["hit_top1"]
    only = make_sample(rng, **both | {"labels": labels[:2]})
    assert not judge(subject(), only).row["hit_top1"]
    assert table(judge(subject(), only))["pointing_game", "oracle"].status == "undefined"


def test_a_protocol_of_the_label_reads_the_most_probable_class_of_it(subject, rng):
    made = subject(metrics=["deletion"], protocols={"deletion": "rise2018_label"})
    sample = make_sample(rng)
    probabilities = made.predictor(sample.image[None])[0]
    order = np.argsort(-probabilities).tolist()
    for labels, n_main, read in (
        ((order[1],), 1, order[1]),
        ((order[2], order[1]), 2, order[1]),  # one label that means both
        ((order[2], order[0]), 1, order[2]),  # and another object beside the main one
    ):
        judged = judge(made, make_sample(rng, labels=labels, image=sample.image, n_main=n_main))
        record = table(judged)["deletion", "layer_cam"]
        assert record.curve.score[0] == pytest.approx(probabilities[read], rel=1e-5)
    unlabelled = table(judge(made, sample))["deletion", "layer_cam"]
    assert (unlabelled.status, unlabelled.value) == ("undefined", None)
    assert unlabelled.reason == "the image has no label, and the protocol reads its score"


def test_of_many_right_classes_the_first_few_are_named(subject, rng):
    assert (
        judge(subject(), make_sample(rng, labels=tuple(range(3)), n_main=3))
        .row["labels"]
        .count(";")
        == 2
    )
    named = _named(subject(), tuple(range(118)), "; ")
    assert named.startswith("cat; dog; owl; ")
    assert named.endswith("; 113 more")


def test_one_right_label_of_several_is_enough(subject, rng):
    target = judge(subject(), make_sample(rng)).row["target"]
    labels = ((target + 1) % 3, target)
    found = table(judge(subject(), make_sample(np.random.default_rng(0), labels=labels)))
    assert {record.status for record in found.values()} == {"value"}


def test_without_annotation_the_oracle_and_truth_metrics_are_undefined(subject, rng):
    judged = judge(subject(), make_sample(rng, boxes=[]))
    for (metric, method), record in table(judged).items():
        by_truth = metric == "pointing_game" or method == "oracle"
        assert record.status == ("undefined" if by_truth else "value")
    assert "oracle" not in [cell.method for cell in judged.maps]


def test_the_label_or_a_class_can_be_explained(subject, rng):
    sample = make_sample(rng, labels=(2, 0))
    assert judge(subject(target="label"), sample).row["target"] == 2
    assert judge(subject(target=1), sample).row["target"] == 1
    assert judge(subject(target="Owl"), sample).row["target"] == 2
    with pytest.raises(InputError, match="explains each image's label, and this image has none"):
        judge(subject(target="label"), make_sample(rng))
    with pytest.raises(InputError, match="unknown class 'cow'"):
        subject(target="cow")


@pytest.fixture
def metric():
    """Register a metric for one test."""
    before = set(METRICS)

    def add(function, **options):
        options = {"needs": "truth", "unit": "u", "higher_is_better": True} | options
        register_metric("mine", **options)(function)

    yield add
    for name in set(METRICS) - before:
        del METRICS[name]


def test_a_metric_that_raises_fails_its_own_records_and_no_other(subject, rng, metric):
    def broken(cases, predict, protocol):
        raise ZeroDivisionError("division\nby nothing")

    metric(broken)
    found = table(judge(subject(metrics=["mine", "deletion"]), make_sample(rng)))
    for (name, _), record in found.items():
        if name == "mine":
            assert (record.status, record.value) == ("failed", None)
            assert record.reason == "ZeroDivisionError: division by nothing"
        else:
            assert record.status == "value"


def test_a_metric_that_miscounts_or_returns_nan_is_told_apart_from_a_value(subject, rng, metric):
    metric(lambda cases, predict, protocol: [float("nan")] * len(cases))
    found = table(judge(subject(metrics=["mine"]), make_sample(rng)))
    assert {record.status for record in found.values()} == {"undefined"}
    METRICS.pop("mine")
    metric(lambda cases, predict, protocol: [1.0])
    found = table(judge(subject(metrics=["mine"]), make_sample(rng)))
    assert {record.status for record in found.values()} == {"failed"}
    assert "returned 1 results for 5 cases" in found["mine", "edges"].reason


def test_a_long_reason_is_cut():
    reason = reason_of(ValueError("x" * 5000 + "the cause"))
    assert len(reason) < 600
    assert reason.startswith("ValueError: xxx")
    assert reason.endswith("xxxthe cause")
    assert reason_of(InputError("two\nlines")) == "two lines"


@pytest.fixture
def flat_method():
    @register_method
    def flat(activations, gradients):
        return 0 * activations[..., 0]

    yield "flat"
    del METHODS["flat"]


def test_a_degenerate_map_is_undefined_and_kept_to_be_looked_at(subject, rng, flat_method):
    judged = judge(subject(methods=["layer_cam", "flat"]), make_sample(rng))
    for (_, method), record in table(judged).items():
        assert record.status == ("undefined" if method == "flat" else "value")
        assert ("all zero" in record.reason) == (method == "flat")
    flat = next(maps for cell, maps in judged.maps.items() if cell.method == "flat")
    assert not flat.any()


def test_a_control_depends_on_seed_and_content_and_not_on_order_or_company(subject, rng):
    first, second = make_sample(rng), make_sample(rng, id="c2", name="other")

    def noise(changes, *samples):
        one = subject(**changes)
        judged = [judge(one, sample) for sample in samples][-1]
        return next(maps for cell, maps in judged.maps.items() if cell.method == "random")

    alone = noise({"controls": ["random"]}, first)
    assert (noise({"controls": ["edges", "random"]}, second, first) == alone).all()
    assert (noise({"controls": ["random"], "methods": ["eigen_cam"]}, first) == alone).all()
    assert (noise({"controls": ["random"]}, second) != alone).any()
    assert (noise({"controls": ["random"], "seed": 1}, first) != alone).any()


def test_a_seed_is_the_same_on_every_machine():
    # int.from_bytes(sha256(b"0\x1fc1\x1frandom").digest()[:8], "big")
    assert seed_of(0, "c1", "random") == 3202565022603290262
    assert seed_of("ab", "c") != seed_of("a", "bc")


ASKING = ["max_sensitivity", "local_lipschitz", "average_sensitivity", "flip_stability"]


def test_metrics_may_ask_for_heatmaps_of_changed_images(subject, rng):
    sample = make_sample(rng)
    toy = subject(methods=["layer_cam", "eigen_cam"], metrics=ASKING)
    judged = judge(toy, sample)
    for record in table(judged).values():
        if record.layer:
            assert record.status == "value", record.reason
        else:
            assert "cannot be asked for others (a control" in record.reason
    maps = toy.explainer(np.stack([sample.image, sample.image[:, ::-1]]), judged.row["target"])
    first, mirrored = (resize(each, (SIDE, SIDE)) for each in maps["late", "layer_cam"])
    expected = rank_correlation(first, mirrored[:, ::-1])
    assert table(judged)["flip_stability", "layer_cam"].value == pytest.approx(expected, abs=1e-5)


def test_all_cells_share_one_pass_over_the_changed_images(subject, rng, monkeypatch):
    toy, asked = subject(methods=["layer_cam", "eigen_cam"], metrics=ASKING), []
    original = type(toy.explainer).__call__

    def counting(self, images, *rest, **more):
        asked.append(len(images) if np.ndim(images) == 4 else 1)
        return original(self, images, *rest, **more)

    monkeypatch.setattr(type(toy.explainer), "__call__", counting)
    judge(toy, make_sample(rng))
    assert asked == [1, 51, 2]  # the image; its neighbours, for three metrics; its mirror image


def test_changed_images_are_explained_for_the_class_of_the_first(subject, rng):
    toy, sample = subject(methods=["grad_cam"]), make_sample(rng)
    for target in range(3):
        shared = SharedExplainer(toy.explainer, target)
        images = np.stack([sample.image, sample.image[::-1]])
        found = shared.of(("late", "grad_cam"))(images)
        expected = toy.explainer(images, target)["late", "grad_cam"]
        np.testing.assert_array_equal(found, expected)


def test_an_answer_is_kept_by_the_images_content(subject, rng):
    toy, sample = subject(methods=["layer_cam"]), make_sample(rng)
    explain = SharedExplainer(toy.explainer, 0).of(("late", "layer_cam"))
    images = sample.image[None].copy()
    before = explain(images)
    images[0, :20] = 0  # the same array with another content is another question
    assert not np.array_equal(explain(images), before)
    for shade in range(5):
        explain(np.full_like(images, shade))
    np.testing.assert_array_equal(explain(sample.image[None]), before)


def test_an_engine_is_checked_on_each_image_and_its_difference_is_kept(subject, rng):
    row = judge(subject(), make_sample(rng)).row
    assert row["engine"] == "frozen"
    assert 0 <= row["engine_difference"] <= 1e-5
    asks_nothing = judge(subject(metrics=["pointing_game"]), make_sample(rng)).row
    assert asks_nothing["engine_difference"] == ""


def test_an_engine_that_is_off_makes_no_numbers(subject, rng, monkeypatch):
    off = subject(engine="frozen")
    monkeypatch.setattr(off.predictor, "difference", lambda images: 3e-3)
    judged = judge(off, make_sample(rng))
    for (metric, _), record in table(judged).items():
        if metric == "pointing_game":
            assert record.status == "value"
        else:
            assert record.status == "failed"
            assert "differs from TensorFlow by 3.0e-03" in record.reason
    assert judged.row["engine_difference"] == 3e-3


def test_an_engine_that_we_chose_leaves_an_image_on_which_it_is_off_to_tensorflow(
    subject, rng, monkeypatch
):
    off, sample = subject(), make_sample(rng)
    expected = table(judge(subject(engine="tensorflow"), sample))
    monkeypatch.setattr(off.predictor, "difference", lambda images: 3e-3)
    judged = judge(off, sample)
    assert (judged.row["engine"], judged.row["engine_difference"]) == ("tensorflow", 0.0)
    assert {key: each.value for key, each in table(judged).items()} == {
        key: each.value for key, each in expected.items()
    }


@pytest.mark.parametrize("engine", ["auto", "frozen"])
def test_a_random_model_is_not_the_engines_fault(subject, rng, monkeypatch, engine):
    off = subject(engine=engine)
    monkeypatch.setattr(off.predictor, "difference", lambda images: 3e-3)
    monkeypatch.setattr(off.predictor, "variation", lambda images: 2e-3)
    judged = judge(off, make_sample(rng))
    assert {record.status for record in table(judged).values()} == {"value"}
    assert judged.row["engine_difference"] == ""


def test_an_engine_for_exploring_makes_numbers_however_far_it_is_off(subject, rng, monkeypatch):
    off = subject()
    monkeypatch.setattr(off.predictor, "engine", "openvino_bf16")
    monkeypatch.setattr(off.predictor, "difference", lambda images: 3e-3)
    judged = judge(off, make_sample(rng))
    assert {record.status for record in table(judged).values()} == {"value"}
    assert (judged.row["engine"], judged.row["engine_difference"]) == ("openvino_bf16", 3e-3)


@pytest.mark.parametrize(
    ("layer", "method", "kind"),
    [
        ("conv", "grad_cam", "cam"),
        ("conv", "score_cam(channels=4)", "layer"),
        ("low+high", "fusion_mean", "fusion"),
        ("input", "rise", "input"),
        ("input", "smooth_grad(samples=3)", "input"),
        ("", "random", "control"),
    ],
)
def test_a_cell_has_the_kind_of_its_method(layer, method, kind):
    assert Cell(layer, method).kind == kind
