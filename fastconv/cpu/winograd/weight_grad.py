"""The weight gradient by Winograd's method, F(3x3, m x m): products of transformed inputs and output gradients.

    dw = G^T [ sum over tiles of (B^T x B) * (A dy A^T) ] G

The filter and the output have changed places (the transpose of the forward algorithm), so the matrix product of each
frequency sums over tiles. A part of the tiles (a run of blocks, or a round of them: `grad_plan`) has its
products transformed back at once, and the parts are added in order: same bits for any number of threads.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import NamedTuple

import numpy as np
from numba.np.unsafe.ndarray import to_fixed_tuple

from ...kept import kept
from ...memory import scratch
from ...simd.jit import kernel, parallel_kernel
from ...simd.lane_math import add
from ...simd.lanes import load, store, zeros
from ...simd.microkernel import ACCUMULATE, ZERO, multiply_tile, tile_address
from ...simd.vector import clear, copy, lanes_of
from ...threads import team
from ..items import Grid
from ..lowering import Lowered, WeightStrides
from ..pack import unpack_planar
from .grad_plan import GradCut, cut
from .plan import TAPS, Shape
from .sides import Side, input_side, output_side
from .tiles import ORIGIN, TILE_ROWS, tiles_before, transform_item
from .transforms import gradient_address, input_address, invoke, place, weights_address


class Plan(NamedTuple):
    """All that the calls of one lowered problem have in common; made once by `plan`."""

    low: Lowered
    cut: GradCut
    x: Side
    dy: Side
    numbers: np.ndarray  # grid (13); planes (3); m, groups, C, O, lanes, channels, pixels (2), parts; places


@kept
def plan(low: Lowered, itemsize: int) -> Plan:
    """Cut a lowered problem and make its tables."""
    shape = Shape.of(low, itemsize)
    p = cut(shape)
    x, dy = (make(low, shape, p.m, p.grid[6], p.grid[7]) for make in (input_side, output_side))
    sizes = p.m, low.groups, low.C, low.O, p.lanes, p.channels, *p.pixels, p.parts
    places = [place for region in p.places for place in region]
    return Plan(low, p, x, dy, np.array([*p.grid, *p.planes, *sizes, *places], np.int64))


def accumulate(problems: Sequence[Lowered], x: np.ndarray, dy: np.ndarray, dw: np.ndarray, at: WeightStrides) -> None:
    """Write the sum of the weight gradients of lowered problems, phases of one convolution, to dw."""
    low = problems[0]
    if low.N == 0:
        dw[...] = 0
        return
    plans = [plan(each, x.itemsize) for each in problems]
    p = plans[0].cut
    size = low.groups * p.panels * low.C * TAPS * p.lanes
    partial = scratch((sum(each.cut.parts for each in plans) * size,), x.dtype)
    done = 0
    for each in plans:
        (_phased if each.cut.phased else _fused)(each, x, dy, partial[done:])
        done += each.cut.parts * size
    chunk = max(1, 4096 // (TAPS * p.lanes))
    chunks = -(-low.C // chunk)
    tasks = low.groups * p.panels * chunks
    sizes = (size, low.C, low.O, p.lanes, p.panels, chunk, chunks)
    _reduce(team(tasks, partial.size), tasks, partial, sizes, (at.group, at.tap, at.c, at.o), dw.reshape(-1))


def _fused(planned: Plan, x: np.ndarray, dy: np.ndarray, partial: np.ndarray) -> None:
    low, p, inputs, gradients, numbers = planned
    tasks = low.groups * p.parts
    members = team(tasks, low.work)
    own = scratch((members, p.places[0][-1]), x.dtype)
    _sum_blocks(
        members, tasks, *inputs.arguments(x), *gradients.arguments(dy), numbers, own, partial, ORIGIN,
        *_addresses(x.itemsize),
    )  # fmt: skip


def _addresses(itemsize: int) -> tuple[int, ...]:
    return (
        input_address(itemsize), gradient_address(itemsize), tile_address(itemsize), weights_address(itemsize),
    )  # fmt: skip


@parallel_kernel
def _sum_blocks(
    thread, first, last, x, x_numbers, x_planes_at, x_rows_at, x_cols_at, x_row_at, x_col_at,
    dy, dy_numbers, dy_planes_at, dy_rows_at, dy_cols_at, dy_row_at, dy_col_at,
    numbers, own, partial, origin, of_inputs, of_gradients, tile, to_weights,
):  # fmt: skip
    """Each task sums over one run of blocks of one group and writes one partial gradient of all its panels."""
    inputs = (x, x_numbers, x_planes_at, x_rows_at, x_cols_at, x_row_at, x_col_at)
    gradients = (dy, dy_numbers, dy_planes_at, dy_rows_at, dy_cols_at, dy_row_at, dy_col_at)
    grid, (v_plane, d_plane, p_plane) = Grid(*to_fixed_tuple(numbers, 13)), to_fixed_tuple(numbers[13:], 3)
    m, groups, C, O, lanes, _, x_pixel, dy_pixel, runs = to_fixed_tuple(numbers[16:], 9)
    border, strip, v, d, p = to_fixed_tuple(numbers[25:], 5)
    panels, all_blocks = grid[3], grid[4]
    mine, p_size = own[thread], (m + 2) * (m + 2) * p_plane
    clear(mine, border, strip - border)
    for task in range(first, last):
        run, group = task % runs, task // runs
        block0, block1 = all_blocks * run // runs, all_blocks * (run + 1) // runs
        for block in range(block0, block1):
            item0 = block * grid[0]
            item1, tile0 = min(grid[2], item0 + grid[0]), tiles_before(item0, grid)
            for item in range(item0, item1):
                t = tiles_before(item, grid) - tile0
                v_at, d_at = v + t * x_pixel, d + t * dy_pixel
                transform_item(inputs, group, item, grid, mine, border, strip, mine, v_at, v_plane, of_inputs)
                transform_item(gradients, group, item, grid, mine, border, strip, mine, d_at, d_plane, of_gradients)
            tiles, start = tiles_before(item1, grid) - tile0, ZERO if block == block0 else ACCUMULATE
            for panel in range(panels):
                _multiply(
                    m, mine, v, x_pixel, v_plane, tiles, C, mine, d + panel * lanes, dy_pixel, d_plane, lanes,
                    min(lanes, O - panel * lanes), mine, p + panel * p_size, p_plane, start, origin, tile,
                )  # fmt: skip
        for panel in range(panels):
            at = ((run * groups + group) * panels + panel) * C * TAPS * lanes
            _finish(m, mine, p + panel * p_size, p_plane, C, lanes, partial, at, border, to_weights)


@kernel
def _multiply(
    m, v, v_at, x_pixel, v_plane, tiles, C, d, d_at, dy_pixel, d_plane, lanes, columns, p, p_at, p_plane, start, origin,
    tile,
):  # fmt: skip
    """P[f] (+)= V[f]^T @ D[f] for all frequencies f: a row per input channel, summed over tiles, one panel."""
    vectors = 1 if columns <= lanes_of(v) else 2
    rows = -(-C // TILE_ROWS)
    for f in range((m + 2) * (m + 2)):
        for j in range(rows):
            c, end = C * j // rows, C * (j + 1) // rows
            multiply_tile(
                tile, end - c, vectors, 1, origin, 0, origin, 0, tiles, v, v_at + f * v_plane + c, 1, x_pixel,
                d, d_at + f * d_plane, dy_pixel, p, p_at + f * p_plane + c * lanes, lanes, lanes, start, p, 0, False,
            )  # fmt: skip


@kernel
def _finish(m, mine, p, p_plane, C, lanes, partial, at, border, transform):
    """Transform the products of C input channels with one panel back, to partial[at:] as [c][tap][lane]."""
    step = TAPS * lanes
    invoke(
        transform,
        (m, place(mine, p), lanes, p_plane, C, place(partial, at), step, 3 * lanes, lanes, lanes, place(mine, border)),
    )


def _phased(planned: Plan, x: np.ndarray, dy: np.ndarray, partial: np.ndarray) -> None:
    low, p, inputs, gradients, numbers = planned
    channel_blocks = -(-low.C // p.channels)
    members = team(low.groups * max(2 * p.grid[2], p.panels * channel_blocks), low.work)
    own = scratch((members, max(region[-1] for region in p.places)), x.dtype)
    vd = scratch((low.groups * sum(p.sizes[:2]),), x.dtype)
    of_inputs, of_gradients, tile, to_weights = _addresses(x.itemsize)
    part_size = low.groups * p.panels * low.C * TAPS * p.lanes
    for part in range(p.parts):
        item0 = part * p.round_blocks * p.grid[0]
        item1 = min(p.grid[2], item0 + p.round_blocks * p.grid[0])
        tasks = 2 * low.groups * (item1 - item0)
        _spread(
            min(members, tasks), tasks, *inputs.arguments(x), *gradients.arguments(dy), numbers, item0, item1, own, vd,
            of_inputs, of_gradients,
        )  # fmt: skip
        tasks = low.groups * p.panels * channel_blocks
        mine = partial[part * part_size : (part + 1) * part_size]
        _sum_round(min(members, tasks), tasks, vd, numbers, item0, item1, own, mine, ORIGIN, tile, to_weights)


@parallel_kernel
def _spread(
    thread, first, last, x, x_numbers, x_planes_at, x_rows_at, x_cols_at, x_row_at, x_col_at,
    dy, dy_numbers, dy_planes_at, dy_rows_at, dy_cols_at, dy_row_at, dy_col_at,
    numbers, item0, item1, own, vd, of_inputs, of_gradients,
):  # fmt: skip
    """Each task transforms one item of inputs or of output gradients: [group][frequency][tile][c], inputs first."""
    inputs = (x, x_numbers, x_planes_at, x_rows_at, x_cols_at, x_row_at, x_col_at)
    gradients = (dy, dy_numbers, dy_planes_at, dy_rows_at, dy_cols_at, dy_row_at, dy_col_at)
    grid, v_plane, d_plane = Grid(*to_fixed_tuple(numbers, 13)), numbers[13], numbers[14]
    m, groups, x_pixel, dy_pixel = numbers[16], numbers[17], numbers[22], numbers[23]
    border, strip = numbers[25], numbers[26]
    frequencies, mine = (m + 2) * (m + 2), own[thread]
    clear(mine, border, strip - border)
    for task in range(first, last):
        item, group, side = task // 2 % (item1 - item0) + item0, task // 2 // (item1 - item0), task % 2
        t = tiles_before(item, grid) - tiles_before(item0, grid)
        if side == 0:
            at = group * frequencies * v_plane + t * x_pixel
            transform_item(inputs, group, item, grid, mine, border, strip, vd, at, v_plane, of_inputs)
        else:
            at = frequencies * (groups * v_plane + group * d_plane) + t * dy_pixel
            transform_item(gradients, group, item, grid, mine, border, strip, vd, at, d_plane, of_gradients)


@parallel_kernel
def _sum_round(thread, first, last, vd, numbers, item0, item1, own, partial, origin, tile, to_weights):
    """Each task sums over all tiles of a round, for a block of input channels and one panel."""
    grid, (v_plane, d_plane, p_plane) = Grid(*to_fixed_tuple(numbers, 13)), to_fixed_tuple(numbers[13:], 3)
    m, groups, C, O, lanes, channels, x_pixel, dy_pixel, _ = to_fixed_tuple(numbers[16:], 9)
    border, p = numbers[28], numbers[29]
    frequencies, panels, channel_blocks = (m + 2) * (m + 2), grid[3], -(-C // channels)
    mine = own[thread]
    clear(mine, border, p - border)
    tiles = tiles_before(item1, grid) - tiles_before(item0, grid)
    for task in range(first, last):
        c0, panel = task % channel_blocks * channels, task // channel_blocks % panels
        group = task // channel_blocks // panels
        count = min(C - c0, channels)
        d = frequencies * (groups * v_plane + group * d_plane) + panel * lanes
        _multiply(
            m, vd, group * frequencies * v_plane + c0, x_pixel, v_plane, tiles, count, vd, d, dy_pixel, d_plane, lanes,
            min(lanes, O - panel * lanes), mine, p, p_plane, ZERO, origin, tile,
        )  # fmt: skip
        at = ((group * panels + panel) * C + c0) * TAPS * lanes
        _finish(m, mine, p, p_plane, count, lanes, partial, at, border, to_weights)


@parallel_kernel
def _reduce(thread, first, last, partial, sizes, strides, dw):
    """Each task adds up, in order, the parts of some input channels of one panel, and writes them where they belong."""
    size, C, O, lanes, panels, chunk, chunks = sizes
    group_at, tap_at, c_at, o_at = strides
    one, runs = zeros(partial, 1), partial.size // size
    for task in range(first, last):
        c0, panel, group = task % chunks * chunk, task // chunks % panels, task // chunks // panels
        count, columns = min(C - c0, chunk), min(lanes, O - panel * lanes)
        at = ((group * panels + panel) * C + c0) * TAPS * lanes
        for i in range(at, at + count * TAPS * lanes, lanes_of(partial)):
            total = load(partial, i, one, None)
            for run in range(1, runs):
                total = add(total, load(partial, run * size + i, one, None))
            store(partial, i, total, None)
        to = group * group_at + c0 * c_at + panel * lanes * o_at
        if o_at == 1:
            for c in range(count):
                for tap in range(TAPS):
                    copy(dw, to + c * c_at + tap * tap_at, partial, at + (c * TAPS + tap) * lanes, columns)
        else:
            unpack_planar(partial, at, lanes, columns, count * TAPS, dw, to, o_at, 1)
