"""Samples on their way to the model, batch by batch: from NumPy's arrays, or from copies that the device keeps.

A data set that fits the budget (``FASTCONV_RESIDENT_BYTES``) is copied to the device once, in the dtype it has, and
each batch is gathered there; of a larger one each batch is copied when its turn comes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any

import numpy as np

from .. import ops
from ..config import settings
from ..ops import devices
from .parts import Part

STORED = ("uint8", "int8", "int32", "float32")  # dtypes that samples keep on the device


class Feed:
    """Samples and labels, or None for these, on the host.

    Parameters
    ----------
    x, y : ndarray
    dtype : dtype
        Of the samples of a batch.

    Attributes
    ----------
    part : Part or None
        Which samples of the batch at hand these are, where several processes share it.
    """

    part: Part | None = None

    def __init__(self, x: np.ndarray, y: np.ndarray | None, dtype: Any = np.float32) -> None:
        self.x, self.y, self.dtype = x, y, np.dtype(dtype)

    def __len__(self) -> int:
        return len(self.x)

    def batches(self, size: int, order: np.ndarray | None = None) -> Iterator[tuple[Any, Any]]:
        """Pairs of arrays in the given order; rows are copied only for an order or another dtype."""
        for start in range(0, len(self), size):
            yield self.rows(slice(start, start + size) if order is None else order[start : start + size])

    def in_batch(self, x: Any) -> int:
        """Samples of the batch whose x, or part of it, this is."""
        return len(x) if self.part is None else self.part.size

    def rows(self, which: Any) -> tuple[Any, Any]:
        """Samples and labels by their numbers, or a slice of all."""
        return self.x[which].astype(self.dtype, copy=False), None if self.y is None else self.y[which]


class SharedFeed(Feed):
    """Samples of which this process gets its part of every batch; `part` says which.

    Parameters
    ----------
    x, y, dtype
        As for `Feed`.
    part_of : callable
        Gets the size of a batch.
    """

    def __init__(self, x: np.ndarray, y: np.ndarray | None, dtype: Any, part_of: Callable[[int], Part]) -> None:
        super().__init__(x, y, dtype)
        self._part_of = part_of

    def batches(self, size: int, order: np.ndarray | None = None) -> Iterator[tuple[Any, Any]]:
        for start in range(0, len(self), size):
            self.part = self._part_of(min(size, len(self) - start))
            rows = slice(start + self.part.rows.start, start + self.part.rows.stop)
            yield self.rows(rows if order is None else order[rows])


class DeviceFeed(Feed):
    """Samples whose batches lie on the device.

    Parameters
    ----------
    x, y : ndarray
    label_dtype, dtype : dtype, optional
        Of the labels and samples of a batch.
    """

    def __init__(
        self, x: np.ndarray, y: np.ndarray | None, label_dtype: Any = np.float32, dtype: Any = np.float32
    ) -> None:
        super().__init__(x, None if y is None else y.astype(label_dtype, copy=False), dtype)
        self._arrays: list[Any] = []
        kept = x if x.dtype.name in STORED or x.dtype == self.dtype else x.astype(self.dtype)
        parts = [a for a in (kept, self.y) if a is not None]
        self.resident = sum(a.nbytes for a in parts) <= settings.resident_bytes
        if self.resident:
            self._arrays = [ops.to_device(a) for a in parts]

    def batches(self, size: int, order: np.ndarray | None = None) -> Iterator[tuple[Any, Any]]:
        if not self.resident:
            for x, y in super().batches(size, order):
                yield ops.to_device(x), None if y is None else ops.to_device(y)
            return
        rows = None if order is None else devices.rows_on_device(order)
        for start in range(0, len(self), size):
            stop = min(start + size, len(self))
            if rows is None:
                x, *y = (a[start:stop] for a in self._arrays)
                x = x.astype(self.dtype, copy=False)
            else:
                dtypes = (self.dtype, *(a.dtype for a in self._arrays[1:]))
                x, *y = (devices.gather(a, rows, start, stop, d) for a, d in zip(self._arrays, dtypes, strict=True))
            yield x, y[0] if y else None
