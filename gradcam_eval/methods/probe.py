"""The model as a method sees it that asks more than once: symbolic, inside one compiled pass."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from gradcam_eval.arrays import Placement


@dataclass(frozen=True, eq=False)
class Probe:
    """What a method of kind "layer" or "input" may ask.

    Everything is a symbolic tensor, or a function of such that may be called inside a
    `tf.while_loop`. Its images are any M, each of which stands for one of the N explained ones:
    `owner` (int32 (M,)) says for which, and so which target, and which other inputs of a model
    that has several.

    Attributes
    ----------
    images : float32 (N, H, W, C), the explained images as the model takes them, 0..255
    activations, gradients : float32 (N, h, w, K), A and G at the method's layer; None for a method
        of kind "input", and `gradients` for one that needs none
    score : images (M, H, W, C), owner → (M,), the explained score
    at_layer : images, owner → (A, G), each (M, h, w, K); None for a method of kind "input"
    score_from : maps (M, h, w, K), owner → (M,), the score if the layer's output were this;
        None for a method of kind "input"
    seed : of whatever is random in the method; the draw must not depend on N or on an image's
        place in the batch, so that an image's map is the same in every batch
    chunk : most images that should be in one forward pass
    placing : where the layer's map lies on the image; None: corner to corner
    """

    images: Any
    activations: Any
    gradients: Any
    score: Callable[[Any, Any], Any]
    at_layer: Callable[[Any, Any], tuple[Any, Any]] | None
    score_from: Callable[[Any, Any], Any] | None
    seed: int
    chunk: int
    placing: Placement | None = None

    def on_image(self, maps: Any, scale: Callable[[Any], Any] = lambda maps: maps) -> Any:
        """Lay maps (M, h, w) of the layer's positions on the image: (M, H, W).

        `scale` is applied to what is laid, before it becomes 0 where the layer sees nothing.
        """
        if self.placing is None:
            return scale(tf.image.resize(maps[..., None], self.images.shape[1:3])[..., 0])
        rows, columns = (tf.constant(each, maps.dtype) for each in self.placing.matrices())
        is_seen = tf.constant(np.logical_and.outer(*self.placing.is_seen()), maps.dtype)
        return scale(tf.einsum("Hh,mhw,Ww->mHW", rows, maps, columns)) * is_seen
