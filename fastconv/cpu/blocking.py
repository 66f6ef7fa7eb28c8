"""How a lowered problem is cut into tasks: blocks of output pixels and panels of output channels.

The cut depends on the problem and the host's vector width only, never on the number of threads, so that results do not
either. Sizes are in elements unless they say bytes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from ..config import settings
from ..kept import kept
from ..simd.host import TILE_VECTORS, host, tile_rows
from ..simd.jit import kernel
from .lowering import Lowered

WANTED_TASKS = 16  # enough for a fair share per thread on small machines, few enough to keep halos small


Grid = tuple[int, ...]


@dataclass(frozen=True, eq=False)
class Blocking:
    """The cut of one lowered problem.

    An *item* is a block of `rows` x `cols` output pixels of one plane; a task does `items` of them with some panels.
    `pitch` is the distance of planes, rows and pixels where input is read: in a strip, or in x itself. An item takes
    `item_size` elements of scratch: its strip, its unfolded matrix (rows of `unfolded` elements), or nothing where x is
    read in place. `grid` is what kernels need to find their items, see `locate`.
    """

    lanes: int
    items: int
    item_size: int
    strip_size: int
    staging_size: int
    unfolded: int
    depth: int
    round_terms: int
    pitch: tuple[int, int, int]
    tasks: int
    grid: Grid
    tap_offsets: np.ndarray
    a_offsets: np.ndarray
    b_offsets: np.ndarray
    row_terms: np.ndarray

    def scratch_size(self, staging: bool) -> int:
        """Elements of scratch that a thread needs: its items, then room shared by strips to unfold and by staging."""
        spare = max(self.staging_size if staging else 0, self.strip_size if self.unfolded else 0)
        return self.items * self.item_size + spare


@kernel
def locate(item, grid):
    """Image, output plane, and first and number of rows and columns of an item."""
    _, _, _, _, _, _, rows, cols, row_blocks, col_blocks, OD, OH, OW = grid
    col0, row0 = item % col_blocks * cols, item // col_blocks % row_blocks * rows
    plane = item // col_blocks // row_blocks
    return plane // OD, plane % OD, row0, min(rows, OH - row0), col0, min(cols, OW - col0)


@kept
def cut(low: Lowered, itemsize: int, unfold: bool = False) -> Blocking:
    """Choose the blocks so that what a task reads again and again stays in a core's own cache."""
    lanes, taps = panel_lanes(low.O, itemsize), len(low.taps)
    unfolded = _spread(taps * low.C, itemsize) if unfold else 0
    rows, cols = _pixels(low, lanes, settings.tile_bytes // itemsize, unfolded)
    row_blocks, col_blocks = -(-low.out[1] // rows), -(-low.out[2] // cols)
    all_items, all_panels = max(1, low.N) * low.out[0] * row_blocks * col_blocks, -(-low.O // lanes)
    pitch, strip_size = low.x_strides[2:], 0
    if unfold or not low.reads_in_place:
        pixel = _spread(low.C, itemsize)
        (D, H, W), (_, sh, sw) = low.span, low.stride
        height, width = (rows - 1) * sh + H + 1, (cols - 1) * sw + W + 1
        pitch = height * width * pixel, width * pixel, pixel
        strip_size = (D + 1) * pitch[0] + host().lanes(itemsize) * pixel  # the last transpose may run over
    item_size = rows * cols * unfolded if unfold else strip_size
    items, panels = _group(low, all_items, all_panels, rows * cols, lanes * itemsize, item_size * itemsize)
    item_blocks, panel_blocks = -(-all_items // items), -(-all_panels // panels)
    offsets = low.offsets @ np.array(pitch, dtype=np.int64)
    merged = taps if unfold else _adjoining_taps(offsets, low)
    return Blocking(
        lanes=lanes,
        items=items,
        item_size=item_size,
        strip_size=strip_size,
        staging_size=items * rows * cols * lanes,
        unfolded=unfolded,
        depth=merged * low.C,
        round_terms=_round(taps // merged, merged * low.C * lanes * itemsize),
        pitch=pitch,
        tasks=low.groups * item_blocks * panel_blocks,
        grid=(
            items,
            panels,
            all_items,
            all_panels,
            item_blocks,
            panel_blocks,
            rows,
            cols,
            row_blocks,
            col_blocks,
            *low.out,
        ),
        tap_offsets=offsets,
        a_offsets=np.zeros(1, np.int64) if unfold else np.ascontiguousarray(offsets[::merged]),
        b_offsets=np.arange(taps // merged, dtype=np.int64) * (merged * low.C * lanes),
        row_terms=np.tile(np.array([0, 1]), (low.out[1], 1)) if unfold else low.row_terms // merged,
    )


def _round(terms: int, size: int) -> int:
    """Terms of one round, of `size` bytes of weights each: as many as half a core's cache holds, in equal rounds."""
    rounds = -(-terms // max(1, settings.tile_bytes // 2 // size))
    return -(-terms // rounds)


def _adjoining_taps(offsets: np.ndarray, low: Lowered) -> int:
    """How many taps of a filter's row lie side by side with their channels: they make one longer inner sum."""
    width = len(np.unique(low.offsets[:, 2]))
    rows = offsets.reshape(-1, width)
    return width if (np.diff(rows, axis=1) == low.C).all() else 1


def _spread(length: int, itemsize: int) -> int:
    """A row pitch for `length` elements: rows a multiple of 2 KiB apart would share a few cache sets."""
    return length + 64 // itemsize if length * itemsize % 2048 == 0 else length


def panel_lanes(O: int, itemsize: int) -> int:
    """Output channels of one panel: two vectors, or one if that holds them all."""
    lanes = host().lanes(itemsize)
    return lanes if lanes >= O else TILE_VECTORS * lanes


def _pixels(low: Lowered, lanes: int, budget: int, extra: int) -> tuple[int, int]:
    """Rows and columns of an item: a strip within `budget` elements, and enough items for every thread."""
    (D, H, W), (_, sh, sw), (_, OH, OW) = low.span, low.stride, low.out

    def size(rows: int, cols: int) -> int:
        return (D + 1) * ((rows - 1) * sh + H + 1) * ((cols - 1) * sw + W + 1) * low.C + rows * cols * extra

    cols = OW
    if size(1, cols) > budget:
        first, each = size(1, 1), max(1, size(1, 2) - size(1, 1))
        fitting = 1 + max(0, budget - first) // each
        cols = min(OW, max(tile_rows(), fitting - fitting % tile_rows()))
    if low.reads_in_place and OH == 1:  # what all panels read and write of an item should stay in the cache
        cols = min(cols, max(4 * tile_rows(), budget // (low.C + low.O)))
    rows, least = OH, min(4, OH)
    while rows > 1 and size(rows, cols) > budget:
        rows = -(-rows // 2)
    worth_sharing = low.work > WANTED_TASKS * settings.serial_flops
    panels = -(-low.O // lanes)
    planes = low.N * low.out[0] * max(1, panels // _least_panels(low, panels))
    while worth_sharing and rows > least and planes * -(-OW // cols) * -(-OH // rows) < WANTED_TASKS:
        rows = max(least, -(-rows // 2))
    while worth_sharing and OH == 1 and cols > 4 * tile_rows() and planes * -(-OW // cols) < WANTED_TASKS:
        cols = -(-cols // 2)
    return -(-OH // -(-OH // rows)), cols


def _group(low: Lowered, items: int, panels: int, pixels: int, lane_bytes: int, strip: int) -> tuple[int, int]:
    """Items and panels of one task: weights larger than the cache should serve many pixels before they are dropped."""
    together = 1
    if panels * len(low.taps) * low.C * lane_bytes > settings.tile_bytes:
        fitting = max(1, 2 * settings.tile_bytes // max(1, strip))
        together = min(items, fitting, max(1, 256 // pixels))
    blocks = 1 << (-(-items // together) - 1).bit_length()  # a power of two shares evenly
    wanted = max(1, WANTED_TASKS // (low.groups * blocks))
    return -(-items // blocks), max(_least_panels(low, panels), -(-panels // wanted))


def _least_panels(low: Lowered, panels: int) -> int:
    """Panels that a task should at least do: it packs its strips for them, and should earn that."""
    return min(panels, max(1, -(-36 // len(low.taps))))
