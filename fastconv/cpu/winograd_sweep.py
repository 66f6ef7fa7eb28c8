"""The engine of Winograd's method: blocks of tiles are transformed, multiplied by frequencies, transformed back.

A task owns whole output tiles of some panels: sums run in one order whatever the number of threads.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np
from numba.np.unsafe.ndarray import to_fixed_tuple

from ..memory import scratch
from ..simd.jit import parallel_kernel
from ..simd.microkernel import ACCUMULATE, ZERO, tile_address
from ..simd.vector import clear
from ..threads import team
from .lowering import Lowered, WeightStrides
from .pack import pack_bias
from .winograd_filters import Filters, as_given, pack_filters, transform_chunk, transform_filters
from .winograd_plan import Cut, Shape, cut
from .winograd_sides import Side, input_side
from .winograd_tiles import ORIGIN, finish_item, multiply_block, tiles_before, transform_item
from .winograd_transforms import filter_address, input_address, output_address


class Prepared(NamedTuple):
    """Filters brought into the form that the sweep of one problem wants, and the tile size they are for."""

    m: int
    filters: Any  # an array of transformed filters, or packed ones for a phased sweep


class Plan(NamedTuple):
    """All that a lowered problem's calls have in common; made once by `plan`."""

    low: Lowered
    cut: Cut
    x: Side
    # y's start and strides (5), m, O, lanes, OH, OW, staged; grid (13); planes (3), pixel, C, chunk; places
    numbers: np.ndarray


@lru_cache(maxsize=512)
def plan(low: Lowered, itemsize: int, m: int) -> Plan:
    """Cut a lowered problem and make its tables; `m` 0 leaves the tile size to `winograd_plan`."""
    shape = Shape.of(low, itemsize)
    p = cut(shape, m)
    target = low.y_start, *low.y_strides, p.m, low.O, p.lanes, low.out[1], low.out[2], p.staging_size
    places = [place for region in p.places for place in region]
    numbers = np.array([*target, *p.grid, *p.planes, p.pixel, low.C, p.chunk, *places], np.int64)
    return Plan(low, p, input_side(low, shape, p.m, p.grid[6], p.grid[7]), numbers)


def prepare(low: Lowered, w: np.ndarray, at: WeightStrides, m: int = 0) -> Prepared:
    """Transform the filters, or where that would take too much memory, pack them."""
    p = plan(low, w.itemsize, m).cut
    return Prepared(p.m, (pack_filters if p.phased else transform_filters)(w, at, low, p))


def sweep(
    low: Lowered,
    x: np.ndarray,
    w: np.ndarray,
    at: WeightStrides,
    b: np.ndarray | None,
    y: np.ndarray,
    *,
    relu: bool,
    prepared: Prepared | None = None,
    m: int = 0,
) -> None:
    """Write one lowered problem of an undilated 3x3 filter to y."""
    if low.N == 0:
        return
    planned = plan(low, x.itemsize, prepared.m if prepared else m)
    p = planned.cut
    if prepared:
        filters = prepared.filters
    else:
        filters = as_given(w, at, low, p.lanes) if p.phased else transform_filters(w, at, low, p)
    (_sweep_phased if p.phased else _sweep_fused)(planned, x, filters, b, y, relu)


def _bias(b: np.ndarray | None, low: Lowered, p: Cut, dtype: np.dtype) -> np.ndarray:
    if b is None:
        return np.zeros(low.groups * p.panels * p.lanes, dtype)
    return pack_bias(b, low.groups, low.O, p.lanes, dtype)


def _sweep_fused(planned: Plan, x: np.ndarray, u: np.ndarray, b: np.ndarray | None, y: np.ndarray, relu: bool) -> None:
    low, p, side, numbers = planned
    tasks = low.groups * p.blocks
    members = team(tasks, low.work)
    own = scratch((members, p.places[0][-1]), x.dtype)
    bias = _bias(b, low, p, x.dtype)
    to_planes, tile, from_planes = (address(x.itemsize) for address in (input_address, tile_address, output_address))
    _fused(
        members, tasks, *side.arguments(x), u, bias, y.reshape(-1), numbers, own, ORIGIN, int(relu), to_planes, tile,
        from_planes,
    )  # fmt: skip


@parallel_kernel
def _fused(
    thread, first, last, x, x_numbers, planes_at, rows_at, cols_at, row_at, col_at, u, bias, y, numbers, own, origin,
    relu, to_planes, tile, from_planes,
):  # fmt: skip
    """Each task does one block of tiles of one group with all panels, in its thread's scratch."""
    source, target = (x, x_numbers, planes_at, rows_at, cols_at, row_at, col_at), (y, numbers)
    m, O, lanes, grid = numbers[6], numbers[7], numbers[8], to_fixed_tuple(numbers[12:], 13)
    v_plane, p_plane, u_plane, pixel, C, _ = to_fixed_tuple(numbers[25:], 6)
    zeros, dump, strip, staging, v, p = to_fixed_tuple(numbers[31:], 6)
    panels, blocks = grid[3], grid[4]
    mine = own[thread]
    clear(mine, zeros, pixel)
    for task in range(first, last):
        group, item0 = task // blocks, task % blocks * grid[0]
        item1, tile0 = min(grid[2], item0 + grid[0]), tiles_before(item0, grid)
        for item in range(item0, item1):
            at = v + (tiles_before(item, grid) - tile0) * pixel
            transform_item(source, group, item, grid, mine, zeros, strip, mine, at, v_plane, to_planes)
        tiles = tiles_before(item1, grid) - tile0
        for panel in range(panels):
            u_at = (group * panels + panel) * (m + 2) * (m + 2) * u_plane
            multiply_block(
                m, mine, v, pixel, v_plane, tiles, C, u, u_at, u_plane, lanes, min(lanes, O - panel * lanes),
                mine, p, p_plane, ZERO, origin, tile,
            )  # fmt: skip
            for item in range(item0, item1):
                at = p + (tiles_before(item, grid) - tile0) * lanes
                finish_item(target, group, panel, item, grid, bias, mine, at, p_plane, staging, dump, relu, from_planes)


def _sweep_phased(
    planned: Plan, x: np.ndarray, filters: Filters, b: np.ndarray | None, y: np.ndarray, relu: bool
) -> None:
    low, p, side, numbers = planned
    members = team(low.groups * max(p.grid[2], p.panels * p.blocks), low.work)
    own = scratch((members, max(region[-1] for region in p.places)), x.dtype)
    v = scratch((low.groups * p.together * p.sizes[0],), x.dtype)
    source, bias, out = side.arguments(x), _bias(b, low, p, x.dtype), y.reshape(-1)
    to_planes, of_filters, tile, from_planes = (
        address(x.itemsize) for address in (input_address, filter_address, tile_address, output_address)
    )
    for block0 in range(0, p.blocks, p.together):
        count = min(p.together, p.blocks - block0)
        items = min(p.grid[2], (block0 + count) * p.grid[0]) - block0 * p.grid[0]
        tasks = low.groups * items
        _spread(min(members, tasks), tasks, *source, numbers, block0, p.together, items, own, v, to_planes)
        tasks = low.groups * p.panels * count
        _products(
            min(members, tasks), tasks, v, *filters, bias, out, numbers, block0, count, p.together, own, ORIGIN,
            int(relu), of_filters, tile, from_planes,
        )  # fmt: skip


@parallel_kernel
def _spread(
    thread, first, last, x, x_numbers, planes_at, rows_at, cols_at, row_at, col_at, numbers, block0, together, items,
    own, v, to_planes,
):  # fmt: skip
    """Each task transforms one item of a round to its place in v, [group][block][frequency][tile][c]."""
    source = (x, x_numbers, planes_at, rows_at, cols_at, row_at, col_at)
    m, grid, v_plane, pixel = numbers[6], to_fixed_tuple(numbers[12:], 13), numbers[25], numbers[28]
    zeros, strip = numbers[31], numbers[32]
    mine, each = own[thread], grid[0]
    clear(mine, zeros, pixel)
    for task in range(first, last):
        group, item = task // items, block0 * each + task % items
        block = item // each
        at = (group * together + block - block0) * (m + 2) * (m + 2) * v_plane
        at += (tiles_before(item, grid) - tiles_before(block * each, grid)) * pixel
        transform_item(source, group, item, grid, mine, zeros, strip, v, at, v_plane, to_planes)


@parallel_kernel
def _products(
    thread, first, last, v, w, w_strides, tap_rows, tap_cols, bias, y, numbers, block0, count, together, own, origin,
    relu, of_filters, tile, from_planes,
):  # fmt: skip
    """Each task does one block of a round with one panel of output channels, chunk by chunk of input channels."""
    target, grid = (y, numbers), to_fixed_tuple(numbers[12:], 13)
    m, O, lanes, panels = numbers[6], numbers[7], numbers[8], grid[3]
    v_plane, p_plane, u_plane, pixel, C, chunk = to_fixed_tuple(numbers[25:], 6)
    dump, staging, p, u, packed = to_fixed_tuple(numbers[34:], 5)
    mine = own[thread]
    for task in range(first, last):
        block, panel, group = task % count, task // count % panels, task // count // panels
        columns = min(lanes, O - panel * lanes)
        item0 = (block0 + block) * grid[0]
        item1, tile0 = min(grid[2], item0 + grid[0]), tiles_before(item0, grid)
        tiles = tiles_before(item1, grid) - tile0
        v_at = (group * together + block) * (m + 2) * (m + 2) * v_plane
        for c in range(0, C, chunk):
            depth = min(C - c, chunk)
            transform_chunk(
                m, w, w_strides, tap_rows, tap_cols, group, panel, columns, c, depth, lanes, mine, packed, mine, u,
                u_plane, of_filters,
            )  # fmt: skip
            multiply_block(
                m, v, v_at + c, pixel, v_plane, tiles, depth, mine, u, u_plane, lanes, columns, mine, p, p_plane,
                ACCUMULATE if c else ZERO, origin, tile,
            )  # fmt: skip
        for item in range(item0, item1):
            at = p + (tiles_before(item, grid) - tile0) * lanes
            finish_item(target, group, panel, item, grid, bias, mine, at, p_plane, staging, dump, relu, from_planes)
