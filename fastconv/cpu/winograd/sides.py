"""How Winograd's tiles read an activation: in place through tables of offsets, or by way of a packed strip.

The tables come from those of the border (`lowering`), so every padding mode, asymmetric padding and dilation is read
alike, without a padded copy. A tile that reaches beyond the padded input reads zeros there.
"""

from __future__ import annotations

from dataclasses import replace
from typing import NamedTuple

import numpy as np

from ...borders import counting_index, frozen
from ...kept import kept
from ..lowering import Lowered, Strides
from .plan import Shape
from .transforms import NOWHERE

MOST_POINTS = 6  # rows of the largest tile
Tables = tuple[np.ndarray, np.ndarray, np.ndarray]


class Side(NamedTuple):
    """Inputs or output gradients, as `tiles.transform_item` reads them."""

    numbers: np.ndarray  # start, strides (5), interior (2), strip (3), m, channels, pixel, in place, plane step, halo
    tables: Tables  # the border's, for strips
    row_at: np.ndarray  # offsets of rows and columns, in place or in a strip
    col_at: np.ndarray

    def arguments(self, array: np.ndarray) -> tuple[np.ndarray, ...]:
        """What `transform_item` must know, in its order."""
        return (array.reshape(-1), self.numbers, *self.tables, self.row_at, self.col_at)


def input_side(low: Lowered, shape: Shape, m: int, rows: int, cols: int) -> Side:
    """How items of rows x cols tiles read x."""
    return _side(
        shape, m, rows, cols, start=0, strides=low.x_strides, channels=low.C, plane_step=low.stride[0], halo=2,
        index=low.index, interior=low.interior, in_place=shape.in_place,
    )  # fmt: skip


def output_side(low: Lowered, shape: Shape, m: int, rows: int, cols: int) -> Side:
    """How items of rows x cols tiles read the gradient of y."""
    OD, OH, OW = low.out
    return _side(
        shape, m, rows, cols, start=low.y_start, strides=low.y_strides, channels=low.O, plane_step=1, halo=0,
        index=(counting_index(OD), counting_index(OH), counting_index(OW)), interior=(0, OW), in_place=not shape.staged,
    )  # fmt: skip


def _side(
    shape: Shape, m: int, rows: int, cols: int, *, start: int, strides: tuple[int, int, int, int, int], channels: int,
    plane_step: int, halo: int, index: Tables, interior: tuple[int, int], in_place: bool,
) -> Side:  # fmt: skip
    pixel = shape.pitch(channels)
    height, width = rows * m + halo, cols * m + halo
    planes_at, rows_at, cols_at = index
    rows_at, cols_at = (
        _longer(table, -(-n // m) * m + halo) for table, n in zip((rows_at, cols_at), shape.out[1:], strict=True)
    )
    strip = height * width * pixel, width * pixel, pixel
    numbers = start, *strides, *interior, *strip, m, channels, pixel, in_place, plane_step, halo
    return Side(
        frozen(np.array(numbers, np.int64)),
        (planes_at, rows_at, cols_at),
        row_at=_offsets(rows_at, strides[3]) if in_place else frozen(np.arange(height) * strip[1]),
        col_at=_offsets(cols_at, strides[4]) if in_place else frozen(np.arange(width) * pixel),
    )


def _longer(index: np.ndarray, size: int) -> np.ndarray:
    """The border table, with zeros for what the last tile reads beyond the end."""
    return frozen(np.concatenate([index[:size], np.full(max(0, size - len(index)), -1, np.int64)]))


def _offsets(index: np.ndarray, stride: int) -> np.ndarray:
    """Where each padded row or column lies; then a tile of nothing, for planes that are border."""
    nothing = np.full(MOST_POINTS, NOWHERE, np.int64)
    return frozen(np.concatenate([np.where(index < 0, NOWHERE, index * stride), nothing]))


@kept
def phases(low: Lowered) -> tuple[Lowered, ...]:
    """A problem with a dilated filter as ordinary ones: outputs a dilation apart share the inputs they read."""
    depth, (_, height, *_), (_, width, *_) = low.reach
    if height == width == 1:
        return (low,)
    n, c, d, h, w = low.y_strides
    found = []
    for i in range(min(height, low.out[1])):
        for j in range(min(width, low.out[2])):
            out = low.out[0], -(-(low.out[1] - i) // height), -(-(low.out[2] - j) // width)
            found.append(
                replace(
                    low,
                    out=out,
                    index=(low.index[0], frozen(low.index[1][i::height]), frozen(low.index[2][j::width])),
                    reach=(depth, low.reach[1]._replace(step=1), low.reach[2]._replace(step=1)),
                    y_strides=Strides(n, c, d, h * height, w * width),
                    y_start=low.y_start + i * h + j * w,
                )
            )
    return tuple(found)
