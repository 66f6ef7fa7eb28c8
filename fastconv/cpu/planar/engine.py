"""Planar filtering: how the direct method serves problems whose lanes of output channels would idle.

    y[n, o, i] = b[o] + sum over t, c of xp[n, c, i*stride + offset[t]] * w[tap[t], c, o]

With few output channels in a group (one image, depthwise layers) the lanes of a vector are neighbouring pixels of a
row, or channels with a filter each (`lanes.Lanes`), and a tile holds several output rows that share each
vector of the input (`simd/filter_tile`). It works on lowered problems, so convolutions in one, two and three
dimensions, any stride, dilation and padding mode, and the gradient to the input are the same code.

Known depthwise filters (`sweeps`) read x in place, of bfloat16 too: widened as it is loaded, rounded as it is stored.

Cost: 2*N*O*OD*OH*OW*C/groups*taps operations, rows or channels rounded up to whole vectors. Extra memory: the weights
once more, and per thread a band of about ``FASTCONV_TILE_BYTES`` (and, where results are rearranged, a block of them).
Error: below terms*eps*sum(|x|*|w|), in practice about its square root. Sums run in one order for any thread count.
"""

from __future__ import annotations

from dataclasses import dataclass
from functools import cached_property

import numpy as np

from ...kept import kept
from ...memory import scratch
from ...processors import last_cache
from ...simd.depth_sweep import depth_address
from ...simd.filter_tile import filter_tile_address
from ...simd.host import host
from ...threads import team
from ..halves import widen
from ..lowering import Lowered, WeightStrides
from ..pack import gathered
from .bands import Banding, bias_order, choose_banding, weight_order
from .kernels import filter_blocks, sweep_blocks
from .lanes import OutputRow, by_channels, by_pixels, serves

SINGLE = np.dtype(np.float32)
NO_BIAS = {4: np.empty(0, np.float32), 8: np.empty(0, np.float64)}
SHARE = 2  # of the last cache, which others use too, what may be ours is one part in so many
STREAM_BYTES = (last_cache() or 32 << 20) // SHARE  # of x and y, from which on y is written past the caches


@dataclass(frozen=True, eq=False)
class PlanarEngine:
    """All that a lowered problem's calls have in common; made once by `planar_engine`."""

    low: Lowered
    banding: Banding

    def panels(self, w: np.ndarray, at: WeightStrides) -> np.ndarray:
        """The weights in the order in which tiles read them, those of 16 bits in float32; they serve several calls."""
        if w.itemsize == 2:
            bits, w = w.reshape(-1), scratch((w.size,), SINGLE)
            widen(bits, w)
        return gathered(w, weight_order(self.low, self.banding, at))

    @cached_property
    def _bias_order(self) -> np.ndarray:
        return bias_order(self.low, self.banding)

    def run(self, x: np.ndarray, panels: np.ndarray, b: np.ndarray | None, y: np.ndarray, relu: bool) -> None:
        """Write the lowered problem's outputs to y; x and y are flat."""
        if self.low.N == 0:
            return
        members, banding, tables = team(self.banding.tasks, self.low.work), self.banding, self.low.tables
        bias = NO_BIAS[panels.itemsize] if b is None else gathered(b, self._bias_order)
        known, stream = banding.bands.known, self._streams(x, y)
        sweep = depth_address(x.itemsize, y.itemsize) if known.number >= 0 else 0
        if known.in_place:
            sweep_blocks(members, banding.tasks, x, panels, bias, y, tables[0], banding.numbers, relu, stream, sweep)
            return
        own, tile = scratch((members, banding.own), x.dtype), filter_tile_address(x.itemsize)
        filter_blocks(
            members, banding.tasks, x, panels, bias, y, *tables, banding.numbers, own, relu, stream, tile, sweep
        )  # fmt: skip

    def _streams(self, x: np.ndarray, y: np.ndarray) -> bool:
        """True where y is better written past the caches, which needs whole vectors at their places."""
        if x.nbytes + y.nbytes < STREAM_BYTES or self.banding.lanes.staged or x.itemsize == 2:
            return False
        vector = host().vector_bytes
        return self.banding.lanes.pixel * y.itemsize % vector == 0 and y.__array_interface__["data"][0] % vector == 0


@kept
def planar_engine(low: Lowered, itemsize: int) -> PlanarEngine | None:
    """The engine of a problem that planar filtering serves, else None."""
    served = serves(OutputRow.of(low), itemsize)
    if served is None or not len(low.taps):
        return None
    lanes = by_channels(low, itemsize) if served == "channels" else by_pixels(low, itemsize)
    return PlanarEngine(low, choose_banding(low, lanes, itemsize))


def sweeps_halves(low: Lowered) -> bool:
    """Whether x and y may be of bfloat16 in this problem: a known filter that reads x in place widens what it loads."""
    engine = planar_engine(low, SINGLE.itemsize)
    return engine is not None and engine.banding.bands.known.in_place > 0
