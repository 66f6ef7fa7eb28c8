"""The weight gradient of a lowered problem: the micro-kernel sums over pixels, channels of x against channels of dy.

A task owns some panels of dw and some items (blocks of output pixels), and adds them up in a partial copy of dw. The
number of partial copies depends on the problem only and they are added in order: same bits for any number of threads.
"""

from __future__ import annotations

import numpy as np

from ..borders import counting_index
from ..config import settings
from ..memory import scratch
from ..simd.host import tile_rows
from ..simd.jit import kernel, parallel_kernel
from ..simd.microkernel import ACCUMULATE, ZERO, multiply_tile, tile_address
from ..simd.vector import lanes_of
from ..threads import team
from .blocking import WANTED_TASKS, cut, locate
from .correlate import gather_item
from .lowering import Lowered, WeightStrides
from .pack import pack_strip

TILE_ROWS = tile_rows()
TERMS_TOGETHER = 256  # output pixels summed between two rounds of loading and storing the sums, where planes allow


def accumulate_weights(
    low: Lowered, x: np.ndarray, dy: np.ndarray, dw: np.ndarray, at: WeightStrides, *, unfold: bool
) -> None:
    """Write one lowered problem's weight gradient to dw."""
    if low.N == 0:
        dw[...] = 0
        return
    block = cut(low, x.itemsize, unfold)
    all_items, all_panels, rows, cols = block.grid[2], block.grid[3], block.grid[6], block.grid[7]
    terms, lanes = len(low.taps), block.lanes
    size = low.groups * all_panels * terms * low.C * lanes
    parts, panels = _share(low.groups, all_items, all_panels, size * x.itemsize)
    panel_blocks = -(-all_panels // panels)
    in_place = low.O % lanes == 0 and low.y_strides[1] == 1
    dy_pitch = low.y_strides[2:] if in_place else (0, cols * panels * lanes, panels * lanes)
    dy_size = 0 if in_place else (rows * cols + lanes) * panels * lanes
    a_pitch = (
        (cols * block.unfolded, block.unfolded)
        if unfold
        else (low.stride[1] * block.pitch[1], low.stride[2] * block.pitch[2])
    )
    # Small planes are summed several at once: fewer rounds of loading and storing the sums.
    whole = rows == low.out[1] and cols == low.out[2] and low.out[0] == 1
    together = max(1, min(all_items // parts, TERMS_TOGETHER // (rows * cols))) if whole else 1
    a_plane = block.item_size if block.item_size else low.x_strides[0]
    dy_plane = low.y_strides[0] if in_place else dy_size
    tasks = low.groups * parts * panel_blocks
    members = team(tasks, low.work)
    partial = scratch((parts * size,), x.dtype)
    dy_at = together * block.item_size
    spare = dy_at + together * dy_size
    own = spare + (block.strip_size if unfold else 0)
    _accumulate(
        members,
        tasks,
        x.reshape(-1),
        low.x_strides,
        low.index,
        low.interior,
        dy.reshape(-1),
        low.y_strides,
        tuple(map(counting_index, low.out)),
        (low.C, block.depth, low.O, lanes),
        (parts, low.groups, panels, panel_blocks, together),
        block.grid,
        low.stride,
        (low.span[0] + 1, low.span[1] + 1, low.span[2] + 1),
        block.pitch,
        a_pitch,
        dy_pitch,
        (block.item_size, block.unfolded, dy_at, dy_size, spare),
        in_place,
        block.tap_offsets,
        block.a_offsets,
        _rows_of_planes(together, a_plane, rows, a_pitch[0]),
        _rows_of_planes(together, dy_plane, rows, dy_pitch[1]),
        scratch((members, own), x.dtype),
        partial,
        tile_address(x.itemsize),
    )
    tap_order = np.ascontiguousarray(low.taps)
    jobs = low.groups * all_panels * terms
    strides = (at.group, at.tap, at.c, at.o)
    members = team(jobs, parts * size)
    _reduce(members, jobs, partial, parts, all_panels, low.C, low.O, lanes, tap_order, strides, dw.reshape(-1))


def _share(groups: int, items: int, panels: int, size: int) -> tuple[int, int]:
    """Partial copies of dw, of `size` bytes each, and panels of one task: enough tasks, and few copies to add up."""
    blocks = min(panels, -(-WANTED_TASKS // groups))
    wanted = -(-WANTED_TASKS // (groups * blocks))
    return max(1, min(items, wanted, settings.scratch_bytes // size)), -(-panels // blocks)


def _rows_of_planes(planes: int, plane: int, rows: int, row: int) -> np.ndarray:
    """Offsets of the rows of several planes, one after the other."""
    return (plane * np.arange(planes)[:, None] + row * np.arange(rows)).reshape(-1).astype(np.int64)


@parallel_kernel
def _accumulate(
    thread, first, last, x, x_strides, index, interior, dy, dy_strides, dy_index, channels, cuts, grid, stride, reach,
    pitch, a_pitch, dy_pitch, memory, in_place, tap_offsets, taps, a_offsets, b_offsets, own, partial, tile,
):  # fmt: skip
    """Each task: its items in order, each added to one partial copy of its panels."""
    C, depth, O, lanes = channels
    parts, groups, panels, panel_blocks, together = cuts
    all_items, all_panels = grid[2], grid[3]
    item_size, unfolded, dy_at, dy_size, spare = memory
    mine = own[thread]
    whole_row = dy_index[2][0], dy_index[2].size
    for task in range(first, last):
        panel0, part = task % panel_blocks * panels, task // panel_blocks % parts
        group = task // panel_blocks // parts
        panel1 = min(all_panels, panel0 + panels)
        item0, item1 = all_items * part // parts, all_items * (part + 1) // parts
        channel = group * O + panel0 * lanes
        count = min(O - panel0 * lanes, (panel1 - panel0) * lanes)
        x0 = group * C * x_strides[1]
        for lead in range(item0, item1, together):
            planes = min(together, item1 - lead)
            n, od, row0, rows, col0, cols = locate(lead, grid)
            a, a0 = mine, 0
            if not item_size:
                a, a0 = x, x0 + n * x_strides[0] + od * stride[0] * pitch[0] + row0 * a_pitch[0] + col0 * a_pitch[1]
            b, b0 = mine, dy_at
            if in_place:
                b, b0 = dy, n * dy_strides[0] + channel + od * dy_strides[2]
                b0 += row0 * dy_strides[3] + col0 * dy_strides[4]
            for i in range(planes):
                if item_size:
                    gather_item(
                        x, x0, x_strides, C, index, interior, lead + i, grid, stride, reach, pitch,
                        unfolded, tap_offsets, mine, i * item_size, spare,
                    )  # fmt: skip
                if not in_place:
                    pack_strip(
                        dy, (n + i) * dy_strides[0] + channel * dy_strides[1], dy_strides, count, dy_index,
                        (od, row0, col0), (np.int64(1), rows, cols), whole_row, mine, dy_at + i * dy_size, dy_pitch,
                    )  # fmt: skip
            start = ZERO if lead == item0 else ACCUMULATE
            for panel in range(panel0, panel1):
                at = ((part * groups + group) * all_panels + panel) * taps.size * depth * lanes
                columns = min(lanes, O - panel * lanes)
                _outer(
                    planes * rows, cols, a, a0, a_pitch[1], taps, a_offsets, depth, b, b0 + (panel - panel0) * lanes,
                    dy_pitch[2], b_offsets, partial, at, lanes, columns, start, tile,
                )  # fmt: skip


@kernel
def _outer(
    rows,
    cols,
    a,
    a0,
    a_step,
    taps,
    a_offsets,
    depth,
    b,
    b0,
    b_step,
    b_offsets,
    partial,
    at,
    lanes,
    columns,
    start,
    tile,
):
    """Add the products of an item's pixels to one panel of dw: tiles of input channels, tap by tap."""
    vectors = 1 if columns <= lanes_of(a) else 2
    tiles = -(-depth // TILE_ROWS)
    for t in range(taps.size):
        for j in range(tiles):
            c, end = depth * j // tiles, depth * (j + 1) // tiles
            multiply_tile(
                tile, end - c, vectors, rows, a_offsets, 0, b_offsets, 0, cols, a, a0 + taps[t] + c, 1, a_step,
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
