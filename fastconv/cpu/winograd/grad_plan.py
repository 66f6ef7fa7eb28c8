"""How Winograd's weight gradient is cut: blocks of tiles as in `plan`, and partial gradients.

Small gradients are *fused*: a task takes a run of blocks and keeps all products of its channels in its core's cache.
Large ones are *phased*: the planes of a round of blocks are made first, then panels and blocks of input channels, whose
products stay in the cache, are summed over the whole round.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import lru_cache

from ...config import settings
from ...simd.host import tile_rows
from ..blocking import WANTED_TASKS
from ..items import Grid
from .plan import TAPS, Shape, item_blocks, output_tile, parts, plane_pitch, tile_grid

FUSED_PRODUCTS = 1 << 20  # bytes of one group's products that a task may add to again and again
FUSED_TILES = 4 * tile_rows()  # tiles of a fused block: long sums between loading and storing the products
BLOCK_CHANNELS = 5 * tile_rows()  # input channels of a phased task


@dataclass(frozen=True)
class GradCut:
    """The cut of one weight gradient; sizes count elements."""

    m: int
    lanes: int
    phased: bool
    grid: Grid
    tiles: int  # of a block, at most
    pixels: tuple[int, int]  # pitches of a tile's channels: inputs, output gradients
    parts: int  # partial gradients: runs of blocks, or rounds
    channels: int  # input channels of one task's products
    strip_size: int

    @property
    def panels(self) -> int:
        """Panels of one group."""
        return self.grid[3]

    @property
    def frequencies(self) -> int:
        """Products for each tile and pair of channels."""
        return (self.m + 2) ** 2

    @property
    def round_blocks(self) -> int:
        """Blocks of one part."""
        return max(1, -(-self.grid[4] // self.parts))

    @property
    def planes(self) -> tuple[int, int, int]:
        """Pitches of planes: of the tiles that are there at once, inputs and output gradients, and of products."""
        tiles = self.tiles * (self.round_blocks if self.phased else 1)
        return (
            plane_pitch(tiles * self.pixels[0]), plane_pitch(tiles * self.pixels[1]),
            plane_pitch(self.channels * self.lanes),
        )  # fmt: skip

    @property
    def sizes(self) -> tuple[int, int, int]:
        """Elements of all these planes."""
        v, d, p = self.planes
        return self.frequencies * v, self.frequencies * d, self.frequencies * p

    @property
    def places(self) -> tuple[tuple[int, ...], ...]:
        """Where things lie in a thread's scratch (see `plan.parts`): for each parallel region."""
        v, d, p = self.sizes
        if not self.phased:
            return (parts(max(*self.pixels, self.lanes), self.strip_size, v, d, self.panels * p),)
        return parts(max(self.pixels), self.strip_size), parts(self.lanes, p)


@lru_cache(maxsize=512)
def cut(shape: Shape) -> GradCut:
    """Choose the tile size and the blocks of a weight gradient."""
    m = output_tile(shape)
    lanes, panels, frequencies, C = shape.lanes, shape.panels, (m + 2) ** 2, shape.C
    phased = frequencies * C * panels * lanes * shape.itemsize > FUSED_PRODUCTS
    rows, cols, items = item_blocks(shape, m, FUSED_TILES, WANTED_TASKS)
    grid, tiles = tile_grid(shape, m, rows, cols, items), items * rows * cols
    pixels, count = (shape.pitch(C), shape.pitch(shape.O)), max(1, grid[4])
    if phased:
        each = shape.groups * frequencies * tiles * sum(pixels) * shape.itemsize
        runs = -(-count // max(1, settings.scratch_bytes // 2 // each))
    else:
        size = shape.groups * panels * C * TAPS * lanes * shape.itemsize
        runs = min(count, -(-WANTED_TASKS // shape.groups), max(1, settings.scratch_bytes // 2 // size))
    strips = [] if shape.in_place else [shape.strip_size(rows * m + 2, cols * m + 2, C)]
    strips += [shape.strip_size(rows * m, cols * m, shape.O)] if shape.staged else []
    return GradCut(
        m=m,
        lanes=lanes,
        phased=phased,
        grid=grid,
        tiles=tiles,
        pixels=pixels,
        parts=-(-count // -(-count // runs)),
        channels=-(-C // -(-C // BLOCK_CHANNELS)) if phased else C,
        strip_size=max(strips, default=0),
    )
