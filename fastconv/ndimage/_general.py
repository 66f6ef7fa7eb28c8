"""The same filters by NumPy's arithmetic, for what no kernel computes with: long doubles and Python's objects.

SciPy's filters refuse these. Sums run in the order of the kernels'; numbers keep the dtype, and objects their methods.
"""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np

from ..borders import border_index

#: SciPy's modes in the words of `borders`.
BORDERS = {
    "reflect": "symmetric",
    "grid-mirror": "symmetric",
    "constant": "zeros",
    "grid-constant": "zeros",
    "nearest": "edge",
    "mirror": "reflect",
    "wrap": "wrap",
    "grid-wrap": "wrap",
}


def run_chain(passes: Sequence[tuple[Any, ...]], x: np.ndarray, y: np.ndarray, cval: Any) -> None:
    """Passes ("correlate", "mean", "max" or "min", axis, length, before, mode, weights), each rounded to y's dtype."""
    for kind, axis, length, before, mode, *weights in passes:
        axes = [(n, 1, 0, "nearest") for n in x.shape]
        axes[axis] = (x.shape[axis], length, before, mode)
        known = weights[0] if kind == "correlate" else [1.0 if kind == "mean" else 0.0] * length
        order = "correlate" if kind == "mean" else kind
        run_window(order, axes, np.arange(length), np.array(known), x, y, cval)
        if kind == "mean":
            y[...] = y / length
        x = y


def run_window(
    kind: str, axes: Sequence[tuple[int, int, int, str]], places: np.ndarray, weights: np.ndarray, x: np.ndarray,
    y: np.ndarray, cval: Any,
) -> None:  # fmt: skip
    """A window of any form: "correlate", or "max" or "min" of x + weight."""
    total: Any = None
    for view, weight in zip(_views(x, axes, places, cval), weights, strict=True):
        if kind == "correlate":
            total = view * weight if total is None else total + view * weight
        else:
            value = view + weight if weight else view
            total = value if total is None else (np.maximum if kind == "max" else np.minimum)(total, value)
    y[...] = total


def run_rank(
    axes: Sequence[tuple[int, int, int, str]], places: np.ndarray, rank: int, x: np.ndarray, y: np.ndarray, cval: Any
) -> None:
    """The element of a rank."""
    y[...] = np.sort(np.stack(_views(x, axes, places, cval)), axis=0)[rank]


def _views(x: np.ndarray, axes: Sequence[tuple[int, int, int, str]], places: np.ndarray, cval: Any) -> list[np.ndarray]:
    """x as each element of the window meets it."""
    lengths = [length for _, length, _, _ in axes]
    for a, (n, length, before, mode) in enumerate(axes):
        if length > 1:
            index = border_index(n, before, length - 1 - before, BORDERS[mode])
            wider = x.take(index, axis=a)
            wider[(slice(None),) * a + (index < 0,)] = cval
            x = wider
    corners = zip(*np.unravel_index(places, lengths), strict=True)
    sizes = [n for n, *_ in axes]
    return [x[tuple(slice(i, i + n) for i, n in zip(corner, sizes, strict=True))] for corner in corners]
