"""Pooling on the CPU: max, average and l^p of windows given by a rule for each axis, and their gradients.

Kernels take the rules' tables. A row of one holds a window's first real element, its number of real elements and its
divisor; a window's elements and divisor are products over the axes. So one description serves padding, dilation,
ceil_mode, global and adaptive pools.
"""

from __future__ import annotations

import numpy as np

from ...problem import PoolProblem
from ...simd.host import host
from ...threads import team
from ...windows import tables
from . import strips
from .channels_first import reduce_regions, reduce_rows
from .channels_last import reduce_last
from .gradients import avg_pool_grad, lp_pool_grad, max_pool_grad
from .norms import scale_where
from .pairs import reduce_pairs
from .pairs import serves as serves_pairs
from .places import argmax
from .windows import (
    CHEAPER,
    MAGNITUDES,
    MAX,
    SHORT_SUM,
    SQUARES,
    SUM,
    channel_block,
    deal_plan,
    longest_run,
    shape_of,
    taps_of,
)

__all__ = ["avg_pool", "avg_pool_grad", "lp_pool", "lp_pool_grad", "max_pool", "max_pool_grad"]

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
    if indices is None:
        if x.dtype.kind == "f":
            _reduce(problem, x, y, MAX, 0.0)
            return
        indices = np.empty(y.shape, np.int64)
    argmax(x, y, indices, problem.axes, step=problem.dilation, channels_last=problem.channels_last)


def avg_pool(problem: PoolProblem, x: np.ndarray, y: np.ndarray, *, divisor: float | None) -> None:
    """Write each window's sum over its divisor (or over `divisor`) to y; an empty window gives 0.

    More than 16 elements are summed in float64, so the error stays below 16 roundings however large the window.
    """
    strips.pool(_reduce, problem, x, y, code=SUM, divisor=0.0 if divisor is None else float(divisor))


def lp_pool(problem: PoolProblem, x: np.ndarray, y: np.ndarray, *, p: float) -> None:
    """Write (sum of |x|^p)^(1/p) of each window to y, summed in float64; p = inf gives the largest |x|."""
    strips.pool(_norms, problem, x, y, p=p)


def _norms(problem: PoolProblem, x: np.ndarray, y: np.ndarray, p: float) -> None:
    windows, step, channels_last = problem.axes, problem.dilation, problem.channels_last
    if p == 1 or p == 2:
        _reduce(problem, x, y, MAGNITUDES if p == 1 else SQUARES, 0.0)
        if p == 2 and x.dtype == np.float64:  # squares of float32 stay in float64
            scale_where(ROOTS, y, x, y, windows, step, channels_last, 2.0)
        return
    lifted = np.abs(x)
    if p == np.inf:
        _reduce(problem, lifted, y, MAX, 0.0)
        np.maximum(y, 0, out=y)  # an empty window
        return
    sums = np.empty(y.shape)
    with np.errstate(all="ignore"):  # as silent as the compiled kernels
        lifted = np.power(lifted, p, dtype=np.float64)
        _reduce(problem, lifted, sums, MAGNITUDES, 0.0)
        np.power(sums, 1 / p, out=y, casting="same_kind")
    scale_where(POWERS, sums, x, y, windows, step, channels_last, float(p))


def _reduce(problem: PoolProblem, x: np.ndarray, y: np.ndarray, code: int, divisor: float) -> None:
    windows, step, channels_last = problem.axes, problem.dilation, problem.channels_last
    if y.size == 0:
        return
    C, sizes, channels_last = shape_of(x, channels_last)
    xf, yf, taps = x.reshape(-1), y.reshape(-1), taps_of(windows)
    rows, work, table = y.size // (C * windows[2].out), y.size * taps, tables(windows)
    if channels_last:
        block = channel_block(rows, C)
        tasks, run = rows * -(-C // block), longest_run(table[2])
        reduce_last(team(tasks, work // CHEAPER), tasks, xf, yf, table, run, (*sizes, C), step, block, code, divisor)
        return
    tasks = rows * C
    members = team(tasks, work)
    exact = code in (MAGNITUDES, SQUARES) or (code == SUM and taps > SHORT_SUM)
    sums = np.dtype(np.float64 if exact else x.dtype)
    plan = deal_plan(windows, step[2], sizes[2], host().lanes(sums.itemsize))
    if plan is None or len(plan.taps) > _WIDE:
        reduce_regions(members, tasks, xf, yf, table, np.empty(0, sums), sizes, step, code, divisor)
        return
    columns = plan.columns if divisor == 0 else np.ones_like(plan.columns)
    td, th, _ = table
    if not exact and code in (MAX, SUM) and serves_pairs(plan, table, step[2]):
        three, columns = len(plan.taps) == 3, columns.astype(x.dtype)
        reduce_pairs(members, tasks, xf, yf, td, th, columns, sizes, step, plan.line[4], three, code, divisor)
        return
    scratch = np.empty(members * 2 * plan.length, sums)
    reduce_rows(members, tasks, xf, yf, td, th, scratch, plan.taps, columns, sizes, step, plan.line, code, divisor)
