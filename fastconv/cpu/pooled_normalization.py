"""Batch normalisation before a max pool whose windows tile the image: its statistics and its gradient in one pass each.

Images are channels-last, windows lie side by side; where the rows or columns are no multiple of a window's, the last
ones belong to none. The maxima come out of the pass that sums up the statistics, while the image is read, and no places
are kept: in the gradient the first element of a window that equals its maximum is the one that it came from. A NaN
equals none but reaches all of its channel by way of the statistics.

A task owns some bands, rows of windows, of one image, whatever the number of threads. Twin: none; the GPU pools behind.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np

from ..kept import kept
from ..memory import scratch
from ..simd.fields import fields, packed
from ..simd.jit import kernel
from ..simd.lane_math import add, at_most, doubles, largest, multiply, pick, subtract
from ..simd.lanes import address, first_lanes, inlined, load, lowest, spread, store, zero, zeros
from ..simd.parallel import parallel_kernel
from ..simd.vector import lanes_of
from ..threads import team
from .runs import clear

LENGTH = 1 << 14  # elements of a task, about
DOUBLE = np.dtype(np.float64)


class Bands(NamedTuple):
    """How images of H rows and W columns of C channels are cut into tasks, for windows of some rows and columns."""

    H: int
    W: int
    C: int
    rows: int
    cols: int
    parts: int  # tasks of an image
    bands: int  # of a task
    tasks: int


@kept
def cut_bands(shape: tuple[int, ...], window: tuple[int, int]) -> tuple[Bands, np.ndarray]:
    """The tasks for images (N, H, W, C), and their numbers for kernels."""
    N, H, W, C = shape
    rows, cols = window
    all_bands = -(-H // rows)
    bands = min(all_bands, max(1, LENGTH // (rows * W * C)))
    parts = -(-all_bands // bands)
    cut = Bands(H, W, C, rows, cols, parts, bands, N * parts)
    return cut, packed(cut)


def pooled_grad_input(
    dy: np.ndarray, x: np.ndarray, best: np.ndarray, dx: np.ndarray, window: tuple[int, int], center: np.ndarray,
    factors: np.ndarray, floor: Any,
) -> np.ndarray:  # fmt: skip
    """dx of dy, the gradient to the pooled result, by factors as in `grad_input`; returns its sums per channel."""
    cut, numbers = cut_bands(x.shape, window)
    sums = scratch((cut.tasks, cut.C), DOUBLE)
    arrays = (a.reshape(-1) for a in (dy, x, best, dx))
    _pooled_grad_input(
        team(cut.tasks, 6 * x.size), cut.tasks, *arrays, center, *factors, floor, numbers, sums.reshape(-1)
    )
    return sums.sum(axis=0)


@kernel
def _band(n, image, band):
    """Rows of a band, and where it begins in images and in their maxima."""
    top = band * n.rows
    at, to = (image * n.H + top) * n.W * n.C, (image * (n.H // n.rows) + band) * (n.W // n.cols) * n.C
    return min(n.rows, n.H - top), at, to


@inlined
def _add_to(sums, at, value, mask):
    store(sums, at, add(load(sums, at, value, mask), value), mask)


@parallel_kernel
def moments_and_maxima(thread, first, last, x, best, shift, floor, numbers, sums, squares):
    """Write the maxima of windows; sums of x - shift and of its square, a row for each task."""
    n, one, lanes = fields(Bands, numbers), zeros(x, 1), lanes_of(x)
    px, pb, pk, ps, pq = address(x), address(best), address(shift), address(sums), address(squares)
    for task in range(first, last):
        clear(sums[task * n.C : (task + 1) * n.C])
        clear(squares[task * n.C : (task + 1) * n.C])
        image, band0 = task // n.parts, task % n.parts * n.bands
        for band in range(band0, min(band0 + n.bands, (n.H + n.rows - 1) // n.rows)):
            rows, at, to = _band(n, image, band)
            c = 0
            while c + lanes <= n.C:
                _scan(one, None, px, pb, pk, floor, n, at, to, rows, c, ps, pq, task * n.C)
                c += lanes
            if c < n.C:
                _scan(one, first_lanes(n.C - c, one), px, pb, pk, floor, n, at, to, rows, c, ps, pq, task * n.C)


@inlined
def _scan(like, mask, x, best, shift, floor, n, at, to, rows, c, sums, squares, sums_at):
    """A vector of channels of one band: each window is summed in x's precision, windows in double precision."""
    k, low, nothing = load(shift, c, like, mask), spread(floor, like), zero(like)
    total, total_2 = doubles(nothing), doubles(nothing)
    for left in range(0, n.W, n.cols):
        cols = min(n.cols, n.W - left)
        here, i = (lowest(like), nothing, nothing), at + left * n.C + c
        if rows == 2 and cols == 2:  # what most pools have; a loop of unknown length takes twice as long
            here = _met(load(x, i, like, mask), here, low, k)
            here = _met(load(x, i + n.C, like, mask), here, low, k)
            here = _met(load(x, i + n.W * n.C, like, mask), here, low, k)
            here = _met(load(x, i + n.W * n.C + n.C, like, mask), here, low, k)
        else:
            for r in range(rows):
                for q in range(cols):
                    here = _met(load(x, i + (r * n.W + q) * n.C, like, mask), here, low, k)
        most, e, f = here
        if rows == n.rows and cols == n.cols:
            store(best, to + left // n.cols * n.C + c, most, mask)
        total, total_2 = add(total, doubles(e)), add(total_2, doubles(f))
    _add_to(sums, sums_at + c, total, mask)
    _add_to(squares, sums_at + c, total_2, mask)


@inlined
def _met(v, sums, low, k):
    """The maximum of a window so far, and its sums, with another element."""
    most, e, f = sums
    d = subtract(pick(at_most(v, low), low, v), k)
    return largest(most, v), add(e, d), add(f, multiply(d, d))


@parallel_kernel
def _pooled_grad_input(thread, first, last, dy, x, best, dx, mean, by_dy, by_x, constant, floor, numbers, sums):
    """dx = by_dy*d + by_x*(x - mean) + constant, d being what comes from the pool; 0 where the relu cut x off."""
    n, one, lanes = fields(Bands, numbers), zeros(x, 1), lanes_of(x)
    arrays = address(dy), address(x), address(best), address(dx)
    factors, ps = (address(mean), address(by_dy), address(by_x), address(constant)), address(sums)
    for task in range(first, last):
        clear(sums[task * n.C : (task + 1) * n.C])
        image, band0 = task // n.parts, task % n.parts * n.bands
        for band in range(band0, min(band0 + n.bands, (n.H + n.rows - 1) // n.rows)):
            rows, at, to = _band(n, image, band)
            c = 0
            while c + lanes <= n.C:
                _flow_back(one, None, arrays, factors, floor, n, at, to, rows, c, ps, task * n.C)
                c += lanes
            if c < n.C:
                _flow_back(one, first_lanes(n.C - c, one), arrays, factors, floor, n, at, to, rows, c, ps, task * n.C)


@inlined
def _flow_back(like, mask, arrays, factors, floor, n, at, to, rows, c, sums, sums_at):
    """A vector of channels of one band: in each window the first that is the maximum gets what came to it."""
    dy, x, best, dx = arrays
    mean, by_dy, by_x, constant = factors
    m, u = load(mean, c, like, mask), load(by_dy, c, like, mask)
    v, b = load(by_x, c, like, mask), load(constant, c, like, mask)
    low, nothing = spread(floor, like), zero(like)
    total = doubles(nothing)
    for left in range(0, n.W, n.cols):
        cols = min(n.cols, n.W - left)
        most, given, e = nothing, nothing, nothing
        if rows == n.rows and cols == n.cols:
            w = to + left // n.cols * n.C + c
            most, given = load(best, w, like, mask), multiply(u, load(dy, w, like, mask))
        i, state = at + left * n.C + c, (most, given, e)
        if rows == 2 and cols == 2:
            state = _flow_to(x, dx, i, state, low, m, v, b, mask)
            state = _flow_to(x, dx, i + n.C, state, low, m, v, b, mask)
            state = _flow_to(x, dx, i + n.W * n.C, state, low, m, v, b, mask)
            state = _flow_to(x, dx, i + n.W * n.C + n.C, state, low, m, v, b, mask)
        else:
            for r in range(rows):
                for q in range(cols):
                    state = _flow_to(x, dx, i + (r * n.W + q) * n.C, state, low, m, v, b, mask)
        _, _, e = state
        total = add(total, doubles(e))
    _add_to(sums, sums_at + c, total, mask)


@inlined
def _flow_to(x, dx, i, state, low, mean, by_x, constant, mask):
    """The gradient to one element of a window, which has a maximum, what came to it and was not given, and a sum."""
    most, given, total = state
    a, nothing = load(x, i, low, mask), zero(low)
    came = at_most(most, a)
    value = add(add(pick(came, given, nothing), multiply(by_x, subtract(a, mean))), constant)
    value = pick(at_most(a, low), nothing, value)
    store(dx, i, value, mask)
    return most, pick(came, nothing, given), add(total, value)
