"""From arguments that are read to kernels, and back: dtypes, complex arrays by their parts, overlaps, layouts."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from .. import memory
from ..ops._arrays import contiguous
from ._arguments import NATIVE
from ._scipy import Refused

#: What makes a plan for arrays of a shape and two dtypes; it is kept.
Planner = Callable[[tuple[int, ...], np.dtype, np.dtype], Any]


def filtered(plan: Planner, x: np.ndarray, y: np.ndarray, cval: Any, general: Any) -> np.ndarray:
    """Fill y with what a plan makes of real x; ``general(x, y, cval)`` serves what is no native dtype."""
    x_dtype, y_dtype = NATIVE.get(x.dtype.char), NATIVE.get(y.dtype.char)
    if x_dtype is None or y_dtype is None:
        if not (is_general(x.dtype) or is_general(y.dtype)):
            raise Refused
        general(x, y, cval)
        return y
    if not x.size:
        return y
    source = plain(x, x_dtype)
    direct = y.flags.carray and y.dtype.char != "?" and not np.may_share_memory(x, y)
    target = y.view(y_dtype) if direct else memory.empty(y.shape, y_dtype)
    plan(x.shape, x_dtype, y_dtype).run(source, target, cval)
    if not direct:
        y[...] = target != 0 if y.dtype.char == "?" else target
    return y


def plain(x: np.ndarray, dtype: np.dtype) -> np.ndarray:
    """x as kernels take it: C-contiguous, aligned, native, writable in Numba's eyes, booleans as bytes."""
    if x.dtype.char == "?":
        x = contiguous(x, x.dtype).view(np.uint8)
    return x if x.flags.carray and x.dtype == dtype else contiguous(x, dtype)


def is_general(dtype: np.dtype) -> bool:
    """Whether a dtype is computed with by NumPy: longer floats, and Python's objects."""
    return dtype.char in "gGO"


def by_parts(run: Callable[..., Any], x: np.ndarray, y: np.ndarray, cval: Any) -> np.ndarray:
    """A linear filter of real weights, ``run(x, y, cval)``, on the parts of complex x."""
    run(x.real, y.real, np.real(cval))
    run(x.imag, y.imag, np.imag(cval))
    return y
