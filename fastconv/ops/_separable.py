"""Filters that are outer products: found by their rank, and run as one pass an axis where that stays exact enough."""

from __future__ import annotations

import math
from functools import reduce
from typing import Any

import numpy as np

ROUNDINGS = 4  # of an element of an outer product that was made in the filter's own dtype


def factors(w: np.ndarray) -> tuple[np.ndarray, ...] | None:
    """One vector an axis whose outer product is w, or None where there are none.

        w[i, j, ...] = u[i] * v[j] * ...

    Each element of real floating-point filters may differ from the product by a few of its own roundings, as those of a
    Gaussian do: for any data the passes then keep to the bound of the direct method, terms*eps*(|x|*|w|). Integers have
    vectors of integers and are met exactly. Sums in between never exceed those of |x|*|w| where all factors but the
    first have elements of at most 1, as they have for floating-point filters.

    Examples
    --------
    >>> [f.tolist() for f in factors(np.array([[1, 2, 1], [0, 0, 0], [-1, -2, -1]]))]
    [[1, 0, -1], [1, 2, 1]]
    >>> factors(np.array([[0.0, 1.0], [1.0, 0.0]])) is None
    True
    """
    if w.size == 0 or w.dtype.kind not in "iuf":
        return None
    pivot = tuple(map(int, np.unravel_index(_sizes(w).argmax(), w.shape)))
    if not w[pivot] or not np.isfinite(w[pivot]):
        return None
    places: list[Any] = [(*pivot[:a], slice(None), *pivot[a + 1 :]) for a in range(w.ndim)]
    lines = [w[place] for place in places]
    made = _whole(lines, pivot) if w.dtype.kind in "iu" else [lines[0], *(line / w[pivot] for line in lines[1:])]
    product = reduce(np.multiply.outer, made)
    if w.dtype.kind in "iu":
        return tuple(made) if np.array_equal(product, w) else None
    limits = np.finfo(w.dtype)
    allowed = ROUNDINGS * limits.eps * np.abs(w) + limits.tiny * limits.eps * w.ndim
    return tuple(made) if bool((np.abs(product - w) <= allowed).all()) else None


def _sizes(w: np.ndarray) -> np.ndarray:
    """|w|, of integers in a dtype that has them all."""
    return np.abs(w.astype(np.float64) if w.dtype.kind in "iu" else w)


def _whole(lines: list[np.ndarray], pivot: tuple[int, ...]) -> list[np.ndarray]:
    """Whole numbers along each axis: all but the last without a common divisor."""
    made, last = [], lines[-1].astype(np.int64)
    for line, at in zip(lines[:-1], pivot, strict=False):
        divided = line.astype(np.int64) // math.gcd(*map(int, line))
        made.append(divided)
        last = last // divided[at]
    return [*made, last]
