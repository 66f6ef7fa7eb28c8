"""Sums of a GEMM in parts, for problems with too few pixels and channels to keep a GPU busy but long sums.

A part is one more phase (see ``gathered.Phase``): the same pixels, some of the steps, stored to a copy of y of its own.
The kernels know nothing of it. A second kernel adds the parts in order and finishes y. How many there are depends on
the problem alone, so a result has the same bits on every device. Extra memory: the parts, at most
`settings.scratch_bytes`.
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from functools import lru_cache
from typing import Any

import numpy as np

from ...config import settings
from .. import backend
from ..activation import device_function
from ..backend import cuda
from ..launch import BLOCK, blocks_for, flat, launch, needs_wide
from . import tiles
from .gathered import Phase
from .lowering import START, Plan

FIRST, STEPS = Phase._fields.index("first"), Phase._fields.index("steps")


def make_add_parts(T: Any, S: Any, U: Any, bias: bool, activation: Any, shorten: Any) -> Callable[..., None]:
    """y[i] = activation(b[channel of i] + sum of the parts' elements i); one thread per element.

    Channels change every `pixels` elements; `shorten`, if any, makes the 16 bits to store.
    """
    act = device_function(activation, T)

    def add_parts(parts: Any, y: Any, b: Any, pixels: Any, channels: Any, count: Any, total: Any) -> None:
        i = U(U(cuda.blockIdx.x) * U(BLOCK) + U(cuda.threadIdx.x))
        if i < U(total):
            v = T(0)
            for p in range(count):
                v += parts[U(U(p) * U(total) + i)]
            if bias:
                v = T(v + b[U(U(i // U(pixels)) % U(channels))])
            if act is not None:
                v = T(act(v))
            if shorten is None:
                y[i] = v
            else:
                y[i] = shorten(v)

    return add_parts


def parts_of(plan: Plan, channels: int, groups: int, size: int, itemsize: int) -> int:
    """How many parts to cut the sums of `size` elements into, `channels` in each group; 1 for most problems."""
    rows, steps = size // (channels * groups), int(plan.phases[:, STEPS].max())
    return max(1, min(tiles.split_parts(rows, channels, groups, steps), settings.scratch_bytes // (size * itemsize)))


@lru_cache(maxsize=256)
def in_parts(plan: Plan, parts: int, size: int) -> Plan:
    """`plan` with each phase cut into `parts`, each of which stores to its own copy of the `size` elements of y."""
    phases = np.repeat(plan.phases, parts, axis=0)
    part = np.tile(np.arange(parts), len(plan.phases))
    per = -(-phases[:, STEPS] // parts)
    begin = np.minimum(part * per, phases[:, STEPS])
    phases[:, FIRST] += begin
    phases[:, STEPS] = np.minimum(per, phases[:, STEPS] - begin)
    phases[:, START] += part * size
    return replace(plan, phases=phases)


def through_parts(
    run: Callable[[Plan, Any, Any, Any], None], plan: Plan, b: Any, y: Any, parts: int, channels: int, pixels: int,
    activation: Any, shorten: Any = None,
) -> None:  # fmt: skip
    """y by way of ``run(plan, b, y, activation)`` in `parts`.

    y has `channels` in all, which change every `pixels` elements; its elements are float32 or float64, or with
    `shorten` the 16 bits that it makes of float32.
    """
    if parts == 1:
        return run(plan, b, y, activation)
    dtype = y.dtype if shorten is None else np.dtype(np.float32)
    partial = backend.scratch("split", parts * y.size, dtype)
    run(in_parts(plan, parts, y.size), None, partial, None)
    args = partial, flat(y), partial if b is None else flat(b), pixels, channels, parts, y.size
    constants = b is not None, activation, shorten
    launch(make_add_parts, constants, blocks_for(y.size), args, dtype=dtype, wide=needs_wide(partial.size))
