"""A study's report says first how far an engine for exploring was off."""

import html
import json

import pandas as pd
from study_folder import Plan, make_study

from gradcam_eval.report.engine_check import engine_line, engine_warning, map_line
from gradcam_eval.report.folder import read_folder
from gradcam_eval.report.html import write_report


def with_engine(folder, engine, differences):
    images = pd.read_csv(folder / "images.csv")
    images["engine"] = engine
    images["engine_difference"] = differences
    images.to_csv(folder / "images.csv", index=False)


def test_bfloat16_is_warned_of_with_its_differences(tmp_path):
    folder = make_study(tmp_path / "study", Plan(samples=("a", "b", "c"), failed=("c",)))
    assert engine_warning(read_folder(folder), "toy_net") == ""  # no such columns
    with_engine(folder, "openvino_bf16", [0.002, 0.03, ""])
    said = engine_warning(read_folder(folder), "toy_net")
    assert "on 2 images a class's probability differs from TensorFlow's by up to 0.03 " in said
    assert "median of the images' largest 0.016)" in said  # of 0.002 and 0.03
    assert "for exploring: on 2 images" in write_report(folder).read_text(encoding="utf-8")


def test_other_engines_need_no_warning(tmp_path):
    folder = make_study(tmp_path / "study", Plan(samples=("a", "b")))
    with_engine(folder, "openvino", [1e-7, 2e-7])
    assert engine_warning(read_folder(folder), "toy_net") == ""
    with_engine(folder, "openvino_bf16", ["", ""])  # no metric asked the model
    assert engine_warning(read_folder(folder), "toy_net") == ""


def test_the_page_says_which_engine_ran_what_it_took_and_how_far_maps_are_off(tmp_path):
    folder = make_study(tmp_path / "study", Plan(samples=("a", "b", "c"), failed=("c",)))
    assert engine_line(read_folder(folder), "toy_net") == ""
    with_engine(folder, ["openvino", "tensorflow", ""], [2e-7, 0, ""])
    facts = json.loads((folder / "environment.json").read_text())
    times = {"frozen": 6.84, "openvino": 2.41}
    facts["engines"] = {"toy_net": {"engine": "openvino", "ms_per_image": times}}
    (folder / "environment.json").write_text(json.dumps(facts))
    said = engine_line(read_folder(folder), "toy_net")
    assert said == (
        "The forward passes of the metrics ran in OpenVINO (1 image) and TensorFlow's live graph "
        "(1 image); a class's probability differs from TensorFlow's by 2e-07 at most. A forward "
        "pass of one image took 6.84 ms in TensorFlow's frozen graph, 2.41 ms in OpenVINO."
    )
    assert map_line(read_folder(folder), "toy_net") == ""
    images = pd.read_csv(folder / "images.csv")
    images["map_difference"] = [0.037, 1e-6, ""]
    images["map_difference_at"] = ["early · hires_cam", "last · grad_cam", ""]
    images.to_csv(folder / "images.csv", index=False)
    maps = map_line(read_folder(folder), "toy_net")
    assert maps.startswith("On 2 images the heatmaps were compared with those of TensorFlow's live")
    assert "up to 0.037 of a heatmap's maximum (early · hires_cam; median" in maps
    assert f"{said} {maps}" in html.unescape(write_report(folder).read_text(encoding="utf-8"))
