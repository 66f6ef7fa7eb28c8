"""Buffers that are used again: a training step that allocates its activations anew spends its time in page faults.

Inside ``with recycled():`` the arrays of `empty` lie in buffers of the pool. A buffer is free again as soon as no
array in it is left, which its reference count tells: nothing has to be handed back, and an array that the caller
keeps stays valid for as long as it is kept.
"""

from __future__ import annotations

import math
import sys
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

import numpy as np

SMALL = 1 << 16  # bytes; below, the allocator of the C library reuses memory by itself
ALIGNMENT = 64

_local = threading.local()


class Pool:
    """Buffers of one owner, such as a model; not shared between threads that run at the same time.

    Examples
    --------
    >>> pool = Pool()
    >>> with recycled(pool):
    ...     first = empty((1000, 100), "float32")
    ...     address = first.ctypes.data
    ...     del first
    ...     empty((1000, 100), "float32").ctypes.data == address
    True
    """

    def __init__(self) -> None:
        self._buffers: list[np.ndarray] = []

    def empty(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """An array in the smallest idle buffer that holds it, if that is at most twice too large, else in a new one."""
        needed = math.prod(shape) * dtype.itemsize
        best, size = -1, 2 * needed + 1
        for i in range(len(self._buffers)):
            capacity = self._buffers[i].nbytes - ALIGNMENT
            if needed <= capacity < size and _references(self._buffers, i) == _IDLE:
                best, size = i, capacity
        if best < 0:
            self._buffers.append(np.empty(needed + ALIGNMENT, np.uint8))
        buffer = self._buffers[best]
        start = -buffer.__array_interface__["data"][0] % ALIGNMENT
        return np.ndarray(shape, dtype, buffer, start)

    @property
    def nbytes(self) -> int:
        """Memory the pool holds."""
        return sum(buffer.nbytes for buffer in self._buffers)

    def clear(self) -> None:
        """Let go of all buffers; arrays in them stay valid."""
        self._buffers.clear()


def _references(items: list[Any], i: int) -> int:
    return sys.getrefcount(items[i])


_IDLE = _references([object()], 0)  # counted the same way: interpreters differ in what they count


def empty(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """``numpy.empty``, in the buffers of the pool in use if there is one."""
    pool = getattr(_local, "pool", None)
    dtype = np.dtype(dtype)
    if pool is None or math.prod(shape) * dtype.itemsize < SMALL:
        return np.empty(shape, dtype)
    return pool.empty(shape, dtype)


@contextmanager
def recycled(pool: Pool | None = None) -> Iterator[None]:
    """Take the arrays of `empty`, in this thread, from `pool`; None means the one in use already, or a new one."""
    outer = getattr(_local, "pool", None)
    _local.pool = pool or outer or Pool()
    try:
        yield
    finally:
        _local.pool = outer
