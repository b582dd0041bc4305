"""Planted evidence: pictures from a seed, in which the pixels that tell the class are known."""

from gradcam_eval.data.evidence.scene import Planted, Scene
from gradcam_eval.data.evidence.variants import CLASSES, VARIANTS, make_scene

__all__ = ["CLASSES", "VARIANTS", "Planted", "Scene", "make_scene"]
