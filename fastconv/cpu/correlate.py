"""The engine of direct and im2col: a lowered problem, cut into tasks, swept with the micro-kernel.

Each task packs the strips of its items (padding, layout) into its thread's scratch, which stays in that core's cache,
then sweeps its panels of output channels over them. im2col puts one step between: it unfolds each strip into a matrix
with a row per output pixel. Sums run tap by tap, channel by channel, in one order, whatever the number of threads.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba.np.unsafe.ndarray import to_fixed_tuple

from ..kept import kept
from ..memory import scratch
from ..simd.host import tile_rows
from ..simd.jit import kernel, parallel_kernel
from ..simd.microkernel import ACCUMULATE, BIAS, ZERO, multiply_tiles, tile_address
from ..simd.vector import copy, lanes_of
from ..threads import team
from .blocking import Blocking, cut, locate
from .lowering import Lowered, WeightStrides
from .pack import pack_bias, pack_panels, pack_strip, unpack_planar

TILE_ROWS = tile_rows()


class Sweep(NamedTuple):
    """All that a lowered problem's calls have in common; made once by `sweep`."""

    low: Lowered
    block: Blocking
    planar: bool  # the output's channels do not lie together: results go by way of scratch
    size: int  # elements of scratch that a thread needs
    numbers: np.ndarray  # `_correlate`'s geometry in one array: tuples cost a call of a small problem a microsecond
    tables: tuple[Any, ...]

    def panels(self, w: np.ndarray, at: WeightStrides) -> np.ndarray:
        """The weights, packed; they serve any number of calls."""
        low = self.low
        return pack_panels(w, at, low.taps, low.groups, low.C, low.O, self.block.lanes)

    def run(self, x: np.ndarray, panels: np.ndarray, b: np.ndarray | None, y: np.ndarray, *, relu: bool) -> None:
        """Write the lowered problem's outputs to y."""
        correlate(self, x, panels, b, y, relu=relu)


@kept
def sweep(low: Lowered, itemsize: int, unfold: bool) -> Sweep:
    """Cut a lowered problem for `correlate`; with `unfold` by way of im2col's matrix."""
    block = cut(low, itemsize, unfold)
    numbers = (
        *(low.C, low.O, block.lanes, block.depth, block.round_terms),
        *(block.item_size, block.unfolded, block.items * block.item_size),
        *(low.y_start, *low.y_strides),
        *low.x_strides,
        *low.interior,
        *low.stride,
        *(span + 1 for span in low.span),
        *block.pitch,
        *block.grid,
    )
    tables = (*low.index, block.tap_offsets, block.a_offsets, block.b_offsets, block.row_terms)
    planar = low.O > 1 and low.y_strides[1] != 1
    return Sweep(low, block, planar, block.scratch_size(planar), np.array(numbers, np.int64), tables)


def correlate(
    swept: Sweep, x: np.ndarray, panels: np.ndarray, b: np.ndarray | None, y: np.ndarray, *, relu: bool
) -> None:
    """Write one lowered problem's outputs to y."""
    low, block, planar, size, numbers, tables = swept
    if low.N == 0:
        return
    members = team(block.tasks, low.work)
    bias = pack_bias(b, low.groups, low.O, block.lanes, x.dtype)
    own = scratch((members, size), x.dtype)
    tile = tile_address(x.itemsize)
    _correlate(
        members, block.tasks, x.reshape(-1), panels, bias, y.reshape(-1), numbers, *tables, own, planar, relu, tile
    )


@parallel_kernel
def _correlate(
    thread, first, last, x, w, bias, y, numbers, planes_at, rows_at, cols_at, tap_offsets, a_offsets, b_offsets,
    row_terms, own, planar, relu, tile,
):  # fmt: skip
    """Each task: pack (and unfold) its items, then sweep each of its panels over them."""
    index = planes_at, rows_at, cols_at
    C, O, lanes, depth, round_terms, item_size, unfolded, spare = to_fixed_tuple(numbers, 8)
    y_strides, x_strides = to_fixed_tuple(numbers[8:], 6), to_fixed_tuple(numbers[14:], 5)
    interior, stride = to_fixed_tuple(numbers[19:], 2), to_fixed_tuple(numbers[21:], 3)
    reach, pitch = to_fixed_tuple(numbers[24:], 3), to_fixed_tuple(numbers[27:], 3)
    grid = to_fixed_tuple(numbers[30:], 13)
    items, panels, all_items, all_panels, item_blocks, panel_blocks = grid[:6]
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
                _sweep(
                    rows, cols, terms, term0, term1, a_offsets, b_offsets, depth, a, a0, steps, w, w0, lanes,
                    c, c0, c_steps, columns, bias, place, relu, tile,
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
    c, c0, c_steps, columns, bias, bias0, relu, tile,
):  # fmt: skip
    """Terms term0..term1-1 of one panel over one item, in tiles of neighbouring pixels of a row, of about equal size.

    The first terms that a row meets start its sums, later ones add to them.
    """
    vectors = 1 if columns <= lanes_of(a) else 2
    tiles = -(-cols // TILE_ROWS)
    for r in range(rows):
        low, high = max(term0, terms[r, 0]), min(term1, terms[r, 0] + terms[r, 1])
        if high <= low:
            continue
        start = ACCUMULATE if low > terms[r, 0] else BIAS if bias.size else ZERO
        clip = relu and high == terms[r, 0] + terms[r, 1]
        height, taller = cols // tiles, cols % tiles
        for q, size, count in ((0, height + 1, taller), (taller * (height + 1), height, tiles - taller)):
            if count:
                multiply_tiles(
                    tile, size, vectors, high - low, a_offsets, low, b_offsets, low, depth,
                    a, a0 + r * steps[0] + q * steps[1], steps[1], 1, w, w0, lanes,
                    c, c0 + r * c_steps[0] + q * c_steps[1], c_steps[1], columns, start, bias, bias0, clip, count,
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
