"""A study's heatmaps beside those of TensorFlow's live graph."""

from types import SimpleNamespace

import numpy as np
import pandas as pd
import pytest

from gradcam_eval import run_study
from gradcam_eval.report.engine_check import map_line
from gradcam_eval.report.folder import read_folder
from gradcam_eval.study.config import make_study
from gradcam_eval.study.map_check import checked_methods, compare_maps


class Maps(dict):
    targets = np.array([2])


def test_the_largest_difference_is_relative_to_the_live_map_and_says_where_it_is():
    given = []
    live = Maps({("early", "a"): np.array([[[2.0, 4.0]]]), ("late", "a"): np.zeros((1, 1, 2))})
    mine = Maps({("early", "a"): np.array([[[2.0, 3.0]]]), ("late", "a"): np.zeros((1, 1, 2))})
    sample = SimpleNamespace(image="image")
    found = compare_maps(lambda *what: given.append(what) or live, sample, mine)
    assert found == {"map_difference": 0.25, "map_difference_at": "early · a"}
    assert given == [("image", 2)]
    assert compare_maps(None, sample, mine) == {}
    assert compare_maps(lambda *what: live, sample, Maps()) == {}


def test_formulas_are_checked_and_what_asks_the_model_again_is_not():
    assert checked_methods(["grad_cam", "score_cam", "gradient", "layer_cam"]) == [
        "grad_cam",
        "layer_cam",
    ]


def test_a_study_checks_its_maps_where_it_is_told_to(values, tmp_path):
    values |= {"metrics": ["pointing_game"], "check_maps": True}
    folder = run_study(values, results=tmp_path).folder
    images = pd.read_csv(folder / "images.csv")
    is_ok = images["status"] == "ok"
    assert is_ok.sum() == 4
    assert images["map_difference"][is_ok].to_numpy() == pytest.approx(0, abs=1e-4)
    assert images["map_difference_at"][is_ok].str.contains(" · ").all()
    assert images["map_difference"][~is_ok].isna().all()
    assert map_line(read_folder(folder), "tiny").startswith("On 4 images the heatmaps")
    plain = make_study(values | {"check_maps": False})
    assert plain.fingerprint() == make_study(values).fingerprint()
