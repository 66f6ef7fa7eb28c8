"""Borders as index tables: where each element of a padded axis comes from, and the way back for gradients.

One table per axis describes all five padding modes, so no kernel needs a padded copy of its input or code of its own
for a mode. Kernels on both devices use these tables.
"""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from .kept import kept


@kept
def border_index(n: int, before: int, after: int, mode: str) -> np.ndarray:
    """Where each element of a padded axis of `n` elements comes from: int64 (before + n + after,), -1 for a zero.

    The modes mean what they mean for ``np.pad``; the table is shared and read-only.

    Examples
    --------
    >>> border_index(3, 2, 1, "reflect")
    array([2, 1, 0, 1, 2, 1])
    >>> border_index(3, 1, 1, "zeros")
    array([-1,  0,  1,  2, -1])
    """
    index = np.arange(-before, n + after, dtype=np.int64)
    if mode == "zeros":
        index[(index < 0) | (index >= n)] = -1
    elif before or after:
        index = np.pad(np.arange(n, dtype=np.int64), (before, after), mode=mode)  # type: ignore[call-overload]
    return frozen(index)


def frozen(table: np.ndarray) -> np.ndarray:
    """The table, contiguous and read-only: all tables are one type to Numba, and none is changed by accident."""
    table = np.ascontiguousarray(table)
    table.setflags(write=False)
    return table


def counting_index(n: int) -> np.ndarray:
    """The table of an axis of `n` elements without a border."""
    return border_index(n, 0, 0, "zeros")


def fold_border(
    dxp: np.ndarray, dx: np.ndarray, padding: Sequence[tuple[int, int]], mode: str, first_axis: int
) -> None:
    """Write to `dx` the gradient of a padded array `dxp`: each element of x gathers from all places it was copied to.

    The adjoint of ``np.pad`` over ``len(padding)`` axes from `first_axis` on; sums run in a fixed order. `dxp` is used
    up: the sums are made in it, so that no copy of it is.
    """
    for a, (before, after) in enumerate(padding, start=first_axis):
        n = dx.shape[a]
        lead = (slice(None),) * a
        inner = dxp[(*lead, slice(before, before + n))]
        if mode != "zeros" and (before or after):
            index = border_index(n, before, after, mode)
            with np.errstate(all="ignore"):  # as silent as the compiled kernels
                for place in (*range(before), *range(before + n, before + n + after)):
                    inner[(*lead, index[place])] += dxp[(*lead, place)]
        dxp = inner
    dx[...] = dxp
