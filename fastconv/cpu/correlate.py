"""The engine of direct and im2col: a lowered problem, cut into tasks, swept with the micro-kernel.

Each task packs the strips of its items (padding, layout) into its thread's scratch, which stays in that core's cache,
then sweeps its panels of output channels over them. im2col puts one step between: it unfolds each strip into a matrix
with a row per output pixel. Sums run tap by tap, channel by channel, in one order, whatever the number of threads.
"""

from __future__ import annotations

import numpy as np

from ..simd.host import tile_rows
from ..simd.jit import kernel, parallel_kernel
from ..simd.microkernel import ACCUMULATE, BIAS, ZERO, multiply_tile, tile_address
from ..simd.vector import copy, lanes_of, prefetch
from ..threads import team
from .blocking import cut, locate
from .lowering import Lowered, WeightStrides
from .pack import pack_bias, pack_panels, pack_strip, scratch, unpack_planar

TILE_ROWS = tile_rows()


def correlate(
    low: Lowered,
    x: np.ndarray,
    w: np.ndarray,
    at: WeightStrides,
    b: np.ndarray | None,
    y: np.ndarray,
    *,
    relu: bool,
    unfold: bool,
) -> None:
    """Write one lowered problem's outputs to y."""
    if low.N == 0:
        return
    block = cut(low, x.itemsize, unfold)
    planar = low.O > 1 and low.y_strides[1] != 1
    members = team(block.tasks, low.work)
    _correlate(
        members,
        block.tasks,
        x.reshape(-1),
        low.x_strides,
        low.index,
        low.interior,
        pack_panels(w, at, low.taps, low.groups, low.C, low.O, block.lanes),
        pack_bias(b, low.groups, low.O, block.lanes, x.dtype),
        y.reshape(-1),
        (low.y_start, *low.y_strides),
        (low.C, low.O, block.lanes, block.depth, block.round_terms),
        block.grid,
        low.stride,
        (low.span[0] + 1, low.span[1] + 1, low.span[2] + 1),
        block.pitch,
        (block.item_size, block.unfolded, block.items * block.item_size),
        block.tap_offsets,
        block.a_offsets,
        block.b_offsets,
        block.row_terms,
        scratch(members * block.scratch_size(planar), x.dtype).reshape(members, -1),
        planar,
        relu,
        tile_address(x.itemsize),
    )


@parallel_kernel
def _correlate(
    thread, first, last, x, x_strides, index, interior, w, bias, y, y_strides, channels, grid, stride, reach, pitch,
    memory, tap_offsets, a_offsets, b_offsets, row_terms, own, planar, relu, tile,
):  # fmt: skip
    """Each task: pack (and unfold) its items, then sweep each of its panels over them."""
    C, O, lanes, depth, round_terms = channels
    items, panels, all_items, all_panels, item_blocks, panel_blocks = grid[:6]
    item_size, unfolded, spare = memory
    scratch_ = own[thread]
    for task in range(first, last):
        panel0, item0 = task % panel_blocks * panels, task // panel_blocks % item_blocks * items
        group = task // panel_blocks // item_blocks
        item1, panel1 = min(all_items, item0 + items), min(all_panels, panel0 + panels)
        if item_size:
            for item in range(item0, item1):
                at = (item - item0) * item_size
                gather_item(
                    x, group * C * x_strides[1], x_strides, C, index, interior, item, grid, stride, reach, pitch,
                    unfolded, tap_offsets, scratch_, at, spare,
                )  # fmt: skip
        for panel in range(panel0, panel1):
            place = (group * all_panels + panel) * lanes
            w0 = place * C * tap_offsets.size
            columns = min(lanes, O - panel * lanes)
            channel = group * O + panel * lanes
            # Rounds: a part of a large panel's terms stays in the cache while all items use it.
            for i in range((item1 - item0) * -(-a_offsets.size // round_terms)):
                item, term0 = item0 + i % (item1 - item0), i // (item1 - item0) * round_terms
                term1 = min(a_offsets.size, term0 + round_terms)
                n, od, row0, rows, col0, cols = locate(item, grid)
                y0 = y_strides[0] + n * y_strides[1] + channel * y_strides[2]
                y0 += od * y_strides[3] + row0 * y_strides[4] + col0 * y_strides[5]
                a, a0 = scratch_, (item - item0) * item_size
                steps, terms = (stride[1] * pitch[1], stride[2] * pitch[2]), row_terms[row0 : row0 + rows]
                if not item_size:
                    a, a0 = x, n * x_strides[0] + group * C * x_strides[1] + od * stride[0] * pitch[0]
                    a0 += row0 * steps[0] + col0 * steps[1]
                c, c_steps = y, (y_strides[4], y_strides[5])
                if planar:
                    c, c0, c_steps = scratch_, spare + (item - item0) * grid[6] * grid[7] * lanes, (cols * lanes, lanes)
                else:
                    c0 = y0
                if unfolded:
                    steps = grid[7] * unfolded, unfolded
                    if cols == grid[7] and c_steps[0] == cols * c_steps[1]:  # adjoining rows: one row of pixels
                        rows, cols = 1, rows * cols
                fetch = depth if not item_size and panel == panel0 and term0 == 0 else 0
                _sweep(
                    rows, cols, terms, term0, term1, a_offsets, b_offsets, depth, a, a0, steps, w, w0, lanes,
                    c, c0, c_steps, columns, bias, place, relu, fetch, tile,
                )  # fmt: skip
                if planar and term1 == a_offsets.size:
                    _unstage(scratch_, c0, lanes, columns, locate(item, grid), y, y0, y_strides)


@kernel
def gather_item(
    x, x0, x_strides, C, index, interior, item, grid, stride, reach, pitch, unfolded, tap_offsets, dst, at, spare
):
    """Bring the input of one item to dst[at:]: its strip, or by way of a strip at dst[spare:] its unfolded matrix."""
    n, od, row0, rows, col0, cols = locate(item, grid)
    corner = od * stride[0], row0 * stride[1], col0 * stride[2]
    size = reach[0], (rows - 1) * stride[1] + reach[1], (cols - 1) * stride[2] + reach[2]
    strip = spare if unfolded else at
    pack_strip(x, x0 + n * x_strides[0], x_strides, C, index, corner, size, interior, dst, strip, pitch)
    if unfolded:
        for r in range(rows):
            for q in range(cols):
                pixel = strip + r * stride[1] * pitch[1] + q * stride[2] * pitch[2]
                row = at + (r * grid[7] + q) * unfolded
                for t in range(tap_offsets.size):
                    copy(dst, row + t * C, dst, pixel + tap_offsets[t], C)


@kernel
def _sweep(
    rows, cols, terms, term0, term1, a_offsets, b_offsets, depth, a, a0, steps, w, w0, lanes,
    c, c0, c_steps, columns, bias, bias0, relu, fetch, tile,
):  # fmt: skip
    """Terms term0..term1-1 of one panel over one item, in tiles of neighbouring pixels of a row, of about equal size.

    The first terms that a row meets start its sums, later ones add to them. `fetch` elements of each pixel of the next
    tile are asked for ahead of time: where x is read in place, its rows come from memory in short pieces.
    """
    vectors = 1 if columns <= lanes_of(a) else 2
    tiles = -(-cols // TILE_ROWS)
    for r in range(rows):
        low, high = max(term0, terms[r, 0]), min(term1, terms[r, 0] + terms[r, 1])
        if high <= low:
            continue
        start = ACCUMULATE if low > terms[r, 0] else BIAS if bias.size else ZERO
        clip = relu and high == terms[r, 0] + terms[r, 1]
        for j in range(tiles):
            q, end = cols * j // tiles, cols * (j + 1) // tiles
            if fetch and j + 1 < tiles:
                for pixel in range(end, cols * (j + 2) // tiles):
                    prefetch(a, a0 + r * steps[0] + pixel * steps[1], fetch)
            multiply_tile(
                tile, end - q, vectors, high - low, a_offsets, low, b_offsets, low, depth,
                a, a0 + r * steps[0] + q * steps[1], steps[1], 1, w, w0, lanes,
                c, c0 + r * c_steps[0] + q * c_steps[1], c_steps[1], columns, start, bias, bias0, clip,
            )  # fmt: skip


@kernel
def _unstage(memory, staged, lanes, channels, place, y, y0, y_strides):
    """A panel's results from channels-last scratch to a channels-first output; adjoining rows go as one."""
    _, _, _, rows, _, cols = place
    row, col = y_strides[4], y_strides[5]
    if row == cols * col:
        unpack_planar(memory, staged, lanes, channels, rows * cols, y, y0, y_strides[2], col)
    else:
        for r in range(rows):
            at = staged + r * cols * lanes
            unpack_planar(memory, at, lanes, channels, cols, y, y0 + r * row, y_strides[2], col)
