"""How Winograd's weight gradient is cut: into blocks of tiles, and into partial gradients.

Small gradients are *fused*: a task takes a run of blocks and keeps all products of its channels in its core's cache.
Large ones are *phased*: the planes of a round of blocks are made first, then panels and blocks of input channels, whose
products stay in the cache, are summed over the whole round.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from ...config import settings
from ...simd.host import tile_rows
from ..blocking import WANTED_TASKS
from ..items import Grid
from .tiling import TAPS, TileProblem, output_tile, parts, plane_pitch, tile_grid

FUSED_PRODUCTS = 1 << 20  # bytes of one group's products that a task may add to again and again
FUSED_TILES = 4 * tile_rows()  # tiles of a fused block: long sums between loading and storing the products
BLOCK_CHANNELS = 5 * tile_rows()  # input channels of a phased task


class GradPlanes(NamedTuple):
    """Pitches of planes: of the tiles that are there at once, inputs and output gradients, and of products."""

    v: int
    d: int
    p: int


class GradScratch(NamedTuple):
    """Where things lie in a thread's scratch, and where it ends; phased, strips and products are there in turns."""

    zeros: int  # a pixel of the border
    strip: int
    v: int
    d: int
    p: int
    end: int


class GradCut(NamedTuple):
    """The cut of one weight gradient, as kernels read it too; sizes count elements."""

    size: TileProblem
    m: int
    frequencies: int  # products for each tile and pair of channels
    lanes: int  # output channels of a panel
    phased: bool
    grid: Grid  # of tiles
    x_pixel: int  # pitches of a tile's channels
    dy_pixel: int
    parts: int  # partial gradients: runs of blocks, or rounds
    part_size: int
    round_blocks: int  # blocks of a round
    channels: int  # input channels of one task's products
    planes: GradPlanes
    scratch: GradScratch

    @property
    def channel_blocks(self) -> int:
        """Tasks that share the input channels."""
        return -(-self.size.C // self.channels)

    @property
    def tasks(self) -> int:
        """Sums over runs of blocks, or over a round."""
        return self.size.groups * (self.grid.all_panels * self.channel_blocks if self.phased else self.parts)

    @property
    def planes_size(self) -> int:
        """Elements of the planes of all groups."""
        return self.size.groups * self.frequencies * (self.planes.v + self.planes.d)


@lru_cache(maxsize=512)
def cut_weight_grad(size: TileProblem) -> GradCut:
    """Choose the tile size and the blocks of a weight gradient."""
    m = output_tile(size)
    lanes, panels, frequencies, C = size.lanes, size.panels, (m + 2) ** 2, size.C
    phased = frequencies * C * panels * lanes * size.itemsize > FUSED_PRODUCTS
    grid = tile_grid(size, m, FUSED_TILES, WANTED_TASKS)
    tiles, blocks = grid.items * grid.rows * grid.cols, max(1, grid.item_blocks)
    x_pixel, dy_pixel = size.pitch(C), size.pitch(size.O)
    part_size = size.groups * panels * C * TAPS * lanes
    if phased:
        each = size.groups * frequencies * tiles * (x_pixel + dy_pixel) * size.itemsize
        runs = -(-blocks // max(1, settings.scratch_bytes // 2 // each))
    else:
        most = max(1, settings.scratch_bytes // 2 // (part_size * size.itemsize))
        runs = min(blocks, -(-WANTED_TASKS // size.groups), most)
    count = -(-blocks // -(-blocks // runs))
    round_blocks, channels = -(-blocks // count), -(-C // -(-C // BLOCK_CHANNELS)) if phased else C
    tiles *= round_blocks if phased else 1
    planes = GradPlanes(plane_pitch(tiles * x_pixel), plane_pitch(tiles * dy_pixel), plane_pitch(channels * lanes))
    scratch = _scratch(size, m, grid, phased, planes)
    return GradCut(
        size, m, frequencies, lanes, phased, grid, x_pixel, dy_pixel, count, part_size, round_blocks, channels, planes,
        scratch,
    )  # fmt: skip


def _scratch(size: TileProblem, m: int, grid: Grid, phased: bool, planes: GradPlanes) -> GradScratch:
    zeros = max(size.pitch(size.C), size.pitch(size.O))
    v, d, p = ((m + 2) ** 2 * pitch for pitch in planes)
    strips = [] if size.in_place else [size.strip_size(grid.rows * m + 2, grid.cols * m + 2, size.C)]
    strips += [size.strip_size(grid.rows * m, grid.cols * m, size.O)] if size.staged else []
    strip = max(strips, default=0)
    if not phased:
        return GradScratch(*parts(zeros, strip, v, d, size.panels * p))
    first, end = parts(zeros, max(strip, p))[1:]
    return GradScratch(zeros=0, strip=first, v=end, d=end, p=first, end=end)
