"""Arrays of other libraries, by what they say of themselves: which live on a GPU, on which device and stream.

PyTorch and CuPy are known by name, for their streams; any other library by ``__cuda_array_interface__`` or DLPack. No
library is imported here, that of an array at hand is there already, but for the one that NumPy has bfloat16 from.
"""

from __future__ import annotations

import sys
from functools import lru_cache
from typing import Any

import numpy as np

from .errors import MissingExtra

LEGACY_STREAM = 1  # what interfaces call the default stream; they may not say 0
DLPACK_CUDA = 2, 13  # kDLCUDA, kDLCUDAManaged


def dtype_named(name: str) -> np.dtype:
    """NumPy's dtype of a name; bfloat16 is another package's.

    Examples
    --------
    >>> dtype_named("float16")
    dtype('float16')
    """
    if name != "bfloat16":
        return np.dtype(name)
    try:
        from ml_dtypes import bfloat16
    except ImportError:
        raise MissingExtra("arrays of bfloat16 need ml_dtypes: pip install 'fastconv[bfloat16]'") from None
    return np.dtype(bfloat16)


def library_of(obj: Any) -> str:
    """The top package of an array's class: "cupy", "torch", "numba", …"""
    return type(obj).__module__.partition(".")[0]


def is_device_array(obj: Any) -> bool:
    """True for arrays in a GPU's memory (CuPy, PyTorch, Numba, DLPack, …)."""
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
        return sys.modules["torch"].cuda.current_stream(obj.device).cuda_stream
    if library == "cupy":
        return sys.modules["cupy"].cuda.get_current_stream().ptr
    stream = (getattr(obj, "__cuda_array_interface__", None) or {}).get("stream") or 0
    return 0 if stream == LEGACY_STREAM else stream
