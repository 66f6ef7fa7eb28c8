"""The micro-kernel that carries direct, im2col, GEMM and all gradients: a register tile of multiply-adds.

    c[i, v] = start + sum over t, k of a[aoff[t] + i*a_row + k*a_step] * b[boff[t] + k*b_step + v]

for i below `rows` (at most `tile_rows()`) and v below `vectors` * lanes (1 or 2 vectors). Each a is broadcast, each b
is one vector, and all of c stays in registers until it is stored. With other offsets and strides this one sum is

=================  ==================  ====================  ==============  ====================
use                i                   t                     k               v
=================  ==================  ====================  ==============  ====================
convolution        pixels of a row     taps of the filter    input channels  output channels
weight gradient    input channels      rows of the output    pixels          output channels
matrix product     rows                one                   inner index     columns
=================  ==================  ====================  ==============  ====================

Cost: one multiply-add per lane and term; the tile of 14x2 (32 registers) or 6x2 (16) keeps two FMA units busy.
Source: the register blocking is Goto & van de Geijn, "Anatomy of high-performance matrix multiplication" (2008), with a
table of offsets in place of packing.

Of 16-bit arrays (bfloat16, on hosts with `Host.pairs`) a and b are pairs of neighbouring elements: k counts pairs, each
lane adds both products of its pair, bias is float32. So is c of `tile_address(2)`; `rounded_tile_address(2)` stores its
sums as bfloat16, and does not know ACCUMULATE. All else is the same.

The functions for all tile shapes are compiled once per dtype and called by address: compiled into every kernel they
would make each of them a second slower to compile.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

from .emit import I64, Emitter
from .family import Family
from .host import TILE_VECTORS, tile_rows
from .jit import kernel

# Values of `start`: where the sums begin.
ZERO, ACCUMULATE, BIAS = 0, 1, 2
TOGETHER = 4  # rows whose addresses are one pointer's
APART = 5  # the same of c, whose rows are addressed three times
AHEAD = 32  # steps of k by which memory is asked for before it is read, where there are at least twice as many

ARGUMENTS = "terms aoff boff depth a a_row a_step b b_step c c_row columns start bias relu tiles"
KINDS: dict[str, Any] = {
    "elements": "a b c bias",
    "sums": "bias",
    "integers": "aoff boff",
    "rows": range(1, tile_rows() + 1),
    "vectors": range(1, TILE_VECTORS + 1),
}
TILES = Family("tile", ARGUMENTS, **KINDS)
ROUNDED_TILES = Family("rounded_tile", ARGUMENTS, rounded=True, **KINDS)
tile_address, rounded_tile_address = TILES.address, ROUNDED_TILES.address


@TILES.caller
def multiply_tiles(
    address, rows, vectors, terms, aoff, aoff0, boff, boff0, depth,
    a, a0, a_row, a_step, b, b0, b_step, c, c0, c_row, columns, start, bias, bias0, relu, tiles,
):  # fmt: skip
    """Compute `tiles` tiles, one above the other, with the function at `address` (see `tile_address`).

    The module's docstring has the sum; i of the second tile follows on that of the first, with the same b.

    `terms` and `depth` (the ranges of t and k) are at least 1. ``aoff[aoff0:]`` and ``boff[boff0:]`` hold the offsets
    of the terms; a0, b0, c0, bias0 are offsets into the flat arrays; c[i, v] lies at c0 + i*c_row + v. Only the first
    `columns` columns are stored (and loaded); every b is loaded in full. Offsets and strides count elements of their
    array, of 16 bits also where two make a pair and where c holds float32. `start` is ZERO, ACCUMULATE (add to c) or
    BIAS (start from bias[bias0 + v]); `relu` replaces negative sums by zero and keeps NaN.
    """


@kernel
def multiply_tile(
    address, rows, vectors, terms, aoff, aoff0, boff, boff0, depth,
    a, a0, a_row, a_step, b, b0, b_step, c, c0, c_row, columns, start, bias, bias0, relu,
):  # fmt: skip
    """One tile; `multiply_tiles` has the arguments."""
    multiply_tiles(
        address, rows, vectors, terms, aoff, aoff0, boff, boff0, depth,
        a, a0, a_row, a_step, b, b0, b_step, c, c0, c_row, columns, start, bias, bias0, relu, 1,
    )  # fmt: skip


@ROUNDED_TILES.member
@TILES.member
def _tiles(emit: Emitter, arg: Any, rows: int, vectors: int) -> None:
    """Tiles one above the other: called tile by tile, short sums would spend a tenth on the call."""

    b = emit.builder

    def one(left: Any, a: Any, c: Any) -> tuple[Any, list[Any]]:
        tile = _Tile(emit, arg._replace(a=a, c=c), rows, vectors)
        tile.store(emit.relu(arg.relu, tile.add_terms(tile.start())))
        moved = [emit.at(a, (rows, arg.a_row)), emit.at(c, (rows, arg.c_row))]
        left = b.sub(left, I64(1))
        return b.icmp_signed(">", left, I64(0)), [left, *moved]

    emit.loop([arg.tiles, arg.a, arg.c], one, end_first=True)


class _Tile:
    """Emits one tile: the sums, row by row and vector by vector, never leave the registers."""

    def __init__(self, emit: Emitter, arg: Any, rows: int, vectors: int) -> None:
        self.emit, self.builder, self.arg, self.rows, self.vectors = emit, emit.builder, arg, rows, vectors
        self.cells = [(i, j) for i in range(rows) for j in range(vectors)]

    def start(self) -> list[Any]:
        """Sums as `start` wants them."""
        b, emit, arg = self.builder, self.emit, self.arg
        # Sums that are read at once are asked for by the tile before.
        below = b.select(b.icmp_signed("==", arg.start, I64(ACCUMULATE)), b.mul(I64(self.rows), arg.c_row), I64(0))
        for place in self._places(below):
            emit.prefetch(place, write=True)

        def accumulate() -> list[Any]:
            masks = self._masks()
            return [emit.load(place, masks[j]) for (_, j), place in zip(self.cells, self._places(), strict=True)]

        def bias() -> list[Any]:
            vectors = [emit.load(emit.at(arg.bias, j * emit.lanes)) for j in range(self.vectors)]
            return vectors * self.rows

        cases = {ACCUMULATE: accumulate, BIAS: bias} if emit.sum_units == emit.factors else {BIAS: bias}
        return emit.choose(arg.start, cases, [emit.zero] * len(self.cells))

    def add_terms(self, sums: Sequence[Any]) -> list[Any]:
        """The loop over t: each term has the loop over k."""
        b, emit, arg = self.builder, self.emit, self.arg

        def term(t: Any, *sums: Any) -> list[Any]:
            a, vectors = emit.at(arg.a, b.load(emit.at(arg.aoff, t))), emit.at(arg.b, b.load(emit.at(arg.boff, t)))
            return self._add_products(a, vectors, sums)

        return emit.repeat(arg.terms, sums, term)

    def _add_products(self, a: Any, vectors: Any, sums: Sequence[Any]) -> list[Any]:
        """The inner loop, over k: a vector of b for each vector of a row, an a for each row, all their products."""
        emit, arg = self.emit, self.arg
        row = emit.steps(arg.a_row, min(self.rows, TOGETHER))
        bases = [emit.at(a, (i, arg.a_row)) for i in range(0, self.rows, TOGETHER)]
        ahead, pace = self._ahead(a)

        def step(_: Any, ahead: Any, vectors: Any, *carried: Any) -> list[Any]:
            emit.prefetch(ahead)
            columns = [emit.factor(emit.at(vectors, j * emit.lanes * emit.factors)) for j in range(self.vectors)]
            bases, sums = carried[: len(along) - 2], carried[len(along) - 2 :]
            new = []
            for i in range(self.rows):
                scalar = emit.shared_factor(row(bases[i // TOGETHER], i % TOGETHER))
                for j, column in enumerate(columns):
                    new.append(emit.multiply_add(scalar, column, sums[i * self.vectors + j]))
            return new

        along = [(ahead, pace), (vectors, arg.b_step), *((base, arg.a_step) for base in bases)]
        return emit.repeat(arg.depth, sums, step, along)

    def _ahead(self, a: Any) -> tuple[Any, Any]:
        """What to ask for at k = 0, and how much further on at the next k.

        Where a row's k lie together the next tile's rows follow: a cache line of them a step. Else what comes next is
        this tile's a some steps on.
        """
        b, emit, arg = self.builder, self.emit, self.arg
        rows = b.icmp_signed("==", arg.a_step, I64(emit.factors))
        steps = b.select(b.icmp_signed(">", arg.depth, I64(2 * AHEAD)), I64(AHEAD), I64(0))
        later = b.add(b.mul(steps, arg.a_step), b.mul(I64(self.rows - 1), arg.a_row))
        distance = b.select(rows, b.mul(I64(self.rows), arg.a_row), later)
        return emit.at(a, distance), b.select(rows, I64(64 // emit.itemsize), arg.a_step)

    def store(self, sums: Sequence[Any]) -> None:
        """Whole vectors, or masked ones where the columns end."""
        b, emit = self.builder, self.emit
        with b.if_else(b.icmp_signed(">=", self.arg.columns, I64(self.vectors * emit.lanes))) as (whole, part):
            with whole:
                for place, value in zip(self._places(), sums, strict=True):
                    emit.store(value, place)
            with part:
                masks = self._masks()
                for (_, j), place, value in zip(self.cells, self._places(), sums, strict=True):
                    emit.store(value, place, masks[j])

    def _places(self, below: Any = 0) -> Iterator[Any]:
        """Where the cells of c lie, or others so far behind them.

        The addresses are worked out anew for each use: LLVM would keep them on the stack.
        """
        emit, c_row = self.emit, self.emit.opaque(self.arg.c_row)
        row, first = emit.steps(c_row, min(self.rows, APART)), emit.opaque(emit.at(self.arg.c, below))
        for i, j in self.cells:
            if i and j == 0 and i % APART == 0:
                first = emit.opaque(emit.at(first, (APART, c_row)))
            yield emit.at(row(first, i % APART), j * emit.lanes * emit.sum_units)

    def _masks(self) -> list[Any]:
        """The columns that exist, of each vector."""
        lanes = self.emit.lanes
        return [self.emit.first_lanes(self.builder.sub(self.arg.columns, I64(j * lanes))) for j in range(self.vectors)]
