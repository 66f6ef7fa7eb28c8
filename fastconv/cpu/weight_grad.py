"""The weight gradient of a lowered problem: the micro-kernel sums over pixels, channels of x against channels of dy.

A task owns some panels of dw and some items (blocks of output pixels), and adds them up in a partial copy of dw. The
number of partial copies depends on the problem only and they are added in order: same bits for any number of threads.
"""

from __future__ import annotations

import numpy as np

from ..threads import team
from ..config import settings
from ..simd.host import tile_rows
from ..simd.jit import kernel, parallel_kernel
from ..simd.microkernel import ACCUMULATE, ZERO, multiply_tile
from ..simd.vector import lanes_of
from .blocking import WANTED_TASKS, cut, locate
from .correlate import gather_item
from .lowering import Lowered, WeightStrides
from .pack import pack_strip, scratch

TILE_ROWS = tile_rows()


def accumulate_weights(
    low: Lowered, x: np.ndarray, dy: np.ndarray, dw: np.ndarray, at: WeightStrides, *, unfold: bool
) -> None:
    """Write one lowered problem's weight gradient to dw."""
    if low.N == 0:
        dw[...] = 0
        return
    block = cut(low, x.dtype.name, unfold)
    all_items, all_panels, rows, cols = block.grid[2], block.grid[3], block.grid[6], block.grid[7]
    terms, lanes = len(low.taps), block.lanes
    size = low.groups * all_panels * terms * low.C * lanes
    parts = max(1, min(all_items, WANTED_TASKS, settings.scratch_bytes // (size * x.itemsize)))
    panel_blocks = min(all_panels, max(1, WANTED_TASKS // (parts * low.groups)))
    panels = -(-all_panels // panel_blocks)
    panel_blocks = -(-all_panels // panels)
    in_place = low.O % lanes == 0 and low.y_strides[1] == 1
    dy_pitch = low.y_strides[2:] if in_place else (0, cols * panels * lanes, panels * lanes)
    dy_size = 0 if in_place else (rows * cols + lanes) * panels * lanes
    if unfold:  # one term, as deep as the unfolded rows are long
        taps, channels, pitch = np.zeros(1, np.int64), terms * low.C, (0, cols * block.unfolded, block.unfolded)
    else:
        taps, channels, pitch = block.tap_offsets, low.C, (0, low.stride[1] * block.pitch[1], low.stride[2] * block.pitch[2])
    order = np.arange(rows, dtype=np.int64)
    tasks = low.groups * parts * panel_blocks
    members = team(tasks, low.work)
    partial = scratch(parts * size, x.dtype)
    spare = block.item_size + (block.strip_size if unfold else 0)
    _accumulate(
        members,
        tasks,
        x.reshape(-1),
        low.x_strides,
        low.index,
        low.interior,
        dy.reshape(-1),
        low.y_strides,
        tuple(np.arange(n, dtype=np.int64) for n in low.out),
        (low.C, channels, low.O, lanes),
        (parts, low.groups, panels, panel_blocks),
        block.grid,
        low.stride,
        (low.span[0] + 1, low.span[1] + 1, low.span[2] + 1),
        block.pitch,
        pitch,
        dy_pitch,
        (block.item_size, block.unfolded, spare),
        in_place,
        block.tap_offsets,
        taps,
        order * pitch[1],
        order * dy_pitch[1],
        scratch(members * (spare + dy_size), x.dtype).reshape(members, -1),
        partial,
    )
    tap_order = np.ascontiguousarray(low.taps)
    jobs = low.groups * all_panels * terms
    strides = (at.group, at.tap, at.c, at.o)
    members = team(jobs, parts * size)
    _reduce(members, jobs, partial, parts, all_panels, low.C, low.O, lanes, tap_order, strides, dw.reshape(-1))


@parallel_kernel
def _accumulate(
    thread, first, last, x, x_strides, index, interior, dy, dy_strides, dy_index, channels, cuts, grid, stride, reach,
    pitch, a_pitch, dy_pitch, memory, in_place, tap_offsets, taps, a_offsets, b_offsets, own, partial,
):  # fmt: skip
    """Each task: its items in order, each added to one partial copy of its panels."""
    C, depth, O, lanes = channels
    parts, groups, panels, panel_blocks = cuts
    all_items, all_panels = grid[2], grid[3]
    item_size, unfolded, spare = memory
    mine = own[thread]
    for task in range(first, last):
        panel0, part = task % panel_blocks * panels, task // panel_blocks % parts
        group = task // panel_blocks // parts
        panel1 = min(all_panels, panel0 + panels)
        item0, item1 = all_items * part // parts, all_items * (part + 1) // parts
        for item in range(item0, item1):
            n, od, row0, rows, col0, cols = locate(item, grid)
            a, a0 = mine, 0
            if item_size:
                gather_item(
                    x, group * C * x_strides[1], x_strides, C, index, interior, item, grid, stride, reach, pitch,
                    unfolded, tap_offsets, mine, 0, item_size,
                )  # fmt: skip
            else:
                a, a0 = x, n * x_strides[0] + group * C * x_strides[1] + od * stride[0] * pitch[0]
                a0 += row0 * a_pitch[1] + col0 * a_pitch[2]
            channel = group * O + panel0 * lanes
            b, b0 = mine, spare
            if in_place:
                b, b0 = dy, n * dy_strides[0] + channel + od * dy_strides[2] + row0 * dy_strides[3] + col0 * dy_strides[4]
            else:
                count = min(O - panel0 * lanes, (panel1 - panel0) * lanes)
                pack_strip(
                    dy, n * dy_strides[0] + channel * dy_strides[1], dy_strides, count, dy_index, (od, row0, col0),
                    (1, rows, cols), (0, dy_index[2].size), mine, spare, dy_pitch,
                )  # fmt: skip
            start = ZERO if item == item0 else ACCUMULATE
            for panel in range(panel0, panel1):
                at = ((part * groups + group) * all_panels + panel) * taps.size * depth * lanes
                columns = min(lanes, O - panel * lanes)
                _outer(
                    rows, cols, a, a0, a_pitch[2], taps, a_offsets, depth, b, b0 + (panel - panel0) * lanes,
                    dy_pitch[2], b_offsets, partial, at, lanes, columns, start,
                )  # fmt: skip


@kernel
def _outer(
    rows, cols, a, a0, a_step, taps, a_offsets, depth, b, b0, b_step, b_offsets, partial, at, lanes, columns, start
):
    """Add the products of an item's pixels to one panel of dw: tiles of input channels, tap by tap."""
    vectors = 1 if columns <= lanes_of(a) else 2
    tiles = -(-depth // TILE_ROWS)
    for t in range(taps.size):
        for j in range(tiles):
            c, end = depth * j // tiles, depth * (j + 1) // tiles
            multiply_tile(
                end - c, vectors, rows, a_offsets, 0, b_offsets, 0, cols, a, a0 + taps[t] + c, 1, a_step,
                b, b0, b_step, partial, at + (t * depth + c) * lanes, lanes, columns, start, partial, 0, False,
            )  # fmt: skip


@parallel_kernel
def _reduce(thread, first, last, partial, parts, all_panels, C, O, lanes, taps, strides, dw):
    """Each task adds up the partial copies of one tap of one panel, in order, and writes them where they belong."""
    group_at, tap_at, c_at, o_at = strides
    block = C * lanes
    size = partial.size // parts
    for task in range(first, last):
        total = partial[task * block : (task + 1) * block]
        for part in range(1, parts):
            more = partial[part * size + task * block : part * size + (task + 1) * block]
            for i in range(total.size):
                total[i] += more[i]
        panel = task // taps.size % all_panels
        at = task // taps.size // all_panels * group_at + taps[task % taps.size] * tap_at + panel * lanes * o_at
        for c in range(C):
            for o in range(min(lanes, O - panel * lanes)):
                dw[at + c * c_at + o * o_at] = total[c * lanes + o]
