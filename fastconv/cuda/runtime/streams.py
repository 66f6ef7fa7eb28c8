"""Streams: which one kernels start on, which one an array was last used on, and how one waits for another.

A device array remembers its device and stream, in its memory object or, where the memory is the pool's, in its lease,
so that views remember the same.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from .memory import Lease, lease_of

_local = threading.local()


def is_usual() -> bool:
    """True where `scope` changes nothing: so far no array has come from another device or stream than the usual."""
    return not Lease.elsewhere


class scope:  # noqa: N801 - used like a function
    """Run kernels on the device and stream that `arrays` remember, and let all of them remember it.

    The stream first waits for those that other arrays among them come from. If none remembers one (scratch, new
    arrays), kernels go on where those before them run.
    """

    __slots__ = ("_arrays", "_inner")

    def __init__(self, *arrays: Any) -> None:
        self._arrays = arrays
        self._inner: AbstractContextManager[None] | None = None

    def __enter__(self) -> None:
        if is_usual():
            return
        origins = [memory_of(array) for array in self._arrays]
        if current_stream() == 0 and all(origin == (None, 0) for origin in origins):
            return  # the usual case: there is nothing to do
        self._inner = _working_for(self._arrays, origins)
        self._inner.__enter__()

    def __exit__(self, *error: Any) -> None:
        if self._inner is not None:
            self._inner.__exit__(*error)


@contextmanager
def _working_for(arrays: tuple[Any, ...], origins: list[tuple[int | None, int]]) -> Iterator[None]:
    device, stream = next((origin for origin in origins if origin != (None, 0)), (None, current_stream()))
    from ..backend import executor

    with executor().on(device), working_on(stream):
        for other in {own for _, own in origins} - {stream}:
            executor().wait(stream, other)
        if (device, stream) != (None, 0):
            for array in arrays:
                remember(array, device, stream)
        yield


def current_stream() -> int:
    """The stream that kernels of this thread start on, as a pointer; 0 is the default stream."""
    return getattr(_local, "stream", 0)


def stream_of(array: Any) -> int:
    """The stream a device array's last kernel ran on."""
    return memory_of(array)[1]


def memory_of(array: Any) -> tuple[int | None, int]:
    """The device and stream that an array remembers; (None, 0) are the current device and the default stream."""
    lease = lease_of(array)
    if lease is not None:
        return lease.origin
    return getattr(getattr(array, "gpu_data", None), "fastconv_origin", (None, 0))


def remember(array: Any, device: int | None, stream: int) -> None:
    """Let an array, and those that share its memory, be of a device and stream."""
    # A reshaped array keeps its memory object, but not its own attributes; a part of one keeps the lease.
    Lease.elsewhere = Lease.elsewhere or (device, stream) != (None, 0)
    lease = lease_of(array)
    if lease is not None:
        lease.move(device, stream)
    elif getattr(array, "gpu_data", None) is not None:
        array.gpu_data.fastconv_origin = (device, stream)


@contextmanager
def working_on(stream: int) -> Iterator[None]:
    """Start this thread's kernels on `stream`."""
    Lease.elsewhere = Lease.elsewhere or stream != 0
    before, _local.stream = current_stream(), stream
    try:
        yield
    finally:
        _local.stream = before
