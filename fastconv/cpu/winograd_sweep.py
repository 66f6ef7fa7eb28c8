"""The engine of Winograd's method: blocks of tiles are transformed, multiplied by frequencies, transformed back.

A task owns whole output tiles of some panels: sums run in one order whatever the number of threads.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any, NamedTuple

import numpy as np

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


@lru_cache(maxsize=512)
def plan(low: Lowered, itemsize: int, m: int) -> Plan:
    """Cut a lowered problem and make its tables; `m` 0 leaves the tile size to `winograd_plan`."""
    shape = Shape.of(low, itemsize)
    p = cut(shape, m)
    return Plan(low, p, input_side(low, shape, p.m, p.grid[6], p.grid[7]))


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


def _target(low: Lowered, p: Cut, y: np.ndarray, relu: bool) -> tuple[Any, ...]:
    """What `finish_item` must know of the output."""
    sizes = (p.m, low.O, p.lanes, low.out[1], low.out[2], p.staging_size, int(relu))
    return y.reshape(-1), (low.y_start, *low.y_strides), sizes


def _sweep_fused(planned: Plan, x: np.ndarray, u: np.ndarray, b: np.ndarray | None, y: np.ndarray, relu: bool) -> None:
    low, p, side = planned
    tasks = low.groups * p.blocks
    members = team(tasks, low.work)
    (places,) = p.places
    _fused(
        members,
        tasks,
        *side.arguments(x, p.m),
        u,
        _bias(b, low, p, x.dtype),
        *_target(low, p, y, relu),
        p.grid,
        p.planes,
        places,
        scratch((members, places[-1]), x.dtype),
        ORIGIN,
        (input_address(x.itemsize), tile_address(x.itemsize), output_address(x.itemsize)),
    )


@parallel_kernel
def _fused(
    thread, first, last, x, x_strides, planes_at, rows_at, cols_at, interior, row_at, col_at, pitch, x_sizes, u, bias,
    y, y_strides, y_sizes, grid, planes, places, own, origin, addresses,
):  # fmt: skip
    """Each task does one block of tiles of one group with all panels, in its thread's scratch."""
    source, target = (
        (x, x_strides, planes_at, rows_at, cols_at, interior, row_at, col_at, pitch, x_sizes),
        (y, y_strides, y_sizes),
    )
    C, pixel = x_sizes[1], x_sizes[2]
    v_plane, p_plane, u_plane = planes
    m, O, lanes = y_sizes[0], y_sizes[1], y_sizes[2]
    zeros, dump, strip, staging, v, p, _ = places
    panels, blocks = grid[3], grid[4]
    mine = own[thread]
    clear(mine, zeros, pixel)
    for task in range(first, last):
        group, item0 = task // blocks, task % blocks * grid[0]
        item1, tile0 = min(grid[2], item0 + grid[0]), tiles_before(item0, grid)
        for item in range(item0, item1):
            at = v + (tiles_before(item, grid) - tile0) * pixel
            transform_item(source, group, item, grid, mine, zeros, strip, mine, at, v_plane, addresses[0])
        tiles = tiles_before(item1, grid) - tile0
        for panel in range(panels):
            u_at = (group * panels + panel) * (m + 2) * (m + 2) * u_plane
            multiply_block(
                m, mine, v, pixel, v_plane, tiles, C, u, u_at, u_plane, lanes, min(lanes, O - panel * lanes),
                mine, p, p_plane, ZERO, origin, addresses[1],
            )  # fmt: skip
            for item in range(item0, item1):
                at = p + (tiles_before(item, grid) - tile0) * lanes
                finish_item(target, group, panel, item, grid, bias, mine, at, p_plane, staging, dump, addresses[2])


def _sweep_phased(
    planned: Plan, x: np.ndarray, filters: Filters, b: np.ndarray | None, y: np.ndarray, relu: bool
) -> None:
    low, p, side = planned
    x_places, y_places = p.places
    members = team(low.groups * max(p.grid[2], p.panels * p.blocks), low.work)
    own = scratch((members, max(x_places[-1], y_places[-1])), x.dtype)
    v = scratch((low.groups * p.together * p.sizes[0],), x.dtype)
    source, target, bias = side.arguments(x, p.m), _target(low, p, y, relu), _bias(b, low, p, x.dtype)
    for block0 in range(0, p.blocks, p.together):
        count = min(p.together, p.blocks - block0)
        items = min(p.grid[2], (block0 + count) * p.grid[0]) - block0 * p.grid[0]
        tasks = low.groups * items
        cuts = (p.planes[0], block0, p.together, items)
        _spread(min(members, tasks), tasks, *source, p.grid, cuts, x_places, own, v, input_address(x.itemsize))
        tasks = low.groups * p.panels * count
        _products(
            min(members, tasks),
            tasks,
            v,
            *filters,
            bias,
            *target,
            p.grid,
            p.planes,
            (p.pixel, low.C, p.chunk, block0, count, p.together),
            y_places,
            own,
            ORIGIN,
            (filter_address(x.itemsize), tile_address(x.itemsize), output_address(x.itemsize)),
        )


@parallel_kernel
def _spread(
    thread, first, last, x, x_strides, planes_at, rows_at, cols_at, interior, row_at, col_at, pitch, x_sizes, grid,
    cuts, places, own, v, transform,
):  # fmt: skip
    """Each task transforms one item of a round to its place in v, [group][block][frequency][tile][c]."""
    source = (x, x_strides, planes_at, rows_at, cols_at, interior, row_at, col_at, pitch, x_sizes)
    v_plane, block0, together, items = cuts
    m, pixel, each = x_sizes[0], x_sizes[2], grid[0]
    zeros, strip, _ = places
    mine = own[thread]
    clear(mine, zeros, pixel)
    for task in range(first, last):
        group, item = task // items, block0 * each + task % items
        block = item // each
        at = (group * together + block - block0) * (m + 2) * (m + 2) * v_plane
        at += (tiles_before(item, grid) - tiles_before(block * each, grid)) * pixel
        transform_item(source, group, item, grid, mine, zeros, strip, v, at, v_plane, transform)


@parallel_kernel
def _products(
    thread, first, last, v, w, w_strides, tap_rows, tap_cols, bias, y, y_strides, y_sizes, grid, planes, cuts,
    places, own, origin, addresses,
):  # fmt: skip
    """Each task does one block of a round with one panel of output channels, chunk by chunk of input channels."""
    target = (y, y_strides, y_sizes)
    v_plane, p_plane, u_plane = planes
    pixel, C, chunk, block0, count, together = cuts
    m, O, lanes, panels = y_sizes[0], y_sizes[1], y_sizes[2], grid[3]
    dump, staging, p, u, packed, _ = places
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
                u_plane, addresses[0],
            )  # fmt: skip
            multiply_block(
                m, v, v_at + c, pixel, v_plane, tiles, depth, mine, u, u_plane, lanes, columns, mine, p, p_plane,
                ACCUMULATE if c else ZERO, origin, addresses[1],
            )  # fmt: skip
        for item in range(item0, item1):
            at = p + (tiles_before(item, grid) - tile0) * lanes
            finish_item(target, group, panel, item, grid, bias, mine, at, p_plane, staging, dump, addresses[2])
