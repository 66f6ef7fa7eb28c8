"""Kernels that visit every element once: conversion of dtype and filling."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np

from . import backend
from .backend import cuda
from .launch import BLOCK, blocks_for, flat, launch, needs_wide


def make_cast(T: Any, S: Any, U: Any, source: str) -> Callable[..., None]:
    """y[i] = x[i] in y's dtype, through float32 where x is float16; one thread per element."""
    X = numba.from_dtype(np.dtype(source))

    def cast(x: Any, y: Any, total: Any) -> None:
        i = U(U(cuda.blockIdx.x) * U(BLOCK) + U(cuda.threadIdx.x))
        if i < U(total):
            y[i] = T(X(x[i]))

    return cast


def make_fill(T: Any, S: Any, U: Any) -> Callable[..., None]:
    """y[i] = value; one thread per element."""

    def fill(y: Any, value: Any, total: Any) -> None:
        i = U(U(cuda.blockIdx.x) * U(BLOCK) + U(cuda.threadIdx.x))
        if i < U(total):
            y[i] = value

    return fill


def cast(x: Any, dtype: Any) -> Any:
    """A copy of a device array in another dtype."""
    y = backend.empty(tuple(x.shape), dtype)
    with backend.scope(x, y):
        args = flat(x), flat(y), x.size
        launch(make_cast, (np.dtype(x.dtype).name,), blocks_for(x.size), args, dtype=dtype, wide=needs_wide(x.size))
    return y


def fill(y: Any, value: float) -> None:
    """Set every element of a device array."""
    args = flat(y), np.dtype(y.dtype).type(value), y.size
    launch(make_fill, (), blocks_for(y.size), args, dtype=y.dtype, wide=needs_wide(y.size))
