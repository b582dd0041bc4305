"""How a layer's output lies on the image: channels last, channels first, or a row of tokens."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Any, Literal, TypeAlias

import keras
import numpy as np
import tensorflow as tf

from gradcam_eval.core import InputError


@dataclass(frozen=True)
class TokenGrid:
    """Tokens (N, T, D) as a map: `prefix` tokens that are no place, then rows × columns.

    Attributes
    ----------
    rows, columns : of the patches, row by row from the top left
    prefix : tokens before them, such as a class token or registers
    """

    rows: int
    columns: int
    prefix: int = 0

    @property
    def tokens(self) -> int:
        """How many tokens there are."""
        return self.prefix + self.rows * self.columns

    def __str__(self) -> str:
        """Return the text that `parse_token_grid` reads, as in "14x14+1"."""
        return f"{self.rows}x{self.columns}" + (f"+{self.prefix}" if self.prefix else "")


ImageLayout: TypeAlias = Literal["channels_last", "channels_first"]
Layout: TypeAlias = ImageLayout | TokenGrid


def parse_token_grid(text: str) -> TokenGrid:
    """Read "14x14" or, with one token before the grid, "14x14+1"."""
    match = re.fullmatch(r"(\d+)[x×](\d+)(?:\+(\d+))?", text.strip())
    if not match or not int(match[1]) * int(match[2]):
        raise InputError(
            f"tokens = {text!r}: wanted rows x columns, and how many tokens stand before them, as "
            "in '14x14+1'"
        )
    return TokenGrid(int(match[1]), int(match[2]), int(match[3] or 0))


def token_grid(tokens: TokenGrid | str | None) -> TokenGrid | None:
    """Return the grid that was declared, as a `TokenGrid` or as text."""
    return parse_token_grid(tokens) if isinstance(tokens, str) else tokens


def map_shape(shape: tuple[int | None, ...], layout: Layout) -> tuple[int | None, ...]:
    """Return (h, w, K) of an output of this shape (without its batch axis)."""
    if isinstance(layout, TokenGrid):
        return layout.rows, layout.columns, shape[-1]
    return (shape[1], shape[2], shape[0]) if layout == "channels_first" else shape


def to_map(output: Any, layout: Layout) -> Any:
    """Turn a layer's output into a map (N, h, w, K)."""
    if isinstance(layout, TokenGrid):
        grid = (layout.rows, layout.columns, output.shape[-1])
        return tf.reshape(output[:, layout.prefix :], (-1, *grid))
    return tf.transpose(output, (0, 2, 3, 1)) if layout == "channels_first" else output


def from_map(values: Any, original: Any, layout: Layout) -> Any:
    """Turn a map (M, h, w, K) into what the layer would have returned; the inverse of `to_map`.

    The tokens before the grid come from `original` (M, T, D), which the other layouts do not use.
    """
    if isinstance(layout, TokenGrid):
        patches = tf.reshape(values, (-1, layout.rows * layout.columns, values.shape[-1]))
        return tf.concat([original[:, : layout.prefix], patches], axis=1)
    return tf.transpose(values, (0, 3, 1, 2)) if layout == "channels_first" else values


def operations_in(layer: keras.Operation) -> list[keras.Operation]:
    """Return the layers, and in a functional model also the operations, that one is made of."""
    if not isinstance(layer, keras.layers.Layer):
        return []
    # Model.layers is this same walk, but blocks that are plain Layers offer no public one.
    layers = list(layer._flatten_layers(include_self=False, recursive=False))
    if isinstance(layer, keras.Model) and hasattr(layer, "operations"):  # a functional model
        return list({id(each): each for each in (*layer.operations, *layers)}.values())
    return layers


def output_layout(model: keras.Model) -> ImageLayout:
    """Return the layout of what a model gives for each pixel: that of its last layer that has one.

    Keras offers no other way to ask.
    """
    return next(reversed(list(_layouts(model))), "channels_last")


def layout_of_images(model: keras.Model) -> ImageLayout:
    """Return the layout of a model's images: that of the first layer that has one."""
    return next(_layouts(model), "channels_last")


def _layouts(layer: keras.Operation) -> Iterator[ImageLayout]:
    """Yield the layouts that maps have on their way, as the layers tell in their order."""
    data_format = getattr(layer, "data_format", None)
    if data_format in ("channels_last", "channels_first"):
        yield data_format
    dims = getattr(layer, "dims", None) if isinstance(layer, keras.layers.Permute) else None
    axes = (0, *dims) if dims else getattr(layer, "axes", None)
    if axes is not None and tuple(np.ravel(axes)) == (0, 3, 1, 2):
        yield from ("channels_last", "channels_first")
    if axes is not None and tuple(np.ravel(axes)) == (0, 2, 3, 1):
        yield from ("channels_first", "channels_last")
    for inner in operations_in(layer):
        yield from _layouts(inner)
