"""Transformers: tokens become maps once their grid is declared, and the maps show the object."""

import keras
import numpy as np
import pytest
import tensorflow as tf
import vit

from gradcam_eval.core import InputError
from gradcam_eval.methods.explainer import Explainer
from gradcam_eval.models.layers import find_layers, list_layers
from gradcam_eval.models.layout import TokenGrid
from gradcam_eval.models.selection import resolve_layers

GRIDS = {True: "8x8+1", False: "8x8"}
VARIANTS = pytest.mark.parametrize("has_class_token", [True, False], ids=["class token", "mean"])


@pytest.fixture(scope="module")
def deep():
    return {kind: vit.build(kind) for kind in GRIDS}


def test_the_maps_point_at_the_object():
    model = vit.trained(True)
    images, classes, corners = vit.pictures(100, seed=9)
    assert (np.asarray(model(images)).argmax(axis=1) == classes).mean() > 0.95
    explainer = Explainer(
        model, "last", ["grad_cam", "hires_cam"], tokens=GRIDS[True], batch_size=50
    )
    maps = explainer(images, classes)
    for key, resized in maps.resized().items():
        assert maps[key].shape == (100, 8, 8)
        peaks = [np.unravel_index(each.argmax(), each.shape) for each in resized]
        inside = (np.array(peaks) >= corners) & (np.array(peaks) < corners + vit.OBJECT)
        assert inside.all(axis=1).mean() > 0.8, key  # by chance 1/16


def test_behind_the_last_attention_only_the_class_token_counts(deep):
    found = find_layers(deep[True], tokens="8x8+1")
    paths = [call.path for call in found.candidates]
    assert paths[-1] == "block2_norm1"
    assert "block1_out" in paths
    for path in ("block2_attention", "block2_add1", "block2_mlp2", "block2_out", "norm"):
        assert path not in paths
        assert "do not influence the output" in found.doubts[path]


def test_a_channel_is_ablated_beside_each_images_own_class_token(deep):
    images, _, _ = vit.pictures(3)
    explainer = Explainer(deep[True], "last", "ablation_cam(channels=4)", tokens="8x8+1")
    (together,) = explainer(images, 0).values()
    assert together.max() > 0
    for n, image in enumerate(images):
        (alone,) = explainer(image, 0).values()
        np.testing.assert_allclose(together[n], alone[0], rtol=1e-3, atol=1e-4 * together[n].max())


def test_a_dead_layer_warns_and_its_gradient_is_zero_as_the_warning_says(deep):
    images, _, _ = vit.pictures(2)
    with pytest.warns(UserWarning, match="'block2_out' is no good choice: its patch tokens"):
        maps = Explainer(deep[True], "block2_out", "hires_cam", tokens="8x8+1")(images)
    assert not maps["block2_out", "hires_cam"].any()
    alive = Explainer(deep[True], "last", "hires_cam", tokens="8x8+1")(images)
    assert alive["block2_norm1", "hires_cam"].any()


def test_pooled_tokens_count_to_the_end(deep):
    found = find_layers(deep[False], tokens=TokenGrid(8, 8))
    assert [call.path for call in found.role("last")] == ["norm"]
    assert not [path for path, doubt in found.doubts.items() if "influence" in doubt]


@VARIANTS
@pytest.mark.parametrize("role", ["last", "stages", "all"])
def test_without_a_grid_the_error_says_what_to_declare(deep, has_class_token, role):
    found = find_layers(deep[has_class_token])
    with pytest.raises(InputError, match=r"rows of 6[45] tokens") as error:
        resolve_layers(found, role)
    assert f"give tokens='{GRIDS[has_class_token]}'" in str(error.value)
    with pytest.raises(InputError, match="declare how they lie on it") as error:
        resolve_layers(found, "block1_out")
    assert f"tokens='{GRIDS[has_class_token]}'" in str(error.value)
    assert [call.path for call in resolve_layers(found, "patches")] == ["patches"]


def test_a_grid_that_is_not_the_models_is_refused(deep):
    with pytest.raises(InputError, match=r"'7x7' do not fit.*tokens='8x8\+1'"):
        find_layers(deep[True], tokens="7x7")
    with pytest.raises(InputError, match=r"'4x16\+1' do not fit.*tokens='8x8\+1'"):
        find_layers(deep[True], tokens="4x16+1")
    plain = keras.Sequential([keras.Input((8, 8, 3)), keras.layers.Conv2D(2, 3)])
    with pytest.raises(InputError, match="it has no such rows"):
        find_layers(plain, tokens="8x8")


def test_the_grid_is_told_by_the_operations_also_where_it_is_no_square():
    inputs = keras.Input((12, 20, 3))
    x = keras.layers.Conv2D(4, 4, strides=4)(inputs)
    x = keras.layers.Dense(4, name="mixed")(keras.layers.Reshape((15, 4))(x))
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.GlobalAveragePooling1D()(x)))
    with pytest.raises(InputError, match="3 rows × 5 columns"):
        resolve_layers(find_layers(model), "last")
    (call,) = resolve_layers(find_layers(model, tokens="3x5"), "last")
    assert (call.path, call.map_shape) == ("mixed", (3, 5, 4))


def test_reshaping_before_the_head_does_not_make_a_token_model():
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Reshape((36, 4))(keras.layers.Conv2D(4, 3, name="conv")(inputs))
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.GlobalAveragePooling1D()(x)))
    assert [call.path for call in resolve_layers(find_layers(model), "last")] == ["conv"]


def test_the_table_of_a_transformer(deep):
    frame = list_layers(deep[True], tokens="8x8+1").set_index("path")
    assert frame.loc["block1_out", "stride"] == 4
    assert frame.loc["position", "receptive_field"] == 4
    assert frame.loc["block1_out", "receptive_field"] == 32
    assert "a global operation" in frame.loc["block1_out", "note"]
    assert np.isnan(frame.loc["block1_attention/key", "stride"])
    undeclared = list_layers(deep[True]).set_index("path")
    assert undeclared.loc["norm", "note"] == "tokens: declare tokens='8x8+1' to explain it"


def merging():
    """64 tokens, then each four become one, as in a Swin transformer."""
    inputs = keras.Input((16, 16, 3))
    x = keras.layers.Conv2D(4, 2, strides=2, name="patches")(inputs)
    x = keras.layers.Dense(4, name="fine")(keras.layers.Reshape((64, 4))(x))
    x = keras.layers.Reshape((4, 2, 4, 2, 4))(x)
    x = keras.ops.max(x, axis=(2, 4))
    x = keras.layers.Dense(4, name="coarse")(keras.layers.Reshape((16, 4))(x))
    return keras.Model(inputs, keras.layers.Dense(2)(keras.layers.GlobalAveragePooling1D()(x)))


def test_of_several_grids_the_last_is_to_be_declared():
    model = merging()
    with pytest.raises(InputError, match="give tokens='4x4'"):
        resolve_layers(find_layers(model), "last")
    for tokens, path in (("8x8", "fine"), ("4x4", "coarse")):
        found = find_layers(model, tokens=tokens)
        assert path in [call.path for call in found.candidates]
        layouts = {call.path: str(call.layout) for call in found.calls}
        assert [each for each in ("fine", "coarse") if layouts[each] == tokens] == [path]
    assert [call.path for call in found.role("last")] == ["coarse"]


@pytest.mark.parametrize(("place", "alive"), [(0, False), (1, True)])
def test_one_token_that_reaches_the_output_is_enough(place, alive):
    """A head that reads the class token alone, or the first patch behind it."""
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Conv2D(4, 4, strides=4, name="patches")(inputs)
    x = keras.layers.ZeroPadding1D((1, 0))(keras.layers.Reshape((4, 4))(x))
    x = keras.layers.Dense(4, name="tokens")(x)
    model = keras.Model(inputs, keras.layers.Dense(2)(x[:, place]))
    found = find_layers(model, tokens="2x2+1")
    assert ("tokens" in [call.path for call in found.candidates]) == alive


def windows(maps, name):
    """Attention inside windows of 4×4 positions, as in a Swin transformer."""
    order = (0, 1, 3, 2, 4, 5)
    parts = keras.ops.transpose(keras.ops.reshape(maps, (-1, 2, 4, 3, 4, 8)), order)
    rows = keras.ops.reshape(parts, (-1, 16, 8))
    seen = keras.layers.MultiHeadAttention(2, 4, name=f"{name}_attention")(rows, rows)
    parts = keras.ops.transpose(keras.ops.reshape(seen, (-1, 2, 3, 4, 4, 8)), order)
    return keras.layers.Add(name=name)([maps, keras.ops.reshape(parts, (-1, 8, 12, 8))])


def test_what_has_a_row_for_each_window_is_no_map_of_an_image():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((16, 24, 3))
    maps = windows(keras.layers.Conv2D(8, 2, strides=2, name="patches")(inputs), "first")
    maps = keras.layers.Dense(8, activation="relu", name="after")(windows(maps, "second"))
    model = keras.Model(inputs, keras.layers.Dense(2)(keras.layers.GlobalAveragePooling2D()(maps)))
    found = find_layers(model)
    for role in ("last", "stages", "all"):
        assert not [call.path for call in found.role(role) if "attention" in call.path]
    assert [call.path for call in found.role("stages")] == ["after"]
    assert found.undeclared == {}
    images = np.random.default_rng(0).uniform(0, 1, (3, 16, 24, 3)).astype(np.float32)
    heatmaps = Explainer(model, "all")(images)
    assert {heatmap.shape for heatmap in heatmaps.values()} == {(3, 8, 12)}
    with pytest.raises(InputError, match="it has no such rows"):
        Explainer(model, "first_attention", tokens="4x4")(images)


class Strongest(keras.layers.Layer):
    """Keeps so many tokens, of whichever places: no operation tells where they lie."""

    def __init__(self, count, **options):
        super().__init__(**options)
        self.count = count

    def call(self, x):
        places = tf.argsort(x[..., 0], axis=-1)[:, : self.count]
        return tf.gather(x, places, batch_dims=1)


def choosing(*counts):
    """64 tokens, of which fewer and fewer are kept, each time with a dense layer behind."""
    inputs = keras.Input((8, 8, 3))
    x = keras.layers.Reshape((64, 4))(keras.layers.Conv2D(4, 1, name="conv")(inputs))
    for count in counts:
        x = keras.layers.Dense(4, name=f"tokens{count}")(Strongest(count)(x))
    return keras.Model(inputs, keras.layers.Dense(2)(keras.layers.GlobalAveragePooling1D()(x)))


@pytest.mark.parametrize(
    ("tokens", "grid"), [(4, "2x2"), (5, "2x2+1"), (9, "3x3"), (1, None), (2, None), (6, None)]
)
def test_the_square_that_fits_is_the_guess(tokens, grid):
    """From 2×2 on: one token, with a class token or alone, is no map."""
    found = find_layers(choosing(tokens)).undeclared.get(f"tokens{tokens}")
    assert (found and str(found)) == grid


def test_of_several_guesses_the_last_that_fits_is_named():
    """The six tokens behind the nine are no square: the nine are the last that could be a map."""
    with pytest.raises(InputError, match=r"rows of 9 tokens.*give tokens='3x3'"):
        resolve_layers(find_layers(choosing(16, 9, 6)), "last")
    with pytest.raises(InputError, match=r"row of 16 tokens.*tokens='4x4'"):
        resolve_layers(find_layers(choosing(16, 9, 6)), "tokens16")
