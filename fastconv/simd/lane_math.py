"""What kernels do with `lanes.Lanes` values: arithmetic, comparisons, rearrangements, all lane by lane."""

from __future__ import annotations

from typing import Any

import llvmlite.binding as llvm
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic

from .emit import I32, Emitter, Lanes
from .lanes import floating

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
subtract = _binary("fsub", "sub", "a - b, lane by lane.")
multiply = _binary("fmul", "mul", "a * b, lane by lane.")
divide = _binary("fdiv", "sdiv", "a / b, lane by lane.")


def _unary(name: str, doc: str) -> Any:
    def function(typingctx, a):  # type: ignore[no-untyped-def]
        def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
            emit = Emitter(context, builder, a)
            return emit.call(f"llvm.{name}.{emit.suffix}", emit.vector, args[0])

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


def _extreme(emit: Emitter, old: Any, new: Any, lowest: bool = False) -> Any:
    """The larger of two, or the smaller; NaN where either is NaN."""
    builder, kind = emit.builder, emit.kind
    if not floating(kind):
        wins = _greater(builder, kind, old, new) if lowest else _greater(builder, kind, new, old)
        return builder.select(wins, new, old)
    if HAS_MAXIMUM and kind.count > 1:
        name = "minimum" if lowest else "maximum"
        return emit.call(f"llvm.{name}.{emit.suffix}", emit.vector, new, old, flags=("nsz",))
    wins = builder.fcmp_ordered("<" if lowest else ">", new, old)
    return builder.select(builder.fcmp_unordered("uno", new, new), new, builder.select(wins, new, old))


def _extremum(lowest: bool, doc: str) -> Any:
    def function(typingctx, best, a):  # type: ignore[no-untyped-def]
        def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
            return _extreme(Emitter(context, builder, a), *args, lowest=lowest)

        return (best(best, a), codegen) if a == best else None

    function.__doc__ = doc
    return intrinsic(function)


largest = _extremum(
    False, "The larger of `best` and `a`, lane by lane; NaN where either is NaN. Of +0 and -0 either may win."
)
smallest = _extremum(
    True, "The smaller of `best` and `a`, lane by lane; NaN where either is NaN. Of +0 and -0 either may win."
)


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
def at_most(typingctx, a, b):  # type: ignore[no-untyped-def]
    """The mask of lanes where a <= b; not where either is NaN."""

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        if floating(a):
            return builder.fcmp_ordered("<=", *args)
        return (builder.icmp_signed if a.dtype.signed else builder.icmp_unsigned)("<=", *args)

    return (Lanes(types.boolean, a.count)(a, b), codegen) if a == b else None


@intrinsic
def equal(typingctx, a, b):  # type: ignore[no-untyped-def]
    """The mask of lanes where the integers a and b are the same."""

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        return builder.icmp_signed("==", *args)

    return (Lanes(types.boolean, a.count)(a, b), codegen) if a == b else None


@intrinsic
def under(typingctx, a, b):  # type: ignore[no-untyped-def]
    """The mask of lanes where 0 <= a < b, integers: a number below 0 is a large one without a sign."""

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        return builder.icmp_unsigned("<", *args)

    return (Lanes(types.boolean, a.count)(a, b), codegen) if a == b else None


@intrinsic
def every(typingctx, mask):  # type: ignore[no-untyped-def]
    """True if all lanes of a mask are set."""

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        return builder.icmp_signed("==", builder.bitcast(args[0], ir.IntType(mask.count)), ir.IntType(mask.count)(-1))

    return types.boolean(mask), codegen


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
        return Emitter(context, builder, a).shuffle(*args, order)

    return (kind(a, b), codegen) if a == b else None


def _every_other(start: int, doc: str) -> Any:
    def function(typingctx, a):  # type: ignore[no-untyped-def]
        kind = Lanes(a.dtype, a.count // 2)

        def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
            return Emitter(context, builder, a).shuffle(args[0], args[0], range(start, a.count, 2))

        return kind(a), codegen

    function.__doc__ = doc
    return intrinsic(function)


evens = _every_other(0, "Lanes 0, 2, 4, ... of a: half the lanes.")
odds = _every_other(1, "Lanes 1, 3, 5, ... of a: half the lanes.")


@intrinsic
def moved_up(typingctx, before, a):  # type: ignore[no-untyped-def]
    """The last lane of `before`, then all lanes of a but the last."""

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        return Emitter(context, builder, a).shuffle(*args, range(a.count - 1, 2 * a.count - 1))

    return (a(before, a), codegen) if before == a else None


@intrinsic
def moved_down(typingctx, a):  # type: ignore[no-untyped-def]
    """All lanes of a but the first, then 0."""

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        return Emitter(context, builder, a).shuffle(args[0], ir.Constant(a.vector, None), range(1, a.count + 1))

    return a(a), codegen


def _folded(doc: str, combine: Any) -> Any:
    def function(typingctx, a):  # type: ignore[no-untyped-def]
        def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
            value, count = args[0], a.count
            while count > 1:
                count //= 2
                emit = Emitter(context, builder, Lanes(a.dtype, count))
                value = combine(emit, *(emit.shuffle(value, value, range(at, at + count)) for at in (0, count)))
            return builder.extract_element(value, I32(0))

        return a.dtype(a), codegen

    function.__doc__ = doc
    return intrinsic(function)


sum_of = _folded("The sum of the lanes, halves first.", lambda emit, a, b: emit.builder.fadd(a, b))
largest_of = _folded("The largest of the lanes; NaN if one is NaN.", _extreme)
