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

from . import workers
from .config import settings
from .errors import InvalidArgument

MOST = 1024  # members of a team: each has scratch memory of its own, whatever number is set
_default: int | None = None  # until it is set, what the environment says
_local = threading.local()
_forked = False
_numba_threads: bool | None = None  # None until the first parallel region


def _after_fork() -> None:
    # A forked child has none of the pool's threads, and an OpenMP pool kills a child that tries: stay serial there.
    global _forked
    _forked = True


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

    Numba's workqueue layer aborts the process when two threads are in parallel regions at once, and a user's own
    parallel function may be in one at any time: where it is the layer, the threads are ours. The results are the same.
    """
    if _layer_takes_several_callers():
        parallel(members, tasks, *args)
    else:
        shares = [(thread, tasks * thread // members, tasks * (thread + 1) // members) for thread in range(members)]
        workers.do(serial, shares, args)


def threading_layer() -> str | None:
    """Numba's threading layer once a parallel kernel has run in this process ("omp", "tbb", "workqueue"), else None."""
    from numba.np.ufunc import parallel

    return parallel._threading_layer


def threads_in_use() -> str | None:
    """What parallel kernels run on, for people to read; None before the first has run."""
    if _numba_threads is False:
        return f"fastconv's own threads (Numba's {threading_layer()} layer takes one caller at a time)"
    return threading_layer()


def _layer_takes_several_callers() -> bool:
    global _numba_threads
    if _numba_threads is None:
        import numba

        try:
            numba.get_num_threads()  # loads the layer
        except ValueError as error:
            reason = str(error).partition("\n")[0].rstrip(".")
            raise InvalidArgument(
                f"Numba cannot load its threading layer {numba.config.THREADING_LAYER!r} ({reason}); correct or unset "
                "NUMBA_THREADING_LAYER and NUMBA_THREADING_LAYER_PRIORITY"
            ) from error
        _numba_threads = threading_layer() in ("omp", "tbb")
    return _numba_threads


def _check(n: Any) -> int:
    from .spec import parse_count  # here, for importing fastconv shall not import NumPy

    return parse_count(n, "the number of threads")
