"""How Winograd's method cuts a lowered problem: the tile size, blocks of tiles, and where everything lies in scratch.

An *item* is a rectangle of tiles of one plane, a *block* a run of items; the products of a block are t*t matrix products
with a row per tile. Small filters banks (U, the transformed filters) are kept whole: each task transforms a block,
multiplies and transforms back, all in its core's cache (*fused*). Large ones never lie in memory: a first region
transforms the inputs of a round of blocks, a second one takes panel by panel of output channels, transforms a chunk of
filters at a time, and uses it for a whole block (*phased*).
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

import numpy as np

from ..borders import frozen
from ..config import settings
from ..simd.host import host, tile_rows
from .blocking import WANTED_TASKS, panel_lanes
from .lowering import Lowered
from .winograd_transforms import NOWHERE

FUSED_FILTERS = 3 << 20  # bytes of transformed filters that every block may read again
PHASED_TILES = 64  # tiles of a block whose filters are transformed on the fly: enough to earn that
CHUNK = 64  # input channels whose filters are transformed at a time


@dataclass(frozen=True, eq=False)
class Plan:
    """The cut of one lowered problem; sizes count elements."""

    m: int
    lanes: int
    panels: int
    phased: bool
    grid: tuple[int, ...]
    tiles: int  # of a block, at most
    blocks: int
    pixel: int  # pitch of the pixels of a strip, and of the rows of a plane of V
    plane: int  # pitch of V's planes in a block
    m_plane: int
    u_plane: int
    chunk: int
    strip: tuple[int, int, int]
    strip_size: int
    staging_size: int
    index: tuple[np.ndarray, np.ndarray, np.ndarray]
    row_at: np.ndarray
    col_at: np.ndarray

    @property
    def frequencies(self) -> int:
        return (self.m + 2) ** 2

    @property
    def v_size(self) -> int:
        """V of one block."""
        return self.frequencies * self.plane

    @property
    def m_size(self) -> int:
        """The products of one block with one panel."""
        return self.frequencies * self.m_plane

    @property
    def u_size(self) -> int:
        """The transformed filters of one panel, or of one chunk of it."""
        return self.frequencies * self.u_plane


def output_tile(out: tuple[int, int, int]) -> int:
    """2 or 4: the m of F(m x m, 3x3) that takes fewer multiplications; the more accurate 2 if that is no loss."""
    return min((2, 4), key=lambda m: (tile_count(out, m) * (m + 2) ** 2, m))


def tile_count(out: tuple[int, int, int], m: int) -> int:
    """Tiles of one image."""
    return out[0] * -(-out[1] // m) * -(-out[2] // m)


@lru_cache(maxsize=512)
def plan(low: Lowered, itemsize: int, m: int = 0) -> Plan:
    """Choose tile size (unless `m` forces it) and blocks."""
    m = m or output_tile(low.out)
    lanes, vector = panel_lanes(low.O, itemsize), host().lanes(itemsize)
    panels, t = -(-low.O // lanes), m + 2
    pixel = _spread(-(-low.C // vector) * vector, itemsize)
    phased = t * t * low.C * panels * lanes * itemsize > FUSED_FILTERS
    wanted = PHASED_TILES if phased else _fused_tiles(t * t * (pixel + lanes) * itemsize)
    TH, TW = -(-low.out[1] // m), -(-low.out[2] // m)
    rows, cols, items = _blocks(low, TH, TW, wanted, phased)
    row_blocks, col_blocks = -(-TH // rows), -(-TW // cols)
    all_items = low.N * low.out[0] * row_blocks * col_blocks
    blocks = -(-all_items // items)
    tiles = items * rows * cols
    line = 64 // itemsize
    in_place = low.C == 1 or low.x_strides[1] == 1
    height, width = rows * m + 2, cols * m + 2
    strip = (height * width * pixel, width * pixel, pixel)
    chunk = min(low.C, CHUNK) if phased else low.C
    return Plan(
        m=m,
        lanes=lanes,
        panels=panels,
        phased=phased,
        grid=(items, panels, all_items, panels, blocks, 1, rows, cols, row_blocks, col_blocks, low.out[0], TH, TW),
        tiles=tiles,
        blocks=blocks,
        pixel=pixel,
        plane=tiles * pixel + line,
        m_plane=tiles * lanes + line,
        u_plane=chunk * lanes + line,
        chunk=chunk,
        strip=strip,
        strip_size=0 if in_place else strip[0] + vector * pixel,
        staging_size=0 if low.O == 1 or low.y_strides[1] == 1 else rows * cols * m * m * lanes,
        index=(low.index[0], _longer(low.index[1], TH * m + 2), _longer(low.index[2], TW * m + 2)),
        row_at=_offsets(low.index[1], low.x_strides[3], TH * m + 2) if in_place else _count(height, strip[1]),
        col_at=_offsets(low.index[2], low.x_strides[4], TW * m + 2) if in_place else _count(width, pixel),
    )


def _fused_tiles(each: int) -> int:
    """Tiles of a fused block, of `each` bytes of V and products: whole rounds of the micro-kernel's rows."""
    return tile_rows() * min(4, max(1, 3 * settings.tile_bytes // 2 // (tile_rows() * each)))


def _blocks(low: Lowered, TH: int, TW: int, wanted: int, phased: bool) -> tuple[int, int, int]:
    """Rows and columns of tiles of an item, and items of a block."""
    cols = -(-TW // -(-TW // wanted))
    rows = min(TH, max(1, wanted // cols))
    rows = -(-TH // -(-TH // rows))
    planes = low.N * low.out[0]
    if low.work > WANTED_TASKS * settings.serial_flops and not phased:
        while rows > 1 and low.groups * planes * -(-TH // rows) * -(-TW // cols) < WANTED_TASKS:
            rows = -(-rows // 2)
        while cols > 4 and low.groups * planes * -(-TH // rows) * -(-TW // cols) < WANTED_TASKS:
            cols = -(-cols // 2)
    items = planes * -(-TH // rows) * -(-TW // cols)
    together = max(1, wanted // (rows * cols))
    if not phased:
        together = min(together, max(1, items * low.groups // WANTED_TASKS))
    return rows, cols, -(-items // -(-items // together))


def _spread(length: int, itemsize: int) -> int:
    """A pitch for `length` elements: a multiple of 2 KiB would put all rows into a few cache sets."""
    return length + 64 // itemsize if length * itemsize % 2048 == 0 else length


def _longer(index: np.ndarray, size: int) -> np.ndarray:
    """The border table, with zeros for what the last tile reads beyond the end."""
    return frozen(np.concatenate([index[:size], np.full(max(0, size - len(index)), -1, np.int64)]))


def _offsets(index: np.ndarray, stride: int, size: int) -> np.ndarray:
    """Where each padded row or column lies; then once more a tile of nothing, for planes that are border."""
    index = _longer(index, size)
    offsets = np.where(index < 0, NOWHERE, index * stride)
    return frozen(np.concatenate([offsets, np.full(6, NOWHERE, np.int64)]))


def _count(size: int, pitch: int) -> np.ndarray:
    return frozen(np.arange(size, dtype=np.int64) * pitch)


def zeros_size(low: Lowered, p: Plan) -> int:
    """Elements that stand for a pixel of the border, or for an absent bias."""
    return max(p.pixel, p.lanes)


def rounds(p: Plan, groups: int, itemsize: int) -> int:
    """Blocks whose V a phased call keeps at once."""
    return max(1, min(p.blocks, settings.scratch_bytes // (groups * p.v_size * itemsize)))


def taps_table(taps: np.ndarray, tap: int) -> tuple[np.ndarray, np.ndarray]:
    """Offsets of the rows and columns of a filter whose taps are `tap` apart, from the order they are summed in."""
    order = np.asarray(taps).reshape(3, 3)
    rows, cols = (order[:, 0] - order[:, 0].min()) * tap, (order[0] - order[0].min()) * tap
    return frozen(rows), frozen(cols)


def sizes(low: Lowered) -> int:
    return math.prod(low.out)
