"""Which engine made a study's forward passes, and how far it was off, in a report's words."""

from __future__ import annotations

import pandas as pd

from gradcam_eval.report.folder import Folder
from gradcam_eval.report.text import milliseconds, plural


def engine_warning(folder: Folder, model: str) -> str:
    """Say what an engine for exploring did to the probabilities of a model's images.

    Returns
    -------
    A sentence; "" where every engine computes what TensorFlow does
    """
    images = folder.images[folder.images["model"] == model]
    if not {"engine", "engine_difference"} <= set(images):
        return ""  # written before there were engines
    images = images[images["engine"] == "openvino_bf16"]
    off = pd.to_numeric(images["engine_difference"], errors="coerce").dropna()
    if off.empty:
        return ""
    return (
        "The scores were made in bfloat16 (engine openvino_bf16), for exploring: on "
        f"{plural(len(off), 'image')} a class's probability differs from TensorFlow's by up to "
        f"{off.max():.2g} (median of the images' largest {off.median():.2g}). These are no "
        "reference numbers: compare cells within this study alone, and publish by another engine."
    )


_NAMES = {
    "frozen": "TensorFlow's frozen graph",
    "openvino": "OpenVINO",
    "openvino_bf16": "OpenVINO in bfloat16",
    "tensorflow": "TensorFlow's live graph",
}


def engine_line(folder: Folder, model: str) -> str:
    """Say which engine computed the forward passes of the metrics, why, and how far it was off.

    Returns
    -------
    A sentence or two; "" where no metric asked the model, or the folder does not say
    """
    images = folder.images[folder.images["model"] == model]
    if not {"engine", "engine_difference"} <= set(images):
        return ""
    off = pd.to_numeric(images["engine_difference"], errors="coerce").dropna()
    engines = images.loc[off.index, "engine"].value_counts()
    if off.empty:
        return ""
    shown = " and ".join(
        f"{_NAMES.get(engine, engine)} ({plural(int(count), 'image')})"
        for engine, count in engines.items()
    )
    times = ", ".join(
        f"{milliseconds(ms)} ms in {_NAMES.get(engine, engine)}"
        for engine, ms in folder.engine_times(model).items()
    )
    return (
        f"The forward passes of the metrics ran in {shown}; a class's probability differs from "
        f"TensorFlow's by {off.max():.1g} at most."
        + (f" A forward pass of one image took {times}." if times else "")
    )


def map_line(folder: Folder, model: str) -> str:
    """Say how far the heatmaps are from TensorFlow's live graph, where the study compared them.

    Returns
    -------
    A sentence or two; "" where `check_maps` was off
    """
    images = folder.images[folder.images["model"] == model]
    if not {"map_difference", "map_difference_at"} <= set(images):
        return ""
    off = pd.to_numeric(images["map_difference"], errors="coerce").dropna()
    if off.empty:
        return ""
    place = images.loc[off.index, "map_difference_at"].iloc[int(off.argmax())]
    return (
        f"On {plural(len(off), 'image')} the heatmaps were compared with those of TensorFlow's "
        f"live graph: they differ by up to {off.max():.2g} of a heatmap's maximum ({place}; median "
        f"of the images' largest {off.median():.1g}). Where an input of a ReLU is as near to its "
        "kink as float32 rounds, chance decides between two right heatmaps."
    )
