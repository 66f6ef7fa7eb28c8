"""Steps of optimizers, in place: one kernel for all arrays of weights (twin: cpu/updates.py, of the same rules).

A model has tens of arrays, most of them small: with a launch for each, launching would take longer than computing. So a
kernel gets a tuple of arrays and a table that tells each block which array it works on, and from where.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numba
import numpy as np

from ..cpu.update_rules import RULES
from . import backend
from .backend import cuda
from .launch import BLOCK, entry, flat, launch, needs_wide, table
from .rows import make_block_sum
from .runtime.source import known, unrolled

EACH = 4  # elements of a thread
MOST = 4096 - 256  # bytes of arguments a kernel may have, without the rule's numbers
ARRAY = 56  # bytes of an array among them


def make_update(T: Any, S: Any, U: Any, rule: str, kept: int, count: int) -> Callable[..., None]:
    """A step by a rule: of `count` weights, with `kept` arrays for each, and their gradients.

    In `arrays` stand all weights, then all that is kept first, ..., and all gradients.
    """
    step = numba.njit(RULES[rule](T))

    def update(arrays: Any, blocks: Any, keeps: Any, scale: Any, limit: Any, numbers: Any) -> None:
        b = U(U(2) * U(cuda.blockIdx.x))
        which, first = U(blocks[b]), U(U(blocks[U(b + U(1))]) + U(cuda.threadIdx.x))
        w, g, keep = arrays[which], arrays[U(which + U((kept + 1) * count))], keeps[which]
        p, q, r = w, w, w
        if known(kept > 0):
            p = arrays[U(which + U(count))]
        if known(kept > 1):
            q = arrays[U(which + U(2 * count))]
        if known(kept > 2):
            r = arrays[U(which + U(3 * count))]
        for k in unrolled(EACH):
            i = U(first + U(k * BLOCK))
            if i < U(w.size):
                d = T(g[i] * scale)
                d = T(-limit) if d < -limit else (limit if d > limit else d)
                new, state = step(T(w[i] * keep), (p[i], q[i], r[i])[:kept], d, *numbers)
                w[i] = new
                if known(kept > 0):
                    p[i] = state[0]
                if known(kept > 1):
                    q[i] = state[1]
                if known(kept > 2):
                    r[i] = state[2]

    return update


def make_square_sums(T: Any, S: Any, U: Any) -> Callable[..., None]:
    """sums[block] = the sum of a block's elements of g, squared."""
    block_sum = make_block_sum(U, BLOCK)

    def square_sums(g: Any, sums: Any, part: Any, size: Any) -> None:
        shared = cuda.shared.array(BLOCK, T)
        t = U(cuda.threadIdx.x)
        i = U(U(cuda.blockIdx.x) * U(part) + t)
        stop = min(U(U(cuda.blockIdx.x) * U(part) + U(part)), U(size))
        found = T(0)
        while i < stop:
            found += g[i] * g[i]
            i = U(i + U(BLOCK))
        shared[t] = found
        found = block_sum(shared, t)
        if t == U(0):
            sums[U(cuda.blockIdx.x)] = found

    return square_sums


def make_shorten(T: Any, S: Any, U: Any) -> Callable[..., None]:
    """y = g, scaled to length `most` where it is longer; every block adds up the `sums` of squares again."""
    block_sum = make_block_sum(U, BLOCK)

    def shorten(g: Any, y: Any, sums: Any, count: Any, most: Any, size: Any) -> None:
        shared = cuda.shared.array(BLOCK, T)
        t = U(cuda.threadIdx.x)
        found, i = T(0), t
        while i < U(count):
            found += sums[i]
            i = U(i + U(BLOCK))
        shared[t] = found
        norm = T(math.sqrt(block_sum(shared, t)))
        scale = T(most / norm) if norm > most else T(1)
        first = U(U(cuda.blockIdx.x) * U(EACH * BLOCK) + t)
        for k in unrolled(EACH):
            i = U(first + U(k * BLOCK))
            if i < U(size):
                y[i] = T(g[i] * scale)

    return shorten


PART = 1 << 14  # elements of a gradient that one block squares and adds


def update(
    *lists: Sequence[Any], rule: str, numbers: tuple[float, ...], keeps: Sequence[float], scale: float, limit: float,
    factors: Sequence[float],
) -> None:  # fmt: skip
    """A step of weights, the first list, by gradients, the last; between them is what is kept for each.

    The rule gets each weight times the one of `keeps`, and g*scale within [-limit, limit]; `factors` are 1 here. It is
    started for as many weights at a time as a kernel's arguments may hold, dtype by dtype.
    """
    most = MOST // (ARRAY * len(lists) + 8)
    for dtype in dict.fromkeys(np.dtype(w.dtype) for w in lists[0]):
        mine = [i for i, w in enumerate(lists[0]) if w.dtype == dtype and w.size]
        for at in range(0, len(mine), most):
            chunk = mine[at : at + most]
            arrays = [tuple(group[i] for i in chunk) for group in lists]
            given = tuple(dtype.type(keeps[i]) for i in chunk), dtype.type(scale), dtype.type(limit)
            _update_together(rule, arrays, (*given, tuple(map(dtype.type, numbers))), dtype)


@entry
def shorten(g: Any, y: Any, most: float) -> None:
    """y = g, scaled to length `most` where it is longer; y may be g."""
    if g.size == 0:
        return
    blocks, dtype, wide = -(-g.size // PART), np.dtype(g.dtype), needs_wide(g.size)
    sums = backend.room("square sums", blocks, dtype)
    launch(make_square_sums, (), blocks, (flat(g), sums, PART, g.size), dtype=dtype, wide=wide)
    args = flat(g), flat(y), sums, blocks, dtype.type(most), g.size
    launch(make_shorten, (), -(-g.size // (EACH * BLOCK)), args, dtype=dtype, wide=wide)


def _update_together(rule: str, lists: list[tuple[Any, ...]], numbers: tuple[Any, ...], dtype: np.dtype) -> None:
    sizes = tuple(w.size for w in lists[0])
    wide = needs_wide(*sizes)
    blocks = sum(-(-n // (EACH * BLOCK)) for n in sizes)
    arrays = [a for group in lists for a in group]
    with backend.scope(*arrays):
        args = tuple(map(flat, arrays)), table(_block_table, (sizes, EACH * BLOCK), wide), *numbers
        launch(make_update, (rule, len(lists) - 2, len(sizes)), blocks, args, dtype=dtype, wide=wide)


def _block_table(sizes: tuple[int, ...], run: int) -> np.ndarray:
    """(array, first element) of every block."""
    return np.array([(i, first) for i, size in enumerate(sizes) for first in range(0, size, run)]).reshape(-1)
