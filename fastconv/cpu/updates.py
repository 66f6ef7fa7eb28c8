"""Steps of optimizers on lists of arrays, each in one pass over memory and one region for all (twin: cuda/updates.py).

A task owns a block of one of the arrays; kernels find it by a table, for a model has many arrays, most of them small.
"""

from __future__ import annotations

import math
from collections.abc import Sequence
from functools import lru_cache
from typing import Any

import numpy as np
from numba import carray

from ..simd.jit import kernel
from ..simd.lanes import pointer
from ..simd.parallel import parallel_kernel
from ..threads import team

BLOCK = 8192  # elements of one task

Arrays = Sequence[np.ndarray]


def sgd(w: Arrays, v: Arrays, g: Arrays, *, rate: float, momentum: float, nesterov: bool) -> None:
    """v = momentum*v - rate*g; w += v, or w += momentum*v - rate*g with `nesterov`, for lists of arrays."""
    _step(_sgd, (w, v, g), (rate, momentum), nesterov)


def adam(
    w: Arrays, m: Arrays, v: Arrays, g: Arrays, *, rate: float, beta_1: float, beta_2: float, epsilon: float
) -> None:
    """m and v become running means of g and g*g; w -= rate*m/(sqrt(v) + epsilon), for lists of arrays."""
    _step(_adam, (w, m, v, g), (rate, beta_1, beta_2, epsilon))


def rmsprop(
    w: Arrays, m: Arrays, v: Arrays, g: Arrays, *, rate: float, rho: float, momentum: float, epsilon: float
) -> None:
    """v becomes the running mean of g*g; m = momentum*m + rate*g/sqrt(v + epsilon); w -= m, for lists of arrays."""
    _step(_rmsprop, (w, m, v, g), (rate, rho, momentum, epsilon))


def shorten(g: np.ndarray, y: np.ndarray, most: float) -> None:
    """y = g, scaled to length `most` where it is longer."""
    norm = math.sqrt(float(np.square(g, dtype=np.float64).sum()))
    np.multiply(g, g.dtype.type(most / norm) if norm > most else g.dtype.type(1), out=y)


def _step(run: Any, lists: tuple[Arrays, ...], numbers: tuple[float, ...], *options: Any) -> None:
    for dtype in {w.dtype for w in lists[0]}:
        groups = [arrays for arrays in zip(*lists, strict=True) if arrays[0].dtype == dtype]
        sizes = tuple(arrays[0].size for arrays in groups)
        blocks = _blocks(sizes, dtype.itemsize)
        places = np.array([[a.ctypes.data for a in arrays] for arrays in groups])
        run(team(len(blocks), 4 * sum(sizes)), len(blocks), blocks, places, *map(dtype.type, numbers), *options)


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
def _block(blocks, places, task, which, like):
    """The block of a task in one of its arrays, whose dtype is that of `like`."""
    number, start, count = blocks[task]
    return carray(pointer(places[number, which] + start, like), count)


@parallel_kernel
def _sgd(thread, first, last, blocks, places, rate, momentum, nesterov):
    """v = momentum*v - rate*g; w += v, or w += momentum*v - rate*g with `nesterov`; no momentum: no v."""
    for task in range(first, last):
        a, c = _block(blocks, places, task, 0, rate), _block(blocks, places, task, 2, rate)
        if momentum == 0:
            for j in range(a.size):
                a[j] -= rate * c[j]
        else:
            b = _block(blocks, places, task, 1, rate)
            for j in range(a.size):
                step = momentum * b[j] - rate * c[j]
                b[j] = step
                a[j] += momentum * step - rate * c[j] if nesterov else step


@parallel_kernel
def _adam(thread, first, last, blocks, places, rate, beta_1, beta_2, epsilon):
    """m and v are running means of g and g*g; w -= rate*m/(sqrt(v) + epsilon). `rate` holds the bias corrections."""
    for task in range(first, last):
        a, b = _block(blocks, places, task, 0, rate), _block(blocks, places, task, 1, rate)
        c, d = _block(blocks, places, task, 2, rate), _block(blocks, places, task, 3, rate)
        one = a.dtype.type(1)
        for j in range(a.size):
            mean = b[j] + (d[j] - b[j]) * (one - beta_1)
            square = c[j] + (d[j] * d[j] - c[j]) * (one - beta_2)
            b[j], c[j] = mean, square
            a[j] -= rate * mean / (math.sqrt(square) + epsilon)


@parallel_kernel
def _rmsprop(thread, first, last, blocks, places, rate, rho, momentum, epsilon):
    """v is the running mean of g*g; m = momentum*m + rate*g/sqrt(v + epsilon); w -= m."""
    for task in range(first, last):
        a, b = _block(blocks, places, task, 0, rate), _block(blocks, places, task, 1, rate)
        c, d = _block(blocks, places, task, 2, rate), _block(blocks, places, task, 3, rate)
        one = a.dtype.type(1)
        for j in range(a.size):
            square = c[j] + (d[j] * d[j] - c[j]) * (one - rho)
            step = momentum * b[j] + rate * d[j] / math.sqrt(square + epsilon)
            b[j], c[j] = step, square
            a[j] -= step
