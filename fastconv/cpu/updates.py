"""Steps of optimizers on lists of arrays, each in one pass over memory and one region for all (twin: cuda/updates.py).

A task owns a block of one of the arrays; kernels find it by a table, for a model has many arrays, most of them small.
What a step does to a number is one of `update_rules`.
"""

from __future__ import annotations

import inspect
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numba import carray

from ..simd.jit import kernel
from ..simd.lanes import pointer
from ..simd.parallel import ParallelKernel, parallel_kernel
from ..threads import team
from .update_rules import RULES

BLOCK = 8192  # elements of one task
LANES = 16  # sums of squares that grow side by side

Arrays = Sequence[np.ndarray]


def update(
    *lists: Arrays, rule: str, numbers: tuple[float, ...], keeps: Sequence[float], scale: float, limit: float,
    factors: Sequence[float],
) -> None:  # fmt: skip
    """A step of weights, the first list, by gradients, the last; between them is what is kept for each.

    The rule gets each weight times the one of `keeps`, and g*scale within [-limit, limit], times the one of `factors`.
    """
    for dtype in {w.dtype for w in lists[0]}:
        T: Any = dtype.type
        groups = [arrays for arrays in zip(*lists, strict=True) if arrays[0].dtype == dtype]
        each = [(k, f) for w, k, f in zip(lists[0], keeps, factors, strict=True) if w.dtype == dtype]
        run = _kernel(rule, T, len(lists) - 2)
        run(*_tasks(groups), np.array(each, dtype), T(scale), T(limit), *map(T, numbers))


def lengths(g: Arrays, *, scale: float, limit: float) -> np.ndarray:
    """The Euclidean length of each of g*scale within [-limit, limit], in float64."""
    found = np.zeros(len(g))
    for dtype in {a.dtype for a in g}:
        which = [i for i, a in enumerate(g) if a.dtype == dtype]
        members, tasks, blocks, places = _tasks([(g[i],) for i in which])
        squares = np.zeros(tasks)
        _squares(members, tasks, blocks, places, dtype.type(scale), dtype.type(limit), squares)
        found[which] = np.sqrt(np.bincount(blocks[:, 0], squares, len(which)))
    return found


def _tasks(groups: Sequence[Arrays]) -> tuple[int, int, np.ndarray, np.ndarray]:
    """Threads, tasks, their blocks, and the addresses of all arrays, a row for each group."""
    sizes = tuple([arrays[0].size for arrays in groups])
    blocks = _blocks(sizes, groups[0][0].itemsize)
    places = np.array([[a.__array_interface__["data"][0] for a in arrays] for arrays in groups])
    return team(len(blocks), 4 * sum(sizes)), len(blocks), blocks, places


@lru_cache(maxsize=64)
def _blocks(sizes: tuple[int, ...], itemsize: int) -> np.ndarray:
    """Of each task the number of its arrays, how many bytes on its block begins, and the block's elements."""
    blocks = [
        (number, start * itemsize, min(BLOCK, size - start))
        for number, size in enumerate(sizes)
        for start in range(0, size, BLOCK)
    ]
    return np.array(blocks, np.int64).reshape(-1, 3)


@kernel
def block_of(blocks, places, task, which, like):
    """The block of a task in one of its arrays, whose dtype is that of `like`."""
    number, start, count = blocks[task]
    return carray(pointer(places[number, which] + start, like), count)


@kernel
def within(v, limit):
    """v, or the bound of [-limit, limit] that it lies beyond; a NaN stays."""
    return -limit if v < -limit else (limit if v > limit else v)


BODY = """
def update(thread, first, last, blocks, places, each, scale, limit, {numbers}):
    for task in range(first, last):
        keep, factor = each[blocks[task, 0], 0], each[blocks[task, 0], 1]
        w, g = block_of(blocks, places, task, 0, scale), block_of(blocks, places, task, {last}, scale)
        {arrays}
        for j in range(w.size):
            new, kept = step(w[j] * keep, ({elements}), within(g[j] * scale, limit) * factor, {numbers})
            w[j] = new
            {stores}
"""


@lru_cache(maxsize=64)
def _kernel(rule: str, T: Any, kept: int) -> ParallelKernel:
    """The kernel of a rule, with `kept` arrays beside weights and gradients."""
    step = RULES[rule](T)
    which = range(1, kept + 1)
    source = BODY.format(
        numbers=", ".join(list(inspect.signature(step).parameters)[3:]),
        last=kept + 1,
        arrays="; ".join(f"k{i} = block_of(blocks, places, task, {i}, scale)" for i in which) or "pass",
        elements="".join(f"k{i}[j], " for i in which),
        stores="; ".join(f"k{i}[j] = kept[{i - 1}]" for i in which) or "pass",
    )
    names = {"__name__": __name__, "step": kernel(step), "block_of": block_of, "within": within}
    exec(compile(source, __file__, "exec"), names)
    body: Any = names["update"]
    body.__name__ = body.__qualname__ = f"{rule}_{T.__name__}"  # the disk cache tells kernels apart by name
    body.__doc__ = f"One step by {rule}."
    return parallel_kernel(body)


@parallel_kernel
def _squares(thread, first, last, blocks, places, scale, limit, sums):
    """The sum of squares of each block of g*scale within [-limit, limit]."""
    total = np.empty(LANES, np.float64)
    for task in range(first, last):
        g = block_of(blocks, places, task, 0, scale)
        total[:] = 0
        for i in range(0, g.size - LANES + 1, LANES):
            part = g[i : i + LANES]
            for j in range(LANES):
                v = np.float64(within(part[j] * scale, limit))
                total[j] += v * v
        for i in range(g.size - g.size % LANES, g.size):
            v = np.float64(within(g[i] * scale, limit))
            total[i % LANES] += v * v
        found = 0.0
        for j in range(LANES):
            found += total[j]
        sums[task] = found
