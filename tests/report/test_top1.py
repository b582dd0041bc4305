"""When a study says that its labels may not mean the model's classes."""

from pathlib import Path

import pandas as pd
import pytest

from gradcam_eval.report.folder import Folder
from gradcam_eval.report.top1 import label_warning


def said(hits, n, classes, *, labels="a", unlabelled=0):
    """The warning of a study with this many hits of labelled images."""
    images = pd.DataFrame(
        {
            "model": "net",
            "status": "ok",
            "hit_top1": ["True"] * hits + ["False"] * (n - hits) + [""] * unlabelled,
            "labels": labels,
        }
    )
    models = {} if classes is None else {"net": {"n_classes": classes}}
    nothing = pd.DataFrame()
    facts = {"models": models}
    folder = Folder(Path("."), {}, facts, images, nothing, nothing, nothing, nothing)
    return label_warning(folder, "net")


@pytest.mark.parametrize(
    ("hits", "n", "classes"),
    [
        (0, 6, 3),  # folders numbered from 1
        (0, 5, 1000),
        (1, 20, 1000),  # 5 %
        (0, 5, None),
        (520, 1000, 2),  # chance, closely
        (12, 20, 2),
        (3, 10, 3),
        (101, 1000, 10),
        (1, 10, 2),  # below chance: turned round
    ],
)
def test_hits_near_none_or_at_chance_are_said(hits, n, classes):
    text = said(hits, n, classes)
    assert text.startswith(
        "The labels may not mean the model's classes: its first answer is right on"
    )
    assert f"right on {hits} of {n} labelled images" in text
    assert "numbered from 1" in text
    assert ("by chance" in text) == (classes is not None)


@pytest.mark.parametrize(
    ("hits", "n", "classes"),
    [
        (0, 4, 3),  # too few to say anything
        (4, 5, 2),
        (6, 6, 3),
        (2, 20, 1000),  # a weak model, a hundred times chance
        (600, 1000, 2),
        (7, 10, 2),
        (5, 20, None),
    ],
)
def test_other_models_have_no_warning(hits, n, classes):
    assert said(hits, n, classes) == ""


def test_several_labels_raise_chance_and_images_without_one_do_not_count():
    assert said(8, 20, 10) == ""
    assert "by chance 40\u00a0%" in said(8, 20, 10, labels="a; b; c; d")
    assert said(0, 4, 3, unlabelled=20) == ""
    assert said(0, 6, 1, unlabelled=0), "one output: no chance is known"
