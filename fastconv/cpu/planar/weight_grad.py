"""The weight gradient of planar problems: one filter a channel, sums over pixels with lanes along rows or channels.

    dw[g, u, v] = sum over n, i, j of xp[n, g, i*SH + u*DH, j*SW + v*DW] * dy[n, g, i, j]

The tile of `simd/filter_tile` again: its rows are rows u of the filter, its vectors columns v, and k runs over the
pixels of a row of dy. A row of the input meets dy[i] for all u with i*SH + u*DH at it, so its vectors are loaded once
for a range of u. Rows of the filter that never meet the same row of the input are in different tiles.

A task adds up some blocks of output pixels, in order, in a partial copy of dw; where lanes are pixels each copy is a
vector a tap. The number of copies depends on the problem only: same bits for any number of threads.

Cost: 2*N*C*OD*OH*OW*taps operations, rows or channels rounded up to whole vectors. Extra memory: the partial copies,
and per thread a band of x and a block of dy. Error: below terms*eps*sum(|x|*|dy|), in practice about its square root.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ...borders import counting_index
from ...kept import kept
from ...memory import scratch
from ...simd.fields import fields, packed
from ...simd.filter_tile import BROADCAST, FIELDS, FILTER_ROWS, LANES, filter_tile_address, filter_tiles, filter_vectors
from ...simd.host import host
from ...simd.jit import kernel
from ...simd.lanes import address, poke
from ...simd.microkernel import ACCUMULATE, ZERO
from ...simd.parallel import parallel_kernel
from ...simd.vector import clear, copy
from ...threads import team
from ..blocking import WANTED_TASKS
from ..lowering import Axes, Lowered, WeightStrides
from ..pack import pack_strip
from .bands import Banding, Bands, choose_banding
from .depth_weights import DepthWeights, depth_weights
from .kernels import locate_block, pack_pixels, pack_rows
from .lanes import OutputRow, by_channels, by_pixels, round_up, serves


class Correlations(NamedTuple):
    """What `_accumulate` knows of its problem."""

    bands: Bands
    parts: int  # partial copies
    items: int
    vector: int
    dy_pitch: int  # of rows of dy
    row_shift: int  # rows of dy from one row of a tile to the next
    x_step: int  # as `filter_tiles` has them
    x_vector: int
    w_step: int
    c_row: int
    c_vector: int


class FilterTile(NamedTuple):
    """A part of the filter that is one tile: where x and dw begin, rows and columns."""

    x_at: int
    dw_at: int
    height: int
    width: int


@dataclass(frozen=True, eq=False)
class PlanarWeights:
    """How a problem's gradient is cut: planar blocks, partial copies, and the tiles of the filter."""

    low: Lowered
    banding: Banding
    parts: int
    wide: int
    numbers: np.ndarray
    tiles: np.ndarray  # a `FilterTile` each
    own: int
    table: int

    def run(self, x: np.ndarray, dy: np.ndarray, dw: np.ndarray, at: WeightStrides) -> bool:
        """Write the gradient to dw; False where it is of no use, for x or dy hold NaN or Inf.

        Vectors at the end of a row of dy are filled up with zeros, which meet elements of x that belong to other taps.
        """
        low, lanes, taps = self.low, self.banding.lanes, len(self.low.taps)
        tasks = self.parts * lanes.blocks
        members = team(tasks, low.work)
        partial = scratch((self.parts, lanes.blocks, taps, self.wide), x.dtype)
        if lanes.kind == LANES:
            partial.fill(0)  # lanes without a channel are not written
        _accumulate(
            members, tasks, x.reshape(-1), dy.reshape(-1), *low.tables, *map(counting_index, low.out), self.numbers,
            self.tiles, partial.reshape(-1), np.empty((members, self.table + 8), np.int64),
            scratch((members, self.own), x.dtype), filter_tile_address(x.itemsize),
        )  # fmt: skip
        with np.errstate(all="ignore"):  # as silent as the compiled kernels
            if lanes.kind == BROADCAST:
                total = partial.sum(axis=(0, 3))
            else:
                total = partial.sum(axis=0).transpose(0, 2, 1)[:, : lanes.pixel].reshape(-1, taps)[: low.groups]
            finite = math.isfinite(total.sum())
        where = at.group * np.arange(low.groups)[:, None] + at.tap * low.taps
        dw.reshape(-1)[where] = total
        return finite


@kept
def planar_weights(low: Lowered, itemsize: int) -> PlanarWeights | DepthWeights | None:
    """The cut of a problem that planar sums serve better than lanes of output channels, else None."""
    if low.C != 1 or low.O != 1 or low.N == 0:
        return None
    served = serves(OutputRow.of(low), itemsize)
    if served is None or (served == "pixels" and low.y_strides.w != 1):
        return None
    flat, vector = served == "pixels", host().lanes(itemsize)
    lanes = by_pixels(low, itemsize) if flat else by_channels(low, itemsize)
    if not flat:  # a pixel at a time: sums run over pixels
        lanes = lanes._replace(unit=1, inner=-(-lanes.pixel // vector), staged=False)
    banding = choose_banding(low, lanes, itemsize)
    if banding.bands.known.in_place and (known := depth_weights(low, banding)):
        return known
    bands, (KD, KH, KW) = banding.bands, low.reach
    (_, sh, sw), rows, cols = low.stride, bands.rows, bands.cols
    items = low.N * low.out[0] * bands.row_blocks * bands.col_blocks
    parts = min(items, -(-WANTED_TASKS // lanes.blocks))
    wide = vector if flat else round_up(lanes.pixel, vector)
    dy_pitch = round_up(cols, vector) if flat else cols * lanes.pixel
    classes, shift = sh // math.gcd(sh, KH.step), KH.step // math.gcd(sh, KH.step)
    x_vector = KW.step // math.gcd(sw, KW.step) if flat else KW.step * lanes.pixel
    numbers = Correlations(
        bands=bands,
        parts=parts,
        items=items,
        vector=vector,
        dy_pitch=dy_pitch,
        row_shift=shift,
        x_step=vector if flat else sw * lanes.pixel,
        x_vector=x_vector,
        w_step=vector if flat else lanes.pixel,
        c_row=classes * KW.number * wide,
        c_vector=bands.phases * wide,
    )
    tiles = []
    for d in range(KD.number):
        for u, height in _chunks(KH.number, classes, FILTER_ROWS):
            for v, width in _chunks(KW.number, bands.phases, filter_vectors()):
                x_at = d * KD.step * bands.band.d + u * KH.step * bands.band.h
                x_at += v % bands.phases * bands.band.phase + v * KW.step // sw if flat else v * x_vector
                tiles.append(FilterTile(x_at, ((d * KH.number + u) * KW.number + v) * wide, height, width))
    own = bands.band_size + rows * dy_pitch + vector * (1 if flat else wide)
    table = FIELDS * (rows + shift * FILTER_ROWS)
    return PlanarWeights(
        low, banding, parts, wide, packed(numbers), np.array(tiles, np.int64), round_up(own, 64), table
    )


def _chunks(count: int, classes: int, most: int) -> list[tuple[int, int]]:
    """First members and sizes of runs of at most `most` of 0..count-1 that lie `classes` apart."""
    runs = []
    for first in range(min(classes, count)):
        members = range(first, count, classes)
        size = -(-len(members) // -(-len(members) // most))
        runs += [(members[i], min(size, len(members) - i)) for i in range(0, len(members), size)]
    return runs


@parallel_kernel
def _accumulate(
    thread, first, last, x, dy, planes_at, rows_at, cols_at, dy_planes, dy_rows, dy_cols, numbers, tiles, partial,
    tables, own, tile,
):  # fmt: skip
    """Each task: its items in order, each added to one partial copy of a block of filters."""
    p, mine, table = fields(Correlations, numbers), own[thread], address(tables[thread])
    n, index, dy_index = p.bands, (planes_at, rows_at, cols_at), (dy_planes, dy_rows, dy_cols)
    places = address(planes_at), address(rows_at), address(cols_at)
    blocks, pixel, flat, vector = n.lanes.blocks, n.lanes.pixel, n.lanes.kind == BROADCAST, p.vector
    each, size = n.low.out.d * n.row_blocks * n.col_blocks, partial.size // (p.parts * blocks)
    for task in range(first, last):
        part, block = task // blocks, task % blocks
        item0, item1 = p.items * part // p.parts, p.items * (part + 1) // p.parts
        count = min(pixel, n.low.groups * n.low.O - block * pixel)
        for item in range(item0, item1):
            _, here = locate_block(n, (item // each * blocks + block) * each + item % each)
            x0 = here.image * n.low.x.n + block * pixel * n.low.x.c
            dy0 = here.image * n.low.y.n + block * pixel * n.low.y.c
            if flat:
                pack_rows(n, address(x), x0, places, cols_at.size, here, n.low.C, address(mine), True)
                _pack_dy_rows(n, address(dy), dy0, here, p.dy_pitch, address(mine))
            else:
                pack_pixels(n, x, x0, index, here, count, mine)
                _pack_dy_pixels(n, dy, dy0, dy_index, here, count, p.dy_pitch, mine)
            columns = vector if flat else count
            pixels = -(-here.cols // vector) if flat else here.cols
            start = ZERO if item == item0 else ACCUMULATE
            for t in range(tiles.shape[0]):
                of = fields(FilterTile, tiles[t])
                entries = _entries(n, here.rows, pixels, of.height, p.row_shift, p.dy_pitch, table)
                filter_tiles(
                    tile, LANES, of.width, entries, table, 0, address(mine), of.x_at, p.x_step, p.x_vector,
                    address(mine), n.band_size, p.w_step, p.row_shift * p.dy_pitch,
                    address(partial), task * size + of.dw_at, p.c_row, p.c_vector, of.height, columns, 0,
                    start, address(partial), 0, 0, False, 1, 0, 0, 0, n.lanes.inner, vector, vector, vector, 0, vector,
                )  # fmt: skip


@kernel
def _entries(n, rows, pixels, height, shift, pitch, table):
    """The rows of the input that a block's rows of dy meet, for `height` rows of the filter."""
    step, found = n.low.stride.h * n.band.h, 0
    for i in range(rows + (height - 1) * shift):
        first, end = max(0, -(-(i - rows + 1) // shift)), min(height, i // shift + 1)
        if first < end:
            poke(table, found, i * step)
            poke(table, found + 1, i * pitch)
            poke(table, found + 2, first * FILTER_ROWS + end - 1)  # as `range_code`
            poke(table, found + 3, pixels)
            found += FIELDS
    return found // FIELDS


@kernel
def _pack_dy_rows(n, dy, dy0, here, pitch, dst):
    """The rows of a block, each filled up with zeros to whole vectors."""
    start = dy0 + here.plane * n.low.y.d + here.row0 * n.low.y.h + here.col0
    for r in range(here.rows):
        at = n.band_size + r * pitch
        copy(dst, at, dy, start + r * n.low.y.h, here.cols)
        clear(dst, at + here.cols, pitch - here.cols)


@kernel
def _pack_dy_pixels(n, dy, dy0, index, here, count, row, dst):
    """The pixels of a block, its rows `row` apart: the last block of a line may be narrower."""
    corner, size = Axes(here.plane, here.row0, here.col0), Axes(np.int64(1), here.rows, here.cols)
    pitch, whole = Axes(here.rows * row, row, n.lanes.pixel), (0, index[2].size)
    pack_strip(dy, dy0, n.low.y, count, index, corner, size, whole, dst, n.band_size, pitch)
