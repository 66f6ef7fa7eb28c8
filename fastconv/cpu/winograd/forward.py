"""The engine of Winograd's method: blocks of tiles are transformed, multiplied by frequencies, transformed back.

A task owns whole output tiles of some panels: sums run in one order whatever the number of threads.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

import numpy as np
from numba.np.unsafe.ndarray import to_fixed_tuple

from ...kept import kept
from ...memory import scratch
from ...simd.jit import kernel, parallel_kernel
from ...simd.microkernel import ACCUMULATE, ZERO, tile_address
from ...simd.vector import clear
from ...threads import team
from ..items import Grid
from ..lowering import Lowered, WeightStrides
from ..pack import pack_bias
from .filters import Filters, as_given, pack_filters, transform_chunk, transform_filters
from .plan import Cut, Shape, cut
from .sides import Side, input_side
from .tiles import ORIGIN, finish_item, multiply_block, tiles_before, transform_item
from .transforms import filter_address, input_address, output_address

Prepared = np.ndarray | Filters  # filters transformed, or packed for a streamed sweep


class Plan(NamedTuple):
    """All that a lowered problem's calls have in common; made once by `plan`."""

    low: Lowered
    cut: Cut
    x: Side
    # y's start and strides (5), m, O, lanes, OH, OW, staged; grid (13); planes (3), pixel, C, chunk; places
    numbers: np.ndarray


@kept
def plan(low: Lowered, itemsize: int, prepared: bool) -> Plan:
    """Cut a lowered problem and make its tables."""
    shape = Shape.of(low, itemsize)
    p = cut(shape, prepared)
    target = low.y_start, *low.y_strides, p.m, low.O, p.lanes, low.out[1], low.out[2], p.staging_size
    numbers = np.array([*target, *p.grid, *p.planes, p.pixel, low.C, p.chunk, *p.places], np.int64)
    return Plan(low, p, input_side(low, shape, p.m, p.grid[6], p.grid[7]), numbers)


def prepare_filters(low: Lowered, w: np.ndarray, at: WeightStrides) -> Prepared:
    """Transform the filters, or where that would take too much memory, pack them."""
    p = plan(low, w.itemsize, True).cut
    return (pack_filters if p.streamed else transform_filters)(w, at, low, p)


def sweep(
    low: Lowered,
    x: np.ndarray,
    w: np.ndarray | None,
    at: WeightStrides,
    b: np.ndarray | None,
    y: np.ndarray,
    *,
    relu: bool,
    prepared: Prepared | None = None,
) -> None:
    """Write one lowered problem of an undilated 3x3 filter to y."""
    if low.N == 0:
        return
    itemsize = x.itemsize
    low, p, side, numbers = plan(low, itemsize, prepared is not None)
    transformed = prepared if isinstance(prepared, np.ndarray) else _nothing(x.dtype)
    filters = prepared if isinstance(prepared, Filters) else as_given(transformed if w is None else w, at, low, p.lanes)
    tasks = low.groups * p.blocks * (p.panels if p.streamed else 1)
    members = team(tasks, low.work)
    own = scratch((members, p.places[-1]), x.dtype)
    bias = _bias(b, low, p, x.dtype)
    functions = input_address(itemsize), filter_address(itemsize), tile_address(itemsize), output_address(itemsize)
    arguments = *side.arguments(x), *filters, bias, y.reshape(-1), numbers, own, ORIGIN, int(relu), *functions
    if p.streamed:
        _streamed(members, tasks, *arguments)
    else:
        _fused(members, tasks, transformed, *arguments)


@lru_cache(maxsize=8)
def _nothing(dtype: np.dtype) -> np.ndarray:
    return np.empty(0, dtype)


def _bias(b: np.ndarray | None, low: Lowered, p: Cut, dtype: np.dtype) -> np.ndarray:
    if b is None:
        return np.zeros(low.groups * p.panels * p.lanes, dtype)
    return pack_bias(b, low.groups, low.O, p.lanes, dtype)


@parallel_kernel
def _fused(
    thread, first, last, shared, x, x_numbers, planes_at, rows_at, cols_at, row_at, col_at,
    w, w_strides, tap_rows, tap_cols, bias, y, numbers, own, origin, relu, of_inputs, of_filters, tile, to_outputs,
):  # fmt: skip
    """Each task does one block of tiles of one group with all panels, in its thread's scratch.

    `shared` holds transformed filters, or nothing: then the thread transforms those of a group when it comes to it.
    """
    source, target = (x, x_numbers, planes_at, rows_at, cols_at, row_at, col_at), (y, numbers)
    m, O, lanes, grid = numbers[6], numbers[7], numbers[8], Grid(*to_fixed_tuple(numbers[12:], 13))
    v_plane, p_plane, u_plane, pixel, C, chunk = to_fixed_tuple(numbers[25:], 6)
    zeros, dump, strip, staging, v, p, own_u, packed = to_fixed_tuple(numbers[31:], 8)
    panels, blocks = grid[3], grid[4]
    u_size = (m + 2) * (m + 2) * u_plane
    mine, made = own[thread], -1
    clear(mine, zeros, pixel)
    for task in range(first, last):
        group = task // blocks
        u, u_at = shared, group * panels * u_size
        if not shared.size:
            u, u_at = mine, own_u
            for i in range(panels * -(-C // chunk) if made != group else 0):
                panel, c = i % panels, i // panels * chunk
                transform_chunk(
                    m, w, w_strides, tap_rows, tap_cols, group, panel, min(lanes, O - panel * lanes), c,
                    min(chunk, C - c), lanes, mine, packed, mine, own_u + panel * u_size + c * lanes, u_plane,
                    of_filters,
                )  # fmt: skip
            made = group
        block = task % blocks
        tiles = _transform_block(source, group, block, grid, mine, zeros, strip, v, v_plane, pixel, of_inputs)
        for panel in range(panels):
            multiply_block(
                m, mine, v, pixel, v_plane, tiles, C, u, u_at + panel * u_size, u_plane, lanes,
                min(lanes, O - panel * lanes), mine, p, p_plane, ZERO, origin, tile,
            )  # fmt: skip
            _finish_block(
                target, group, panel, block, grid, bias, mine, p, p_plane, lanes, staging, dump, relu, to_outputs
            )


@parallel_kernel
def _streamed(
    thread, first, last, x, x_numbers, planes_at, rows_at, cols_at, row_at, col_at,
    w, w_strides, tap_rows, tap_cols, bias, y, numbers, own, origin, relu, of_inputs, of_filters, tile, to_outputs,
):  # fmt: skip
    """Each task does one block of tiles with one panel, chunk by chunk of input channels; panels of a block adjoin."""
    source, target = (x, x_numbers, planes_at, rows_at, cols_at, row_at, col_at), (y, numbers)
    m, O, lanes, grid = numbers[6], numbers[7], numbers[8], Grid(*to_fixed_tuple(numbers[12:], 13))
    v_plane, p_plane, u_plane, pixel, C, chunk = to_fixed_tuple(numbers[25:], 6)
    zeros, dump, strip, staging, v, p, u, packed = to_fixed_tuple(numbers[31:], 8)
    panels, blocks = grid[3], grid[4]
    mine, made, tiles = own[thread], -1, 0
    clear(mine, zeros, pixel)
    for task in range(first, last):
        panel, block, group = task % panels, task // panels % blocks, task // panels // blocks
        if made != task // panels:
            tiles = _transform_block(source, group, block, grid, mine, zeros, strip, v, v_plane, pixel, of_inputs)
            made = task // panels
        columns = min(lanes, O - panel * lanes)
        for c in range(0, C, chunk):
            depth = min(C - c, chunk)
            transform_chunk(
                m, w, w_strides, tap_rows, tap_cols, group, panel, columns, c, depth, lanes, mine, packed, mine, u,
                u_plane, of_filters,
            )  # fmt: skip
            multiply_block(
                m, mine, v + c, pixel, v_plane, tiles, depth, mine, u, u_plane, lanes, columns, mine, p, p_plane,
                ACCUMULATE if c else ZERO, origin, tile,
            )  # fmt: skip
        _finish_block(target, group, panel, block, grid, bias, mine, p, p_plane, lanes, staging, dump, relu, to_outputs)


@kernel
def _transform_block(source, group, block, grid, mine, zeros, strip, v, v_plane, pixel, of_inputs):
    """Transform the inputs of a block to mine[v:]; returns the number of tiles."""
    item0 = block * grid[0]
    item1, tile0 = min(grid[2], item0 + grid[0]), tiles_before(item0, grid)
    for item in range(item0, item1):
        at = v + (tiles_before(item, grid) - tile0) * pixel
        transform_item(source, group, item, grid, mine, zeros, strip, mine, at, v_plane, of_inputs)
    return tiles_before(item1, grid) - tile0


@kernel
def _finish_block(
    target, group, panel, block, grid, bias, mine, p, p_plane, lanes, staging, dump, relu, to_outputs
):  # fmt: skip
    """Transform the products of a block with one panel back to y."""
    item0 = block * grid[0]
    tile0 = tiles_before(item0, grid)
    for item in range(item0, min(grid[2], item0 + grid[0])):
        at = p + (tiles_before(item, grid) - tile0) * lanes
        finish_item(target, group, panel, item, grid, bias, mine, at, p_plane, staging, dump, relu, to_outputs)
