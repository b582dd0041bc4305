"""What is recommended, and that sentences have the numbers of their test; folders in memory."""

import re
from dataclasses import replace

import numpy as np
import pandas as pd
import pytest
from simulated import folder_of

from gradcam_eval.report.recommend import recommend
from gradcam_eval.report.sentences import sentence_of
from gradcam_eval.report.verdict import verdicts_of
from gradcam_eval.statistics import compare_all

TOP = ("net", "layer_0", "grad_cam")
SECOND = ("net", "layer_0", "layer_cam")
GOOD = (1.0, 0.98, 0.0, 0.0)  # two of four cells are good, the first is a little better


def study(n=40, *, gains=GOOD, noise=0.05, controls=(0.0, 0.0, 0.0), seed=0):
    """Four cells at one layer with these mean gains over the controls."""
    generator = np.random.default_rng(seed)
    share = generator.normal(size=(n, 1))
    x = share + noise * generator.normal(size=(n, 4)) + gains
    c = share + noise * generator.normal(size=(n, 3)) + controls
    return folder_of(x, c)


def with_metric(folder, other, name="road"):
    """Add the records of another study as a second metric."""
    records = pd.concat([folder.records, other.records.assign(metric=name)], ignore_index=True)
    metrics = folder.study["metrics"]
    return replace(
        folder,
        records=records,
        study=folder.study | {"metrics": [*metrics, metrics[0] | {"name": name}]},
    )


def with_oracle(folder, worth):
    """Add the control that knows the truth, which the random one is better or worse than."""
    rows = folder.records[folder.records["method"] == "random"]
    rows = rows.assign(method="oracle", value=rows["value"] + worth + rows["value"].rank() * 1e-4)
    return replace(folder, records=pd.concat([folder.records, rows], ignore_index=True))


def costs(*, spread=0.0, ratio=None, **ms):
    """Times of cells, their quartiles ± a share of them, and their ratios to the forward pass."""
    ends, ratio = (1, 1 - spread, 1 + spread), ratio or {}
    rows = [
        ("net", "layer_0", method, 1, *(ms[method] * end for end in ends), ratio.get(method))
        for method in ms
    ]
    times = ["median_ms_per_image", "low_ms_per_image", "high_ms_per_image", "ratio_to_forward"]
    columns = ["model", "layer", "method", "batch_size", *times]
    return pd.DataFrame(rows, columns=columns).astype({"ratio_to_forward": float})


def calls(**passes):
    rows = [("net", "layer_0", method, *each) for method, each in passes.items()]
    return pd.DataFrame(rows, columns=["model", "layer", "method", "forwards", "backwards"])


@pytest.fixture(scope="module")
def equal():
    """Two cells that the data cannot tell from each other, both better than the controls."""
    return study(gains=(1.0, 0.999, 0.0, 0.0))


def test_the_cheapest_by_latency_then_by_model_calls_then_the_best_mean(equal):
    timed = replace(equal, cost=costs(grad_cam=30.0, layer_cam=20.0, eigen_cam=1.0))
    found = recommend(timed, "net")
    assert found.cell == SECOND
    assert found.sentence == (
        "Use layer_0 · layer_cam: by insertion (40 images) 2 cells are in the best set and shown "
        "to be better than every layer-free control; it is the cheapest of them (20.0 ms an image)."
    )
    counted = replace(equal, calls=calls(grad_cam=(1, 1), layer_cam=(1, 0), eigen_cam=(1, 0)))
    found = recommend(counted, "net")
    assert found.cell == SECOND
    assert "fewest model calls of them (forward passes: 1, backward passes: 0)." in found.sentence
    alike = recommend(replace(equal, calls=calls(grad_cam=(1, 1), layer_cam=(1, 1))), "net")
    best = verdicts_of(equal, "net")[0].members[0]
    assert alike.cell == best
    assert "backward passes: 1; of the 2 that need so few it has the best mean)." in alike.sentence
    unknown = recommend(equal, "net")
    assert unknown.cell == best
    assert "it has the best mean of them (what they cost is unknown)." in unknown.sentence


@pytest.mark.parametrize(
    "times",
    [
        {"grad_cam": 24.0, "layer_cam": 20.0},  # a fifth longer
        {"grad_cam": 30.0, "layer_cam": 20.0, "spread": 0.3},  # the quartiles overlap
        {"grad_cam": 30.0, "layer_cam": 20.0, "ratio": {"grad_cam": 0.9, "layer_cam": 1.0}},
    ],
)
def test_cells_that_take_as_long_as_the_fastest_tie(equal, times):
    """Five rounds of a few ms named the cheapest cell: another run named another one."""
    best = verdicts_of(equal, "net")[0].members[0]
    timed = replace(equal, cost=costs(**times))
    found = recommend(timed, "net")
    assert found.cell == best
    assert re.search(
        r"; 2 of them take as long as the fastest \([\d.]+ ms an image\), as far as was measured; "
        r"of these it has the best mean\.$",
        found.sentence,
    )
    counted = recommend(replace(timed, calls=calls(grad_cam=(1, 1), layer_cam=(1, 0))), "net")
    assert counted.cell == SECOND
    assert "measured; it needs the fewest model calls of these (forward" in counted.sentence


def test_slower_beside_the_forward_pass_and_by_its_quartiles_is_slower(equal):
    for ratio in ({"grad_cam": 1.3, "layer_cam": 1.0}, {"grad_cam": 1.0}):
        timed = costs(grad_cam=30.0, layer_cam=20.0, ratio=ratio)
        found = recommend(replace(equal, cost=timed), "net")
        assert found.cell == SECOND
        assert "it is the cheapest of them (20.0 ms an image)." in found.sentence


def test_one_cell_needs_no_cost():
    found = recommend(study(gains=(1.0, 0.5, 0.0, 0.0)), "net")
    assert found.sentence == (
        "Use layer_0 · grad_cam: by insertion (40 images) it is in the best set and shown to be "
        "better than every layer-free control."
    )


def test_without_a_cell_that_beats_every_control_the_gap_and_the_images_are_said():
    found = recommend(study(gains=(0.01, 0.0, 0.0, 0.0)), "net")
    assert found.cell is None
    said = re.fullmatch(
        r"No recommendation: no cell is shown to beat every layer-free control by insertion; use "
        r"Grad-CAM at the last layer. About (\d+) more images could show a difference of "
        r"(0\.\d+) to (\w+)\.",
        found.sentence,
    )
    assert int(said[1]) == found.more_images
    verdict = verdicts_of(study(gains=(0.01, 0.0, 0.0, 0.0)), "net")[0]
    table = verdict.against(("net", "", said[3]))
    assert f"{table['difference'].max():.3f}" == said[2]
    worse = recommend(study(gains=(0.0, 0.0, 0.0, 0.0), controls=(0.03, 0, 0)), "net")
    assert "by insertion random has as good a mean as any cell" in worse.sentence or (
        "insertion fails here" in worse.sentence
    )


def test_nothing_is_chosen_by_a_metric_that_fails(equal):
    """The drawn truth is worse than random: the metric does not show what a good map is."""
    assert recommend(with_oracle(equal, 0.5), "net").cell is not None
    found = recommend(with_oracle(equal, -0.5), "net")
    assert found.cell is None
    assert "insertion fails here, since the control random is shown to be better" in found.sentence


def test_another_metric_excludes_a_cell_unless_it_fails(equal):
    against = study(gains=(0.0, 1.0, 0.0, 0.0), seed=1)
    found = recommend(with_metric(equal, against), "net")
    assert found.cell == SECOND
    failing = with_metric(equal, with_oracle(against, -0.5))
    timed = replace(failing, cost=costs(grad_cam=1.0, layer_cam=2.0))
    assert recommend(timed, "net").cell == TOP
    none = with_metric(equal, study(gains=(0.0, 0.0, 1.0, 0.0), seed=1))
    assert "shown to be worse than the best by another metric" in recommend(none, "net").sentence


def test_difference_bound_and_p_of_a_sentence_are_of_one_test():
    folder = study(gains=(0.06, 0.03, 0.0, 0.0))
    (verdict,) = verdicts_of(folder, "net")
    random = ("net", "", "random")
    (said,) = [part for part in sentence_of(folder, verdict).points if "control random;" in part]
    expected = compare_all(
        folder.records, metric="insertion", reference=random, higher_is_better=True
    )
    row = expected.set_index("method").loc["grad_cam"]
    numbers = re.search(r"by \+([\d.]+), at least \+([\d.]+) at 95\xa0% for all .* p (.*); ", said)
    assert numbers[1] == f"{row['difference']:.3f}"
    assert numbers[2] == f"{row['low']:.3f}"
    assert numbers[3] == ("< .001" if row["p"] < 0.001 else f"= {row['p']:.3f}".replace("0.", "."))


def test_images_that_all_differ_alike_give_no_bound():
    """Six images without any spread are no proof of a difference of at least as much."""
    folder = folder_of(np.full((6, 2), 0.7), np.full((6, 1), 0.2))
    (verdict,) = verdicts_of(folder, "net")
    (said,) = [part for part in sentence_of(folder, verdict).points if "control random" in part]
    assert "by +0.500 (adjusted p = " in said
