"""Gradients of pooling: a thread gathers what windows give to its element of dx, or owns a band of dx (no atomics)."""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numba
import numpy as np

from ...problem import PoolProblem
from .. import backend
from ..backend import cuda
from ..indexing import Strides, channel_axes, make_position, strides_of
from ..launch import BLOCK, blocks_for, entry, flat, index_dtype, launch, needs_wide
from .windows import MAGNITUDES, MEAN, MEAN_OF, SQUARES, cover_tables, kind_of_norm, window_tables

ENOUGH_THREADS = 1 << 16
LEAST_BAND = 64  # elements of dx that a thread owns at least in max_pool_grad


def make_avg_pool_grad(T: Any, S: Any, U: Any, kind: int) -> Callable[..., None]:
    """dx = sum of dy / divisor over the windows that hold an element; one thread per element of dx."""
    position = make_position(U)

    def avg_pool_grad(
        dy: Any, dx: Any, divisor: Any, cd: Any, ch: Any, cw: Any, td: Any, th: Any, tw: Any, ys: Strides, size: Any,
        outer: Any, inner: Any, total: Any,
    ) -> None:  # fmt: skip
        i = U(U(cuda.blockIdx.x) * U(BLOCK) + U(cuda.threadIdx.x))
        if i < U(total):
            n, c, d, h, w = position(i, outer, size[0], size[1], size[2], inner)
            plane = U(n * U(ys.n) + c * U(ys.c))
            acc = T(0)
            for a in range(cd[d], cd[U(d + U(1))]):
                od = cd[U(a)]
                for u in range(ch[h], ch[U(h + U(1))]):
                    oh = ch[U(u)]
                    row = U(plane + U(od) * U(ys.d) + U(oh) * U(ys.h))
                    for v in range(cw[w], cw[U(w + U(1))]):
                        ow = cw[U(v)]
                        share = divisor
                        if kind == MEAN:
                            share = T(td[U(od * 3 + 2)] * th[U(oh * 3 + 2)] * tw[U(ow * 3 + 2)])
                        if share != T(0):
                            acc += dy[U(row + U(ow) * U(ys.w))] / share
            dx[i] = acc

    return avg_pool_grad


def make_lp_pool_grad(T: Any, S: Any, U: Any, kind: int) -> Callable[..., None]:
    """dx = sum of dy * sign(x) * (|x|/y)^(p-1) over the windows that hold an element; 0 where x or y is 0."""
    position = make_position(U)
    slope = numba.njit(_slope(kind, T))

    def lp_pool_grad(
        dy: Any, dx: Any, x: Any, y: Any, p: Any, cd: Any, ch: Any, cw: Any, ys: Strides, size: Any,
        outer: Any, inner: Any, total: Any,
    ) -> None:  # fmt: skip
        i = U(U(cuda.blockIdx.x) * U(BLOCK) + U(cuda.threadIdx.x))
        if i < U(total):
            n, c, d, h, w = position(i, outer, size[0], size[1], size[2], inner)
            plane = U(n * U(ys.n) + c * U(ys.c))
            value = x[i]
            acc = T(0)
            for a in range(cd[d], cd[U(d + U(1))]):
                for u in range(ch[h], ch[U(h + U(1))]):
                    row = U(plane + U(cd[U(a)]) * U(ys.d) + U(ch[U(u)]) * U(ys.h))
                    for v in range(cw[w], cw[U(w + U(1))]):
                        o = U(row + U(cw[U(v)]) * U(ys.w))
                        if value != T(0) and y[o] != T(0):
                            acc += dy[o] * slope(value, y[o], p)
            dx[i] = acc

    return lp_pool_grad


def _slope(kind: int, T: Any) -> Callable[..., Any]:
    """dy/dx of a norm: sign(x) * (|x|/y)^(p-1)."""
    zero, one = T(0), T(1)

    def of_magnitudes(x: Any, y: Any, p: Any) -> Any:
        if x > zero:
            return one
        return -one if x < zero else x  # NaN stays

    def of_squares(x: Any, y: Any, p: Any) -> Any:
        return x / y

    def of_powers(x: Any, y: Any, p: Any) -> Any:
        if p < one:  # the quotient may be too small for T where the slope is not too large
            return T(math.copysign(math.pow(abs(x), p - one) * math.pow(y, one - p), x))
        return T(math.copysign(math.pow(abs(x) / y, p - one), x))

    return {MAGNITUDES: of_magnitudes, SQUARES: of_squares}.get(kind, of_powers)


def make_row_ranges(T: Any, S: Any, U: Any) -> Callable[..., None]:
    """The smallest and the largest index in every output row of every plane; one thread per row."""
    position = make_position(U)

    def row_ranges(
        indices: Any, low: Any, high: Any, ys: Strides, rows: Any, width: Any, outer: Any, inner: Any, total: Any
    ) -> None:
        i = U(U(cuda.blockIdx.x) * U(BLOCK) + U(cuda.threadIdx.x))
        if i < U(total):
            n, c, _, _, row = position(i, outer, 1, 1, rows, inner)
            at = U(n * U(ys.n) + c * U(ys.c) + row * U(ys.h))
            least, most = S(-1), S(-1)
            for v in range(width):
                index = S(indices[U(at + U(v) * U(ys.w))])
                most = max(most, index)
                if index >= 0 and (least < 0 or index < least):
                    least = index
            low[i] = least
            high[i] = most

    return row_ranges


def make_max_pool_grad(T: Any, S: Any, U: Any) -> Callable[..., None]:
    """dx[indices] += dy: one thread per band of a plane of dx looks at the rows whose indices may lie in its band."""
    position = make_position(U)

    def max_pool_grad(
        dy: Any, indices: Any, dx: Any, low: Any, high: Any, xs: Strides, ys: Strides, rs: Strides, rows: Any,
        width: Any, cells: Any, band: Any, bands: Any, outer: Any, inner: Any, total: Any,
    ) -> None:  # fmt: skip
        i = U(U(cuda.blockIdx.x) * U(BLOCK) + U(cuda.threadIdx.x))
        if i < U(total):
            n, c, _, _, mine = position(i, outer, 1, 1, bands, inner)
            first = S(S(mine) * band)
            stop = min(S(first + band), cells)
            plane = U(n * U(xs.n) + c * U(xs.c))
            for cell in range(first, stop):
                dx[U(plane + U(cell) * U(xs.w))] = T(0)
            for row in range(rows):
                r = U(n * U(rs.n) + c * U(rs.c) + U(row) * U(rs.w))
                if high[r] >= first and low[r] < stop:
                    at = U(n * U(ys.n) + c * U(ys.c) + U(row) * U(ys.h))
                    for v in range(width):
                        index = S(indices[U(at + U(v) * U(ys.w))])
                        if first <= index and index < stop:
                            dx[U(plane + U(index) * U(xs.w))] += dy[U(at + U(v) * U(ys.w))]

    return max_pool_grad


@entry
def max_pool_grad(problem: PoolProblem, dy: Any, indices: Any, dx: Any) -> None:
    """dx[indices] += dy in the order of the outputs; index -1 is skipped."""
    if dx.size == 0:
        return
    N, C, size, out, channels_last = problem.N, problem.C, problem.size, problem.out, problem.channels_last
    wide = needs_wide(dx.size, dy.size)
    rows, cells = out[0] * out[1], math.prod(size)
    bands = min(blocks_for(ENOUGH_THREADS, N * C), blocks_for(cells, LEAST_BAND))
    band = blocks_for(cells, bands)
    bands = blocks_for(cells, band)
    xs, ys = strides_of(C, size, channels_last), strides_of(C, out, channels_last)
    rs, axes = strides_of(C, (1, 1, rows), channels_last), channel_axes(C, channels_last)
    low, high = (backend.scratch(name, N * C * rows, index_dtype(wide)) for name in ("low", "high"))
    numbers = flat(indices)
    ranges = numbers, low, high, ys, rows, out[2], *axes, N * C * rows
    launch(make_row_ranges, (), blocks_for(N * C * rows), ranges, dtype=dx.dtype, wide=wide)
    total = N * C * bands
    args = (flat(dy), numbers, flat(dx), low, high, xs, ys, rs, rows, out[2], cells, band, bands, *axes, total)
    launch(make_max_pool_grad, (), blocks_for(total), args, dtype=dx.dtype, wide=wide)


@entry
def avg_pool_grad(problem: PoolProblem, dy: Any, dx: Any, *, divisor: float | None) -> None:
    """dx = sum of dy / divisor over the windows that hold an element."""
    kind = MEAN if divisor is None else MEAN_OF
    number = np.dtype(dx.dtype).type(divisor or 0)
    _each_input(problem, make_avg_pool_grad, kind, dx, dy, (number,), divisors=True)


@entry
def lp_pool_grad(problem: PoolProblem, dy: Any, x: Any, y: Any, dx: Any, *, p: float) -> None:
    """dx = sum of dy * sign(x) * (|x|/y)^(p-1) over the windows that hold an element; 0 where x or y is 0."""
    number = np.dtype(dx.dtype).type(p)
    extra = flat(x), flat(y), number
    _each_input(problem, make_lp_pool_grad, kind_of_norm(p), dx, dy, extra, divisors=False)


def _each_input(
    problem: PoolProblem, factory: Callable[..., Callable[..., None]], kind: int, dx: Any, dy: Any,
    extra: tuple[Any, ...], divisors: bool,
) -> None:  # fmt: skip
    """Start a kernel with one thread per element of dx; `extra` are the arguments after dx."""
    if dx.size == 0:
        return
    C, channels_last, wide = problem.C, problem.channels_last, needs_wide(dx.size, dy.size)
    ys = strides_of(C, problem.out, channels_last)
    tables = cover_tables(problem, wide) + (window_tables(problem, wide) if divisors else ())
    args = (flat(dy), flat(dx), *extra, *tables, ys, problem.size, *channel_axes(C, channels_last), dx.size)
    launch(factory, (kind,), blocks_for(dx.size), args, dtype=dx.dtype, wide=wide)
