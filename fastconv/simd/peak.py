"""Two kernels that only measure the machine: multiply-adds that never leave the registers, and a plain copy.

What a convolution reaches is judged against them: their speed is the most that any kernel can get here.
"""

from __future__ import annotations

import functools
from typing import Any, NamedTuple

import numpy as np
from numba import types
from numba.extending import intrinsic

from .family import emitter
from .host import factors, host
from .parallel import parallel_kernel
from .vector import copy


def chains() -> int:
    """Independent multiply-adds in flight: enough to hide their latency, few enough to stay in the registers."""
    return 24 if host().registers == 32 else 12


class Operands(NamedTuple):
    """What `multiply_adds` takes: the numbers of all tasks, how many each has, and the operations of a round."""

    values: np.ndarray
    stride: int
    work: int


def operands(dtype: str, tasks: int) -> Operands:
    """Operands of a dtype; those of bfloat16 are multiplied in pairs, where the host does that, else in float32."""
    kind = np.dtype(dtype if dtype != "bfloat16" else np.uint16 if host().pairs else np.float32)
    lanes, step = host().sums(kind.itemsize), factors(kind.itemsize)
    half = 0x3F00 if kind == np.uint16 else 0.5
    return Operands(np.full(4 * lanes * step * tasks, half, kind), 4 * lanes * step, 2 * lanes * step * chains())


@intrinsic
def _multiply_add(typingctx: Any, rounds: Any, values: Any, base: Any) -> Any:
    """Run `rounds` steps ``acc = acc * a + b``, of pairs ``acc + a * b``, on every chain.

    a, b and the sum live in `values` from `base`.
    """
    signature = types.void(types.int64, values, types.int64)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        emit = emitter(context, builder, sig.args[1])
        place, size = emit.pointer(sig.args[1], args[1], args[2]), emit.lanes * emit.factors
        a, b = emit.factor(place), emit.factor(emit.at(place, size))
        start = [emit.constant(float(chain)) for chain in range(chains())]

        def step(_: Any, *sums: Any) -> list[Any]:
            if emit.factors > 1:
                return [emit.multiply_add(a, b, old) for old in sums]
            return [emit.multiply_add(old, a, b) for old in sums]

        sums = emit.repeat(args[0], start, step)
        emit.store(functools.reduce(builder.fadd, sums), emit.at(place, 2 * size))
        return context.get_dummy_value()

    return signature, codegen


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
