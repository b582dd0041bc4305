"""What `gradcam-eval check-metrics` found about a study's metrics, in sentences for its report."""

from __future__ import annotations

from typing import Any

from gradcam_eval.report.folder import Folder


def unable_metrics(folder: Folder) -> list[str]:
    """Name the study's metrics that could not tell heatmaps of known quality apart.

    Returns
    -------
    A sentence each; empty where `check_metrics.json` is not in the folder
    """
    check = folder.metric_check
    where = f"{check.get('model')} on {check.get('data')}, {check.get('images')} images"
    used = {(metric["name"], metric["protocol"]) for metric in folder.study["metrics"]}
    return [
        f"By check-metrics ({where}) {each['metric']} ({each['protocol']}) {each.get('fault')}."
        for each in _entries(check)
        if (each.get("metric"), each.get("protocol")) in used
    ]


def _entries(check: dict[str, Any]) -> list[dict[str, Any]]:
    """Return the list of metrics, empty where the file holds something else."""
    found = check.get("unable")
    rows = [each for each in found if isinstance(each, dict)] if isinstance(found, list) else []
    return [
        each
        for each in rows
        if isinstance(each.get("metric"), str) and isinstance(each.get("protocol"), str)
    ]
