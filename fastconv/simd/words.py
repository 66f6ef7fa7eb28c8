"""Arguments of a kernel as words: compiled code calls a kernel's body with what lies in memory, without Numba's types.

A body is called with (thread, first, last, ...). What follows lies behind each other in an array of int64:

* an integer or a boolean: one word; a floating-point number: one, with its bits;
* a C-contiguous array: which base it lies at, how many bytes from there, and its shape;
* a tuple: its items.

A base is an address that is known at the call only, such as that of x; base 0 is address 0, for tables that stay.
"""

from __future__ import annotations

import struct
from collections.abc import Callable, Iterator
from typing import Any

import numpy as np
from llvmlite import ir
from numba.core import types
from numba.extending import intrinsic
from numba.np.arrayobj import populate_array

from .emit import I64, INTP
from .family import called

WORDS = I64.as_pointer()


def words_of(value: Any, place: Callable[[np.ndarray], tuple[int, int]]) -> list[int]:
    """The words of an argument; ``place(array)`` says where an array lies, as a base and bytes from there."""
    if isinstance(value, np.ndarray):
        return [*place(value), *value.shape]
    if isinstance(value, tuple):
        return [word for item in value for word in words_of(item, place)]
    if isinstance(value, (bool, np.bool_, int, np.integer)):
        return [int(value)]
    if isinstance(value, np.float32):
        return [struct.unpack("<i", struct.pack("<f", value))[0]]
    if isinstance(value, (float, np.float64)):
        return [struct.unpack("<q", struct.pack("<d", value))[0]]
    raise TypeError(f"a {type(value).__name__} cannot be written as words")


@intrinsic
def reader(typingctx, arguments):  # type: ignore[no-untyped-def]
    """The address of a C function of (words, bases) that calls a body with arguments like these.

    The words are the body's address, the number of its tasks, and the arguments; it does all tasks as thread 0, and
    returns Numba's code of what it raised, or 0.
    """

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        return builder.ptrtoint(_reading(context, builder.module, signature.args[0]), I64)

    return INTP(arguments), codegen


def _reading(context: Any, module: Any, arguments: Any) -> ir.Function:
    function = ir.Function(module, ir.FunctionType(I64, [WORDS, WORDS]), f"fastconv_words_{len(module.functions)}")
    function.linkage = "internal"
    b = ir.IRBuilder(function.append_basic_block("entry"))
    words, bases = function.args

    def numbers() -> Iterator[Any]:
        at = 0
        while True:
            yield b.load(b.gep(words, [I64(at)]))
            at += 1

    word = numbers()

    def read(kind: Any) -> Any:
        if isinstance(kind, types.Array):
            base, offset = next(word), next(word)
            return _array(
                context, b, kind, b.add(b.load(b.gep(bases, [base])), offset), [next(word) for _ in range(kind.ndim)]
            )
        if isinstance(kind, types.BaseTuple):
            return context.make_tuple(b, kind, [read(item) for item in kind])
        value, wanted = next(word), context.get_value_type(kind)
        if not isinstance(kind, types.Float):
            return value if wanted == I64 else b.trunc(value, wanted)
        return b.bitcast(value if kind.bitwidth == 64 else b.trunc(value, ir.IntType(32)), wanted)

    convention, kinds = context.call_conv, (types.int64,) * 3 + arguments.types
    body, tasks = next(word), next(word)
    values = [read(kind) for kind in arguments.types]
    callee = b.inttoptr(body, convention.get_function_type(types.none, kinds).as_pointer())
    status, _ = convention.call_function(b, callee, types.none, kinds, [I64(0), I64(0), tasks, *values])
    b.ret(b.sext(status.code, I64))
    return function


def _array(context: Any, builder: Any, kind: Any, address: Any, shape: list[Any]) -> Any:
    """A C-contiguous array at an address, which counts no references."""
    array = context.make_array(kind)(context, builder)
    itemsize = context.get_abi_sizeof(context.get_data_type(kind.dtype))
    strides = [I64(itemsize)]
    for length in reversed(shape[1:]):
        strides.insert(0, builder.mul(strides[0], length))
    data = builder.inttoptr(address, array.data.type)
    populate_array(array, data, shape, strides[: kind.ndim], itemsize, None)
    return array._getvalue()


@intrinsic
def read(typingctx, address, number):  # type: ignore[no-untyped-def]
    """Word `number` of those at an address."""

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        return builder.load(builder.gep(builder.inttoptr(args[0], WORDS), [args[1]]))

    return INTP(INTP, INTP), codegen


@intrinsic
def write(typingctx, address, number, value):  # type: ignore[no-untyped-def]
    """Set word `number` of those at an address."""

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        builder.store(args[2], builder.gep(builder.inttoptr(args[0], WORDS), [args[1]]))
        return context.get_dummy_value()

    return types.void(INTP, INTP, INTP), codegen


@intrinsic
def answer(typingctx, function, arguments):  # type: ignore[no-untyped-def]
    """What the C function at an address answers, an integer, to a tuple of integers."""

    def codegen(context, builder, signature, args):  # type: ignore[no-untyped-def]
        values = [builder.extract_value(args[1], i) for i in range(len(arguments))]
        return called(builder, args[0], I64, *values)

    return INTP(INTP, arguments), codegen
