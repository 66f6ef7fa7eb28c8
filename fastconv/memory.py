"""Buffers that are used again: whoever allocates large arrays anew for each call spends the time in page faults.

Inside ``with recycled():`` the arrays of `empty` lie in buffers of a pool, such as a model's. `scratch`, what kernels
need for the length of a call, comes from a pool of the calling thread. A buffer is free again as soon as no array in
it is left, which its reference count tells: nothing has to be handed back, and an array that the caller keeps stays
valid for as long as it is kept.
"""

from __future__ import annotations

import math
import os
import re
import sys
import threading
from bisect import bisect_left, bisect_right
from collections.abc import Callable, Iterator
from contextlib import contextmanager, suppress
from functools import lru_cache, partial
from pathlib import Path
from typing import Any

import numpy as np

from .config import settings
from .errors import TooLarge, shown

SMALL = 1 << 16  # bytes; below, the allocator of the C library reuses memory by itself
ALIGNMENT = 64


class _Local(threading.local):
    """What belongs to a thread: the pools in use, and where scratch is noted down while calls are recorded."""

    pool: Pool | None = None
    scratch: Pool | None = None
    lent: list[np.ndarray] | None = None
    content: int = 0  # of the bytes that are lent


_local = _Local()


class Pool:
    """Buffers of one owner, such as a model; not shared between threads that run at the same time.

    Parameters
    ----------
    limit : int, optional
        Bytes that the pool may hold; larger arrays, and those for which there is no room, are not pooled.

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

    def __init__(self, limit: int | None = None) -> None:
        self._buffers: list[np.ndarray] = []  # by size, the smallest first
        self._capacities: list[int] = []  # bytes behind the first cache line of each
        self._starts: list[int] = []  # where that begins
        self._limit = limit

    def empty(self, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
        """An array in the smallest idle buffer that holds it, if that is at most twice too large, else in a new one."""
        needed = math.prod(shape) * dtype.itemsize
        first, end = bisect_left(self._capacities, needed), bisect_right(self._capacities, 2 * needed)
        for i in range(first, end):
            if _references(self._buffers, i) == _IDLE:
                return np.ndarray(shape, dtype, self._buffers[i], self._starts[i])
        buffer = _allocated(needed, shape, dtype)
        start = _start(buffer)
        if self._make_room(buffer.nbytes):
            at = bisect_left(self._capacities, needed)
            self._buffers.insert(at, buffer)
            self._capacities.insert(at, needed)
            self._starts.insert(at, start)
        return np.ndarray(shape, dtype, buffer, start)

    def _make_room(self, size: int) -> bool:
        """Drop idle buffers, the largest first, until `size` more bytes fit; False if they cannot."""
        if self._limit is None:
            return True
        total, i = self.nbytes + size, len(self._buffers) - 1
        while total > self._limit and i >= 0:
            if _references(self._buffers, i) == _IDLE:
                total -= self._buffers[i].nbytes
                del self._buffers[i], self._capacities[i], self._starts[i]
            i -= 1
        return total <= self._limit

    @property
    def nbytes(self) -> int:
        """Memory the pool holds."""
        return sum(buffer.nbytes for buffer in self._buffers)

    def clear(self) -> None:
        """Let go of all buffers; arrays in them stay valid."""
        self._buffers, self._capacities, self._starts = [], [], []


@lru_cache(maxsize=1)
def total_bytes() -> int:
    """Most that arrays can take on this machine: its memory and swap space; without end where no system tells."""
    try:
        memory = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    except (OSError, ValueError, AttributeError):
        return sys.maxsize
    swap = None
    with suppress(OSError):
        swap = re.search(r"^SwapTotal: *(\d+) kB", Path("/proc/meminfo").read_text(), re.MULTILINE)
    return memory + (1024 * int(swap[1]) if swap else 0)


def check_room(needed: int, what: str) -> None:
    """Raise `TooLarge` for `needed` bytes that this machine cannot have, before anything is allocated."""
    if needed > total_bytes():
        raise TooLarge(
            f"{what} takes {_gibibytes(needed)} of memory but this machine has {_gibibytes(total_bytes())}; "
            "make the problem smaller or cut it into parts"
        )


def _gibibytes(count: int) -> str:
    return f"{count / (1 << 30):,.1f} GiB" if count < 1 << 70 else "more than 2**70 bytes"


def _allocated(needed: int, shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """A new buffer for an array of `needed` bytes, with room to align it."""
    if needed > total_bytes():
        check_room(needed, _described(shape, dtype))
    try:
        return np.empty(needed + ALIGNMENT, np.uint8)
    except MemoryError:
        what = _described(shape, dtype)
        raise TooLarge(f"{what} takes {_gibibytes(needed)} of memory, which the system does not give") from None


def _described(shape: tuple[int, ...], dtype: np.dtype) -> str:
    """An array in words; they take longer than finding memory for it."""
    return f"an array of shape {shown(tuple(shape))} and dtype {dtype}"


def _start(buffer: np.ndarray) -> int:
    """Where the first cache line of a buffer begins."""
    return -buffer.ctypes.data % ALIGNMENT


def _references(items: list[Any], i: int) -> int:
    return sys.getrefcount(items[i])


_IDLE = _references([object()], 0)  # counted the same way: interpreters differ in what they count


def empty(shape: tuple[int, ...], dtype: Any) -> np.ndarray:
    """``numpy.empty``, in the buffers of the pool in use if there is one; a large array starts on a cache line.

    NumPy's own start 16 bytes behind one, so that every vector written to them would cross two lines.
    """
    dtype = np.dtype(dtype)
    needed = math.prod(shape) * dtype.itemsize
    if needed < SMALL:
        try:
            return np.empty(shape, dtype)
        except ValueError:  # an axis of none, and others so long that NumPy does not take the shape
            raise TooLarge(f"an array of shape {shown(shape)} has too long axes; make the problem smaller") from None
    pool = _local.pool
    if pool:
        return pool.empty(shape, dtype)
    buffer = _allocated(needed, shape, dtype)
    return np.ndarray(shape, dtype, buffer, _start(buffer))


def maker(shape: tuple[int, ...], dtype: Any) -> Callable[[], np.ndarray]:
    """`empty` for calls that always ask for the same: for a small array it need not look how much that is."""
    if math.prod(shape) * np.dtype(dtype).itemsize >= SMALL:
        return partial(empty, shape, dtype)
    empty(shape, dtype)  # what is wrong with the shape is said here
    return partial(np.empty, shape, dtype)


@contextmanager
def recycled(pool: Pool | None = None) -> Iterator[None]:
    """Take the arrays of `empty`, in this thread, from `pool`; None means the one in use already, or a new one."""
    outer = _local.pool
    _local.pool = pool or outer or Pool()
    try:
        yield
    finally:
        _local.pool = outer


def scratch(shape: tuple[int, ...], dtype: np.dtype) -> np.ndarray:
    """An uninitialised array; a large one starts on a cache line and comes from a pool of this thread.

    The pool keeps at most ``settings.scratch_bytes``, so that repeated calls find their pages mapped.
    """
    if _local.lent is not None:
        size = math.prod(shape) * dtype.itemsize
        _local.lent.append(np.full(size, _local.content, np.uint8).view(dtype).reshape(shape))
        return _local.lent[-1]
    if math.prod(shape) * dtype.itemsize < SMALL:
        return np.empty(shape, dtype)
    pool = _local.scratch
    if pool is None:
        pool = _local.scratch = Pool(settings.scratch_bytes)
    return pool.empty(shape, dtype)


@contextmanager
def lasting() -> Iterator[None]:
    """Give what `scratch` makes in this block to whoever keeps it: it takes no room in the pool of this thread."""
    outer = getattr(_local, "scratch", None)
    _local.scratch = Pool()
    try:
        yield
    finally:
        _local.scratch = outer


@contextmanager
def noting_scratch(lent: list[np.ndarray], content: int) -> Iterator[None]:
    """Note down in `lent` what `scratch` gives to this thread: new arrays, whose bytes are all `content`."""
    _local.lent, _local.content = lent, content
    try:
        yield
    finally:
        _local.lent = None


def scratch_bytes() -> int:
    """Bytes that this thread keeps for the scratch of calls to come."""
    pool = _local.scratch
    return 0 if pool is None else pool.nbytes


def forget_scratch() -> None:
    """Let go of what this thread keeps for the scratch of calls to come."""
    if _local.scratch is not None:
        _local.scratch.clear()
