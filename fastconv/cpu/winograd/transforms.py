"""The 2-D transforms of Winograd's method, compiled once per dtype and called by address: vectors run along channels.

A *plane* holds one of the t*t frequencies of all tiles: planes are `plane` elements apart, tiles `step`. Going to
planes (`input_address`, `filter_address`, `gradient_address`) and coming from them (`output_address`,
`weights_address`) differ in their 1-D transforms only (points), as do F(2x2, 3x3) and F(4x4, 3x3).
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from numba.core import cgutils

from ...simd.emit import I64, Emitter
from ...simd.family import Family
from .points import PAIRS, TAPS, Role, sandwich, scheme

NOWHERE = -(1 << 62)  # the offset of a row or column that is all zero


def _family(role: Role, arguments: str, elements: str, integers: str = "") -> Family:
    return Family(f"winograd_{role.name.lower()}", arguments, elements=elements, integers=integers, m=tuple(PAIRS))


# The arguments of the functions; before them is m.
_TO_PLANES = "x rows cols zeros tiles depth v v_step plane", "x zeros v", "rows cols"
INPUT, GRADIENT = (_family(role, *_TO_PLANES) for role in (Role.INPUT, Role.GRADIENT))
FILTER = _family(Role.FILTER, "w step rows cols channels columns u u_step plane", "w u", "rows cols")
OUTPUT = _family(Role.OUTPUT, "v v_step plane tiles y y_row y_col rows cols columns bias relu dump", "v y bias dump")
WEIGHTS = _family(Role.WEIGHTS, "v v_step plane channels dw step row col columns zeros", "v dw zeros")

input_address, gradient_address, filter_address = INPUT.address, GRADIENT.address, FILTER.address
output_address, weights_address = OUTPUT.address, WEIGHTS.address


@INPUT.member
def _input(emit: Emitter, arg: Any, m: int) -> None:
    """A row of tiles of the input, each m columns further."""
    _row_to_planes(emit, arg, Role.INPUT, m)


@GRADIENT.member
def _gradient(emit: Emitter, arg: Any, m: int) -> None:
    """A row of tiles of the gradient to the output."""
    _row_to_planes(emit, arg, Role.GRADIENT, m)


def _row_to_planes(emit: Emitter, arg: Any, role: Role, m: int) -> None:
    def tile(k: Any) -> None:
        cols, v = emit.at(arg.cols, (k, m)), emit.at(arg.v, (k, arg.v_step))
        _to_planes(emit, role, m, arg.x, arg.rows, cols, arg.zeros, arg.depth, v, arg.plane)

    emit.repeat(arg.tiles, [], tile, end_first=True)


@FILTER.member
def _filter(emit: Emitter, arg: Any, m: int) -> None:
    """The filters of some input channels, `step` apart."""

    def channel(c: Any) -> None:
        w, u = emit.at(arg.w, (c, arg.step)), emit.at(arg.u, (c, arg.u_step))
        _to_planes(emit, Role.FILTER, m, w, arg.rows, arg.cols, arg.w, arg.columns, u, arg.plane)

    emit.repeat(arg.channels, [], channel, end_first=True)


@OUTPUT.member
def _output(emit: Emitter, arg: Any, m: int) -> None:
    """A row of tiles of the output."""

    def tile(k: Any) -> None:
        col = emit.builder.mul(k, I64(m))
        v, y, cols = emit.at(arg.v, (k, arg.v_step)), emit.at(arg.y, (col, arg.y_col)), emit.builder.sub(arg.cols, col)
        _from_planes(
            emit, Role.OUTPUT, m, v, arg.plane, y, arg.y_row, arg.y_col, arg.rows, cols, arg.columns, arg.bias,
            emit.floor(arg.relu), arg.dump,
        )  # fmt: skip

    emit.repeat(arg.tiles, [], tile, end_first=True)


@WEIGHTS.member
def _weights(emit: Emitter, arg: Any, m: int) -> None:
    """The gradients to the filters of some input channels."""

    def channel(c: Any) -> None:
        v, dw = emit.at(arg.v, (c, arg.v_step)), emit.at(arg.dw, (c, arg.step))
        _from_planes(
            emit, Role.WEIGHTS, m, v, arg.plane, dw, arg.row, arg.col, I64(3), I64(3), arg.columns, arg.zeros,
            emit.floor(I64(0)), arg.dw,
        )  # fmt: skip

    emit.repeat(arg.channels, [], channel, end_first=True)


def _to_planes(
    emit: Emitter, role: Role, m: int, x: Any, rows: Any, cols: Any, zeros: Any, depth: Any, v: Any, plane: Any
) -> None:
    """v[f*plane + c] = (T d T^T)[f] for c below `depth`, d[i, j] = x[rows[i] + cols[j] + c].

    Where rows or cols say NOWHERE, d is read from `zeros`. Writes whole vectors: `depth` rounded up.
    """
    b, (transform, _, size) = emit.builder, scheme(role, m)
    row, column = ([b.load(emit.at(offsets, i)) for i in range(size)] for offsets in (rows, cols))
    no_row, no_column = ([b.icmp_signed("==", o, I64(NOWHERE)) for o in offsets] for offsets in (row, column))
    places = {
        (i, j): b.select(b.or_(no_row[i], no_column[j]), zeros, emit.at(x, row[i], column[j]))
        for i in range(size)
        for j in range(size)
    }

    frequencies = _frequencies(emit, plane, m + 2)

    def block(k: Any, mask: Any) -> None:
        frequency = frequencies(emit.at(v, k))

        def load(i: int, j: int) -> Any:
            return emit.load(emit.at(places[i, j], k), mask)

        # Taps are few enough for the registers; those of large filters share a cache set, so load them once.
        taps = {(i, j): load(i, j) for i, j in places} if size == TAPS else {}

        def store(i: int, j: int, result: Any) -> None:
            emit.store(result, frequency(i, j))

        sandwich(emit, transform, size, lambda i, j: taps[i, j] if taps else load(i, j), store)

    _each_vector(emit, depth, block)


def _from_planes(
    emit: Emitter, role: Role, m: int, v: Any, plane: Any, y: Any, y_row: Any, y_col: Any, rows: Any, cols: Any,
    columns: Any, bias: Any, floor: Any, dump: Any,
) -> None:  # fmt: skip
    """y[i*y_row + j*y_col + o] = (T v T^T)[i, j] + bias[o], for o below `columns`, i below `rows`, j below `cols`.

    No result is below `floor`; what lies outside goes to `dump`, of `columns` elements.
    """
    b, (transform, size, planes) = emit.builder, scheme(role, m)
    in_row, in_column = ([b.icmp_signed("<", I64(i), count) for i in range(size)] for count in (rows, cols))
    places = {
        (i, j): b.select(b.and_(in_row[i], in_column[j]), emit.at(y, (i, y_row), (j, y_col)), dump)
        for i in range(size)
        for j in range(size)
    }

    frequencies = _frequencies(emit, plane, m + 2, columns=True)

    def block(k: Any, mask: Any) -> None:
        offset, frequency = emit.load(emit.at(bias, k)), frequencies(emit.at(v, k))

        def load(i: int, j: int) -> Any:
            return emit.load(frequency(i, j))

        def store(i: int, j: int, value: Any) -> None:
            emit.store(emit.clip(b.fadd(value, offset), floor), emit.at(places[i, j], k), mask)

        sandwich(emit, transform, planes, load, store)

    _each_vector(emit, columns, block)


def _frequencies(emit: Emitter, plane: Any, t: int, columns: bool = False) -> Callable[[Any], Callable[..., Any]]:
    """From the address of plane 0 to a function for that of frequency i, j of t*t, asked for row by row or by columns.

    A row's address is computed when the row begins: those of all frequencies would fill the registers.
    """
    down, along = emit.steps(emit.builder.mul(plane, I64(t)), t), emit.steps(plane, t)
    far, near = (along, down) if columns else (down, along)

    def frequencies(start: Any) -> Callable[[int, int], Any]:
        latest = [-1, start]

        def frequency(i: int, j: int) -> Any:
            line, number = (j, i) if columns else (i, j)
            if latest[0] != line:
                latest[:] = line, emit.opaque(far(start, line))
            return near(latest[1], number)

        return frequency

    return frequencies


def _each_vector(emit: Emitter, count: Any, block: Callable[[Any, Any], None]) -> None:
    """Emit block(k, mask) for `count` elements: whole vectors, then part of one."""
    b = emit.builder
    rest = b.srem(count, I64(emit.lanes))
    whole = b.sub(count, rest)
    with cgutils.for_range_slice(b, I64(0), whole, I64(emit.lanes), intp=I64) as (k, _):
        block(k, None)
    with b.if_then(b.icmp_signed(">", rest, I64(0))):
        block(whole, emit.first_lanes(rest))
