"""Kernels whose work is a row of independent tasks, and how they are run on threads."""

from __future__ import annotations

import inspect
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numba
import numpy as np
from numba._dispatcher import compute_fingerprint  # what Numba itself tells types apart by, in C
from numba.core import types

from ..within import Within
from ..workers import Team
from .jit import callable_kernel, reraise
from .region import lead_address, serve, share
from .words import reader


class Shared(Exception):
    """A kernel that was to be noted down would have run on several threads."""


class Recording(Within):
    """Where this thread's kernels are noted down in place of being run on one thread (`simd.programs`)."""

    steps: list[tuple[ParallelKernel, int, tuple[Any, ...]]] | None = None


recording = Recording()


class ParallelKernel:
    """A kernel whose work is a row of independent tasks; made by `parallel_kernel`.

    ``body(thread, first, last, *args)`` does tasks first..last-1, as often as it is asked to; `thread` selects
    per-thread scratch. Tasks come a few at a time: what a thread shall keep for those that come later, such as
    transformed filters, must lie in the caller's memory. The driver calls the compiled body by address: linked into the
    driver, it would be compiled a second time. What the body raises (a user's activation may) is raised to the caller,
    for any number of threads that of the first task in order.
    """

    def __init__(self, body: Callable[..., Any]) -> None:
        self.__name__, self.__doc__, self.__module__ = body.__name__, body.__doc__, body.__module__
        self.serial = callable_kernel(body)
        self._driver = callable_kernel(_with_arguments(body, "share", "lead, words, address, members, tasks, ", share))
        self._reader = callable_kernel(_with_arguments(body, "reader", "", reader))
        self._addresses: dict[Any, int] = {}

    def __call__(self, members: int, tasks: int, *args: Any) -> None:
        """Run all tasks on `members` threads (from `threads.team`)."""
        if members < 2:
            if recording.steps is None:
                self.serial(0, 0, tasks, *args)
            else:
                recording.steps.append((self, tasks, args))
            return
        if recording.steps is not None:
            raise Shared
        address = self.address(args)
        workers, lead = _team()
        workers.grow(members)
        code, information = self._driver(lead, workers.address, address, members, tasks, *args)
        if code:
            reraise(code, information)

    def address(self, args: tuple[Any, ...]) -> int:
        """The address of the compiled body for arguments like these."""
        try:
            kinds: Any = compute_fingerprint(args)
        except NotImplementedError:  # a function is among them
            kinds = tuple(map(_kind, args))
        return self._addresses.get(kinds) or self._compile(kinds, args)

    def reads_words(self, args: tuple[Any, ...]) -> int:
        """The address of a C function that reads such arguments from words and calls the body (`words.reader`)."""
        return self._reader(*args)  # type: ignore[no-any-return]

    def _compile(self, kinds: Any, args: Any) -> int:
        signature = (types.int64,) * 3 + tuple(map(numba.typeof, args))
        self.serial.compile(signature)
        compiled = self.serial.overloads[signature]
        address = compiled.library.get_pointer_to_function(compiled.fndesc.llvm_func_name)
        self._addresses[kinds] = address
        return address


def parallel_kernel(body: Callable[..., Any]) -> ParallelKernel:
    """Compile ``body(thread, first, last, *args)`` and a driver that shares its tasks among threads."""
    return ParallelKernel(body)


def regions(members: int) -> tuple[int, int]:
    """What `share` needs of a compiled function that leads several regions itself, of at most so many members."""
    if recording.steps is not None:
        raise Shared
    workers, lead = _team()
    workers.grow(members)
    return lead, workers.address


@lru_cache(maxsize=1)
def _team() -> tuple[Team, int]:
    """This process's workers, and the address of what leads them."""
    return Team(serve), lead_address()


def threads_in_use() -> str | None:
    """What parallel kernels run on, for people to read; None before the first has run."""
    if not _team.cache_info().currsize:
        return None
    return f"fastconv's own, {_team()[0].size} beside the caller"


def _kind(value: Any) -> Any:
    """What tells argument types apart, at least as finely as Numba does, and much faster."""
    if type(value) is np.ndarray:
        return value.dtype, value.ndim, value.flags.num
    if isinstance(value, tuple):
        return tuple(map(_kind, value))
    return type(value)


def _with_arguments(body: Callable[..., Any], name: str, before: str, function: Any) -> Callable[..., Any]:
    """A Python function that hands on the arguments `before`, and those of a body as a tuple."""
    arguments = ", ".join(list(inspect.signature(body).parameters)[3:])
    source = f"def {body.__name__}_{name}({before}{arguments}):\n    return {name}({before}({arguments},))\n"
    namespace: dict[str, Any] = {"__name__": body.__module__, name: function}
    exec(compile(source, inspect.getfile(body), "exec"), namespace)
    return namespace[f"{body.__name__}_{name}"]  # type: ignore[no-any-return]
