"""Steps of optimizers on lists of arrays, each in one pass over memory (twin: cuda/updates.py)."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import numpy as np

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
    for arrays in zip(*lists, strict=True):
        w = arrays[0]
        tasks = -(-w.size // BLOCK)
        cast = (w.dtype.type(number) for number in numbers)
        run(team(tasks, 4 * w.size), tasks, *(a.reshape(-1) for a in arrays), *cast, *options)


@parallel_kernel
def _sgd(thread, first, last, w, v, g, rate, momentum, nesterov):
    """v = momentum*v - rate*g; w += v, or w += momentum*v - rate*g with `nesterov`; no momentum: no v."""
    for block in range(first, last):
        here = slice(block * BLOCK, (block + 1) * BLOCK)
        a, c = w[here], g[here]
        if momentum == 0:
            for j in range(a.size):
                a[j] -= rate * c[j]
        else:
            b = v[here]
            for j in range(a.size):
                step = momentum * b[j] - rate * c[j]
                b[j] = step
                a[j] += momentum * step - rate * c[j] if nesterov else step


@parallel_kernel
def _adam(thread, first, last, w, m, v, g, rate, beta_1, beta_2, epsilon):
    """m and v are running means of g and g*g; w -= rate*m/(sqrt(v) + epsilon). `rate` holds the bias corrections."""
    one = w.dtype.type(1)
    for block in range(first, last):
        here = slice(block * BLOCK, (block + 1) * BLOCK)
        a, b, c, d = w[here], m[here], v[here], g[here]
        for j in range(a.size):
            mean = b[j] + (d[j] - b[j]) * (one - beta_1)
            square = c[j] + (d[j] * d[j] - c[j]) * (one - beta_2)
            b[j], c[j] = mean, square
            a[j] -= rate * mean / (math.sqrt(square) + epsilon)


@parallel_kernel
def _rmsprop(thread, first, last, w, m, v, g, rate, rho, momentum, epsilon):
    """v is the running mean of g*g; m = momentum*m + rate*g/sqrt(v + epsilon); w -= m."""
    one = w.dtype.type(1)
    for block in range(first, last):
        here = slice(block * BLOCK, (block + 1) * BLOCK)
        a, b, c, d = w[here], m[here], v[here], g[here]
        for j in range(a.size):
            square = c[j] + (d[j] * d[j] - c[j]) * (one - rho)
            step = momentum * b[j] + rate * d[j] / math.sqrt(square + epsilon)
            b[j], c[j] = step, square
            a[j] -= step
