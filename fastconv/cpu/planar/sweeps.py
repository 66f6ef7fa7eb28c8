"""Filters that are in the code (`simd.depth_sweep`): where they read x, and the tables of their tiles.

A block of outputs has a table of tiles; blocks that have the same rows and columns, and the same border, share one.
"""

from __future__ import annotations

import itertools
from typing import NamedTuple

import numpy as np

from ...simd.depth_tile import SHAPES, Span, tile_table
from ..lowering import Lowered, Strides
from .lanes import Lanes


class Known(NamedTuple):
    """A filter that is in the code: its number in `SHAPES`, or -1, and where blocks find their tiles.

    It reads a packed band, or x in place: `origin` is then where the first row and column, which may be padding, lie.
    """

    number: int = -1
    in_place: int = 0
    origin: int = 0


def known_filter(low: Lowered, lanes: Lanes, number: int) -> Known:
    """How the filter of that number in `SHAPES` reads x: in place, unless channels or borders do not lie so."""
    if number < 0 or lanes.staged or lanes.repeat > 1 or low.x_strides.c != 1 or low.tables[0].min() < 0:
        return Known(number)
    origin = 0
    for axis, distance in ((1, low.x_strides.h), (2, low.x_strides.w)):
        (first, end), table = low.runs[axis], low.tables[axis]
        outside = np.concatenate([table[:first], table[end:]])
        if first == end or max(first, len(table) - end) > SHAPES[number].border or (outside >= 0).any():
            return Known(number)
        origin += (int(table[first]) - first) * distance
    return Known(number, 1, origin)


def sweep_tables(
    low: Lowered, known: Known, block: tuple[int, int], band: tuple[int, int], y: Strides, once: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Where the tiles of each block begin behind this table, and the tiles of blocks that differ.

    Blocks have `block` rows and columns; those of a packed band are `band` elements apart. `once` as `tile_table` has
    it.
    """
    tile = SHAPES[known.number]
    row, column = (low.x_strides.h, low.x_strides.w) if known.in_place else band
    rows = _spans(low, 1, block[0], row, y.h, known)
    cols = _spans(low, 2, block[1], column, y.w, known)
    tables: dict[tuple[Span, Span], tuple[int, np.ndarray]] = {}
    starts, length = [], len(rows) * len(cols)
    for key in itertools.product(rows, cols):
        if key not in tables:
            tables[key] = length, tile_table(tile, *key, once=once)
            length += len(tables[key][1])
        starts.append(tables[key][0])
    return np.array(starts, np.int64), np.concatenate([table for _, table in tables.values()])


def _spans(low: Lowered, axis: int, size: int, x: int, y: int, known: Known) -> list[Span]:
    """The blocks of an axis, of `size` outputs each."""
    out, stride, spans = low.out[axis], low.stride[axis], []
    for begin in range(0, out, size):
        outputs = min(size, out - begin)
        met = (outputs - 1) * stride + low.span[axis] + 1
        first, end = low.runs[axis] if known.in_place else (0, begin * stride + met)
        spans.append(Span(outputs, max(0, first - begin * stride), min(met, end - begin * stride), x, y))
    return spans
