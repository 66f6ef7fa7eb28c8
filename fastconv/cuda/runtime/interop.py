"""Device arrays of other libraries: what they are, on which device and stream, and how results go back to them.

CuPy and PyTorch are known by name, for their streams and allocators; any other library is served through
``__cuda_array_interface__`` or DLPack. Nothing is imported here that the caller's array has not imported already.
"""

from __future__ import annotations

from functools import lru_cache
from importlib import import_module
from typing import Any

import numpy as np

from ...errors import InvalidArgument

LEGACY_STREAM = 1  # what interfaces call the default stream; they may not say 0
DLPACK_CUDA = (2, 13)  # kDLCUDA, kDLCUDAManaged


def library_of(obj: Any) -> str:
    """The top package of an array's class: "cupy", "torch", "numba", …"""
    return type(obj).__module__.partition(".")[0]


def is_device_array(obj: Any) -> bool:
    """True for arrays in a GPU's memory; imports nothing."""
    if obj is None or isinstance(obj, (np.ndarray, np.generic, int, float, str, list, tuple, type)):
        return False
    try:
        return _lies_on_device(obj)
    except Exception:  # a property of another library's class; whoever reads the object hears more of it
        return False


def _lies_on_device(obj: Any) -> bool:
    kind: Any = type(obj)
    if _is_device_class(kind):
        return True
    if library_of(obj) == "torch":
        return bool(getattr(obj, "is_cuda", False))  # its interface raises where a gradient is recorded
    if hasattr(obj, "__cuda_array_interface__"):
        return True
    device = getattr(obj, "__dlpack_device__", None)
    return device is not None and device()[0] in DLPACK_CUDA


@lru_cache(maxsize=64)
def _is_device_class(kind: Any) -> bool:
    """True for classes whose arrays are all on a device: looking at the class is faster than making an interface."""
    return hasattr(kind, "__cuda_array_interface__") and kind.__module__.partition(".")[0] != "torch"


def device_of(obj: Any) -> int | None:
    """The number of the device an array lives on; None where its library does not say."""
    library = library_of(obj)
    if library == "torch":
        return obj.device.index
    if library == "cupy":
        return obj.device.id
    if not hasattr(obj, "__cuda_array_interface__") and hasattr(obj, "__dlpack_device__"):
        return obj.__dlpack_device__()[1]
    return None


def stream_of(obj: Any) -> int:
    """The stream its library works on, as a pointer; 0 is CUDA's default stream."""
    library = library_of(obj)
    if library == "torch":
        return import_module("torch").cuda.current_stream(obj.device).cuda_stream
    if library == "cupy":
        return import_module("cupy").cuda.get_current_stream().ptr
    stream = (getattr(obj, "__cuda_array_interface__", None) or {}).get("stream") or 0
    return 0 if stream == LEGACY_STREAM else stream


def prepared(obj: Any, dtype: np.dtype | None) -> Any:
    """`obj` C-contiguous and of `dtype`, by its own library; only PyTorch's and CuPy's arrays are ever copied."""
    library = library_of(obj)
    if library == "torch":
        torch = import_module("torch")
        obj = obj.detach()
        return (obj if dtype is None else obj.to(getattr(torch, dtype.name))).contiguous()
    if library == "cupy":
        return import_module("cupy").ascontiguousarray(obj, dtype)
    return obj


def interface_of(obj: Any, stream: int) -> dict[str, Any]:
    """``__cuda_array_interface__`` of any device array, through DLPack where it has none of its own."""
    if hasattr(obj, "__cuda_array_interface__"):
        interface = dict(obj.__cuda_array_interface__)
        shape, strides, typestr = interface["shape"], interface.get("strides"), interface["typestr"]
    else:
        view = import_module("cuda.core.utils").StridedMemoryView
        memory = view.from_dlpack(obj, stream_ptr=stream or LEGACY_STREAM)
        typestr, shape = memory.dtype.str, tuple(memory.shape)
        strides = None if memory.strides is None else tuple(n * memory.dtype.itemsize for n in memory.strides)
        interface = {"data": (memory.ptr, memory.readonly), "typestr": typestr, "version": 3}
    if interface.get("mask") is not None:
        raise InvalidArgument(
            f"a {type(obj).__name__} has a mask; expected all of its elements to count: fill it first"
        )
    dtype = np.dtype(typestr)
    if dtype.kind not in "biuf" or not dtype.isnative:
        raise InvalidArgument(
            f"a {type(obj).__name__} has dtype {dtype}; expected real numbers of the host's byte order"
        )
    if strides is not None and 0 not in shape and not _contiguous(shape, strides, dtype.itemsize):
        raise InvalidArgument(
            f"a {type(obj).__name__} of shape {tuple(shape)} has strides {tuple(strides)} bytes; expected a "
            f"C-contiguous array: copy it first"
        )
    return {**interface, "shape": tuple(shape), "strides": None, "stream": None}


def give_back(result: Any, original: Any) -> Any:
    """A Numba device array as an array of `original`'s library, without a copy."""
    library = library_of(original)
    if library == "torch":
        return import_module("torch").as_tensor(result, device=original.device)
    if library == "cupy":
        return import_module("cupy").asarray(result)
    return result


def _contiguous(shape: tuple[int, ...], strides: tuple[int, ...], itemsize: int) -> bool:
    expected = itemsize
    for n, stride in zip(reversed(shape), reversed(strides), strict=True):
        if n != 1 and stride != expected:
            return False
        expected *= n
    return True
