"""Between callers and kernels: device arrays of any library as kernels take them, results as the caller's kind."""

from __future__ import annotations

from typing import Any

import numpy as np

from .. import foreign
from ..errors import InvalidArgument
from .arrays.base import Wrapper
from .backend import executor, to_device
from .pointwise import cast
from .runtime import adoption
from .runtime.streams import remember, working_on


def as_device(obj: Any, dtype: Any = None) -> Any:
    """Any library's device array as one that kernels take, on the same memory; copied if its dtype must change.

    The array remembers its device and the stream its library works on: kernels that get it run there.
    """
    obj = obj.handle if isinstance(obj, Wrapper) else obj
    run, dtype = executor(), None if dtype is None else np.dtype(dtype)
    if not run.owns(obj):
        device, stream = foreign.device_of(obj), foreign.stream_of(obj)
        with run.on(device), working_on(stream):
            array = run.adopt(adoption.prepared(obj, dtype))
        remember(array, device, stream)
        obj = array
    elif not _is_contiguous(obj):
        raise InvalidArgument(f"a device array of shape {tuple(obj.shape)} is not C-contiguous; copy it first")
    return obj if dtype is None or obj.dtype == dtype else cast(obj, dtype)


def from_host(obj: Any, dtype: Any = None) -> Any:
    """A copy on the device of any array-like on the host."""
    if isinstance(obj, np.ma.MaskedArray) and np.ma.getmask(obj) is not np.ma.nomask:
        raise InvalidArgument("a masked array has a mask; device arrays have none: fill it first")
    array = np.asarray(obj, dtype)
    if array.dtype.kind not in "biuf":
        raise InvalidArgument(f"the dtype is {array.dtype}; device arrays hold real numbers and truth values")
    native = np.ascontiguousarray(array, array.dtype.newbyteorder("="))
    return to_device(native.reshape(array.shape))


def like(result: Any, original: Any, dtype: Any = None) -> Any:
    """A kernel's result as the kind of array `original` is, on the same memory; `dtype` asks for another dtype."""
    if dtype is not None and result.dtype != np.dtype(dtype):
        result = cast(result, np.dtype(dtype))
    if isinstance(original, Wrapper):
        return type(original)(result)
    return result if executor().owns(original) else adoption.give_back(result, original)


def _is_contiguous(array: Any) -> bool:
    test = getattr(array, "is_c_contiguous", None)
    return test is None or test()
