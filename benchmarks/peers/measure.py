"""Time one library's last-layer Grad-CAM of MobileNetV2 beside its own framework's forward pass.

Run by `run.py` in an environment of other libraries, so this file imports nothing of the project
but for the entries "gradcam-eval…". ``python measure.py NAME`` prints one line of JSON. Weights are
random and the images noise, of one seed; each image is explained for the class that scores highest,
and what comes back is checked before it is timed. ``python measure.py NAME CASES MAPS`` times
nothing and writes a PyTorch peer's maps of given cases (see `agreement.py`).
"""

from __future__ import annotations

import copy
import json
import statistics
import sys
import time
from collections.abc import Callable
from functools import partial
from importlib.metadata import version
from typing import Any

import numpy as np

ROUNDS = {1: 21, 16: 7}
SIDES = (7, 224)  # the layer's maps, or maps as large as the images
Maps = Callable[[list[int]], Any]  # the class of each image → maps, with or without an axis of one
Pair = tuple[Callable[[], Any], Maps]  # the forward pass, the heatmaps


def keras_model() -> tuple[Any, Any]:
    """Return MobileNetV2 with random weights, and its forward pass compiled.

    It ends in logits: a softmax of random weights gives all classes the same probability.
    """
    import tensorflow as tf

    model = tf.keras.applications.MobileNetV2(weights=None, classifier_activation=None)
    spec = tf.TensorSpec((None, 224, 224, 3), tf.float32)
    return model, tf.function(lambda x: model(x, training=False), input_signature=[spec])


def gradcam_eval(images: Any, engine: Any = "auto") -> Pair:
    """Return this project's."""
    from gradcam_eval.methods.explainer import Explainer

    model, forward = keras_model()
    explainer = Explainer(model, "out_relu", engine=engine)
    return lambda: forward(images).numpy(), lambda classes: explainer(images, classes)[
        "out_relu", "grad_cam"
    ]


def tutorial(images: Any) -> Pair:
    """Return the recipe of the Keras documentation: a second model, run eagerly at each call."""
    import tensorflow as tf

    model, forward = keras_model()

    def heatmap(classes: list[int]) -> Any:
        both = tf.keras.models.Model(
            model.inputs, [model.get_layer("out_relu").output, model.output]
        )
        with tf.GradientTape() as tape:
            activations, predictions = both(images)
            score = tf.gather(predictions, classes, axis=1, batch_dims=1)
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
    return lambda: forward(images).numpy(), lambda classes: method(
        CategoricalScore(classes), images, penultimate_layer="out_relu"
    )


def xplique(images: Any) -> Pair:
    """Return Xplique's GradCAM."""
    import tensorflow as tf
    from xplique.attributions import GradCAM

    model, forward = keras_model()
    method = GradCAM(model, conv_layer="out_relu", batch_size=len(images))
    return lambda: forward(images).numpy(), lambda classes: method(
        images, tf.one_hot(classes, 1000)
    ).numpy()


def captum(model: Any, batch: Any) -> Maps:
    """Return Captum's LayerGradCam, rectified as in the paper, which it leaves to ask."""
    from captum.attr import LayerGradCam

    method = LayerGradCam(model, model.features[-1])
    return lambda classes: (
        method.attribute(batch, target=classes, relu_attributions=True).detach().numpy()
    )


def pytorch_grad_cam(model: Any, batch: Any) -> Maps:
    """Return pytorch-grad-cam's GradCAM, made once and used again, as its README says."""
    from pytorch_grad_cam import GradCAM
    from pytorch_grad_cam.utils.model_targets import ClassifierOutputTarget

    method = GradCAM(model=model, target_layers=[model.features[-1]])
    return lambda classes: method(
        input_tensor=batch, targets=[ClassifierOutputTarget(each) for each in classes]
    )


def torchcam(model: Any, batch: Any) -> Maps:
    """Return TorchCAM's GradCAM; the caller runs the forward pass, as in its README."""
    from torchcam.methods import GradCAM

    method = GradCAM(model, target_layer=model.features[-1])
    return lambda classes: method(classes, model(batch))[0].numpy()


def on_torch(method: Callable[[Any, Any], Maps], images: Any, weights: str | None = None) -> Pair:
    """Return a method on torchvision's MobileNetV2, and the forward pass of a bare copy."""
    import torch
    import torchvision

    model = torchvision.models.mobilenet_v2(weights=None).eval()
    if weights:
        model.load_state_dict(torch.load(weights, weights_only=True))
    bare = copy.deepcopy(model)
    batch = torch.from_numpy(np.ascontiguousarray(images.transpose(0, 3, 1, 2)))

    def forward() -> Any:
        with torch.inference_mode():
            return bare(batch).numpy()

    return forward, method(model, batch)


# name: the package whose version is reported, and what makes its forward pass and heatmaps
PEERS: dict[str, tuple[str, Callable[..., Pair]]] = {
    "gradcam-eval": ("gradcam-eval", gradcam_eval),
    "gradcam-eval-openvino": ("openvino", partial(gradcam_eval, engine="openvino")),
    "tutorial": ("keras", tutorial),
    "tf-keras-vis": ("tf-keras-vis", tf_keras_vis),
    "xplique": ("xplique", xplique),
    "captum": ("captum", partial(on_torch, captum)),
    "torch-cam": ("torchcam", partial(on_torch, torchcam)),
    "pytorch-grad-cam": ("grad-cam", partial(on_torch, pytorch_grad_cam)),
}


def squeezed(maps: Any) -> Any:
    """Return maps as (N, h, w)."""
    maps = np.asarray(maps)
    return maps.reshape(len(maps), *(side for side in maps.shape[1:] if side != 1))


def check(heatmap: Maps, scores: Any) -> list[int]:
    """Return the class of each image, once its map is one, varies, and is of that class."""
    *_, second, best = np.argsort(scores, axis=1).T.tolist()
    maps, others = squeezed(heatmap(best)), squeezed(heatmap(second))
    if maps.shape not in [(len(scores), side, side) for side in SIDES]:
        raise ValueError(f"{len(scores)} images have maps of the shape {maps.shape}")
    if not np.isfinite(maps).all() or (np.ptp(maps, axis=(1, 2)) == 0).any():
        raise ValueError("a map is constant or not finite")
    if any(np.allclose(one, other, atol=0) for one, other in zip(maps, others, strict=True)):
        raise ValueError("the map of another class is the same")
    return best


def ratios(pair: Pair, rounds: int) -> dict[str, Any]:
    """Time both in turn, checked and after two calls that do not count; times in ms a call."""
    forward, heatmap = pair
    turns: tuple[Callable[[], Any], ...] = (forward, partial(heatmap, check(heatmap, forward())))
    times: tuple[list[float], list[float]] = ([], [])
    for number in range(rounds + 2):
        for function, taken in zip(turns, times, strict=True):
            start = time.perf_counter()
            function()
            if number >= 2:
                taken.append((time.perf_counter() - start) * 1000)
    each = [mapped / passed for passed, mapped in zip(*times, strict=True)]
    low, median, high = statistics.quantiles(each, n=4)
    return {
        "forward_ms": statistics.median(times[0]),
        "heatmap_ms": statistics.median(times[1]),
        "ratio": median,
        "ratio_quartiles": [low, high],
        "rounds": rounds,
    }


def explain(name: str, cases: str, maps: str) -> None:
    """Write what a peer of PyTorch makes of given images, classes and weights."""
    given = np.load(cases)
    forward, heatmap = PEERS[name][1](given["images"], str(given["weights"]))
    np.savez(maps, maps=squeezed(heatmap(given["classes"].tolist())), scores=forward())


def main() -> None:
    """Measure the peer that is named, at each batch size; or write its maps."""
    name, *files = sys.argv[1:]
    if files:
        explain(name, *files)
        return
    package, make = PEERS[name]
    found: dict[str, Any] = {"package": f"{package} {version(package)}"}
    for framework in ("tensorflow", "keras", "torch", "torchvision"):
        try:
            found[framework] = version(framework)
        except ImportError:
            continue
    for size, rounds in ROUNDS.items():
        images = np.random.default_rng(0).uniform(0, 1, (size, 224, 224, 3)).astype(np.float32)
        found[f"batch_{size}"] = ratios(make(images), rounds)
    print(json.dumps(found))


if __name__ == "__main__":
    main()
