"""DiFull and DiPart: mosaics whose class scores see one cell alone.

Evidence in another cell cannot be right then, so that what a heatmap has there is its method's own.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from gradcam_eval.core import InputError, Undefined
from gradcam_eval.metrics.cases import chosen
from gradcam_eval.metrics.grids import cell_share, tiled
from gradcam_eval.protocols import GridProtocol


def difull(  # noqa: PLR0913 - what a formula is given, and how its map is divided
    method: Callable[[NDArray[np.float32], NDArray[np.float32]], NDArray[np.float32]],
    activations: NDArray[np.float32],
    gradients: NDArray[np.float32],
    *,
    grid: int = 3,
    size: tuple[int, int] | None = None,
    protocol: str | GridProtocol | None = None,
) -> list[float | Undefined]:
    """Return, for each cell, the share of the heatmap inside it, of a score that sees it alone.

    The model is applied to each cell by itself. The mosaic's activations are then the cells' side
    by side, and the gradient of class i's score is that of cell i there and 0 elsewhere, exactly.

    Parameters
    ----------
    method : (A, G), both (1, grid h, grid w, K) → heatmap (1, grid h, grid w)
        A CAM formula, such as ``METHODS["grad_cam"].formula``.
    activations : float (grid², h, w, K)
        Of a layer, for each cell's image by itself, in row-major order; with the gradients as
        `activations_and_gradients` returns them.
    gradients : float (grid², h, w, K)
        Of each image's own class score at that layer.
    grid : cells along a side
    size : (H, W) of the mosaic: grid times the cells' images
    protocol : "rao2022" (published) enlarges the heatmap to `size`, as `grid_pointing_game` does;
        "rao2022_map" divides it at the layer's own positions, where nothing leaks over a border. By
        default the published one where `size` is given, and else the other

    Returns
    -------
    list of float or Undefined, one for each cell
        0..1, higher is better; below 1 shows what a method ascribes to cells that cannot matter.

    Raises
    ------
    InputError
        Shapes that do not fit the grid, or no size where the protocol enlarges.

    Notes
    -----
    The published code explains two cells alone, the upper left and the lower right one, which show
    the same class; here every cell is, whatever its class. A heatmap without positive values scores
    0 there and is undefined here. The published setting attributes to the input as well; only
    methods that are a function of a layer's activations and gradients can be judged here, and these
    exactly. For a method that asks the model again there is no disconnected model to ask.

    References
    ----------
    Rao, Böhle, Schiele: Towards Better Understanding Attribution Methods, CVPR 2022,
    arXiv:2205.10435; repository sukrutrao/Attribution-Evaluation.
    """
    if activations.ndim != 4 or len(activations) != grid**2:
        raise InputError(
            f"activations have shape {activations.shape}: wanted ({grid**2}, h, w, K), a cell each."
        )
    whole = tiled(activations, grid)
    return dipart(method, whole, gradients, grid=grid, size=size, protocol=protocol)


def dipart(  # noqa: PLR0913 - as `difull`
    method: Callable[[NDArray[np.float32], NDArray[np.float32]], NDArray[np.float32]],
    activations: NDArray[np.float32],
    gradients: NDArray[np.float32],
    *,
    grid: int = 3,
    size: tuple[int, int] | None = None,
    protocol: str | GridProtocol | None = None,
) -> list[float | Undefined]:
    """Return as `difull` does, of a score whose head alone is disconnected from other cells.

    Parameters
    ----------
    method : as for `difull`
    activations : float (grid h, grid w, K)
        Of a layer, for the whole mosaic, seen by the network in one.
    gradients : float (grid², h, w, K)
        Of each class score, of a head that pools its cell alone, at that layer.
    grid, size, protocol : as for `difull`

    Returns
    -------
    list of float or Undefined, one for each cell, as for `difull`

    Raises
    ------
    InputError
        As for `difull`.

    Notes
    -----
    The head's gradient is known from outside for one kind of model: global average pooling and a
    dense layer behind the explained layer. There it does not depend on the activations, and equals
    what the model gives for any image of the cell's size. For other models the head would have to
    be rebuilt, and this is not DiPart.

    References
    ----------
    As for `difull`.
    """
    if gradients.ndim != 4 or tiled(gradients[: grid**2], grid).shape != activations.shape:
        raise InputError(
            f"activations {activations.shape} and gradients {gradients.shape} do not fit a grid of "
            f"{grid} x {grid}: wanted (grid h, grid w, K) and (grid², h, w, K)."
        )
    rules = _rules(protocol, size)
    shares = []
    for cell in range(grid**2):
        alone = np.zeros_like(gradients)
        alone[cell] = gradients[cell]
        heatmap = np.asarray(method(activations[None], tiled(alone, grid)[None]))[0]
        frame = size if size and rules.divided == "image" else heatmap.shape
        shares.append(cell_share(heatmap, cell, grid, frame))
    return shares


def _rules(protocol: str | GridProtocol | None, size: tuple[int, int] | None) -> GridProtocol:
    name = protocol or ("rao2022" if size else "rao2022_map")
    rules = chosen(name, "difull", GridProtocol)
    if rules.divided == "image" and size is None:
        raise InputError(
            f"the protocol {rules.name!r} enlarges the heatmap to the mosaic, and its size is not "
            "given: give size=(H, W), or protocol='rao2022_map'"
        )
    return rules
