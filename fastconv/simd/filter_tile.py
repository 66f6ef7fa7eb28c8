"""The tile of planar filtering: a register block whose lanes are neighbouring pixels, or channels with a filter each.

    c[r, v] = start + sum over entries e with r in range[e], k < count[e] of
              w[w_at[e] + k*w_step - r*w_row] * x[x_at[e] + k*x_step + v*x_vector]

for r below `rows` (at most `FILTER_ROWS`) and v below `vectors` (at most `filter_vectors()`). Each x is one vector that
all rows r in range share; w is one scalar broadcast to all lanes (kind BROADCAST) or a vector of its own (kind LANES).
An entry is one row of the input: for filters the rows r of the output that meet it are a range, so no work is wasted.

=========================  ================  ===================  ===================  =====================
use                        lanes             r                    v                    k
=========================  ================  ===================  ===================  =====================
filter an image            pixels of a row   rows of the output   more pixels          columns of the filter
several filters            pixels of a row   output channels      more pixels          columns of the filter
depthwise, channels last   channels          rows of the output   pixels of a row      columns of the filter
its weight gradient        channels          rows of the filter   columns of filter    pixels of a row
weight gradient, planes    pixels of a row   rows of the filter   columns of filter    vectors of a row
=========================  ================  ===================  ===================  =====================

Cost: one multiply-add per lane, entry, row in range and k. Like the micro-kernel's, the functions are compiled once per
dtype and called by address.
"""

from __future__ import annotations

import functools
from collections.abc import Sequence
from typing import Any

from .emit import I64, Emitter
from .family import Family
from .host import host
from .microkernel import ACCUMULATE, BIAS

BROADCAST, LANES = 0, 1
FILTER_ROWS = 6
FIELDS = 4  # of an entry: x_at, w_at, range code, count


def filter_vectors() -> int:
    """Most vectors v of a tile: FILTER_ROWS*v sums, v vectors of x and a w must fit the registers."""
    return 4 if host().registers == 32 else 2


def range_code(first: int, end: int) -> int:
    """The rows first..end-1 as an entry's range code."""
    return first * FILTER_ROWS + end - 1


FILTERS = Family(
    "filter",
    "entries table x x_step x_vector w w_step w_row c c_row c_vector rows columns c_columns start bias bias_row relu "
    "tiles x_tile c_tile columns_tile inner x_inner w_inner c_inner bias_inner columns_inner",
    elements="x w c bias",
    integers="table",
    kind=(BROADCAST, LANES),
    vectors=range(1, filter_vectors() + 1),
)
filter_tile_address = FILTERS.address


@FILTERS.caller
def filter_tiles(
    address, kind, vectors, entries, table, table0, x, x0, x_step, x_vector, w, w0, w_step, w_row,
    c, c0, c_row, c_vector, rows, columns, c_columns, start, bias, bias0, bias_row, relu,
    tiles, x_tile, c_tile, columns_tile, inner, x_inner, w_inner, c_inner, bias_inner,
    columns_inner,
):  # fmt: skip
    """Compute a run of tiles with the function at `address` (`filter_tile_address`): the sum in the module's docstring.

    ``table[table0:]`` holds `entries` (0 or more) of `FIELDS` integers; x0, w0, c0 and bias0 are offsets into flat
    arrays or addresses. c[r, v] lies at c0 + r*c_row + v*c_vector; of vector v only the first columns - v*c_columns
    lanes are stored, and loaded where `start` is ACCUMULATE. Every x (and w of kind LANES) is loaded in full. `start`
    is ZERO, ACCUMULATE or BIAS: from bias[bias0 + r*bias_row] in all lanes (BROADCAST) or a vector there (LANES).
    `relu` replaces negative sums by zero and keeps NaN.

    The run is `tiles` times `inner` tiles: `tiles` with x and c `x_tile` and `c_tile` further and `columns_tile` fewer
    columns each; within each `inner` ones with x, w, c and bias `x_inner`, ... further, `columns_inner` fewer columns.
    """


@FILTERS.member
def _tiles(emit: Emitter, arg: Any, kind: int, vectors: int) -> None:
    """The run of tiles: the outer loop moves on along x and c, the inner one as the caller likes."""
    b = emit.builder

    def outer(_: Any, x: Any, c: Any, columns: Any) -> list[Any]:
        def inner(_: Any, x: Any, w: Any, c: Any, bias: Any, columns: Any) -> list[Any]:
            tile = _Tile(emit, arg._replace(x=x, w=w, c=c, bias=bias, columns=columns), kind, vectors)
            tile.store(emit.relu(arg.relu, tile.add_entries(tile.start())))
            return [b.sub(columns, arg.columns_inner)]

        along = [(x, arg.x_inner), (arg.w, arg.w_inner), (c, arg.c_inner), (arg.bias, arg.bias_inner)]
        emit.repeat(arg.inner, [columns], inner, along, end_first=True)
        return [b.sub(columns, arg.columns_tile)]

    emit.repeat(arg.tiles, [arg.columns], outer, [(arg.x, arg.x_tile), (arg.c, arg.c_tile)], end_first=True)


#: The same, but products are rounded before they are added: sums that shall have another library's bits.
ROUNDED = Family(
    "rounded",
    " ".join(FILTERS.arguments._fields),
    elements="x w c bias",
    integers="table",
    kind=(BROADCAST,),
    vectors=(filter_vectors(),),
)


@ROUNDED.member
def _rounded_tiles(emit: Emitter, arg: Any, kind: int, vectors: int) -> None:
    _tiles(emit.unfused(), arg, kind, vectors)


class _Tile:
    """Emits one tile: the sums, row by row and vector by vector, never leave the registers."""

    def __init__(self, emit: Emitter, arg: Any, kind: int, vectors: int) -> None:
        self.emit, self.builder, self.arg, self.kind, self.vectors = emit, emit.builder, arg, kind, vectors
        self.cells = [(r, j) for r in range(FILTER_ROWS) for j in range(vectors)]

    def start(self) -> list[Any]:
        """Sums as `start` wants them."""

        def accumulate() -> list[Any]:
            return [self.emit.load(self._c(r, j), self._mask(r, j)) for r, j in self.cells]

        def bias() -> list[Any]:
            offsets = [self._bias(r) for r in range(FILTER_ROWS)]
            return [offsets[r] for r, _ in self.cells]

        zeros = [self.emit.zero] * len(self.cells)
        return self.emit.choose(self.arg.start, {ACCUMULATE: accumulate, BIAS: bias}, zeros)

    def _bias(self, r: int) -> Any:
        b, emit = self.builder, self.emit
        if self.kind == LANES:
            return emit.load(self.arg.bias)
        inside = b.select(self._exists(r), I64(r), I64(0))
        return emit.broadcast(emit.at(self.arg.bias, (inside, self.arg.bias_row)))

    def add_entries(self, sums: Sequence[Any]) -> list[Any]:
        """The loop over entries, of which there may be none; each chooses the inner loop of its range of rows."""
        b, emit, arg = self.builder, self.emit, self.arg

        def entry(_: Any, record: Any, *sums: Any) -> list[Any]:
            x_at, w_at, code, count = (b.load(emit.at(record, i)) for i in range(FIELDS))
            x, w = emit.at(arg.x, x_at), emit.at(arg.w, w_at)
            loops = {
                range_code(first, end): functools.partial(self._add_products, sums, x, w, count, first, end)
                for first in range(FILTER_ROWS)
                for end in range(first + 1, FILTER_ROWS + 1)
            }
            return emit.choose(code, loops, sums)

        def entries() -> list[Any]:
            return emit.repeat(arg.entries, sums, entry, along=[(arg.table, FIELDS)])

        return emit.when(b.icmp_signed(">", arg.entries, I64(0)), entries, sums)

    def _add_products(self, sums: Sequence[Any], x: Any, w: Any, count: Any, first: int, end: int) -> list[Any]:
        """The inner loop, over k: a w for each of the rows first..end-1, an x for each vector, all their products."""
        emit, arg = self.emit, self.arg
        touched = slice(first * self.vectors, end * self.vectors)
        vector = emit.steps(arg.x_vector, self.vectors)
        row = emit.steps(self.builder.neg(arg.w_row), FILTER_ROWS)

        def step(_: Any, x: Any, w: Any, *sums: Any) -> list[Any]:
            columns = [emit.load(vector(x, j)) for j in range(self.vectors)]
            new: list[Any] = []
            for r in range(first, end):
                place = row(w, r)
                weight = emit.load(place) if self.kind == LANES else emit.broadcast(place)
                for column in columns:
                    new.append(emit.multiply_add(weight, column, sums[len(new)]))
            return new

        new = list(sums)
        new[touched] = emit.repeat(count, sums[touched], step, along=[(x, arg.x_step), (w, arg.w_step)])
        return new

    def store(self, sums: Sequence[Any], r: int = 0) -> None:
        """From row r on, while there are rows."""
        if r == FILTER_ROWS:
            return
        with self.builder.if_then(self._exists(r)):
            for j in range(self.vectors):
                self.emit.store_first(sums[r * self.vectors + j], self._c(r, j), self._left(j))
            self.store(sums, r + 1)

    def _c(self, r: int, j: int) -> Any:
        return self.emit.at(self.arg.c, (r, self.arg.c_row), (j, self.arg.c_vector))

    def _exists(self, r: int) -> Any:
        return self.builder.icmp_signed("<", I64(r), self.arg.rows)

    def _left(self, j: int) -> Any:
        """How many columns there are from vector j on."""
        return self.builder.sub(self.arg.columns, self.builder.mul(I64(j), self.arg.c_columns))

    def _mask(self, r: int, j: int) -> Any:
        """Lanes of a cell that exist: none in rows from `rows` on."""
        return self.emit.first_lanes(self.builder.select(self._exists(r), self._left(j), I64(0)))
