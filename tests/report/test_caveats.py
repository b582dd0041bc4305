"""The warning of copies, where a study on real files cannot easily bring it about."""

from types import SimpleNamespace

import pandas as pd

from gradcam_eval.report.applied import narrow
from gradcam_eval.report.caveats import copies


def folder_of(**columns):
    images = pd.DataFrame({"status": "ok", **columns})
    images = images.assign(model="net", sample=[f"{n}.png" for n in range(len(images))])
    return SimpleNamespace(images=images, study={}, environment={})


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


def test_images_that_use_a_narrow_part_of_their_range_are_counted():
    said = "values 0 to 4000 use under a sixteenth of 0 to 65535: say which are black and white"
    applied = [f"values 0 to 4000, window 0 to 65535; warning: {said}", "", f"warning: {said}", ""]
    folder = folder_of(applied=applied, status=["ok", "ok", "failed", "ok"])
    assert narrow(folder, "net").startswith(
        "The values of 1 of 3 images use under a sixteenth of the range that becomes black to "
        "white, and show the model little contrast (0.png: values 0 to 4000 of 0 to 65535). Say"
    )
    assert narrow(folder_of(applied=["grey by luminance"]), "net") == ""
    assert narrow(folder_of(pixels=["a"]), "net") == ""
