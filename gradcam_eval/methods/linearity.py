"""Find what is not linear between an image and a score, in the operations of a traced model."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

# Linear in their one value that depends on the image, or a choice among values (pooling).
_LINEAR_NAMES = """
    Add AddN AddV2 AvgPool AvgPool3D BatchMatMul BatchMatMulV2 BatchMatMulV3 BatchToSpaceND BiasAdd
    BroadcastTo Cast CheckNumerics Concat ConcatV2 Conv Conv2D Conv2DBackpropInput Conv3D
    DepthToSpace DepthwiseConv2dNative Einsum ExpandDims FusedBatchNorm FusedBatchNormV2
    FusedBatchNormV3 Gather GatherNd GatherV2 Identity IdentityN MatMul Max MaxPool MaxPool3D
    MaxPoolV2 Mean MirrorPad Mul Neg Pack Pad PadV2 PlaceholderWithDefault PreventGradient
    RealDiv Reshape ResizeBicubic ResizeBilinear ResizeNearestNeighbor ReverseV2 Select SelectV2
    Slice SpaceToBatchND SpaceToDepth Split SplitV Squeeze StopGradient StridedSlice Sub Sum Tile
    Transpose Unpack
"""
_LINEAR = frozenset(_LINEAR_NAMES.split())
# Linear only while one value depends on the image: a product of two is a gate, or attention.
_PRODUCTS = frozenset(("BatchMatMul", "BatchMatMulV2", "BatchMatMulV3", "Einsum", "MatMul", "Mul"))
_FIRST_ONLY = frozenset(("Conv2D", "DepthwiseConv2dNative", "RealDiv"))
# Of a value these take its shape alone, so nothing behind them is between image and score.
_ABOUT_SHAPE = frozenset(("OnesLike", "Rank", "Shape", "ShapeN", "Size", "ZerosLike"))


def first_non_linear(images: Any, score: Any, allowed: frozenset[str]) -> Any | None:
    """Return the first operation between two tensors of one graph that is not linear, or None.

    Parameters
    ----------
    images, score : symbolic tensors; the score is computed from the images
    allowed : types of operations that may be there although they are not linear
    """
    moving = {images.name}  # the tensors whose values depend on the image
    for operation in _between(images, score):
        depends = [each for each in operation.inputs if each.name in moving]
        if not depends:
            continue
        if operation.type not in allowed and not _is_linear(operation, depends):
            return operation
        moving.update(each.name for each in operation.outputs if each.dtype.is_floating)
    return None


def _is_linear(operation: Any, depends: list[Any]) -> bool:
    if operation.type not in _LINEAR:
        return False
    if operation.type in _FIRST_ONLY:
        return len(depends) == 1 and operation.inputs[0].name == depends[0].name
    return len(depends) == 1 or operation.type not in _PRODUCTS


def _between(images: Any, score: Any) -> Iterator[Any]:
    """Yield the operations that the score is computed by, each behind those it needs."""
    wanted, waiting = set(), [score.op]
    while waiting:
        operation = waiting.pop()
        if operation not in wanted and operation.type not in _ABOUT_SHAPE:
            wanted.add(operation)
            waiting.extend(each.op for each in operation.inputs)
    return (each for each in score.graph.get_operations() if each in wanted)
