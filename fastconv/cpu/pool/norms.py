"""Norms of windows whose sum of powers leaves float64: scaled by the window's largest magnitude.

    (sum of |x|^p)^(1/p) = m * (sum of (|x|/m)^p)^(1/p),   m = max |x|

One power for every element and window, so only windows that need it are computed like this.
"""

from __future__ import annotations

import math

import numpy as np

from ...simd.jit import kernel, parallel_kernel
from ...simd.lanes import address, peek, poke
from ...threads import team
from ...windows import Windows, tables
from .windows import shape_of, taps_of

Triple = tuple[int, int, int]


def scale_where(
    outside: tuple[float, float], known: np.ndarray, x: np.ndarray, y: np.ndarray, windows: Windows, step: Triple,
    channels_last: bool, p: float,
) -> None:  # fmt: skip
    """Write the norm of each window anew whose `known` number lies outside of two bounds; NaN is right as it is."""
    low, high = outside
    if y.size == 0 or (np.fmin.reduce(known, axis=None) >= low and np.fmax.reduce(known, axis=None) <= high):
        return
    C, sizes, channels_last = shape_of(x, channels_last)
    side = C if channels_last else 1  # channels that lie side by side
    tasks = y.size // (side * windows[2].out)
    flat = known.reshape(-1), x.reshape(-1), y.reshape(-1)
    _scale(team(tasks, y.size * taps_of(windows)), tasks, *flat, tables(windows), (*sizes, side), step, p, low, high)


@parallel_kernel
def _scale(thread, first, last, known, x, y, tables, sizes, step, p, low, high):  # type: ignore[no-untyped-def]
    """Each task: a row of windows."""
    D, H, W, C = sizes
    td, th, tw = tables
    numbers, px, py, OW = address(known), address(x), address(y), tw.shape[0]
    steps = step[0] * H * W * C, step[1] * W * C, step[2] * C
    for task in range(first, last):
        od, oh, image = task // th.shape[0] % td.shape[0], task % th.shape[0], task // (th.shape[0] * td.shape[0])
        corner = ((image * D + td[od, 0]) * H + th[oh, 0]) * W
        for ow in range(OW):
            count = td[od, 1], th[oh, 1], tw[ow, 1]
            for c in range(C):
                o = (task * OW + ow) * C + c
                if peek(numbers, o) < low or peek(numbers, o) > high:
                    poke(py, o, _norm(px, (corner + tw[ow, 0]) * C + c, count, steps, p))


@kernel
def _norm(x, at, count, steps, p):  # type: ignore[no-untyped-def]
    """The norm of one window that holds no NaN."""
    largest, total = 0.0, 0.0
    for a in range(count[0]):
        for u in range(count[1]):
            for v in range(count[2]):
                largest = max(largest, np.float64(abs(peek(x, at + a * steps[0] + u * steps[1] + v * steps[2]))))
    if largest == 0.0 or largest == math.inf:
        return largest
    for a in range(count[0]):
        for u in range(count[1]):
            for v in range(count[2]):
                size = np.float64(abs(peek(x, at + a * steps[0] + u * steps[1] + v * steps[2])))
                total += (size / largest) ** p
    return largest * total ** (1.0 / p)
