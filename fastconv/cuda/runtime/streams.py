"""Streams: which one kernels start on, and which one an array was last used on.

A device array remembers its device and stream, in its memory object or, where the memory is the pool's, in its lease,
so that views remember the same.
"""

from __future__ import annotations

import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .memory import Lease, lease_of

_local = threading.local()


def is_usual() -> bool:
    """True where no array has come from another device or stream than the usual: `backend.scope` does nothing."""
    return not Lease.elsewhere


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
