"""Products with weights that hold NaN or Inf, where the engines fill up what they read with zeros.

The engines multiply what lies beyond the end of an array, zeros, by weights that do not meet it: for numbers that adds
nothing, but 0*NaN and 0*Inf are NaN. Here such weights are summed apart, as counts of what they meet: any engine counts
exactly, and where it fills up with zeros nothing is met.
"""

from __future__ import annotations

from collections.abc import Callable

import numpy as np


def sum_apart(
    run: Callable[[np.ndarray, np.ndarray, np.ndarray], None], a: np.ndarray, w: np.ndarray, y: np.ndarray
) -> None:
    """``run(a, w, y)``, which writes sums of products a*w to y, for any w: NaN and Inf reach what they meet only.

    Costs one more run for NaN and three for Inf.
    """
    undefined, endless = np.isnan(w), np.isinf(w).astype(w.dtype)
    signs = np.copysign(endless, w)
    run(a, np.where(undefined, w.dtype.type(1), np.where(endless > 0, signs, w)), y)
    count = np.zeros_like(y)  # some of y may not be met at all
    bad = np.zeros(y.shape, bool)
    if undefined.any():
        run(np.ones_like(a), undefined.astype(w.dtype), count)
        bad |= count > 0
    if endless.any():
        side = np.sign(np.nan_to_num(a))
        run(1 - np.abs(side), endless, count)
        bad |= count > 0  # Inf*0
        run(np.abs(side), endless, count)
        difference = np.zeros_like(y)
        run(side, signs, difference)
        with np.errstate(invalid="ignore"):  # as silent as the compiled kernels
            y[count + difference > 0] += np.inf
            y[count - difference > 0] -= np.inf
    y[bad] = np.nan
