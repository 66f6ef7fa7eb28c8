"""Passes of batch normalisation over arrays that are cut into runs (`cpu.runs`): a task owns a run.

`floor` is 0 where the input goes through a relu first and -inf where it does not.
"""

from __future__ import annotations

import numpy as np

from ..simd.jit import kernel
from ..simd.lane_math import add, at_most, largest, magnitude, multiply, pick, smallest, subtract
from ..simd.lanes import address, load, spread, store, zero, zeros
from ..simd.parallel import parallel_kernel
from ..simd.vector import lanes_of
from .runs import add_columns, bounds, clear, fold_columns


@kernel
def clip(v, floor):
    """max(v, floor); a NaN stays."""
    return floor if v < floor else v


@parallel_kernel
def sum_moments(thread, first, last, x, shift, floor, sums, squares, periods, width, fold, plane, length, pieces):
    """Sums of x - shift and of its square over each run: four rows at a time in x's precision, then in double."""
    total, total_2 = np.empty(width, np.float64), np.empty(width, np.float64)
    for run in range(first, last):
        start, stop = bounds(run, plane, length, pieces)
        a = x[start:stop]
        period = run // pieces % periods * width
        k = shift[period : period + width]
        clear(total)
        clear(total_2)
        i = 0
        while i + 4 * width <= a.size:
            p, q = a[i : i + width], a[i + width : i + 2 * width]
            r, s = a[i + 2 * width : i + 3 * width], a[i + 3 * width : i + 4 * width]
            for j in range(width):
                e, f, g, h = (
                    clip(p[j], floor) - k[j],
                    clip(q[j], floor) - k[j],
                    clip(r[j], floor) - k[j],
                    clip(s[j], floor) - k[j],
                )
                total[j] += np.float64((e + f) + (g + h))
                total_2[j] += np.float64((e * e + f * f) + (g * g + h * h))
            i += 4 * width
        while i < a.size:
            p = a[i : i + width]
            for j in range(p.size):
                e = clip(p[j], floor) - k[j]
                total[j] += np.float64(e)
                total_2[j] += np.float64(e) * np.float64(e)
            i += width
        fold_columns(total, sums[run * fold : (run + 1) * fold])
        fold_columns(total_2, squares[run * fold : (run + 1) * fold])


@parallel_kernel
def normalize(thread, first, last, x, y, mean, scale, beta, floor, periods, width, plane, length, pieces):
    """y = (x - mean)*scale + beta."""
    for run in range(first, last):
        start, stop = bounds(run, plane, length, pieces)
        period = run // pieces % periods * width
        m, s, c = mean[period : period + width], scale[period : period + width], beta[period : period + width]
        for i in range(start, stop, width):
            a, b = x[i : min(i + width, stop)], y[i : min(i + width, stop)]
            for j in range(a.size):
                b[j] = (clip(a[j], floor) - m[j]) * s[j] + c[j]


@parallel_kernel
def normalize_pixels(thread, first, last, x, y, mean, scale, beta, floor, C, pixels, peaks):
    """`normalize` of `pixels` pixels a task, of C channels side by side, whole vectors; and how large results are.

    A row of `peaks` for each task: lane by lane the largest result, and the smallest over the pixels of the largest
    among those of a pixel's channels that come to this lane.
    """
    one, lanes = zeros(x, 1), lanes_of(x)
    px, py, pm, ps, pb, pp = address(x), address(y), address(mean), address(scale), address(beta), address(peaks)
    low = spread(floor, one)
    for task in range(first, last):
        top, least = zero(one), spread(np.inf, one)
        for at in range(task * pixels * C, min(x.size, (task + 1) * pixels * C), C):
            most = zero(one)
            for c in range(0, C, lanes):
                v = load(px, at + c, one, None)
                v = subtract(pick(at_most(v, low), low, v), load(pm, c, one, None))
                v = add(multiply(v, load(ps, c, one, None)), load(pb, c, one, None))
                store(py, at + c, v, None)
                most = largest(most, magnitude(v))
            top, least = largest(top, most), smallest(least, most)
        store(pp, 2 * task * lanes, top, None)
        store(pp, (2 * task + 1) * lanes, least, None)


@parallel_kernel
def grad_sums(thread, first, last, x, dy, mean, floor, sums, products, periods, width, fold, plane, length, pieces):
    """Sums of dy and of dy*(x - mean) over each run; two rows at a time in x's precision, then in double."""
    total, total_2 = np.empty(width, np.float64), np.empty(width, np.float64)
    for run in range(first, last):
        start, stop = bounds(run, plane, length, pieces)
        a, d = x[start:stop], dy[start:stop]
        period = run // pieces % periods * width
        m = mean[period : period + width]
        clear(total)
        clear(total_2)
        i = 0
        while i + 4 * width <= a.size:
            p, q = a[i : i + width], a[i + width : i + 2 * width]
            r, s = a[i + 2 * width : i + 3 * width], a[i + 3 * width : i + 4 * width]
            e, f = d[i : i + width], d[i + width : i + 2 * width]
            g, h = d[i + 2 * width : i + 3 * width], d[i + 3 * width : i + 4 * width]
            for j in range(width):
                total[j] += np.float64((e[j] + f[j]) + (g[j] + h[j]))
                first_two = (clip(p[j], floor) - m[j]) * e[j] + (clip(q[j], floor) - m[j]) * f[j]
                total_2[j] += np.float64(
                    first_two + ((clip(r[j], floor) - m[j]) * g[j] + (clip(s[j], floor) - m[j]) * h[j])
                )
            i += 4 * width
        while i < a.size:
            p, e = a[i : i + width], d[i : i + width]
            for j in range(p.size):
                total[j] += np.float64(e[j])
                total_2[j] += np.float64((clip(p[j], floor) - m[j]) * e[j])
            i += width
        fold_columns(total, sums[run * fold : (run + 1) * fold])
        fold_columns(total_2, products[run * fold : (run + 1) * fold])


@parallel_kernel
def grad_input(
    thread, first, last, x, dy, dx, mean, by_dy, by_x, constant, floor, partial, periods, width, fold, plane, length,
    pieces,
):  # fmt: skip
    """dx = by_dy*dy + by_x*(x - mean) + constant, and 0 where the relu before the normalisation cut x off.

    Unless `fold` is 0, also the sums of dx over each run, while it is in the cache.
    """
    zero, total = x.dtype.type(0), np.empty(width, np.float64)
    for run in range(first, last):
        start, stop = bounds(run, plane, length, pieces)
        period = run // pieces % periods * width
        m, c = mean[period : period + width], constant[period : period + width]
        u, v = by_dy[period : period + width], by_x[period : period + width]
        for i in range(start, stop, width):
            a, d, g = x[i : min(i + width, stop)], dy[i : min(i + width, stop)], dx[i : min(i + width, stop)]
            for j in range(a.size):
                value = u[j] * d[j] + v[j] * (clip(a[j], floor) - m[j]) + c[j]
                g[j] = zero if a[j] <= floor else value
        if fold > 0:
            add_columns(dx[start:stop], total, partial[run * fold : (run + 1) * fold])
