"""No write of a weight goes unseen, whoever makes it; none is reported that changed nothing."""

import gc
import weakref

import keras
import numpy as np
import pytest
import tensorflow as tf

from gradcam_eval.models.watch import Watch


@pytest.fixture
def model():
    keras.utils.set_random_seed(0)
    return keras.Sequential(
        [
            keras.Input((6, 6, 3)),
            keras.layers.Conv2D(4, 3),
            keras.layers.BatchNormalization(),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(3),
        ]
    )


def variable(model):
    return model.weights[0].value


def step(optimizer):
    def run(model):
        model.compile(optimizer, "sparse_categorical_crossentropy")
        images = np.random.default_rng(0).uniform(size=(2, 6, 6, 3)).astype(np.float32)
        model.fit(images, np.array([0, 1]), batch_size=2, verbose=0)

    return run


def compiled_sub(model):
    kernel = variable(model)
    tf.function(lambda: kernel.assign_sub(tf.ones(kernel.shape)))()


def scatter(model):
    kernel = variable(model)
    rows = tf.zeros((1, *kernel.shape[1:]))
    kernel.scatter_update(tf.IndexedSlices(rows, tf.constant([1])))


def replace(model):
    layer = model.layers[-1]
    layer._tracker.unlock()  # as quantize() does
    layer._untrack_variable(layer.kernel)
    layer._kernel = layer.add_weight(shape=(4, 3), initializer="ones", name="kernel")


WRITES = {
    "assign": lambda model: model.weights[0].assign(np.ones((3, 3, 3, 4))),
    "assign_add": lambda model: model.weights[0].assign_add(np.ones((3, 3, 3, 4))),
    "assign_sub": lambda model: model.weights[0].assign_sub(np.ones((3, 3, 3, 4))),
    "assign_add in place": lambda model: variable(model).assign_add(tf.ones((3, 3, 3, 4))),
    "one element": lambda model: variable(model)[0, 0, 0, 0].assign(5.0),
    "compiled assign_sub": compiled_sub,
    "scatter_update": scatter,
    "set_weights": lambda model: model.set_weights([w + 1 for w in model.get_weights()]),
    "sgd": step(keras.optimizers.SGD(0.1)),
    "adam": step(keras.optimizers.Adam(0.1)),
    "moving mean alone": lambda model: model.layers[1].moving_mean.assign(np.ones(4)),
    "replaced": replace,
    "quantize": lambda model: model.quantize("int8"),
}


@pytest.mark.parametrize("name", WRITES)
def test_a_write_is_seen(model, name):
    watch = Watch(model)
    before = [np.array(value) for value in watch.values]
    assert watch.is_current()
    WRITES[name](model)
    assert not watch.is_current()
    assert not watch.is_current(), "and it stays seen"
    for value, copy in zip(watch.values, before, strict=True):
        np.testing.assert_array_equal(value, copy)  # what was frozen from is not written
    assert Watch(model).is_current()


def test_each_of_many_writes_in_a_row_is_seen(model):
    kernel = variable(model)
    for _ in range(20):
        watch = Watch(model)
        kernel.assign_add(tf.ones(kernel.shape))  # buffers are reused: an address may come back
        kernel.assign_add(tf.ones(kernel.shape))
        assert not watch.is_current()


def test_the_same_values_written_back_are_no_change(model):
    watch = Watch(model)
    model.set_weights([np.array(weight) for weight in model.get_weights()])
    assert watch.is_current()
    model.weights[0].assign_add(np.ones((3, 3, 3, 4)))
    assert not watch.is_current()


def test_values_are_compared_only_where_a_buffer_changed(model, monkeypatch):
    compared = []
    equal = np.array_equal
    monkeypatch.setattr(np, "array_equal", lambda a, b: compared.append(a.size) or equal(a, b))
    watch = Watch(model)
    assert watch.is_current()
    assert compared == []
    kernel = variable(model)
    kernel.assign(tf.identity(kernel) * 1.0)
    assert watch.is_current()
    assert compared == [4 * 3 * 3 * 3 * 4]
    assert watch.is_current()
    assert len(compared) == 1, "the new buffer is the watched one now"


def test_nan_is_equal_to_itself_and_zero_differs_from_minus_zero(model):
    kernel = variable(model)
    kernel.assign(tf.fill(kernel.shape, np.nan))
    watch = Watch(model)
    kernel.assign(tf.fill(kernel.shape, np.nan))
    assert watch.is_current()
    kernel.assign(tf.zeros(kernel.shape))
    watch = Watch(model)
    kernel.assign(-tf.zeros(kernel.shape))
    assert not watch.is_current()


@pytest.mark.parametrize("dtype", ["float16", "bfloat16", "float64", "int8", "bool"])
@pytest.mark.parametrize("shape", [(), (3,)], ids=str)
def test_every_number_type_and_scalars(dtype, shape):
    layer = keras.layers.Layer()
    weight = layer.add_weight(shape=shape, dtype=dtype, initializer="zeros", trainable=False)
    watch = Watch(layer)
    assert watch.is_current()
    weight.assign(np.ones(shape))
    assert not watch.is_current()
    assert watch.values[0].shape == shape


def test_an_empty_weight_never_changes():
    layer = keras.layers.Layer()
    layer.add_weight(shape=(0, 3))
    assert Watch(layer).is_current()


def test_a_model_without_weights_is_always_current():
    watch = Watch(keras.Sequential([keras.Input((4, 4, 3)), keras.layers.Flatten()]))
    assert watch.values == []
    assert watch.is_current()


def test_on_another_device_only_replaced_variables_are_told(model, monkeypatch):
    monkeypatch.setattr("gradcam_eval.models.watch._is_in_memory", lambda _: False)
    watch = Watch(model)
    assert watch.values is None
    assert watch.is_current()
    replace(model)
    assert not watch.is_current()


def test_a_watch_that_is_dropped_frees_the_old_values(model):
    watch = Watch(model)
    held = weakref.ref(watch._held[0])
    model.set_weights([weight + 1 for weight in model.get_weights()])
    assert held() is not None
    del watch
    gc.collect()
    assert held() is None


def test_writes_after_the_first_need_no_further_copy(model):
    watch = Watch(model)
    kernel = variable(model)
    kernel.assign_add(tf.ones(kernel.shape))
    address = np.asarray(kernel.read_value()).ctypes.data
    kernel.assign_add(tf.ones(kernel.shape))
    assert np.asarray(kernel.read_value()).ctypes.data == address
    assert not watch.is_current()


def test_all_that_watch_a_model_share_a_reader_until_a_variable_is_replaced():
    model = keras.Sequential([keras.Input((3,)), keras.layers.Dense(2)])
    first, second = Watch(model), Watch(model)
    assert first._read is second._read
    model.layers[0].enable_lora(1)
    third = Watch(model)
    assert third._read is not first._read
    assert third.is_current()
    assert not first.is_current()
