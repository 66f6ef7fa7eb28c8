"""The engine of Winograd's method: blocks of tiles are transformed, multiplied frequency by frequency, transformed back.

Sums run in one order whatever the number of threads: a task owns whole output tiles.
"""

from __future__ import annotations

import numpy as np

from ..simd.host import host, tile_rows
from ..simd.jit import kernel, parallel_kernel
from ..simd.microkernel import ACCUMULATE, ZERO, multiply_tile, tile_address
from ..simd.vector import clear, lanes_of
from ..threads import team
from .blocking import locate
from .lowering import Lowered, WeightStrides
from .pack import pack_bias, pack_strip, scratch, unpack_planar
from .winograd_filters import as_given, packed_size, transform_chunk, transform_filters
from .winograd_plan import Plan, plan, rounds, zeros_size
from .winograd_transforms import filter_address, input_address, invoke, output_address, place

TILE_ROWS = tile_rows()
ORIGIN = np.zeros(1, np.int64)


def sweep(
    low: Lowered,
    x: np.ndarray,
    w: np.ndarray,
    at: WeightStrides,
    b: np.ndarray | None,
    y: np.ndarray,
    *,
    relu: bool,
    m: int = 0,
    filters: np.ndarray | None = None,
) -> None:
    """Write one lowered problem of a 3x3 filter to y; `filters` are those of `transform_filters`, if prepared."""
    if low.N == 0:
        return
    p = plan(low, x.itemsize, m)
    if p.phased:
        _sweep_phased(low, p, x, w, at, b, y, relu)
    else:
        _sweep_fused(low, p, x, transform_filters(w, at, low, p) if filters is None else filters, b, y, relu)


def _offsets(*sizes: int) -> tuple[int, ...]:
    """Where parts of the given sizes begin, one after the other on cache lines, and where they end."""
    ends = [0]
    for size in sizes:
        ends.append(ends[-1] + -(-size // 16) * 16)
    return tuple(ends)


def _bias(b: np.ndarray | None, low: Lowered, p: Plan, dtype: np.dtype) -> np.ndarray:
    if b is None:
        return np.zeros(low.groups * p.panels * p.lanes, dtype)
    return pack_bias(b, low.groups, low.O, p.lanes, dtype)


def _source(low: Lowered, p: Plan, x: np.ndarray) -> tuple:
    """What `transform_item` must know of the input."""
    sizes = (p.m, low.C, p.pixel, int(p.strip_size == 0), low.stride[0])
    return x.reshape(-1), low.x_strides, p.index, low.interior, p.row_at, p.col_at, p.strip, sizes


def _target(low: Lowered, p: Plan, y: np.ndarray, relu: bool) -> tuple:
    """What `finish_item` must know of the output."""
    strides = (low.y_start, *low.y_strides)
    return y.reshape(-1), strides, (p.m, low.O, p.lanes, low.out[1], low.out[2], p.staging_size, int(relu))


def _sweep_fused(
    low: Lowered, p: Plan, x: np.ndarray, u: np.ndarray, b: np.ndarray | None, y: np.ndarray, relu: bool
) -> None:
    tasks = low.groups * p.blocks
    members = team(tasks, low.work)
    parts = _offsets(zeros_size(low, p), p.lanes, p.strip_size, p.staging_size, p.v_size, p.m_size)
    _fused(
        members,
        tasks,
        _source(low, p, x),
        u,
        _bias(b, low, p, x.dtype),
        _target(low, p, y, relu),
        p.grid,
        (p.panels, p.pixel, p.plane, p.m_plane, p.u_plane, p.u_size, low.C),
        parts,
        scratch(members * parts[-1], x.dtype).reshape(members, -1),
        ORIGIN,
        (input_address(x.itemsize), tile_address(x.itemsize), output_address(x.itemsize)),
    )


@parallel_kernel
def _fused(thread, first, last, source, u, bias, target, grid, sizes, parts, own, origin, addresses):
    """Each task does one block of tiles of one group: all of it in its thread's scratch."""
    panels, pixel, plane, m_plane, u_plane, u_size, C = sizes
    y_sizes = target[2]
    m, O, lanes = y_sizes[0], y_sizes[1], y_sizes[2]
    zeros, dump, strip, staging, v, products, _ = parts
    mine = own[thread]
    clear(mine, zeros, dump - zeros)
    blocks = grid[4]
    for task in range(first, last):
        group, item0 = task // blocks, task % blocks * grid[0]
        item1 = min(grid[2], item0 + grid[0])
        tiles = 0
        for item in range(item0, item1):
            tiles += transform_item(
                source, group, item, grid, mine, zeros, strip, mine, v + tiles * pixel, plane, addresses[0]
            )
        for panel in range(panels):
            multiply_block(
                m, mine, v, pixel, plane, tiles, C, u, (group * panels + panel) * u_size, u_plane, lanes,
                min(lanes, O - panel * lanes), mine, products, m_plane, ZERO, origin, addresses[1],
            )  # fmt: skip
            done = 0
            for item in range(item0, item1):
                done += finish_item(
                    target, group, panel, panels, item, grid, bias, mine, products + done * lanes, m_plane, staging,
                    dump, addresses[2],
                )  # fmt: skip


@kernel
def transform_item(source, group, item, grid, mine, zeros, strip, v, at, plane, transform):
    """Transform the tiles of one item to v[at:]; returns how many they are."""
    x, x_strides, index, interior, row_at, col_at, pitch, sizes = source
    m, C, pixel, in_place, plane_stride = sizes
    n, od, row0, rows, col0, cols = locate(item, grid)
    x0 = n * x_strides[0] + group * C * x_strides[1]
    if in_place:
        depth = index[0][od * plane_stride]
        x0 += max(depth, 0) * x_strides[2]
        for r in range(rows):
            row = (row0 + r) * m if depth >= 0 else row_at.size - 6
            invoke(
                transform,
                (
                    m, place(x, x0), place(row_at, row), place(col_at, col0 * m), place(mine, zeros), cols, C,
                    place(v, at + r * cols * pixel), pixel, plane,
                ),
            )  # fmt: skip
    else:
        corner = od * plane_stride, row0 * m, col0 * m
        size = np.int64(1), rows * m + 2, cols * m + 2
        pack_strip(x, x0, x_strides, C, index, corner, size, interior, mine, strip, pitch)
        for r in range(rows):
            invoke(
                transform,
                (
                    m, place(mine, strip), place(row_at, r * m), place(col_at, 0), place(mine, zeros), cols, C,
                    place(v, at + r * cols * pixel), pixel, plane,
                ),
            )  # fmt: skip
    return rows * cols


@kernel
def multiply_block(
    m, v, v_at, pixel, plane, tiles, depth, u, u_at, u_plane, lanes, columns, products, at, m_plane, start, origin, tile
):
    """products[f] (+)= V[f] @ U[f] for all frequencies f: a row per tile, `depth` input channels, one panel."""
    vectors = 1 if columns <= lanes_of(v) else 2
    parts = -(-tiles // TILE_ROWS)
    for f in range((m + 2) * (m + 2)):
        for j in range(parts):
            q, end = tiles * j // parts, tiles * (j + 1) // parts
            multiply_tile(
                tile, end - q, vectors, 1, origin, 0, origin, 0, depth, v, v_at + f * plane + q * pixel, pixel, 1,
                u, u_at + f * u_plane, lanes, products, at + f * m_plane + q * lanes, lanes, lanes, start,
                products, 0, False,
            )  # fmt: skip


@kernel
def finish_item(
    target, group, panel, panels, item, grid, bias, mine, at, m_plane, staging, dump, transform
):
    """Transform the products of one item, mine[at:], back to y; returns the number of tiles."""
    y, y_strides, sizes = target
    m, O, lanes, OH, OW, planar, relu = sizes
    n, od, row0, rows, col0, cols = locate(item, grid)
    height, width = min(rows * m, OH - row0 * m), min(cols * m, OW - col0 * m)
    columns = min(lanes, O - panel * lanes)
    y0 = y_strides[0] + n * y_strides[1] + (group * O + panel * lanes) * y_strides[2]
    y0 += od * y_strides[3] + row0 * m * y_strides[4] + col0 * m * y_strides[5]
    offset = place(bias, (group * panels + panel) * lanes)
    for r in range(rows):
        here = place(mine, at + r * cols * lanes)
        if planar:
            out, row, col = place(mine, staging + r * m * width * lanes), width * lanes, lanes
        else:
            out, row, col = place(y, y0 + r * m * y_strides[4]), y_strides[4], y_strides[5]
        invoke(
            transform,
            (
                m, here, lanes, m_plane, cols, out, row, col, height - r * m, width, columns, offset, relu,
                place(mine, dump),
            ),
        )  # fmt: skip
    if planar:
        if y_strides[4] == width * y_strides[5]:
            unpack_planar(mine, staging, lanes, columns, height * width, y, y0, y_strides[2], y_strides[5])
        else:
            for i in range(height):
                line = staging + i * width * lanes
                unpack_planar(mine, line, lanes, columns, width, y, y0 + i * y_strides[4], y_strides[2], y_strides[5])
    return rows * cols


def _sweep_phased(
    low: Lowered,
    p: Plan,
    x: np.ndarray,
    w: np.ndarray,
    at: WeightStrides,
    b: np.ndarray | None,
    y: np.ndarray,
    relu: bool,
) -> None:
    filters = as_given(w, at, low, p.lanes)
    together = rounds(p, low.groups, x.itemsize)
    v = scratch(low.groups * together * p.v_size, x.dtype)
    source, target, bias = _source(low, p, x), _target(low, p, y, relu), _bias(b, low, p, x.dtype)
    room = 0 if at.o == 1 else packed_size(p.lanes, p.chunk, host().lanes(x.itemsize))
    inputs = _offsets(zeros_size(low, p), p.strip_size)
    products = _offsets(p.lanes, p.staging_size, p.m_size, p.u_size, room)
    most = team(1 << 30, low.work)
    own = scratch(most * max(inputs[-1], products[-1]), x.dtype).reshape(most, -1)
    for block0 in range(0, p.blocks, together):
        blocks = min(together, p.blocks - block0)
        items = min(p.grid[2], (block0 + blocks) * p.grid[0]) - block0 * p.grid[0]
        _spread(
            min(most, low.groups * items),
            low.groups * items,
            source,
            p.grid,
            (p.pixel, p.plane, p.v_size, block0, together, items),
            inputs,
            own,
            v,
            input_address(x.itemsize),
        )
        tasks = low.groups * p.panels * blocks
        _products(
            min(most, tasks),
            tasks,
            v,
            filters.array,
            filters.strides,
            filters.rows,
            filters.cols,
            bias,
            target,
            p.grid,
            (p.panels, p.pixel, p.plane, p.m_plane, p.u_plane, p.v_size, low.C, p.chunk, block0, blocks, together),
            products,
            own,
            ORIGIN,
            (filter_address(x.itemsize), tile_address(x.itemsize), output_address(x.itemsize)),
        )


@parallel_kernel
def _spread(thread, first, last, source, grid, sizes, parts, own, v, transform):
    """Each task transforms one item of a round to its place in V, [group][block][frequency][tile][c]."""
    pixel, plane, v_size, block0, together, items = sizes
    zeros, strip, _ = parts
    mine = own[thread]
    clear(mine, zeros, strip - zeros)
    each = grid[0]
    for task in range(first, last):
        group, item = task // items, block0 * each + task % items
        block = item // each
        before = 0
        for earlier in range(block * each, item):
            _, _, _, rows, _, cols = locate(earlier, grid)
            before += rows * cols
        at = (group * together + block - block0) * v_size + before * pixel
        transform_item(source, group, item, grid, mine, zeros, strip, v, at, plane, transform)


@parallel_kernel
def _products(
    thread, first, last, v, w, w_strides, tap_rows, tap_cols, bias, target, grid, sizes, parts, own, origin, addresses
):
    """Each task does one block of a round with one panel of output channels, chunk by chunk of input channels."""
    panels, pixel, plane, m_plane, u_plane, v_size, C, chunk, block0, blocks, together = sizes
    y_sizes = target[2]
    m, O, lanes = y_sizes[0], y_sizes[1], y_sizes[2]
    dump, staging, products, u, packed, _ = parts
    mine = own[thread]
    for task in range(first, last):
        block, panel, group = task % blocks, task // blocks % panels, task // blocks // panels
        columns = min(lanes, O - panel * lanes)
        item0 = (block0 + block) * grid[0]
        item1 = min(grid[2], item0 + grid[0])
        tiles = 0
        for item in range(item0, item1):
            _, _, _, rows, _, cols = locate(item, grid)
            tiles += rows * cols
        v0 = (group * together + block) * v_size
        for c in range(0, C, chunk):
            end = min(C, c + chunk)
            transform_chunk(
                m, w, w_strides, tap_rows, tap_cols, group, panel, columns, c, end, lanes, mine, packed, mine, u,
                u_plane, addresses[0],
            )  # fmt: skip
            multiply_block(
                m, v, v0 + c, pixel, plane, tiles, end - c, mine, u, u_plane, lanes, columns, mine, products, m_plane,
                ACCUMULATE if c else ZERO, origin, addresses[1],
            )  # fmt: skip
        done = 0
        for item in range(item0, item1):
            done += finish_item(
                target, group, panel, panels, item, grid, bias, mine, products + done * lanes, m_plane, staging,
                dump, addresses[2],
            )  # fmt: skip
