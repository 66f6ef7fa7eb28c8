"""The one door to CUDA: what runs kernels, arrays on the device, and whose stream they belong to.

Kernels are run by an *executor*. The usual one drives a GPU through Numba: numba-cuda where it is installed, else the
target that Numba itself brings; with ``NUMBA_ENABLE_CUDASIM=1`` Numba's simulator. `run_on` puts another in its place:
the tests' simulator checks each kernel's logic on the CPU that way.
"""

from __future__ import annotations

import math
import os
import threading
import warnings
from collections.abc import Callable, Iterator
from contextlib import contextmanager, nullcontext
from functools import lru_cache
from typing import TYPE_CHECKING, Any, Protocol

import numpy as np

from ..config import settings
from ..errors import DeviceMissing, InvalidArgument
from .runtime import interop, opt_in, targets
from .runtime.interop import is_device_array as is_device_array
from .runtime.memory import Pool
from .runtime.prepared import Launcher
from .runtime.streams import current_stream as current_stream
from .runtime.streams import is_usual as is_usual
from .runtime.streams import memory_of as _memory_of
from .runtime.streams import remember as _remember
from .runtime.streams import scope as scope
from .runtime.streams import stream_of as stream_of
from .runtime.streams import working_on as _working_on

MOST_LAUNCHERS = 1024


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


class NumbaExecutor:
    """Runs kernels through Numba's CUDA target, on a GPU or in Numba's simulator."""

    def __init__(self, cuda: Any) -> None:
        self.cuda = cuda
        self.pool = Pool(lambda size: cuda.device_array((size,), np.uint8), lru_cache(self._pool_bytes))
        self.simulated = targets.simulator_asked_for()
        self.pooled = not (self.simulated or _each_thread_has_a_stream())  # else "the default stream" is not one stream
        self.alignment = cuda.implementation == "NVIDIA" and not self.simulated
        self.name = "Numba's CUDA simulator" if self.simulated else _text(cuda.get_current_device().name)
        self._local = threading.local()
        self._launchers: dict[tuple[Any, ...], Any] = {}
        self._allowed: dict[tuple[Any, ...], int] = {}

    def to_device(self, array: np.ndarray) -> Any:
        """A copy on the device, finished when this returns: any stream may use it."""
        if self.simulated:
            return self.cuda.to_device(array)
        copy = self.empty(array.shape, array.dtype)
        if array.size:
            stream = self._stream(current_stream())
            copy.copy_to_device(array, stream=stream)
            (stream or self.cuda.default_stream()).synchronize()
        return copy

    def to_host(self, array: Any) -> np.ndarray:
        stream = self._stream(stream_of(array))
        host = array.copy_to_host(stream=stream)
        if stream:
            stream.synchronize()
        return host

    def empty(self, shape: tuple[int, ...], dtype: np.dtype) -> Any:
        nbytes = math.prod(shape) * dtype.itemsize
        if not (self.pooled and nbytes):
            return self.cuda.device_array(shape, dtype)
        lease = self.pool.take(nbytes, self.device(), current_stream())
        address = lease.block.raw.__cuda_array_interface__["data"][0]
        interface = {"shape": shape, "strides": None, "typestr": dtype.str, "data": (address, False), "version": 3}
        return self.cuda.from_cuda_array_interface(interface, owner=lease, sync=False)

    def _pool_bytes(self) -> int:
        """The bytes that may lie idle: a quarter of the device's memory unless the configuration says otherwise."""
        return settings.cuda_pool_bytes or self.cuda.current_context().get_memory_info().total // 4

    def scratch(self, slot: str, size: int, dtype: np.dtype) -> Any:
        """Small arrays are kept, one per slot, thread, stream and device: there, calls follow each other."""
        if size * dtype.itemsize > settings.scratch_bytes:
            return self.empty((size,), dtype)
        kept = vars(self._local).setdefault("kept", {})
        key = slot, dtype, current_stream(), self.device()
        if key not in kept or kept[key].size < size:
            kept[key] = self.empty((size,), dtype)
        return kept[key]

    def trim(self) -> int:
        return self.pool.trim()

    def owns(self, obj: Any) -> bool:
        return hasattr(obj, "copy_to_host")

    def adopt(self, obj: Any) -> Any:
        return self.cuda.from_cuda_array_interface(interop.interface_of(obj, current_stream()), owner=obj, sync=False)

    def bits(self, array: Any) -> Any:
        return array.view(np.uint16)

    def words(self, array: Any) -> Any:
        return array.view(np.uint32)

    def is_aligned(self, array: Any) -> bool:
        return not self.simulated and array.__cuda_array_interface__["data"][0] % 16 == 0

    def capability(self) -> tuple[int, int]:
        return (0, 0) if self.simulated else tuple(self.cuda.get_current_device().compute_capability)

    def device(self) -> int:
        return 0 if self.simulated else self.cuda.get_current_device().id

    def on(self, device: int | None) -> Any:
        return nullcontext() if device is None else self.cuda.gpus[device]

    def wait(self, stream: int, other: int) -> None:
        event = self.cuda.event(timing=False)
        event.record(stream=self._stream(other))
        event.wait(stream=self._stream(stream))

    def compile(self, function: Callable[..., None], bounds: tuple[int, int]) -> Any:
        return self.cuda.jit(function, launch_bounds=bounds) if self.alignment else self.cuda.jit(function)

    def run(self, kernel: Any, blocks: int, threads: int, args: tuple[Any, ...], shared: int = 0) -> None:
        if self.simulated:
            kernel[blocks, threads, 0, shared](*args)
            return
        if shared > opt_in.SHARED_BYTES:
            self._opt_in(kernel, args, shared)
        self._launcher(kernel, blocks, threads, current_stream(), shared)(*args)

    def _opt_in(self, kernel: Any, args: tuple[Any, ...], shared: int) -> None:
        """Let a kernel have `shared` bytes, once for each device and each version of it: it is compiled by dtypes."""
        key = kernel, self.device(), tuple(getattr(a, "dtype", type(a)) for a in args)
        if self._allowed.get(key, 0) < shared:
            opt_in.allow(kernel, args, shared)
            self._allowed[key] = shared

    def _launcher(self, kernel: Any, blocks: int, threads: int, stream: int, shared: int) -> Any:
        """A kernel with its grid and stream, kept because making one costs as much as a launch."""
        key = kernel, blocks, threads, stream, shared, self.device() if stream else None
        if key not in self._launchers:
            if len(self._launchers) >= MOST_LAUNCHERS:
                self._launchers.clear()
            with warnings.catch_warnings():
                warnings.filterwarnings("ignore", message=".*Grid size")  # small is no fault; Numba colours it
                self._launchers[key] = Launcher(kernel[blocks, threads, self._stream(stream), shared])
        return self._launchers[key]

    def _stream(self, pointer: int) -> Any:
        return self.cuda.external_stream(pointer) if pointer else 0


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


def require() -> str:
    """The name of the device that kernels run on; `DeviceMissing` says what was looked for if there is none."""
    return executor().name


def to_device(array: np.ndarray) -> Any:
    """A copy of a host array on the device."""
    return executor().to_device(array)


def to_host(array: Any) -> np.ndarray:
    """A copy of a device array on the host."""
    return executor().to_host(_unwrapped(array))


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


def as_device(obj: Any, dtype: Any = None) -> Any:
    """Any library's device array as one that kernels take, on the same memory; copied if its dtype must change.

    The array remembers its device and the stream its library works on: kernels that get it run there.
    """
    obj = _unwrapped(obj)
    run, dtype = executor(), None if dtype is None else np.dtype(dtype)
    if not run.owns(obj):
        device, stream = interop.device_of(obj), interop.stream_of(obj)
        with run.on(device), _working_on(stream):
            array = run.adopt(interop.prepared(obj, dtype))
        _remember(array, device, stream)
        obj = array
    elif not _is_contiguous(obj):
        raise InvalidArgument(f"a device array of shape {tuple(obj.shape)} is not C-contiguous; copy it first")
    if dtype is None or obj.dtype == dtype:
        return obj
    from .pointwise import cast

    return cast(obj, dtype)


def like(result: Any, original: Any, dtype: Any = None) -> Any:
    """A kernel's result as the kind of array `original` is, on the same memory; `dtype` asks for another dtype."""
    if dtype is not None and result.dtype != np.dtype(dtype):
        from .pointwise import cast

        result = cast(result, np.dtype(dtype))
    if _unwrapped(original) is not original:
        return type(original)(result)
    return result if executor().owns(original) else interop.give_back(result, original)


def part(array: Any, start: int, size: int) -> Any:
    """`size` elements of a device array from `start`, flat, on the same memory."""
    device, stream = _memory_of(array)
    view = array.reshape((array.size,))[start : start + size]
    if (device, stream) != (None, 0):
        _remember(view, device, stream)  # Numba gives a part a memory object of its own
    return view


def _unwrapped(obj: Any) -> Any:
    """What an `array.Array` wraps; anything else as it is."""
    return obj.handle if isinstance(obj, _array_class()) else obj


@lru_cache(maxsize=1)
def _array_class() -> Any:
    from .array import Array

    return Array


def trim() -> int:
    """Give device memory that no array uses back to the driver; the number of bytes."""
    return executor().trim()


def _is_contiguous(array: Any) -> bool:
    test = getattr(array, "is_c_contiguous", None)
    return test is None or test()


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


def _each_thread_has_a_stream() -> bool:
    return os.environ.get("NUMBA_CUDA_PER_THREAD_DEFAULT_STREAM", "0") not in ("", "0")


def _text(name: str | bytes) -> str:
    return name.decode() if isinstance(name, bytes) else name
