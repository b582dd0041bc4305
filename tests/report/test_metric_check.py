"""A study's report names those of its metrics that are not shown to work, or not validated."""

import json

from study_folder import Plan, make_study

from gradcam_eval.report.folder import read_folder
from gradcam_eval.report.html import write_report
from gradcam_eval.report.metric_check import unable_metrics

CHECK = {
    "model": "evidence_gap",
    "data": "evidence/single",
    "images": 19,
    "unable": [
        {"metric": "deletion", "protocol": "rise2018", "fault": "prefers good to <oracle>"},
        {"metric": "deletion", "protocol": "rise2018_batch", "fault": "is not of this study"},
        {"metric": "iou", "protocol": "iou_otsu", "fault": "is not of this study"},
    ],
    "not_validated": [
        {"metric": "pointing_game", "protocol": "pointing2018"},
        {"metric": "iou", "protocol": "iou_otsu"},
    ],
}


def test_the_report_names_its_own_metrics_that_cannot_tell(tmp_path):
    plan = Plan(layers=("top",), methods=("grad_cam",), samples=("one", "two"), cost=False)
    folder = make_study(tmp_path / "study", plan)
    assert unable_metrics(read_folder(folder)) == []
    (folder / "check_metrics.json").write_text(json.dumps(CHECK))
    page = write_report(folder).read_text(encoding="utf-8")
    assert (
        "By check-metrics (evidence_gap on evidence/single, 19 images) deletion (rise2018) "
        "prefers good to &lt;oracle&gt;." in page
    )
    assert "is not of this study" not in page
    assert "Check-metrics does not validate pointing_game (pointing2018): it makes its" in page


def test_a_file_with_other_content_says_nothing(tmp_path):
    folder = make_study(tmp_path / "study")
    for content in ({"unable": 3}, {"unable": [1, {}], "not_validated": "all"}, {}):
        (folder / "check_metrics.json").write_text(json.dumps(content))
        assert unable_metrics(read_folder(folder)) == []
