"""Max pools whose windows lie side by side: there the gradient needs no places of the maxima."""

from __future__ import annotations

from functools import lru_cache
from typing import Any

import numpy as np

from ...spec import pool_problem
from ...windows import Sliding

WINDOW = 16  # elements of a window of which sums are taken in the image's own precision


def tiles_of(x: Any, pool: dict[str, Any]) -> tuple[int, int] | None:
    """Rows and columns of the windows of a pool of x (N, H, W, C), an array of the host, where they tile it; else None.

    Examples
    --------
    >>> x = np.zeros((1, 5, 6, 1))
    >>> tiles_of(x, {"size": 2}), tiles_of(x, {"size": 2, "stride": 1})
    ((2, 2), None)
    """
    if not isinstance(x, np.ndarray) or x.ndim != 4:
        return None
    try:
        return _tiles(x.shape, tuple(pool.items()))
    except TypeError:  # a list: what cannot be looked up goes the plain way
        return None


@lru_cache(maxsize=256)
def _tiles(shape: tuple[int, ...], pool: tuple[tuple[str, Any], ...]) -> tuple[int, int] | None:
    options = dict(pool)
    _, rows, cols = pool_problem(shape, options.pop("size"), rank=2, layout="NHWC", **options).axes
    if not (isinstance(rows, Sliding) and isinstance(cols, Sliding)):
        return None
    tiled = all(
        a.start == 0 and a.stride == a.kernel and a.dilation == 1 and a.out == a.size // a.kernel for a in (rows, cols)
    )
    return (rows.kernel, cols.kernel) if tiled and rows.kernel * cols.kernel <= WINDOW else None
