"""Arrays of 16 bits, float16 and bfloat16: they are computed in float32, and results are rounded once."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

from .. import memory
from ._arrays import HALVES, converted

SINGLE = np.dtype(np.float32)


def is_half(dtype: Any) -> bool:
    """Whether a dtype is float16 or bfloat16.

    Examples
    --------
    >>> is_half(np.dtype(np.float16)), is_half(np.dtype(np.int16))
    (True, False)
    """
    return dtype.itemsize == 2 and dtype.kind in "fV" and dtype.name in HALVES


def is_floating(dtype: Any) -> bool:
    """Whether a dtype is one of real floating-point numbers; NumPy does not count bfloat16 among them."""
    return dtype.kind == "f" or is_half(dtype)


def cast(array: Any, dtype: Any) -> Any:
    """An array in another dtype, wherever it lies; on the CPU to 16 bits and back by all threads."""
    if array.dtype == dtype:
        return array
    if not isinstance(array, np.ndarray) or not (is_half(array.dtype) or is_half(dtype)):
        return array.astype(dtype)
    if array.dtype.kind in "iub" or is_half(array.dtype) is is_half(dtype) or 8 in (array.itemsize, dtype.itemsize):
        array = array.astype(SINGLE)
    return converted(np.ascontiguousarray(array), dtype).reshape(array.shape)


def widened(value: Any) -> Any:
    """An array of 16 bits of the host in float32, in memory that is soon free again; anything else as it is."""
    if isinstance(value, np.ndarray) and is_half(value.dtype):
        return converted(np.ascontiguousarray(value), SINGLE, memory.scratch).reshape(value.shape)
    return value.astype(SINGLE) if isinstance(value, np.generic) and is_half(value.dtype) else value


def rounded(value: Any, dtype: Any) -> Any:
    """An array or a number of float32, of the host, in a dtype of 16 bits; anything else as it is."""
    if isinstance(value, np.ndarray) and value.dtype == SINGLE:
        return converted(np.ascontiguousarray(value), dtype).reshape(value.shape)
    return value.astype(dtype) if isinstance(value, np.generic) and value.dtype == SINGLE else value


def put_back(wide: Iterable[Any], places: Iterable[Any]) -> None:
    """Round what `widened` made of arrays, and what has been done to it, into them; others are what they were."""
    for new, place in zip(wide, places, strict=True):
        if new is not place:
            place[...] = rounded(new, place.dtype)


def added(a: Any, b: Any) -> Any:
    """a + b, of 16 bits too."""
    half = a.dtype
    if half != b.dtype or not isinstance(a, np.ndarray) or not is_half(half):
        return a + b
    return rounded(widened(a) + widened(b), half)
