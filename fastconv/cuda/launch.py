"""Compiling and starting kernels: index types, grid arithmetic, one cached kernel per set of constants.

A kernel factory is called as ``factory(T, S, U, *constants)``: T is Numba's type of the elements, S and U are the
signed and unsigned integers that kernels count with. They have 32 bits, much faster on a GPU than 64, unless an array
of the problem is so large that it needs 64 (`wide`). The factory returns a plain function of flat arrays, tuples and
integers.
"""

from __future__ import annotations

import functools
from collections.abc import Callable
from functools import lru_cache
from typing import Any, ParamSpec

import numba
import numpy as np

from ..kept import kept
from . import backend
from .runtime.source import specialise
from .runtime.streams import is_usual

BLOCK = 256  # threads of a block where a kernel has no reason for another number
NARROW = 1 << 30  # elements an array may have, and numbers may be, with 32-bit arithmetic

P = ParamSpec("P")


def blocks_for(tasks: int, threads: int = BLOCK) -> int:
    """Blocks of a one-dimensional grid with one thread per task."""
    return -(-tasks // threads)


def needs_wide(*sizes: int) -> bool:
    """True if arrays of these numbers of elements need 64-bit indices."""
    return max(sizes, default=0) >= NARROW


def index_dtype(wide: bool) -> np.dtype:
    """The dtype of index tables and integer arguments."""
    return np.dtype(np.int64 if wide else np.int32)


def launch(
    factory: Callable[..., Callable[..., None]],
    constants: tuple[Any, ...],
    blocks: int,
    args: tuple[Any, ...],
    *,
    dtype: Any,
    wide: bool,
    threads: int = BLOCK,
    resident: int = 1,
    shared: int = 0,
) -> None:
    """Start the kernel that `factory` makes of `constants` on a one-dimensional grid of `blocks` blocks.

    Parameters
    ----------
    factory, constants
        What makes the kernel; constants must be hashable: they are the key it is kept under.
    args : tuple
        Device arrays, integers, NumPy floats, and tuples of these (those of integers also named ones).
    dtype : numpy.dtype
        The elements' dtype, T.
    wide : bool
        Count with 64 bits.
    threads, resident : int
        Threads of a block, and how many blocks a multiprocessor should hold: this bounds the registers of a thread.
    shared : int
        Bytes of a block's dynamic shared memory, what ``cuda.shared.array(0, ...)`` is.
    """
    if blocks == 0:
        return
    integer = index_dtype(wide).type
    run: Any = backend.executor()
    kernel = _kernel(run, factory, np.dtype(dtype), wide, constants, (threads, resident))
    run.run(kernel, blocks, threads, tuple([_argument(a, integer) for a in args]), shared)


def entry(function: Callable[P, None]) -> Callable[P, None]:
    """An entry point: runs on the device and stream that its device arrays remember."""

    @functools.wraps(function)
    def on_stream(*args: P.args, **options: P.kwargs) -> None:
        if is_usual():
            function(*args, **options)
            return
        with backend.scope(*(a for a in args if hasattr(a, "shape"))):
            function(*args, **options)

    return on_stream


def flat(array: Any) -> Any:
    """A device array as one axis; the array keeps this view, for making one costs microseconds."""
    if len(array.shape) == 1:
        return array
    view = getattr(array, "fastconv_flat", None)
    if view is None:
        view = array.fastconv_flat = array.reshape((array.size,))
    return view


def table(build: Callable[..., np.ndarray], arguments: tuple[Any, ...], wide: bool) -> Any:
    """The device copy of ``build(*arguments)``, an index table that many calls share."""
    run: Any = backend.executor()
    return _table(run, run.device(), build, arguments, wide)


@kept
def _table(run: Any, device: int, build: Callable[..., np.ndarray], arguments: tuple[Any, ...], wide: bool) -> Any:
    return run.to_device(np.ascontiguousarray(build(*arguments), index_dtype(wide)))


@lru_cache(maxsize=512)
def _kernel(
    run: Any, factory: Any, dtype: np.dtype, wide: bool, constants: tuple[Any, ...], bounds: tuple[int, int]
) -> Any:
    integers = (numba.int64, numba.uint64) if wide else (numba.int32, numba.uint32)
    function = factory(numba.from_dtype(dtype), *integers, *constants)
    return run.compile(specialise(function, run.alignment), bounds)


def _argument(value: Any, integer: Any) -> Any:
    if isinstance(value, (int, np.bool_)):
        return integer(value)
    if isinstance(value, tuple):
        return _numbers(value, integer) if not value or isinstance(value[0], (int, np.integer)) else value
    return value


@lru_cache(maxsize=1024, typed=True)
def _numbers(values: Any, integer: Any) -> Any:
    """A tuple's numbers as kernels count them; most launches repeat those of an earlier one."""
    numbers = [integer(v) for v in values]
    return type(values)(*numbers) if hasattr(values, "_fields") else tuple(numbers)
