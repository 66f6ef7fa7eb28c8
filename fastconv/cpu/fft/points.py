"""Arithmetic on runs of points: vectors of real parts, each followed by its vector of imaginary parts."""

from __future__ import annotations

from typing import Any

from numba.core import cgutils, types
from numba.extending import intrinsic

from ...simd.emit import I64, INTP, Emitter
from .butterflies import Complex


@intrinsic(prefer_literal=True)
def multiply_points(typingctx, y, o, a, i, b, j, count, conjugate, add):  # type: ignore[no-untyped-def]
    """y[o:] = a[i:] * b[j:], for `count` points; `conjugate` b and `add` to y are literals. y may be a."""

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        emit, kinds = Emitter(context, builder, signature.args[0]), signature.args
        target = emit.pointer(kinds[0], args[0], args[1])
        left, right = emit.pointer(kinds[2], args[2], args[3]), emit.pointer(kinds[4], args[4], args[5])
        values = Complex(emit, 1)
        with cgutils.for_range(builder, args[6], intp=I64) as loop:
            p, q, r = (_point(emit, pointer, loop.index) for pointer in (left, right, target))
            turn = values.turned_back if conjugate.literal_value else values.turned
            product = turn(_load(emit, p), _load(emit, q))
            _store(emit, values.add(_load(emit, r), product) if add.literal_value else product, r)
        return context.get_dummy_value()

    return types.void(y, INTP, a, INTP, b, INTP, INTP, conjugate, add), codegen


@intrinsic(prefer_literal=True)
def turn_points(typingctx, y, o, coarse, i, fine, j, count, conjugate):  # type: ignore[no-untyped-def]
    """y[o:] *= coarse[i] * fine[j:], for `count` points of y and fine and one of coarse; `conjugate` is a literal."""

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        emit, kinds = Emitter(context, builder, signature.args[0]), signature.args
        target, factors = emit.pointer(kinds[0], args[0], args[1]), emit.pointer(kinds[4], args[4], args[5])
        values = Complex(emit, 1)
        first = _load(emit, emit.pointer(kinds[2], args[2], args[3]))
        with cgutils.for_range(builder, args[6], intp=I64) as loop:
            p = _point(emit, target, loop.index)
            factor = values.turned(_load(emit, _point(emit, factors, loop.index)), first)
            turn = values.turned_back if conjugate.literal_value else values.turned
            _store(emit, turn(_load(emit, p), factor), p)
        return context.get_dummy_value()

    return types.void(y, INTP, coarse, INTP, fine, INTP, INTP, conjugate), codegen


def _point(emit: Emitter, pointer: Any, index: Any) -> Any:
    return emit.at(pointer, emit.builder.mul(index, I64(2 * emit.lanes)))


def _load(emit: Emitter, pointer: Any) -> tuple[Any, Any]:
    return emit.load(pointer), emit.load(emit.at(pointer, emit.lanes))


def _store(emit: Emitter, value: tuple[Any, Any], pointer: Any) -> None:
    emit.store(value[0], pointer)
    emit.store(value[1], emit.at(pointer, emit.lanes))


@intrinsic
def tell_apart(typingctx, t, p, q, z, a, b):  # type: ignore[no-untyped-def]
    """From the points of a frequency (t[p:]) and its negative (t[q:]) twice the spectra of both parts, to z[a:], z[b:].

    With p and q exchanged these are the conjugate spectra. If a == b only the first part's is kept.
    """

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        emit, kinds = Emitter(context, builder, signature.args[0]), signature.args
        z1, z2 = (_load(emit, emit.pointer(kinds[0], args[0], args[i])) for i in (1, 2))
        first = builder.fadd(z1[0], z2[0]), builder.fsub(z1[1], z2[1])
        second = builder.fadd(z1[1], z2[1]), builder.fsub(z2[0], z1[0])
        _store(emit, second, emit.pointer(kinds[3], args[3], args[5]))
        _store(emit, first, emit.pointer(kinds[3], args[3], args[4]))
        return context.get_dummy_value()

    return types.void(t, INTP, INTP, z, INTP, INTP), codegen


@intrinsic
def join_points(typingctx, z, a, b, t, p, q):  # type: ignore[no-untyped-def]
    """From the spectra of two real parts at a frequency the points of the frequency, t[p:], and its negative, t[q:]."""

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        emit, kinds = Emitter(context, builder, signature.args[0]), signature.args
        z1, z2 = (_load(emit, emit.pointer(kinds[0], args[0], args[i])) for i in (1, 2))
        plus = builder.fsub(z1[0], z2[1]), builder.fadd(z1[1], z2[0])
        minus = builder.fadd(z1[0], z2[1]), builder.fsub(z2[0], z1[1])
        _store(emit, minus, emit.pointer(kinds[3], args[3], args[5]))
        _store(emit, plus, emit.pointer(kinds[3], args[3], args[4]))
        return context.get_dummy_value()

    return types.void(z, INTP, INTP, t, INTP, INTP), codegen


@intrinsic(prefer_literal=True)
def spread_point(typingctx, panel, upper, lower, z, a, sign):  # type: ignore[no-untyped-def]
    """The rows that multiply real and imaginary parts: with z[a:] = [r, i], [r, sign*i] and [-sign*i, r]."""

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        emit, kinds = Emitter(context, builder, signature.args[0]), signature.args
        r, i = _load(emit, emit.pointer(kinds[3], args[3], args[4]))
        j = builder.fneg(i)
        rows = ((r, i), (j, r)) if sign.literal_value > 0 else ((r, j), (i, r))
        for row, place in zip(rows, args[1:3], strict=True):
            _store(emit, row, emit.pointer(kinds[0], args[0], place))
        return context.get_dummy_value()

    return types.void(panel, INTP, INTP, z, INTP, sign), codegen
