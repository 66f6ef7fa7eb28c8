"""Kernels that visit every element once: conversion of dtype, filling, bias and activation of a finished output."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numba
import numpy as np

from . import backend
from .activation import device_function
from .backend import cuda
from .launch import BLOCK, blocks_for, entry, flat, launch, needs_wide


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


def make_finish(T: Any, S: Any, U: Any, bias: bool, activation: Any) -> Callable[..., None]:
    """y[i] = activation(y[i] + b[channel of i]); channels change every `pixels` elements; one thread per element."""
    act = device_function(activation, T)

    def finish(y: Any, b: Any, pixels: Any, channels: Any, total: Any) -> None:
        i = U(U(cuda.blockIdx.x) * U(BLOCK) + U(cuda.threadIdx.x))
        if i < U(total):
            v = y[i]
            if bias:
                v = T(v + b[U(U(i // U(pixels)) % U(channels))])
            if act is not None:
                v = T(act(v))
            y[i] = v

    return finish


def cast(x: Any, dtype: Any) -> Any:
    """A copy of a device array in another dtype."""
    y = backend.empty(tuple(x.shape), dtype)
    if x.size == 0:
        return y
    with backend.scope(x, y):
        args = flat(x), flat(y), x.size
        launch(make_cast, (np.dtype(x.dtype).name,), blocks_for(x.size), args, dtype=dtype, wide=needs_wide(x.size))
    return y


def fill(y: Any, value: float) -> None:
    """Set every element of a device array."""
    args = flat(y), np.dtype(y.dtype).type(value), y.size
    launch(make_fill, (), blocks_for(y.size), args, dtype=y.dtype, wide=needs_wide(y.size))


@entry
def finish(y: Any, b: Any, activation: Any, channels_last: bool) -> None:
    """Add the bias b, or None, to a finished output (N, C, ...) or (N, ..., C) and apply the activation, in place."""
    if y.size == 0:
        return
    channels = y.shape[-1 if channels_last else 1]
    pixels = 1 if channels_last else y.size // (y.shape[0] * channels)
    args = flat(y), flat(y if b is None else b), pixels, channels, y.size
    constants = b is not None, activation
    launch(make_finish, constants, blocks_for(y.size), args, dtype=y.dtype, wide=needs_wide(y.size))
