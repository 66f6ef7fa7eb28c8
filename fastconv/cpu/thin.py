"""Products of few rows: each panel of the second factor is packed by the task that uses it, in its core's own cache.

Packed as a whole before it is used, a second factor is read, written and read again for a handful of rows; a dense
layer's weights are millions of numbers for a batch of some tens. Here a task owns a panel of columns and goes down the
depth in rounds: it packs the numbers of one round, and sums them into all rows while they are there. The sums are those
of `panels`, in the same order.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np

from ..kept import kept
from ..memory import scratch
from ..simd.fields import fields, packed
from ..simd.host import tile_rows
from ..simd.jit import kernel
from ..simd.lanes import address, ask, lane_count, load, store, zeros
from ..simd.microkernel import ACCUMULATE, BIAS, ZERO, multiply_tiles, tile_address
from ..simd.parallel import parallel_kernel
from ..simd.vector import lanes_of
from ..threads import team
from .blocking import panel_lanes
from .pack import pack_bias, pack_tap

TILE_ROWS = tile_rows()
ROWS = 128  # of the first factor: more earn what it costs to pack the second as a whole
TASKS = 8  # that a product should have
PANELS = 4  # most of a task: they go down together, so that what is read of a row of b lies side by side
ROUND = 1 << 14  # bytes of a panel that are packed at once


class Thin(NamedTuple):
    """A product's sizes, how its second factor lies, and how it is cut."""

    rows: int
    columns: int
    depth: int
    b_depth: int  # elements of b from one number of a column to the next, and from one column to the next
    b_column: int
    lanes: int
    panels: int  # of a task
    round: int


def is_thin(rows: int, columns: int, itemsize: int) -> bool:
    """Whether a product of these sizes is one of few rows and of many columns."""
    return rows <= ROWS and columns > (TASKS - 1) * panel_lanes(columns, itemsize)


def multiply(
    a: np.ndarray, b: np.ndarray, bias: np.ndarray | None, y: np.ndarray, *, transpose_b: bool, relu: bool
) -> None:
    """Write a @ b + bias, or a @ b.T + bias, to y; all are of float32 or of float64."""
    rows, columns = y.shape
    cut, tasks, numbers = _cut(rows, columns, a.shape[1], a.itemsize, transpose_b)
    members = team(tasks, 2 * rows * columns * a.shape[1])
    own = scratch((members, cut.panels * cut.round * cut.lanes), a.dtype)
    arrays = a.reshape(-1), b.reshape(-1), pack_bias(bias, 1, columns, cut.lanes, a.dtype), y.reshape(-1)
    _multiply(members, tasks, *arrays, numbers, _START, own, relu, tile_address(a.itemsize))


_START = np.zeros(1, np.int64)


@kept
def _cut(rows: int, columns: int, depth: int, itemsize: int, transposed: bool) -> tuple[Thin, int, np.ndarray]:
    lanes = panel_lanes(columns, itemsize)
    panels, rounds = -(-columns // lanes), -(-depth * lanes * itemsize // ROUND)
    together = min(PANELS, max(1, panels // TASKS))
    at = (1, depth) if transposed else (columns, 1)
    cut = Thin(rows, columns, depth, *at, lanes, together, -(-depth // rounds))
    return cut, -(-panels // together), packed(cut)


@parallel_kernel
def _multiply(thread, first, last, a, b, bias, y, numbers, start, own, relu, tile):
    """A task is some panels."""
    n, mine = fields(Thin, numbers), own[thread]
    arrays = address(a), address(mine), address(y), address(bias), address(start)
    width = n.panels * n.lanes
    for task in range(first, last):
        column = task * width
        columns = min(width, n.columns - column)
        for k in range(0, n.depth, n.round):
            end = min(n.depth, k + n.round)
            _pack_round(n, b, column, columns, k, end, mine)
            begin = ACCUMULATE if k > 0 else (BIAS if bias.size else ZERO)
            clip = relu and end == n.depth
            for at in range(0, columns, n.lanes):
                _ask_for(n, address(b), column, columns, end, at, lanes_of(a))
                panel, some = at * n.round, min(n.lanes, columns - at)
                _sum_round(n, some, k, end - k, arrays, panel, column + at, begin, clip, tile, lanes_of(a))


@kernel
def _pack_round(n, b, column, columns, k, end, mine):
    """Rows k..end-1 of some panels, [panel][k][lane]."""
    pair, pb, pm = zeros(b, 2), address(b), address(mine)
    if n.b_column == 1 and columns % n.lanes == 0 and n.lanes == lane_count(pair):
        for i in range(end - k):  # in half the time that copying rows of any length takes
            at = column + (k + i) * n.b_depth
            for c in range(0, columns, n.lanes):
                store(pm, c * n.round + i * n.lanes, load(pb, at + c, pair, None), None)
        return
    for c in range(0, columns, n.lanes):
        at, some = (column + c) * n.b_column, min(n.lanes, columns - c)
        pack_tap(b, at, n.b_depth, n.b_column, k, end, some, mine, c * n.round - k * n.lanes, n.lanes)


@kernel
def _ask_for(n, b, column, columns, k, done, lanes):
    """Ask for a share of the next round's numbers: the rows, or columns, that fall to the panel at `done`."""
    depth = min(n.round, n.depth - k)
    if n.b_column == 1:
        for i in range(k + depth * done // columns, k + depth * min(columns, done + n.lanes) // columns):
            for c in range(0, columns, lanes):
                ask(b, column + c + i * n.b_depth)
    else:
        for c in range(column + done, column + min(columns, done + n.lanes)):
            for i in range(k, k + depth, lanes):
                ask(b, c * n.b_column + i)


@kernel
def _sum_round(n, columns, k, depth, arrays, panel0, column, begin, clip, tile, lanes):
    """All rows with one round of a panel, in tiles of about equal size."""
    a, panels, y, bias, start = arrays
    vectors = 1 if columns <= lanes else 2
    tiles = (n.rows + TILE_ROWS - 1) // TILE_ROWS
    height, taller = n.rows // tiles, n.rows % tiles
    for row, size, count in ((0, height + 1, taller), (taller * (height + 1), height, tiles - taller)):
        if count:
            multiply_tiles(
                tile, size, vectors, 1, start, 0, start, 0, depth, a, row * n.depth + k, n.depth, 1, panels, panel0,
                n.lanes, y, row * n.columns + column, n.columns, columns, begin, bias, column, clip, count,
            )  # fmt: skip
