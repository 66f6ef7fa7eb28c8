"""Items, the blocks of output pixels that tasks are made of: where each lies, and how its input is brought together.

A task of `panels`, of `weight_grad` or of Winograd's method does some items with some panels of output channels;
`blocking` says how large they are.
"""

from __future__ import annotations

from typing import NamedTuple

from ..simd.jit import kernel
from ..simd.vector import clear, copy
from .lowering import Axes
from .pack import pack_strip


class Grid(NamedTuple):
    """The items of a problem: of a task, in all; their tasks; the rows and columns of one; the output's size."""

    items: int
    panels: int
    all_items: int
    all_panels: int
    item_blocks: int
    panel_blocks: int
    rows: int
    cols: int
    row_blocks: int
    col_blocks: int
    OD: int
    OH: int
    OW: int


class Block(NamedTuple):
    """A block of output pixels in one plane of an image."""

    image: int
    plane: int
    row0: int
    rows: int
    col0: int
    cols: int


class Source(NamedTuple):
    """How the input of an item is read: as it lies, from a strip, or from its unfolded matrix."""

    pitch: Axes  # distances of planes, rows and pixels
    item_size: int  # elements of a strip or matrix, 0 where x is read as it lies
    unfolded: int  # of a row of the matrix, 0 where there is none
    channels: int  # of a pixel, zeros that make up pairs included
    strip_size: int


@kernel
def locate_item(item, grid):
    """The block of output pixels that is an item."""
    col0, row0 = item % grid.col_blocks * grid.cols, item // grid.col_blocks % grid.row_blocks * grid.rows
    plane = item // grid.col_blocks // grid.row_blocks
    rows, cols = min(grid.rows, grid.OH - row0), min(grid.cols, grid.OW - col0)
    return Block(plane // grid.OD, plane % grid.OD, row0, rows, col0, cols)


@kernel
def gather_item(low, source, grid, item, x, x0, index, tap_offsets, dst, at, spare):
    """Bring the input of one item to dst[at:]: its strip, or by way of a strip at dst[spare:] its unfolded matrix."""
    here, stride, pitch = locate_item(item, grid), low.stride, source.pitch
    corner = Axes(here.plane * stride.d, here.row0 * stride.h, here.col0 * stride.w)
    height, width = (here.rows - 1) * stride.h + low.span.h + 1, (here.cols - 1) * stride.w + low.span.w + 1
    size = Axes(low.span.d + 1, height, width)
    strip = spare if source.unfolded else at
    x0 += here.image * low.x.n
    if source.channels > low.C:
        clear(dst, strip, source.strip_size)
    pack_strip(x, x0, low.x, low.C, index, corner, size, (low.left, low.right), dst, strip, pitch)
    if source.unfolded:
        for r in range(here.rows):
            for q in range(here.cols):
                pixel = strip + r * stride.h * pitch.h + q * stride.w * pitch.w
                row = at + (r * grid.cols + q) * source.unfolded
                for t in range(tap_offsets.size):
                    copy(dst, row + t * source.channels, dst, pixel + tap_offsets[t], source.channels)
