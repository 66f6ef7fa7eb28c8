"""The 2-D transforms of Winograd's method, compiled once per dtype and called by address: vectors run along channels.

A *plane* holds one of the t*t frequencies of all tiles: planes are `plane` elements apart, tiles `step`. Going to
planes (`input_address`, `filter_address`, `gradient_address`) and coming from them (`output_address`,
`weights_address`) differ in their 1-D transforms only (points), as do F(2x2, 3x3) and F(4x4, 3x3).

An input's tile of t*t vectors does not fit into the registers, but one of its columns does. So columns are transformed
first, to scratch, where neighbouring tiles share those that both have, and then rows. All else goes part by part.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba.core import cgutils

from ...simd.emit import I64, Emitter
from ...simd.family import Family
from .points import PAIRS, TAPS, Role, apply, sandwich, scheme

NOWHERE = -(1 << 62)  # the offset of a row or column that is all zero
TOGETHER = 4  # tiles whose columns are in scratch at once: they stay in the first cache, beside what rows write


def between_size(m: int, lanes: int) -> int:
    """Elements of scratch for the transformed columns of inputs or gradients, one vector of channels at a time."""
    return (TOGETHER * m + TAPS - 1) * (m + 2) * lanes


def _family(role: Role, arguments: str, elements: str, integers: str = "") -> Family:
    return Family(f"winograd_{role.name.lower()}", arguments, elements=elements, integers=integers, m=tuple(PAIRS))


# The arguments of the functions; before them is m.
_TO_PLANES = "x rows cols zeros tiles depth v v_step plane between", "x zeros v between", "rows cols"
INPUT, GRADIENT = (_family(role, *_TO_PLANES) for role in (Role.INPUT, Role.GRADIENT))
FILTER = _family(Role.FILTER, "w step rows cols channels columns u u_step plane", "w u", "rows cols")
OUTPUT = _family(Role.OUTPUT, "v v_step plane tiles y rows cols columns bias relu", "v y bias", "rows cols")
WEIGHTS = _family(Role.WEIGHTS, "v v_step plane channels dw step row col columns", "v dw")

input_address, gradient_address, filter_address = INPUT.address, GRADIENT.address, FILTER.address
output_address, weights_address = OUTPUT.address, WEIGHTS.address


@INPUT.member
def _input(emit: Emitter, arg: Any, m: int) -> None:
    """A row of tiles of the input, each m columns further: v[f*plane + c] = (B^T d B)[f] for c below `depth`.

    d[i, j] = x[rows[i] + cols[j] + c], or zero where rows or cols say NOWHERE. Writes whole vectors: `depth` rounded up.
    """
    _Columns(emit, arg, Role.INPUT, m).emit_tiles()


@GRADIENT.member
def _gradient(emit: Emitter, arg: Any, m: int) -> None:
    """The same with A: a row of tiles of the gradient to the output."""
    _Columns(emit, arg, Role.GRADIENT, m).emit_tiles()


class _Columns:
    """Emits the transform of a row of tiles, some tiles at a time: of their columns, then of their rows."""

    def __init__(self, emit: Emitter, arg: Any, role: Role, m: int) -> None:
        self.emit, self.builder, self.arg, self.m = emit, emit.builder, arg, m
        self.transform, self.t, self.size = scheme(role, m)

    def emit_tiles(self) -> None:
        b, emit, arg, m = self.builder, self.emit, self.arg, self.m
        offsets = [b.load(emit.at(arg.rows, i)) for i in range(self.size)]
        missing = [_is_nowhere(b, offset) for offset in offsets]
        rows = [b.select(no, arg.zeros, emit.at(arg.x, at)) for no, at in zip(missing, offsets, strict=True)]
        keep = [b.select(no, I64(0), I64(-1)) for no in missing]  # a row of zeros is the same for every column
        whole = b.icmp_signed("==", _all(b, keep), I64(-1))
        line = _lines(emit, b.mul(arg.plane, I64(self.t)), arg.plane, self.t)

        def group(left: Any, cols: Any, v: Any) -> tuple[Any, list[Any]]:
            more = b.icmp_signed(">", left, I64(TOGETHER))
            tiles = b.select(more, I64(TOGETHER), left)

            def block(k: Any, mask: Any) -> None:
                here = [emit.opaque(emit.at(row, k)) for row in rows]
                with b.if_else(whole) as (all_there, some):
                    with all_there:
                        self._columns(tiles, cols, lambda i, at: emit.load(emit.at(here[i], at), mask))
                    with some:
                        self._columns(tiles, cols, lambda i, at: emit.load(emit.at(here[i], b.and_(at, keep[i])), mask))
                self._rows(tiles, emit.at(v, k), line)

            _each_vector(emit, arg.depth, block)
            following = [emit.at(cols, TOGETHER * m), emit.at(v, (TOGETHER, arg.v_step))]
            return more, [b.sub(left, I64(TOGETHER)), *following]

        emit.loop([arg.tiles, arg.cols, arg.v], group, end_first=True)

    def _columns(self, tiles: Any, cols: Any, load: Callable[[int, Any], Any]) -> None:
        """Transform the columns of some tiles, each once, to [column][frequency] in scratch."""
        b, emit, lanes = self.builder, self.emit, self.emit.lanes

        def column(_: Any, at: Any, between: Any) -> None:
            offset = b.load(at)
            with b.if_else(_is_nowhere(b, offset)) as (no, yes):
                with no:
                    for i in range(self.t):
                        emit.store(emit.zero, emit.at(between, i * lanes))
                with yes:
                    values = {i: load(i, offset) for i in range(self.size)}
                    for i, value in apply(emit, self.transform, values):
                        emit.store(value, emit.at(between, i * lanes))

        count = b.add(b.mul(tiles, I64(self.m)), I64(self.size - self.m))
        emit.repeat(count, [], column, [(cols, 1), (self.arg.between, self.t * lanes)], end_first=True)

    def _rows(self, tiles: Any, v: Any, line: Callable[[Any], Callable[[int, int], Any]]) -> None:
        """Transform the rows of their tiles to the planes."""
        emit, lanes = self.emit, self.emit.lanes

        def tile(_: Any, v: Any, between: Any) -> None:
            plane = line(v)
            for i in range(self.t):
                values = {j: emit.load(emit.at(between, (j * self.t + i) * lanes)) for j in range(self.size)}
                for j, value in apply(emit, self.transform, values):
                    emit.store(value, plane(i, j))

        along = [(v, self.arg.v_step), (self.arg.between, self.m * self.t * lanes)]
        emit.repeat(tiles, [], tile, along, end_first=True)


@FILTER.member
def _filter(emit: Emitter, arg: Any, m: int) -> None:
    """The filters of some input channels, `step` apart: u[f*plane + o] = (G w G^T)[f] for o below `columns`."""
    b, (transform, t, size) = emit.builder, scheme(Role.FILTER, m)
    row, column = ([b.load(emit.at(offsets, i)) for i in range(size)] for offsets in (arg.rows, arg.cols))
    line = _lines(emit, b.mul(arg.plane, I64(t)), arg.plane, t)

    def channel(_: Any, w: Any, u: Any) -> None:
        def block(k: Any, mask: Any) -> None:
            places = [emit.opaque(emit.at(w, offset, k)) for offset in row]
            # Few enough for the registers; those of large filters share a cache set, so load them once.
            taps = [[emit.load(emit.at(place, offset), mask) for offset in column] for place in places]
            plane = line(emit.at(u, k))
            sandwich(
                emit, transform, size, lambda i, j: taps[i][j], lambda i, j, value: emit.store(value, plane(i, j))
            )

        _each_vector(emit, arg.columns, block)

    emit.repeat(arg.channels, [], channel, [(arg.w, arg.step), (arg.u, arg.u_step)], end_first=True)


@OUTPUT.member
def _output(emit: Emitter, arg: Any, m: int) -> None:
    """A row of tiles of the output: y[rows[i] + cols[j] + o] = (A^T v A)[i, j] + bias[o], for o below `columns`.

    What rows or cols say is NOWHERE is not written; no result is below zero where `relu` says so.
    """
    b, floor = emit.builder, emit.floor(arg.relu)
    transform = _FromPlanes(emit, Role.OUTPUT, m, arg.plane, arg.columns)
    rows = [b.load(emit.at(arg.rows, i)) for i in range(m)]
    in_row = [b.not_(_is_nowhere(b, row)) for row in rows]

    def tile(_: Any, v: Any, at: Any) -> None:
        cols = [b.load(emit.at(at, j)) for j in range(m)]
        in_col = [b.not_(_is_nowhere(b, col)) for col in cols]

        def emit_tile(store: Callable[[int, int, Any, Any, Any], None]) -> None:
            transform.emit_tile(v, arg.y, rows, cols, store, arg.bias)

        def store(i: int, j: int, value: Any, place: Any, mask: Any) -> None:
            emit.store(emit.clip(value, floor), place, mask)

        def store_some(i: int, j: int, value: Any, place: Any, mask: Any) -> None:
            with b.if_then(b.and_(in_row[i], in_col[j])):
                store(i, j, value, place, mask)

        with b.if_else(_all(b, in_row + in_col)) as (everywhere, somewhere):
            with everywhere:
                emit_tile(store)
            with somewhere:
                emit_tile(store_some)

    emit.repeat(arg.tiles, [], tile, [(arg.v, arg.v_step), (arg.cols, m)], end_first=True)


@WEIGHTS.member
def _weights(emit: Emitter, arg: Any, m: int) -> None:
    """The gradients to the filters of some input channels: dw[i*row + j*col + o] = (G^T v G)[i, j]."""
    b, transform = emit.builder, _FromPlanes(emit, Role.WEIGHTS, m, arg.plane, arg.columns)
    rows, cols = ([b.mul(I64(i), step) for i in range(TAPS)] for step in (arg.row, arg.col))

    def store(i: int, j: int, value: Any, place: Any, mask: Any) -> None:
        emit.store(value, place, mask)

    def channel(_: Any, v: Any, dw: Any) -> None:
        transform.emit_tile(v, dw, rows, cols, store)

    emit.repeat(arg.channels, [], channel, [(arg.v, arg.v_step), (arg.dw, arg.step)], end_first=True)


class _FromPlanes:
    """Emits the transform of a tile of planes, for `columns` elements side by side."""

    def __init__(self, emit: Emitter, role: Role, m: int, plane: Any, columns: Any) -> None:
        self.emit, self.columns, (self.transform, _, self.t) = emit, columns, scheme(role, m)
        self.line = _lines(emit, plane, emit.builder.mul(plane, I64(self.t)), self.t)

    def emit_tile(
        self,
        v: Any,
        y: Any,
        rows: list[Any],
        cols: list[Any],
        store: Callable[[int, int, Any, Any, Any], None],
        bias: Any = None,
    ) -> None:
        """``store(i, j, (T v T^T)[i, j] + bias, y + rows[i] + cols[j], mask)`` for all i and j, a vector at a time."""
        emit = self.emit

        def block(k: Any, mask: Any) -> None:
            offset = None if bias is None else emit.load(emit.at(bias, k))
            plane, target = self.line(emit.at(v, k)), emit.at(y, k)
            places = [emit.opaque(emit.at(target, row)) for row in rows]

            def put(i: int, j: int, value: Any) -> None:
                store(i, j, value, emit.at(places[i], cols[j]), mask)

            sandwich(emit, self.transform, self.t, lambda i, j: emit.load(plane(j, i)), put, offset)

        _each_vector(emit, self.columns, block)


def _lines(emit: Emitter, far: Any, near: Any, t: int) -> Callable[[Any], Callable[[int, int], Any]]:
    """From the address of a plane to a function for that of i*far + j*near, i in order or from 0 on again.

    A line's address is computed when the line begins: those of all planes would fill the registers.
    """
    along = emit.steps(near, t)

    def line(start: Any) -> Callable[[int, int], Any]:
        number, place = 0, start

        def plane(i: int, j: int) -> Any:
            nonlocal number, place
            if i < number:
                number, place = 0, start
            while number < i:
                number, place = number + 1, emit.opaque(emit.at(place, far))
            return along(place, j)

        return plane

    return line


def _is_nowhere(builder: Any, offset: Any) -> Any:
    return builder.icmp_signed("==", offset, I64(NOWHERE))


def _all(builder: Any, values: list[Any]) -> Any:
    together, *others = values
    for value in others:
        together = builder.and_(together, value)
    return together


def _each_vector(emit: Emitter, count: Any, block: Callable[[Any, Any], None]) -> None:
    """Emit block(k, mask) for `count` elements: whole vectors, then part of one."""
    b = emit.builder
    rest = b.srem(count, I64(emit.lanes))
    whole = b.sub(count, rest)
    with cgutils.for_range_slice(b, I64(0), whole, I64(emit.lanes), intp=I64) as (k, _):
        block(k, None)
    with b.if_then(b.icmp_signed(">", rest, I64(0))):
        block(whole, emit.first_lanes(rest))
