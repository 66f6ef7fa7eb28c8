"""How planar filtering cuts a lowered problem: what the lanes are, which rows a tile shares, blocks and tables.

Lanes are neighbouring pixels of a row (kind BROADCAST: one weight serves all of them) or channels with a filter each
(kind LANES). A tile's rows are output rows, or for filters of one row output channels. A *band* is the padded input of
a block of output rows. The cut depends on the problem and the host only, never on the number of threads. Sizes and
offsets count elements.
"""

from __future__ import annotations

import itertools
import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ...borders import frozen
from ...config import settings
from ...kept import kept
from ...simd.depth_tile import SHAPES, DepthTile, channel_order
from ...simd.fields import packed
from ...simd.filter_tile import BROADCAST, FIELDS, FILTER_ROWS, LANES, filter_vectors, range_code
from ...simd.host import host
from ..blocking import WANTED_TASKS
from ..lowering import Axes, Integers, Lowered, Strides, WeightStrides
from .lanes import Lanes, even_part, known_shape, round_up
from .sweeps import Known, known_filter, sweep_tables

LEAST_TILES = 4  # below each other in a block: fewer would read too many rows of the input twice
MOST_ENTRIES = 512  # of a tile's table: more input channels are summed in rounds


class Tile(NamedTuple):
    """How a tile reads and writes; `*_inner` is what the next of those that read the same columns adds."""

    most: int  # rows
    apart: int  # output rows from one to the next
    x_step: int
    x_vector: int
    w_step: int
    w_row: int
    w_inner: int
    c_inner: int  # of channels of c and of the bias
    x_inner: int = 0
    per_column: int = 0  # lanes to store: so many for each column left, so many always, less so many per vector
    always: int = 0
    per_vector: int = 0
    lanes_inner: int = 0  # taken from the lanes to store


class Pitch(NamedTuple):
    """Distances in a band: of channels, planes, rows, phases of the stride, and columns of the output."""

    c: int
    d: int
    h: int
    phase: int
    w: int


class Bands(NamedTuple):
    """What kernels know of the cut.

    Behind it lie where the tables of tiles of 1, 2, ... rows begin, or of the blocks of a known filter, and the tables.
    """

    low: Integers
    lanes: Lanes
    round: int  # input channels of a round
    row_blocks: int
    col_blocks: int
    rows: int  # of a block
    cols: int
    tile: Tile
    w_channel: int  # weights of an input channel
    w_block: int  # weights and biases of a block of channels
    bias_block: int
    band: Pitch
    phases: int
    dilation: int  # of columns
    band_size: int
    staging: Strides
    known: Known


@dataclass(frozen=True, eq=False)
class Banding:
    """The cut of one problem, for vectors of so many lanes; a thread needs `own` elements of scratch."""

    lanes: Lanes
    vector: int
    wide: int
    bands: Bands
    numbers: np.ndarray
    own: int
    tasks: int


@kept
def choose_banding(low: Lowered, lanes: Lanes, itemsize: int) -> Banding:
    """Choose the blocks so that a task's rows stay in a core's own cache and every thread finds work."""
    vector, flat, pixel = host().lanes(itemsize), lanes.kind == BROADCAST, lanes.pixel
    depth, height, width = low.reach
    (_, sh, sw), (OD, OH, OW), span = low.stride, low.out, Axes(*low.span)
    common = math.gcd(sw, width.step) if flat else sw
    phases = min(width.number, sw // common)
    apart = 1 if lanes.together else height.step // math.gcd(sh, height.step)
    shift = 0 if lanes.together else sh * apart // height.step
    number = known_shape(low, vector) if not flat and lanes.unit == 1 else -1
    rows, cols = _block(low, lanes, SHAPES[number] if number >= 0 else None, apart, itemsize)
    # The band's columns: in runs of one phase each, or with the channels of a pixel together.
    reads = round_up(cols, lanes.unit)
    run = _spread(reads + span.w // sw + 1 if flat else ((reads - 1) * sw + span.w + 1) * pixel, itemsize)
    plane = ((rows - 1) * sh + span.h + 1) * run * phases
    fitting = max(1, MOST_ENTRIES // (depth.number * (shift * (FILTER_ROWS - 1) + height.number) * phases))
    channels = even_part(low.C, min(low.C, fitting))
    pitch = Pitch(plane * (span.d + 1), plane, run * phases, run, 1 if flat else sw * pixel)
    band_size = pitch.c * channels + filter_vectors() * vector + vector * pixel
    wide = max(1, lanes.together) if flat else round_up(lanes.unit * pixel, vector)
    w_channel = len(low.taps) * wide
    row_blocks, col_blocks = -(-OH // rows), -(-OW // cols)
    bands = Bands(
        low.integers,
        lanes,
        round=channels,
        row_blocks=row_blocks,
        col_blocks=col_blocks,
        rows=rows,
        cols=cols,
        tile=_pixel_tile(low, lanes, vector, apart, shift, common, wide)
        if flat
        else _channel_tile(low, lanes, vector, apart, shift, wide),
        w_channel=w_channel,
        w_block=low.C * w_channel * lanes.inner if flat else w_channel,
        bias_block=low.O if flat else wide,
        band=pitch,
        phases=phases,
        dilation=width.step,
        band_size=band_size,
        staging=Strides(0, rows * cols, 0, cols, 1) if flat else Strides(0, 1, 0, cols * pixel, pixel),
        known=known_filter(low, lanes, number),
    )
    if number < 0:
        tables = _tables(low, lanes, shift, channels, pitch, phases, wide)
    else:
        results = bands.staging if lanes.staged else low.y_strides
        tables = sweep_tables(low, bands.known, (rows, cols), (pitch.h, lanes.pixel), results)
    return Banding(
        lanes=lanes,
        vector=vector,
        wide=wide,
        bands=bands,
        numbers=packed(bands, *tables),
        own=round_up(band_size + (rows * cols * (low.O if flat else pixel) if lanes.staged else 0), 64),
        tasks=low.N * lanes.blocks * OD * row_blocks * col_blocks,
    )


def _pixel_tile(low: Lowered, lanes: Lanes, vector: int, apart: int, shift: int, common: int, wide: int) -> Tile:
    """A tile whose lanes are pixels of a row; those of other output channels read the same columns."""
    _, height, width = low.reach
    return Tile(
        most=1 if lanes.together else FILTER_ROWS,
        apart=apart,
        x_step=width.step // common,
        x_vector=vector,
        w_step=height.number * wide,
        w_row=-1 if lanes.together else shift,
        w_inner=low.C * len(low.taps) * wide,
        c_inner=wide,
        per_column=1,
        per_vector=vector,
    )


def _channel_tile(low: Lowered, lanes: Lanes, vector: int, apart: int, shift: int, wide: int) -> Tile:
    """A tile whose lanes are channels; those of the next vectors of channels follow."""
    width, pixel, several = low.reach[2], lanes.pixel, lanes.unit > 1
    return Tile(
        most=FILTER_ROWS,
        apart=apart,
        x_step=width.step * pixel,
        x_vector=lanes.unit * low.stride[2] * pixel,
        w_step=wide,
        w_row=shift * width.number * wide,
        w_inner=vector,
        c_inner=vector,
        x_inner=vector,
        per_column=pixel if several else 0,
        always=0 if several else pixel,
        per_vector=lanes.unit * pixel if several else 0,
        lanes_inner=vector,
    )


def _spread(length: int, itemsize: int) -> int:
    """A pitch of rows: a tile's rows would share a few sets of the first cache if nearly a multiple of 4 KiB apart."""
    beyond = length * itemsize % 4096
    return length + (256 - beyond) // itemsize if beyond < 256 <= length * itemsize else length


def _block(low: Lowered, lanes: Lanes, tile: DepthTile | None, apart: int, itemsize: int) -> tuple[int, int]:
    """Output rows and columns of a task; rows come in whole tiles."""
    least = tile.rows if tile else FILTER_ROWS * apart
    (_, sh, sw), (OD_, OH_, OW_), (spanD, spanH, spanW) = low.stride, low.out, low.span
    channels = min(low.C, 8) if lanes.kind == BROADCAST else lanes.pixel
    budget = settings.tile_bytes // itemsize // channels // (spanD + 1)
    whole = lanes.unit * filter_vectors()
    planes = low.N * lanes.blocks * OD_
    wanted = min(WANTED_TASKS, low.work // settings.serial_flops)
    rows, cols = OH_, OW_
    if (sh * least + spanH) * (sw * OW_ + spanW) > budget:
        cols = max(whole, (budget // (sh * least + spanH) - spanW) // sw // whole * whole)
        cols = min(OW_, cols)
    while rows > least and (sh * rows + spanH) * (sw * cols + spanW) > budget:
        rows = -(-rows // 2)
    while rows > LEAST_TILES * least and planes * -(-OH_ // rows) * -(-OW_ // cols) < wanted:
        rows = -(-rows // 2)
    while OH_ == 1 and cols > 2 * whole and planes * -(-OW_ // cols) < wanted:
        cols = round_up(-(-cols // 2), whole)
    rows = round_up(rows, least)
    while tile and 0 < OH_ % rows < tile.rows:  # the last block has a tile, too
        rows += tile.rows
    while tile and 0 < OW_ % cols < tile.cols:
        cols += 1
    return min(OH_, rows), min(OW_, cols)


def _tables(
    low: Lowered, lanes: Lanes, shift: int, channels: int, pitch: Pitch, phases: int, wide: int
) -> tuple[np.ndarray, np.ndarray]:
    """Where the tables of tiles of 1, 2, ... rows begin and end, and their entries (x_at, w_at, range code, count)."""
    (KD, dd), (KH, dh), (KW, dw) = ((taps.number, taps.step) for taps in low.reach)
    entries: list[tuple[int, ...]] = []
    starts = [0]
    for rows in range(1, 2 if lanes.together else FILTER_ROWS + 1):
        for c, d, m in itertools.product(range(channels), range(KD), range((rows - 1) * shift + KH)):
            met = [r for r in range(rows) if 0 <= m - r * shift < KH]
            if not met:
                continue
            code = range_code(0, lanes.together) if lanes.together else range_code(met[0], met[-1] + 1)
            x_at, before = c * pitch.c + d * dd * pitch.d + m * dh * pitch.h, 0
            for p in range(phases):
                count = -(-(KW - p) // phases)
                w_at = (((c * KD + d) * KW + before) * KH + m if lanes.kind == BROADCAST else (d * KH + m) * KW) * wide
                entries.append((x_at + p * pitch.phase + p * dw // low.stride[2], w_at, code, count))
                before += count
        starts.append(len(entries))
    places = FIELDS * np.array(starts, dtype=np.int64) + len(starts)
    return places, np.array(entries, dtype=np.int64).reshape(-1)


@kept
def weight_order(low: Lowered, banding: Banding, at: WeightStrides) -> np.ndarray:
    """Which weight comes where tiles read: int64 offsets into w; lanes and rows that are not stored get any."""
    lanes, (KD, KH, KW) = banding.lanes, (taps.number for taps in low.reach)
    g, o, c = np.arange(low.groups) * at.group, np.arange(low.O) * at.o, np.arange(low.C) * at.c
    where = g[:, None, None, None] + o[:, None, None] + c[:, None] + low.taps * at.tap
    where = where.reshape(low.groups, low.O, low.C, KD, KH, KW)
    if lanes.kind == LANES:
        where = where.reshape(low.groups * low.O, KD, KH, KW)
        if banding.bands.known.number >= 0:  # taps of a vector adjoin
            where = _padded(where, 0, lanes.blocks * lanes.pixel).reshape(lanes.blocks, lanes.pixel, KH * KW)
            vectors = channel_order(lanes.pixel, banding.vector)
            return frozen(where[:, vectors].swapaxes(2, 3).reshape(-1))
        where = _padded(np.concatenate([where] * lanes.unit), 0, lanes.blocks * banding.wide)
        where = np.moveaxis(where.reshape(lanes.blocks, -1, KD, KH, KW), 1, -1)
    else:
        rows, phases = max(1, lanes.together), banding.bands.phases
        where = where[..., [j for p in range(phases) for j in range(p, KW, phases)]]
        where = _padded(where, 1, lanes.inner * rows).reshape(low.groups, lanes.inner, rows, low.C, KD, KH, KW)
        where = where.transpose(0, 1, 3, 4, 6, 5, 2)
    return frozen(where.reshape(-1))


@kept
def bias_order(low: Lowered, banding: Banding) -> np.ndarray:
    """Which bias comes where tiles read, as `weight_order`."""
    where = np.arange(low.groups * low.O)
    if banding.lanes.kind == BROADCAST:
        return frozen(where)
    return frozen(_padded(np.tile(where, banding.lanes.unit), 0, banding.lanes.blocks * banding.wide))


def _padded(where: np.ndarray, axis: int, length: int) -> np.ndarray:
    missing = [(0, 0)] * where.ndim
    missing[axis] = (0, length - where.shape[axis])
    return np.pad(where, missing)
