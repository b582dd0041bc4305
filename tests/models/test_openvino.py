"""OpenVINO computes the trunk: the numbers are the reference's, and it steps back where it must."""

import importlib.util
import sys
import threading
from types import ModuleType

import keras
import numpy as np
import pytest
import tensorflow as tf

import gradcam_eval as ge
from gradcam_eval.core import InputError
from gradcam_eval.methods.explainer import Explainer
from gradcam_eval.models import openvino_graph, openvino_network
from gradcam_eval.models.cut import cut
from gradcam_eval.models.engine import Predictor
from gradcam_eval.models.frozen import FrozenFunction
from gradcam_eval.models.frozen_graph import Unsuitable
from gradcam_eval.models.openvino_graph import check_openvino
from gradcam_eval.models.openvino_network import ROWS, Network, _with_rows, load_openvino
from gradcam_eval.models.tap import LayerCall, record
from gradcam_eval.perturb.traced import batch_builder, masked_builder

needs_openvino = pytest.mark.skipif(
    importlib.util.find_spec("openvino") is None, reason="openvino is not installed"
)
SIGNATURE = [tf.TensorSpec((None, 16, 16, 3), tf.float32), tf.TensorSpec((None,), tf.int64)]


@pytest.fixture
def model():
    keras.utils.set_random_seed(0)
    model = keras.Sequential(
        [
            keras.Input((16, 16, 3)),
            keras.layers.Conv2D(8, 3, activation="relu", name="early"),
            keras.layers.MaxPooling2D(2, 1),
            keras.layers.DepthwiseConv2D(3),
            keras.layers.BatchNormalization(),
            keras.layers.ReLU(6.0, name="explained"),
            keras.layers.GlobalAveragePooling2D(),
            keras.layers.Dense(5, activation="softmax"),
        ]
    )
    generator = np.random.default_rng(1)
    model.set_weights([generator.uniform(-0.5, 0.6, w.shape) for w in model.get_weights()])
    model.layers[3].moving_variance.assign(np.full(8, 0.7))
    return model


@pytest.fixture
def images(rng):
    return rng.uniform(0, 1, (4, 16, 16, 3)).astype(np.float32)


def grad_cam(model, name="explained"):
    call = LayerCall(name, model.get_layer(name), 0, ())

    def function(images, targets):
        def score(outputs):
            is_target, logs = tf.one_hot(targets, 5, True, False), tf.math.log(outputs)
            alone = tf.raw_ops.Select(condition=is_target, x=logs, y=tf.zeros_like(logs))
            return tf.reduce_sum(alone, axis=1)

        seen = record(lambda: model(images, training=False), [call], score)
        weights = tf.reduce_mean(seen.gradients[0], axis=(1, 2), keepdims=True)
        heatmap = tf.nn.relu(tf.reduce_sum(weights * seen.activations[0], axis=-1))
        return {"map": heatmap, "probabilities": seen.outputs, "A": seen.activations[0]}

    return tf.function(function, input_signature=SIGNATURE, autograph=False)


def assert_same(found, wanted):
    for key in wanted:
        largest = np.abs(wanted[key]).max()
        np.testing.assert_allclose(found[key], wanted[key], atol=1e-4 * largest, rtol=0)


@needs_openvino
def test_the_numbers_are_the_references(model, images):
    function = FrozenFunction(grad_cam(model), model, engine="openvino")
    targets = np.array([0, 1, 2, 4])
    wanted = grad_cam(model)(images, targets)
    assert np.max(wanted["map"]) > 0
    for count in (4, 1, 3, 2):  # any batch size, from one compiled trunk
        found = function(images[:count], targets[:count])
        assert function.engine == "openvino"
        assert function.reason == ""
        assert_same(found, {key: value[:count] for key, value in wanted.items()})


@needs_openvino
def test_the_rows_of_a_batch_are_shared_where_they_are_independent(model, rng):
    function = FrozenFunction(grad_cam(model), model, engine="openvino", rows=2)
    many = rng.uniform(0, 1, (4 * ROWS + 1, 16, 16, 3)).astype(np.float32)  # the last part is less
    targets = np.arange(len(many)) % 5
    wanted = grad_cam(model)(many, targets)
    for count in (len(many), 2, 1, ROWS + 1):
        found = function(many[:count], targets[:count])
        assert_same(found, {key: value[:count] for key, value in wanted.items()})
    assert function.engine == "openvino"


@needs_openvino
def test_the_number_of_rows_is_fixed_unless_an_operation_wants_another():
    openvino = load_openvino()
    spec = [tf.TensorSpec((None, 2), tf.float32)]

    def converted(function):
        concrete = tf.function(function, input_signature=spec).get_concrete_function()
        return openvino.convert_model(concrete.graph), [concrete.inputs[0].name]

    model, name = converted(lambda x: x + np.zeros((3, 2), np.float32))
    assert list(_with_rows(model, name, 3).input(name[0]).shape) == [3, 2]
    assert model.input(name[0]).partial_shape.is_dynamic
    with pytest.raises(Unsuitable, match="does not take 2 images at a time"):
        _with_rows(model, name, 2)
    with pytest.raises(Unsuitable, match="makes 3 rows of 1 images"):
        _with_rows(model, name, 1)


@needs_openvino
def test_a_model_with_a_fixed_number_of_images_is_not_asked_row_by_row(rng):
    inputs = keras.Input((16, 16, 3))
    x = keras.layers.Conv2D(4, 3, activation="relu", name="explained")(inputs)
    x = keras.ops.reshape(keras.layers.GlobalAveragePooling2D()(x), (2, 4))
    model = keras.Model(inputs, keras.layers.Dense(5, activation="softmax")(x))
    images = rng.uniform(0, 1, (2, 16, 16, 3)).astype(np.float32)
    wanted, found = (
        Explainer(model, "explained", "grad_cam", engine=engine)(images, [1, 2])
        for engine in ("tensorflow", "openvino")
    )
    assert_same(found.maps, wanted.maps)


@needs_openvino
def test_no_graph_in_openvino_reads_indices_beyond_the_last_one():
    """What it gathers row by row would: on AVX-512, now and then a segmentation fault."""
    spec = [tf.TensorSpec((None, 5), tf.float32), tf.TensorSpec((None,), tf.int32)]
    by_row = tf.function(lambda x, n: [tf.gather(x, n, batch_dims=1)], input_signature=spec)
    with pytest.raises(Unsuitable, match=r"gathers row by row.*beyond its indices: Gather"):
        Network(by_row.get_concrete_function())
    by_column = tf.function(lambda x, n: [tf.gather(x, n, axis=1)], input_signature=spec)
    table, places = np.arange(10, dtype=np.float32).reshape(2, 5), np.array([4, 0, 4], np.int32)
    found = Network(by_column.get_concrete_function())([table, places])[0]
    np.testing.assert_array_equal(found, table[:, places])


@needs_openvino
def test_it_sends_no_telemetry(model, images):
    """Imported by us, OpenVINO converts with the stand-in that does nothing."""
    FrozenFunction(grad_cam(model), model, engine="openvino").prepare()
    stand_in = sys.modules["openvino.tools.ovc.telemetry_stub"]
    for name in ("convert_impl", "telemetry_utils", "utils"):
        assert sys.modules[f"openvino.tools.ovc.{name}"].tm is stand_in


@pytest.mark.parametrize("is_imported", [False, True])
def test_other_programs_keep_the_telemetry(monkeypatch, is_imported):
    name, module = "openvino_telemetry", ModuleType("openvino_telemetry")
    monkeypatch.delitem(sys.modules, "openvino", raising=False)
    monkeypatch.delitem(sys.modules, name, raising=False)
    if is_imported:
        monkeypatch.setitem(sys.modules, name, module)

    def imports(_):
        with pytest.raises(ImportError):
            __import__(name)
        raise RuntimeError("broken")

    monkeypatch.setattr(openvino_network.importlib, "import_module", imports)
    with pytest.raises(RuntimeError, match="broken"):
        load_openvino()
    assert sys.modules.get(name) is (module if is_imported else None)
    assert (name in sys.modules) == is_imported


@needs_openvino
def test_a_heatmap_and_a_masked_score_run_in_openvino_whole(model, images, monkeypatch):
    monkeypatch.setattr(openvino_graph, "_trunk_and_head", pytest.fail)
    for target in (3, "predicted:2"):
        Explainer(model, "explained", "grad_cam", engine="openvino")(images, target)
    predictor = Predictor(model, engine="openvino")
    for builder in (masked_builder, batch_builder):
        predictor.compiled(builder((16, 16, 3)), rows=2)


@needs_openvino
def test_what_openvino_cannot_compute_stays_in_tensorflow_behind_a_cut(model, images, monkeypatch):
    parts = []

    def spy(frozen):
        parts.append(cut(frozen))
        return parts[-1]

    monkeypatch.setattr(openvino_graph, "cut", spy)
    targets = np.array([0, 1, 2, 4])
    early = FrozenFunction(grad_cam(model, "early"), model, engine="openvino", rows=2)
    assert_same(early(images, targets), grad_cam(model, "early")(images, targets))
    assert (early.engine, len(parts)) == ("openvino", 1)  # it knows no gradient of a pool
    late = FrozenFunction(grad_cam(model), model, engine="openvino")
    late(images, targets)
    assert (late.engine, len(parts)) == ("openvino", 1)  # but all that a pooled head needs


@needs_openvino
def test_a_result_is_not_overwritten_by_the_next(model, images):
    function = FrozenFunction(grad_cam(model), model, engine="openvino")
    first = function(images, np.zeros(4, int))
    copies = {key: np.array(value) for key, value in first.items()}
    function(images * 0.5, np.ones(4, int))
    for key, copy in copies.items():
        np.testing.assert_array_equal(first[key], copy)


@needs_openvino
@pytest.mark.parametrize("which", [0, 8], ids=lambda n: f"weight {n}")
def test_it_is_never_stale(model, images, which):
    function = FrozenFunction(grad_cam(model), model, engine="openvino", patience=1)
    targets = np.zeros(4, int)
    before = function(images, targets)["probabilities"].numpy()
    weight = model.weights[which]
    weight.assign(weight + np.linspace(0.2, 0.6, weight.shape[-1]))
    wanted = grad_cam(model)(images, targets)
    assert np.abs(wanted["probabilities"] - before).max() > 1e-4
    engines = []
    for _ in range(2):
        assert_same(function(images, targets), wanted)
        engines.append(function.engine)
    assert engines == ["tensorflow", "openvino"]


@needs_openvino
def test_threads_do_not_mix_their_answers(model, images):
    function = FrozenFunction(grad_cam(model), model, engine="openvino")
    targets = np.zeros(1, int)
    wanted = [function(images[i : i + 1], targets)["A"].numpy() for i in range(4)]
    wrong = []

    def call(i):
        for _ in range(10):
            found = function(images[i : i + 1], targets)["A"].numpy()
            if not np.array_equal(found, wanted[i]):
                wrong.append(i)

    threads = [threading.Thread(target=call, args=(i,)) for i in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []


@needs_openvino
def test_where_no_cut_is_possible_it_runs_frozen_and_says_why(model, images):
    def function(images, targets):
        chosen = tf.gather(model(images), targets, batch_dims=1)
        noise = tf.random.stateless_uniform(tf.shape(chosen), (1, 2))  # not OpenVINO's numbers
        return chosen * tf.reduce_mean(images, axis=(1, 2, 3)) + noise

    traced = tf.function(function, input_signature=SIGNATURE, autograph=False)
    quick = FrozenFunction(traced, model, engine="openvino")
    targets = np.zeros(4, int)
    np.testing.assert_allclose(quick(images, targets), traced(images, targets), rtol=1e-4)
    assert quick.engine == "frozen"
    assert "operations that stay in TensorFlow: ['StatelessRandom" in quick.reason
    assert "cannot be cut" in quick.reason


@needs_openvino
def test_where_openvino_fails_it_runs_frozen_and_says_why(model, images, monkeypatch):
    def refuse(*_, **__):
        raise RuntimeError("no such operation\nand a page of more")

    monkeypatch.setattr(load_openvino(), "convert_model", refuse)
    quick = FrozenFunction(grad_cam(model), model, engine="openvino")
    assert_same(quick(images, np.zeros(4, int)), grad_cam(model)(images, np.zeros(4, int)))
    assert quick.engine == "frozen"
    assert quick.reason == "OpenVINO cannot convert the model: no such operation"


def test_without_openvino_the_error_says_what_to_install(model, images, monkeypatch):
    monkeypatch.setattr(openvino_graph.importlib.util, "find_spec", lambda name: None)
    with pytest.raises(InputError, match=r"pip install 'gradcam-eval\[fast\]'"):
        check_openvino()
    with pytest.raises(InputError, match="not installed"):
        FrozenFunction(grad_cam(model), model, engine="openvino")(images, np.zeros(4, int))


@needs_openvino
@pytest.mark.parametrize(
    ("units", "activation", "declared"),
    [
        (1, "sigmoid", None),
        (1, None, None),
        (3, "sigmoid", None),
    ],
    ids=["binary", "regression", "multi_label"],
)
@pytest.mark.filterwarnings("error")
def test_every_kind_of_output_runs_in_openvino(images, units, activation, declared):
    keras.utils.set_random_seed(2)
    inputs = keras.Input((16, 16, 3))
    maps = keras.layers.Conv2D(8, 3, activation="relu", name="explained")(inputs)
    pooled = keras.layers.GlobalAveragePooling2D()(maps)
    model = keras.Model(inputs, keras.layers.Dense(units, activation)(pooled))
    fast, live = (Predictor(model, engine=e, output=declared) for e in ("openvino", "tensorflow"))
    assert fast.difference(images) <= 1e-6
    np.testing.assert_allclose(fast.on_engine(images), live(images), rtol=1e-5, atol=1e-6)
    assert {each.engine for each in fast._compiled.values() if hasattr(each, "reason")} == {
        "openvino"
    }
    heatmaps = np.random.default_rng(3).random((4, 7, 7)).astype(np.float32)
    targets = [0, units - 1, 0, units - 1]
    curves = [ge.deletion(each, images * 255, heatmaps, targets) for each in (fast, live)]
    for mine, expected in zip(*curves, strict=True):
        np.testing.assert_allclose(mine.score, expected.score, rtol=1e-4, atol=1e-4)
