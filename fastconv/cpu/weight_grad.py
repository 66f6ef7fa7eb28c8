"""The weight gradient of a lowered problem: the micro-kernel sums over pixels, channels of x against channels of dy.

A task owns some panels of dw and some items (blocks of output pixels), and adds them up in a partial copy of dw. The
number of partial copies depends on the problem only and they are added in order: same bits for any number of threads.
"""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np

from ..borders import counting_index
from ..config import settings
from ..kept import kept
from ..memory import scratch
from ..simd.fields import fields, packed
from ..simd.host import tile_rows
from ..simd.jit import kernel
from ..simd.lanes import address, peek
from ..simd.microkernel import ACCUMULATE, ZERO, multiply_tiles, tile_address
from ..simd.parallel import parallel_kernel
from ..simd.vector import lanes_of
from ..threads import team
from .blocking import WANTED_TASKS, choose_blocking
from .items import Grid, Source, gather_item, locate_item
from .lowering import Axes, Integers, Lowered, WeightStrides
from .pack import pack_strip

TILE_ROWS = tile_rows()
TERMS_TOGETHER = 256  # output pixels summed between two rounds of loading and storing the sums, where planes allow

PIXELS_OF_PART = 768  # at least, of each partial copy: then adding them up is little work


class Products(NamedTuple):
    """What `_accumulate` knows of its problem; sizes count elements."""

    low: Integers
    source: Source
    grid: Grid
    lanes: int  # output channels of a panel
    taps: int
    depth: int  # input channels of adjoining taps together
    parts: int  # partial copies of dw
    panels: int  # of a task
    panel_blocks: int
    together: int  # items summed at once
    a_row: int  # distances of rows and pixels of an item's input
    a_pixel: int
    dy_pitch: Axes  # of dy where it is read
    dy_size: int  # of an item's dy in scratch
    dy_at: int  # where it begins there
    in_place: bool  # dy is read as it lies
    spare: int


class PanelWeights(NamedTuple):
    """All that a lowered problem's gradients to the weights have in common; made once by `panel_weights`."""

    low: Lowered
    products: Products
    scratch_size: int  # elements that a thread needs
    numbers: np.ndarray
    tables: tuple[np.ndarray, ...]

    def run(self, x: np.ndarray, dy: np.ndarray, dw: np.ndarray, at: WeightStrides) -> None:
        """Write the gradient to dw."""
        low, products, own, numbers, tables = self
        if low.N == 0:
            dw[...] = 0
            return
        groups, parts, panels = low.groups, products.parts, products.grid.all_panels
        tasks, jobs = groups * parts * products.panel_blocks, groups * panels * len(low.taps)
        size = jobs * low.C * products.lanes
        members = team(tasks, low.work)
        own_of, partial = scratch((members, own), x.dtype), scratch((parts * size,), x.dtype)
        tile = tile_address(x.itemsize)
        _accumulate(members, tasks, x.reshape(-1), dy.reshape(-1), numbers, *low.tables, *tables, own_of, partial, tile)
        _reduce(
            team(jobs, parts * size), jobs, partial, parts, panels, low.C, low.O, products.lanes, low.taps, *at,
            dw.reshape(-1),
        )  # fmt: skip


@kept
def panel_weights(low: Lowered, itemsize: int, unfold: bool) -> PanelWeights:
    """Cut the gradient to the weights of a lowered problem into tasks; with `unfold` by way of im2col's matrix."""
    block = choose_blocking(low, itemsize, unfold, whole=True)
    grid, source, lanes, y = block.grid, block.source, block.lanes, low.y_strides
    rows, cols = grid.rows, grid.cols
    copy = low.groups * grid.all_panels * len(low.taps) * low.C * lanes
    pixels = max(1, low.N) * math.prod(low.out)
    found = low.groups, grid.all_items, grid.all_panels, copy * itemsize
    parts, panels = share(*found, 0)
    if source.item_size or low.N * low.x_strides.n * itemsize > 2 * settings.tile_bytes * parts:
        parts, panels = share(*found, pixels)  # what others have read is not in the cache, or has to be packed anew
    in_place = low.O % lanes == 0 and y.c == 1
    dy_pitch = Axes(y.d, y.h, y.w) if in_place else Axes(0, cols * panels * lanes, panels * lanes)
    dy_size = 0 if in_place else (rows * cols + lanes) * panels * lanes
    a_row, a_pixel = low.stride[1] * source.pitch.h, low.stride[2] * source.pitch.w
    if unfold:
        a_row, a_pixel = cols * source.unfolded, source.unfolded
    # Small planes are summed several at once: fewer rounds of loading and storing the sums.
    whole = (1, rows, cols) == low.out
    together = max(1, min(grid.all_items // parts, TERMS_TOGETHER // (rows * cols))) if whole else 1
    dy_at = together * source.item_size
    spare = dy_at + together * dy_size
    products = Products(
        low.integers,
        source,
        grid,
        lanes=lanes,
        taps=len(block.a_offsets),
        depth=block.depth,
        parts=parts,
        panels=panels,
        panel_blocks=-(-grid.all_panels // panels),
        together=together,
        a_row=a_row,
        a_pixel=a_pixel,
        dy_pitch=dy_pitch,
        dy_size=dy_size,
        dy_at=dy_at,
        in_place=in_place,
        spare=spare,
    )
    tables = (
        *map(counting_index, low.out),
        block.tap_offsets,
        block.a_offsets,
        _rows_of_planes(together, source.item_size or low.x_strides.n, rows, a_row),
        _rows_of_planes(together, y.n if in_place else dy_size, rows, dy_pitch.h),
    )
    return PanelWeights(low, products, spare + (block.source.strip_size if unfold else 0), packed(products), tables)


def share(groups: int, items: int, panels: int, size: int, pixels: int) -> tuple[int, int]:
    """Partial copies of dw, of `size` bytes each, and panels of one task: enough tasks, and few copies to add up.

    More copies rather than fewer panels as long as each copy sums many of the `pixels`: all tasks read their input.
    """
    wanted, most = -(-WANTED_TASKS // groups), max(1, min(items, settings.scratch_bytes // size))
    if not pixels:
        blocks = min(panels, wanted)
        return min(most, -(-wanted // blocks)), -(-panels // blocks)
    worth = 1 << max(1, pixels // PIXELS_OF_PART).bit_length() - 1  # a power of two shares evenly
    parts = min(most, worth, wanted)
    return parts, -(-panels // min(panels, -(-wanted // parts)))


def _rows_of_planes(planes: int, plane: int, rows: int, row: int) -> np.ndarray:
    """Offsets of the rows of several planes, one after the other."""
    return (plane * np.arange(planes)[:, None] + row * np.arange(rows)).reshape(-1).astype(np.int64)


@parallel_kernel
def _accumulate(
    thread, first, last, x, dy, numbers, planes_at, rows_at, cols_at, dy_planes, dy_rows, dy_cols, tap_offsets, taps,
    a_offsets, b_offsets, own, partial, tile,
):  # fmt: skip
    """Each task: its items in order, each added to one partial copy of its panels."""
    p, mine = fields(Products, numbers), own[thread]
    index, dy_index = (planes_at, rows_at, cols_at), (dy_planes, dy_rows, dy_cols)
    low, grid, source, lanes, whole_row = p.low, p.grid, p.source, p.lanes, (0, dy_cols.size)
    tables = address(taps), address(a_offsets), address(b_offsets)
    for task in range(first, last):
        panel0, part = task % p.panel_blocks * p.panels, task // p.panel_blocks % p.parts
        group = task // p.panel_blocks // p.parts
        panel1 = min(grid.all_panels, panel0 + p.panels)
        item0, item1 = grid.all_items * part // p.parts, grid.all_items * (part + 1) // p.parts
        x0, channel = group * low.C * low.x.c, group * low.O + panel0 * lanes
        count = min(low.O - panel0 * lanes, (panel1 - panel0) * lanes)
        for item in range(item0, item1, p.together):
            planes, here = min(p.together, item1 - item), locate_item(item, grid)
            corner, size = Axes(here.plane, here.row0, here.col0), Axes(np.int64(1), here.rows, here.cols)
            a, a0 = address(mine), 0
            if not source.item_size:
                a, a0 = address(x), x0 + here.image * low.x.n + here.plane * low.stride.d * source.pitch.d
                a0 += here.row0 * p.a_row + here.col0 * p.a_pixel
            b, b0 = address(mine), p.dy_at
            if p.in_place:
                b, b0 = address(dy), here.image * low.y.n + channel + here.plane * low.y.d
                b0 += here.row0 * low.y.h + here.col0 * low.y.w
            for i in range(planes):
                if source.item_size:
                    at = i * source.item_size
                    gather_item(low, source, grid, item + i, x, x0, index, tap_offsets, mine, at, p.spare)
                if not p.in_place:
                    dy0, at = (here.image + i) * low.y.n + channel * low.y.c, p.dy_at + i * p.dy_size
                    pack_strip(dy, dy0, low.y, count, dy_index, corner, size, whole_row, mine, at, p.dy_pitch)
            start = ZERO if item == item0 else ACCUMULATE
            for panel in range(panel0, panel1):
                at = ((part * low.groups + group) * grid.all_panels + panel) * p.taps * p.depth * lanes
                columns = min(lanes, low.O - panel * lanes)
                _add_products(
                    p, planes * here.rows, here.cols, a, a0, b, b0 + (panel - panel0) * lanes, tables,
                    address(partial), at, columns, start, tile,
                )  # fmt: skip


@kernel
def _add_products(p, rows, cols, a, a0, b, b0, tables, partial, at, columns, start, tile):
    """Add the products of an item's pixels to one panel of dw: tiles of input channels, tap by tap."""
    taps, a_offsets, b_offsets = tables
    vectors = 1 if columns <= lanes_of(a) else 2
    tiles, lanes = -(-p.depth // TILE_ROWS), p.lanes
    height, taller = p.depth // tiles, p.depth % tiles
    for t in range(p.taps):
        for c, size, count in ((0, height + 1, taller), (taller * (height + 1), height, tiles - taller)):
            if count:
                multiply_tiles(
                    tile, size, vectors, rows, a_offsets, 0, b_offsets, 0, cols, a, a0 + peek(taps, t) + c, 1,
                    p.a_pixel, b, b0, p.dy_pitch.w, partial, at + (t * p.depth + c) * lanes, lanes, columns, start,
                    partial, 0, False, count,
                )  # fmt: skip


@parallel_kernel
def _reduce(thread, first, last, partial, parts, all_panels, C, O, lanes, taps, group_at, tap_at, c_at, o_at, dw):
    """Each task adds up the partial copies of one tap of one panel, in order, and writes them where they belong."""
    block = C * lanes
    size = partial.size // parts
    for task in range(first, last):
        total = partial[task * block : (task + 1) * block]
        for part in range(1, parts):
            more = partial[part * size + task * block : part * size + (task + 1) * block]
            for i in range(total.size):
                total[i] += more[i]
        panel = task // taps.size % all_panels
        at = task // taps.size // all_panels * group_at + taps[task % taps.size] * tap_at + panel * lanes * o_at
        for c in range(C):
            for o in range(min(lanes, O - panel * lanes)):
                dw[at + c * c_at + o * o_at] = total[c * lanes + o]
