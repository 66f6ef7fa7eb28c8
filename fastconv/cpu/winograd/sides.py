"""How Winograd's tiles read an activation: in place through tables of offsets, or by way of a packed strip.

The tables come from those of the border (`lowering`), so every padding mode, asymmetric padding and dilation is read
alike, without a padded copy. A tile that reaches beyond the padded input reads zeros there.
"""

from __future__ import annotations

from itertools import accumulate
from typing import NamedTuple

import numpy as np

from ...borders import counting_index
from ...simd.family import invoke
from ...simd.fields import behind, packed
from ...simd.jit import kernel
from ...simd.lanes import peek, place
from ..items import Grid, locate_item
from ..lowering import Axes, Lowered, Strides
from ..pack import pack_strip
from .sheets import Sheet
from .tiling import TileProblem
from .transforms import NOWHERE, gradient_address, input_address

MOST_POINTS = 6  # rows of the largest tile
Tables = tuple[np.ndarray, np.ndarray, np.ndarray]


class Side(NamedTuple):
    """Inputs or output gradients; behind it lie the border's tables, of planes, rows and columns, and offsets."""

    m: int
    halo: int  # rows and columns that a tile reads beyond its m
    C: int
    start: int
    strides: Strides
    left: int  # columns between left and right are neighbours
    right: int
    in_place: bool
    pitch: Axes  # of a strip
    pixel: int  # pitch of a tile's channels when it is transformed
    transform: int  # address of the function
    rows: int  # where the tables begin; that of planes begins at 0
    cols: int
    row_at: int  # offsets of rows and columns, in place or in a strip
    col_at: int
    nothing: int  # offsets of the rows of a tile of nothing, for planes that are border


def input_side(low: Lowered, size: TileProblem, m: int, grid: Grid) -> np.ndarray:
    """How the items of a grid of tiles read x: a `Side`."""
    rows, cols = _offsets(low.tables[1], low.x_strides.h), _offsets(low.tables[2], low.x_strides.w)
    return _input_side(low, low.x_strides, rows, cols, size, m, grid)


def sheet_side(sheet: Sheet, size: TileProblem, m: int, grid: Grid) -> np.ndarray:
    """How the items of a grid read the x of sheets."""
    strides = sheet.low.x_strides
    strides = strides._replace(n=strides.n * sheet.images)
    return _input_side(sheet.low, strides, sheet.rows.x, sheet.cols.x, size, m, grid)


def _input_side(
    low: Lowered, strides: Strides, rows: np.ndarray, cols: np.ndarray, size: TileProblem, m: int, grid: Grid
) -> np.ndarray:
    return _side(
        size, m, grid, start=0, strides=strides, channels=low.C, halo=2, index=low.tables, offsets=(rows, cols),
        interior=low.interior, in_place=size.in_place, transform=input_address(size.itemsize),
    )  # fmt: skip


def output_side(low: Lowered, size: TileProblem, m: int, grid: Grid) -> np.ndarray:
    """How they read the gradient of y."""
    OD, OH, OW = low.out
    planes, rows, cols = (counting_index(n) for n in low.out)
    return _side(
        size, m, grid, start=low.y_start, strides=low.y_strides, channels=low.O, halo=0, index=(planes, rows, cols),
        offsets=(rows * low.y_strides.h, cols * low.y_strides.w), interior=(0, OW),
        in_place=not size.staged, transform=gradient_address(size.itemsize),
    )  # fmt: skip


def _side(
    size: TileProblem, m: int, grid: Grid, *, start: int, strides: Strides, channels: int, halo: int, index: Tables,
    offsets: tuple[np.ndarray, np.ndarray], interior: tuple[int, int], in_place: bool, transform: int,
) -> np.ndarray:  # fmt: skip
    pixel = size.pitch(channels)
    height, width = grid.rows * m + halo, grid.cols * m + halo
    pitch = Axes(height * width * pixel, width * pixel, pixel)
    wanted = [-(-n // m) * m + halo for n in size.out[1:]]
    rows, cols = (longer(table, n, -1) for table, n in zip(index[1:], wanted, strict=True))
    row_at, col_at = (longer(table, n, NOWHERE) for table, n in zip(offsets, wanted, strict=True))
    if not in_place:
        row_at, col_at = np.arange(height) * pitch.h, np.arange(width) * pixel
    tables = index[0], rows, cols, row_at, col_at, np.full(MOST_POINTS, NOWHERE)
    side = Side(
        m, halo, channels, start, strides, *interior, in_place, pitch, pixel, transform,
        *accumulate(len(table) for table in tables[:-1]),
    )  # fmt: skip
    return packed(side, *tables)


def longer(table: np.ndarray, size: int, nothing: int) -> np.ndarray:
    """A table, and that there is nothing beyond its end, where the last tile looks too."""
    return np.concatenate([table[:size], np.full(max(0, size - len(table)), nothing, np.int64)])


def _offsets(table: np.ndarray, stride: int) -> np.ndarray:
    """Where each padded row or column lies."""
    return np.where(table < 0, NOWHERE, table * stride)


@kernel
def tiles_before(item, grid):
    """Tiles of all items before this one."""
    here = locate_item(item, grid)
    plane = here.image * grid.OD + here.plane
    return (plane * grid.OH + here.row0) * grid.OW + here.rows * here.col0


@kernel
def transform_block(side, x, group, block, cut, mine, v, plane):
    """Transform the tiles of a block to mine[v:], planes `plane` apart; returns how many they are."""
    grid = cut.grid
    item0 = block * grid.items
    item1, tile0 = min(grid.all_items, item0 + grid.items), tiles_before(item0, grid)
    for item in range(item0, item1):
        at = v + (tiles_before(item, grid) - tile0) * side.pixel
        transform_item(side, x, group, item, cut, mine, mine, at, plane)
    return tiles_before(item1, grid) - tile0


@kernel
def transform_item(side, x, group, item, cut, mine, v, at, plane):
    """Transform the tiles of one item to v[at:], planes `plane` apart, if need be by way of a strip in `mine`."""
    here, m, tables = locate_item(item, cut.grid), side.m, behind(side)
    x0 = side.start + here.image * side.strides.n + group * side.C * side.strides.c
    depth, first, col = peek(tables, here.plane), here.row0 * m, here.col0 * m
    if side.in_place:
        source = place(x, x0 + max(depth, 0) * side.strides.d)
    else:
        index = tables, place(tables, side.rows), place(tables, side.cols)
        corner = Axes(here.plane, first, col)
        size = Axes(np.int64(1), here.rows * m + side.halo, here.cols * m + side.halo)
        strip, interior = cut.scratch.strip, (side.left, side.right)
        pack_strip(x, x0, side.strides, side.C, index, corner, size, interior, mine, strip, side.pitch)
        source, first, col = place(mine, strip), 0, 0
    for r in range(here.rows):
        row = side.nothing if side.in_place and depth < 0 else side.row_at + first + r * m
        target = place(v, at + r * here.cols * side.pixel)
        invoke(
            side.transform,
            (m, source, place(tables, row), place(tables, side.col_at + col), place(mine, cut.scratch.zeros), here.cols,
             side.C, target, side.pixel, plane),
        )  # fmt: skip
