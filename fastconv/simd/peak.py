"""Two kernels that only measure the machine: multiply-adds that never leave the registers, and a plain copy.

What a convolution reaches is judged against them: their speed is the most that any kernel can get here.
"""

from __future__ import annotations

import functools
from typing import Any

from numba import types
from numba.extending import intrinsic

from .emit import Emitter
from .host import host
from .parallel import parallel_kernel
from .vector import copy


def chains() -> int:
    """Independent multiply-adds in flight: enough to hide their latency, few enough to stay in the registers."""
    return 24 if host().registers == 32 else 12


@intrinsic
def _multiply_add(typingctx: Any, rounds: Any, values: Any, base: Any) -> Any:
    """Run `rounds` steps ``acc = acc * a + b`` on every chain; a, b and the sum live in `values` from `base`."""
    signature = types.void(types.int64, values, types.int64)

    def codegen(context: Any, builder: Any, sig: Any, args: Any) -> Any:
        emit = Emitter(context, builder, sig.args[1])
        place = emit.pointer(sig.args[1], args[1], args[2])
        a, b = emit.load(place), emit.load(emit.at(place, emit.lanes))
        start = [emit.constant(float(chain)) for chain in range(chains())]
        sums = emit.repeat(args[0], start, lambda _, *sums: [emit.multiply_add(old, a, b) for old in sums])
        emit.store(functools.reduce(builder.fadd, sums), place)
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
