"""The engine of direct and im2col: a lowered problem, cut into tasks, summed by the micro-kernel.

Each task packs the strips of its items (padding, layout) into its thread's scratch, which stays in that core's cache,
or reads x as it lies (`edges`), then sums its panels of output channels over them. im2col puts one step between: it
unfolds each strip into a matrix with a row per output pixel. Sums run tap by tap, channel by channel, in one order,
whatever the number of threads.

To follow a call: `PanelEngine.run` starts `_sum_panels`, what each task does; it goes on to `_sum_item`, one panel over
one item, to `_sum_rows`, which cuts the item's rows into tiles, and to `simd.microkernel`, where the inner loop is.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..kept import kept
from ..memory import scratch
from ..simd.fields import fields, packed
from ..simd.host import tile_rows
from ..simd.jit import kernel
from ..simd.lanes import address, peek, retyped
from ..simd.microkernel import ACCUMULATE, BIAS, ZERO, multiply_tiles, rounded_tile_address, tile_address
from ..simd.parallel import parallel_kernel
from ..simd.vector import lanes_of
from ..threads import team
from .blocking import choose_blocking
from .edges import Edges, met_taps
from .items import Grid, Source, gather_item, locate_item
from .lowering import Integers, Lowered, WeightStrides
from .pack import Packing, pack_bias, packing_of, unpack_rows

TILE_ROWS = tile_rows()
SINGLE, DOUBLE = np.dtype(np.float32), np.dtype(np.float64)


class Sums(NamedTuple):
    """What `_sum_panels` knows of its problem; sizes count elements."""

    low: Integers
    source: Source
    edges: Edges  # where x is read as it lies
    grid: Grid
    lanes: int  # output channels of a panel
    taps: int
    terms: int
    depth: int  # products of a term
    step: int  # elements of a product: pairs, where they have 16 bits
    round_terms: int
    spare: int  # where scratch behind the items begins
    panels_apart: bool  # consecutive tasks have the same panels, not the same items
    staged: bool  # results go by way of scratch: their channels do not lie together, or sums are rounded behind rounds


class PanelEngine(NamedTuple):
    """All that a lowered problem's calls have in common; made once by `panel_engine`."""

    low: Lowered
    lanes: int
    tasks: int
    scratch_size: int
    staged: bool
    numbers: np.ndarray
    tables: tuple[Any, ...]
    packing: Packing

    def panels(self, w: np.ndarray, at: WeightStrides) -> np.ndarray:
        """The weights, packed; they serve any number of calls."""
        return self.packing.panels(w, at)

    def run(self, x: np.ndarray, panels: np.ndarray, b: np.ndarray | None, y: np.ndarray, relu: bool) -> None:
        """Write the lowered problem's outputs to y; x and y are flat."""
        low, lanes, tasks, size, staged, numbers, tables, _ = self
        if low.N == 0:
            return
        members = team(tasks, low.work)
        bias = pack_bias(b, low.groups, low.O, lanes, DOUBLE if x.itemsize == 8 else SINGLE)
        own = scratch((members, size), x.dtype)
        rounded = not staged and x.itemsize == 2 == y.itemsize
        tile = rounded_tile_address(2) if rounded else tile_address(x.itemsize)
        _sum_panels(members, tasks, x, panels, bias, y, numbers, *tables, own, relu, tile)


@kept
def panel_engine(low: Lowered, itemsize: int, unfold: bool) -> PanelEngine:
    """Cut a lowered problem into tasks; with `unfold` by way of im2col's matrix."""
    block = choose_blocking(low, itemsize, unfold)
    halves = block.step > 1
    staged = (low.O > 1 and low.y_strides.c != 1) or (halves and block.round_terms < len(block.a_offsets))
    sums = Sums(
        low.integers,
        block.source,
        block.edges,
        block.grid,
        lanes=block.lanes,
        taps=len(low.taps),
        terms=len(block.a_offsets),
        depth=block.depth,
        step=block.step,
        round_terms=block.round_terms,
        spare=block.items_size,
        panels_apart=block.panels_apart,
        staged=staged,
    )
    tables = *low.tables, block.tap_offsets, block.a_offsets, block.b_offsets, block.row_terms.reshape(-1)
    packing = packing_of(low.taps, low.groups, low.C, low.O, block.lanes, block.step)
    size = block.scratch_size(staged or halves)  # for results in float32
    return PanelEngine(low, block.lanes, block.tasks, size, staged, packed(sums), tables, packing)


@parallel_kernel
def _sum_panels(
    thread, first, last, x, w, bias, y, numbers, planes_at, rows_at, cols_at, tap_offsets, a_offsets, b_offsets,
    row_terms, own, relu, tile,
):  # fmt: skip
    """Each task: pack (and unfold) its items, then sum each of its panels over them."""
    sums, index, mine = fields(Sums, numbers), (planes_at, rows_at, cols_at), own[thread]
    low, grid, source = sums.low, sums.grid, sums.source
    start = BIAS if bias.size else ZERO
    arrays = address(x), address(w), address(bias), address(y), address(mine)
    tables = address(a_offsets), address(b_offsets), address(row_terms)
    for task in range(first, last):
        group, place = task // (grid.panel_blocks * grid.item_blocks), task % (grid.panel_blocks * grid.item_blocks)
        panel0, item0 = place % grid.panel_blocks * grid.panels, place // grid.panel_blocks * grid.items
        if sums.panels_apart:
            panel0, item0 = place // grid.item_blocks * grid.panels, place % grid.item_blocks * grid.items
        panel1, items = min(grid.all_panels, panel0 + grid.panels), min(grid.all_items - item0, grid.items)
        if source.item_size:
            for i in range(items):
                x0, at = group * low.C * low.x.c, i * source.item_size
                gather_item(low, source, grid, item0 + i, x, x0, index, tap_offsets, mine, at, sums.spare)
        for panel in range(panel0, panel1):
            # Rounds: a part of a large panel's terms stays in the cache while all items use it.
            for term0 in range(0, sums.terms, sums.round_terms):
                term1 = min(sums.terms, term0 + sums.round_terms)
                for i in range(items):
                    _sum_item(sums, group, panel, item0 + i, i, term0, term1, arrays, tables, start, relu, tile)


@kernel
def _sum_item(sums, group, panel, item, i, term0, term1, arrays, tables, start, relu, tile):
    """Terms term0..term1-1 of one panel over one item, the i-th in scratch."""
    x, w, bias, y, mine = arrays
    a_offsets, b_offsets, row_terms = tables
    low, grid, source, lanes = sums.low, sums.grid, sums.source, sums.lanes
    here, y_at = locate_item(item, grid), low.y
    place, columns = (group * grid.all_panels + panel) * lanes, min(lanes, low.O - panel * lanes)
    y0 = low.y_start + here.image * y_at.n + (group * low.O + panel * lanes) * y_at.c
    y0 += here.plane * y_at.d + here.row0 * y_at.h + here.col0 * y_at.w
    rows, cols, terms0 = here.rows, here.cols, 2 * here.row0
    c, c0, c_row, c_pixel = retyped(y, mine), y0, y_at.h, y_at.w
    staged = sums.staged or lanes_of(y) != lanes_of(mine)
    if staged:
        c_pixel = lanes * sums.step
        c, c0, c_row = mine, sums.spare + i * grid.rows * grid.cols * c_pixel, cols * c_pixel
    a, a0 = mine, i * source.item_size
    a_row, a_pixel = low.stride.h * source.pitch.h, low.stride.w * source.pitch.w
    if source.item_size == 0:
        a, a0 = x, here.image * low.x.n + group * low.C * low.x.c + sums.edges.start
        a0 += here.plane * low.stride.d * source.pitch.d + here.row0 * a_row + here.col0 * a_pixel
    if source.unfolded:
        a_row, a_pixel = grid.cols * source.unfolded, source.unfolded
        if cols == grid.cols and c_row == cols * c_pixel:  # adjoining rows: one row of pixels
            rows, cols = 1, rows * cols
    w0, vectors = place * source.channels * sums.taps, 1 if columns <= lanes_of(bias) else 2
    first = min(max(sums.edges.left - here.col0, 0), here.cols)
    inner = cols - first - max(0, here.cols - max(first, sums.edges.right - here.col0))
    if inner > 0:
        _sum_rows(
            rows, inner, row_terms, terms0, term0, term1, a_offsets, b_offsets, sums.depth, sums.step,
            a, a0 + first * a_pixel, a_row, a_pixel, w, w0, lanes, c, c0 + first * c_pixel, c_row, c_pixel,
            vectors, columns, start, bias, place, relu, tile,
        )  # fmt: skip
    if inner < cols:
        _sum_edges(
            sums, here, first, inner, row_terms, terms0, term0, term1, a_offsets, b_offsets, a, a0, a_row, a_pixel,
            w, w0, c, c0, c_row, c_pixel, vectors, columns, start, bias, place, relu, tile,
        )  # fmt: skip
    if staged and term1 == sums.terms:
        s, row = c0 // sums.step, here.cols * lanes
        unpack_rows(retyped(mine, bias), s, row, lanes, columns, here.rows, here.cols, y, y0, y_at)


@kernel
def _sum_rows(
    rows, cols, row_terms, terms0, term0, term1, a_offsets, b_offsets, depth, step, a, a0, a_row, a_pixel,
    w, w0, lanes, c, c0, c_row, c_pixel, vectors, columns, start, bias, bias0, relu, tile,
):  # fmt: skip
    """Row by row the terms that it meets."""
    for r in range(rows):
        lowest = peek(row_terms, terms0 + 2 * r)
        highest = lowest + peek(row_terms, terms0 + 2 * r + 1)
        _sum_line(
            cols, lowest, highest, term0, term1, a_offsets, b_offsets, depth, step, a, a0 + r * a_row, a_pixel,
            w, w0, lanes, c, c0 + r * c_row, c_pixel, vectors, columns, start, bias, bias0, relu, tile,
        )  # fmt: skip


@kernel
def _sum_edges(
    sums, here, first, inner, row_terms, terms0, term0, term1, a_offsets, b_offsets, a, a0, a_row, a_pixel,
    w, w0, c, c0, c_row, c_pixel, vectors, columns, start, bias, bias0, relu, tile,
):  # fmt: skip
    """The columns of outputs before `first`, and those behind it and `inner` others, with the taps that each meets."""
    channels, lanes = sums.source.channels, sums.lanes
    for q in range(here.cols - inner):
        col = q if q < first else q + inner
        tap0, tap1 = met_taps(sums.edges, sums.low.stride.w, here.col0 + col)
        _sum_column(
            here.rows, row_terms, terms0, term0, term1, a_offsets, b_offsets, (tap1 - tap0) * channels // sums.step,
            sums.step, a, a0 + col * a_pixel + tap0 * channels, a_row, w, w0 + tap0 * channels * lanes, lanes,
            c, c0 + col * c_pixel, c_row, vectors, columns, start, bias, bias0, relu, tile,
        )  # fmt: skip


@kernel
def _sum_column(
    rows, row_terms, terms0, term0, term1, a_offsets, b_offsets, depth, step, a, a0, a_row,
    w, w0, lanes, c, c0, c_row, vectors, columns, start, bias, bias0, relu, tile,
):  # fmt: skip
    """A column of outputs, as many rows at once as meet the same terms."""
    r = 0
    while r < rows:
        lowest, number = peek(row_terms, terms0 + 2 * r), peek(row_terms, terms0 + 2 * r + 1)
        end = r + 1
        while (
            end < rows
            and peek(row_terms, terms0 + 2 * end) == lowest
            and peek(row_terms, terms0 + 2 * end + 1) == number
        ):
            end += 1
        _sum_line(
            end - r, lowest, lowest + number, term0, term1, a_offsets, b_offsets, depth, step, a, a0 + r * a_row, a_row,
            w, w0, lanes, c, c0 + r * c_row, c_row, vectors, columns, start, bias, bias0, relu, tile,
        )  # fmt: skip
        r = end


@kernel
def _sum_line(
    pixels, lowest, highest, term0, term1, a_offsets, b_offsets, depth, step, a, a0, a_pixel,
    w, w0, lanes, c, c0, c_pixel, vectors, columns, start, bias, bias0, relu, tile,
):  # fmt: skip
    """Terms lowest..highest-1, as far as they are of this round, of a line of pixels: tiles of about equal size.

    The first terms that pixels meet start their sums, later ones add to them.
    """
    low, high = max(term0, lowest), min(term1, highest)
    if high <= low:
        return
    tiles = -(-pixels // TILE_ROWS)
    height, taller = pixels // tiles, pixels % tiles
    begin = ACCUMULATE if low > lowest else start
    clip = relu and high == highest
    for q, size, count in ((0, height + 1, taller), (taller * (height + 1), height, tiles - taller)):
        if count:
            multiply_tiles(
                tile, size, vectors, high - low, a_offsets, low, b_offsets, low, depth, a, a0 + q * a_pixel, a_pixel,
                step, w, w0, lanes * step, c, c0 + q * c_pixel, c_pixel, columns, begin, bias, bias0, clip, count,
            )  # fmt: skip
