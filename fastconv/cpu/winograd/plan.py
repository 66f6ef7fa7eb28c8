"""How Winograd's method cuts a problem: the tile size, blocks of tiles, and the sizes of everything in scratch.

An *item* is a rectangle of tiles of one plane, a *block* a run of items; the products of a block are t*t products of
matrices with a row per tile. Transformed filters take four times the memory of filters, so there are two ways:

* *fused*: a task does one block with all filters. They lie transformed in memory (prepared), or each thread transforms
  them for itself: lines that another core has just written cost it more than the arithmetic.
* *streamed*: a task does one block with one panel of many filters, which it transforms a chunk at a time and uses for
  the whole block; the block's transformed inputs stay with the thread from panel to panel.

All of this is arithmetic on the problem's sizes and the host's vector width; sizes are in elements.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from functools import lru_cache

from ...config import settings
from ...problem import Triple
from ...simd.host import host, tile_rows
from ..blocking import WANTED_TASKS, panel_lanes
from ..items import Grid
from ..lowering import Lowered

OWN_FILTERS = 3 << 20  # bytes of transformed filters that each thread makes for itself
PREPARED_FILTERS = 24 << 20  # bytes of them that may be kept, and are read again for each fused block
FEW_TILES = 56  # tiles that are one streamed block: its panels are enough tasks
STREAMED_INPUTS = 4 << 20  # bytes of transformed inputs of a block that meets panel after panel
LEAST_TILES, MOST_TILES = 28, 112  # of a streamed block: enough to earn the transform of the filters
CHUNK = 128  # input channels whose filters are transformed at a time
MOST_ROUNDS = 4  # of the micro-kernel's rows in a fused block
LINE = 64  # bytes of a cache line
TAPS = 9


@dataclass(frozen=True)
class Shape:
    """A convolution of stride 1 with 3x3 filters, as far as its cut depends on it; C and O are those of a group."""

    N: int
    groups: int
    C: int
    O: int  # noqa: E741 - the field's name for output channels
    out: Triple
    itemsize: int
    in_place: bool  # inputs are read as they lie
    staged: bool  # outputs go by way of scratch

    @staticmethod
    def of(low: Lowered, itemsize: int) -> Shape:
        """The shape of a lowered problem."""
        in_place = low.C == 1 or low.x_strides[1] == 1
        staged = low.O > 1 and low.y_strides[1] != 1
        return Shape(max(1, low.N), low.groups, low.C, low.O, low.out, itemsize, in_place, staged)

    @property
    def operations(self) -> int:
        """Of the direct method."""
        return 2 * self.N * self.groups * self.O * math.prod(self.out) * self.C * TAPS

    def tiles(self, m: int) -> int:
        """Tiles of all images."""
        return self.N * self.out[0] * -(-self.out[1] // m) * -(-self.out[2] // m)

    @property
    def lanes(self) -> int:
        """Output channels of a panel."""
        return panel_lanes(self.O, self.itemsize)

    @property
    def panels(self) -> int:
        """Panels of a group."""
        return -(-self.O // self.lanes)

    def pitch(self, channels: int) -> int:
        """Distance of rows of `channels` elements: whole vectors, but not a multiple of 2 KiB (of few cache sets)."""
        vector = host().lanes(self.itemsize)
        pitch = -(-channels // vector) * vector
        return pitch + LINE // self.itemsize if pitch * self.itemsize % 2048 == 0 else pitch

    def strip_size(self, rows: int, cols: int, channels: int) -> int:
        """Scratch for a strip of rows x cols pixels; the last transpose may run over."""
        return (rows * cols + host().lanes(self.itemsize)) * self.pitch(channels)


@dataclass(frozen=True)
class Cut:
    """The cut of a forward problem."""

    m: int
    lanes: int
    streamed: bool
    grid: Grid  # for `items.locate_item`, which counts tiles here
    tiles: int  # of a block, at most
    pixel: int  # pitch of a tile's channels
    channels: int
    chunk: int  # input channels whose filters are packed and transformed at a time
    own_filters: int  # panels whose transformed filters a thread has in its scratch
    packed_size: int  # scratch for packing the filters of a chunk
    strip_size: int
    staging_size: int

    @property
    def panels(self) -> int:
        """Panels of one group."""
        return self.grid[3]

    @property
    def blocks(self) -> int:
        """Blocks of one group."""
        return self.grid[4]

    @property
    def frequencies(self) -> int:
        """Products for each tile and pair of channels."""
        return (self.m + 2) ** 2

    @property
    def planes(self) -> tuple[int, int, int]:
        """Pitches of planes: a block's inputs, its products with one panel, the transformed filters of a panel."""
        return (
            plane_pitch(self.tiles * self.pixel), plane_pitch(self.tiles * self.lanes),
            plane_pitch((self.chunk if self.streamed else self.channels) * self.lanes),
        )  # fmt: skip

    @property
    def sizes(self) -> tuple[int, int, int]:
        """Elements of all these planes."""
        v, p, u = self.planes
        return self.frequencies * v, self.frequencies * p, self.frequencies * u

    @property
    def places(self) -> tuple[int, ...]:
        """Where things lie in a thread's scratch (see `parts`)."""
        v, p, u = self.sizes
        packed = self.packed_size if self.own_filters else 0
        return parts(self.pixel, self.lanes, self.strip_size, self.staging_size, v, p, self.own_filters * u, packed)


def parts(*sizes: int) -> tuple[int, ...]:
    """Where parts of scratch of the given sizes begin, on cache lines, and where the last one ends."""
    ends = [0]
    for size in sizes:
        ends.append(ends[-1] + -(-size // 16) * 16)
    return tuple(ends)


def plane_pitch(size: int) -> int:
    """The distance of planes of `size` elements: an odd number of cache lines, so that they spread over the cache."""
    return (-(-size // 16) | 1) * 16


def output_tile(shape: Shape) -> int:
    """2 or 4: the m of F(m x m, 3x3) that takes fewer multiplications; the more accurate 2 if that is no loss."""
    return min((2, 4), key=lambda m: (shape.tiles(m) * (m + 2) ** 2, m))


@lru_cache(maxsize=1024)
def cut(shape: Shape, prepared: bool) -> Cut:
    """Choose the tile size, the way and the blocks of a forward problem."""
    m = output_tile(shape)
    lanes, panels, pixel, frequencies = shape.lanes, shape.panels, shape.pitch(shape.C), (m + 2) ** 2
    filters = frequencies * shape.C * panels * lanes * shape.itemsize
    streamed = _is_streamed(shape.groups * shape.tiles(m), panels, filters, prepared)
    if streamed:
        most, wanted = _streamed_tiles(frequencies * pixel * shape.itemsize), 1
    else:
        most, wanted = _fused_tiles(frequencies * (pixel + lanes) * shape.itemsize), WANTED_TASKS
    rows, cols, items = item_blocks(shape, m, most, wanted)
    chunk = min(shape.C, CHUNK)
    return Cut(
        m=m,
        lanes=lanes,
        streamed=streamed,
        grid=tile_grid(shape, m, rows, cols, items),
        tiles=items * rows * cols,
        pixel=pixel,
        channels=shape.C,
        chunk=chunk,
        own_filters=1 if streamed else 0 if prepared else panels,
        packed_size=(chunk + host().lanes(shape.itemsize)) * TAPS * lanes,  # the last transpose may run over
        strip_size=0 if shape.in_place else shape.strip_size(rows * m + 2, cols * m + 2, shape.C),
        staging_size=rows * cols * m * m * lanes if shape.staged else 0,
    )


def _is_streamed(tiles: int, panels: int, filters: int, prepared: bool) -> bool:
    """Which way: `filters` are the bytes of a group's transformed filters."""
    if prepared:
        return filters > (OWN_FILTERS if tiles < tile_rows() else PREPARED_FILTERS)
    return filters > OWN_FILTERS or (tiles <= FEW_TILES and panels >= 4)


def _streamed_tiles(each: int) -> int:
    """Tiles of a streamed block, of `each` bytes of transformed inputs."""
    return min(MOST_TILES, max(LEAST_TILES, STREAMED_INPUTS // each))


def _fused_tiles(each: int) -> int:
    """Tiles of a fused block, of `each` bytes in all planes: whole rounds of the micro-kernel's rows that fit."""
    return tile_rows() * min(MOST_ROUNDS, max(1, 3 * settings.tile_bytes // 2 // (tile_rows() * each)))


def item_blocks(shape: Shape, m: int, most: int, wanted: int) -> tuple[int, int, int]:
    """Rows and columns of tiles of an item, and items of a block: at most `most` tiles, if possible `wanted` blocks."""
    TH, TW, planes = -(-shape.out[1] // m), -(-shape.out[2] // m), max(1, shape.N * shape.out[0])
    least = tile_rows() // 2  # smaller products would not keep the multiply-add units busy
    wanted = min(wanted, shape.operations // settings.serial_flops, shape.groups * shape.tiles(m) // least)
    cols = -(-TW // -(-TW // most))
    rows = -(-TH // -(-TH // min(TH, max(1, most // cols))))

    def items() -> int:
        return planes * -(-TH // rows) * -(-TW // cols)

    while rows > 1 and shape.groups * items() < wanted:
        rows = -(-rows // 2)
    while cols > 4 and shape.groups * items() < wanted:
        cols = -(-cols // 2)
    together = max(1, min(most // (rows * cols), items() * shape.groups // max(1, wanted)))
    return rows, cols, -(-items() // -(-items() // together))


def tile_grid(shape: Shape, m: int, rows: int, cols: int, items: int) -> Grid:
    """Blocks of `items` items of rows x cols tiles in the form of `items.locate_item`."""
    TH, TW = -(-shape.out[1] // m), -(-shape.out[2] // m)
    row_blocks, col_blocks = -(-TH // rows), -(-TW // cols)
    all_items = shape.N * shape.out[0] * row_blocks * col_blocks
    return Grid(
        items, shape.panels, all_items, shape.panels, -(-all_items // items), 1, rows, cols, row_blocks, col_blocks,
        shape.out[0], TH, TW,
    )  # fmt: skip
