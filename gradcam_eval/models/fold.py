"""Rules of algebra that TensorFlow's optimiser lacks, for graphs with constant weights.

Batch normalisation is `x·s + o` with constants s and o. TensorFlow folds s into the kernel of the
convolution before it, but neither past the convolution's bias nor into a depthwise kernel:

    (x + b)·s → x·s + b·s              depthwise(x, W)·s → depthwise(x, W·s)

And a convolution's gradient with respect to its input is a convolution with the kernel turned
round. TensorFlow rearranges the kernel of a convolution once, and that of a gradient at each call,
which takes longer than the gradient itself where few positions meet many channels.

The products of constants are left to TensorFlow. A value that anything else reads stays as it is.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Callable
from typing import Any

import tensorflow as tf

_PURE = (
    *("Identity", "Cast", "Reshape", "Squeeze", "ExpandDims", "Pack", "Shape", "StridedSlice"),
    *("Add", "AddV2", "Sub", "Mul", "Neg", "Rsqrt"),
)


def folded(graph: Any) -> tuple[Any, int]:
    """Return a graph's definition, rewritten by these rules, and how often they applied.

    Parameters
    ----------
    graph : tf.Graph with constant weights; of its functions (loop bodies) nothing is rewritten
    """
    view = _View(graph)
    count = 0
    for node in [node for node in view.definition.node if node.op == "Mul"]:
        if len(node.input) != 2:  # it waits for another operation
            continue
        for value, scale in (tuple(node.input), tuple(reversed(node.input))):
            rule = _RULES.get(view.made(value).op)
            if rule and view.is_read_by_one(value) and view.is_constant(scale):
                count += rule(view, node, view.made(value), scale)
    for node in [node for node in view.definition.node if node.op in _GRADIENTS]:
        count += _as_convolution(view, node)
    return view.definition, count


class _View:
    """A graph's definition with what the rules ask of it."""

    def __init__(self, graph: Any) -> None:
        self.graph = graph
        self.definition = graph.as_graph_def()
        self.nodes = {node.name: node for node in self.definition.node}
        self.readers: dict[str, list[Any]] = defaultdict(list)
        for node in self.definition.node:
            for each in node.input:
                self.readers[_name(each)].append(node)
        for tensor in graph.outputs:
            self.readers[tensor.op.name].append(None)
        self._constant: dict[str, bool] = {}

    def made(self, tensor: str) -> Any:
        return self.nodes[_name(tensor)]

    def is_read_by_one(self, tensor: str) -> bool:
        """Whether one node reads a tensor's values; backward passes also read the shape."""
        return sum(node is None or node.op != "Shape" for node in self.readers[_name(tensor)]) == 1

    def take_shape_from(self, tensor: str, other: str) -> None:
        """Let those that read a tensor's shape read that of another, which has the same."""
        for node in self.readers[_name(tensor)]:
            if node.op == "Shape":
                node.input[0] = other

    def shape(self, tensor: str) -> tuple[int | None, ...]:
        found = self.graph.get_tensor_by_name(tensor if ":" in tensor else f"{tensor}:0")
        return tuple(found.shape) if found.shape.rank is not None else (None,)

    def is_constant(self, tensor: str) -> bool:
        name = _name(tensor)
        if name not in self._constant:
            node = self.nodes[name]
            self._constant[name] = node.op == "Const" or (
                node.op in _PURE and all(map(self.is_constant, node.input))
            )
        return self._constant[name]

    def add(self, op: str, name: str, inputs: list[str], like: Any) -> Any:
        """Add a node that computes with the number type of `like`."""
        node = self.definition.node.add(name=name, op=op, input=inputs)
        node.attr["T"].CopyFrom(like.attr["T"])
        return node

    def add_constant(self, name: str, values: tuple[int, ...]) -> str:
        """Add whole numbers, and return their name."""
        node = self.definition.node.add(name=name, op="Const")
        node.attr["dtype"].type = tf.int32.as_datatype_enum
        node.attr["value"].tensor.CopyFrom(tf.make_tensor_proto(values, tf.int32))
        return name


def _past_bias(view: _View, node: Any, biased: Any, scale: str) -> bool:
    value, bias = biased.input[:2]
    if biased.attr["data_format"].s != b"NHWC" or not view.is_constant(bias):
        return False
    scaled = view.add("Mul", f"{node.name}/scaled", [value, scale], node)
    scaled_bias = view.add("Mul", f"{node.name}/scaled_bias", [bias, scale], node)
    view.take_shape_from(biased.name, value)
    node.op = "AddV2"
    node.input[:] = [scaled.name, scaled_bias.name]
    return True


def _into_depthwise(view: _View, node: Any, convolution: Any, scale: str) -> bool:
    image, kernel = convolution.input
    channels, multiplier = (side or 0 for side in view.shape(kernel)[-2:])
    wanted = channels * multiplier
    is_per_channel = view.shape(scale) in ((wanted,), (1, 1, 1, wanted))
    if convolution.attr["data_format"].s != b"NHWC" or not is_per_channel:
        return False
    name = node.name
    size = view.add_constant(f"{name}/kernel_shape", (channels, multiplier))
    column = view.add("Reshape", f"{name}/scale", [scale, size], node)
    column.attr["Tshape"].type = tf.int32.as_datatype_enum
    scaled = view.add("Mul", f"{name}/kernel", [kernel, column.name], node)
    view.take_shape_from(convolution.name, name)
    node.CopyFrom(convolution)
    node.name = name
    node.input[:] = [image, scaled.name]
    return True


_RULES: dict[str, Callable[[_View, Any, Any, str], bool]] = {
    "BiasAdd": _past_bias,
    "DepthwiseConv2dNative": _into_depthwise,
}


# of a convolution by its input → the convolution, and the axes along which its kernel is turned
_GRADIENTS = {
    "Conv2DBackpropInput": ("Conv2D", (0, 1, 3, 2)),
    "DepthwiseConv2dNativeBackpropInput": ("DepthwiseConv2dNative", (0, 1, 2, 3)),
}


def _as_convolution(view: _View, node: Any) -> bool:
    """Turn a gradient into the convolution that it is, and tell whether that was possible.

    With a step of one pixel, and as much padding on both sides: an odd kernel at "SAME". Or with a
    kernel of one pixel and any step: what it finds is then spread over every so many pixels.
    """
    sizes, kernel, gradient = node.input[:3]
    height, width, channels, last = view.shape(kernel)
    op, axes = _GRADIENTS[node.op]
    is_dot = (height, width) == (1, 1)
    is_same = node.attr["padding"].s == b"SAME" and (height or 0) % 2 and (width or 0) % 2
    is_dense = set(node.attr["strides"].list.i) == {1}
    can_be = (
        len(node.input) == 3
        and node.attr["data_format"].s == b"NHWC"
        and set(node.attr["dilations"].list.i) <= {1}
        and view.is_constant(kernel)
        and (is_dot or (is_same and is_dense))
        and (op == "Conv2D" or (last == 1 and is_dense))
    )
    if not can_be:
        return False
    turned = _turned(view, node, kernel, axes)
    if is_dense:
        node.op = op
        node.input[:] = [gradient, turned]
    else:
        _spread(view, node, _densely(view, node, [gradient, turned]), sizes, channels or 0)
    return True


def _turned(view: _View, node: Any, kernel: str, axes: tuple[int, ...]) -> str:
    sides = view.add_constant(f"{node.name}/sides", (0, 1))
    turned = view.add("ReverseV2", f"{node.name}/turned", [kernel, sides], node)
    turned.attr["Tidx"].type = tf.int32.as_datatype_enum
    order = view.add_constant(f"{node.name}/axes", axes)
    swapped = view.add("Transpose", f"{node.name}/kernel", [turned.name, order], node)
    swapped.attr["Tperm"].type = tf.int32.as_datatype_enum
    return str(swapped.name)


def _densely(view: _View, node: Any, inputs: list[str]) -> str:
    """Add a convolution like a gradient, with a step of one pixel."""
    dense = view.definition.node.add()
    dense.CopyFrom(node)
    dense.name, dense.op = f"{node.name}/dense", "Conv2D"
    dense.input[:] = inputs
    dense.attr["strides"].list.i[:] = [1, 1, 1, 1]
    return str(dense.name)


def _spread(view: _View, node: Any, dense: str, sizes: str, channels: int) -> None:
    """Turn a gradient into that of keeping every so many pixels of each channel."""
    ones = view.definition.node.add(name=f"{node.name}/ones", op="Const")
    kind = tf.as_dtype(node.attr["T"].type)
    ones.attr["dtype"].type = kind.as_datatype_enum
    value = tf.make_tensor_proto(1, kind, (1, 1, channels, 1))
    ones.attr["value"].tensor.CopyFrom(value)
    node.op = "DepthwiseConv2dNativeBackpropInput"
    del node.attr["use_cudnn_on_gpu"]
    node.input[:] = [sizes, ones.name, dense]


def _name(tensor: str) -> str:
    return tensor.removeprefix("^").split(":")[0]
