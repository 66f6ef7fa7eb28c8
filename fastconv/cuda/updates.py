"""Steps of optimizers, in place: one kernel for all arrays of weights (twin: the steps of cpu/elementwise).

A model has tens of arrays, most of them small: with a launch for each, launching would take longer than computing. So a
kernel gets tuples of arrays and a table that tells each block which array it works on, and from where.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from typing import Any

import numpy as np

from . import backend
from .backend import cuda
from .launch import BLOCK, entry, flat, launch, needs_wide, table
from .rows import make_block_sum
from .runtime.source import unrolled

EACH = 4  # elements of a thread
MOST = 4096 - 256  # bytes of arguments a kernel may have, without those that are no arrays
ARRAY = 56  # bytes of an array among them


def make_sgd(T: Any, S: Any, U: Any, momentum: bool, nesterov: bool) -> Callable[..., None]:
    """v = mu*v - rate*g; w += v, or w += mu*v - rate*g with `nesterov`; w -= rate*g without `momentum`."""

    def sgd(w: Any, v: Any, g: Any, blocks: Any, rate: Any, mu: Any) -> None:
        b = U(U(2) * U(cuda.blockIdx.x))
        which, first = blocks[b], U(U(blocks[U(b + U(1))]) + U(cuda.threadIdx.x))
        a, old, d = w[which], v[which], g[which]
        for k in unrolled(EACH):
            i = U(first + U(k * BLOCK))
            if i < U(a.size):
                step = T(-rate * d[i])
                if momentum:
                    step = T(mu * old[i] + step)
                    old[i] = step
                    if nesterov:
                        step = T(mu * step - rate * d[i])
                a[i] += step

    return sgd


def make_adam(T: Any, S: Any, U: Any) -> Callable[..., None]:
    """m and v are running means of g and g*g; w -= rate*m/(sqrt(v) + epsilon). `rate` holds the bias corrections."""

    def adam(w: Any, m: Any, v: Any, g: Any, blocks: Any, rate: Any, beta_1: Any, beta_2: Any, epsilon: Any) -> None:
        b = U(U(2) * U(cuda.blockIdx.x))
        which, first = blocks[b], U(U(blocks[U(b + U(1))]) + U(cuda.threadIdx.x))
        a, means, squares, gradients = w[which], m[which], v[which], g[which]
        for k in unrolled(EACH):
            i = U(first + U(k * BLOCK))
            if i < U(a.size):
                d = gradients[i]
                mean = T(means[i] + (d - means[i]) * (T(1) - beta_1))
                square = T(squares[i] + (d * d - squares[i]) * (T(1) - beta_2))
                means[i], squares[i] = mean, square
                a[i] -= T(rate * mean / T(math.sqrt(square) + epsilon))

    return adam


def make_rmsprop(T: Any, S: Any, U: Any) -> Callable[..., None]:
    """v is the running mean of g*g; m = momentum*m + rate*g/sqrt(v + epsilon); w -= m."""

    def rmsprop(w: Any, m: Any, v: Any, g: Any, blocks: Any, rate: Any, rho: Any, momentum: Any, epsilon: Any) -> None:
        b = U(U(2) * U(cuda.blockIdx.x))
        which, first = blocks[b], U(U(blocks[U(b + U(1))]) + U(cuda.threadIdx.x))
        a, steps, squares, gradients = w[which], m[which], v[which], g[which]
        for k in unrolled(EACH):
            i = U(first + U(k * BLOCK))
            if i < U(a.size):
                d = gradients[i]
                square = T(squares[i] + (d * d - squares[i]) * (T(1) - rho))
                step = T(momentum * steps[i] + rate * d / T(math.sqrt(T(square + epsilon))))
                steps[i], squares[i] = step, square
                a[i] -= step

    return rmsprop


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


def sgd(w: Sequence[Any], v: Sequence[Any], g: Sequence[Any], *, rate: float, momentum: float, nesterov: bool) -> None:
    """v = momentum*v - rate*g; w += v, or w += momentum*v - rate*g with `nesterov`, for lists of arrays."""
    _step(make_sgd, (momentum != 0, bool(nesterov)), (w, v if momentum else w, g), (rate, momentum))


def adam(
    w: Sequence[Any], m: Sequence[Any], v: Sequence[Any], g: Sequence[Any], *, rate: float, beta_1: float,
    beta_2: float, epsilon: float,
) -> None:  # fmt: skip
    """m and v become running means of g and g*g; w -= rate*m/(sqrt(v) + epsilon), for lists of arrays."""
    _step(make_adam, (), (w, m, v, g), (rate, beta_1, beta_2, epsilon))


def rmsprop(
    w: Sequence[Any], m: Sequence[Any], v: Sequence[Any], g: Sequence[Any], *, rate: float, rho: float,
    momentum: float, epsilon: float,
) -> None:  # fmt: skip
    """v becomes the running mean of g*g; m = momentum*m + rate*g/sqrt(v + epsilon); w -= m, for lists of arrays."""
    _step(make_rmsprop, (), (w, m, v, g), (rate, rho, momentum, epsilon))


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


def _step(
    factory: Callable[..., Callable[..., None]], constants: tuple[Any, ...], arrays: tuple[Sequence[Any], ...],
    numbers: tuple[float, ...],
) -> None:  # fmt: skip
    """Start the kernel of a step for as many weights at a time as its arguments may hold, dtype by dtype."""
    most = MOST // (ARRAY * len(arrays))
    for dtype in dict.fromkeys(np.dtype(w.dtype) for w in arrays[0]):
        mine = [i for i, w in enumerate(arrays[0]) if w.dtype == dtype and w.size]
        for at in range(0, len(mine), most):
            chunk = mine[at : at + most]
            _step_together(factory, constants, [tuple(group[i] for i in chunk) for group in arrays], numbers, dtype)


def _step_together(
    factory: Callable[..., Callable[..., None]], constants: tuple[Any, ...], arrays: list[tuple[Any, ...]],
    numbers: tuple[float, ...], dtype: np.dtype,
) -> None:  # fmt: skip
    sizes = tuple(w.size for w in arrays[0])
    wide = needs_wide(*sizes)
    blocks = sum(-(-n // (EACH * BLOCK)) for n in sizes)
    with backend.scope(*(a for group in arrays for a in group)):
        tuples = (tuple(map(flat, group)) for group in arrays)
        args = *tuples, table(_block_table, (sizes, EACH * BLOCK), wide), *map(dtype.type, numbers)
        launch(factory, constants, blocks, args, dtype=dtype, wide=wide)


def _block_table(sizes: tuple[int, ...], run: int) -> np.ndarray:
    """(array, first element) of every block."""
    return np.array([(i, first) for i, size in enumerate(sizes) for first in range(0, size, run)]).reshape(-1)
