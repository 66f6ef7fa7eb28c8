"""Depthwise filters of a few known sizes, lanes = channels: each sum of a tile, and each tap, has its own register.

    y[r, q, c] = bias[c] + sum over u, v of w[u, v, c] * x[r*S + u, q*S + v, c]

for a block of rows r and columns q and all channels c. The tile of `filter_tile` takes any filter, as a table; here the
filter is in the code (`SHAPES`), so that a tile has nothing to set up and LLVM keeps the taps of 3x3 in registers while
tiles follow each other along a row. Where rows, columns or channels are no whole number of tiles, the last tile begins
earlier and computes some outputs again: nothing is masked.

Cost: one multiply-add per lane and tap. As there, one C function per dtype, called by address.
"""

from __future__ import annotations

from collections.abc import Callable
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


if host().registers == 32:
    SHAPES = DepthTile(3, 1, 4, 3), DepthTile(3, 2, 3, 4)
else:
    SHAPES = DepthTile(3, 1, 3, 2), DepthTile(3, 2, 3, 2)

SWEEPS = Family(
    "depth",
    "x x_row x_pixel w w_tap y y_row y_pixel columns bias biased relu",
    elements="x w y bias",
    shape=range(len(SHAPES)),
    stream=(0, 1),
)
depth_address = SWEEPS.address


@SWEEPS.caller
def depth_sweep(
    address, shape, stride, height, width, rows, columns, channels, x, x0, x_row, x_pixel, w, w0, w_tap,
    y, y0, y_row, y_pixel, bias, bias0, biased, relu, stream,
):  # fmt: skip
    """Filter a block with the function at `address` (see `depth_address`); the module's docstring has the sum.

    `shape` counts in `SHAPES`, whose stride and tile follow; `rows` and `columns` are at least the tile's,
    `channels` one vector. The places x, w, y and bias are addresses with offsets; channels are neighbours, taps `w_tap`
    apart. `relu` replaces negative sums by zero and keeps NaN. With `stream` results are written past the caches;
    vectors of y must then be aligned.
    """


@SWEEPS.member
def _row(emit: Emitter, arg: Any, shape: int, stream: int) -> None:
    """One vector of channels of one row of tiles, the last of which may begin within the one before."""
    b, tile = emit.builder, SHAPES[shape]
    taps = [emit.load(emit.at(arg.w, (t, arg.w_tap))) for t in range(tile.taps * tile.taps)]
    (start,) = emit.when(emit.is_set(arg.biased), lambda: [emit.load(arg.bias)], [emit.zero])
    floor, store = emit.floor(arg.relu), emit.stream if stream else emit.store
    last, pixel = b.sub(arg.columns, I64(tile.cols)), emit.steps(arg.y_pixel, tile.cols)
    sums_at = _sums(emit, arg, tile, taps, start)

    def one(q: Any) -> tuple[Any, list[Any]]:
        sums, y = sums_at(q), pixel(arg.y, q)
        for r in range(tile.rows):
            for j in range(tile.cols):
                store(emit.clip(sums[r, j], floor), pixel(y, j))
            y = emit.opaque(emit.at(y, arg.y_row))
        following = b.add(q, I64(tile.cols))
        return b.icmp_signed("<", q, last), [b.select(b.icmp_signed("<", following, last), following, last)]

    emit.loop([I64(0)], one, end_first=True)


def _sums(emit: Emitter, arg: Any, tile: DepthTile, taps: list[Any], start: Any) -> Callable[[Any], dict[Any, Any]]:
    """A function of a tile's first column that emits its sums, by row and column: each vector of x is loaded once."""
    wide = (tile.cols - 1) * tile.stride + tile.taps
    pixel = emit.steps(arg.x_pixel, wide)

    def sums_at(q: Any) -> dict[Any, Any]:
        line = pixel(arg.x, emit.builder.mul(q, I64(tile.stride)))
        sums = {(r, j): start for r in range(tile.rows) for j in range(tile.cols)}
        for m in range((tile.rows - 1) * tile.stride + tile.taps):
            for k in range(wide):
                value = emit.load(pixel(line, k))
                for r, j in sums:
                    u, v = m - r * tile.stride, k - j * tile.stride
                    if 0 <= u < tile.taps and 0 <= v < tile.taps:
                        sums[r, j] = emit.multiply_add(taps[u * tile.taps + v], value, sums[r, j])
            line = emit.opaque(emit.at(line, arg.x_row))
        return sums

    return sums_at


_sweep_row = SWEEPS.switch()


@SWEEPS.entry
def _sweep(
    shape, stride, height, width, rows, columns, channels, x, x_row, x_pixel, w, w_tap, y, y_row, y_pixel, bias, biased,
    relu, stream,
):  # fmt: skip
    lanes = lanes_of(x)
    for i in range(0, rows, height):
        r = min(i, rows - height)
        for j in range(0, channels, lanes):
            c = min(j, channels - lanes)
            _sweep_row(
                shape, stream, x, r * stride * x_row + c, x_row, x_pixel, w, c, w_tap, y, r * y_row + c, y_row, y_pixel,
                columns, bias, c, biased, relu,
            )  # fmt: skip
    if stream:
        settle()
