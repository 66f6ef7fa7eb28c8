"""Sums of rows along an axis, by a table of which and how much: resizing, repeating, and their gradients.

Twin: none; on a GPU the table is a matrix, and the sums are a product with it.
"""

from __future__ import annotations

import numpy as np

from ..simd.parallel import parallel_kernel
from ..threads import team

LEAST = 8192  # elements of a task


def resample(x: np.ndarray, y: np.ndarray, *, starts: np.ndarray, index: np.ndarray, weights: np.ndarray) -> None:
    """y[o, j] = sum over t from starts[j] to starts[j + 1] of weights[t]*x[o, index[t]], for x (O, n, I), y (O, m, I).

    Terms are added in the order of the table.
    """
    _, m, inner = y.shape
    total = y.shape[0] * m
    rows = max(1, LEAST // max(1, inner))
    tasks = -(-total // rows) if y.size else 0
    arrays = x.reshape(-1), y.reshape(-1), starts, index, weights.astype(x.dtype)
    _resample(team(tasks, 2 * y.size), tasks, *arrays, x.shape[1], m, inner, total, rows)


@parallel_kernel
def _resample(thread, first, last, x, y, starts, index, weights, n, m, inner, total, rows):
    """A task owns `rows` rows of y, each of `inner` elements."""
    for row in range(first * rows, min(last * rows, total)):
        j, before = row % m, row // m * n
        b = y[row * inner : (row + 1) * inner]
        b[:] = 0
        for t in range(starts[j], starts[j + 1]):
            a, w = x[(before + index[t]) * inner : (before + index[t] + 1) * inner], weights[t]
            for i in range(b.size):
                b[i] += w * a[i]
