"""Starting a kernel again without asking Numba once more what its arguments are.

A launch through Numba finds the types of all arguments and turns each into a ctypes object: about 2 us for every array
and 1 us for every number, and kernels have up to seventy. A `Launcher` does that the first time; from then on it hands
the driver's launch function NumPy's numbers and the fields of flat arrays as they are. What it hands over is compared
with what Numba makes of the same arguments before it is used: where they differ, or Numba's parts are not those that
are known here, launches stay Numba's.
"""

from __future__ import annotations

import ctypes
from collections.abc import Callable
from importlib import import_module
from typing import Any

import numpy as np


class Launcher:
    """A kernel with its grid and stream, as ``kernel[blocks, threads, stream, shared]`` is.

    Parameters
    ----------
    configured : callable
        What Numba makes of that.
    """

    def __init__(self, configured: Any) -> None:
        self._configured = configured
        self._known: dict[tuple[Any, ...], Any] = {}  # kinds of arguments -> what starts it, None if Numba must

    def __call__(self, *args: Any) -> None:
        kinds = tuple(map(_kind, args))
        start = self._known.get(kinds, self)
        if start is self:
            self._configured(*args)
            self._known[kinds] = _understood(self._configured, args)
        elif start is None:
            self._configured(*args)
        else:
            start(arguments(args))


def arguments(args: tuple[Any, ...]) -> list[Any]:
    """What a kernel gets for flat arrays, NumPy's numbers, and tuples of either.

    For an array that is meminfo, parent, elements, bytes of one, address, size and stride of its axis.
    """
    found: list[Any] = []
    for a in args:
        if isinstance(a, np.generic):
            found.append(a)
        elif isinstance(a, tuple):
            found.extend(a if a and isinstance(a[0], np.generic) else arguments(a))
        else:
            size, itemsize = a.size, a.dtype.itemsize
            found += (0, 0, size, itemsize, a.device_ctypes_pointer.value, size, itemsize)
    return found


def _kind(argument: Any) -> Any:
    """What decides which version of a kernel takes an argument."""
    if isinstance(argument, np.generic):
        return type(argument)
    if isinstance(argument, tuple):
        return type(argument), len(argument), _kind(argument[0]) if argument else None
    return argument.dtype.char


def _understood(configured: Any, args: tuple[Any, ...]) -> Callable[[list[Any]], None] | None:
    """What starts the kernel that took `args`, if `arguments` says of them what Numba says; else None."""
    try:
        typing = import_module("numba.cuda.typing.typeof")
        signature = tuple(typing.typeof(a, typing.Purpose.argument) for a in args)
        kernel = configured.dispatcher.overloads[signature]
        expected: list[Any] = []
        for kind, argument in zip(kernel.argument_types, args, strict=True):
            kernel._prepare_args(kind, argument, configured.stream, [], expected)
        if kernel.debug or kernel.cooperative or not _are_alike(arguments(args), expected):
            return None
        core, c, stream, library = import_module("cuda.core"), configured, configured.stream, kernel._codelibrary
        config, launch = core.LaunchConfig(grid=c.griddim, block=c.blockdim, shmem_size=c.sharedmem), core.launch
        library.get_cufunc().kernel  # noqa: B018 - where this is missing, Numba starts kernels in another way
    except (ImportError, AttributeError, KeyError, TypeError, ValueError):
        return None

    def start(values: list[Any]) -> None:
        launch(stream, config, library.get_cufunc().kernel, *values)  # that of the current device

    return start


def _are_alike(mine: list[Any], numbas: list[Any]) -> bool:
    """True where both lists say the same, byte for byte."""
    return len(mine) == len(numbas) and all(map(_is_alike, mine, numbas))


def _is_alike(mine: Any, numbas: Any) -> bool:
    if isinstance(mine, np.generic):
        same_size = isinstance(numbas, ctypes._SimpleCData) and ctypes.sizeof(numbas) == mine.dtype.itemsize
        return same_size and bytes(numbas) == mine.tobytes()
    return type(numbas) is int and mine == numbas
