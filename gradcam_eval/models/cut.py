"""Cut a frozen graph in two: a trunk that only runs forward, and a head that does the rest.

The cut is found in the graph itself, wherever it came from: at the last tensor that everything
which the outputs learn of the images passes through. For Grad-CAM that is the explained layer's
output, or what stands before a skip connection that leads round it.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from gradcam_eval.models.frozen_graph import FrozenGraph, Unsuitable, needed_nodes, node_name

_WORTH_IT = ("Conv2D", "DepthwiseConv2dNative", "Conv3D", "MatMul", "BatchMatMulV2", "Einsum")


@dataclass(frozen=True, eq=False)
class Cut:
    """The two parts of a graph.

    Attributes
    ----------
    trunk : concrete function, images → [value]
    head : concrete function, (value, *the graph's inputs) → the graph's outputs, flat
    name : of the tensor between them
    shape : of that tensor
    """

    trunk: Any
    head: Any
    name: str
    shape: tuple[int | None, ...]


def cut(frozen: FrozenGraph) -> Cut:
    """Cut a graph whose first argument is images.

    Raises
    ------
    Unsuitable : there is no such tensor behind the graph's first convolution
    """
    images = frozen.inputs[0]
    kinds = {node.name: node.op for node in frozen.definition.node}
    others = {node_name(each) for each in frozen.inputs[1:]}
    for name in _bottlenecks(frozen, kinds):
        value = f"{name}:0"
        spec = frozen.spec(value)
        before = needed_nodes(frozen.definition, [value])
        if spec is None or not spec.dtype.is_floating or others.intersection(before):
            continue
        if not any(kinds[each] in _WORTH_IT for each in before):
            break
        return Cut(
            trunk=frozen.between([images], [value]),
            head=frozen.between([value, *frozen.inputs], frozen.outputs),
            name=name,
            shape=tuple(spec.shape),
        )
    raise Unsuitable(
        "the graph cannot be cut: what is explained also depends on the images along a way that "
        "leads round the layer"
    )


def _bottlenecks(frozen: FrozenGraph, kinds: Mapping[str, str]) -> Iterator[str]:
    """Yield, from the last to the first, the nodes that all ways from images to outputs pass.

    They are the dominators of the outputs: a node's nearest one is where the chains of those of
    its inputs meet.
    """
    images = node_name(frozen.inputs[0])
    above: dict[str, str] = {}
    depth = {images: 0}

    def meet(names: Sequence[str]) -> str:
        first, *rest = names
        for other in rest:
            while first != other:
                if depth[first] >= depth[other]:
                    first = above[first]
                else:
                    other = above[other]
        return first

    for name, reads in needed_nodes(frozen.definition, frozen.outputs).items():
        reached = [each for each in reads if each in depth]
        asks_size = kinds[name] == "Shape" and reached == [images]  # the head is given images, too
        if reached and not asks_size:
            above[name] = meet(reached)
            depth[name] = depth[above[name]] + 1
    ends = [name for each in frozen.outputs if (name := node_name(each)) in depth]
    place = meet(ends) if ends else images
    while place != images:
        yield place
        place = above[place]
