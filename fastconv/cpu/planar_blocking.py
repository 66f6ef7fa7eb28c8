"""How planar filtering cuts a lowered problem: what the lanes are, which rows a tile shares, blocks and tables.

Lanes are neighbouring pixels of a row (kind BROADCAST: one weight serves all of them) or channels with a filter each
(kind LANES). A tile's rows are output rows, or for filters of one row output channels. The cut depends on the problem
and the host only, never on the number of threads. Sizes and offsets count elements.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache
from typing import NamedTuple

import numpy as np

from ..config import settings
from ..simd.filter_tile import BROADCAST, FILTER_ROWS, LANES, filter_vectors, range_code
from ..simd.host import host
from .blocking import WANTED_TASKS
from .lowering import Lowered, WeightStrides

LEAST_ROWS = 4 * FILTER_ROWS  # of a block: fewer would read too many rows of the input twice
MOST_ENTRIES = 512  # of a tile's table: more input channels are summed in rounds
CHANNEL_VECTORS = 4  # of a task, where channels must be transposed into lanes


class Axis(NamedTuple):
    """Taps of one axis: `count` of them, `step` padded elements apart."""

    count: int
    step: int

    @classmethod
    def of(cls, offsets: np.ndarray) -> Axis:
        """The taps that lie at `offsets`, in any order and number."""
        values = np.unique(offsets)
        return cls(len(values), int(values[1] - values[0]) if len(values) > 1 else 1)


class Lanes(NamedTuple):
    """What the lanes are.

    A vector spans `unit` columns. Where channels are lanes, a block has `pixel` of them in each column, each input
    channel `repeat` times; else `pixel` is 1. `inner` tiles that read the same columns follow each other: one for each
    output channel (or each `together` channels), or for each vector of channels.
    """

    kind: int
    unit: int
    pixel: int
    repeat: int
    inner: int
    together: int
    blocks: int
    in_place: bool
    staged: bool


@dataclass(frozen=True, eq=False)
class Planar:
    """The cut of one problem for `planar_kernels`, which says what the tuples mean."""

    lanes: Lanes
    taps: tuple[Axis, Axis, Axis]
    grid: tuple[int, ...]
    edges: np.ndarray
    tile: tuple[int, ...]
    weights: tuple[int, int, int, int]
    band: tuple[int, ...]
    band_size: int
    staging: tuple[int, int, int]
    staging_size: int
    template: np.ndarray
    starts: np.ndarray
    entries: int
    tasks: int


@lru_cache(maxsize=512)
def by_pixels(low: Lowered, itemsize: int) -> Lanes:
    """Lanes along a row; x's columns must be neighbours."""
    rows_shared = min(low.out[1], FILTER_ROWS) > 1 and len(np.unique(low.offsets[:, 1])) > 1
    blocks = 1 if rows_shared or low.O == 1 else -(-low.O // FILTER_ROWS)
    together = 0 if rows_shared or low.O == 1 else -(-low.O // blocks)
    inner = -(-low.O // together) if together else low.O
    staged = low.y_strides[4] != 1
    return Lanes(BROADCAST, host().lanes(itemsize), 1, 1, inner, together, low.groups, low.stride[2] == 1, staged)


@lru_cache(maxsize=512)
def by_channels(low: Lowered, itemsize: int) -> Lanes:
    """Lanes along the channels of a depthwise problem (C = 1); channels-first ones are transposed by blocks."""
    vector, channels = host().lanes(itemsize), low.groups * low.O
    if low.groups > 1 and (low.x_strides[1] != 1 or low.y_strides[1] != 1):
        pixel = min(CHANNEL_VECTORS * vector, -(-channels // vector) * vector)
        return Lanes(LANES, 1, pixel, 1, pixel // vector, 0, -(-channels // pixel), False, True)
    unit = vector // math.gcd(channels, vector)
    vectors = -(-channels // vector)
    filled = low.out[2] * channels / (-(-low.out[2] // unit) * unit * channels)
    if low.stride[2] != 1 or filled <= channels / (vectors * vector):
        unit = 1
    inner = -(-unit * channels // vector)
    return Lanes(LANES, unit, channels, low.O, inner, 0, 1, low.O == 1, False)


@lru_cache(maxsize=512)
def cut(low: Lowered, lanes: Lanes, itemsize: int) -> Planar:
    """Choose the blocks so that a task's rows stay in a core's own cache and every thread finds work."""
    vector, flat = host().lanes(itemsize), lanes.kind == BROADCAST
    taps = Axis.of(low.offsets[:, 0]), Axis.of(low.offsets[:, 1]), Axis.of(low.offsets[:, 2])
    (KD, _), (KH, dh), (KW, dw) = taps
    (_, sh, sw), (OD, OH, OW), (spanD, spanH, spanW) = low.stride, low.out, low.span
    common = math.gcd(sw, dw) if flat else sw
    phases = min(KW, sw // common)
    apart = 1 if lanes.together else dh // math.gcd(sh, dh)
    shift = 0 if lanes.together else sh * apart // dh
    rows, cols = _block(low, lanes, apart, itemsize)
    edges, reads = _edges(low, lanes, cols, vector)
    # A band's columns: in runs of one phase each, or with the channels of a pixel together.
    run = reads + spanW // sw + 1 if flat else ((reads - 1) * sw + spanW + 1) * lanes.pixel
    run = _spread(run, itemsize)
    pitch_c = (height := (rows - 1) * sh + spanH + 1) * (pitch_r := run * phases) * (spanD + 1)
    depth = max(1, min(low.C, MOST_ENTRIES // (KD * (shift * (FILTER_ROWS - 1) + KH) * phases)))
    round_ = _even(low.C, depth)
    padded = -(-lanes.unit * lanes.pixel // vector) * vector
    wide = max(1, lanes.together) if flat else padded
    w_step, w_row = (KH * wide, -1 if lanes.together else shift) if flat else (wide, shift * KW * wide)
    w_channel = KD * KH * KW * wide
    template, starts = _template(taps, lanes, sw, shift, round_, (pitch_c, run), phases, wide)
    x_step = dw // common if flat else dw * lanes.pixel
    column = (1, 0, vector) if flat else (lanes.pixel, 0, lanes.unit * lanes.pixel) if lanes.unit > 1 else (0, lanes.pixel, 0)
    inner = (0, low.C * w_channel, wide, 0) if flat else (vector,) * 4
    stage = (rows * cols, cols, 1) if flat else (1, cols * lanes.pixel, lanes.pixel)
    return Planar(
        lanes=lanes,
        taps=taps,
        grid=(lanes.blocks, OD, -(-OH // rows), -(-OW // cols), rows, cols, OH, OW),
        edges=edges,
        tile=(
            lanes.kind, lanes.unit, lanes.inner, 1 if lanes.together else FILTER_ROWS, apart, lanes.together,
            x_step, vector if flat else lanes.unit * sw * lanes.pixel, *column, *inner,
        ),  # fmt: skip
        weights=(w_step, w_row, w_channel, low.C * w_channel * (lanes.inner if flat else 1)),
        band=(pitch_c, height * pitch_r, pitch_r, run, phases, lanes.pixel, 1 if flat else sw * lanes.pixel, round_, dw),
        band_size=pitch_c * round_ + 2 * filter_vectors() * vector + vector * lanes.pixel,
        staging=stage,
        staging_size=rows * cols * (low.O if flat else lanes.pixel) if lanes.staged else 0,
        template=template,
        starts=starts,
        entries=int(np.diff(starts).max()),
        tasks=low.N * lanes.blocks * OD * -(-OH // rows) * -(-OW // cols),
    )


def _spread(length: int, itemsize: int) -> int:
    """Rows a multiple of 2 KiB apart would share a few cache sets."""
    return length + 64 // itemsize if length * itemsize % 2048 == 0 else length


def _even(count: int, most: int) -> int:
    """Parts of about equal size, `most` at most: the size of the largest."""
    return -(-count // -(-count // most))


def _block(low: Lowered, lanes: Lanes, apart: int, itemsize: int) -> tuple[int, int]:
    """Output rows and columns of a task."""
    (_, sh, sw), (OD, OH, OW), (spanD, spanH, spanW) = low.stride, low.out, low.span
    channels = min(low.C, 8) if lanes.kind == BROADCAST else lanes.pixel
    budget = settings.tile_bytes // itemsize // channels // (spanD + 1)
    whole = lanes.unit * filter_vectors()
    planes = low.N * lanes.blocks * OD
    worth_sharing = low.work > WANTED_TASKS * settings.serial_flops
    least = FILTER_ROWS * apart
    rows, cols = OH, OW
    if (sh * least + spanH) * (sw * OW + spanW) > budget:
        cols = max(whole, (budget // (sh * least + spanH) - spanW) // sw // whole * whole)
        cols = min(OW, cols)
    while rows > least and (sh * rows + spanH) * (sw * cols + spanW) > budget:
        rows = -(-rows // 2)
    while worth_sharing and rows > LEAST_ROWS * apart and planes * -(-OH // rows) * -(-OW // cols) < WANTED_TASKS:
        rows = -(-rows // 2)
    while worth_sharing and OH == 1 and cols > 2 * whole and planes * -(-OW // cols) < WANTED_TASKS:
        cols = -(-cols // 2 // whole) * whole
    if rows < OH:
        rows = min(OH, -(-rows // least) * least)
    return rows, cols


def _edges(low: Lowered, lanes: Lanes, cols: int, vector: int) -> tuple[np.ndarray, int]:
    """Per block of columns: its tiles, the first and past the last that read x in place; and most columns packed.

    A tile reads x in place where all its lanes, also those that are not stored, lie within the row.
    """
    OW, sw, span = low.out[2], low.stride[2], low.span[2]
    first, last = low.interior if lanes.in_place else (0, 0)
    beyond = 0 if lanes.unit > 1 or lanes.pixel % vector == 0 else -(-vector // lanes.pixel)
    edges, reads = [], 0
    for col0 in range(0, OW, cols):
        units = -(-min(cols, OW - col0) // lanes.unit)
        vectors = _even(units, filter_vectors())
        tiles = -(-units // vectors)
        bounds = [min(units, j * vectors) * lanes.unit for j in range(tiles + 1)]
        inside = [
            (col0 + bounds[j]) * sw >= first and (col0 + bounds[j + 1] - 1) * sw + span + beyond < last
            for j in range(tiles)
        ]
        left = inside.index(True) if any(inside) else tiles
        right = tiles - inside[::-1].index(True) if any(inside) else tiles
        edges.append((tiles, left, right))
        reads = max(reads, bounds[left], bounds[tiles] - bounds[right])
    return np.array(edges, dtype=np.int64), reads


def _template(
    taps: tuple[Axis, Axis, Axis], lanes: Lanes, sw: int, shift: int, channels: int, pitch: tuple[int, int],
    phases: int, wide: int,
) -> tuple[np.ndarray, np.ndarray]:  # fmt: skip
    """Entries of a tile of 1, 2, ... rows, one after the other, and where each begins.

    An entry is (channel, plane, row, place in a band, w_at, range code, count); planes and rows are padded ones.
    """
    (KD, dd), (KH, dh), (KW, dw) = taps
    entries: list[tuple[int, ...]] = []
    starts = [0, 0]
    for rows in range(1, 2 if lanes.together else FILTER_ROWS + 1):
        for c in range(channels):
            for d in range(KD):
                for m in range((rows - 1) * shift + KH):
                    met = [r for r in range(rows) if 0 <= m - r * shift < KH]
                    if not met:
                        continue
                    code = range_code(0, lanes.together) if lanes.together else range_code(met[0], met[-1] + 1)
                    before = 0
                    for p in range(phases):
                        count = -(-(KW - p) // phases)
                        place = c * pitch[0] + (p * pitch[1] + p * dw // sw if phases > 1 else 0)
                        if lanes.kind == BROADCAST:
                            w_at = (((c * KD + d) * KW + before) * KH + m) * wide
                        else:
                            w_at = (d * KH + m) * KW * wide
                        entries.append((c, d * dd, m * dh, place, w_at, code, count))
                        before += count
        starts.append(len(entries))
    return np.array(entries, dtype=np.int64).reshape(-1), np.array(starts, dtype=np.int64)


@lru_cache(maxsize=512)
def weight_order(low: Lowered, plan: Planar, at: WeightStrides) -> np.ndarray:
    """Which weight comes where tiles read: int64 offsets into w; lanes and rows that are not stored get any."""
    lanes, (KD, KH, KW) = plan.lanes, (axis.count for axis in plan.taps)
    g, o, c = np.arange(low.groups) * at.group, np.arange(low.O) * at.o, np.arange(low.C) * at.c
    where = g[:, None, None, None] + o[:, None, None] + c[:, None] + low.taps * at.tap
    where = where.reshape(low.groups, low.O, low.C, KD, KH, KW)
    if lanes.kind == LANES:
        where = where.reshape(low.groups * low.O, KD, KH, KW)
        where = _padded(np.concatenate([where] * lanes.unit), 0, lanes.blocks * plan.weights[0])
        where = np.moveaxis(where.reshape(lanes.blocks, -1, KD, KH, KW), 1, -1)
    else:
        phases, rows = plan.band[4], max(1, lanes.together)
        where = where[..., [j for p in range(phases) for j in range(p, KW, phases)]]
        where = _padded(where, 1, lanes.inner * rows).reshape(low.groups, lanes.inner, rows, low.C, KD, KH, KW)
        where = where.transpose(0, 1, 3, 4, 6, 5, 2)
    return np.ascontiguousarray(where).reshape(-1)


def bias_order(low: Lowered, plan: Planar) -> np.ndarray | None:
    """Which bias comes where tiles read, as `weight_order`; None where it is b as it stands."""
    if plan.lanes.kind == BROADCAST:
        return None
    return _padded(np.tile(np.arange(low.groups * low.O), plan.lanes.unit), 0, plan.lanes.blocks * plan.weights[0])


def _padded(where: np.ndarray, axis: int, length: int) -> np.ndarray:
    missing = [(0, 0)] * where.ndim
    missing[axis] = (0, length - where.shape[axis])
    return np.pad(where, missing)
