"""Depthwise filters of a few known sizes, lanes = channels: each sum of a tile has its own register.

    y[r, q, c] = bias[c] + sum over u, v of w[u, v, c] * x[r*S + u, q*S + v, c]

for a block of rows r and columns q and all channels c. The tile of `filter_tile` takes any filter, as a table; here the
filter is in the code (`SHAPES`), so that a tile has nothing to set up. The taps of 3x3 stay in registers, and the pixels
come and go; of larger filters the pixels of a row of x stay, and the taps come and go, each for all columns of the
tile. What is in a table are the places of the tiles (`tile_table`), and which of their pixels of x are padding: these
are read from zeros elsewhere, so that x is read where it lies, border and all. At a place all vectors of channels are
filtered before the next one: memory is read and written in the order in which it lies, which it gives twice as fast.
Where rows, columns or channels are no whole number of tiles, the last tile begins earlier and computes some outputs
again: nothing is masked.

Cost: one multiply-add per lane and tap. As there, one C function per dtype, called by address.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from .emit import I64, Emitter
from .family import Family
from .host import host
from .vector import settle


class DepthTile(NamedTuple):
    """A filter of `taps` x `taps` at a stride, and the rows and columns of its tile."""

    taps: int
    stride: int
    rows: int
    cols: int

    @property
    def wide(self) -> int:
        """Pixels of x that a row of the tile meets."""
        return (self.cols - 1) * self.stride + self.taps

    @property
    def high(self) -> int:
        """Rows of x that the tile meets."""
        return (self.rows - 1) * self.stride + self.taps

    @property
    def asks_ahead(self) -> bool:
        """Whether whole tiles ask for pixels of later ones: where memory takes longer than the products.

        Those of stride 2 read so much for each product that asking for it, too, would take more than it gives.
        """
        return self.taps <= HELD and self.stride == 1

    @property
    def border(self) -> int:
        """Rows and pixels at either end of these that may be padding."""
        return self.taps // 2

    def met(self, m: int) -> Iterator[tuple[int, int]]:
        """Rows of the tile that row m of x adds to, each with its row of taps."""
        for r in range(self.rows):
            if 0 <= m - r * self.stride < self.taps:
                yield r, m - r * self.stride


if host().registers == 32:
    SHAPES = (
        DepthTile(3, 1, 4, 3),
        DepthTile(3, 2, 3, 4),
        DepthTile(5, 1, 4, 4),
        DepthTile(5, 2, 3, 4),
        DepthTile(7, 1, 3, 4),
    )
else:
    SHAPES = (
        DepthTile(3, 1, 3, 2),
        DepthTile(3, 2, 3, 2),
        DepthTile(5, 1, 2, 3),
        DepthTile(5, 2, 2, 2),
        DepthTile(7, 1, 2, 2),
    )
HELD = 3  # taps of a row up to which all stay in registers
AHEAD = 2  # tiles in a row, from a pixel to the one that is asked for
RUN = 5  # pixels that share a base: more would need more registers for their distances

ENTRY = 3  # integers of a tile in a table: where it reads and writes, and what is padding,
ROW = 16  # a bit for each pixel of its rows of x, then for each row;
LAST = -(1 << 63)  # and whether it is the last

SWEEPS = Family(
    "depth",
    "channels table x x_row x_pixel w y y_row y_pixel bias biased relu stream",
    elements="x w y bias",
    integers="table",
    shape=range(len(SHAPES)),
)
depth_address = SWEEPS.address


class Span(NamedTuple):
    """A block's outputs along one axis, and which of the elements of x that they meet are there: first to before end.

    The elements, of x and of y, are so far apart.
    """

    outputs: int
    first: int
    end: int
    x: int
    y: int


def tile_table(tile: DepthTile, rows: Span, columns: Span) -> np.ndarray:
    """The tiles of a block, as `depth_sweep` takes them; at most `tile.border` elements at an end are not there."""
    x_row, y_row, rows_missing = _along(tile.rows, tile.high, tile.stride, rows)
    x_column, y_column, pixels_missing = _along(tile.cols, tile.wide, tile.stride, columns)
    missing = rows_missing[:, None] << ROW | pixels_missing
    missing[-1, -1] |= LAST
    return np.stack([x_row[:, None] + x_column, y_row[:, None] + y_column, missing], axis=-1).reshape(-1)


def _along(size: int, met: int, stride: int, span: Span) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Where tiles of `size` outputs lie along an axis, in x and in y, and bits for what they meet that is not there."""
    last = span.outputs - size
    at = np.array([*range(0, last, size), last], np.int64)
    places = at[:, None] * stride + np.arange(met)
    missing = ((places < span.first) | (places >= span.end)) << np.arange(met)
    return at * stride * span.x, at * span.y, missing.sum(axis=1)


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


def channel_order(channels: int, lanes: int) -> np.ndarray:
    """Which channels the vectors of a sweep hold, a row each: the last one begins earlier if it would be short.

    The taps of a vector lie behind each other, then those of the next: ``w[vector, tap, lane]``.
    """
    first = np.minimum(np.arange(0, channels, lanes), channels - lanes)
    return first[:, None] + np.arange(lanes)


@SWEEPS.member
def _sweep_tiles(emit: Emitter, arg: Any, shape: int) -> None:
    """Tile by tile, each one vector of channels after the other: whole pixels come and go, as memory has them."""
    b, tile = emit.builder, SHAPES[shape]
    sweep, last = _Sweep(emit, tile, arg), b.sub(arg.channels, I64(emit.lanes))

    def one(entry: Any) -> tuple[Any, list[Any]]:
        x, y = (emit.at(base, b.load(emit.at(entry, i))) for i, base in enumerate((arg.x, arg.y)))
        missing = b.load(emit.at(entry, 2))
        part = b.icmp_signed("!=", b.shl(missing, I64(1)), I64(0))

        def vector(c: Any, w: Any) -> tuple[Any, list[Any]]:
            place, w = emit.at(x, c), emit.opaque(w)
            cases = {0: lambda: sweep.sums(place, w, c), 1: lambda: sweep.sums(place, w, c, missing)}
            sums = emit.choose(part, cases, [emit.zero] * (tile.rows * tile.cols))
            sweep.store(sums, emit.at(y, c))
            following = b.add(c, I64(emit.lanes))
            following = b.select(b.icmp_signed("<", following, last), following, last)
            return b.icmp_signed("<", c, last), [following, emit.at(w, tile.taps**2 * emit.lanes)]

        emit.loop([I64(0), arg.w], vector)
        return b.icmp_signed(">=", missing, I64(0)), [emit.at(entry, ENTRY)]

    emit.loop([arg.table], one, end_first=True)


class _Sweep:
    """Emits a tile: what its sums start from without a bias, and are not to be below, lies in memory."""

    def __init__(self, emit: Emitter, tile: DepthTile, arg: Any) -> None:
        self.emit, self.builder, self.tile, self.arg = emit, emit.builder, tile, arg
        self.floor, self.zeros = emit.apart(emit.floor(arg.relu)), emit.apart(emit.zero)
        b, biased = emit.builder, emit.is_set(arg.biased)
        self.bias, self.each = b.select(biased, arg.bias, self.zeros), b.select(biased, I64(-1), I64(0))
        self.ahead = emit.opaque(b.mul(arg.x_pixel, I64(AHEAD * tile.cols))) if tile.asks_ahead else None
        self.column, self.pixel = emit.steps(arg.x_pixel, RUN), emit.steps(arg.y_pixel, tile.cols)

    def sums(self, x: Any, w: Any, c: Any, missing: Any = None) -> list[Any]:
        """The sums of a tile for the vector from channel c on, row by row; `missing` has a bit for what is padding."""
        emit, tile, first = self.emit, self.tile, self._start(c)
        tap, add_row = emit.reader(w), _by_tap
        if tile.taps <= HELD:
            tap, add_row = [emit.load(emit.at(w, t * emit.lanes)) for t in range(tile.taps**2)].__getitem__, _by_pixel
        sums = {(r, j): first for r in range(tile.rows) for j in range(tile.cols)}
        for m in range(tile.high):
            add_row(emit, tile, sums, m, list(self._places(x, m, missing)), tap)
            x = emit.opaque(emit.at(x, self.arg.x_row))
        return list(sums.values())

    def _start(self, c: Any) -> Any:
        """The vector of the bias from channel c on, or zeros."""
        return self.emit.load(self.emit.at(self.bias, self.builder.and_(c, self.each)))

    def _places(self, line: Any, m: int, missing: Any) -> Iterator[Any]:
        """Where the pixels of row m lie that begins at `line`, or zeros."""
        b, tile = self.builder, self.tile
        outer = not tile.border <= m < tile.high - tile.border
        for k in range(tile.wide):
            if k and k % (RUN - 1) == 0:
                line = self.emit.opaque(self.column(line, RUN - 1))
            place, bits = self.column(line, k % (RUN - 1)), 1 << ROW + m if outer else 0
            if not tile.border <= k < tile.wide - tile.border:
                bits |= 1 << k
            if missing is None and self.ahead is not None and k >= tile.wide - tile.cols:
                self.emit.prefetch(self.emit.at(place, self.ahead))
            if missing is not None and bits:
                place = b.select(b.icmp_signed("!=", b.and_(missing, I64(bits)), I64(0)), self.zeros, place)
            yield place

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


_sweep_member = SWEEPS.switch()


@SWEEPS.entry
def _sweep(shape, channels, table, x, x_row, x_pixel, w, y, y_row, y_pixel, bias, biased, relu, stream):
    _sweep_member(
        shape, channels, table, 0, x, 0, x_row, x_pixel, w, 0, y, 0, y_row, y_pixel, bias, 0, biased, relu, stream
    )
    if stream:
        settle()
