"""Vectors as values: a Numba type whose lanes kernels load, compare, add and store by name.

A `Lanes` value holds one or several host vectors side by side (LLVM keeps them in as many registers), so that a kernel
written once runs at the host's full width for every dtype and keeps enough operations in flight. Arrays are flat and
addressed by element offsets that must lie inside the array: no wrap-around of negative indices, which would keep LLVM
from vectorising. A `mask` is None for all lanes, or a result of `first_lanes`: memory under other lanes is not touched.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic, models, register_model

from .emit import I32, I64, INTP, Emitter, Lanes, element
from .host import host
from .jit import jitted


def inlined(function: Any) -> Any:
    """Compile a function that takes or returns lanes into its callers, where they stay in registers."""
    return jitted(function, forceinline=True)


@register_model(Lanes)
class _LanesModel(models.PrimitiveModel):
    def __init__(self, dmm: Any, fe_type: Any) -> None:
        super().__init__(dmm, fe_type, fe_type.vector)


def floating(kind: Lanes) -> bool:
    return isinstance(kind.dtype, types.Float)


# --- memory -----------------------------------------------------------------------------------------------------------


@intrinsic
def lane_count(typingctx, a):  # type: ignore[no-untyped-def]
    """The number of lanes of `a`: a compile-time constant."""
    return INTP(a), lambda context, builder, signature, args: I64(a.count)


@intrinsic
def address(typingctx, x):  # type: ignore[no-untyped-def]
    """Where the first element of a flat array lies; passing it on costs nothing, an array is counted in and out.

    The array must live on elsewhere: this is for arrays that are arguments of the outermost kernel.
    """

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        return context.make_array(signature.args[0])(context, builder, args[0]).data

    return types.CPointer(x.dtype)(x), codegen


@intrinsic
def place(typingctx, x, at):  # type: ignore[no-untyped-def]
    """Where x[at] lies: an address that many elements further than that of a flat array."""

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        return element(context, builder, signature.args[0], *args)

    return types.CPointer(x.dtype)(x, INTP), codegen


@intrinsic
def retyped(typingctx, x, like):  # type: ignore[no-untyped-def]
    """Where a flat array or an address lies, as the address of elements of the dtype of `like`, which is one too."""

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        start = element(context, builder, signature.args[0], args[0], I64(0))
        return builder.bitcast(start, context.get_value_type(signature.return_type))

    return types.CPointer(like.dtype)(x, like), codegen


@intrinsic
def pointer(typingctx, where, like):  # type: ignore[no-untyped-def]
    """The pointer to elements of the dtype of the scalar `like` at the address `where`, an integer.

    What Python passes to a kernel as an array is kept for ever if the kernel raises; an address is not.
    """

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        return builder.inttoptr(args[0], context.get_value_type(signature.return_type))

    return types.CPointer(like)(INTP, like), codegen


def _mask(kind: Any, value: Any) -> Any:
    return value if isinstance(kind, Lanes) else None


@intrinsic
def load(typingctx, x, i, like, mask):  # type: ignore[no-untyped-def]
    """x[i + lane], as many lanes as `like` has; zero where the mask is not set."""
    kind = Lanes(x.dtype, like.count)

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        emit = Emitter(context, builder, kind)
        return emit.load(emit.pointer(signature.args[0], args[0], args[1]), _mask(signature.args[3], args[3]))

    return kind(x, INTP, like, mask), codegen


@intrinsic
def store(typingctx, y, i, a, mask):  # type: ignore[no-untyped-def]
    """y[i + lane] = a[lane] where the mask is set."""

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        emit = Emitter(context, builder, signature.args[2])
        emit.store(args[2], emit.pointer(signature.args[0], args[0], args[1]), _mask(signature.args[3], args[3]))
        return context.get_dummy_value()

    return types.void(y, INTP, a, mask), codegen


def _asking(write: bool, doc: str) -> Any:
    def function(typingctx, x, i):  # type: ignore[no-untyped-def]
        def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
            emit = Emitter(context, builder, Lanes(signature.args[0].dtype, 1))
            emit.prefetch(emit.pointer(signature.args[0], args[0], args[1]), write)
            return context.get_dummy_value()

        return types.void(x, INTP), codegen

    function.__doc__ = doc
    return intrinsic(function)


ask = _asking(False, "Ask for the cache line of x[i], which need not lie inside, to be read soon.")
claim = _asking(True, "Ask for the cache line of x[i], which need not lie inside, to be written soon.")


@intrinsic
def peek(typingctx, x, i):  # type: ignore[no-untyped-def]
    """x[i] for an offset known to lie inside: nothing to keep LLVM from vectorising the loop around it."""

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        return builder.load(element(context, builder, signature.args[0], args[0], args[1]))

    return x.dtype(x, INTP), codegen


@intrinsic
def poke(typingctx, y, i, value):  # type: ignore[no-untyped-def]
    """y[i] = value, converted to y's dtype, for an offset known to lie inside."""

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        value = context.cast(builder, args[2], signature.args[2], y.dtype)
        builder.store(value, element(context, builder, signature.args[0], args[0], args[1]))
        return context.get_dummy_value()

    return types.void(y, INTP, value), codegen


# --- making lanes -----------------------------------------------------------------------------------------------------


@intrinsic(prefer_literal=True)
def zeros(typingctx, x, wide):  # type: ignore[no-untyped-def]
    """`wide` host vectors of x's dtype, all zero; `wide` is a literal."""
    kind = Lanes(x.dtype, wide.literal_value * host().lanes(x.dtype.bitwidth // 8))
    return kind(x, wide), lambda context, builder, signature, args: ir.Constant(kind.vector, None)


@intrinsic
def zero(typingctx, like):  # type: ignore[no-untyped-def]
    """Zero in every lane."""
    return like(like), lambda context, builder, signature, args: ir.Constant(like.vector, None)


def _lowest(dtype: Any) -> float | int:
    if isinstance(dtype, types.Float):
        return float("-inf")
    return -(1 << (dtype.bitwidth - 1)) if dtype.signed else 0


@intrinsic
def lowest(typingctx, like):  # type: ignore[no-untyped-def]
    """The value that nothing of the dtype is below, -inf or the smallest integer: one, or in every lane of `like`."""

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        value = _lowest(like.dtype)
        return like.constant(value) if isinstance(like, Lanes) else context.get_constant(like.dtype, value)

    return (like if isinstance(like, Lanes) else like.dtype)(like), codegen


@intrinsic
def spread(typingctx, scalar, like):  # type: ignore[no-untyped-def]
    """`scalar`, converted to the dtype of `like`, in as many lanes."""

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        value = context.cast(builder, args[0], signature.args[0], like.dtype)
        return Emitter(context, builder, like).splat(value)

    return like(scalar, like), codegen


@intrinsic
def numbers(typingctx, start, step, like, unit):  # type: ignore[no-untyped-def]
    """start + lane*step in the integer dtype of the scalar `unit`, in as many lanes as `like` has."""
    kind = Lanes(unit, like.count)

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        order = ir.Constant(kind.vector, list(range(kind.count)))
        emit = Emitter(context, builder, kind)
        first, hop = (emit.splat(context.cast(builder, value, types.int64, unit)) for value in args[:2])
        return builder.add(builder.mul(order, hop), first)

    return kind(types.int64, types.int64, like, unit), codegen


def _order(emit: Emitter, bound: Any) -> tuple[Any, Any]:
    """Lane numbers, and a bound for them cut to 0..count so that it fits narrow lanes."""
    builder, count = emit.builder, emit.lanes
    bound = builder.select(builder.icmp_signed("<", bound, I64(0)), I64(0), bound)
    bound = builder.trunc(builder.select(builder.icmp_signed(">", bound, I64(count)), I64(count), bound), I32)
    return ir.Constant(ir.VectorType(I32, count), list(range(count))), emit.splat(bound)


@intrinsic
def first_lanes(typingctx, count, like):  # type: ignore[no-untyped-def]
    """The mask of the first `count` of the lanes of `like`; a count outside 0..lanes means none or all."""

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        return builder.icmp_signed("<", *_order(Emitter(context, builder, like), args[0]))

    return Lanes(types.boolean, like.count)(INTP, like), codegen


@intrinsic
def lanes_between(typingctx, first, last, like):  # type: ignore[no-untyped-def]
    """The mask of lanes first..last-1 of `like`; both may lie outside."""

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        emit = Emitter(context, builder, like)
        below = builder.icmp_signed("<", *_order(emit, args[1]))
        return builder.and_(below, builder.icmp_signed(">=", *_order(emit, args[0])))

    return Lanes(types.boolean, like.count)(INTP, INTP, like), codegen
