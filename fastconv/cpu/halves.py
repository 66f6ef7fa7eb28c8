"""Whole arrays of float16 and bfloat16 to float32 and back, for operators whose kernels compute in float32.

Cost: 6 bytes moved per element, near the speed of a copy. Rounding is to nearest, ties to even, as NumPy's; denormal
numbers and NaN are kept.
"""

from __future__ import annotations

import numpy as np

from ..simd.halves import BFLOAT16, FLOAT16
from ..simd.halves import narrow as narrow_row
from ..simd.halves import widen as widen_row
from ..simd.host import host
from ..simd.parallel import parallel_kernel
from ..threads import team

BLOCK = 16384  # elements of one task


def widen(x: np.ndarray, y: np.ndarray) -> None:
    """Write x, C-contiguous and of 16-bit numbers, to y of float32."""
    if x.dtype == np.float16 and not host().half:
        y[...] = x
        return
    tasks = -(-x.size // BLOCK)
    run = _widen_float16 if x.dtype == np.float16 else _widen_bfloat16
    run(team(tasks, 4 * x.size), tasks, x.view(np.uint16).reshape(-1), y.reshape(-1))


def narrow(x: np.ndarray, y: np.ndarray) -> None:
    """Write x of float32, rounded, to y, C-contiguous and of 16-bit numbers."""
    if y.dtype == np.float16 and not host().half:
        with np.errstate(over="ignore"):
            y[...] = x
        return
    tasks = -(-x.size // BLOCK)
    run = _narrow_float16 if y.dtype == np.float16 else _narrow_bfloat16
    run(team(tasks, 4 * x.size), tasks, x.reshape(-1), y.view(np.uint16).reshape(-1))


@parallel_kernel
def _widen_float16(thread, first, last, x, y):  # type: ignore[no-untyped-def]
    at = first * BLOCK
    widen_row(y, at, x, at, min(last * BLOCK, x.size) - at, FLOAT16)


@parallel_kernel
def _widen_bfloat16(thread, first, last, x, y):  # type: ignore[no-untyped-def]
    at = first * BLOCK
    widen_row(y, at, x, at, min(last * BLOCK, x.size) - at, BFLOAT16)


@parallel_kernel
def _narrow_float16(thread, first, last, x, y):  # type: ignore[no-untyped-def]
    at = first * BLOCK
    narrow_row(y, at, x, at, min(last * BLOCK, x.size) - at, FLOAT16)


@parallel_kernel
def _narrow_bfloat16(thread, first, last, x, y):  # type: ignore[no-untyped-def]
    at = first * BLOCK
    narrow_row(y, at, x, at, min(last * BLOCK, x.size) - at, BFLOAT16)
