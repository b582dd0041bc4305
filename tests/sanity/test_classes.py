"""Class sensitivity, data randomisation, input invariance: on models with known answers."""

import keras
import numpy as np
import pytest
from tiny import SIDE, cnn, is_same, pictures, subclassed, values_of

from gradcam_eval.core import InputError
from gradcam_eval.sanity.classes import class_sensitivity, data_randomisation, permuted_labels
from gradcam_eval.sanity.invariance import input_invariance

L = keras.layers


def test_a_method_that_does_not_see_the_class_fails_and_one_that_does_passes():
    keras.utils.set_random_seed(1)
    inputs = keras.Input((SIDE, SIDE, 3))
    x = L.Conv2D(2, 3, padding="same", activation="relu", name="maps")(inputs)
    head = L.Dense(2, use_bias=False, name="logits")
    model = keras.Model(inputs, head(L.GlobalAveragePooling2D()(x)))
    head.kernel.assign([[1.0, 0.0], [0.0, 1.0]])  # each class has a map of its own
    check = class_sensitivity(model, pictures(6), methods=["grad_cam", "eigen_cam"])
    table = check.conclusions().set_index("method")
    assert table.loc["eigen_cam", "last"] == pytest.approx(1)
    assert table.loc["eigen_cam", "conclusion"] == "fails"
    assert table.loc["grad_cam", "last"] < table.loc["eigen_cam", "last"]
    assert table["conclusion"][["noise", "edges", "image"]].tolist() == ["fails"] * 3
    assert check.name == "class sensitivity"


def test_the_classes_are_the_most_and_the_least_probable():
    from gradcam_eval.methods.explainer import Explainer
    from gradcam_eval.metrics.similarity import framed, rank_correlation

    model, images = cnn(), pictures(1)
    order = np.argsort(model(images).numpy()[0])
    maps = [Explainer(model, "late")(images, int(k))["late", "grad_cam"][0] for k in order]
    expected = rank_correlation(framed(maps[-1], (SIDE, SIDE)), framed(maps[0], (SIDE, SIDE)))
    frame = class_sensitivity(model, images, layers="late").frame
    found = frame[frame["measure"] == "rank_correlation"].iloc[0]
    if isinstance(expected, float):
        assert found["value"] == pytest.approx(expected, abs=1e-6)
    else:
        assert found["reason"] == expected.reason


def one_output(activation=None):
    """A ramp of weights over four maps, some of either sign."""
    keras.utils.set_random_seed(2)
    head = L.Dense(1, activation, name="head")
    model = keras.Sequential(
        [
            keras.Input((SIDE, SIDE, 3)),
            L.Conv2D(4, 3, padding="same", activation="relu", name="maps"),
            L.GlobalAveragePooling2D(),
            head,
        ]
    )
    head.kernel.assign([[-2.0], [-1.0], [1.0], [2.0]])
    return model


def test_the_classes_of_one_sigmoid_are_the_negative_and_the_positive():
    check = class_sensitivity(one_output("sigmoid"), pictures(6), methods=["grad_cam", "eigen_cam"])
    table = check.conclusions().set_index("method")
    assert table.loc["eigen_cam", "conclusion"] == "fails"
    assert table.loc["grad_cam", "last"] < 0  # ReLU of what differs by its sign alone
    declared = class_sensitivity(one_output(), pictures(4), output="binary")
    assert len(declared.targets) == 4


def test_a_regression_has_no_classes_to_compare():
    with pytest.raises(InputError, match=r"compares two classes, and this model returns one value"):
        class_sensitivity(one_output(), pictures(1))


def test_the_protocol_says_by_what_classes_and_models_are_compared():
    model, images = cnn(), pictures(3)
    for check in (
        class_sensitivity(model, images, methods="gradient", protocol="sanity2018_code"),
        data_randomisation(model, cnn(4), images, methods="gradient", protocol="sanity2018_code"),
    ):
        assert check.protocol == "sanity2018_code"
        assert (
            set(check.frame["measure"]) == set(check.rules.measures) == set(check.chance["measure"])
        )
        assert "gaussian_ssim" in check.rules.measures
        found = check.conclusions("gaussian_ssim")
        assert found["n"].tolist() == [3] * 4
        assert set(found["conclusion"]) == {"not calibrated"}


def test_permuting_labels_keeps_their_numbers():
    labels = np.arange(50) % 3
    mixed = permuted_labels(labels, seed=1)
    assert np.bincount(mixed).tolist() == np.bincount(labels).tolist()
    assert 0.1 < (mixed == labels).mean() < 0.6
    rows = permuted_labels(np.eye(3)[labels], seed=1)
    np.testing.assert_array_equal(rows.argmax(axis=1), mixed)


def test_the_recipe_of_data_randomisation():
    generator = np.random.default_rng(0)
    labels = np.arange(32) % 2
    images = generator.uniform(0, 60, (32, SIDE, SIDE, 3)).astype(np.float32)
    for image, label in zip(images, labels, strict=True):
        row, column = generator.integers(0, SIDE - 5, 2)
        image[row : row + 5, column : column + 5, label] += 180  # red or green squares

    def train(targets):
        keras.utils.set_random_seed(0)
        inputs = keras.Input((SIDE, SIDE, 3))
        x = L.Conv2D(6, 3, padding="same", activation="relu", name="maps")(
            L.Rescaling(1 / 255)(inputs)
        )
        x = L.Dense(2, name="logits")(L.GlobalAveragePooling2D()(x))
        model = keras.Model(inputs, x)
        loss = keras.losses.SparseCategoricalCrossentropy(from_logits=True)
        model.compile(keras.optimizers.Adam(0.05), loss, run_eagerly=True)
        model.fit(images, targets, epochs=12, batch_size=32, verbose=0)
        return model

    real, permuted = train(labels), train(permuted_labels(labels, seed=2))
    assert (real(images).numpy().argmax(axis=1) == labels).mean() > 0.9
    check = data_randomisation(
        real, permuted, images[:6], layers="maps", methods=["grad_cam", "gradient"]
    )
    same = data_randomisation(real, real, images[:6], layers="maps", methods="gradient")
    found = same.conclusions()  # no limit was calibrated for this check
    assert found["conclusion"].tolist() == found["ssim"].tolist() == ["not calibrated"] * 4
    assert found["reason"].str.contains("no pass or fail is given").all()
    assert found.set_index("method").loc["gradient", "over_steps"] > 0.9
    assert check.conclusions().set_index("method").loc["gradient", "last"] < 0.9
    with pytest.raises(InputError, match="the same architecture"):
        data_randomisation(real, cnn(), images[:2], targets=0)


def test_cam_and_gradients_are_invariant_and_gradient_times_input_is_not():
    model, images = cnn(), pictures()
    before = values_of(model)
    methods = ["grad_cam", "gradient", "gradient_x_input"]
    frame = input_invariance(model, images, layers="late", methods=methods, shift=40)
    assert is_same(values_of(model), before)
    alike = frame.groupby("method")["is_invariant"].agg(list).to_dict()
    assert alike["grad_cam"] == alike["gradient"] == [True] * 3
    assert alike["gradient_x_input"] == [False] * 3
    worst = frame[frame["method"] == "gradient_x_input"]["difference"].min()
    assert worst > 0.05


def test_a_dense_first_layer_is_shifted_as_well():
    keras.utils.set_random_seed(0)
    inputs = keras.Input((SIDE, SIDE, 3))
    x = L.Dense(4, activation="relu", name="pixelwise")(inputs)
    model = keras.Model(inputs, L.Dense(3)(L.GlobalAveragePooling2D()(x)))
    frame = input_invariance(model, pictures(), layers="pixelwise", shift=-20)
    assert frame["is_invariant"].tolist() == [True] * 3


def without_bias():
    """As the networks of the package begin: scaled, padded with zeros, no bias, then normalised."""
    inputs = keras.Input((SIDE, SIDE, 3))
    x = L.ZeroPadding2D(1)(L.Rescaling(1 / 127.5, offset=-1)(inputs))
    x = L.Conv2D(4, 3, strides=2, use_bias=False)(x)
    x = L.ReLU(6.0, name="maps")(L.BatchNormalization()(x))
    return keras.Model(inputs, L.Dense(3)(L.GlobalAveragePooling2D()(x)))


def in_groups():
    inputs = keras.Input((SIDE, SIDE, 3))
    x = L.Conv2D(6, 3, groups=3, name="maps")(inputs)
    return keras.Model(inputs, L.GlobalAveragePooling2D()(x))


def normalised_first():
    inputs = keras.Input((SIDE, SIDE, 3))
    x = L.Conv2D(4, 3, name="maps")(L.BatchNormalization()(inputs))
    return keras.Model(inputs, L.GlobalAveragePooling2D()(x))


def squared_first():
    inputs = keras.Input((SIDE, SIDE, 3))
    x = L.Conv2D(4, 3, name="maps")(keras.ops.square(inputs / 255))
    return keras.Model(inputs, L.GlobalAveragePooling2D()(x))


@pytest.mark.parametrize("make", [without_bias, in_groups, normalised_first, squared_first])
def test_the_first_layer_may_be_anything(make):
    model, images = make(), pictures(2)
    before, answers = values_of(model), model(images).numpy()
    frame = input_invariance(
        model, images, layers="maps", methods=["grad_cam", "gradient_x_input"], shift=40.3
    )
    known = frame[frame["reason"] == ""].groupby("method")
    assert (known["difference"].max()["grad_cam"], len(known)) == (0, 2)  # bit by bit
    assert not known["is_invariant"].agg(any)["gradient_x_input"]
    assert is_same(values_of(model), before)
    np.testing.assert_array_equal(model(images).numpy(), answers)


def test_a_model_that_cannot_be_copied_is_shifted_and_put_back():
    model, images = subclassed(), pictures(2)
    before, answers = values_of(model), model(images).numpy()
    with pytest.warns(UserWarning, match="cannot be copied"):
        frame = input_invariance(model, images, layers="conv")
    assert frame["is_invariant"].tolist() == [True, True]
    assert is_same(values_of(model), before)
    assert "call" not in vars(model)
    np.testing.assert_array_equal(model(images).numpy(), answers)


def test_a_model_of_several_inputs_has_no_twin():
    image, fact = keras.Input((SIDE, SIDE, 3)), keras.Input((2,))
    x = L.GlobalAveragePooling2D()(L.Conv2D(2, 3)(image))
    model = keras.Model([image, fact], L.Dense(2)(L.Concatenate()([x, fact])))
    with pytest.raises(InputError, match="several inputs: wrap it"):
        input_invariance(model, pictures(1))


def test_a_shift_of_nothing_is_no_test():
    with pytest.raises(InputError, match="shift is 0"):
        input_invariance(cnn(), pictures(1), shift=0)
