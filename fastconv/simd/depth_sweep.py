"""Depthwise filters of a few known sizes, lanes = channels: each sum of a tile has its own register.

    y[r, q, c] = bias[c] + sum over u, v of w[u, v, c] * x[r*S + u, q*S + v, c]

for a block of rows r and columns q and all channels c. The tile of `filter_tile` takes any filter, as a table; here the
filter is in the code (`depth_tile`), so that a tile has nothing to set up. The taps of 3x3 stay in registers, and the
pixels come and go; of larger filters the pixels of a row of x stay, and the taps come and go, each for all columns of
the tile. Nothing is masked: where tiles overlap, outputs are computed again.

Cost: one multiply-add per lane and tap. As there, one C function per dtype, called by address.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from .depth_tile import HELD, SHAPES, DepthTile, Pixels, is_part, walk
from .emit import I64, Emitter
from .family import Family

ARGUMENTS = "channels table x x_row x_pixel w y y_row y_pixel bias biased relu stream"
KINDS: Any = {"elements": "x w y bias", "integers": "table", "shape": range(len(SHAPES))}
SWEEPS = Family("depth", ARGUMENTS, **KINDS)
#: x and y of bfloat16, or only x; neither is written past the caches.
HALVES = Family("depth_halves", ARGUMENTS, sums="w bias", rounded=True, widened=True, **KINDS)
WIDE = Family("depth_wide", ARGUMENTS, sums="w y bias", widened=True, **KINDS)


def depth_address(itemsize: int, result: int) -> int:
    """The function for elements of x, and of y, of so many bytes."""
    if itemsize > 2:
        return SWEEPS.address(itemsize)
    return (HALVES if result == 2 else WIDE).address(itemsize)


@SWEEPS.caller
def depth_sweep(
    address, shape, channels, table, table0, x, x0, x_row, x_pixel, w, w0, y, y0, y_row, y_pixel, bias, bias0, biased,
    relu, stream,
):  # fmt: skip
    """Filter a block with the function at `address` (see `depth_address`); the module's docstring has the sum.

    `shape` counts in `SHAPES`; `channels` are at least one vector, w is in the order of `channel_order`. The places
    table (of `tile_table`), x, w, y and bias are addresses with offsets; what is missing of x is not read. Channels are
    neighbours. `relu` replaces negative sums by zero and keeps NaN. With `stream` results are written past the caches;
    vectors of y must then be aligned.
    """


@HALVES.member
@WIDE.member
@SWEEPS.member
def _sweep_tiles(emit: Emitter, arg: Any, shape: int) -> None:
    """Tile by tile, each one vector of channels after the other."""
    tile = SHAPES[shape]
    sweep = _Sweep(emit, tile, arg)

    def vector(x: Any, y: Any, c: Any, w: Any, missing: Any) -> None:
        cases = {0: lambda: sweep.sums(x, w, c), 1: lambda: sweep.sums(x, w, c, missing)}
        sweep.store(emit.choose(is_part(emit, missing), cases, [emit.zero] * (tile.rows * tile.cols)), y)

    walk(emit, arg, arg.w, vector, tile.taps**2 * emit.lanes)
    with emit.builder.if_then(emit.is_set(arg.stream)):  # what was written past the caches is there before we are done
        emit.builder.fence("seq_cst")


class _Sweep(Pixels):
    """Emits a tile: what its sums start from without a bias, and are not to be below, lies in memory."""

    def __init__(self, emit: Emitter, tile: DepthTile, arg: Any) -> None:
        super().__init__(emit, tile, arg)
        b, biased = emit.builder, emit.is_set(arg.biased)
        self.floor = emit.apart(emit.floor(arg.relu))
        self.pixel = emit.steps(b.mul(arg.y_pixel, I64(emit.sum_units)), tile.cols)
        self.bias, self.each = b.select(biased, arg.bias, self.zeros), b.select(biased, I64(-1), I64(0))

    def sums(self, x: Any, w: Any, c: Any, missing: Any = None) -> list[Any]:
        """The sums of a tile for the vector from channel c on, row by row."""
        emit, tile, first = self.emit, self.tile, self._start(c)
        tap, add_row = emit.reader(w), _by_tap
        if tile.taps <= HELD:
            tap, add_row = [emit.load(emit.at(w, t * emit.lanes)) for t in range(tile.taps**2)].__getitem__, _by_pixel
        sums = {(r, j): first for r in range(tile.rows) for j in range(tile.cols)}
        for m, places in self.rows(x, missing):
            add_row(emit, tile, sums, m, places, tap)
        return list(sums.values())

    def _start(self, c: Any) -> Any:
        """The vector of the bias from channel c on, or zeros."""
        return self.emit.load(self.emit.at(self.bias, self.builder.and_(c, self.each)))

    def store(self, sums: list[Any], y: Any) -> None:
        """The sums, clipped, to the caches or past them."""
        emit, floor = self.emit, self.emit.load(self.floor)
        clipped = [emit.clip(value, floor) for value in sums]
        with self.builder.if_else(emit.is_set(self.arg.stream)) as (past, usual):
            for branch, store in ((past, emit.stream), (usual, emit.store)):
                with branch:
                    self._store(clipped, y, store)

    def _store(self, sums: list[Any], y: Any, store: Callable[[Any, Any], None]) -> None:
        tile = self.tile
        for r in range(tile.rows):
            for j in range(tile.cols):
                store(sums[r * tile.cols + j], self.pixel(y, j))
            y = self.emit.opaque(self.emit.at(y, self.arg.y_row))


Sums = dict[tuple[int, int], Any]
Value = Callable[[int], Any]


def _by_pixel(emit: Emitter, tile: DepthTile, sums: Sums, m: int, places: list[Any], tap: Value) -> None:
    """Add row m of x, whose pixels lie at `places`, to the sums of rows and columns: each pixel is read once."""
    for k, place in enumerate(places):
        pixel = emit.load(place)
        for r, u in tile.met(m):
            for j in range(tile.cols):
                v = k - j * tile.stride
                if 0 <= v < tile.taps:
                    sums[r, j] = emit.multiply_add(tap(u * tile.taps + v), pixel, sums[r, j])


def _by_tap(emit: Emitter, tile: DepthTile, sums: Sums, m: int, places: list[Any], tap: Value) -> None:
    """The same, in the same order for each sum: a tap is read once for the columns of a row."""
    pixels = [emit.load(place) for place in places]
    for r, u in tile.met(m):
        for v in range(tile.taps):
            factor = tap(u * tile.taps + v)
            for j in range(tile.cols):
                sums[r, j] = emit.multiply_add(factor, pixels[j * tile.stride + v], sums[r, j])
