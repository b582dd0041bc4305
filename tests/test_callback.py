"""The Keras callback: what it writes, that training does not feel it, and what goes wrong early."""

import io
import random
import warnings

import keras
import numpy as np
import pytest
import tensorflow as tf
from PIL import Image

import gradcam_eval as ge
from gradcam_eval import callback
from gradcam_eval.callback import HeatmapCallback, as_rgb, draw
from gradcam_eval.core import InputError
from gradcam_eval.methods.heatmaps import Heatmaps

SIZE = (12, 10)
layers = keras.layers


def new_model(channels=3, *, run_eagerly=True):
    """Return a model whose training step is not traced, which would take longer than to train."""
    keras.utils.set_random_seed(5)
    model = keras.Sequential(
        [
            keras.Input((*SIZE, channels)),
            layers.Conv2D(4, 3, name="conv"),
            layers.BatchNormalization(),
            layers.ReLU(name="map"),
            layers.GlobalAveragePooling2D(),
            layers.Dropout(0.4),
            layers.Dense(2, activation="softmax"),
        ]
    )
    loss = "sparse_categorical_crossentropy"
    model.compile(keras.optimizers.Adam(0.05), loss, run_eagerly=run_eagerly)
    return model


def pictures(count, channels=3):
    shape = (count, *SIZE, channels)
    return np.random.default_rng(2).uniform(0, 1, shape).astype(np.float32)


def train(model, *callbacks, epochs=3, channels=3, **options):
    labels = np.arange(8) % 2
    model.fit(
        pictures(8, channels),
        labels,
        batch_size=4,
        epochs=epochs,
        verbose=0,
        callbacks=list(callbacks),
        **options,
    )
    return model


def names(folder):
    return sorted(path.name for path in folder.iterdir())


class Weights(keras.callbacks.Callback):
    """Keeps the weights before the first epoch and after each."""

    def __init__(self):
        super().__init__()
        self.kept = []

    def on_train_begin(self, logs=None):
        self.kept = [self.model.get_weights()]

    def on_epoch_end(self, epoch, logs=None):
        self.kept.append(self.model.get_weights())


@pytest.fixture
def drawn(monkeypatch):
    """The heatmaps of every picture that is drawn."""
    seen = []

    def keep(images, heatmaps):
        seen.append(heatmaps)
        return draw(images, heatmaps)

    monkeypatch.setattr(callback, "draw", keep)
    return seen


def test_each_epochs_heatmaps_are_those_of_its_weights(tmp_path, drawn):
    images, weights = pictures(2), Weights()
    model = train(
        new_model(run_eagerly=False),
        HeatmapCallback(images, folder=tmp_path, targets=1),
        weights,
        epochs=2,
    )
    assert names(tmp_path) == ["epoch_0000.png", "epoch_0001.png", "epoch_0002.png"]
    explainer = ge.Explainer(model, engine="tensorflow")
    for heatmaps, kept in zip(drawn, weights.kept, strict=True):
        model.set_weights(kept)
        fresh = explainer(images, 1)
        np.testing.assert_allclose(
            heatmaps["map", "grad_cam"], fresh["map", "grad_cam"], rtol=1e-5, atol=1e-7
        )
    first, *_, last = (heatmaps["map", "grad_cam"] for heatmaps in drawn)
    assert np.abs(first - last).max() > 1e-3


def test_training_does_not_feel_it(tmp_path):
    def states(*callbacks):
        model = train(new_model(run_eagerly=False), *callbacks)
        return (
            [np.asarray(variable) for variable in model.variables],  # seeds of dropout among them
            [np.asarray(variable) for variable in model.optimizer.variables],
            [layer.trainable for layer in model.layers],
            [random.random(), np.random.random(), float(tf.random.uniform(()))],  # noqa: NPY002
        )

    without = states()
    watched = states(
        HeatmapCallback(pictures(2), method=["grad_cam", "eigen_cam"], folder=tmp_path)
    )
    assert len(without[0]) > 6
    assert without[0][0].std() > 0
    for one, other in zip(without[:2], watched[:2], strict=True):
        for a, b in zip(one, other, strict=True):
            np.testing.assert_array_equal(a, b)
    assert without[2:] == watched[2:]


def test_a_model_that_fit_builds_is_watched_too(tmp_path):
    model = keras.Sequential(
        [layers.Conv2D(2, 3, activation="relu"), layers.Flatten(), layers.Dense(2)]
    )
    loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
    model.compile("sgd", loss, run_eagerly=True)
    train(model, HeatmapCallback(pictures(1), folder=tmp_path), epochs=1)
    assert names(tmp_path) == ["epoch_0000.png", "epoch_0001.png"]


def test_it_is_compiled_once_for_all_epochs_and_fits(tmp_path):
    traces = []

    class Noting(layers.Layer):
        def call(self, inputs, training=None):
            traces.append(training)
            return inputs

    model = keras.Sequential([*new_model().layers[:-1], Noting(), layers.Dense(2)])
    model.compile("sgd", keras.losses.SparseCategoricalCrossentropy(from_logits=True))
    watch = HeatmapCallback(pictures(1), folder=tmp_path)
    train(model, watch, epochs=1)
    once = len(traces)
    train(model, watch, epochs=4)
    assert len(traces) == once
    assert len(names(tmp_path)) == 5


def test_every_and_the_number_of_the_epochs_done(tmp_path):
    model = new_model()
    train(model, HeatmapCallback(pictures(1), every=2, folder=tmp_path), epochs=5)
    assert names(tmp_path) == ["epoch_0000.png", "epoch_0002.png", "epoch_0004.png"]
    again = tmp_path / "again"
    watch = HeatmapCallback(pictures(1), every=2, folder=again)
    train(model, watch, initial_epoch=3, epochs=6)
    assert names(again) == ["epoch_0003.png", "epoch_0004.png", "epoch_0006.png"]


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"layer": "mop"}, "unknown layer 'mop'"),
        ({"method": "gradcam"}, "did you mean 'grad_cam'"),
        ({"targets": 2}, "classes are 0 to 1"),
        ({"images": np.zeros((2, 9, 9, 3))}, "images are 9×9×3"),
        ({"images": np.full((1, *SIZE, 3), np.nan)}, "not finite"),
        ({"layer": "conv", "method": "cam"}, "cam cannot explain layer 'conv'"),
    ],
)
def test_what_cannot_be_explained_is_said_before_anything_is_trained(tmp_path, options, message):
    model = new_model()
    before = model.get_weights()
    watch = HeatmapCallback(**{"images": pictures(1), "folder": tmp_path / "new", **options})
    with pytest.raises(InputError, match=message):
        train(model, watch)
    assert not (tmp_path / "new").exists()
    for a, b in zip(before, model.get_weights(), strict=True):
        np.testing.assert_array_equal(a, b)


@pytest.mark.parametrize("every", [0, -1, 1.5, True, "epoch"])
def test_every_is_a_number_of_epochs(every):
    with pytest.raises(InputError, match="whole number of epochs, 1 or more"):
        HeatmapCallback(pictures(1), every=every)


@pytest.mark.parametrize("name", ["folder", "tensorboard"])
def test_a_folder_that_is_a_file_is_refused_at_the_beginning(tmp_path, name):
    file = tmp_path / "file"
    file.write_text("")
    watch = HeatmapCallback(pictures(1), **{"folder": tmp_path, name: file})
    with pytest.raises(InputError, match="cannot make the folder"):
        train(new_model(), watch)


@pytest.mark.parametrize("option", ["heads", "engines", "model", "layers"])
def test_an_option_that_no_explainer_has_is_refused_when_it_is_made(option):
    with pytest.raises(InputError, match=f"unknown option '{option}'"):
        HeatmapCallback(pictures(1), **{option: 1})


def test_options_of_the_explainer_choose_an_input_a_head_and_a_score(tmp_path, drawn):
    left, right = keras.Input((*SIZE, 3), name="left"), keras.Input((*SIZE, 3), name="right")
    maps = [layers.Conv2D(2, 3, name=name)(each) for name, each in (("a", left), ("b", right))]
    pooled = layers.GlobalAveragePooling2D()(layers.Concatenate()(maps))
    heads = {name: layers.Dense(2, name=name)(pooled) for name in ("one", "two")}
    model = keras.Model({"left": left, "right": right}, heads)
    model.compile("sgd", dict.fromkeys(heads, "mse"), run_eagerly=True)
    images = pictures(4)
    given = {"left": images, "right": 1 - images}
    options = {"head": "two", "image_input": "right", "score": "probability"}
    watch = HeatmapCallback(given, "b", targets=1, folder=tmp_path, **options)
    model.fit(given, dict.fromkeys(heads, np.ones((4, 2))), epochs=1, verbose=0, callbacks=[watch])
    wanted = ge.Explainer(model, "b", **options)(given, 1)
    np.testing.assert_allclose(drawn[-1]["b", "grad_cam"], wanted["b", "grad_cam"], rtol=1e-5)
    np.testing.assert_array_equal(watch._shown, as_rgb(given["right"]))


def test_low_rank_weights_added_between_two_fits_are_seen(tmp_path, drawn):
    model = new_model()
    watch = HeatmapCallback(pictures(2), method="hires_cam", folder=tmp_path, targets=1)
    train(model, watch, epochs=1)
    model.layers[-1].enable_lora(2)
    loss = "sparse_categorical_crossentropy"
    model.compile(keras.optimizers.SGD(5.0), loss, run_eagerly=True)
    train(model, watch, epochs=2)
    fresh = ge.explain(model, pictures(2), methods="hires_cam", targets=1)["map", "hires_cam"]
    np.testing.assert_allclose(drawn[-1]["map", "hires_cam"], fresh, rtol=1e-4, atol=1e-7)
    assert np.abs(drawn[1]["map", "hires_cam"] - fresh).max() > 1e-4


class Counting(layers.Layer):
    """Draws random numbers, and counts its calls, also while predicting."""

    def build(self, shape):
        self.seeds = keras.random.SeedGenerator(3)
        self.calls = self.add_weight(shape=(), initializer="zeros", trainable=False)

    def call(self, values):
        self.calls.assign_add(1.0)
        return keras.random.dropout(values, 0.5, seed=self.seeds)


@pytest.mark.filterwarnings("ignore:this model stays random")
def test_training_does_not_feel_layers_that_count_or_draw_while_predicting(tmp_path):
    def weights(*callbacks):
        keras.utils.set_random_seed(5)
        model = keras.Sequential(
            [
                keras.Input((*SIZE, 3)),
                layers.Conv2D(4, 3, activation="relu", name="map"),
                layers.GlobalAveragePooling2D(),
                Counting(),
                layers.Dense(2, activation="softmax"),
            ]
        )
        model.compile("adam", "sparse_categorical_crossentropy", run_eagerly=True)
        return [np.asarray(each) for each in train(model, *callbacks).variables]

    watched = weights(HeatmapCallback(pictures(2), folder=tmp_path))
    for one, other in zip(weights(), watched, strict=True):
        np.testing.assert_array_equal(one, other)


def test_a_mistake_of_our_own_costs_no_training_either(tmp_path, monkeypatch):
    def fails(images, heatmaps):
        raise ValueError("a mistake")

    monkeypatch.setattr(callback, "draw", fails)
    weights = Weights()
    with pytest.warns(UserWarning, match=r"could not be written .*ValueError: a mistake"):
        train(new_model(), HeatmapCallback(pictures(1), folder=tmp_path), weights)
    assert len(weights.kept) == 4


def test_weights_that_became_nan_are_drawn_as_such(tmp_path, drawn):
    class Spoil(keras.callbacks.Callback):
        def on_epoch_end(self, epoch, logs=None):
            self.model.set_weights([weight * np.nan for weight in self.model.get_weights()])

    with pytest.warns(UserWarning, match="1 of 1 maps by grad_cam at 'map' are not finite") as said:
        train(new_model(), Spoil(), HeatmapCallback(pictures(1), folder=tmp_path), epochs=1)
    assert not any("could not be written" in str(each.message) for each in said)
    assert names(tmp_path) == ["epoch_0000.png", "epoch_0001.png"]
    assert not np.isfinite(drawn[-1]["map", "grad_cam"]).any()


def test_a_full_disk_warns_once_and_ends_nothing(tmp_path, monkeypatch):
    def full(self, file, format):
        file.write_bytes(b"half")
        raise OSError(28, "No space left on device")

    monkeypatch.setattr(Image.Image, "save", full)
    weights = Weights()
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        train(new_model(), HeatmapCallback(pictures(1), folder=tmp_path), weights)
    said = [str(each.message) for each in caught if "heatmaps" in str(each.message)]
    assert len(said) == 1
    assert "No space left on device" in said[0]
    assert len(weights.kept) == 4
    assert names(tmp_path) == []  # nor half a picture


def test_memory_that_runs_out_while_explaining_ends_nothing_either(tmp_path, monkeypatch):
    watch, weights = HeatmapCallback(pictures(1), folder=tmp_path), Weights()
    explain = ge.Explainer.__call__
    calls = []

    def once(self, *args):
        calls.append(args)
        if len(calls) > 1:
            raise tf.errors.ResourceExhaustedError(None, None, "out of memory")
        return explain(self, *args)

    monkeypatch.setattr(ge.Explainer, "__call__", once)
    with pytest.warns(UserWarning, match="out of memory"):
        train(new_model(), watch, weights)
    assert len(weights.kept) == 4
    assert names(tmp_path) == ["epoch_0000.png"]


@pytest.mark.parametrize("channels", [1, 2, 6])
def test_images_of_any_number_of_channels(tmp_path, channels):
    model = new_model(channels)
    watch = HeatmapCallback(pictures(2, channels), folder=tmp_path)
    train(model, watch, epochs=1, channels=channels)
    with Image.open(tmp_path / "epoch_0001.png") as picture:
        # a factor of 16 makes the shorter side 160; two columns, two rows and a heading
        assert picture.size == (2 * (160 + 8) + 8, 26 + 2 * (192 + 26))
        assert picture.mode == "RGB"


@pytest.mark.parametrize(
    ("values", "shown"),
    [
        ([0, 0.5, 1], [0, 128, 255]),
        ([0, 51, 255], [0, 51, 255]),
        ([0, 51, 102], [0, 51, 102]),
        ([-1, 0, 1], [0, 128, 255]),
        ([100, 300, 500], [0, 128, 255]),
        ([0, 0, 0], [0, 0, 0]),
        ([-3, -3, -3], [0, 0, 0]),
    ],
)
def test_values_of_any_range_can_be_looked_at(values, shown):
    images = np.array(values, np.float32).reshape(1, 1, 3, 1)
    rgb = as_rgb(images)
    assert rgb.shape == (1, 1, 3, 3)
    np.testing.assert_array_equal(rgb[0, 0], np.repeat(np.array(shown)[:, None], 3, axis=1))


def test_of_many_channels_the_first_three_are_shown():
    images = np.arange(8, dtype=np.float32).reshape(1, 1, 2, 4) * 30
    np.testing.assert_array_equal(as_rgb(images)[0, 0], [[0, 30, 60], [120, 150, 180]])


def test_the_picture_shows_image_and_heatmap_in_a_row():
    images = np.full((2, 80, 100, 3), 90, np.uint8)
    images[1] = 200
    peak = np.zeros((2, 2, 2), np.float32)
    peak[0, 0, 0] = 1  # the second image's map is all zero
    picture = draw(
        images, Heatmaps({("map", "grad_cam"): peak}, np.zeros(2, np.float32), (80, 100))
    )
    assert picture.shape == (26 + 2 * (160 + 26), 2 * 208 + 8, 3)
    first, second = 26, 26 + 186
    assert (picture[first : first + 160, 8:208] == 90).all()
    assert (picture[second : second + 160, 8:208] == 200).all()
    assert (picture[second : second + 160, 216:416] == 200).all()  # no evidence, no tint
    hottest, coldest = picture[first + 5, 221], picture[first + 155, 411]
    assert hottest[0] > hottest[2]
    assert coldest[2] > coldest[0]
    assert (picture[second + 160 : second + 178, 216:416] < 128).any()  # the reason is written
    assert not (picture[first + 160 : first + 178, 216:416] < 128).any()


def test_the_summary_for_tensorboard_holds_the_same_pictures(tmp_path):
    folder, log = tmp_path / "png", tmp_path / "log"
    train(new_model(), HeatmapCallback(pictures(1), folder=folder, tensorboard=log), epochs=2)
    (file,) = log.iterdir()
    found = {}
    for record in tf.data.TFRecordDataset(str(file)):
        event = tf.compat.v1.Event.FromString(record.numpy())
        for value in event.summary.value:
            assert value.tag == "heatmaps"
            assert value.metadata.plugin_data.plugin_name == "images"
            found[event.step] = [bytes(each) for each in tf.make_ndarray(value.tensor)]
    assert sorted(found) == [0, 1, 2]
    for step, (width, height, png) in found.items():
        with Image.open(folder / f"epoch_{step:04d}.png") as written:
            assert written.size == (int(width), int(height))
            np.testing.assert_array_equal(np.asarray(Image.open(io.BytesIO(png))), written)


def test_several_layers_and_methods_give_a_column_each(tmp_path):
    watch = HeatmapCallback(
        pictures(1), ["conv", "map"], ["grad_cam", "fusion_max"], folder=tmp_path
    )
    train(new_model(), watch, epochs=1)
    with Image.open(tmp_path / "epoch_0001.png") as picture:
        assert picture.width == 8 + 168 * (1 + 2 + 1)


@pytest.mark.parametrize(
    ("activation", "written"),
    [("sigmoid", ("negative, probability 0.", "positive, probability 0.")), (None, ("value ",))],
)
def test_the_caption_says_what_one_output_is(activation, written):
    keras.utils.set_random_seed(5)
    model = keras.Sequential(
        [
            keras.Input((*SIZE, 3)),
            layers.Conv2D(4, 3, activation="relu", name="conv"),
            layers.GlobalAveragePooling2D(),
            layers.Dense(1, activation),
        ]
    )
    heatmaps = ge.explain(model, pictures(2))
    for n, said in enumerate(model(pictures(2)).numpy()[:, 0]):
        caption = callback._explained(heatmaps, n)
        assert caption.startswith(written)
        if activation is None:
            assert float(caption.removeprefix("value ")) == pytest.approx(said, rel=1e-3)


@pytest.fixture
def shown(monkeypatch):
    """The images of every picture that is drawn."""
    seen = []

    def keep(images, heatmaps):
        seen.append(images)
        return draw(images, heatmaps)

    monkeypatch.setattr(callback, "draw", keep)
    return seen


@pytest.fixture(scope="module")
def untrained():
    return ge.Explainer(new_model(), engine="tensorflow")


class Batches(keras.utils.PyDataset):
    """The training data as Keras' own data set, three images a batch."""

    def __len__(self):
        return 2

    def __getitem__(self, index):
        return pictures(8)[3 * index : 3 * index + 3], np.zeros(3)


@pytest.mark.parametrize(
    ("given", "count"),
    [
        (lambda x, y: (x[:4], y[:4]), 4),
        (lambda x, y: (x[:4], y[:4], np.ones(4)), 4),
        (lambda x, y: (x[0], y[0]), 1),
        (lambda x, y: (x[0], x[1]), 2),  # two images
        (lambda x, y: tf.data.Dataset.from_tensor_slices((x, y)).batch(3), 3),
        (lambda x, y: tf.data.Dataset.from_tensor_slices((x, y)).repeat(), 8),
        (lambda x, y: tf.data.Dataset.from_tensor_slices(x).batch(3).repeat(), 3),
        (lambda x, y: Batches(), 3),
    ],
)
def test_images_are_taken_as_fit_takes_them(tmp_path, shown, untrained, given, count):
    x, y = pictures(8), np.arange(8) % 2
    watch = HeatmapCallback(given(x, y), folder=tmp_path)
    watch.set_model(untrained.model)
    watch._explainer = untrained  # compiled for all of these
    watch.on_train_begin()
    watch.on_epoch_begin(0)
    assert np.array_equal(shown[-1], as_rgb(x[:count]))


def test_a_shuffled_dataset_shows_the_same_images_after_every_epoch_and_fit(tmp_path, shown):
    data = tf.data.Dataset.from_tensor_slices((pictures(8), np.arange(8))).shuffle(8).batch(2)
    watch = HeatmapCallback(data, folder=tmp_path)
    model = new_model()
    train(model, watch, epochs=2)
    train(model, watch, epochs=1)
    assert len({images.tobytes() for images in shown}) == 1


@pytest.mark.parametrize("as_dataset", [False, True])
def test_labels_beside_several_inputs_are_left_out(tmp_path, shown, as_dataset):
    images, facts = keras.Input((*SIZE, 3), name="image"), keras.Input((2,), name="facts")
    maps = layers.Conv2D(3, 3, name="map")(images)
    joined = layers.Concatenate()([layers.GlobalAveragePooling2D()(maps), facts])
    model = keras.Model([images, facts], layers.Dense(2)(joined))
    model.compile("sgd", "mse", run_eagerly=True)
    x, y = [pictures(4), np.ones((4, 2), np.float32)], np.zeros((4, 2), np.float32)
    given = (x, y)
    if as_dataset:
        given = tf.data.Dataset.from_tensor_slices(((x[0], x[1]), y)).batch(4)
    watch = HeatmapCallback(given, folder=tmp_path, layer="map")
    model.fit(x, y, epochs=1, verbose=0, callbacks=[watch])
    assert np.array_equal(shown[-1], as_rgb(x[0]))
    plain = HeatmapCallback((x[0], x[1]), folder=tmp_path, layer="map")  # a tuple of both inputs
    model.fit(x, y, epochs=1, verbose=0, callbacks=[plain])
    assert np.array_equal(shown[-1], as_rgb(x[0]))


def test_an_empty_dataset_is_said_at_the_beginning(tmp_path):
    data = tf.data.Dataset.from_tensor_slices((pictures(2), [0, 1])).take(0)
    with pytest.raises(InputError, match="the data set of images is empty"):
        train(new_model(), HeatmapCallback(data, folder=tmp_path))
