"""A layer's output becomes a map and goes back, in every layout."""

import numpy as np
import pytest
import tensorflow as tf

from gradcam_eval.core import InputError
from gradcam_eval.models.layout import (
    TokenGrid,
    from_map,
    map_shape,
    parse_token_grid,
    to_map,
    token_grid,
)

LAYOUTS = ["channels_last", "channels_first", TokenGrid(2, 3), TokenGrid(2, 3, prefix=2)]


@pytest.mark.parametrize("layout", LAYOUTS, ids=str)
def test_there_and_back(layout, rng):
    shape = {"channels_last": (2, 3, 4), "channels_first": (4, 2, 3)}.get(
        layout, (getattr(layout, "tokens", 0), 4)
    )
    output = tf.constant(rng.normal(size=(5, *shape)), tf.float32)
    as_map = to_map(output, layout)
    assert as_map.shape == (5, 2, 3, 4)
    assert map_shape(shape, layout) == (2, 3, 4)
    np.testing.assert_array_equal(from_map(as_map, output, layout), output)


def test_tokens_lie_row_by_row_behind_the_class_token():
    tokens = tf.reshape(tf.range(7.0), (1, 7, 1))
    as_map = to_map(tokens, TokenGrid(2, 3, prefix=1))
    assert as_map[0, :, :, 0].numpy().tolist() == [[1, 2, 3], [4, 5, 6]]
    changed = from_map(as_map * 10, tokens, TokenGrid(2, 3, prefix=1))
    assert changed[0, :, 0].numpy().tolist() == [0, 10, 20, 30, 40, 50, 60]


@pytest.mark.parametrize("text", ["14x14", "14x14+1", "3×5+4", " 7x7 "])
def test_a_grid_is_read_and_written(text):
    grid = parse_token_grid(text)
    assert parse_token_grid(str(grid)) == grid
    assert token_grid(text) == token_grid(grid) == grid
    assert token_grid(None) is None


@pytest.mark.parametrize("text", ["14", "14x", "0x3", "3x4-1", "class+14x14", ""])
def test_what_is_no_grid_gets_a_sentence(text):
    with pytest.raises(InputError, match=r"wanted rows x columns.*'14x14\+1'"):
        parse_token_grid(text)
