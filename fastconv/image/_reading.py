"""Arguments of this package: images as arrays of real numbers on the host, and what they are computed in."""

from __future__ import annotations

from typing import Any

import numpy as np

from ..errors import InvalidArgument, shown
from ..foreign import is_device_array
from ..ops._reading import as_array

SINGLE, DOUBLE = np.dtype(np.float32), np.dtype(np.float64)
WIDEST = 8  # bytes of an element


def read_image(value: Any, name: str) -> np.ndarray:
    """An array of real numbers, as it is."""
    if is_device_array(value):
        raise InvalidArgument(f"{name} is a CUDA array, which fastconv.image does not serve; pass fc.to_host({name})")
    array = as_array(value, name)
    if array.dtype.kind == "c" or array.dtype.itemsize > WIDEST:
        raise InvalidArgument(f"{name} has dtype {array.dtype}; expected real numbers of at most {WIDEST} bytes")
    return array


def floating(dtype: np.dtype) -> np.dtype:
    """float32 for float32 and the 16-bit floats, else float64, as scikit-image has it."""
    return SINGLE if dtype.kind not in "biu" and dtype.itemsize <= SINGLE.itemsize else DOUBLE


def parse_result(dtype: Any, given: np.dtype) -> np.dtype:
    """The dtype asked for, float32 or float64; None goes by the image's."""
    if dtype is None:
        return floating(given)
    try:
        found = np.dtype(dtype)
    except (TypeError, ValueError):
        found = None
    if found not in (SINGLE, DOUBLE):
        raise InvalidArgument(f"dtype is {shown(dtype)}; expected None, float32 or float64")
    return found


def parse_channel_axis(axis: Any, ndim: int) -> int | None:
    """The number of the axis of channels, counted from 0, or None."""
    if axis is None:
        return None
    from ..spec.arguments import index_of

    found = index_of(axis)
    if found is None or not -ndim <= found < ndim:
        raise InvalidArgument(f"channel_axis is {shown(axis)}; expected None or an axis of an image of {ndim} axes")
    return found % ndim
