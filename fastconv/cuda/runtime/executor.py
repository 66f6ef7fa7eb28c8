"""Kernels and arrays on a GPU through Numba's CUDA target, or in Numba's simulator."""

from __future__ import annotations

import math
import os
import threading
import warnings
from collections.abc import Callable
from contextlib import nullcontext
from functools import lru_cache
from typing import Any

import numpy as np

from ...config import settings
from . import opt_in, targets
from .adoption import interface_of
from .memory import Pool
from .prepared import Launcher
from .streams import current_stream, stream_of

MOST_LAUNCHERS = 1024


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
        return self.cuda.from_cuda_array_interface(interface_of(obj, current_stream()), owner=obj, sync=False)

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


def _each_thread_has_a_stream() -> bool:
    return os.environ.get("NUMBA_CUDA_PER_THREAD_DEFAULT_STREAM", "0") not in ("", "0")


def _text(name: str | bytes) -> str:
    return name.decode() if isinstance(name, bytes) else name
