"""What Winograd's sweeps are made of: items of tiles brought to planes, products plane by plane, and the way back."""

from __future__ import annotations

import numpy as np
from numba.np.unsafe.ndarray import to_fixed_tuple

from ...simd.host import tile_rows
from ...simd.jit import kernel
from ...simd.microkernel import multiply_tile
from ...simd.vector import lanes_of
from ..items import locate_item
from ..lowering import Strides
from ..pack import Axes, pack_strip, unpack_planar
from .sides import MOST_POINTS
from .transforms import invoke, place

TILE_ROWS = tile_rows()
ORIGIN = np.zeros(1, np.int64)  # the table of offsets of a sum with one term


@kernel
def tiles_before(item, grid):
    """Tiles of all items before this one."""
    TH, TW = grid[11], grid[12]
    plane = item // (grid[8] * grid[9])
    _, _, row0, rows, col0, _ = locate_item(item, grid)
    return (plane * TH + row0) * TW + rows * col0


@kernel
def transform_item(source, group, item, grid, mine, zeros, strip, v, at, plane, transform):
    """Transform the tiles of one item to v[at:], planes `plane` apart.

    `source` is what `sides.Side.arguments` gives; mine[zeros:] holds a pixel of the border, mine[strip:] has
    room for a strip.
    """
    x, numbers, planes_at, rows_at, cols_at, row_at, col_at = source
    start, x_strides, m, C = numbers[0], Strides(*to_fixed_tuple(numbers[1:], 5)), numbers[11], numbers[12]
    pixel, in_place, plane_step, halo = to_fixed_tuple(numbers[13:], 4)
    n, od, row0, rows, col0, cols = locate_item(item, grid)
    x0 = start + n * x_strides[0] + group * C * x_strides[1]
    depth, first, col = planes_at[od * plane_step], row0 * m, col0 * m
    if in_place:
        here = place(x, x0 + max(depth, 0) * x_strides[2])
    else:
        corner, size = Axes(od * plane_step, first, col), Axes(np.int64(1), rows * m + halo, cols * m + halo)
        interior, pitch = to_fixed_tuple(numbers[6:], 2), Axes(*to_fixed_tuple(numbers[8:], 3))
        pack_strip(x, x0, x_strides, C, (planes_at, rows_at, cols_at), corner, size, interior, mine, strip, pitch)
        here, first, col = place(mine, strip), 0, 0
    for r in range(rows):
        row = row_at.size - MOST_POINTS if in_place and depth < 0 else first + r * m
        target = place(v, at + r * cols * pixel)
        invoke(
            transform,
            (m, here, place(row_at, row), place(col_at, col), place(mine, zeros), cols, C, target, pixel, plane),
        )


@kernel
def multiply_block(
    m, v, v_at, pixel, v_plane, tiles, depth, u, u_at, u_plane, lanes, columns, p, p_at, p_plane, start, origin, tile
):  # fmt: skip
    """P[f] (+)= V[f] @ U[f] for all frequencies f: a row per tile, `depth` input channels, one panel."""
    vectors = 1 if columns <= lanes_of(v) else 2
    parts = -(-tiles // TILE_ROWS)
    for f in range((m + 2) * (m + 2)):
        for j in range(parts):
            q, end = tiles * j // parts, tiles * (j + 1) // parts
            multiply_tile(
                tile, end - q, vectors, 1, origin, 0, origin, 0, depth, v, v_at + f * v_plane + q * pixel, pixel, 1,
                u, u_at + f * u_plane, lanes, p, p_at + f * p_plane + q * lanes, lanes, lanes, start, p, 0, False,
            )  # fmt: skip


@kernel
def finish_item(target, group, panel, item, grid, bias, mine, p_at, p_plane, staging, dump, relu, transform):
    """Transform the products of one item with one panel, mine[p_at:], back to y.

    `target` is y and the numbers of a `forward.Plan`. Channels-first outputs go by way of mine[staging:];
    mine[dump:] takes what lies beyond the output's edge.
    """
    y, numbers = target
    y_strides = to_fixed_tuple(numbers, 6)
    m, O, lanes, OH, OW, staged = to_fixed_tuple(numbers[6:], 6)
    n, od, row0, rows, col0, cols = locate_item(item, grid)
    height, width = min(rows * m, OH - row0 * m), min(cols * m, OW - col0 * m)
    columns = min(lanes, O - panel * lanes)
    y0 = y_strides[0] + n * y_strides[1] + (group * O + panel * lanes) * y_strides[2]
    y0 += od * y_strides[3] + row0 * m * y_strides[4] + col0 * m * y_strides[5]
    offset = place(bias, (group * grid[3] + panel) * lanes)
    row, col = (width * lanes, lanes) if staged else (y_strides[4], y_strides[5])
    for r in range(rows):
        here = place(mine, p_at + r * cols * lanes)
        out = place(mine, staging + r * m * row) if staged else place(y, y0 + r * m * row)
        invoke(
            transform,
            (m, here, lanes, p_plane, cols, out, row, col, height - r * m, width, columns, offset, relu,
             place(mine, dump)),
        )  # fmt: skip
    if staged:
        _unstage(mine, staging, lanes, columns, height, width, y, y0, y_strides)


@kernel
def _unstage(mine, staging, lanes, columns, height, width, y, y0, y_strides):
    """A panel's results from channels-last scratch to a channels-first output; adjoining rows go as one."""
    channel, row, col = y_strides[2], y_strides[4], y_strides[5]
    if row == width * col:
        height, width = 1, height * width
    for i in range(height):
        unpack_planar(mine, staging + i * width * lanes, lanes, columns, width, y, y0 + i * row, channel, col)
