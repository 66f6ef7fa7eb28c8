"""Device arrays of other libraries on their way in and out: as kernels take them, and results as their kind.

PyTorch and CuPy are known by name, for their ways to copy and to wrap; any other library is served through
``__cuda_array_interface__`` or DLPack. Nothing is imported here that the caller's array has not imported already.
"""

from __future__ import annotations

from importlib import import_module
from typing import Any

import numpy as np

from ...errors import InvalidArgument
from ...foreign import LEGACY_STREAM, library_of


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
