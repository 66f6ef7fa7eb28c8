"""Pooling on the CPU: max, average and l^p of windows given by a rule for each axis, and their gradients.

Kernels take the rules' tables. A row of one holds a window's first real element, its number of real elements and its
divisor; a window's elements and divisor are products over the axes. So one description serves padding, dilation,
ceil_mode, global and adaptive pools.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numpy as np

from ...kept import kept
from ...problem import PoolProblem
from ...simd.halves import BITS
from ...simd.host import host
from ...threads import get_num_threads
from ..work import Work
from . import channels_first, channels_last, gradients, pairs, places, strips
from .gradients import avg_pool_grad, lp_pool_grad, max_pool_grad
from .kinds import MAGNITUDES, MAX, SQUARES, SUM, Way, is_exact, side_by_side
from .norms import scale_where

__all__ = [
    "avg_pool",
    "avg_pool_grad",
    "bind",
    "describe",
    "lp_pool",
    "lp_pool_grad",
    "max_pool",
    "max_pool_grad",
    "work",
]

Prepared = tuple[Callable[..., None], tuple[Any, ...]]  # what runs, and what it takes beside the arrays

# Windows wider than this are reduced with lanes along the window instead of across windows.
_WIDE = 32

# Sums of powers, and roots of sums of squares, between these lost nothing to overflow or underflow.
POWERS, ROOTS = (1e-280, 1e300), (1e-140, 1e150)


def max_pool(problem: PoolProblem, x: np.ndarray, y: np.ndarray, indices: np.ndarray | None) -> None:
    """Write each window's maximum to y, and its number in the (n, c) plane to `indices` unless that is None.

    The first of equal elements counts, and the first NaN before all others. An empty window gives the dtype's lowest
    value and index -1. x and y are float32, float64 or integers.
    """
    strips.pool(_maxima, problem, x, y, indices)


def _maxima(problem: PoolProblem, x: np.ndarray, y: np.ndarray, indices: np.ndarray | None) -> None:
    if y.size == 0:
        return
    if indices is None and x.dtype.kind == "f":
        _reduce(problem, x, y, MAX, 0.0)
        return
    indices = np.empty(y.shape, np.int64) if indices is None else indices
    run, prepared = _prepared_places(problem, x.dtype)
    run(x.reshape(-1), y.reshape(-1), indices.reshape(-1), *prepared)


def avg_pool(problem: PoolProblem, x: np.ndarray, y: np.ndarray, *, divisor: float | None) -> None:
    """Write each window's sum over its divisor (or over `divisor`) to y; an empty window gives 0.

    More than 16 elements are summed in float64, so the error stays below 16 roundings however large the window.
    """
    strips.pool(_reduce, problem, x, y, code=SUM, divisor=0.0 if divisor is None else float(divisor))


def lp_pool(problem: PoolProblem, x: np.ndarray, y: np.ndarray, *, p: float) -> None:
    """Write (sum of |x|^p)^(1/p) of each window to y, summed in float64; p = inf gives the largest |x|."""
    strips.pool(_norms, problem, x, y, p=p)


def _norms(problem: PoolProblem, x: np.ndarray, y: np.ndarray, p: float) -> None:
    if p == 1 or p == 2:
        _reduce(problem, x, y, MAGNITUDES if p == 1 else SQUARES, 0.0)
        if p == 2 and x.dtype == np.float64:  # squares of float32 stay in float64
            scale_where(problem, ROOTS, y, x, y, 2.0)
        return
    sizes = np.abs(x)
    if p == np.inf:
        _reduce(problem, sizes, y, MAX, 0.0)
        np.maximum(y, 0, out=y)  # an empty window
        return
    sums = np.empty(y.shape)
    with np.errstate(all="ignore"):  # as silent as the compiled kernels
        powers = np.power(sizes, p, dtype=np.float64)
        _reduce(problem, powers, sums, MAGNITUDES, 0.0)
        np.power(sums, 1 / p, out=y, casting="same_kind")
    scale_where(problem, POWERS, sums, x, y, float(p))


def _reduce(problem: PoolProblem, x: np.ndarray, y: np.ndarray, code: int, divisor: float) -> None:
    if y.size:
        run, prepared = _prepared(problem, code, x.dtype, divisor)
        run(x.reshape(-1), y.reshape(-1), *prepared)


@kept
def _prepared(problem: PoolProblem, code: int, dtype: np.dtype, divisor: float) -> Prepared:
    way = way_of(problem, code, dtype)
    return way.run, way.prepare(problem, code, dtype, divisor)


@kept
def _prepared_places(problem: PoolProblem, dtype: np.dtype) -> Prepared:
    way = way_of_places(problem)
    return way.run, way.prepare(problem, dtype)


def bind(
    problem: PoolProblem, dtype: np.dtype, divisor: float | None = None
) -> tuple[Callable[..., None], tuple[Any, ...], np.dtype] | None:
    """What runs a maximum or mean of floats on flat x and y, what that takes besides, and as what dtype it sees them.

    None where there is more to it: nothing to do, or a long axis, which goes in strips; or float16 on a host that has
    no instructions for it.
    """
    if problem.N == 0 or strips.typical(problem) is not problem:
        return None
    if dtype.name == "float16" and not host().half:
        return None
    seen = np.dtype(BITS.get(dtype.name, dtype))
    return *_prepared(problem, MAX if problem.op == "max_pool" else SUM, seen, float(divisor or 0)), seen


@lru_cache(maxsize=512)
def way_of(problem: PoolProblem, code: int, dtype: np.dtype) -> Way:
    """Which kernel reduces windows of x's dtype to one number each."""
    if side_by_side(problem) > 1:
        return channels_last.MAXIMA if code == MAX else channels_last.SUMS
    along = problem.axes[2].spacing()
    if along is None or along.kernel > _WIDE:
        return channels_first.BY_REGIONS
    quick = not is_exact(problem, code) and pairs.serves(problem)
    return pairs.BY_PAIRS if quick else channels_first.BY_ROWS


@lru_cache(maxsize=512)
def way_of_places(problem: PoolProblem) -> Way:
    """Which kernel finds maxima and their places."""
    if side_by_side(problem) > 1:
        return places.BY_CHANNELS
    along = problem.axes[2].spacing()
    return places.BY_REGIONS if along is None or along.kernel > places.LARGEST else places.BY_ROWS


def describe(problem: PoolProblem) -> str:
    """Which kernel serves a pool or its gradient, in words; for maxima of floats that of a call without places."""
    strip, way, _ = _served(problem)
    text = f"{way}{'' if strip is problem else ', in strips'}"
    return text + (" (p = 1 and 2; others: lp_grad, element by element)" if problem.op == "lp_pool_grad" else "")


def work(problem: PoolProblem) -> Work:
    """What a call has to do: elements read, bytes of x and y, and scratch."""
    strip, way, known = _served(problem)
    elements = math.prod(problem.x_shape3) + math.prod(problem.y_shape3)
    extra = get_num_threads() * way.scratch(strip, *known)
    return Work(0.0, float(problem.flops), 0.0, float(elements * problem.itemsize), regions=1, extra=extra)


def _served(problem: PoolProblem) -> tuple[PoolProblem, Way, tuple[Any, ...]]:
    """A problem, or one strip of a long axis; the way it goes, and what else the scratch of that depends on."""
    op, dtype, strip = problem.op, np.dtype(problem.dtype), strips.typical(problem)
    if op == "max_pool_grad":
        return problem, gradients.SCATTER, ()
    if op.endswith("_grad"):
        return strip, gradients.mean_way(strip, op == "avg_pool_grad"), (dtype,)
    if op == "max_pool" and dtype.kind != "f":
        return strip, way_of_places(strip), (dtype,)
    code = {"max_pool": MAX, "avg_pool": SUM, "lp_pool": MAGNITUDES}[op]
    return strip, way_of(strip, code, dtype), (code, dtype)
