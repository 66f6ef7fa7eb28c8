"""Axes in other sizes, linear in the elements: tables of which elements are added, and how much of them.

A table is worked out once for a size, a new size and an interpolation; the gradient is the sum by the transposed table.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from functools import cached_property
from typing import Any

import numpy as np

from ..dispatch import operator
from ..kept import kept
from . import devices
from ._floats import Floats
from .product import matmul

INTERPOLATIONS = ("nearest", "bilinear", "bicubic", "lanczos3", "lanczos5")


@dataclass(frozen=True, eq=False)
class Table:
    """Row j of the result is the sum of weights[t]*row index[t] of the source, for t from starts[j] to starts[j + 1].

    Attributes
    ----------
    size : int
        Rows of the source.
    starts, index, weights : ndarray
    """

    size: int
    starts: np.ndarray
    index: np.ndarray
    weights: np.ndarray

    @property
    def out(self) -> int:
        """Rows of the result."""
        return len(self.starts) - 1

    @cached_property
    def transposed(self) -> Table:
        """The table of the gradient."""
        order = np.argsort(self.index, kind="stable")
        rows = np.repeat(np.arange(self.out), np.diff(self.starts))
        starts = np.searchsorted(self.index[order], np.arange(self.size + 1))
        return Table(self.out, starts, rows[order], self.weights[order])

    @cached_property
    def matrix(self) -> np.ndarray:
        """The same as a matrix (out, size)."""
        dense = np.zeros((self.out, self.size))
        np.add.at(dense, (np.repeat(np.arange(self.out), np.diff(self.starts)), self.index), self.weights)
        return dense


def resample(x: Any, table: Table, axis: int) -> Any:
    """x with the axis changed as the table says; terms are added in its order.

    Examples
    --------
    >>> resample(np.array([[1.0, 3.0]]), interpolated(2, 4, "bilinear"), axis=1)
    array([[1. , 1.5, 2.5, 3. ]])
    """
    call = Floats("x", x)
    (x_,) = call.arrays
    axis %= x_.ndim
    outer, inner = math.prod(x_.shape[:axis]), math.prod(x_.shape[axis + 1 :])
    shape = (*x_.shape[:axis], table.out, *x_.shape[axis + 1 :])
    if call.device == "cuda":
        matrix = devices.to_device(table.matrix.astype(np.dtype(x.dtype)))
        return matmul(matrix, x.reshape((outer, table.size, inner))).reshape(shape)
    y = call.empty((outer, table.out, inner))
    numbers = {"starts": table.starts, "index": table.index, "weights": table.weights}
    operator("resample")(x_.reshape(outer, table.size, inner), y, **numbers)
    return y.reshape(shape)


@kept
def repeated(size: int, count: int) -> Table:
    """Every row `count` times."""
    out = size * count
    return Table(size, np.arange(out + 1), np.repeat(np.arange(size), count), np.ones(out))


def gathered(rows: np.ndarray, size: int) -> Table:
    """The rows of these numbers."""
    return Table(size, np.arange(len(rows) + 1), rows, np.ones(len(rows)))


def rows_of(w: Any, numbers: np.ndarray) -> Any:
    """w[numbers]: rows of a matrix by their numbers, an array of any shape on the host.

    Examples
    --------
    >>> rows_of(np.array([[1.0, 2.0], [3.0, 4.0]]), np.array([1, 1, 0]))[:, 0]
    array([3., 3., 1.])
    """
    if isinstance(w, np.ndarray):
        return w[numbers]
    flat = devices.gather(w, devices.rows_on_device(numbers.reshape(-1)), 0, numbers.size, w.dtype)
    return flat.reshape((*numbers.shape, w.shape[1]))


def rows_added(dy: Any, numbers: np.ndarray, size: int) -> Any:
    """The gradient of `rows_of`: (size, features), each row the sum of those of dy with its number, in their order.

    A GPU's are added on the CPU.
    """
    if not isinstance(dy, np.ndarray):
        return devices.to_device(rows_added(devices.to_host(dy), numbers, size))
    flat = np.ascontiguousarray(dy).reshape(numbers.size, dy.shape[-1])
    return resample(flat, gathered(numbers.reshape(-1), size).transposed, 0)


@kept
def interpolated(size: int, out: int, interpolation: str, antialias: bool = False) -> Table:
    """Rows between those of the source: the middles of all rows of either lie evenly over the same length.

    "nearest" takes the row whose middle is nearest; the others weigh rows by a function of their distance: a triangle,
    Keys's cubic (a = -1/2, 1981), or Lanczos's windowed sinc of 3 or 5 lobes. Weights sum to 1, also at the ends, where
    there are fewer rows. With `antialias` that function is stretched where rows become fewer.
    """
    middle = (np.arange(out) + 0.5) * (size / out) - 0.5
    if interpolation == "nearest":
        return gathered(np.clip(np.floor(middle + 0.5).astype(np.int64), 0, size - 1), size)
    weigh, reach = _KERNELS[interpolation]
    stretch = max(1.0, size / out) if antialias else 1.0
    first = np.ceil(middle - reach * stretch).astype(np.int64)
    index = first[:, None] + np.arange(2 * math.ceil(reach * stretch) + 1)
    weights = weigh(np.abs(index - middle[:, None]) / stretch)
    weights[(index < 0) | (index >= size)] = 0
    weights /= weights.sum(axis=1, keepdims=True)
    used = weights != 0
    starts = np.concatenate([[0], np.cumsum(used.sum(axis=1))])
    return Table(size, starts, index[used], weights[used])


def _triangle(d: np.ndarray) -> np.ndarray:
    return np.maximum(0.0, 1 - d)


def _cubic(d: np.ndarray) -> np.ndarray:
    near = (1.5 * d - 2.5) * d * d + 1
    far = ((-0.5 * d + 2.5) * d - 4) * d + 2
    return np.where(d <= 1, near, np.where(d < 2, far, 0.0))


def _lanczos(lobes: int) -> Callable[[np.ndarray], np.ndarray]:
    return lambda d: np.where(d < lobes, np.sinc(d) * np.sinc(d / lobes), 0.0)


_KERNELS: dict[str, tuple[Callable[[np.ndarray], np.ndarray], int]] = {
    "bilinear": (_triangle, 1),
    "bicubic": (_cubic, 2),
    "lanczos3": (_lanczos(3), 3),
    "lanczos5": (_lanczos(5), 5),
}
