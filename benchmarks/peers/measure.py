"""Time one library's last-layer Grad-CAM of MobileNetV2 beside its own framework's forward pass.

Run by `run.py` in an environment of the library's own, so this file imports nothing of the project
but for the entry "gradcam-eval". ``python measure.py NAME`` prints one line of JSON.
"""

from __future__ import annotations

import json
import statistics
import sys
import time
from collections.abc import Callable
from importlib.metadata import version
from typing import Any

import numpy as np

ROUNDS = {1: 21, 16: 7}
CLASS = 3
Pair = tuple[Callable[[], Any], Callable[[], Any]]  # the forward pass, the heatmap


def keras_model() -> tuple[Any, Any]:
    """Return MobileNetV2 with random weights, and its forward pass compiled."""
    import tensorflow as tf

    model = tf.keras.applications.MobileNetV2(weights=None)
    spec = tf.TensorSpec((None, 224, 224, 3), tf.float32)
    return model, tf.function(lambda x: model(x, training=False), input_signature=[spec])


def gradcam_eval(images: Any) -> Pair:
    """Return this project's; OpenVINO is not used."""
    from gradcam_eval.methods.explainer import Explainer

    model, forward = keras_model()
    explainer = Explainer(model)
    return lambda: forward(images).numpy(), lambda: explainer(images, CLASS)


def tutorial(images: Any) -> Pair:
    """Return the recipe of the Keras documentation: a second model, run eagerly at each call."""
    import tensorflow as tf

    model, forward = keras_model()

    def heatmap() -> Any:
        both = tf.keras.models.Model(
            model.inputs, [model.get_layer("out_relu").output, model.output]
        )
        with tf.GradientTape() as tape:
            activations, predictions = both(images)
            score = predictions[:, CLASS]
        weights = tf.reduce_mean(tape.gradient(score, activations), axis=(1, 2))
        return tf.nn.relu(tf.einsum("nhwk,nk->nhw", activations, weights)).numpy()

    return lambda: forward(images).numpy(), heatmap


def tf_keras_vis(images: Any) -> Pair:
    """Return tf-keras-vis' Gradcam."""
    from tf_keras_vis.gradcam import Gradcam
    from tf_keras_vis.utils.model_modifiers import ReplaceToLinear
    from tf_keras_vis.utils.scores import CategoricalScore

    model, forward = keras_model()
    method = Gradcam(model, model_modifier=ReplaceToLinear(), clone=True)
    score = CategoricalScore([CLASS] * len(images))
    return lambda: forward(images).numpy(), lambda: method(
        score, images, penultimate_layer="out_relu"
    )


def xplique(images: Any) -> Pair:
    """Return Xplique's GradCAM."""
    import tensorflow as tf
    from xplique.attributions import GradCAM

    model, forward = keras_model()
    method = GradCAM(model, conv_layer="out_relu", batch_size=len(images))
    targets = tf.one_hot([CLASS] * len(images), 1000)
    return lambda: forward(images).numpy(), lambda: method(images, targets).numpy()


def torch_model(images: Any) -> tuple[Any, Any, Callable[[], Any]]:
    """Return torchvision's MobileNetV2 with random weights, its input, and its forward pass."""
    import torch
    import torchvision

    model = torchvision.models.mobilenet_v2(weights=None).eval()
    batch = torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))

    def forward() -> Any:
        with torch.no_grad():
            return model(batch).numpy()

    return model, batch, forward


def captum(images: Any) -> Pair:
    """Return Captum's LayerGradCam."""
    from captum.attr import LayerGradCam

    model, batch, forward = torch_model(images)
    method = LayerGradCam(model, model.features[-1])
    return forward, lambda: method.attribute(batch, target=CLASS).detach().numpy()


def pytorch_grad_cam(images: Any) -> Pair:
    """Return pytorch-grad-cam's GradCAM."""
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    model, batch, forward = torch_model(images)
    method = GradCAM(model=model, target_layers=[model.features[-1]])
    targets = [ClassifierOutputTarget(CLASS)] * len(images)
    return forward, lambda: method(input_tensor=batch, targets=targets)


def torchcam(images: Any) -> Pair:
    """Return TorchCAM's GradCAM; its own forward pass is part of a heatmap, as in its guide."""
    from torchcam.methods import GradCAM

    model, batch, _ = torch_model(images)
    method = GradCAM(model, target_layer=model.features[-1])
    _, _, forward = torch_model(images)  # of a model without the hooks

    def heatmap() -> Any:
        return [each.numpy() for each in method([CLASS] * len(images), model(batch))]

    return forward, heatmap


PEERS: dict[str, tuple[str, Callable[[Any], Pair]]] = {
    "gradcam-eval": ("gradcam-eval", gradcam_eval),
    "tutorial": ("keras", tutorial),
    "tf-keras-vis": ("tf-keras-vis", tf_keras_vis),
    "xplique": ("xplique", xplique),
    "captum": ("captum", captum),
    "pytorch-grad-cam": ("grad-cam", pytorch_grad_cam),
    "torch-cam": ("torchcam", torchcam),
}


def ratios(pair: Pair, rounds: int) -> dict[str, Any]:
    """Time both in turn after two calls that do not count; times in ms."""
    times: tuple[list[float], list[float]] = ([], [])
    for number in range(rounds + 2):
        for function, taken in zip(pair, times, strict=True):
            start = time.perf_counter()
            function()
            if number >= 2:
                taken.append((time.perf_counter() - start) * 1000)
    each = [heatmap / forward for forward, heatmap in zip(*times, strict=True)]
    low, median, high = statistics.quantiles(each, n=4)
    return {
        "forward_ms": statistics.median(times[0]),
        "heatmap_ms": statistics.median(times[1]),
        "ratio": median,
        "ratio_quartiles": [low, high],
        "rounds": rounds,
    }


def main() -> None:
    """Measure the peer that is named, at each batch size."""
    package, make = PEERS[sys.argv[1]]
    found: dict[str, Any] = {"package": f"{package} {version(package)}"}
    for name in ("tensorflow", "keras", "torch"):
        try:
            found[name] = version(name)
        except ImportError:
            continue
    for size, rounds in ROUNDS.items():
        images = np.random.default_rng(0).uniform(0, 1, (size, 224, 224, 3)).astype(np.float32)
        found[f"batch_{size}"] = ratios(make(images), rounds)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
