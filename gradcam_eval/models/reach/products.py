"""Sums of products: MatMul and Einsum. A summed axis is seen from everywhere."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

from gradcam_eval.models.reach.operation import Reach, Rule
from gradcam_eval.models.reach.sides import NotComputedError, Side, spread, united


def _product(terms: list[str], result: str, reaches: list[Reach]) -> Reach:
    """Return the reach of a sum of products whose axes are named by letters."""

    def placed(side: Side, letters: str) -> Side:
        if side.axis is None or letters[side.axis] not in result:
            return spread(side)
        return replace(side, axis=result.index(letters[side.axis]))

    known = [
        [placed(side, letters) for side in reach]
        for letters, reach in zip(terms, reaches, strict=True)
        if reach is not None
    ]
    rows, columns = (united(sides) for sides in zip(*known, strict=True))
    return rows, columns


def _einsum(op: Any, reaches: list[Reach]) -> Reach:
    equation = op.get_attr("equation").decode().replace(" ", "")
    if "." in equation or "->" not in equation:
        raise NotComputedError(f"its equation is {equation!r}")
    left, result = equation.split("->")
    return _product(left.split(","), result, reaches)


def _matmul(op: Any, reaches: list[Reach]) -> Reach:
    """Batch axes are aligned from the right; the last two are (m, k) × (k, n)."""
    flags = ("transpose_a", "transpose_b") if op.type == "MatMul" else ("adj_x", "adj_y")
    batch = "abcdefgh"[: op.outputs[0].shape.rank - 2]
    terms = []
    for tensor, flag, matrix in zip(op.inputs, flags, ("mk", "kn"), strict=True):
        own = tensor.shape.rank - 2
        letters = matrix[::-1] if op.get_attr(flag) else matrix
        terms.append(batch[len(batch) - own :] + letters)
    return _product(terms, batch + "mn", reaches)


RULES: dict[str, Rule] = {
    "Einsum": _einsum,
    "MatMul": _matmul,
    "BatchMatMul": _matmul,
    "BatchMatMulV2": _matmul,
    "BatchMatMulV3": _matmul,
}
