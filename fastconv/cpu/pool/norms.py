"""Norms of windows whose sum of powers leaves float64: scaled by the window's largest magnitude.

    (sum of |x|^p)^(1/p) = m * (sum of (|x|/m)^p)^(1/p),   m = max |x|

One power for every element and window, so only windows that need it are computed like this.
"""

from __future__ import annotations

import math

import numpy as np

from ...problem import PoolProblem
from ...simd.fields import fields
from ...simd.jit import kernel
from ...simd.lanes import address, peek, poke
from ...simd.parallel import parallel_kernel
from ...threads import team
from .kinds import Planes, planes_of, side_by_side, tables_of, taps_of


def scale_where(
    problem: PoolProblem, outside: tuple[float, float], known: np.ndarray, x: np.ndarray, y: np.ndarray, p: float
) -> None:
    """Write the norm of each window anew whose `known` number lies outside of two bounds; NaN is right as it is."""
    low, high = outside
    if y.size == 0 or (np.fmin.reduce(known, axis=None) >= low and np.fmax.reduce(known, axis=None) <= high):
        return
    tasks = problem.N * problem.C // side_by_side(problem) * problem.out[0] * problem.out[1]
    flat, members = (known.reshape(-1), x.reshape(-1), y.reshape(-1)), team(tasks, y.size * taps_of(problem))
    _scale(members, tasks, *flat, tables_of(problem), planes_of(problem), p, low, high)


@parallel_kernel
def _scale(thread, first, last, known, x, y, tables, planes, power, low, high):  # type: ignore[no-untyped-def]
    """Each task: a row of windows."""
    p = fields(Planes, planes)
    td, th, tw = tables
    numbers, px, py, C, OD, OH, OW = address(known), address(x), address(y), p.C, p.OD, p.OH, p.OW
    hops = p.hop_d * C, p.hop_h * C, p.hop_w * C
    for task in range(first, last):
        od, oh, image = task // OH % OD, task % OH, task // (OH * OD)
        corner = ((image * p.D + td[od, 0]) * p.H + th[oh, 0]) * p.W
        for ow in range(OW):
            count = td[od, 1], th[oh, 1], tw[ow, 1]
            for c in range(C):
                o = (task * OW + ow) * C + c
                if peek(numbers, o) < low or peek(numbers, o) > high:
                    poke(py, o, _norm(px, (corner + tw[ow, 0]) * C + c, count, hops, power))


@kernel
def _norm(x, at, count, hops, p):  # type: ignore[no-untyped-def]
    """The norm of one window that holds no NaN."""
    largest, total = 0.0, 0.0
    for a in range(count[0]):
        for u in range(count[1]):
            for v in range(count[2]):
                largest = max(largest, np.float64(abs(peek(x, at + a * hops[0] + u * hops[1] + v * hops[2]))))
    if largest == 0.0 or largest == math.inf:
        return largest
    for a in range(count[0]):
        for u in range(count[1]):
            for v in range(count[2]):
                size = np.float64(abs(peek(x, at + a * hops[0] + u * hops[1] + v * hops[2])))
                total += (size / largest) ** p
    return largest * total ** (1.0 / p)
