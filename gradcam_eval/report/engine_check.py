"""How far the engine of a study's forward passes was off, in a sentence for its report."""

from __future__ import annotations

import pandas as pd

from gradcam_eval.report.folder import Folder
from gradcam_eval.report.text import plural


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
