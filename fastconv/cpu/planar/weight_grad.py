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

import numpy as np

from ...borders import counting_index
from ...kept import kept
from ...memory import scratch
from ...simd.filter_tile import BROADCAST, FIELDS, FILTER_ROWS, LANES, filter_tile_address, filter_tiles, filter_vectors
from ...simd.host import host
from ...simd.jit import kernel, parallel_kernel
from ...simd.lanes import address, peek, poke
from ...simd.microkernel import ACCUMULATE, ZERO
from ...simd.vector import clear, copy
from ...threads import team
from ..blocking import WANTED_TASKS
from ..lowering import Lowered, WeightStrides
from ..pack import pack_strip
from .blocking import (
    BAND_D,
    BAND_H,
    BAND_P,
    BAND_SIZE,
    BLOCKS,
    C_IN,
    CHANNELS,
    COL_BLOCKS,
    COLS,
    KIND,
    OD,
    PIXEL,
    ROW_BLOCKS,
    ROWS,
    STRIDE_H,
    X_C,
    X_N,
    Y_C,
    Y_D,
    Y_H,
    Y_N,
    Y_W,
    Lanes,
    Planar,
    cut,
)  # fmt: skip
from .kernels import locate, pack_pixels, pack_rows
from .lanes import serves

# Places in `Cut.numbers`.
PARTS, ITEMS, WIDE, DY_PITCH, X_STEP, X_VECTOR, W_STEP, INNER, ROW_SHIFT, C_ROW, C_VECTOR, VECTOR = range(12)


@dataclass(frozen=True, eq=False)
class Cut:
    """How a problem's gradient is cut: planar blocks, partial copies, and the tiles of the filter."""

    planar: Planar
    parts: int
    wide: int
    numbers: np.ndarray
    tiles: np.ndarray  # (tiles, 4): where x and dw begin, rows and columns of the filter
    own: int
    table: int


@kept
def plan(low: Lowered, itemsize: int) -> Cut | None:
    """The cut of a problem that planar sums serve better than lanes of output channels, else None."""
    strides = low.x_strides[1], low.x_strides[4], low.y_strides[1], low.y_strides[4]
    if low.C != 1 or low.O != 1 or low.N == 0:
        return None
    served = serves(low.C, low.O, low.groups, low.out[2], low.stride[2], strides, itemsize)
    if served is None or (served == "pixels" and low.y_strides[4] != 1):
        return None
    return _cut(low, served == "pixels", itemsize)


def _cut(low: Lowered, flat: bool, itemsize: int) -> Cut:
    vector = host().lanes(itemsize)
    if flat:
        lanes = Lanes(BROADCAST, vector, 1, 1, 1, 0, low.groups, False)
    else:
        together = low.x_strides[1] == 1 and low.y_strides[1] == 1
        pixel = low.groups if together else min(4, -(-low.groups // vector)) * vector
        lanes = Lanes(LANES, 1, pixel, 1, -(-pixel // vector), 0, -(-low.groups // pixel), False)
    blocks = cut(low, lanes, itemsize)
    n, (KD, KH, KW) = blocks.numbers, (axis.taps for axis in blocks.taps)
    (_, sh, sw), (_, dh), (_, dw) = low.stride, blocks.taps[1], blocks.taps[2]
    items = low.N * int(n[OD] * n[ROW_BLOCKS] * n[COL_BLOCKS])
    parts = min(items, -(-WANTED_TASKS // lanes.blocks))
    wide = vector if flat else -(-lanes.pixel // vector) * vector
    rows, cols = int(n[ROWS]), int(n[COLS])
    pitch = -(-cols // vector) * vector if flat else cols * lanes.pixel
    phases, classes, shift = blocks.phases, sh // math.gcd(sh, dh), dh // math.gcd(sh, dh)
    x_vector = dw // math.gcd(sw, dw) if flat else dw * lanes.pixel
    numbers = np.zeros(VECTOR + 1, np.int64)
    numbers[[PARTS, ITEMS, WIDE, DY_PITCH]] = parts, items, wide, pitch
    numbers[[X_STEP, X_VECTOR]] = vector if flat else sw * lanes.pixel, x_vector
    numbers[W_STEP] = vector if flat else lanes.pixel
    numbers[[INNER, ROW_SHIFT, C_ROW, C_VECTOR]] = lanes.inner, shift, classes * KW * wide, phases * wide
    numbers[VECTOR] = vector
    tiles = []
    for d in range(KD):
        for u, height in _chunks(KH, classes, FILTER_ROWS):
            for v, width in _chunks(KW, phases, filter_vectors()):
                at = d * blocks.taps[0].step * n[BAND_D] + u * dh * n[BAND_H]
                at += v % phases * n[BAND_P] + v * dw // sw if flat else v * x_vector
                tiles.append((at, ((d * KH + u) * KW + v) * wide, height, width))
    own = int(n[BAND_SIZE]) + rows * pitch + vector * (wide if not flat else 1)
    table = FIELDS * (rows + shift * FILTER_ROWS)
    return Cut(blocks, parts, wide, numbers, np.array(tiles, np.int64), -(-own // 64) * 64, table)


def _chunks(count: int, classes: int, most: int) -> list[tuple[int, int]]:
    """First members and sizes of runs of at most `most` of 0..count-1 that lie `classes` apart."""
    runs = []
    for first in range(min(classes, count)):
        members = range(first, count, classes)
        size = -(-len(members) // -(-len(members) // most))
        runs += [(members[i], min(size, len(members) - i)) for i in range(0, len(members), size)]
    return runs


def accumulate_planar(cut: Cut, low: Lowered, x: np.ndarray, dy: np.ndarray, dw: np.ndarray, at: WeightStrides) -> bool:
    """Write the weight gradient to dw; False where it is of no use, for x or dy hold NaN or Inf.

    Vectors at the end of a row of dy are filled up with zeros, which meet elements of x that belong to other taps.
    """
    lanes, taps = cut.planar.lanes, len(low.taps)
    tasks = cut.parts * lanes.blocks
    members = team(tasks, low.work)
    partial = scratch((cut.parts, lanes.blocks, taps, cut.wide), x.dtype)
    if lanes.kind == LANES:
        partial.fill(0)  # lanes without a channel are not written
    _accumulate(
        members, tasks, x.reshape(-1), dy.reshape(-1), *low.index, *map(counting_index, low.out), cut.planar.numbers,
        cut.numbers, cut.tiles, partial.reshape(-1), np.empty((members, cut.table + 8), np.int64),
        scratch((members, cut.own), x.dtype), filter_tile_address(x.itemsize),
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


@parallel_kernel
def _accumulate(
    thread, first, last, x, dy, planes_at, rows_at, cols_at, dy_planes, dy_rows, dy_cols, numbers, sizes, tiles,
    partial, tables, own, tile,
):  # fmt: skip
    """Each task: its items in order, each added to one partial copy of a block of filters."""
    n, mine, table = address(numbers), own[thread], address(tables[thread])
    index, dy_index = (planes_at, rows_at, cols_at), (dy_planes, dy_rows, dy_cols)
    places = address(planes_at), address(rows_at), address(cols_at)
    blocks, pixel, flat = numbers[BLOCKS], numbers[PIXEL], numbers[KIND] == BROADCAST
    each = numbers[OD] * numbers[ROW_BLOCKS] * numbers[COL_BLOCKS]
    size, vector = partial.size // (sizes[PARTS] * blocks), sizes[VECTOR]
    for task in range(first, last):
        part, block = task // blocks, task % blocks
        item0, item1 = sizes[ITEMS] * part // sizes[PARTS], sizes[ITEMS] * (part + 1) // sizes[PARTS]
        count = min(pixel, numbers[CHANNELS] - block * pixel)
        for item in range(item0, item1):
            image, _, here = locate(n, (item // each * blocks + block) * each + item % each)
            x0 = image * numbers[X_N] + block * pixel * numbers[X_C]
            dy0 = image * numbers[Y_N] + block * pixel * numbers[Y_C]
            if flat:
                pack_rows(n, address(x), x0, places, cols_at.size, here, numbers[C_IN], address(mine), True)
                _pack_dy_rows(n, address(dy), dy0, here, sizes[DY_PITCH], address(mine), numbers[BAND_SIZE])
            else:
                pack_pixels(numbers, x, x0, index, here, count, mine)
                _pack_dy_pixels(numbers, dy, dy0, dy_index, here, count, sizes[DY_PITCH], mine)
            columns = vector if flat else count
            pixels = -(-here[4] // vector) if flat else here[4]
            start = ZERO if item == item0 else ACCUMULATE
            for t in range(tiles.shape[0]):
                entries = _entries(n, here[2], pixels, tiles[t, 2], sizes[ROW_SHIFT], sizes[DY_PITCH], table)
                filter_tiles(
                    tile, LANES, tiles[t, 3], entries, table, 0, address(mine), tiles[t, 0], sizes[X_STEP],
                    sizes[X_VECTOR], address(mine), numbers[BAND_SIZE], sizes[W_STEP],
                    sizes[ROW_SHIFT] * sizes[DY_PITCH], address(partial), task * size + tiles[t, 1], sizes[C_ROW],
                    sizes[C_VECTOR], tiles[t, 2], columns, 0, start, address(partial), 0, 0, False, 1, 0, 0, 0,
                    sizes[INNER], vector, vector, vector, 0, vector,
                )  # fmt: skip


@kernel
def _entries(n, rows, pixels, height, shift, pitch, table):
    """The rows of the input that a block's rows of dy meet, for `height` rows of the filter."""
    step, found = peek(n, STRIDE_H) * peek(n, BAND_H), 0
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
def _pack_dy_rows(n, dy, dy0, here, pitch, dst, at):
    """The rows of a block, each filled up with zeros to whole vectors."""
    od, row0, rows, col0, cols = here
    start = dy0 + od * peek(n, Y_D) + row0 * peek(n, Y_H) + col0
    for r in range(rows):
        copy(dst, at + r * pitch, dy, start + r * peek(n, Y_H), cols)
        clear(dst, at + r * pitch + cols, pitch - cols)


@kernel
def _pack_dy_pixels(numbers, dy, dy0, index, here, count, row, dst):
    """The pixels of a block, its rows `row` apart: the last block of a line may be narrower."""
    strides = numbers[Y_N], numbers[Y_C], numbers[Y_D], numbers[Y_H], numbers[Y_W]
    pixel, (od, row0, rows, col0, cols) = numbers[PIXEL], here
    size = np.int64(1), rows, cols
    whole = 0, index[2].size
    pitch = rows * row, row, pixel
    pack_strip(dy, dy0, strides, count, index, (od, row0, col0), size, whole, dst, numbers[BAND_SIZE], pitch)
