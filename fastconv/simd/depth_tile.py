"""Tiles of depthwise filters of known sizes: which there are, where they lie in a block, how code goes through them.

What is in a table are the places of the tiles (`tile_table`), and which of their pixels of x are padding: these are
read from zeros elsewhere, so that x is read where it lies, border and all. At a place all vectors of channels follow
each other before the next place: memory is read and written in the order in which it lies, which it gives twice as
fast as one vector of channels after the other.
Where rows, columns or channels are no whole number of tiles, the last tile begins earlier and has some outputs again.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, NamedTuple

import numpy as np

from .emit import I64, Emitter
from .host import host


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
ROW = 16  # a bit for each pixel of its rows of x, then for each row,
AGAIN = 32  # from here on for its columns and rows of y;
LAST = -(1 << 63)  # and whether it is the last


class Span(NamedTuple):
    """A block's outputs along one axis, and which of the elements of x that they meet are there: first to before end.

    The elements, of x and of y, are so far apart.
    """

    outputs: int
    first: int
    end: int
    x: int
    y: int


def tile_table(tile: DepthTile, rows: Span, columns: Span, once: bool = False) -> np.ndarray:
    """The tiles of a block; at most `tile.border` elements of x at an end are not there.

    With `once` outputs that an earlier tile has are not there, either.
    """
    x_row, y_row, rows_missing, rows_again = _along(tile.rows, tile.high, tile.stride, rows)
    x_column, y_column, pixels_missing, columns_again = _along(tile.cols, tile.wide, tile.stride, columns)
    missing = rows_missing[:, None] << ROW | pixels_missing
    if once:
        missing |= rows_again[:, None] << AGAIN + ROW | columns_again << AGAIN
    missing[-1, -1] |= LAST
    return np.stack([x_row[:, None] + x_column, y_row[:, None] + y_column, missing], axis=-1).reshape(-1)


def _along(size: int, met: int, stride: int, span: Span) -> tuple[np.ndarray, ...]:
    """Where tiles of `size` outputs lie along an axis, in x and in y; bits for what they meet that is not there.

    And bits for their outputs that the tile before has.
    """
    last = span.outputs - size
    at = np.array([*range(0, last, size), last], np.int64)
    places = at[:, None] * stride + np.arange(met)
    missing = ((places < span.first) | (places >= span.end)) << np.arange(met)
    again = np.zeros(len(at), np.int64)
    if len(at) > 1:
        again[-1] = (1 << int(at[-2]) + size - last) - 1
    return at * stride * span.x, at * span.y, missing.sum(axis=1), again


def channel_order(channels: int, lanes: int) -> np.ndarray:
    """Which channels the vectors of a sweep hold, a row each: the last one begins earlier if it would be short.

    The taps of a vector lie behind each other, then those of the next: ``w[vector, tap, lane]``.

    Examples
    --------
    >>> channel_order(6, 4)
    array([[0, 1, 2, 3],
           [2, 3, 4, 5]])
    """
    first = np.minimum(np.arange(0, channels, lanes), channels - lanes)
    return first[:, None] + np.arange(lanes)


def walk(emit: Emitter, arg: Any, w: Any, vector: Callable[[Any, Any, Any, Any, Any], None], step: int) -> None:
    """Go through a table, at each place through the vectors of channels.

    ``vector(x, y, c, w, missing)`` gets where a tile and a vector begin in x and y, the first channel, where the
    weights of the vector lie, `step` elements from those of the one before, and the bits of what is not there.
    """
    b, last = emit.builder, emit.builder.sub(arg.channels, I64(emit.lanes))

    def one(entry: Any) -> tuple[Any, list[Any]]:
        x, y = (emit.at(base, b.load(emit.at(entry, i))) for i, base in enumerate((arg.x, arg.y)))
        missing = b.load(emit.at(entry, 2))

        def next_vector(c: Any, taps: Any) -> tuple[Any, list[Any]]:
            taps = emit.opaque(taps)
            vector(emit.at(x, c), emit.at(y, c), c, taps, missing)
            following = b.add(c, I64(emit.lanes))
            following = b.select(b.icmp_signed("<", following, last), following, last)
            return b.icmp_signed("<", c, last), [following, emit.at(taps, step)]

        emit.loop([I64(0), w], next_vector)
        return b.icmp_signed(">=", missing, I64(0)), [emit.at(entry, ENTRY)]

    emit.loop([arg.table], one, end_first=True)


def is_part(emit: Emitter, missing: Any) -> Any:
    """Whether anything of a tile is not there."""
    return emit.builder.icmp_signed("!=", emit.builder.shl(missing, I64(1)), I64(0))


class Pixels:
    """Emits where a tile reads x, row by row."""

    def __init__(self, emit: Emitter, tile: DepthTile, arg: Any) -> None:
        self.emit, self.builder, self.tile, self.arg = emit, emit.builder, tile, arg
        self.zeros, self.column = emit.apart(emit.zero), emit.steps(arg.x_pixel, RUN)
        ahead = self.builder.mul(arg.x_pixel, I64(AHEAD * tile.cols))
        self.ahead = emit.opaque(ahead) if tile.asks_ahead else None

    def rows(self, x: Any, missing: Any) -> Iterator[tuple[int, list[Any]]]:
        """The rows by number, and where the pixels of each lie, or zeros; `missing` has a bit for what is padding."""
        for m in range(self.tile.high):
            yield m, list(self._row(x, m, missing))
            x = self.emit.opaque(self.emit.at(x, self.arg.x_row))

    def _row(self, line: Any, m: int, missing: Any) -> Iterator[Any]:
        tile = self.tile
        outer = not tile.border <= m < tile.high - tile.border
        for k in range(tile.wide):
            if k and k % (RUN - 1) == 0:
                line = self.emit.opaque(self.column(line, RUN - 1))
            place, bits = self.column(line, k % (RUN - 1)), 1 << ROW + m if outer else 0
            if not tile.border <= k < tile.wide - tile.border:
                bits |= 1 << k
            if missing is None and self.ahead is not None and k >= tile.wide - tile.cols:
                self.emit.prefetch(self.emit.at(place, self.ahead))
            yield self.there(place, missing, bits)

    def there(self, place: Any, missing: Any, bits: int) -> Any:
        """The place, or where zeros lie if one of these bits is set."""
        b = self.builder
        if missing is None or not bits:
            return place
        zeros = b.bitcast(self.zeros, place.type)
        return b.select(b.icmp_signed("!=", b.and_(missing, I64(bits)), I64(0)), zeros, place)
