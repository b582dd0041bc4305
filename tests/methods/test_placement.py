"""Where a map's values lie on the image: stretched, or at their receptive fields."""

import re
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf

import gradcam_eval as ge
from gradcam_eval.arrays import Placement, place, resize
from gradcam_eval.core import InputError, Undefined
from gradcam_eval.methods.explainer import Explainer
from gradcam_eval.methods.heatmaps import Heatmaps
from gradcam_eval.models import calls as traced_calls
from gradcam_eval.models.inputs import model_inputs
from gradcam_eval.models.layers import find_layers
from gradcam_eval.models.placement import find_placements
from gradcam_eval.models.selection import resolve_layers

L = keras.layers


def placement(rows, columns, frame, seen=None):
    whole = tuple((0, n) for n in frame)
    centres = tuple(np.asarray(each, float) for each in (rows, columns))
    return Placement(centres, seen or whole, frame)


def slow_place(heatmap, where):
    """Row by row and column by column, by NumPy's own interpolation."""
    rows, columns = where.centres
    height, width = where.frame
    wide = np.stack([np.interp(np.arange(width), columns, line) for line in heatmap])
    placed = np.stack([np.interp(np.arange(height), rows, line) for line in wide.T], axis=1)
    for axis, (first, end) in enumerate(where.seen):
        for n in range(where.frame[axis]):
            if not first <= n < end:
                placed[(n,) if axis == 0 else (slice(None), n)] = 0
    return placed


@pytest.mark.parametrize("shape", [(4, 3), (1, 5), (6, 1), (2, 2)])
@pytest.mark.parametrize("seen", [None, ((3, 15), (0, 11))])
def test_it_is_linear_between_the_centres_nearest_beyond_and_0_where_nothing_is_seen(
    shape, seen, rng
):
    heatmap = rng.normal(size=shape)
    where = placement(*(np.sort(rng.uniform(-4, 24, n)) for n in shape), (20, 17), seen)
    placed = place(heatmap, where)
    np.testing.assert_allclose(placed, slow_place(heatmap, where), rtol=1e-5, atol=1e-6)


def test_even_centres_are_a_stretch(rng):
    maps = rng.normal(size=(2, 4, 5)).astype(np.float32)
    where = placement(np.arange(4) * 8 + 3.5, np.arange(5) * 4 + 1.5, (32, 20))
    np.testing.assert_allclose(place(maps, where), resize(maps, (32, 20)), rtol=1e-5)


def test_another_size_is_the_same_picture_smaller():
    ramp = np.linspace(0, 1, 8)[None].repeat(8, axis=0)
    where = placement(np.arange(8) * 4 + 5.0, np.arange(8) * 4 + 5.0, (64, 64), ((0, 64), (0, 48)))
    large, small = place(ramp, where), place(ramp, where, (32, 32))
    np.testing.assert_allclose(small, large.reshape(32, 2, 32, 2).mean(axis=(1, 3)), atol=0.02)
    assert not small[:, 24:].any()


def test_a_mirrored_map_lies_mirrored(rng):
    heatmap, centres = rng.normal(size=(3, 4)), (np.arange(3) * 2.0, np.arange(4) * 3.0)
    mirrored = place(heatmap[:, ::-1], placement(centres[0], centres[1][::-1], (6, 12)))
    np.testing.assert_allclose(mirrored, place(heatmap, placement(*centres, (6, 12))))


@pytest.mark.parametrize("heatmap", [np.full((2, 3), 0.25), np.full((1, 1), -2.0)])
def test_a_map_without_an_order_gets_none_from_its_place(heatmap):
    """A constant map of a crop, with zeros round it, would point at the crop."""
    where = placement(*(np.arange(n) + 4.0 for n in heatmap.shape), (9, 9), ((4, 6), (4, 7)))
    placed = place(np.stack([heatmap, heatmap]), where)
    assert placed.shape == (2, 9, 9)
    assert (placed == heatmap[0, 0]).all()


# --- by the model ---------------------------------------------------------------------------------


def network(*first, size=(48, 96), **conv):
    """Average of a 3×3 box filter behind some layers: class 1 is brightness."""
    options = {"padding": "same", "use_bias": False, "kernel_initializer": "ones", **conv}
    return keras.Sequential(
        [
            keras.Input((*size, 1)),
            *first,
            L.Conv2D(1, 3, name="conv", **options),
            L.GlobalAveragePooling2D(),
            L.Dense(2, kernel_initializer="ones"),
        ]
    )


def blob(rows=(20, 29), columns=(56, 65), size=(48, 96)):
    image = np.zeros((*size, 1), np.float32)
    image[slice(*rows), slice(*columns)] = 255
    return image


class Call(L.Layer):
    """A function of the images, as one layer of which nothing is known."""

    def __init__(self, function):
        super().__init__()
        self.function = function

    def call(self, x):
        return self.function(x)


def nested(*first):
    """The whole network inside another one."""
    return lambda: keras.Sequential([keras.Input((48, 96, 1)), network(*first)])


def plain(*first):
    return lambda: network(*first)


def of_halves():
    """A layer that is called on each half of the picture."""
    inputs, conv = keras.Input((48, 96, 1)), network().get_layer("conv")
    maps = [conv(inputs[:, :, :48]), conv(inputs[:, :, 48:])]
    scores = L.GlobalAveragePooling2D()(maps[0]) + L.GlobalAveragePooling2D()(maps[1])
    return keras.Model(inputs, L.Dense(2, kernel_initializer="ones")(scores))


PARTS = {
    "cropping": plain(L.Cropping2D(((0, 0), (48, 0)))),
    "slice": plain(Call(lambda x: x[:, 4:40, 50:90])),
    "centre crop": plain(L.CenterCrop(24, 48)),
    "resized crop": plain(L.Resizing(24, 24, crop_to_aspect_ratio=True)),
    "smooth resized crop": plain(
        Call(lambda x: tf.image.resize(x[..., 40:, :], (24, 28), "bicubic"))
    ),
    "shape at run time": plain(Call(lambda x: x[:, :, tf.shape(x)[2] // 2 :])),
    "vectorized": plain(Call(lambda x: tf.vectorized_map(lambda each: each[:, 48:], x))),
    "mirrored": plain(Call(lambda x: x[:, :, ::-1])),
    "padded": plain(L.ZeroPadding2D(((0, 0), (96, 0)))),
    "letterbox": plain(L.Resizing(96, 96, pad_to_aspect_ratio=True)),
    "letterbox of columns": plain(L.Resizing(48, 192, pad_to_aspect_ratio=True)),
    "nested": nested(L.CenterCrop(24, 48)),
    "halves": of_halves,
}


@pytest.mark.parametrize("name", PARTS)
def test_a_map_of_a_part_of_the_image_lies_on_that_part(name):
    """The blob of the issue: its middle is at (24, 60), and stretched over all it was elsewhere."""
    model, box = PARTS[name](), [np.array([[56, 20, 65, 29]])]
    layers = ["conv#0", "conv#1"] if name == "halves" else ["conv"]
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # that positions of "padded" see nothing
        maps = ge.explain(model, blob(), layers=layers, targets=1)
    heatmap = sum(each[0] for each in maps.values())
    assert heatmap.shape == (48, 96)
    assert ge.pointing_game([heatmap], boxes=box) == [True]
    (share,) = ge.relevance_mass_accuracy([heatmap], boxes=box)
    assert share > 0.6  # 1 but for the kernels, which see beyond the blob
    weight = np.maximum(heatmap, 0) / np.maximum(heatmap, 0).sum()
    middle = [(weight.sum(1 - axis) * np.arange(n)).sum() for axis, n in enumerate((48, 96))]
    np.testing.assert_allclose(middle, (24, 60), atol=1)
    assert ge.overlay(np.zeros((48, 96, 3)), heatmap).shape == (48, 96, 3)


def test_the_example_of_the_issue_by_every_geometry():
    model = network(L.Cropping2D(((0, 0), (48, 0))))
    box = [np.array([[56, 20, 65, 29]])]
    stretched = ge.explain(model, blob(), targets=1, geometry="stretch")
    assert stretched["conv", "grad_cam"].shape == (1, 48, 48)
    assert ge.pointing_game(list(stretched["conv", "grad_cam"]), boxes=box, size=(48, 96)) == [
        False
    ]
    automatic = ge.explain(model, blob(), targets=1)
    by_field = ge.explain(model, blob(), targets=1, geometry="receptive_field")
    for maps in (
        automatic,
        by_field,
        *(stretched.resized(geometry=g) for g in ("auto", "receptive_field")),
    ):
        (heatmap,) = maps["conv", "grad_cam"]
        assert not heatmap[:, :48].any()  # nothing of it is seen
        peaks = np.argwhere(heatmap == heatmap.max())
        assert peaks.min(axis=0).tolist() == [21, 57]
        assert peaks.max(axis=0).tolist() == [27, 63]
    np.testing.assert_array_equal(
        automatic.resized(geometry="stretch")["conv", "grad_cam"],
        stretched.resized()["conv", "grad_cam"],
    )
    with pytest.raises(InputError, match="did you mean 'stretch'"):
        ge.explain(model, blob(), geometry="strech")


@pytest.mark.parametrize(
    ("valid", "is_placed"),
    [(1, False), (2, True)],  # of 3×3 at stride 1: an edge moves by one pixel, a stride, or by two
)
def test_more_than_one_stride_is_the_limit(valid, is_placed):
    layers = [L.Conv2D(1, 3, kernel_initializer="ones") for _ in range(valid - 1)]
    maps = ge.explain(network(*layers, padding="valid"), blob(), targets=1)
    assert (("conv", "grad_cam") in maps.placed) == is_placed
    size = (48 - 2 * valid, 96 - 2 * valid)
    assert maps["conv", "grad_cam"].shape[1:] == ((48, 96) if is_placed else size)


def test_even_padding_and_strides_are_a_stretch():
    options = {"strides": 2, "padding": "same", "kernel_initializer": "ones"}
    layers = [L.Conv2D(1, k, **options) for k in (7, 5, 3)]
    maps = ge.explain(network(*layers), blob(), targets=1)
    assert not maps.placed
    assert maps["conv", "grad_cam"].shape == (1, 6, 12)


def test_one_row_of_a_map_lies_on_all_rows_that_it_sees():
    class Rows(L.Layer):
        def call(self, x):
            return keras.ops.mean(x[:, 24:], axis=1, keepdims=True)

    model = network(Rows())
    assert resolve_layers(find_layers(model), "last")[0].path == "conv"
    (heatmap,) = ge.explain(model, blob(rows=(30, 35)), targets=1)["conv", "grad_cam"]
    assert not heatmap[:24].any()
    assert (heatmap[24:] == heatmap[24]).all()
    assert 57 <= heatmap[24].argmax() <= 63


# --- what is not known ----------------------------------------------------------------------------


def cumulated(x):
    return tf.math.cumsum(x, axis=1)


def zoomed_out(x):
    """The picture at half its size amid zeros, by an operation without a rule."""
    transform = tf.constant([[2.0, 0, -48, 0, 2, -24, 0, 0]])
    return tf.raw_ops.ImageProjectiveTransformV3(
        images=x,
        transforms=transform,
        output_shape=[48, 96],
        fill_value=0.0,
        interpolation="BILINEAR",
    )


UNKNOWN = {
    "crop": (lambda x: cumulated(x)[:, :, 48:], r"borders \(left\).*Cumsum"),
    "loop": (lambda x: tf.map_fn(lambda each: each[:24], x), r"borders \(bottom\)"),
    "frame": (lambda x: tf.reshape(x, (-1, 2, 24, 96, 1))[:, 1], r"borders \(top\)"),
    "letterbox": (zoomed_out, r"borders \(top, bottom, left, right\)"),
    "crop by content": (
        lambda x: tf.cond(tf.reduce_max(x) > 0, lambda: x[:, :, 48:], lambda: x[:, :, :48]),
        r"borders \(left\)",
    ),
    "random": (lambda x: cumulated(x) * tf.random.uniform(tf.shape(x)), "differ from run to run"),
    "turned": (lambda x: tf.transpose(x, (0, 2, 1, 3)), "do not lie on the image as rows"),
    "windows": (lambda x: tf.reshape(x, (-1, 24, 96, 1)), "a row for each part of an image"),
    "frames in one": (  # as ConvLSTM2D: each row sees one row of each frame
        lambda x: tf.reduce_mean(tf.reshape(x, (-1, 4, 12, 96, 1)), 1),
        r"its rows do not follow each other as those of the image.*interleaves",
    ),
    "halves in one": (
        lambda x: tf.reduce_mean(tf.reshape(x, (-1, 48, 2, 48, 1)), 2),
        "its columns do not follow each other",
    ),
    "rolled": (lambda x: tf.roll(x, 10, axis=1), "do not lie evenly"),
}


@pytest.mark.filterwarnings("ignore:this model stays random")
@pytest.mark.filterwarnings("ignore:layer 'conv' is no good choice")
@pytest.mark.parametrize("name", UNKNOWN)
def test_what_may_not_be_the_whole_image_is_refused_with_the_reason(name):
    function, reason = UNKNOWN[name]
    model = network(Call(function))
    if name == "windows":  # as many answers as images, from maps of parts
        inputs = keras.Input((48, 96, 1))
        maps = L.Conv2D(1, 3, padding="same", name="conv")(Call(function)(inputs))
        pooled = Call(lambda x: tf.reshape(tf.reduce_mean(x, (1, 2, 3)), (-1, 2)))(maps)
        model = keras.Model(inputs, L.Dense(2)(pooled))
    explainer = Explainer(model, "conv", "grad_cam", skip_refused=True)
    assert re.search(reason, explainer(blob(), 1).refused["conv", "grad_cam"])
    with pytest.raises(InputError, match=reason):
        ge.explain(model, blob(), layers="conv", targets=1)
    if name == "windows":
        with pytest.raises(InputError, match="choose another layer"):
            ge.explain(model, blob(), layers="conv", targets=1, geometry="stretch")
    else:
        ge.explain(model, blob(), layers="conv", targets=1, geometry="stretch")


def frames(halves):
    inputs = keras.Input((48, 96, 1))
    maps = L.TimeDistributed(keras.Sequential([network().get_layer("conv")]))(halves(inputs))
    return keras.Model(inputs, L.Dense(2)(keras.ops.mean(maps, (1, 2, 3))))


@pytest.mark.parametrize(
    ("halves", "reason"),
    [
        (lambda x: keras.ops.stack([x[:, :, :48], x[:, :, 48:]], axis=1), "lie apart"),
        (lambda x: keras.ops.reshape(x, (-1, 2, 24, 96, 1)), r"borders \(top\).*interleaves"),
    ],
    ids=["stacked", "reshaped"],
)
def test_the_call_on_one_frame_of_several_is_refused(halves, reason):
    """`last` was the last frame's map, stretched over all frames."""
    with pytest.raises(InputError, match=reason):
        ge.explain(frames(halves), blob(), layers="conv#1", targets=1)


def test_two_crops_in_one_map_are_no_place():
    inputs = keras.Input((48, 96, 1))
    both = L.Concatenate()([inputs[:, :, :48], inputs[:, :, 48:]])
    conv = L.Conv2D(1, 3, padding="same", name="conv")(both)
    model = keras.Model(inputs, L.Dense(2)(L.GlobalAveragePooling2D()(conv)))
    with pytest.raises(InputError, match="lie apart"):
        ge.explain(model, blob(), targets=1)


def swin(x):
    """Windows of 4×4, each a row of its own, and the map again."""
    apart = tf.transpose(tf.reshape(x, (-1, 12, 4, 24, 4, 1)), (0, 1, 3, 2, 4, 5))
    together = tf.reshape(tf.reshape(apart, (-1, 16, 1)) * 2.0, (-1, 12, 24, 4, 4, 1))
    return tf.reshape(tf.transpose(together, (0, 1, 3, 2, 4, 5)), (-1, 48, 96, 1))


def everywhere(x):
    """Each row sees all rows alike, by operations without a rule."""
    return cumulated(x) + tf.math.cumsum(x, axis=1, reverse=True, exclusive=True)


@pytest.mark.parametrize("function", [cumulated, swin, everywhere])
def test_an_unknown_field_whose_edges_see_the_borders_is_stretched(function):
    model = network(Call(function))
    assert isinstance(find_layers(model).fields["conv"], Undefined)
    maps = ge.explain(model, blob(), targets=1)
    assert maps["conv", "grad_cam"].shape == (1, 48, 96)
    assert not maps.placed
    with pytest.raises(InputError, match=r"'conv' cannot be placed.*geometry='stretch'"):
        maps.resized(geometry="receptive_field")


def test_trying_the_borders_leaves_the_model_as_it_was():
    class Counting(L.Layer):
        def build(self, shape):
            self.count = self.add_weight(shape=(), initializer="zeros", trainable=False)

        def call(self, x):
            self.count.assign_add(1.0)
            return cumulated(x)

    model = network(Counting())
    explainer = Explainer(model, "conv")
    before = [each.numpy() for each in model.weights]
    assert explainer.placings((48, 96)) == {"conv": None}
    for one, other in zip(before, model.weights, strict=True):
        np.testing.assert_array_equal(one, other.numpy())
    assert "call" not in vars(model.get_layer("conv"))


def test_the_field_is_computed_once_and_from_the_trace_that_finds_the_layers(monkeypatch):
    model, counted = network(L.CenterCrop(24, 48)), []
    trace = traced_calls.trace_calls

    def counting(*args, **options):
        counted.append(args)
        return trace(*args, **options)

    monkeypatch.setattr("gradcam_eval.models.layers.trace_calls", counting)
    monkeypatch.setattr("gradcam_eval.models.placement.trace_calls", counting)
    explainer = Explainer(model, "last", ["grad_cam", "hires_cam"])
    for _ in range(3):
        explainer(blob(), 1)
    assert len(counted) == 1
    calls = explainer.calls((48, 96))
    Explainer(model, calls)(blob(), 1)
    assert len(counted) == 1  # the calls bring what was found out
    assert Explainer(model, calls).placings((48, 96))["conv"].seen == ((12, 36), (24, 72))


def test_a_call_of_another_image_size_is_placed_for_its_own():
    inputs = keras.Input((None, None, 1))
    x = L.Conv2D(1, 3, padding="same", name="conv")(inputs[:, 8:, :])
    model = keras.Model(inputs, L.Dense(2)(L.GlobalAveragePooling2D()(x)))
    calls = resolve_layers(find_layers(model, (16, 16)), "conv")
    explainer = Explainer(model, calls)
    assert explainer.placings((16, 16))["conv"].seen == ((8, 16), (0, 16))
    assert explainer.placings((64, 32))["conv"].seen == ((8, 64), (0, 32))


# --- methods that meet the image ------------------------------------------------------------------


def cropped_and_alone(method):
    """Maps of a network behind a crop, and of the same network shown the crop alone."""
    keras.utils.set_random_seed(3)
    images = np.random.default_rng(0).uniform(0, 255, (2, 16, 24, 1)).astype(np.float32)
    layers = [
        L.Conv2D(3, 3, strides=2, padding="same", activation="relu", name="conv"),
        L.Flatten(),
    ]
    small = keras.Sequential([keras.Input((8, 12, 1)), *layers, L.Dense(2)])
    large = keras.Sequential(
        [keras.Input((16, 24, 1)), L.Cropping2D(((8, 0), (0, 12))), *small.layers]
    )
    options = {"layers": "conv", "methods": [method], "targets": 1}
    whole = ge.explain(large, images, **options)
    alone = ge.explain(small, images[:, 8:, :12], geometry="receptive_field", **options)
    return whole["conv", method], alone["conv", method]


@pytest.mark.parametrize(
    "method", ["score_cam(fill=black)", "guided_grad_cam", "fusion_mean(of=hires_cam)"]
)
def test_a_crop_inside_the_model_is_explained_as_the_crop_alone(method):
    """What a method lays on the image itself, inside the pass, is laid there too."""
    whole, alone = cropped_and_alone(method)
    assert whole.shape == (2, 16, 24)
    assert whole.max() > 0
    assert not whole[:, :8].any()
    assert not whole[:, :, 12:].any()
    np.testing.assert_allclose(whole[:, 8:, :12], alone, atol=1e-4 * alone.max())


def test_a_map_of_the_images_size_is_placed_too_unless_its_positions_are_pixels():
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((12, 12, 1)),
            L.ZeroPadding2D(((6, 0), (0, 6))),
            L.Conv2D(3, 7, activation="relu", name="shifted"),  # 12×12 again, off by 3 each way
            L.GlobalAveragePooling2D(),
            L.Dense(2),
        ]
    )
    methods = ["hires_cam", "guided_grad_cam", "score_cam", "gradient"]
    images = np.random.default_rng(0).uniform(0, 255, (1, 12, 12, 1)).astype(np.float32)
    maps = Explainer(model, "shifted", methods, geometry="stretch")(images, 1)
    stretched, placed = maps.resized(), maps.resized(geometry="receptive_field")
    for key in maps:
        np.testing.assert_array_equal(stretched[key], maps[key])
    for method in ("hires_cam", "score_cam"):
        (cam,) = maps["shifted", method]
        assert cam.max() > cam.min()
        # row i sees rows i − 6 to i, and column j sees columns j to j + 6
        np.testing.assert_allclose(placed["shifted", method][0, :9, 3:], cam[3:, :9], rtol=1e-5)
    for key in (("shifted", "guided_grad_cam"), ("input", "gradient")):
        np.testing.assert_array_equal(placed[key], maps[key])
    automatic = Explainer(model, "shifted", "hires_cam")(images, 1)
    for heatmap in (automatic["shifted", "hires_cam"], automatic.resized()["shifted", "hires_cam"]):
        np.testing.assert_array_equal(heatmap, placed["shifted", "hires_cam"])


def test_a_fusion_is_laid_when_it_is_made():
    model = network(L.CenterCrop(24, 48), L.Conv2D(1, 3, padding="same", name="first"))
    fused = ge.explain(
        model, blob(), layers=["first", "conv"], methods="fusion_mean(of=hires_cam)", targets=1
    )
    (key,) = fused
    assert fused[key].shape == (1, 48, 96)
    with pytest.raises(InputError, match="not one layer's: give the geometry to what explains"):
        fused.resized(geometry="stretch")
    even = ge.explain(network(), blob(), methods="fusion_mean(of=hires_cam)", targets=1)
    np.testing.assert_array_equal(
        even.resized(geometry="stretch")["conv", "fusion_mean(of=hires_cam)"],
        even.resized()["conv", "fusion_mean(of=hires_cam)"],
    )


def test_a_map_of_another_size_covers_what_its_layer_covers():
    @ge.register_method
    def averaged(activations, gradients, *, by=2):
        return tf.nn.avg_pool2d(activations, by, by, "VALID")[..., 0]

    model = network(L.CenterCrop(24, 48))
    try:
        for by in (2, 3):
            method = f"averaged(by={by})"
            maps = ge.explain(model, blob(), methods=[method, "hires_cam"], targets=1)
            coarse, fine = maps["conv", method][0], maps["conv", "hires_cam"][0]
            assert coarse.shape == fine.shape == (48, 96)
            assert not np.delete(coarse, np.r_[12:36], axis=0).any()
            assert not np.delete(coarse, np.r_[24:72], axis=1).any()
            middles = [(each.sum(0) * np.arange(96)).sum() / each.sum() for each in (coarse, fine)]
            assert abs(middles[0] - middles[1]) < 1
        assert ge.explain(network(), blob(), methods="averaged", targets=1)["conv", "averaged"].size
    finally:
        ge.METHODS.pop("averaged")


# --- regions of a segmentation ----------------------------------------------------------------


def segmentation(*first, size=(48, 96), strides=1):
    """Two classes for each pixel, of which the second has the brightness for a logit."""
    conv = L.Conv2D(2, strides, strides=strides, use_bias=False, name="classes")
    same = L.Conv2D(1, 1, use_bias=False, kernel_initializer="ones", name="conv")
    model = keras.Sequential([keras.Input((*size, 1)), *first, same, conv])
    conv.set_weights([np.full((strides, strides, 1, 2), [0.0, strides**-2], np.float32)])
    return model


def test_a_region_lies_where_the_output_sees_it(rng):
    """The crop inside the model gives the score of the crop outside."""
    image = rng.uniform(0, 255, (48, 96, 1)).astype(np.float32)
    region = blob()[..., 0] > 0
    crop = np.s_[12:36, 24:72]
    for strides in (1, 2):
        inside = Explainer(segmentation(L.CenterCrop(24, 48), strides=strides))
        outside = Explainer(segmentation(size=(24, 48), strides=strides))
        expected = outside(image[crop], 1, regions=region[crop])
        for given in (region, np.repeat(np.repeat(region, 2, 0), 2, 1)):  # of any size
            found = inside(image, 1, regions=given)
            np.testing.assert_allclose(found.scores, expected.scores, rtol=1e-6)
            np.testing.assert_allclose(found.predictions, expected.predictions, rtol=1e-5)
        stretched = Explainer(inside.model, geometry="stretch")(image, 1, regions=region)
        assert stretched.scores != pytest.approx(expected.scores, rel=1e-3)
        shape = inside.model.output_shape[1:3]  # of the output's own size: of its positions
        of_output = inside(image, 1, regions=np.ones(shape)).scores
        np.testing.assert_allclose(of_output, inside(image, 1).scores, rtol=1e-6)


def test_a_region_that_the_output_cannot_have_is_refused():
    cropped = Explainer(segmentation(L.CenterCrop(24, 48)))
    with pytest.raises(InputError, match=r"lies beside what this model's output sees: .*rows 12"):
        cropped(blob(), 1, regions=blob(rows=(0, 9))[..., 0])
    unknown = Explainer(segmentation(Call(lambda x: cumulated(x)[:, :, 48:])), "conv", "gradient")
    with pytest.raises(InputError, match=r"cannot be laid on this .*Cumsum.*own height"):
        unknown(blob(), 1, regions=blob()[..., 0])
    assert unknown(blob(), 1, regions=np.ones((48, 48))).scores > 0
    whole = Explainer(segmentation(Call(cumulated)), "conv", "gradient")  # it sees every border
    assert whole(blob(), 1, regions=blob()[..., 0]).scores > 0


def test_shares_of_an_output_by_hand():
    where = placement([1.0, 4.0], [2.5], (8, 6), ((0, 6), (2, 4)))  # rows 3 apart; one column
    rows, columns = where.shares((8, 6))
    np.testing.assert_allclose(rows, [[1 / 3] * 3 + [0] * 5, [0] * 3 + [1 / 3] * 3 + [0] * 2])
    np.testing.assert_allclose(columns, [[0, 0, 0.5, 0.5, 0, 0]])
    coarse = where.shares((4, 6))[0]  # pixels of the region are two of the image
    np.testing.assert_allclose(coarse, [[2 / 3, 1 / 3, 0, 0], [0, 1 / 3, 2 / 3, 0]])


# --- receptive_field, as it was -------------------------------------------------------------------


def shifting():
    """Strided convolutions without padding: the last map covers the top left of the image."""
    layers = [L.Conv2D(1, 5, strides=s, use_bias=False, kernel_initializer="ones") for s in (1, 2)]
    pads = [L.ZeroPadding2D(((0, 9), (9, 0))), *layers, L.Conv2D(1, 3, strides=2, name="last")]
    return keras.Sequential([keras.Input((40, 40, 1)), *pads, L.Flatten(), L.Dense(2)])


def explained(model, images):
    """Heatmaps that are the activation of the last map itself."""
    calls = resolve_layers(find_layers(model), "last")
    heads = keras.Model(model.inputs[0], calls[0].layer.output)
    maps = np.abs(np.asarray(heads(images)))[..., 0]
    inputs = model_inputs(model)
    return calls[0].path, Heatmaps(
        maps={(calls[0].path, "activation"): maps},
        scores=np.zeros(len(images), np.float32),
        image_size=(40, 40),
        geometry="stretch",
        find_placings=lambda geometry: find_placements(model, inputs, calls, geometry),
    )


@pytest.mark.parametrize("pixel", [(16, 26), (20, 20), (30, 24), (12, 12)])
def test_a_stimulus_lands_on_itself_only_by_its_receptive_field(pixel):
    keras.utils.set_random_seed(0)
    model = shifting()
    model.get_layer("last").set_weights([np.ones((3, 3, 1, 1)), np.zeros(1)])
    images = np.zeros((1, 40, 40, 1), np.float32)
    images[0, pixel[0], pixel[1]] = 1
    path, maps = explained(model, images)

    def centre_of_mass(geometry):
        heatmap = maps.resized(geometry=geometry)[path, "activation"][0]
        weights = heatmap / heatmap.sum()
        return np.array([(weights.sum(axis=1 - axis) * np.arange(40)).sum() for axis in (0, 1)])

    assert np.abs(centre_of_mass("receptive_field") - pixel).max() < 1
    assert np.abs(centre_of_mass("auto") - pixel).max() < 1
    assert np.abs(centre_of_mass("stretch") - pixel).max() > 2


def test_what_is_not_known_is_refused_with_the_reason():
    inputs = keras.Input((40, 40, 1))
    x = L.Conv2D(2, 3, name="conv")(keras.ops.cumsum(inputs, axis=1))
    model = keras.Model(inputs, L.Dense(2)(L.GlobalAveragePooling2D()(x)))
    _, maps = explained(model, np.ones((1, 40, 40, 1), np.float32))
    assert maps.resized()["conv", "activation"].shape == (1, 40, 40)
    with pytest.raises(InputError, match=r"'conv' cannot be placed.*Cumsum.*geometry='stretch'"):
        maps.resized(geometry="receptive_field")
    with pytest.raises(InputError, match="did you mean 'stretch'"):
        maps.resized(geometry="strech")


def test_maps_of_the_images_size_are_in_place_already(rng):
    maps = rng.normal(size=(2, 8, 8)).astype(np.float32)
    heatmaps = Heatmaps({("input", "gradient"): maps}, np.zeros(2, np.float32), (8, 8))
    placed = heatmaps.resized(geometry="receptive_field")
    np.testing.assert_array_equal(placed["input", "gradient"], maps)
    small = Heatmaps({("a+b", "mean"): maps}, np.zeros(2, np.float32), (16, 16))
    with pytest.raises(InputError, match="not one layer's"):
        small.resized(geometry="receptive_field")


class SomeRows(L.Layer):
    def call(self, x):
        return tf.gather(x, [0, 1, 3, 6], axis=1)


def test_a_map_of_uneven_rows_is_not_placed():
    """Its columns lie evenly, which is not enough."""
    layers = [L.Conv2D(2, 3), SomeRows(), L.Conv2D(2, 1, name="uneven")]
    head = [L.GlobalAveragePooling2D(), L.Dense(2)]
    model = keras.Sequential([keras.Input((9, 9, 3)), *layers, *head])
    maps = Explainer(model, "uneven")(np.ones((1, 9, 9, 3)))
    assert not maps.placed  # but each row sees where a stretched map has it
    with pytest.raises(InputError, match="its positions do not lie evenly on the image"):
        maps.resized(geometry="receptive_field")
