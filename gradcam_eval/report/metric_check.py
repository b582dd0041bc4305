"""What `gradcam-eval check-metrics` shows of a study's metrics, in sentences for its report."""

from __future__ import annotations

from typing import Any

from gradcam_eval.report.folder import Folder


def unable_metrics(folder: Folder) -> list[str]:
    """Name the study's metrics that are not shown to work, or that could not be validated.

    Returns
    -------
    A sentence for each metric that is not shown to work on heatmaps of known quality, and one for
    those that compare with the mask of which these heatmaps are made; empty where
    `check_metrics.json` is not in the folder
    """
    check = folder.metric_check
    where = f"{check.get('model')} on {check.get('data')}, {check.get('images')} images"
    used = {(metric["name"], metric["protocol"]) for metric in folder.study["metrics"]}
    unable = _entries(check, "unable", used)
    circular = _entries(check, "not_validated", used)
    texts = [
        f"By check-metrics ({where}) {each['metric']} ({each['protocol']}) {each.get('fault')}."
        for each in unable
    ]
    if circular:
        names = ", ".join(f"{each['metric']} ({each['protocol']})" for each in circular)
        texts.append(
            f"Check-metrics does not validate {names}: it makes its heatmaps from the mask with "
            "which localization metrics compare."
        )
    return texts


def _entries(check: dict[str, Any], name: str, used: set[tuple[str, str]]) -> list[dict[str, Any]]:
    """Return the study's own metrics of a list, empty where the file has something else there."""
    content = check.get(name)
    entries = content if isinstance(content, list) else []
    return [each for each in entries if isinstance(each, dict) and _is_in(each, used)]


def _is_in(entry: dict[str, Any], used: set[tuple[str, str]]) -> bool:
    key = entry.get("metric"), entry.get("protocol")
    return all(isinstance(part, str) for part in key) and key in used
