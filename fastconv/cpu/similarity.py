"""Structural similarity of two images, from their windows' means: what is left to do is element by element."""

from __future__ import annotations

import numpy as np

from ..simd.parallel import parallel_kernel
from ..threads import team

BLOCK = 1 << 14  # elements of a task


def similarity(
    means: np.ndarray, similar: np.ndarray, parts: np.ndarray, *, spread: float, small: tuple[float, float]
) -> None:
    """Write the similarity of windows to `similar`, flat, of float64.

    means are those of x, y, x*x, y*y and x*y over each window, (5, n); variances are multiplied by `spread`; `small`
    are the two constants that keep quotients finite. To `parts`, (3, n) or (3, 0), goes what is filtered again for the
    gradient to y: factors of x, of y, and of one.
    """
    tasks = -(-similar.size // BLOCK)
    _similarity(team(tasks, 32 * similar.size), tasks, means, similar, parts, float(spread), *map(float, small))


@parallel_kernel
def _similarity(thread, first, last, means, similar, parts, spread, c1, c2):
    """A task: a block of windows."""
    for task in range(first, last):
        start, stop = task * BLOCK, min(similar.size, (task + 1) * BLOCK)
        x, y, xx = means[0, start:stop], means[1, start:stop], means[2, start:stop]
        yy, xy, s = means[3, start:stop], means[4, start:stop], similar[start:stop]
        for j in range(s.size):
            a1, b1 = 2.0 * x[j] * y[j] + c1, x[j] * x[j] + y[j] * y[j] + c1
            a2 = 2.0 * spread * (xy[j] - x[j] * y[j]) + c2
            b2 = spread * ((xx[j] - x[j] * x[j]) + (yy[j] - y[j] * y[j])) + c2
            s[j] = (a1 * a2) / (b1 * b2)
        if parts.shape[1]:
            p, q, r = parts[0, start:stop], parts[1, start:stop], parts[2, start:stop]
            for j in range(s.size):
                a1, b1 = 2.0 * x[j] * y[j] + c1, x[j] * x[j] + y[j] * y[j] + c1
                a2 = 2.0 * spread * (xy[j] - x[j] * y[j]) + c2
                b2 = spread * ((xx[j] - x[j] * x[j]) + (yy[j] - y[j] * y[j])) + c2
                p[j], q[j] = a1 / (b1 * b2), -s[j] / b2
                r[j] = (x[j] * (a2 - a1) - y[j] * (b2 - b1) * s[j]) / (b1 * b2)
