"""Pooling: one thread per output element goes through its window (twin: cpu/pool).

Windows come as tables, which serve dilation, padding, ceil_mode, global and adaptive pooling alike. The sums of a mean
or a norm are added row by row of the window.
"""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from ...problem import PoolProblem
from ..backend import cuda
from ..indexing import Strides, channel_axes, make_position, strides_of
from ..launch import BLOCK, blocks_for, entry, flat, launch, needs_wide
from .gradients import avg_pool_grad as avg_pool_grad
from .gradients import lp_pool_grad as lp_pool_grad
from .gradients import max_pool_grad as max_pool_grad
from .windows import (
    MEAN,
    MEAN_OF,
    POWERS,
    SQUARES,
    Sizes,
    arithmetic,
    bounds_of_powers,
    kind_of_norm,
    scaled_norm,
    sizes_of,
    window_tables,
)


def make_max_pool(T: Any, S: Any, U: Any, numbered: bool, lowest: Any) -> Callable[..., None]:
    """The first maximum of every window, NaN above all numbers, and where it is if `numbered`."""
    position = make_position(U)
    LOWEST = T(lowest)

    def max_pool(
        x: Any, y: Any, indices: Any, td: Any, th: Any, tw: Any, xs: Strides, s: Sizes, outer: Any, inner: Any,
        total: Any,
    ) -> None:  # fmt: skip
        i = U(U(cuda.blockIdx.x) * U(BLOCK) + U(cuda.threadIdx.x))
        if i < U(total):
            n, c, od, oh, ow = position(i, outer, s.OD, s.OH, s.OW, inner)
            od, oh, ow = U(od * U(3)), U(oh * U(3)), U(ow * U(3))
            plane = U(n * U(xs.n) + c * U(xs.c))
            count_d, count_h, count_w = td[od + U(1)], th[oh + U(1)], tw[ow + U(1)]
            best, where = LOWEST, S(-1)
            if count_d > 0 and count_h > 0 and count_w > 0:
                where = S((td[od] * s.H + th[oh]) * s.W + tw[ow])
            for a in range(count_d):
                for u in range(count_h):
                    row = S(((td[od] + a * s.step_d) * s.H + th[oh] + u * s.step_h) * s.W + tw[ow])
                    for v in range(count_w):
                        value = x[U(plane + U(row + v * s.step_w) * U(xs.w))]
                        if value > best or (value != value and best == best):
                            best, where = value, S(row + v * s.step_w)
            y[i] = best
            if numbered:
                indices[i] = where

    return max_pool


def make_sum_pool(T: Any, S: Any, U: Any, kind: int) -> Callable[..., None]:
    """A mean or a norm of every window; `p` is the norm's exponent, or what the mean divides by."""
    position = make_position(U)
    lift, join, lower = arithmetic(kind, T)
    norm, LOW, HIGH = scaled_norm(T, U), *(T(bound) for bound in bounds_of_powers(T))
    SCALES = kind in (SQUARES, POWERS)

    def sum_pool(
        x: Any, y: Any, p: Any, td: Any, th: Any, tw: Any, xs: Strides, s: Sizes, outer: Any, inner: Any, total: Any
    ) -> None:
        i = U(U(cuda.blockIdx.x) * U(BLOCK) + U(cuda.threadIdx.x))
        if i < U(total):
            n, c, od, oh, ow = position(i, outer, s.OD, s.OH, s.OW, inner)
            od, oh, ow = U(od * U(3)), U(oh * U(3)), U(ow * U(3))
            plane = U(n * U(xs.n) + c * U(xs.c) + U(tw[ow]) * U(xs.w))
            acc = T(0)
            for a in range(td[od + U(1)]):
                for u in range(th[oh + U(1)]):
                    at = U(U(td[od] + a * s.step_d) * U(xs.d) + U(th[oh] + u * s.step_h) * U(xs.h))
                    row = T(0)
                    for v in range(tw[ow + U(1)]):
                        row = join(row, lift(x[U(plane + at + U(v * s.step_w) * U(xs.w))], p))
                    acc = join(acc, row)
            result = lower(acc, p, T(td[od + U(2)] * th[oh + U(2)] * tw[ow + U(2)]))
            if SCALES:  # noqa: SIM102 - known when the kernel is compiled
                if acc < LOW or acc > HIGH:  # powers that may have left T
                    rows = U(plane + U(td[od]) * U(xs.d) + U(th[oh]) * U(xs.h))
                    result = norm(x, rows, td[od + U(1)], th[oh + U(1)], tw[ow + U(1)], s, xs, p)
            y[i] = result

    return sum_pool


@entry
def max_pool(problem: PoolProblem, x: Any, y: Any, indices: Any) -> None:
    """y = the maximum of every window; `indices` (int64, or None) = where it is in the (n, c) plane, -1 if nowhere."""
    dtype = np.dtype(x.dtype)
    lowest = -np.inf if dtype.kind == "f" else np.iinfo(dtype).min
    where = flat(y if indices is None else indices)  # a kernel has no optional arguments
    _each_output(problem, make_max_pool, (indices is not None, lowest), x, y, where)


@entry
def avg_pool(problem: PoolProblem, x: Any, y: Any, *, divisor: float | None) -> None:
    """y = the sum of every window over `divisor`, or over the divisors of the tables; 0 over 0 is 0."""
    kind = MEAN if divisor is None else MEAN_OF
    number = np.dtype(x.dtype).type(divisor or 0)
    _each_output(problem, make_sum_pool, (kind,), x, y, number)


@entry
def lp_pool(problem: PoolProblem, x: Any, y: Any, *, p: float) -> None:
    """y = (sum |x|^p)^(1/p) of every window; p = inf is the largest |x|."""
    number = np.dtype(x.dtype).type(p)
    _each_output(problem, make_sum_pool, (kind_of_norm(p),), x, y, number)


def _each_output(
    problem: PoolProblem, factory: Callable[..., Callable[..., None]], constants: tuple[Any, ...], x: Any, y: Any,
    extra: Any,
) -> None:  # fmt: skip
    """Start a kernel with one thread per output element; `extra` is the argument after y."""
    if y.size == 0:
        return
    C, channels_last, wide = problem.C, problem.channels_last, needs_wide(x.size, y.size)
    sizes, strides = sizes_of(problem), strides_of(C, problem.size, channels_last)
    windows = window_tables(problem, wide)
    args = (flat(x), flat(y), extra, *windows, strides, sizes, *channel_axes(C, channels_last), y.size)
    launch(factory, constants, blocks_for(y.size), args, dtype=x.dtype, wide=wide)
