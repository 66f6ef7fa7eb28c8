"""What is compiled into a user's function: it asks for a plan, allocates the result, and has the plan performed.

That is all; kernels are called by addresses that the door of the process has (`_door`). The function holds the door's
address in a variable that is 0 at first: whoever finds that imports the capsule, in whatever process the code is.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import cgutils, types
from numba.extending import intrinsic, register_jitable
from numba.np.arrayobj import populate_array

from ..memory import ALIGNMENT
from ..simd.emit import I32, I64, INTP
from ..simd.family import called
from ..simd.plan_table import Entry, Word
from ..simd.words import WORDS
from ._door import NAME, Refused

VARIABLE = "fastconv_njit_door"
OUTDATED = -1  # in place of a plan
OUTDATED_TEXT = "this function was compiled for another version of fastconv: delete it from Numba's cache (__pycache__)"
TEXT = ir.IntType(8).as_pointer()


def _door(context: Any, builder: Any) -> Any:
    """The address of the door's words; 0 where this fastconv has no such door."""
    module = builder.module
    if VARIABLE in module.globals:
        place = module.globals[VARIABLE]
    else:
        place = cgutils.add_global_variable(module, I64, VARIABLE)
        place.linkage, place.initializer = "internal", I64(0)
    known = builder.load_atomic(place, "monotonic", 8)
    with builder.if_then(builder.icmp_signed("==", known, I64(0)), likely=False):
        python = context.get_python_api(builder)
        name = context.insert_const_string(module, NAME)
        held = python.gil_ensure()
        kind = ir.FunctionType(TEXT, [TEXT, I32])
        found = builder.call(cgutils.get_or_insert_function(module, kind, "PyCapsule_Import"), [name, I32(0)])
        with builder.if_then(cgutils.is_null(builder, found), likely=False):
            python.err_clear()
        builder.store_atomic(builder.ptrtoint(found, I64), place, "monotonic", 8)
        python.gil_release(held)
    return builder.load_atomic(place, "monotonic", 8)


def _word(builder: Any, address: Any, number: int) -> Any:
    return builder.load(builder.gep(builder.inttoptr(address, WORDS), [I64(number)]))


def _flat(context: Any, builder: Any, kind: Any, value: Any) -> list[Any]:
    """The words of an argument: numbers, those of tuples, an array's shape; -1 for None."""
    if isinstance(kind, types.Array):
        return cgutils.unpack_tuple(builder, context.make_array(kind)(context, builder, value).shape, kind.ndim)
    if isinstance(kind, types.BaseTuple):
        items = cgutils.unpack_tuple(builder, value, len(kind))
        return [word for k, item in zip(kind, items, strict=True) for word in _flat(context, builder, k, item)]
    if isinstance(kind, types.NoneType):
        return [I64(-1)]
    if isinstance(kind, types.Boolean):
        return [builder.zext(value, I64)]
    return [context.cast(builder, value, kind, types.int64)]


@intrinsic
def ask(typingctx, first, second, third, numbers):  # type: ignore[no-untyped-def]
    """The address of the plan for arrays (or None) and numbers, of which the first is the code; 0 if it is refused."""

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        kinds = signature.args
        code, *rest = _flat(context, builder, kinds[3], args[3])
        words = [code]
        for kind, value in zip(kinds[:3], args[:3], strict=True):
            words += _flat(context, builder, kind, value)
        words += rest
        place = cgutils.alloca_once(builder, I64, I64(len(words)))
        for i, word in enumerate(words):
            builder.store(word, builder.gep(place, [I64(i)]))
        door = _door(context, builder)
        answer = cgutils.alloca_once_value(builder, I64(OUTDATED))
        with builder.if_then(builder.icmp_signed("!=", door, I64(0)), likely=True):
            given = door, builder.ptrtoint(place, I64), I64(len(words))
            builder.store(called(builder, _word(builder, door, Word.FIND), I64, *given), answer)
        return builder.load(answer)

    return INTP(first, second, third, numbers), codegen


@intrinsic
def perform(typingctx, plan, first, second, third, result):  # type: ignore[no-untyped-def]
    """Perform a plan on arrays, or None for those that are not there; 0 if that went well."""

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        addresses = [
            builder.ptrtoint(context.make_array(kind)(context, builder, value).data, I64)
            if isinstance(kind, types.Array)
            else I64(0)
            for kind, value in zip(signature.args[1:], args[1:], strict=True)
        ]
        door = _door(context, builder)
        return called(builder, _word(builder, door, Word.RUN), I64, door, args[0], *addresses)

    return INTP(plan, first, second, third, result), codegen


def _allocating(dtype: Any) -> Any:
    """An intrinsic that allocates an array of a plan's result, of this dtype, or of that of `like` if None."""

    @intrinsic
    def allocate(typingctx, plan, like):  # type: ignore[no-untyped-def]
        """An array of the shape of a plan's result, with as many axes as `like`, on a cache line of its own."""

        def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
            kind = signature.return_type
            shape = [_word(builder, args[0], Entry.SHAPE + i) for i in range(kind.ndim)]
            strides = [I64(context.get_abi_sizeof(context.get_data_type(kind.dtype)))]
            for length in reversed(shape):
                strides.insert(0, builder.mul(strides[0], length))
            memory = context.nrt.meminfo_alloc_aligned(builder, strides[0], ALIGNMENT)
            with builder.if_then(cgutils.is_null(builder, memory), likely=False):
                context.call_conv.return_user_exc(builder, MemoryError, ("no memory for the result",))
            array = context.make_array(kind)(context, builder)
            data = builder.bitcast(context.nrt.meminfo_data(builder, memory), array.data.type)
            populate_array(array, data, shape, strides[1:], strides[-1], memory)
            return array._getvalue()

        return types.Array(dtype or like.dtype, like.ndim, "C")(plan, like), codegen

    return allocate


result, places = _allocating(None), _allocating(types.int64)


@intrinsic
def axes(typingctx, value, like):  # type: ignore[no-untyped-def]
    """A number for each spatial axis of `like`: those of a tuple, or one number as often as there are axes."""
    return _numbers(value, like, 1)


@intrinsic
def axes_or(typingctx, value, other, like):  # type: ignore[no-untyped-def]
    """`axes` of a value, or of another where that is None."""
    absent = isinstance(value, types.NoneType)
    kind, spread = _numbers(other if absent else value, like, 1)

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        return spread(context, builder, signature, args[absent:])

    return kind.return_type(value, other, like), codegen


@intrinsic
def pairs(typingctx, value, like):  # type: ignore[no-untyped-def]
    """Two numbers for each spatial axis of `like`: one pair or number for each, or one number; zeros for a word."""
    return _numbers(value, like, 2)


def _numbers(value: Any, like: Any, each: int) -> Any:
    """The typing and code of a tuple of `each` numbers for each spatial axis."""
    rank = like.ndim - 2

    def codegen(context: Any, builder: Any, signature: Any, args: Any) -> Any:
        if isinstance(value, types.BaseTuple):
            items = list(zip(value, cgutils.unpack_tuple(builder, args[0], len(value)), strict=True))
        elif isinstance(value, types.Integer):
            items = [(value, args[0])] * rank
        else:
            items = [(types.int64, I64(0))] * rank
        numbers = []
        for kind, item in items:
            flat = _flat(context, builder, kind, item)
            numbers += flat if len(flat) == each else flat * each
        return context.make_tuple(builder, signature.return_type, numbers)

    return types.UniTuple(types.int64, rank * each)(value, like), codegen


@register_jitable
def same(a):  # type: ignore[no-untyped-def]
    """An array that is contiguous."""
    return a


@register_jitable
def copied(a):  # type: ignore[no-untyped-def]
    """A contiguous copy."""
    return np.ascontiguousarray(a)


def dense(kind: Any) -> Any:
    """What makes an array of this type contiguous, compiled."""
    return copied if isinstance(kind, types.Array) and kind.layout != "C" else same


@register_jitable
def planned(first, second, third, numbers):  # type: ignore[no-untyped-def]
    """The plan for what these arrays (or None) and numbers ask for."""
    plan = ask(first, second, third, numbers)
    if plan == OUTDATED:
        raise ImportError(OUTDATED_TEXT)
    if plan == 0:
        raise Refused()
    return plan


@register_jitable
def served(first, second, third, numbers):  # type: ignore[no-untyped-def]
    """The result of what these arrays (or None) and numbers ask for."""
    plan = planned(first, second, third, numbers)
    made = result(plan, first)
    if perform(plan, first, second, third, made) != 0:
        raise Refused()
    return made


@register_jitable
def served_with_places(first, second, third, numbers):  # type: ignore[no-untyped-def]
    """As `served`, with the places of maxima, which take the second array's place."""
    plan = planned(first, second, third, numbers)
    made, found = result(plan, first), places(plan, first)
    if perform(plan, first, found, third, made) != 0:
        raise Refused()
    return made, found


@register_jitable
def applied(y, function):  # type: ignore[no-untyped-def]
    """Replace every element of a contiguous array by a function of it."""
    flat = y.reshape(y.size)
    for i in range(flat.size):
        flat[i] = function(flat[i])
    return y
