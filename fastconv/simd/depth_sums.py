"""Gradients to depthwise 3x3 filters, lanes = channels: each sum of a filter has its own register.

    dw[u, v, c] += sum over rows r and columns q of a block of x[r*S + u, q*S + v, c] * dy[r, q, c]

The twin of `depth_sweep`: through the same tiles (`depth_tile`), whose results are now read and stay in registers, as
the sums of a filter do, while pixels of x come and go; x and dy are read where they lie. Sums are read and written
once a tile. Results that two tiles have are zeros in the second one, and so are pixels that are padding: where x or dy
is not finite, sums of other taps become NaN.

Cost: one multiply-add per lane and tap. As there, one C function per dtype, called by address.
"""

from __future__ import annotations

from typing import Any

from .depth_tile import AGAIN, HELD, ROW, SHAPES, DepthTile, Pixels, is_part, walk
from .emit import Emitter
from .family import Family

SUMMED = tuple(number for number, shape in enumerate(SHAPES) if shape.taps <= HELD)

SUMS = Family(
    "depth_sums",
    "channels table x x_row x_pixel y y_row y_pixel dw",
    elements="x y dw",
    integers="table",
    shape=SUMMED,
)
depth_sums_address = SUMS.address


@SUMS.caller
def depth_sums(address, shape, channels, table, table0, x, x0, x_row, x_pixel, y, y0, y_row, y_pixel, dw, dw0):
    """Add a block's sums to dw with the function at `address` (see `depth_sums_address`).

    `shape` counts in `SHAPES` and is one of `SUMMED`; `channels` are at least one vector, dw is in the order of
    `channel_order`, y are the gradients to the results. The places table (of `tile_table`, with `once`), x, y and dw
    are addresses with offsets; what is missing is not read. Channels are neighbours.
    """


@SUMS.member
def _sum_tiles(emit: Emitter, arg: Any, shape: int) -> None:
    """Tile by tile, each one vector of channels after the other."""
    tile = SHAPES[shape]
    summed = _Summed(emit, tile, arg)

    def vector(x: Any, y: Any, c: Any, dw: Any, missing: Any) -> None:
        places = [emit.at(dw, t * emit.lanes) for t in range(tile.taps**2)]
        sums = [emit.load(place) for place in places]
        cases = {0: lambda: summed.added(sums, x, y), 1: lambda: summed.added(sums, x, y, missing)}
        for total, place in zip(emit.choose(is_part(emit, missing), cases, sums), places, strict=True):
            emit.store(total, place)

    walk(emit, arg, arg.dw, vector, tile.taps**2 * emit.lanes)


class _Summed(Pixels):
    """Emits a tile."""

    def __init__(self, emit: Emitter, tile: DepthTile, arg: Any) -> None:
        super().__init__(emit, tile, arg)
        self.pixel = emit.steps(arg.y_pixel, tile.cols)

    def added(self, sums: list[Any], x: Any, y: Any, missing: Any = None) -> list[Any]:
        """The sums, by taps, and the products of a tile."""
        emit, tile, sums = self.emit, self.tile, list(sums)
        results = self._results(y, missing)
        for m, places in self.rows(x, missing):
            for k, place in enumerate(places):
                pixel = emit.load(place)
                for r, u in tile.met(m):
                    for j in range(tile.cols):
                        v, t = k - j * tile.stride, u * tile.taps + k - j * tile.stride
                        if 0 <= v < tile.taps:
                            sums[t] = emit.multiply_add(results[r, j], pixel, sums[t])
        return sums

    def _results(self, y: Any, missing: Any) -> dict[tuple[int, int], Any]:
        """The vectors of y, zeros where an earlier tile has had them."""
        emit, results = self.emit, {}
        for r in range(self.tile.rows):
            for j in range(self.tile.cols):
                place = self.pixel(y, j)
                if missing is None and self.ahead is not None:
                    emit.prefetch(emit.at(place, self.ahead))
                results[r, j] = emit.load(self.there(place, missing, 1 << AGAIN + j | 1 << AGAIN + ROW + r))
            y = emit.opaque(emit.at(y, self.arg.y_row))
        return results
