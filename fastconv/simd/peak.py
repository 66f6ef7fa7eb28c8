"""Two kernels that only measure the machine: multiply-adds that never leave the registers, and a plain copy.

What a convolution reaches is judged against them: their speed is the most that any kernel can get here.
"""

from __future__ import annotations

from typing import Any

from llvmlite import ir
from numba import types
from numba.core import cgutils
from numba.extending import intrinsic

from .host import host
from .jit import parallel_kernel
from .vector import copy


def chains() -> int:
    """Independent multiply-adds in flight: enough to hide their latency, few enough to stay in the registers."""
    return 24 if host().registers == 32 else 12


@intrinsic
def _multiply_add(typingctx: Any, rounds: Any, values: Any, base: Any) -> Any:
    """Run `rounds` steps ``acc = acc * a + b`` on every chain; a, b and the sum live in `values` from `base`."""
    signature = types.void(types.int64, values, types.int64)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        rounds_value, array, base_value = args
        lanes = host().lanes(sig.args[1].dtype.bitwidth // 8)
        vector = ir.VectorType(context.get_value_type(sig.args[1].dtype), lanes)
        data = context.make_array(sig.args[1])(context, builder, array).data
        address = builder.bitcast(builder.gep(data, [base_value]), vector.as_pointer())
        a = builder.load(address, align=4)
        b = builder.load(builder.gep(address, [ir.Constant(ir.IntType(64), 1)]), align=4)
        accumulators = _loop(builder, rounds_value, a, b)
        total = accumulators[0]
        for accumulator in accumulators[1:]:
            total = builder.fadd(total, accumulator)
        builder.store(total, address, align=4)
        return context.get_dummy_value()

    return signature, codegen


def _loop(builder: Any, rounds: Any, a: Any, b: Any) -> list[Any]:
    """Emit the loop; returns the accumulators at its end."""
    zero, one = ir.Constant(rounds.type, 0), ir.Constant(rounds.type, 1)
    entry = builder.block
    body = builder.append_basic_block("multiply_add")
    after = builder.append_basic_block("multiply_add.end")
    builder.branch(body)
    builder.position_at_end(body)
    step = builder.phi(rounds.type)
    step.add_incoming(zero, entry)
    results = []
    for chain in range(chains()):
        old = builder.phi(a.type)
        old.add_incoming(ir.Constant(a.type, [float(chain)] * a.type.count), entry)
        results.append(old)
    following = builder.add(step, one)
    updated = [_fma(builder, old, a, b) for old in results]
    for old, new in zip(results, updated, strict=True):
        old.add_incoming(new, body)
    step.add_incoming(following, body)
    builder.cbranch(builder.icmp_signed("<", following, rounds), body, after)
    builder.position_at_end(after)
    return updated


def _fma(builder: Any, x: Any, a: Any, b: Any) -> Any:
    if not host().fma:
        return builder.fadd(builder.fmul(x, a), b)
    name = f"llvm.fma.v{a.type.count}f{64 if isinstance(a.type.element, ir.DoubleType) else 32}"
    function = cgutils.get_or_insert_function(builder.module, ir.FunctionType(a.type, [a.type] * 3), name)
    return builder.call(function, [x, a, b])


@parallel_kernel
def multiply_adds(thread, first, last, rounds, values, stride):  # type: ignore[no-untyped-def]
    """Each task runs `rounds` multiply-adds on every chain, on the `stride` numbers of `values` that are its own."""
    for task in range(first, last):
        _multiply_add(rounds, values, task * stride)


@parallel_kernel
def copies(thread, first, last, source, target, size):  # type: ignore[no-untyped-def]
    """Each task copies `size` elements."""
    for task in range(first, last):
        copy(target, task * size, source, task * size, size)
