"""How many threads kernels use.

The number never changes a result: work is cut into tasks that depend on the problem alone, whoever does them. It is
kept per thread of the caller (a `threads` block in one thread does not disturb another).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from typing import Any

from .config import settings
from .processors import usable

MEMBERS = 1024  # of a parallel region, each with scratch memory of its own: whatever number is set
_default: int | None = None  # until it is set, what the environment says
_local = threading.local()
_forked = False


def _after_fork() -> None:
    # A forked child has none of the workers, and its siblings may be many: stay serial there.
    global _forked
    _forked = True


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def get_num_threads() -> int:
    """Threads that kernels called from this thread may use.

    At first FASTCONV_NUM_THREADS, or else the cores that this process may run on, at most what its container grants.

    Examples
    --------
    >>> import fastconv as fc
    >>> with fc.threads(2):
    ...     fc.get_num_threads()
    2
    """
    count = getattr(_local, "count", None) or _default
    return count or settings.num_threads or usable()


def set_num_threads(n: int) -> None:
    """Let kernels called from any thread use `n` threads (inside a `threads` block: until its end).

    Parameters
    ----------
    n : int
        At least 1. More than the processors this process may use brings nothing.

    Raises
    ------
    InvalidArgument
        `n` is not a whole number of at least 1.

    Examples
    --------
    >>> import fastconv as fc
    >>> before = fc.get_num_threads()
    >>> fc.set_num_threads(1)
    >>> fc.get_num_threads()
    1
    >>> fc.set_num_threads(before)
    """
    global _default
    n = _check(n)
    if hasattr(_local, "count"):
        _local.count = n
    else:
        _default = n


@contextmanager
def threads(n: int) -> Iterator[None]:
    """Use `n` threads inside a ``with`` block, for calls from this thread.

    Examples
    --------
    >>> import fastconv as fc
    >>> with fc.threads(1):
    ...     fc.get_num_threads()
    1
    """
    n = _check(n)
    outer = getattr(_local, "count", None)
    _local.count = n
    try:
        yield
    finally:
        if outer is None:
            del _local.count
        else:
            _local.count = outer


class Alone:
    """``threads(1)`` for calls that are small, in a fifth of the time."""

    def __enter__(self) -> None:
        self._outer = getattr(_local, "count", None)
        _local.count = 1

    def __exit__(self, *error: object) -> None:
        if self._outer is None:
            del _local.count
        else:
            _local.count = self._outer


def team(tasks: int, work: int) -> int:
    """Threads that a kernel will use for `tasks` tasks of `work` operations together: size per-thread scratch by it."""
    if tasks < 2 or work < settings.serial_flops or _forked:
        return 1
    return min(get_num_threads(), tasks, MEMBERS)


def _check(n: Any) -> int:
    from .spec import parse_count  # here, for importing fastconv shall not import NumPy

    return parse_count(n, "the number of threads")
