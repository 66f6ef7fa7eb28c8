"""How Winograd's method cuts a lowered problem: the tile size, blocks of tiles, and where everything lies in scratch.

An *item* is a rectangle of tiles of one plane, a *block* a run of items; the products of a block are t*t matrix products
with a row per tile. Few filters are transformed once and kept: each task then transforms a block, multiplies and
transforms back, all in its core's cache (*fused*). Many filters never lie in memory as a whole: one region transforms the
inputs of a round of blocks, a second one takes panel by panel of output channels, transforms a chunk of filters at a
time, and uses it for a whole block (*phased*).
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache
from typing import Any

import numpy as np

from ..borders import counting_index, frozen
from ..config import settings
from ..simd.host import host, tile_rows
from .blocking import WANTED_TASKS, panel_lanes
from .lowering import Lowered, Triple
from .winograd_transforms import NOWHERE

FUSED_FILTERS = 3 << 20  # bytes of transformed filters that every block may read again
PHASED_TILES = 128  # tiles of a block whose filters are transformed on the fly: enough to earn that
CHUNK = 128  # input channels whose filters are transformed at a time
MOST_ROUNDS = 4  # of the micro-kernel's rows in a fused block
MOST_POINTS = 6  # rows of the largest tile of inputs
LINE = 64  # bytes

Grid = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Side:
    """How tiles of an activation are read: in place through tables of offsets, or by way of a packed strip."""

    strides: tuple[int, int, int, int, int]
    channels: int
    pixel: int  # pitch of a tile's channels in a plane, and of the pixels of a strip
    plane_step: int
    halo: int  # what a tile reads beyond its m rows and columns
    index: tuple[np.ndarray, np.ndarray, np.ndarray]
    interior: tuple[int, int]
    row_at: np.ndarray
    col_at: np.ndarray
    strip: Triple
    strip_size: int

    def arguments(self, array: np.ndarray, m: int) -> tuple[Any, ...]:
        """What `winograd_tiles.transform_item` must know of it."""
        sizes = (m, self.channels, self.pixel, int(self.strip_size == 0), self.plane_step, self.halo)
        return (
            array.reshape(-1), self.strides, self.index, self.interior, self.row_at, self.col_at, self.strip, sizes,
        )  # fmt: skip


@dataclass(frozen=True, eq=False)
class Plan:
    """The cut of one lowered problem; sizes count elements."""

    m: int
    lanes: int
    panels: int
    phased: bool
    grid: Grid
    tiles: int  # of a block, at most
    x: Side
    chunk: int
    staging_size: int

    @property
    def blocks(self) -> int:
        """Blocks of one group."""
        return self.grid[4]

    @property
    def frequencies(self) -> int:
        """Products per tile and pair of channels."""
        return (self.m + 2) ** 2

    @property
    def v_plane(self) -> int:
        """Pitch of the planes of a block's transformed inputs."""
        return plane_pitch(self.tiles * self.x.pixel)

    @property
    def p_plane(self) -> int:
        """Pitch of the planes of a block's products with one panel."""
        return plane_pitch(self.tiles * self.lanes)

    @property
    def u_plane(self) -> int:
        """Pitch of the planes of the transformed filters of one panel, or of one chunk of it."""
        return plane_pitch(self.chunk * self.lanes)

    def rounds(self, groups: int, itemsize: int) -> int:
        """Blocks whose transformed inputs a phased call keeps at once."""
        return max(1, min(self.blocks, settings.scratch_bytes // (groups * self.frequencies * self.v_plane * itemsize)))


def plane_pitch(size: int) -> int:
    """The distance of planes of `size` elements: an odd number of cache lines, so that they spread over the cache."""
    return (-(-size // 16) | 1) * 16


def output_tile(out: Triple) -> int:
    """2 or 4: the m of F(m x m, 3x3) that takes fewer multiplications; the more accurate 2 if that is no loss."""
    return min((2, 4), key=lambda m: (tile_count(out, m) * (m + 2) ** 2, m))


def tile_count(out: Triple, m: int) -> int:
    """Tiles of one image."""
    return out[0] * -(-out[1] // m) * -(-out[2] // m)


@lru_cache(maxsize=512)
def plan(low: Lowered, itemsize: int, m: int = 0) -> Plan:
    """Choose the tile size (unless `m` forces it) and the blocks."""
    m = m or output_tile(low.out)
    lanes = panel_lanes(low.O, itemsize)
    panels, frequencies = -(-low.O // lanes), (m + 2) ** 2
    phased = frequencies * low.C * panels * lanes * itemsize > FUSED_FILTERS
    each = frequencies * (_pitch(low.C, itemsize) + lanes) * itemsize
    rows, cols, items = blocks(low, m, PHASED_TILES if phased else fused_tiles(each), 1 if phased else WANTED_TASKS)
    planar = low.O > 1 and low.y_strides[1] != 1
    return Plan(
        m=m,
        lanes=lanes,
        panels=panels,
        phased=phased,
        grid=grid(low, m, rows, cols, items, panels),
        tiles=items * rows * cols,
        x=input_side(low, m, rows, cols, itemsize),
        chunk=min(low.C, CHUNK) if phased else low.C,
        staging_size=rows * cols * m * m * lanes if planar else 0,
    )


def fused_tiles(each: int) -> int:
    """Tiles of a fused block, of `each` bytes in all planes: whole rounds of the micro-kernel's rows that fit."""
    return tile_rows() * min(MOST_ROUNDS, max(1, 3 * settings.tile_bytes // 2 // (tile_rows() * each)))


def blocks(low: Lowered, m: int, most: int, wanted: int) -> tuple[int, int, int]:
    """Rows and columns of tiles of an item, and items of a block of at most `most` tiles; if possible `wanted` blocks."""
    TH, TW, planes = -(-low.out[1] // m), -(-low.out[2] // m), low.N * low.out[0]
    if low.work < WANTED_TASKS * settings.serial_flops:
        wanted = 1
    cols = -(-TW // -(-TW // most))
    rows = -(-TH // -(-TH // min(TH, max(1, most // cols))))

    def items() -> int:
        return planes * -(-TH // rows) * -(-TW // cols)

    while rows > 1 and low.groups * items() < wanted:
        rows = -(-rows // 2)
    while cols > 4 and low.groups * items() < wanted:
        cols = -(-cols // 2)
    together = max(1, min(most // (rows * cols), items() * low.groups // wanted))
    return rows, cols, -(-items() // -(-items() // together))


def grid(low: Lowered, m: int, rows: int, cols: int, items: int, panels: int) -> Grid:
    """The blocks in the form of `blocking.locate`, which counts tiles here."""
    TH, TW = -(-low.out[1] // m), -(-low.out[2] // m)
    row_blocks, col_blocks = -(-TH // rows), -(-TW // cols)
    all_items = low.N * low.out[0] * row_blocks * col_blocks
    item_blocks = -(-all_items // items)
    return (
        items, panels, all_items, panels, item_blocks, 1, rows, cols, row_blocks, col_blocks, low.out[0], TH, TW,
    )  # fmt: skip


def input_side(low: Lowered, m: int, rows: int, cols: int, itemsize: int) -> Side:
    """How items of rows x cols tiles read x."""
    return _side(low.x_strides, low.C, low.stride[0], 2, low.index, low.interior, low.out, m, rows, cols, itemsize)


def output_side(low: Lowered, m: int, rows: int, cols: int, itemsize: int) -> Side:
    """How items of rows x cols tiles read an output gradient."""
    index = counting_index(low.out[0]), counting_index(low.out[1]), counting_index(low.out[2])
    return _side(low.y_strides, low.O, 1, 0, index, (0, low.out[2]), low.out, m, rows, cols, itemsize)


def _side(
    strides: tuple[int, int, int, int, int], channels: int, plane_step: int, halo: int,
    index: tuple[np.ndarray, np.ndarray, np.ndarray], interior: tuple[int, int], out: Triple, m: int, rows: int,
    cols: int, itemsize: int,
) -> Side:  # fmt: skip
    in_place = channels == 1 or strides[1] == 1
    pixel = _pitch(channels, itemsize)
    height, width = rows * m + halo, cols * m + halo
    strip = height * width * pixel, width * pixel, pixel
    longest = [-(-n // m) * m + halo for n in out[1:]]
    index = index[0], _longer(index[1], longest[0]), _longer(index[2], longest[1])
    return Side(
        strides=strides,
        channels=channels,
        pixel=pixel,
        plane_step=plane_step,
        halo=halo,
        index=index,
        interior=interior,
        row_at=_offsets(index[1], strides[3]) if in_place else frozen(np.arange(height) * strip[1]),
        col_at=_offsets(index[2], strides[4]) if in_place else frozen(np.arange(width) * pixel),
        strip=strip,
        strip_size=0 if in_place else strip[0] + host().lanes(itemsize) * pixel,  # the last transpose may run over
    )


def _pitch(channels: int, itemsize: int) -> int:
    """Whole vectors; but rows a multiple of 2 KiB apart would share a few cache sets."""
    lanes = host().lanes(itemsize)
    pitch = -(-channels // lanes) * lanes
    return pitch + LINE // itemsize if pitch * itemsize % 2048 == 0 else pitch


def _longer(index: np.ndarray, size: int) -> np.ndarray:
    """The border table, with zeros for what the last tile reads beyond the end."""
    return frozen(np.concatenate([index[:size], np.full(max(0, size - len(index)), -1, np.int64)]))


def _offsets(index: np.ndarray, stride: int) -> np.ndarray:
    """Where each padded row or column lies; then a tile of nothing, for planes that are border."""
    nothing = np.full(MOST_POINTS, NOWHERE, np.int64)
    return frozen(np.concatenate([np.where(index < 0, NOWHERE, index * stride), nothing]))
