"""Heatmaps in a file: all that they say comes back, and other files are refused."""

import json

import keras
import numpy as np
import pytest

from gradcam_eval.arrays import Placement
from gradcam_eval.core import InputError, Undefined
from gradcam_eval.methods.explainer import Explainer
from gradcam_eval.methods.heatmap_file import load_heatmaps
from gradcam_eval.methods.heatmaps import Heatmaps, Placed

IMAGES = np.random.default_rng(0).uniform(0, 255, (2, 16, 12, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def model():
    keras.utils.set_random_seed(1)
    inputs = keras.Input((16, 12, 3))
    x = keras.layers.Conv2D(4, 3, activation="relu", name="one")(inputs)
    x = keras.layers.Conv2D(5, 3, strides=2, activation="elu", name="two")(x)
    x = keras.layers.Dense(3)(keras.layers.Flatten()(x))
    return keras.Model(inputs, keras.layers.Softmax()(x))


def assert_equal(mine, theirs):
    assert list(mine) == list(theirs)
    for key, stack in theirs.items():
        assert mine[key].dtype == stack.dtype
        assert mine[key].tobytes() == stack.tobytes()
    assert mine.scores.tobytes() == theirs.scores.tobytes()
    for name in ("image_size", "refused", "in_pixels", "geometry", "members"):
        assert getattr(mine, name) == getattr(theirs, name), name


def test_everything_comes_back_bit_by_bit(model, tmp_path):
    methods = ["layer_cam", "guided_grad_cam", "cam", "gradient", "rise(masks=4)"]
    explainer = Explainer(model, ["one", "two"], methods, skip_refused=True)
    heatmaps = explainer(IMAGES)
    assert heatmaps.refused, "the test wants some"
    heatmaps.save(tmp_path / "maps.npz")
    found = load_heatmaps(tmp_path / "maps.npz")
    assert_equal(found, heatmaps)
    assert found.targets.tolist() == heatmaps.targets.tolist()
    assert found.probabilities.tobytes() == heatmaps.probabilities.tobytes()
    only = Explainer(model, ["one", "two"], "layer_cam")(IMAGES)
    only.save(str(tmp_path / "only.npz"))
    placed = load_heatmaps(tmp_path / "only.npz").resized(geometry="receptive_field")
    assert_equal(placed, only.resized(geometry="receptive_field"))


def test_a_score_function_and_unknown_centres_come_back(tmp_path):
    maps = {("a", "m"): np.ones((1, 2, 3), np.float32)}
    lies = Placement((np.array([1.5, 4]), np.array([0.1, 2, 3])), ((0, 4), (1, 6)), (4, 6))
    placings = {"a": Undefined("not followed"), "b": lies, "c": None}
    placed = {("a", "m"): Placed(maps["a", "m"], lies)}
    heatmaps = Heatmaps(
        maps, np.float32([7]), (4, 6), placed=placed, find_placings=lambda geometry: placings
    )
    heatmaps.save(tmp_path / "maps.npz")
    found = load_heatmaps(tmp_path / "maps.npz")
    assert_equal(found, heatmaps)
    assert found.classes is None
    again = found.find_placings("receptive_field")
    assert (again["a"], again["c"]) == (placings["a"], None)
    for placement in (again["b"], found.placed["a", "m"].placement):
        assert [side.tolist() for side in placement.centres] == [[1.5, 4], [0.1, 2, 3]]
        assert (placement.seen, placement.frame) == (lies.seen, lies.frame)
    assert found.placed["a", "m"].maps.tobytes() == maps["a", "m"].tobytes()
    assert [path.name for path in tmp_path.iterdir()] == ["maps.npz"], "nothing is left over"


def test_a_place_that_cannot_be_written_is_refused(tmp_path):
    heatmaps = Heatmaps({}, np.float32([7]), (4, 6))
    with pytest.raises(InputError, match=r"are written to a \.npz file, not to .*maps\.png"):
        heatmaps.save(tmp_path / "maps.png")
    with pytest.raises(InputError, match=r"cannot write .*No such file or directory"):
        heatmaps.save(tmp_path / "no" / "maps.npz")


def header(**changes):
    whole = {"format": 1, "keys": [["a", "m"]], "image_size": [4, 6], "geometry": "auto"}
    whole |= {name: [] for name in ("refused", "in_pixels", "placed", "layer_names", "members")}
    return np.array(json.dumps(whole | {"placings": {}} | changes))


@pytest.mark.parametrize(
    ("arrays", "words"),
    [
        ({}, "header"),
        ({"header": np.array("{")}, "Expecting"),
        ({"header": header(format=2)}, "have format 2, and this version reads 1"),
        ({"header": header()}, "scores"),
        ({"header": header(), "scores": np.float32([1])}, "map_0"),
        (
            {"header": header(), "scores": np.float32([1]), "map_0": np.zeros((2, 3, 3), "f4")},
            "map_0 is",
        ),
        ({"header": header(), "scores": np.float32([1]), "map_0": np.zeros((1, 3, 3))}, "float64"),
        ({"header": np.array([{"a": 1}], object)}, "pickle"),
        (
            {"header": header(placed=[["a", "m", {}]], keys=[]), "scores": np.float32([1])},
            "placed_0",
        ),
        ({"header": header(image_size=3, keys=[]), "scores": np.float32([1])}, "be read"),
    ],
)
def test_other_archives_are_refused(tmp_path, arrays, words):
    np.savez(tmp_path / "maps.npz", **arrays)
    with pytest.raises(InputError, match=words):
        load_heatmaps(tmp_path / "maps.npz")


def test_what_is_no_archive_is_refused(tmp_path, model):
    path = tmp_path / "maps.npz"
    with pytest.raises(InputError, match="there is no file"):
        load_heatmaps(path)
    Explainer(model)(IMAGES).save(path)
    whole = path.read_bytes()
    rng = np.random.default_rng(0)
    contents = [b"", b"PK", b"no archive", whole[:100], whole[: len(whole) // 2], whole[:-1]]
    for _ in range(40):  # bytes changed anywhere: refused, or read as heatmaps
        broken = bytearray(whole)
        broken[rng.integers(len(whole))] ^= 1 << rng.integers(8)
        contents.append(bytes(broken))
    for content in contents:
        path.write_bytes(content)
        try:
            found = load_heatmaps(path)
        except InputError:
            continue
        assert isinstance(found, Heatmaps)
    with path.open("wb") as file:
        np.save(file, np.zeros(3))
    with pytest.raises(InputError, match="one array, and no archive"):
        load_heatmaps(path)
