"""What pooling kernels share: windows as tables on the device, and the arithmetic of each kind of pooling.

A window table of an axis has three numbers per output: first real element, number of real elements, divisor. A cover
table says for each element of an axis which windows hold it: n + 1 bounds, then the windows between them.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any, NamedTuple

import numba
import numpy as np

from ...problem import PoolProblem
from ...windows import cover_of
from ..launch import table

# Kinds of pooling: the mean over the divisor of the tables or over a given number; sums of |x|, x^2 and |x|^p; max |x|.
MEAN, MEAN_OF, MAGNITUDES, SQUARES, POWERS, LARGEST = range(6)


class Sizes(NamedTuple):
    """Sizes of x and y, and how far a window's elements lie apart."""

    D: int
    H: int
    W: int
    OD: int
    OH: int
    OW: int
    step_d: int
    step_h: int
    step_w: int


def sizes_of(problem: PoolProblem) -> Sizes:
    """The sizes of a problem."""
    return Sizes(*problem.size, *problem.out, *problem.dilation)


def window_tables(problem: PoolProblem, wide: bool) -> tuple[Any, ...]:
    """The windows of the three axes on the device."""
    return tuple(table(_window_table, (axis,), wide) for axis in problem.axes)


def cover_tables(problem: PoolProblem, wide: bool) -> tuple[Any, ...]:
    """For each axis which windows hold an element, on the device."""
    return tuple(table(cover_of, (axis,), wide) for axis in problem.axes)


def kind_of_norm(p: float) -> int:
    """The kind of the p-norm."""
    if p in (1, 2):
        return MAGNITUDES if p == 1 else SQUARES
    return LARGEST if math.isinf(p) else POWERS


@lru_cache(maxsize=32)
def arithmetic(kind: int, T: Any) -> tuple[Any, Any, Any]:
    """``lift(v, p)``, ``join(a, b)`` and ``lower(total, p, divisor)`` of a kind of pooling, as device functions."""
    return tuple(numba.njit(f) for f in (_lift(kind, T), _join(kind), _lower(kind, T)))  # type: ignore[return-value]


def bounds_of_powers(T: Any) -> tuple[float, float]:
    """Sums of powers between these lost nothing to overflow or underflow."""
    return (1e-30, 1e37) if T.bitwidth == 32 else (1e-280, 1e300)


@lru_cache(maxsize=8)
def scaled_norm(T: Any, U: Any) -> Any:
    """``norm(x, first, depth, height, width, s, xs, p)`` of a window of so many elements, scaled by its largest.

    (sum |x|^p)^(1/p) = m * (sum (|x|/m)^p)^(1/p) with m = max |x|, as a device function (twin: cpu/pool/norms.py).
    """
    zero, one, endless = T(0), T(1), T(math.inf)

    def norm(x: Any, first: Any, depth: Any, height: Any, width: Any, s: Sizes, xs: Any, p: Any) -> Any:
        largest, total = zero, zero
        for a in range(depth):
            for u in range(height):
                at = U(first + U(a * s.step_d) * U(xs.d) + U(u * s.step_h) * U(xs.h))
                for v in range(width):
                    largest = max(largest, abs(x[U(at + U(v * s.step_w) * U(xs.w))]))
        if not zero < largest < endless:
            return largest
        for a in range(depth):
            for u in range(height):
                at = U(first + U(a * s.step_d) * U(xs.d) + U(u * s.step_h) * U(xs.h))
                for v in range(width):
                    total += T(math.pow(T(abs(x[U(at + U(v * s.step_w) * U(xs.w))]) / largest), p))
        return T(largest * T(math.pow(total, T(one / p))))

    return numba.njit(norm)


def _lift(kind: int, T: Any) -> Callable[..., Any]:
    lifts = {
        MAGNITUDES: lambda v, p: abs(v),
        LARGEST: lambda v, p: abs(v),
        SQUARES: lambda v, p: v * v,
        POWERS: lambda v, p: T(math.pow(abs(v), p)),
    }
    return lifts.get(kind, lambda v, p: v)


def _join(kind: int) -> Callable[..., Any]:
    if kind == LARGEST:
        return lambda a, b: b if b > a or b != b else a  # NaN wins
    return lambda a, b: a + b


def _lower(kind: int, T: Any) -> Callable[..., Any]:
    lowers = {
        MEAN: lambda total, p, divisor: total / divisor if divisor != T(0) else T(0),
        MEAN_OF: lambda total, p, divisor: total / p,
        SQUARES: lambda total, p, divisor: T(math.sqrt(total)),
        POWERS: lambda total, p, divisor: T(math.pow(total, T(T(1) / p))),
    }
    return lowers.get(kind, lambda total, p, divisor: total)


def _window_table(axis: Any) -> np.ndarray:
    return axis.table().reshape(-1)  # type: ignore[no-any-return]
