"""How planar filtering cuts a lowered problem: what the lanes are, which rows a tile shares, blocks and tables.

Lanes are neighbouring pixels of a row (kind BROADCAST: one weight serves all of them) or channels with a filter each
(kind LANES). A tile's rows are output rows, or for filters of one row output channels. The cut depends on the problem
and the host only, never on the number of threads. Sizes and offsets count elements.

The kernel gets the whole cut as one array of integers, `Planar.numbers`: named places first (`KIND`, `UNIT`, ...), then
the tables of tiles, whose offsets begin at place `STARTS`. Few arguments are what makes a small call quick.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass

import numpy as np

from ...config import settings
from ...kept import kept
from ...simd.depth_sweep import SHAPES, DepthTile
from ...simd.filter_tile import BROADCAST, FIELDS, FILTER_ROWS, LANES, filter_vectors, range_code
from ...simd.host import host
from ..blocking import WANTED_TASKS
from ..lowering import Lowered, WeightStrides
from .lanes import Axis, Lanes, even_part, known_shape, round_up

LEAST_ROWS = 4 * FILTER_ROWS  # of a block: fewer would read too many rows of the input twice
MOST_ENTRIES = 512  # of a tile's table: more input channels are summed in rounds

# Places in `Planar.numbers`. What lanes are: see `Lanes`.
KIND, UNIT, PIXEL, REPEAT, INNER, TOGETHER, STAGED = range(7)
# Channels: input and output ones of a group, lanes in all, input ones of a round.
C_IN, C_OUT, CHANNELS, ROUND = range(7, 11)
# Tasks: blocks of channels, planes, blocks of rows and columns, their sizes, the output's size.
BLOCKS, OD, ROW_BLOCKS, COL_BLOCKS, ROWS, COLS, OH, OW = range(11, 19)
# A tile: rows at most, output rows between them, x_step, x_vector; its columns, per column left, always, per vector.
MOST, APART, X_STEP, X_VECTOR, PER_COLUMN, ALWAYS, PER_VECTOR = range(19, 26)
# What an inner step adds to x, w, channels of c and bias, and takes from the columns.
X_INNER, W_INNER, C_INNER, LANES_INNER = range(26, 30)
# Weights: w_step, w_row, of a channel, of a block; bias of a block.
W_STEP, W_ROW, W_CHANNEL, W_BLOCK, BIAS_BLOCK = range(30, 35)
# The band: pitch of channels, planes, rows, phases and output columns; phases, elements, dilation of columns.
BAND_C, BAND_D, BAND_H, BAND_P, BAND_W, PHASES, BAND_SIZE, DILATION = range(35, 43)
# Strides of the staging, of x and of y (after where y starts); stride, span and interior of the problem.
STAGE_C, STAGE_H, STAGE_W = range(43, 46)
X_N, X_C, X_D, X_H, X_W, Y_0, Y_N, Y_C, Y_D, Y_H, Y_W = range(46, 57)
STRIDE_D, STRIDE_H, STRIDE_W, SPAN_D, SPAN_H, SPAN_W, LEFT, RIGHT = range(57, 65)
# The outputs that are computed from x in place: first and end, on each axis.
PLACE_D, PLACE_H, PLACE_W = range(65, 71, 2)
# The number of a filter that is in the code, or -1, and the rows and columns of its tile.
SHAPE, SHAPE_H, SHAPE_W = range(71, 74)
# Where the tables of tiles of 1, 2, ... rows begin, after these places.
STARTS, PLACES = range(74, 76)


@dataclass(frozen=True, eq=False)
class Planar:
    """The cut of one problem; a thread needs `own` elements of scratch."""

    lanes: Lanes
    taps: tuple[Axis, Axis, Axis]
    phases: int
    wide: int
    numbers: np.ndarray
    own: int
    tasks: int


@kept
def cut(low: Lowered, lanes: Lanes, itemsize: int) -> Planar:
    """Choose the blocks so that a task's rows stay in a core's own cache and every thread finds work."""
    vector, flat, pixel = host().lanes(itemsize), lanes.kind == BROADCAST, lanes.pixel
    taps = Axis.of(low.offsets[:, 0]), Axis.of(low.offsets[:, 1]), Axis.of(low.offsets[:, 2])
    (KD, _), (KH, dh), (KW, dw) = taps
    (_, sh, sw), (OD_, OH_, OW_), (spanD, spanH, spanW) = low.stride, low.out, low.span
    common = math.gcd(sw, dw) if flat else sw
    phases = min(KW, sw // common)
    apart = 1 if lanes.together else dh // math.gcd(sh, dh)
    shift = 0 if lanes.together else sh * apart // dh
    rows, cols = _block(low, lanes, apart, itemsize)
    # The band's columns: in runs of one phase each, or with the channels of a pixel together.
    reads = round_up(cols, lanes.unit)
    run = _spread(reads + spanW // sw + 1 if flat else ((reads - 1) * sw + spanW + 1) * pixel, itemsize)
    plane = ((rows - 1) * sh + spanH + 1) * run * phases
    depth = max(1, min(low.C, MOST_ENTRIES // (KD * (shift * (FILTER_ROWS - 1) + KH) * phases)))
    depth = even_part(low.C, depth)
    wide = max(1, lanes.together) if flat else round_up(lanes.unit * pixel, vector)
    pitch = plane * (spanD + 1), plane, run * phases, run
    band = pitch[0] * depth + filter_vectors() * vector + vector * pixel
    w_channel = KD * KH * KW * wide
    blocks = -(-OH_ // rows), -(-OW_ // cols)
    n = np.zeros(PLACES, np.int64)
    n[[KIND, UNIT, PIXEL, REPEAT, INNER]] = lanes.kind, lanes.unit, pixel, lanes.repeat, lanes.inner
    n[[TOGETHER, STAGED, C_IN, C_OUT]] = lanes.together, lanes.staged, low.C, low.O
    n[[CHANNELS, ROUND, BLOCKS, OD]] = low.groups * low.O, depth, lanes.blocks, OD_
    n[[ROW_BLOCKS, COL_BLOCKS, ROWS, COLS, OH, OW]] = *blocks, rows, cols, OH_, OW_
    n[[MOST, APART, X_STEP]] = 1 if lanes.together else FILTER_ROWS, apart, dw // common if flat else dw * pixel
    n[X_VECTOR] = vector if flat else lanes.unit * sw * pixel
    if flat:
        n[[PER_COLUMN, ALWAYS, PER_VECTOR]] = 1, 0, vector
        n[[X_INNER, W_INNER, C_INNER, LANES_INNER]] = 0, low.C * w_channel, wide, 0
        n[[W_STEP, W_ROW, W_BLOCK, BIAS_BLOCK]] = KH * wide, shift, low.C * w_channel * lanes.inner, low.O
        n[[STAGE_C, STAGE_H, STAGE_W]] = rows * cols, cols, 1
        if lanes.together:
            n[W_ROW] = -1
    else:
        n[[PER_COLUMN, ALWAYS, PER_VECTOR]] = (pixel, 0, lanes.unit * pixel) if lanes.unit > 1 else (0, pixel, 0)
        n[[X_INNER, W_INNER, C_INNER, LANES_INNER]] = vector
        n[[W_STEP, W_ROW, W_BLOCK, BIAS_BLOCK]] = wide, shift * KW * wide, w_channel, wide
        n[[STAGE_C, STAGE_H, STAGE_W]] = 1, cols * pixel, pixel
    n[W_CHANNEL] = w_channel
    n[BAND_C : BAND_P + 1] = pitch
    n[[BAND_W, PHASES, BAND_SIZE, DILATION]] = 1 if flat else sw * pixel, phases, band, dw
    n[X_N : Y_0 + 1] = *low.x_strides, low.y_start
    n[Y_N : Y_W + 1] = low.y_strides
    n[STRIDE_D : RIGHT + 1] = *low.stride, *low.span, *low.interior
    starts, tables = _tables(taps, lanes, sw, shift, depth, pitch, wide)
    n[STARTS] = PLACES
    n[SHAPE], shape = -1, known_shape(low, vector)
    if shape >= 0 and lanes.kind == LANES and lanes.unit == 1:
        tile = SHAPES[shape]
        n[[SHAPE, SHAPE_H, SHAPE_W]] = shape, tile.rows, tile.cols
        if tile.stride > 1 and low.x_strides[1] == lanes.repeat == 1 and not lanes.staged:
            n[PLACE_D : PLACE_W + 2] = _inside(low, tile)
    return Planar(
        lanes=lanes,
        taps=taps,
        phases=phases,
        wide=wide,
        numbers=np.concatenate([n, starts + PLACES + len(starts), tables]),
        own=round_up(band + (rows * cols * (low.O if flat else pixel) if lanes.staged else 0), 64),
        tasks=low.N * lanes.blocks * OD_ * blocks[0] * blocks[1],
    )


def _inside(low: Lowered, tile: DepthTile) -> list[int]:
    """First and end, on each axis, of the outputs whose inputs are neighbours in x, or none.

    What is left at either side is nothing or at least a tile.
    """
    bounds = []
    for axis, least in enumerate((1, tile.rows, tile.cols)):
        (first, end), out, stride = low.runs[axis], low.out[axis], low.stride[axis]
        begin, past = -(-first // stride), min(out, (end - 1 - low.span[axis]) // stride + 1)
        bounds += [max(begin, least) if begin > 0 else 0, min(past, out - least) if past < out else out]
    return bounds


def _spread(length: int, itemsize: int) -> int:
    """A pitch of rows: a tile's rows would share a few sets of the first cache if nearly a multiple of 4 KiB apart."""
    beyond = length * itemsize % 4096
    return length + (256 - beyond) // itemsize if beyond < 256 <= length * itemsize else length


def _block(low: Lowered, lanes: Lanes, apart: int, itemsize: int) -> tuple[int, int]:
    """Output rows and columns of a task."""
    (_, sh, sw), (OD_, OH_, OW_), (spanD, spanH, spanW) = low.stride, low.out, low.span
    channels = min(low.C, 8) if lanes.kind == BROADCAST else lanes.pixel
    budget = settings.tile_bytes // itemsize // channels // (spanD + 1)
    whole = lanes.unit * filter_vectors()
    planes = low.N * lanes.blocks * OD_
    wanted = min(WANTED_TASKS, low.work // settings.serial_flops)
    least = FILTER_ROWS * apart
    rows, cols = OH_, OW_
    if (sh * least + spanH) * (sw * OW_ + spanW) > budget:
        cols = max(whole, (budget // (sh * least + spanH) - spanW) // sw // whole * whole)
        cols = min(OW_, cols)
    while rows > least and (sh * rows + spanH) * (sw * cols + spanW) > budget:
        rows = -(-rows // 2)
    while rows > LEAST_ROWS * apart and planes * -(-OH_ // rows) * -(-OW_ // cols) < wanted:
        rows = -(-rows // 2)
    while OH_ == 1 and cols > 2 * whole and planes * -(-OW_ // cols) < wanted:
        cols = round_up(-(-cols // 2), whole)
    return min(OH_, round_up(rows, least)) if rows < OH_ else rows, cols


def _tables(
    taps: tuple[Axis, Axis, Axis], lanes: Lanes, sw: int, shift: int, channels: int, pitch: tuple[int, ...], wide: int
) -> tuple[np.ndarray, np.ndarray]:
    """Entries (x_at, w_at, range code, count) of tiles of 1, 2, ... rows, and where those of each begin and end."""
    (KD, dd), (KH, dh), (KW, dw) = taps
    phases = pitch[2] // pitch[3]
    entries: list[tuple[int, ...]] = []
    starts = [0]
    for rows in range(1, 2 if lanes.together else FILTER_ROWS + 1):
        for c, d, m in itertools.product(range(channels), range(KD), range((rows - 1) * shift + KH)):
            met = [r for r in range(rows) if 0 <= m - r * shift < KH]
            if not met:
                continue
            code = range_code(0, lanes.together) if lanes.together else range_code(met[0], met[-1] + 1)
            x_at, before = c * pitch[0] + d * dd * pitch[1] + m * dh * pitch[2], 0
            for p in range(phases):
                count = -(-(KW - p) // phases)
                w_at = (((c * KD + d) * KW + before) * KH + m if lanes.kind == BROADCAST else (d * KH + m) * KW) * wide
                entries.append((x_at + p * pitch[3] + p * dw // sw, w_at, code, count))
                before += count
        starts.append(len(entries))
    return FIELDS * np.array(starts, dtype=np.int64), np.array(entries, dtype=np.int64).reshape(-1)


@kept
def weight_order(low: Lowered, plan: Planar, at: WeightStrides) -> np.ndarray:
    """Which weight comes where tiles read: int64 offsets into w; lanes and rows that are not stored get any."""
    lanes, (KD, KH, KW) = plan.lanes, (axis.taps for axis in plan.taps)
    g, o, c = np.arange(low.groups) * at.group, np.arange(low.O) * at.o, np.arange(low.C) * at.c
    where = g[:, None, None, None] + o[:, None, None] + c[:, None] + low.taps * at.tap
    where = where.reshape(low.groups, low.O, low.C, KD, KH, KW)
    if lanes.kind == LANES:
        where = where.reshape(low.groups * low.O, KD, KH, KW)
        where = _padded(np.concatenate([where] * lanes.unit), 0, lanes.blocks * plan.wide)
        where = np.moveaxis(where.reshape(lanes.blocks, -1, KD, KH, KW), 1, -1)
    else:
        rows = max(1, lanes.together)
        where = where[..., [j for p in range(plan.phases) for j in range(p, KW, plan.phases)]]
        where = _padded(where, 1, lanes.inner * rows).reshape(low.groups, lanes.inner, rows, low.C, KD, KH, KW)
        where = where.transpose(0, 1, 3, 4, 6, 5, 2)
    return np.ascontiguousarray(where).reshape(-1)


@kept
def bias_order(low: Lowered, plan: Planar) -> np.ndarray:
    """Which bias comes where tiles read, as `weight_order`."""
    where = np.arange(low.groups * low.O)
    if plan.lanes.kind == BROADCAST:
        return where
    return _padded(np.tile(where, plan.lanes.unit), 0, plan.lanes.blocks * plan.wide)


def _padded(where: np.ndarray, axis: int, length: int) -> np.ndarray:
    missing = [(0, 0)] * where.ndim
    missing[axis] = (0, length - where.shape[axis])
    return np.pad(where, missing)
