"""The 2-D transforms of Winograd's method, compiled once per dtype and called by address: vectors run along channels.

A *plane* holds one of the t*t frequencies of all tiles: planes are `plane` elements apart, tiles `step`. Going to
planes (`input_address`, `filter_address`, `gradient_address`) and coming from them (`output_address`,
`weights_address`) differ in their 1-D transforms only (points), as do F(2x2, 3x3) and F(4x4, 3x3).

A tile of t*t vectors does not fit into the registers, so all of them go part by part (`points.Part`): what a part of
the rows makes of the columns does fit. Along a row of tiles, columns that two of them share stay there.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba.core import cgutils

from ...simd.emit import I64, Emitter
from ...simd.family import Family
from .points import PAIRS, TAPS, Part, Role, apply, sandwich, scheme

NOWHERE = -(1 << 62)  # the offset of a row or column that is all zero
TOGETHER = 8  # tiles in a row that each part goes along: what it reads stays in the first cache for the next one


def _family(role: Role, arguments: str, elements: str, integers: str = "") -> Family:
    return Family(f"winograd_{role.name.lower()}", arguments, elements=elements, integers=integers, m=tuple(PAIRS))


# The arguments of the functions; before them is m.
_TO_PLANES = "x rows cols zeros tiles depth v v_step plane", "x zeros v", "rows cols"
INPUT, GRADIENT = (_family(role, *_TO_PLANES) for role in (Role.INPUT, Role.GRADIENT))
FILTER = _family(Role.FILTER, "w step rows cols channels columns u u_step plane", "w u", "rows cols")
OUTPUT = _family(Role.OUTPUT, "v v_step plane tiles y rows cols columns bias relu", "v y bias", "rows cols")
WEIGHTS = _family(Role.WEIGHTS, "v v_step plane channels dw step row col columns", "v dw")

input_address, gradient_address, filter_address = INPUT.address, GRADIENT.address, FILTER.address
output_address, weights_address = OUTPUT.address, WEIGHTS.address


@INPUT.member
def _input(emit: Emitter, arg: Any, m: int) -> None:
    """A row of tiles of the input, each m columns further: v[f*plane + c] = (B^T d B)[f] for c below `depth`.

    d[i, j] = x[rows[i] + cols[j] + c], or zero where rows or cols say NOWHERE. Whole vectors are written.
    """
    _ToPlanes(emit, arg, Role.INPUT, m).emit_tiles()


@GRADIENT.member
def _gradient(emit: Emitter, arg: Any, m: int) -> None:
    """The same with A: a row of tiles of the gradient to the output."""
    _ToPlanes(emit, arg, Role.GRADIENT, m).emit_tiles()


class _ToPlanes:
    """Emits the transform of a row of tiles, some at a time, part by part: columns of some frequencies, then rows.

    Neighbouring tiles share columns, which stay in registers from one to the next.
    """

    def __init__(self, emit: Emitter, arg: Any, role: Role, m: int) -> None:
        self.emit, self.builder, self.arg, self.m = emit, emit.builder, arg, m
        self.transform, self.t, self.size = scheme(role, m)
        self.far, self.along = self.builder.mul(arg.plane, I64(self.t)), emit.steps(arg.plane, self.t)

    def emit_tiles(self) -> None:
        b, emit, arg, m = self.builder, self.emit, self.arg, self.m
        offsets = [b.load(emit.at(arg.rows, i)) for i in range(self.size)]
        missing = [_is_nowhere(b, offset) for offset in offsets]
        rows = [b.select(no, arg.zeros, emit.at(arg.x, at)) for no, at in zip(missing, offsets, strict=True)]
        keep = [b.select(no, I64(0), I64(-1)) for no in missing]  # a row of zeros is the same for every column
        whole = b.icmp_signed("==", _all(b, keep), I64(-1))

        def group(left: Any, cols: Any, v: Any) -> tuple[Any, list[Any]]:
            more = b.icmp_signed(">", left, I64(TOGETHER))
            tiles = b.select(more, I64(TOGETHER), left)

            def block(k: Any, mask: Any) -> None:
                here = [emit.opaque(emit.at(row, k)) for row in rows]

                def load(i: int, at: Any) -> Any:
                    return emit.load(emit.at(here[i], at), mask)

                with b.if_else(whole) as (everywhere, somewhere):
                    with everywhere:
                        self._parts(tiles, cols, emit.at(v, k), load)
                    with somewhere:
                        self._parts(tiles, cols, emit.at(v, k), lambda i, at: load(i, b.and_(at, keep[i])))

            _each_vector(emit, arg.depth, block)
            following = [emit.at(cols, TOGETHER * m), emit.at(v, (TOGETHER, arg.v_step))]
            return more, [b.sub(left, I64(TOGETHER)), *following]

        emit.loop([arg.tiles, arg.cols, arg.v], group, end_first=True)

    def _parts(self, tiles: Any, cols: Any, v: Any, load: Callable[[int, Any], Any]) -> None:
        """Each part over all tiles."""
        for part in self.transform:
            self._part(part, tiles, cols, self.emit.at(v, (part.outputs[0], self.far)), load)

    def _part(self, part: Part, tiles: Any, cols: Any, v: Any, load: Callable[[int, Any], Any]) -> None:
        """Some frequencies of each tile: of columns that are new, then of as many rows."""
        b, emit, shared, n = self.builder, self.emit, self.size - self.m, len(part.outputs)
        nothing = [emit.zero] * n

        def column(at: Any) -> list[Any]:
            offset = b.load(at)
            there = b.not_(_is_nowhere(b, offset))
            return emit.when(there, lambda: part.compute(emit, {i: load(i, offset) for i in part.inputs}), nothing)

        def tile(_: Any, at: Any, v: Any, *before: Any) -> list[Any]:
            columns = [list(before[j * n : (j + 1) * n]) for j in range(shared)]
            columns += [column(emit.at(at, j)) for j in range(self.m)]
            for number in range(n):
                line = v if number == 0 else emit.opaque(emit.at(v, self.far))
                values = {j: columns[j][number] for j in range(self.size)}
                for j, value in apply(emit, self.transform, values):
                    emit.store(value, self.along(line, j))
            return [value for values in columns[self.m :] for value in values]

        first = [value for j in range(shared) for value in column(emit.at(cols, j))]
        emit.repeat(tiles, first, tile, [(emit.at(cols, shared), self.m), (v, self.arg.v_step)], end_first=True)


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
            sandwich(emit, transform, size, lambda i, j: taps[i][j], lambda i, j, value: emit.store(value, plane(i, j)))

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
