"""Depthwise filters of a few known sizes, lanes = channels: each sum of a tile has its own register.

    y[r, q, c] = bias[c] + sum over u, v of w[u, v, c] * x[r*S + u, q*S + v, c]

for a block of rows r and columns q and all channels c. The tile of `filter_tile` takes any filter, as a table; here the
filter is in the code (`SHAPES`), so that a tile has nothing to set up. The taps of 3x3 stay in registers while tiles
follow each other along rows, and the pixels come and go; of larger filters the pixels of a row of x stay, and the taps
come and go, each for all columns of the tile. Where rows, columns or channels are no whole number of tiles, the last
tile begins earlier and computes some outputs again: nothing is masked.

Cost: one multiply-add per lane and tap. As there, one C function per dtype, called by address.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

from .emit import I64, Emitter
from .family import Family
from .host import host
from .vector import lanes_of, settle


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
RUN = 4  # pixels that share a base, with larger filters: more would need more registers for their distances

SWEEPS = Family(
    "depth",
    "x x_row x_pixel w w_tap y y_row y_pixel rows columns bias biased relu",
    elements="x w y bias",
    shape=range(len(SHAPES)),
    stream=(0, 1),
)
depth_address = SWEEPS.address


@SWEEPS.caller
def depth_sweep(
    address, shape, rows, columns, channels, x, x0, x_row, x_pixel, w, w0, w_tap, y, y0, y_row, y_pixel, bias, bias0,
    biased, relu, stream,
):  # fmt: skip
    """Filter a block with the function at `address` (see `depth_address`); the module's docstring has the sum.

    `shape` counts in `SHAPES`; `rows` and `columns` are at least the tile's, `channels` one vector. The places x, w, y and bias are addresses with offsets; channels are neighbours, taps `w_tap`
    apart. `relu` replaces negative sums by zero and keeps NaN. With `stream` results are written past the caches;
    vectors of y must then be aligned.
    """


@SWEEPS.member
def _sweep_vector(emit: Emitter, arg: Any, shape: int, stream: int) -> None:
    """One vector of channels: rows of tiles, the last of which may begin within the one before, as may their tiles."""
    b, tile = emit.builder, SHAPES[shape]
    taps = [emit.load(emit.at(arg.w, (t, arg.w_tap))) for t in range(tile.taps**2)]
    (start,) = emit.when(emit.is_set(arg.biased), lambda: [emit.load(arg.bias)], [emit.zero])
    known = [*taps, start, emit.floor(arg.relu)]
    value, add_row = (known.__getitem__, _by_pixel) if tile.taps <= HELD else (emit.aside(known), _by_tap)
    store = emit.stream if stream else emit.store
    run = tile.wide if tile.taps <= HELD else RUN
    pixel, column = emit.steps(arg.y_pixel, tile.cols), emit.steps(arg.x_pixel, run)

    def add_tile(x: Any, y: Any, q: Any) -> None:
        first = value(len(taps))
        sums = {(r, j): first for r in range(tile.rows) for j in range(tile.cols)}
        line, y = column(x, b.mul(q, I64(tile.stride))), pixel(y, q)
        for m in range((tile.rows - 1) * tile.stride + tile.taps):
            bases = [line]
            for _ in range(run, tile.wide, run):
                bases.append(emit.opaque(column(bases[-1], run)))
            add_row(emit, tile, sums, m, [column(bases[k // run], k % run) for k in range(tile.wide)], value)
            line = emit.opaque(emit.at(line, arg.x_row))
        floor = value(len(taps) + 1)
        for r in range(tile.rows):
            for j in range(tile.cols):
                store(emit.clip(sums[r, j], floor), pixel(y, j))
            y = emit.opaque(emit.at(y, arg.y_row))

    def row(r: Any) -> None:
        x = emit.opaque(emit.at(arg.x, (b.mul(r, I64(tile.stride)), arg.x_row)))
        y = emit.opaque(emit.at(arg.y, (r, arg.y_row)))
        _cover(emit, arg.columns, tile.cols, lambda q: add_tile(x, y, q))

    _cover(emit, arg.rows, tile.rows, row)


def _cover(emit: Emitter, count: Any, size: int, body: Callable[[Any], None]) -> None:
    """A loop over 0, size, ... below `count`, which is at least `size`; the last begins at count - size."""
    b = emit.builder
    last = b.sub(count, I64(size))

    def one(i: Any) -> tuple[Any, list[Any]]:
        body(i)
        following = b.add(i, I64(size))
        return b.icmp_signed("<", i, last), [b.select(b.icmp_signed("<", following, last), following, last)]

    emit.loop([I64(0)], one, end_first=True)


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
def _sweep(shape, rows, columns, channels, x, x_row, x_pixel, w, w_tap, y, y_row, y_pixel, bias, biased, relu, stream):
    lanes = lanes_of(x)
    for i in range(0, channels, lanes):
        c = min(i, channels - lanes)
        _sweep_member(
            shape, stream, x, c, x_row, x_pixel, w, c, w_tap, y, c, y_row, y_pixel, rows, columns, bias, c, biased, relu
        )
    if stream:
        settle()
