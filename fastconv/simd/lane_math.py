"""What kernels do with `lanes.Lanes` values: arithmetic, comparisons, rearrangements, all lane by lane."""

from __future__ import annotations

from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from .lanes import Lanes, call, floating

I32 = ir.IntType(32)

# Older LLVMs cannot lower llvm.maximum on x86.
HAS_MAXIMUM = llvm.llvm_version_info[0] >= 19


def _binary(real: str, whole: str, doc: str) -> Any:
    def function(typingctx, a, b):  # type: ignore[no-untyped-def]
        def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
            return getattr(builder, real if floating(a) else whole)(*args)

        return (a(a, b), codegen) if a == b else None

    function.__doc__ = doc
    return intrinsic(function)


add = _binary("fadd", "add", "a + b, lane by lane.")
multiply = _binary("fmul", "mul", "a * b, lane by lane.")
divide = _binary("fdiv", "sdiv", "a / b, lane by lane.")


def _unary(name: str, doc: str) -> Any:
    def function(typingctx, a):  # type: ignore[no-untyped-def]
        def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
            return call(builder, f"llvm.{name}.{a.suffix}", a.vector, args[0])

        return a(a), codegen

    function.__doc__ = doc
    return intrinsic(function)


magnitude = _unary("fabs", "|a|, lane by lane.")
root = _unary("sqrt", "The square root of a, lane by lane.")


@intrinsic
def convert(typingctx, a, like):  # type: ignore[no-untyped-def]
    """a in the dtype of the lanes or array `like`: from float to float, or from one signed integer to another."""
    kind = Lanes(like.dtype, a.count)

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        if kind.dtype.bitwidth == a.dtype.bitwidth:
            return args[0]
        grows = kind.dtype.bitwidth > a.dtype.bitwidth
        if floating(a):
            return (builder.fpext if grows else builder.fptrunc)(args[0], kind.vector)
        return (builder.sext if grows else builder.trunc)(args[0], kind.vector)

    return kind(a, like), codegen


@intrinsic
def doubles(typingctx, a):  # type: ignore[no-untyped-def]
    """a in float64."""
    kind = Lanes(types.float64, a.count)

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        return args[0] if a.dtype == types.float64 else builder.fpext(args[0], kind.vector)

    return kind(a), codegen


# --- comparing and choosing -------------------------------------------------------------------------------------------


def _greater(builder: Any, kind: Lanes, a: Any, b: Any) -> Any:
    if floating(kind):
        return builder.fcmp_ordered(">", a, b)
    return builder.icmp_signed(">", a, b) if kind.dtype.signed else builder.icmp_unsigned(">", a, b)


def _largest(builder: Any, kind: Lanes, old: Any, new: Any) -> Any:
    if not floating(kind):
        return builder.select(_greater(builder, kind, new, old), new, old)
    if HAS_MAXIMUM and kind.count > 1:
        return call(builder, f"llvm.maximum.{kind.suffix}", kind.vector, new, old, flags=("nsz",))
    larger = builder.select(_greater(builder, kind, new, old), new, old)
    return builder.select(builder.fcmp_unordered("uno", new, new), new, larger)


@intrinsic
def largest(typingctx, best, a):  # type: ignore[no-untyped-def]
    """The larger of `best` and `a`, lane by lane; NaN where either is NaN. Of +0 and -0 either may win."""

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        return _largest(builder, a, *args)

    return (best(best, a), codegen) if a == best else None


@intrinsic
def beats(typingctx, a, best):  # type: ignore[no-untyped-def]
    """The mask of lanes where `a` wins over an earlier `best`: it is larger, or the first NaN."""

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        new, old = args
        if not floating(a):
            return _greater(builder, a, new, old)
        return builder.and_(builder.fcmp_unordered(">", new, old), builder.fcmp_ordered("ord", old, old))

    return (Lanes(types.boolean, a.count)(a, best), codegen) if a == best else None


@intrinsic
def pick(typingctx, mask, a, b):  # type: ignore[no-untyped-def]
    """a where the mask is set, else b."""

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        return builder.select(*args) if isinstance(mask, Lanes) else args[1]

    return (a(mask, a, b), codegen) if a == b else None


# --- rearranging ------------------------------------------------------------------------------------------------------


@intrinsic
def pair(typingctx, a, b):  # type: ignore[no-untyped-def]
    """a0 b0 a1 b1 ...: twice the lanes."""
    kind = Lanes(a.dtype, 2 * a.count)

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        order = [lane // 2 + a.count * (lane % 2) for lane in range(kind.count)]
        return builder.shuffle_vector(args[0], args[1], ir.Constant(ir.VectorType(I32, kind.count), order))

    return (kind(a, b), codegen) if a == b else None


def _every_other(start: int, doc: str) -> Any:
    def function(typingctx, a):  # type: ignore[no-untyped-def]
        kind = Lanes(a.dtype, a.count // 2)

        def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
            order = ir.Constant(ir.VectorType(I32, kind.count), list(range(start, a.count, 2)))
            return builder.shuffle_vector(args[0], args[0], order)

        return kind(a), codegen

    function.__doc__ = doc
    return intrinsic(function)


evens = _every_other(0, "Lanes 0, 2, 4, ... of a: half the lanes.")
odds = _every_other(1, "Lanes 1, 3, 5, ... of a: half the lanes.")


@intrinsic
def moved_up(typingctx, before, a):  # type: ignore[no-untyped-def]
    """The last lane of `before`, then all lanes of a but the last."""

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        order = ir.Constant(ir.VectorType(I32, a.count), list(range(a.count - 1, 2 * a.count - 1)))
        return builder.shuffle_vector(args[0], args[1], order)

    return (a(before, a), codegen) if before == a else None


def _folded(doc: str, combine: Any) -> Any:
    def function(typingctx, a):  # type: ignore[no-untyped-def]
        def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
            value, count = args[0], a.count
            while count > 1:
                count //= 2
                low = ir.Constant(ir.VectorType(I32, count), list(range(count)))
                high = ir.Constant(ir.VectorType(I32, count), list(range(count, 2 * count)))
                halves = [builder.shuffle_vector(value, value, order) for order in (low, high)]
                value = combine(builder, Lanes(a.dtype, count), *halves)
            return builder.extract_element(value, I32(0))

        return a.dtype(a), codegen

    function.__doc__ = doc
    return intrinsic(function)


sum_of = _folded("The sum of the lanes, halves first.", lambda builder, kind, a, b: builder.fadd(a, b))
largest_of = _folded("The largest of the lanes; NaN if one is NaN.", _largest)
