"""How a lowered problem is cut into tasks: blocks of output pixels and panels of output channels.

The cut depends on the problem and the host's vector width only, never on the number of threads, so that results do not
either. Sizes are in elements unless they say bytes.
"""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np

from ..config import settings
from ..kept import kept
from ..simd.host import TILE_VECTORS, factors, host, tile_rows
from .edges import Edges, edges
from .items import Grid, Source
from .lowering import Axes, Lowered

WANTED_TASKS = 16  # enough for a fair share per thread on small machines, few enough to keep halos small


@dataclass(frozen=True, eq=False)
class Blocking:
    """How one lowered problem is cut.

    Kernels find their items by `grid` and read them by `source`, or where x is read as it lies by `edges` too. A panel
    has `lanes` output channels. Taps that lie side by side are one term of the sum, of `depth` products, each of `step`
    elements; a task takes `round_terms` terms at a time. `staging_size` counts sums, of which one may take as much room
    as `step` elements. Consecutive tasks have the same items, or with `panels_apart` the same panels.
    """

    lanes: int
    grid: Grid
    source: Source
    edges: Edges
    staging_size: int
    depth: int
    step: int
    round_terms: int
    tasks: int
    panels_apart: bool
    tap_offsets: np.ndarray
    a_offsets: np.ndarray
    b_offsets: np.ndarray
    row_terms: np.ndarray

    @property
    def items_size(self) -> int:
        """Elements of scratch for the items of a task."""
        return self.grid.items * self.source.item_size

    def scratch_size(self, staging: bool) -> int:
        """Elements of scratch that a thread needs: its items, then room shared by strips to unfold and by staging."""
        staged = self.staging_size * self.step if staging else 0
        return self.items_size + max(staged, self.source.strip_size if self.source.unfolded else 0)


@kept
def choose_blocking(low: Lowered, itemsize: int, unfold: bool = False, whole: bool = False) -> Blocking:
    """Choose the blocks so that what a task reads again and again stays in a core's own cache.

    With `whole` no tap of an output may be left out.
    """
    lanes, taps, step = panel_lanes(low.O, itemsize), len(low.taps), factors(itemsize)
    channels = -(-low.C // step) * step
    unfolded = _spread(taps * channels, itemsize) if unfold else 0
    read = None if unfold or channels > low.C or whole and not low.reads_in_place else _in_place(low, itemsize)
    rows, cols = _pixels(low, lanes, settings.tile_bytes // itemsize, unfolded, read is not None)
    pixel = _spread(channels, itemsize)
    (D, H, W), (_, sh, sw) = low.span, low.stride
    height, width = (rows - 1) * sh + H + 1, (cols - 1) * sw + W + 1
    pitch = read.pitch if read else Axes(height * width * pixel, width * pixel, pixel)
    strip_size = (D + 1) * height * width * pixel + host().lanes(itemsize) * pixel  # the last transpose may run over
    item_size = 0 if read else rows * cols * unfolded if unfold else strip_size
    reads = item_size if taps == 1 else max(item_size, strip_size)
    grid = _grid(low, rows, cols, lanes, itemsize, reads, read is not None)
    offsets, width = low.offsets(pitch), low.reach[2].number
    merged = taps if unfold else width if low.reach[2].step * pitch.w == channels else 1
    return Blocking(
        lanes=lanes,
        grid=grid,
        source=Source(pitch, item_size, unfolded, channels, strip_size),
        edges=read or Edges(pitch, 0, 0, 0, 0, 0, low.out[2]),
        staging_size=grid.items * rows * cols * lanes,
        depth=merged * channels // step,
        step=step,
        round_terms=_round(taps // merged, merged * channels * lanes * itemsize),
        tasks=low.groups * grid.item_blocks * grid.panel_blocks,
        panels_apart=taps * channels * lanes * grid.all_panels > low.N * low.C * math.prod(b.length for b in low.index),
        tap_offsets=offsets,
        a_offsets=np.zeros(1, np.int64) if unfold else np.ascontiguousarray(offsets[::merged]),
        b_offsets=np.arange(taps // merged, dtype=np.int64) * (merged * channels * lanes),
        row_terms=np.tile(np.array([0, 1]), (low.out[1], 1)) if unfold else low.row_terms // merged,
    )


def _in_place(low: Lowered, itemsize: int) -> Edges | None:
    """How x is read as it lies; None where it cannot be, or where several taps of pixels share a few cache sets."""
    if len(low.taps) > 1 and not low.reads_in_place and low.x_strides.w * itemsize % 2048 == 0:
        return None
    return edges(low)


def _grid(low: Lowered, rows: int, cols: int, lanes: int, itemsize: int, item_size: int, in_place: bool) -> Grid:
    """Items of rows x cols pixels that read `item_size` elements, and how many of them and of panels a task does."""
    row_blocks, col_blocks = -(-low.out[1] // rows), -(-low.out[2] // cols)
    all_items = max(1, low.N) * low.out[0] * row_blocks * col_blocks
    all_panels = -(-low.O // lanes)
    items, panels = _group(low, all_items, all_panels, rows * cols, lanes * itemsize, item_size * itemsize, in_place)
    item_blocks, panel_blocks = -(-all_items // items), -(-all_panels // panels)
    blocks = item_blocks, panel_blocks, rows, cols, row_blocks, col_blocks
    return Grid(items, panels, all_items, all_panels, *blocks, *low.out)


def _round(terms: int, size: int) -> int:
    """Terms of one round, of `size` bytes of weights each: as many as half a core's cache holds, in equal rounds."""
    rounds = -(-terms // max(1, settings.tile_bytes // 2 // size))
    return -(-terms // rounds)


def _spread(length: int, itemsize: int) -> int:
    """A row pitch for `length` elements: rows a multiple of 2 KiB apart would share a few cache sets."""
    return length + 64 // itemsize if length * itemsize % 2048 == 0 else length


def panel_lanes(O: int, itemsize: int) -> int:
    """Output channels of one panel: two vectors, or one if that holds them all."""
    lanes = host().sums(itemsize)
    return lanes if lanes >= O else TILE_VECTORS * lanes


def _pixels(low: Lowered, lanes: int, budget: int, extra: int, in_place: bool) -> tuple[int, int]:
    """Rows and columns of an item: a strip within `budget` elements, and enough items for every thread."""
    (D, H, W), (_, sh, sw), (_, OH, OW) = low.span, low.stride, low.out

    def size(rows: int, cols: int) -> int:
        return (D + 1) * ((rows - 1) * sh + H + 1) * ((cols - 1) * sw + W + 1) * low.C + rows * cols * extra

    cols = OW
    if size(1, cols) > budget:
        first, each = size(1, 1), max(1, size(1, 2) - size(1, 1))
        fitting = 1 + max(0, budget - first) // each
        cols = min(OW, max(tile_rows(), fitting - fitting % tile_rows()))
    if in_place and OH == 1:  # what all panels read and write of an item should stay in the cache
        cols = min(cols, max(4 * tile_rows(), budget // (low.C + low.O)))
    rows, least = OH, min(4, OH)
    while rows > 1 and size(rows, cols) > budget:
        rows = -(-rows // 2)
    worth_sharing = low.work > WANTED_TASKS * settings.serial_flops
    panels = -(-low.O // lanes)
    planes = low.N * low.out[0] * max(1, panels // _least_panels(low, panels, in_place))
    while worth_sharing and rows > least and planes * -(-OW // cols) * -(-OH // rows) < WANTED_TASKS:
        rows = max(least, -(-rows // 2))
    while worth_sharing and OH == 1 and cols > 4 * tile_rows() and planes * -(-OW // cols) < WANTED_TASKS:
        cols = -(-cols // 2)
    if worth_sharing and OH == low.N * low.out[0] == 1:  # items of a size, as many for each thread
        blocks = -(-OW // cols)
        even = -(-blocks // WANTED_TASKS) * WANTED_TASKS
        cols = -(-OW // min(even, 1 << (blocks - 1).bit_length()))
    return -(-OH // -(-OH // rows)), cols


def _group(
    low: Lowered, items: int, panels: int, pixels: int, lane_bytes: int, strip: int, in_place: bool
) -> tuple[int, int]:
    """Items and panels of one task: weights larger than the cache should serve many pixels before they are dropped."""
    together = 1
    if panels * len(low.taps) * low.C * lane_bytes > settings.tile_bytes:
        fitting = max(1, 2 * settings.tile_bytes // max(1, strip))
        together = min(items, fitting, max(1, 256 // pixels))
    blocks = 1 << (-(-items // together) - 1).bit_length()  # a power of two shares evenly
    wanted = max(1, WANTED_TASKS // (low.groups * blocks))
    return -(-items // blocks), max(_least_panels(low, panels, in_place), -(-panels // wanted))


def _least_panels(low: Lowered, panels: int, in_place: bool) -> int:
    """Panels that a task should at least do: if it packs strips for them, it should earn that."""
    return 1 if in_place else min(panels, max(1, -(-36 // len(low.taps))))
