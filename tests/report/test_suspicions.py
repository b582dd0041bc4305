"""Whether a metric works on the study's images, shortcuts, and nearly untrained models."""

import numpy as np
import pandas as pd
import pytest

from gradcam_eval.report.caveats import caveats
from gradcam_eval.report.folder import Folder
from gradcam_eval.report.sentences import sentence_of, works
from gradcam_eval.report.verdict import verdicts_of

DELETION = {"name": "deletion", "protocol": "rise2018", "higher_is_better": False}
ENERGY = {"name": "energy_pointing_game", "protocol": "energy2020", "higher_is_better": True}
CELLS = {"a": ("last", "grad_cam"), "b": ("last", "layer_cam")}
CONTROLS = ("random", "edges", "oracle")


def folder_of(means, tmp_path, *, n=20, noise=0.03, hits=True, spread=0.2):
    """A study in memory: metric → cell or control → mean over n images."""
    generator = np.random.default_rng(0)
    samples = [f"image {i}" for i in range(n)]
    rows = []
    for metric in (DELETION, ENERGY):
        shared = generator.normal(0, noise, n)
        for name, mean in means.get(metric["name"], {}).items():
            layer, method = CELLS.get(name, ("", name))
            values = mean + shared + generator.normal(0, noise, n)
            rows += [
                {"model": "net", "layer": layer, "method": method, "sample": sample}
                | {"kind": "cam" if layer else "control", "reason": "", "status": "value"}
                | {"metric": metric["name"], "protocol": metric["protocol"], "value": value}
                for sample, value in zip(samples, values, strict=True)
            ]
    images = pd.DataFrame({"model": "net", "sample": samples, "status": "ok"}).assign(
        hit_top1=[str(hits)] * n if isinstance(hits, bool) else [str(each) for each in hits],
        probability=generator.uniform(0.5 - spread, 0.5 + spread, n),
    )
    layers = pd.DataFrame({"model": ["net"], "path": ["last"], "roles": ["last"]})
    metrics = [each for each in (DELETION, ENERGY) if each["name"] in means]
    study = {"name": "study", "models": ["net"], "metrics": metrics, "seed": 0}
    empty = pd.DataFrame()
    records = pd.DataFrame(rows)
    return Folder(tmp_path, study, {}, images, layers, records, empty, empty)


def said_of(folder):
    return "\n".join(caveats(folder, verdicts_of(folder, "net"), model="net"))


GOOD = {"a": 0.2, "b": 0.3, "random": 0.4, "edges": 0.4, "oracle": 0.1}  # lower is better


@pytest.mark.parametrize(
    ("means", "sentence"),
    [
        (GOOD, "The metric works here: the drawn truth is shown to be better than random."),
        (
            GOOD | {"oracle": 0.4},
            "Whether the metric works here is undetermined at 20 images.",
        ),
        (
            GOOD | {"oracle": 0.5},
            "The metric fails here: the control random is shown to be better than the drawn truth. "
            "Do not choose by it.",
        ),
        (
            GOOD | {"oracle": 0.35, "edges": 0.25},
            "The metric fails here: the control edges is shown to be better than the drawn truth. "
            "Do not choose by it.",
        ),
        (
            GOOD | {"edges": 0.05},
            "The metric fails here: the control edges is shown to be better than every cell. Do "
            "not choose by it.",
        ),
    ],
    ids=["works", "undetermined", "random wins", "edges beat the truth", "edges beat every cell"],
)
def test_a_metric_works_fails_or_is_undetermined(means, sentence, tmp_path):
    folder = folder_of({"deletion": means}, tmp_path)
    (verdict,) = verdicts_of(folder, "net")
    assert works(verdict) == sentence
    assert sentence in sentence_of(folder, verdict).points


def test_no_outcome_without_truth_random_or_enough_images(tmp_path):
    for left_out in ("oracle", "random"):
        means = {name: mean for name, mean in GOOD.items() if name != left_out}
        (verdict,) = verdicts_of(folder_of({"deletion": means}, tmp_path), "net")
        assert works(verdict) == ""
    (verdict,) = verdicts_of(folder_of({"deletion": GOOD}, tmp_path, n=5), "net")
    assert works(verdict) == ""


def test_images_without_a_drawn_truth_do_not_count(tmp_path):
    """It said "undetermined at 20 images", as if more of them could help."""
    folder = folder_of({"deletion": GOOD | {"oracle": 0.4}}, tmp_path)
    records = folder.records
    for known, sentence in {
        8: "Whether the metric works here is undetermined at 8 images with a drawn truth.",
        0: "Whether the metric works here cannot be tested: no image has a drawn truth.",
    }.items():
        number = records["sample"].str.removeprefix("image ").astype(int)
        bare = (records["method"] == "oracle") & (number >= known)
        records.loc[bare, ["status", "value"]] = ["undefined", np.nan]
        (verdict,) = verdicts_of(folder, "net")
        assert works(verdict) == sentence


OFF = {"a": 0.1, "b": 0.1, "random": 0.3, "oracle": 0.9}  # energy on the object
FAITHFUL = {"a": 0.1, "b": 0.1, "random": 0.4, "oracle": 0.4}


def test_a_shortcut_is_suspected_where_faithful_maps_are_off_the_object(tmp_path):
    text = said_of(folder_of({"deletion": FAITHFUL, "energy_pointing_game": OFF}, tmp_path))
    assert (
        "A shortcut is suspected: on correctly classified images the heatmaps of the best set have "
        "less energy on the annotated object than random ones (energy_pointing_game), yet deletion "
        "by them beats random." in text
    )


@pytest.mark.parametrize(
    ("deletion", "energy", "hits"),
    [
        (FAITHFUL, OFF | {"a": 0.5, "b": 0.5}, True),  # the maps are on the object
        (FAITHFUL, OFF | {"a": 0.5}, True),  # one of the best set is
        (FAITHFUL | {"random": 0.1}, OFF, True),  # deletion by the maps is no better than random
        (FAITHFUL, OFF, [True] * 5 + [False] * 15),  # too few images are classified correctly
        (FAITHFUL, OFF, False),
    ],
)
def test_no_shortcut_is_suspected_otherwise(deletion, energy, hits, tmp_path):
    means = {"deletion": deletion, "energy_pointing_game": energy}
    assert "shortcut" not in said_of(folder_of(means, tmp_path, hits=hits))


def test_wrong_images_say_nothing_of_a_shortcut(tmp_path):
    """Energy counts on the correctly classified images alone: here it is off on the others only."""
    right = [True] * 12 + [False] * 12
    folder = folder_of({"deletion": FAITHFUL, "energy_pointing_game": OFF}, tmp_path, n=24)
    records = folder.records
    on_object = records["sample"].isin([f"image {i}" for i in range(12)])
    on_object &= (records["metric"] == ENERGY["name"]) & (records["layer"] != "")
    records.loc[on_object, "value"] += 0.5
    folder.images["hit_top1"] = list(map(str, right))
    assert "shortcut" not in said_of(folder)
    folder.images["hit_top1"] = [str(not each) for each in right]
    assert "A shortcut is suspected" in said_of(folder)


def test_a_nearly_untrained_model_is_named(tmp_path):
    flat = {"a": 0.600, "b": 0.602, "random": 0.6, "edges": 0.6, "oracle": 0.6}
    right = [True, *[False] * 19]
    options = {"noise": 0.001, "spread": 0.01, "hits": right}
    text = said_of(folder_of({"deletion": flat}, tmp_path, **options))
    assert "The model's score hardly moves: deletion ranges over" in text
    assert "A nearly untrained model has little to explain, and no best cell means much." in text
    hits = "Its first answer is right on 5\u00a0% of the labelled images."
    assert hits in text
    unlabelled = folder_of({"deletion": flat}, tmp_path, **options | {"hits": [""] * 20})
    assert "hardly moves" in said_of(unlabelled)
    assert hits not in said_of(unlabelled)
    for other in ({"noise": 0.1}, {"spread": 0.4}):  # the metric, or the probability, does move
        assert "nearly" not in said_of(folder_of({"deletion": flat}, tmp_path, **options | other))
