"""The one door to CUDA: what runs kernels, arrays on the device, and whose stream they belong to.

Kernels are run by an *executor*. The usual one drives a GPU through Numba: numba-cuda where it is installed, else the
target that Numba itself brings; with ``NUMBA_ENABLE_CUDASIM=1`` Numba's simulator. `run_on` puts another in its place:
the tests' simulator checks each kernel's logic on the CPU that way.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ..errors import DeviceMissing
from .runtime import targets
from .runtime.executor import NumbaExecutor
from .runtime.streams import current_stream, is_usual, memory_of, remember, working_on


class Executor(Protocol):
    """What holds device arrays and runs kernels."""

    name: str
    alignment: bool  # shared arrays may ask for one

    def to_device(self, array: np.ndarray) -> Any:
        """A copy on the device."""

    def to_host(self, array: Any) -> np.ndarray:
        """A copy on the host."""

    def empty(self, shape: tuple[int, ...], dtype: np.dtype) -> Any:
        """A new array whose values are undefined."""

    def scratch(self, slot: str, size: int, dtype: np.dtype) -> Any:
        """A flat array of at least `size` elements, for use until the next request for `slot`."""

    def trim(self) -> int:
        """Free memory that is kept for new arrays; the number of bytes."""

    def owns(self, obj: Any) -> bool:
        """True for the arrays this executor makes."""

    def adopt(self, obj: Any) -> Any:
        """Another library's device array, C-contiguous, without a copy."""

    def bits(self, array: Any) -> Any:
        """The same memory of 16-bit numbers as uint16."""

    def words(self, array: Any) -> Any:
        """The same memory of 16-bit numbers, on one axis and of even size, as uint32."""

    def is_aligned(self, array: Any) -> bool:
        """True if kernels may load 16 bytes at a time from where the array begins."""

    def device(self) -> int:
        """The number of the current device."""

    def capability(self) -> tuple[int, int]:
        """The compute capability of the current device."""

    def on(self, device: int | None) -> Any:
        """A context in which `device` is the current one."""

    def wait(self, stream: int, other: int) -> None:
        """Let what starts on `stream` from now on run after what was started on `other`."""

    def compile(self, function: Callable[..., None], bounds: tuple[int, int]) -> Any:
        """Make a plain function a kernel; bounds: threads of a block, blocks that should fit a multiprocessor."""

    def run(self, kernel: Any, blocks: int, threads: int, args: tuple[Any, ...], shared: int = 0) -> None:
        """Start a kernel on the current stream; `shared` bytes of dynamic shared memory for each block."""


if TYPE_CHECKING:
    cuda: Any  # Numba's CUDA target, imported when it is asked for: kernels say `from .backend import cuda`

_installed: Executor | None = None


def executor() -> Executor:
    """What runs kernels in this process; `DeviceMissing` if nothing can."""
    return _installed if _installed is not None else _numba_executor()


@contextmanager
def run_on(other: Executor) -> Iterator[Executor]:
    """Run kernels on another executor inside a ``with`` block, in every thread."""
    global _installed
    before, _installed = _installed, other
    try:
        yield other
    finally:
        _installed = before


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
    with executor().on(device), working_on(stream):
        for other in {own for _, own in origins} - {stream}:
            executor().wait(stream, other)
        if (device, stream) != (None, 0):
            for array in arrays:
                remember(array, device, stream)
        yield


def require() -> str:
    """The name of the device that kernels run on; `DeviceMissing` says what was looked for if there is none."""
    return executor().name


def to_device(array: np.ndarray) -> Any:
    """A copy of a host array on the device."""
    return executor().to_device(array)


def to_host(array: Any) -> np.ndarray:
    """A copy of a device array on the host."""
    return executor().to_host(array)


def empty(shape: tuple[int, ...], dtype: Any) -> Any:
    """A new device array whose values are undefined."""
    return executor().empty(shape, np.dtype(dtype))


def scratch(slot: str, size: int, dtype: Any) -> Any:
    """A flat device array of `size` elements that is good until the next request for the same `slot`."""
    array = room(slot, size, dtype)
    return array if array.size == size else array[:size]


def room(slot: str, size: int, dtype: Any) -> Any:
    """As `scratch`, with `size` elements at least: making a view costs more than many a kernel."""
    return executor().scratch(slot, size, np.dtype(dtype))


def is_aligned(array: Any) -> bool:
    """True if kernels may load 16 bytes at a time from where a device array begins."""
    return executor().is_aligned(array)


def part(array: Any, start: int, size: int) -> Any:
    """`size` elements of a device array from `start`, flat, on the same memory."""
    device, stream = memory_of(array)
    view = array.reshape((array.size,))[start : start + size]
    if (device, stream) != (None, 0):
        remember(view, device, stream)  # Numba gives a part a memory object of its own
    return view


def trim() -> int:
    """Give device memory that no array uses back to the driver; the number of bytes."""
    return executor().trim()


def __getattr__(name: str) -> Any:
    if name == "cuda":
        return targets.target()
    raise AttributeError(f"module {__name__!r} has no attribute {name!r}")


@lru_cache(maxsize=1)
def _numba_executor() -> NumbaExecutor:
    cuda = targets.target()
    if not targets.is_available(cuda):
        raise DeviceMissing(
            f'device "cuda" cannot be used here: {targets.why_unavailable(cuda)}. On a machine with a GPU: '
            f"{targets.INSTALL}; elsewhere pass NumPy arrays and leave out device="
        )
    return NumbaExecutor(cuda)


def target_name() -> str:
    """Which of Numba's CUDA targets compiles kernels; why none can, where that is so."""
    try:
        return targets.name_of(targets.target())
    except DeviceMissing as error:
        return str(error)
