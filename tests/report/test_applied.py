"""The warning of images that use a narrow part of their range."""

from types import SimpleNamespace

import pandas as pd

from gradcam_eval.report.applied import narrow


def folder_of(**columns):
    images = pd.DataFrame({"status": "ok", **columns})
    images = images.assign(model="net", sample=[f"{n}.png" for n in range(len(images))])
    return SimpleNamespace(images=images)


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
