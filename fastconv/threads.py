"""How many threads kernels use, and the one place that enters a parallel region.

The number never changes a result: work is cut into tasks that depend on the problem alone, and a thread takes a run of
consecutive tasks. It is kept per thread of the caller (a `threads` block in one thread does not disturb another).
"""

from __future__ import annotations

import os
import threading
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

from .config import settings
from .spec import parse_count

MOST = 1024  # members of a team: each has scratch memory of its own, whatever number is set
_default: int | None = None  # until it is set, what the environment says
_local = threading.local()
_region = threading.Lock()
_forked = False


def _after_fork() -> None:
    # A forked child has none of the pool's threads, and an OpenMP pool kills a child that tries: stay serial there.
    global _forked, _region
    _forked = True
    _region = threading.Lock()


if hasattr(os, "register_at_fork"):
    os.register_at_fork(after_in_child=_after_fork)


def get_num_threads() -> int:
    """Threads that kernels called from this thread may use.

    Examples
    --------
    >>> import fastconv as fc
    >>> with fc.threads(2):
    ...     fc.get_num_threads()
    2
    """
    count = getattr(_local, "count", None) or _default
    return settings.num_threads if count is None else count


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


def team(tasks: int, work: int) -> int:
    """Threads that `run` will use for `tasks` tasks of `work` operations together: size per-thread scratch by it."""
    if tasks < 2 or work < settings.serial_flops or _forked:
        return 1
    return min(get_num_threads(), tasks, MOST)


def run(
    serial: Callable[..., Any], parallel: Callable[..., Any], members: int, tasks: int, args: tuple[Any, ...]
) -> None:
    """Run ``serial(thread, first, last, *args)`` over all tasks, on `members` > 1 threads (from `team`).

    Numba's workqueue layer aborts the process on concurrent entry: there, and until the layer is known, one caller
    at a time goes parallel and the others run their tasks one after the other. The results are the same.
    """
    if _concurrent_entry_is_safe():
        parallel(members, tasks, *args)
    elif _region.acquire(blocking=False):
        try:
            parallel(members, tasks, *args)
        finally:
            _region.release()
    else:
        for thread in range(members):
            serial(thread, tasks * thread // members, tasks * (thread + 1) // members, *args)


def threading_layer() -> str | None:
    """Numba's threading layer once a parallel kernel has run in this process ("omp", "tbb", "workqueue"), else None."""
    from numba.np.ufunc import parallel

    return parallel._threading_layer


def _concurrent_entry_is_safe() -> bool:
    return threading_layer() in ("omp", "tbb")


def _check(n: Any) -> int:
    return parse_count(n, "the number of threads")
