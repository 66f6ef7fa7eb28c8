"""What the kernel suite measures: one emitted function on operands in a cache, its work, the check of its result."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np

from ... import memory
from ...simd.host import host

FLOPS, BYTES = "GFLOP/s", "GB/s"
ROOM = 2 << 20  # bytes for the arrays of one function


@dataclass(frozen=True)
class Subject:
    """One function on one set of operands.

    ``run(times)`` runs it so often; `error` runs it once and gives the largest deviation of the result from NumPy's
    float64, as a fraction of the largest value. `work` counts a run's operations, or bytes read and written, by `unit`.
    """

    group: str
    name: str
    place: str
    work: float
    unit: str
    run: Callable[[int], Any]
    error: Callable[[], float]


class Numbers:
    """Arrays of one dtype, drawn anew in the same way each time; they lie one behind the other, as scratch does.

    Where the allocator puts each, a copy within the first cache was seen at a tenth of its speed: their alignment and
    distance would be measured, too.
    """

    def __init__(self, dtype: str) -> None:
        self.dtype = np.dtype(dtype)
        self.lanes = host().lanes(self.dtype.itemsize)
        self._rng = np.random.default_rng(0)
        self._room = memory.empty((ROOM,), np.dtype(np.uint8))
        self._used = 0

    def normal(self, *shape: int) -> np.ndarray:
        """Standard normal numbers."""
        return self.filled(self._rng.standard_normal(shape), *shape)

    def empty(self, *shape: int) -> np.ndarray:
        """NaN: what is not written is noticed."""
        return self.filled(np.nan, *shape)

    def filled(self, value: Any, *shape: int) -> np.ndarray:
        """An array that begins on a cache line of its own and holds `value`."""
        array = np.ndarray(shape, self.dtype, self._room, self._used)
        self._used += -(-array.nbytes // memory.ALIGNMENT) * memory.ALIGNMENT
        array[...] = value
        return array


def deviation(result: np.ndarray, expected: np.ndarray) -> float:
    """The largest difference as a fraction of the largest value; infinite where the result holds NaN."""
    worst = float(np.max(np.abs(result.astype(expected.dtype) - expected)) / np.max(np.abs(expected)))
    return worst if worst == worst else float("inf")
