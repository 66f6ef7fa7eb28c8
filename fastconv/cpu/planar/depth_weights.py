"""The weight gradient of depthwise 3x3 filters, x and dy read where they lie (`simd.depth_sums`).

A task adds up some blocks of output pixels, in order, in a partial copy of dw. The number of copies depends on the
problem only: same bits for any number of threads.

Cost: 2*N*C*OD*OH*OW*taps operations. Extra memory: the partial copies. Error: below terms*eps*sum(|x|*|dy|), in
practice about its square root.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import NamedTuple

import numpy as np

from ...kept import kept
from ...memory import scratch
from ...simd.depth_sums import SUMMED, depth_sums, depth_sums_address
from ...simd.depth_tile import channel_order
from ...simd.fields import behind, fields, packed
from ...simd.lanes import address, peek, poke
from ...simd.parallel import parallel_kernel
from ...simd.vector import clear
from ...threads import team
from ..blocking import WANTED_TASKS
from ..lowering import Lowered, WeightStrides
from .bands import Banding, Bands, weight_order
from .kernels import locate_block, place_in_x
from .sweeps import sweep_tables


class Parts(NamedTuple):
    """What `_add_blocks` knows of its problem; the tables of `sweep_tables` lie behind it."""

    bands: Bands
    parts: int  # partial copies
    items: int


@dataclass(frozen=True, eq=False)
class DepthWeights:
    """How a problem's gradient is cut: blocks, and partial copies of so many elements."""

    low: Lowered
    banding: Banding
    parts: int
    size: int
    numbers: np.ndarray

    def run(self, x: np.ndarray, dy: np.ndarray, dw: np.ndarray, at: WeightStrides) -> bool:
        """Write the gradient to dw; False where it is of no use, for x or dy hold NaN or Inf."""
        partial, total = scratch((self.parts * self.size,), x.dtype), np.empty(1, x.dtype)
        _add_blocks(
            team(self.parts, self.low.work), self.parts, x.reshape(-1), dy.reshape(-1), self.low.tables[0],
            self.numbers, partial, depth_sums_address(x.itemsize),
        )  # fmt: skip
        _add_parts(1, 1, partial, weight_order(self.low, self.banding, at), dw.reshape(-1), total)
        return bool(np.isfinite(total[0]))


@kept
def depth_weights(low: Lowered, banding: Banding) -> DepthWeights | None:
    """The cut of a problem of a known filter that is read in place, else None."""
    bands, lanes = banding.bands, banding.lanes
    if not bands.known.in_place or bands.known.number not in SUMMED or low.y_strides.c != 1:
        return None
    items = low.N * low.out[0] * bands.row_blocks * bands.col_blocks
    parts, size = min(items, WANTED_TASKS), len(low.taps) * channel_order(lanes.pixel, banding.vector).size
    tables = sweep_tables(low, bands.known, (bands.rows, bands.cols), (0, 0), low.y_strides, once=True)
    return DepthWeights(low, banding, parts, size, packed(Parts(bands, parts, items), *tables))


@parallel_kernel
def _add_blocks(thread, first, last, x, dy, planes_at, numbers, partial, sums):
    """Each task: its items in order, all added to one partial copy."""
    p = fields(Parts, numbers)
    n, tables, size = p.bands, behind(p), partial.size // p.parts
    for part in range(first, last):
        clear(partial, part * size, size)
        for item in range(p.items * part // p.parts, p.items * (part + 1) // p.parts):
            _, here = locate_block(n, item)
            dy0 = here.image * n.low.y.n + here.plane * n.low.y.d + here.row0 * n.low.y.h + here.col0 * n.low.y.w
            block = here.row0 // n.rows * n.col_blocks + here.col0 // n.cols
            depth_sums(
                sums, n.known.number, n.lanes.pixel, tables, peek(tables, block), address(x),
                place_in_x(n, here.image * n.low.x.n, planes_at, here), n.low.x.h, n.low.x.w, address(dy), dy0,
                n.low.y.h, n.low.y.w, address(partial), part * size,
            )  # fmt: skip


@parallel_kernel
def _add_parts(thread, first, last, partial, where, dw, total):
    """One task: the copies, added up in order, to their places in dw; their total is finite where all of them are."""
    size, found = where.size, partial[0] - partial[0]
    for part in range(size, partial.size, size):
        for i in range(size):
            poke(partial, i, peek(partial, i) + peek(partial, part + i))
    for i in range(size):
        found += partial[i]
        dw[where[i]] = partial[i]
    total[0] = found
