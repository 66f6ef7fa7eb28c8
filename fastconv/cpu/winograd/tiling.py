"""How Winograd's method cuts an output into tiles: their size, items, blocks, and the pitches of what is in scratch.

An *item* is a rectangle of tiles of one plane, a *block* a run of items; the products of a block are t*t products of
matrices with a row per tile. All of this is arithmetic on the problem's sizes and the host's vector width; sizes are in
elements.
"""

from __future__ import annotations

import math
from typing import NamedTuple

from ...config import settings
from ...problem import ConvProblem, Triple
from ...simd.host import host, tile_rows
from ..blocking import panel_lanes
from ..items import Grid
from ..lowering import Axes

LINE = 64  # bytes of a cache line
# What a block of tiles costs beside its products, in rows of a product: to read the filters, to transform them, and for
# each row of tiles of an item, and each tile at an edge of a strip.
FILTERS, TRANSFORM, EDGE = 3, 6.0, 0.25
TAPS = 9


class TileProblem(NamedTuple):
    """A convolution of stride 1 with 3x3 filters, as far as its cut depends on it; C and O are those of a group."""

    N: int
    groups: int
    C: int
    O: int  # noqa: E741 - the field's name for output channels
    out: Axes
    itemsize: int
    in_place: bool  # inputs are read as they lie
    staged: bool  # outputs go by way of scratch

    @staticmethod
    def of(problem: ConvProblem, out: Triple) -> TileProblem:
        """A problem, or a phase of it, whose result has the size `out`."""
        C, O = problem.inputs, problem.outputs
        if problem.op == "conv_input_grad":
            C, O = O, C
        in_place, staged = problem.channels_last or C == 1, not problem.channels_last and O > 1
        return TileProblem(max(1, problem.N), problem.groups, C, O, Axes(*out), problem.itemsize, in_place, staged)

    @property
    def operations(self) -> int:
        """Of the direct method."""
        return 2 * self.N * self.groups * self.O * math.prod(self.out) * self.C * TAPS

    def tiles(self, m: int) -> int:
        """Tiles of all images."""
        return self.N * self.out.d * -(-self.out.h // m) * -(-self.out.w // m)

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


def output_tile(size: TileProblem) -> int:
    """2 or 4: the m of F(m x m, 3x3) that takes fewer multiplications; the more accurate 2 if that is no loss."""
    return min((2, 4), key=lambda m: (size.tiles(m) * (m + 2) ** 2, m))


def tile_grid(size: TileProblem, m: int, most: int, wanted: int, streamed: bool = False) -> Grid:
    """Blocks of at most `most` tiles, if possible about `wanted` of them; rows and columns count tiles.

    Streamed, each block is a task with each panel, and has its filters transformed.
    """
    TH, TW = -(-size.out.h // m), -(-size.out.w // m)
    rows, cols, items = _item_blocks(size, TH, TW, m, most, wanted, streamed)
    row_blocks, col_blocks = -(-TH // rows), -(-TW // cols)
    all_items = size.N * size.out.d * row_blocks * col_blocks
    blocks = -(-all_items // items), 1, rows, cols, row_blocks, col_blocks
    return Grid(items, size.panels, all_items, size.panels, *blocks, size.out.d, TH, TW)


def _item_blocks(
    size: TileProblem, TH: int, TW: int, m: int, most: int, wanted: int, streamed: bool
) -> tuple[int, int, int]:
    """Rows and columns of tiles of an item, and items of a block: what takes least time, of equals the largest items.

    Items of one row of tiles let a block begin and end anywhere in an image.
    """
    tiles = size.groups * size.tiles(m)
    least = tile_rows() if tiles >= 4 * tile_rows() else tile_rows() // 2  # less reads filters too often
    enough = 3 * min(wanted, size.operations // settings.serial_flops, tiles // least) // (4 * size.groups)
    once, idle = (TRANSFORM, 1 / size.panels) if streamed else (0.0, 1.0)  # and the blocks for which a thread waits
    found = []
    for splits in range(-(-TW // most), max(TW // 4, -(-TW // most)) + 1):
        cols = -(-TW // splits)
        for rows in range(1, min(TH, most // cols) + 1):
            items = size.N * size.out.d * -(-TH // rows) * -(-TW // cols)
            for together in range(1, most // (rows * cols) + 1):
                blocks = -(-items // together)
                edges = rows + (0 if size.in_place else cols / m)
                time = (blocks + idle) * (_rounds(rows * cols * together) + once + EDGE * edges * together)
                found.append((blocks < enough, time, -rows * cols, rows, cols, together))
    return min(found)[3:]


def _rounds(tiles: int) -> int:
    """How long the products of a block take: each tile of the micro-kernel, and each read of the filters, cost some.

    Tiles of two heights read the filters twice.
    """
    count = -(-tiles // tile_rows())
    return tiles + count + (2 * FILTERS if tiles % count else FILTERS)


def parts(*sizes: int) -> tuple[int, ...]:
    """Where parts of scratch of the given sizes begin, on cache lines, and where the last one ends."""
    ends = [0]
    for size in sizes:
        ends.append(ends[-1] + -(-size // 16) * 16)
    return tuple(ends)


def plane_pitch(size: int) -> int:
    """The distance of planes of `size` elements: an odd number of cache lines, so that they spread over the cache."""
    return (-(-size // 16) | 1) * 16
