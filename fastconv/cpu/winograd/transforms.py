"""The 2-D transforms of Winograd's method, compiled once per dtype and called by address: vectors run along channels.

A *plane* holds one of the t*t frequencies of all tiles: planes are `plane` elements apart, tiles `step`. Going to
planes (`input_address`, `filter_address`, `gradient_address`) and coming from them (`output_address`,
`weights_address`) differ in their 1-D transforms only (points), as do F(2x2, 3x3) and F(4x4, 3x3).
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic

from ...simd.jit import c_function
from ...simd.vector import I64, INTP, Emitter
from .points import TAPS, Role, sandwich, scheme

NOWHERE = -(1 << 62)  # the offset of a row or column that is all zero
INPUT, FILTER, GRADIENT, OUTPUT, WEIGHTS = map(int, Role)  # literals in kernels


@intrinsic
def place(typingctx, x, at):  # type: ignore[no-untyped-def]
    """Where x[at] lies, a flat array or an address: what the functions below take."""

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        array = isinstance(x, types.Array)
        data = context.make_array(x)(context, builder, args[0]).data if array else args[0]
        return builder.gep(data, [args[1]])

    return types.CPointer(x.dtype)(x, INTP), codegen


@intrinsic
def invoke(typingctx, address, arguments):  # type: ignore[no-untyped-def]
    """Call the C function at `address` with a tuple of integers and pointers."""

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        values = cgutils.unpack_tuple(builder, args[1])
        function = ir.FunctionType(ir.VoidType(), [value.type for value in values])
        builder.call(builder.inttoptr(args[0], function.as_pointer()), values)
        return context.get_dummy_value()

    return types.void(address, arguments), codegen


# --- to planes --------------------------------------------------------------------------------------------------------


@intrinsic(prefer_literal=True)
def _to_planes(typingctx, role, m, x, at, rows, cols, col, zeros, depth, v, v_at, plane):  # type: ignore[no-untyped-def]
    """v[v_at + f*plane + c] = (T d T^T)[f] for c below `depth`, d[i, j] = x[at + rows[i] + cols[col + j] + c].

    Where rows or cols say NOWHERE, d is read from `zeros`. Writes whole vectors: `depth` rounded up.
    """
    role_, m_ = role.literal_value, m.literal_value
    signature = types.void(role, m, x, INTP, rows, cols, INTP, zeros, INTP, v, INTP, INTP)

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        emit = Emitter(context, builder, x)
        transform, _, size = scheme(Role(role_), m_)
        _, _, x_, at_, rows_, cols_, col_, zeros_, depth_, v_, v_at_, plane_ = args
        source, target = emit.at(x_, at_), emit.at(v_, v_at_)
        row = [builder.load(emit.at(rows_, i)) for i in range(size)]
        column = [builder.load(emit.at(cols_, builder.add(col_, I64(j)))) for j in range(size)]
        no_row, no_column = ([builder.icmp_signed("==", o, I64(NOWHERE)) for o in offsets] for offsets in (row, column))
        places = {
            (i, j): builder.select(
                builder.or_(no_row[i], no_column[j]), zeros_, emit.at(source, builder.add(row[i], column[j]))
            )
            for i in range(size)
            for j in range(size)
        }

        def block(k, mask):  # type: ignore[no-untyped-def]
            def load(i, j):  # type: ignore[no-untyped-def]
                place = emit.at(places[i, j], k)
                return emit.load(place) if mask is None else emit.masked_load(place, mask)

            # Taps are few enough for the registers; those of large filters share a cache set, so load them once.
            taps = {(i, j): load(i, j) for i, j in places} if size == TAPS else None

            def value(i, j):  # type: ignore[no-untyped-def]
                return load(i, j) if taps is None else taps[i, j]

            def store(i, j, result):  # type: ignore[no-untyped-def]
                emit.store(result, emit.at(target, builder.add(k, builder.mul(I64(i * (m_ + 2) + j), plane_))))

            sandwich(emit, transform, size, value, store)

        _each_vector(emit, depth_, block)
        return context.get_dummy_value()

    return signature, codegen


def _each_vector(emit: Any, count: Any, block: Any) -> None:
    """Emit block(k, mask) for `count` elements: whole vectors, then part of one."""
    b = emit.builder
    rest = b.srem(count, I64(emit.lanes))
    whole = b.sub(count, rest)
    with cgutils.for_range_slice(b, I64(0), whole, I64(emit.lanes), intp=I64) as (k, _):
        block(k, None)
    with b.if_then(b.icmp_signed(">", rest, I64(0))):
        block(whole, emit.first_lanes(rest))


def _input(m, x, rows, cols, zeros, tiles, depth, v, v_step, plane):  # type: ignore[no-untyped-def]
    for k in range(tiles):
        if m == 4:
            _to_planes(INPUT, 4, x, 0, rows, cols, k * 4, zeros, depth, v, k * v_step, plane)
        else:
            _to_planes(INPUT, 2, x, 0, rows, cols, k * 2, zeros, depth, v, k * v_step, plane)


def _gradient(m, x, rows, cols, zeros, tiles, depth, v, v_step, plane):  # type: ignore[no-untyped-def]
    for k in range(tiles):
        if m == 4:
            _to_planes(GRADIENT, 4, x, 0, rows, cols, k * 4, zeros, depth, v, k * v_step, plane)
        else:
            _to_planes(GRADIENT, 2, x, 0, rows, cols, k * 2, zeros, depth, v, k * v_step, plane)


def _filter(m, w, step, rows, cols, channels, columns, u, u_step, plane):  # type: ignore[no-untyped-def]
    for c in range(channels):
        if m == 4:
            _to_planes(FILTER, 4, w, c * step, rows, cols, 0, w, columns, u, c * u_step, plane)
        else:
            _to_planes(FILTER, 2, w, c * step, rows, cols, 0, w, columns, u, c * u_step, plane)


# --- from planes ------------------------------------------------------------------------------------------------------


@intrinsic(prefer_literal=True)
def _from_planes(
    typingctx, role, m, v, v_at, plane, y, at, y_row, y_col, rows, cols, columns, bias, relu, dump
):  # type: ignore[no-untyped-def]  # fmt: skip
    """y[at + i*y_row + j*y_col + o] = (T v T^T)[i, j] + bias[o], for o below `columns`, i below `rows`, j below `cols`.

    `relu` replaces negative results by zero and keeps NaN; what lies outside goes to `dump`, of `columns` elements.
    """
    role_, m_ = role.literal_value, m.literal_value
    signature = types.void(role, m, v, INTP, INTP, y, INTP, INTP, INTP, INTP, INTP, INTP, bias, INTP, dump)

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        emit = Emitter(context, builder, v)
        transform, size, planes = scheme(Role(role_), m_)
        _, _, v_, v_at_, plane_, y_, at_, y_row_, y_col_, rows_, cols_, columns_, bias_, relu_, dump_ = args
        source, target = emit.at(v_, v_at_), emit.at(y_, at_)
        in_row, in_column = ([builder.icmp_signed("<", I64(i), count) for i in range(size)] for count in (rows_, cols_))
        places = {
            (i, j): builder.select(
                builder.and_(in_row[i], in_column[j]),
                emit.at(target, builder.add(builder.mul(I64(i), y_row_), builder.mul(I64(j), y_col_))),
                dump_,
            )
            for i in range(size)
            for j in range(size)
        }
        lowest = ir.Constant(emit.vector, [float("-inf")] * emit.lanes)
        floor = builder.select(builder.icmp_signed("!=", relu_, I64(0)), emit.zero, lowest)

        def block(k, mask):  # type: ignore[no-untyped-def]
            def load(i, j):  # type: ignore[no-untyped-def]
                return emit.load(emit.at(source, builder.add(k, builder.mul(I64(i * (m_ + 2) + j), plane_))))

            def store(i, j, value):  # type: ignore[no-untyped-def]
                value = builder.fadd(value, offset)
                value = builder.select(builder.fcmp_ordered("<", value, floor), floor, value)
                place = emit.at(places[i, j], k)
                if mask is None:
                    emit.store(value, place)
                else:
                    emit.masked_store(value, place, mask)

            offset = emit.load(emit.at(bias_, k))
            sandwich(emit, transform, planes, load, store)

        _each_vector(emit, columns_, block)
        return context.get_dummy_value()

    return signature, codegen


def _output(
    m, v, v_step, plane, tiles, y, y_row, y_col, rows, cols, columns, bias, relu, dump
):  # type: ignore[no-untyped-def]  # fmt: skip
    for k in range(tiles):
        here, there, left = k * v_step, k * m * y_col, cols - k * m
        if m == 4:
            _from_planes(OUTPUT, 4, v, here, plane, y, there, y_row, y_col, rows, left, columns, bias, relu, dump)
        else:
            _from_planes(OUTPUT, 2, v, here, plane, y, there, y_row, y_col, rows, left, columns, bias, relu, dump)


def _weights(
    m, v, v_step, plane, channels, dw, step, row, col, columns, zeros
):  # type: ignore[no-untyped-def]  # fmt: skip
    for c in range(channels):
        here, there = c * v_step, c * step
        if m == 4:
            _from_planes(WEIGHTS, 4, v, here, plane, dw, there, row, col, 3, 3, columns, zeros, 0, dw)
        else:
            _from_planes(WEIGHTS, 2, v, here, plane, dw, there, row, col, 3, 3, columns, zeros, 0, dw)


# --- addresses --------------------------------------------------------------------------------------------------------


def _pointers(itemsize: int) -> tuple[Any, Any]:
    return types.CPointer({4: types.float32, 8: types.float64}[itemsize]), types.CPointer(types.int64)


@lru_cache(maxsize=2)
def input_address(itemsize: int) -> int:
    """The function (m, x, rows, cols, zeros, tiles, depth, v, v_step, plane) for a row of input tiles."""
    e, o = _pointers(itemsize)
    return c_function(types.void(INTP, e, o, o, e, INTP, INTP, e, INTP, INTP), _input).address


@lru_cache(maxsize=2)
def gradient_address(itemsize: int) -> int:
    """The function (m, x, rows, cols, zeros, tiles, depth, v, v_step, plane) for tiles of dy."""
    e, o = _pointers(itemsize)
    return c_function(types.void(INTP, e, o, o, e, INTP, INTP, e, INTP, INTP), _gradient).address


@lru_cache(maxsize=2)
def filter_address(itemsize: int) -> int:
    """The function (m, w, step, rows, cols, channels, columns, u, u_step, plane) for filters."""
    e, o = _pointers(itemsize)
    return c_function(types.void(INTP, e, INTP, o, o, INTP, INTP, e, INTP, INTP), _filter).address


@lru_cache(maxsize=2)
def output_address(itemsize: int) -> int:
    """The function (m, v, v_step, plane, tiles, y, y_row, y_col, rows, cols, columns, bias, relu, dump)."""
    e, _ = _pointers(itemsize)
    signature = types.void(INTP, e, *(INTP,) * 3, e, *(INTP,) * 5, e, INTP, e)
    return c_function(signature, _output).address


@lru_cache(maxsize=2)
def weights_address(itemsize: int) -> int:
    """The function (m, v, v_step, plane, channels, dw, step, row, col, columns, zeros)."""
    e, _ = _pointers(itemsize)
    return c_function(types.void(INTP, e, *(INTP,) * 3, e, *(INTP,) * 4, e), _weights).address
