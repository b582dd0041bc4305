"""The warnings of copies and near-duplicates, and the clusters that respect them."""

import json
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
from study_folder import Plan, grouped

from gradcam_eval.core import InputError
from gradcam_eval.report.copies import alike, copies
from gradcam_eval.report.folder import Folder, read_folder
from gradcam_eval.report.verdict import design_of
from gradcam_eval.results import Results


def folder_of(**columns):
    images = pd.DataFrame({"status": "ok", **columns})
    images = images.assign(model="net", sample=[f"{n}.png" for n in range(len(images))])
    return Folder(Path("somewhere"), {}, {}, images, *[pd.DataFrame()] * 4)


def test_of_many_copies_and_groups_the_first_few_are_named():
    folder = folder_of(pixels=list("aaaaaabbccddeef"))
    assert copies(folder, "net").startswith(
        "Of 15 images only 6 differ: 0.png = 1.png = 2.png = 3.png = 2 more; 6.png = 7.png; "
        "8.png = 9.png; 10.png = 11.png; and 1 more. Each copy counts"
    )


def test_images_that_failed_or_of_another_model_are_no_copies():
    folder = folder_of(pixels=["", "", "a", "a"], status=["failed", "failed", "ok", "failed"])
    assert copies(folder, "net") == ""
    assert copies(folder_of(pixels=["a", "a"]), "other") == ""


def test_a_folder_of_an_earlier_version_has_no_warning():
    assert copies(folder_of(target=[1, 1]), "net") == ""
    assert copies(folder_of(pixels=["", ""]), "net") == "", "it was resumed by this version"


FAR = [code * 64 for code in "0f5a"]  # 128 bits or more from each other


def declared(folder, cluster):
    return replace(folder, study={"analysis": {"cluster": cluster}})


def test_near_duplicates_are_named_with_what_to_do():
    hashes = [FAR[0], FAR[1], "1" + FAR[0][1:], FAR[2], "3" + FAR[0][1:]]
    folder = folder_of(pixels=list("abcde"), perceptual_hash=hashes)
    assert alike(folder, "net") == (
        "3 near-duplicates among 5 images: 0.png ≈ 2.png ≈ 4.png. Each counts as an image of its "
        "own, so intervals are too narrow: leave them out, or declare cluster = "
        '"near_duplicates" in [analysis].'
    )
    assert alike(folder, "other") == ""
    known = declared(folder, "near_duplicates")
    assert alike(known, "net").endswith("counts as one image in tests and intervals, as declared.")
    assert known.clusters == dict.fromkeys(["0.png", "2.png", "4.png"], "0.png")


def test_equal_pixels_are_named_once_and_near_duplicates_of_one_class_not_at_all():
    folder = folder_of(pixels=list("aab"), perceptual_hash=[FAR[0], FAR[0], FAR[1]])
    assert alike(folder, "net") == ""
    assert copies(folder, "net") != ""
    assert copies(declared(folder, "near_duplicates"), "net") == ""
    three = {"pixels": list("abc"), "perceptual_hash": [FAR[0], FAR[0], FAR[1]]}
    folder = folder_of(**three, **{"class": ["cat", "cat", "dog"]})
    assert alike(folder, "net") != ""
    assert alike(declared(folder, "class"), "net") == ""
    folder = folder_of(**three, **{"class": ["cat", "dog", "dog"]})
    assert alike(declared(folder, "class"), "net") != ""


def test_a_folder_without_hashes_says_how_to_get_them():
    old = declared(folder_of(pixels=list("ab")), "near_duplicates")
    assert alike(old, "net") == ""
    resumed = folder_of(pixels=list("ab"), perceptual_hash=["", FAR[0]])
    for folder in (old, declared(resumed, "near_duplicates")):
        with pytest.raises(InputError, match=r"lacks perceptual hashes.*--fresh"):
            _ = folder.clusters


def test_tests_and_intervals_of_a_study_respect_near_duplicates(tmp_path):
    plan = Plan(samples=tuple(f"disc_{n}" for n in range(16)), cost=False)
    hashes = {name: FAR[at // 8] if at < 16 else "" for at, name in enumerate(plan.samples)}
    folder = grouped(tmp_path / "study", plan, perceptual_hash=hashes)
    plain = Results(folder).summary()
    study = json.loads((folder / "study.json").read_text())
    study["analysis"] = {"cluster": "near_duplicates"}
    (folder / "study.json").write_text(json.dumps(study))
    found = Results(folder).summary()
    assert design_of(read_folder(folder)).cluster == {
        name: plan.samples[at // 8 * 8] for at, name in enumerate(plan.samples)
    }
    assert found["interval"].str.startswith("clustered").all()
    pd.testing.assert_series_equal(found["mean"], plain["mean"])
    assert (found["low"] != plain["low"]).mean() > 0.9
    assert found["difference_low"].isna().all()  # two independent units: no claim
    assert Results(folder).compare_all("deletion")["is_shown"].sum() == 0
