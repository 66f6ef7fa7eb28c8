"""Relu and a max pool whose windows tile the image, in one pass, and the gradient from the image and the result.

No places are kept: what comes to a window goes to the first of its elements that nothing beats, as `pool.places` finds
it, a NaN too. Images are channels-last; tasks are those of `pooled_normalization`. Twin: none.
"""

from __future__ import annotations

import numpy as np

from ..memory import scratch
from ..simd.fields import fields
from ..simd.lane_math import add, at_most, beats, doubles, largest, pick
from ..simd.lanes import address, first_lanes, inlined, load, store, zero, zeros
from ..simd.parallel import parallel_kernel
from ..simd.vector import clear, lanes_of
from ..threads import team
from .pooled_normalization import DOUBLE, Bands, cut_bands


def relu_pool(x: np.ndarray, y: np.ndarray, window: tuple[int, int]) -> None:
    """y = the maxima of relu(x)."""
    cut, numbers = cut_bands(x.shape, window)
    _relu_pool(team(cut.tasks, 2 * x.size), cut.tasks, x.reshape(-1), y.reshape(-1), numbers)


def relu_pool_grad(
    dy: np.ndarray, y: np.ndarray, x: np.ndarray, dx: np.ndarray, window: tuple[int, int], sums: np.ndarray | None
) -> None:
    """dx of dy, the gradient to y, the maxima of relu(x); its sums per channel, unless they are None."""
    cut, numbers = cut_bands(x.shape, window)
    partial = scratch((cut.tasks, cut.C), DOUBLE)
    arrays = (a.reshape(-1) for a in (dy, y, x, dx, partial))
    _relu_pool_grad(team(cut.tasks, 4 * x.size), cut.tasks, *arrays, numbers)
    if sums is not None:
        sums[...] = partial.sum(axis=0)


@parallel_kernel
def _relu_pool(thread, first, last, x, y, numbers):
    """A task owns some bands of an image; those that are not whole have no windows."""
    n, one, lanes = fields(Bands, numbers), zeros(x, 1), lanes_of(x)
    px, py = address(x), address(y)
    for task in range(first, last):
        image, band0 = task // n.parts, task % n.parts * n.bands
        for band in range(band0, min(band0 + n.bands, n.H // n.rows)):
            at = (image * n.H + band * n.rows) * n.W * n.C
            to = (image * (n.H // n.rows) + band) * (n.W // n.cols) * n.C
            c = 0
            while c + lanes <= n.C:
                _pool_band(one, None, px, py, n, at + c, to + c)
                c += lanes
            if c < n.C:
                _pool_band(one, first_lanes(n.C - c, one), px, py, n, at + c, to + c)


@inlined
def _pool_band(like, mask, x, y, n, at, to):
    """A vector of channels of one band."""
    for _ in range(n.W // n.cols):
        most = zero(like)
        if n.rows == 2 and n.cols == 2:
            most = largest(most, load(x, at, like, mask))
            most = largest(most, load(x, at + n.C, like, mask))
            most = largest(most, load(x, at + n.W * n.C, like, mask))
            most = largest(most, load(x, at + n.W * n.C + n.C, like, mask))
        else:
            for r in range(n.rows):
                for q in range(n.cols):
                    most = largest(most, load(x, at + (r * n.W + q) * n.C, like, mask))
        store(y, to, most, mask)
        at, to = at + n.cols * n.C, to + n.C


@parallel_kernel
def _relu_pool_grad(thread, first, last, dy, y, x, dx, sums, numbers):
    """A task owns some bands of an image, and a row of sums."""
    n, one, lanes = fields(Bands, numbers), zeros(x, 1), lanes_of(x)
    arrays = address(dy), address(y), address(x), address(dx), address(sums)
    for task in range(first, last):
        clear(sums, task * n.C, n.C)
        image, band0 = task // n.parts, task % n.parts * n.bands
        for band in range(band0, min(band0 + n.bands, (n.H + n.rows - 1) // n.rows)):
            rows = min(n.rows, n.H - band * n.rows)
            at = (image * n.H + band * n.rows) * n.W * n.C
            to = (image * (n.H // n.rows) + band) * (n.W // n.cols) * n.C
            c = 0
            while c + lanes <= n.C:
                _flow_back(one, None, arrays, n, at, to, rows, c, task * n.C)
                c += lanes
            if c < n.C:
                _flow_back(one, first_lanes(n.C - c, one), arrays, n, at, to, rows, c, task * n.C)


@inlined
def _flow_back(like, mask, arrays, n, at, to, rows, c, sums_at):
    """A vector of channels of one band."""
    dy, y, x, dx, sums = arrays
    nothing = zero(like)
    total = doubles(nothing)
    for left in range(0, n.W, n.cols):
        cols = min(n.cols, n.W - left)
        most, given = nothing, nothing
        if rows == n.rows and cols == n.cols:
            w = to + left // n.cols * n.C + c
            most = load(y, w, like, mask)
            given = pick(at_most(most, nothing), nothing, load(dy, w, like, mask))
            total = add(total, doubles(given))
        i = at + left * n.C + c
        if rows == 2 and cols == 2:  # what most pools have; a loop of unknown length takes twice as long
            given = _flow_to(x, dx, i, most, given, mask)
            given = _flow_to(x, dx, i + n.C, most, given, mask)
            given = _flow_to(x, dx, i + n.W * n.C, most, given, mask)
            given = _flow_to(x, dx, i + n.W * n.C + n.C, most, given, mask)
        else:
            for r in range(rows):
                for q in range(cols):
                    given = _flow_to(x, dx, i + (r * n.W + q) * n.C, most, given, mask)
    store(sums, sums_at + c, add(load(sums, sums_at + c, total, mask), total), mask)


@inlined
def _flow_to(x, dx, i, most, given, mask):
    """Give one element what came to its window, if nothing in it beats it; returns what is left for those behind it."""
    lost, nothing = beats(most, load(x, i, most, mask)), zero(most)
    store(dx, i, pick(lost, nothing, given), mask)
    return pick(lost, given, nothing)
