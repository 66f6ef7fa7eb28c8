"""How a forward problem of Winograd's method is cut.

Transformed filters take four times the memory of filters, so there are two ways:

* *fused*: a task does one block with all filters. They lie transformed in memory (prepared), or each thread transforms
  them for itself: lines that another core has just written cost it more than the arithmetic.
* *streamed*: a task does one block with one panel of many filters, which it transforms a chunk at a time and uses for
  the whole block; the block's transformed inputs stay with the thread from panel to panel.
"""

from __future__ import annotations

from functools import lru_cache
from typing import NamedTuple

from ...config import settings
from ...simd.host import host, tile_rows
from ..blocking import WANTED_TASKS
from ..items import Grid
from .tiling import TAPS, TileProblem, output_tile, parts, plane_pitch, tile_grid

OWN_FILTERS = 3 << 20  # bytes of transformed filters that each thread makes for itself
PREPARED_FILTERS = 24 << 20  # bytes of them that may be kept, and are read again for each fused block
FEW_TILES = 56  # tiles that are one streamed block: its panels are enough tasks
STREAMED_INPUTS = 4 << 20  # bytes of transformed inputs of a block that meets panel after panel
LEAST_TILES, MOST_TILES = 28, 112  # of a streamed block: enough to earn the transform of the filters
CHUNK = 128  # input channels whose filters are transformed at a time
MOST_ROUNDS = 4  # of the micro-kernel's rows in a fused block


class ForwardPlanes(NamedTuple):
    """Pitches of planes: a block's inputs, its products with one panel, the transformed filters of a panel."""

    v: int
    p: int
    u: int


class ForwardScratch(NamedTuple):
    """Where things lie in a thread's scratch, and where it ends."""

    zeros: int  # a pixel of the border
    strip: int
    staging: int
    v: int
    p: int
    u: int
    packed: int  # the filters of a chunk, packed for their transform
    end: int


class ForwardCut(NamedTuple):
    """The cut of a forward problem, as kernels read it too."""

    size: TileProblem
    m: int
    frequencies: int  # products for each tile and pair of channels
    lanes: int  # output channels of a panel
    streamed: bool
    grid: Grid  # of tiles
    tiles: int  # of a block, at most
    pixel: int  # pitch of a tile's channels
    chunk: int  # input channels whose filters are packed and transformed at a time
    packed_size: int  # elements for packing them
    planes: ForwardPlanes
    scratch: ForwardScratch

    @property
    def tasks(self) -> int:
        """Blocks of all groups, streamed with each panel."""
        return self.size.groups * self.grid.item_blocks * (self.grid.all_panels if self.streamed else 1)


@lru_cache(maxsize=1024)
def cut_forward(size: TileProblem, prepared: bool) -> ForwardCut:
    """Choose the tile size, the way and the blocks of a forward problem."""
    m = output_tile(size)
    lanes, panels, pixel, frequencies = size.lanes, size.panels, size.pitch(size.C), (m + 2) ** 2
    filters = frequencies * size.C * panels * lanes * size.itemsize
    streamed = _is_streamed(size.groups * size.tiles(m), panels, filters, prepared)
    if streamed:
        most, wanted = _streamed_tiles(frequencies * pixel * size.itemsize), 1
    else:
        most, wanted = _fused_tiles(frequencies * (pixel + lanes) * size.itemsize), WANTED_TASKS
    grid = tile_grid(size, m, most, wanted, streamed)
    tiles, chunk = grid.items * grid.rows * grid.cols, min(size.C, CHUNK)
    own_filters = 1 if streamed else 0 if prepared else panels  # panels whose filters a thread transforms for itself
    packed_size = (chunk + host().lanes(size.itemsize)) * TAPS * lanes  # the last transpose may run over
    strip_size = 0 if size.in_place else size.strip_size(grid.rows * m + 2, grid.cols * m + 2, size.C)
    planes = ForwardPlanes(
        v=plane_pitch(tiles * pixel),
        p=plane_pitch(tiles * lanes),
        u=plane_pitch((chunk if streamed else size.C) * lanes),
    )
    scratch = parts(
        pixel, strip_size, grid.rows * grid.cols * m * m * lanes if size.staged else 0, frequencies * planes.v,
        frequencies * planes.p, own_filters * frequencies * planes.u, packed_size if own_filters else 0,
    )  # fmt: skip
    return ForwardCut(
        size, m, frequencies, lanes, streamed, grid, tiles, pixel, chunk, packed_size, planes, ForwardScratch(*scratch)
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
