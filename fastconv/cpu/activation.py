"""Activation functions, applied in place to a finished output; NaN stays NaN.

``BUILTIN`` maps each name to its compiled scalar function, so that a kernel can also apply it while it stores.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from functools import lru_cache
from typing import Any

import numba
import numpy as np
from numba.core.caching import NullCache

from ..simd.jit import kernel
from ..simd.lanes import pointer
from ..simd.parallel import ParallelKernel, parallel_kernel
from ..threads import team

BLOCK = 4096  # elements of one task
LEAKY_SLOPE = 0.01


@kernel
def relu(v):  # type: ignore[no-untyped-def]
    return type(v)(0) if v < 0 else v


@kernel
def leaky_relu(v):  # type: ignore[no-untyped-def]
    return v * LEAKY_SLOPE if v < 0 else v


@kernel
def sigmoid(v):  # type: ignore[no-untyped-def]
    return 1 / (1 + math.exp(-v))


@kernel
def tanh(v):  # type: ignore[no-untyped-def]
    return math.tanh(v)


BUILTIN = {"relu": relu, "leaky_relu": leaky_relu, "sigmoid": sigmoid, "tanh": tanh}


def apply(y: np.ndarray, activation: str | Callable[..., Any] | None) -> None:
    """Replace every element v of `y` by activation(v).

    Parameters
    ----------
    y : ndarray, C-contiguous, float32 or float64
        Changed in place.
    activation : None, a name in `BUILTIN`, or a scalar function compiled with ``numba.njit``
        None leaves `y` as it is. What the function raises for the first element that it does not take is raised for
        any number of threads; some elements of `y` are then replaced and others not.

    Examples
    --------
    >>> y = np.array([-2.0, 0.0, np.nan, 3.0])
    >>> apply(y, "leaky_relu")
    >>> y
    array([-0.02,  0.  ,   nan,  3.  ])
    """
    if activation is None or y.size == 0:
        return
    tasks = -(-y.size // BLOCK)
    where = y.__array_interface__["data"][0]
    _kernel(activation)(team(tasks, 10 * y.size), tasks, where, y.size, y.dtype.type(0))


def finish(y: np.ndarray, b: np.ndarray | None, activation: Any, channels_last: bool) -> None:
    """Add the bias b, or None, to a finished output (N, C, ...) or (N, ..., C) and apply the activation, in place."""
    if b is not None:
        y += b if channels_last else b.reshape(-1, *(1,) * (y.ndim - 2))
    apply(y, activation)


@lru_cache(maxsize=64)
def _kernel(activation: str | Callable[..., Any]) -> ParallelKernel:
    """The parallel loop over one activation, compiled once per dtype."""
    function = BUILTIN[activation] if isinstance(activation, str) else activation

    def body(thread, first, last, where, size, like):  # type: ignore[no-untyped-def]
        y = numba.carray(pointer(where, like), (size,))
        part = y[first * BLOCK : min(last * BLOCK, size)]
        for i in range(part.size):
            part[i] = function(part[i])

    # The disk cache tells kernels apart by name; it must not keep a user's function, whose source it cannot watch.
    body.__name__ = body.__qualname__ = f"apply_{activation}" if isinstance(activation, str) else "apply_user"
    made = parallel_kernel(body)
    if not isinstance(activation, str):
        made.serial._cache = NullCache()
    return made
