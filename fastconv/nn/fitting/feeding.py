"""Samples on their way to the model, batch by batch: from NumPy's arrays, or from copies that the device keeps.

A data set that fits the budget (``FASTCONV_RESIDENT_BYTES``) is copied to the device once, in the dtype it has, and
each batch is gathered there; of a larger one each batch is copied when its turn comes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from itertools import islice
from typing import Any

import numpy as np

from ... import ops
from ...config import settings
from ...ops import devices
from ..modelling.parts import Part
from .bundles import Bundle, each

Batch = tuple[Any, Any, Any]
"""Samples, labels and weights; None for what there is not."""

STORED = ("uint8", "int8", "int32", "float32")  # dtypes that samples keep on the device


class Feed:
    """Samples, and labels and weights or None for these, on the host.

    Parameters
    ----------
    x, y : ndarray
    dtype : dtype
        Of the samples of a batch.
    weights : ndarray, optional
        Of the samples.

    Attributes
    ----------
    part : Part or None
        Which samples of the batch at hand these are, where several processes share it.
    """

    part: Part | None = None

    def __init__(self, x: Any, y: Any, dtype: Any = np.float32, weights: Any = None) -> None:
        self.x, self.y, self.weights, self.dtype = x, y, weights, np.dtype(dtype)

    def __len__(self) -> int:
        return len(self.x)

    @property
    def samples(self) -> int | None:
        """Number of samples, where that is known."""
        return len(self)

    def steps(self, size: int) -> int | None:
        """Number of batches of one pass, where that is known."""
        return -(-len(self) // size)

    def order(self, generator: np.random.Generator) -> np.ndarray | None:
        """A new order for `batches`, where it takes one."""
        return generator.permutation(len(self))

    def batches(self, size: int, order: np.ndarray | None = None) -> Iterator[Batch]:
        """One pass over the arrays in the given order; rows are copied only for an order or another dtype."""
        for start in range(0, len(self), size):
            yield self.rows(slice(start, start + size) if order is None else order[start : start + size])

    def in_batch(self, x: Any) -> int:
        """Samples of the batch whose x, or part of it, this is."""
        return len(x) if self.part is None else self.part.size

    def rows(self, which: Any) -> Batch:
        """Samples, labels and weights by their numbers, or a slice of all."""
        y, weights = (None if a is None else a[which] for a in (self.y, self.weights))
        return self.x[which].astype(self.dtype, copy=False), y, weights


class Epochs:
    """Batches, epoch by epoch: each is one pass, or so many steps of passes that go on where the last epoch stopped.

    Parameters
    ----------
    feed : Feed
    size : int
        Of a batch.
    steps : int, optional
        Of an epoch.
    order : callable
        Gives the order of a pass.
    """

    def __init__(self, feed: Feed, size: int, steps: int | None, order: Callable[[], np.ndarray | None]) -> None:
        self.feed, self.size, self._wanted, self._order = feed, size, steps, order
        self.steps = feed.steps(size) if steps is None else steps
        self.least = steps or 1
        self._running = self._endless()

    def batches(self) -> Iterator[Batch]:
        """The next epoch."""
        if self._wanted is None:
            return self.feed.batches(self.size, self._order())
        return islice(self._running, self._wanted)

    def _endless(self) -> Iterator[Batch]:
        found = True
        while found:
            found = False
            for batch in self.feed.batches(self.size, self._order()):
                found = True
                yield batch


class SharedFeed(Feed):
    """Samples of which this process gets its part of every batch; `part` says which.

    Parameters
    ----------
    x, y, dtype, weights
        As for `Feed`.
    part_of : callable
        Gets the size of a batch.
    """

    def __init__(
        self, x: np.ndarray, y: np.ndarray | None, dtype: Any, weights: Any, part_of: Callable[[int], Part]
    ) -> None:
        super().__init__(x, y, dtype, weights)
        self._part_of = part_of

    def batches(self, size: int, order: np.ndarray | None = None) -> Iterator[Batch]:
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
    weights : ndarray, optional
    """

    def __init__(
        self,
        x: np.ndarray,
        y: np.ndarray | None,
        label_dtype: Any = np.float32,
        dtype: Any = np.float32,
        weights: np.ndarray | None = None,
    ) -> None:
        super().__init__(x, None if y is None else y.astype(label_dtype, copy=False), dtype, weights)
        self._arrays: list[Any] = []
        several = any(isinstance(a, Bundle) for a in (x, y))
        kept = x if several or x.dtype.name in STORED or x.dtype == self.dtype else x.astype(self.dtype)
        parts = [a for a in (kept, self.y, weights) if a is not None]
        self.resident = not several and sum(a.nbytes for a in parts) <= settings.resident_bytes
        if self.resident:
            self._arrays = [ops.to_device(a) for a in parts]

    def batches(self, size: int, order: np.ndarray | None = None) -> Iterator[Batch]:
        if not self.resident:
            for batch in super().batches(size, order):
                yield on_device(batch)
            return
        rows = None if order is None else devices.rows_on_device(order)
        for start in range(0, len(self), size):
            stop = min(start + size, len(self))
            if rows is None:
                x, *rest = (a[start:stop] for a in self._arrays)
                x = x.astype(self.dtype, copy=False)
            else:
                dtypes = (self.dtype, *(a.dtype for a in self._arrays[1:]))
                x, *rest = (devices.gather(a, rows, start, stop, d) for a, d in zip(self._arrays, dtypes, strict=True))
            weights = None if self.weights is None else rest.pop()
            yield x, rest[0] if rest else None, weights


def on_device(batch: Batch) -> Batch:
    """A batch whose arrays lie on the device."""
    x, y, weights = (None if a is None else each(ops.to_device, a) for a in batch)
    return x, y, weights
