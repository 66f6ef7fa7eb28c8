"""What calls have in common and is worked out once: caches that hold at most so many bytes.

``functools.lru_cache`` counts entries, and an entry with a table of a long axis may take a hundred megabytes.
"""

from __future__ import annotations

import threading
from collections.abc import Callable
from typing import Any, Generic, ParamSpec, TypeVar

import numpy as np

P = ParamSpec("P")
T = TypeVar("T")

LIMIT = 16 << 20  # bytes of one cache
ENTRIES = 512
OWN = 512  # bytes that an entry takes beside its arrays, about


class Kept(Generic[P, T]):
    """A function that remembers its results: the latest, as long as their arrays and their arguments' are small."""

    def __init__(self, function: Callable[P, T], limit: int) -> None:
        self.__wrapped__, self.__doc__, self.__name__ = function, function.__doc__, function.__name__
        self.__module__ = function.__module__
        self.limit = limit
        self._results: dict[Any, T] = {}
        self._sizes: dict[Any, int] = {}
        self._lock = threading.Lock()

    def __call__(self, *args: P.args, **kwargs: P.kwargs) -> T:
        key = (args, tuple(kwargs.items())) if kwargs else args
        try:
            return self._results[key]
        except KeyError:
            pass
        result = self.__wrapped__(*args, **kwargs)
        self._keep(key, result)
        return result

    def _keep(self, key: Any, result: T) -> None:
        size = OWN + nbytes(result) + nbytes(key, attributes=False)
        if 2 * size > self.limit:
            return
        with self._lock:
            if key not in self._results:
                self._results[key], self._sizes[key] = result, size
            while self.nbytes > self.limit or len(self._results) > ENTRIES:
                oldest = next(iter(self._sizes))
                del self._results[oldest], self._sizes[oldest]

    @property
    def nbytes(self) -> int:
        """Bytes that are kept."""
        return sum(self._sizes.values())

    def cache_clear(self) -> None:
        """Forget all."""
        with self._lock:
            self._results.clear()
            self._sizes.clear()


def kept(function: Callable[P, T]) -> Kept[P, T]:
    """Remember a function's results, up to `LIMIT` bytes of arrays; the oldest go first.

    Examples
    --------
    >>> import numpy as np
    >>> table = kept(lambda n: np.arange(n))
    >>> table(5) is table(5), table(1 << 24) is table(1 << 24)
    (True, False)
    """
    return Kept(function, LIMIT)


def nbytes(value: Any, *, attributes: bool = True) -> int:
    """Bytes of the arrays that a value holds on to, in tuples, lists and, unless told not to, attributes of objects."""
    seen: dict[int, int] = {}
    waiting = [value]
    while waiting:
        item = waiting.pop()
        if id(item) in seen or isinstance(item, (type, str, int, float)) or item is None:
            continue
        seen[id(item)] = 0
        if isinstance(item, np.ndarray):
            if isinstance(item.base, np.ndarray):
                waiting.append(item.base)
            else:
                seen[id(item)] = item.nbytes
        elif isinstance(item, (tuple, list)):
            waiting.extend(item)
        elif isinstance(item, bytes):
            seen[id(item)] = len(item)
        elif attributes and hasattr(item, "nbytes"):  # an array of a device
            seen[id(item)] = item.nbytes
        elif attributes and hasattr(item, "__dict__") and not callable(item):
            waiting.extend(vars(item).values())
    return sum(seen.values())
