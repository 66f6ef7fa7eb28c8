"""Rows of any dtype as float64 and back, converted as C converts: one compiled kernel then serves all dtypes.

The conversions are one C function, called by its address: compiled into each kernel, they would be most of it.

Numbers that an integer dtype cannot hold become what the processor's conversions, and so SciPy's filters, make of them:
8 and 16 bits are the last of 32, unsigned 32 bits the last of 64.
"""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from ...simd.emit import I64, INTP, Emitter, Lanes, element
from ...simd.family import invoke
from ...simd.jit import c_function, kernel
from ...simd.lanes import first_lanes, floating, inlined, lane_count, load, peek, place, poke, store, zeros
from .blocks import fill_row, source_column, source_row

#: The number of a dtype for `read_row` and `write_row`.
KINDS = {
    np.dtype(name): number
    for number, name in enumerate(
        ("float64", "float32", "uint8", "int8", "uint16", "int16", "uint32", "int32", "uint64", "int64")
    )
}
FLOAT64 = 0


READ, WRITE, ROUND = range(3)


@intrinsic
def typed(typingctx, x, like):  # type: ignore[no-untyped-def]
    """A flat array of bytes, or their address, as the address of elements of the dtype of the scalar `like`."""

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        first = element(context, builder, signature.args[0], args[0], I64(0))
        return builder.bitcast(first, context.get_value_type(signature.return_type))

    return types.CPointer(like)(x, like), codegen


@intrinsic
def to_doubles(typingctx, a):  # type: ignore[no-untyped-def]
    """a in float64, from any dtype."""
    kind = Lanes(types.float64, a.count)

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        if a.dtype == types.float64:
            return args[0]
        if floating(a):
            return builder.fpext(args[0], kind.vector)
        return (builder.sitofp if a.dtype.signed else builder.uitofp)(args[0], kind.vector)

    return kind(a), codegen


@intrinsic
def from_doubles(typingctx, a, like):  # type: ignore[no-untyped-def]
    """Lanes of float64 in the dtype of the flat array `like`, truncated towards zero if that is an integer."""
    kind = Lanes(like.dtype, a.count)

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        value, target = args[0], kind.dtype
        if isinstance(target, types.Float):
            return value if target == types.float64 else builder.fptrunc(value, kind.vector)
        bits, signed = target.bitwidth, target.signed
        if bits == 64 and not signed:
            return _to_uint64(Emitter(context, builder, a), value, kind)
        through = 32 if bits < 32 or (bits == 32 and signed) else 64
        whole = builder.fptosi(value, ir.VectorType(ir.IntType(through), a.count))
        return whole if through == bits else builder.trunc(whole, kind.vector)

    return kind(a, like), codegen


def _to_uint64(emit: Emitter, value: Any, kind: Lanes) -> Any:
    """Signed conversions are all that processors had: numbers from 2**63 on are moved below it, and back as bits."""
    builder = emit.builder
    limit = emit.constant(2.0**63)
    large = builder.fcmp_ordered(">=", value, limit)
    moved = builder.select(large, builder.fsub(value, limit), value)
    whole = builder.fptosi(moved, kind.vector)
    top = builder.select(large, kind.constant(-(1 << 63)), kind.constant(0))
    return builder.xor(whole, top)


@inlined
def _run(way, row, data, at, count):  # type: ignore[no-untyped-def]
    """One conversion between row[0 : count] and data[at : at+count]; READ and ROUND write their last vector whole."""
    like = zeros(row, 1)
    lanes = lane_count(like)
    for j in range(0, count, lanes):
        if way == ROUND:
            store(row, j, to_doubles(from_doubles(load(row, j, like, None), data)), None)
        elif j + lanes <= count:
            if way == READ:
                store(row, j, to_doubles(load(data, at + j, like, None)), None)
            else:
                store(data, at + j, from_doubles(load(row, j, like, None), data), None)
        else:
            mask = first_lanes(count - j, like)
            if way == READ:
                store(row, j, to_doubles(load(data, at + j, like, mask)), None)
            else:
                store(data, at + j, from_doubles(load(row, j, like, None), data), mask)


def _convert(way, kind, row, data, at, count):  # type: ignore[no-untyped-def]
    """Numba has no way to choose a pointer's type at run time: the same call for each dtype of `KINDS`."""
    if kind == 0:
        _run(way, row, typed(data, np.float64(0)), at, count)
    elif kind == 1:
        _run(way, row, typed(data, np.float32(0)), at, count)
    elif kind == 2:
        _run(way, row, typed(data, np.uint8(0)), at, count)
    elif kind == 3:
        _run(way, row, typed(data, np.int8(0)), at, count)
    elif kind == 4:
        _run(way, row, typed(data, np.uint16(0)), at, count)
    elif kind == 5:
        _run(way, row, typed(data, np.int16(0)), at, count)
    elif kind == 6:
        _run(way, row, typed(data, np.uint32(0)), at, count)
    elif kind == 7:
        _run(way, row, typed(data, np.int32(0)), at, count)
    elif kind == 8:
        _run(way, row, typed(data, np.uint64(0)), at, count)
    else:
        _run(way, row, typed(data, np.int64(0)), at, count)


@lru_cache(maxsize=1)
def converter() -> int:
    """The address of the function that `read_row`, `write_row` and `round_row` call."""
    signature = types.void(INTP, INTP, types.CPointer(types.float64), types.CPointer(types.uint8), INTP, INTP)
    return c_function(signature, _convert).address


@kernel
def read_row(convert, kind, dst, at, x, x0, count):  # type: ignore[no-untyped-def]
    """dst[at : at+count] = elements x0.. of the bytes x, of a dtype's kind; the last vector is written whole."""
    invoke(convert, (READ, kind, place(dst, at), place(x, 0), x0, count))


@kernel
def write_row(convert, kind, y, y0, src, at, count):  # type: ignore[no-untyped-def]
    """Elements y0.. of the bytes y, of a dtype's kind, become src[at : at+count]."""
    invoke(convert, (WRITE, kind, place(src, at), place(y, 0), y0, count))


@kernel
def round_row(convert, kind, row, at, count):  # type: ignore[no-untyped-def]
    """row[at : at+count] as it would be read back from that dtype; the last vector is whole."""
    invoke(convert, (ROUND, kind, place(row, at), typed(place(row, at), np.uint8(0)), 0, count))


@kernel
def read_block(n, convert, kind, x, tables, here, cval, dst):  # type: ignore[no-untyped-def]
    """Copy the block of x, bytes, that a task needs to dst, in float64."""
    count, spare, moved = here.cols + n.wide, n.leads * n.plane + 64, n.left - here.col0
    first, end = max(0, moved), min(count, moved + n.width)
    for t in range(n.leads):
        for r in range(here.rows + n.tall):
            row, at = source_row(n, tables, here, t, r), t * n.plane + r * n.pitch
            if row < 0:
                fill_row(dst, at, count, cval)
                continue
            x0 = row * n.width
            read_row(convert, kind, dst, at + first, x, x0 + first - moved, end - first)
            for j in range(count - (end - first)):
                q = j if j < first else j + end - first
                column = source_column(n, tables, here.col0 + q)
                if column < 0:
                    poke(dst, at + q, cval)
                elif first <= column + moved < end:
                    poke(dst, at + q, peek(dst, at + column + moved))
                else:
                    read_row(convert, kind, dst, spare, x, x0 + column, 1)
                    poke(dst, at + q, peek(dst, spare))
