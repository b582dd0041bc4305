"""What 1e-6 in the denominator of Grad-CAM++'s α changes, as pytorch-grad-cam has it there.

Run: ``python benchmarks/grad_cam_pp_eps.py`` (a minute; needs the two ImageNet models whose weights
are in pip packages). For five photographs of scikit-image, each map is scaled to 0..1 with and
without the 1e-6: printed are the median and the largest of their greatest differences.
"""

from __future__ import annotations

import numpy as np
import skimage.data
from numpy.typing import NDArray
from PIL import Image

import gradcam_eval as ge

LAYERS = {
    "mobilenet_v2_torchvision": ("block_3_expand_relu", "block_13_expand_relu", "out_relu"),
    "efficientnet_lite0": ("top_activation",),
}


def grad_cam_pp(
    activations: NDArray[np.float64], gradients: NDArray[np.float64], eps: float
) -> NDArray[np.float64]:
    """Return Grad-CAM++ (equation 19) of (N, h, w, K) with `eps` in its denominator, in 0..1."""
    squared = gradients**2
    total = activations.sum((1, 2), keepdims=True)
    below = 2 * squared + total * squared * gradients + eps
    is_known = (gradients != 0) & (below != 0)
    alpha = np.divide(squared, below, out=np.zeros_like(squared), where=is_known)
    weights = (alpha * np.maximum(gradients, 0)).sum((1, 2), keepdims=True)
    maps = np.maximum((activations * weights).sum(-1), 0)
    maps -= maps.min((1, 2), keepdims=True)
    return maps / maps.max((1, 2), keepdims=True)


def main() -> None:
    """Print a line for each model, score and layer."""
    names = ("camera", "astronaut", "coffee", "chelsea", "rocket")
    pictures = [Image.fromarray(getattr(skimage.data, name)()).convert("RGB") for name in names]
    images = np.stack([np.asarray(each.resize((224, 224)), np.float32) for each in pictures])
    for name, layers in LAYERS.items():
        model = ge.load_model(name)
        targets = np.asarray(model(images)).argmax(1)
        for score in ("logit", "probability"):
            for layer in layers:
                a, g = ge.activations_and_gradients(
                    model, images, targets, layer=layer, score=score
                )
                pair = a.astype(np.float64), g.astype(np.float64)
                off = np.abs(grad_cam_pp(*pair, 0.0) - grad_cam_pp(*pair, 1e-6)).max((1, 2))
                print(
                    f"{name} {layer} by {score}: median {np.median(off):.3f}, most {off.max():.3f}"
                )


if __name__ == "__main__":
    main()
