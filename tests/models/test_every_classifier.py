"""`last` is the layer that an expert names, in every classifier of the catalogue.

One of each kind of family is always looked at; the others too where GRADCAM_EVAL_EVERY_MODEL is
set, which takes some minutes: half a minute each for InceptionResNetV2 and NASNetMobile. Weights
are zero, since no value is looked at.
"""

import gc
import os

import pytest
import tensorflow as tf
from keras import initializers
from keras.src.applications import densenet

from gradcam_eval.models.catalogue import EVIDENCE_NETWORKS, MODELS
from gradcam_eval.models.layers import find_layers
from gradcam_eval.models.zoo import load_model

# name: (the last layer, its map's side, its stride, pixels of its local receptive field).
# The sizes of VGG16, MobileNet, ResNet v1, InceptionV3 and InceptionResNetV2 are those of the
# table in Araujo, Norris & Sim (Distill 2019); VGG16's is there for the pool behind this layer.
LAST = {
    "inception_v3": ("mixed10", 8, 32, 1311),  # not one of the branches that it joins
    "efficientnet_lite0": ("top_activation", 7, 32, 851),
    "convnext_tiny": ("add_17", 7, 32, 1688),  # the block's output, not its residual branch
    "efficientnet_b0": ("top_activation", 7, 32, 851),
    "mobilenet": ("conv_pw_13_relu", 7, 32, 315),
    "mobilenet_v2": ("out_relu", 7, 32, 491),
    "mobilenet_v3_small": ("activation_17", 7, 32, 639),  # not its 1×1 maps, which come later
    "resnet50": ("conv5_block3_out", 7, 32, 483),
    "vgg16": ("block5_conv3", 14, 16, 196),
    "xception": ("block14_sepconv2_act", 10, 32, 1083),  # not a shortcut's convolution
}
LARGER = {
    "mobilenet_v2_torchvision": ("out_relu", 7, 32, 491),
    "resnet50_v2": ("post_relu", 7, 32, 483),
    "efficientnet_v2_b0": ("top_activation", 7, 32, 763),
    "densenet121": ("relu", 7, 32, 2071),  # not the last 32 of its channels
    "nasnet_mobile": ("activation_187", 7, 32, 2407),
    "inception_resnet_v2": ("conv_7b_ac", 8, 32, 3039),
    "convnext_small": ("add_35", 7, 32, 3416),
    "convnext_base": ("add_35", 7, 32, 3416),
    "convnext_large": ("add_35", 7, 32, 3416),
    "convnext_xlarge": ("add_35", 7, 32, 3416),
    "densenet169": ("relu", 7, 32, 3351),
    "densenet201": ("relu", 7, 32, 3863),
    "efficientnet_b1": ("top_activation", 8, 32, 1183),
    "efficientnet_b2": ("top_activation", 9, 32, 1183),
    "efficientnet_b3": ("top_activation", 10, 32, 1407),
    "efficientnet_b4": ("top_activation", 12, 32, 1799),
    "efficientnet_b5": ("top_activation", 15, 32, 2131),
    "efficientnet_b6": ("top_activation", 17, 32, 2523),
    "efficientnet_b7": ("top_activation", 19, 32, 3079),
    "efficientnet_v2_b1": ("top_activation", 8, 32, 919),
    "efficientnet_v2_b2": ("top_activation", 9, 32, 983),
    "efficientnet_v2_b3": ("top_activation", 10, 32, 1175),
    "efficientnet_v2_s": ("top_activation", 12, 32, 1487),
    "efficientnet_v2_m": ("top_activation", 15, 32, 2219),
    "efficientnet_v2_l": ("top_activation", 15, 32, 3103),
    "mobilenet_v3_large": ("activation_19", 7, 32, 595),
    "nasnet_large": ("activation_259", 11, 32, 3303),
    "resnet101": ("conv5_block3_out", 7, 32, 1027),
    "resnet152": ("conv5_block3_out", 7, 32, 1507),
    "resnet101_v2": ("post_relu", 7, 32, 1027),
    "resnet152_v2": ("post_relu", 7, 32, 1507),
    "vgg19": ("block5_conv4", 14, 16, 252),
}
GATED = ("efficientnet_b", "efficientnet_v2", "mobilenet_v3")  # squeeze-and-excite: each sees all


@pytest.fixture
def zero_weights(monkeypatch):
    """Build without drawing a random number: memory of zeros is not touched."""

    def zeros(self, shape, dtype=None, **_):
        return tf.zeros(shape, dtype or "float32")

    for name in ("VarianceScaling", "RandomNormal", "TruncatedNormal", "RandomUniform"):
        monkeypatch.setattr(getattr(initializers, name), "__call__", zeros)
    gc.disable()  # it takes half of the time among so many small objects
    yield
    gc.enable()
    gc.collect()


def test_no_classifier_is_forgotten():
    assert set(LAST) | set(LARGER) == set(MODELS) - set(EVIDENCE_NETWORKS)  # they are no families
    assert not set(LAST) & set(LARGER)


def check(name, expected):
    check_layers(load_model(name, weights=None), name, expected)


def check_layers(model, name, expected):
    found = find_layers(model)
    (call,) = found.role("last")
    field = found.fields[call.path]
    path, side, stride, size = expected
    assert (call.path, call.map_shape[:2]) == (path, (side, side))
    assert (field.rows.stride, field.rows.size) == (stride, size)
    assert (field.columns.stride, field.columns.size) == (stride, size)
    is_gated = name.startswith(GATED)
    assert field.rows.is_global == is_gated
    stages = [stage.map_shape[0] for stage in found.role("stages")]
    assert stages[-1] == side
    assert len(set(stages)) == len(stages) >= 4


@pytest.mark.parametrize("name", LAST)
def test_last_is_the_layer_that_an_expert_names(name, zero_weights):
    check(name, LAST[name])


def test_last_of_a_densenet_is_not_the_last_32_of_its_channels(zero_weights):
    """One of two layers in each block: the whole network takes ten seconds."""
    model = densenet.DenseNet([2, 2, 2, 2], weights=None, input_shape=(224, 224, 3))
    check_layers(model, "densenet", ("relu", 7, 32, 279))


@pytest.mark.skipif(
    "GRADCAM_EVAL_EVERY_MODEL" not in os.environ,
    reason="the larger classifiers take minutes: set GRADCAM_EVAL_EVERY_MODEL=1",
)
@pytest.mark.parametrize("name", LARGER)
def test_last_of_the_larger_ones(name, zero_weights):
    check(name, LARGER[name])
