"""Filters that are in the code (`simd.depth_sweep`): where they read x, and the tables of their tiles.

A block of outputs has a table of tiles; blocks that have the same rows and columns, and the same border, share one.
"""

from __future__ import annotations

import itertools
import math
from typing import NamedTuple

import numpy as np

from ...processors import last_cache
from ...simd.depth_sweep import SHAPES, Span, tile_table
from ..lowering import Lowered, Strides
from .lanes import Lanes

CACHED_BYTES = (last_cache() or 32 << 20) // 2  # of x and y; what the last cache, which others share, does not keep


class Known(NamedTuple):
    """A filter that is in the code: its number in `SHAPES`, or -1, and where blocks find their tiles.

    It reads a packed band, or x in place: `origin` is then where the first row and column, which may be padding, lie.
    """

    number: int = -1
    in_place: int = 0
    origin: int = 0


def known_filter(low: Lowered, lanes: Lanes, number: int, itemsize: int) -> Known:
    """How the filter of that number in `SHAPES` reads x.

    In place it takes one vector of channels after the other, which memory gives more slowly than whole pixels to copy;
    of stride 2, a copy would do more than the filter.
    """
    if number < 0 or lanes.staged or lanes.repeat > 1 or low.x_strides.c != 1 or low.tables[0].min() < 0:
        return Known(number)
    size = low.N * (low.x_strides.n + low.groups * low.O * math.prod(low.out)) * itemsize
    if SHAPES[number].stride == 1 and size >= CACHED_BYTES:
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
    low: Lowered, known: Known, block: tuple[int, int], band: tuple[int, int], y: Strides
) -> tuple[np.ndarray, np.ndarray]:
    """Where the tiles of each block begin behind this table, and the tiles of blocks that differ.

    Blocks have `block` rows and columns; those of a packed band are `band` elements apart.
    """
    tile = SHAPES[known.number]
    row, column = (low.x_strides.h, low.x_strides.w) if known.in_place else band
    rows = _spans(low, 1, block[0], row, y.h, known)
    cols = _spans(low, 2, block[1], column, y.w, known)
    tables: dict[tuple[Span, Span], tuple[int, np.ndarray]] = {}
    starts, length = [], len(rows) * len(cols)
    for key in itertools.product(rows, cols):
        if key not in tables:
            tables[key] = length, tile_table(tile, *key)
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
