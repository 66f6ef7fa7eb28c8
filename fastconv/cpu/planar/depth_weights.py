"""The weight gradient of depthwise 3x3 filters, x and dy read where they lie (`simd.depth_sums`).

A task adds up some blocks of output pixels, in order, in a partial copy of dw. The number of copies depends on the
problem only: same bits for any number of threads.

Cost: 2*N*C*OD*OH*OW*taps operations. Extra memory: the partial copies. Error: below terms*eps*sum(|x|*|dy|), in
practice about its square root.
"""

from __future__ import annotations

import math
from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ...kept import kept
from ...memory import scratch
from ...simd.depth_sums import SUMMED, depth_sums, depth_sums_address
from ...simd.depth_tile import channel_order
from ...simd.fields import behind, fields, packed
from ...simd.lanes import address, peek
from ...simd.parallel import parallel_kernel
from ...threads import team
from ..blocking import WANTED_TASKS
from ..lowering import Lowered, WeightStrides
from .bands import Banding, Bands
from .kernels import locate_block, place_in_x
from .sweeps import sweep_tables


class Parts(NamedTuple):
    """What `_add_blocks` knows of its problem; the tables of `sweep_tables` lie behind it."""

    bands: Bands
    parts: int  # partial copies
    items: int


@dataclass(frozen=True, eq=False)
class DepthWeights:
    """How a problem's gradient is cut: blocks and partial copies, and where the sums of a copy belong."""

    low: Lowered
    parts: int
    numbers: np.ndarray
    channels: np.ndarray

    def run(self, x: np.ndarray, dy: np.ndarray, dw: np.ndarray, at: WeightStrides) -> bool:
        """Write the gradient to dw; False where it is of no use, for x or dy hold NaN or Inf."""
        low, taps = self.low, len(self.low.taps)
        partial = scratch((self.parts, len(self.channels), taps, self.channels.shape[1]), x.dtype)
        partial.fill(0)
        _add_blocks(
            team(self.parts, low.work), self.parts, x.reshape(-1), dy.reshape(-1), low.tables[0], self.numbers,
            partial.reshape(-1), depth_sums_address(x.itemsize),
        )  # fmt: skip
        with np.errstate(all="ignore"):  # as silent as the compiled kernels
            total = partial.sum(axis=0)
            finite = math.isfinite(total.sum())
        dw.reshape(-1)[at.group * self.channels[:, None, :] + (at.tap * low.taps)[:, None]] = total
        return finite


@kept
def depth_weights(low: Lowered, banding: Banding) -> DepthWeights | None:
    """The cut of a problem of a known filter that is read in place, else None."""
    bands, lanes = banding.bands, banding.lanes
    if not bands.known.in_place or bands.known.number not in SUMMED or low.y_strides.c != 1:
        return None
    items = low.N * low.out[0] * bands.row_blocks * bands.col_blocks
    parts, channels = min(items, WANTED_TASKS), channel_order(lanes.pixel, banding.vector)
    tables = sweep_tables(low, bands.known, (bands.rows, bands.cols), (0, 0), low.y_strides, once=True)
    numbers = packed(Parts(bands, parts, items), *tables)
    return DepthWeights(low, parts, numbers, channels)


@parallel_kernel
def _add_blocks(thread, first, last, x, dy, planes_at, numbers, partial, sums):
    """Each task: its items in order, all added to one partial copy."""
    p = fields(Parts, numbers)
    n, tables, size = p.bands, behind(p), partial.size // p.parts
    for part in range(first, last):
        for item in range(p.items * part // p.parts, p.items * (part + 1) // p.parts):
            _, here = locate_block(n, item)
            dy0 = here.image * n.low.y.n + here.plane * n.low.y.d + here.row0 * n.low.y.h + here.col0 * n.low.y.w
            block = here.row0 // n.rows * n.col_blocks + here.col0 // n.cols
            depth_sums(
                sums, n.known.number, n.lanes.pixel, tables, peek(tables, block), address(x),
                place_in_x(n, here.image * n.low.x.n, planes_at, here), n.low.x.h, n.low.x.w, address(dy), dy0,
                n.low.y.h, n.low.y.w, address(partial), part * size,
            )  # fmt: skip
